"""What keeps islands whole and apart, judged on stencils: once per shape, however many islands have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from replicator.diagnostics import Diagnostic, Place, Related
from replicator.expander.islands import Island, island_place
from replicator.expression.values import text_of
from replicator.references import POD_LABELS
from replicator.tree import Hole, Leaf, List, Manifest, Map, Text, Tree

Labels = Mapping[str, object]


def judge(objects: Sequence[Manifest]) -> Iterator[Diagnostic]:
    """What is wrong inside an island: selectors that miss or overlap, two autoscalers of one target."""
    workloads = [one for one in map(_workload, objects) if one is not None]
    yield from _own_pods(workloads)
    yield from _overlaps(workloads)
    yield from _budgets(objects, workloads)
    yield from _autoscalers(objects)


class _Workload(NamedTuple):
    """A controller of pods: what it selects, and the labels of its pods."""

    manifest: Manifest
    selector: Labels | None
    labels: Labels
    place: Place | None


def _at(node: Tree | None, *path: str) -> Tree | None:
    for step in path:
        node = node.get(step) if isinstance(node, Map) else None
    return node


def _labels(node: Tree | None) -> dict[str, object]:
    items = node.items if isinstance(node, Map) else ()
    return {key: value.value for key, value in items if isinstance(value, Leaf)}


def _place(node: Tree | None, manifest: Manifest) -> Place | None:
    origin = node.origin if isinstance(node, (Leaf, Map, List)) else None
    return (origin.place if origin else None) or manifest.origin.place


def _workload(manifest: Manifest) -> _Workload | None:
    paths = POD_LABELS.get(manifest.kind)
    if not paths or manifest.kind in ("CronJob", "PodTemplate"):
        return None
    node = _at(manifest.body, "spec", "selector")
    selector = _labels(_at(node, "matchLabels") if manifest.kind != "ReplicationController" else node)
    if manifest.kind == "Job" or (isinstance(node, Map) and node.get("matchExpressions") is not None):
        return _Workload(manifest, None, _labels(_at(manifest.body, *paths[0].split("."), "labels")), None)
    labels = _labels(_at(manifest.body, *paths[0].split("."), "labels"))
    return _Workload(manifest, selector, labels, _place(node, manifest))


def _selects(selector: Labels, labels: Labels) -> bool:
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def _own_pods(workloads: Iterable[_Workload]) -> Iterator[Diagnostic]:
    """A controller selects the pods of its own template: the API server refuses one that does not."""
    for one in workloads:
        if one.selector is not None and not _selects(one.selector, one.labels):
            name = f"{one.manifest.kind} `{one.manifest.local}`"
            message = f"the selector of the {name} does not match its own pods"
            hint = "spec.selector.matchLabels must be among the labels of spec.template"
            yield Diagnostic("R0607", message, one.place, hint=hint)


def _overlaps(workloads: Sequence[_Workload]) -> Iterator[Diagnostic]:
    """Two controllers that select the same pods fight over them."""
    for number, one in enumerate(workloads):
        for other in workloads[number + 1 :]:
            if one.selector is None or other.selector is None:
                continue
            if _selects(one.selector, other.labels) or _selects(other.selector, one.labels):
                related = (Related("the other one", one.place),) if one.place else ()
                message = (
                    f"the {other.manifest.kind} `{other.manifest.local}` and the {one.manifest.kind} "
                    f"`{one.manifest.local}` select the same pods"
                )
                yield Diagnostic(
                    "R0608", message, other.place, hint="give their pods different labels", related=related
                )


def _budgets(objects: Iterable[Manifest], workloads: Sequence[_Workload]) -> Iterator[Diagnostic]:
    """The eviction API refuses a pod that two PodDisruptionBudgets select."""
    first: dict[int, tuple[Manifest, Place | None]] = {}
    for manifest in objects:
        if manifest.kind != "PodDisruptionBudget":
            continue
        node = _at(manifest.body, "spec", "selector", "matchLabels")
        selector = _labels(node)
        for number, workload in enumerate(workloads):
            if not _selects(selector, workload.labels):
                continue
            place = _place(node, manifest)
            earlier, where = first.setdefault(number, (manifest, place))
            if earlier is not manifest:
                related = (Related("the other one", where),) if where else ()
                message = f"two PodDisruptionBudgets select the pods of `{workload.manifest.local}`"
                yield Diagnostic("R0608", message, place, hint="keep one of them", related=related)


def _autoscalers(objects: Sequence[Manifest]) -> Iterator[Diagnostic]:
    first: dict[tuple[str, object], tuple[Manifest, Place | None]] = {}
    targets: dict[tuple[str, object], Manifest] = {(one.kind, one.name): one for one in objects}
    for manifest in objects:
        if manifest.kind != "HorizontalPodAutoscaler":
            continue
        reference = _at(manifest.body, "spec", "scaleTargetRef")
        kind, name = _at(reference, "kind"), _at(reference, "name")
        if not isinstance(kind, Leaf) or not isinstance(name, Leaf):
            continue
        full = name.value if isinstance(name.value, tuple) else (name.value,)
        place = _place(reference, manifest)
        earlier, where = first.setdefault((str(kind.value), full), (manifest, place))
        if earlier is not manifest:
            related = (Related("the other one", where),) if where else ()
            message = f"two autoscalers of one {kind.value}: `{earlier.local}` and `{manifest.local}`"
            yield Diagnostic("R0609", message, place, hint="keep one of them", related=related)
        target = targets.get((str(kind.value), full))
        replicas = _at(target.body, "spec", "replicas") if target else None
        if target is not None and replicas is not None:
            related = (Related("the autoscaler", place),) if place else ()
            message = f"`replicas` of the {target.kind} `{target.local}`, which an autoscaler decides"
            hint = "remove it: every apply would set it back"
            yield Diagnostic("R0609", message, _place(replicas, target), hint=hint, related=related)


# What must differ between islands


class Unique(NamedTuple):
    """A value that no two objects of a cluster may share, and where it stands."""

    what: str
    value: Text | Hole | str | int
    place: Place | None


def uniques(objects: Iterable[Manifest]) -> Iterator[Unique]:
    """The values of an island's objects that must be its own: ports of nodes, addresses, hosts and paths."""
    for manifest in objects:
        if manifest.kind == "Service":
            yield from _of_service(manifest)
        elif manifest.kind == "Ingress":
            yield from _of_ingress(manifest)
        else:
            yield from _host_ports(manifest.body, manifest)


def _value(node: Tree | None) -> Text | Hole | str | int | None:
    if not isinstance(node, Leaf) or isinstance(node.value, (float, bool)):
        return None
    return node.value


def _of_service(manifest: Manifest) -> Iterator[Unique]:
    spec = _at(manifest.body, "spec")
    address = _at(spec, "clusterIP")
    value = _value(address)
    if value not in (None, "None", ""):
        assert value is not None
        yield Unique("the clusterIP", value, _place(address, manifest))
    ports = _at(spec, "ports")
    for port in ports.items if isinstance(ports, List) else ():
        node = _at(port, "nodePort")
        number = _value(node)
        if number is not None and number != 0:
            yield Unique("the nodePort", number, _place(node, manifest))


def _of_ingress(manifest: Manifest) -> Iterator[Unique]:
    rules = _at(manifest.body, "spec", "rules")
    for rule in rules.items if isinstance(rules, List) else ():
        host = _value(_at(rule, "host")) or "*"
        paths = _at(rule, "http", "paths")
        for path in paths.items if isinstance(paths, List) else ():
            written = _value(_at(path, "path")) or "/"
            whole = (*_parts(host), " ", *_parts(written))
            yield Unique("the host and path of an Ingress", whole, _place(rule, manifest))


def _parts(value: Text | Hole | str | int) -> tuple[str | Hole, ...]:
    return value if isinstance(value, tuple) else (value if isinstance(value, Hole) else str(value),)


def _host_ports(node: Tree, manifest: Manifest) -> Iterator[Unique]:
    if isinstance(node, Map):
        for key, child in node.items:
            if key == "hostPort":
                number = _value(child)
                if number is not None and number != 0:
                    yield Unique("the hostPort", number, _place(child, manifest))
            elif key in ("spec", "template", "jobTemplate", "containers", "initContainers", "ports"):
                yield from _host_ports(child, manifest)
    elif isinstance(node, List):
        for child in node.items:
            yield from _host_ports(child, manifest)


class Holder(NamedTuple):
    """Who has a value that must be unique."""

    island: Island
    place: Place | None


def shared_values(islands: Iterable[tuple[Island, Sequence[Unique]]]) -> Iterator[Diagnostic]:
    """Values that two islands share. One place is told once, with the first two islands that share it."""
    held: dict[tuple[str, str], Holder] = {}
    told: set[tuple[str, Place | None]] = set()
    for island, values in islands:
        for what, value, place in values:
            known = _evaluated(value, island)
            earlier = held.setdefault((what, known), Holder(island, place))
            if earlier.island is island or (what, place) in told:
                continue
            told.add((what, place))
            related = [Related(f"`{island.path}` has it", island_place(island))]
            related.append(Related(f"and `{earlier.island.path}` has it", island_place(earlier.island)))
            if earlier.place is not None and earlier.place != place:
                related.append(Related("written here too", earlier.place))
            message = f"{what} `{known}` is in the islands `{earlier.island.path}` and `{island.path}`"
            hint = "let it follow from the island, or leave it to the cluster"
            yield Diagnostic("R0610", message, place, hint=hint, related=tuple(related))


def _evaluated(value: Text | Hole | str | int, island: Island) -> str:
    parts = _parts(value)
    return "".join(part if isinstance(part, str) else text_of(part.source.value(island)) for part in parts)
