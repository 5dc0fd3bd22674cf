"""Who calls whom: the links that expressions and `uses` make between Sets, and start-up orders that are circles.

The arguments of calls are literal, so all links are known before anything is evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Map
from typing import NamedTuple

from replicator.context import Context, Data, not_offered
from replicator.diagnostics import Diagnostic, Place, Related, nearest
from replicator.expander.islands import Plan, SetPlan, island_place
from replicator.expression.template import Call, parse
from replicator.model import IslandType, TypePort
from replicator.parser.source import Mapping, Node, Scalar
from replicator.scope import let_reads, scalars
from replicator.sources import no_peer
from replicator.tree import Hole

Vertex = tuple[str, str]
"""A Set's path, and one of its Type's units: "" for what the Type has beside them."""


class Wish(NamedTuple):
    """A call that a Type makes, by one of its units or ("") by what it has beside them."""

    unit: str
    call: Call
    place: Place
    declared: bool = False


def resolve(plan: Plan, data: Data) -> list[Diagnostic]:
    """Find the Set of every link, and note in its plan which of its ports are called of all islands at once.

    What is wrong with links is returned: Sets, islands and ports that are not there, and circles as warnings.
    """
    found: list[Diagnostic] = []
    arrows: dict[tuple[Vertex, Vertex], Place] = {}
    wishes: dict[int, list[Wish]] = {}
    for one in plan.sets.values():
        if id(one.type) not in wishes:
            wishes[id(one.type)] = list(_wishes(one.type, data))
        context = Context(one, {}, plans=plan)
        for wish in (*wishes[id(one.type)], *_of_patches(one)):
            for caller, to in _arrows(context, wish, found):
                if (one.path, caller) != to:
                    arrows.setdefault(((one.path, caller), to), wish.place)
    found += _circles(arrows)
    return found


# What a Type calls


def _wishes(island_type: IslandType, data: Data) -> Iterator[Wish]:
    for name, unit in island_type.units.items():
        yield from _calls(name, scalars(unit.node), island_type)
    spec = island_type.node.get("spec")
    for field, node in spec.items.items() if isinstance(spec, Mapping) else ():
        if field not in ("units", "sets"):
            yield from _calls("", scalars(node), island_type)
    for resource in island_type.resources:
        if resource.file is not None and resource.expressions:
            for manifest in data.manifests.get(id(resource.file), ()):
                yield from _calls("", scalars(manifest), island_type)
    for use in island_type.uses:
        given = {"set": use.set, "port": use.port, "key": use.key}
        keywords = [(name, scalar.text) for name, scalar in given.items() if scalar is not None]
        call = Call("address", (), (*keywords, *([("all", True)] if use.all else [])))
        for caller in ("", *island_type.units):
            yield Wish(caller, call, use.node.place, declared=True)


def _of_patches(plan: SetPlan) -> Iterator[Wish]:
    """The calls in the patches of a Set and of its islands."""
    entries = plan.model.islands.items.values() if plan.model.islands is not None else ()
    own = (entry.items.get("patches") for entry in entries if isinstance(entry, Mapping))
    for node in (*(patch.patch for patch in plan.model.patches), *own):
        yield from _calls("", scalars(node), plan.type)


def _calls(unit: str, nodes: Iterable[Node], island_type: IslandType) -> Iterator[Wish]:
    """The calls in some scalars, and in the derived values that they read."""
    waiting = [node for node in nodes if isinstance(node, Scalar)]
    seen: set[str] = set()
    while waiting:
        scalar = waiting.pop(0)
        for expression in parse(scalar.text).expressions:
            for call in expression.calls:
                yield Wish(unit, call, scalar.part(expression.offset, len(expression.text) + 4))
        new = [name for name in let_reads(scalar) if name not in seen]
        seen.update(new)
        waiting += (island_type.let[name] for name in new)


# Where a call leads


def _arrows(context: Context, wish: Wish, found: list[Diagnostic]) -> Iterator[tuple[str, Vertex]]:
    """From the unit that calls to what it calls, where that is known."""
    plan, call = context.plan, wish.call
    if call.keywords:
        target, port = _target(context, wish, found)
        if target is not None and port is not None:
            yield wish.unit, (target.path, port.unit.text if port.unit else "")
    elif call.function == "addresses":
        inner = plan.inner[call.arguments[0]]
        port = inner.type.ports[call.arguments[1]]
        yield wish.unit, (inner.path, port.unit.text if port.unit else "")
    elif call.function in ("host", "address") and not context.pods:
        local = call.arguments[0]
        yield wish.unit, (plan.path, local if local in plan.type.units else "")


def _target(context: Context, wish: Wish, found: list[Diagnostic]) -> tuple[SetPlan | None, TypePort | None]:
    """The Set and the port that a call of another Set means."""
    plan, given = context.plan, dict(wish.call.keywords)
    assert context.plans is not None
    target = context.plans.seen_from(plan, given["set"])
    related = (Related("this Set calls it", plan.model.metadata.name_node.place),)

    def say(code: str, message: str, hint: str = "", *more: Related) -> None:
        finding = Diagnostic(code, message, wish.place, hint=hint, related=(*related, *more))
        if finding not in found:
            found.append(finding)

    if target is None:
        say("R0701", f"there is no IslandSet `{given['set']}` here", nearest(given["set"], context.plans.sets))
        return None, None
    ports = target.type.ports
    port = target.type.port(given.get("port", ""))
    of_type = Related("the Set's Type", target.type.metadata.name_node.place)
    if port is None:
        name = given.get("port", "")
        message = f"the Type `{target.type.name}` has no port `{name}`" if name else "which port?"
        hint = nearest(name, ports) if ports else f"`{target.type.name}` declares no `ports`"
        say("R0303", message, hint, of_type)
        return target, None
    if not context.is_beside(target) and not target.own_namespaces and not target.namespace:
        of_set = Related("the Set that is called", target.model.metadata.name_node.place)
        say("R0704", "an address in another namespace needs the namespace of its Set", "", of_set)
    elif given.get("all"):
        problem = _no_aggregate(context, target, port)
        if problem:
            say("R0611", problem[0], problem[1], *problem[2])
        target.aggregated.add(port.name)
    elif given.get("key") and target.above is None and target.find(given["key"]) is None:
        hint = nearest(given["key"], [island.key for island in target.islands[:1000]])
        say("R0701", f"there is no island `{target.path}/{given['key']}`", hint)
    elif wish.declared or context.pods:
        _peers(plan, target, port, given.get("key", ""), wish.place, found)
    return target, port


def _no_aggregate(context: Context, target: SetPlan, port: TypePort) -> tuple[str, str, tuple[Related, ...]] | None:
    """Why no one Service can stand for all islands of a Set: what is wrong, the way out, and where."""
    one_by_one = "address(set=…, key=…) for each"
    if target.own_namespaces:
        place = Related("each island of this Set has its own", target.model.metadata.name_node.place)
        return "a Service cannot select pods of other namespaces", one_by_one, (place,)
    outside = next((island for island in target.islands if island.implementation), None)
    if target.model.islands is not None and outside is not None:
        place = Related("this island is outside of the cluster", island_place(outside))
        return f"a Service for all would leave out `{outside.path}`, which has no pods", one_by_one, (place,)
    if not len(target.islands):
        place = Related("this Set", target.model.metadata.name_node.place)
        return f"`{target.path}` has no islands", "", (place,)
    if port.unit is None and target.above is not None:
        place = Related("the port", port.place)
        return "of a Set inside islands, only ports of units have a Service for all", one_by_one, (place,)
    _, number = Context(target, {}, plans=context.plans).offered(port)
    if isinstance(number.value, Hole) and number.value.source.reads & target.varying:
        place = Related("the port", port.place)
        return f"the number of the port `{port.name}` differs between islands", one_by_one, (place,)
    return None


def _peers(plan: SetPlan, target: SetPlan, port: TypePort, key: str, place: Place, found: list[Diagnostic]) -> None:
    """Every island has somebody to call: where no value of its own would say that it has not."""
    for island in plan.islands:
        peer = target.seen_from(island, key or island.key)
        failure = not_offered(peer, port) if peer is not None else no_peer(target, key or island.key)
        if failure is not None:
            found.append(failure.at(place, Related("for this island", island_place(island)), island=island.path))


# Circles


def _circles(arrows: Map[tuple[Vertex, Vertex], Place]) -> Iterator[Diagnostic]:
    """Start-up orders that cannot be: each waits for the next. One circle is told for each arrow that closes one."""
    if not arrows:
        return
    after: dict[Vertex, list[Vertex]] = {}
    for start, end in sorted(arrows):
        after.setdefault(start, []).append(end)
    done: set[Vertex] = set()
    for start in list(after):
        way: dict[Vertex, Iterator[Vertex]] = {}  # to where we are, each with what is still to be tried from it
        if start not in done:
            way[start] = iter(after[start])
        while way:
            vertex, rest = next(reversed(way.items()))
            following = next(rest, None)
            if following is None:
                done.add(vertex)
                del way[vertex]
            elif following in way:
                steps = list(way)
                yield _circle(steps[steps.index(following) :], arrows)
            elif following not in done:
                way[following] = iter(after.get(following, ()))


def _circle(way: list[Vertex], arrows: Map[tuple[Vertex, Vertex], Place]) -> Diagnostic:
    first = way.index(min(way))
    way = [*way[first:], *way[:first]]
    pairs = list(zip(way, [*way[1:], way[0]], strict=True))
    named = " → ".join(f"`{path}{'/' if unit else ''}{unit}`" for path, unit in (*way, way[0]))
    related = tuple(Related("and here", arrows[pair]) for pair in pairs[1:])
    hint = "whichever starts first finds nobody: let one of them wait and try again"
    message = f"a start-up order that is a circle: {named}"
    return Diagnostic("R0612", message, arrows[pairs[0]], hint=hint, related=related, severity="warning")
