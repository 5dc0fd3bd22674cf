"""The neutral routes of a Routing: what a request must be like and where it goes, whatever the provider.

A rule may stand for one route of each island of a Set (`over`). Islands of a Set may differ in what answers for them:
an island's `case` is its state and its implementation (`active/`, `drained/`, `active/lambda`); what a rule says holds
for the islands of every case that it does not name apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from replicator.diagnostics import Place
from replicator.routing.shares import Held, Segment
from replicator.tree import Hole, Leaf, Source, Text

if TYPE_CHECKING:
    from replicator.expander.islands import Island
    from replicator.routing.partitions import Line, Ownership


class Test(NamedTuple):
    """A header (by its name in lower case) or query parameter; `value` is empty unless exact or regex.

    Of a regular expression of ours, `held` says which values it matches.
    """

    name: str
    op: Literal["exact", "regex", "present", "absent"]
    value: Text
    held: Held | None = None


class Condition(NamedTuple):
    """Conditions that must all hold. A path prefix is of whole segments, without a `/` at its end unless it is `/`.

    Of a path's regular expression of ours, `segment` says which paths it matches. Of conditions that have one word as
    `apart` no two are fulfilled by one request.
    """

    path_op: Literal["exact", "prefix", "regex"]
    path: Text
    headers: tuple[Test, ...]
    query: tuple[Test, ...]
    methods: tuple[str, ...]
    segment: Segment | None = None
    apart: str = ""


class SecretName(NamedTuple):
    """A Secret that is there already."""

    name: str
    namespace: str


class Aws(NamedTuple):
    """A Lambda function. `url` is the host of its Function URL, for providers that cannot invoke it; empty without."""

    region: Text
    function: Text
    qualifier: Text
    account: str
    role: str
    secret: SecretName | None
    asynchronous: bool
    url: Text


class Azure(NamedTuple):
    """A function of an Azure Function App; `level` is its authorisation level, as Azure spells it."""

    app: Text
    function: Text
    level: Literal["Anonymous", "Function", "Admin"]
    secret: SecretName | None


class Gcp(NamedTuple):
    """A Cloud Run service or Cloud Function; `audience` of the identity token that it asks for, empty for none."""

    audience: Text


class Knative(NamedTuple):
    """A Knative Service, reached through the Service of the cluster-local ingress."""


Function = Aws | Azure | Gcp | Knative


class Backend(NamedTuple):
    """Who answers: a port of a Kubernetes Service, a `host` outside of the cluster, or a function.

    `name` is unique in the Routing: of the object that a provider may need to reach it. `authority` is the Host that
    it must see; empty where it takes any. A function has the `host` (or, Knative, the `service`) that it is reached by;
    an Aws one has none but its `url`. With `over` there is one for each island of the Set. `of` tells which Set and
    port it belongs to, `cases` which of the Set's islands are reached alike (empty for all), `island` the one island,
    `unit` the workload.
    """

    name: Text
    place: Place
    service: Text = ()
    namespace: Text = ()
    port: Leaf = Leaf(None)
    http2: bool = False
    host: Text = ()
    tls: bool = False
    authority: Text = ()
    function: Function | None = None
    over: str = ""
    cases: frozenset[str] = frozenset()
    of: str = ""
    island: str = ""
    unit: str = ""


class Target(NamedTuple):
    """A backend and its share; with `over` one for each island of that Set.

    `cases` are those for which another backend stands, or none: islands that get no requests.
    """

    backend: Backend
    weight: int | Hole
    over: str = ""
    cases: tuple[tuple[str, Backend | None], ...] = ()

    def backends(self) -> Iterator[Backend]:
        """The backend, and those that stand in its place."""
        yield self.backend
        yield from (backend for _, backend in self.cases if backend is not None)


class HeaderChange(NamedTuple):
    """What happens to the headers of a message: `add` appends a value, `put` replaces what is there (DSL: `set`)."""

    add: tuple[tuple[str, Text], ...] = ()
    put: tuple[tuple[str, Text], ...] = ()
    remove: tuple[str, ...] = ()


class Cors(NamedTuple):
    """Cross-origin requests that are allowed (Fetch standard). Origins are exact, or `*`; `max_age` is in seconds."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    expose: tuple[str, ...]
    max_age: int | None
    credentials: bool


class Mirror(NamedTuple):
    """A copy of a share of the requests goes to a backend too; its answer is dropped. `percent` is of 100."""

    backend: Backend
    percent: float


class Fault(NamedTuple):
    """Requests that are answered by `status`, or wait for `delay`, on purpose; percents are of 100, 0 is never."""

    status: int = 0
    abort_percent: float = 0
    delay: str = ""
    delay_percent: float = 0


class Forward(NamedTuple):
    """Requests go to one of the targets, by weight. `host` is the Host that they all see, where the author says so."""

    targets: tuple[Target, ...]
    timeout: str
    retries: Mapping[str, Any] | None = None
    host: Text | None = None
    request: HeaderChange = HeaderChange()
    response: HeaderChange = HeaderChange()
    cors: Cors | None = None
    mirror: Mirror | None = None
    fault: Fault | None = None


class Redirect(NamedTuple):
    """The answer is a redirect."""

    scheme: str
    host: str
    port: int
    path: str
    prefix: str
    status: int
    strip_query: bool


class Respond(NamedTuple):
    """The answer is fixed."""

    status: int
    body: Text


Action = Forward | Redirect | Respond

_NOWHERE = Place("", 0, 0, 0, 0)


class Keyed(NamedTuple):
    """What a rule has of a Partition: the stage and the lines whose keys it is for; none of all other keys' rule."""

    ownership: Ownership
    stage: str = ""
    lines: Sequence[Line] = ()


class Rule(NamedTuple):
    """One route; with `over` one for each island of that Set. `rewrite` takes the place of the matched path prefix.

    `route` is its name as written; `name` that of the one route, with the island's. `cases` are those of islands for
    which another action stands: of the islands of `over`, or of those of the whole table. `fields` are the places of
    what is written of it, and `matches` those of its conditions. A route to a Partition is as many rules as islands
    serve its keys: `part` tells them apart, `keyed` says which keys they are for.
    """

    name: Text
    conditions: tuple[Condition, ...]
    action: Action
    rewrite: Text | None
    over: str
    place: Place
    route: str = ""
    cases: tuple[tuple[str, Action], ...] = ()
    matches: tuple[Place, ...] = ()
    fields: Mapping[str, Place] = {}
    part: str = ""
    keyed: Keyed | None = None

    def at(self, field: str) -> Place:
        """Where a field of the route is written, or the route."""
        return self.fields.get(field, self.place)

    def actions(self) -> Iterator[Action]:
        """The action, and those that stand in its place."""
        yield self.action
        yield from (action for _, action in self.cases)

    def action_of(self, case: str) -> Action:
        """What happens to the requests of an island of a case."""
        return next((action for of, action in self.cases if of == case), self.action)


PORTS = {"gloo": (8080, 8443), "istio": (80, 443), "gateway-api": (80, 443)}
"""Where Gateways that are written listen, without TLS and with it: for Gloo, the ports of its proxy's container."""


class Gateway(NamedTuple):
    """The Gateway that requests come through. With `create` it is written too: of this class, or with these labels.

    `port` is where it listens, `section` the name of the listener that the routes are for (Gateway API); empty for any.
    """

    name: str
    namespace: str
    place: Place
    create: bool = False
    of_class: str = ""
    selector: Mapping[str, str] = {}
    port: int = 0
    section: str = ""


class Tls(NamedTuple):
    """The certificate of the hosts; with `redirect` plain requests are answered by a redirect to https."""

    secret: SecretName
    redirect: bool
    place: Place


class Use(NamedTuple):
    """Something that not every provider can do, and where it is asked for; `features.FEATURES` knows it by its name.

    `inside` is the implementation that needs it, where it is one of an island.
    """

    feature: str
    place: Place
    detail: str = ""
    inside: Place | None = None


class Case(NamedTuple):
    """A request of a Routing's `tests`, and the answer that it must get: fields as the DSL has them."""

    name: str
    request: Mapping[str, Any]
    expect: Mapping[str, Any]
    place: Place


class Table(NamedTuple):
    """A virtual host: its hosts and its rules in order; with `over` one for each island of that Set.

    `object_name` is that of its object: the Routing's, with the island's where there is one for each. `column` is the
    provider with its edition or flavor, as the table of features has it. `islands` are those of every Set that a rule,
    a target or the table is over, in order. `spare` are backends that a Partition names and no request reaches now,
    which keep what they need to be reached: a move makes and removes no objects.
    """

    name: str
    namespace: str
    labels: Mapping[str, str]
    provider: str
    column: str
    settings: Mapping[str, Any]
    hosts: tuple[Text, ...]
    rules: tuple[Rule, ...]
    place: Place
    places: Mapping[Source, Place]
    over: str = ""
    gateway: Gateway | None = None
    tls: Tls | None = None
    delegation: Literal["none", "set", "island"] = "none"
    islands: Mapping[str, Sequence[Island]] = {}
    object_name: Text = ()
    uses: tuple[Use, ...] = ()
    tests: tuple[Case, ...] = ()
    spare: tuple[Backend, ...] = ()

    def cases(self, over: str) -> list[str]:
        """The cases of the islands of a Set, in order of their names."""
        islands = self.islands.get(over, ())
        return islands[0].plan.cases() if islands else []

    def partitions(self) -> Iterator[Ownership]:
        """The Partitions that its routes lead to, in order of their names."""
        found = {rule.keyed.ownership.name: rule.keyed.ownership for rule in self.rules if rule.keyed is not None}
        yield from (found[name] for name in sorted(found))

    def secrets(self) -> Iterator[SecretName]:
        """The Secrets that the proxy reads: of certificates and of functions."""
        if self.tls is not None:
            yield self.tls.secret
        for backend in self.backends():
            if isinstance(backend.function, (Aws, Azure)) and backend.function.secret is not None:
                yield backend.function.secret

    def backends(self, straight: bool = False) -> Iterator[Backend]:
        """Every backend once, those of whole Sets first; one island's is left out where its whole Set is there.

        Where routes lead `straight` to Services, those are left out to which no copies of requests go.
        """
        found: dict[Any, Backend] = {}
        actions = [action for rule in self.rules for action in rule.actions() if isinstance(action, Forward)]
        for action in actions:
            asked = [backend for target in action.targets for backend in target.backends()]
            asked = [one for one in asked if not (straight and one.service)]
            if action.mirror is not None:
                asked.append(action.mirror.backend)
            for one in asked:
                found.setdefault(_identity(one), one)
        for one in self.spare:
            if not (straight and one.service):
                found.setdefault(_identity(one), one)
        whole = [backend for backend in found.values() if backend.over]
        yield from whole
        covered = {(backend.of, backend.cases) for backend in whole if backend.of}
        yield from (one for one in found.values() if not one.over and (one.of, one.cases) not in covered)


def _identity(backend: Backend) -> Any:
    """All that tells a backend from another: two of one name that differ are found out as objects of one identity."""
    return backend._replace(place=_NOWHERE, port=Leaf(backend.port.value))


def alike(cases: Sequence[str], key: Callable[[str], Any]) -> list[frozenset[str]]:
    """The cases in groups for which `key` is the same; an empty one where that is all of them."""
    groups: list[tuple[Any, list[str]]] = []
    for case in cases:
        value = key(case)
        same = next((group for known, group in groups if known == value), None)
        if same is None:
            groups.append((value, [case]))
        else:
            same.append(case)
    return [frozenset(group) for _, group in groups] if len(groups) > 1 else [frozenset()]


EVERYTHING = Condition("prefix", ("/",), (), (), ())
"""A condition that every request fulfils."""


def takes_all(condition: Condition) -> bool:
    """Whether every request fulfils a condition."""
    return condition == EVERYTHING
