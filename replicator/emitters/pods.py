"""`form: pods`: one StatefulSet whose pods are the islands, its headless Service, and a Service for each pod.

https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from replicator import names
from replicator.context import ISLAND_NAME, Context
from replicator.diagnostics import Diagnostic
from replicator.emitters import labels
from replicator.emitters.containers import (
    RETENTION,
    by_pod_name,
    claims,
    files_body,
    files_by_pod,
    files_name,
    pod_template,
    service_ports,
    unit_files,
)
from replicator.expression.values import Failure
from replicator.kinds import WORKLOAD_ORDER
from replicator.model import Unit
from replicator.parser.source import Mapping as MappingNode
from replicator.patch import At, merge, ordered
from replicator.sources import assemble
from replicator.tree import Leaf, List, Manifest, Map, Origin, Text, Tree, leaf, mapping, text, tree

MAX_PODS_A_GROUP = 100
MAX_GROUP = 512 * 1024  # bytes of the files of a group
_GATE = "InPlaceUpdateReady"  # OpenKruise sets this condition; nothing else does


def emit_set(context: Context) -> Iterator[Manifest]:
    """The objects of the whole Set."""
    units = list(context.type.units.values())
    for unit in units:
        if unit_files(context, unit):
            name = context.object_name(files_name(unit))
            yield _manifest(context, "v1", "ConfigMap", name, files_body(context, unit), component=unit.name)
        yield from _groups(context, unit)
    ports = service_ports(context, units)
    headless = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": _selector(context),
        "ports": ports if ports.items else ...,
    }
    yield _manifest(context, "v1", "Service", (context.plan.path,), {"spec": headless})
    yield _stateful_set(context, units)


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
    api_version = "apps.kruise.io/v1beta1" if advanced else "apps/v1"
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

    A pod finds its own by its name (`subPathExpr`). The template names ten, a hundred, … of them, whether they exist
    or not, so that it stays as it is while pods are added.
    """
    files = files_by_pod(context, unit)
    if not files:
        return
    contents: list[tuple[int, dict[str, str]]] = []
    for island in context.plan.islands:
        texts = {}
        for file in files:
            try:
                texts[f"{island.name}.{file.key}"] = assemble(file.content, island)
            except Failure as failure:
                context.found.append(Diagnostic(failure.code, str(failure), file.place, hint=failure.hint))
        contents.append((island.ordinal, texts))
    longest = context.plan.longest
    for file in files if longest else ():
        assert longest is not None
        if not names.is_config_key(f"{longest.name}.{file.key}"):
            message = f"`{file.path}` makes no key of a ConfigMap: with the pod's name it is too long"
            context.found.append(Diagnostic("R0308", message, file.place))
    size, groups = _grouped(contents)
    if not size:
        message = f"the files of one pod have more than {MAX_GROUP // 1024} KiB"
        context.found.append(Diagnostic("R0313", message, files[0].place))
        return
    reserve = 10 ** len(str(max(groups))) if max(groups) else 1
    name = by_pod_name(unit)
    context.groups[unit.name] = [context.object_name(f"{name}-{number}") for number in range(reserve)]
    for number, data in sorted(groups.items()):
        full = context.object_name(f"{name}-{number}")
        yield _manifest(context, "v1", "ConfigMap", full, {"data": data}, component=unit.name)


def _grouped(contents: list[tuple[int, dict[str, str]]]) -> tuple[int, dict[int, dict[str, str]]]:
    """The files of pods in groups of as many ordinals as fit; no group where one pod's do not fit."""
    for size in (MAX_PODS_A_GROUP, 50, 20, 10, 5, 2, 1):
        groups: dict[int, dict[str, str]] = {}
        for ordinal, texts in contents:
            groups.setdefault(ordinal // size, {}).update(texts)
        if all(sum(len(text.encode()) for text in data.values()) <= MAX_GROUP for data in groups.values()):
            return size, groups
    return 0, {}


def emit_island(context: Context) -> Iterator[Manifest]:
    """The objects of one island: the Service that is called like its pod and selects it."""
    ports = service_ports(context, list(context.type.units.values()))
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
) -> Manifest:
    own = labels.of_object(context, component, of_island)
    origin = Origin(context.type.metadata.name_node.place, "type")
    metadata = labels.metadata(leaf(name, origin), context.namespace, own)
    whole = mapping({"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}, origin)
    local = _fixed(name).removeprefix(
        f"{context.plan.path}-"
    )  # the StatefulSet and its Service are called like the Set
    return Manifest(api_version, kind, name, context.namespace, whole, origin, local=local)
