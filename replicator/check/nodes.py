"""What Sets say of the nodes that their pods run on: budgets for when they are drained, zones, labels."""

from __future__ import annotations

from collections.abc import Iterator

from replicator import names
from replicator.check.project import children_of
from replicator.diagnostics import Diagnostic, Related, nearest
from replicator.model import IslandSet, Project
from replicator.parser.source import Mapping, Node, Scalar, Sequence

_LIMITS = ("maxUnavailable", "minAvailable")
_MOST = 2**31 - 1


def disruption(project: Project) -> Iterator[Diagnostic]:
    """A budget has one limit, which the API server takes (kubernetes: ValidatePodDisruptionBudgetSpec)."""
    for island_set in project.sets:
        given = island_set.disruption
        if given is None:
            continue
        limits = [field for field in _LIMITS if field in given.items]
        if len(limits) != 1:
            message = "`maxUnavailable` and `minAvailable` at once" if limits else "nothing says how many may be away"
            place = given.key_place(limits[1]) if limits else given.place
            yield Diagnostic("R0205", message, place, hint="a budget has one of them: maxUnavailable: 1")
        for field in limits:
            node = given.items[field]
            value = node.data
            digits = value.removesuffix("%").lstrip("0") if isinstance(value, str) else ""
            if len(digits) > 3 or int(digits or 0) > 100:
                yield Diagnostic("R0205", f"`{value}` is more than all pods", node.place, hint="at most 100%")
            elif isinstance(value, int) and value > _MOST:
                yield Diagnostic("R0205", f"`{field}` is at most {_MOST:,}", node.place)


def placement(project: Project) -> Iterator[Diagnostic]:
    """Zones and labels are such as nodes may have, and are asked for where they can be."""
    for island_set in project.sets:
        given = island_set.placement
        zones = given.items.get("zones") if given is not None else None
        known = [str(item.data) for item in zones.items] if isinstance(zones, Sequence) else []
        if given is not None:
            yield from _labels(given)
            yield from _of_pods(island_set, given)
            yield from _assigned(island_set, given, known)
        for entry in children_of(island_set.islands):
            zone = entry.items.get("zone") if isinstance(entry, Mapping) else None
            if isinstance(zone, Scalar) and isinstance(entry, Mapping):
                yield from _exists(zone, zone.text, known, zones)
    for island_type in project.types:
        for inner in island_type.sets.values():
            for entry in children_of(inner.islands):
                if isinstance(entry, Mapping) and "zone" in entry.items:
                    message = "islands inside an island run in its zone"
                    hint = "`zone` is in the entries of the outermost Set"
                    yield Diagnostic("R0310", message, entry.key_place("zone"), hint=hint)


def _exists(node: Node, zone: str, known: list[str], zones: Node | None) -> Iterator[Diagnostic]:
    """A zone is one of the Set's `placement.zones`."""
    if zone in known or "{{" in zone:
        return
    if zones is None:
        message, hint = "a zone, and the Set has no `placement.zones`", f"placement: {{zones: [{zone}]}}"
        yield Diagnostic("R0321", message, node.place, hint=hint)
        return
    related = (Related("the zones", zones.place),)
    yield Diagnostic("R0321", f"there is no zone `{zone}`", node.place, hint=nearest(zone, known), related=related)


def _labels(given: Mapping) -> Iterator[Diagnostic]:
    """Labels of nodes as the API server takes them in an affinity, and in a constraint of spread."""
    zones, nodes, spread = (given.items.get(field) for field in ("zones", "nodes", "spread"))
    labels = [("zone", str(item.data), item.place) for item in (zones.items if isinstance(zones, Sequence) else ())]
    if isinstance(nodes, Mapping):
        labels += ((key, str(value.data), nodes.key_place(key)) for key, value in nodes.items.items())
    labels += ((str(item.data), "", item.place) for item in (spread.items if isinstance(spread, Sequence) else ()))
    for key, value, place in labels:
        if "{{" not in f"{key}{value}" and (problem := names.label_problem(key, value)):
            yield Diagnostic("R0304", problem, place, hint="a node's label, such as kubernetes.io/arch: arm64")


def _of_pods(island_set: IslandSet, given: Mapping) -> Iterator[Diagnostic]:
    if island_set.form == "pods" and "zones" in given.items:
        form = island_set.node.get("spec", "form")
        related = (Related("this Set is one StatefulSet", form.place),) if form is not None else ()
        message = "the pods of one StatefulSet have one template: it cannot put each into a zone of its own"
        hint = "spread: [topology.kubernetes.io/zone] spreads them over the zones; or form: copies"
        yield Diagnostic("R0310", message, given.key_place("zones"), hint=hint, related=related)


def _assigned(island_set: IslandSet, given: Mapping, known: list[str]) -> Iterator[Diagnostic]:
    assigned = given.items.get("assigned")
    if not isinstance(assigned, Mapping):
        return
    if island_set.islands is not None:
        message = "islands with entries have their zones there"
        key = next(iter(island_set.islands.items), "eu")
        hint = f"islands: {{{key}: {{zone: {known[0] if known else 'a'}}}}}"
        yield Diagnostic("R0310", message, given.key_place("assigned"), hint=hint)
    for zone in assigned.written:
        yield from _exists(zone, zone.text, known, given.items.get("zones"))
