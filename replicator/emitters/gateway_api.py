"""Neutral routes to Gateway API, alone or with what kgateway adds: HTTPRoutes and what they need.

Field by field: https://gateway-api.sigs.k8s.io/reference/spec/ (v1.6, standard channel). What wins there is the most
specific match, so the written order is compiled first (`routing.precedence`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from replicator.diagnostics import Diagnostic, Related
from replicator.emitters import gateway_kgateway as kgateway
from replicator.emitters.gateway_objects import GROUP, VERSION, Objects
from replicator.emitters.gateway_rules import Rules
from replicator.emitters.routed import ISLAND, NO_LABELS, fixed, in_order
from replicator.names import SPLIT
from replicator.routing.precedence import Match, Row, compiled
from replicator.routing.rules import Backend, Gateway, Rule, Table, alike
from replicator.tree import Hole, List, Manifest, Map, Repeat, Text, Tree, text, tree

MAX_RULES, MAX_MATCHES = 16, 128  # of an HTTPRoute
MAX_GRANTED = 16  # Services that a ReferenceGrant names
HTTPS, HTTP = 443, 80


def emit(table: Table) -> tuple[list[Manifest], list[Diagnostic]]:
    """The objects of a Routing, in the order in which they are applied, and what stands in their way."""
    emitter = _Emitter(table)
    emitter.emit()
    return in_order(emitter.objects.made), emitter.objects.found


@dataclass(slots=True)
class _Route:
    """An HTTPRoute that is filled with rules, and the rows that are in it."""

    name: Text
    items: list[Tree] = field(default_factory=list)
    rules: int = 0
    matches: int = 0

    def room(self, rules: int, matches: int) -> int:
        """How often as many rules and matches still fit."""
        return min((MAX_RULES - self.rules) // rules, (MAX_MATCHES - self.matches) // matches)


@dataclass(slots=True)
class _Series:
    """HTTPRoutes one after another; `first` is the name of the first one.

    With `over` each is one per island; with `island`, a path, they are those of one island.
    """

    first: Text
    over: str = ""
    cases: frozenset[str] = frozenset()
    island: str = ""
    routes: list[_Route] = field(default_factory=list)


class _Emitter:
    def __init__(self, table: Table) -> None:
        self.table = table
        self.objects = Objects(table)
        self.rules = Rules(self.objects)
        self.say = self.objects.say
        self.manifest = self.objects.manifest
        self.within: dict[int, set[tuple[Text, str]]] = {}

    def emit(self) -> None:
        order, problems = compiled(self.table, self.objects.kgateway)
        self.objects.found += problems
        self.one_name_each()
        if not problems:
            self.routes(order.rows)
            self.ties(order.ties)
        for backend in self.table.backends():
            self.outside(backend)
        self.grants()
        self.gateway()

    # HTTPRoutes

    def one_name_each(self) -> None:
        """The rules of an HTTPRoute have different names: those of islands are `<route>-<island>`."""

        def named(rule: Rule) -> set[str]:
            islands = self.table.islands[rule.over] if rule.over else ()
            if rule.part:
                return {f"{rule.route}-{rule.part}"}
            return {f"{rule.route}-{island.name}" for island in islands} if rule.over else {rule.route}

        for rule in self.table.rules:
            start = f"{rule.route}-" if (rule.over or rule.part) and rule.route else "-"
            for other in self.table.rules if start != "-" else ():
                if other.route.startswith(start) and (both := named(rule) & named(other)):
                    message = f"two rules of the HTTPRoute would have the name `{min(both)}`"
                    related = Related("the other one is of this route", other.place)
                    self.say("R0707", message, rule.place, "another name for one of the routes", related)

    def routes(self, rows: Sequence[Row]) -> None:
        table = self.table
        if table.over:
            rules = table.rules
            for cases in alike(table.cases(table.over), lambda case: [rule.action_of(case) for rule in rules]):
                self.island_table(rows, cases)
            return
        main = _Series((table.name,))
        several = [main]
        for row in rows:
            if not row.rule.over or table.delegation == "none":
                self.fill(main, row)
            elif table.delegation == "set":
                series = _Series((f"{table.name}-{self.objects.named(row.rule)}",))
                several.append(series)
                self.fill(series, row)
            else:
                self.delegated(row)
        for series in several:
            for route in series.routes:
                self.http_route(route, series)

    def island_table(self, rows: Sequence[Row], cases: frozenset[str]) -> None:
        """The HTTPRoutes of each island, of those of some cases."""
        table = self.table
        series = _Series(table.object_name, table.over, cases)
        of = cases or frozenset(table.cases(table.over))
        for row in rows:
            action = row.rule.action_of(min(of))
            items = self.rules.entries(row.rule, action, row.matches, of)
            route = self.opened(series, row.rule, len(items), _matches(items), text("-", ISLAND))
            self.put(route, items, row, len(items), _matches(items))
        for route in series.routes:
            self.http_route(route, series)

    def delegated(self, row: Row) -> None:
        """An HTTPRoute for each island of a rule."""
        rule = row.rule
        islands = self.table.islands[rule.over]
        name = text(f"{self.table.name}-{self.objects.named(rule)}-", ISLAND)
        if row.own:
            for number, island in enumerate(islands):
                first = (fixed(text(f"{self.table.name}-{rule.route}-", island.name)),)
                single = _Series(first, island=island.path)
                self.fill(single, row, number)
                for route in single.routes:
                    self.http_route(route, single)
            return
        for cases in alike(self.table.cases(rule.over), rule.action_of):
            of = cases or frozenset(self.table.cases(rule.over))
            items = self.rules.entries(rule, rule.action_of(min(of)), row.matches, of)
            series = _Series(name, rule.over, cases)
            route = self.opened(series, rule, len(items), _matches(items))
            self.put(route, items, row, len(items), _matches(items))
            if len(islands) > 1:
                self.within[row.number] = {(name, "one"), (name, "another")}
            self.http_route(route, series)

    def fill(self, series: _Series, row: Row, only: int = -1) -> None:
        """Put a row's rules into HTTPRoutes: of all islands, or of one, by its number."""
        rule = row.rule
        if not rule.over:
            items = self.rules.entries(rule, rule.action, row.matches)
            route = self.opened(series, rule, len(items), _matches(items), (f"-{rule.part}",) if rule.part else ())
            self.put(route, items, row, len(items), _matches(items))
            return
        stop = len(self.table.islands[rule.over])
        start = 0
        if only >= 0:
            start, stop = only, only + 1
        for number in sorted(number for number in row.own if start <= number < stop):
            self.span(series, row, row.matches, start, number)
            self.span(series, row, row.own[number], number, number + 1)
            start = number + 1
        self.span(series, row, row.matches, start, stop)

    def span(self, series: _Series, row: Row, matches: list[Match], start: int, stop: int) -> None:
        """The rules of the islands from a number on, and before another, over as many HTTPRoutes as they need."""
        rule = row.rule
        if not matches or start >= stop:
            return
        present = {case for case, _ in rule.cases}
        items = self.rules.entries(rule, rule.action, matches, self.usual(rule))
        cases = tuple(
            (case, tuple(self.rules.entries(rule, rule.action_of(case), matches, frozenset([case]))))
            for case in sorted(present)
        )
        rules = max(len(items), *(len(one) for _, one in cases), 0)
        tests = max(_matches(items), *(_matches(one) for _, one in cases), 0)
        every = stop - start == len(self.table.islands[rule.over])
        while start < stop:
            island = self.table.islands[rule.over][start]
            route = self.opened(series, rule, rules, tests, (f"-{island.name}",))
            number = max(min(route.room(rules, tests), stop - start), 1)
            whole = every and number == len(self.table.islands[rule.over])
            repeat = Repeat(tuple(items), rule.over, cases, None if whole else (start, start + number))
            self.put(route, [repeat], row, rules * number, tests * number)
            start += number

    def usual(self, rule: Rule) -> frozenset[str]:
        """The cases of a rule's islands that its own action is for."""
        named = {case for case, _ in rule.cases}
        return frozenset(case for case in self.table.cases(rule.over) if case not in named)

    def opened(self, series: _Series, rule: Rule, rules: int, matches: int, island: Text = ()) -> _Route:
        """The HTTPRoute that a rule goes into: the last of a series, or another one that is named after it."""
        if rules > MAX_RULES or matches > MAX_MATCHES:
            message = f"this route becomes {rules:,} rules with {matches:,} matches; an HTTPRoute holds 16 and 128"
            self.say("R0713", message, rule.place, "make several routes of it")
        if series.routes and series.routes[-1].room(rules, matches):
            return series.routes[-1]
        name = series.first if not series.routes else text(f"{self.table.name}-{self.objects.named(rule)}", island)
        series.routes.append(_Route(name))
        return series.routes[-1]

    def put(self, route: _Route, items: Sequence[Tree], row: Row, rules: int, matches: int) -> None:
        route.items += items
        route.rules += rules
        route.matches += matches
        self.within.setdefault(row.number, set()).add((route.name, ""))

    def ties(self, ties: Iterable[tuple[int, int]]) -> None:
        """Rules that tie are told apart by their order in one HTTPRoute only."""
        for first, second in ties:
            one, other = self.within.get(first, set()), self.within.get(second, set())
            if len(one | other) > 1:
                message = (
                    "Gateway API cannot keep this route before a later one: they tie, and do not fit one HTTPRoute"
                )
                related = (Related("the later route", self.table.rules[second].place),) if first != second else ()
                hint = "delegation: none, or let one of them match more: a header, or a longer path"
                self.say("R0713", message, self.table.rules[first].place, hint, *related)

    def http_route(self, route: _Route, series: _Series) -> None:
        spec = {
            "parentRefs": [self.parent(self.section())],
            "hostnames": self.hostnames() or ...,
            "rules": List(tuple(route.items), self.objects.origin),
        }
        labels = NO_LABELS if route is series.routes[0] else SPLIT
        of, cases, island = series.over, series.cases, series.island
        self.manifest(VERSION, "HTTPRoute", route.name, spec, over=of, cases=cases, island=island, labels=labels)

    def hostnames(self) -> list[Text]:
        """The hosts; none where one of them is any."""
        return [] if ("*",) in self.table.hosts else [*self.table.hosts]

    def parent(self, section: str) -> dict[str, Any]:
        gateway = self.table.gateway
        assert gateway is not None
        return {"name": gateway.name, "namespace": gateway.namespace, "sectionName": section or ...}

    def section(self) -> str:
        """The listener that the routes are for."""
        gateway = self.table.gateway
        assert gateway is not None
        if gateway.create:
            return "https" if self.table.tls is not None else "http"
        return gateway.section

    def outside(self, backend: Backend) -> None:
        """The objects that stand for what is outside of the cluster."""
        if not backend.host and not self.objects.native(backend):
            return
        name = backend.name
        target: dict[str, Any] = {"group": "", "kind": "Service", "name": name}
        if self.objects.kgateway:
            problem, hint = kgateway.problem(backend, self.table.namespace)
            if problem:
                self.say("R0708", problem, backend.place, hint)
            self.of_backend(kgateway.VERSION, "Backend", backend, kgateway.backend_spec(backend))
            target = {"group": kgateway.GROUP, "kind": "Backend", "name": name}
        else:
            protocol = "kubernetes.io/h2c" if backend.http2 and not backend.tls else ...
            port: dict[str, Any] = {"name": "https" if backend.tls else "http", "port": backend.port, "protocol": "TCP"}
            ports = [{**port, "appProtocol": protocol}]
            self.of_backend(
                "v1", "Service", backend, {"type": "ExternalName", "externalName": backend.host, "ports": ports}
            )
        if backend.tls and not self.objects.native(backend):
            validation = {"hostname": backend.host, "wellKnownCACertificates": "System"}
            self.of_backend(VERSION, "BackendTLSPolicy", backend, {"targetRefs": [target], "validation": validation})

    def of_backend(self, version: str, kind: str, backend: Backend, spec: dict[str, Any]) -> None:
        of, cases, place, island = backend.over, backend.cases, backend.place, backend.island
        self.manifest(version, kind, backend.name, spec, over=of, cases=cases, place=place, island=island)

    # Grants and Gateways

    def grants(self) -> None:
        """Namespaces of others must let the routes in (ReferenceGrant)."""
        table = self.table
        elsewhere: dict[str, dict[tuple[Text, str], Backend]] = {}
        own: dict[tuple[Text, str], set[str]] = {}
        for backend in table.backends():
            if backend.host or self.objects.native(backend) or backend.namespace == (table.namespace,):
                continue
            if any(isinstance(part, Hole) for part in backend.namespace):
                over = backend.over or table.over
                if _is_inside(table, over, backend.namespace):  # one for all islands in a namespace
                    root = over.partition("/")[0]
                    cases = frozenset(case for case in table.cases(root) if case.endswith("/"))
                    own.setdefault(((ISLAND,), root), set()).update(cases)
                    continue
                cases = backend.cases or frozenset(table.cases(backend.over))
                own.setdefault((backend.namespace, over), set()).update(cases)
            else:
                of_namespace = elsewhere.setdefault(fixed(backend.namespace), {})
                of_namespace.setdefault((backend.service, backend.over), backend)
        roots = {over for _, over in own}
        for namespace, granted in sorted(elsewhere.items()):
            those = granted.values()
            backends = [one for one in those if not one.island or one.of.split(" ")[0].split("/")[0] not in roots]
            if backends:
                self.grant((namespace,), self.granted(backends))
        for (where, over), of in own.items():
            every = of >= set(table.cases(over))
            self.grant(where, [{"group": "", "kind": "Service"}], over, frozenset() if every else frozenset(of))

    def granted(self, backends: Sequence[Backend]) -> list[Any]:
        """Services by name while they are few, else all of the namespace."""
        named: list[Any] = []
        number = 0
        for backend in backends:
            entry = tree({"group": "", "kind": "Service", "name": backend.service}, self.objects.origin)
            if not any(isinstance(part, Hole) for part in backend.service):  # one for all islands, as an ingress is
                number += entry not in named
                named += [entry] if entry not in named else []
                continue
            cases = [case for case in self.table.cases(backend.over) if backend.cases and case not in backend.cases]
            islands = self.table.islands.get(backend.over, ()) if backend.over else (None,)
            number += sum(island is None or island.case not in cases for island in islands) if cases else len(islands)
            named.append(Repeat((entry,), backend.over, tuple((case, ()) for case in cases)) if backend.over else entry)
        return named if number <= MAX_GRANTED else [{"group": "", "kind": "Service"}]

    def grant(
        self, namespace: Text, to: list[Any], over: str = "", cases: frozenset[str] = frozenset(), suffix: str = ""
    ) -> None:
        table = self.table
        kind, of = ("Gateway", self.gateway_namespace) if suffix else ("HTTPRoute", table.namespace)
        spec = {"from": [{"group": GROUP, "kind": kind, "namespace": of}], "to": to}
        name = (f"{table.namespace}-{table.name}{suffix}",)
        self.manifest(VERSION, "ReferenceGrant", name, spec, namespace, over, cases)

    @property
    def gateway_namespace(self) -> str:
        return self.table.gateway.namespace if self.table.gateway is not None else ""

    def gateway(self) -> None:
        """The Gateway, where it is made, and what it needs."""
        table, gateway = self.table, self.table.gateway
        if gateway is None or not gateway.create:
            return
        listeners = [self.listener(gateway, table.tls is not None)]
        if table.tls is not None and table.tls.redirect:
            listeners.insert(0, self.listener(gateway, False))
            port = gateway.port if gateway.port != HTTPS else 0
            redirect = {"scheme": "https", "port": port or ..., "statusCode": 301}
            matches = [{"path": {"type": "PathPrefix", "value": "/"}}]
            rule = {"matches": matches, "filters": [{"type": "RequestRedirect", "requestRedirect": redirect}]}
            route = {"parentRefs": [self.parent("http")], "hostnames": self.fixed_hosts() or ..., "rules": [rule]}
            self.manifest(VERSION, "HTTPRoute", (f"{table.name}-redirect",), route)
        namespace = (gateway.namespace,)
        spec: dict[str, Any] = {"gatewayClassName": gateway.of_class, "listeners": listeners}
        self.manifest(VERSION, "Gateway", (gateway.name,), spec, namespace, place=gateway.place)
        if table.tls is not None and table.tls.secret.namespace != gateway.namespace:
            to = [{"group": "", "kind": "Secret", "name": table.tls.secret.name}]
            self.grant((table.tls.secret.namespace,), to, suffix="-tls")

    def fixed_hosts(self) -> list[Text]:
        hosts = self.hostnames()
        return hosts if all(isinstance(part, str) for host in hosts for part in host) else []

    def listener(self, gateway: Gateway, tls: bool) -> dict[str, Any]:
        """A listener; it has a hostname where there is one alone."""
        table = self.table
        hosts = self.fixed_hosts()
        same = gateway.namespace == table.namespace
        selector = {"matchLabels": {"kubernetes.io/metadata.name": table.namespace}}
        namespaces = {"from": "Same"} if same else {"from": "Selector", "selector": selector}
        plain = table.tls is None
        made: dict[str, Any] = {
            "name": "https" if tls else "http",
            "hostname": hosts[0] if len(hosts) == 1 else ...,
            "port": gateway.port if tls or plain else HTTP,
            "protocol": "HTTPS" if tls else "HTTP",
        }
        if tls and table.tls is not None:
            secret = table.tls.secret
            reference = {"group": "", "kind": "Secret", "name": secret.name, "namespace": secret.namespace}
            made["tls"] = {"mode": "Terminate", "certificateRefs": [reference]}
        return {**made, "allowedRoutes": {"namespaces": namespaces}}


def _is_inside(table: Table, over: str, namespace: Text) -> bool:
    """Whether islands of a Set are in the namespaces of the islands around them."""
    islands = table.islands.get(over, ())
    plan = islands[0].plan if islands else None
    if plan is None or plan.above is None or not plan.root.own_namespaces:
        return False
    return any(isinstance(part, Hole) and part.source.reads & _AROUND for part in namespace)


_AROUND = frozenset([("island", "namespace"), ("parent", "namespace"), ("parent", "name")])


def _matches(items: Sequence[Map]) -> int:
    """How many matches some rules have."""
    number = 0
    for item in items:
        found = item.get("matches")
        number += len(found.items) if isinstance(found, List) else 0
    return number
