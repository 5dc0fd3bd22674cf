"""Which islands there are, with which values: Sets to plans, whose islands are made one by one as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from replicator.diagnostics import Diagnostic, Place, Related, nearest
from replicator.expander.islands import Dynamic, Evaluate, Island, Plan, SetPlan, island_place, merged
from replicator.expander.members import members, natural
from replicator.expander.values import Layers, Setting, from_setting, misfit
from replicator.expression.template import Expr, Path
from replicator.expression.values import OMIT, Failure
from replicator.model import IslandSet, IslandType, Param, Project
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node

MAX_ISLANDS = 100_000


def expand(
    project: Project,
    evaluator: Callable[[SetPlan], Evaluate],
    settings: Sequence[Setting] = (),
    max_islands: int = MAX_ISLANDS,
) -> tuple[Plan, list[Diagnostic]]:
    """The plan of a project. With errors it is not to be used. `evaluator` makes what runs a Type's expressions."""
    found: list[Diagnostic] = []
    sets: dict[str, SetPlan] = {}
    room = max_islands
    for island_set in sorted(project.sets, key=lambda one: natural(one.name)):
        own = [setting for setting in settings if setting.target == island_set.name]
        waiting: list[tuple[IslandSet, SetPlan | None]] = [(island_set, None)]
        while waiting:
            model, above = waiting.pop(0)
            plan = _plan(model, project.type_of[model], above, evaluator, own if above is None else [], room, found)
            room -= len(plan.islands)
            sets[plan.path] = plan
            if above is not None:
                above.inner[model.name] = plan
            inside = sorted(plan.type.sets.values(), key=lambda one: natural(one.name))
            waiting += ((inner, plan) for inner in inside)
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
        elif setting.key and setting.target not in sets:
            message = f"the Routing `{setting.target}` has no island `{setting.key}`"
            hint = f"its parameters are `{setting.target}.NAME`"
            found.append(Diagnostic("R0802", message, setting.place, hint=hint))
    found += _identities(list(sets.values()))
    found += _risen(sets)
    return Plan(sets, routing_params), found


def _routing_params(
    params: Mapping[str, Param], settings: Sequence[Setting], place: Place, found: list[Diagnostic]
) -> dict[str, Any]:
    values = {name: param.default.data for name, param in params.items() if param.default is not None}
    for setting in settings:
        values.update(from_setting(setting, params, found))
    for name in params:
        if name not in values:
            message = f"the parameter `{name}` has no value"
            related = (Related("it is declared here", params[name].place),)
            found.append(
                Diagnostic("R0503", message, place, hint="give it a default, or use --params", related=related)
            )
    return values


def _plan(
    model: IslandSet,
    island_type: IslandType,
    above: SetPlan | None,
    evaluator: Callable[[SetPlan], Evaluate],
    settings: Sequence[Setting],
    room: int,
    found: list[Diagnostic],
) -> SetPlan:
    params = island_type.params
    layers = Layers(model, params, settings, found)
    base: dict[str, Any] = {name: param.default.data for name, param in params.items() if param.default is not None}
    for name, value in layers.values(model.params).items():
        base[name] = merged(base.get(name), value)
    if not layers.by_key:  # nothing stands between the Set's values and the command line's
        for name, value in layers.for_all.items():
            if model.replicas is not None:
                base[name] = merged(base.get(name), value)
            else:
                layers.by_key = True
    path = model.name if above is None else f"{above.path}/{model.name}"
    namespace = model.namespace if above is None else above.namespace
    plan = SetPlan(model, island_type, base, path, namespace, _lazily(evaluator), above)
    layers.maps = {name: base[name] for name, param in params.items() if param.kind == "map" and name in base}
    plan.islands = members(plan, layers, room, found)
    _globs_hit(model, plan, layers, found)
    if above is None and plan.zones:
        from replicator.expander.zones import assign_zones

        plan.zone_of = assign_zones(plan, found)
    plan.varying = _varying(plan, layers)
    _judge_values(plan, layers, found)
    return plan


def _lazily(evaluator: Callable[[SetPlan], Evaluate]) -> Evaluate:
    """What runs a plan's expressions, made when the first is run."""
    made: dict[int, Evaluate] = {}

    def evaluate(expression: Expr, island: Island) -> Any:
        plan = island.plan
        if id(plan) not in made:
            made[id(plan)] = evaluator(plan)
        return made[id(plan)](expression, island)

    return evaluate


def _globs_hit(island_set: IslandSet, plan: SetPlan, layers: Layers, found: list[Diagnostic]) -> None:
    """Every glob of an override, and every key of a setting, names an island."""
    if not layers.by_key:
        return
    keys = sorted(island.key for island in plan.islands)
    for override in island_set.overrides:
        for glob in override.globs:
            written = island_set.islands is not None and glob.text in island_set.islands.items
            if id(glob) not in layers.used and not written:
                message = f"`{glob.text}` matches no island of `{island_set.name}`"
                found.append(Diagnostic("R0505", message, glob.place, hint=nearest(glob.text, keys)))
    for key in layers.keys.keys() - set(keys):
        message = f"there is no island `{island_set.name}/{key}`"
        found.append(Diagnostic("R0802", message, layers.keys[key], hint=nearest(key, keys)))


def _varying(plan: SetPlan, layers: Layers) -> frozenset[Path]:
    atoms: set[Path] = {("island", "key"), ("island", "name"), ("island", "ordinal")}
    if plan.zones:
        atoms.add(("island", "zone"))
    if plan.above is not None:
        atoms |= {("island", "set"), ("island", "namespace"), ("parent", "set")}
        atoms |= {("parent", *path[1:]) if path[0] == "island" else ("parent", *path) for path in plan.above.varying}
    elif plan.own_namespaces:
        atoms.add(("island", "namespace"))
    params = {name for name, value in plan.base.items() if isinstance(value, Dynamic)}
    if layers.by_key or plan.model.replicas is None:
        for island in plan.islands:
            params.update(island.own)
    return frozenset(atoms | {("params", name) for name in params})


def _judge_values(plan: SetPlan, layers: Layers, found: list[Diagnostic]) -> None:
    """Every parameter has a value; maps fit once they are merged, expressions once they are evaluated."""
    required = [name for name, param in plan.type.params.items() if param.default is None and name not in plan.base]
    late = {name for name, value in plan.base.items() if _is_late(plan.type.params[name], value)}
    varying = {path[1] for path in plan.varying if path[0] == "params"}
    if required and not varying.issuperset(required):
        found += [_missing(plan, name, None) for name in required if name not in varying]
        return
    once = late - varying
    for name in sorted(once):
        _judge_value(plan, layers, name, plan.base[name], None, found)
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
        for name in sorted(varying):
            value = island.own.get(name, plan.base.get(name))
            if value is not None and _is_late(plan.type.params[name], value):
                _judge_value(plan, layers, name, value, island, found)


def _is_late(param: Param, value: Any) -> bool:
    return isinstance(value, Dynamic) or param.kind == "map"


def _judge_value(
    plan: SetPlan, layers: Layers, name: str, value: Any, island: Island | None, found: list[Diagnostic]
) -> None:
    param = plan.type.params[name]
    path = island.path if island else ""
    written = [value.node] if isinstance(value, Dynamic) else list(_written(plan, layers, name, island))
    try:
        known = value.evaluate(island) if isinstance(value, Dynamic) and island else value
        if known is OMIT:
            raise Failure("`omit` gives a parameter no value", "leave the parameter out, or give it a value")
    except Failure as failure:
        found.append(failure.at(written[0].place, island=path))
        return
    if not param.fits(known):
        found.append(misfit(param, known, *written)._replace(island=path))


def _written(plan: SetPlan, layers: Layers, name: str, island: Island | None) -> Iterator[Node]:
    """What gives a parameter's value, the strongest first; at last the Set, for a value of the command line."""
    entry = island.entry if island else None
    holders: list[Node | None] = [entry.get("params") if isinstance(entry, MappingNode) else None]
    if island is not None:
        holders += [plan.model.overrides[number].params for number in reversed(layers.hits(island.key))]
    for holder in (*holders, plan.model.params):
        if isinstance(holder, MappingNode) and name in holder.items:
            yield holder.items[name]
    if (default := plan.type.params[name].default) is not None:
        yield default
    yield plan.model.metadata.name_node


def _missing(plan: SetPlan, name: str, island: Island | None) -> Diagnostic:
    place = plan.model.metadata.name_node.place
    if island is not None and plan.model.islands is not None:
        place = plan.model.islands.key_place(island.key)
    related = (Related("it is declared here", plan.type.params[name].place),)
    hint = f"params: {{{name}: …}} in the IslandSet, or a default in the Type"
    message = f"the parameter `{name}` has no value"
    path = island.path if island else ""
    return Diagnostic("R0503", message, place, f"$.spec.params.{name}", hint, related, island=path)


def _risen(sets: Mapping[str, SetPlan]) -> Iterator[Diagnostic]:
    """Islands that are there and said to be removed."""
    paths: dict[str, Mapping[str, Island]] = {}
    for plan in sets.values():
        for tombstone in plan.removed() if plan.above is None else ():
            steps = tombstone.path.split("/")
            inner = sets.get("/".join(steps[0::2]))  # None where its Type is not told apart: that is said elsewhere
            if inner is None:
                continue
            if inner is plan:
                island = plan.find(steps[1])
            else:
                if inner.path not in paths:
                    paths[inner.path] = {one.path: one for one in inner.islands}
                island = paths[inner.path].get(tombstone.path)
            if island is not None:
                message = f"the island `{tombstone.path}` is there, and removed"
                hint = (
                    "a key is not used again: take another one; or take this line out, once the old island's data is "
                    "gone or is to be the new one's"
                )
                related = (Related("the island", island_place(island)),)
                yield Diagnostic("R0327", message, tombstone.place, hint=hint, related=related)


def _identities(plans: Sequence[SetPlan]) -> Iterator[Diagnostic]:
    """Islands that would have one full name: Set `a` key `b-c`, and Set `a-b` key `c`."""
    by_path: dict[str, list[SetPlan]] = {}
    for plan in plans:
        by_path.setdefault(plan.path.replace("/", "-"), []).append(plan)
    named: dict[str, dict[tuple[str, str], Island]] = {}
    for long in plans:
        steps = long.path.replace("/", "-").split("-")
        beginnings = ("-".join(steps[:number]) for number in range(1, len(steps)))
        for short in (plan for beginning in beginnings for plan in by_path.get(beginning, ())):
            if short.path not in named:
                named[short.path] = {(island.namespace, island.name): island for island in short.islands}
            for island in long.islands:
                other = named[short.path].get((island.namespace, island.name))
                if other is not None:
                    message = f"the islands `{island.path}` and `{other.path}` have one name, `{island.name}`"
                    related = (Related("the other island", island_place(other)),)
                    yield Diagnostic("R0507", message, island_place(island), related=related)
