"""Who calls whom: the links that expressions and `uses` make between Sets, and start-up orders that are circles.

The arguments of calls are literal, so all links are known before anything is evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Map
from typing import Literal, NamedTuple

from replicator.context import Context, Data, not_offered
from replicator.diagnostics import Diagnostic, Place, Related, nearest
from replicator.expander.islands import Plan, SetPlan, island_place
from replicator.expression.template import Call, parse
from replicator.model import IslandSet, IslandType, TypePort
from replicator.parser.source import Mapping, Node, Scalar
from replicator.scope import let_reads, scalars
from replicator.sources import no_peer
from replicator.tree import Hole

Vertex = tuple[str, str]
"""A Set's path, and one of its Type's units: "" for what the Type has beside them."""


class Wish(NamedTuple):
    """A call that a Type makes, by one of its units or ("") by what it has beside them.

    `inner` is the Set inside the Type's islands that the result is given to; a call that is `derived` is a value of
    `let`, which says nothing of who uses it.
    """

    unit: str
    call: Call
    place: Place
    declared: bool = False
    inner: str = ""
    derived: bool = False


Reach = Literal["own", "same", "key", "all"]


class Link(NamedTuple):
    """Islands that call others: those of `caller` a Service of those of `target`.

    The call is read in the islands of `scope`: the callers themselves, or those around them, where a Type gives its
    inner Sets an address as a parameter (its own, or that of another inner Set, for the expressions of parameters know
    no others). `reach` says whom it names, seen from such an island: itself (`own`), the
    island of the `same` key, that of `key`, or `all`. `service` is a name within the island, `port` the name or number
    of one of the Service's ports, or empty for all of them.
    """

    caller: SetPlan
    scope: SetPlan
    target: SetPlan
    reach: Reach
    key: str
    service: str
    port: str
    place: Place


def resolve(plan: Plan, data: Data) -> tuple[list[Link], list[Diagnostic]]:
    """The links between islands. It is noted in a Set's plan which of its ports are called of all islands at once.

    What is wrong with links is returned too: Sets, islands and ports that are not there, and circles as warnings.
    """
    found: list[Diagnostic] = []
    links: dict[tuple[object, ...], Link] = {}
    arrows: dict[tuple[Vertex, Vertex], Place] = {}
    wishes: dict[int, list[Wish]] = {}
    for one in plan.sets.values():
        if id(one.type) not in wishes:
            wishes[id(one.type)] = list(_wishes(one.type, data))
        context = Context(one, {}, plans=plan)
        for wish in (*wishes[id(one.type)], *_of_patches(one)):
            link = _link(context, wish, found)
            if link is None:
                continue
            to = (link.target.path, link.service if link.service in link.target.type.units else "")
            if not wish.inner and (one.path, wish.unit) != to:
                arrows.setdefault(((one.path, wish.unit), to), wish.place)
            if not wish.derived and not (link.caller is link.target and link.reach == "own"):
                links.setdefault(_key(link), link)
    found += _circles(arrows)
    return list(links.values()), found


def _key(link: Link) -> tuple[object, ...]:
    """What tells links apart: where they are written does not."""
    return (link.caller.path, link.scope.path, link.target.path, *link[3:7])


# What a Type calls


def _wishes(island_type: IslandType, data: Data) -> Iterator[Wish]:
    for name, unit in island_type.units.items():
        yield from _calls(name, scalars(unit.node), island_type)
    spec = island_type.node.get("spec")
    for field, node in spec.items.items() if isinstance(spec, Mapping) else ():
        if field not in ("units", "sets"):
            derived = field == "let"
            yield from (wish._replace(derived=derived) for wish in _calls("", scalars(node), island_type))
    for inner in island_type.sets.values():
        for value in _given(inner):
            yield from (wish._replace(inner=inner.name) for wish in _calls("", scalars(value), island_type))
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
    for node in (*(patch.patch for patch in plan.model.patches), *_of_entries(plan.model, "patches")):
        yield from _calls("", scalars(node), plan.type)


def _given(inner: IslandSet) -> Iterator[Node | None]:
    """The values of a Set inside islands, which are read in the scope of the island around."""
    yield inner.params
    yield from (override.params for override in inner.overrides)
    yield from _of_entries(inner, "params")


def _of_entries(model: IslandSet, field: str) -> Iterator[Node | None]:
    """A field of the entries of a Set's islands."""
    entries = model.islands.items.values() if model.islands is not None else ()
    return (entry.items.get(field) for entry in entries if isinstance(entry, Mapping))


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


def _link(context: Context, wish: Wish, found: list[Diagnostic]) -> Link | None:
    """The link that a call makes; None where that is not known, or where it stays inside one pod."""
    plan, call = context.plan, wish.call
    caller = plan.inner[wish.inner] if wish.inner else plan
    if call.keywords:
        target, port = _target(context, wish, found)
        if target is None or port is None:
            return None
        key: str = dict(call.keywords).get("key", "")
        reach: Reach = "all" if dict(call.keywords).get("all") else "key" if key else "same"
        return Link(caller, plan, target, reach, key, *_end(port), wish.place)
    if call.function == "addresses":
        inner = plan.inner[call.arguments[0]]
        return Link(caller, plan, inner, "all", "", *_end(inner.type.ports[call.arguments[1]]), wish.place)
    if call.function in ("host", "address") and not context.pods:
        local, *rest = call.arguments
        return Link(caller, plan, plan, "own", "", local, rest[0] if rest else "", wish.place)
    return None


def _end(port: TypePort) -> tuple[str, str]:
    """The Service of a Type's port, and which of its ports it is."""
    named = port.unit or port.service
    assert named is not None
    return named.text, port.port.text


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
