"""What keeps islands whole and apart, judged on stencils: once per shape, however many islands have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from replicator.diagnostics import Diagnostic, Place, Related
from replicator.expander.islands import Island, SetPlan, island_place
from replicator.expression.values import Failure, text_of
from replicator.kinds import TEMPLATES, full_kind
from replicator.references import SELECTORS
from replicator.tree import Hole, Leaf, List, Manifest, Map, Text, Tree, at

Labels = Mapping[str, object]


def judge(objects: Sequence[Manifest]) -> Iterator[Diagnostic]:
    """What is wrong inside an island: selectors that miss or overlap, two autoscalers of one target."""
    workloads = [one for manifest in objects for one in workloads_of(manifest)]
    yield from _own_pods(workloads)
    yield from _overlaps(workloads)
    yield from _budgets(objects, workloads)
    yield from _nothing(objects, workloads)
    yield from _autoscalers(objects)


class Requirement(NamedTuple):
    """A condition on a label: its value is among some, or not; it is there, or not."""

    key: str
    operator: str
    values: tuple[object, ...]

    def holds(self, labels: Labels, elsewhere: bool = False) -> bool:
        """Whether labels fulfil it; with `elsewhere` those of another island, whose own name is another."""
        value = labels.get(self.key)
        known = not (elsewhere and _is_own(value))
        if self.operator == "In":
            return known and value in [one for one in self.values if not (elsewhere and _is_own(one))]
        if self.operator == "NotIn":
            return not known or value not in self.values
        return (self.key in labels) == (self.operator == "Exists")


def _is_own(value: object) -> bool:
    """Whether a label's value is an island's own: it tells it apart from all others."""
    parts = value if isinstance(value, tuple) else (value,)
    return any(path[0] == "island" for part in parts if isinstance(part, Hole) for path in part.source.reads)


class Selector(NamedTuple):
    """What selects pods: all of its requirements. Without any it selects every pod."""

    requirements: tuple[Requirement, ...]
    place: Place | None

    def selects(self, labels: Labels, elsewhere: bool = False) -> bool:
        return all(one.holds(labels, elsewhere) for one in self.requirements)

    @property
    def is_loose(self) -> bool:
        """Whether it may select pods of other islands: nothing in it is the island's own."""
        return not any(
            one.operator == "In" and one.values and all(map(_is_own, one.values)) for one in self.requirements
        )


def _labels(node: Tree | None) -> dict[str, object]:
    items = node.items if isinstance(node, Map) else ()
    return {key: value.value for key, value in items if isinstance(value, Leaf)}


def place_of(node: Tree | None, manifest: Manifest) -> Place | None:
    """Where a node of an object is written; what the compiler adds is written where the object is."""
    origin = node.origin if isinstance(node, (Leaf, Map, List)) else None
    return (origin.place if origin else None) or manifest.origin.place


def selector_of(manifest: Manifest) -> Selector | None:
    """What an object selects pods by; None where it selects none."""
    kind = full_kind(manifest.api_version, manifest.kind)
    path = {"NetworkPolicy": "podSelector"}.get(kind, "selector")
    node = at(manifest.body, "spec", path)
    if kind not in _SELECTING or not isinstance(node, Map):
        return None
    if kind in ("Service", "ReplicationController"):
        return _selector(node, _labels(node), None, manifest) if node.items else None
    return _selector(node, _labels(node.get("matchLabels")), node.get("matchExpressions"), manifest)


def _selector(node: Map, fixed: Labels, expressions: Tree | None, manifest: Manifest) -> Selector:
    found = [Requirement(key, "In", (value,)) for key, value in fixed.items()]
    for one in expressions.items if isinstance(expressions, List) else ():
        key, operator, values = (at(one, field) for field in ("key", "operator", "values"))
        if isinstance(key, Leaf) and isinstance(operator, Leaf):
            known = tuple(item.value for item in getattr(values, "items", ()) if isinstance(item, Leaf))
            found.append(Requirement(str(key.value), str(operator.value), known))
    return Selector(tuple(found), place_of(node, manifest))


_CONTROLLERS = frozenset(
    (
        "Deployment ReplicaSet ReplicationController DaemonSet StatefulSet StatefulSet.apps.kruise.io "
        "DaemonSet.apps.kruise.io CloneSet.apps.kruise.io"
    ).split()
)
_SELECTING = _CONTROLLERS | {"Service", "PodDisruptionBudget", "NetworkPolicy"}


class Workload(NamedTuple):
    """What makes pods: what it selects them by, if it does, and their labels."""

    manifest: Manifest
    selector: Selector | None
    labels: Labels
    pod: Tree | None

    @property
    def name(self) -> str:
        return f"{self.manifest.kind} `{self.manifest.local}`"


def workloads_of(manifest: Manifest) -> Iterator[Workload]:
    """What an object makes pods by."""
    kind = full_kind(manifest.api_version, manifest.kind)
    for path in TEMPLATES.get(kind, ()):
        if kind == "PodTemplate" or "[]" in path:
            continue
        steps = path.split(".") if path else ()
        labels = _labels(at(manifest.body, *steps, "metadata", "labels"))
        selector = selector_of(manifest) if kind in _CONTROLLERS else None
        yield Workload(manifest, selector, labels, at(manifest.body, *steps, "spec"))


def _own_pods(workloads: Iterable[Workload]) -> Iterator[Diagnostic]:
    """A controller selects the pods of its own template: the API server refuses one that does not."""
    for one in workloads:
        if one.selector is not None and not (one.selector.requirements and one.selector.selects(one.labels)):
            message = f"the selector of the {one.name} does not match its own pods"
            hint = "spec.selector.matchLabels must be among the labels of spec.template"
            yield Diagnostic("R0607", message, _missed(one) or one.selector.place, hint=hint)


def _missed(workload: Workload) -> Place | None:
    """The first label of a selector that its pods do not have."""
    selector = at(workload.manifest.body, "spec", "selector")
    wanted = at(selector, "matchLabels") or selector
    for key, leaf in wanted.items if isinstance(wanted, Map) else ():
        if isinstance(leaf, Leaf) and workload.labels.get(key) != leaf.value and leaf.origin.place is not None:
            return leaf.origin.place
    return None


def _overlaps(workloads: Sequence[Workload]) -> Iterator[Diagnostic]:
    """Two controllers that select the same pods fight over them; and so they do with pods of others."""
    for number, one in enumerate(workloads):
        for other in workloads[number + 1 :]:
            taken = one.selector is not None and one.selector.selects(other.labels)
            takes = other.selector is not None and other.selector.selects(one.labels)
            controlled = {"Job", "CronJob"} & {one.manifest.kind, other.manifest.kind}  # nobody adopts their pods
            if controlled or not (taken or takes):
                continue
            places = [each.selector.place if each.selector else each.manifest.origin.place for each in (one, other)]
            related = (Related("the other one", places[0]),) if places[0] else ()
            message = f"the {other.name} and the {one.name} select the same pods"
            if one.selector is None or other.selector is None:
                selecting, selected = (one, other) if taken else (other, one)
                message = f"the {selecting.name} selects the pods of the {selected.name}"
            yield Diagnostic("R0608", message, places[1], hint="give their pods different labels", related=related)


def _budgets(objects: Iterable[Manifest], workloads: Sequence[Workload]) -> Iterator[Diagnostic]:
    """The eviction API refuses a pod that two PodDisruptionBudgets select."""
    first: dict[int, tuple[Manifest, Place | None]] = {}
    for manifest in objects:
        selector = selector_of(manifest) if manifest.kind == "PodDisruptionBudget" else None
        for number, workload in enumerate(workloads) if selector else ():
            if selector is None or not selector.selects(workload.labels):
                continue
            earlier, where = first.setdefault(number, (manifest, selector.place))
            if earlier is not manifest:
                related = (Related("the other one", where),) if where else ()
                message = f"two PodDisruptionBudgets select the pods of `{workload.manifest.local}`"
                yield Diagnostic("R0608", message, selector.place, hint="keep one of them", related=related)


def _nothing(objects: Iterable[Manifest], workloads: Sequence[Workload]) -> Iterator[Diagnostic]:
    """What selects no pod of the island may be misspelt; or an operator makes the pods."""
    selectors = [
        (manifest, selector)
        for manifest in objects
        if (manifest.origin.layer == "resource" and not manifest.once) or _is_added(manifest)
        for selector in _all_selectors(manifest)
    ]
    for manifest, selector in selectors:
        if not any(selector.selects(workload.labels) for workload in workloads):
            message = f"the {manifest.kind} `{manifest.local}` selects no pods of the island"
            hint = "its labels are those of a pod template in the island; if an operator makes the pods, all is well"
            yield Diagnostic("R0614", message, selector.place, hint=hint, severity="warning")


def _is_added(manifest: Manifest) -> bool:
    """Whether an object is a budget of the Set's `disruption`: a patch may have led it away from its pods."""
    return manifest.kind == "PodDisruptionBudget" and manifest.origin.layer == "set"


def _all_selectors(manifest: Manifest) -> Iterator[Selector]:
    """All by which an object selects pods of its own namespace, but for what makes them."""
    kind = full_kind(manifest.api_version, manifest.kind)
    own = selector_of(manifest)
    if own is not None and kind not in _CONTROLLERS:
        yield own
    templates = [path for path in TEMPLATES.get(kind, ()) if "[]" not in path]
    if kind == "NetworkPolicy" or templates:
        for path in SELECTORS[kind]:
            *steps, last = path.replace("[]", ".[]").split(".")
            for owner in _found(manifest.body, steps) if "[]" in path else ():
                node = owner.get(last)
                elsewhere = owner.get("namespaceSelector") is not None or owner.get("namespaces") is not None
                ours = owner.origin.layer == "set"  # what `placement` adds is about other islands' pods
                if isinstance(node, Map) and not elsewhere and not ours:
                    yield _selector(node, _labels(node.get("matchLabels")), node.get("matchExpressions"), manifest)


def _found(node: Tree | None, steps: Sequence[str]) -> Iterator[Map]:
    """The maps at a path of keys, in which `[]` stands for each item of a list."""
    if not steps:
        if isinstance(node, Map):
            yield node
    elif steps[0] == "[]":
        for item in items_of(node):
            yield from _found(item, steps[1:])
    else:
        yield from _found(at(node, steps[0]), steps[1:])


def across(sets: Iterable[tuple[SetPlan, Sequence[Manifest]]]) -> Iterator[Diagnostic]:
    """Selectors that take in the pods of another island: in one namespace, something in them must be their own.

    `sets` are the objects of an island of each shape of each Set.
    """
    known = [(plan, manifest) for plan, objects in sets for manifest in objects if not _is_own(manifest.namespace)]
    loose = [
        (plan, manifest, selector)
        for plan, manifest in known
        if (selector := selector_of(manifest)) is not None and selector.is_loose
    ]
    if not loose:
        return
    pods = [(plan, one) for plan, manifest in known for one in workloads_of(manifest)]
    for plan, manifest, selector in loose:
        for other, workload in pods:
            alone = other is plan and len(plan.islands) < 2
            if alone or workload.manifest.namespace != manifest.namespace:
                continue
            if selector.selects(workload.labels, elsewhere=True):
                message = f"the {manifest.kind} `{manifest.local}` selects pods of other islands: the {workload.name}"
                hint = "keep `replicator.dev/island` in its selector: it is what tells islands apart"
                place = workload.manifest.origin.place
                related = [Related("the pods are made from this", place)] if place else []
                related.append(Related("in each island of this Set", other.model.metadata.name_node.place))
                yield Diagnostic("R0608", message, selector.place, hint=hint, related=tuple(related))
                break


def ungoverned(sets: Iterable[tuple[SetPlan, Sequence[Manifest]]]) -> Iterator[Diagnostic]:
    """Pods of isolated islands that are in their node's network: NetworkPolicies do not hold for them.

    https://kubernetes.io/docs/concepts/services-networking/network-policies/#networkpolicy-and-hostnetwork-pods
    """
    for plan, objects in sets:
        if plan.root.model.isolation != "strict":
            continue
        related = (Related("its islands are isolated", plan.root.model.metadata.name_node.place),)
        for one in (workload for manifest in objects if not manifest.once for workload in workloads_of(manifest)):
            node = at(one.pod, "hostNetwork")
            if isinstance(node, Leaf) and node.value is True:
                message = (
                    f"NetworkPolicies do not hold for the pods of the {one.name}: they are in their node's network"
                )
                place = place_of(node, one.manifest)
                hint = "leave hostNetwork out, or put them into a Set that is open"
                yield Diagnostic("R0622", message, place, hint=hint, related=related, severity="warning")


def _autoscalers(objects: Sequence[Manifest]) -> Iterator[Diagnostic]:
    first: dict[tuple[str, object], tuple[Manifest, Place | None]] = {}
    targets: dict[tuple[str, object], Manifest] = {(one.kind, one.name): one for one in objects}
    for manifest in objects:
        if manifest.kind != "HorizontalPodAutoscaler":
            continue
        reference = at(manifest.body, "spec", "scaleTargetRef")
        kind, name = at(reference, "kind"), at(reference, "name")
        if not isinstance(kind, Leaf) or not isinstance(name, Leaf):
            continue
        full = name.value if isinstance(name.value, tuple) else (name.value,)
        place = place_of(reference, manifest)
        earlier, where = first.setdefault((str(kind.value), full), (manifest, place))
        if earlier is not manifest:
            related = (Related("the other one", where),) if where else ()
            message = f"two autoscalers of one {kind.value}: `{earlier.local}` and `{manifest.local}`"
            yield Diagnostic("R0609", message, place, hint="keep one of them", related=related)
        target = targets.get((str(kind.value), full))
        replicas = at(target.body, "spec", "replicas") if target else None
        if target is not None and replicas is not None:
            related = (Related("the autoscaler", place),) if place else ()
            message = f"`replicas` of the {target.kind} `{target.local}`, which an autoscaler decides"
            hint = "remove it: every apply would set it back"
            yield Diagnostic("R0609", message, place_of(replicas, target), hint=hint, related=related)


# What must differ between islands


class Unique(NamedTuple):
    """A value that no two objects of a cluster may share, and where it stands.

    `twice`: whether one island may have it twice.
    """

    what: str
    value: Text
    place: Place | None
    twice: bool = False


def uniques(objects: Iterable[Manifest]) -> Iterator[Unique]:
    """The values of an island's objects that must be its own: ports of nodes, addresses, hosts and paths."""
    for manifest in objects:
        kind = full_kind(manifest.api_version, manifest.kind)
        if kind == "Service":
            yield from _of_service(manifest)
        elif kind == "Ingress":
            yield from _of_ingress(manifest)
        for path in TEMPLATES.get(kind, ()):
            if "[]" not in path:
                yield from _host_ports(at(manifest.body, *(path.split(".") if path else ()), "spec"), manifest)


def _value(node: Tree | None) -> Text | None:
    """A scalar as text; None where it says nothing."""
    value = node.value if isinstance(node, Leaf) else None
    if value is None or value == "" or value == 0 or isinstance(value, (float, bool)):
        return None
    return value if isinstance(value, tuple) else (value if isinstance(value, Hole) else str(value),)


def items_of(node: Tree | None) -> Sequence[Tree]:
    """The items of a list, or none."""
    return node.items if isinstance(node, List) else ()


def _of_service(manifest: Manifest) -> Iterator[Unique]:
    spec = at(manifest.body, "spec")
    address = at(spec, "clusterIP")
    value = _value(address)
    if value is not None and value != ("None",):
        yield Unique("the clusterIP", value, place_of(address, manifest))
    for port in items_of(at(spec, "ports")):
        node = at(port, "nodePort")
        number = _value(node)
        if number is not None:
            yield Unique("the nodePort", (*number, *_protocol(port)), place_of(node, manifest))


def _protocol(port: Tree) -> Text:
    """What tells ports of one number apart; nothing is TCP."""
    protocol = _value(at(port, "protocol")) or ("TCP",)
    return () if protocol == ("TCP",) else ("/", *protocol)


def _of_ingress(manifest: Manifest) -> Iterator[Unique]:
    """One host and path may be in several Ingresses of an island: that is how a canary is written."""
    for rule in items_of(at(manifest.body, "spec", "rules")):
        host = _value(at(rule, "host")) or ("*",)
        for path in items_of(at(rule, "http", "paths")):
            written = _value(at(path, "path")) or ("/",)
            place = place_of(rule, manifest)
            yield Unique("the host and path of an Ingress", (*host, " ", *written), place, twice=True)


def _host_ports(spec: Tree | None, manifest: Manifest) -> Iterator[Unique]:
    on_host = at(spec, "hostNetwork")
    shared = isinstance(on_host, Leaf) and on_host.value is True
    for containers in ("initContainers", "containers"):
        for container in items_of(at(spec, containers)):
            for port in items_of(at(container, "ports")):
                node = at(port, "hostPort") or (at(port, "containerPort") if shared else None)
                number = _value(node)
                if number is not None:
                    address = _value(at(port, "hostIP"))
                    before = (*address, ":") if address else ()
                    yield Unique("the hostPort", (*before, *number, *_protocol(port)), place_of(node, manifest))


class Holder(NamedTuple):
    """Who has a value that must be unique: an island, or (None) what stands beside the islands; and where."""

    island: Island | None
    place: Place | None

    @property
    def name(self) -> str:
        return f"the island `{self.island.path}`" if self.island is not None else "what is shared"


def shared_values(holders: Iterable[tuple[Island | None, Sequence[Unique]]]) -> Iterator[Diagnostic]:
    """Values that two islands share, or one has twice. A place is told once, with the first two that share it."""
    held: dict[tuple[str, str], Holder] = {}
    told: set[tuple[str, Place | None]] = set()
    for island, values in holders:
        for unique in values:
            try:
                known = _evaluated(unique.value, island)
            except Failure:  # which is told where the value is written
                continue
            holder = Holder(island, unique.place)
            earlier = held.setdefault((unique.what, known), holder)
            again = earlier.island is island and (earlier is holder or unique.twice)
            if again or (unique.what, unique.place) in told:
                continue
            told.add((unique.what, unique.place))
            yield _shared(unique, known, earlier, holder)


def _shared(unique: Unique, known: str, earlier: Holder, later: Holder) -> Diagnostic:
    related = []
    if earlier.island is not later.island:
        names = f"{earlier.name} and {later.name}"
        if earlier.island is not None and later.island is not None:
            names = f"the islands `{earlier.island.path}` and `{later.island.path}`"
        message = f"{unique.what} `{known}` is in {names}"
        for word, one in (("", later.island), ("and ", earlier.island)):
            related += [Related(f"{word}`{one.path}` has it", island_place(one))] if one is not None else []
    else:
        message = f"{unique.what} `{known}` is twice in {later.name}"
    if earlier.place is not None and earlier.place != later.place:
        related.append(Related("written here too", earlier.place))
    hint = "let it follow from the island, or leave it to the cluster"
    return Diagnostic("R0610", message, later.place, hint=hint, related=tuple(related))


def _evaluated(value: Text, island: Island | None) -> str:
    return "".join(part if isinstance(part, str) else text_of(part.source.value(island)) for part in value)
