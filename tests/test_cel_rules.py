"""The rules of a CRD that are written in CEL, and its sets and maps, find what an API server would refuse."""

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from cel_rules import CannotEvaluate, defaulted, functions_of, violations
from strict_schemas import SHARED, needs_shared, problems

Object = dict[str, Any]
Change = Callable[[Object], object]

GATEWAY_API = "gateway.networking.k8s.io"


def http_route() -> Object:
    match = {
        "path": {"type": "PathPrefix", "value": "/old"},
        "headers": [{"name": "x-a", "value": "1"}, {"name": "x-b", "value": "2"}],
    }
    replaced = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
    rule = {
        "name": "one",
        "matches": [match],
        "filters": [{"type": "URLRewrite", "urlRewrite": {"path": replaced}}],
        "backendRefs": [{"name": "web", "port": 80}],
        "timeouts": {"request": "5s", "backendRequest": "1s500ms"},
    }
    return {
        "apiVersion": f"{GATEWAY_API}/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {"parentRefs": [{"name": "edge", "namespace": "gw"}], "rules": [rule]},
    }


def gateway() -> Object:
    listener = {"name": "https", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "cert"}]}}
    return {
        "apiVersion": f"{GATEWAY_API}/v1",
        "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": "gw"},
        "spec": {"gatewayClassName": "any", "listeners": [listener]},
    }


def reference_grant() -> Object:
    return {
        "apiVersion": f"{GATEWAY_API}/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "routes", "namespace": "shop"},
        "spec": {
            "from": [{"group": GATEWAY_API, "kind": "HTTPRoute", "namespace": "edge"}],
            "to": [{"group": "", "kind": "Service"}],
        },
    }


def backend_tls_policy() -> Object:
    return {
        "apiVersion": f"{GATEWAY_API}/v1",
        "kind": "BackendTLSPolicy",
        "metadata": {"name": "tls", "namespace": "shop"},
        "spec": {
            "targetRefs": [{"group": "", "kind": "Service", "name": "web"}],
            "validation": {"hostname": "web.example.com", "wellKnownCACertificates": "System"},
        },
    }


def service_entry() -> Object:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "outside", "namespace": "shop"},
        "spec": {
            "hosts": ["api.example.com"],
            "resolution": "DNS",
            "ports": [{"number": 443, "name": "https", "protocol": "HTTPS"}],
        },
    }


def destination_rule() -> Object:
    pool = {"http": {"idleTimeout": "5s"}}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"host": "web", "trafficPolicy": {"connectionPool": pool}},
    }


def rule(item: Object) -> Object:
    first: Object = item["spec"]["rules"][0]
    return first


def match(item: Object) -> Object:
    first: Object = rule(item)["matches"][0]
    return first


REDIRECT = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}
HEADERS = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}
GOOD = (http_route, gateway, reference_grant, backend_tls_policy, service_entry, destination_rule)


@needs_shared
@pytest.mark.parametrize("made", GOOD)
def test_a_good_object_breaks_no_rule(made: Callable[[], Object]) -> None:
    assert problems([made()]) == []


@needs_shared
@pytest.mark.parametrize(
    ("made", "change", "path", "message"),
    [
        (http_route, lambda r: match(r)["path"].update(type="Exact"), "rules[0]", "exactly one PathPrefix match"),
        (http_route, lambda r: rule(r)["matches"].append({"method": "GET"}), "rules[0]", "exactly one PathPrefix"),
        (http_route, lambda r: rule(r).update(filters=[REDIRECT]), "rules[0]", "must not be used together with back"),
        (http_route, lambda r: rule(r)["filters"].append(REDIRECT), "rules[0].filters", "but not both"),
        (http_route, lambda r: rule(r).update(filters=[HEADERS, HEADERS]), "filters", "cannot be repeated"),
        (http_route, lambda r: rule(r)["filters"][0].update(type="CORS"), "filters[0]", "urlRewrite must be nil"),
        (http_route, lambda r: match(r)["headers"][1].update(name="x-a"), "matches[0].headers", "duplicate value"),
        (http_route, lambda r: match(r)["path"].update(value="old"), "matches[0].path", "absolute path"),
        (http_route, lambda r: match(r)["path"].update(value="/a//b"), "matches[0].path", "must not contain '//'"),
        (http_route, lambda r: match(r)["path"].update(value="/a b"), "matches[0].path", "valid characters"),
        (http_route, lambda r: rule(r)["backendRefs"][0].pop("port"), "backendRefs[0]", "port for Service"),
        (http_route, lambda r: rule(r)["timeouts"].update(backendRequest="1m"), "timeouts", "cannot be longer"),
        (
            http_route,
            lambda r: r["spec"]["parentRefs"].append({"name": "edge", "namespace": "gw"}),
            "spec.parentRefs",
            "sectionName must be unique",
        ),
        (gateway, lambda g: g["spec"]["listeners"].append(g["spec"]["listeners"][0]), "spec.listeners", "unique"),
        (gateway, lambda g: g["spec"]["listeners"][0].update(protocol="HTTP"), "spec.listeners", "tls must not be"),
        (gateway, lambda g: g["spec"]["listeners"][0]["tls"].update(certificateRefs=[]), "listeners[0].tls", "certif"),
        (
            backend_tls_policy,
            lambda p: p["spec"]["validation"].pop("wellKnownCACertificates"),
            "spec.validation",
            "must specify either CACertificateRefs or WellKnownCACertificates",
        ),
        (
            backend_tls_policy,
            lambda p: p["spec"]["targetRefs"].append(p["spec"]["targetRefs"][0]),
            "spec.targetRefs",
            "sectionName must be unique",
        ),
        (service_entry, lambda e: e["spec"].update(addresses=["10.0.0.0/8"]), "spec", "CIDR addresses are allowed"),
        (service_entry, lambda e: e["spec"]["hosts"].append("*"), "hosts[1]", "hostname cannot be wildcard"),
        (
            service_entry,
            lambda e: e["spec"]["ports"].append(e["spec"]["ports"][0]),
            "spec.ports",
            "port number cannot be",
        ),
        (
            destination_rule,
            lambda d: d["spec"]["trafficPolicy"]["connectionPool"]["http"].update(idleTimeout="0s"),
            "idleTimeout",
            "must be a valid duration greater than 1ms",
        ),
    ],
)
def test_a_broken_rule_is_found(made: Callable[[], Object], change: Change, path: str, message: str) -> None:
    item = made()
    change(item)
    assert any(path in found.partition(": ")[2] and message in found for found in problems([item])), problems([item])


@needs_shared
def test_a_grant_has_a_form_and_no_rules() -> None:
    grant = reference_grant()
    grant["spec"]["to"] = []
    assert problems([grant]) == ["ReferenceGrant shop/routes: $.spec.to: [] should be non-empty"]


@needs_shared
@pytest.mark.parametrize(("of_last", "broken"), [(0, False), (1, True)])
def test_matches_are_counted_over_all_rules(of_last: int, broken: bool) -> None:
    route = http_route()
    rules = [{"matches": [{"path": {"value": f"/{n}"}} for n in range(64)]} for _ in range(2)]
    route["spec"]["rules"] = rules + [{"matches": [{"path": {"value": "/x"}}]}] * of_last
    assert ["the total number of matches" in found for found in problems([route])] == [True] * broken


@needs_shared
def test_a_rule_without_matches_counts_as_the_match_that_is_its_default() -> None:
    route = http_route()
    route["spec"]["rules"] = [{"filters": [copy.deepcopy(rule(route)["filters"][0])]}]
    assert problems([route]) == []


def test_defaults_fill_what_is_not_there() -> None:
    inner: Object = {"type": "object", "properties": {"type": {"default": "Exact"}, "name": {}}}
    schema: Object = {
        "type": "object",
        "properties": {
            "matches": {"type": "array", "default": [{"name": "a"}], "items": inner},
            "by": {"additionalProperties": inner},
            "none": inner,
        },
    }
    assert defaulted({"by": {"x": {"type": "Regex"}, "y": {}}}, schema) == {
        "matches": [{"name": "a", "type": "Exact"}],
        "by": {"x": {"type": "Regex"}, "y": {"type": "Exact"}},
    }


@pytest.mark.parametrize(
    ("rule", "value", "holds"),
    [
        ("isURL(self) ? url(self).getScheme() in ['http', 'https'] : false", "https://a.example.com/x", True),
        ("url(self).getScheme() in ['http', 'https']", "ftp://a", False),
        ("url(self).getScheme() in ['http', 'https']", "no url", False),  # an error refuses too
        ("!isIP(self)", "10.0.0.1", False),
        ("!isIP(self)", "10.0.0.1.example.com", True),
        ("self.substring(2).startsWith('c') && self.split('c')[0].size() == 2", "abcd", True),
        ("duration(self) <= duration('1h')", "59m61s", False),
        ("self == oldSelf", "x", True),
        ("self.all(key, key != 'namespace') || self.namespace == 'x'", {"namespace": "x"}, True),
        ("self.exists(key, self[key] > 1)", {"a": 1, "b": 2}, True),
    ],
)
def test_what_kubernetes_adds_to_cel(rule: str, value: Any, holds: bool) -> None:
    schema = {"x-kubernetes-validations": [{"rule": rule, "message": "broken"}]}
    assert (violations(value, schema) == []) is holds


def test_declared_names_that_cel_reserves_are_escaped() -> None:
    rule = "self.__namespace__ == 'a' && self.a__dash__b == 1 && self.free['in'] == 2"
    names: Object = {"namespace": {}, "a-b": {}, "free": {"additionalProperties": {"type": "integer"}}}
    schema = {"properties": names, "x-kubernetes-validations": [{"rule": rule, "message": "broken"}]}
    assert violations({"namespace": "a", "a-b": 1, "free": {"in": 2}}, schema) == []
    assert violations({"namespace": "b", "a-b": 1, "free": {"in": 2}}, schema) == [("$", "broken")]


def test_sets_and_maps_have_no_duplicates() -> None:
    of_set = {"items": {"type": "string"}, "x-kubernetes-list-type": "set"}
    of_map: Object = {"items": {"type": "object"}, "x-kubernetes-list-type": "map"}
    of_map["x-kubernetes-list-map-keys"] = ["name"]
    assert violations(["a", "b", "a"], of_set) == [("$", "duplicate value: 'a'")]
    assert violations([{"name": "a"}, {"name": "b"}, {"name": "a", "x": 1}], of_map) == [
        ("$", "duplicate value: {'name': 'a'}")
    ]


def test_a_rule_that_cannot_be_evaluated_is_never_passed_over() -> None:
    for unknown in ("quantity(self).isLessThan(quantity('4Gi'))", "self.(", "self == nothing"):
        with pytest.raises(CannotEvaluate):
            violations("1", {"x-kubernetes-validations": [{"rule": unknown}]})
    assert functions_of("has(self.a) && self.b.matches('x(y)') in (['z'])") == {"has", "matches"}


def rules_of(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from (one["rule"] for one in schema.get("x-kubernetes-validations", ()))
        schema = list(schema.values())
    for inner in schema if isinstance(schema, list) else ():
        yield from rules_of(inner)


@needs_shared
def test_every_rule_of_the_saved_crds_can_be_evaluated() -> None:
    rules = {
        text
        for file in SHARED.glob("crds/*/*.yaml")
        for text in rules_of(yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    }
    assert len(rules) > 100
    for text in rules:
        if not re.search(r"\boldSelf\b", text):
            violations({}, {"x-kubernetes-validations": [{"rule": text}]})
