"""Once per shape: a Type in a Set becomes a stencil, manifests whose scalars have holes, cut into pieces of text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from replicator import names
from replicator.context import ISLAND_NAME, Context
from replicator.diagnostics import Diagnostic, Related
from replicator.emitters import island as island_emitter
from replicator.emitters import pods as pods_emitter
from replicator.expander import Island, SetPlan, island_place
from replicator.expression.template import Expr, parse
from replicator.expression.values import OMIT, STRUCTURAL, Failure
from replicator.kinds import apply_rank
from replicator.parser.source import Scalar
from replicator.references import rewrite
from replicator.scope import scalars
from replicator.tree import Hole, Leaf, List, Manifest, Map, Text, Tree
from replicator.yaml_text import Piece, document

MAX_STENCILS = 256  # kept at once; beyond, shapes are bound again when they come back


class Bound(NamedTuple):
    """A manifest and its text in pieces."""

    manifest: Manifest
    pieces: tuple[Piece, ...]


class Stencil(NamedTuple):
    """The objects of an island of one shape, in the order in which they are applied."""

    objects: tuple[Bound, ...]


class BoundSet(NamedTuple):
    """A Set bound: the objects of the whole Set, and the stencil of each of its islands by the island's shape."""

    plan: SetPlan
    context: Context
    objects: tuple[Bound, ...]
    shape_of: Callable[[Island], str]
    stencil: Callable[[str], Stencil]


def bind(plan: SetPlan) -> tuple[BoundSet, list[Diagnostic]]:
    """Bind a Set. Every shape is bound once here, so that what is wrong with any of them is found."""
    found: list[Diagnostic] = []
    structural = _structural(Context(plan, {}))
    varies = any(plan.varying & reads for _, _, reads in structural)
    first = next(iter(plan.islands), None)
    shape_of = _Shapes(plan, structural, found)
    fixed = shape_of(first) if first is not None and not varies else ""
    context = Context(plan, shape_of.values(fixed))
    stencils: dict[str, Stencil] = {}

    def stencil(shape: str) -> Stencil:
        made = stencils.get(shape)
        if made is None:
            if len(stencils) >= MAX_STENCILS:
                del stencils[next(iter(stencils))]
            of_shape = Context(plan, shape_of.values(shape))
            emit = pods_emitter.emit_island if context.pods else island_emitter.emit
            made = stencils[shape] = Stencil(tuple(_finish(emit(of_shape), of_shape, found)))
        return made

    objects: tuple[Bound, ...] = ()
    if first is not None:
        shapes = {shape_of(island): island for island in plan.islands} if varies else {fixed: first}
        for shape in shapes:
            made = stencil(shape)
            found += _too_long(plan, made)
        if context.pods:
            objects = tuple(_finish(pods_emitter.emit_set(context), context, found))
            found += _uniform(plan, objects)
            found += _set_names(plan, objects)
    one: Callable[[Island], str] = shape_of if varies else (lambda island: fixed)
    return BoundSet(plan, context, objects, one, stencil), found


Structural = tuple[Expr, Scalar, frozenset[tuple[str, ...]]]


def _structural(context: Context) -> list[Structural]:
    """The expressions whose values decide structure: maps, lists, what may be omitted, and the numbers of ports."""
    found: dict[str, Structural] = {}
    for unit in context.type.units.values():
        for field, node in unit.node.items.items():
            for scalar in scalars(node):
                template = parse(scalar.text)
                for expression in template.expressions:
                    whole = template.whole is expression
                    decides = whole and (expression.omits or context.scope.kind_of_expression(expression) in STRUCTURAL)
                    if decides or field == "ports":
                        found.setdefault(expression.text, (expression, scalar, context.reads(expression)))
    return list(found.values())


class _Shapes:
    """The shape of an island: the canonical JSON of its structural values."""

    def __init__(self, plan: SetPlan, structural: list[Structural], found: list[Diagnostic]) -> None:
        self.context = Context(plan, {})
        self.structural = structural
        self.found = found
        self.known: dict[str, dict[str, Any]] = {"": {}}

    def __call__(self, island: Island) -> str:
        if not self.structural:
            return ""
        values: dict[str, Any] = {}
        for expression, scalar, _ in self.structural:
            try:
                values[expression.text] = self.context.evaluate(expression, island)
            except Failure as failure:
                related = (Related("for this island", island_place(island)),)
                message = str(failure)
                self.found.append(Diagnostic(failure.code, message, scalar.place, hint=failure.hint, related=related))
                values[expression.text] = None
        shape = json.dumps(values, sort_keys=True, default=_omitted)
        self.known.setdefault(shape, values)
        return shape

    def values(self, shape: str) -> Mapping[str, Any]:
        return self.known[shape]


def _omitted(value: Any) -> Any:
    assert value is OMIT
    return {"omit": True}


def _finish(manifests: Iterable[Manifest], context: Context, found: list[Diagnostic]) -> Iterator[Bound]:
    """Write references out in full, put the objects in order, and cut them into text."""
    made = list(manifests)
    own = {(manifest.kind, _local(manifest, context)): manifest.name for manifest in made}
    finished = []
    for manifest in made:
        rewritten, problems = rewrite(manifest, lambda kind, name: own.get((kind, name)), context.type.external)
        found += problems
        finished.append(rewritten)
    found += context.found
    context.found = []
    finished.sort(key=lambda manifest: (apply_rank(manifest.kind), _sort_name(manifest.name)))
    for manifest in finished:
        yield Bound(manifest, document(manifest.body))


def _local(manifest: Manifest, context: Context) -> str:
    """An object's name within its island."""
    last = manifest.name[-1]
    local = last if isinstance(last, str) else ""
    return local.removeprefix(context.plan.name).removeprefix("-") if context.pods else local.removeprefix("-")


def _sort_name(name: Text) -> str:
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
                related = (Related("made from this unit", bound.manifest.origin.place),)
            hint = "shorten the Set's name, the island's key or the unit's name"
            yield Diagnostic("R0506", message, place, longest.path, hint, related)


def _set_names(plan: SetPlan, objects: Iterable[Bound]) -> Iterator[Diagnostic]:
    for bound in objects:
        manifest = bound.manifest
        limit = names.MAX_NAME.get(manifest.kind, names.MAX_SUBDOMAIN)
        name = _sort_name(manifest.name)
        if len(name) > limit:
            message = f"the {manifest.kind} `{name}` has {len(name)} characters; Kubernetes takes at most {limit}"
            place = plan.model.metadata.name_node.place
            yield Diagnostic("R0506", message, place, plan.name, "shorten the Set's name")


def _uniform(plan: SetPlan, objects: Iterable[Bound]) -> Iterator[Diagnostic]:
    """One StatefulSet has one template: no value in it may differ between its pods."""
    for bound in objects:
        for leaf in _leaves(bound.manifest.body):
            parts = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
            for part in parts:
                if isinstance(part, Hole) and leaf.origin.place and part.source.reads & plan.varying:
                    name = ".".join(sorted(part.source.reads & plan.varying)[0])
                    message = f"`{name}` differs between pods of one StatefulSet, whose template is the same for all"
                    hint = "give the islands one value, or form: copies"
                    yield Diagnostic("R0602", message, leaf.origin.place, hint=hint)


def _leaves(node: Tree) -> Iterator[Leaf]:
    if isinstance(node, Leaf):
        yield node
    elif isinstance(node, Map):
        for _, child in node.items:
            yield from _leaves(child)
    elif isinstance(node, List):
        for child in node.items:
            yield from _leaves(child)
