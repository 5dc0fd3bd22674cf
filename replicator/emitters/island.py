"""Units to an island's objects: workloads, their Services, autoscalers, and the ConfigMaps of their files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from replicator import names
from replicator.context import COUNTS, ISLAND_NAME, Context
from replicator.emitters import labels
from replicator.emitters.containers import RETENTION, claims, files_body, pod_template, service_ports
from replicator.kinds import WORKLOAD_ORDER
from replicator.model import Unit
from replicator.parser.source import Scalar
from replicator.patch import At, merge, ordered
from replicator.tree import Leaf, Manifest, Map, Origin, Tree, leaf, mapping, tree

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
    own = {**labels.of_island(context), labels.MANAGED_BY: "replicator", **given.data.get("labels", {})}
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
    given = context.value(unit.service)
    assert isinstance(given, Map)
    metadata = Map(tuple(item for item in given.items if item[0] in ("labels", "annotations")))
    spec = Map(tuple(item for item in given.items if item[0] not in ("labels", "annotations")))
    body = merge(made.body, mapping({"metadata": metadata, "spec": spec}))
    assert isinstance(body, Map)
    return made._replace(body=body)


def _workload(context: Context, unit: Unit) -> Manifest:
    stateful = unit.kind == "StatefulSet"
    job = unit.kind in ("Job", "CronJob")
    template = pod_template(context, labels.of_pod(context, unit.name), [unit], unit.kind)
    spec: Tree = mapping(
        {
            "replicas": ... if unit.replicas is None else context.number(unit.replicas, *COUNTS),
            "selector": ... if job else {"matchLabels": labels.selector(unit.name)},
            "serviceName": leaf(context.object_name(_headless(unit))) if stateful else ...,
            "persistentVolumeClaimRetentionPolicy": RETENTION if unit.storage else ...,
            "template": template,
            "volumeClaimTemplates": claims(context, unit) if unit.storage else ...,
        }
    )
    if unit.kind == "CronJob" and unit.schedule is not None:
        spec = mapping({"schedule": context.scalar(unit.schedule), "jobTemplate": {"spec": spec}})
    spec = context.merged(spec, unit.spec, At("", "spec"))
    assert isinstance(spec, Map)
    api_version = API_VERSIONS.get(unit.kind, "apps/v1")
    return manifest(context, api_version, unit.kind, unit.name, unit, {"spec": ordered(spec, WORKLOAD_ORDER)})


def _autoscaler(context: Context, unit: Unit) -> Manifest:
    """https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/"""
    assert unit.autoscale
    given = unit.autoscale.items

    def number(field: str) -> Leaf | None:
        node = given.get(field)
        return context.number(node, 1, COUNTS[1]) if isinstance(node, Scalar) else None

    metrics: list[Tree] = []
    for resource in ("cpu", "memory"):
        percent = number(resource)
        if percent is not None:
            target = {"type": "Utilization", "averageUtilization": percent}
            metrics.append(tree({"type": "Resource", "resource": {"name": resource, "target": target}}))
    further = context.value(given["metrics"]) if "metrics" in given else None
    metrics += getattr(further, "items", ())
    least, most = number("min"), number("max")
    spec = {
        "scaleTargetRef": {
            "apiVersion": "apps/v1",
            "kind": unit.kind,
            "name": leaf(context.object_name(unit.name)),
        },
        "minReplicas": 1 if least is None or most is None else context.not_above(least, most, "max"),
        "maxReplicas": most,
        "metrics": metrics or ...,
        "behavior": (context.value(given["behavior"]) if "behavior" in given else None) or ...,
    }
    return manifest(context, "autoscaling/v2", "HorizontalPodAutoscaler", unit.name, unit, {"spec": spec})
