"""What the author wrote, as frozen values: Types, Sets, Routings, Partitions.

Fields that are passed on are nodes with places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from replicator.diagnostics import Place
from replicator.expression.values import OF_TYPE, Kind
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node, Scalar

Form = Literal["copies", "pods"]


class Metadata(NamedTuple):
    """A document's name, namespace ('' where none is written) and labels."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    name_node: Node


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Param:
    """A parameter: its schema, the check made of it, and its default (None where it is required)."""

    name: str
    schema: Mapping[str, Any]
    fits: Callable[[Any], bool]
    default: Node | None
    node: Node
    place: Place

    @property
    def kind(self) -> Kind:
        return OF_TYPE[self.schema["type"]]


class UnitPort(NamedTuple):
    """A port of a unit; numbers are nodes because they may be expressions."""

    name: str
    container: Scalar
    service: Scalar
    protocol: str
    app_protocol: Node | None
    place: Place


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Unit:
    """One workload. `fields` holds the Container fields that are passed on under their own names."""

    name: str
    kind: str
    init: bool
    image: Scalar
    replicas: Scalar | None
    schedule: Scalar | None
    autoscale: MappingNode | None
    ports: Mapping[str, UnitPort]
    env: MappingNode | None
    files: MappingNode | None
    storage: MappingNode | None
    pod: MappingNode | None
    spec: MappingNode | None
    service: MappingNode | None
    pod_labels: MappingNode | None
    pod_annotations: MappingNode | None
    fields: Mapping[str, Node]
    node: MappingNode
    place: Place


class TypePort(NamedTuple):
    """A port of a Type's interface: of a unit, by name, or of a Service in `resources`, by number."""

    name: str
    unit: Scalar | None
    service: Scalar | None
    port: Scalar
    place: Place


class Use(NamedTuple):
    """A link to a port of another Set that no text shows: to the island of the same key, of `key`, or to all."""

    set: Scalar
    port: Scalar | None
    key: Scalar | None
    all: bool
    node: MappingNode


class Resource(NamedTuple):
    """An entry of `resources` or `shared`: one manifest, or files of them."""

    manifest: MappingNode | None
    file: Scalar | None
    expressions: bool
    when: Scalar | None
    for_each: Node | None
    node: MappingNode
    place: Place


class External(NamedTuple):
    """An implementation that is a host outside of the cluster, with one `port` for all of the Type's or one for each.

    `place` is where it is named.
    """

    name: str
    host: Scalar
    port: Scalar | None
    ports: Mapping[str, Scalar]
    tls: bool
    node: MappingNode
    place: Place

    def number(self, port: str) -> Scalar | None:
        """The host's port for a port of the Type; None where the host does not offer it."""
        return self.ports.get(port) if self.port is None else self.port


class FunctionCall(NamedTuple):
    """A serverless function: whose (`aws`, `azure`, `gcp`, `knative`), and its fields there."""

    vendor: str
    node: MappingNode


class Serverless(NamedTuple):
    """An implementation that is a function: it has no objects in the cluster, and no port that callers could name."""

    name: str
    call: FunctionCall
    node: MappingNode
    place: Place

    @property
    def ports(self) -> Mapping[str, Scalar]:
        return {}

    def number(self, port: str) -> None:
        """No port of the Type is offered."""


class Declared(NamedTuple):
    """What an author says of the fields of a custom kind: that `path` leads to the name of a `to`.

    Without a path: the kind names nothing.
    """

    kind: str
    path: str
    to: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class IslandType:
    """The template of an island, and its interface."""

    metadata: Metadata
    params: Mapping[str, Param]
    let: Mapping[str, Scalar]
    ports: Mapping[str, TypePort]
    units: Mapping[str, Unit]
    resources: tuple[Resource, ...]
    sets: Mapping[str, IslandSet]
    rewrite_hosts: frozenset[str] | None  # None: it is not said
    references: tuple[Declared, ...]
    implementations: Mapping[str, External | Serverless]
    external: Mapping[str, tuple[Scalar, ...]]
    uses: tuple[Use, ...]
    node: MappingNode
    kinds: dict[str, Kind] = field(default_factory=dict, compare=False)  # of `let`, once they are known

    @property
    def name(self) -> str:
        return self.metadata.name

    def port(self, name: str) -> TypePort | None:
        """The port of a name; the only one needs none."""
        if name:
            return self.ports.get(name)
        return next(iter(self.ports.values())) if len(self.ports) == 1 else None


class Override(NamedTuple):
    """Values for the islands whose keys match one of the globs."""

    globs: tuple[Scalar, ...]
    params: MappingNode


class Patch(NamedTuple):
    """A change of the objects that a target matches: a strategic merge (a map) or a JSON patch (a list)."""

    kind: str
    name: str
    group: str
    labels: str
    patch: Node
    node: MappingNode


class Wave(NamedTuple):
    """Islands that are rolled out together: those of the globs, so many percent of all, or the rest of them."""

    globs: tuple[Scalar, ...]
    percent: int
    rest: bool
    node: MappingNode


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class IslandSet:
    """The islands of one Type: by `islands` (keys), by `replicas` and `start`, or by `matrix` and `exclude`.

    Of a Set inside an island, `count` and `keys` are the expressions that its islands follow from, where they do.
    """

    metadata: Metadata
    type: Scalar
    islands: MappingNode | None
    replicas: int | None
    count: Scalar | None
    keys: Scalar | None
    start: int
    matrix: MappingNode | None
    exclude: tuple[MappingNode, ...]
    params: MappingNode | None
    overrides: tuple[Override, ...]
    patches: tuple[Patch, ...]
    scope: Literal["prefix", "namespace"]
    namespaces: MappingNode | None
    shared: tuple[Resource, ...]
    form: Form
    workload: Literal["StatefulSet", "AdvancedStatefulSet"]
    reserved: frozenset[int]
    stateful_set: MappingNode | None
    drained: Node | None
    isolation: Literal["open", "strict"]
    egress: Literal["open", "deny"]
    allow: MappingNode | None
    disruption: MappingNode | None
    placement: MappingNode | None
    waves: tuple[Wave, ...]
    removed: MappingNode | None
    node: MappingNode

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def namespace(self) -> str:
        return self.metadata.namespace

    @property
    def by_count(self) -> bool:
        """Whether islands are counted, and so have ordinals."""
        return self.replicas is not None or self.count is not None


PROVIDERS = ("gloo", "istio", "gateway-api")
DESTINATIONS = ("island", "spread", "partition", "service", "host", "function")
"""The words of which a destination has one."""


class ValueTest(NamedTuple):
    """A header or query parameter to compare. `value` is None for `present` and `absent`."""

    name: str
    op: Literal["exact", "regex", "present", "absent"]
    value: Scalar | None
    place: Place


class Match(NamedTuple):
    """Conditions that must all hold. `path` is (how it is compared, the path)."""

    path: tuple[str, Scalar] | None
    headers: tuple[ValueTest, ...]
    query: tuple[ValueTest, ...]
    methods: tuple[str, ...]
    place: Place


class Destination(NamedTuple):
    """One entry of `to`: `kind` is island, spread, partition, service, host or function, `target` what it names.

    A function is not named but written: its `target` is None, its `function` is not.
    """

    kind: str
    target: Scalar | None
    function: FunctionCall | None
    port: Scalar | None
    tls: bool
    weight: int
    node: MappingNode
    place: Place


class Route(NamedTuple):
    """One route as it is written."""

    name: str
    each: Scalar | None
    matches: tuple[Match, ...]
    to: tuple[Destination, ...]
    weighted: bool
    port: Scalar | None
    redirect: MappingNode | None
    respond: Node | None
    rewrite: MappingNode | None
    timeout: Scalar | None
    retries: MappingNode | None
    headers: MappingNode | None
    cors: MappingNode | None
    mirror: Destination | None
    fault: MappingNode | None
    node: MappingNode
    place: Place


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Routing:
    """A virtual host."""

    metadata: Metadata
    provider: str
    settings: Mapping[str, Any]
    gateway: MappingNode | None
    params: Mapping[str, Param]
    each: Scalar | None
    hosts: tuple[Scalar, ...]
    tls: MappingNode | None
    delegation: Literal["none", "set", "island"]
    routes: tuple[Route, ...]
    tests: tuple[MappingNode, ...]
    node: MappingNode

    @property
    def name(self) -> str:
        return self.metadata.name


class KeySource(NamedTuple):
    """Where a request has its key: a header or query parameter of a name, or the label or segment of a number."""

    kind: Literal["header", "query", "hostLabel", "pathSegment"]
    name: str
    number: int
    place: Place


class Digits(NamedTuple):
    """Hex digits of a key (`first` or `last`, `width` of them), and the islands that they belong to."""

    which: Literal["first", "last"]
    width: int
    table: MappingNode
    node: MappingNode


class Buckets(NamedTuple):
    """Buckets by number, from 0 to `number` - 1, and their islands. Without a source the key is a bucket's number."""

    source: KeySource | None
    number: int
    table: MappingNode
    node: MappingNode


class Move(NamedTuple):
    """Keys, hex digits or buckets on their way from an island to another."""

    keys: tuple[Scalar, ...]
    hex: Scalar | None
    buckets: Scalar | None
    origin: Scalar
    target: Scalar
    phase: Literal["mirror", "cutover"]
    node: MappingNode


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Partition:
    """A table from a request's key to the one island that serves it."""

    metadata: Metadata
    set: Scalar
    key: KeySource | None
    pins: MappingNode | None
    keys: MappingNode | None
    hex: Digits | None
    buckets: Buckets | None
    moves: tuple[Move, ...]
    otherwise: MappingNode | None
    node: MappingNode

    @property
    def name(self) -> str:
        return self.metadata.name


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Project:
    """All documents of a build.

    `type_of` is the Type that a Set names, of Sets inside Types too; a Set whose Type is not known is not in it.
    """

    types: tuple[IslandType, ...]
    sets: tuple[IslandSet, ...]
    routings: tuple[Routing, ...]
    partitions: tuple[Partition, ...]
    type_of: Mapping[IslandSet, IslandType]
