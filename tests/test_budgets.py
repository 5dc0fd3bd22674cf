"""Disruption: a budget for each workload that keeps a number of pods, and what is said where it cannot help."""

import json
import math
from collections.abc import Iterable
from typing import Any

import pytest
import strict_schemas
import yaml
from hypothesis import given
from hypothesis import strategies as st

from replicator.diagnostics import Diagnostic
from replicator.evictions import Limit
from replicator.layout import files
from replicator.pipeline import Built, Options, Source, build

Object = dict[str, Any]

ONE = {"maxUnavailable": 1}


def document(kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": "replicator.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def unit(**fields: Any) -> Object:
    return {"image": "web:1", **fields}


def manifest(kind: str, name: str, spec: Object, version: str = "apps/v1", **more: Any) -> Object:
    return {"manifest": {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec, **more}}


def workload(kind: str, name: str, version: str = "apps/v1", **spec: Any) -> Object:
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "c:1"}]}}
    return manifest(kind, name, {"selector": {"matchLabels": labels}, "template": pod, **spec}, version)


def project(of_type: Object, **of_set: Any) -> list[Object]:
    return [
        document("IslandType", "cart", {"rewriteHosts": "none", **of_type}),
        document("IslandSet", "cart", {"type": "cart", "islands": {"eu": {}}, "disruption": ONE, **of_set}),
    ]


def compiled(documents: Iterable[Object]) -> Built:
    """JSON is YAML."""
    text = "\n---\n".join(json.dumps(one) for one in documents)
    return build([Source("dsl.yaml", text.encode())], Options())


def objects(documents: Iterable[Object]) -> list[Object]:
    made = compiled(documents)
    assert [one.message for one in made.diagnostics if one.severity == "error"] == []
    found = [one for one in yaml.safe_load_all(b"".join(made.texts())) if one]
    assert strict_schemas.problems(found) == []
    return found


def budgets(documents: Iterable[Object]) -> dict[str, Object]:
    """The budgets by name."""
    found = [one for one in objects(documents) if one["kind"] == "PodDisruptionBudget"]
    assert len({one["metadata"]["name"] for one in found}) == len(found)
    return {one["metadata"]["name"]: one for one in found}


def said(documents: Iterable[Object], code: str = "R0625") -> list[Diagnostic]:
    made = compiled(documents)
    assert [one for one in made.diagnostics if one.severity == "error"] == []
    return [one for one in made.diagnostics if one.code == code]


def errors(documents: Iterable[Object]) -> list[tuple[str, str]]:
    return [(one.code, one.message) for one in compiled(documents).diagnostics if one.severity == "error"]


# Which workloads


EVERY_UNIT = {
    "api": unit(replicas=3),
    "db": unit(kind="StatefulSet", replicas=3),
    "agent": unit(kind="DaemonSet"),
    "job": unit(kind="Job"),
    "cron": unit(kind="CronJob", schedule="@daily"),
}
POD: Object = {"containers": [{"name": "c", "image": "c:1"}]}
EVERY_RESOURCE = [
    workload("Deployment", "front", replicas=3),
    workload("StatefulSet", "store", replicas=3, serviceName="store"),
    workload("ReplicaSet", "old", replicas=3),
    workload("DaemonSet", "log"),
    manifest("Job", "migrate", {"template": {"spec": {**POD, "restartPolicy": "Never"}}}, "batch/v1"),
    manifest("Pod", "single", POD, "v1"),
]


def test_each_workload_that_keeps_a_number_of_pods_has_one() -> None:
    external = {"Service": ["store"]}
    made = objects(project({"units": EVERY_UNIT, "resources": EVERY_RESOURCE, "external": external}))
    found = {one["metadata"]["name"]: one for one in made if one["kind"] == "PodDisruptionBudget"}
    assert set(found) == {f"cart-eu-{name}" for name in ("api", "db", "front", "store", "old")}
    kinds = ("Deployment", "StatefulSet", "ReplicaSet")
    by_name = {one["metadata"]["name"]: one for one in made if one["kind"] in kinds}
    for name, budget in found.items():
        of = by_name[name]
        assert budget["apiVersion"] == "policy/v1"
        assert budget["spec"] == {"maxUnavailable": 1, "selector": of["spec"]["selector"]}
        assert budget["metadata"] == {field: of["metadata"][field] for field in ("name", "namespace", "labels")}
    assert found["cart-eu-front"]["spec"]["selector"]["matchLabels"] == {
        "app": "front",
        "replicator.dev/island": "cart-eu",
    }


def test_those_of_openkruise_have_one() -> None:
    kruise = "apps.kruise.io/v1alpha1"
    resources = [
        workload("CloneSet", "front", kruise, replicas=3),
        workload("StatefulSet", "store", "apps.kruise.io/v1beta1", replicas=3, serviceName="store"),
        workload("DaemonSet", "log", kruise),
    ]
    found = budgets(project({"resources": resources, "external": {"Service": ["store"]}}))
    assert set(found) == {"cart-eu-front", "cart-eu-store"}


def test_a_replication_controller_selects_by_a_map() -> None:
    labels = {"app": "old"}
    spec = {"replicas": 3, "selector": labels, "template": {"metadata": {"labels": labels}, "spec": POD}}
    found = budgets(project({"resources": [manifest("ReplicationController", "old", spec, "v1")]}))
    expected = {"matchLabels": {"app": "old", "replicator.dev/island": "cart-eu"}}
    assert found["cart-eu-old"]["spec"]["selector"] == expected


def test_without_disruption_there_is_none() -> None:
    documents = project({"units": EVERY_UNIT})
    del documents[1]["spec"]["disruption"]
    assert budgets(documents) == {}


@pytest.mark.parametrize(
    "given",
    [
        {"maxUnavailable": "30%"},
        {"minAvailable": 2},
        {"minAvailable": "50%", "unhealthyPodEvictionPolicy": "AlwaysAllow"},
    ],
)
def test_the_fields_are_kubernetes_own(given: Object) -> None:
    (budget,) = budgets(project({"units": {"api": unit(replicas=3)}}, disruption=given)).values()
    assert {field: value for field, value in budget["spec"].items() if field != "selector"} == given


def test_in_a_namespace_of_its_own_a_budget_has_the_selector_of_its_workload() -> None:
    resources = [workload("Deployment", "front", replicas=3)]
    (budget,) = budgets(project({"resources": resources}, scope="namespace")).values()
    assert budget["metadata"]["namespace"] == "cart-eu"
    assert budget["metadata"]["name"] == "front"
    assert budget["spec"]["selector"] == {"matchLabels": {"app": "front"}}


def test_islands_inside_have_budgets_too() -> None:
    inner = document("IslandType", "cell", {"units": {"api": unit(replicas=2)}})
    outer = project({"units": {"hub": unit(replicas=2)}, "sets": {"cell": {"type": "cell", "replicas": 2}}})
    names = {"cart-eu-hub", "cart-eu-cell-0-api", "cart-eu-cell-1-api"}
    assert set(budgets([inner, *outer])) == names


def test_islands_that_are_hosts_outside_have_none() -> None:
    of_type = {
        "units": {"api": unit(replicas=2, ports={"http": 80})},
        "ports": {"http": {"unit": "api", "port": "http"}},
        "implementations": {"vm": {"external": {"host": "example.net", "port": 443}}},
    }
    islands = {"eu": {}, "us": {"implementation": "vm"}}
    assert set(budgets(project(of_type, islands=islands))) == {"cart-eu-api"}


@pytest.mark.parametrize("workload", ["StatefulSet", "AdvancedStatefulSet"])
def test_a_set_of_pods_has_one(workload: str) -> None:
    documents = project({"units": {"db": unit(), "side": unit()}}, form="pods", replicas=3, workload=workload)
    del documents[1]["spec"]["islands"]
    (budget,) = budgets(documents).values()
    assert budget["metadata"]["name"] == "cart"
    assert budget["spec"] == {**ONE, "selector": {"matchLabels": {"replicator.dev/set": "cart"}}}


# The author's own


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": {"app": "front"}},
        {"matchExpressions": [{"key": "app", "operator": "In", "values": ["front", "other"]}]},
        {},
    ],
)
def test_pods_with_a_budget_of_the_authors_get_no_other(selector: Object) -> None:
    own = manifest("PodDisruptionBudget", "mine", {"minAvailable": 1, "selector": selector}, "policy/v1")
    resources = [workload("Deployment", "front", replicas=3), own]
    assert set(budgets(project({"resources": resources}))) == {"cart-eu-mine"}


def test_other_pods_get_theirs() -> None:
    selector = {"matchLabels": {"app": "front"}}
    own = manifest("PodDisruptionBudget", "mine", {"minAvailable": 1, "selector": selector}, "policy/v1")
    resources = [own, workload("Deployment", "front", replicas=3), workload("Deployment", "back", replicas=3)]
    assert set(budgets(project({"resources": resources}))) == {"cart-eu-mine", "cart-eu-back"}


def test_patches_come_after() -> None:
    target = {"kind": "PodDisruptionBudget", "name": "api"}
    units = {"api": unit(replicas=3), "web": unit(replicas=3)}
    patch = {"target": target, "patch": {"spec": {"maxUnavailable": 2}}}
    assert budgets(project({"units": units}, patches=[patch]))["cart-eu-api"]["spec"]["maxUnavailable"] == 2
    gone = {"target": target, "patch": {"$patch": "delete"}}
    assert set(budgets(project({"units": units}, patches=[gone]))) == {"cart-eu-web"}


def test_a_patched_selector_without_its_budget_is_told() -> None:
    labels = {"matchLabels": {"$patch": "replace", "replicator.dev/island": "{{ island.name }}", "tier": "x"}}
    template = {"metadata": {"labels": {"app.kubernetes.io/component": "other", "tier": "x"}}}
    patch = {"target": {"kind": "Deployment"}, "patch": {"spec": {"selector": labels, "template": template}}}
    (found,) = said(project({"units": {"api": unit(replicas=3)}}, patches=[patch]), "R0614")
    assert "the PodDisruptionBudget `api` selects no pods" in found.message


@pytest.mark.parametrize(("scope", "number"), [("prefix", 1), ("namespace", 2)])
def test_a_shared_budget_is_one_too_where_it_reaches(scope: str, number: int) -> None:
    selector = {"matchLabels": {"app": "front"}}
    shared = manifest("PodDisruptionBudget", "all", {"minAvailable": 1, "selector": selector}, "policy/v1")
    resources = [workload("Deployment", "front", replicas=3)]
    assert len(budgets(project({"resources": resources}, shared=[shared], scope=scope))) == number


def test_nothing_is_said_of_a_budget_that_is_shared() -> None:
    """What it selects is not in any one island."""
    selector = {"matchLabels": {"app": "front"}}
    shared = manifest("PodDisruptionBudget", "all", {"minAvailable": 1, "selector": selector}, "policy/v1")
    documents = project({"resources": [workload("Deployment", "front", replicas=3)]}, shared=[shared])
    del documents[1]["spec"]["disruption"]
    assert compiled(documents).diagnostics == []


# What is not allowed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "nothing says how many may be away"),
        ({"unhealthyPodEvictionPolicy": "AlwaysAllow"}, "nothing says how many may be away"),
        ({"maxUnavailable": 1, "minAvailable": 1}, "`maxUnavailable` and `minAvailable` at once"),
        ({"maxUnavailable": "101%"}, "`101%` is more than all pods"),
        ({"minAvailable": 2**31}, "`minAvailable` is at most 2,147,483,647"),
        ({"minAvailable": "9" * 5000 + "%"}, None),
    ],
)
def test_a_budget_has_one_limit(given: Object, message: str | None) -> None:
    found = errors(project({"units": {"api": unit()}}, disruption=given))
    assert [code for code, _ in found] == ["R0205"]
    assert message in (None, found[0][1])


# Arithmetic


def controller(field: str, value: int | str, pods: int) -> int:
    """How many of so many healthy pods may go: `getExpectedPodCount` and `updatePdbStatus` of Kubernetes' disruption
    controller, step by step as they are there."""

    def scaled(total: int) -> int:  # intstr.GetScaledValueFromIntOrPercent(value, total, roundUp=true)
        return value if isinstance(value, int) else math.ceil(int(value[:-1]) * total / 100)

    expected = pods
    desired = max(expected - scaled(expected), 0) if field == "maxUnavailable" else scaled(expected)
    allowed = pods - desired
    return 0 if expected <= 0 or allowed <= 0 else allowed


@given(
    st.sampled_from(["maxUnavailable", "minAvailable"]),
    st.one_of(st.integers(0, 30), st.integers(0, 100).map(lambda percent: f"{percent}%")),
    st.integers(0, 30),
)
def test_a_limit_allows_what_the_controller_does(field: str, value: int | str, pods: int) -> None:
    assert Limit(field, value).allows(pods) == controller(field, value, pods)


@pytest.mark.parametrize(
    ("field", "value", "pods", "allowed"),
    [
        ("maxUnavailable", "50%", 7, 4),  # rounded up: more than half may be away
        ("minAvailable", "50%", 7, 3),  # rounded up: four of the seven must be there
        ("maxUnavailable", "1%", 1, 1),
        ("maxUnavailable", "1%", 100, 1),
        ("maxUnavailable", "1%", 101, 2),
        ("maxUnavailable", "0%", 5, 0),
        ("minAvailable", "1%", 1, 0),
        ("minAvailable", "67%", 3, 0),  # 2.01, and so all three
        ("minAvailable", "66%", 3, 1),
        ("minAvailable", "100%", 9, 0),
        ("maxUnavailable", "29%", 100, 29),  # in binary 0.29 * 100 is less
    ],
)
def test_percentages_are_rounded_up(field: str, value: str, pods: int, allowed: int) -> None:
    """https://kubernetes.io/docs/tasks/run-application/configure-pdb/#rounding-logic-when-specifying-percentages"""
    assert Limit(field, value).allows(pods) == allowed


NOTHING, NEVER = "guards nothing", "lets no pod go"


@pytest.mark.parametrize(
    ("given", "replicas", "message"),
    [
        (ONE, None, NOTHING),  # Kubernetes' default is one
        (ONE, 1, NOTHING),
        (ONE, 2, ""),
        (ONE, 0, ""),
        ({"maxUnavailable": 2}, 2, NOTHING),
        ({"maxUnavailable": 0}, 3, NEVER),
        ({"maxUnavailable": "0%"}, 3, NEVER),
        ({"maxUnavailable": "10%"}, 1, NOTHING),
        ({"maxUnavailable": "10%"}, 2, ""),
        ({"maxUnavailable": "51%"}, 2, NOTHING),
        ({"minAvailable": 1}, 1, NEVER),
        ({"minAvailable": 1}, 2, ""),
        ({"minAvailable": 5}, 3, NEVER),
        ({"minAvailable": 0}, 3, NOTHING),
        ({"minAvailable": "50%"}, 1, NEVER),
        ({"minAvailable": "50%"}, 2, ""),
        ({"minAvailable": "90%"}, 9, NEVER),
    ],
)
def test_a_budget_that_cannot_help_is_told(given: Object, replicas: int | None, message: str) -> None:
    own = {} if replicas is None else {"replicas": replicas}
    found = said(project({"units": {"api": unit(**own)}}, disruption=given, islands={"eu": {}, "us": {}}))
    assert [one.severity for one in found] == ["warning"] * bool(message)
    assert not found or message in found[0].message


def test_an_autoscaler_says_how_many_there_are_at_least() -> None:
    def autoscaled(least: int) -> Object:
        return {"api": unit(replicas=1, autoscale={"min": least, "max": 9, "cpu": 70})}

    assert said(project({"units": autoscaled(2)})) == []
    (found,) = said(project({"units": autoscaled(1)}))
    assert NOTHING in found.message
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "front"}
    spec: Object = {"scaleTargetRef": target, "maxReplicas": 5}
    for least, number in ((None, 1), (1, 1), (2, 0)):
        more = {} if least is None else {"minReplicas": least}
        scaler = manifest("HorizontalPodAutoscaler", "front", {**spec, **more}, "autoscaling/v2")
        assert len(said(project({"resources": [workload("Deployment", "front"), scaler]}))) == number


def test_patched_numbers_count() -> None:
    patch = {"target": {"kind": "Deployment"}, "patch": {"spec": {"replicas": 2}}}
    assert said(project({"units": {"api": unit()}}, patches=[patch])) == []


def test_numbers_of_islands_count_and_make_no_shapes() -> None:
    of_type = {
        "params": {"n": {"type": "integer", "default": 2}},
        "units": {"api": unit(replicas="{{ params.n }}"), "web": unit(replicas=1)},
    }
    islands = {"a": {"params": {"n": 1}}, "b": {}, "c": {"params": {"n": 1}}, "d": {"params": {"n": 0}}}
    documents = project(of_type, islands=islands)
    api, web = sorted(said(documents), key=lambda one: one.message)
    assert "`api`" in api.message
    assert api.others == 1
    assert [one.message for one in api.related] == ["the budget", "for this island"]
    assert "`web`" in web.message
    assert web.others == 0
    (rows,) = compiled(documents).sets
    assert rows.shape_of is None
    assert said(project(of_type, islands={"a": {}, "b": {}}), "R0625")[0].message == web.message


def test_islands_of_other_shapes_do_not_count() -> None:
    """What an island does not have is not judged for it."""
    front = workload("Deployment", "front", replicas="{{ params.n }}")
    of_type = {
        "params": {"n": {"type": "integer"}, "on": {"type": "boolean"}},
        "units": {"api": unit(replicas=2)},
        "resources": [{"when": "{{ params.on }}", **front}],
    }
    islands = {"a": {"params": {"n": 1, "on": False}}, "b": {"params": {"n": 2, "on": True}}}
    assert said(project(of_type, islands=islands)) == []
    islands["c"] = {"params": {"n": 1, "on": True}}
    (found,) = said(project(of_type, islands=islands))
    assert found.others == 0


def test_an_authors_budget_is_not_judged() -> None:
    selector = {"matchLabels": {"app": "front"}}
    own = manifest("PodDisruptionBudget", "mine", {"minAvailable": 1, "selector": selector}, "policy/v1")
    assert said(project({"resources": [workload("Deployment", "front"), own]})) == []


def test_a_set_of_pods_counts_its_islands() -> None:
    def pods(number: int) -> list[Object]:
        documents = project({"units": {"db": unit()}}, form="pods", replicas=number)
        del documents[1]["spec"]["islands"]
        return documents

    assert said(pods(2)) == []
    assert said(pods(0)) == []
    (found,) = said(pods(1))
    assert NOTHING in found.message


def test_another_island_changes_no_other_file() -> None:
    def written(keys: Iterable[str]) -> dict[str, bytes]:
        documents = project({"units": EVERY_UNIT}, islands={key: {} for key in keys})
        return dict(files(compiled(documents), "island"))

    before, after = written(["b", "d"]), written(["a", "b", "c", "d", "e"])
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 3
