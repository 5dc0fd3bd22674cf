"""Rules of HTTPRoutes: matches, filters, destinations and timeouts of a neutral rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from replicator import names
from replicator.diagnostics import Place
from replicator.durations import parts
from replicator.emitters import gateway_kgateway as kgateway
from replicator.emitters.gateway_objects import Objects
from replicator.emitters.routed import fixed
from replicator.routing.header_values import literal
from replicator.routing.precedence import Match
from replicator.routing.rules import (
    Action,
    Azure,
    Backend,
    Cors,
    Forward,
    HeaderChange,
    Mirror,
    Redirect,
    Respond,
    Rule,
    Target,
    Test,
)
from replicator.sources import WEIGHT, Ruled
from replicator.tree import COMPILER, Hole, List, Map, Origin, Repeat, Text, Tree, mapping, text, tree
from replicator.yaml_text import SAFE

MAX_TESTS = 16  # of headers, or of query parameters, of a match; of headers of each kind that a filter changes
MAX_PATH, MAX_HEADER, MAX_QUERY = 1024, 4096, 1024  # characters
MAX_WEIGHT = 1_000_000

_LONGEST = {"label": names.MAX_LABEL, "name": names.MAX_SUBDOMAIN, "int": 20, "bool": 5}
_METHODS = frozenset("GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH *".split())


class Rules:
    """The rules of a table; objects that they refer to are made along."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.table = objects.table
        self.kgateway = objects.kgateway
        self.say = objects.say

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
                fields["timeouts"] = {"request": self.duration(action.timeout, rule.at("timeout"))}
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
            hint = f"a-z, 0-9 and `-`, {names.MAX_SUBDOMAIN} characters at most"
            self.say("R0304", f"`{rule.route}` is no name of a rule of an HTTPRoute", rule.place, hint)
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
        place = rule.at("redirect" if isinstance(action, Redirect) else "rewrite")
        given = self.limited(match.rewrite, MAX_PATH, "path", place)
        if condition.path_op != "prefix":
            return {"type": "ReplaceFullPath", "replaceFullPath": given}
        if condition.path == ("/",) and given != ("/",):
            given = text(given, "/")  # the rest of the path follows without its slash
        if self.kgateway:
            problem, hint = kgateway.prefix_problem(condition.path, given, isinstance(action, Redirect))
            if problem:
                self.say("R0708", problem, place, hint)
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
        size = len(fixed(content))
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
                made.append({"type": kind, key: self.header_change(change, rule.at("headers"))})
        host, follows = self.host(action)
        if host or path:
            if host and ":" in fixed(host):
                message = f"Gateway API rewrites the Host to a name without a port, not `{fixed(host)}`"
                self.say("R0708", message, rule.at("rewrite"), "leave the port out")
            made.append({"type": "URLRewrite", "urlRewrite": {"hostname": host or ..., "path": path or ...}})
        if action.mirror is not None:
            made.append({"type": "RequestMirror", "requestMirror": self.mirror(action.mirror)})
        if action.cors is not None:
            made.append({"type": "CORS", "cors": self.cors(action.cors, rule.at("cors"))})
        if self.kgateway and (action.retries is not None or action.fault is not None):
            made += self.policy(rule, action)
        if follows:
            made.append(self.objects.extension("TrafficPolicy", "hosts", {**kgateway.FOLLOWS_HOST}, rule))
        return made

    def host(self, action: Forward) -> tuple[Text, bool]:
        """The Host that the destinations see, where it is not the request's; or whether it follows the destination."""
        if action.host is not None:
            return action.host, False
        every = [(target, backend) for target in action.targets for backend in target.backends()]
        owned = [(target, backend) for target, backend in every if backend.authority or self.objects.native(backend)]
        if self.kgateway and owned and (len(every) > 1 or owned[0][0].over):
            return (), True
        if not owned or self.objects.native(owned[0][1]):
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
        reference = self.objects.reference(mirror.backend)
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
        return tree({**self.objects.reference(backend), "weight": weight}, COMPILER)

    def weight(self, target: Target, place: Place) -> None:
        most = target.weight
        if isinstance(most, Hole):
            most = max(WEIGHT.value(island) for island in self.table.islands[target.over])
        if most > MAX_WEIGHT:
            self.say("R0705", f"a weight of {most:,}; Gateway API takes {MAX_WEIGHT:,}", place, "divide all weights")

    # What kgateway adds

    def response(self, rule: Rule, answer: Respond, cases: frozenset[str]) -> dict[str, Any]:
        """The filter for a fixed answer."""
        whose = [rule.route] if answer.body and rule.route else []
        state = ["drained"] if answer.body and cases and all(case.startswith("drained/") for case in cases) else []
        words = "-".join([*whose, *state, str(answer.status)])
        over = ""
        if any(isinstance(part, Hole) for part in answer.body):
            over = rule.over or self.table.over
        return self.objects.extension("DirectResponse", words, kgateway.response_spec(answer), rule, over)

    def policy(self, rule: Rule, action: Forward) -> list[dict[str, Any]]:
        """The filter for the retries and faults of a route."""
        if action.retries is not None and "perTryTimeout" in action.retries:
            self.duration(action.retries["perTryTimeout"], rule.at("retries"))
        refused = kgateway.policy_problem(action)
        if refused is not None:
            field, problem, hint = refused
            self.say("R0708", problem, rule.at(field), hint)
            return []
        spec = kgateway.policy_spec(action)
        return [self.objects.extension("TrafficPolicy", rule.route or "retries", spec, rule)] if spec else []


def _once(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))
