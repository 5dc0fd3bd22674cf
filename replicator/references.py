"""References between objects: one table of the fields that hold them, from which they are rewritten and proved.

Kubernetes' own kinds: https://kubernetes.io/docs/reference/kubernetes-api/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import NamedTuple

from replicator.tree import Leaf, List, Map, Text, Tree, leaf

SAME_KIND = "@"  # the kind is told by the field `kind` beside the reference

# Fields that name another object, and its kind; `[]` stands for each item of a list. First, of a PodSpec.
_CONTAINER = {
    "env[].valueFrom.secretKeyRef.name": "Secret",
    "env[].valueFrom.configMapKeyRef.name": "ConfigMap",
    "envFrom[].secretRef.name": "Secret",
    "envFrom[].configMapRef.name": "ConfigMap",
}
_VOLUME_SECRETS = (
    "azureFile.secretName cephfs.secretRef.name cinder.secretRef.name flexVolume.secretRef.name iscsi.secretRef.name "
    "rbd.secretRef.name scaleIO.secretRef.name storageos.secretRef.name"
).split()
_CLAIM = {
    "storageClassName": "StorageClass",
    "volumeAttributesClassName": "VolumeAttributesClass",
    "volumeName": "PersistentVolume",
    "dataSource.name": SAME_KIND,
    "dataSourceRef.name": SAME_KIND,
}
_DEVICES = {
    "devices.requests[].exactly.deviceClassName": "DeviceClass",
    "devices.requests[].firstAvailable[].deviceClassName": "DeviceClass",
}


def _under(prefix: str, fields: Mapping[str, str]) -> dict[str, str]:
    return {f"{prefix}.{path}": kind for path, kind in fields.items()}


_VOLUME = {
    **dict.fromkeys(_VOLUME_SECRETS, "Secret"),
    "secret.secretName": "Secret",
    "configMap.name": "ConfigMap",
    "persistentVolumeClaim.claimName": "PersistentVolumeClaim",
    "projected.sources[].secret.name": "Secret",
    "projected.sources[].configMap.name": "ConfigMap",
    "projected.sources[].clusterTrustBundle.name": "ClusterTrustBundle",
    "csi.nodePublishSecretRef.name": "Secret",
    **_under("ephemeral.volumeClaimTemplate.spec", _CLAIM),
}
_POD = {
    "serviceAccountName": "ServiceAccount",
    "serviceAccount": "ServiceAccount",
    "imagePullSecrets[].name": "Secret",
    "priorityClassName": "PriorityClass",
    "runtimeClassName": "RuntimeClass",
    "resourceClaims[].resourceClaimName": "ResourceClaim",
    "resourceClaims[].resourceClaimTemplateName": "ResourceClaimTemplate",
    **_under("volumes[]", _VOLUME),
    **_under("containers[]", _CONTAINER),
    **_under("initContainers[]", _CONTAINER),
    **_under("ephemeralContainers[]", _CONTAINER),
}
_TEMPLATE = _under("spec.template.spec", _POD)
_JOB_TEMPLATE = _under("spec.jobTemplate.spec.template.spec", _POD)
_SUBJECTS = {"subjects[].name": SAME_KIND, "roleRef.name": SAME_KIND}
_WEBHOOKS = {"webhooks[].clientConfig.service.name": "Service"}
_PV_SECRETS = (
    "controllerExpandSecretRef controllerPublishSecretRef nodeExpandSecretRef nodePublishSecretRef nodeStageSecretRef"
).split()

TABLE: dict[str, dict[str, str]] = {
    "Pod": _under("spec", _POD),
    "PodTemplate": _under("template.spec", _POD),
    "Deployment": _TEMPLATE,
    "ReplicaSet": _TEMPLATE,
    "ReplicationController": _TEMPLATE,
    "DaemonSet": _TEMPLATE,
    "StatefulSet": {
        **_TEMPLATE,
        "spec.serviceName": "Service",
        **_under("spec.volumeClaimTemplates[].spec", _CLAIM),
    },
    "Job": _TEMPLATE,
    "CronJob": _JOB_TEMPLATE,
    "PersistentVolumeClaim": _under("spec", _CLAIM),
    "PersistentVolume": {
        "spec.storageClassName": "StorageClass",
        "spec.volumeAttributesClassName": "VolumeAttributesClass",
        "spec.claimRef.name": "PersistentVolumeClaim",
        **dict.fromkeys((f"spec.{path}" for path in _VOLUME_SECRETS), "Secret"),
        **dict.fromkeys((f"spec.csi.{field}.name" for field in _PV_SECRETS), "Secret"),
    },
    "ResourceClaim": _under("spec", _DEVICES),
    "ResourceClaimTemplate": _under("spec.spec", _DEVICES),
    "ServiceAccount": {"secrets[].name": "Secret", "imagePullSecrets[].name": "Secret"},
    "HorizontalPodAutoscaler": {
        "spec.scaleTargetRef.name": SAME_KIND,
        "spec.metrics[].object.describedObject.name": SAME_KIND,
    },
    "Ingress": {
        "spec.ingressClassName": "IngressClass",
        "spec.defaultBackend.service.name": "Service",
        "spec.defaultBackend.resource.name": SAME_KIND,
        "spec.rules[].http.paths[].backend.service.name": "Service",
        "spec.rules[].http.paths[].backend.resource.name": SAME_KIND,
        "spec.tls[].secretName": "Secret",
    },
    "IngressClass": {"spec.parameters.name": SAME_KIND},
    "EndpointSlice": {"endpoints[].targetRef.name": SAME_KIND},
    "Endpoints": {
        "subsets[].addresses[].targetRef.name": SAME_KIND,
        "subsets[].notReadyAddresses[].targetRef.name": SAME_KIND,
    },
    "RoleBinding": _SUBJECTS,
    "ClusterRoleBinding": _SUBJECTS,
    "MutatingWebhookConfiguration": _WEBHOOKS,
    "ValidatingWebhookConfiguration": _WEBHOOKS,
    "CustomResourceDefinition": {"spec.conversion.webhook.clientConfig.service.name": "Service"},
    "ValidatingAdmissionPolicyBinding": {"spec.policyName": "ValidatingAdmissionPolicy", "spec.paramRef.name": ""},
    "MutatingAdmissionPolicyBinding": {"spec.policyName": "MutatingAdmissionPolicy", "spec.paramRef.name": ""},
    "APIService": {"spec.service.name": "Service"},
    # Gateway API
    "HTTPRoute": {
        "spec.parentRefs[].name": "Gateway",
        "spec.rules[].backendRefs[].name": "Service",
        "spec.rules[].filters[].requestMirror.backendRef.name": "Service",
        "spec.rules[].backendRefs[].filters[].requestMirror.backendRef.name": "Service",
    },
    "GRPCRoute": {"spec.parentRefs[].name": "Gateway", "spec.rules[].backendRefs[].name": "Service"},
    "TLSRoute": {"spec.parentRefs[].name": "Gateway", "spec.rules[].backendRefs[].name": "Service"},
    "Gateway": {"spec.gatewayClassName": "GatewayClass", "spec.listeners[].tls.certificateRefs[].name": "Secret"},
    "BackendTLSPolicy": {
        "spec.targetRefs[].name": SAME_KIND,
        "spec.validation.caCertificateRefs[].name": SAME_KIND,
    },
    # Gloo's Edge API
    "Upstream": {
        "spec.kube.serviceName": "Service",
        "spec.aws.secretRef.name": "Secret",
        "spec.azure.secretRef.name": "Secret",
        "spec.sslConfig.secretRef.name": "Secret",
    },
    "RouteTable": {
        "spec.routes[].routeAction.single.upstream.name": "Upstream",
        "spec.routes[].routeAction.single.kube.ref.name": "Service",
        "spec.routes[].routeAction.multi.destinations[].destination.upstream.name": "Upstream",
        "spec.routes[].routeAction.multi.destinations[].destination.kube.ref.name": "Service",
        "spec.routes[].routeAction.upstreamGroup.name": "UpstreamGroup",
        "spec.routes[].delegateAction.ref.name": "RouteTable",
    },
    "UpstreamGroup": {
        "spec.destinations[].destination.upstream.name": "Upstream",
        "spec.destinations[].destination.kube.ref.name": "Service",
    },
}

_POD_SELECTORS = (
    "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[].labelSelector",
    "affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm.labelSelector",
    "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[].labelSelector",
    "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm.labelSelector",
    "topologySpreadConstraints[].labelSelector",
)

# Fields that select pods: a label selector (`matchLabels`), or a plain map of labels.
SELECTORS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"),
        ("spec.selector", *(f"spec.template.spec.{path}" for path in _POD_SELECTORS)),
    ),
    "Job": ("spec.selector", *(f"spec.template.spec.{path}" for path in _POD_SELECTORS)),
    "CronJob": tuple(f"spec.jobTemplate.spec.template.spec.{path}" for path in _POD_SELECTORS),
    "ReplicationController": tuple(f"spec.template.spec.{path}" for path in _POD_SELECTORS),
    "Pod": tuple(f"spec.{path}" for path in _POD_SELECTORS),
    "PodTemplate": tuple(f"template.spec.{path}" for path in _POD_SELECTORS),
    "PodDisruptionBudget": ("spec.selector",),
    "NetworkPolicy": ("spec.podSelector", "spec.ingress[].from[].podSelector", "spec.egress[].to[].podSelector"),
}
MAP_SELECTORS: dict[str, tuple[str, ...]] = {
    "Service": ("spec.selector",),
    "ReplicationController": ("spec.selector",),
}

# Where labels of pods are written.
POD_LABELS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("Deployment", "ReplicaSet", "ReplicationController", "DaemonSet", "StatefulSet", "Job"),
        ("spec.template.metadata",),
    ),
    "CronJob": ("spec.jobTemplate.spec.template.metadata",),
    "PodTemplate": ("template.metadata",),
}

# What every cluster has, or has by its own names: never a part of an island, never worth declaring.
_GIVEN: dict[str, frozenset[str] | None] = {
    "ServiceAccount": frozenset(["default"]),
    "PriorityClass": frozenset(["system-cluster-critical", "system-node-critical"]),
    "ConfigMap": frozenset(["kube-root-ca.crt"]),
    "ClusterRole": frozenset(["admin", "cluster-admin", "edit", "view"]),
    "User": None,
    "Group": None,
}


# Kinds whose objects the cluster's operators make: a reference to one need not be declared.
CLUSTERS_OWN = frozenset(
    "StorageClass VolumeAttributesClass PersistentVolume IngressClass GatewayClass PriorityClass RuntimeClass "
    "DeviceClass Node".split()
)


def is_given(kind: str, name: str) -> bool:
    """Whether a name stands for something that every cluster has, or that no manifest makes."""
    if kind in CLUSTERS_OWN:
        return True
    known = _GIVEN.get(kind, frozenset())
    return known is None or name in known or name.startswith("system:")


class _Step(NamedTuple):
    """A node of the tree that the paths of a kind make."""

    fields: dict[str, _Step]
    target: str


def _steps_of(paths: Iterable[tuple[str, str]]) -> _Step:
    root = _Step({}, "")
    for path, target in paths:
        step = root
        names = path.replace("[]", ".[]").split(".")
        for number, name in enumerate(names):
            child = step.fields.get(name)
            last = number == len(names) - 1
            if child is None or (last and not child.target):
                child = step.fields[name] = _Step(child.fields if child else {}, target if last else "")
            step = child
    return root


@cache
def _references(kind: str) -> _Step:
    return _steps_of(TABLE.get(kind, {}).items())


@cache
def _selectors(kind: str) -> _Step:
    paths = [(path, "selector") for path in SELECTORS.get(kind, ())]
    paths += [(path, "map") for path in MAP_SELECTORS.get(kind, ())]
    paths += [(path, "metadata") for path in POD_LABELS.get(kind, ())]
    return _steps_of(paths)


Answer = Callable[[str, Leaf, bool], tuple[Leaf, Text | None]]
"""From the kind of a reference's target, the reference, and whether a namespace is written beside it: the reference in
full, and the namespace of its target where that is known to be another than what may be written there."""


def rewrite(kind: str, body: Map, answer: Answer) -> Map:
    """The object with every reference, and the namespace that is written beside it, as `answer` says."""
    made = _walk(body, _references(kind), answer)
    assert isinstance(made, Map)
    return made


def _walk(node: Tree, step: _Step, answer: Answer) -> Tree:
    if isinstance(node, Map):
        changed = False
        items: dict[str, Tree] = {}
        namespace: Text | None = None
        placed = node.get("namespace") is not None
        for key, value in node.items:
            child = step.fields.get(key)
            new = value
            if child is not None and child.target and isinstance(value, Leaf):
                new, namespace = answer(_told(node) if child.target == SAME_KIND else child.target, value, placed)
            elif child is not None:
                new = _walk(value, child, answer)
            changed = changed or new is not value
            items[key] = new
        if namespace and "namespace" in items:
            items["namespace"] = (
                leaf(namespace, items["namespace"].origin)
                if isinstance(items["namespace"], Leaf)
                else items["namespace"]
            )
            changed = True
        return Map(tuple(items.items()), node.origin) if changed else node
    if isinstance(node, List) and "[]" in step.fields:
        inner = step.fields["[]"]
        return List(tuple(_walk(item, inner, answer) for item in node.items), node.origin)
    return node


def _told(node: Map) -> str:
    kind = node.get("kind")
    return str(kind.value) if isinstance(kind, Leaf) else ""


def mark(kind: str, body: Map, labels: Map, select: Map | None) -> Map:
    """The object with labels put on its pods, and (where `select` is given) into its selectors of pods."""
    made = _mark(body, _selectors(kind), labels, select)
    assert isinstance(made, Map)
    return made


def _mark(node: Tree, step: _Step, labels: Map, select: Map | None) -> Tree:
    if step.target == "metadata":
        return _with_labels(node if isinstance(node, Map) else Map(()), "labels", labels)
    if step.target == "selector" and isinstance(node, Map) and select is not None:
        return _with_labels(node, "matchLabels", select)
    if step.target == "map" and isinstance(node, Map) and select is not None:
        return _joined(node, select) if node.items else node
    if isinstance(node, Map):
        elsewhere = node.get("namespaceSelector") is not None or node.get("namespaces") is not None
        own = None if elsewhere else select
        items = [
            (key, _mark(value, step.fields[key], labels, own) if key in step.fields else value)
            for key, value in node.items
        ]
        metadata = step.fields.get("metadata")
        if metadata is not None and metadata.target == "metadata" and node.get("metadata") is None:
            items.insert(0, ("metadata", _with_labels(Map(()), "labels", labels)))
        return Map(tuple(items), node.origin)
    if isinstance(node, List) and "[]" in step.fields:
        inner = step.fields["[]"]
        return List(tuple(_mark(item, inner, labels, select) for item in node.items), node.origin)
    return node


def _with_labels(node: Map, key: str, labels: Map) -> Map:
    own = node.get(key)
    joined = _joined(own if isinstance(own, Map) else Map(()), labels)
    items = [(name, joined if name == key else value) for name, value in node.items]
    if own is None:
        items.append((key, joined))
    return Map(tuple(items), node.origin)


def _joined(one: Map, other: Map) -> Map:
    return Map(tuple({**dict(one.items), **dict(other.items)}.items()), one.origin)
