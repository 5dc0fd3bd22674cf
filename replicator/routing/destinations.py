"""Where requests go: destinations of routes to backends, by the plan of islands and the interfaces of their Types."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from replicator import names
from replicator.binder import BoundSet
from replicator.context import ISLAND_NAME, Context, not_offered
from replicator.diagnostics import Diagnostic, Place, Related, nearest
from replicator.expander.islands import Island, Plan, SetPlan, island_place
from replicator.expression.values import Failure, kind_of
from replicator.model import Destination, External, FunctionCall, Route, Routing, Serverless, TypePort
from replicator.parser.source import Scalar
from replicator.routing.rules import Aws, Azure, Backend, Function, Gcp, Knative, SecretName, Target
from replicator.routing.texts import Texts
from replicator.sources import WEIGHT, OnlyOf, Ruled, assemble
from replicator.tree import Hole, Leaf, Text, text

MAX_WEIGHTS = 2**32 - 1  # of one weighted cluster in Envoy, together
NO_ACTIVE = "say state: active for an island, or leave the route out"
HTTPS, HTTP = 443, 80
KOURIER = "kourier-system/kourier-internal"  # Knative's ingress unless another is named

# The fields by which an author tells functions apart: their objects are named after them.
_NAMED_AFTER = {
    "aws": ("region", "function", "qualifier"),
    "azure": ("app", "function"),
    "gcp": ("host",),
    "knative": ("service",),
}

Use = Callable[..., None]


class Reader(NamedTuple):
    """How the texts of a function are read: `raw` is the text with its holes, `ruled` has it judged by a rule."""

    raw: Callable[[Scalar], Text]
    ruled: Callable[[Text, names.Rule, Place], Text]


class Destinations:
    """The backends that a Routing's destinations name; `use` is told of what not every provider can do."""

    def __init__(self, routing: Routing, plan: Plan, bound: Mapping[str, BoundSet], texts: Texts, use: Use) -> None:
        self.routing = routing
        self.plan = plan
        self.contexts = {name: Context(one.plan, {}) for name, one in bound.items()}
        self.texts = texts
        self.say = texts.say
        self.use = use

    def set_of(self, scalar: Scalar) -> SetPlan | None:
        plan = self.plan.sets.get(scalar.text)
        if plan is None:
            hint = nearest(scalar.text, self.plan.sets)
            self.say("R0701", f"there is no IslandSet `{scalar.text}`", scalar.place, hint)
        return plan

    def targets(self, destination: Destination, route: Route, own: SetPlan | None) -> Iterator[Target]:
        """The targets of an entry of `to`; `own` is the Set that the route is of, with `island` in scope."""
        port = destination.port or route.port
        if destination.kind == "spread":
            assert destination.target is not None
            plan = self.set_of(destination.target)
            if plan is not None:
                yield from self._spread(plan, port, destination, route)
            return
        if destination.kind == "island":
            island = self._island(destination)
            if island is None or not self._serves(island, destination, route.weighted):
                return
            backend = self.of_island(island, port, destination.place)
        else:
            backend = self.elsewhere(destination, port, own)
        if backend is not None:
            yield Target(backend, destination.weight)

    def elsewhere(self, destination: Destination, port: Scalar | None, own: SetPlan | None) -> Backend | None:
        """The backend of a destination that is no island: a Service, a host, a function; or one for each island."""
        if destination.kind == "service":
            return self._service(destination, port)
        if destination.kind == "host":
            made = self._host(destination, port)
        else:
            assert destination.function is not None
            made = self._function(destination.function, destination.place)
        if made is not None and own is not None and _differs(made):
            return made._replace(over=own.path)
        return made

    def one(self, destination: Destination, own: SetPlan | None) -> Backend | None:
        """The one backend of a mirror."""
        if destination.kind != "island":
            return self.elsewhere(destination, destination.port, own)
        island = self._island(destination)
        if island is None or not self._serves(island, destination):
            return None
        backend = self.of_island(island, destination.port, destination.place)
        if backend is not None and backend.function is not None:
            self.no_copies(island, destination.place)
            return None
        return backend

    def no_copies(self, island: Island, place: Place) -> None:
        """Say that an island, which is a function, gets no copies of requests."""
        message = f"the island `{island.path}` is a function, which is called by a Host of its own"
        related = Related("it is this island", island_place(island))
        self.say("R0708", message, place, "copies keep theirs: mirror to a Service or a host", related)

    # Islands

    def _island(self, destination: Destination) -> Island | None:
        assert destination.target is not None
        return self.named(self.texts.static(destination.target), destination.target.place)

    def named(self, name: str, place: Place) -> Island | None:
        """The island of a path; where there is none, an error says so."""
        island = self.plan.island(name)
        if island is not None:
            return island
        known, _, key = name.partition("/")
        plan = self.plan.sets.get(known)
        if not key:
            hint = "an island is SET/KEY; all islands of a Set are `spread: SET`"
        elif plan is None:
            hint = nearest(known, self.plan.sets)
        else:
            hint = nearest(key, [island.key for island in plan.islands[:1000]])
        self.say("R0701", f"there is no island `{name}`", place, hint)
        return None

    def _serves(self, island: Island, destination: Destination, weighted: bool = False) -> bool:
        """Whether an island that is named gets requests: in a weighted list, those that are not active are left out."""
        if island.state == "active":
            return True
        if weighted:
            return False
        related = Related(f"it is {island.state}", island_place(island))
        message = f"the island `{island.path}` is {island.state}"
        if island.state == "drained":
            self.say("R0709", f"{message}: nobody would answer", destination.place, "lead to another island", related)
            return False
        hint = "lead to another island before it is drained"
        warned = Diagnostic("R0709", message, destination.place, hint=hint, related=(related,), severity="warning")
        self.texts.found.append(warned)
        return True

    def _spread(self, plan: SetPlan, port: Scalar | None, destination: Destination, route: Route) -> Iterator[Target]:
        if route.weighted:
            message = "a spread has its islands' weights: it cannot stand in a weighted list"
            self.say("R0205", message, destination.place, "name the islands, or the spread alone")
            return
        cases = plan.cases()
        left_out = {case for case in cases if not case.startswith("active/")}
        serving = [island for island in plan.islands if island.case not in left_out] if left_out else plan.islands
        shares = [island.weight for island in serving]
        weights = set(shares)
        if sum(shares) > MAX_WEIGHTS:
            self.say("R0705", f"the weights add up to more than {MAX_WEIGHTS:,}", destination.place)
        if not any(weights):
            message = f"the weights of all {'active ' if left_out else ''}islands are zero"
            hint = "give an island a `weight`"
            if not weights and left_out:
                message, hint = "no island is active", NO_ACTIVE
            elif not weights:
                message, hint = "the Set has no islands", "give the Set an island, or leave the route out"
            self.say("R0705", f"{message}: nobody would get a request", destination.place, hint)
            return
        backends = self.of_set(plan, port, destination.place, [case for case in cases if case not in left_out])
        if not backends:
            return
        usual = next(iter(backends.values()))
        others: list[tuple[str, Backend | None]] = [(case, None) for case in left_out]
        others += ((case, backend) for case, backend in backends.items() if backend is not usual)
        weight = Hole("int", WEIGHT) if len(weights) > 1 else weights.pop()
        yield Target(usual, weight, plan.path, tuple(sorted(others, key=lambda one: one[0])))

    def of_set(self, plan: SetPlan, port: Scalar | None, place: Place, cases: list[str]) -> dict[str, Backend]:
        """The backends of the islands of a Set, by their case; those in the cluster come first."""
        made: dict[str, Backend] = {}
        found: dict[str, Backend] = {}
        for case in sorted(cases, key=lambda one: one.partition("/")[2]):
            implementation = case.partition("/")[2]
            if implementation not in made:
                backend = self._of_implementation(plan, port, place, implementation)
                if backend is None:
                    return {}
                made[implementation] = backend._replace(over=plan.path)
            found[case] = made[implementation]
        return found

    def of_island(self, island: Island, port: Scalar | None, place: Place) -> Backend | None:
        """The backend of one island, whatever its implementation."""
        backend = self._of_implementation(island.plan, port, place, island.implementation)
        if backend is None:
            return None
        try:
            return fixed(backend, island)
        except Failure as failure:
            self.texts.found.append(failure.at(place))
            return None

    def _port(self, plan: SetPlan, port: Scalar | None, place: Place) -> TypePort | None:
        declared = plan.type.ports
        if port is None and len(declared) == 1:
            return next(iter(declared.values()))
        if port is not None and port.text in declared:
            return declared[port.text]
        message = f"the Type `{plan.type.name}` has no port `{port.text}`" if port else "which port?"
        hint = nearest(port.text if port else "", declared) if declared else f"`{plan.type.name}` declares no `ports`"
        self.say("R0303", message, port.place if port else place, hint)
        return None

    def _of_implementation(
        self, plan: SetPlan, port: Scalar | None, place: Place, implementation: str
    ) -> Backend | None:
        """The backend of the islands of a Set that have an implementation, in the scope of the island."""
        backend = self._reached(plan, port, place, implementation)
        every = plan.cases()
        of = frozenset(case for case in every if case.partition("/")[2] == implementation)
        return backend._replace(cases=of if len(of) < len(every) else frozenset()) if backend is not None else None

    def _reached(self, plan: SetPlan, port: Scalar | None, place: Place, implementation: str) -> Backend | None:
        known = plan.type.implementations.get(implementation)
        if isinstance(known, Serverless) and port is None and len(plan.type.ports) != 1:
            made = self._serverless(plan, known, text(f"{self.routing.name}-", ISLAND_NAME), place)
            return made._replace(of=plan.path) if made is not None else None
        offered = self._port(plan, port, place)
        if offered is None:
            return None
        full = text(f"{self.routing.name}-", ISLAND_NAME, f"-{offered.name}")
        of = f"{plan.path} {offered.name}"
        if isinstance(known, Serverless):
            made = self._serverless(plan, known, full, place)
            return made._replace(of=of) if made is not None else None
        if not plan.root.own_namespaces and not plan.namespace:
            related = Related("this Set has none", plan.model.metadata.name_node.place)
            message = "a route to an island needs the namespace of its Set"
            self.say("R0704", message, place, "metadata: {namespace: …}", related)
            return None
        if (spoken := _protocol(plan, offered)) != "TCP":
            message = f"the port `{offered.name}` speaks {spoken}; HTTP needs TCP"
            self.say("R0303", message, port.place if port else place)
            return None
        http2 = _speaks_http2(plan, offered)
        context = self.contexts[plan.path]
        if known is not None:
            return self._external(plan, known, offered, Backend(full, place, http2=http2, of=of))
        service, number = context.offered(offered)
        unit = offered.unit.text if offered.unit is not None else ""
        return Backend(full, place, service, context.namespace, number, http2, of=of, unit=unit)

    def _external(self, plan: SetPlan, known: External, port: TypePort, backend: Backend) -> Backend | None:
        """An island outside of the cluster: its host, for a proxy has no endpoints of its Services."""
        self.use("host", backend.place, inside=known.place)
        first = next(island for island in plan.islands if island.implementation == known.name)
        failure = not_offered(first, port)
        if failure is not None:
            self.texts.found.append(failure.at(backend.place))
            return None
        context = self.contexts[plan.path]
        _, number = context.offered(port, known.name)
        host = self._only(context.text(known.host), known.name, names.HOST, backend.place)
        leaf = number
        if isinstance(number.value, Hole):
            source = OnlyOf(known.name, number.value.source, HTTPS)
            self.texts.places[source] = backend.place
            leaf = Leaf(Hole(number.value.kind, source), number.origin)
        return backend._replace(host=host, port=leaf, tls=known.tls, authority=host)

    def _serverless(self, plan: SetPlan, known: Serverless, full: Text, place: Place) -> Backend | None:
        context = self.contexts[plan.path]
        before = len(context.found)

        def ruled(content: Text, rule: names.Rule, place: Place) -> Text:
            return self._only(content, known.name, rule, place)

        namespace = context.namespace or (self.routing.metadata.namespace,)
        made = self._called(known.call, full, place, Reader(context.text, ruled), namespace, known.place)
        self.texts.found += context.found[before:]
        return made

    def _only(self, content: Text, implementation: str, rule: names.Rule, place: Place) -> Text:
        """A text of those islands of a Set that have an implementation: it is not asked of the others."""
        if all(isinstance(part, str) for part in content):
            return self.texts.ruled(content, rule, place)
        source = OnlyOf(implementation, Ruled(content, rule), "")
        self.texts.places[source] = place
        return (Hole("text", source),)

    # What is no island

    def _service(self, destination: Destination, port: Scalar | None) -> Backend | None:
        assert destination.target is not None
        name = self.texts.static(destination.target)
        namespace, slash, service = name.rpartition("/")
        if not slash:
            namespace = self.routing.metadata.namespace or "x"
        if not names.is_label_1035(service) or not names.is_label(namespace):
            self.say("R0304", f"`{name}` is no Service's name", destination.target.place, "NAME or NAMESPACE/NAME")
            return None
        number = self._number(port, destination)
        full = f"{self.routing.name}-{namespace}-{service}-{number}"
        return Backend((full,), destination.place, (service,), (namespace,), Leaf(number)) if number else None

    def _number(self, port: Scalar | None, destination: Destination) -> int:
        if port is None or kind_of(port.data) != "int" or not 0 < port.data < 65536:
            place = port.place if port else destination.place
            self.say("R0303", f"a {destination.kind}'s port is a number from 1 to 65535", place, "port: 8080")
            return 0
        return int(port.data)

    def _host(self, destination: Destination, port: Scalar | None) -> Backend | None:
        assert destination.target is not None
        self.use("host", destination.place)
        raw = self.texts.text(destination.target)
        host = self.texts.ruled(raw, names.HOST, destination.target.place)
        number = (HTTPS if destination.tls else HTTP) if port is None else self._number(port, destination)
        if not number:
            return None
        full = self._named(raw, (str(number),))
        return Backend(full, destination.place, port=Leaf(number), host=host, tls=destination.tls, authority=host)

    def _function(self, call: FunctionCall, place: Place) -> Backend | None:
        reader = Reader(self.texts.text, self.texts.ruled)
        fields = (call.node.items.get(field) for field in _NAMED_AFTER[call.vendor])
        full = self._named(*(self.texts.text(one) for one in fields if isinstance(one, Scalar)))
        return self._called(call, full, place, reader, (self.routing.metadata.namespace,))

    def _named(self, *parts: Text) -> Text:
        """The name of a backend that is no island; where it is another for each island, the island's name is in it."""
        written = "-".join("".join(part for part in one if isinstance(part, str)) for one in parts)
        slug = re.sub("[^a-z0-9]+", "-", written.lower()).strip("-")
        if any(isinstance(part, Hole) for one in parts for part in one):
            return text(f"{self.routing.name}-", ISLAND_NAME, f"-{slug}" if slug else "")
        return (f"{self.routing.name}-{slug}",)

    def _called(
        self,
        call: FunctionCall,
        full: Text,
        place: Place,
        reader: Reader,
        namespace: Text,
        inside: Place | None = None,
    ) -> Backend | None:
        """The backend of a function; `namespace` is that of a Knative Service which names none.

        `inside` is where the implementation is written that it is.
        """
        fields = call.node.items

        def use(feature: str) -> None:
            self.use(feature, place, inside=inside)

        def value(field: str, rule: names.Rule) -> Text:
            node = fields.get(field)
            return reader.ruled(reader.raw(node), rule, node.place) if isinstance(node, Scalar) else ()

        data = call.node.data
        backend = Backend(full, place, port=Leaf(HTTPS), tls=True)
        function: Function
        if call.vendor == "aws":
            url = value("url", names.HOST)
            use("function.aws.url" if url else "function.aws")
            if "account" in data or "role" in data:
                use("function.aws.account")
            if not url and "account" not in data:
                use("function.aws.unaccounted")
            role = fields.get("role")
            if isinstance(role, Scalar):
                self.texts.ruled((role.text,), names.ROLE, role.place)
            function = Aws(
                region=value("region", names.REGION),
                function=value("function", names.LAMBDA),
                qualifier=value("qualifier", names.QUALIFIER),
                account=data.get("account", ""),
                role=data.get("role", ""),
                secret=self.secret(fields.get("secret")),
                asynchronous=data.get("invocation") == "async",
                url=url,
            )
            return backend._replace(function=function, host=url, authority=url)
        if call.vendor == "azure":
            level: Any = data.get("authLevel", "Function")
            use("function.azure.anonymous" if level == "Anonymous" else "function.azure")
            app = value("app", names.AZURE_APP)
            function = Azure(app, value("function", names.AZURE_FUNCTION), level, self.secret(fields.get("secret")))
            host = text(app, ".azurewebsites.net")
            return backend._replace(function=function, host=host, authority=host)
        if call.vendor == "gcp":
            use("function.gcp.audience" if "audience" in data else "function.gcp")
            host = value("host", names.HOST)
            return backend._replace(function=Gcp(value("audience", names.NOT_EMPTY)), host=host, authority=host)
        use("function.knative")
        return self._knative(call, backend, reader, namespace)

    def _knative(self, call: FunctionCall, backend: Backend, reader: Reader, namespace: Text) -> Backend | None:
        """A Knative Service is reached through the cluster-local ingress, by its own Host.

        knative/serving: its Kubernetes Service is only a name for that ingress (pkg/reconciler/route/resources).
        """
        scalar = cast(Scalar, call.node.items["service"])
        service = reader.raw(scalar)
        for at, part in enumerate(service):
            if isinstance(part, str) and "/" in part:
                before, _, after = part.partition("/")
                given = text(service[:at], before)
                namespace = reader.ruled(given, names.NAMESPACE, scalar.place)
                service = text(after, service[at + 1 :])
                break
        service = reader.ruled(service, names.SERVICE, scalar.place)
        ingress = call.node.items.get("ingress")
        where, slash, name = (ingress.data if ingress is not None else KOURIER).partition("/")
        if ingress is not None and not (slash and names.is_label(where) and names.is_label_1035(name)):
            self.say("R0304", f"`{ingress.data}` is no Service's name", ingress.place, "NAMESPACE/NAME")
            return None
        number = Leaf(call.node.data.get("port", HTTP))
        authority = text(service, ".", namespace, ".svc.cluster.local")
        return backend._replace(
            function=Knative(), service=(name,), namespace=(where,), port=number, tls=False, authority=authority
        )

    def secret(self, node: Any) -> SecretName | None:
        """A Secret by its name: in the Routing's namespace unless it says another."""
        if not isinstance(node, Scalar):
            return None
        namespace, slash, name = node.text.rpartition("/")
        if not names.is_subdomain(name) or (slash and not names.is_label(namespace)):
            self.say("R0304", f"`{node.text}` is no Secret's name", node.place, "NAME or NAMESPACE/NAME")
        return SecretName(name, namespace if slash else self.routing.metadata.namespace)


def fixed(backend: Backend, island: Island) -> Backend:
    """The backend of one island, with all that is known of it put in. Raises `Failure`."""

    def known(value: Any) -> Any:
        if isinstance(value, Leaf):
            return Leaf(value.value.source.value(island), value.origin) if isinstance(value.value, Hole) else value
        if isinstance(value, tuple) and type(value) is tuple:
            joined = assemble(value, island) if any(isinstance(part, Hole) for part in value) else ""
            return (joined,) if joined else value
        return value

    made = Backend(*(known(value) for value in backend))
    if made.function is not None:
        made = made._replace(function=type(made.function)(*(known(value) for value in made.function)))
    return made._replace(island=island.path)


def _differs(backend: Backend) -> bool:
    """Whether a backend is another one for each island."""
    values = (*backend, *(backend.function or ()))
    return any(isinstance(part, Hole) for value in values if isinstance(value, tuple) for part in value)


def _protocol(plan: SetPlan, port: TypePort) -> str:
    unit = plan.type.units.get(port.unit.text) if port.unit else None
    return unit.ports[port.port.text].protocol if unit else "TCP"


def _speaks_http2(plan: SetPlan, port: TypePort) -> bool:
    """Whether a port is declared to speak HTTP/2 without TLS, as gRPC does (KEP-3726, `appProtocol`)."""
    unit = plan.type.units.get(port.unit.text) if port.unit else None
    protocol = unit.ports[port.port.text].app_protocol if unit else None
    return protocol is not None and protocol.data in ("grpc", "http2", "kubernetes.io/h2c")
