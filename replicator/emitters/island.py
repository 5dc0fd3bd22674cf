"""Units to an island's objects: workloads, their Services, autoscalers, and the ConfigMaps of their files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from replicator import names
from replicator.context import COUNTS, ISLAND_NAME, Context
from replicator.diagnostics import Diagnostic
from replicator.emitters import labels
from replicator.emitters.containers import (
    RETENTION,
    claims,
    files_body,
    label_texts,
    pod_template,
    service_ports,
    texts,
)
from replicator.kinds import WORKLOAD_ORDER
from replicator.model import Unit
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node, Scalar
from replicator.patch import At, merge, ordered
from replicator.tree import Leaf, List, Manifest, Map, Origin, Tree, leaf, mapping, tree

API_VERSIONS = {"Job": "batch/v1", "CronJob": "batch/v1"}


def emit(context: Context) -> Iterator[Manifest]:
    """The objects of one island that its units make."""
    for unit in context.type.units.values():
        if unit.files and unit.files.items:
            yield manifest(context, "v1", "ConfigMap", names.files(unit.name), unit, files_body(context, unit))
        if unit.kind == "StatefulSet":
            spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": labels.selector(unit.name)}
            headless = {"spec": {**spec, "ports": service_ports(context, [unit]) if unit.ports else ...}}
            yield manifest(context, "v1", "Service", _headless(unit), unit, headless)
        if unit.ports:
            yield _service(context, unit)
        yield _workload(context, unit)
        if unit.autoscale:
            yield _autoscaler(context, unit)


def emit_namespace(context: Context) -> Iterator[Manifest]:
    """The island's Namespace, where the Set creates them."""
    given = context.plan.model.namespaces
    if given is None or not given.data.get("create", False):
        return
    own = {**labels.of_island(context), names.MANAGED_BY: "replicator", **given.data.get("labels", {})}
    annotations = given.data.get("annotations") or ...
    metadata = {"name": (ISLAND_NAME,), "labels": own, "annotations": annotations}
    origin = Origin(given.place, "set")
    body = mapping({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}, origin)
    yield Manifest("v1", "Namespace", (ISLAND_NAME,), (), body, origin)


def manifest(context: Context, api_version: str, kind: str, local: str, unit: Unit, body: dict[str, Any]) -> Manifest:
    """An object of an island, whose name in the island is `local`."""
    name = context.object_name(local)
    origin = Origin(unit.place, "type")
    metadata = labels.metadata(leaf(name), context.namespace, labels.of_object(context, unit.name))
    whole = mapping({"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}, origin)
    return Manifest(api_version, kind, name, context.namespace, whole, origin, local=local)


def _headless(unit: Unit) -> str:
    return f"{unit.name}-headless"


def _service(context: Context, unit: Unit) -> Manifest:
    spec: Tree = mapping({"selector": labels.selector(unit.name), "ports": service_ports(context, [unit])})
    made = manifest(context, "v1", "Service", unit.name, unit, {"spec": spec})
    if unit.service is None:
        return made
    metadata: dict[str, Any] = {}
    for field, texts_of in (("labels", label_texts), ("annotations", texts)):
        node = unit.service.items.get(field)
        if isinstance(node, MappingNode):
            metadata[field] = texts_of(context, node)
        elif node is not None:
            context.found.append(Diagnostic("R0204", f"`{field}` is written out, as a map", node.place))
    fields = {key: child for key, child in unit.service.items.items() if key not in ("labels", "annotations")}
    given = {key: value for key, child in fields.items() if (value := context.value(child)) is not None}
    body = merge(made.body, mapping({"metadata": metadata, "spec": given}))
    assert isinstance(body, Map)
    return made._replace(body=body)


def _workload(context: Context, unit: Unit) -> Manifest:
    stateful = unit.kind == "StatefulSet"
    replicas = _given(context, unit.replicas, 0)
    job = unit.kind in ("Job", "CronJob")
    template = pod_template(context, labels.of_pod(context, unit.name), [unit], unit.kind)
    spec: Tree = mapping(
        {
            "replicas": replicas if replicas and not unit.autoscale else ...,  # an autoscaler's, where there is one
            "selector": ... if job else {"matchLabels": labels.selector(unit.name)},
            "serviceName": leaf(context.object_name(_headless(unit))) if stateful else ...,
            "persistentVolumeClaimRetentionPolicy": RETENTION if unit.storage else ...,
            "template": template,
            "volumeClaimTemplates": claims(context, unit) if unit.storage else ...,
        }
    )
    if unit.kind == "CronJob" and unit.schedule is not None:
        schedule = context.ruled_text(unit.schedule, names.SCHEDULE)
        spec = mapping({"schedule": schedule, "jobTemplate": {"spec": spec}})
    spec = context.merged(spec, unit.spec, At("", "spec"))
    assert isinstance(spec, Map)
    api_version = API_VERSIONS.get(unit.kind, "apps/v1")
    return manifest(context, api_version, unit.kind, unit.name, unit, {"spec": ordered(spec, WORKLOAD_ORDER)})


def _given(context: Context, node: Node | None, least: int) -> Leaf | None:
    """A number of a unit that may be left out, by `omit` too."""
    if not isinstance(node, Scalar) or context.scalar(node) is None:
        return None
    return context.number(node, least, COUNTS[1])


def _metrics(context: Context, node: Node | None) -> tuple[Tree, ...]:
    """Further metrics of an autoscaler."""
    made = context.value(node) if node is not None else None
    items = made.items if isinstance(made, List) else ()
    listed = isinstance(made, List) and all(isinstance(item, Map) for item in items)
    if node is not None and made is not None and not listed:
        context.found.append(Diagnostic("R0204", "`metrics` is a list of maps", node.place))
    return items


def _autoscaler(context: Context, unit: Unit) -> Manifest:
    """https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/"""
    assert unit.autoscale
    given, said = unit.autoscale, len(context.found)
    metrics: list[Tree] = []
    for resource in ("cpu", "memory"):
        percent = _given(context, given.items.get(resource), 1)
        if percent is not None:
            target = {"type": "Utilization", "averageUtilization": percent}
            metrics.append(tree({"type": "Resource", "resource": {"name": resource, "target": target}}))
    metrics += _metrics(context, given.items.get("metrics"))
    least, most = _given(context, given.items.get("min"), 1), _given(context, given.items["max"], 1)
    if not metrics and len(context.found) == said:
        place = unit.node.key_place("autoscale")
        context.found.append(Diagnostic("R0202", "an autoscaler needs a metric: cpu, memory or metrics", place))
    if most is None:
        context.found.append(Diagnostic("R0202", "an autoscaler needs a `max`", given.items["max"].place))
    behavior = context.value(given.items["behavior"]) if "behavior" in given.items else None
    if not isinstance(behavior, Map) and behavior is not None:
        context.found.append(Diagnostic("R0204", "`behavior` is a map", given.items["behavior"].place))
    spec = {
        "scaleTargetRef": {
            "apiVersion": "apps/v1",
            "kind": unit.kind,
            "name": leaf(context.object_name(unit.name)),
        },
        "minReplicas": 1 if least is None or most is None else context.not_above(least, most, "max"),
        "maxReplicas": most,
        "metrics": metrics,
        "behavior": behavior or ...,
    }
    return manifest(context, "autoscaling/v2", "HorizontalPodAutoscaler", unit.name, unit, {"spec": spec})
