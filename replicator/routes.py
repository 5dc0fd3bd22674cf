"""Routings to neutral tables of rules: what a request must be like and where it goes, whatever the provider."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Literal, NamedTuple

from replicator import names
from replicator.binder import BoundSet
from replicator.context import ISLAND_NAME, Context, not_offered
from replicator.diagnostics import Diagnostic, Place, Related, nearest
from replicator.durations import nanoseconds
from replicator.expander.islands import Island, Plan, SetPlan, island_place
from replicator.expression.template import Expr, Path, parse
from replicator.expression.values import Failure, kind_of, text_of
from replicator.model import Destination, Match, Route, Routing, TypePort, ValueTest
from replicator.parser.patterns import re2_problem
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Scalar
from replicator.scope import ISLAND
from replicator.sources import WEIGHT, Atom, Computed, Ruled, assemble, reads
from replicator.tree import Hole, Leaf, Source, Text, text
from replicator.yaml_text import SAFE

DEFAULT_TIMEOUT = "15s"
MAX_WEIGHTS = 2**32 - 1  # of one weighted cluster in Envoy, together
MAX_DURATION = 315_576_000_000 * 10**9  # nanoseconds of protobuf's Duration: 10,000 years
MAX_BODY = 4096  # bytes of a fixed response (Envoy: max_direct_response_body_size_bytes)
# RFC 3986 `pchar` and `/`; `%` must begin an escape.
_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
_HOST = re.compile(rf"(?:\*|(?:\*\.)?{names.SUBDOMAIN.pattern})(?::[0-9]{{1,5}})?")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 `token`


class Test(NamedTuple):
    """A header (by its name in lower case) or query parameter; `value` is empty unless exact or regex."""

    name: str
    op: Literal["exact", "regex", "present", "absent"]
    value: Text


class Condition(NamedTuple):
    """Conditions that must all hold. A path prefix is of whole segments, without a `/` at its end unless it is `/`."""

    path_op: Literal["exact", "prefix", "regex"]
    path: Text
    headers: tuple[Test, ...]
    query: tuple[Test, ...]
    methods: tuple[str, ...]


class Backend(NamedTuple):
    """A port of a Kubernetes Service, or of a `host` outside of the cluster. `name` is unique in the Routing.

    With `over` there is one for each island of a Set, those `outside` of the cluster apart. That of one island tells by
    `of` which Set and port it belongs to. `named` says that a host may be among them, which is to see its own name.
    """

    name: Text
    service: Text
    namespace: Text
    port: Leaf
    over: str = ""
    of: str = ""
    http2: bool = False
    host: Text = ()
    tls: bool = False
    outside: tuple[Backend, ...] = ()
    named: bool = False


class Target(NamedTuple):
    """A backend and its share; with `over` one for each island of that Set."""

    backend: Backend
    weight: int | Hole
    over: str = ""


class Forward(NamedTuple):
    """Requests go to one of the targets, by weight."""

    targets: tuple[Target, ...]
    timeout: str
    retries: Mapping[str, Any] | None
    host: Text | None


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


class Rule(NamedTuple):
    """One route; with `over` one for each island of that Set. `rewrite` takes the place of the matched path prefix."""

    name: Text
    conditions: tuple[Condition, ...]
    action: Forward | Redirect | Respond
    rewrite: Text | None
    over: str
    place: Place


class Table(NamedTuple):
    """A virtual host: its hosts and its rules in order."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    provider: str
    settings: Mapping[str, Any]
    hosts: tuple[str, ...]
    rules: tuple[Rule, ...]
    place: Place
    places: Mapping[Source, Place]

    def backends(self) -> Iterator[Backend]:
        """Every backend once, those of whole Sets first; one island's is left out where its whole Set is there."""
        found: dict[tuple[Text, str, Text, Text], Backend] = {}
        for rule in self.rules:
            for target in rule.action.targets if isinstance(rule.action, Forward) else ():
                for one in (target.backend, *target.backend.outside):
                    found.setdefault((one.name, one.over, one.service, one.namespace), one)
        whole = [backend for backend in found.values() if backend.over]
        yield from whole
        covered = {backend.of for backend in whole}
        yield from (one for one in found.values() if not one.over and (one.host or one.of not in covered))


def compile_routing(
    routing: Routing, plan: Plan, bound: Mapping[str, BoundSet]
) -> tuple[Table | None, list[Diagnostic]]:
    """The table of a Routing; None where something in it is wrong."""
    compiler = _Compiler(routing, plan, bound)
    table = compiler.table()
    return (table if not compiler.found else None), compiler.found


def unique_hosts(tables: Iterable[Table]) -> Iterator[Diagnostic]:
    """One Routing per host."""
    first: dict[str, Table] = {}
    for table in tables:
        for host in table.hosts:
            earlier = first.setdefault(host.lower(), table)
            if earlier is not table:
                related = (Related("it is there too", earlier.place),)
                yield Diagnostic("R0707", f"the host `{host}` is in two Routings", table.place, related=related)


class _Compiler:
    def __init__(self, routing: Routing, plan: Plan, bound: Mapping[str, BoundSet]) -> None:
        self.routing = routing
        self.plan = plan
        self.params = plan.routing_params[routing.name]
        self.contexts = {name: Context(one.plan, {}) for name, one in bound.items()}
        self.found: list[Diagnostic] = []
        self.places: dict[Source, Place] = {}

    def say(self, code: str, message: str, place: Place, hint: str = "", *related: Related) -> None:
        self.found.append(Diagnostic(code, message, place, hint=hint, related=related))

    def table(self) -> Table:
        routing = self.routing
        metadata = routing.metadata
        if not metadata.namespace:
            hint = "metadata: {namespace: …}: routes name Services and hosts across namespaces"
            self.say("R0704", "a Routing needs a namespace", metadata.name_node.place, hint)
        upstreams = routing.node.get("spec", "gloo", "namespace")
        if upstreams is not None and not names.is_label(upstreams.data):
            self.say("R0304", f"`{upstreams.data}` is no namespace's name", upstreams.place)
        rules = [rule for route in routing.routes if (rule := self.rule(route)) is not None]
        self.reachable(rules)
        return Table(
            name=routing.name,
            namespace=metadata.namespace,
            labels=metadata.labels,
            provider=routing.provider,
            settings=routing.settings[routing.provider],
            hosts=self.hosts(),
            rules=tuple(rules),
            place=metadata.name_node.place,
            places=self.places,
        )

    def reachable(self, rules: Sequence[Rule]) -> None:
        """What follows a rule that takes every request gets none."""
        first: dict[Condition, Rule] = {}
        for rule in rules:
            same = [first.get(condition) for condition in rule.conditions]
            if rule.conditions and all(one is not None for one in same) and same[0] is not None:
                related = Related("it has the same match", same[0].place)
                self.say("R0702", "no request reaches this route", rule.place, "give it another match", related)
            for condition in rule.conditions if not rule.over else ():
                first.setdefault(condition, rule)
        for number, rule in enumerate(rules):
            if any(_takes_all(condition) for condition in rule.conditions):
                for hidden in rules[number + 1 :]:
                    related = Related("it matches every request", rule.place)
                    self.say("R0702", "no request reaches this route", hidden.place, "put it before", related)
                return

    def hosts(self) -> tuple[str, ...]:
        hosts: dict[str, str] = {}
        for scalar in self.routing.hosts:
            host = self.host(scalar)
            if host.lower() in hosts:
                self.say("R0707", f"the host `{host}` is written twice", scalar.place, "remove one of them")
            hosts[host.lower()] = host
        return tuple(hosts.values())

    def host(self, scalar: Scalar) -> str:
        host = self.static(scalar)
        if not _is_host(host):
            self.say("R0706", f"`{host}` is no host", scalar.place, "shop.example.com, or *.example.com")
        return host

    # Texts

    def static(self, scalar: Scalar) -> str:
        """A text that does not depend on an island."""
        bound = self.text(scalar)
        if any(isinstance(part, Hole) for part in bound):
            message = "this cannot differ between islands"
            self.say("R0708", message, scalar.place, "without `to`, an each-route goes to its own island")
        return "".join(part for part in bound if isinstance(part, str))

    def text(self, scalar: Scalar) -> Text:
        """A text over `params`, whose values are known, and over `island`, which stays a hole."""
        if "{{" not in scalar.text:
            return text(scalar.text)
        parts: list[str | Hole] = []
        for part in parse(scalar.text).parts:
            try:
                bound = part if isinstance(part, str) else self.expression(part)
                parts.append(bound)
                if isinstance(bound, Hole):
                    sources = (bound.source, *(Ruled((bound,), rule) for rule in (names.PATH_PART, names.NOT_EMPTY)))
                    self.places.update(dict.fromkeys(sources, scalar.place))
            except Failure as failure:
                self.found.append(failure.at(scalar.place))
        return text(*parts)

    def expression(self, expression: Expr) -> str | Hole:
        depends = frozenset(path[:2] for path in expression.reads if path[0] in ("island", "parent"))
        if not depends:
            return text_of(self.evaluate(expression, None))
        if expression.path:
            return Hole(ISLAND.get(expression.path[1], "text"), Atom(expression.path))
        return Hole("text", Computed(expression, depends, self))

    def evaluate(self, expression: Expr, scope: Any) -> Any:
        """An expression's value; `scope` is the island, or None where there is none. Raises `Failure`."""

        def value_of(path: Path) -> Any:
            if path[0] in ("island", "parent"):
                return scope.value(path)
            value: Any = self.params
            for step in path[1:]:
                if not isinstance(value, Mapping):
                    raise KeyError(step)
                value = value[step]
            return value

        if expression.path:
            try:
                return value_of(expression.path)
            except KeyError:
                raise Failure(f"`{expression.text}` has no value") from None
        assert expression.program is not None
        return expression.program.run(value_of, lambda call: None)

    # Rules

    def set_of(self, scalar: Scalar) -> SetPlan | None:
        plan = self.plan.sets.get(scalar.text)
        if plan is None:
            hint = nearest(scalar.text, self.plan.sets)
            self.say("R0701", f"there is no IslandSet `{scalar.text}`", scalar.place, hint)
        return plan

    def rule(self, route: Route) -> Rule | None:
        each = self.set_of(route.each) if route.each else None
        if route.each and each is None:
            return None
        conditions = tuple(self.condition(match) for match in route.matches)
        if not conditions:
            conditions = (Condition("prefix", ("/",), (), (), ()),)
        if each is not None and len(each.islands) > 1 and not any(_tells_apart(one, each) for one in conditions):
            hint = "use {{ island.key }} in its match" if each.above is None else "use {{ island.name }} in its match"
            message = "the first island of this route hides all the others: its match is the same for all"
            self.say("R0703", message, route.place, hint)
        action = self.action(route, each)
        if action is None or (each is not None and not each.islands):
            return None
        return Rule(
            name=text(f"{route.name}-", ISLAND_NAME) if each and route.name else text(route.name),
            conditions=conditions,
            action=action,
            rewrite=self.rewrite(route),
            over=each.path if each else "",
            place=route.place,
        )

    def rewrite(self, route: Route) -> Text | None:
        prefix = route.rewrite.items.get("prefix") if route.rewrite else None
        if route.redirect is not None:
            prefix = route.redirect.items.get("prefix")
        if not isinstance(prefix, Scalar):
            return None
        for match in route.matches:
            if match.path is not None and match.path[0] == "regex":
                message = "a regular expression has no prefix that could be rewritten"
                self.say("R0708", message, prefix.place, "match a `prefix` or an `exact` path")
        return self.path(prefix, "prefix")

    def condition(self, match: Match) -> Condition:
        op: Any = "prefix"
        path: Text = ("/",)
        if match.path is not None:
            op, scalar = match.path
            path = self.regex(scalar) if op == "regex" else self.path(scalar, op)
        headers = tuple(self.test(test, "header") for test in match.headers)
        for number, one in enumerate(headers):
            if any(one.name == other.name for other in headers[:number]):
                message = f"the header `{one.name}` is written twice: names are the same in upper and lower case"
                self.say("R0706", message, match.headers[number].place)
        query = tuple(self.test(test, "query parameter") for test in match.query)
        by_name = attrgetter("name")
        return Condition(
            op, path, tuple(sorted(headers, key=by_name)), tuple(sorted(query, key=by_name)), match.methods
        )

    def test(self, test: ValueTest, what: str) -> Test:
        name = test.name.lower() if what == "header" else test.name
        if what == "header" and not _HEADER.fullmatch(name):
            self.say("R0706", f"`{test.name}` is no header's name", test.place)
        if what != "header" and test.op == "absent":
            self.say("R0708", "no proxy can match on a query parameter that is absent", test.place)
        value: Text = ()
        if not name:
            self.say("R0706", "a query parameter without a name", test.place)
        if test.value is not None:
            value = self.regex(test.value) if test.op == "regex" else self.text(test.value)
            if test.op == "regex" and not value:
                value = ("^$",)  # an empty text would test presence
            if len(value) == 1 and isinstance(value[0], Hole) and value[0].kind not in SAFE:
                value = (Hole(value[0].kind, Ruled(value, names.NOT_EMPTY)),)
        return Test(name, test.op, value)

    def regex(self, scalar: Scalar) -> Text:
        value = self.text(scalar)
        sample = "".join(part if isinstance(part, str) else "x" for part in value)
        if problem := re2_problem(sample):
            self.say("R0706", problem, scalar.place)
        return value

    def path(self, scalar: Scalar, op: str) -> Text:
        """A path as proxies take it: Gloo refuses what is not normal, and other proxies normalise before they match."""
        value = tuple(
            part if isinstance(part, str) or part.kind in SAFE else Hole(part.kind, Ruled((part,), names.PATH_PART))
            for part in self.text(scalar)
        )
        sample = "".join(part if isinstance(part, str) else "0" for part in value)
        steps = sample.split("/")
        if not sample.startswith("/"):
            self.say("R0706", f"the path `{sample}` does not begin with /", scalar.place)
        elif not _PATH.fullmatch(sample) or re.search("%2f", sample, re.IGNORECASE):
            hint = "escape other characters as %XX; %2F, ? and # cannot be matched"
            self.say("R0706", f"`{sample}` is no path of a URL", scalar.place, hint)
        elif "//" in sample or "." in steps or ".." in steps:
            self.say("R0706", f"the path `{sample}` is not normal: it has //, /./ or /../", scalar.place)
        last = value[-1] if value else ""
        if op == "prefix" and isinstance(last, str) and last.endswith("/") and sample != "/":
            return text(*value[:-1], last[:-1])
        return value

    # Actions

    def action(self, route: Route, each: SetPlan | None) -> Forward | Redirect | Respond | None:
        if route.redirect is not None:
            return self.redirect(route.redirect)
        if route.respond is not None:
            return self.respond(route)
        targets = [target for one in route.to for target in self.targets(one, route, each)]
        if not route.to and each is not None:
            targets = [Target(backend, 1) for backend in self.island_backend(each, route.port, route.place, None)]
        if not targets:
            return None
        weights = [target.weight for target in targets]
        if sum(weight for weight in weights if isinstance(weight, int)) > MAX_WEIGHTS:
            self.say("R0705", f"the weights add up to more than {MAX_WEIGHTS:,}", route.place)
        if all(weight == 0 for weight in weights):
            self.say("R0705", "all weights are zero: nobody would get a request", route.place)
        host = route.rewrite.items.get("host") if route.rewrite else None
        tries = route.retries.items.get("perTryTimeout") if route.retries else None
        for scalar in (route.timeout, tries):
            if isinstance(scalar, Scalar) and nanoseconds(scalar.text) > MAX_DURATION:
                self.say("R0706", f"`{scalar.text[:40]}` is longer than proxies can count", scalar.place)
        return Forward(
            targets=tuple(targets),
            timeout=route.timeout.text if route.timeout else DEFAULT_TIMEOUT,
            retries=route.retries.data if route.retries else None,
            host=self.one_host(host) if isinstance(host, Scalar) else None,
        )

    def one_host(self, scalar: Scalar) -> Text:
        """A host that a request is given: no wildcard."""
        value = self.text(scalar)
        sample = "".join(part if isinstance(part, str) else "x" for part in value)
        if sample.startswith("*") or not _is_host(sample):
            self.say("R0706", f"`{sample}` is no host", scalar.place, "web.example.com")
        return value

    def redirect(self, node: MappingNode) -> Redirect:
        data = node.data
        host = node.items.get("host")
        if isinstance(host, Scalar):
            self.one_host(host)
        for field in ("path", "prefix"):
            scalar = node.items.get(field)
            if isinstance(scalar, Scalar):
                self.path(scalar, "exact")
        if "path" in data and "prefix" in data:
            self.say("R0205", "a redirect to a path and to a prefix at once", node.key_place("prefix"))
        return Redirect(
            scheme=data.get("scheme", ""),
            host=data.get("host", ""),
            port=data.get("port", 0),
            path=data.get("path", ""),
            prefix=data.get("prefix", ""),
            status=data.get("status", 301),
            strip_query=data.get("stripQuery", False),
        )

    def respond(self, route: Route) -> Respond:
        node = route.respond
        if isinstance(node, MappingNode):
            body = node.items.get("body")
            if isinstance(body, Scalar) and len(body.text.encode()) > MAX_BODY:
                self.say("R0706", f"a body of more than {MAX_BODY:,} bytes", body.place, "Envoy takes no longer one")
            return Respond(node.data["status"], self.text(body) if isinstance(body, Scalar) else ())
        assert node is not None
        return Respond(node.data, ())

    def targets(self, destination: Destination, route: Route, each: SetPlan | None) -> Iterator[Target]:
        port = destination.port or route.port
        weight = destination.weight
        if destination.kind == "service":
            for backend in self.service(destination, port):
                yield Target(backend, weight)
        elif destination.kind == "spread":
            plan = self.set_of(destination.target)
            if plan is not None:
                yield from self.spread(plan, port, destination, route)
        elif destination.kind == "island":
            name = self.static(destination.target)
            island = self.plan.island(name)
            if island is None:
                self.no_island(name, destination.target)
            else:
                for backend in self.island_backend(island.plan, port, destination.place, island):
                    yield Target(backend, weight)

    def no_island(self, name: str, scalar: Scalar) -> None:
        known, _, key = name.partition("/")
        plan = self.plan.sets.get(known)
        if not key:
            hint = "an island is SET/KEY; all islands of a Set are `spread: SET`"
        elif plan is None:
            hint = nearest(known, self.plan.sets)
        else:
            hint = nearest(key, [island.key for island in plan.islands[:1000]])
        self.say("R0701", f"there is no island `{name}`", scalar.place, hint)

    def spread(self, plan: SetPlan, port: Scalar | None, destination: Destination, route: Route) -> Iterator[Target]:
        if route.weighted:
            message = "a spread has its islands' weights: it cannot stand in a weighted list"
            self.say("R0205", message, destination.place, "name the islands, or the spread alone")
            return
        shares = [island.weight for island in plan.islands]
        weights = set(shares)
        if sum(shares) > MAX_WEIGHTS:
            self.say("R0705", f"the weights add up to more than {MAX_WEIGHTS:,}", destination.place)
        if not any(weights):
            message = "the Set has no islands" if not weights else "the weights of all islands are zero"
            self.say("R0705", f"{message}: nobody would get a request", destination.place)
            return
        weight = Hole("int", WEIGHT) if len(weights) > 1 else weights.pop()
        for backend in self.island_backend(plan, port, destination.place, None):
            yield Target(backend, weight, plan.path)

    def island_backend(
        self, plan: SetPlan, port: Scalar | None, place: Place, island: Island | None
    ) -> Iterator[Backend]:
        """The backend of one island; without one, of every island of the Set."""
        declared = plan.type.ports
        if port is None and len(declared) == 1:
            name = next(iter(declared))
        elif port is not None and port.text in declared:
            name = port.text
        else:
            message = f"the Type `{plan.type.name}` has no port `{port.text}`" if port else "which port?"
            hint = (
                nearest(port.text if port else "", declared) if declared else f"`{plan.type.name}` declares no `ports`"
            )
            self.say("R0303", message, port.place if port else place, hint)
            return
        context = self.contexts[plan.path]
        if not plan.root.own_namespaces and not plan.namespace:
            related = (Related("this Set has none", plan.model.metadata.name_node.place),)
            self.say(
                "R0704",
                "a route to an island needs the namespace of its Set",
                place,
                "metadata: {namespace: …}",
                *related,
            )
            return
        if _protocol(plan, declared[name]) != "TCP":
            message = f"the port `{name}` speaks {_protocol(plan, declared[name])}; HTTP needs TCP"
            self.say("R0303", message, port.place if port else place)
            return
        service, number = context.offered(declared[name])
        namespace = context.namespace
        http2 = _speaks_http2(plan, declared[name])
        full = text(f"{self.routing.name}-", ISLAND_NAME, f"-{name}")
        of = f"{plan.path} {name}"
        if island is None:
            hosts = [one for one in plan.islands if one.implementation] if plan.individual else []
            outside = [made for one in hosts if (made := self.outside(one, declared[name], full, of, http2, place))]
            named = bool(plan.type.implementations) and not self.straight
            yield Backend(full, service, namespace, number, plan.path, of, http2, outside=tuple(outside), named=named)
            return
        if island.implementation:
            made = self.outside(island, declared[name], full, of, http2, place)
            if made is not None:
                yield made
            return
        try:
            known = number.value.source.value(island) if isinstance(number.value, Hole) else number.value
            static = [(assemble(part, island),) for part in (full, service, namespace)]
            yield Backend(static[0], static[1], static[2], Leaf(known, number.origin), "", of, http2)
        except Failure as failure:
            self.found.append(failure.at(place))

    @property
    def straight(self) -> bool:
        """Whether routes lead straight to Services, past what a provider could say of them."""
        return bool(self.routing.settings[self.routing.provider].get("destinations") == "kube")

    def outside(self, island: Island, port: TypePort, full: Text, of: str, http2: bool, place: Place) -> Backend | None:
        """The backend of an island outside of the cluster: its host, for a proxy has no endpoints of its Services."""
        if self.straight:
            related = Related("this island is a host outside of the cluster", island_place(island))
            message = f"a route straight to Services does not reach `{island.path}`, whose Services have no endpoints"
            self.say("R0708", message, place, "gloo: {destinations: upstream}", related)
            return None
        context = self.contexts[island.plan.path]
        implementation = island.plan.type.implementations[island.implementation]
        try:
            if (failure := not_offered(island, port)) is not None:
                raise failure
            _, number = context.offered(port, implementation.name)
            known = number.value.source.value(island) if isinstance(number.value, Hole) else number.value
            name = assemble(full, island)
            host = Ruled(context.text(implementation.host), names.HOST).value(island)
        except Failure as failure:
            self.found.append(failure.at(place))
            return None
        leaf_of_port = Leaf(known, number.origin)
        return Backend((name,), (), (), leaf_of_port, "", of, http2, (host,), implementation.tls, named=True)

    def service(self, destination: Destination, port: Scalar | None) -> Iterator[Backend]:
        name = self.static(destination.target)
        namespace, slash, service = name.rpartition("/")
        if not slash:
            namespace = self.routing.metadata.namespace or "x"
        if not names.is_label_1035(service) or not names.is_label(namespace):
            self.say("R0304", f"`{name}` is no Service's name", destination.target.place, "NAME or NAMESPACE/NAME")
            return
        if port is None or kind_of(port.data) != "int" or not 0 < port.data < 65536:
            place = port.place if port else destination.place
            self.say("R0303", "a Service's port is a number from 1 to 65535", place, "port: 8080")
            return
        full = f"{self.routing.name}-{namespace}-{service}-{port.data}"
        yield Backend((full,), (service,), (namespace,), Leaf(port.data))


def _protocol(plan: SetPlan, port: TypePort) -> str:
    unit = plan.type.units.get(port.unit.text) if port.unit else None
    return unit.ports[port.port.text].protocol if unit else "TCP"


def _speaks_http2(plan: SetPlan, port: TypePort) -> bool:
    """Whether a port is declared to speak HTTP/2 without TLS, as gRPC does (KEP-3726, `appProtocol`)."""
    unit = plan.type.units.get(port.unit.text) if port.unit else None
    protocol = unit.ports[port.port.text].app_protocol if unit else None
    return protocol is not None and protocol.data in ("grpc", "http2", "kubernetes.io/h2c")


def _is_host(host: str) -> bool:
    port = host.rpartition(":")[2] if ":" in host else "1"
    return _HOST.fullmatch(host) is not None and len(host) <= names.MAX_SUBDOMAIN and 0 < int(port) < 65536


def _takes_all(condition: Condition) -> bool:
    narrow = condition.headers or condition.query or condition.methods
    return condition.path_op == "prefix" and condition.path == ("/",) and not narrow


def _tells_apart(condition: Condition, each: SetPlan) -> bool:
    """Whether a condition names the island: by its full name, or by its key and what it is inside of."""
    texts = [condition.path, *(test.value for test in (*condition.headers, *condition.query))]
    atoms = {path for value in texts for path in reads(value)}
    if ("island", "name") in atoms:
        return True
    keyed = bool(atoms & {("island", "key"), ("island", "ordinal")})
    if each.above is None:
        return keyed
    around = {("island", "set"), ("parent", "name")}
    if each.above.above is None:
        around |= {("parent", "key"), ("parent", "ordinal")}
    return keyed and bool(atoms & around)
