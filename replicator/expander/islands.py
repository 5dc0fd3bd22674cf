"""Islands, the plans of their Sets, and the values that expressions over an island have."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from replicator.diagnostics import Place
from replicator.expression.template import Expr, Path, parse
from replicator.expression.values import Failure, text_of
from replicator.model import IslandSet, IslandType
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node, Scalar
from replicator.parser.source import Sequence as SequenceNode


class Dynamic(NamedTuple):
    """A parameter's value that uses `island`: layers of nodes and plain values, weakest first, merged per island."""

    layers: tuple[Any, ...]
    node: Node  # the strongest, for the places of diagnostics

    def evaluate(self, island: Island) -> Any:
        """The value for one island. Raises `Failure`."""
        value: Any = None
        for layer in self.layers:
            value = merged(value, evaluate_node(layer, island) if isinstance(layer, Node) else layer)
        return value


class Island:
    """One island, and the scope of its values. `own` are the values that differ from the Set's."""

    __slots__ = ("entry", "key", "name", "ordinal", "own", "plan")

    def __init__(self, plan: SetPlan, key: str, ordinal: int, own: Mapping[str, Any], entry: Node | None) -> None:
        self.plan = plan
        self.key = key
        self.ordinal = ordinal
        self.name = f"{plan.name}-{key}"
        self.own = own
        self.entry = entry

    @property
    def path(self) -> str:
        return f"{self.plan.name}/{self.key}"

    @property
    def namespace(self) -> str:
        return self.name if self.plan.model.scope == "namespace" else self.plan.namespace

    @property
    def set(self) -> str:
        return self.plan.name

    @property
    def implementation(self) -> str:
        return str(self.entry.data.get("implementation", "")) if isinstance(self.entry, MappingNode) else ""

    @property
    def weight(self) -> int:
        return int(self.entry.data.get("weight", 1)) if isinstance(self.entry, MappingNode) else 1

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
        value = self.param(first)
        for step in rest:
            if not isinstance(value, dict):
                raise KeyError(step)
            value = value[step]
        return value


@dataclass(eq=False, slots=True)
class SetPlan:
    """A Set with its Type, the values that all its islands share, and its islands.

    `varying` are the atoms whose values differ between islands; all else may be filled in once.
    """

    model: IslandSet
    type: IslandType
    base: dict[str, Any]
    name: str
    namespace: str
    varying: frozenset[Path] = frozenset()
    islands: Sequence[Island] = ()

    def find(self, key: str) -> Island | None:
        """The island of a key, or None."""
        if self.model.replicas is not None:
            index = (
                bisect_left(self.islands, int(key), key=lambda one: one.ordinal)
                if key.isdecimal() and len(key) < 11
                else -1
            )
            found = self.islands[index] if 0 <= index < len(self.islands) else None
            return found if found is not None and found.key == key else None
        return next((island for island in self.islands if island.key == key), None)

    @property
    def longest(self) -> Island | None:
        """The island with the longest name."""
        if self.model.replicas is not None:
            return self.islands[-1] if len(self.islands) else None
        return max(self.islands, key=lambda island: len(island.name), default=None)


class Plan(NamedTuple):
    """All Sets by name, and the values of the Routings' parameters."""

    sets: Mapping[str, SetPlan]
    routing_params: Mapping[str, Mapping[str, Any]]

    def island(self, path: str) -> Island | None:
        """The island of a path SET/KEY, or None."""
        name, _, key = path.partition("/")
        plan = self.sets.get(name)
        if plan is None:
            return None
        return plan.find(key)


def merged(weak: Any, strong: Any) -> Any:
    """A stronger layer's value over a weaker one's: maps key by key, anything else as a whole."""
    if isinstance(strong, Dynamic):
        return Dynamic((*(weak.layers if isinstance(weak, Dynamic) else (weak,)), *strong.layers), strong.node)
    if isinstance(weak, Dynamic):
        return Dynamic((*weak.layers, strong), weak.node) if isinstance(strong, dict) else strong
    if isinstance(weak, dict) and isinstance(strong, dict):
        return {**weak, **{key: merged(weak.get(key), value) for key, value in strong.items()}}
    return strong


def evaluate_node(node: Node, island: Island) -> Any:
    """The plain value of a node whose expressions use `island`. Raises `Failure`."""
    if isinstance(node, Scalar):
        template = parse(node.text)
        if "{{" not in node.text:
            return node.data
        if template.whole:
            return _evaluate(template.whole, island)
        return "".join(part if isinstance(part, str) else text_of(_evaluate(part, island)) for part in template.parts)
    if isinstance(node, MappingNode):
        return {key: evaluate_node(child, island) for key, child in node.items.items()}
    if isinstance(node, SequenceNode):
        return [evaluate_node(child, island) for child in node.items]
    return node.data


def _evaluate(expression: Expr, island: Island) -> Any:
    if expression.path:
        return island.value(expression.path)
    if expression.program is None:
        raise Failure(f"there are no functions here: {expression.text}")
    return expression.program.run(island.value, lambda call: None)


def island_place(island: Island) -> Place:
    model = island.plan.model
    if model.islands is not None:
        return model.islands.key_place(island.key)
    return model.metadata.name_node.place
