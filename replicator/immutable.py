"""Fields that Kubernetes lets nobody change once an object is there, as data: what a change of them is refused for.

Each rule names where the API server says so (kubernetes/kubernetes unless another repository is named). Values are
compared as they are written, where nothing is written as the server's defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

Object = Mapping[str, Any]


class Change(NamedTuple):
    """A field that is different although it may not be, and what to do about it."""

    field: str
    hint: str


class Rule(NamedTuple):
    """What may not change in objects of a kind: `judge` is given the object before and after.

    `reads` are the fields that it looks at, to the second level (`spec.selector`, or `spec` for all below it);
    `mutable` are those below them that anybody may change.
    """

    judge: Callable[[Object, Object], Iterator[Change]]
    reads: tuple[str, ...]
    mutable: frozenset[str] = frozenset()


ANEW = "delete the object and apply this one; or leave the field as it was"
_ORPHAN = (
    "`kubectl delete --cascade=orphan` takes the StatefulSet away and leaves its pods and claims, then apply this one"
)

# What the API server writes where nothing is written (pkg/apis/*/v1/defaults.go).
_DEFAULTS: Mapping[str, Any] = {
    "spec.podManagementPolicy": "OrderedReady",
    "spec.completionMode": "NonIndexed",
    "spec.volumeMode": "Filesystem",
    "type": "Opaque",
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "Immediate",
    "preemptionPolicy": "PreemptLowerPriority",
}


def _at(item: Object, path: str) -> Any:
    value: Any = item
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return _DEFAULTS.get(path) if value is None else value


def _fixed(*fields: str, hint: str = ANEW) -> Rule:
    """None of the fields may change."""

    def judge(before: Object, after: Object) -> Iterator[Change]:
        yield from (Change(field, hint) for field in fields if _at(before, field) != _at(after, field))

    return Rule(judge, tuple(".".join(field.split(".")[:2]) for field in fields))


def _only(*mutable: str, hint: str = ANEW) -> Rule:
    """Of `spec` nothing but these fields may change."""

    def judge(before: Object, after: Object) -> Iterator[Change]:
        written = {*_keys(before.get("spec")), *_keys(after.get("spec"))}
        for field in sorted(written - set(mutable)):
            if field == "volumeClaimTemplates":
                yield from _claims(before, after, hint)
            elif _at(before, f"spec.{field}") != _at(after, f"spec.{field}"):
                yield Change(f"spec.{field}", hint)

    return Rule(judge, ("spec",), frozenset(f"spec.{field}" for field in mutable))


def _keys(value: Any) -> Iterable[str]:
    return value if isinstance(value, Mapping) else ()


def _claims(before: Object, after: Object, hint: str) -> Iterator[Change]:
    """Which claim of a StatefulSet is another one."""
    one, other = (_by_name(_at(item, "spec.volumeClaimTemplates")) for item in (before, after))
    for name in sorted({*one, *other}):
        if name not in one or name not in other:
            yield Change(f"spec.volumeClaimTemplates ({name} is {'new' if name in other else 'gone'})", hint)
        elif _claim(one[name]) != _claim(other[name]):
            bigger = "; a claim grows by its own `resources.requests`, one by one"
            yield Change(f"spec.volumeClaimTemplates ({name})", hint + bigger)


def _by_name(templates: Any) -> dict[str, Object]:
    listed = templates if isinstance(templates, list) else []
    return {str(_at(one, "metadata.name")): one for one in listed if isinstance(one, Mapping)}


def _claim(template: Object) -> Any:
    spec = {**template.get("spec", {}), "volumeMode": _at(template, "spec.volumeMode")}
    return spec, _at(template, "metadata.labels"), _at(template, "metadata.annotations")


def _cluster_ip(before: Object, after: Object) -> Iterator[Change]:
    """An address is given once: no Service becomes headless, or stops being so, but by way of ExternalName."""
    if "ExternalName" in (_at(before, "spec.type"), _at(after, "spec.type")):
        return
    one, other = _at(before, "spec.clusterIP") or "", _at(after, "spec.clusterIP") or ""
    if one != other and (other or one == "None"):  # an address that is not written any more is kept
        yield Change("spec.clusterIP", ANEW)


def _completions(before: Object, after: Object) -> Iterator[Change]:
    """Elastic Indexed Jobs (KEP-3715) change `completions` together with `parallelism`."""
    one, other = _at(before, "spec.completions"), _at(after, "spec.completions")
    elastic = (
        _at(after, "spec.completionMode") == "Indexed"
        and one == _at(before, "spec.parallelism")
        and other == _at(after, "spec.parallelism")
    )
    if one != other and not elastic:
        yield Change("spec.completions", ANEW)


def _sealed(*fields: str) -> Rule:
    """With `immutable: true` the data stays, and so does this word."""

    def judge(before: Object, after: Object) -> Iterator[Change]:
        if before.get("immutable") is True:
            for field in ("immutable", *fields):
                if before.get(field) != after.get(field):
                    yield Change(field, f"{ANEW}; a new name for new data is what `immutable` is for")

    return Rule(judge, ("immutable", *fields))


_SELECTOR = _fixed("spec.selector")
_CLASS_OF_CLAIM = ("resources", "volumeAttributesClassName")

RULES: Mapping[str, tuple[Rule, ...]] = {
    # pkg/apis/apps/validation: ValidateDeploymentUpdate, ValidateDaemonSetUpdate, ValidateReplicaSetUpdate (apps/v1)
    "Deployment": (_SELECTOR,),
    "DaemonSet": (_SELECTOR,),
    "ReplicaSet": (_SELECTOR,),
    # pkg/apis/apps/validation: ValidateStatefulSetUpdate
    "StatefulSet": (
        _only(
            *("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit"),
            *("persistentVolumeClaimRetentionPolicy", "minReadySeconds"),
            hint=_ORPHAN,
        ),
    ),
    # openkruise/kruise: pkg/webhook/statefulset/validating; the list of what may change grows with its versions
    "StatefulSet.apps.kruise.io": (
        _fixed("spec.selector", "spec.serviceName", "spec.podManagementPolicy", hint=_ORPHAN),
    ),
    # pkg/apis/batch/validation: ValidateJobSpecUpdate
    "Job": (
        _fixed(
            *("spec.selector", "spec.template", "spec.completionMode", "spec.podFailurePolicy"),
            *("spec.successPolicy", "spec.backoffLimitPerIndex", "spec.managedBy"),
        ),
        Rule(_completions, ("spec.completions", "spec.parallelism", "spec.completionMode")),
    ),
    # pkg/apis/core/validation: ValidateServiceUpdate (ValidateServiceClusterIPsRelatedFields)
    "Service": (Rule(_cluster_ip, ("spec.clusterIP", "spec.type")),),
    # pkg/apis/core/validation: ValidatePersistentVolumeClaimUpdate
    "PersistentVolumeClaim": (_only(*_CLASS_OF_CLAIM),),
    # pkg/apis/core/validation: ValidateConfigMapUpdate, ValidateSecretUpdate
    "ConfigMap": (_sealed("data", "binaryData"),),
    "Secret": (_fixed("type"), _sealed("data", "stringData")),
    # pkg/apis/rbac/validation: ValidateRoleBindingUpdate, ValidateClusterRoleBindingUpdate
    "RoleBinding": (_fixed("roleRef"),),
    "ClusterRoleBinding": (_fixed("roleRef"),),
    # pkg/apis/storage/validation: ValidateStorageClassUpdate
    "StorageClass": (_fixed("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),),
    # pkg/apis/scheduling/validation: ValidatePriorityClassUpdate
    "PriorityClass": (_fixed("value", "preemptionPolicy"),),
    # pkg/apis/networking/validation: ValidateIngressClassUpdate
    "IngressClass": (_fixed("spec.controller"),),
    # pkg/apis/node/validation: ValidateRuntimeClassUpdate
    "RuntimeClass": (_fixed("handler"),),
    # staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation:
    # ValidateCustomResourceDefinitionUpdate
    "CustomResourceDefinition": (_fixed("spec.group", "spec.scope", "spec.names.kind", "spec.names.plural"),),
}
"""By kind, with its group unless that is one of Kubernetes' own (`kinds.full_kind`)."""


def may_matter(kind: str, fields: Iterable[str]) -> bool:
    """Whether a change of these fields, told to the second level, may be one that is refused."""
    return any(
        field not in rule.mutable
        and any(f"{field}.".startswith(f"{read}.") or read.startswith(f"{field}.") for read in rule.reads)
        for rule in RULES.get(kind, ())
        for field in fields
    )


def changes(kind: str, before: Object, after: Object) -> Iterator[Change]:
    """The changes from one object to another that the API server would refuse."""
    for rule in RULES.get(kind, ()):
        yield from rule.judge(before, after)
