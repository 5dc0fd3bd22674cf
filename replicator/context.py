"""What an emitter sees of a Type in a Set: texts with holes for its scalars, and the names of its objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from replicator.diagnostics import Diagnostic, Place, Related, nearest
from replicator.expander.islands import Island, Plan, SetPlan, island_place
from replicator.expression.template import Call, Expr, Path, Template, parse
from replicator.expression.values import MAX_TEXT, OMIT, STRUCTURAL, Failure, Kind, text_of
from replicator.kinds import CLUSTER_SCOPED
from replicator.model import IslandType, Resource, Serverless, TypePort, Unit
from replicator.names import Rule
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node, Scalar, Sequence
from replicator.patch import At, Unfit, merge
from replicator.scope import Scope, Unknown, island_attributes, let_kinds
from replicator.sources import (
    Around,
    Atom,
    Bounded,
    Computed,
    Inner,
    NotAbove,
    Peer,
    Ruled,
    assemble,
    in_range,
    reads,
)
from replicator.tree import Hole, Leaf, List, Map, Origin, Source, Text, Tree, leaf, text, tree

ISLAND_NAME = Hole("name", Atom(("island", "name")))
ISLAND_KEY = Hole("label", Atom(("island", "key")))
ISLAND_ZONE = Hole("text", Atom(("island", "zone")))

# `island` in the environment, arguments and command of `form: pods`: the variable that holds it, and the pod's field
# that the variable is read from (the downward API; the label is set since Kubernetes 1.28).
DOWNWARD = {
    "key": ("REPLICATOR_ISLAND_KEY", "metadata.labels['apps.kubernetes.io/pod-index']"),
    "ordinal": ("REPLICATOR_ISLAND_KEY", "metadata.labels['apps.kubernetes.io/pod-index']"),
    "name": ("REPLICATOR_ISLAND_NAME", "metadata.name"),
}


_NAMING = ("name", "host", "port", "address")

PORTS = (1, 65535)
COUNTS = (0, 2**31 - 1)


class Data(NamedTuple):
    """What the files beside the documents hold, by the identity of the scalar that names them.

    `scopes` are those of the kinds, by group and kind, that the project's CustomResourceDefinitions define.
    """

    manifests: Mapping[int, tuple[MappingNode, ...]]
    contents: Mapping[int, bytes]
    scopes: Mapping[tuple[str, str], str]


NO_DATA = Data({}, {}, {})
_NO_ITEM = object()


class Context:
    """A Type as it is bound in one Set, for one shape; or (`shared`) what stands once beside the Set's islands.

    `structure` holds the values of the expressions that decide structure; `plans` are all Sets, once their islands are
    known. What cannot be bound is collected in `found`; the result is then not to be used. Inside a `forEach`, `item`
    is the item's value, and `key` tells the item's structural values apart from those of others.
    """

    def __init__(
        self,
        plan: SetPlan,
        structure: Mapping[str, Any],
        data: Data = NO_DATA,
        shared: bool = False,
        item: Any = _NO_ITEM,
        key: str = "",
        plans: Plan | None = None,
    ) -> None:
        self.plan = plan
        self.type: IslandType = plan.type
        self.structure = structure
        self.data = data
        self.shared = shared
        self.item = item
        self.key = key
        self.plans = plans
        self.found: list[Diagnostic] = []
        self._readers: dict[tuple[str, str], Callable[[Island], str]] = {}
        self.lets: dict[str, Text | Hole] = {}
        self.let_reads: dict[str, frozenset[Path]] = {}
        self.bound: dict[Place, Scalar] = {}
        """The scalars that have been bound to texts with holes, by their places."""
        attributes = frozenset() if shared else island_attributes(plan.model)
        if plan.above is not None and (plan.namespace or plan.root.own_namespaces):
            attributes |= {"namespace"}
        above = plan.above.type if plan.above and not shared else None
        let = {} if shared else let_kinds(self.type, attributes, above)
        schema: dict[str, Any] | None = None if item is _NO_ITEM else {}
        self.scope = Scope(self.type.params, attributes, let, None if shared else self.type, schema, above)
        self.asked: list[tuple[Call, Place]] = []
        """The calls that name objects of the island, and where."""
        self.downward: set[str] | None = None
        """In `form: pods`, where the downward API can carry `island`: which of its attributes are asked for."""
        self.groups: dict[str, list[Text]] = {}
        """In `form: pods`, by unit: the ConfigMaps of the files of groups of pods, whether they exist yet or not."""
        self.by_pod = False
        """In `form: pods`, whether what is bound may differ between pods: it goes to objects that hold each pod's."""

    def for_item(self, item: Any, key: str) -> Context:
        """The context inside a `forEach`."""
        inside = Context(self.plan, self.structure, self.data, self.shared, item, key, self.plans)
        inside.asked = self.asked
        return inside

    @property
    def pods(self) -> bool:
        return self.plan.model.form == "pods"

    # Names

    def is_cluster_scoped(self, api_version: str, kind: str) -> bool:
        """Whether objects of a kind are in no namespace."""
        scope = self.data.scopes.get((api_version.rpartition("/")[0], kind))
        return kind in CLUSTER_SCOPED if scope is None else scope == "Cluster"

    def object_name(self, local: str, cluster_scoped: bool = False) -> Text:
        """The full name of an object, given its name within the island."""
        if self.shared:
            return (local,)
        if self.pods:
            return text(self.plan.path, f"-{local}")
        if self.plan.own_namespaces and not cluster_scoped:
            return (local,)
        return text(ISLAND_NAME, f"-{local}")

    @property
    def namespace(self) -> Text:
        """The namespace of the island's objects, or of the shared ones."""
        if not self.shared and self.plan.root.own_namespaces:
            return (ISLAND_NAME,) if self.plan.above is None else (Hole("label", Atom(("island", "namespace"))),)
        return text(self.plan.namespace)

    @property
    def set_name(self) -> Text:
        """The full name of the Set: of one inside an island, with the island's name before it."""
        if self.plan.above is None:
            return (self.plan.path,)
        return (Hole("name", Atom(("island", "set"))),)

    def service_name(self, unit: str) -> Text:
        """The full name of a unit's Service."""
        return text(ISLAND_NAME) if self.pods else self.object_name(unit)

    def host(self, unit: str) -> Text:
        """What other units of the island call a unit by."""
        return ("localhost",) if self.pods else self.service_name(unit)

    def port(self, unit: Unit, port: str) -> Text:
        """The number at which other units of the island reach a port, as text."""
        declared = unit.ports[port]
        return self.text(declared.container if self.pods else declared.service)

    def call(self, call: Call) -> Text:
        """The text that a call of one of the language's functions stands for."""
        if call.keywords:
            return self._linked(dict(call.keywords))
        first, *rest = call.arguments
        if call.function in ("keys", "addresses"):
            return (Hole("list", self._inner(call)),)
        if first not in self.type.units:
            return self._of_resource(call.function, first, *rest)
        if call.function == "name":
            if self.pods:
                message = "in `form: pods` a unit is a container: it has no object of its own"
                self.found.append(Diagnostic("R0404", message, self.type.units[first].place, hint="use island.name"))
            return self.object_name(first)
        if call.function == "host":
            return self.host(first)
        number = self.port(self.type.units[first], rest[0])
        return number if call.function == "port" else text(self.host(first), ":", number)

    def _of_resource(self, function: str, local: str, port: str = "") -> Text:
        """What a call that names an object of `resources` stands for. Raises `Unknown`."""
        found = [(kind, node, resource) for kind, name, node, resource in self._brought() if name == local]
        if function == "name":
            versions = [node.items.get("apiVersion") for _, node, _ in found]
            scoped = [
                self.is_cluster_scoped(version.text if isinstance(version, Scalar) else "", kind)
                for version, (kind, _, _) in zip(versions, found, strict=True)
            ]
            return self.object_name(local, bool(scoped) and all(scoped))
        services = [(node, resource) for kind, node, resource in found if kind == "Service"]
        if not services:
            known = {*self.type.units, *(name for kind, name, _, _ in self._brought() if kind == "Service")}
            raise Unknown("R0404", f"there is no unit and no Service `{local}`", nearest(local, known))
        host = self.object_name(local)
        if function == "host":
            return host
        number = self._port_of(local, port, *services[0])
        return number if function == "port" else text(host, ":", number)

    def _port_of(self, local: str, port: str, service: MappingNode, resource: Resource) -> Text:
        """The number of a port of a Service of `resources`, by its name or its number. Raises `Unknown`."""
        known: list[str] = []
        listed = service.get("spec", "ports")
        for node in listed.items if isinstance(listed, Sequence) else ():
            number = node.get("port") if isinstance(node, MappingNode) else None
            if not isinstance(node, MappingNode) or not isinstance(number, Scalar):
                continue
            name = node.get("name")
            called = [one.text for one in (name, number) if isinstance(one, Scalar)]
            if port in called:
                literal = resource.file is not None and not resource.expressions
                return (str(number.data),) if literal else self.text(number)
            known += called[:1]
        raise Unknown("R0303", f"the Service `{local}` has no port `{port}`", nearest(port, known))

    def _brought(self) -> Iterator[tuple[str, str, MappingNode, Resource]]:
        """The manifests of `resources`, with their kinds and names as they are written."""
        for resource in self.type.resources:
            nodes = [resource.manifest] if resource.manifest is not None else []
            if resource.file is not None:
                nodes += self.data.manifests.get(id(resource.file), ())
            while nodes:
                node = nodes.pop()
                items = node.items.get("items")
                if isinstance(items, Sequence):
                    nodes += [item for item in items.items if isinstance(item, MappingNode)]
                kind, name = node.items.get("kind"), node.get("metadata", "name")
                if isinstance(kind, Scalar) and isinstance(name, Scalar):
                    yield kind.text, name.text, node, resource

    def offered(self, port: TypePort, implementation: str = "") -> tuple[Text, Leaf]:
        """The Service that answers a port of the Type's interface, and its port's number.

        That of an island outside of the cluster is only another name for its host: callers use the host's own number.
        """
        if implementation:
            named, number = port.unit or port.service, self.type.implementations[implementation].number(port.name)
            assert named is not None and number is not None
            return self.object_name(named.text), self.number(number, *PORTS)
        if port.unit is None:
            assert port.service is not None
            return self.object_name(port.service.text), Leaf(port.port.data)
        unit = self.type.units[port.unit.text]
        declared = unit.ports[port.port.text]
        return self.service_name(unit.name), self.number(declared.service, *PORTS)

    def _inner(self, call: Call) -> Inner:
        """What `keys(set)` and `addresses(set, port)` stand for."""
        inner = self.plan.inner.get(call.arguments[0])
        if inner is None:  # the Sets inside an island are counted one after the other
            hint = "a unit can have them; a Set's values can name the units of the island around"
            raise Failure(
                f"the islands of `{call.arguments[0]}` are not known where those of another are counted", hint
            )
        if call.function == "keys":
            return Inner(inner, call, None)
        return Inner(inner, call, self._reader(inner, inner.type.ports[call.arguments[1]]))

    # Other Sets

    def _linked(self, given: Mapping[str, Any]) -> Text:
        """The address of a port of another Set: of its island of the same key, of one key, or of all islands."""
        if self.plans is None:
            hint = "an inner Set's own Type can call it by the same name"
            raise Failure("other Sets are not known while the islands of this one are counted", hint)
        target = self.plans.seen_from(self.plan, given["set"])
        assert target is not None
        port = target.type.port(given.get("port", ""))
        assert port is not None
        if given.get("all"):
            return self._aggregate(target, port)
        key = given.get("key", "")
        if self.pods and not key and not self.by_pod and self.downward is not None and not target.individual:
            address = self.address_in(target, port)
            carried = {ISLAND_NAME: text(f"{target.path}-", "$(", DOWNWARD["key"][0], ")")}
            carried[ISLAND_KEY] = text("$(", DOWNWARD["key"][0], ")")
            if all(isinstance(part, str) or part in carried for part in address):
                self.downward.add("key")
                return text(*(part if isinstance(part, str) else carried[part] for part in address))
        return (Hole("text", Peer(target, key, self._reader(target, port))),)

    def address_in(self, target: SetPlan, port: TypePort, implementation: str = "") -> Text:
        """What islands of this Set call a port of another Set's island by, in the scope of that island."""
        context = Context(target, {}, plans=self.plans)
        service, number = context.offered(port, implementation)
        full = text(service, self._domain(target, context.namespace), ":", _digits(number))
        if not len(target.islands):
            return full
        first = next(island for island in target.islands if island.implementation == implementation)
        fixed = [isinstance(part, Hole) and not part.source.reads & target.varying for part in full]
        return text(*(assemble((part,), first) if known else part for part, known in zip(full, fixed, strict=True)))

    def _aggregate(self, target: SetPlan, port: TypePort) -> Text:
        """What islands of this Set call a port of all islands of another by."""
        _, number = Context(target, {}, plans=self.plans).offered(port)
        digits = _digits(number)
        known = digits if isinstance(digits, str) else str(digits.source.value(target.islands[0]))
        name = text(f"{target.path}-{port.name}")
        if target.above is not None:
            name = text(Hole("name", Around(target.above)), f"-{target.model.name}-{port.name}")
        return text(name, self._domain(target, text(target.namespace)), ":", known)

    def _domain(self, target: SetPlan, namespace: Text) -> Text:
        """What follows a Service's name for those that are in another namespace."""
        return () if self.is_beside(target) else text(".", namespace, ".svc")

    def is_beside(self, target: SetPlan) -> bool:
        """Whether another Set's islands are in the namespace of those that they are called from."""
        if target.above is not None:  # inside an island that the caller is inside of too
            return True
        own = target.own_namespaces or self.plan.root.own_namespaces
        return not own and target.namespace == self.plan.namespace

    def _reader(self, target: SetPlan, port: TypePort) -> Callable[[Island], str]:
        """`address_in` as a function of the island; the same one for the same port."""
        key = (target.path, port.name)
        if key not in self._readers:
            addresses: dict[str, Text] = {}  # by implementation

            def read(island: Island) -> str:
                implementation = island.implementation
                if implementation not in addresses:
                    if (failure := not_offered(island, port)) is not None:
                        raise failure
                    addresses[implementation] = self.address_in(target, port, implementation)
                return assemble(addresses[implementation], island)

            self._readers[key] = read
        return self._readers[key]

    # Structure

    def known(self, expression: Expr) -> Any:
        """The value of an expression that is known for the shape. Raises KeyError where it is not."""
        try:
            return self.structure[self.key + expression.text]
        except KeyError:
            if self.key and expression.text in self.structure:
                return self.structure[expression.text]
            if not expression.calls and not self.reads(expression):
                return self.evaluate(expression, None)
            raise

    def is_known(self, expression: Expr) -> bool:
        """Whether the value of an expression is known for the shape."""
        try:
            self.known(expression)
        except KeyError:
            return False
        except Failure:
            pass
        return True

    # Scalars

    def text(self, scalar: Scalar) -> Text:
        """A scalar as text: integers and booleans by their text."""
        if "{{" not in scalar.text:
            return (scalar.text,) if scalar.text else ()
        self.bound[scalar.place] = scalar
        parts: list[str | Hole | Text] = []
        for part in parse(scalar.text).parts:
            if isinstance(part, Expr):
                try:
                    known = self.known(part)
                except KeyError:
                    pass
                except Failure as failure:
                    self.fail(failure, scalar)
                    continue
                else:
                    parts.append(self._text_of(known, scalar))
                    continue
            bound = part if isinstance(part, str) else self._bind(part, scalar)
            if isinstance(bound, Hole) and bound.kind in STRUCTURAL:
                if bound.kind != "any":
                    what = "a map" if bound.kind == "map" else "a list"
                    hint = "the filters `join` and `to_json` make text of it"
                    self.found.append(Diagnostic("R0408", f"{what} in the middle of text", scalar.place, hint=hint))
                bound = Hole("text", bound.source)
            parts.append(bound)
        return text(*parts)

    def fail(self, failure: Failure, scalar: Scalar) -> None:
        """Collect a failure at a scalar's place."""
        self.found.append(failure.at(scalar.place))

    def _text_of(self, value: Any, scalar: Scalar) -> str:
        try:
            return text_of(value)
        except Failure as failure:
            self.fail(failure, scalar)
            return ""

    def value(self, node: Node) -> Tree | None:
        """A node as a tree; scalars that are one expression keep the type of its value. None: the key is dropped."""
        origin = Origin(node.place, "type")
        if isinstance(node, MappingNode):
            pairs = ((key, self.value(child)) for key, child in node.items.items())
            return Map(tuple((key, child) for key, child in pairs if child is not None), origin)
        if isinstance(node, Sequence):
            children = (self.value(child) for child in node.items)
            return List(tuple(child for child in children if child is not None), origin)
        assert isinstance(node, Scalar)
        return self.scalar(node, origin)

    def scalar(self, scalar: Scalar, origin: Origin | None = None) -> Tree | None:
        """A scalar as a tree: a leaf, or the map or list that its one expression gives."""
        origin = origin or Origin(scalar.place, "type")
        if "{{" not in scalar.text:
            return Leaf(scalar.data, origin)
        whole = parse(scalar.text).whole
        if whole is None:
            return _leaf(self.text(scalar), origin)
        try:
            known = self.known(whole)
        except KeyError:
            pass
        except Failure as failure:
            self.fail(failure, scalar)
            return Leaf("", origin)
        else:
            return None if known is OMIT else tree(known, origin)
        if whole.path[:1] == ("let",) and "{{" not in self.type.let[whole.path[1]].text:
            return Leaf(self.type.let[whole.path[1]].data, origin)
        self.bound[scalar.place] = scalar
        bound = self._bind(whole, scalar)
        if isinstance(bound, Hole):
            return _leaf((bound,), origin) if bound.kind in ("text", "label", "name") else Leaf(bound, origin)
        made = _leaf(bound, origin)
        if self._kind(whole) == "int":  # a port's number
            if isinstance(made.value, str):
                return Leaf(int(made.value), origin) if made.value.isdigit() else made
            return Leaf(bound[0], origin)
        return made

    def merged(self, base: Tree, node: MappingNode | None, at: At) -> Tree:
        """A tree with the author's fields merged into it as kubectl would."""
        given = self.value(node) if node is not None else None
        if node is None or given is None:
            return base
        try:
            return merge(base, given, at)
        except Unfit as unfit:
            self.found.append(Diagnostic("R0601", str(unfit), unfit.place or node.place, hint=unfit.hint))
            return base

    def number(self, scalar: Scalar, least: int, most: int) -> Leaf:
        """A scalar that is an integer in a range, known or not."""
        made = self.scalar(scalar)
        value = made.value if isinstance(made, Leaf) else None
        if made is None:
            self.fail(Failure("`omit` is no number, and this one cannot be left out"), scalar)
            return Leaf(0)
        if isinstance(value, Hole):
            return Leaf(Hole("int", Bounded(value.source, least, most)), Origin(scalar.place, "type"))
        try:
            return Leaf(in_range(value, least, most), Origin(scalar.place, "type"))
        except Failure as failure:
            self.fail(failure, scalar)
            return Leaf(0)

    def ruled(self, content: Text, rule: Rule, place: Place) -> Leaf:
        """A text that must be as a rule says, known or not."""
        judged = Ruled(content, rule)
        origin = Origin(place, "type")
        if judged.reads:
            return Leaf((Hole("text", judged),), origin)
        try:
            return leaf((judged.value(None),), origin)
        except Failure as failure:
            self.found.append(failure.at(place))
            return Leaf("", origin)

    def ruled_text(self, scalar: Scalar, rule: Rule) -> Leaf:
        """A scalar as text that must be as a rule says; what is no text at all is told once."""
        before = len(self.found)
        content = self.text(scalar)
        return self.ruled(content, rule, scalar.place) if len(self.found) == before else Leaf("")

    def not_above(self, number: Leaf, most: Leaf, field: str) -> Leaf:
        """An integer that is not more than another, which `field` names; known or not."""
        judged = NotAbove(_integer(number), _integer(most), field)
        if judged.reads:
            return Leaf(Hole("int", judged), number.origin)
        try:
            return Leaf(judged.value(None), number.origin)
        except Failure as failure:
            self.found.append(failure.at(number.origin.place))
            return number

    def _kind(self, expression: Expr) -> Kind:
        try:
            return self.scope.kind_of_expression(expression)
        except Unknown:  # said where the expression is bound
            return "any"

    def _bind(self, expression: Expr, scalar: Scalar) -> Text | Hole:
        """What an expression stands for: a text that is known but for holes, or one hole that keeps its type."""
        try:
            return self._bound(expression, scalar)
        except Unknown as unknown:  # in a file of a Type: those of the DSL are judged before
            self.found.append(Diagnostic(unknown.code, str(unknown), scalar.place, hint=unknown.hint))
            return ()

    def _bound(self, expression: Expr, scalar: Scalar) -> Text | Hole:
        if expression.path:
            return self._name(expression.path, scalar)
        local = (one for one in expression.calls if one.function in _NAMING and one.arguments)
        inside = self.type.units if self.pods else ()  # of pods a unit is a container: it has no object of its own
        self.asked += [(one, scalar.place) for one in local if one.arguments[0] not in inside]
        if expression.call:
            return self.call(expression.call)
        depends = self.reads(expression)
        if self.pods and not self.by_pod and any(path[0] == "island" for path in depends):
            self.found.append(self._undelivered(scalar, "an expression over `island`"))
        return Hole(self._kind(expression), Computed(expression, depends, self))

    def _name(self, path: Path, scalar: Scalar) -> Text | Hole:
        if path[0] == "let":
            if path[1] not in self.lets:
                self.lets[path[1]] = self._derived(path[1], scalar)
            return self.lets[path[1]]
        return self._atom(path, scalar)

    def _derived(self, name: str, scalar: Scalar) -> Text | Hole:
        """What a derived value stands for; a text that grows without bound is an error."""
        derived = self.type.let[name]
        whole = parse(derived.text).whole
        if whole is not None:
            return self._bind(whole, derived)
        made = self.text(derived)
        if sum(len(part) if isinstance(part, str) else 1 for part in made) > MAX_TEXT:
            self.fail(Failure(f"a text of more than {MAX_TEXT // 1024} KiB", code="R0407"), derived)
            return ()
        return made

    def _atom(self, path: Path, scalar: Scalar) -> Text | Hole:
        if path[0] == "island":
            if path[1] == "set":
                return self.set_name
            if path[1] == "namespace":
                return self.namespace
            if self.by_pod:
                return Hole(self.scope.kind_of(path), Atom(path))
            if self.pods and self.downward is not None:
                self.downward.add(path[1])
                return (f"$({DOWNWARD[path[1]][0]})",)
            if self.pods:
                self.found.append(self._undelivered(scalar, f"`{'.'.join(path)}`"))
        return Hole(self.scope.kind_of(path), Atom(path))

    def _undelivered(self, scalar: Scalar, what: str) -> Diagnostic:
        message = f"{what} differs between pods of one StatefulSet, whose template is the same for all"
        hint = "use it by itself in env, args or command, where the downward API carries it; or form: copies"
        return Diagnostic("R0602", message, scalar.place, hint=hint)

    # Values

    def reads(self, expression: Expr) -> frozenset[Path]:
        """The atoms that an expression depends on, through derived values and calls."""
        found: set[Path] = set()
        for path in expression.reads:
            if path[0] == "let":
                if path[1] not in self.let_reads:
                    inner = [self.reads(one) for one in parse(self.type.let[path[1]].text).expressions]
                    self.let_reads[path[1]] = frozenset().union(*inner)
                found |= self.let_reads[path[1]]
            elif path != ("omit",) and path[0] != "item":
                found.add(path[:2])
        for call in expression.calls:
            with suppress(Unknown):  # which is said where the expression is bound
                found |= reads(self.call(call))
        return frozenset(found)

    def evaluate(self, expression: Expr, scope: Any) -> Any:
        """An expression's value for one island. Raises `Failure`."""
        return self._evaluate(expression, scope, {})

    def _evaluate(self, expression: Expr, scope: Any, lets: dict[str, Any]) -> Any:
        """The same; `lets` are the derived values that are known already."""
        if expression.path:
            try:
                return self._value_of(scope, lets)(expression.path)
            except KeyError:
                if expression.path == ("omit",):
                    return OMIT
                raise Failure(f"`{expression.text}` has no value", "use the filter `default('…')`") from None
        if expression.call:
            return self._result(expression.call, scope)
        assert expression.program is not None
        return expression.program.run(self._value_of(scope, lets), lambda call: self._result(call, scope))

    def _result(self, call: Call, scope: Any) -> Any:
        if call.function in ("keys", "addresses"):
            return self._inner(call).value(scope)
        try:
            result = assemble(self.call(call), scope)
        except Unknown as unknown:
            raise Failure(unknown.message, unknown.hint, unknown.code) from None
        return int(result) if call.function == "port" else result

    def _value_of(self, scope: Any, lets: dict[str, Any]) -> Callable[[Path], Any]:
        def value_of(path: Path) -> Any:
            if path == ("omit",):
                raise KeyError(path)
            if path[0] == "item":
                return _walk(self.item, path[1:])
            if path[0] != "let":
                return scope.value(path)
            if path[1] not in lets:
                lets[path[1]] = self._let(self.type.let[path[1]], scope, lets)
            return lets[path[1]]

        return value_of

    def _let(self, scalar: Scalar, scope: Any, lets: dict[str, Any]) -> Any:
        if "{{" not in scalar.text:
            return scalar.data
        template: Template = parse(scalar.text)
        if template.whole:
            return self._evaluate(template.whole, scope, lets)
        parts = template.parts
        texts = [part if isinstance(part, str) else text_of(self._evaluate(part, scope, lets)) for part in parts]
        if sum(map(len, texts)) > MAX_TEXT:
            raise Failure(f"a text of more than {MAX_TEXT // 1024} KiB", code="R0407")
        return "".join(texts)


def not_offered(island: Island, port: TypePort) -> Failure | None:
    """Why an island cannot be called at a port of its Type: its implementation does not offer it. None where it can."""
    implementation = island.plan.type.implementations.get(island.implementation)
    if implementation is None or implementation.number(port.name) is not None:
        return None
    message = f"the island `{island.path}` is `{implementation.name}`, which does not offer the port `{port.name}`"
    hint = f"it offers {', '.join(implementation.ports)}"
    if isinstance(implementation, Serverless):
        message = (
            f"the island `{island.path}` is the function `{implementation.name}`, and has no address in the cluster"
        )
        hint = "call it by the host of a Routing, or give the island another implementation"
    related = (
        Related("the implementation", implementation.place),
        Related("the island that is called", island_place(island)),
    )
    return Failure(message, hint, "R0303", *related)


def _digits(number: Leaf) -> str | Hole:
    return number.value if isinstance(number.value, Hole) else str(number.value)


def _integer(number: Leaf) -> int | Source:
    """What `Context.number` made: an integer, or where it comes from."""
    if isinstance(number.value, Hole):
        return number.value.source
    assert isinstance(number.value, int)
    return number.value


def _walk(value: Any, steps: Path) -> Any:
    for step in steps:
        if not isinstance(value, dict):
            raise KeyError(step)
        value = value[step]
    return value


def _leaf(bound: Text, origin: Origin) -> Leaf:
    if all(isinstance(part, str) for part in bound):
        return Leaf("".join(part for part in bound if isinstance(part, str)), origin)
    return Leaf(bound, origin)
