"""Routings to neutral tables of rules: what a request must be like and where it goes, whatever the provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from replicator import names
from replicator.binder import BoundSet
from replicator.context import ISLAND_NAME
from replicator.diagnostics import Diagnostic, Place, has_errors, nearest
from replicator.expander.islands import USUAL, Island, Plan, SetPlan
from replicator.model import Route, Routing
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Scalar
from replicator.routing.actions import Actions
from replicator.routing.destinations import NO_ACTIVE, Destinations
from replicator.routing.features import column_of, refusals
from replicator.routing.gateways import gateway_of
from replicator.routing.matches import condition, names_island, tells_apart
from replicator.routing.rules import (
    EVERYTHING,
    Action,
    Aws,
    Azure,
    Backend,
    Case,
    Condition,
    Forward,
    Gateway,
    Keyed,
    Knative,
    Mirror,
    Respond,
    Rule,
    Table,
    Target,
    Tls,
    Use,
)
from replicator.routing.texts import Texts, is_host, sample
from replicator.sources import Ruled
from replicator.tree import Hole, Text, text

if TYPE_CHECKING:
    from replicator.routing.partition_rules import Part
    from replicator.routing.partitions import Ownership

MANY = 16  # destinations of a rule, and hosts of a route, in Gateway API
KEYED_BY = {"hostLabel": "partition.host", "pathSegment": "partition.path"}  # features, by where a key is
DRAINED = 503  # the status that answers for a drained island


def compile_routing(
    routing: Routing,
    plan: Plan,
    bound: Mapping[str, BoundSet],
    provider: str = "",
    partitions: Mapping[str, Ownership | None] = MappingProxyType({}),
) -> tuple[Table | None, list[Diagnostic]]:
    """The table of a Routing, for its own provider unless another is given; None where something in it is wrong.

    `partitions` are all there are by name; None is one that is wrong itself.
    """
    compiler = _Compiler(routing, plan, bound, provider or routing.provider, partitions)
    table = compiler.table()
    found = [*compiler.texts.found, *refusals(compiler.uses, table.column)]
    return (table if all(one.severity != "error" for one in found) else None), found


class _Compiler:
    def __init__(
        self,
        routing: Routing,
        plan: Plan,
        bound: Mapping[str, BoundSet],
        provider: str,
        partitions: Mapping[str, Ownership | None],
    ) -> None:
        self.routing = routing
        self.partitions = partitions
        self.plan = plan
        self.provider = provider
        self.settings = routing.settings[provider]
        self.column = column_of(provider, self.settings)
        self.uses: list[Use] = []
        self.texts = Texts(plan.routing_params[routing.name])
        self.say = self.texts.say
        self.destinations = Destinations(routing, plan, bound, self.texts, self.use)
        self.act = Actions(self.texts, self.destinations, self.use)
        self.whole = self.destinations.set_of(routing.each) if routing.each is not None else None
        self.over: set[str] = set()
        self.spare: list[Backend] = []

    def use(self, feature: str, place: Place, detail: str = "", inside: Place | None = None) -> None:
        self.uses.append(Use(feature, place, detail, inside))

    def table(self) -> Table:
        routing = self.routing
        metadata = routing.metadata
        if not metadata.namespace:
            hint = "metadata: {namespace: …}: routes name Services and hosts across namespaces"
            self.say("R0704", "a Routing needs a namespace", metadata.name_node.place, hint)
        upstreams = routing.node.get("spec", "gloo", "namespace")
        if upstreams is not None and not names.is_label(upstreams.data):
            self.say("R0304", f"`{upstreams.data}` is no namespace's name", upstreams.place)
        rules = [rule for route in routing.routes for rule in self.rules(route)]
        gateway = self.gateway()
        hosts = self.hosts()
        over = self.whole.path if self.whole is not None else ""
        return Table(
            name=routing.name,
            namespace=metadata.namespace,
            labels=metadata.labels,
            provider=self.provider,
            column=self.column,
            settings=self.settings,
            hosts=hosts,
            rules=tuple(rules),
            place=metadata.name_node.place,
            places=self.texts.places,
            over=over,
            gateway=gateway,
            tls=self.tls(gateway),
            delegation=routing.delegation,
            islands={path: self.plan.sets[path].islands for path in self.sets(over)},
            object_name=text(f"{routing.name}-", ISLAND_NAME) if over else (routing.name,),
            uses=tuple(self.uses),
            tests=tuple(self.test(node) for node in routing.tests),
            spare=tuple(self.spare),
        )

    def sets(self, over: str) -> list[str]:
        """The Sets whose islands the table is asked for: of islands inside namespaces of others, those others too."""
        found = self.over | ({over} if over else set())
        around = {self.plan.sets[path].root for path in found}
        return sorted(found | {root.path for root in around if root.own_namespaces})

    def hosts(self) -> tuple[Text, ...]:
        hosts: dict[Text, Text] = {}
        before: list[str] = []
        for scalar in self.routing.hosts:
            host = self.texts.text(scalar)
            shown = sample(host, "x")
            if not is_host(shown):
                self.say("R0706", f"`{shown}` is no host", scalar.place, "shop.example.com, or *.example.com")
            elif self.whole is not None and not names_island(host, self.whole):
                hint = "use {{ island.key }} in it" if self.whole.above is None else "use {{ island.name }} in it"
                self.say("R0703", "every island would have this host", scalar.place, hint)
            if any(isinstance(part, Hole) for part in host):
                host = (Hole("text", Ruled(host, names.VIRTUAL_HOST)),)
                self.texts.places.update({part.source: scalar.place for part in host if isinstance(part, Hole)})
            lowered = text(*(part.lower() if isinstance(part, str) else part for part in host))
            if lowered in hosts:
                self.say("R0707", f"the host `{shown}` is written twice", scalar.place, "remove one of them")
            hosts[lowered] = host
            if shown == "*":
                self.use("hosts.any", scalar.place)
            if ":" in shown:
                self.use("hosts.port", scalar.place)
            if any(_contains(one, shown) or _contains(shown, one) for one in before):
                self.use("hosts.overlap", scalar.place)
            before.append(shown)
        if len(hosts) > MANY:
            self.use("hosts.many", self.routing.hosts[MANY].place)
        return tuple(hosts.values())

    def gateway(self) -> Gateway | None:
        node = self.routing.gateway
        if node is None:
            if not (self.provider == "istio" and self.settings.get("mesh")):
                self.use("gateway.none", self.routing.metadata.name_node.place)
            return None
        data = node.data
        create = node.items.get("create")
        place = node.place
        if create is None and "name" not in data:
            self.say("R0202", 'missing field "name"', place, "the Gateway that exists, or create: {…}")
        if create is not None and "section" in data:
            self.say(
                "R0205",
                "`section` and `create` at once",
                node.key_place("section"),
                "a Gateway that is made has its own",
            )
        if "section" in data:
            self.use("gateway.section", node.key_place("section"))
        for field, fits in (("name", names.is_subdomain), ("namespace", names.is_label)):
            if field in data and not fits(data[field]):
                self.say("R0304", f"`{data[field]}` is no {field} of a Gateway", node.items[field].place)
        made = create.data if isinstance(create, MappingNode) else {}
        if create is not None:
            self.use("gateway.create", place)
            if "class" not in made:
                self.use("gateway.class", create.place)
        return gateway_of(self.routing, self.provider)

    def tls(self, gateway: Gateway | None) -> Tls | None:
        node = self.routing.tls
        if node is None:
            return None
        self.use("tls" if gateway is not None and gateway.create else "tls.existing", node.place)
        secret = self.destinations.secret(node.items["secret"])
        assert secret is not None
        return Tls(secret, node.data.get("redirect", False), node.place)

    def test(self, node: MappingNode) -> Case:
        """A test, whose request is one, and which expects what there is."""
        from replicator.routing.requests import BadRequest, request

        given, expected = node.items["request"], node.items["expect"]
        assert isinstance(given, MappingNode) and isinstance(expected, MappingNode)
        headers = given.items.get("headers")
        values = [
            (name, value.text)
            for name, value in (headers.items.items() if isinstance(headers, MappingNode) else ())
            if isinstance(value, Scalar)
        ]
        if self.whole is not None and "host" not in given.items:
            self.say("R0202", 'missing field "host"', given.place, "each island has a host of its own")
        method, path = given.data.get("method", "GET"), given.data.get("path", "/")
        try:
            request(method, "http", given.data.get("host", "any"), path, values)
        except BadRequest as error:
            self.say("R0706", str(error), given.place)
        island, spread, route = (expected.items.get(field) for field in ("island", "spread", "route"))
        if isinstance(island, Scalar):
            self.destinations.named(island.text, island.place)
        if isinstance(spread, Scalar):
            self.destinations.set_of(spread)
            if island is not None:
                self.say("R0205", "one island and all of them at once", spread.place, "either `island` or `spread`")
        names_of_routes = [one.name for one in self.routing.routes if one.name]
        if isinstance(route, Scalar) and route.text not in names_of_routes:
            hint = nearest(route.text, names_of_routes)
            self.say("R0701", f"there is no route `{route.text}`", route.place, hint)
        data = {**given.data, "method": method, "path": path, "headers": dict(values)}
        return Case(node.data.get("name", ""), data, expected.data, node.place)

    # Rules

    def rules(self, route: Route) -> Iterator[Rule]:
        """The rules of a route: one, or those of the lines of a Partition."""
        if any(one.kind == "partition" for one in route.to):
            yield from self.partitioned(route)
        elif (rule := self.rule(route)) is not None:
            yield rule

    def rule(self, route: Route) -> Rule | None:
        each = self.destinations.set_of(route.each) if route.each else None
        if route.each and each is None:
            return None
        if route.each and self.routing.each is not None:
            message = "the whole Routing is one of each island already"
            self.say("R0205", message, route.each.place, "remove `each` here, or from the Routing")
            return None
        if route.each and self.routing.delegation != "none":
            self.names_objects(route)
            for match in route.matches:
                if match.path is not None and match.path[0] == "regex" and not match.path[1].text.startswith("/"):
                    self.use("delegation.regex", match.path[1].place)
        conditions = tuple(condition(match, self.texts, self.use) for match in route.matches) or (EVERYTHING,)
        if each is not None and len(each.islands) > 1 and not any(tells_apart(one, each) for one in conditions):
            hint = "use {{ island.key }} in its match" if each.above is None else "use {{ island.name }} in its match"
            message = "the first island of this route hides all the others: its match is the same for all"
            self.say("R0703", message, route.place, hint)
        own = each or self.whole
        actions = self.actions(route, own)
        if not actions or (own is not None and not own.islands):
            return None
        if own is not None:
            self.over.add(own.path)
        usual = actions.get(USUAL, next(iter(actions.values())))
        return Rule(
            name=text(f"{route.name}-", ISLAND_NAME) if each and route.name else text(route.name),
            conditions=conditions,
            action=usual,
            rewrite=self.act.rewrite(route),
            over=each.path if each else "",
            place=route.place,
            route=route.name,
            cases=tuple((case, action) for case, action in actions.items() if action != usual),
            matches=tuple(match.place for match in route.matches),
            fields={field: route.node.key_place(field) for field in route.node.items},
        )

    def partitioned(self, route: Route) -> Iterator[Rule]:
        """The rules of a route to a Partition: those of each island that serves keys, and that of all other keys."""
        from replicator.routing.partition_rules import parts, regular

        named = next(one for one in route.to if one.kind == "partition")
        assert named.target is not None
        name = self.texts.static(named.target)
        if route.weighted or route.each is not None:
            message = "a Partition gives each key to one island: it stands in no list, nor in a route of each island"
            self.say("R0205", message, named.place, "a route of its own: to: {partition: …}")
            return
        if name not in self.partitions:
            self.say("R0701", f"there is no Partition `{name}`", named.target.place, nearest(name, self.partitions))
            return
        owned = self.partitions[name]
        if owned is None:
            return
        base = [(condition(match, self.texts, self.use), match.place) for match in route.matches]
        base = base or [(EVERYTHING, route.place)]
        if route.rewrite is not None and any(stage.source.kind == "pathSegment" for stage in owned.stages):
            message = "a path that has the key cannot be rewritten: its prefix is not the same for all keys"
            self.say("R0708", message, route.node.key_place("rewrite"), "let the islands take the path as it comes")
            return
        for stage in owned.stages:
            self.use(KEYED_BY.get(stage.source.kind, "partition"), stage.source.place)
        port = named.port or route.port
        found: dict[str, Backend | None] = {}

        def backend_of(island: Island) -> Backend | None:
            if island.path not in found:
                found[island.path] = self.destinations.of_island(island, port, named.place)
            return found[island.path]

        forward: Forward | None = None
        for part in parts(f"{route.place.line}:{route.place.column}", owned, base, self.column, self.say):
            backend = backend_of(part.island)
            if backend is None:
                continue
            forward = forward or self.act.forward(route, (Target(backend, 1),), None)
            if forward is None:
                return
            for feature in dict.fromkeys(regular(part.conditions)):
                self.use(feature, part.stage.source.place)
            action = forward._replace(targets=(Target(backend, 1),))
            if part.mirror is not None:
                action = action._replace(mirror=self.copies(route, part, backend_of(part.mirror)))
            first = part.lines[0]
            yield self.keyed_rule(
                route, part.conditions, action, first.place, part.name, Keyed(owned, part.stage.name, part.lines)
            )
        self.spare += [one for island in owned.islands() if (one := backend_of(island)) is not None]
        everything = tuple(one for one, _ in base)
        written = owned.answer
        if written is not None:
            self.use("respond", written.place)
            answer = self.act.response(written)
            yield self.keyed_rule(route, everything, answer, written.place, "otherwise", Keyed(owned))
        elif owned.otherwise is not None and (backend := backend_of(owned.otherwise)) is not None:
            served = self.act.forward(route, (Target(backend, 1),), None)
            if served is not None:
                yield self.keyed_rule(route, everything, served, named.place, "otherwise", Keyed(owned))

    def keyed_rule(
        self, route: Route, conditions: tuple[Condition, ...], action: Action, place: Place, part: str, keyed: Keyed
    ) -> Rule:
        return Rule(
            name=text(f"{route.name}-{part}") if route.name else (),
            conditions=conditions,
            action=action,
            rewrite=self.act.rewrite(route),
            over="",
            place=place,
            route=route.name,
            matches=(place,) * len(conditions),
            fields={field: route.node.key_place(field) for field in route.node.items},
            part=part,
            keyed=keyed,
        )

    def copies(self, route: Route, part: Part, backend: Backend | None) -> Mirror | None:
        """What of a move in its first phase goes to the island that gets the keys."""
        assert part.mirror is not None
        move = next(line.move for line in part.lines if line.move is not None)
        place = move.node.place
        self.use("mirror", place)
        if route.mirror is not None:
            message = "this route has a mirror of its own, and a move of its Partition needs one"
            self.say("R0205", message, route.node.key_place("mirror"), "take it out until the move is done")
        if backend is None:
            return None
        if backend.function is not None:
            self.destinations.no_copies(part.mirror, move.target.place)
            return None
        if backend.authority:
            self.use("mirror.host", place)
        return Mirror(backend, 100)

    def names_objects(self, route: Route) -> None:
        """A route that is delegated to objects of its own names them."""
        if not route.name:
            hint = "name: by-path; the objects that the route is delegated to are named after it"
            self.say("R0202", 'missing field "name"', route.place, hint)
        elif not names.is_label(route.name):
            message = f"`{route.name}` is no part of an object's name"
            self.say("R0304", message, route.node.items["name"].place, "a-z, 0-9 and -, as in by-path")

    # Actions

    def actions(self, route: Route, own: SetPlan | None) -> dict[str, Action]:
        """What happens to the requests of a route, by the case of the island that it is of; none where it is wrong."""
        if route.redirect is not None:
            return {USUAL: self.act.redirect(route, route.redirect)}
        if route.respond is not None:
            self.use("respond", route.respond.place)
            return {USUAL: self.act.response(route.respond)}
        if route.to or own is None:
            before = len(self.texts.found)
            targets = [target for one in route.to for target in self.destinations.targets(one, route, own)]
            if not targets and route.to and route.weighted and not has_errors(self.texts.found[before:]):
                self.say("R0705", "no island is active: nobody would get a request", route.place, NO_ACTIVE)
            self.mixture(targets, route)
            action = self.act.forward(route, tuple(targets), own) if targets else None
            return {USUAL: action} if action is not None else {}
        return self.to_own_island(route, own)

    def to_own_island(self, route: Route, own: SetPlan) -> dict[str, Action]:
        cases = own.cases()
        live = [case for case in cases if not case.startswith("drained/")]
        made: dict[str, Action] = {}
        for case, backend in self.destinations.of_set(own, route.port, route.place, live).items():
            action = self.act.forward(route, (Target(backend, 1),), own)
            if action is not None:
                made[case] = action
        for case in cases:
            if case.startswith("drained/"):
                answer = own.model.drained
                self.use("drained", answer.place if answer is not None else route.place)
                made[case] = self.act.response(answer) if answer is not None else Respond(DRAINED, ())
        return made

    def mixture(self, targets: Sequence[Target], route: Route) -> None:
        """What is special about several destinations of one route."""
        number = 0
        backends: list[Backend] = []
        for target in targets:
            if target.over:
                self.over.add(target.over)
                left_out = {case for case, backend in target.cases if backend is None}
                islands = self.plan.sets[target.over].islands
                number += sum(island.case not in left_out for island in islands) if left_out else len(islands)
            else:
                number += 1
            backends += target.backends()
        if number > MANY:
            self.use("targets.many", route.place, f"{number:,}")
        given = route.rewrite.items.get("host") if route.rewrite else None
        if len(backends) < 2 and not (targets and targets[0].over and number > 1):
            return
        calls = [backend.function for backend in backends]
        hosts = {(one.over, one.authority) for one in backends if not isinstance(one.function, (Aws, Knative))}
        if any(isinstance(call, Knative) for call in calls) and given is None:
            self.use("mixed.knative", route.place)
        elif given is None and any(authority for _, authority in hosts) and (len(hosts) > 1 or number > len(backends)):
            self.use("mixed.host", route.place)
        if any(isinstance(call, Aws) and call.url for call in calls) and given is None:
            self.use("mixed.aws", route.place)
        if any(isinstance(call, Azure) for call in calls):
            self.use("mixed.azure", route.place)


def _contains(host: str, other: str) -> bool:
    """Whether a host is a wildcard that takes another one too."""
    return host != other and host.startswith("*") and other.endswith(host[1:])
