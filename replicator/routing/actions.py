"""What routes do with requests, in the words of the DSL, to neutral actions; what is wrong with it is said."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from replicator.diagnostics import Place, nearest
from replicator.durations import nanoseconds
from replicator.expander.islands import SetPlan
from replicator.model import Route
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node, Scalar
from replicator.parser.source import Sequence as SequenceNode
from replicator.routing.destinations import MAX_WEIGHTS, Destinations
from replicator.routing.rules import Cors, Fault, Forward, HeaderChange, Mirror, Redirect, Respond, Target
from replicator.routing.texts import Texts, is_header, is_host
from replicator.tree import Text

DEFAULT_TIMEOUT = "15s"
MAX_DURATION = 315_576_000_000 * 10**9  # nanoseconds of protobuf's Duration: 10,000 years
MAX_BODY = 4096  # bytes of a fixed response (Envoy: max_direct_response_body_size_bytes)
# What Envoy tries again on; others it ignores, and these need no list of codes or headers beside them.
# https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter (x-envoy-retry-on)
RETRY_ON = (
    "5xx cancelled connect-failure deadline-exceeded envoy-ratelimited gateway-error http3-post-connect-failure "
    "internal refused-stream reset reset-before-request resource-exhausted retriable-4xx unavailable"
).split()
ELSEWHERE = ("path", "prefix", "host", "port", "scheme", "stripQuery")  # any of these changes the URL in a redirect


class Actions:
    """The actions of one Routing's routes; `use` is told of what not every provider can do."""

    def __init__(self, texts: Texts, destinations: Destinations, use: Callable[..., None]) -> None:
        self.texts = texts
        self.say = texts.say
        self.destinations = destinations
        self.use = use

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
        return self.texts.path(prefix, "prefix")

    def forward(self, route: Route, targets: tuple[Target, ...], own: SetPlan | None) -> Forward | None:
        weights = [target.weight for target in targets]
        if sum(weight for weight in weights if isinstance(weight, int)) > MAX_WEIGHTS:
            self.say("R0705", f"the weights add up to more than {MAX_WEIGHTS:,}", route.place)
        if all(weight == 0 for weight in weights):
            self.say("R0705", "all weights are zero: nobody would get a request", route.place, "give one a `weight`")
        host = route.rewrite.items.get("host") if route.rewrite else None
        self.durations(route)
        if route.retries is not None:
            self.use("retries", route.retries.place)
            for word in _scalars(route.retries.items.get("retryOn")):
                if word.text not in RETRY_ON:
                    hint = nearest(word.text, RETRY_ON)
                    self.say("R0706", f"`{word.text}` is nothing that Envoy tries again on", word.place, hint)
        mirror = self.mirror(route, own)
        if route.mirror is not None and mirror is None:
            return None
        return Forward(
            targets=targets,
            timeout=route.timeout.text if route.timeout else DEFAULT_TIMEOUT,
            retries=route.retries.data if route.retries else None,
            host=self.texts.host(host) if isinstance(host, Scalar) else None,
            request=self.header_change(route.headers, "request"),
            response=self.header_change(route.headers, "response"),
            cors=self.cors(route.cors),
            mirror=mirror,
            fault=self.fault(route.fault),
        )

    def durations(self, route: Route) -> None:
        tries = route.retries.items.get("perTryTimeout") if route.retries else None
        wait = route.fault.get("delay", "duration") if route.fault else None
        age = route.cors.items.get("maxAge") if route.cors else None
        for scalar in (route.timeout, tries, wait, age):
            if isinstance(scalar, Scalar) and nanoseconds(scalar.text) > MAX_DURATION:
                self.say("R0706", f"`{scalar.text[:40]}` is longer than proxies can count", scalar.place)

    def header_change(self, node: MappingNode | None, of: str) -> HeaderChange:
        change = node.items.get(of) if node is not None else None
        if not isinstance(change, MappingNode):
            return HeaderChange()
        self.use("headers", change.place)
        seen: dict[str, str] = {}
        given: dict[str, tuple[tuple[str, Text], ...]] = {}
        for field in ("add", "set"):
            values = change.items.get(field)
            made: list[tuple[str, Text]] = []
            for name, value in values.items.items() if isinstance(values, MappingNode) else ():
                assert isinstance(values, MappingNode) and isinstance(value, Scalar)
                self.header_name(name, values.key_place(name), seen, of)
                content = self.texts.header(value)
                if not content:
                    self.say("R0706", f"the header `{name}` has no value", value.place, "remove takes a header away")
                made.append((name.lower(), content))
            given[field] = tuple(sorted(made, key=lambda one: one[0]))
        removed = change.items.get("remove")
        gone: list[str] = []
        for one in removed.items if isinstance(removed, SequenceNode) else ():
            assert isinstance(one, Scalar)
            self.header_name(one.text, one.place, seen, of)
            gone.append(one.text.lower())
        return HeaderChange(given["add"], given["set"], tuple(sorted(gone)))

    def header_name(self, name: str, place: Place, seen: dict[str, str], of: str) -> None:
        lowered = name.lower()
        if not is_header(name):
            self.say("R0706", f"`{name}` is no header's name", place)
        elif lowered == "host" or lowered.startswith((":", "x-envoy-")):
            self.say("R0706", f"the header `{name}` is the proxy's own", place, "rewrite: {host: …} changes the Host")
        elif of == "response" and lowered == "server":  # Envoy writes its own last (server_header_transformation)
            self.say("R0706", "the proxy writes its own name into `server`, whatever it was", place, "remove this")
        elif lowered in seen:
            self.say("R0706", f"the header `{lowered}` is changed twice", place)
        seen[lowered] = name

    def cors(self, node: MappingNode | None) -> Cors | None:
        if node is None:
            return None
        self.use("cors", node.place)
        data = node.data
        origins = tuple(data["allowOrigins"])
        credentials = data.get("allowCredentials", False)
        if credentials and "*" in origins:
            hint = "name the origins"
            self.say("R0706", "browsers take no credentials where any origin is allowed", node.place, hint)
        for scalar in _scalars(node.items["allowOrigins"]):
            scheme, separator, host = scalar.text.partition("://")
            if scalar.text != "*" and not (separator and scheme in ("http", "https") and is_host(host)):
                hint = "https://shop.example.com, or *"
                self.say("R0706", f"`{scalar.text}` is no origin", scalar.place, hint)
        for field in ("allowHeaders", "exposeHeaders"):
            for scalar in _scalars(node.items.get(field)):
                if scalar.text != "*" and not is_header(scalar.text):
                    self.say("R0706", f"`{scalar.text}` is no header's name", scalar.place)
        age = node.items.get("maxAge")
        if isinstance(age, Scalar) and nanoseconds(age.text) % 10**9:
            self.say("R0706", f"`{age.text}` is no whole number of seconds", age.place)
        return Cors(
            origins=origins,
            methods=tuple(data.get("allowMethods", ())),
            headers=tuple(data.get("allowHeaders", ())),
            expose=tuple(data.get("exposeHeaders", ())),
            max_age=nanoseconds(age.text) // 10**9 if isinstance(age, Scalar) else None,
            credentials=credentials,
        )

    def mirror(self, route: Route, own: SetPlan | None) -> Mirror | None:
        if route.mirror is None:
            return None
        self.use("mirror", route.mirror.place)
        if not route.mirror.kind:
            self.say("R0202", "a mirror names nothing", route.mirror.place, "one of: island, service, host")
            return None
        backend = self.destinations.one(route.mirror, own)
        if backend is not None and backend.authority:
            self.use("mirror.host", route.mirror.place)
        return Mirror(backend, route.mirror.node.data.get("percent", 100)) if backend is not None else None

    def fault(self, node: MappingNode | None) -> Fault | None:
        if node is None:
            return None
        self.use("fault", node.place)
        abort, delay = node.data.get("abort", {}), node.data.get("delay", {})
        wait = node.get("delay", "duration")
        if wait is not None and not nanoseconds(wait.data):
            self.say("R0706", "a delay of no time", wait.place, "leave `delay` out")
        return Fault(
            status=abort.get("status", 0),
            abort_percent=abort.get("percent", 100) if abort else 0,
            delay=delay.get("duration", ""),
            delay_percent=delay.get("percent", 100) if delay else 0,
        )

    def redirect(self, route: Route, node: MappingNode) -> Redirect:
        data = node.data
        host = node.items.get("host")
        if isinstance(host, Scalar):
            self.texts.host(host)
        for field in ("path", "prefix"):
            scalar = node.items.get(field)
            if isinstance(scalar, Scalar):
                self.texts.path(scalar, "exact")
        if "path" in data and "prefix" in data:
            self.say("R0205", "a redirect to a path and to a prefix at once", node.key_place("prefix"))
        if not any(data.get(field) for field in ELSEWHERE):
            self.say("R0205", "a redirect that leads nowhere else", node.place, f"one of: {', '.join(ELSEWHERE)}")
        exact = bool(route.matches) and all(match.path and match.path[0] == "exact" for match in route.matches)
        if "prefix" in data and not exact:
            self.use("redirect.prefix", node.key_place("prefix"))
        if data.get("stripQuery"):
            self.use("redirect.stripQuery", node.key_place("stripQuery"))
        return Redirect(
            scheme=data.get("scheme", ""),
            host=data.get("host", ""),
            port=data.get("port", 0),
            path=data.get("path", ""),
            prefix=data.get("prefix", ""),
            status=data.get("status", 301),
            strip_query=data.get("stripQuery", False),
        )

    def response(self, node: Node) -> Respond:
        if not isinstance(node, MappingNode):
            return Respond(node.data, ())
        body = node.items.get("body")
        if not isinstance(body, Scalar):
            return Respond(node.data["status"], ())
        if len(body.text.encode()) > MAX_BODY:
            self.say("R0706", f"a body of more than {MAX_BODY:,} bytes", body.place, "Envoy takes no longer one")
        return Respond(node.data["status"], self.texts.text(body))


def _scalars(node: Node | None) -> Iterable[Scalar]:
    if isinstance(node, SequenceNode):
        yield from (one for one in node.items if isinstance(one, Scalar))
