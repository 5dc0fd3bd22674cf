"""What Sets say: their Types, how many islands, and what `form: pods` can have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from replicator.check.project import all_sets, children_of
from replicator.check.types import same_number, same_volumes
from replicator.diagnostics import Diagnostic, Related, nearest
from replicator.model import IslandSet, IslandType, Project, UnitPort
from replicator.names import is_key
from replicator.parser.source import Mapping, Node, Scalar


def types_exist(project: Project) -> Iterator[Diagnostic]:
    known = {island_type.name for island_type in project.types}
    for island_set in all_sets(project):
        name = island_set.type.text
        if island_set in project.type_of or "{{" in name:
            continue
        if name not in known:
            hint = nearest(name, known) or "give the file that holds it to the same build"
            yield Diagnostic("R0302", f"there is no IslandType `{name}`", island_set.type.place, hint=hint)
            continue
        every = [one.metadata for one in project.types if one.name == name]
        if len({one.namespace for one in every}) < len(every):  # two of one identity: that is said where they are
            continue
        where = ", ".join(f"`{one.namespace}`" if one.namespace else "none" for one in every)
        message = f"several IslandTypes have the name `{name}`, none of them in the namespace of what names it"
        related = tuple(Related("one of them", one.name_node.place) for one in every)
        hint = f"their namespaces: {where}"
        yield Diagnostic("R0316", message, island_set.type.place, hint=hint, related=related)


def implementations_exist(project: Project) -> Iterator[Diagnostic]:
    for island_set in all_sets(project):
        island_type = project.type_of.get(island_set)
        for entry in children_of(island_set.islands):
            named = entry.items.get("implementation") if isinstance(entry, Mapping) else None
            if island_type is None or not isinstance(named, Scalar) or named.text in island_type.implementations:
                continue
            message = f"the Type `{island_type.name}` has no implementation `{named.text}`"
            known = island_type.implementations
            hint = nearest(named.text, known) if known else "without `implementation` it is Kubernetes resources"
            yield Diagnostic("R0315", message, named.place, hint=hint)


def no_cycles(project: Project) -> Iterator[Diagnostic]:
    """A Type is not inside itself."""
    reported: set[frozenset[IslandType]] = set()
    for start in project.types:
        waiting: list[tuple[IslandType, ...]] = [(start,)]
        while waiting:
            path = waiting.pop()
            for inner in path[-1].sets.values():
                other = project.type_of.get(inner)
                if other is start and frozenset(path) not in reported:
                    reported.add(frozenset(path))
                    message = "a Type is inside itself: " + " → ".join(one.name for one in (*path, start))
                    yield Diagnostic("R0314", message, inner.type.place)
                elif other is not None and other not in path:
                    waiting.append((*path, other))


def counts(project: Project) -> Iterator[Diagnostic]:
    for island_set in all_sets(project):
        spec = island_set.node.items.get("spec", island_set.node)
        assert isinstance(spec, Mapping)
        place = (
            island_set.node.key_place("spec") if spec is not island_set.node else island_set.metadata.name_node.place
        )
        ways = [field for field in ("islands", "replicas", "matrix") if field in spec.items]
        if len(ways) != 1:
            message = f"`{ways[0]}` and `{ways[1]}` at once" if ways else "nothing says which islands there are"
            where = spec.key_place(ways[1]) if ways else place
            hint = "islands: {eu: {}, us: {}} for keys, replicas: 3, or matrix: {region: [eu, us]}"
            yield Diagnostic("R0311", message, where, hint=hint)
        for field, of in (("start", "replicas"), ("exclude", "matrix")):
            if field in spec.items and of not in spec.items:
                yield Diagnostic("R0311", f"`{field}` goes with `{of}` only", spec.key_place(field))
        if "namespaces" in spec.items and island_set.scope != "namespace":
            hint = "scope: namespace"
            yield Diagnostic(
                "R0310", "`namespaces` goes with `scope: namespace`", spec.key_place("namespaces"), hint=hint
            )
        if spec is not island_set.node and island_set.form == "copies":
            for field in ("workload", "reserved", "statefulSet"):
                if field in spec.items:
                    yield Diagnostic("R0310", f"`{field}` goes with `form: pods`", spec.key_place(field))


def tombstones(project: Project) -> Iterator[Diagnostic]:
    """What is removed is the key of an island, or the path of one inside it, that could have been."""
    for island_set in project.sets:
        removed = island_set.removed
        if removed is None:
            continue
        for path in removed.items:
            place = removed.key_place(path)
            keys, inner = path.split("/")[0::2], path.split("/")[1::2]
            if len(keys) == len(inner) or not all(map(is_key, keys)):
                hint = "a key, as `eu`; of an island inside it a path, as `eu/cell/3`"
                yield Diagnostic("R0327", f"`{path}` is the path of no island", place, hint=hint)
                continue
            island_type = project.type_of.get(island_set)
            for name in inner:
                if island_type is None:
                    break
                if name not in island_type.sets:
                    message = f"there is no Set `{name}` inside the islands of the Type `{island_type.name}`"
                    yield Diagnostic("R0327", message, place, hint=nearest(name, island_type.sets))
                    break
                island_type = project.type_of.get(island_type.sets[name])


def pods(project: Project) -> Iterator[Diagnostic]:
    """What `form: pods` cannot have: it is one StatefulSet, whose pods are the islands."""
    for island_set in project.sets:
        island_type = project.type_of.get(island_set)
        if island_type is None:
            continue
        form = island_set.node.get("spec", "form")
        if island_set.form == "copies":
            for unit in island_type.units.values():
                if unit.init:
                    related = (Related("this Set makes copies", form.place if form else island_set.type.place),)
                    hint = "in copies an init container is written under `pod.initContainers`"
                    place = unit.node.key_place("init")
                    yield Diagnostic("R0310", "`init` belongs to `form: pods`", place, hint=hint, related=related)
            continue
        assert form is not None
        related = (Related("this Set is one StatefulSet", form.place),)
        spec = island_set.node.items["spec"]
        assert isinstance(spec, Mapping)
        for way in ("islands", "matrix"):
            if way in spec.items:
                message = "islands of `form: pods` have no names but their ordinals"
                yield Diagnostic("R0310", message, spec.key_place(way), hint="replicas: N", related=related)
        if island_set.scope == "namespace":
            message = "the pods of one StatefulSet are in one namespace"
            yield Diagnostic("R0310", message, spec.key_place("scope"), hint="scope: prefix", related=related)
        if island_type.resources:
            message = "`form: pods` makes one pod of an island: the Type's `resources` have no place in it"
            hint = "put what all pods share into the Set's `shared`, or use form: copies"
            yield Diagnostic("R0310", message, island_type.resources[0].place, hint=hint, related=related)
        yield from _advanced(island_set, spec)
        containers = [unit for unit in island_type.units.values() if not unit.init]
        if not containers:
            yield Diagnostic("R0310", "every unit is an init container", island_set.type.place, related=related)
        for unit in island_type.units.values():
            for field in ("kind", "replicas", "autoscale", "schedule", "spec", "service"):
                if field in unit.node.items:
                    message = f"a unit of `form: pods` is a container: it has no `{field}` of its own"
                    yield Diagnostic("R0310", message, unit.node.key_place(field), related=related)
            if unit.init and unit.ports:
                yield Diagnostic(
                    "R0310",
                    "an init container serves no ports",
                    unit.node.key_place("ports"),
                    related=related,
                )
        yield from same_volumes(list(island_type.units.values()), by_pod=True)
        every = [port for unit in island_type.units.values() for port in unit.ports.values()]
        said = list(same_number(every, lambda port: port.container, "ports of one pod"))
        yield from said or same_number(every, lambda port: port.service, "ports of one Service")
        first: dict[str, UnitPort] = {}
        for port in every:
            earlier = first.setdefault(port.name, port)
            if earlier is not port:
                both = (Related("the first one", earlier.place), *related)
                yield Diagnostic("R0305", f"two ports of one pod named `{port.name}`", port.place, related=both)


def waves(project: Project) -> Iterator[Diagnostic]:
    """Each wave says in one way which islands it has; only the last may be the rest of them."""
    for island_set in project.sets:
        for number, wave in enumerate(island_set.waves, 1):
            ways = list(wave.node.items)
            if len(ways) != 1:
                message = "`" + "` and `".join(ways) + "` in one wave" if ways else "nothing says what is in this wave"
                place = wave.node.key_place(ways[1]) if ways else wave.node.place
                hint = "islands: [eu, us*], percent: 25 or rest: true"
                yield Diagnostic("R0324", message, place, hint=hint)
            elif wave.rest and number < len(island_set.waves):
                message = "after `rest` no island is left for another wave"
                yield Diagnostic("R0324", message, wave.node.key_place("rest"), hint="put it last")
        if island_set.waves and island_set.form == "pods":
            spec, form = island_set.node.items["spec"], island_set.node.get("spec", "form")
            assert isinstance(spec, Mapping)
            assert form is not None
            message = "one StatefulSet is rolled out as a whole: its pods have no waves"
            hint = "statefulSet: {updateStrategy: {rollingUpdate: {partition: N}}} updates the pods from N on"
            related = (Related("this Set is one StatefulSet", form.place),)
            yield Diagnostic("R0325", message, spec.key_place("waves"), hint=hint, related=related)


def _advanced(island_set: IslandSet, spec: Mapping) -> Iterator[Diagnostic]:
    """The rules of OpenKruise's webhook, which its CRD does not hold, and what the core StatefulSet does not have.

    openkruise/kruise: pkg/webhook/statefulset/validating/statefulset_validation.go
    """
    core = island_set.workload == "StatefulSet"
    if core and island_set.reserved:
        hint = "workload: AdvancedStatefulSet (OpenKruise)"
        yield Diagnostic(
            "R0310", "Kubernetes' StatefulSet cannot leave ordinals out", spec.key_place("reserved"), hint=hint
        )
    given = island_set.stateful_set
    if given is None:
        return
    for field in given.items:
        if field in _MADE_FOR_PODS:
            hint = f"it comes from {_MADE_FOR_PODS[field]}"
            yield Diagnostic("R0307", f"`{field}` is not yours to give here", given.key_place(field), hint=hint)
        elif not core and field == "minReadySeconds":
            hint = "updateStrategy: {rollingUpdate: {minReadySeconds: …}}"
            message = "OpenKruise's StatefulSet has no minReadySeconds here"
            yield Diagnostic("R0307", message, given.key_place(field), hint=hint)
        elif core and field in _KRUISE_FIELDS:
            hint = "workload: AdvancedStatefulSet (OpenKruise)"
            message = f"Kubernetes' StatefulSet has no `{field}`"
            yield Diagnostic("R0307", message, given.key_place(field), hint=hint)
    for path in _HOLDERS:
        node = given.get(*path)
        if node is not None and not isinstance(node, Mapping) and node.data is not None and not _is_open(node):
            yield Diagnostic("R0204", f"`{path[-1]}` is a map", node.place)
    for path, allowed in _CHOICES.items():
        node = given.get(*path)
        if node is None or (core and path[-1] in _KRUISE_UPDATES):
            continue
        if _is_open(node):
            yield Diagnostic("R0406", "this field is literal: other fields follow from it", node.place)
        elif node.data not in allowed:
            hint = f"one of: {', '.join(allowed)}"
            yield Diagnostic("R0205", f"`{path[-1]}` has no such value", node.place, hint=hint)
    rolling = given.get("updateStrategy", "rollingUpdate")
    if isinstance(rolling, Mapping):
        kind = given.get("updateStrategy", "type")
        if kind is not None and kind.data == "OnDelete":
            yield Diagnostic("R0307", "updateStrategy OnDelete has no rollingUpdate", rolling.place)
        for field in rolling.items:
            if core and field in _KRUISE_UPDATES:
                hint = "workload: AdvancedStatefulSet (OpenKruise)"
                message = f"Kubernetes' StatefulSet has no rollingUpdate.{field}"
                yield Diagnostic("R0307", message, rolling.key_place(field), hint=hint)
    for path, least in _BUDGETS.items():
        node = given.get(*path)
        if node is not None and not _is_open(node) and not _is_budget(node.data, least):
            message = f"`{path[-1]}` is a number from {least} on, or a percentage from {least}% to 100%"
            yield Diagnostic("R0307", message, node.place)
    if not core:
        yield from _kruise(given)


def _is_open(node: Node) -> bool:
    """Whether an expression gives a value."""
    return isinstance(node.data, str) and "{{" in node.data


def _is_budget(value: Any, least: int) -> bool:
    """Whether a value is a number of pods, or a percentage of them."""
    if isinstance(value, str):
        return re.fullmatch(r"[0-9]{1,3}%", value) is not None and least <= int(value[:-1]) <= 100
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _kruise(given: Mapping) -> Iterator[Diagnostic]:
    """What OpenKruise's webhook refuses in the fields that its StatefulSet has beside Kubernetes'."""
    rolling, scaling = given.get("updateStrategy", "rollingUpdate"), given.get("scaleStrategy")
    parallel = given.data.get("podManagementPolicy", "Parallel") == "Parallel"
    for holder, field in ((rolling, "maxUnavailable"), (rolling, "unorderedUpdate"), (scaling, "maxUnavailable")):
        node = holder.get(field) if isinstance(holder, Mapping) else None
        if node is not None and isinstance(holder, Mapping) and node.data != 1 and not parallel:
            message = f"`{field}` needs podManagementPolicy: Parallel"
            yield Diagnostic("R0307", message, holder.key_place(field))
    if not isinstance(rolling, Mapping):
        return
    ready = rolling.get("minReadySeconds")
    if ready is not None and not _is_open(ready) and not (isinstance(ready.data, int) and 0 <= ready.data <= 300):
        yield Diagnostic("R0307", "minReadySeconds is from 0 to 300", ready.place)
    priorities = rolling.get("unorderedUpdate", "priorityStrategy")
    if isinstance(priorities, Mapping) and {"weightPriority", "orderPriority"} <= priorities.items.keys():
        place = priorities.key_place("orderPriority")
        related = (Related("by weight", priorities.key_place("weightPriority")),)
        yield Diagnostic("R0307", "priorities are by weight or by order, not both", place, related=related)


# Fields of a StatefulSet whose values are words: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/
# stateful-set-v1/ and OpenKruise's apis/apps/v1beta1/statefulset_types.go.
_CHOICES = {
    ("podManagementPolicy",): ("Parallel", "OrderedReady"),
    ("updateStrategy", "type"): ("RollingUpdate", "OnDelete"),
    ("updateStrategy", "rollingUpdate", "podUpdatePolicy"): ("InPlaceIfPossible", "InPlaceOnly", "ReCreate"),
    ("persistentVolumeClaimRetentionPolicy", "whenDeleted"): ("Retain", "Delete"),
    ("persistentVolumeClaimRetentionPolicy", "whenScaled"): ("Retain", "Delete"),
}

# Numbers of pods, or percentages of them, and the least that is taken.
_BUDGETS = {("updateStrategy", "rollingUpdate", "maxUnavailable"): 1, ("scaleStrategy", "maxUnavailable"): 0}

_HOLDERS = sorted({path[:length] for path in (*_CHOICES, *_BUDGETS) for length in range(1, len(path))})

_MADE_FOR_PODS = {
    "replicas": "the Set's `replicas`",
    "ordinals": "the Set's `start`",
    "reserveOrdinals": "the Set's `reserved`",
    "selector": "the compiler: it selects the Set's pods",
    "serviceName": "the compiler: the Set's headless Service",
    "template": "the Type's units",
    "volumeClaimTemplates": "the units' `storage`",
}


_KRUISE_FIELDS = frozenset(["scaleStrategy", "lifecycle", "volumeClaimUpdateStrategy"])
_KRUISE_UPDATES = frozenset(
    ["podUpdatePolicy", "paused", "minReadySeconds", "unorderedUpdate", "inPlaceUpdateStrategy"]
)
