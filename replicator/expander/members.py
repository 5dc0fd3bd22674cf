"""Which islands a Set has: by keys, by number, or as a matrix of values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, overload

from replicator import names
from replicator.diagnostics import Diagnostic, Place, Related, nearest
from replicator.expander.islands import Island, SetPlan, island_place
from replicator.expander.values import NOTHING, Layers, misfit
from replicator.expression.template import parse
from replicator.expression.values import Failure
from replicator.model import Param
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node, Scalar
from replicator.parser.source import Sequence as SequenceNode


def natural(key: str) -> tuple[list[str | tuple[int, str]], str]:
    """The sort key of natural order: numbers in a key count as numbers; of equal ones, the text decides."""
    parts: list[str | tuple[int, str]] = list(re.split(r"([0-9]+)", key))
    for number in range(1, len(parts), 2):
        digits = str(parts[number]).lstrip("0")
        parts[number] = (len(digits), digits)
    return parts, key


def members(plan: SetPlan, layers: Layers, room: int, found: list[Diagnostic]) -> Sequence[Island]:
    """The islands of a Set, in natural order of their keys; of a Set inside islands, those of each in turn."""
    model = plan.model
    if model.islands is not None:
        islands = keyed(plan, model.islands, layers, room, found)
    elif model.matrix is not None:
        islands = matrix(plan, model.matrix, layers, room, found)
    elif plan.above is None:
        return counted(plan, layers, room, found)
    else:
        islands = ()
    return islands if plan.above is None else nested(plan, plan.above, islands, layers, room, found)


def nested(
    plan: SetPlan, above: SetPlan, alike: Sequence[Island], layers: Layers, room: int, found: list[Diagnostic]
) -> Sequence[Island]:
    """The islands inside each island of the Set above: those that are `alike` in all, or as its expressions say.

    An island that is another implementation of its Type holds no Sets.
    """
    islands: list[Island] = []
    model = plan.model
    own: dict[str, Mapping[str, Any]] = {}
    for parent in above.islands:
        if len(islands) > room:
            found.append(_too_many(len(islands), room, model.metadata.name_node.place))
            return ()
        if parent.implementation:
            continue
        if model.islands is not None or model.matrix is not None:
            islands += (Island(plan, one.key, one.ordinal, one.own, one.entry, parent) for one in alike)
            continue
        keys = _keys_of(plan, parent, room, found)
        for ordinal, key in enumerate(keys, plan.model.start):
            if key not in own:
                own[key] = layers.own(key, None)
            islands.append(Island(plan, key, ordinal if model.keys is None else 0, own[key], None, parent))
    return islands


def _keys_of(plan: SetPlan, parent: Island, room: int, found: list[Diagnostic]) -> list[str]:
    """The keys of a Set inside one island, by `replicas` or by an expression that gives a list."""
    model = plan.model
    scalar = model.keys or model.count
    given: Any = model.replicas
    if scalar is not None:
        whole = parse(scalar.text).whole
        try:
            given = parent.plan.evaluate(whole, parent) if whole else None
        except Failure as failure:
            related = Related("for this island", island_place(parent))
            found.append(failure.at(scalar.place, related, island=parent.path))
            return []
    place = scalar.place if scalar else model.metadata.name_node.place
    if model.keys is None:
        if isinstance(given, bool) or not isinstance(given, int) or not given >= 0:
            found.append(Diagnostic("R0504", f"`{given}` is no number of islands", place))
            return []
        if given > room:
            found.append(_too_many(given, room, place))
            return []
        return [str(number) for number in range(model.start, model.start + given)]
    if not isinstance(given, list) or len(set(map(str, given))) != len(given):
        found.append(Diagnostic("R0504", "the keys of islands are a list of different texts", place))
        return []
    for key in given:
        if not names.is_key(str(key)):
            found.append(Diagnostic("R0501", f"`{key}` is no key of an island", place))
            return []
    return sorted(map(str, given), key=natural)


class Counted(Sequence[Island]):
    """The islands of a Set by `replicas`: made when they are asked for, never kept."""

    def __init__(self, plan: SetPlan, start: int, count: int, reserved: frozenset[int], layers: Layers) -> None:
        self._plan = plan
        self._start = start
        self._count = count
        self._reserved = sorted(ordinal for ordinal in reserved if ordinal >= start)
        self._layers = layers

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Island]:
        plan, own = self._plan, self._layers.own
        ordinals: Iterable[int] = range(self._start, self._start + self._count)
        if self._reserved:
            ordinals = map(self._ordinal, range(self._count))
        if self._layers.by_key:
            for ordinal in ordinals:
                yield Island(plan, str(ordinal), ordinal, own(str(ordinal), None), None)
        else:
            for ordinal in ordinals:
                yield Island(plan, str(ordinal), ordinal, NOTHING, None)

    def _ordinal(self, index: int) -> int:
        """The ordinal of an index: those that are reserved are skipped, and others take their places."""
        ordinal = self._start + index
        for reserved in self._reserved:
            if reserved > ordinal:
                break
            ordinal += 1
        return ordinal

    @overload
    def __getitem__(self, index: int) -> Island: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Island]: ...
    def __getitem__(self, index: int | slice) -> Island | Sequence[Island]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        ordinal = self._ordinal(index % self._count)
        return Island(self._plan, str(ordinal), ordinal, self._layers.own(str(ordinal), None), None)


_APART = frozenset(["implementation", "patches", "state"])


def keyed(plan: SetPlan, entries: MappingNode, layers: Layers, room: int, found: list[Diagnostic]) -> Sequence[Island]:
    if len(entries.items) > room:
        found.append(_too_many(len(entries.items), room, entries.place))
        return ()
    islands = []
    for key in sorted(entries.items, key=natural):
        entry = entries.items[key]
        if not names.is_key(key):
            hint = f"at most {names.MAX_KEY} of a-z, 0-9 and `-`, a letter or digit at both ends"
            found.append(Diagnostic("R0501", f"`{key}` is no key of an island", entries.key_place(key), hint=hint))
            continue
        given = entry.items if isinstance(entry, MappingNode) else {}
        if not _APART.isdisjoint(given):
            plan.individual = True
        node = given.get("params")
        own = layers.own(key, node if isinstance(node, MappingNode) else None)
        islands.append(Island(plan, key, 0, own, entry))
    return islands


def matrix(plan: SetPlan, axes: MappingNode, layers: Layers, room: int, found: list[Diagnostic]) -> Sequence[Island]:
    """The islands of all combinations that are not excluded, each with its axes' values."""
    names_of_axes = sorted(axes.items)
    values: dict[str, list[Scalar]] = {}
    for axis in names_of_axes:
        node = axes.items[axis]
        values[axis] = (
            [item for item in node.items if isinstance(item, Scalar)] if isinstance(node, SequenceNode) else []
        )
        if axis not in plan.type.params:
            message = f"there is no parameter `{axis}` for this axis"
            found.append(Diagnostic("R0502", message, axes.key_place(axis), hint=nearest(axis, plan.type.params)))
    total = prod(map(len, values.values()))
    if total > room:
        found.append(_too_many(total, room, axes.place))
        return ()
    if found:
        return ()
    excluded = [one.items for one in plan.model.exclude]
    used: set[int] = set()
    islands: dict[str, Island] = {}
    for choice in product(*(values[axis] for axis in names_of_axes)):
        chosen = dict(zip(names_of_axes, choice, strict=True))
        hits = [number for number, one in enumerate(excluded) if _is_excluded(one, chosen)]
        used.update(hits)
        if hits:
            continue
        key = "-".join(scalar.text for scalar in choice)
        place = axes.key_place(names_of_axes[0])
        if not names.is_key(key):
            hint = f"the values make keys: at most {names.MAX_KEY} of a-z, 0-9 and `-` together"
            found.append(Diagnostic("R0501", f"`{key}` is no key of an island", place, hint=hint))
        elif key in islands:
            message = f"two combinations of the matrix have one key, `{key}`"
            found.append(Diagnostic("R0507", message, place, hint="values with a `-` in them can run together"))
        else:
            given = {axis: _axis_value(plan.type.params[axis], scalar, found) for axis, scalar in chosen.items()}
            islands[key] = Island(plan, key, 0, layers.own(key, None, given), None)
    for number, one in enumerate(plan.model.exclude):
        if number not in used:
            message = "this combination is not in the matrix"
            found.append(Diagnostic("R0505", message, one.place, hint="axes: " + ", ".join(names_of_axes)))
    return [islands[key] for key in sorted(islands, key=natural)]


def _is_excluded(one: Mapping[str, Node], chosen: Mapping[str, Scalar]) -> bool:
    return all(
        axis in chosen and isinstance(node, Scalar) and chosen[axis].text == node.text for axis, node in one.items()
    )


def _axis_value(param: Param, scalar: Scalar, found: list[Diagnostic]) -> Any:
    """The value of an axis: a text where the parameter is text, whatever YAML makes of it."""
    value = scalar.text if param.kind == "text" else scalar.data
    if not param.fits(value):
        found.append(misfit(param, value, scalar))
    return value


def counted(plan: SetPlan, layers: Layers, room: int, found: list[Diagnostic]) -> Sequence[Island]:
    count = plan.model.replicas or 0
    if count > room:
        node = plan.model.node.get("spec", "replicas")
        found.append(_too_many(count, room, node.place if node else None))
        count = 0
    return Counted(plan, plan.model.start, count, plan.model.reserved, layers)


def _too_many(count: int, room: int, place: Place | None) -> Diagnostic:
    message = f"{count:,} islands are more than the {room:,} that are left"
    return Diagnostic("R0508", message, place, hint="raise the limit with --max-islands")
