"""Facts on Kubernetes' kinds, as data: the order in which they are applied, and the keys that lists merge by."""

from __future__ import annotations

import re

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


def is_kind(word: str) -> bool:
    """Whether a word may be the kind of an object: one of a cluster's own, or of a custom resource, with its group."""
    is_plural = word.endswith("s") and word[:-1] in _RANK
    return re.fullmatch(r"[A-Z][A-Za-z0-9]*(?:\.[a-z0-9.-]+)?", word) is not None and not is_plural


COMMON = (*_ORDER, *_LAST)

# Of routing objects: what is referred to comes first.
_ROUTING_ORDER = (
    "Service ServiceEntry DestinationRule Upstream UpstreamGroup Backend RouteTable VirtualService ReferenceGrant "
    "BackendTLSPolicy DirectResponse TrafficPolicy Gateway HTTPRoute"
).split()
_ROUTING_RANK = {kind: rank for rank, kind in enumerate(_ROUTING_ORDER)}


# Of routing objects: those that stand in the namespaces of others, in each under one name.
ELSEWHERE = frozenset(("ReferenceGrant",))


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


MAX_CONFIG_MAP = 1024 * 1024  # bytes of its values together (kubernetes: v1.MaxSecretSize)


# Kinds whose objects a cluster knows by one name, whoever brings them: they are part of no island.
ONCE = frozenset(("CustomResourceDefinition", "Namespace"))


def apply_rank(kind: str) -> int:
    """Where a kind stands in the order of application within an island."""
    return _RANK.get(kind, len(_ORDER))


def routing_rank(kind: str) -> int:
    """Where a kind stands among the objects of a Routing; those that no Routing makes today come last."""
    return _ROUTING_RANK.get(kind, len(_ROUTING_ORDER))


_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_BY_NAME = (
    "containers initContainers ephemeralContainers volumes imagePullSecrets resourceClaims schedulingGates "
    "evictionResponders matchConditions variables"
).split()

# The key by which the items of a list are matched in a strategic merge, by the field that holds the list's owner and
# the list's own: x-kubernetes-patch-merge-key of Kubernetes' OpenAPI. Lists that are not here are replaced.
MERGE_KEYS: dict[tuple[str, str], str] = {
    **{("spec", field): "name" for field in _BY_NAME},
    ("spec", "hostAliases"): "ip",
    ("spec", "topologySpreadConstraints"): "topologyKey",
    ("spec", "ports"): "port",  # of a Service
    **{(owner, "env"): "name" for owner in _CONTAINERS},
    **{(owner, "ports"): "containerPort" for owner in _CONTAINERS},
    **{(owner, "volumeMounts"): "mountPath" for owner in _CONTAINERS},
    **{(owner, "volumeDevices"): "devicePath" for owner in _CONTAINERS},
    ("", "secrets"): "name",  # of a ServiceAccount
    ("", "webhooks"): "name",
    ("webhooks", "matchConditions"): "name",
    ("metadata", "ownerReferences"): "uid",
    ("spec", "drivers"): "name",  # of a CSINode
    ("scheduling", "resourceClaims"): "name",  # of a Job
    ("podGroupTemplates", "resourceClaims"): "name",  # of a Workload
}

# What tells items of one key apart, and its value where it is not said (x-kubernetes-list-map-keys).
SECOND_KEYS = {
    "port": ("protocol", "TCP"),
    "containerPort": ("protocol", "TCP"),
    "topologyKey": ("whenUnsatisfiable", ""),
}

# Lists of words that are merged: what is new is added to what is there.
MERGED_WORDS = frozenset((("metadata", "finalizers"), ("spec", "podCIDRs")))

# Groups of Kubernetes itself: only their kinds have merge keys.
KUBERNETES_GROUPS = frozenset(
    (
        " admissionregistration.k8s.io apiextensions.k8s.io apiregistration.k8s.io apps authentication.k8s.io "
        "authorization.k8s.io autoscaling batch certificates.k8s.io coordination.k8s.io discovery.k8s.io events.k8s.io "
        "flowcontrol.apiserver.k8s.io internal.apiserver.k8s.io lifecycle.k8s.io networking.k8s.io node.k8s.io policy "
        "rbac.authorization.k8s.io resource.k8s.io scheduling.k8s.io storage.k8s.io storagemigration.k8s.io"
    ).split(" ")
)


def full_kind(api_version: str, kind: str) -> str:
    """A kind as the tables here name it: with its group, unless that is one of Kubernetes' own."""
    group = api_version.rpartition("/")[0]
    return kind if group in KUBERNETES_GROUPS else f"{kind}.{group}"


# Where the templates of pods are, by kind; of a Pod it is the object itself. Each has `metadata` and `spec`.
TEMPLATES: dict[str, tuple[str, ...]] = {
    "Pod": ("",),
    "PodTemplate": ("template",),
    **dict.fromkeys(
        "Deployment ReplicaSet ReplicationController DaemonSet StatefulSet Job".split(), ("spec.template",)
    ),
    "CronJob": ("spec.jobTemplate.spec.template",),
    # OpenKruise, JobSet, LeaderWorkerSet, Knative
    **{f"{kind}.apps.kruise.io": ("spec.template",) for kind in ("StatefulSet", "DaemonSet", "CloneSet")},
    "UnitedDeployment.apps.kruise.io": tuple(
        f"spec.template.{kind}Template.spec.template"
        for kind in ("advancedStatefulSet", "cloneSet", "deployment", "statefulSet")
    ),
    "JobSet.jobset.x-k8s.io": ("spec.replicatedJobs[].template.spec.template",),
    "LeaderWorkerSet.leaderworkerset.x-k8s.io": (
        "spec.leaderWorkerTemplate.leaderTemplate",
        "spec.leaderWorkerTemplate.workerTemplate",
    ),
    **{f"{kind}.serving.knative.dev": ("spec.template",) for kind in ("Service", "Configuration")},
}

# What keeps a number of pods, by `spec.replicas`, that its `spec.selector` selects, and has a /scale: an eviction is
# judged by that (https://kubernetes.io/docs/tasks/run-application/configure-pdb/#identify-an-application-to-protect).
REPLICATED = frozenset(
    (
        "Deployment ReplicaSet ReplicationController StatefulSet StatefulSet.apps.kruise.io CloneSet.apps.kruise.io"
    ).split()
)

# Fields in the order in which people write them; others follow in the author's order.
CONTAINER_ORDER = (
    "name image imagePullPolicy command args workingDir envFrom env ports resources volumeMounts volumeDevices "
    "startupProbe readinessProbe livenessProbe lifecycle securityContext"
).split()
WORKLOAD_ORDER = "schedule replicas selector serviceName template volumeClaimTemplates jobTemplate".split()
