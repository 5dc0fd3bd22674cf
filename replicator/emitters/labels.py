"""The labels of objects and pods, and the selectors made of those that are stable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from replicator.context import ISLAND_NAME, Context
from replicator.names import MANAGED_BY, OF_ISLAND, OF_SET, PART_OF
from replicator.tree import Map, Text, mapping, text

NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
SET, ISLAND = OF_SET, OF_ISLAND
OUTERMOST_SET = "replicator.dev/outermost-set"
OUTERMOST_ISLAND = "replicator.dev/outermost-island"
POD_NAME = "statefulset.kubernetes.io/pod-name"  # set by the StatefulSet controller


def of_pod(context: Context, component: str, of_island: bool = True) -> dict[str, Any]:
    """Labels of an island's pods, or (not `of_island`) of the pods of a whole Set."""
    plan = context.plan
    labels: dict[str, Any] = {
        NAME: context.type.name,
        INSTANCE: text(ISLAND_NAME) if of_island else plan.path,
        COMPONENT: component,
        PART_OF: plan.root.path,
        MANAGED_BY: "replicator",
        SET: context.set_name,
    }
    if of_island:
        labels |= {ISLAND: text(ISLAND_NAME)}
    return {key: value for key, value in labels.items() if value != ""}


def of_island(context: Context) -> dict[str, Any]:
    """What marks objects that the author brought along, and their pods, as an island's."""
    return {SET: context.set_name, ISLAND: text(ISLAND_NAME)}


def of_object(context: Context, component: str, of_island: bool = True, more: Mapping[str, str] | None = None) -> Map:
    """Labels of an object: a pod's, `more`, and the IslandSet's own."""
    return mapping({**of_pod(context, component, of_island), **(more or {}), **context.plan.model.metadata.labels})


def selector(component: str) -> dict[str, Any]:
    """What selects the pods of one unit of one island."""
    return {ISLAND: text(ISLAND_NAME), COMPONENT: component}


def metadata(name: object, namespace: Text, labels: Map) -> dict[str, Any]:
    """An object's metadata; without a namespace none is written."""
    return {"name": name, "namespace": namespace or ..., "labels": labels}
