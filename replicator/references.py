"""References between objects: one table of the fields that hold them, from which they are rewritten and proved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

from replicator.diagnostics import Diagnostic, nearest
from replicator.tree import Leaf, List, Manifest, Map, Text, Tree, leaf

# Fields of a PodSpec that name another object, and its kind; `[]` stands for each item of a list.
# https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#PodSpec
_CONTAINER = {
    "env[].valueFrom.secretKeyRef.name": "Secret",
    "env[].valueFrom.configMapKeyRef.name": "ConfigMap",
    "envFrom[].secretRef.name": "Secret",
    "envFrom[].configMapRef.name": "ConfigMap",
}
_POD_SPEC = {
    "serviceAccountName": "ServiceAccount",
    "imagePullSecrets[].name": "Secret",
    "priorityClassName": "PriorityClass",
    "runtimeClassName": "RuntimeClass",
    "volumes[].secret.secretName": "Secret",
    "volumes[].configMap.name": "ConfigMap",
    "volumes[].persistentVolumeClaim.claimName": "PersistentVolumeClaim",
    "volumes[].projected.sources[].secret.name": "Secret",
    "volumes[].projected.sources[].configMap.name": "ConfigMap",
    "volumes[].csi.nodePublishSecretRef.name": "Secret",
    **{
        f"{containers}[].{path}": kind
        for containers in ("containers", "initContainers", "ephemeralContainers")
        for path, kind in _CONTAINER.items()
    },
}
_TEMPLATE = {f"spec.template.spec.{path}": kind for path, kind in _POD_SPEC.items()}
_CLAIMS = {"spec.volumeClaimTemplates[].spec.storageClassName": "StorageClass"}

TABLE: dict[str, dict[str, str]] = {
    "Deployment": _TEMPLATE,
    "StatefulSet": {**_TEMPLATE, **_CLAIMS},
}

# What every cluster has, or has by its own names: never a part of an island, never worth declaring.
_GIVEN = {
    "ServiceAccount": frozenset(["default"]),
    "PriorityClass": frozenset(["system-cluster-critical", "system-node-critical"]),
}
_CLUSTER_KINDS = frozenset(["StorageClass", "PriorityClass", "RuntimeClass"])


class _Step(NamedTuple):
    """A node of the tree that the paths of a kind make."""

    fields: dict[str, _Step]
    target: str


@cache
def _steps(kind: str) -> _Step:
    root = _Step({}, "")
    for path, target in TABLE.get(kind, {}).items():
        step = root
        names = path.replace("[]", ".[]").split(".")
        for number, name in enumerate(names):
            child = step.fields.get(name)
            if child is None:
                child = step.fields[name] = _Step({}, target if number == len(names) - 1 else "")
            step = child
    return root


Resolve = Callable[[str, str], Text | None]


def rewrite(
    manifest: Manifest, resolve: Resolve, external: Mapping[str, frozenset[str]]
) -> tuple[Manifest, list[Diagnostic]]:
    """The manifest with the author's references written out in full, and those that nothing answers.

    `resolve` gives the full name of an object of the island, by its kind and its name there, or None. References
    that emitters made (they have no place) are full already.
    """
    found: list[Diagnostic] = []

    def answer(kind: str, reference: Leaf) -> Leaf:
        name = reference.value
        if reference.origin.place is None or not isinstance(name, str):
            return reference
        full = resolve(kind, name)
        if full is not None:
            return leaf(full, reference.origin)
        declared = external.get(kind, frozenset())
        if name not in declared and name not in _GIVEN.get(kind, ()) and kind not in _CLUSTER_KINDS:
            close = nearest(name, declared)
            hint = close if close.startswith("did") else f"if it exists outside: external: {{{kind}: [{name}]}}"
            message = f"the {kind} `{name}` is neither in the set nor declared external"
            found.append(Diagnostic("R0603", message, reference.origin.place, hint=hint))
        return reference

    body = _walk(manifest.body, _steps(manifest.kind), answer)
    assert isinstance(body, Map)
    return manifest._replace(body=body), found


def _walk(node: Tree, step: _Step, answer: Callable[[str, Leaf], Leaf]) -> Tree:
    if isinstance(node, Leaf):
        return answer(step.target, node) if step.target else node
    if isinstance(node, Map):
        changed = False
        items = []
        for key, value in node.items:
            child = step.fields.get(key)
            new = _walk(value, child, answer) if child is not None else value
            changed = changed or new is not value
            items.append((key, new))
        return Map(tuple(items), node.origin) if changed else node
    if isinstance(node, List) and "[]" in step.fields:
        inner = step.fields["[]"]
        return List(tuple(_walk(item, inner, answer) for item in node.items), node.origin)
    return node
