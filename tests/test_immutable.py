"""Fields that Kubernetes lets nobody change: each rule, what it leaves alone, and what is said where one is broken."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from replicator import immutable
from replicator.cli import main
from replicator.comparison import Outputs, head
from replicator.kinds import full_kind

Object = dict[str, Any]


def workload(kind: str, version: str = "apps/v1", **spec: Any) -> Object:
    pod = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}
    own = {"selector": {"matchLabels": {"a": "b"}}, "template": pod, **spec}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "n", "namespace": "s"}, "spec": own}


def claim(name: str, size: str = "1Gi", **spec: Any) -> Object:
    own = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    return {"metadata": {"name": name}, "spec": own}


def other(version: str, kind: str, **fields: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "n"}, **fields}


STATEFUL = workload("StatefulSet", serviceName="n", volumeClaimTemplates=[claim("data")])
JOB = workload("Job", "batch/v1", completions=3, parallelism=3)
SERVICE = other("v1", "Service", spec={"selector": {"a": "b"}, "ports": [{"port": 80}]})
HEADLESS = other("v1", "Service", spec={"clusterIP": "None", "selector": {"a": "b"}})
OUTSIDE = other("v1", "Service", spec={"type": "ExternalName", "externalName": "a.b"})
CRD_SPEC = {"group": "a.b", "scope": "Namespaced", "names": {"kind": "A", "plural": "as", "shortNames": ["x"]}}
CRD = other("apiextensions.k8s.io/v1", "CustomResourceDefinition", spec=CRD_SPEC)
PVC = {**other("v1", "PersistentVolumeClaim"), "spec": claim("n")["spec"]}
SEALED = other("v1", "ConfigMap", immutable=True, data={"a": "b"})
BINDING = other("rbac.authorization.k8s.io/v1", "RoleBinding", roleRef={"kind": "Role", "name": "a"}, subjects=[])
STORAGE = other("storage.k8s.io/v1", "StorageClass", provisioner="p", parameters={"a": "b"}, allowVolumeExpansion=True)
INGRESS = other("networking.k8s.io/v1", "IngressClass", spec={"controller": "a"})


def changed(item: Object, path: str, value: Any) -> Object:
    """The object with another value at a path; `...` takes it away."""
    copy = deepcopy(item)
    *steps, last = path.split(".")
    node = copy
    for step in steps:
        node = node.setdefault(step, {})
    if value is ...:
        node.pop(last, None)
    else:
        node[last] = value
    return copy


REFUSED: list[tuple[Object, str, Any, str]] = [
    *((workload(kind), "spec.selector.matchLabels.a", "c", "spec.selector") for kind in ("Deployment", "DaemonSet")),
    (workload("ReplicaSet"), "spec.selector.matchExpressions", [], "spec.selector"),
    (STATEFUL, "spec.selector.matchLabels.a", "c", "spec.selector"),
    (STATEFUL, "spec.serviceName", "m", "spec.serviceName"),
    (STATEFUL, "spec.podManagementPolicy", "Parallel", "spec.podManagementPolicy"),
    (STATEFUL, "spec.volumeClaimTemplates", [claim("data", "2Gi")], "spec.volumeClaimTemplates (data)"),
    (STATEFUL, "spec.volumeClaimTemplates", [claim("data"), claim("b")], "spec.volumeClaimTemplates (b is new)"),
    (STATEFUL, "spec.volumeClaimTemplates", ..., "spec.volumeClaimTemplates (data is gone)"),
    (workload("StatefulSet", "apps.kruise.io/v1beta1"), "spec.serviceName", "m", "spec.serviceName"),
    (JOB, "spec.template.spec.containers", [], "spec.template"),
    (JOB, "spec.completions", 4, "spec.completions"),
    (JOB, "spec.completionMode", "Indexed", "spec.completionMode"),
    (SERVICE, "spec.clusterIP", "None", "spec.clusterIP"),
    (HEADLESS, "spec.clusterIP", ..., "spec.clusterIP"),
    (changed(SERVICE, "spec.clusterIP", "10.0.0.1"), "spec.clusterIP", "10.0.0.2", "spec.clusterIP"),
    (PVC, "spec.accessModes", ["ReadWriteMany"], "spec.accessModes"),
    (PVC, "spec.storageClassName", "fast", "spec.storageClassName"),
    (PVC, "spec.volumeMode", "Block", "spec.volumeMode"),
    (SEALED, "data.a", "c", "data"),
    (SEALED, "immutable", ..., "immutable"),
    (other("v1", "Secret", stringData={}), "type", "kubernetes.io/tls", "type"),
    (other("v1", "Secret", immutable=True, data={"a": "b"}), "data", {}, "data"),
    (BINDING, "roleRef.name", "b", "roleRef"),
    ({**BINDING, "kind": "ClusterRoleBinding"}, "roleRef.name", "b", "roleRef"),
    (STORAGE, "provisioner", "q", "provisioner"),
    (STORAGE, "parameters", ..., "parameters"),
    (STORAGE, "volumeBindingMode", "WaitForFirstConsumer", "volumeBindingMode"),
    (other("scheduling.k8s.io/v1", "PriorityClass", value=1), "value", 2, "value"),
    (
        other("networking.k8s.io/v1", "IngressClass", spec={"controller": "a"}),
        "spec.controller",
        "b",
        "spec.controller",
    ),
    (other("node.k8s.io/v1", "RuntimeClass", handler="a"), "handler", "b", "handler"),
    (CRD, "spec.scope", "Cluster", "spec.scope"),
    (CRD, "spec.names.kind", "B", "spec.names.kind"),
]
TAKEN: list[tuple[Object, str, Any]] = [
    (workload("Deployment"), "spec.template.spec.containers", []),
    (workload("Deployment"), "spec.replicas", 3),
    *((STATEFUL, f"spec.{field}", {"x": 1}) for field in ("template", "updateStrategy", "ordinals")),
    (STATEFUL, "spec.replicas", 3),
    (STATEFUL, "spec.persistentVolumeClaimRetentionPolicy", {"whenDeleted": "Retain"}),
    (STATEFUL, "spec.podManagementPolicy", "OrderedReady"),
    (STATEFUL, "spec.volumeClaimTemplates", [claim("data", volumeMode="Filesystem")]),
    (STATEFUL, "metadata.labels", {"a": "b"}),
    (workload("StatefulSet", "apps.kruise.io/v1beta1"), "spec.reserveOrdinals", [1]),
    (JOB, "spec.parallelism", 1),
    (JOB, "spec.completionMode", "NonIndexed"),
    (SERVICE, "spec.selector", {}),
    (changed(SERVICE, "spec.clusterIP", "10.0.0.1"), "spec.clusterIP", ...),
    (HEADLESS, "spec", OUTSIDE["spec"]),
    (OUTSIDE, "spec", HEADLESS["spec"]),
    (PVC, "spec.resources.requests.storage", "2Gi"),
    (PVC, "spec.volumeAttributesClassName", "gold"),
    (changed(SEALED, "immutable", False), "data.a", "c"),
    (changed(SEALED, "immutable", ...), "immutable", True),
    (other("v1", "Secret"), "type", "Opaque"),
    (BINDING, "subjects", [{}]),
    (STORAGE, "allowVolumeExpansion", False),
    (STORAGE, "reclaimPolicy", "Delete"),
    (CRD, "spec.names.shortNames", []),
    (other("example.com/v1", "Deployment", spec={"selector": 1}), "spec.selector", 2),
]


def kind_of(item: Object) -> str:
    return full_kind(item["apiVersion"], item["kind"])


def fields(before: Object, after: Object) -> set[str]:
    """The fields that differ, to the second level, as the text of a document shows them."""
    found = set()
    for key in {*before, *after}:
        one, two = before.get(key), after.get(key)
        if isinstance(one, dict) and isinstance(two, dict):
            found |= {f"{key}.{inner}" for inner in {*one, *two} if one.get(inner) != two.get(inner)}
        elif one != two:
            found.add(key)
    return found


@pytest.mark.parametrize(("item", "path", "value", "field"), REFUSED)
def test_a_change_that_is_refused(item: Object, path: str, value: Any, field: str) -> None:
    after = changed(item, path, value)
    (change,) = immutable.changes(kind_of(item), item, after)
    assert change.field == field
    assert change.hint
    assert immutable.may_matter(kind_of(item), fields(item, after))
    assert list(immutable.changes(kind_of(item), item, item)) == []


@pytest.mark.parametrize(("item", "path", "value"), TAKEN)
def test_a_change_that_is_taken(item: Object, path: str, value: Any) -> None:
    assert list(immutable.changes(kind_of(item), item, changed(item, path, value))) == []


def test_indexed_jobs_are_elastic() -> None:
    job = changed(JOB, "spec.completionMode", "Indexed")
    assert (
        list(immutable.changes("Job", job, changed(changed(job, "spec.completions", 5), "spec.parallelism", 5))) == []
    )
    (change,) = immutable.changes("Job", job, changed(job, "spec.completions", 5))
    assert change.field == "spec.completions"


def test_every_rule_has_an_example() -> None:
    assert {kind_of(item) for item, *_ in REFUSED} == immutable.RULES.keys()


VALUES: list[Any] = [..., None, 0, "None", "Delete", True, [], {}, {"matchLabels": {"a": "c"}}]
ITEMS = [item for item, *_ in (*REFUSED, *TAKEN)]


@given(st.sampled_from(ITEMS), st.data())
@examples(300)
def test_a_glance_at_the_fields_misses_nothing(item: Object, data: st.DataObject) -> None:
    """Whatever is refused may matter; and nothing is too odd to be judged."""
    paths = sorted({f"spec.{key}" for key in item.get("spec", {})} | {key for key in item if key != "metadata"})
    paths = [path for path in paths if path not in ("apiVersion", "kind")]
    path = data.draw(st.sampled_from(paths or ["data"]))
    after = changed(item, path, data.draw(st.sampled_from(VALUES)))
    found = list(immutable.changes(kind_of(item), item, after))
    assert not found or immutable.may_matter(kind_of(item), fields(item, after))


# What is said


TYPE = """\
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: db}
spec:
  units:
    db:
      kind: StatefulSet
      image: "db:IMAGE"
      ports: {sql: 5432}
      storage: {/data: {size: SIZE}}
---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: a, namespace: shop}
spec: {type: db, islands: {x: {}, y: {}, z: {}}}
"""


def build(file: Path, size: str, image: str, *more: str) -> int:
    file.write_text(TYPE.replace("SIZE", size).replace("IMAGE", image))
    return main(["build", str(file), "-o", str(file.with_name("out")), *more])


def test_a_change_is_told_at_its_unit(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "dsl.yaml"
    assert build(file, "1Gi", "1") == 0
    assert build(file, "1Gi", "2") == 0
    capfd.readouterr()
    assert build(file, "2Gi", "2") == 1
    errors = capfd.readouterr().err
    assert errors.startswith(
        "error[R0809]: the StatefulSet `shop/a-x-db` is there, and Kubernetes lets nobody change its "
    )
    assert "spec.volumeClaimTemplates (data)\n" in errors
    assert f"  --> {file}:6:5\n" in errors
    assert "  note: same in 2 others\n" in errors
    assert "kubectl delete --cascade=orphan" in errors
    assert build(file, "2Gi", "2", "--allow-removed") == 0
    assert capfd.readouterr().err.startswith("warning[R0809]: ")
    assert build(file, "2Gi", "2") == 0


def test_changes_of_no_interest_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of islands that all get another image, no document is parsed."""
    file = tmp_path / "dsl.yaml"
    assert build(file, "1Gi", "1") == 0

    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("replicator.parser.source.load_data", refuse)
    assert build(file, "1Gi", "2") == 0


# Documents of two outputs


def objects(*items: Object) -> bytes:
    return b"".join(b"---\n" + json.dumps(item).encode() + b"\n" for item in items)


def compared(before: bytes, after: bytes, wanted: bool = True) -> tuple[list[str], list[str], list[str]]:
    outputs = Outputs(lambda kind, fields: wanted)
    outputs.now(after)
    outputs.earlier("e", before)
    gone, pairs, found = outputs.compared()
    return [one.name for one in gone], [one.name for one, _ in pairs], [one.code for one in found]


def named(name: str, version: str = "v1", **more: Any) -> Object:
    return {"apiVersion": version, "kind": "A", "metadata": {"name": name}, **more}


def test_documents_are_told_apart_by_their_identity() -> None:
    one, two = named("one"), named("two")
    assert compared(objects(one, two), objects(two, one)) == ([], [], [])
    assert compared(objects(one, two), objects(two)) == (["one"], [], [])
    assert compared(objects(one), objects({**one, "spec": 1})) == ([], ["one"], [])
    assert compared(objects(named("one", "a/v1")), objects(named("one", "a/v2"))) == ([], ["one"], [])
    assert compared(objects(named("one", "a/v1")), objects(named("one", "b/v1"))) == (["one"], [], [])
    spaced = {**one, "metadata": {"name": "one", "namespace": "n"}}
    assert compared(objects(one), objects(spaced)) == (["one"], [], [])


def test_forms_of_a_stream() -> None:
    items = [named("one"), named("two")]
    whole = {"apiVersion": "v1", "kind": "List", "items": items}
    lines = b"".join(json.dumps(item).encode() + b"\n" for item in items)
    for before in (objects(*items), lines, objects(whole), json.dumps(whole, indent=2).encode(), lines[:-1]):
        assert compared(before, objects(items[0]))[::2] == (["two"], [])
    text = b"%YAML 1.1\n---\n# a comment\n" + lines.partition(b"\n")[0] + b"\n--- # another\n" + lines.split(b"\n")[1]
    assert compared(text, objects(items[0]))[::2] == (["two"], [])


def test_what_is_no_object() -> None:
    for text in (b"a: 1\n", b"apiVersion: v1\nkind: A\n", b"apiVersion: v1\nkind: A\nmetadata: {name: 1}\n", b"- 1\n"):
        gone, pairs, codes = compared(text, b"")
        assert (gone, pairs) == ([], [])
        assert codes in (["R0806"], ["R0201"])


@pytest.mark.parametrize("wanted", [True, False])
def test_one_glance_finds_pairs(wanted: bool) -> None:
    text = "---\napiVersion: v1\nkind: A\nmetadata:\n  name: one\nspec:\n  a: {}\n  b:\n  - c\n".format
    assert compared(text(1).encode(), text(2).encode(), wanted) == ([], ["one"] if wanted else [], [])


def test_the_head_of_a_file() -> None:
    assert head(b"\n# one\n#two: 2\n---\n# three\na: 1\n") == ["one", "two: 2"]
    assert head(b"---\n# three\n") == head(b"") == head(b"a: 1\n") == []
