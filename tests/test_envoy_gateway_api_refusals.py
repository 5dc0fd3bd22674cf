"""What the API refuses, or an implementation would drop, ignore or misread, the translation refuses too."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from envoy import Refused, UnknownField
from envoy_gateway_api import bootstrap, running
from strict_schemas import needs_shared
from test_envoy_gateway_api import (
    BACKENDS,
    GROUP,
    KGATEWAY,
    Object,
    backend_ref,
    extension,
    gateway,
    grant,
    headers,
    http_route,
    kgateway,
    listener,
    path,
    policy,
    redirect,
    rewrite,
    rule,
    to,
)

OUTSIDE = ("", "api.example.org", 8443)
NOWHERE = dict.fromkeys([*BACKENDS, ("away", "far", 80), OUTSIDE, ("", "x.a.run.app", 443)], ("127.0.0.1", 9))


def refused(objects: list[Object], message: str | None, *, unknown: bool = False, flavor: str | None = None) -> None:
    with pytest.raises(UnknownField if unknown else Refused, match=message):
        bootstrap(objects, NOWHERE, 0, flavor)


def ref(name: str = "a", **more: Any) -> Object:
    return {"backendRefs": [{"name": name, "port": 80, **more}]}


# The API server


@needs_shared
@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([rule(path(f"/{n}"), "a") for n in range(17)], "is too long"),
        ([to("a", matches=[path(f"/{n}") for n in range(65)])], "is too long"),
        ([to("a", matches=[path(f"/{at}/{n}") for n in range(43)]) for at in range(3)], "total number of matches"),
        ([to(*["a"] * 17)], "is too long"),
        ([to("a", matches=[path("/", headers=headers(**{f"h{n}": "1" for n in range(17)}))])], "is too long"),
        (
            [rule(path("/x", "Exact"), "a", filters=[rewrite("ReplacePrefixMatch", "/")])],
            "exactly one PathPrefix match",
        ),
        (
            [to("a", matches=[path("/x"), path("/y")], filters=[rewrite("ReplacePrefixMatch", "/")])],
            "exactly one PathPrefix match",
        ),
        ([to("a", filters=[redirect(scheme="https")])], "must not be used together with backendRefs"),
        ([to("a", filters=[rewrite("ReplaceFullPath", "/x")] * 2)], "cannot be repeated"),
        ([rule(path("/", headers=headers(a="1") * 2), "a")], "duplicate value"),
        ([rule(path("x"), "a")], "must be an absolute path"),
        ([rule(path("/x/../y"), "a")], r"must not contain '/\.\./'"),
        ([ref(port=None)], "None is not of type"),
        ([{"backendRefs": [{"name": "a"}]}], "Must have port for Service reference"),
        ([to("a", timeouts={"request": "0.5s"})], "does not match"),
        ([to("a", timeouts={"request": "1s", "backendRequest": "2s"})], "cannot be longer than request timeout"),
        ([rule(path("/", headers=headers("Prefix", a="1")), "a")], "is not one of"),
        ([rule(path("/", headers=headers(a="")), "a")], "should be non-empty"),  # no match for presence
    ],
)
def test_what_the_crd_of_http_routes_refuses(rules: list[Object], message: str) -> None:
    refused([http_route(rules)], message)


@needs_shared
def test_hosts_are_limited_and_grants_need_a_target() -> None:
    refused([http_route([to("a")], hostnames=[f"h{n}.example.com" for n in range(17)])], "is too long")
    refused([http_route([to("a")], hostnames=["10.0.0.1:80"])], "does not match")
    empty = grant("away")
    empty["spec"]["to"] = []
    refused([http_route([to("a")]), empty], "should be non-empty")


@pytest.mark.parametrize(
    "change",
    [
        lambda route: route["spec"].update(extra=1),
        lambda route: route["spec"]["rules"][0].update(retry={"attempts": 2}),  # of the experimental channel
        lambda route: route["spec"]["rules"][0]["matches"][0]["path"].update(caseSensitive=False),
        lambda route: route["spec"]["rules"][0]["backendRefs"][0].update(subset="x"),
        lambda route: route["metadata"].update(annotations={"kgateway.dev/route-weight": "1"}),
    ],
)
def test_unknown_fields_are_told(change: Callable[[Object], None]) -> None:
    route = http_route([rule(path("/"), "a")])
    bootstrap([route], NOWHERE, 0)
    change(route)
    refused([route], None, unknown=True)


def test_unknown_kinds_are_told_and_others_passed_over() -> None:
    route = http_route([to("a")])
    bootstrap([route, {"apiVersion": "apps/v1", "kind": "Deployment"}], NOWHERE, 0)
    refused([route, {**route, "kind": "GRPCRoute"}], "no translation", unknown=True)
    refused([{**route, "apiVersion": f"{GROUP}/v1beta1"}], "no translation", unknown=True)
    refused([route, copy.deepcopy(route)], "given twice")


# Ties


ONE, TWO = headers(a="1"), headers(b="2")
REGEX = "RegularExpression"


@pytest.mark.parametrize(
    ("first", "second", "tie"),
    [
        (path("/x"), path("/x"), True),
        (path("/x"), path("/x/"), True),
        (path("/x"), path("/y"), False),
        (path("/x", "Exact"), path("/x"), False),
        (path("/x", headers=ONE), path("/x"), False),
        (path("/x", headers=ONE), path("/x", headers=TWO), True),
        (path("/x", headers=ONE), path("/x", headers=headers(a="2")), False),
        (path("/x", headers=ONE + TWO), path("/x", headers=headers(a="1", c="3")), True),
        (path("/x", headers=ONE), path("/x", queryParams=[{"name": "v", "value": "1"}]), False),
        (path("/x", method="GET"), path("/x", method="PUT"), False),
        (path("/x", method="GET"), path("/x", method="GET"), True),
        (path("/x", headers=ONE), path("/x", headers=headers(REGEX, a="[0-9]")), True),
        (path("/x", headers=ONE), path("/x", headers=headers(REGEX, a="[2-9]")), False),
        (path("/x", headers=headers(REGEX, a="1|2")), path("/x", headers=headers(REGEX, a="(3|4)")), False),
        (path("/x", headers=headers(REGEX, a="1|2")), path("/x", headers=headers(REGEX, a="(2|4)")), True),
        (path("/x", headers=headers(REGEX, a="[12]")), path("/x", headers=headers(REGEX, a="[34]")), True),  # who knows
        (path("/x/.*", REGEX), path("/.*/y", REGEX), True),
        (path("/x/.*", REGEX), path("/x"), False),
    ],
)
def test_a_tie_between_routes_is_refused(first: Object, second: Object, tie: bool) -> None:
    """Such a pair is decided by which HTTPRoute was created first."""
    for order in ((first, second), (second, first)):
        pair = [http_route([rule(match, service)], service) for match, service in zip(order, "ab", strict=True)]
        if tie:
            refused(pair, "tie, and the older HTTPRoute wins")
        else:
            bootstrap(pair, NOWHERE, 0)


def test_a_tie_with_one_outcome_or_of_other_hosts_is_none() -> None:
    same = [http_route([to("a")], name) for name in ("one", "two")]
    apart = [http_route([to(name)], name, hostnames=[f"{name}.example.com"]) for name in ("a", "b")]
    within = [rule(path("/", headers=ONE), "a"), rule(path("/", headers=TWO), "b")]
    beside = [http_route(within, "one"), http_route([rule(path("/", headers=headers(a="9")), "b")], "two")]
    for routes in (same, apart, beside):
        bootstrap(routes, NOWHERE, 0)


def test_a_more_specific_match_decides_a_tie() -> None:
    one, other, both = (path("/x", headers=given) for given in (ONE, TWO, ONE + TWO))
    second = http_route([rule(other, "b")], "b")
    bootstrap([http_route([to("a", matches=[one, both])], "a"), second], NOWHERE, 0)
    beside = path("/x", headers=headers(a="1", c="3"))
    refused([http_route([to("a", matches=[one, beside])], "a"), second], "tie, and the older HTTPRoute wins")


def test_ties_are_found_among_many_routes() -> None:
    """And without comparing each with each: the values of a header that all name tell them apart."""
    routes = [
        http_route([to("a", matches=[path("/", headers=headers(n=f"{at * 64 + n}")) for n in range(64)])], f"n{at}")
        for at in range(40)
    ]
    bootstrap(routes, NOWHERE, 0)
    last = http_route([rule(path("/", headers=headers(n="7")), "b")], "last")
    refused([*routes, last], "tie, and the older HTTPRoute wins")


# References


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "a", "namespace": "shop"},
    "spec": {"ports": [{"port": 80}]},
}


MIRROR = {"name": "gone", "port": 80}


@pytest.mark.parametrize(
    ("rules", "more", "message"),
    [
        ([ref("gone")], [], "no back end shop/gone:80"),
        ([ref(port=81)], [SERVICE], "has no port 81"),
        ([ref()], [{**SERVICE, "spec": {"type": "ExternalName", "externalName": "x.org"}}], "ExternalName"),
        ([ref("far", namespace="away")], [], "no ReferenceGrant in away"),
        ([ref("far", namespace="away")], [grant("shop")], "no ReferenceGrant in away"),
        ([ref("far", namespace="away")], [grant("away", name="near")], "no ReferenceGrant in away"),
        ([ref("far", namespace="away")], [grant("away", "Secret")], "no ReferenceGrant in away"),
        ([ref("far", namespace="away")], [grant("away", source="other")], "no ReferenceGrant in away"),
        ([ref(kind="ConfigMap")], [], "needs a Service and a port"),
        ([{"backendRefs": [backend_ref("gone")]}], [], "no Backend shop/gone"),
        ([{"backendRefs": [backend_ref("gone", port=80)]}], [], "no port"),
        ([{}], [], "has no back end with a weight"),
        ([ref(weight=0)], [], "has no back end with a weight"),
        (
            [to("a", filters=[{"type": "RequestMirror", "requestMirror": {"backendRef": MIRROR}}])],
            [],
            "no back end shop/gone",
        ),
        ([{"filters": [extension("DirectResponse", "gone")]}], [], "no DirectResponse shop/gone"),
        (
            [to("a", filters=[{**extension("", "x"), "extensionRef": {"group": "x", "kind": "Y", "name": "z"}}])],
            [],
            "Y",
        ),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused(rules: list[Object], more: list[Object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap([http_route(rules), *more], NOWHERE, 0)


FOR_GRPC = {"namespaces": {"from": "All"}, "kinds": [{"kind": "GRPCRoute"}]}


@pytest.mark.parametrize(
    ("listeners", "spec", "message"),
    [
        ([listener("one", 80, taken="Same")], {}, "no listener of the Gateway takes"),
        ([listener("one", 80)], {"sectionName": "two"}, "no listener of the Gateway takes"),
        ([listener("one", 80)], {"port": 81}, "no listener of the Gateway takes"),
        ([listener("one", 80, "TCP")], {}, "no listener of the Gateway takes"),
        (
            [listener("one", 80, allowedRoutes=FOR_GRPC)],
            {},
            "no listener of the Gateway takes",
        ),
        ([listener("one", 80, hostname="*.example.org")], {}, "no listener of the Gateway serves a.example.com"),
        ([listener("one", 80, hostname="*.ample.com")], {}, "no listener of the Gateway serves a.example.com"),
    ],
)
def test_a_route_that_no_listener_takes_is_refused(listeners: list[Object], spec: Object, message: str) -> None:
    parent = {"name": "edge", "namespace": "gw", **spec}
    route = http_route([to("a")], parentRefs=[parent], hostnames=["a.example.com"])
    refused([gateway(*listeners), route], message)


def test_a_route_needs_a_parent_and_a_host_the_same_parents() -> None:
    refused([http_route([to("a")], parentRefs=[])], "has no parents")
    refused(
        [http_route([to("a")], parentRefs=[{"kind": "Service", "group": "", "name": "a"}])],
        "only a Gateway",
        unknown=True,
    )
    pair = [http_route([rule(path(f"/{name}"), "a")], name, parentRefs=[{"name": name}]) for name in ("one", "two")]
    refused(pair, "with other parents", unknown=True)


@needs_shared
def test_a_listener_needs_its_certificate() -> None:
    route = http_route([to("a")])
    refused([gateway(listener("one", 443, "HTTPS", tls={"certificateRefs": []})), route], "certificateRefs or options")
    far = listener("one", 443, "HTTPS", tls={"certificateRefs": [{"name": "cert", "namespace": "away"}]})
    refused([gateway(far), route], "no ReferenceGrant in away")


def tls(called: str = "tls", **target: str) -> Object:
    wanted = {"group": "", "kind": "Service", "name": "a", **target}
    validation = {"hostname": "a.example.com", "wellKnownCACertificates": "System"}
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "BackendTLSPolicy",
        "metadata": {"name": called, "namespace": "shop"},
        "spec": {"targetRefs": [wanted], "validation": validation},
    }


def test_a_policy_for_tls_needs_a_target_of_its_own() -> None:
    objects = [http_route([to("a")]), {**SERVICE, "spec": {"ports": [{"port": 80, "name": "http"}]}}]
    bootstrap([*objects, tls(), tls("one", sectionName="http"), tls("b", name="b")], NOWHERE, 0)
    refused([*objects, tls(name="gone")], "'gone'")
    refused([*objects, tls(sectionName="gone")], "'gone'")
    refused([*objects, tls(kind="ConfigMap")], "nothing to encrypt to")
    refused([*objects, tls("one"), tls("two")], "the older one wins")


# Filters


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (to("a", filters=[{"type": "URLRewrite", "urlRewrite": {}}]), "rewrites nothing"),
        (to("a", filters=[rewrite("ReplaceFullPath", "x")]), "is no path"),
        (to("a", filters=[{"type": "CORS", "cors": {"allowMethods": ["GET"]}}]), "allows no origin"),
        (
            to("a", filters=[{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["X-A", "x-a"]}}]),
            "one action for a header",
        ),
        (rule(path("/", headers=[*ONE, {"name": "X-A", "value": "2"}]), "a"), "is there before"),
        (to("a", timeouts={"request": "5s", "backendRequest": "0s"}), "without an end"),
        (ref(filters=[redirect(scheme="https")]), "not every implementation takes"),
        (
            ref(filters=[{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-a"]}}]),
            "not every implementation takes",
        ),
    ],
)
def test_filters_without_a_sure_effect_are_refused(answer: Object, message: str) -> None:
    refused([http_route([answer])], message)


def test_what_has_no_effect_on_a_redirect_is_refused() -> None:
    removed = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-a"]}}
    refused([http_route([{"filters": [redirect(scheme="https"), removed]}])], "no effect", unknown=True)
    timed = {"filters": [redirect(scheme="https")], "timeouts": {"request": "1s"}}
    refused([http_route([timed])], "no effect", unknown=True)


def test_envoy_refuses_what_no_schema_sees() -> None:
    host = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "Host", "value": "x"}]}}
    for wrong in (to("a", filters=[host]), rule(path("/(", "RegularExpression"), "a")):
        with pytest.raises(Refused, match="Envoy refuses"), running([http_route([wrong])], BACKENDS):
            pass


# kgateway


@pytest.mark.parametrize(
    ("prefix", "replacement", "message"),
    [
        ("/x", "", "ignores an empty prefix"),
        ("/x", "/y/", "doubles the slash"),
        ("/", "/y", "leaves the slash before the rest out"),
        ("/a+b", "/", "as a regular expression"),
    ],
)
def test_prefixes_that_kgateway_misreads(prefix: str, replacement: str, message: str) -> None:
    route = http_route([rule(path(prefix), "a", filters=[rewrite("ReplacePrefixMatch", replacement)])])
    bootstrap([route], NOWHERE, 0)
    refused([route], message, flavor="kgateway")
    refused([route, gateway(listener("one", 80), class_name="kgateway")], message)


def test_what_else_kgateway_misreads() -> None:
    to_root = redirect(path={"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"})
    refused([http_route([{"matches": [path("/x")], "filters": [to_root]}])], "to //y", flavor="kgateway")
    format_ = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-a", "value": "1%"}]}}
    refused([http_route([to("a", filters=[format_])])], "as a format", flavor="kgateway")


def static(port: int = 8443, host: str = "api.example.org", **more: Any) -> Object:
    return {"static": {"hosts": [{"host": host, "port": port}], **more}}


AWS = {"functionName": "resize", "accountId": "123456789012"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "exactly one of aws, static, gcp"),
        ({**static(), "gcp": {"host": "x"}}, "exactly one of aws, static, gcp"),
        ({**static(), "type": "GCP"}, "gcp must be specified"),
        ({"static": {"hosts": []}}, "should be non-empty"),
        (static(70000), "greater than the maximum"),
        (static(appProtocol="HTTP"), "is not one of"),
        (static(tls={}), "Additional properties"),
        ({"azure": {}}, "Additional properties"),
        ({"aws": {"lambda": {"functionName": "resize"}}}, "accountId must be specified"),
        ({"aws": {"lambda": {**AWS, "accountId": "1"}}}, "does not match"),
        ({"aws": {"lambda": {**AWS, "qualifier": "a b"}}}, "does not match"),
        ({"aws": {"lambda": {**AWS, "invocationMode": "SYNC"}}}, "is not one of"),
        ({"aws": {"lambda": {**AWS, "endpointURL": "https://x"}}}, "without a port"),
        ({"aws": {"lambda": AWS, "auth": {"type": "Secret"}}}, "secretRef must be set"),
        ({"aws": {"lambda": AWS}}, "no back end /lambda.us-east-1.amazonaws.com:443"),
        ({"gcp": {"audience": "https://x"}}, "'host' is a required property"),
        (static(443), "speaks plain HTTP to port 443"),
        (static(8443, "gone"), "no back end /gone:8443"),
    ],
)
def test_backends_that_kgateway_refuses(spec: Object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap([kgateway("Backend", "x", **spec), http_route([{"backendRefs": [backend_ref("x")]}])], NOWHERE, 0)


def test_a_static_backend_at_443_needs_a_policy_for_tls() -> None:
    route = http_route([{"backendRefs": [backend_ref("x")]}])
    encrypted = tls(group=KGATEWAY, kind="Backend", name="x")
    bootstrap([kgateway("Backend", "x", **static(443, "x.a.run.app")), route, encrypted], NOWHERE, 0)


def test_a_backend_in_another_namespace_needs_a_grant() -> None:
    route = http_route([{"backendRefs": [backend_ref("x", namespace="away")]}])
    objects = [kgateway("Backend", "x", "away", **static()), route]
    refused(objects, "no ReferenceGrant in away")
    refused([*objects, grant("away")], "no ReferenceGrant in away")
    bootstrap([*objects, grant("away", "Backend", KGATEWAY)], NOWHERE, 0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"status": 99}, "less than the minimum"),
        ({"status": 200, "body": ""}, "should be non-empty"),
        ({"status": 200, "body": "x" * 4097}, "is too long"),
        ({"status": 200, "body": "x", "bodyFormat": {"text": "x"}}, "at most one of"),
        ({"statusCode": 200}, "status"),
    ],
)
def test_responses_that_kgateway_refuses(spec: Object, message: str) -> None:
    route = http_route([{"filters": [extension("DirectResponse", "x")]}])
    with pytest.raises(ValueError, match=message):
        bootstrap([kgateway("DirectResponse", "x", **spec), route], NOWHERE, 0)


def test_a_response_has_no_other_answer_beside_it_and_is_used() -> None:
    busy = kgateway("DirectResponse", "busy", status=421)
    filters = [extension("DirectResponse", "busy")]
    refused([busy, http_route([to("a", filters=filters)])], "beside a direct_response")
    refused([busy, http_route([{"filters": [redirect(scheme="https"), *filters]}])], "beside a redirect")
    refused([busy, http_route([{"filters": filters * 2}])], "beside a direct_response")
    refused([busy, http_route([to("a")])], "no route answers by the DirectResponses")
    refused([{**busy, "metadata": {"name": "busy", "namespace": "x"}}, http_route([{"filters": filters}])], "shop/busy")


RETRY = {"retryOn": ["5xx"]}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"retry": {"attempts": 2}}, "retryOn or statusCodes must be set"),
        ({"retry": {"retryOn": ["500"]}}, "is not one of"),
        ({"retry": {**RETRY, "perTryTimeout": "0s"}}, "at least 1ms"),
        ({"retry": {**RETRY, "perTryTimeout": "2s"}, "timeouts": {"request": "1s"}}, "must be less than"),
        ({"timeouts": {"request": "0.5s"}}, "does not match"),
        ({"faultInjection": {"abort": {"percentage": 5}}}, "exactly one of httpStatus, grpcStatus"),
        ({"faultInjection": {}}, "at least one of delay, abort"),
        ({"faultInjection": {"delay": {"fixedDelay": "2h"}}}, "must not exceed 1h"),
        ({"hostRewrite": {}}, "Additional properties"),
        ({"autoHostRewrite": True}, "no effect on Services"),
    ],
)
def test_policies_that_kgateway_refuses(spec: Object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap([policy(**spec), http_route([to("a")])], NOWHERE, 0)


def test_policies_that_would_depend_on_time_or_have_no_effect() -> None:
    timed: Object = {"timeouts": {"request": "1s"}}
    route = http_route([to("a", name="one")])
    refused([policy("one", **timed), policy("two", **timed), route], "the older one wins")
    bootstrap([policy("one", "one", **timed), policy("two", **timed), route], NOWHERE, 0)
    refused([policy("one", "gone", **timed), route], "no route has the TrafficPolicies")
    refused([policy(**timed), http_route([to("a", **timed)])], "is said by the route too")
    refused([policy(retry=RETRY), http_route([to("a", timeouts={"backendRequest": "1s"})])], "for all tries together")
    regex: Object = {"urlRewrite": {"pathRegex": {"pattern": "x", "substitution": "y"}}}
    refused([policy(**regex), http_route([to("a", filters=[rewrite("ReplaceFullPath", "/x")])])], "by the route too")
    moved = http_route([{"name": "one", "filters": [redirect(scheme="https")]}])
    refused([policy("x", "one", **timed), moved], "without effect on a redirect", unknown=True)
    far = [kgateway("Backend", "x", **static()), policy(autoHostRewrite=True)]
    named = {"filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": "y"}}], "backendRefs": [backend_ref("x")]}
    refused([*far, http_route([named])], "by the route too")
