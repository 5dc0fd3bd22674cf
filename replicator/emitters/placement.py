"""Where pods run: a Set's `placement`, added to every template of pods, beside what the author says there.

https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/
https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from replicator.context import ISLAND_NAME, ISLAND_ZONE, Context
from replicator.diagnostics import Diagnostic, Related
from replicator.emitters import labels
from replicator.kinds import REPLICATED, full_kind
from replicator.references import change_templates
from replicator.sources import Around
from replicator.tree import Hole, Leaf, List, Manifest, Map, Origin, Tree, at, holes, mapping

ZONE = "topology.kubernetes.io/zone"
NODE = "kubernetes.io/hostname"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def placed(context: Context, objects: list[Manifest]) -> list[Manifest]:
    """The objects of an island (or of a Set of pods), with their pods where the outermost Set wants them."""
    given = context.plan.root.model.placement
    if given is None:
        return objects
    requirements = _requirements(context)
    apart = _apart(context) if given.data.get("exclusive", False) else None
    marks = _marks(context) if apart is not None else Map(())
    made = []
    for one in objects:
        kind = full_kind(one.api_version, one.kind)
        if apart is not None and one.kind == "DaemonSet":
            _everywhere(context, one)
        change = partial(_template, context, requirements, apart, marks, _spread(context, kind, one))
        made.append(one._replace(body=change_templates(kind, one.body, change, context.type.references)))
    return made


def _origin(context: Context, field: str) -> Origin:
    """Where the Set says a field of its placement."""
    given = context.plan.root.model.placement
    assert given is not None
    return Origin(given.key_place(field), "set")


def _requirements(context: Context) -> tuple[Tree, ...]:
    """What nodes must be like: in the island's zone, and of certain labels.

    They are terms of affinity and not a `nodeSelector`, which has one value for a label: the author's would be lost.
    """
    given = context.plan.root.model.placement
    assert given is not None
    wanted: list[tuple[str, object, Origin]] = []
    if context.plan.zones:
        wanted.append((ZONE, (ISLAND_ZONE,), _origin(context, "zones")))
    for key, value in sorted(given.data.get("nodes", {}).items()):
        wanted.append((key, value, _origin(context, "nodes")))
    return tuple(mapping({"key": key, "operator": "In", "values": [value]}, origin) for key, value, origin in wanted)


def _apart(context: Context) -> Tree:
    """That no pod of another island of the outermost Set is on the node; of a Set of pods, no other pod of the Set.

    Pods have the labels of the innermost island that they are part of. Where a Type has Sets inside, they have those of
    the outermost one, too.
    """
    root = context.plan.root
    if context.pods:
        selector: dict[str, Any] = {"matchLabels": {labels.SET: root.path}}
    else:
        of_set, of_island = _whose(context)
        others = {"key": of_island, "operator": "NotIn", "values": [_outermost(context)]}
        selector = {"matchLabels": {of_set: root.path}, "matchExpressions": [others]}
    term = {
        "labelSelector": selector,
        "namespaceSelector": {} if root.own_namespaces else ...,
        "topologyKey": NODE,
    }
    return mapping(term, _origin(context, "exclusive"))


def _whose(context: Context) -> tuple[str, str]:
    """The labels of pods that say which outermost Set and island they belong to."""
    inside = context.plan.root.type.sets
    return (labels.OUTERMOST_SET, labels.OUTERMOST_ISLAND) if inside else (labels.SET, labels.ISLAND)


def _outermost(context: Context) -> tuple[Hole, ...]:
    """The name of the outermost island."""
    return (ISLAND_NAME,) if context.plan.above is None else (Hole("name", Around(context.plan.root)),)


def _marks(context: Context) -> Map:
    """The labels by which `exclusive` knows pods, where they do not have them anyway."""
    of_set, of_island = _whose(context)
    if context.pods or of_set == labels.SET:
        return Map(())
    marks = {of_set: context.plan.root.path, of_island: _outermost(context)}
    return mapping(marks, _origin(context, "exclusive"))


def _spread(context: Context, kind: str, one: Manifest) -> tuple[Map, ...]:
    """The constraints by which the pods of a workload spread: of what keeps a number of them, whichever it is."""
    given = context.plan.root.model.placement
    assert given is not None
    selector = at(one.body, "spec", "selector")
    if kind not in REPLICATED or not isinstance(selector, Map):
        return ()
    return tuple(
        mapping(
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector} if kind == "ReplicationController" else selector,
            },
            _origin(context, "spread"),
        )
        for key in given.data.get("spread", ())
    )


def _everywhere(context: Context, one: Manifest) -> None:
    """A DaemonSet is on every node: that of the first island would keep all others out.

    Where the author has it on other nodes for each island, it is not.
    """
    pod = at(one.body, "spec", "template", "spec")
    chosen = [at(pod, "nodeSelector"), at(pod, "affinity", "nodeAffinity")]
    if any(holes(node) for node in chosen if node is not None):
        return
    place = _origin(context, "exclusive").place
    related = (Related("nodes are exclusive here", place),) if place is not None else ()
    message = f"the DaemonSet `{one.local}` of one island would be on every node, and keep all other islands off them"
    hint = "a `nodeSelector` in which each island has nodes of its own; or not `exclusive`"
    context.found.append(Diagnostic("R0323", message, one.origin.place, hint=hint, related=related))


# A template


def _template(
    context: Context,
    requirements: tuple[Tree, ...],
    apart: Tree | None,
    marks: Map,
    spread: Sequence[Map],
    template: Map,
) -> Map:
    """A template of pods that run where the Set wants them."""
    spec = template.get("spec")
    if not isinstance(spec, Map):
        return template
    if requirements or apart is not None:
        affinity = _map(context, spec, "affinity")
        if requirements:
            affinity = _on_nodes(context, affinity, requirements)
        if apart is not None:
            anti = _map(context, affinity, "podAntiAffinity")
            terms = List((*_items(context, anti, _REQUIRED), apart))
            affinity = _with(affinity, "podAntiAffinity", _with(anti, _REQUIRED, terms))
        spec = _with(spec, "affinity", affinity)
    if spread:
        own = _items(context, spec, "topologySpreadConstraints")
        known = [at(item, "topologyKey") for item in own]
        keys = {node.value for node in known if isinstance(node, Leaf)}
        new = tuple(one for one in spread if _key(one) not in keys)
        spec = _with(spec, "topologySpreadConstraints", List((*own, *new))) if new else spec
    if marks.items:
        metadata = _map(context, template, "metadata")
        joined = {**dict(_map(context, metadata, "labels").items), **dict(marks.items)}
        template = _with(template, "metadata", _with(metadata, "labels", Map(tuple(joined.items()))))
    return _with(template, "spec", spec)


def _key(constraint: Map) -> object:
    node = constraint.get("topologyKey")
    return node.value if isinstance(node, Leaf) else None


def _on_nodes(context: Context, affinity: Map, requirements: tuple[Tree, ...]) -> Map:
    """An affinity with further requirements of nodes: in each of the author's terms, of which one is enough.

    A term that says nothing matches no node, and stays so.
    """
    nodes = _map(context, affinity, "nodeAffinity")
    required = _map(context, nodes, _REQUIRED)
    terms: list[Tree] = []
    for term in _items(context, required, "nodeSelectorTerms"):
        given = _items(context, term, "matchExpressions") if isinstance(term, Map) else ()
        fields = _items(context, term, "matchFields") if isinstance(term, Map) else ()
        if isinstance(term, Map) and (given or fields):
            term = _with(term, "matchExpressions", List((*given, *requirements)))
        terms.append(term)
    made = List(tuple(terms or [Map((("matchExpressions", List(requirements)),))]))
    return _with(affinity, "nodeAffinity", _with(nodes, _REQUIRED, _with(required, "nodeSelectorTerms", made)))


def _with(node: Map, key: str, value: Tree) -> Map:
    """The map with one value in the place of another, or after all."""
    return Map(tuple({**dict(node.items), key: value}.items()), node.origin)


def _map(context: Context, owner: Map, field: str) -> Map:
    """The map in a field; an empty one where there is none."""
    node = owner.get(field)
    if isinstance(node, Map):
        return node
    _judge(context, node, f"`{field}` is a map")
    return Map(())


def _items(context: Context, owner: Map, field: str) -> tuple[Tree, ...]:
    """The items of the list in a field; none where there is none."""
    node = owner.get(field)
    if isinstance(node, List):
        return node.items
    _judge(context, node, f"`{field}` is a list")
    return ()


def _judge(context: Context, node: Tree | None, message: str) -> None:
    """What stands in the place of a map or list is nothing."""
    if isinstance(node, (Map, List)) or (isinstance(node, Leaf) and node.value is not None):
        context.found.append(Diagnostic("R0204", message, node.origin.place))
