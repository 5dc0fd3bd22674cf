"""`form: pods`: one StatefulSet whose pods are the islands, its headless Service, and a Service for each pod.

https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from replicator import names
from replicator.context import ISLAND_NAME, Context
from replicator.diagnostics import Diagnostic
from replicator.emitters import labels
from replicator.emitters.containers import (
    RETENTION,
    claims,
    files_body,
    files_by_pod,
    pod_template,
    service_ports,
    unit_files,
)
from replicator.expander.islands import SetPlan
from replicator.expander.members import natural
from replicator.expression.values import Failure
from replicator.kinds import WORKLOAD_ORDER
from replicator.model import Unit
from replicator.parser.source import Mapping as MappingNode
from replicator.patch import At, merge, ordered
from replicator.sources import assemble
from replicator.tree import Leaf, List, Manifest, Map, Origin, Text, Tree, leaf, mapping, text, tree

MAX_GROUP = 512 * 1024  # bytes of the files of a group
_SPANS = (100, 50, 20, 10, 5, 2, 1)  # how many pods a group may be for
_RESERVED = 100  # groups that a template names from the start, whether they exist or not
_HOLE = 64  # bytes that a value in a file is taken to have where groups are planned
_GATE = "InPlaceUpdateReady"  # OpenKruise sets this condition; nothing else does


def emit_set(context: Context) -> Iterator[Manifest]:
    """The objects of the whole Set."""
    units = _units(context)
    for unit in units:
        if unit_files(context, unit):
            name = context.object_name(names.files(unit.name))
            yield _manifest(context, "v1", "ConfigMap", name, files_body(context, unit), component=unit.name)
        yield from _groups(context, unit)
    ports = service_ports(context, units, headless=True)
    headless = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": _selector(context),
        "ports": ports if ports.items else ...,
    }
    yield _manifest(context, "v1", "Service", (context.plan.path,), {"spec": headless})
    yield _stateful_set(context, units)


def _units(context: Context) -> list[Unit]:
    """The units in the order of their names, which is that of the pod's containers."""
    return [context.type.units[name] for name in sorted(context.type.units, key=natural)]


def named(plan: SetPlan) -> Iterator[Manifest]:
    """What stands for objects that the shared ones may refer to: they are called like the Set, or like its pods."""

    def of(api_version: str, kind: str, name: str) -> Manifest:
        return Manifest(api_version, kind, (name,), text(plan.namespace), Map(()), local=name)

    yield of(_api_version(plan), "StatefulSet", plan.path)
    yield of("v1", "Service", plan.path)
    if any(unit.ports for unit in plan.type.units.values()):
        yield from (of("v1", "Service", island.name) for island in plan.islands)


def _api_version(plan: SetPlan) -> str:
    return "apps.kruise.io/v1beta1" if plan.model.workload == "AdvancedStatefulSet" else "apps/v1"


def _stateful_set(context: Context, units: list[Unit]) -> Manifest:
    model = context.plan.model
    advanced = model.workload == "AdvancedStatefulSet"
    stored = any(unit.storage for unit in units)
    template: Tree = pod_template(context, labels.of_pod(context, "", of_island=False), units, "StatefulSet")
    strategy: dict[str, Any] = {"type": "RollingUpdate", "rollingUpdate": {"podUpdatePolicy": "InPlaceIfPossible"}}
    spec: Tree = mapping(
        {
            "replicas": model.replicas or 0,
            "ordinals": {"start": model.start} if model.start else ...,
            "reserveOrdinals": sorted(model.reserved) if model.reserved else ...,
            "podManagementPolicy": "Parallel",
            "updateStrategy": strategy if advanced else ...,
            "selector": {"matchLabels": _selector(context)},
            "serviceName": context.plan.path,
            "persistentVolumeClaimRetentionPolicy": RETENTION if stored else ...,
            "template": template,
            "volumeClaimTemplates": [claim for unit in units for claim in claims(context, unit)] if stored else ...,
        }
    )
    if advanced and _is_on_delete(model.stateful_set):
        spec = merge(spec, mapping({"updateStrategy": {"rollingUpdate": None}}), At("", "spec"))
    spec = context.merged(spec, model.stateful_set, At("", "spec"))
    assert isinstance(spec, Map)
    spec = _gated(spec, advanced)
    api_version = _api_version(context.plan)
    ordered_spec = ordered(spec, WORKLOAD_ORDER)
    return _manifest(context, api_version, "StatefulSet", (context.plan.path,), {"spec": ordered_spec})


def _is_on_delete(node: MappingNode | None) -> bool:
    strategy = node.get("updateStrategy", "type") if node is not None else None
    return strategy is not None and strategy.data == "OnDelete"


def _text(node: Tree | None, *path: str) -> str:
    for step in path:
        node = node.get(step) if isinstance(node, Map) else None
    return str(node.value) if isinstance(node, Leaf) else ""


def _gated(spec: Map, advanced: bool) -> Map:
    """In-place updates need their readiness gate in the template; without OpenKruise it would hold pods unready."""
    in_place = advanced and _text(spec, "updateStrategy", "rollingUpdate", "podUpdatePolicy").startswith("InPlace")
    template = spec.get("template")
    pod = template.get("spec") if isinstance(template, Map) else None
    assert isinstance(template, Map)
    assert isinstance(pod, Map)
    gates = pod.get("readinessGates")
    kept = [gate for gate in (gates.items if isinstance(gates, List) else ()) if _text(gate, "conditionType") != _GATE]
    if in_place:
        kept.append(tree({"conditionType": _GATE}))
    items = [item for item in pod.items if item[0] != "readinessGates"]
    if kept:
        items.append(("readinessGates", List(tuple(kept))))
    new_template = Map(tuple((k, Map(tuple(items), pod.origin) if k == "spec" else v) for k, v in template.items))
    return Map(tuple((k, new_template if k == "template" else v) for k, v in spec.items), spec.origin)


def _groups(context: Context, unit: Unit) -> Iterator[Manifest]:
    """The ConfigMaps of the unit's files that differ between pods: each holds those of a range of ordinals.

    A pod finds its own by its name (`subPathExpr`). A change of the template makes every pod anew, so it names many
    groups before there are any, and how many pods a group is for follows from the files as they are written: one pod
    more changes the last group, or makes one, and nothing else.
    """
    files = files_by_pod(context, unit)
    if not files:
        return
    written = sum(len(part.encode()) if isinstance(part, str) else _HOLE for file in files for part in file.content)
    span = next((one for one in _SPANS if one * written <= MAX_GROUP), 1)
    parts: dict[int, list[dict[str, str]]] = {}
    room = 0
    for island in context.plan.islands:
        texts = {}
        for file in files:
            try:
                texts[f"{island.name}.{file.key}"] = assemble(file.content, island)
            except Failure as failure:
                context.found.append(failure.at(file.place, island=island.path))
        size = sum(len(content.encode()) for content in texts.values())
        if size > MAX_GROUP:
            message = f"the files of one pod have more than {MAX_GROUP // 1024} KiB"
            context.found.append(Diagnostic("R0313", message, files[0].place))
            return
        group = parts.setdefault(island.ordinal // span, [])
        if not group or size > room:
            group.append({})
            room = MAX_GROUP
        room -= size
        group[-1].update(texts)
    longest = context.plan.longest
    for file in files if longest else ():
        assert longest is not None
        if not names.is_config_key(f"{longest.name}.{file.key}"):
            message = f"`{file.path}` makes no key of a ConfigMap: with the pod's name it is too long"
            context.found.append(Diagnostic("R0308", message, file.place))
    context.groups[unit.name] = [
        context.object_name(_group_name(unit, number, part))
        for part in range(max(map(len, parts.values()), default=1))
        for number in range(max(_RESERVED, 10 ** len(str(max(parts, default=0)))))
    ]
    for number, group in sorted(parts.items()):
        for part, data in enumerate(group):
            name = context.object_name(_group_name(unit, number, part))
            yield _manifest(context, "v1", "ConfigMap", name, {"data": data}, component=unit.name, more=names.SPLIT)


def _group_name(unit: Unit, number: int, part: int) -> str:
    """The name of a group; of one whose files are more than a ConfigMap is to hold, of a part of it."""
    return f"{names.files_by_pod(unit.name)}-{number}" + (f"-{part}" if part else "")


def emit_island(context: Context) -> Iterator[Manifest]:
    """The objects of one island: the Service that is called like its pod and selects it."""
    ports = service_ports(context, _units(context))
    if ports.items:
        selector = {**_selector(context), labels.POD_NAME: text(ISLAND_NAME)}
        body = {"spec": {"selector": selector, "ports": ports}}
        yield _manifest(context, "v1", "Service", text(ISLAND_NAME), body, of_island=True)


def _fixed(name: Text) -> str:
    return "".join(part for part in name if isinstance(part, str))


def _selector(context: Context) -> dict[str, Any]:
    return {labels.SET: context.plan.path}


def _manifest(
    context: Context,
    api_version: str,
    kind: str,
    name: Text,
    body: dict[str, Any],
    component: str = "",
    of_island: bool = False,
    more: Mapping[str, str] | None = None,
) -> Manifest:
    own = labels.of_object(context, component, of_island, more)
    unit = context.type.units.get(component)  # else it is of the Set, whose name it has
    origin = Origin(unit.place, "type") if unit else Origin(context.plan.model.metadata.name_node.place, "set")
    metadata = labels.metadata(leaf(name, origin), context.namespace, own)
    whole = mapping({"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}, origin)
    local = _fixed(name).removeprefix(
        f"{context.plan.path}-"
    )  # the StatefulSet and its Service are called like the Set
    return Manifest(api_version, kind, name, context.namespace, whole, origin, local=local)
