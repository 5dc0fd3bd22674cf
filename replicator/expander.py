"""Which islands there are, with which values: Sets to plans, whose islands are made one by one as they are needed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from itertools import product
from math import prod
from typing import Any, NamedTuple, overload

from replicator import names
from replicator.diagnostics import Diagnostic, Place, Related, nearest
from replicator.expression.template import Expr, Path, parse
from replicator.expression.values import Failure, text_of
from replicator.model import IslandSet, IslandType, Param, Project
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node, Scalar
from replicator.parser.source import Sequence as SequenceNode

MAX_ISLANDS = 100_000


class Setting(NamedTuple):
    """A value from the command line: of a Set, of one island of it (`key`), or of a Routing."""

    target: str
    key: str
    param: str
    value: Any
    place: Place
    from_text: bool  # to be read by the parameter's type


class Dynamic(NamedTuple):
    """A parameter's value that uses `island`: layers of nodes and plain values, weakest first, merged per island."""

    layers: tuple[Any, ...]
    node: Node  # the strongest, for the places of diagnostics

    def evaluate(self, island: Island) -> Any:
        """The value for one island. Raises `Failure`."""
        value: Any = None
        for layer in self.layers:
            value = _merged(value, evaluate_node(layer, island) if isinstance(layer, Node) else layer)
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

    @property
    def longest(self) -> Island | None:
        """The island with the longest name."""
        if isinstance(self.islands, _Counted):
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
        if isinstance(plan.islands, _Counted):
            return plan.islands.find(key)
        return next((island for island in plan.islands if island.key == key), None)


class _Counted(Sequence[Island]):
    """The islands of a Set by `replicas`: made when they are asked for, never kept."""

    def __init__(self, plan: SetPlan, start: int, count: int, reserved: frozenset[int], layers: _Layers) -> None:
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
                yield Island(plan, str(ordinal), ordinal, _NOTHING, None)

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

    def find(self, key: str) -> Island | None:
        if not key.isascii() or not key.isdigit() or str(int(key)) != key:
            return None
        ordinal = int(key)
        if ordinal in self._reserved:
            return None
        index = ordinal - self._start - sum(reserved < ordinal for reserved in self._reserved)
        return self[index] if 0 <= index < self._count else None


_NOTHING: Mapping[str, Any] = {}


def natural(key: str) -> list[str | int]:
    """The sort key of natural order: numbers in a key count as numbers."""
    return [int(part) if number % 2 else part for number, part in enumerate(re.split(r"([0-9]+)", key))]


def expand(
    project: Project, settings: Sequence[Setting] = (), max_islands: int = MAX_ISLANDS
) -> tuple[Plan, list[Diagnostic]]:
    """The plan of a project. With errors it is not to be used."""
    found: list[Diagnostic] = []
    types = {island_type.name: island_type for island_type in project.types}
    sets: dict[str, SetPlan] = {}
    total = 0
    for island_set in sorted(project.sets, key=lambda one: natural(one.name)):
        own = [setting for setting in settings if setting.target == island_set.name]
        plan = _plan(island_set, types[island_set.type.text], own, max_islands - total, found)
        sets[plan.name] = plan
        total += len(plan.islands)
    routing_params = {}
    for routing in project.routings:
        own = [setting for setting in settings if setting.target == routing.name and not setting.key]
        if routing.name in sets:  # a setting of both serves whichever declares it
            own = [setting for setting in own if setting.param in routing.params]
        routing_params[routing.name] = _routing_params(routing.params, own, routing.metadata.name_node.place, found)
    known = [*sets, *routing_params]
    for setting in settings:
        if setting.target not in known:
            message = f"there is no IslandSet or Routing `{setting.target}`"
            found.append(Diagnostic("R0802", message, setting.place, hint=nearest(setting.target, known)))
    found += _identities(list(sets.values()))
    return Plan(sets, routing_params), found


def _routing_params(
    params: Mapping[str, Param], settings: Sequence[Setting], place: Place, found: list[Diagnostic]
) -> dict[str, Any]:
    values = {name: param.default.data for name, param in params.items() if param.default is not None}
    for setting in settings:
        values.update(_from_setting(setting, params, found))
    for name in params:
        if name not in values:
            message = f"the parameter `{name}` has no value"
            related = (Related("it is declared here", params[name].place),)
            found.append(
                Diagnostic("R0503", message, place, hint="give it a default, or use --params", related=related)
            )
    return values


class _Layers:
    """The values of a Set in their order, weakest first, and what is wrong with them."""

    def __init__(
        self, island_set: IslandSet, params: Mapping[str, Param], settings: Sequence[Setting], found: list[Diagnostic]
    ) -> None:
        self.params = params
        self.found = found
        self.accepted: set[tuple[str, type, Any]] = set()
        self.overrides = [
            ([(glob, re.compile(translate(glob.text))) for glob in override.globs], self.values(override.params))
            for override in island_set.overrides
        ]
        self.used: set[int] = set()
        self.maps: dict[str, Any] = {}  # the Set's own values of type object: an island's are merged into them
        self.for_all: dict[str, Any] = {}
        self.for_key: dict[str, dict[str, Any]] = {}
        for setting in settings:
            given = _from_setting(setting, params, found)
            target = self.for_key.setdefault(setting.key, {}) if setting.key else self.for_all
            for name, value in given.items():
                target[name] = _merged(target.get(name), value)
        self.by_key = bool(self.overrides or self.for_key)

    def values(self, node: MappingNode | None) -> dict[str, Any]:
        """The values of one layer, checked; one that uses expressions becomes `Dynamic`."""
        values: dict[str, Any] = {}
        if node is None:
            return values
        for name, child in node.items.items():
            data = child.data
            param = self.params.get(name)
            if param is None:
                message = f"there is no parameter `{name}`"
                self.found.append(Diagnostic("R0502", message, node.key_place(name), hint=nearest(name, self.params)))
                continue
            if _uses_expressions(child):
                values[name] = Dynamic((child,), child)
                continue
            values[name] = data
            key: tuple[str, type, Any] | None
            try:
                key = (name, data.__class__, data)
                if key in self.accepted:
                    continue
                hash(key)
            except TypeError:
                key = None
            if param.kind != "map" and not param.fits(data):
                self.found.append(misfit(param, data, child))
            elif key is not None:
                self.accepted.add(key)
        return values

    def own(self, key: str, node: MappingNode | None, axes: Mapping[str, Any] = {}) -> Mapping[str, Any]:
        """The values of one island that are not the Set's."""
        own: dict[str, Any] = dict(axes)
        if not self.by_key and not axes:
            if node is None:
                return _NOTHING
            own = self.values(node)
            for name in own.keys() & self.maps.keys():
                own[name] = _merged(self.maps[name], own[name])
            return own
        layers = [
            values for globs, values in self.overrides if any(self._hits(glob, pattern, key) for glob, pattern in globs)
        ]
        layers += [self.values(node), self.for_all, self.for_key.get(key, {})]
        for layer in layers:
            for name, value in layer.items():
                own[name] = _merged(own[name] if name in own else self.maps.get(name), value)
        return own

    def _hits(self, glob: Scalar, pattern: re.Pattern[str], key: str) -> bool:
        if pattern.fullmatch(key) is None:
            return False
        self.used.add(id(glob))
        return True


def _uses_expressions(node: Node) -> bool:
    if isinstance(node, Scalar):
        return "{{" in node.text
    if isinstance(node, MappingNode):
        return any(map(_uses_expressions, node.items.values()))
    return isinstance(node, SequenceNode) and any(map(_uses_expressions, node.items))


def _merged(weak: Any, strong: Any) -> Any:
    """A stronger layer's value over a weaker one's: maps key by key, anything else as a whole."""
    if isinstance(strong, Dynamic):
        return Dynamic((*(weak.layers if isinstance(weak, Dynamic) else (weak,)), *strong.layers), strong.node)
    if isinstance(weak, Dynamic):
        return Dynamic((*weak.layers, strong), weak.node) if isinstance(strong, dict) else strong
    if isinstance(weak, dict) and isinstance(strong, dict):
        return {**weak, **{key: _merged(weak.get(key), value) for key, value in strong.items()}}
    return strong


def misfit(param: Param, value: Any, node: Node) -> Diagnostic:
    """The diagnostic of a value that does not fit its parameter."""
    from replicator.parser.slips import explain_value

    path, message = (explain_value(value, dict(param.schema)) or [("", "it does not fit")])[0]
    related = (Related("the parameter is declared here", param.place),)
    hint = f'quote it: "{node.text}"' if isinstance(node, Scalar) and "expected text" in message else ""
    message = f"the value of `{param.name}{path}` does not fit: {message}"
    return Diagnostic("R0504", message, node.place, hint=hint, related=related)


def _from_setting(setting: Setting, params: Mapping[str, Param], found: list[Diagnostic]) -> dict[str, Any]:
    """The value of a setting, read by its parameter's type and checked; empty with a diagnostic."""
    param = params.get(setting.param)
    if param is None:
        message = f"there is no parameter `{setting.param}` of `{setting.target}`"
        found.append(Diagnostic("R0502", message, setting.place, hint=nearest(setting.param, params)))
        return {}
    value = setting.value
    if setting.from_text and param.kind != "text":
        import json

        try:
            value = json.loads(value)
        except ValueError:
            message = f"`{value}` is no value of type {param.schema['type']}"
            found.append(Diagnostic("R0504", message, setting.place, hint="it is read as JSON"))
            return {}
    if not param.fits(value):
        from replicator.parser.slips import explain_value

        path, message = (explain_value(value, dict(param.schema)) or [("", "it does not fit")])[0]
        message = f"the value of `{param.name}{path}` does not fit: {message}"
        related = (Related("the parameter is declared here", param.place),)
        found.append(Diagnostic("R0504", message, setting.place, related=related))
        return {}
    return {param.name: value}


def _plan(
    island_set: IslandSet,
    island_type: IslandType,
    settings: Sequence[Setting],
    room: int,
    found: list[Diagnostic],
) -> SetPlan:
    params = island_type.params
    layers = _Layers(island_set, params, settings, found)
    base: dict[str, Any] = {name: param.default.data for name, param in params.items() if param.default is not None}
    for name, value in layers.values(island_set.params).items():
        base[name] = _merged(base.get(name), value)
    if not layers.by_key:  # nothing stands between the Set's values and the command line's
        for name, value in layers.for_all.items():
            if island_set.replicas is not None:
                base[name] = _merged(base.get(name), value)
            else:
                layers.by_key = True
    plan = SetPlan(island_set, island_type, base, island_set.name, island_set.namespace)
    layers.maps = {name: base[name] for name, param in params.items() if param.kind == "map" and name in base}
    if island_set.islands is not None:
        plan.islands = _keyed(plan, island_set.islands, layers, room, found)
    elif island_set.matrix is not None:
        plan.islands = _matrix(plan, island_set.matrix, layers, room, found)
    else:
        plan.islands = _counted(plan, layers, room, found)
    _globs_hit(island_set, plan, layers, found)
    plan.varying = _varying(plan, layers)
    _judge_values(plan, layers, found)
    return plan


def _keyed(
    plan: SetPlan, entries: MappingNode, layers: _Layers, room: int, found: list[Diagnostic]
) -> Sequence[Island]:
    if len(entries.items) > room:
        found.append(_too_many(len(entries.items), room, entries.place))
        return ()
    islands = []
    for key in sorted(entries.items, key=natural):
        entry = entries.items[key]
        if len(key) > names.MAX_KEY or not names.LABEL.fullmatch(key):
            hint = f"at most {names.MAX_KEY} of a-z, 0-9 and `-`, a letter or digit at both ends"
            found.append(Diagnostic("R0501", f"`{key}` is no key of an island", entries.key_place(key), hint=hint))
            continue
        node = entry.items.get("params") if isinstance(entry, MappingNode) else None
        own = layers.own(key, node if isinstance(node, MappingNode) else None)
        islands.append(Island(plan, key, 0, own, entry))
    return islands


def _matrix(plan: SetPlan, axes: MappingNode, layers: _Layers, room: int, found: list[Diagnostic]) -> Sequence[Island]:
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
        if len(key) > names.MAX_KEY or not names.LABEL.fullmatch(key):
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


def _counted(plan: SetPlan, layers: _Layers, room: int, found: list[Diagnostic]) -> Sequence[Island]:
    count = plan.model.replicas or 0
    if count > room:
        node = plan.model.node.get("spec", "replicas")
        found.append(_too_many(count, room, node.place if node else None))
        count = 0
    return _Counted(plan, plan.model.start, count, plan.model.reserved, layers)


def _too_many(count: int, room: int, place: Place | None) -> Diagnostic:
    message = f"{count:,} islands are more than the {room:,} that are left"
    return Diagnostic("R0508", message, place, hint="raise the limit with --max-islands")


def _globs_hit(island_set: IslandSet, plan: SetPlan, layers: _Layers, found: list[Diagnostic]) -> None:
    """Every glob of an override, and every key of a setting, names an island."""
    if not layers.by_key:
        return
    keys = {island.key for island in plan.islands}
    for override in island_set.overrides:
        for glob in override.globs:
            if id(glob) not in layers.used:
                message = f"`{glob.text}` matches no island of `{island_set.name}`"
                found.append(Diagnostic("R0505", message, glob.place, hint=nearest(glob.text, keys)))
    for key in layers.for_key.keys() - keys:
        message = f"there is no island `{island_set.name}/{key}`"
        found.append(Diagnostic("R0802", message, hint=nearest(key, keys)))


def _varying(plan: SetPlan, layers: _Layers) -> frozenset[Path]:
    atoms: set[Path] = {("island", "key"), ("island", "name"), ("island", "ordinal")}
    params = {name for name, value in plan.base.items() if isinstance(value, Dynamic)}
    if layers.by_key or plan.model.replicas is None:
        for island in plan.islands:
            params.update(island.own)
    return frozenset(atoms | {("params", name) for name in params})


def _judge_values(plan: SetPlan, layers: _Layers, found: list[Diagnostic]) -> None:
    """Every parameter has a value; maps fit once they are merged, expressions once they are evaluated."""
    required = [name for name, param in plan.type.params.items() if param.default is None and name not in plan.base]
    late = {name for name, value in plan.base.items() if _is_late(plan.type.params[name], value)}
    varying = {path[1] for path in plan.varying if path[0] == "params"}
    if required and not varying.issuperset(required):
        found += [_missing(plan, name, None) for name in required if name not in varying]
        return
    once = late - varying
    for name in sorted(once):
        _judge_value(plan, name, plan.base[name], None, found)
    each = sorted((late & varying) | {name for name in varying if plan.type.params[name].kind == "map"})
    dynamic = (
        any(isinstance(value, Dynamic) for island in plan.islands for value in island.own.values())
        if varying
        else False
    )
    if not (required or each or dynamic):
        return
    for island in plan.islands:
        found += [_missing(plan, name, island) for name in required if name not in island.own]
        for name in varying:
            value = island.own.get(name, plan.base.get(name))
            if value is not None and _is_late(plan.type.params[name], value):
                _judge_value(plan, name, value, island, found)


def _is_late(param: Param, value: Any) -> bool:
    return isinstance(value, Dynamic) or param.kind == "map"


def _judge_value(plan: SetPlan, name: str, value: Any, island: Island | None, found: list[Diagnostic]) -> None:
    param = plan.type.params[name]
    node = value.node if isinstance(value, Dynamic) else _written(plan, name, island)
    try:
        known = value.evaluate(island) if isinstance(value, Dynamic) and island else value
    except Failure as failure:
        found.append(Diagnostic(failure.code, str(failure), node.place, hint=failure.hint))
        return
    if not param.fits(known):
        found.append(misfit(param, known, node))


def _written(plan: SetPlan, name: str, island: Island | None) -> Node:
    """The strongest node that gives a parameter's value, for the place of a diagnostic."""
    entry = island.entry if island else None
    for holder in (entry.get("params") if isinstance(entry, MappingNode) else None, plan.model.params):
        if isinstance(holder, MappingNode) and name in holder.items:
            return holder.items[name]
    return plan.type.params[name].default or plan.model.metadata.name_node


def _missing(plan: SetPlan, name: str, island: Island | None) -> Diagnostic:
    place = plan.model.metadata.name_node.place
    if island is not None and plan.model.islands is not None:
        place = plan.model.islands.key_place(island.key)
    related = (Related("it is declared here", plan.type.params[name].place),)
    hint = f"params: {{{name}: …}} in the IslandSet, or a default in the Type"
    return Diagnostic("R0503", f"the parameter `{name}` has no value", place, hint=hint, related=related)


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


def _identities(plans: Sequence[SetPlan]) -> Iterator[Diagnostic]:
    """Islands of different Sets that would have one full name: Set `a` key `b-c`, and Set `a-b` key `c`."""
    for short in plans:
        for long in plans:
            if not long.name.startswith(f"{short.name}-") or long.namespace != short.namespace:
                continue
            middle = long.name[len(short.name) + 1 :]
            keys = {island.key for island in short.islands}
            for island in long.islands:
                if f"{middle}-{island.key}" in keys:
                    other = f"{short.name}/{middle}-{island.key}"
                    message = f"the islands `{island.path}` and `{other}` have one name, `{island.name}`"
                    related = (Related("the other Set", short.model.metadata.name_node.place),)
                    yield Diagnostic("R0507", message, island_place(island), related=related)


def island_place(island: Island) -> Place:
    model = island.plan.model
    if model.islands is not None:
        return model.islands.key_place(island.key)
    return model.metadata.name_node.place
