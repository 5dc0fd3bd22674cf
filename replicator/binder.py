"""Once per shape: a Type in a Set becomes a stencil, manifests whose scalars have holes, cut into pieces of text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from replicator import closed, names, patching, proofs, resolving
from replicator.context import ISLAND_NAME, NO_DATA, Context, Data
from replicator.decisions import Decision, Decisions
from replicator.diagnostics import Diagnostic, Related, nearest
from replicator.emitters import aggregate as aggregate_emitter
from replicator.emitters import external as external_emitter
from replicator.emitters import island as island_emitter
from replicator.emitters import pods as pods_emitter
from replicator.emitters import resources as resources_emitter
from replicator.expander.islands import Island, Plan, SetPlan, island_place
from replicator.isolation import NOT_ISOLATED, Isolation, is_strict
from replicator.kinds import apply_rank
from replicator.model import External, Patch
from replicator.parser.decode import patches_of
from replicator.resolving import needed
from replicator.tree import Hole, Leaf, List, Manifest, Map, Text, Tree, holes
from replicator.yaml_text import Piece, document

if TYPE_CHECKING:
    from replicator.evictions import Guard
    from replicator.syncing import SyncWaves

MAX_STENCILS = 256  # kept at once; beyond, shapes are bound again when they come back


class Bound(NamedTuple):
    """A manifest and its text in pieces."""

    manifest: Manifest
    pieces: tuple[Piece, ...]


class Stencil(NamedTuple):
    """The objects of an island of one shape, in the order in which they are applied."""

    objects: tuple[Bound, ...]


class BoundSet(NamedTuple):
    """A Set bound: the objects that stand beside its islands, and the stencil of each island by the island's shape.

    `shapes` are all shapes that there are, with the first two islands of each.
    """

    plan: SetPlan
    context: Context
    objects: tuple[Bound, ...]
    shape_of: Callable[[Island], str]
    stencil: Callable[[str], Stencil]
    varies: bool
    shapes: Mapping[str, Sequence[Island]]
    unanswered: tuple[resolving.Unanswered, ...]


def bind(
    plan: SetPlan,
    plans: Plan,
    data: Data = NO_DATA,
    render: Callable[[Tree], tuple[Piece, ...]] = document,
    sync: SyncWaves | None = None,
    isolation: Isolation = NOT_ISOLATED,
) -> tuple[BoundSet, list[Diagnostic]]:
    """Bind a Set of the `plans`. Every shape is bound once here, so that what is wrong with any of them is found.

    `render` cuts an object into pieces of text; `sync` writes its wave into it before, where that is asked for.
    """
    binder = _Binder(plan, plans, data, render, sync, isolation)
    return binder.bind(), binder.found


def services(plan: SetPlan, plans: Plan, data: Data = NO_DATA) -> list[Manifest]:
    """The Services of a Set's islands that have pods, for each structure that there is, before patches."""
    decisions = Decisions(Context(plan, {}, data, plans=plans), plan.type.resources, [])
    inside = [island for island in plan.islands if not island.implementation]
    shapes = dict.fromkeys(map(decisions.shape, inside if decisions.reads & plan.varying else inside[:1]))
    made = (_emitted(Context(plan, decisions.known[shape], data, plans=plans)) for shape in shapes)
    return [one for of_shape in made for one in of_shape if (one.api_version, one.kind) == ("v1", "Service")]


def _emitted(context: Context, implementation: str = "") -> list[Manifest]:
    """The objects of an island that its Type says."""
    if implementation:
        chosen = context.type.implementations[implementation]
        return list(external_emitter.emit(context, chosen)) if isinstance(chosen, External) else []
    if context.pods:
        return list(pods_emitter.emit_island(context))
    made = [*island_emitter.emit(context), *aggregate_emitter.emit_inner(context)]
    return [*made, *resources_emitter.emit(context, context.type.resources)]


class _Wanted(Exception):
    """A reference whose value is needed: its expressions decide structure from here on."""


class _Binder:
    def __init__(
        self,
        plan: SetPlan,
        plans: Plan,
        data: Data,
        render: Callable[[Tree], tuple[Piece, ...]],
        sync: SyncWaves | None,
        isolation: Isolation,
    ) -> None:
        self.plan = plan
        self.plans = plans
        self.isolation = isolation
        self.render = render
        self.sync = sync
        self.data = data
        self.found: list[Diagnostic] = []
        self.context = self.context_of({})
        self.decisions = Decisions(self.context, plan.type.resources, self.found)
        self.patches: dict[str, tuple[Patch, ...]] = {}  # of islands, by what tells them apart in a shape
        self.used: set[int] = set()
        self.first = plan.example
        self.shapes: dict[str, list[Island]] = {}
        self.stencils: dict[str, Stencil] = {}
        self.once: dict[tuple[str, str, Text], Bound] = {}
        self.shared_objects: resolving.Index = {}
        self.unanswered: list[resolving.Unanswered] = []
        self.example: Island | None = None  # of the shape that is bound, where there are several

    @property
    def varies(self) -> bool:
        """Whether islands differ in structure."""
        promoted = any(
            self.context.reads(decision.expression) & self.plan.varying for decision in self.decisions.promoted
        )
        apart = self.plan.individual or self.isolation.tells_apart(self.plan)
        return apart or promoted or bool(self.decisions.reads & self.plan.varying)

    def bind(self) -> BoundSet:
        shared = self.shared()
        found, unanswered = len(self.found), len(self.unanswered)
        while True:
            try:
                objects = self.islands()
                break
            except _Wanted:
                self.stencils.clear()
                self.once.clear()
                del self.found[found:], self.unanswered[unanswered:]
        objects = tuple(sorted((*shared, *objects, *self.once.values(), *self.aggregates()), key=_order))
        fixed = self.shape(self.first) if self.first is not None and not self.varies else None
        shape_of = self.shape if fixed is None else (lambda island: fixed)
        return BoundSet(
            self.plan, self.context, objects, shape_of, self.stencil, self.varies, self.shapes, tuple(self.unanswered)
        )

    def shape(self, island: Island) -> str:
        """What an island's structure depends on: its implementation, its patches, who calls it, and the values of its
        structural expressions.
        """
        own = island.patches
        mark = ""
        if own is not None:
            mark = json.dumps(own.data, sort_keys=True)
            if mark not in self.patches:
                self.patches[mark] = patches_of(own)
        values = "" if island.implementation else self.decisions.shape(island)
        return f"{island.implementation}\n{mark}\n{self.isolation.signature(island)}\n{values}"

    def stencil(self, shape: str) -> Stencil:
        made = self.stencils.get(shape)
        if made is None:
            if len(self.stencils) >= MAX_STENCILS:
                del self.stencils[next(iter(self.stencils))]
            made = self.stencils[shape] = Stencil(tuple(self.make(shape)))
        return made

    def make(self, shape: str) -> Iterator[Bound]:
        """The objects of an island of one shape."""
        implementation, mark, signature, values = shape.split("\n", 3)
        context = self.context_of(self.decisions.known[values] if not implementation else {})
        made = self.placed(context, _emitted(context, implementation))
        if not implementation and is_strict(self.plan):
            from replicator.emitters import policies

            made += list(policies.emit(context, self.isolation, signature, made))
        made += self.budgets(context, made)
        if self.plan.own_namespaces and not context.pods:
            made += island_emitter.emit_namespace(context)
        for patches in (self.plan.model.patches, self.patches.get(mark, ())):
            made, used, wanted = patching.apply(context, patches, made)
            _promote(self.decisions, wanted)
            self.used |= used
            if patches is not self.plan.model.patches:
                self.found += patching.unused(patches, used, made)
        if not implementation:
            self.judge_ports(made, context)
        for one in self.finish(made, context, self.decisions, of_island=True):
            if not one.manifest.once:
                yield one
                continue
            key = (one.manifest.api_version, one.manifest.kind, one.manifest.name)
            earlier = self.once.setdefault(key, one)
            differs = any(hole.source.reads & self.plan.varying for hole in holes(one.manifest.body))
            if differs or earlier.pieces != one.pieces:
                name = _fixed(one.manifest.name)
                message = f"the {one.manifest.kind} `{name}` stands once beside all islands, but differs between them"
                self.found.append(Diagnostic("R0507", message, one.manifest.origin.place))

    def placed(self, context: Context, made: list[Manifest]) -> list[Manifest]:
        """The objects, with their pods where the outermost Set wants them."""
        if self.plan.root.model.placement is None:
            return made
        from replicator.emitters import placement

        return placement.placed(context, made)

    def budgets(self, context: Context, made: Sequence[Manifest]) -> list[Manifest]:
        """The budgets of the workloads that are made."""
        if self.plan.root.model.disruption is None:
            return []
        from replicator.emitters import budgets

        return list(budgets.emit(context, made, self.shared_objects.values()))

    def guards(self, shape: str, objects: Sequence[Bound]) -> dict[str, tuple[Guard, ...]]:
        """What the budgets among the objects of a shape hold back, by the shape."""
        if self.plan.root.model.disruption is None:
            return {}
        from replicator.evictions import guards

        return {shape: guards([one.manifest for one in objects])}

    def judge_budgets(self, by_shape: Mapping[str, tuple[Guard, ...]]) -> None:
        """What is wrong with the budgets of islands of each shape."""
        if by_shape:
            from replicator.evictions import judge

            self.found += judge(by_shape, self.plan, self.shape)

    def judge_ports(self, made: Iterable[Manifest], context: Context) -> None:
        """The ports of the Type's interface are those of Services that the island has, each with such a port."""
        services = {one.local: one for one in made if one.kind == "Service"}
        island = (Related("for this island", island_place(self.example)),) if self.example else ()
        for port in context.type.ports.values():
            named = port.service or port.unit
            assert named is not None
            if context.pods and port.unit is not None:  # the island's only Service has the ports of all units
                continue
            service = services.get(named.text)
            if service is None:
                message = f"the island has no Service `{named.text}`"
                hint = nearest(named.text, services) if services else "a Service in `resources`"
                self.found.append(Diagnostic("R0303", message, named.place, hint=hint, related=island))
                continue
            expected = context.offered(port)[1].value
            numbers = _service_ports(service)
            unknown = [number.origin.place for number in numbers if isinstance(number.value, Hole)]
            _promote(self.decisions, (one for place in unknown if place for one in needed(context, place)))
            if isinstance(expected, Hole):
                continue
            if not any(number.value == expected or isinstance(number.value, Hole) for number in numbers):
                known = ", ".join(str(number.value) for number in numbers)
                message = f"the Service `{named.text}` has no port {expected}"
                related = (Related("the Service", place), *island) if (place := service.origin.place) else island
                hint = f"it has {known}" if known else ""
                self.found.append(Diagnostic("R0303", message, port.port.place, hint=hint, related=related))

    def context_of(self, structure: Mapping[str, Any], shared: bool = False) -> Context:
        return Context(self.plan, structure, self.data, shared, plans=self.plans)

    def islands(self) -> tuple[Bound, ...]:
        """Bind every shape there is; the objects of the whole Set, where its form has any."""
        if self.first is None:
            return ()
        self.shapes = {} if self.varies else {self.shape(self.first): list(islice(iter(self.plan.islands), 2))}
        for island in self.plan.islands if self.varies else ():
            alike = self.shapes.setdefault(self.shape(island), [])
            if len(alike) < 2:
                alike.append(island)
        guards: dict[str, tuple[Guard, ...]] = {}
        for shape, alike in self.shapes.items():
            self.example = alike[0] if self.varies else None
            stencil = self.stencil(shape)
            guards |= self.guards(shape, stencil.objects)
            self.found += _too_long(self.plan, stencil)
        self.judge_budgets(guards)
        if not self.context.pods:
            bound = (one.manifest for stencil in self.stencils.values() for one in stencil.objects)
            self.found += patching.unused(self.plan.model.patches, self.used, bound)
            return ()
        for decision in self.decisions.fixed:
            if self.context.reads(decision.expression) & self.plan.varying:
                message = "what is there differs between pods of one StatefulSet, whose template is the same for all"
                hint = "give the islands one value, or form: copies"
                self.found.append(Diagnostic("R0602", message, decision.scalar.place, hint=hint))
        values = self.decisions.known[self.shape(self.first).split("\n", 3)[3]]
        context = self.context_of(values)
        made = self.placed(context, list(pods_emitter.emit_set(context)))
        made += self.budgets(context, made)
        made, used, wanted = patching.apply(context, self.plan.model.patches, made)
        _promote(self.decisions, wanted)
        self.found += patching.unused(self.plan.model.patches, used | self.used, made)
        objects = tuple(self.finish(made, context, self.decisions))
        self.judge_budgets(self.guards("", objects))
        self.found += _uniform(self.plan, objects)
        self.found += _set_names(self.plan, objects)
        return objects

    def shared(self) -> tuple[Bound, ...]:
        """What stands once beside the islands: `shared`."""
        resources = self.plan.model.shared
        if not resources:
            return ()
        decisions = Decisions(self.context_of({}, shared=True), resources, self.found)
        everyone = Island(self.plan, "", 0, {}, None)
        beside = list(pods_emitter.named(self.plan)) if self.context.pods else []
        while True:
            context = self.context_of(decisions.known[decisions.shape(everyone)], shared=True)
            made = list(resources_emitter.emit(context, resources))
            self.shared_objects = resolving.index([*made, *beside])
            try:
                return tuple(self.finish(made, context, decisions))
            except _Wanted:
                continue

    def aggregates(self) -> tuple[Bound, ...]:
        """The Services of all islands at once; of a Set inside islands, they are objects of those."""
        if self.plan.above is not None or not self.plan.aggregated or self.first is None:
            return ()
        context = self.context_of({})
        one_island = [one.manifest for one in self.stencil(self.shape(self.first)).objects]
        objects = tuple(self.finish(list(aggregate_emitter.emit(context, one_island)), context, self.decisions))
        self.found += _set_names(self.plan, objects)
        return objects

    def finish(
        self, made: list[Manifest], context: Context, decisions: Decisions, of_island: bool = False
    ) -> Iterator[Bound]:
        """Write references out in full, put the objects in order, and cut them into text."""
        resolved = resolving.resolve(made, self.shared_objects, context)
        _promote(decisions, resolved.wanted)
        self.found += _twice(made)
        self.found += resolved.found
        self.unanswered += resolved.unanswered
        if not context.found:  # else the objects are not whole
            self.found += proofs.judge(resolved.objects)
            self.found += closed.judge(resolved.objects)
        self.found += context.found
        context.found = []
        for manifest in sorted(resolved.objects, key=order_of):
            if self.sync is not None:
                own = of_island and not manifest.once
                manifest = self.sync.of_island(manifest, self.plan) if own else self.sync.of_shared(manifest)
            yield Bound(manifest, self.render(manifest.body))


def _promote(decisions: Decisions, wanted: Iterable[Decision]) -> None:
    """Take expressions whose values are needed for structural. Raises `_Wanted` where that makes other shapes."""
    promoted = {decision.expression.text for decision in decisions.promoted}
    new = [decision for decision in wanted if decision.expression.text not in promoted]
    if new:
        decisions.promote(new)
        raise _Wanted


def _service_ports(service: Manifest) -> list[Leaf]:
    """The numbers of a Service's ports."""
    spec = service.body.get("spec")
    ports = spec.get("ports") if isinstance(spec, Map) else None
    numbers = [port.get("port") for port in (ports.items if isinstance(ports, List) else ()) if isinstance(port, Map)]
    return [number for number in numbers if isinstance(number, Leaf)]


def _twice(made: Iterable[Manifest]) -> Iterator[Diagnostic]:
    """Two objects of one kind and name in one island."""
    first: dict[tuple[str, str, Text], Manifest] = {}
    for manifest in made:
        group = manifest.api_version.rpartition("/")[0]
        earlier = first.setdefault((group, manifest.kind, manifest.name), manifest)
        if earlier is not manifest:
            name = manifest.local or _fixed(manifest.name)
            place = earlier.origin.place
            related = (Related("the first one", place),) if place else ()
            message = f"a second {manifest.kind} of the name `{name}`"
            yield Diagnostic("R0507", message, manifest.origin.place, related=related)


def order_of(manifest: Manifest) -> tuple[int, str, str]:
    return apply_rank(manifest.kind), manifest.kind, _fixed(manifest.name)


def _order(one: Bound) -> tuple[int, str, str]:
    return order_of(one.manifest)


def _fixed(name: Text) -> str:
    return "".join(part if isinstance(part, str) else "" for part in name)


def _length(island_name: int, name: Text) -> int:
    return sum(len(part) if isinstance(part, str) else island_name for part in name)


def _too_long(plan: SetPlan, stencil: Stencil) -> Iterator[Diagnostic]:
    """Names of objects, and of islands as labels' values, beyond what Kubernetes takes."""
    longest = plan.longest
    if longest is None:
        return
    size = len(longest.name)
    label: Text = (ISLAND_NAME,)
    limits: list[tuple[str, int, Text, Bound | None]] = [("label", names.MAX_LABEL, label, None)]
    limits += [
        (bound.manifest.kind, names.MAX_NAME.get(bound.manifest.kind, names.MAX_SUBDOMAIN), bound.manifest.name, bound)
        for bound in stencil.objects
    ]
    for kind, limit, name, bound in limits:
        length = _length(size, name)
        if length > limit:
            full = "".join(part if isinstance(part, str) else longest.name for part in name)
            message = f"the {kind} `{full}` has {length} characters; Kubernetes takes at most {limit}"
            place = island_place(longest)
            related: tuple[Related, ...] = ()
            if bound is not None and bound.manifest.origin.place is not None:
                related = (Related("made from this", bound.manifest.origin.place),)
            hint = "shorten the Set's name, the island's key or the object's name"
            yield Diagnostic("R0506", message, place, longest.path, hint, related)


def _set_names(plan: SetPlan, objects: Iterable[Bound]) -> Iterator[Diagnostic]:
    for bound in objects:
        manifest = bound.manifest
        limit = names.MAX_NAME.get(manifest.kind, names.MAX_SUBDOMAIN)
        name = _fixed(manifest.name)
        if len(name) > limit:
            message = f"the {manifest.kind} `{name}` has {len(name)} characters; Kubernetes takes at most {limit}"
            place = plan.model.metadata.name_node.place
            yield Diagnostic("R0506", message, place, plan.path, "shorten the Set's name")


def _uniform(plan: SetPlan, objects: Iterable[Bound]) -> Iterator[Diagnostic]:
    """One StatefulSet has one template: no value in it may differ between its pods."""
    for bound in objects:
        for one in _leaves(bound.manifest.body):
            parts = one.value if isinstance(one.value, tuple) else (one.value,)
            for part in parts:
                if isinstance(part, Hole) and one.origin.place and part.source.reads & plan.varying:
                    name = ".".join(sorted(part.source.reads & plan.varying)[0])
                    message = f"`{name}` differs between pods of one StatefulSet, whose template is the same for all"
                    hint = "give the islands one value, or form: copies"
                    yield Diagnostic("R0602", message, one.origin.place, hint=hint)


def _leaves(node: Tree) -> Iterator[Leaf]:
    if isinstance(node, Leaf):
        yield node
    elif isinstance(node, Map):
        for _, child in node.items:
            yield from _leaves(child)
    elif isinstance(node, List):
        for child in node.items:
            yield from _leaves(child)
