"""Facts on Kubernetes' kinds, as data: the order in which they are applied, and the keys that lists merge by."""

from __future__ import annotations

# Within an island; an island needs nothing of another. Kinds that are not here come after all of these, but for
# the webhooks, which would judge what is applied after them.
_ORDER = (
    "CustomResourceDefinition Namespace NetworkPolicy ResourceQuota LimitRange PodDisruptionBudget ServiceAccount "
    "Secret ConfigMap StorageClass PersistentVolume PersistentVolumeClaim ClusterRole ClusterRoleBinding Role "
    "RoleBinding Service DaemonSet Pod ReplicationController ReplicaSet Deployment HorizontalPodAutoscaler "
    "StatefulSet Job CronJob Ingress APIService"
).split()
_LAST = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_RANK = {kind: rank for rank, kind in enumerate(_ORDER)} | {kind: len(_ORDER) + 1 for kind in _LAST}

# Of routing objects: what is referred to comes first.
_ROUTING_RANK = {kind: rank for rank, kind in enumerate(("Upstream", "UpstreamGroup", "RouteTable", "VirtualService"))}


# Kinds of Kubernetes' own whose objects are in no namespace.
CLUSTER_SCOPED = frozenset(
    (
        "APIService CSIDriver CSINode CertificateSigningRequest ClusterRole ClusterRoleBinding ClusterTrustBundle "
        "CustomResourceDefinition DeviceClass FlowSchema GatewayClass IPAddress IngressClass "
        "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration Namespace Node "
        "PersistentVolume PriorityClass PriorityLevelConfiguration ResourceSlice RuntimeClass ServiceCIDR StorageClass "
        "StorageVersionMigration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding "
        "ValidatingWebhookConfiguration VolumeAttachment VolumeAttributesClass"
    ).split()
)


def apply_rank(kind: str) -> int:
    """Where a kind stands in the order of application within an island."""
    return _RANK.get(kind, len(_ORDER))


def routing_rank(kind: str) -> int:
    """Where a kind stands among the objects of a Routing."""
    return _ROUTING_RANK[kind]


# The key by which the items of a list are matched in a strategic merge, by the list's field: the
# x-kubernetes-patch-merge-key of Kubernetes' OpenAPI. `ports` is by containerPort in a container, by port in a Service.
MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "ports": ("containerPort", "port"),
}

# Fields in the order in which people write them; others follow in the author's order.
CONTAINER_ORDER = (
    "name image imagePullPolicy command args workingDir envFrom env ports resources volumeMounts volumeDevices "
    "startupProbe readinessProbe livenessProbe lifecycle securityContext"
).split()
WORKLOAD_ORDER = "schedule replicas selector serviceName template volumeClaimTemplates jobTemplate".split()
