"""`form: pods`: one StatefulSet whose pods are the islands, its headless Service, and a Service for each pod.

https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from replicator.context import ISLAND_NAME, Context
from replicator.emitters import labels
from replicator.emitters.containers import RETENTION, claims, files_body, files_name, pod_template, service_ports
from replicator.kinds import WORKLOAD_ORDER
from replicator.patch import ordered
from replicator.tree import Manifest, Map, Origin, Text, Tree, leaf, mapping, text


def emit_set(context: Context) -> Iterator[Manifest]:
    """The objects of the whole Set."""
    units = list(context.type.units.values())
    for unit in units:
        if unit.files:
            data = files_body(context, unit)
            name = context.object_name(files_name(unit))
            yield _manifest(context, "v1", "ConfigMap", name, data, component=unit.name)
    name = (context.plan.name,)
    ports = service_ports(context, units)
    headless = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": _selector(context),
        "ports": ports if ports.items else ...,
    }
    yield _manifest(context, "v1", "Service", name, {"spec": headless})
    model = context.plan.model
    stored = any(unit.storage for unit in units)
    pod_labels = labels.of_pod(context, "", of_island=False)
    spec: Tree = mapping(
        {
            "replicas": model.replicas or 0,
            "ordinals": {"start": model.start} if model.start else ...,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": _selector(context)},
            "serviceName": context.plan.name,
            "persistentVolumeClaimRetentionPolicy": RETENTION if stored else ...,
            "template": pod_template(context, pod_labels, units),
            "volumeClaimTemplates": [claim for unit in units for claim in claims(context, unit)] if stored else ...,
        }
    )
    assert isinstance(spec, Map)
    yield _manifest(context, "apps/v1", "StatefulSet", name, {"spec": ordered(spec, WORKLOAD_ORDER)})


def emit_island(context: Context) -> Iterator[Manifest]:
    """The objects of one island: the Service that is called like its pod and selects it."""
    ports = service_ports(context, list(context.type.units.values()))
    if ports.items:
        selector = {**_selector(context), labels.POD_NAME: text(ISLAND_NAME)}
        body = {"spec": {"selector": selector, "ports": ports}}
        yield _manifest(context, "v1", "Service", text(ISLAND_NAME), body, of_island=True)


def _selector(context: Context) -> dict[str, Any]:
    return {labels.SET: context.plan.name}


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
    return Manifest(api_version, kind, name, context.namespace, whole, origin)
