"""Islands, the plans of their Sets, and the values that expressions over an island have."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from replicator.diagnostics import Place
from replicator.expression.template import Expr, Path, parse
from replicator.expression.values import OMIT, Failure, text_of
from replicator.model import IslandSet, IslandType
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node, Scalar
from replicator.parser.source import Sequence as SequenceNode


class Dynamic(NamedTuple):
    """A parameter's value that uses expressions: layers of nodes and plain values, weakest first, merged per island.

    The expressions of a top-level Set use `island`; those of a Set inside an island are read in that island's scope.
    """

    layers: tuple[Any, ...]
    node: Node  # the strongest, for the places of diagnostics

    def evaluate(self, island: Island) -> Any:
        """The value for one island. Raises `Failure`."""

        def evaluate(expression: Expr) -> Any:
            return _evaluate(expression, island)

        value: Any = None
        for layer in self.layers:
            value = merged(value, evaluated(layer, evaluate) if isinstance(layer, Node) else layer)
        return value


class Island:
    """One island, and the scope of its values.

    `own` are the values that differ from the Set's; `parent` is the island that it is inside of, if it is.
    """

    __slots__ = ("entry", "key", "name", "ordinal", "own", "parent", "plan")

    def __init__(
        self,
        plan: SetPlan,
        key: str,
        ordinal: int,
        own: Mapping[str, Any],
        entry: Node | None,
        parent: Island | None = None,
    ) -> None:
        self.plan = plan
        self.key = key
        self.ordinal = ordinal
        self.own = own
        self.entry = entry
        self.parent = parent
        self.name: str = f"{plan.path}-{key}" if parent is None else f"{parent.name}-{plan.model.name}-{key}"

    @property
    def path(self) -> str:
        if self.parent is None:
            return f"{self.plan.path}/{self.key}"
        return f"{self.parent.path}/{self.plan.model.name}/{self.key}"

    @property
    def namespace(self) -> str:
        if self.parent is not None:
            return self.parent.namespace
        return self.name if self.plan.model.scope == "namespace" else self.plan.namespace

    @property
    def set(self) -> str:
        return self.plan.path if self.parent is None else f"{self.parent.name}-{self.plan.model.name}"

    @property
    def patches(self) -> Node | None:
        """The island's own patches, as written."""
        return self.entry.items.get("patches") if isinstance(self.entry, MappingNode) else None

    @property
    def implementation(self) -> str:
        return str(self.entry.data.get("implementation", "")) if isinstance(self.entry, MappingNode) else ""

    @property
    def state(self) -> str:
        """active, draining or drained: its own, or that of an island around it, whichever is further."""
        own = str(self.entry.data.get("state", STATES[0])) if isinstance(self.entry, MappingNode) else STATES[0]
        return own if self.parent is None else max(own, self.parent.state, key=STATES.index)

    @property
    def case(self) -> str:
        """What routes depend on: its state and its implementation."""
        return f"{self.state}/{self.implementation}"

    @property
    def weight(self) -> int:
        """The island's weight; that of an island inside another multiplies with the other's."""
        own = int(self.entry.data.get("weight", 1)) if isinstance(self.entry, MappingNode) else 1
        return own if self.parent is None else own * self.parent.weight

    @property
    def zone(self) -> str:
        """The zone that its pods run in: as its entry or its Set says; '' without one. Inside an island it is that
        island's.
        """
        if self.parent is not None:
            return self.parent.zone
        own = self.entry.data.get("zone") if isinstance(self.entry, MappingNode) else None
        return own if isinstance(own, str) else self.plan.zone_of(self)

    def param(self, name: str) -> Any:
        """A parameter's value. Raises KeyError where it has none, `Failure` where its expression fails."""
        own = self.own
        value = own[name] if name in own else self.plan.base[name]
        return value.evaluate(self) if isinstance(value, Dynamic) else value

    def value(self, path: Path) -> Any:
        """The value of a dotted name. Raises KeyError where it has none."""
        root, first, *rest = path
        if root == "island":
            return getattr(self, first)
        if root == "parent":
            if self.parent is None:
                raise KeyError(root)
            return self.parent.value(path[1:] if first == "params" else ("island", first))
        value = self.param(first)
        for step in rest:
            if not isinstance(value, dict):
                raise KeyError(step)
            value = value[step]
        return value


class Tombstone(NamedTuple):
    """An island that is gone, by its path and its full name; whether its data stays; where that is written."""

    path: str
    name: str
    retain: bool
    place: Place


STATES = ("active", "draining", "drained")
USUAL = "active/"  # the case of an island that nothing is said of
Evaluate = Callable[[Expr, Island], Any]


def _nowhere(_: Island) -> str:
    return ""


@dataclass(eq=False, slots=True)
class SetPlan:
    """A Set with its Type, the values that all its islands share, and its islands.

    `path` is the Set's name, after those of the Sets that it is inside of: `region/cell`; `above` is the plan of the
    Set around it, whose islands each have such a Set of their own. `varying` are the atoms whose values differ between
    islands; all else may be filled in once. `evaluate` runs an expression of the Type for an island. `individual`
    says that an entry gives its island a state, an implementation or patches of its own; `aggregated` are the ports of
    the Type that somebody calls of all islands at once; `zone_of` is the zone of an island whose entry does not say it.
    """

    model: IslandSet
    type: IslandType
    base: dict[str, Any]
    path: str
    namespace: str
    evaluate: Evaluate
    above: SetPlan | None = None
    varying: frozenset[Path] = frozenset()
    islands: Sequence[Island] = ()
    individual: bool = False
    inner: dict[str, SetPlan] = field(default_factory=dict)
    aggregated: set[str] = field(default_factory=set)
    zone_of: Callable[[Island], str] = _nowhere
    _inside: dict[str, dict[str, Island]] | None = None

    @property
    def root(self) -> SetPlan:
        """The plan of the outermost Set."""
        return self if self.above is None else self.above.root

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones that islands of the outermost Set run in, and those inside them; none where it does not say."""
        placement = self.root.model.placement
        return tuple(placement.data.get("zones", ())) if placement is not None else ()

    def cases(self) -> list[str]:
        """The cases of its islands, in order."""
        if not self.individual and (self.above is None or self.above.cases() == [USUAL]):
            return [USUAL] if len(self.islands) else []
        return sorted({island.case for island in self.islands})

    @property
    def own_namespaces(self) -> bool:
        """Whether each island of the Set has a namespace of its own."""
        return self.above is None and self.model.scope == "namespace"

    @property
    def example(self) -> Island | None:
        """The first of its islands; of a Set of pods that has none, what the first would be: the Set is there."""
        first = next(iter(self.islands), None)
        if first is None and self.model.form == "pods":
            return Island(self, str(self.model.start), self.model.start, {}, None)
        return first

    def texts(self, path: Path) -> Iterator[str]:
        """The texts that a parameter's value is or holds, of any island: one's own, or of those around (`parent`)."""
        if path[0] == "parent" and self.above is not None:
            for name in self.above.type.params:
                yield from self.above.texts(("params", name))
        if path[0] != "params":
            return
        yield from _texts(self.base.get(path[1]), self.islands)
        for island in self.islands if path in self.varying else ():
            if path[1] in island.own:
                yield from _texts(island.own[path[1]], (island,))

    def removed(self) -> Iterator[Tombstone]:
        """The tombstones of an outermost Set, for its own islands and those inside them."""
        written = self.model.removed
        if written is None:
            return
        for key, node in written.items.items():
            retain = not (isinstance(node, MappingNode) and node.data.get("data") == "delete")
            name = f"{self.path}-{key.replace('/', '-')}"
            yield Tombstone(f"{self.path}/{key}", name, retain, written.key_place(key))

    def inside(self, parent: Island | None) -> Mapping[str, Island]:
        """The islands of the Set that are inside one island (or, of an outermost Set, in none), by key."""
        if self._inside is None:
            self._inside = {}
            for island in self.islands:
                around = island.parent.path if island.parent is not None else ""
                self._inside.setdefault(around, {})[island.key] = island
        return self._inside.get(parent.path if parent is not None else "", {})

    def seen_from(self, island: Island, key: str) -> Island | None:
        """The island of a key, of a Set that is inside an island, or beside it at any level outwards; or None."""
        if self.above is None:
            return self.find(key)
        around: Island | None = island
        while around is not None and around.plan is not self.above:
            around = around.parent
        return self.inside(around).get(key) if around is not None else None

    def find(self, key: str) -> Island | None:
        """The island of a key of an outermost Set, or None."""
        if self.model.replicas is not None:
            index = (
                bisect_left(self.islands, int(key), key=lambda one: one.ordinal)
                if key.isdecimal() and len(key) < 11
                else -1
            )
            found = self.islands[index] if 0 <= index < len(self.islands) else None
            return found if found is not None and found.key == key else None
        return self.inside(None).get(key)

    @property
    def longest(self) -> Island | None:
        """The island with the longest name."""
        if self.model.replicas is not None and self.above is None:
            return self.islands[-1] if len(self.islands) else None
        return max(self.islands, key=lambda island: len(island.name), default=None)


class Plan(NamedTuple):
    """All Sets by path, and the values of the Routings' parameters."""

    sets: Mapping[str, SetPlan]
    routing_params: Mapping[str, Mapping[str, Any]]

    def seen_from(self, plan: SetPlan, name: str) -> SetPlan | None:
        """The Set that a Set's islands know by a name: one inside them, or one beside them at any level outwards."""
        around: SetPlan | None = plan
        while around is not None:
            if name in around.inner:
                return around.inner[name]
            around = around.above
        return self.sets.get(name)

    def island(self, path: str) -> Island | None:
        """The island of a path SET/KEY[/SET/KEY…], or None."""
        steps = path.split("/")
        plan = self.sets.get("/".join(steps[0::2]))
        if plan is None or len(steps) % 2:
            return None
        if plan.above is None:
            return plan.find(steps[1])
        return next((island for island in plan.islands if island.path == path), None)


def _texts(value: Any, islands: Sequence[Island]) -> Iterator[str]:
    """The texts in a value; of one that uses expressions, in its values for some islands."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item, ())
    elif isinstance(value, Dynamic):
        for island in islands:
            with suppress(Failure):  # said where it is used
                yield from _texts(value.evaluate(island), ())


def merged(weak: Any, strong: Any) -> Any:
    """A stronger layer's value over a weaker one's: maps key by key, anything else as a whole."""
    if isinstance(strong, Dynamic):
        return Dynamic((*(weak.layers if isinstance(weak, Dynamic) else (weak,)), *strong.layers), strong.node)
    if isinstance(weak, Dynamic):
        return Dynamic((*weak.layers, strong), weak.node) if isinstance(strong, dict) else strong
    if isinstance(weak, dict) and isinstance(strong, dict):
        return {**weak, **{key: merged(weak.get(key), value) for key, value in strong.items()}}
    return strong


def evaluated(node: Node, evaluate: Callable[[Expr], Any]) -> Any:
    """The plain value of a node, given what its expressions are. Raises what `evaluate` raises, and `Failure`."""
    if isinstance(node, Scalar):
        template = parse(node.text)
        if "{{" not in node.text:
            return node.data
        if template.whole:
            return evaluate(template.whole)
        return "".join(part if isinstance(part, str) else text_of(evaluate(part)) for part in template.parts)
    if isinstance(node, MappingNode):
        return {key: evaluated(child, evaluate) for key, child in node.items.items()}
    if isinstance(node, SequenceNode):
        return [evaluated(child, evaluate) for child in node.items]
    return node.data


def constant(expression: Expr) -> Any:
    """The value of an expression that reads nothing. Raises KeyError where it does, and `Failure`."""
    if expression.program is None or expression.reads or expression.calls:
        raise KeyError(expression.text)
    return expression.program.run(lambda path: None, lambda call: None)


def _evaluate(expression: Expr, island: Island) -> Any:
    if expression.path == ("omit",):
        return OMIT
    if island.parent is not None and island.plan.above is not None:
        return island.plan.above.evaluate(expression, island.parent)
    if expression.path:
        return island.value(expression.path)
    if expression.program is None:
        raise Failure(f"there are no functions here: {expression.text}")
    return expression.program.run(island.value, lambda call: None)


def island_place(island: Island) -> Place:
    model = island.plan.model
    if model.islands is not None and island.key in model.islands.items:
        return model.islands.key_place(island.key)
    return model.metadata.name_node.place
