"""Neutral routes to Gateway API, alone or with what kgateway adds: HTTPRoutes and what they need.

Field by field: https://gateway-api.sigs.k8s.io/reference/spec/ (v1.6, standard channel). What wins there is the most
specific match, so the written order is compiled first (`routing.precedence`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from replicator import names
from replicator.diagnostics import Diagnostic, Place, Related
from replicator.durations import parts
from replicator.emitters import gateway_kgateway as kgateway
from replicator.kinds import routing_rank
from replicator.routing.header_values import literal
from replicator.routing.precedence import Match, Row, compiled
from replicator.routing.rules import (
    Action,
    Azure,
    Backend,
    Cors,
    Forward,
    Gateway,
    HeaderChange,
    Mirror,
    Redirect,
    Respond,
    Rule,
    Table,
    Target,
    Test,
    alike,
)
from replicator.sources import WEIGHT, Atom, Ruled
from replicator.tree import COMPILER, Hole, List, Manifest, Map, Origin, Repeat, Text, Tree, mapping, text, tree
from replicator.yaml_text import SAFE

GROUP = "gateway.networking.k8s.io"
VERSION = f"{GROUP}/v1"
MAX_RULES, MAX_MATCHES = 16, 128  # of an HTTPRoute
MAX_TESTS = 16  # of headers, or of query parameters, of a match; of headers of each kind that a filter changes
MAX_PATH, MAX_HEADER, MAX_QUERY = 1024, 4096, 1024  # characters
MAX_WEIGHT = 1_000_000
MAX_GRANTED = 16  # Services that a ReferenceGrant names
HTTPS, HTTP = 443, 80

_ISLAND = Hole("name", Atom(("island", "name")))
_LONGEST = {"label": names.MAX_LABEL, "name": names.MAX_SUBDOMAIN, "int": 20, "bool": 5}


def emit(table: Table) -> tuple[list[Manifest], list[Diagnostic]]:
    """The objects of a Routing, in the order in which they are applied, and what stands in their way."""
    emitter = _Emitter(table)
    emitter.emit()
    ranked = sorted(emitter.made, key=lambda one: (routing_rank(one.kind), one.over, _fixed(one.name)))
    return ranked, emitter.found


def _fixed(name: Text) -> str:
    return "".join(part for part in name if isinstance(part, str))


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
    """HTTPRoutes one after another; `first` is the name of the first one. With `over` each is one per island."""

    first: Text
    over: str = ""
    cases: frozenset[str] = frozenset()
    routes: list[_Route] = field(default_factory=list)


class _Emitter:
    def __init__(self, table: Table) -> None:
        self.table = table
        self.origin = Origin(table.place, "routing")
        self.kgateway = table.column == "kgateway"
        self.made: list[Manifest] = []
        self.found: list[Diagnostic] = []
        self.helpers: dict[tuple[str, Text], tuple[dict[str, Any], Place]] = {}
        self.within: dict[int, set[tuple[Text, str]]] = {}

    def say(self, code: str, message: str, place: Place, hint: str = "", *related: Related) -> None:
        one = Diagnostic(code, message, place, hint=hint, related=related)
        if one not in self.found:
            self.found.append(one)

    def emit(self) -> None:
        order, problems = compiled(self.table, self.kgateway)
        self.found += problems
        if not problems:
            self.routes(order.rows)
            self.ties(order.ties)
        for backend in self.table.backends():
            self.outside(backend)
        self.grants()
        self.gateway()

    def manifest(
        self,
        version: str,
        kind: str,
        name: Text,
        spec: dict[str, Any],
        namespace: Text | None = None,
        over: str = "",
        cases: frozenset[str] = frozenset(),
        place: Place | None = None,
    ) -> None:
        """One more object, in the Routing's namespace unless another is given."""
        table = self.table
        where = (table.namespace,) if namespace is None else namespace
        longest = names.MAX_LABEL if kind == "Service" else names.MAX_SUBDOMAIN
        self.name(name, over, longest, place or table.place, kind)
        labels = {"app.kubernetes.io/managed-by": "replicator", "replicator.dev/routing": table.name, **table.labels}
        metadata = {"name": name, "namespace": where, "labels": labels}
        body = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
        made = Manifest(version, kind, name, where, mapping(body, self.origin), self.origin, over=over, cases=cases)
        self.made.append(made)

    def name(self, name: Text, over: str, longest: int, place: Place, kind: str) -> None:
        """What is wrong with a name: of islands, with the longest of them."""
        islands = self.table.islands.get(over, ()) if over else ()
        most = max((len(island.name) for island in islands), default=1)
        size = sum(len(part) if isinstance(part, str) else most for part in name)
        shown = "".join(part if isinstance(part, str) else "x" for part in name)
        if size > longest:
            message = f"the name of the {kind} `{shown[:80]}` has {size} characters; it may have {longest}"
            self.say("R0506", message, place, "shorter names of the Routing, the route, the Set or its keys")
        elif not names.is_object_name(kind, shown):
            self.say("R0304", f"`{shown}` is no name of a {kind}", place, "a name of a-z, 0-9 and `-`")

    # HTTPRoutes

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
                series = _Series((f"{table.name}-{self.named(row.rule)}",))
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
            items = self.entries(row.rule, action, row.matches, of)
            route = self.opened(series, row.rule, len(items), _matches(items), text("-", _ISLAND))
            self.put(route, items, row, len(items), _matches(items))
        for route in series.routes:
            self.http_route(route, series)

    def delegated(self, row: Row) -> None:
        """An HTTPRoute for each island of a rule."""
        rule = row.rule
        islands = self.table.islands[rule.over]
        name = text(f"{self.table.name}-{self.named(rule)}-", _ISLAND)
        if row.own:
            for number, island in enumerate(islands):
                single = _Series((_fixed(text(f"{self.table.name}-{rule.route}-", island.name)),))
                self.fill(single, row, number)
                for route in single.routes:
                    self.http_route(route, single)
            return
        for cases in alike(self.table.cases(rule.over), rule.action_of):
            of = cases or frozenset(self.table.cases(rule.over))
            items = self.entries(rule, rule.action_of(min(of)), row.matches, of)
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
            items = self.entries(rule, rule.action, row.matches)
            route = self.opened(series, rule, len(items), _matches(items))
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
        items = self.entries(rule, rule.action, matches, self.usual(rule))
        cases = tuple(
            (case, tuple(self.entries(rule, rule.action_of(case), matches, frozenset([case]))))
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
        name = series.first if not series.routes else text(f"{self.table.name}-{self.named(rule)}", island)
        series.routes.append(_Route(name))
        return series.routes[-1]

    def put(self, route: _Route, items: Sequence[Tree], row: Row, rules: int, matches: int) -> None:
        route.items += items
        route.rules += rules
        route.matches += matches
        self.within.setdefault(row.number, set()).add((route.name, ""))

    def named(self, rule: Rule) -> str:
        """The name of a route that objects are named after."""
        if not rule.route:
            message = "this route needs a name: objects are named after it"
            self.say("R0202", message, rule.place, "name: NAME")
        return rule.route

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
            "rules": List(tuple(route.items), self.origin),
        }
        self.manifest(VERSION, "HTTPRoute", route.name, spec, over=series.over, cases=series.cases)

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

    # Rules

    def entries(
        self, rule: Rule, action: Action, matches: Sequence[Match], cases: frozenset[str] = frozenset()
    ) -> list[Map]:
        """A rule with an action as rules of an HTTPRoute: several where its matches need different paths instead."""
        groups: list[tuple[Any, list[Match]]] = []
        for match in matches:
            path = self.new_path(rule, action, match)
            alone = path is not None and "replacePrefixMatch" in path  # such a rule has one match (CRD)
            if groups and groups[-1][0] == path and not alone:
                groups[-1][1].append(match)
            else:
                groups.append((path, [match]))
        place = rule.place
        made: list[Map] = []
        for path, group in groups:
            fields: dict[str, Any] = {
                "name": self.rule_name(rule) if len(groups) == 1 else ...,
                "matches": [self.match(match, place) for match in group],
            }
            if isinstance(action, Forward):
                fields["filters"] = self.filters(rule, action, path) or ...
                fields["backendRefs"] = List(tuple(self.backend_refs(action.targets, place)))
                fields["timeouts"] = {"request": self.duration(action.timeout, place)}
            elif isinstance(action, Redirect):
                fields["filters"] = [self.redirect(action, path)]
            else:
                fields["filters"] = [self.response(rule, action, cases)]
            made.append(mapping(fields, Origin(place, "routing")))
        return made

    def rule_name(self, rule: Rule) -> Any:
        if not rule.name:
            return ...
        if not names.is_subdomain(rule.route):
            self.say("R0304", f"`{rule.route}` is no name of a rule of an HTTPRoute", rule.place, "a-z, 0-9 and `-`")
        return rule.name

    def new_path(self, rule: Rule, action: Action, match: Match) -> dict[str, Any] | None:
        """What takes the place of the path, as URLRewrite and RequestRedirect have it."""
        if isinstance(action, Forward) and any(
            isinstance(backend.function, Azure) for target in action.targets for backend in target.backends()
        ):
            function = next(
                backend.function
                for target in action.targets
                for backend in target.backends()
                if isinstance(backend.function, Azure)
            )
            return {"type": "ReplaceFullPath", "replaceFullPath": text("/api/", function.function)}
        if isinstance(action, Respond):
            return None
        if isinstance(action, Redirect) and action.path:
            return {"type": "ReplaceFullPath", "replaceFullPath": action.path}
        if match.rewrite is None:
            return None
        condition = match.condition
        given = self.limited(match.rewrite, MAX_PATH, "path", rule.place)
        if condition.path_op != "prefix":
            return {"type": "ReplaceFullPath", "replaceFullPath": given}
        if condition.path == ("/",) and given != ("/",):
            given = text(given, "/")  # the rest of the path follows without its slash
        return {"type": "ReplacePrefixMatch", "replacePrefixMatch": given}

    def match(self, match: Match, place: Place) -> dict[str, Any]:
        condition = match.condition
        kinds = {"exact": "Exact", "prefix": "PathPrefix", "regex": "RegularExpression"}
        path = self.limited(condition.path, MAX_PATH, "path", place)
        for tests, what in ((condition.headers, "headers"), (condition.query, "query parameters")):
            if len(tests) > MAX_TESTS:
                message = (
                    f"a match of {len(tests)} {what}; Gateway API takes {MAX_TESTS} (routes before others add theirs)"
                )
                self.say("R0713", message, place, "match on fewer of them")
        return {
            "path": {"type": kinds[condition.path_op], "value": path},
            "method": condition.methods[0] if condition.methods else ...,
            "headers": [self.test(one, MAX_HEADER, place) for one in condition.headers] or ...,
            "queryParams": [self.test(one, MAX_QUERY, place) for one in condition.query] or ...,
        }

    def test(self, test: Test, longest: int, place: Place) -> dict[str, Any]:
        if not names.is_token(test.name) or len(test.name) > 256:
            self.say(
                "R0708", f"Gateway API cannot match on the name `{test.name}`", place, "letters, digits and `-_.~`"
            )
        if test.op == "present":
            return {"name": test.name, "type": "RegularExpression", "value": ".*"}
        if not test.value:
            return {"name": test.name, "type": "RegularExpression", "value": "^$"}  # an exact value is not empty
        value = self.limited(test.value, longest, "value", place)
        return {"name": test.name, "type": "Exact" if test.op == "exact" else "RegularExpression", "value": value}

    def limited(self, content: Text, longest: int, what: str, place: Place) -> Text:
        """A text of at most so many characters, for every island."""
        holes = [part for part in content if isinstance(part, Hole)]
        size = len(_fixed(content))
        if not holes:
            if size > longest:
                self.say("R0706", f"a {what} of {size:,} characters; Gateway API takes {longest:,}", place)
            return content
        if all(part.kind in SAFE for part in holes) and size + sum(_LONGEST[part.kind] for part in holes) <= longest:
            return content
        return (Hole("text", Ruled(content, names.at_most(longest, what))),)

    def duration(self, duration: str, place: Place) -> str:
        made = parts(duration)
        if not made:
            message = f"`{duration}` is no duration of Gateway API: whole milliseconds, at most 99999 hours"
            self.say("R0706", message, place, "15s, or 500ms")
        return made

    # Filters

    def filters(self, rule: Rule, action: Forward, path: dict[str, Any] | None) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        for kind, key, change in (
            ("RequestHeaderModifier", "requestHeaderModifier", action.request),
            ("ResponseHeaderModifier", "responseHeaderModifier", action.response),
        ):
            if change != HeaderChange():
                made.append({"type": kind, key: self.header_change(change, rule.place)})
        host, follows = self.host(action)
        if host or path:
            if host and ":" in _fixed(host):
                message = f"Gateway API rewrites the Host to a name without a port, not `{_fixed(host)}`"
                self.say("R0708", message, rule.place, "leave the port out")
            made.append({"type": "URLRewrite", "urlRewrite": {"hostname": host or ..., "path": path or ...}})
        if action.mirror is not None:
            made.append({"type": "RequestMirror", "requestMirror": self.mirror(action.mirror)})
        if action.cors is not None:
            made.append({"type": "CORS", "cors": self.cors(action.cors, rule.place)})
        if self.kgateway and (action.retries is not None or action.fault is not None):
            made += self.policy(rule, action)
        if follows:
            made.append(self.extension("TrafficPolicy", "hosts", {**kgateway.FOLLOWS_HOST}, rule))
        return made

    def host(self, action: Forward) -> tuple[Text, bool]:
        """The Host that the destinations see, where it is not the request's; or whether it follows the destination."""
        if action.host is not None:
            return action.host, False
        every = [(target, backend) for target in action.targets for backend in target.backends()]
        owned = [(target, backend) for target, backend in every if backend.authority or self.native(backend)]
        if self.kgateway and owned and (len(every) > 1 or owned[0][0].over):
            return (), True
        if not owned or self.native(owned[0][1]):
            return (), False
        return self.alone(*owned[0]), False

    def alone(self, target: Target, backend: Backend) -> Text:
        """The authority of a backend; where it is that of the one island of a spread, of that island."""
        if not target.over or not any(isinstance(part, Hole) for part in backend.authority):
            return backend.authority
        others = {case for case, _ in target.cases}
        for island in self.table.islands[target.over]:
            stands = dict(target.cases).get(island.case) if island.case in others else target.backend
            if stands is backend:
                return tuple(
                    part if isinstance(part, str) else str(part.source.value(island)) for part in backend.authority
                )
        return backend.authority

    def header_change(self, change: HeaderChange, place: Place) -> dict[str, Any]:
        def values(given: tuple[tuple[str, Text], ...]) -> Any:
            made = []
            for name, value in given:
                said = literal(value) if self.kgateway else value  # it hands values to Envoy as they are
                made.append({"name": name, "value": self.limited(said, MAX_HEADER, "value", place)})
            return made or ...

        if max(map(len, change)) > MAX_TESTS:
            message = f"{max(map(len, change))} headers are changed at once; Gateway API takes {MAX_TESTS}"
            self.say("R0708", message, place, "change fewer of them")
        return {"set": values(change.put), "add": values(change.add), "remove": list(change.remove) or ...}

    def mirror(self, mirror: Mirror) -> dict[str, Any]:
        reference = self.reference(mirror.backend)
        if mirror.percent == 100:
            return {"backendRef": reference}
        if mirror.percent == int(mirror.percent):
            return {"backendRef": reference, "percent": int(mirror.percent)}
        numerator, denominator = mirror.percent, 100
        while numerator != int(numerator) and denominator < 10**8:
            numerator, denominator = round(numerator * 10, 9), denominator * 10
        return {"backendRef": reference, "fraction": {"numerator": int(numerator), "denominator": denominator}}

    def cors(self, cors: Cors, place: Place) -> dict[str, Any]:
        for words, what in (
            (cors.origins, "allowOrigins"),
            (cors.methods, "allowMethods"),
            (cors.headers, "allowHeaders"),
        ):
            if "*" in words and len(words) > 1:
                self.say("R0708", f"Gateway API takes `*` in {what} alone", place, f"{what}: ['*']")
        for words, what in ((cors.origins, "origins"), (cors.headers, "headers"), (cors.expose, "headers")):
            if len(words) > 64:
                self.say("R0708", f"{len(words)} {what}; Gateway API takes 64", place, "fewer of them")
        unknown = [method for method in cors.methods if method not in _METHODS]
        if unknown:
            self.say("R0708", f"Gateway API does not know the method `{unknown[0]}`", place, "leave it out")
        if cors.max_age == 0:
            self.say("R0708", "Gateway API keeps an answer for a second at least", place, "maxAge: 1s, or leave it out")
        return {
            "allowOrigins": _once(cors.origins),
            "allowMethods": _once(cors.methods) or ...,
            "allowHeaders": _once(cors.headers) or ...,
            "exposeHeaders": _once(cors.expose) or ...,
            "maxAge": cors.max_age if cors.max_age is not None else ...,
            "allowCredentials": True if cors.credentials else ...,
        }

    def redirect(self, action: Redirect, path: dict[str, Any] | None) -> dict[str, Any]:
        fields = {
            "scheme": action.scheme or ...,
            "hostname": action.host or ...,
            "path": path or ...,
            "port": action.port or ...,
            "statusCode": action.status,
        }
        return {"type": "RequestRedirect", "requestRedirect": fields}

    # Destinations

    def backend_refs(self, targets: Sequence[Target], place: Place) -> Iterator[Tree]:
        single = len(targets) == 1 and not targets[0].over
        for target in targets:
            self.weight(target, place)
            weight = ... if single else target.weight
            entry = self.weighted(target.backend, weight)
            cases = tuple(
                (case, (self.weighted(backend, weight),) if backend is not None else ())
                for case, backend in target.cases
            )
            yield Repeat((entry,), target.over, cases) if target.over else entry

    def weighted(self, backend: Backend, weight: Any) -> Tree:
        return tree({**self.reference(backend), "weight": weight}, COMPILER)

    def weight(self, target: Target, place: Place) -> None:
        most = target.weight
        if isinstance(most, Hole):
            most = max(WEIGHT.value(island) for island in self.table.islands[target.over])
        if most > MAX_WEIGHT:
            self.say("R0705", f"a weight of {most:,}; Gateway API takes {MAX_WEIGHT:,}", place, "divide all weights")

    def reference(self, backend: Backend) -> dict[str, Any]:
        """A reference to what answers."""
        if not backend.host and not self.native(backend):
            return {"name": backend.service, "namespace": backend.namespace, "port": backend.port}
        own = {"name": backend.name, "namespace": self.table.namespace}
        if self.kgateway:
            return {"group": kgateway.GROUP, "kind": "Backend", **own}
        return {**own, "port": backend.port}

    def native(self, backend: Backend) -> bool:
        return self.kgateway and kgateway.is_native(backend)

    def outside(self, backend: Backend) -> None:
        """The objects that stand for what is outside of the cluster."""
        if not backend.host and not self.native(backend):
            return
        name = backend.name
        target: dict[str, Any] = {"group": "", "kind": "Service", "name": name}
        if self.kgateway:
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
        if backend.tls and not self.native(backend):
            validation = {"hostname": backend.host, "wellKnownCACertificates": "System"}
            self.of_backend(VERSION, "BackendTLSPolicy", backend, {"targetRefs": [target], "validation": validation})

    def of_backend(self, version: str, kind: str, backend: Backend, spec: dict[str, Any]) -> None:
        of, cases = backend.over, backend.cases
        self.manifest(version, kind, backend.name, spec, over=of, cases=cases, place=backend.place)

    # What kgateway adds

    def response(self, rule: Rule, answer: Respond, cases: frozenset[str]) -> dict[str, Any]:
        """The filter for a fixed answer."""
        whose = [rule.route] if answer.body and rule.route else []
        state = ["drained"] if answer.body and cases and all(case.startswith("drained/") for case in cases) else []
        words = "-".join([*whose, *state, str(answer.status)])
        over = ""
        if any(isinstance(part, Hole) for part in answer.body):
            over = rule.over or self.table.over
        return self.extension("DirectResponse", words, kgateway.response_spec(answer), rule, over)

    def policy(self, rule: Rule, action: Forward) -> list[dict[str, Any]]:
        """The filter for the retries and faults of a route."""
        if action.retries is not None and "perTryTimeout" in action.retries:
            self.duration(action.retries["perTryTimeout"], rule.place)
        problem, hint = kgateway.policy_problem(action)
        if problem:
            self.say("R0708", problem, rule.place, hint)
            return []
        spec = kgateway.policy_spec(action)
        return [self.extension("TrafficPolicy", rule.route or "retries", spec, rule)] if spec else []

    def extension(self, kind: str, words: str, spec: dict[str, Any], rule: Rule, over: str = "") -> dict[str, Any]:
        """The filter that refers to an object of kgateway's, which is made once."""
        name = text(f"{self.table.name}-{words}", ("-", _ISLAND) if over else ())
        known = self.helpers.get((kind, name))
        if known is None:
            self.helpers[kind, name] = (spec, rule.place)
            self.manifest(kgateway.VERSION, kind, name, spec, over=over, place=rule.place)
        elif known[0] != spec:
            message = f"two routes need a {kind}, and neither has a name of its own for it"
            self.say("R0507", message, rule.place, "name: NAME", Related("the other one", known[1]))
        return {"type": "ExtensionRef", "extensionRef": {"group": kgateway.GROUP, "kind": kind, "name": name}}

    # Grants and Gateways

    def grants(self) -> None:
        """Namespaces of others must let the routes in (ReferenceGrant)."""
        table = self.table
        fixed: dict[str, dict[tuple[Text, str], Backend]] = {}
        own: dict[tuple[Text, str], set[str]] = {}
        for backend in table.backends():
            if backend.host or self.native(backend) or backend.namespace == (table.namespace,):
                continue
            if any(isinstance(part, Hole) for part in backend.namespace):
                cases = backend.cases or frozenset(table.cases(backend.over))
                own.setdefault((backend.namespace, backend.over or table.over), set()).update(cases)
            else:
                of_namespace = fixed.setdefault(_fixed(backend.namespace), {})
                of_namespace.setdefault((backend.service, backend.over), backend)
        sets = {over for _, over in own}
        for namespace, granted in sorted(fixed.items()):
            backends = [one for one in granted.values() if not one.island or one.of.partition(" ")[0] not in sets]
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
            entry = tree({"group": "", "kind": "Service", "name": backend.service}, self.origin)
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
            "port": (gateway.port if tls or plain else 0) or (HTTPS if tls else HTTP),
            "protocol": "HTTPS" if tls else "HTTP",
        }
        if tls and table.tls is not None:
            secret = table.tls.secret
            reference = {"group": "", "kind": "Secret", "name": secret.name, "namespace": secret.namespace}
            made["tls"] = {"mode": "Terminate", "certificateRefs": [reference]}
        return {**made, "allowedRoutes": {"namespaces": namespaces}}


_METHODS = frozenset("GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH *".split())


def _once(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _matches(items: Sequence[Map]) -> int:
    """How many matches some rules have."""
    number = 0
    for item in items:
        found = item.get("matches")
        number += len(found.items) if isinstance(found, List) else 0
    return number
