"""The translation of Gloo's objects sends real requests where Gloo would."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from envoy import Gateway
from envoy_gloo import running

Object = dict[str, Any]

BACKENDS = [("shop", name, 80) for name in ("a", "b", "c")]


def virtual_service(routes: list[Object], name: str = "shop", **host: Any) -> Object:
    return {
        "apiVersion": "gateway.solo.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "edge"},
        "spec": {"virtualHost": {"domains": ["*"], "routes": routes, **host}},
    }


def route_table(name: str, routes: list[Object], weight: int | None = None, **labels: str) -> Object:
    return {
        "apiVersion": "gateway.solo.io/v1",
        "kind": "RouteTable",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"routes": routes, **({} if weight is None else {"weight": weight})},
    }


def upstream(name: str, service: str) -> Object:
    kube = {"serviceName": service, "serviceNamespace": "shop", "servicePort": 80}
    return {
        "apiVersion": "gloo.solo.io/v1",
        "kind": "Upstream",
        "metadata": {"name": name, "namespace": "edge"},
        "spec": {"kube": kube},
    }


def kube(service: str, port: int = 80) -> Object:
    return {"kube": {"ref": {"name": service, "namespace": "shop"}, "port": port}}


def route(matcher: Object, service: str, **more: Any) -> Object:
    return {"matchers": [matcher], "routeAction": {"single": kube(service)}, **more}


def answers(gateway: Gateway, paths: Iterable[str]) -> dict[str, str | int]:
    """Which back end answers each path, or the status where none does."""
    found: dict[str, str | int] = {}
    for path in paths:
        response = gateway.request("GET", path)
        found[path] = response.status if response.service is None else response.service[len("shop/") : -len(":80")]
    return found


def test_exact_prefix_and_regex_paths() -> None:
    routes = [
        route({"exact": "/i/1"}, "a"),
        route({"prefix": "/i/1"}, "b"),
        route({"regex": "/r/[0-9]+"}, "c"),
        route({"prefix": "/Case", "caseSensitive": False}, "c"),
    ]
    expected = {
        "/i/1": "a",
        "/i/1?x=y": "a",
        "/i/1/x": "b",
        "/i/10": "b",  # a prefix of the string, not of segments
        "/i/2": 404,
        "/r/12": "c",
        "/r/12/x": 404,  # a regex matches all of the path
        "/x/r/12": 404,
        "/cASE": "c",
        "/I/1": 404,
    }
    with running([virtual_service(routes)], BACKENDS) as gateway:
        assert answers(gateway, expected) == expected


def test_headers() -> None:
    def path(name: str, **header: Any) -> Object:
        return route({"prefix": f"/{name}", "headers": [{"name": "x-island", **header}]}, "a")

    routes = [
        path("exact", value="eu"),
        path("present"),
        path("absent", invertMatch=True),
        path("regex", value="e.", regex=True),
        path("not", value="eu", invertMatch=True),
    ]
    # Does a request match with no such header, with an empty one, with "eu", with "eu2"?
    expected = {
        "/exact": (False, False, True, False),
        "/present": (False, True, True, True),
        "/absent": (True, False, False, False),
        "/regex": (False, False, True, False),
        "/not": (
            False,
            True,
            False,
            True,
        ),  # Envoy: a header that is not there matches no inverted value either
    }
    cases: list[dict[str, str]] = [{}, {"x-island": ""}, {"x-island": "eu"}, {"x-island": "eu2"}]
    with running([virtual_service(routes)], BACKENDS) as gateway:
        found = {
            path: tuple(gateway.request("GET", path, headers=headers).status == 200 for headers in cases)
            for path in expected
        }
    assert found == expected


def test_a_header_given_twice_matches_by_either_value() -> None:
    routes = [route({"prefix": "/", "headers": [{"name": "x-island", "value": "eu"}]}, "a")]
    with running([virtual_service(routes)], BACKENDS) as gateway:
        response = gateway.request("GET", "/", headers=[("x-island", "us"), ("x-island", "eu")])
        assert response.service == "shop/a:80"
        assert response.seen and response.seen.headers["x-island"] == "us, eu"
        assert gateway.request("GET", "/", headers={"x-island": "us,eu"}).status == 404


def test_conditions_of_one_matcher_are_and_its_matchers_are_or() -> None:
    both = {"prefix": "/", "headers": [{"name": "x-a", "value": "1"}, {"name": "x-b", "value": "2"}]}
    routes = [{**route(both, "a"), "matchers": [both, {"exact": "/or"}]}]
    with running([virtual_service(routes)], BACKENDS) as gateway:
        assert gateway.request("GET", "/", headers={"x-a": "1", "x-b": "2"}).service == "shop/a:80"
        assert gateway.request("GET", "/", headers={"x-a": "1"}).status == 404
        assert gateway.request("GET", "/or").service == "shop/a:80"


def test_query_parameters() -> None:
    def path(name: str, **query: Any) -> Object:
        return route({"prefix": f"/{name}", "queryParameters": [{"name": "shard", **query}]}, "a")

    expected = {
        "/exact": 404,
        "/exact?shard=1": "a",
        "/exact?x=y&shard=1": "a",
        "/exact?shard=12": 404,
        "/present?shard": "a",
        "/present?shard=": "a",
        "/present?shards=1": 404,
        "/regex?shard=7": "a",
        "/regex?shard=77": 404,
    }
    routes = [path("exact", value="1"), path("present", value=""), path("regex", value="[0-9]", regex=True)]
    with running([virtual_service(routes)], BACKENDS) as gateway:
        assert answers(gateway, expected) == expected


def test_methods() -> None:
    with running([virtual_service([route({"prefix": "/", "methods": ["GET", "POST"]}, "a")])], BACKENDS) as gateway:
        statuses = {m: gateway.request(m, "/").status for m in ("GET", "POST", "PUT", "HEAD", "OPTIONS")}
        posted = gateway.request("POST", "/", body=b"x" * 100)
    assert statuses == {"GET": 200, "POST": 200, "PUT": 404, "HEAD": 404, "OPTIONS": 404}
    assert posted.seen and (posted.seen.method, posted.seen.headers["content-length"]) == ("POST", "100")


def test_the_first_route_that_matches_wins() -> None:
    routes = [
        route({"prefix": "/x"}, "a"),
        route({"exact": "/x/y"}, "b"),
        {"routeAction": {"single": kube("c")}},
    ]
    expected = {"/x/y": "a", "/": "c"}
    with running([virtual_service(routes)], BACKENDS) as gateway:
        assert answers(gateway, expected) == expected


def test_hosts() -> None:
    objects = [
        virtual_service([route({"prefix": "/"}, "a")], "one", domains=["a.example.com"]),
        virtual_service([route({"prefix": "/"}, "b")], "any", domains=["*.example.com"]),
    ]
    objects[0]["spec"]["sslConfig"] = {"secretRef": {"name": "tls", "namespace": "edge"}}
    with running(objects, BACKENDS) as gateway:
        found = [gateway.request("GET", "/", host=f"{name}.example.com").service for name in ("a", "x")]
        assert found == ["shop/a:80", "shop/b:80"]
        assert gateway.request("GET", "/", host="example.org").status == 404


@pytest.mark.parametrize("shared", [False, True], ids=["multi", "upstreamGroup"])
def test_weights(shared: bool) -> None:
    """Of 600 requests 450 are expected at a weight of 3 in 4, with a standard deviation of 10.6."""
    remove = {"requestHeadersToRemove": ["x-only-to-a"]}
    destinations = [
        {"weight": 3, "destination": {"upstream": {"name": "to-a", "namespace": "edge"}}},
        {"weight": 1, "destination": kube("b"), "options": {"headerManipulation": remove}},
        {"destination": kube("c")},  # no weight is 0
    ]
    objects = [upstream("to-a", "a")]
    if shared:
        metadata = {"name": "all", "namespace": "edge"}
        spec = {"destinations": destinations}
        group = {"apiVersion": "gloo.solo.io/v1", "kind": "UpstreamGroup", "metadata": metadata, "spec": spec}
        action: Object = {"upstreamGroup": metadata}
        objects.append(group)
    else:
        action = {"multi": {"destinations": destinations}}
    with running([virtual_service([{"routeAction": action}]), *objects], BACKENDS) as gateway:
        found = Counter(gateway.request("GET", "/", headers={"x-only-to-a": "1"}).service for _ in range(600))
        told = {seen.service for seen in gateway.received if "x-only-to-a" in seen.headers}
    assert (set(found), told) == ({"shop/a:80", "shop/b:80"}, {"shop/a:80"})
    assert 390 < found["shop/a:80"] < 510


def test_redirect_and_direct_response() -> None:
    routes: list[Object] = [
        {
            "matchers": [{"prefix": "/old"}],
            "redirectAction": {
                "hostRedirect": "new.example.com",
                "pathRedirect": "/new",
                "responseCode": "PERMANENT_REDIRECT",
                "httpsRedirect": True,
                "stripQuery": True,
            },
        },
        {"matchers": [{"prefix": "/p"}], "redirectAction": {"prefixRewrite": "/q"}},
        {
            "matchers": [{"prefix": "/r"}],
            "redirectAction": {
                "regexRewrite": {"pattern": {"regex": "/r/(.*)"}, "substitution": "/s/\\1"},
                "portRedirect": 8443,
                "responseCode": "FOUND",
            },
        },
        {"matchers": [{"exact": "/busy"}], "directResponseAction": {"status": 421, "body": "misdirected"}},
        {"matchers": [{"exact": "/empty"}], "directResponseAction": {"status": 204}},
    ]
    with running([virtual_service(routes)], BACKENDS) as gateway:
        old, moved = gateway.request("GET", "/old/x?y=z"), gateway.request("GET", "/p/x?y=z")
        by_regex = gateway.request("GET", "/r/x")
        busy, empty = gateway.request("GET", "/busy"), gateway.request("GET", "/empty")
        assert gateway.received == []
    assert (old.status, old.headers["location"]) == (308, "https://new.example.com/new")
    assert (moved.status, moved.headers["location"]) == (301, "http://example.com/q/x?y=z")
    assert (by_regex.status, by_regex.headers["location"]) == (302, "http://example.com:8443/s/x")
    assert (busy.status, busy.body, busy.service) == (421, "misdirected", None)
    assert (empty.status, empty.body) == (204, "")


@pytest.mark.parametrize(
    ("options", "path", "seen"),
    [
        ({"prefixRewrite": "/"}, "/x/y?a=b", "//y?a=b"),  # Envoy swaps the prefix and looks no further
        ({"prefixRewrite": "/"}, "/xy", "/y"),
        ({"prefixRewrite": "/z"}, "/x/y", "/z/y"),
        (
            {"regexRewrite": {"pattern": {"regex": "^/x/?(.*)$"}, "substitution": "/\\1"}},
            "/x/y?a=b",
            "/y?a=b",
        ),
        ({"regexRewrite": {"pattern": {"regex": "^/x/?(.*)$"}, "substitution": "/\\1"}}, "/x", "/"),
        ({}, "/a/../x/./y", "/x/y"),
        ({}, "/x//y", "/x//y"),
        ({}, "/%78/%2F", "/x/%2F"),
    ],
)
def test_rewritten_and_normalized_paths(options: Object, path: str, seen: str) -> None:
    with running([virtual_service([route({"prefix": "/x"}, "a", options=options)])], BACKENDS) as gateway:
        assert gateway.request("GET", path).path == seen


def test_options_of_a_route() -> None:
    manipulation = {
        "requestHeadersToAdd": [
            {"header": {"key": "x-added", "value": "1"}},
            {"header": {"key": "x-set", "value": "2"}, "append": False},
        ],
        "requestHeadersToRemove": ["x-gone"],
        "responseHeadersToAdd": [{"header": {"key": "x-answer", "value": "3"}}],
    }
    options = {
        "timeout": "7s",
        "hostRewrite": "inside.example.com",
        "appendXForwardedHost": True,
        "headerManipulation": manipulation,
        "cors": {"allowOrigin": ["https://a.example.com"], "allowMethods": ["GET", "PUT"], "maxAge": "60"},
    }
    sent = {"x-added": "0", "x-set": "0", "x-gone": "0", "origin": "https://a.example.com"}
    asked = {"origin": "https://a.example.com", "access-control-request-method": "PUT"}
    with running([virtual_service([route({"prefix": "/"}, "a", options=options)])], BACKENDS) as gateway:
        response = gateway.request("GET", "/", headers=sent)
        preflight = gateway.request("OPTIONS", "/", headers=asked)
        foreign = gateway.request("GET", "/", headers={"origin": "https://b.example.com"})
    assert response.seen
    seen = response.seen.headers
    assert seen["x-envoy-expected-rq-timeout-ms"] == "7000"
    assert (seen["host"], seen["x-forwarded-host"]) == ("inside.example.com", "example.com")
    assert (seen["x-added"], seen["x-set"], seen.get("x-gone")) == ("0, 1", "2", None)
    assert response.headers["x-answer"] == "3"
    assert response.headers["access-control-allow-origin"] == "https://a.example.com"
    assert (preflight.headers["access-control-allow-methods"], preflight.service) == ("GET,PUT", None)
    assert preflight.headers["access-control-max-age"] == "60"
    assert "access-control-allow-origin" not in foreign.headers


def test_faults_and_retries() -> None:
    abort = {"abort": {"percentage": 100, "httpStatus": 503}}
    retries = {"retryOn": "retriable-status-codes", "retriableStatusCodes": [200], "numRetries": 2}
    routes = [
        route({"prefix": "/abort"}, "a", options={"faults": abort}),
        route({"prefix": "/never"}, "a", options={"faults": {"abort": {"httpStatus": 503}}}),
        route(
            {"prefix": "/delay"},
            "a",
            options={"faults": {"delay": {"percentage": 100, "fixedDelay": "0.2s"}}},
        ),
        route({"prefix": "/retry"}, "b", options={"retries": retries}),
    ]
    with running([virtual_service(routes)], BACKENDS) as gateway:
        assert answers(gateway, ["/abort", "/never"]) == {"/abort": 503, "/never": "a"}
        started = time.monotonic()
        assert gateway.request("GET", "/delay").status == 200
        assert time.monotonic() - started > 0.19
        gateway.request("GET", "/retry")
        assert [seen.service for seen in gateway.received].count("shop/b:80") == 3


@pytest.mark.parametrize(("percentage", "mirrored"), [({"percentage": 100}, True), ({}, False)])
def test_shadowing(percentage: Mapping[str, int], mirrored: bool) -> None:
    shadowing = {"upstream": {"name": "to-b", "namespace": "edge"}, **percentage}
    routes = [route({"prefix": "/"}, "a", options={"shadowing": shadowing})]
    with running([virtual_service(routes), upstream("to-b", "b")], BACKENDS) as gateway:
        assert gateway.request("GET", "/m").service == "shop/a:80"
        patience = time.monotonic() + (5 if mirrored else 0.2)
        while len(gateway.received) < 2 and time.monotonic() < patience:
            time.sleep(0.01)
        found = {seen.service: seen.headers["host"] for seen in gateway.received}
    shadow = {"shop/b:80": "example.com-shadow"} if mirrored else {}
    assert found == {"shop/a:80": "example.com", **shadow}


@pytest.mark.parametrize(
    ("address", "backend", "service"),
    [
        ("fn.example.org", ("", "fn.example.org", 443), "/fn.example.org:443"),
        ("web.shop.svc.cluster.local", ("shop", "web", 443), "shop/web:443"),
    ],
)
def test_a_static_host_is_a_back_end(address: str, backend: tuple[str, str, int], service: str) -> None:
    static = {"hosts": [{"addr": address, "port": 443}], "useTls": True}
    outside = {**upstream("outside", "a"), "spec": {"static": static}}
    action = {"single": {"upstream": {"name": "outside", "namespace": "edge"}}}
    routes = [{"options": {"autoHostRewrite": True}, "routeAction": action}]
    with running([virtual_service(routes), outside], [backend]) as gateway:
        response = gateway.request("GET", "/")
    assert response.service == service
    assert response.seen and response.seen.headers["host"] == address


def test_virtual_host_options() -> None:
    added = {"responseHeadersToAdd": [{"header": {"key": "x-host", "value": "1"}}]}
    retries = {"retryOn": "retriable-status-codes", "retriableStatusCodes": [200]}
    options = {"headerManipulation": added, "retries": retries, "cors": {"allowOriginRegex": ["https://.*"]}}
    with running([virtual_service([route({"prefix": "/"}, "a")], options=options)], BACKENDS) as gateway:
        headers = gateway.request("GET", "/", headers={"origin": "https://a"}).headers
        assert (headers["x-host"], headers["access-control-allow-origin"]) == ("1", "https://a")
        assert len(gateway.received) == 2  # one retry where numRetries says nothing
