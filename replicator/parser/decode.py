"""Documents that fit their schemas to the model. Nothing can fail here: the schemas came first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from replicator.diagnostics import Diagnostic
from replicator.hosts import FIELDS
from replicator.model import (
    DESTINATIONS,
    PROVIDERS,
    Buckets,
    Declared,
    Destination,
    Digits,
    External,
    FunctionCall,
    IslandSet,
    IslandType,
    KeySource,
    Match,
    Metadata,
    Move,
    Override,
    Param,
    Partition,
    Patch,
    Project,
    Resource,
    Route,
    Routing,
    Serverless,
    TypePort,
    Unit,
    UnitPort,
    Use,
    ValueTest,
    Wave,
)
from replicator.parser.parameters import read_parameter
from replicator.parser.source import Document, Node, Scalar, Sequence
from replicator.parser.source import Mapping as MappingNode

T = TypeVar("T")

# The fields of a unit that are ours; every other one is a Container's.
_UNIT_FIELDS = frozenset(
    [
        "kind",
        "init",
        "replicas",
        "schedule",
        "autoscale",
        "image",
        "ports",
        "env",
        "files",
        "storage",
        "pod",
        "spec",
        "service",
        "podMetadata",
    ]
)


def decode(documents: Iterable[Document]) -> tuple[Project, list[Diagnostic]]:
    """The model of all documents. The diagnostics are those of the schemas that Types give their parameters."""
    found: list[Diagnostic] = []
    types: list[IslandType] = []
    sets: list[IslandSet] = []
    routings: list[Routing] = []
    partitions: list[Partition] = []
    for document in documents:
        if document.kind == "IslandType":
            types.append(_island_type(document.root, found))
        elif document.kind == "IslandSet":
            sets.append(_island_set(document.root))
        elif document.kind == "Partition":
            partitions.append(_partition(document.root))
        else:
            routings.append(_routing(document.root, found))
    return Project(tuple(types), tuple(sets), tuple(routings), tuple(partitions), _types_of(types, sets)), found


def _types_of(types: Iterable[IslandType], sets: Iterable[IslandSet]) -> dict[IslandSet, IslandType]:
    """The Types that Sets name: one of their own namespace, else the only one of that name there is.

    A Set inside a Type has the Type's namespace.
    """
    named: dict[str, list[IslandType]] = {}
    for island_type in types:
        named.setdefault(island_type.name, []).append(island_type)
    users = [(one, one.namespace) for one in sets]
    users += ((one, outer.metadata.namespace) for outer in types for one in outer.sets.values())
    known = {}
    for user, namespace in users:
        every = named.get(user.type.text, [])
        own = [one for one in every if one.metadata.namespace == namespace]
        if own or len(every) == 1:
            known[user] = (own or every)[0]
    return known


def _map(node: Node | None) -> MappingNode | None:
    return node if isinstance(node, MappingNode) else None


def _scalar(node: Node | None) -> Scalar | None:
    return node if isinstance(node, Scalar) else None


def _entries(node: Node | None) -> Iterable[tuple[str, Node]]:
    return node.items.items() if isinstance(node, MappingNode) else ()


def _elements(node: Node | None) -> list[Node]:
    return node.items if isinstance(node, Sequence) else []


def _metadata(root: MappingNode) -> Metadata:
    node = cast(MappingNode, root.items["metadata"])
    data = node.data
    return Metadata(data["name"], data.get("namespace", ""), data.get("labels", {}), node.items["name"])


def _params(node: Node | None, found: list[Diagnostic]) -> dict[str, Param]:
    params = {}
    for name, schema in _entries(node):
        param, problems = read_parameter(name, cast(MappingNode, schema), cast(MappingNode, node).key_place(name))
        found += problems
        params[name] = param
    return params


def _island_type(root: MappingNode, found: list[Diagnostic]) -> IslandType:
    spec = cast(MappingNode, root.items["spec"])
    ports, units = _map(spec.get("ports")), _map(spec.get("units"))
    return IslandType(
        metadata=_metadata(root),
        params=_params(spec.get("params"), found),
        let={name: cast(Scalar, node) for name, node in _entries(spec.get("let"))},
        ports={name: _type_port(name, cast(MappingNode, ports), node) for name, node in _entries(ports)},
        units={name: _unit(name, cast(MappingNode, units), cast(MappingNode, node)) for name, node in _entries(units)},
        sets={
            name: _inner_set(cast(MappingNode, spec.items["sets"]).key(name), cast(MappingNode, node))
            for name, node in _entries(spec.get("sets"))
        },
        resources=tuple(_resource(cast(MappingNode, node)) for node in _elements(spec.get("resources"))),
        rewrite_hosts=_rewrite_hosts(spec.data.get("rewriteHosts")),
        references=tuple(
            Declared(node.data["kind"], node.data.get("path", ""), node.data.get("to", ""))
            for node in _elements(spec.get("references"))
        ),
        implementations={
            name: _implementation(name, cast(MappingNode, node), spec)
            for name, node in _entries(spec.get("implementations"))
        },
        external={
            kind: tuple(cast(Scalar, item) for item in _elements(node)) for kind, node in _entries(spec.get("external"))
        },
        uses=tuple(_use(cast(MappingNode, node)) for node in _elements(spec.get("uses"))),
        node=root,
    )


def _use(node: MappingNode) -> Use:
    fields = node.items
    port, key = _scalar(fields.get("port")), _scalar(fields.get("key"))
    return Use(cast(Scalar, fields["set"]), port, key, bool(node.data.get("all", False)), node)


def _rewrite_hosts(given: Any) -> frozenset[str] | None:
    if given == "all":
        return frozenset(FIELDS)
    return None if given is None else frozenset() if given == "none" else frozenset(given)


def _type_port(name: str, ports: MappingNode, node: Node) -> TypePort:
    fields = cast(MappingNode, node).items
    unit, service = _scalar(fields.get("unit")), _scalar(fields.get("service"))
    return TypePort(name, unit, service, cast(Scalar, fields["port"]), ports.key_place(name))


def _implementation(name: str, given: MappingNode, spec: MappingNode) -> External | Serverless:
    place = cast(MappingNode, spec.items["implementations"]).key_place(name)
    kind, only = next(iter(given.items.items()))
    node = cast(MappingNode, only)
    if kind == "function":
        return Serverless(name, function_call(node), node, place)
    return External(
        name=name,
        host=cast(Scalar, node.items["host"]),
        port=_scalar(node.get("port")),
        ports={port: cast(Scalar, number) for port, number in _entries(node.get("ports"))},
        tls=node.data.get("tls", False),
        node=node,
        place=place,
    )


def _resource(node: MappingNode) -> Resource:
    return Resource(
        manifest=_map(node.get("manifest")),
        file=_scalar(node.get("file")),
        expressions=node.data.get("expressions", False),
        when=_scalar(node.get("when")),
        for_each=node.get("forEach"),
        node=node,
        place=node.written[0].place if node.written else node.place,
    )


def _unit(name: str, units: MappingNode, node: MappingNode) -> Unit:
    data = node.data
    ports = _map(node.get("ports"))
    return Unit(
        name=name,
        kind=data.get("kind", "Deployment"),
        init=data.get("init", False),
        image=cast(Scalar, node.items["image"]),
        replicas=_scalar(node.get("replicas")),
        schedule=_scalar(node.get("schedule")),
        autoscale=_map(node.get("autoscale")),
        ports={port: _unit_port(port, cast(MappingNode, ports), item) for port, item in _entries(ports)},
        env=_map(node.get("env")),
        files=_map(node.get("files")),
        storage=_map(node.get("storage")),
        pod=_map(node.get("pod")),
        spec=_map(node.get("spec")),
        service=_map(node.get("service")),
        pod_labels=_map(node.get("podMetadata", "labels")),
        pod_annotations=_map(node.get("podMetadata", "annotations")),
        fields={field: item for field, item in node.items.items() if field not in _UNIT_FIELDS},
        node=node,
        place=units.key_place(name),
    )


def _unit_port(name: str, ports: MappingNode, node: Node) -> UnitPort:
    place = ports.key_place(name)
    if isinstance(node, Scalar):
        return UnitPort(name, node, node, "TCP", None, place)
    fields = cast(MappingNode, node)
    container = cast(Scalar, fields.items["containerPort"])
    service = cast(Scalar, fields.items.get("servicePort", container))
    return UnitPort(name, container, service, fields.data.get("protocol", "TCP"), fields.get("appProtocol"), place)


def _inner_set(name: Scalar, node: MappingNode) -> IslandSet:
    """A Set inside an island: it has no metadata of its own."""
    return _set(Metadata(name.text, "", {}, name), node, node)


def _island_set(root: MappingNode) -> IslandSet:
    return _set(_metadata(root), root, cast(MappingNode, root.items["spec"]))


def _set(metadata: Metadata, root: MappingNode, spec: MappingNode) -> IslandSet:
    data = spec.data
    replicas = data.get("replicas")
    return IslandSet(
        metadata=metadata,
        type=cast(Scalar, spec.items["type"]),
        islands=_map(spec.get("islands")),
        replicas=replicas if isinstance(replicas, int) else None,
        count=_scalar(spec.get("replicas")) if isinstance(replicas, str) else None,
        keys=_scalar(spec.get("islands")),
        start=data.get("start", 0),
        matrix=_map(spec.get("matrix")),
        exclude=tuple(cast(MappingNode, node) for node in _elements(spec.get("exclude"))),
        params=_map(spec.get("params")),
        overrides=tuple(_override(cast(MappingNode, node)) for node in _elements(spec.get("overrides"))),
        patches=patches_of(spec.get("patches")),
        scope=data.get("scope", "prefix"),
        namespaces=_map(spec.get("namespaces")),
        shared=tuple(_resource(cast(MappingNode, node)) for node in _elements(spec.get("shared"))),
        form=data.get("form", "copies"),
        workload=data.get("workload", "StatefulSet"),
        reserved=frozenset(data.get("reserved", ())),
        drained=spec.get("drained"),
        stateful_set=_map(spec.get("statefulSet")),
        isolation=data.get("isolation", "open"),
        egress=data.get("egress", "open"),
        allow=_map(spec.get("allow")),
        disruption=_map(spec.get("disruption")),
        placement=_map(spec.get("placement")),
        waves=tuple(_wave(cast(MappingNode, node)) for node in _elements(spec.get("waves"))),
        removed=_map(spec.get("removed")),
        node=root,
    )


def _wave(node: MappingNode) -> Wave:
    globs = tuple(cast(Scalar, item) for item in _elements(node.items.get("islands")))
    return Wave(globs, node.data.get("percent", 0), node.data.get("rest", False), node)


def patches_of(node: Node | None) -> tuple[Patch, ...]:
    """The entries of a `patches`, of a Set or of an island."""
    return tuple(_patch(cast(MappingNode, item)) for item in _elements(node))


def _patch(node: MappingNode) -> Patch:
    target = node.data["target"]
    fields = [target.get(field, "") for field in ("kind", "name", "group", "labelSelector")]
    return Patch(fields[0], fields[1], fields[2], fields[3], node.items["patch"], node)


def _override(node: MappingNode) -> Override:
    globs = tuple(cast(Scalar, item) for item in _elements(node.items["islands"]))
    return Override(globs, cast(MappingNode, node.items["params"]))


def _routing(root: MappingNode, found: list[Diagnostic]) -> Routing:
    spec = cast(MappingNode, root.items["spec"])
    provider = spec.data.get("provider", "gloo")
    return Routing(
        metadata=_metadata(root),
        provider=provider,
        settings={name: spec.data.get(name, {}) for name in PROVIDERS},
        gateway=_map(spec.get("gateway")),
        params=_params(spec.get("params"), found),
        each=_scalar(spec.get("each")),
        hosts=tuple(cast(Scalar, node) for node in _elements(spec.items["hosts"])),
        tls=_map(spec.get("tls")),
        delegation=spec.data.get("delegation", "none"),
        routes=tuple(_route(cast(MappingNode, node)) for node in _elements(spec.items["routes"])),
        tests=tuple(cast(MappingNode, node) for node in _elements(spec.get("tests"))),
        node=root,
    )


def _partition(root: MappingNode) -> Partition:
    spec = cast(MappingNode, root.items["spec"])
    digits, buckets = _map(spec.get("hex")), _map(spec.get("buckets"))
    return Partition(
        metadata=_metadata(root),
        set=cast(Scalar, spec.items["set"]),
        key=_key_source(_map(spec.get("key"))),
        pins=_map(spec.get("pins")),
        keys=_map(spec.get("keys")),
        hex=Digits(digits.data["digits"], digits.data.get("count", 1), cast(MappingNode, digits.items["table"]), digits)
        if digits is not None
        else None,
        buckets=Buckets(_key_source(buckets), buckets.data["count"], cast(MappingNode, buckets.items["table"]), buckets)
        if buckets is not None
        else None,
        moves=tuple(_move(cast(MappingNode, node)) for node in _elements(spec.get("moves"))),
        otherwise=_map(spec.get("otherwise")),
        node=root,
    )


def _key_source(node: MappingNode | None) -> KeySource | None:
    for kind in ("header", "query", "hostLabel", "pathSegment"):
        given = node.items.get(kind) if node is not None else None
        if given is not None:
            name = given.data if isinstance(given.data, str) else ""
            return KeySource(kind, name, 0 if name else given.data, given.place)
    return None


def _move(node: MappingNode) -> Move:
    keys = tuple(cast(Scalar, item) for item in _elements(node.items.get("keys")))
    origin, target = cast(Scalar, node.items["from"]), cast(Scalar, node.items["to"])
    return Move(keys, _scalar(node.get("hex")), _scalar(node.get("buckets")), origin, target, node.data["phase"], node)


def _one_or_many(node: Node | None, make: Callable[[MappingNode], T]) -> tuple[T, ...]:
    if node is None:
        return ()
    nodes = node.items if isinstance(node, Sequence) else [node]
    return tuple(make(cast(MappingNode, item)) for item in nodes)


def _route(node: MappingNode) -> Route:
    return Route(
        name=node.data.get("name", ""),
        each=_scalar(node.get("each")),
        matches=_one_or_many(node.get("match"), _match),
        to=_one_or_many(node.get("to"), _destination),
        weighted=isinstance(node.get("to"), Sequence),
        port=_scalar(node.get("port")),
        redirect=_map(node.get("redirect")),
        respond=node.get("respond"),
        rewrite=_map(node.get("rewrite")),
        timeout=_scalar(node.get("timeout")),
        retries=_map(node.get("retries")),
        headers=_map(node.get("headers")),
        cors=_map(node.get("cors")),
        mirror=_destination(mirror) if (mirror := _map(node.get("mirror"))) is not None else None,
        fault=_map(node.get("fault")),
        node=node,
        place=node.items["name"].place
        if "name" in node.items
        else node.written[0].place
        if node.written
        else node.place,
    )


def _match(node: MappingNode) -> Match:
    path = _map(node.get("path"))
    return Match(
        path=next(((op, cast(Scalar, value)) for op, value in path.items.items()), None) if path else None,
        headers=tuple(_value_tests(node.get("headers"))),
        query=tuple(_value_tests(node.get("query"))),
        methods=tuple(node.data.get("methods", ())),
        place=node.place,
    )


def _value_tests(node: Node | None) -> Iterable[ValueTest]:
    for name, value in _entries(node):
        place = cast(MappingNode, node).key_place(name)
        if isinstance(value, Scalar):
            yield ValueTest(name, "exact", value, place)
            continue
        op, operand = next(iter(cast(MappingNode, value).items.items()))
        given = operand if op in ("exact", "regex") else None
        yield ValueTest(name, cast(Any, op), _scalar(given), place)


def _destination(node: MappingNode) -> Destination:
    kind = next((word for word in DESTINATIONS if word in node.items), "")
    target = node.items.get(kind)
    call = function_call(target) if isinstance(target, MappingNode) else None
    named = target if isinstance(target, Scalar) else None
    weight, tls = node.data.get("weight", 1), node.data.get("tls", True)
    return Destination(kind, named, call, _scalar(node.get("port")), tls, weight, node, node.place)


def function_call(node: MappingNode) -> FunctionCall:
    """A function as it is written: its one field says whose it is."""
    vendor, fields = next(iter(node.items.items()))
    return FunctionCall(vendor, cast(MappingNode, fields))
