"""Units to an island's objects: workloads, their Services, the ConfigMaps of their files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from replicator.context import Context
from replicator.emitters import labels
from replicator.emitters.containers import RETENTION, claims, files_data, files_name, pod_template, service_ports
from replicator.kinds import WORKLOAD_ORDER
from replicator.model import Unit
from replicator.patch import merge, ordered
from replicator.tree import Manifest, Map, Origin, Tree, leaf, mapping, text


def emit(context: Context) -> Iterator[Manifest]:
    """The objects of one island."""
    for unit in context.type.units.values():
        if unit.files:
            data = {"data": files_data(context, unit)}
            yield manifest(context, "v1", "ConfigMap", files_name(unit), unit, data)
        if unit.kind == "StatefulSet":
            spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": labels.selector(unit.name)}
            headless = {"spec": {**spec, "ports": service_ports(context, [unit]) if unit.ports else ...}}
            yield manifest(context, "v1", "Service", _headless(unit), unit, headless)
        if unit.ports:
            yield _service(context, unit)
        yield _workload(context, unit)


def manifest(context: Context, api_version: str, kind: str, local: str, unit: Unit, body: dict[str, Any]) -> Manifest:
    """An object of an island, whose name in the island is `local`."""
    name = context.object_name(local)
    origin = Origin(unit.place, "type")
    metadata = labels.metadata(leaf(name, origin), context.plan.namespace, labels.of_object(context, unit.name))
    whole = mapping({"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}, origin)
    return Manifest(api_version, kind, name, text(context.plan.namespace), whole, origin)


def _headless(unit: Unit) -> str:
    return f"{unit.name}-headless"


def _service(context: Context, unit: Unit) -> Manifest:
    spec: Tree = mapping({"selector": labels.selector(unit.name), "ports": service_ports(context, [unit])})
    made = manifest(context, "v1", "Service", unit.name, unit, {"spec": spec})
    return customised_service(context, unit, made)


def customised_service(context: Context, unit: Unit, made: Manifest) -> Manifest:
    """The Service with the unit's `service`: labels and annotations to its metadata, all else to its spec."""
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
    spec: Tree = mapping(
        {
            "replicas": ... if unit.replicas is None else context.scalar(unit.replicas),
            "selector": {"matchLabels": labels.selector(unit.name)},
            "serviceName": leaf(context.object_name(_headless(unit))) if stateful else ...,
            "persistentVolumeClaimRetentionPolicy": RETENTION if unit.storage else ...,
            "template": pod_template(context, labels.of_pod(context, unit.name), [unit]),
            "volumeClaimTemplates": claims(context, unit) if unit.storage else ...,
        }
    )
    if unit.spec:
        spec = merge(spec, context.value(unit.spec) or mapping({}))
    assert isinstance(spec, Map)
    return manifest(context, "apps/v1", unit.kind, unit.name, unit, {"spec": ordered(spec, WORKLOAD_ORDER)})
