"""References between objects: one table of the fields that hold them, from which they are rewritten and proved.

Kubernetes' own kinds: https://kubernetes.io/docs/reference/kubernetes-api/; those of others: their CRDs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import NamedTuple

from replicator.kinds import TEMPLATES, full_kind
from replicator.model import Declared
from replicator.tree import Leaf, List, Map, Text, Tree, leaf

# What a field names: a kind (with its group, unless that is one of Kubernetes' own), or one of these.
SAME_KIND = "@"  # the kind and group are in the fields beside it; what follows is the kind where they are not
HOST = "host"  # a Service, by a host name
PATH = "namespace/"  # before a kind: its name, with its namespace before it where that is another
RESOURCES = "resources"  # an object of one of the `resources` beside it, in plural: of RBAC
SCOPE = "scope"  # of the kind that `scopeName` beside the list says: of a ResourceQuota
MAYBE = "?"  # before a kind: what the field names may also be made at run time, or be nothing at all

# Fields that name another object, and its kind; `[]` stands for each item of a list, `**` for any depth, `["…"]` for
# a key with dots. First, of a PodSpec.
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
    "devices.requests[].deviceClassName": "DeviceClass",
    "devices.requests[].exactly.deviceClassName": "DeviceClass",
    "devices.requests[].firstAvailable[].deviceClassName": "DeviceClass",
}
_RESOURCE_CLAIMS = {
    "resourceClaims[].resourceClaimName": "ResourceClaim",
    "resourceClaims[].resourceClaimTemplateName": "ResourceClaimTemplate",
}


def _under(prefix: str, fields: Mapping[str, str]) -> dict[str, str]:
    return {f"{prefix}.{path}" if prefix else path: kind for path, kind in fields.items()}


_VOLUME = {
    **dict.fromkeys(_VOLUME_SECRETS, "Secret"),
    "secret.secretName": "Secret",
    "configMap.name": "ConfigMap",
    "persistentVolumeClaim.claimName": "PersistentVolumeClaim",
    "projected.sources[].secret.name": "Secret",
    "projected.sources[].configMap.name": "ConfigMap",
    "projected.sources[].clusterTrustBundle.name": "ClusterTrustBundle",
    "csi.nodePublishSecretRef.name": "Secret",
    "glusterfs.endpoints": "?Endpoints",
    **_under("ephemeral.volumeClaimTemplate.spec", _CLAIM),
}
_POD = {
    "serviceAccountName": "ServiceAccount",
    "serviceAccount": "ServiceAccount",
    "imagePullSecrets[].name": "Secret",
    "priorityClassName": "PriorityClass",
    "runtimeClassName": "RuntimeClass",
    "schedulingGroup.podGroupName": "?PodGroup",
    "subdomain": "?Service",
    **_RESOURCE_CLAIMS,
    **_under("volumes[]", _VOLUME),
    **_under("containers[]", _CONTAINER),
    **_under("initContainers[]", _CONTAINER),
    **_under("ephemeralContainers[]", _CONTAINER),
}
_BINDING = {
    "subjects[].name": SAME_KIND,
    "roleRef.name": SAME_KIND,
}
_RULES = {"rules[].resourceNames[]": RESOURCES}
_WEBHOOKS = {"webhooks[].clientConfig.service.name": "Service"}
_PV_SECRETS = (
    "controllerExpandSecretRef controllerPublishSecretRef nodeExpandSecretRef nodePublishSecretRef nodeStageSecretRef"
).split()
_VOLUME_OUTSIDE = {
    "storageClassName": "StorageClass",
    "volumeAttributesClassName": "VolumeAttributesClass",
    "claimRef.name": "PersistentVolumeClaim",
    **dict.fromkeys(_VOLUME_SECRETS, "Secret"),
    **dict.fromkeys((f"csi.{field}.name" for field in _PV_SECRETS), "Secret"),
}
_POD_GROUP = {"priorityClassName": "PriorityClass", **_RESOURCE_CLAIMS}
_STATEFUL = {"spec.serviceName": "Service", **_under("spec.volumeClaimTemplates[].spec", _CLAIM)}
_ENDPOINT = {"targetRef.name": SAME_KIND}

# Kinds of Kubernetes' own that name nothing: they are known none the less.
_NOTHING = (
    "CSIDriver CSINode CertificateSigningRequest ClusterTrustBundle ComponentStatus ConfigMap ControllerRevision "
    "DeviceClass DeviceTaintRule Event Eviction IPAddress Lease LimitRange LocalSubjectAccessReview "
    "MutatingAdmissionPolicy Namespace Node PodTemplate PriorityClass PriorityLevelConfiguration "
    "ResourcePoolStatusRequest ResourceSlice RuntimeClass Scale SelfSubjectAccessReview SelfSubjectReview "
    "SelfSubjectRulesReview ServiceCIDR StorageVersion StorageVersionMigration SubjectAccessReview "
    "TokenReview ValidatingAdmissionPolicy VolumeAttributesClass"
).split()

_CORE: dict[str, dict[str, str]] = {
    **{kind: {} for kind in _NOTHING},
    "StatefulSet": _STATEFUL,
    "Job": _under("spec.scheduling", _RESOURCE_CLAIMS),
    "CronJob": _under("spec.jobTemplate.spec.scheduling", _RESOURCE_CLAIMS),
    "Binding": {"target.name": SAME_KIND},
    "TokenRequest": {"spec.boundObjectRef.name": SAME_KIND},
    "Secret": {'metadata.annotations["kubernetes.io/service-account.name"]': "ServiceAccount"},
    "Service": {"spec.externalName": HOST},
    "PersistentVolumeClaim": _under("spec", _CLAIM),
    "PersistentVolume": _under("spec", _VOLUME_OUTSIDE),
    "VolumeAttachment": {
        "spec.source.persistentVolumeName": "PersistentVolume",
        **_under("spec.source.inlineVolumeSpec", _VOLUME_OUTSIDE),
    },
    "StorageClass": {},
    "CSIStorageCapacity": {"storageClassName": "StorageClass"},
    "ResourceClaim": _under("spec", _DEVICES),
    "ResourceClaimTemplate": _under("spec.spec", _DEVICES),
    "ResourceQuota": {"spec.scopeSelector.matchExpressions[].values[]": SCOPE},
    "ServiceAccount": {"secrets[].name": "Secret", "imagePullSecrets[].name": "Secret"},
    "PodDisruptionBudget": {},
    "NetworkPolicy": {},
    "EvictionRequest": {"spec.target.pod.name": "Pod"},
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
    "EndpointSlice": {
        'metadata.labels["kubernetes.io/service-name"]': "Service",
        **_under("endpoints[]", _ENDPOINT),
    },
    "Endpoints": {**_under("subsets[].addresses[]", _ENDPOINT), **_under("subsets[].notReadyAddresses[]", _ENDPOINT)},
    "Role": _RULES,
    "ClusterRole": _RULES,
    "RoleBinding": _BINDING,
    "ClusterRoleBinding": _BINDING,
    "MutatingWebhookConfiguration": _WEBHOOKS,
    "ValidatingWebhookConfiguration": _WEBHOOKS,
    "CustomResourceDefinition": {"spec.conversion.webhook.clientConfig.service.name": "Service"},
    "ValidatingAdmissionPolicyBinding": {"spec.policyName": "ValidatingAdmissionPolicy", "spec.paramRef.name": ""},
    "MutatingAdmissionPolicyBinding": {"spec.policyName": "MutatingAdmissionPolicy", "spec.paramRef.name": ""},
    "APIService": {"spec.service.name": "Service"},
    "FlowSchema": {
        "spec.priorityLevelConfiguration.name": "PriorityLevelConfiguration",
        "spec.rules[].subjects[].serviceAccount.name": "ServiceAccount",
    },
    "LeaseCandidate": {"spec.leaseName": "?Lease"},
    "PodCertificateRequest": {"spec.podName": "Pod", "spec.serviceAccountName": "ServiceAccount"},
    "PodGroup": {
        **_under("spec", _POD_GROUP),
        "spec.parentCompositePodGroupName": "CompositePodGroup",
        "spec.workloadRef.workloadName": "Workload",
    },
    "CompositePodGroup": {
        **_under("spec", _POD_GROUP),
        "spec.parentCompositePodGroupName": "CompositePodGroup",
        "spec.workloadRef.workloadName": "Workload",
    },
    "Workload": {
        "spec.controllerRef.name": SAME_KIND,
        **_under("spec.podGroupTemplates[]", _POD_GROUP),
        **_under("spec.compositePodGroupTemplates[]", _POD_GROUP),
        **_under("spec.compositePodGroupTemplates[].podGroupTemplates[]", _POD_GROUP),
    },
}

# Gateway API: https://gateway-api.sigs.k8s.io/reference/spec/
_GATEWAY_API = "gateway.networking.k8s.io"
_BACKENDS = {
    "spec.parentRefs[].name": f"@Gateway.{_GATEWAY_API}",
    "spec.rules[].backendRefs[].name": "@Service",
}
_FILTERS = {
    "requestMirror.backendRef.name": "@Service",
    "extensionRef.name": SAME_KIND,
}
_ROUTE = {
    **_BACKENDS,
    **_under("spec.rules[].filters[]", _FILTERS),
    **_under("spec.rules[].backendRefs[].filters[]", _FILTERS),
}
_LISTENER_SECRETS = {"spec.listeners[].tls.certificateRefs[].name": "@Secret"}
_OF_GATEWAY_API: dict[str, dict[str, str]] = {
    "HTTPRoute": _ROUTE,
    "GRPCRoute": _ROUTE,
    "TLSRoute": _BACKENDS,
    "TCPRoute": _BACKENDS,
    "UDPRoute": _BACKENDS,
    "Gateway": {
        "spec.gatewayClassName": f"GatewayClass.{_GATEWAY_API}",
        "spec.infrastructure.parametersRef.name": SAME_KIND,
        "spec.tls.backend.clientCertificateRef.name": "@Secret",
        "spec.tls.frontend.default.validation.caCertificateRefs[].name": SAME_KIND,
        "spec.tls.frontend.perPort[].tls.validation.caCertificateRefs[].name": SAME_KIND,
        **_LISTENER_SECRETS,
    },
    "GatewayClass": {"spec.parametersRef.name": SAME_KIND},
    "ListenerSet": {"spec.parentRef.name": f"@Gateway.{_GATEWAY_API}", **_LISTENER_SECRETS},
    "BackendTLSPolicy": {
        "spec.targetRefs[].name": SAME_KIND,
        "spec.validation.caCertificateRefs[].name": SAME_KIND,
    },
    "ReferenceGrant": {"spec.to[].name": SAME_KIND},
}

# Gloo: https://docs.solo.io/gloo-edge/latest/reference/api/. A ResourceRef of a name means one kind wherever it is.
_GLOO = {
    **{
        f"**.{field}.name": "Secret"
        for field in (
            "secretRef certificatesSecretRef clientSecretRef credentialsSecretRef headerSecretRef keyRef "
            "sharedSecretRef signingKeyRef clientSecret apiKeySecretRefs[] secretRefs[]"
        ).split()
    },
    **{
        f"**.{field}.name": "Upstream.gloo.solo.io"
        for field in (
            "upstream upstreamRef collectorUpstreamRef cachingServiceRef extProcServerRef extauthzServerRef "
            "ratelimitServerRef tapServer"
        ).split()
    },
    "**.upstreamGroup.name": "UpstreamGroup.gloo.solo.io",
    "**.kube.ref.name": "Service",
    "**.kube.serviceName": "Service",
    "**.configMapRef.name": "ConfigMap",
    "**.modules[].name": "ConfigMap",
    "**.configRef.name": "AuthConfig.enterprise.gloo.solo.io",
    "**.refs[].name": "RateLimitConfig.ratelimit.solo.io",
    "**.delegateAction.ref.name": "RouteTable.gateway.solo.io",
    "**.routes[].optionsConfigRefs.delegateOptions[].name": "RouteOption.gateway.solo.io",
    "**.virtualHost.optionsConfigRefs.delegateOptions[].name": "VirtualHostOption.gateway.solo.io",
    "**.virtualServices[].name": "VirtualService.gateway.solo.io",
    "**.delegatedHttpGateways.ref.name": "MatchableHttpGateway.gateway.solo.io",
    "**.delegatedTcpGateways.ref.name": "MatchableTcpGateway.gateway.solo.io",
    "**.targetRefs[].name": SAME_KIND,
}
_OF_GLOO = {
    **{
        f"{kind}.gateway.solo.io": _GLOO
        for kind in (
            "VirtualService RouteTable Gateway MatchableHttpGateway MatchableTcpGateway RouteOption VirtualHostOption "
            "ListenerOption HttpListenerOption"
        ).split()
    },
    **{f"{kind}.gloo.solo.io": _GLOO for kind in ("Upstream", "UpstreamGroup", "Proxy", "Settings")},
    "AuthConfig.enterprise.gloo.solo.io": _GLOO,
    "RateLimitConfig.ratelimit.solo.io": _GLOO,
    "DirectResponse.gateway.gloo.solo.io": {},
    "GatewayParameters.gateway.gloo.solo.io": _under("**", _CONTAINER | {"imagePullSecrets[].name": "Secret"}),
}

# Istio: https://istio.io/latest/docs/reference/config/
_ISTIO_TARGETS = {"spec.targetRef.name": SAME_KIND, "spec.targetRefs[].name": SAME_KIND}
_ISTIO_ROUTES = {
    **{f"spec.{protocol}[].route[].destination.host": HOST for protocol in ("http", "tcp", "tls")},
    **{
        f"spec.{protocol}[].match[].gateways[]": f"{PATH}Gateway.networking.istio.io"
        for protocol in ("http", "tcp", "tls")
    },
    "spec.http[].mirror.host": HOST,
    "spec.http[].mirrors[].destination.host": HOST,
    "spec.http[].delegate.name": "VirtualService.networking.istio.io",
}
_ISTIO_SECRETS = {
    "**.tls.credentialName": "Secret",
    "**.tls.credentialNames[]": "Secret",
    "**.tls.caCertCredentialName": "Secret",
}
_OF_ISTIO: dict[str, dict[str, str]] = {
    "VirtualService.networking.istio.io": {
        "spec.hosts[]": HOST,
        "spec.gateways[]": f"{PATH}Gateway.networking.istio.io",
        **_ISTIO_ROUTES,
    },
    "DestinationRule.networking.istio.io": {"spec.host": HOST, **_ISTIO_SECRETS},
    "Gateway.networking.istio.io": _ISTIO_SECRETS,
    "Sidecar.networking.istio.io": _ISTIO_SECRETS,
    "ServiceEntry.networking.istio.io": {"spec.endpoints[].serviceAccount": "ServiceAccount"},
    "WorkloadEntry.networking.istio.io": {"spec.serviceAccount": "ServiceAccount"},
    "WorkloadGroup.networking.istio.io": {"spec.template.serviceAccount": "ServiceAccount"},
    "EnvoyFilter.networking.istio.io": _ISTIO_TARGETS,
    "ProxyConfig.networking.istio.io": {},
    "AuthorizationPolicy.security.istio.io": _ISTIO_TARGETS,
    "RequestAuthentication.security.istio.io": _ISTIO_TARGETS,
    "PeerAuthentication.security.istio.io": {},
    "Telemetry.telemetry.istio.io": _ISTIO_TARGETS,
    "WasmPlugin.extensions.istio.io": {**_ISTIO_TARGETS, "spec.imagePullSecret": "Secret"},
    "TrafficExtension.extensions.istio.io": {**_ISTIO_TARGETS, "spec.wasm.imagePullSecret": "Secret"},
}

_OF_OTHERS: dict[str, dict[str, str]] = {
    "StatefulSet.apps.kruise.io": _STATEFUL,
    "DaemonSet.apps.kruise.io": {},
    "CloneSet.apps.kruise.io": _under("spec.volumeClaimTemplates[].spec", _CLAIM),
    "UnitedDeployment.apps.kruise.io": {
        "spec.template.advancedStatefulSetTemplate.spec.serviceName": "Service",
        "spec.template.statefulSetTemplate.spec.serviceName": "Service",
        **{
            f"spec.template.{kind}Template.spec.volumeClaimTemplates[].spec.{path}": target
            for kind in ("advancedStatefulSet", "cloneSet", "statefulSet")
            for path, target in _CLAIM.items()
        },
    },
    "SidecarSet.apps.kruise.io": _under(
        "spec",
        {
            "imagePullSecrets[].name": "Secret",
            **_under("containers[]", _CONTAINER),
            **_under("initContainers[]", _CONTAINER),
            **_under("volumes[]", _VOLUME),
        },
    ),
    "PersistentPodState.apps.kruise.io": {"spec.targetRef.name": SAME_KIND},
    "WorkloadSpread.apps.kruise.io": {"spec.targetRef.name": SAME_KIND},
    "PodUnavailableBudget.policy.kruise.io": {"spec.targetRef.name": SAME_KIND},
    "ResourceDistribution.apps.kruise.io": {},
    "JobSet.jobset.x-k8s.io": {
        **_under("spec.replicatedJobs[].template.spec.scheduling", _RESOURCE_CLAIMS),
        **_under("spec.volumeClaimPolicies[].templates[].spec", _CLAIM),
    },
    "LeaderWorkerSet.leaderworkerset.x-k8s.io": _under("spec.leaderWorkerTemplate.volumeClaimTemplates[].spec", _CLAIM),
    "Service.serving.knative.dev": {
        "spec.traffic[].configurationName": "?Configuration.serving.knative.dev",
        "spec.traffic[].revisionName": "?Revision.serving.knative.dev",
    },
    "Route.serving.knative.dev": {
        "spec.traffic[].configurationName": "?Configuration.serving.knative.dev",
        "spec.traffic[].revisionName": "?Revision.serving.knative.dev",
    },
    "Configuration.serving.knative.dev": {},
    "Revision.serving.knative.dev": _under("spec", _POD),
    "DomainMapping.serving.knative.dev": {"spec.ref.name": SAME_KIND, "spec.tls.secretName": "Secret"},
}

_PODS = {
    kind: {k: v for path in paths for k, v in _under(f"{path}.spec".strip("."), _POD).items()}
    for kind, paths in TEMPLATES.items()
}
_SAID = {
    **_CORE,
    **{f"{kind}.{_GATEWAY_API}": fields for kind, fields in _OF_GATEWAY_API.items()},
    **_OF_GLOO,
    **_OF_ISTIO,
    **_OF_OTHERS,
}
TABLE: dict[str, dict[str, str]] = {
    kind: {**_PODS.get(kind, {}), **_SAID.get(kind, {})} for kind in sorted({*_SAID, *_PODS})
}


_POD_SELECTORS = (
    "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[].labelSelector",
    "affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm.labelSelector",
    "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[].labelSelector",
    "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm.labelSelector",
    "topologySpreadConstraints[].labelSelector",
)
_OF_ISTIOS_PODS = (
    "AuthorizationPolicy.security.istio.io RequestAuthentication.security.istio.io "
    "PeerAuthentication.security.istio.io Telemetry.telemetry.istio.io WasmPlugin.extensions.istio.io "
    "TrafficExtension.extensions.istio.io ProxyConfig.networking.istio.io"
).split()

# Fields that select objects of the island, nearly always pods: a label selector (`matchLabels`, `matchExpressions`),
# or a plain map of labels.
_OWN_SELECTORS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys("Deployment ReplicaSet DaemonSet StatefulSet Job PodDisruptionBudget".split(), ("spec.selector",)),
    "CronJob": ("spec.jobTemplate.spec.selector",),
    "NetworkPolicy": ("spec.podSelector", "spec.ingress[].from[].podSelector", "spec.egress[].to[].podSelector"),
    "ClusterRole": ("aggregationRule.clusterRoleSelectors[]",),
    **{f"{kind}.apps.kruise.io": ("spec.selector",) for kind in ("StatefulSet", "DaemonSet", "CloneSet", "SidecarSet")},
    "UnitedDeployment.apps.kruise.io": (
        "spec.selector",
        *(
            f"spec.template.{kind}Template.spec.selector"
            for kind in ("advancedStatefulSet", "cloneSet", "deployment", "statefulSet")
        ),
    ),
    "WorkloadSpread.apps.kruise.io": ("spec.targetFilter.selector",),
    "PodUnavailableBudget.policy.kruise.io": ("spec.selector",),
    "JobSet.jobset.x-k8s.io": ("spec.replicatedJobs[].template.spec.selector",),
    **dict.fromkeys(_OF_ISTIOS_PODS, ("spec.selector",)),
    "DestinationRule.networking.istio.io": ("spec.workloadSelector",),
}
SELECTORS: dict[str, tuple[str, ...]] = {
    kind: (
        *_OWN_SELECTORS.get(kind, ()),
        *(f"{path}.spec.{field}".strip(".") for path in TEMPLATES.get(kind, ()) for field in _POD_SELECTORS),
    )
    for kind in sorted({*_OWN_SELECTORS, *TEMPLATES})
}
MAP_SELECTORS: dict[str, tuple[str, ...]] = {
    "Service": ("spec.selector",),
    "ReplicationController": ("spec.selector",),
    "Upstream.gloo.solo.io": ("spec.kube.selector",),
    **{
        f"{kind}.networking.istio.io": ("spec.workloadSelector.labels",)
        for kind in ("Sidecar", "EnvoyFilter", "ServiceEntry")
    },
}

# What every cluster has, or has by its own names: never a part of an island, never worth declaring.
_GIVEN: dict[str, frozenset[str] | None] = {
    "ServiceAccount": frozenset(["default"]),
    "PriorityClass": frozenset(["system-cluster-critical", "system-node-critical"]),
    "ConfigMap": frozenset(["kube-root-ca.crt"]),
    "ClusterRole": frozenset(["admin", "cluster-admin", "edit", "view"]),
    "PriorityLevelConfiguration": frozenset(
        "catch-all exempt global-default leader-election node-high system workload-high workload-low".split()
    ),
    "Gateway.networking.istio.io": frozenset(["mesh"]),
    "User": None,
    "Group": None,
}


# Kinds whose objects the cluster's operators make: a reference to one need not be declared.
CLUSTERS_OWN = frozenset(
    (
        "StorageClass VolumeAttributesClass PersistentVolume IngressClass GatewayClass.gateway.networking.k8s.io "
        "PriorityClass RuntimeClass DeviceClass Node"
    ).split()
)


def is_given(kind: str, name: str) -> bool:
    """Whether a name stands for something that every cluster has, or that no manifest makes."""
    if kind in CLUSTERS_OWN:
        return True
    known = _GIVEN.get(kind, frozenset())
    return known is None or name in known or name.startswith("system:")


SELECTOR, TEMPLATE = "selector", "template"  # what a declared field may be, beside a kind or a host


def is_known(kind: str, declared: Iterable[Declared] = ()) -> bool:
    """Whether it is known which fields of a kind (with its group) are references."""
    return kind in TABLE or any(_is_of(one, kind) for one in declared)


def _is_of(declared: Declared, kind: str) -> bool:
    return declared.kind in (kind, kind.partition(".")[0])


def plural(kind: str) -> str:
    """A kind's name as a resource, as RBAC writes it: `networkpolicies` of `NetworkPolicy`."""
    name = kind.partition(".")[0].lower()
    if name.endswith("endpoints"):
        return name
    if name.endswith("y") and name[-2:-1] not in ("a", "e", "o"):
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "x", "ch", "sh")) else f"{name}s"


class _Step(NamedTuple):
    """A node of the tree that the paths of a kind make."""

    fields: dict[str, _Step]
    target: str


_STEPS = re.compile(r'\["([^"]+)"\]|(\[\]|[^.\[\]]+)')


def _steps_of(paths: Iterable[tuple[str, str]]) -> _Step:
    root = _Step({}, "")
    for path, target in paths:
        step = root
        names = [quoted or plain for quoted, plain in _STEPS.findall(path)]
        for number, name in enumerate(names):
            child = step.fields.get(name)
            last = number == len(names) - 1
            if child is None or (last and not child.target):
                child = step.fields[name] = _Step(child.fields if child else {}, target if last else "")
            step = child
    return root


Declarations = tuple[Declared, ...]


@cache
def _references(kind: str, declared: Declarations) -> _Step:
    said = [(one.path, one.to) for one in declared if one.path and one.to not in (SELECTOR, TEMPLATE)]
    pods = [(f"{one.path}.spec.{path}", to) for one in declared if one.to == TEMPLATE for path, to in _POD.items()]
    return _steps_of([*TABLE.get(kind, {}).items(), *said, *pods])


@cache
def _selectors(kind: str, declared: Declarations) -> _Step:
    paths = [(path, "selector") for path in SELECTORS.get(kind, ())]
    paths += [(path, "map") for path in MAP_SELECTORS.get(kind, ())]
    paths += [(f"{path}.metadata", "metadata") for path in TEMPLATES.get(kind, ()) if path]
    for one in declared:
        if one.to == SELECTOR:
            paths.append((one.path, "selector"))
        elif one.to == TEMPLATE:
            paths.append((f"{one.path}.metadata", "metadata"))
            paths += [(f"{one.path}.spec.{path}", "selector") for path in _POD_SELECTORS]
    return _steps_of(paths)


def _of(kind: str, declared: Iterable[Declared]) -> Declarations:
    return tuple(one for one in declared if _is_of(one, kind))


class Reference(NamedTuple):
    """A field that names another object.

    `kind` is what it names ("" for anything), `maybe` whether that may be nothing; `node` is the name, `namespace`
    what is written beside it. `resources`, where it is not empty, are the plurals of the kinds that it may be of.
    """

    kind: str
    node: Leaf
    namespace: Leaf | None = None
    maybe: bool = False
    resources: frozenset[str] = frozenset()


Answer = Callable[[Reference], tuple[Leaf, Text | None]]
"""From a reference: its name in full, and the namespace of its target where that is known to be another than what may
be written beside it."""

# The field that holds the namespace of what another one names, where it is not `namespace`.
_NAMESPACE_OF = {"serviceName": "serviceNamespace", "secretName": "secretNamespace"}


def rewrite(kind: str, body: Map, answer: Answer, declared: Iterable[Declared] = ()) -> Map:
    """The object with every reference, and the namespace that is written beside it, as `answer` says."""
    root = _references(kind, _of(kind, declared))
    made: Tree = _walk(body, (root,), root.fields.get("**"), None, answer)
    assert isinstance(made, Map)
    return made


def _walk(node: Tree, steps: tuple[_Step, ...], deep: _Step | None, owner: Map | None, answer: Answer) -> Tree:
    if isinstance(node, Map):
        here = (*steps, deep) if deep is not None else steps
        items = dict(node.items)
        changed = False
        for key, value in node.items:
            inner = tuple(step.fields[key] for step in here if key in step.fields)
            if not inner and deep is None:
                continue
            beside = _NAMESPACE_OF.get(key, "namespace")
            target = next((step.target for step in inner if step.target), "")
            if not (target and isinstance(value, Leaf)):
                items[key] = _walk(value, inner, deep, node, answer)
                changed = changed or items[key] is not value
                continue
            written = node.get(beside)
            written = written if isinstance(written, Leaf) else None
            items[key], namespace = _answered(target, value, node, written, answer)
            changed = changed or items[key] is not value
            if namespace and written is not None:
                items[beside] = leaf(namespace, written.origin)
                changed = True
        return Map(tuple(items.items()), node.origin) if changed else node
    if isinstance(node, List):
        inner = tuple(step.fields["[]"] for step in steps if "[]" in step.fields)
        if not inner and deep is None:
            return node
        target = next((step.target for step in inner if step.target), "")
        made: list[Tree] = [
            _answered(target, item, owner, None, answer)[0]
            if target and isinstance(item, Leaf)
            else _walk(item, inner, deep, owner, answer)
            for item in node.items
        ]
        same = all(new is old for new, old in zip(made, node.items, strict=True))
        return node if same else List(tuple(made), node.origin)
    return node


def _answered(
    target: str, node: Leaf, owner: Map | None, namespace: Leaf | None, answer: Answer
) -> tuple[Leaf, Text | None]:
    """One reference answered: what kind of object it names is told by the table, or by what is beside it."""
    maybe = target.startswith(MAYBE)
    target = target.removeprefix(MAYBE)
    if target.startswith(SAME_KIND):
        return answer(Reference(_told(owner, target.removeprefix(SAME_KIND)), node, namespace, maybe))
    if target == RESOURCES:
        listed = owner.get("resources") if owner is not None else None
        items = listed.items if isinstance(listed, List) else ()
        plurals = frozenset(str(item.value).partition("/")[0] for item in items if isinstance(item, Leaf))
        return answer(Reference("", node, None, True, plurals))
    if target == SCOPE:
        scope = owner.get("scopeName") if owner is not None else None
        kind = str(scope.value) if isinstance(scope, Leaf) else ""
        named = kind in ("PriorityClass", "VolumeAttributesClass")
        return answer(Reference(kind, node)) if named else (node, None)
    if target.startswith(PATH):
        return _path(target.removeprefix(PATH), node, answer)
    return answer(Reference(target, node, namespace, maybe))


def _path(kind: str, node: Leaf, answer: Answer) -> tuple[Leaf, Text | None]:
    """A name that may have its namespace before it."""
    if not isinstance(node.value, str) or "/" not in node.value:
        return answer(Reference(kind, node))
    before, _, name = node.value.partition("/")
    new, namespace = answer(Reference(kind, Leaf(name, node.origin), Leaf(before, node.origin)))
    if new.value == name and namespace is None:
        return node, None
    known = new.value if isinstance(new.value, tuple) else (str(new.value),)
    return leaf((*(namespace or (before,)), "/", *known), node.origin), None


def _told(owner: Map | None, default: str) -> str:
    """The kind, with its group, that the fields beside a name say; `default` where they do not."""
    of_kind, _, of_group = default.partition(".")

    def said(field: str) -> str | None:
        node = owner.get(field) if owner is not None else None
        return str(node.value) if isinstance(node, Leaf) and node.value is not None else None

    kind = said("kind") or of_kind
    version = said("apiVersion")
    groups = (said("group"), said("apiGroup"), None if version is None else version.rpartition("/")[0], of_group)
    group = next(one for one in groups if one is not None)
    return full_kind(f"{group}/v1", kind) if kind else ""


def mark(kind: str, body: Map, labels: Map, select: Map | None, declared: Iterable[Declared] = ()) -> Map:
    """The object with labels put on its pods, and (where `select` is given) into its selectors of pods."""
    made = _mark(body, _selectors(kind, _of(kind, declared)), labels, select)
    assert isinstance(made, Map)
    return made


@cache
def _templates(kind: str, declared: Declarations) -> _Step:
    paths = [*TEMPLATES.get(kind, ()), *(one.path for one in declared if one.to == TEMPLATE)]
    return _steps_of((path, TEMPLATE) for path in paths if path)


def change_templates(kind: str, body: Map, change: Callable[[Map], Map], declared: Iterable[Declared] = ()) -> Map:
    """The object with each of its templates of pods as `change` makes it; a Pod is one itself."""
    if TEMPLATES.get(kind) == ("",):
        return change(body)
    root = _templates(kind, _of(kind, declared))
    made = _change(body, root, change) if root.fields else body
    assert isinstance(made, Map)
    return made


def _change(node: Tree, step: _Step, change: Callable[[Map], Map]) -> Tree:
    if isinstance(node, Map):
        if step.target:
            return change(node)
        fields = step.fields
        pairs = ((key, _change(value, fields[key], change) if key in fields else value) for key, value in node.items)
        return Map(tuple(pairs), node.origin)
    if isinstance(node, List) and "[]" in step.fields:
        return List(tuple(_change(item, step.fields["[]"], change) for item in node.items), node.origin)
    return node


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
