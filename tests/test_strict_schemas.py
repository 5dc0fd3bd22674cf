"""The strict schemas take good objects and name every fault."""

import copy
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from strict_schemas import SHARED, needs_shared, problems, strict

Object = dict[str, Any]

WEB = {"app.kubernetes.io/name": "web"}


def deployment() -> Object:
    ports = [{"name": "http", "containerPort": 8080}]
    web = {"name": "web", "image": "registry.example.com/web:1", "ports": ports}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop-eu-web", "namespace": "shop", "labels": dict(WEB)},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": dict(WEB)},
            "template": {"metadata": {"labels": {**WEB, "more": "x"}}, "spec": {"containers": [web]}},
        },
    }


def service() -> Object:
    ports = [
        {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"},
        {"name": "admin", "port": 8081, "targetPort": 8081, "protocol": "TCP"},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "shop-eu-web", "namespace": "shop"},
        "spec": {"selector": dict(WEB), "ports": ports},
    }


def virtual_service() -> Object:
    route = {
        "matchers": [{"prefix": "/old"}],
        "redirectAction": {"hostRedirect": "new.example.com", "responseCode": "PERMANENT_REDIRECT"},
    }
    return {
        "apiVersion": "gateway.solo.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "shop", "namespace": "gloo-system"},
        "spec": {"virtualHost": {"domains": ["shop.example.com"], "routes": [route]}},
    }


def http_route() -> Object:
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": [{"name": "shop-eu-web", "port": 80}],
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": "edge"},
        "spec": {"parentRefs": [{"name": "public"}], "hostnames": ["shop.example.com"], "rules": [rule]},
    }


def at(item: Object, path: str) -> Any:
    value: Any = item
    for step in path.split("."):
        value = value[int(step)] if step.isdigit() else value[step]
    return value


def with_value(item: Object, path: str, value: Any) -> Object:
    """A copy in which `path` (keys and list indexes, with dots between) has this value."""
    changed = copy.deepcopy(item)
    parent, _, last = path.rpartition(".")
    holder: Any = at(changed, parent) if parent else changed
    holder[int(last) if last.isdigit() else last] = value
    return changed


def unexpected(field: str) -> str:
    return f"Additional properties are not allowed ('{field}' was unexpected)"


@pytest.mark.parametrize("good", [deployment, service])
def test_good_core_objects_have_no_problem(good: Callable[[], Object]) -> None:
    assert problems([good()]) == []


@needs_shared
@pytest.mark.parametrize("good", [virtual_service, http_route])
def test_good_custom_objects_have_no_problem(good: Callable[[], Object]) -> None:
    assert problems([good()]) == []


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("spec.replica", 1, f"$.spec: {unexpected('replica')}"),
        ("spec.replicas", "2", "$.spec.replicas: '2' is not of type 'integer', 'null'"),
        (
            "spec.template.spec.containers.0.imag",
            "x",
            f"$.spec.template.spec.containers[0]: {unexpected('imag')}",
        ),
        ("metadata.name", "Shop", "$.metadata.name: 'Shop' is no name for a Deployment"),
        ("metadata.name", "shop.eu", "$.metadata.name: 'shop.eu' is no name for a Deployment"),
        ("metadata.name", "a" * 64, f"$.metadata.name: '{'a' * 64}' is no name for a Deployment"),
        ("metadata.labels.team", "a b", "$.metadata.labels.team: 'a b' is no label value"),
        (
            "spec.template.spec.containers.0.ports.0.containerPort",
            70000,
            "$.spec.template.spec.containers[0].ports[0].containerPort: 70000 is no port",
        ),
        (
            "spec.template.spec.containers.0.ports.0.name",
            "longer-than-fifteen",
            "$.spec.template.spec: 'longer-than-fifteen' is no name for a container's port",
        ),
        (
            "spec.template.metadata.labels",
            {"more": "x"},
            f"$.spec.selector.matchLabels: {WEB} does not select the template's labels {{'more': 'x'}}",
        ),
        (
            "spec.template.spec.initContainers",
            [{"name": "web", "image": "x"}],
            "$.spec.template.spec: two containers are named 'web'",
        ),
    ],
)
def test_each_fault_of_a_deployment_is_named(path: str, value: Any, expected: str) -> None:
    bad = with_value(deployment(), path, value)
    assert problems([bad]) == [f"Deployment shop/{bad['metadata']['name']}: {expected}"]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("metadata.name", "1-web", "$.metadata.name: '1-web' is no name for a Service"),
        ("spec.ports.0.port", 0, "$.spec.ports[0].port: 0 is no port"),
        ("spec.ports.1.targetPort", 65536, "$.spec.ports[1].targetPort: 65536 is no port"),
        ("spec.ports.1.name", "http", "$.spec.ports: two ports are named 'http'"),
        ("spec.ports.1.name", "Admin", "$.spec.ports: 'Admin' is no name for a Service's port"),
        ("spec.ports.1.port", 80, "$.spec.ports: two ports are TCP 80"),
        ("spec.ports.1", {"port": 81, "protocol": "TCP"}, "$.spec.ports: each of several ports needs a name"),
    ],
)
def test_each_fault_of_a_service_is_named(path: str, value: Any, expected: str) -> None:
    bad = with_value(service(), path, value)
    assert problems([bad]) == [f"Service shop/{bad['metadata']['name']}: {expected}"]


@needs_shared
@pytest.mark.parametrize(
    ("good", "path", "value", "expected"),
    [
        (
            virtual_service,
            "spec.virtualHost.routes.0.matchers.0.prefixes",
            "/x",
            f"$.spec.virtualHost.routes[0].matchers[0]: {unexpected('prefixes')}",
        ),
        (
            virtual_service,
            "spec.virtualHost.routes.0.redirectAction.responseCode",
            308,
            "$.spec.virtualHost.routes[0].redirectAction.responseCode: 308 is not of type 'string'",
        ),
        (
            virtual_service,
            "metadata.labels",
            {"a": 1},
            "$.metadata.labels.a: 1 is not of type 'string', 'null'",
        ),
        (
            http_route,
            "spec.rules.0.backendRefs.0.ports",
            80,
            f"$.spec.rules[0].backendRefs[0]: {unexpected('ports')}",
        ),
        (http_route, "spec.rules.0.matches.0.path.type", "Prefix", None),
    ],
)
def test_each_fault_of_a_custom_object_is_named(
    good: Callable[[], Object], path: str, value: Any, expected: str | None
) -> None:
    [found] = problems([with_value(good(), path, value)])
    expected = expected or "$.spec.rules[0].matches[0].path.type: 'Prefix' is not one of ['Exact', 'PathPrefix',"
    assert expected in found


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("apps/v2", "Deployment"),
        ("apps.example.com/v1", "Deployment"),  # the package's file names hold only the group's first word
        ("v1", "Affinity"),  # a type, but no kind
        ("example.com/v1", "Widget"),
    ],
)
def test_an_object_that_no_schema_knows_is_a_problem(api_version: str, kind: str) -> None:
    item = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}}
    assert problems([item]) == [f"{kind} x: $: no schema knows {kind} of {api_version}"]


@pytest.mark.parametrize(
    ("kind", "api_version", "name", "taken"),
    [
        ("ConfigMap", "v1", "game.conf", True),
        ("ConfigMap", "v1", "game..conf", False),
        ("Namespace", "v1", "a.b", False),
        ("ClusterRole", "rbac.authorization.k8s.io/v1", "system:shop", True),
        ("ClusterRole", "rbac.authorization.k8s.io/v1", "a/b", False),
        ("ServiceAccount", "v1", "9to5", True),
    ],
)
def test_names_are_judged_by_kind(kind: str, api_version: str, name: str, taken: bool) -> None:
    item = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}
    assert (problems([item]) == []) is taken


def test_the_name_of_a_stateful_set_leaves_room_for_a_hash() -> None:
    item = with_value(with_value(deployment(), "kind", "StatefulSet"), "spec.serviceName", "web")
    assert problems([with_value(item, "metadata.name", "a" * 52)]) == []
    [found] = problems([with_value(item, "metadata.name", "a" * 53)])
    assert found.endswith("is no name for a StatefulSet")


def test_an_object_of_the_wrong_form_is_a_problem_and_no_exception() -> None:
    assert len(problems([with_value(service(), "spec.ports", ["http"]), with_value(deployment(), "spec", [])])) == 2


def test_problems_come_from_all_objects_in_order() -> None:
    bad = with_value(service(), "spec.ports.0.port", 0)
    unnamed = with_value(deployment(), "metadata", {"namespace": "shop"})
    assert problems([unnamed, deployment(), bad]) == [
        "Deployment shop/?: $.metadata: has no name",
        "Service shop/shop-eu-web: $.spec.ports[0].port: 0 is no port",
    ]


def test_a_crd_schema_is_closed_but_not_within_combinators() -> None:
    crd = {
        "type": "object",
        "required": ["a", "a"],
        "properties": {
            "a": {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "nullable": True, "default": 1},
            "b": {"x-kubernetes-int-or-string": True},
            "c": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "d": {"type": "object", "additionalProperties": {"type": "object", "properties": {}}},
        },
        "oneOf": [{"type": "object", "required": ["a"]}],
    }
    assert strict(crd) == {
        "type": "object",
        "required": ["a"],
        "properties": {
            "a": {"type": ["integer", "null"], "minimum": 0, "exclusiveMinimum": 0},
            "b": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
            "c": {"type": "object"},
            "d": {
                "type": "object",
                "additionalProperties": {"type": "object", "properties": {}, "additionalProperties": False},
            },
        },
        "oneOf": [{"type": "object", "required": ["a"]}],
        "additionalProperties": False,
    }


@needs_shared
def test_each_served_version_of_each_crd_is_known() -> None:
    for file in SHARED.glob("crds/*/*.yaml"):
        crd = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
        for version in crd["spec"]["versions"]:
            api_version, kind = f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"]
            found = problems([{"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}}])
            unknown = f"{kind} x: $: no schema knows {kind} of {api_version}"
            assert (unknown in found) is not version["served"]


def test_a_thousand_objects_are_judged_quickly() -> None:
    problems([deployment()])  # loads the schemas
    started = time.perf_counter()
    assert problems([deployment()] * 1000) == []
    assert time.perf_counter() - started < 5  # validate() of the package alone takes longer
