"""The translation of Gateway API objects sends real requests where an implementation on Envoy would."""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from envoy import Gateway
from envoy_gateway_api import bootstrap, running

Object = dict[str, Any]

BACKENDS = [("shop", name, 80) for name in ("a", "b", "c")]
GROUP = "gateway.networking.k8s.io"
KGATEWAY = "gateway.kgateway.dev"


def http_route(rules: list[Object], name: str = "shop", namespace: str = "shop", **spec: Any) -> Object:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"parentRefs": [{"name": "edge", "namespace": "gw"}], "rules": rules, **spec},
    }


def to(*services: str, **more: Any) -> Object:
    return {"backendRefs": [{"name": service, "port": 80} for service in services], **more}


def rule(match: Object, service: str, **more: Any) -> Object:
    return {"matches": [match], **to(service, **more)}


def path(value: str, kind: str = "PathPrefix", **more: Any) -> Object:
    return {"path": {"type": kind, "value": value}, **more}


def headers(kind: str = "Exact", **values: str) -> list[Object]:
    return [{"name": f"x-{name}", "value": value, "type": kind} for name, value in values.items()]


def rewrite(kind: str, value: str) -> Object:
    member = kind[0].lower() + kind[1:]
    return {"type": "URLRewrite", "urlRewrite": {"path": {"type": kind, member: value}}}


def redirect(**content: Any) -> Object:
    return {"type": "RequestRedirect", "requestRedirect": content}


def gateway(*listeners: Object, namespace: str = "gw", class_name: str = "any") -> Object:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": namespace},
        "spec": {"gatewayClassName": class_name, "listeners": list(listeners)},
    }


def listener(name: str, port: int, protocol: str = "HTTP", taken: str = "All", **more: Any) -> Object:
    tls = {"tls": {"mode": "Terminate", "certificateRefs": [{"name": "cert"}]}} if protocol == "HTTPS" else {}
    allowed = {"namespaces": {"from": taken}}
    return {"name": name, "port": port, "protocol": protocol, "allowedRoutes": allowed, **tls, **more}


def grant(
    namespace: str,
    kind: str = "Service",
    group: str = "",
    version: str = "v1beta1",
    source: str = "shop",
    **named: str,
) -> Object:
    return {
        "apiVersion": f"{GROUP}/{version}",
        "kind": "ReferenceGrant",
        "metadata": {"name": "routes", "namespace": namespace},
        "spec": {
            "from": [{"group": GROUP, "kind": "HTTPRoute", "namespace": source}],
            "to": [{"group": group, "kind": kind, **named}],
        },
    }


def kgateway(kind: str, name: str, namespace: str = "shop", **spec: Any) -> Object:
    return {
        "apiVersion": f"{KGATEWAY}/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def extension(kind: str, name: str) -> Object:
    return {"type": "ExtensionRef", "extensionRef": {"group": KGATEWAY, "kind": kind, "name": name}}


def policy(name: str = "more", of_rule: str = "", **spec: Any) -> Object:
    target = {"group": GROUP, "kind": "HTTPRoute", "name": "shop", **({"sectionName": of_rule} if of_rule else {})}
    return kgateway("TrafficPolicy", name, targetRefs=[target], **spec)


def backend_ref(name: str, **more: Any) -> Object:
    return {"group": KGATEWAY, "kind": "Backend", "name": name, **more}


def answers(gateway: Gateway, paths: Iterable[str], **request: Any) -> dict[str, str | int]:
    """Which back end answers each path, or the status where none does."""
    found: dict[str, str | int] = {}
    for url_path in paths:
        response = gateway.request("GET", url_path, **request)
        found[url_path] = response.status if response.service is None else response.service.split("/")[1][: -len(":80")]
    return found


def test_exact_prefix_and_regex_paths() -> None:
    rules = [
        rule(path("/i/1"), "a"),
        rule(path("/slash/"), "b"),
        rule(path("/exact", "Exact"), "b"),
        rule(path("/r/[0-9]+", "RegularExpression"), "c"),
    ]
    expected = {
        "/i/1": "a",
        "/i/1?x=y": "a",
        "/i/1/": "a",
        "/i/1/x": "a",
        "/i/10": 404,  # a prefix of segments, not of the string
        "/I/1": 404,
        "/slash": "b",  # a slash at the end of a prefix counts for nothing
        "/slash/x": "b",
        "/exact": "b",
        "/exact/": 404,
        "/r/12": "c",
        "/r/12/x": 404,  # a regex matches all of the path
        "/x/r/12": 404,
        "/": 404,
        "//i///1//x": "a",  # slashes are merged
        "/x/../i/1": "a",
    }
    with running([http_route(rules)], BACKENDS) as envoy:
        assert answers(envoy, expected) == expected


def test_a_rule_without_matches_takes_every_path() -> None:
    for rules in ([to("a")], [to("a", matches=[{"method": "GET"}])]):
        with running([http_route(rules)], BACKENDS) as envoy:
            assert answers(envoy, ["/", "/x/y"]) == {"/": "a", "/x/y": "a"}


def test_conditions_of_one_match_are_and_and_matches_are_or() -> None:
    query = [{"name": "v", "value": "1"}, {"name": "w", "value": "[0-9]", "type": "RegularExpression"}]
    every = path("/", method="PUT", headers=headers(a="1", b="2"), queryParams=query)
    with running([http_route([to("a", matches=[every, path("/or", "Exact")])])], BACKENDS) as envoy:

        def status(url_path: str = "/?v=1&w=7", method: str = "PUT", **names: str) -> int:
            sent = {f"x-{name}": value for name, value in {"a": "1", "b": "2", **names}.items()}
            return envoy.request(method, url_path, headers=sent).status

        assert (status(), status("/or", "GET", a="0")) == (200, 200)
        assert {status(a="2"), status(method="GET"), status("/?v=1"), status("/?v=12&w=7"), status("/?v=1&w=77")} == {
            404
        }


def test_a_header_regex_matches_all_of_the_value() -> None:
    match = path("/", headers=headers("RegularExpression", island="e."))
    with running([http_route([rule(match, "a")])], BACKENDS) as envoy:
        found = {value: envoy.request("GET", "/", headers={"X-Island": value}).status for value in ("eu", "eu2", "")}
        assert found == {"eu": 200, "eu2": 404, "": 404}
        assert envoy.request("GET", "/").status == 404


# Precedence: of a request that meets both, the first of each pair answers, wherever it stands.


@pytest.mark.parametrize(
    ("winner", "loser", "request_"),
    [
        (path("/x/y", "Exact"), path("/x/y", headers=headers(a="1")), ("GET", "/x/y")),
        (path("/x/y", "Exact"), path("/x/.*", "RegularExpression", method="GET"), ("GET", "/x/y")),
        (path("/x/.", "RegularExpression"), path("/x/y", method="GET", headers=headers(a="1")), ("GET", "/x/y")),
        (path("/x/y"), path("/x", method="GET", headers=headers(a="1")), ("GET", "/x/y/z")),
        (path("/x"), path("/", method="GET", headers=headers(a="1")), ("GET", "/x/y/z")),
        (path("/x", method="GET"), path("/x", headers=headers(a="1", b="2")), ("GET", "/x")),
        (
            path("/x", headers=headers(a="1", b="2")),
            path("/x", headers=headers(a="1"), queryParams=[{"name": "v", "value": "1"}, {"name": "w", "value": "1"}]),
            ("GET", "/x?v=1&w=1"),
        ),
        (path("/x", queryParams=[{"name": "v", "value": "1"}]), path("/x"), ("GET", "/x?v=1&w=1")),
    ],
)
@pytest.mark.parametrize("apart", [False, True], ids=["one route", "two routes"])
def test_the_more_specific_match_wins(winner: Object, loser: Object, request_: tuple[str, str], apart: bool) -> None:
    rules = [rule(loser, "b"), rule(winner, "a")]
    routes = [http_route([one], f"n{at}") for at, one in enumerate(rules)] if apart else [http_route(rules)]
    with running(routes, BACKENDS) as envoy:
        assert envoy.request(*request_, headers={"x-a": "1", "x-b": "2"}).service == "shop/a:80"


def test_within_one_route_the_first_of_equals_wins() -> None:
    rules = [rule(path("/", headers=headers(a="1")), "a"), rule(path("/", headers=headers(b="2")), "b")]
    for written, first in ((rules, "shop/a:80"), (rules[::-1], "shop/b:80")):
        with running([http_route(written)], BACKENDS) as envoy:
            assert envoy.request("GET", "/", headers={"x-a": "1", "x-b": "2"}).service == first


def test_routes_of_one_host_are_one_list_and_hosts_are_apart() -> None:
    routes = [
        http_route([rule(path("/one"), "a")], "one", hostnames=["a.example.com", "b.example.com"]),
        http_route([rule(path("/two"), "b")], "two", hostnames=["a.example.com"]),
        http_route([rule(path("/"), "c")], "any", hostnames=["*.example.com"]),
    ]
    expected = {
        ("a.example.com", "/one"): "a",
        ("a.example.com:8080", "/two"): "b",  # the port of a Host header counts for nothing
        ("b.example.com", "/two"): 404,  # a host with routes of its own never gets those of the wildcard
        ("x.y.example.com", "/two"): "c",
        ("example.com", "/two"): 404,
    }
    with running(routes, BACKENDS) as envoy:
        found = {(host, of): answers(envoy, [of], host=host)[of] for host, of in expected}
    assert found == expected


def test_listeners_leave_the_hosts_that_are_theirs() -> None:
    edge = gateway(listener("one", 80, hostname="a.example.com"), listener("any", 81, hostname="*.example.org"))
    routes = [
        http_route([to("a")], "one", hostnames=["*.example.com", "x.example.org"]),
        http_route([to("b")], "tls", parentRefs=[{"name": "edge", "namespace": "gw", "sectionName": "any"}]),
    ]
    expected = {"a.example.com": "a", "b.example.com": 404, "x.example.org": "a", "y.example.org": "b"}
    with running([edge, *routes], BACKENDS) as envoy:
        assert {host: answers(envoy, ["/"], host=host)["/"] for host in expected} == expected


# Filters


@pytest.mark.parametrize(
    ("prefix", "replacement", "of", "seen"),
    [
        # The table of HTTPPathModifier.
        ("/foo", "/xyz", "/foo/bar", "/xyz/bar"),
        ("/foo", "/xyz/", "/foo/bar", "/xyz/bar"),
        ("/foo/", "/xyz", "/foo/bar", "/xyz/bar"),
        ("/foo/", "/xyz/", "/foo/bar", "/xyz/bar"),
        ("/foo", "/xyz", "/foo", "/xyz"),
        ("/foo", "/xyz", "/foo/", "/xyz/"),
        ("/foo", "", "/foo/bar", "/bar"),
        ("/foo", "", "/foo/", "/"),
        ("/foo", "", "/foo", "/"),
        ("/foo", "/", "/foo/", "/"),
        ("/foo", "/", "/foo", "/"),
        # More of it.
        ("/foo", "/", "/foo/bar?x=/foo", "/bar?x=/foo"),
        ("/", "/xyz", "/bar", "/xyz/bar"),
        ("/", "/xyz", "/", "/xyz/"),
        ("/", "/", "/bar", "/bar"),
        ("/v1.0", "/x", "/v1.0/y", "/x/y"),
    ],
)
def test_a_prefix_is_replaced_exactly(prefix: str, replacement: str, of: str, seen: str) -> None:
    replaced = rewrite("ReplacePrefixMatch", replacement)
    moved = redirect(path=replaced["urlRewrite"]["path"])
    rules = [
        rule(path(prefix), "a", filters=[replaced]),
        {"matches": [path(prefix, headers=headers(moved="1"))], "filters": [moved]},
    ]
    with running([http_route(rules)], BACKENDS) as envoy:
        assert envoy.request("GET", of).path == seen
        answer = envoy.request("GET", of, headers={"x-moved": "1"})
    assert (answer.status, answer.headers["location"]) == (302, f"http://example.com{seen}")


def test_full_paths_and_hosts_are_rewritten() -> None:
    full = rewrite("ReplaceFullPath", "/all")
    full["urlRewrite"]["hostname"] = "inside.example.com"
    with running([http_route([rule(path("/x"), "a", filters=[full])])], BACKENDS) as envoy:
        response = envoy.request("GET", "/x/y?a=b")
    assert (response.path, response.seen and response.seen.headers["host"]) == ("/all?a=b", "inside.example.com")


@pytest.mark.parametrize(
    ("content", "listening", "status", "location"),
    [
        ({"scheme": "https"}, (), 302, "https://example.com/x?a=b"),
        ({"scheme": "https", "statusCode": 301, "port": 8443}, (), 301, "https://example.com:8443/x?a=b"),
        ({"hostname": "new.example.com", "statusCode": 308}, (), 308, "http://new.example.com/x?a=b"),
        ({"path": {"type": "ReplaceFullPath", "replaceFullPath": "/y"}}, (), 302, "http://example.com/y?a=b"),
        # The port that is not said is the listener's, unless it is the default of the scheme.
        ({"hostname": "n"}, ("HTTP", 8080), 302, "http://n:8080/x?a=b"),
        ({"hostname": "n"}, ("HTTP", 80), 302, "http://n/x?a=b"),
        ({"hostname": "n"}, ("HTTPS", 443), 302, "https://n/x?a=b"),
        ({"hostname": "n", "scheme": "https"}, ("HTTP", 8080), 302, "https://n/x?a=b"),
        ({"hostname": "n", "port": 80}, ("HTTP", 8080), 302, "http://n/x?a=b"),
    ],
)
def test_redirects(content: Object, listening: tuple[Any, ...], status: int, location: str) -> None:
    edge = [gateway(listener("one", listening[1], listening[0]))] if listening else []
    with running([*edge, http_route([{"filters": [redirect(**content)]}])], BACKENDS) as envoy:
        answer = envoy.request("GET", "/x?a=b")
        assert envoy.received == []
    assert (answer.status, answer.headers["location"]) == (status, location)


def test_headers_are_changed() -> None:
    request = {
        "set": [{"name": "x-set", "value": "100%"}],
        "add": [{"name": "x-add", "value": "2"}],
        "remove": ["X-Gone"],
    }
    response = {"set": [{"name": "x-answer", "value": "3"}], "remove": ["content-type"]}
    filters = [
        {"type": "RequestHeaderModifier", "requestHeaderModifier": request},
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": response},
    ]
    with running([http_route([to("a", filters=filters)])], BACKENDS) as envoy:
        answer = envoy.request("GET", "/", headers={"x-set": "0", "x-add": "1", "x-gone": "1"})
    assert answer.seen
    seen = answer.seen.headers
    assert (seen["x-set"], seen["x-add"], seen.get("x-gone")) == ("100%", "1, 2", None)
    assert (answer.headers["x-answer"], "content-type" in answer.headers) == ("3", False)


@pytest.mark.parametrize(
    ("share", "mirrored"),
    [({}, True), ({"percent": 100}, True), ({"percent": 0}, False), ({"fraction": {"numerator": 0}}, False)],
)
def test_mirrors(share: Object, mirrored: bool) -> None:
    mirrors = [
        {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": name, "port": 80}, **share}}
        for name in ("b", "c")
    ]
    with running([http_route([to("a", filters=mirrors)])], BACKENDS) as envoy:
        assert envoy.request("GET", "/m").service == "shop/a:80"
        patience = time.monotonic() + (5 if mirrored else 0.2)
        while len(envoy.received) < 3 and time.monotonic() < patience:
            time.sleep(0.01)
        found = {seen.service for seen in envoy.received}
    assert found == {f"shop/{name}:80" for name in ("abc" if mirrored else "a")}


def test_cors() -> None:
    allowed = ["https://a.example.com", "https://*.example.org"]
    content = {
        "allowOrigins": allowed,
        "allowMethods": ["GET", "PUT"],
        "allowHeaders": ["x-a"],
        "allowCredentials": True,
    }
    with running([http_route([to("a", filters=[{"type": "CORS", "cors": content}])])], BACKENDS) as envoy:

        def preflight(origin: str) -> dict[str, str]:
            asked = {"origin": origin, "access-control-request-method": "PUT"}
            return envoy.request("OPTIONS", "/", headers=asked).headers

        found = preflight("https://a.example.com")
        assert preflight("https://x.example.org")["access-control-allow-origin"] == "https://x.example.org"
        assert "access-control-allow-origin" not in preflight("https://b.example.com")
    names = ("allow-methods", "allow-headers", "allow-credentials", "max-age")
    assert [found[f"access-control-{name}"] for name in names] == ["GET,PUT", "x-a", "true", "5"]


@pytest.mark.parametrize(
    ("timeouts", "told"),
    [
        ({}, "15000"),
        ({"request": "1m30s"}, "90000"),
        ({"backendRequest": "500ms"}, "500"),
        ({"request": "5s", "backendRequest": "2s"}, "2000"),
        ({"request": "0s"}, None),
    ],
)
def test_timeouts(timeouts: Object, told: str | None) -> None:
    with running([http_route([to("a", timeouts=timeouts)])], BACKENDS) as envoy:
        seen = envoy.request("GET", "/").seen
    assert seen and seen.headers.get("x-envoy-expected-rq-timeout-ms") == told


# Back ends


def test_weights() -> None:
    """Of 600 requests 450 are expected at a weight of 3 in 4, with a standard deviation of 10.6."""
    refs = [
        {"name": name, "port": 80, **weight}
        for name, weight in {"a": {"weight": 3}, "b": {}, "c": {"weight": 0}}.items()
    ]
    with running([http_route([{"backendRefs": refs}])], BACKENDS) as envoy:
        found = Counter(envoy.request("GET", "/").service for _ in range(600))
    assert set(found) == {"shop/a:80", "shop/b:80"}
    assert 390 < found["shop/a:80"] < 510


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
@pytest.mark.parametrize("named", [{}, {"name": "far"}])
def test_a_grant_lets_a_route_into_another_namespace(version: str, named: dict[str, str]) -> None:
    ref = {"name": "far", "namespace": "away", "port": 80}
    objects = [http_route([{"backendRefs": [ref]}]), grant("away", version=version, **named)]
    with running(objects, [("away", "far", 80)]) as envoy:
        assert envoy.request("GET", "/").service == "away/far:80"


def test_a_service_that_is_to_be_encrypted_is_a_back_end_like_any() -> None:
    tls = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "BackendTLSPolicy",
        "metadata": {"name": "tls", "namespace": "shop"},
        "spec": {
            "targetRefs": [{"group": "", "kind": "Service", "name": "a"}],
            "validation": {"hostname": "a.example.com", "wellKnownCACertificates": "System"},
        },
    }
    with running([http_route([to("a")]), tls], BACKENDS) as envoy:
        assert envoy.request("GET", "/").service == "shop/a:80"


# kgateway


@pytest.mark.parametrize(
    ("host", "backend", "service"),
    [
        ("fn.example.org", ("", "fn.example.org", 8443), "/fn.example.org:8443"),
        ("web.shop.svc.cluster.local", ("shop", "web", 8443), "shop/web:8443"),
    ],
)
def test_a_static_host_is_a_back_end(host: str, backend: tuple[str, str, int], service: str) -> None:
    outside = kgateway("Backend", "outside", static={"hosts": [{"host": host, "port": 8443}]})
    route = http_route([{"backendRefs": [backend_ref("outside")]}])
    for policies, seen in (([], "example.com"), ([policy(autoHostRewrite=True)], host)):
        with running([route, outside, *policies], [backend]) as envoy:
            response = envoy.request("GET", "/")
        assert response.service == service
        assert response.seen and response.seen.headers["host"] == seen


def test_a_gcp_backend_gets_its_host_by_itself() -> None:
    function = kgateway("Backend", "run", gcp={"host": "x.a.run.app", "audience": "https://x.a.run.app"})
    refs = [backend_ref("run"), {"name": "a", "port": 80}]
    rules = [{"matches": [path("/mixed")], "backendRefs": refs}, {"backendRefs": [backend_ref("run")]}]
    rewritten = http_route(
        [{**rules[1], "filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": "own"}}]}], "two"
    )
    rewritten["spec"]["hostnames"] = ["own.example.com"]
    with running([http_route(rules), rewritten, function], [*BACKENDS, ("", "x.a.run.app", 443)]) as envoy:
        mixed = [envoy.request("GET", "/mixed").seen for _ in range(40)]
        own = envoy.request("GET", "/", host="own.example.com").seen
    hosts = {(seen.service, seen.headers["host"]) for seen in mixed if seen}
    assert hosts == {("/x.a.run.app:443", "x.a.run.app"), ("shop/a:80", "example.com")}
    assert own and own.headers["host"] == "own"


@pytest.mark.parametrize(
    ("modes", "told"),
    [
        ({}, ("application/json", "RequestResponse")),  # Envoy wraps the request into JSON
        ({"payloadTransformMode": "None", "invocationMode": "Async"}, (None, "Event")),
    ],
)
def test_a_lambda_is_invoked_beside_a_service(modes: Object, told: tuple[str | None, str]) -> None:
    function = {"functionName": "resize", "qualifier": "prod", "accountId": "123456789012", **modes}
    aws = kgateway("Backend", "resize", aws={"region": "eu-west-1", "lambda": function})
    refs = [backend_ref("resize"), {"name": "a", "port": 80}]
    host = "lambda.eu-west-1.amazonaws.com"
    with running([http_route([{"backendRefs": refs}]), aws], [*BACKENDS, ("", host, 443)]) as envoy:
        for _ in range(40):
            envoy.request("POST", "/x?y=z", body=b"{}")
        found = {(seen.service, seen.method, seen.path, seen.headers["host"]) for seen in envoy.received}
        names = ("content-type", "x-amz-invocation-type")
        invoked = {tuple(map(seen.headers.get, names)) for seen in envoy.received if seen.headers["host"] == host}
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:resize:prod"
    assert found == {
        (f"/{host}:443", "POST", f"/2015-03-31/functions/{arn}/invocations", host),
        ("shop/a:80", "POST", "/x?y=z", "example.com"),
    }
    assert invoked == {told}


def test_direct_responses() -> None:
    objects = [
        kgateway("DirectResponse", "busy", status=421, body="misdirected"),
        kgateway("DirectResponse", "empty", status=204),
        kgateway("DirectResponse", "told", status=200, bodyFormat={"text": "%REQ(x-a)%"}),
    ]
    rules = [
        {"matches": [path(f"/{name}")], "filters": [extension("DirectResponse", name)]} for name in ("busy", "told")
    ]
    rules.append({"filters": [extension("DirectResponse", "empty")]})
    with running([http_route(rules), *objects], BACKENDS) as envoy:
        found = [envoy.request("GET", f"/{name}", headers={"x-a": "1"}) for name in ("busy", "told", "x")]
        assert envoy.received == []
    assert [(answer.status, answer.body) for answer in found] == [(421, "misdirected"), (200, "1"), (204, "")]


def test_traffic_policies() -> None:
    retry = {"statusCodes": [404], "attempts": 2, "perTryTimeout": "3s", "backoffBaseInterval": "1ms"}
    modifiers = {"request": {"set": [{"name": "x-policy", "value": "1"}]}}
    regex = {"pathRegex": {"pattern": "^/x/?(.*)$", "substitution": "/\\1"}}
    objects = [
        policy("all", timeouts={"request": "7s", "streamIdle": "1m"}, headerModifiers=modifiers, urlRewrite=regex),
        policy("one", "one", timeouts={"request": "9s"}),
        kgateway("TrafficPolicy", "tried", retry=retry),
    ]
    add = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-rule", "value": "1"}]}}
    rules = [
        rule(path("/x/one"), "a", name="one", filters=[add]),
        rule(path("/x/tried"), "a", filters=[extension("TrafficPolicy", "tried")]),
        rule(path("/x"), "b"),
        {"matches": [path("/moved")], "filters": [redirect(scheme="https")]},
    ]
    with running([http_route(rules), *objects], BACKENDS) as envoy:
        one, tried, rest = (envoy.request("GET", f"/x/{name}").seen for name in ("one/y", "tried", "z"))
        assert envoy.request("GET", "/moved").status == 302
    assert one and tried and rest
    told = [(seen.path, seen.headers["x-envoy-expected-rq-timeout-ms"]) for seen in (one, tried, rest)]
    assert told == [("/one/y", "9000"), ("/tried", "3000"), ("/z", "7000")]  # of one try, if it has a time
    names = ("x-policy", "x-rule")
    assert [[seen.headers.get(name) for name in names] for seen in (one, rest)] == [["1", "1"], ["1", None]]


def test_retries_of_a_policy() -> None:
    """By what Envoy is told: the back ends of tests never fail."""
    retry = {"retryOn": ["5xx", "reset"], "statusCodes": [429], "attempts": 0}
    nowhere = dict.fromkeys(BACKENDS, ("127.0.0.1", 9))
    found = bootstrap([http_route([to("a")]), policy(retry=retry)], nowhere, 0)
    chain = found["static_resources"]["listeners"][0]["filter_chains"][0]
    host = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]
    assert host["routes"][0]["route"]["retry_policy"] == {
        "retry_on": "5xx,reset,retriable-status-codes",
        "num_retries": 0,
        "retriable_status_codes": [429],
        "retry_back_off": {"base_interval": "0.025s"},
    }


def test_faults_of_a_policy() -> None:
    rules = [
        rule(path("/aborted"), "a", name="aborted"),
        rule(path("/never"), "a", name="never"),
        rule(path("/delayed"), "b", name="delayed"),
    ]
    objects = [
        policy("aborted", "aborted", faultInjection={"abort": {"httpStatus": 503}}),
        policy("never", "never", faultInjection={"abort": {"httpStatus": 503, "percentage": 0}}),
        policy("delayed", "delayed", faultInjection={"delay": {"fixedDelay": "200ms"}}),
    ]
    with running([http_route(rules), *objects], BACKENDS) as envoy:
        assert answers(envoy, ["/aborted", "/never"]) == {"/aborted": 503, "/never": "a"}
        started = time.monotonic()
        assert answers(envoy, ["/delayed"]) == {"/delayed": "b"}
        assert time.monotonic() - started > 0.19


def test_kgateway_replaces_the_slash_before_every_path() -> None:
    """By Envoy's prefix_rewrite: the slash that follows the new prefix is a part of it."""
    moved = rule(path("/"), "a", filters=[rewrite("ReplacePrefixMatch", "/api/")])
    with running([http_route([moved])], BACKENDS, "kgateway") as envoy:
        assert [envoy.request("GET", one).path for one in ("/", "/x", "/x/y")] == ["/api/", "/api/x", "/api/x/y"]


def test_filters_of_a_back_end_of_kgateway() -> None:
    filters = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-to", "value": "a"}]}}]
    refs = [{"name": "a", "port": 80, "filters": filters}, {"name": "b", "port": 80}]
    with running([http_route([{"backendRefs": refs}])], BACKENDS, "kgateway") as envoy:
        for _ in range(40):
            envoy.request("GET", "/")
        assert {(seen.service, seen.headers.get("x-to")) for seen in envoy.received} == {
            ("shop/a:80", "a"),
            ("shop/b:80", None),
        }
