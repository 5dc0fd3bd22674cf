"""The translation of Istio's objects sends real requests where Istio's gateway would."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import envoy_istio
import pytest
from envoy import Gateway, Object, Response, Service

BACKENDS: list[Service] = [("shop", name, 80) for name in ("a", "b", "c")]
PUBLIC = "edge/public"  # a Gateway outside of the objects


def istio(kind: str, name: str, namespace: str = "edge", **spec: Any) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def virtual_service(http: list[Object], name: str = "shop", **spec: Any) -> Object:
    return istio("VirtualService", name, **{"hosts": ["*"], "gateways": [PUBLIC], "http": http, **spec})


def to(service: str, port: int = 80, **more: Any) -> Object:
    return {"destination": {"host": f"{service}.shop.svc.cluster.local", "port": {"number": port}, **more}}


def rule(match: Object, service: str, **more: Any) -> Object:
    return {"match": [match], "route": [to(service)], **more}


def running(objects: Iterable[Object], backends: Iterable[Service] = BACKENDS) -> AbstractContextManager[Gateway]:
    return envoy_istio.running(objects, backends, gateways=[PUBLIC])


def answers(gateway: Gateway, paths: Iterable[str]) -> dict[str, str | int]:
    """Which back end answers each path, or the status where none does."""
    found: dict[str, str | int] = {}
    for path in paths:
        response = gateway.request("GET", path)
        found[path] = response.status if response.service is None else response.service[len("shop/") : -len(":80")]
    return found


def test_exact_prefix_and_regex_paths() -> None:
    rules = [
        rule({"uri": {"exact": "/i/1"}}, "a"),
        rule({"uri": {"prefix": "/i/1"}}, "b"),
        rule({"uri": {"regex": "/r/[0-9]+"}}, "c"),
        rule({"uri": {"prefix": "/Case"}, "ignoreUriCase": True}, "c"),
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
    with running([virtual_service(rules)]) as gateway:
        assert answers(gateway, expected) == expected


@pytest.mark.parametrize(
    ("which", "value", "expected"),
    [  # Does a request match with no such header, with an empty one, with "eu", with "eu2"?
        ("headers", {"exact": "eu"}, (False, False, True, False)),
        ("headers", {"exact": ""}, (False, True, False, False)),
        ("headers", {"prefix": "eu"}, (False, False, True, True)),
        ("headers", {"regex": "e."}, (False, False, True, False)),
        ("headers", {}, (False, True, True, True)),
        ("withoutHeaders", {"exact": "eu"}, (True, True, False, True)),
        ("withoutHeaders", {"regex": "e."}, (True, True, False, True)),
        ("withoutHeaders", {}, (True, False, False, False)),
    ],
)
def test_headers(which: str, value: Object, expected: tuple[bool, ...]) -> None:
    cases: list[dict[str, str]] = [{}, {"x-island": ""}, {"x-island": "eu"}, {"X-Island": "eu2"}]
    with running([virtual_service([rule({which: {"x-island": value}}, "a")])]) as gateway:
        assert tuple(gateway.request("GET", "/", headers=headers).status == 200 for headers in cases) == expected


def test_conditions_of_one_match_are_and_and_matches_are_or() -> None:
    both = {"headers": {"x-a": {"exact": "1"}, "x-b": {"exact": "2"}}}
    rules = [{**rule(both, "a"), "match": [both, {"uri": {"exact": "/or"}}]}]
    with running([virtual_service(rules)]) as gateway:
        assert gateway.request("GET", "/", headers={"x-a": "1", "x-b": "2"}).service == "shop/a:80"
        assert gateway.request("GET", "/", headers={"x-a": "1"}).status == 404
        assert gateway.request("GET", "/or").service == "shop/a:80"


def test_query_parameters() -> None:
    kinds: dict[str, Object] = {"exact": {"exact": "1"}, "present": {}, "regex": {"regex": "[0-9]"}}
    rules = [
        rule({"uri": {"prefix": f"/{name}"}, "queryParams": {"shard": value}}, "a") for name, value in kinds.items()
    ]
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
    with running([virtual_service(rules)]) as gateway:
        assert answers(gateway, expected) == expected


def test_methods_and_authorities() -> None:
    rules = [rule({"method": {"regex": "GET|POST"}}, "a"), rule({"authority": {"prefix": "b."}}, "b")]
    with running([virtual_service(rules)]) as gateway:
        found = {method: gateway.request(method, "/").status for method in ("GET", "POST", "PUT", "HEAD")}
        assert gateway.request("PUT", "/", host="b.example.com").service == "shop/b:80"
    assert found == {"GET": 200, "POST": 200, "PUT": 404, "HEAD": 404}


def test_the_first_rule_that_matches_wins() -> None:
    rules = [rule({"uri": {"prefix": "/x"}}, "a"), rule({"uri": {"exact": "/x/y"}}, "b"), {"route": [to("c")]}]
    expected = {"/x/y": "a", "/": "c"}
    with running([virtual_service(rules)]) as gateway:
        assert answers(gateway, expected) == expected


# Gateways and hosts


def gateway_object(*servers: Object, name: str = "own") -> Object:
    return istio("Gateway", name, selector={"istio": "ingressgateway"}, servers=list(servers))


def server(number: int = 80, *hosts: str, protocol: str = "HTTP", **more: Any) -> Object:
    port = {"number": number, "name": f"p-{number}", "protocol": protocol}
    return {"port": port, "hosts": list(hosts or ["*"]), **more}


HTTPS: dict[str, Any] = {"protocol": "HTTPS", "tls": {"mode": "SIMPLE", "credentialName": "shop-tls"}}
BY_TLS = {"x-forwarded-proto": "https"}


def test_hosts() -> None:
    objects = [
        virtual_service([rule({}, "a")], "one", hosts=["a.example.com"]),
        virtual_service([rule({}, "b")], "any", hosts=["*.example.com"]),
    ]
    expected = {
        "a.example.com": "shop/a:80",
        "a.example.com:8443": "shop/a:80",
        "x.example.com": "shop/b:80",
        "x.example.com:443": "shop/b:80",
        "example.com": None,
    }
    with running(objects) as gateway:
        assert {host: gateway.request("GET", "/", host=host).service for host in expected} == expected


@pytest.mark.parametrize(
    ("of_server", "served"),
    [
        ("*", ["x.example.com", "y.example.com"]),
        ("edge/*.example.com", ["x.example.com", "y.example.com"]),
        ("./x.example.com", ["x.example.com"]),
    ],
)
def test_the_hosts_of_a_server_bound_those_of_a_virtual_service(of_server: str, served: list[str]) -> None:
    shop = virtual_service([rule({}, "a")], hosts=["*.example.com"], gateways=["own"])
    with running([gateway_object(server(80, of_server)), shop]) as gateway:
        hosts = ["x.example.com", "y.example.com", "example.org"]
        assert [host for host in hosts if gateway.request("GET", "/", host=host).status == 200] == served


def test_https_redirect() -> None:
    servers = [server(80, tls={"httpsRedirect": True}), server(443, **HTTPS)]
    shop = virtual_service([rule({}, "a")], hosts=["example.com"], gateways=["edge/own"])
    with running([gateway_object(*servers), shop]) as gateway:
        plain, secure = gateway.request("GET", "/x?y=z"), gateway.request("GET", "/x", headers=BY_TLS)
        others = [gateway.request("GET", "/", host="example.org", headers=headers) for headers in ({}, BY_TLS)]
    assert (plain.status, plain.headers["location"], plain.service) == (301, "https://example.com/x?y=z", None)
    assert secure.service == "shop/a:80"
    assert [other.status for other in others] == [301, 404]  # a server redirects whatever host it takes


def test_a_match_on_a_port_is_one_on_its_server() -> None:
    rules = [rule({"port": 80}, "a"), rule({"port": 443}, "b")]
    objects = [gateway_object(server(80), server(443, **HTTPS)), virtual_service(rules, gateways=["own"])]
    with running(objects) as gateway:
        found = [gateway.request("GET", "/", headers=headers).service for headers in ({}, BY_TLS)]
    assert found == ["shop/a:80", "shop/b:80"]


# Destinations


@pytest.mark.parametrize(
    ("destination", "service"),
    [
        ({"host": "a.shop.svc.cluster.local", "port": {"number": 81}}, "shop/a:81"),
        ({"host": "b.shop.svc.cluster.local"}, "shop/b:80"),  # its only port
        ({"host": "near"}, "edge/near:80"),
    ],
)
def test_a_destination_is_a_service(destination: Object, service: str) -> None:
    backends = [*BACKENDS, ("shop", "a", 81), ("edge", "near", 80)]
    with running([virtual_service([{"route": [{"destination": destination}]}])], backends) as gateway:
        assert gateway.request("GET", "/").service == service


def test_a_subset_is_the_pods_of_its_labels() -> None:
    subsets = [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")]
    objects = [
        virtual_service([rule({"uri": {"prefix": "/1"}}, "a"), {"route": [to("a", subset="v2")]}]),
        istio("DestinationRule", "a", "shop", host="a", subsets=subsets),
    ]
    with running(objects, [*BACKENDS, ("shop", "a[version=v2]", 80)]) as gateway:
        found = [gateway.request("GET", path).service for path in ("/1", "/2")]
    assert found == ["shop/a:80", "shop/a[version=v2]:80"]


def test_weights() -> None:
    """Of 600 requests 450 are expected at a weight of 3 in 4, with a standard deviation of 10.6."""
    of_b = {"request": {"remove": ["x-only-to-a"], "set": {"Host": "b.example.net"}}}
    split = [{**to("a"), "weight": 3}, {**to("b"), "weight": 1, "headers": of_b}, {**to("c"), "weight": 0}]
    with running([virtual_service([{"route": split}])]) as gateway:
        found = Counter(gateway.request("GET", "/", headers={"x-only-to-a": "1"}).service for _ in range(600))
        told = {seen.service for seen in gateway.received if "x-only-to-a" in seen.headers}
        hosts = {(seen.service, seen.headers["host"]) for seen in gateway.received}
    assert (set(found), told) == ({"shop/a:80", "shop/b:80"}, {"shop/a:80"})
    assert hosts == {("shop/a:80", "example.com"), ("shop/b:80", "b.example.net")}
    assert 390 < found["shop/a:80"] < 510


def test_the_weight_of_an_only_destination_means_nothing() -> None:
    with running([virtual_service([{"route": [{**to("a"), "weight": 7}]}])]) as gateway:
        assert gateway.request("GET", "/").service == "shop/a:80"


TLS = {"mode": "SIMPLE", "sni": "fn.example.org", "subjectAltNames": ["fn.example.org"]}


def service_entry(host: str = "fn.example.org", **spec: Any) -> Object:
    ports = [{"number": 443, "name": "https", "protocol": "HTTPS"}]
    return istio("ServiceEntry", "fn", **{"hosts": [host], "resolution": "DNS", "ports": ports, **spec})


def external(port: int = 443, **more: Any) -> Object:
    return {"route": [{"destination": {"host": "fn.example.org", "port": {"number": port}}}], **more}


@pytest.mark.parametrize(
    ("entry", "tls", "backend"),
    [
        ({"hosts": ["x.example.org", "fn.example.org"]}, TLS, ("", "fn.example.org", 443)),
        ({"subjectAltNames": ["*.example.org"]}, {"mode": "SIMPLE", "sni": "x"}, ("", "fn.example.org", 443)),
        ({"location": "MESH_EXTERNAL"}, TLS, ("", "fn.example.org", 443)),
        ({"endpoints": [{"address": "10.0.0.1"}], "resolution": "STATIC"}, TLS, ("", "10.0.0.1", 443)),
        ({"endpoints": [{"address": "web.shop.svc.cluster.local"}]}, TLS, ("shop", "web", 443)),
        (
            {"ports": [{"number": 443, "name": "http", "protocol": "HTTP", "targetPort": 8443}]},
            None,
            ("", "fn.example.org", 8443),
        ),
    ],
)
def test_the_host_of_a_service_entry_is_a_back_end(entry: Object, tls: Object | None, backend: Service) -> None:
    policy = {"connectionPool": {"http": {"h2UpgradePolicy": "UPGRADE"}}, **({"tls": tls} if tls else {})}
    objects = [
        virtual_service([external()]),
        service_entry(**entry),
        istio("DestinationRule", "fn", host="fn.example.org", trafficPolicy=policy),
    ]
    with running(objects, [backend]) as gateway:
        seen = gateway.request("GET", "/x").seen
    assert seen
    assert seen.service == "{}/{}:{}".format(*backend)
    assert seen.headers["host"] == "example.com"  # Istio rewrites no Host by itself


@pytest.mark.parametrize(
    "rewritten",
    [
        {"rewrite": {"authority": "fn.example.org"}},
        {"headers": {"request": {"set": {":authority": "fn.example.org"}}}},
        {"route": [{**external()["route"][0], "headers": {"request": {"set": {"host": "fn.example.org"}}}}]},
    ],
)
def test_an_external_host_sees_its_name_if_the_rule_says_so(rewritten: Object) -> None:
    policy = {"portLevelSettings": [{"port": {"number": 443}, "tls": {"mode": "SIMPLE"}}]}
    objects = [
        virtual_service([external(**rewritten)]),
        service_entry(),
        istio("DestinationRule", "fn", host="fn.example.org", trafficPolicy=policy),
    ]
    with running(objects, [("", "fn.example.org", 443)]) as gateway:
        seen = gateway.request("GET", "/").seen
    assert seen
    assert seen.headers["host"] == "fn.example.org"


# Actions and modifiers


def test_redirects() -> None:
    redirects: dict[str, Object] = {
        "/old": {"uri": "/new", "authority": "new.example.com", "scheme": "https", "redirectCode": 308},
        "/query": {"uri": "/new?a=b"},
        "/port": {"port": 8443},
        "/default": {"authority": "new.example.com", "port": 443, "scheme": "https", "redirectCode": 302},
    }
    rules = [{"match": [{"uri": {"prefix": path}}], "redirect": value} for path, value in redirects.items()]
    with running([virtual_service(rules)]) as gateway:
        responses = [gateway.request("GET", f"{path}/x?y=z") for path in redirects]
        assert gateway.received == []
    assert [(response.status, response.headers["location"]) for response in responses] == [
        (308, "https://new.example.com/new?y=z"),  # all of the path is replaced, and the query kept
        (301, "http://example.com/new?a=b"),  # unless there is a new one
        (301, "http://example.com:8443/port/x?y=z"),
        (302, "https://new.example.com/default/x?y=z"),
    ]


def test_direct_responses() -> None:
    large = "x" * 50_000  # Envoy by itself allows 4 KB
    direct: dict[str, Object] = {
        "/busy": {"status": 421, "body": {"string": "misdirected"}},
        "/empty": {"status": 204},
        "/bytes": {"status": 200, "body": {"bytes": "aGVsbG8="}},
        "/large": {"status": 200, "body": {"string": large}},
    }
    rules = [{"match": [{"uri": {"exact": path}}], "directResponse": value} for path, value in direct.items()]
    rules[0]["headers"] = {"response": {"set": {"x-why": "moved"}}}
    with running([virtual_service(rules)]) as gateway:
        responses = [gateway.request("GET", path) for path in direct]
    found = [(response.status, response.body) for response in responses]
    assert found == [(421, "misdirected"), (204, ""), (200, "hello"), (200, large)]
    assert responses[0].headers["x-why"] == "moved"


PREFIX = {"uri": {"prefix": "/x"}}


@pytest.mark.parametrize(
    ("matching", "rewrite", "path", "seen"),
    [
        (PREFIX, {"uri": "/"}, "/x/y?a=b", "//y?a=b"),  # the prefix is swapped, as it stands
        (PREFIX, {"uri": "/"}, "/xy", "/y"),
        (PREFIX, {"uri": "/z"}, "/x/y", "/z/y"),
        ({"uri": {"exact": "/x/y"}}, {"uri": "/z"}, "/x/y?a=b", "/z?a=b"),
        ({"uri": {"regex": "/x/.*"}}, {"uri": "/z"}, "/x/y?a=b", "/z?a=b"),
        ({}, {"uri": "/of/"}, "/x/y", "/of/x/y"),  # no path asked for: the prefix is /
        ({}, {"uri": "/of"}, "/x/y", "/ofx/y"),
        (PREFIX, {"uriRegexRewrite": {"match": "^/x/?(.*)$", "rewrite": "/\\1"}}, "/x/y?a=b", "/y?a=b"),
        (PREFIX, {"uriRegexRewrite": {"match": "^/x/?(.*)$", "rewrite": "/\\1"}}, "/x", "/"),
        (PREFIX, None, "/a/../x/./y", "/x/y"),
        (PREFIX, None, "/x//y", "/x//y"),
        (PREFIX, None, "/x\\y", "/x/y"),
        (PREFIX, None, "/%78/%2F", "/x/%2F"),
    ],
)
def test_rewritten_and_normalized_paths(matching: Object, rewrite: Object | None, path: str, seen: str) -> None:
    more = {"rewrite": rewrite} if rewrite else {}
    with running([virtual_service([rule(matching, "a", **more)])]) as gateway:
        assert gateway.request("GET", path).path == seen


def test_headers_are_set_then_added_and_removed() -> None:
    of_route = {
        "request": {"set": {"x-set": "2"}, "add": {"x-added": "1"}, "remove": ["x-gone"]},
        "response": {"add": {"x-answer": "3"}},
    }
    of_destination = {"request": {"add": {"x-added": "2"}}, "response": {"remove": ["x-envoy-upstream-service-time"]}}
    rules = [{"route": [{**to("a"), "headers": of_destination}], "headers": of_route}]
    with running([virtual_service(rules)]) as gateway:
        response = gateway.request("GET", "/", headers={"x-added": "0", "x-set": "0", "x-gone": "0"})
    assert response.seen
    seen = response.seen.headers
    assert (seen["x-added"], seen["x-set"], seen.get("x-gone")) == ("0, 1, 2", "2", None)
    assert response.headers["x-answer"] == "3"
    assert "x-envoy-upstream-service-time" not in response.headers


def test_there_is_no_timeout_unless_one_is_written() -> None:
    rules = [rule(PREFIX, "a", timeout="1m0.5s"), {"route": [to("b")]}]
    with running([virtual_service(rules)]) as gateway:
        seen = [gateway.request("GET", path).seen for path in ("/x", "/y")]
    assert [one and one.headers.get("x-envoy-expected-rq-timeout-ms") for one in seen] == ["60500", None]


UNAVAILABLE = {"x-answer-grpc-status": "14"}


@pytest.mark.parametrize(
    ("retries", "calls"),
    [
        ({}, 3),  # two by default, also for gRPC's unavailable
        ({"retries": {"attempts": 0}}, 1),
        ({"retries": {"attempts": 1}}, 2),
        ({"retries": {"attempts": 1, "retryOn": "200"}}, 2),
        ({"retries": {"attempts": 3, "retryOn": "5xx,200", "perTryTimeout": "2s", "backoff": "1ms"}}, 4),
        ({"retries": {"attempts": 3, "retryOn": "5xx"}}, 1),
    ],
)
def test_retries(retries: Object, calls: int) -> None:
    with running([virtual_service([{"route": [to("a")], **retries}])]) as gateway:
        assert gateway.request("GET", "/", headers=UNAVAILABLE).status == 200
        assert len(gateway.received) == calls


def test_faults() -> None:
    always, never = {"percentage": {"value": 100}}, {"percentage": {"value": 0}}
    rules = [
        rule({"uri": {"prefix": "/abort"}}, "a", fault={"abort": {**always, "httpStatus": 503}}),
        rule({"uri": {"prefix": "/never"}}, "a", fault={"abort": {**never, "httpStatus": 503}}),
        rule({"uri": {"prefix": "/delay"}}, "a", fault={"delay": {**always, "fixedDelay": "200ms"}}),
    ]
    with running([virtual_service(rules)]) as gateway:
        assert answers(gateway, ["/abort", "/never"]) == {"/abort": 503, "/never": "a"}
        started = time.monotonic()
        assert gateway.request("GET", "/delay").status == 200
        assert time.monotonic() - started > 0.19


MIRRORED = {"shop/b:80": "example.com"}  # Istio has Envoy's suffix -shadow switched off


@pytest.mark.parametrize(
    ("mirror", "mirrored"),
    [
        ({"mirrors": [to("b")]}, MIRRORED),
        ({"mirrors": [{**to("b"), "percentage": {"value": 100}}]}, MIRRORED),
        ({"mirrors": [{**to("b"), "percentage": {"value": 0}}]}, {}),
        ({"mirrors": [to("b"), to("c")]}, {**MIRRORED, "shop/c:80": "example.com"}),
        ({"mirror": to("b")["destination"]}, MIRRORED),
        ({"mirror": to("b")["destination"], "mirrorPercentage": {"value": 0}}, {}),
    ],
)
def test_mirrors(mirror: Object, mirrored: Mapping[str, str]) -> None:
    with running([virtual_service([{"route": [to("a")], **mirror}])]) as gateway:
        assert gateway.request("GET", "/m").service == "shop/a:80"
        patience = time.monotonic() + (5 if mirrored else 0.2)
        while len(gateway.received) < 1 + len(mirrored) and time.monotonic() < patience:
            time.sleep(0.01)
        found = {seen.service: seen.headers["host"] for seen in gateway.received}
    assert found == {"shop/a:80": "example.com", **mirrored}


@pytest.mark.parametrize(("unmatched", "forwarded"), [({}, True), ({"unmatchedPreflights": "IGNORE"}, False)])
def test_cors(unmatched: Object, forwarded: bool) -> None:
    policy = {
        "allowOrigins": [{"exact": "https://a.example.com"}, {"regex": "https://[bc]"}],
        "allowMethods": ["GET", "PUT"],
        "allowHeaders": ["x-a"],
        "exposeHeaders": ["x-b"],
        "maxAge": "24h",
        "allowCredentials": True,
        **unmatched,
    }

    def preflight(gateway: Gateway, origin: str) -> Response:
        return gateway.request("OPTIONS", "/", headers={"origin": origin, "access-control-request-method": "PUT"})

    with running([virtual_service([{"route": [to("a")], "corsPolicy": policy}])]) as gateway:
        simple = gateway.request("GET", "/", headers={"origin": "https://b"})
        asked, foreign = preflight(gateway, "https://a.example.com"), preflight(gateway, "https://d")
    assert simple.headers["access-control-allow-origin"] == "https://b"
    assert simple.headers["access-control-expose-headers"] == "x-b"
    assert asked.service is None
    allowed = {name: value for name, value in asked.headers.items() if name.startswith("access-control-allow")}
    assert allowed == {
        "access-control-allow-origin": "https://a.example.com",
        "access-control-allow-methods": "GET,PUT",
        "access-control-allow-headers": "x-a",
        "access-control-allow-credentials": "true",
    }
    assert asked.headers["access-control-max-age"] == "86400"
    assert ("access-control-allow-origin" in foreign.headers, foreign.service is not None) == (False, forwarded)


# Delegates


def delegate(http: list[Object], name: str = "d", namespace: str = "shop") -> Object:
    return istio("VirtualService", name, namespace, http=http)


def delegating(match: list[Object] | None = None, name: str = "d", **more: Any) -> Object:
    return {**({"match": match} if match else {}), "delegate": {"name": name, "namespace": "shop"}, **more}


def test_the_rules_of_a_delegate_stand_in_the_place_of_the_rule_that_names_it() -> None:
    objects = [
        virtual_service(
            [
                rule({"uri": {"exact": "/api/first"}}, "c"),
                delegating([{"uri": {"prefix": "/api"}}]),
                {"route": [to("c")]},
            ]
        ),
        delegate(
            [
                rule({"uri": {"prefix": "/api/x"}}, "a"),
                rule({"uri": {"exact": "/api/x/never"}}, "b"),
                rule({"headers": {"x-b": {}}}, "b"),
            ]
        ),
    ]
    expected = {"/api/first": "c", "/api/x": "a", "/api/x/never": "a", "/api": "c", "/other": "c"}
    with running(objects) as gateway:
        assert answers(gateway, expected) == expected
        found = [gateway.request("GET", path, headers={"x-b": "1"}).service for path in ("/api/z", "/z")]
    assert found == ["shop/b:80", "shop/c:80"]  # a match without a path gets that of the root


def test_a_short_name_in_a_delegate_is_in_its_own_namespace() -> None:
    rules: list[Object] = [{"route": [{"destination": {"host": "a"}}]}]
    with running([virtual_service([delegating()]), delegate(rules)]) as gateway:
        assert gateway.request("GET", "/").service == "shop/a:80"


def test_the_matches_of_a_root_and_of_its_delegate_are_and() -> None:
    root = [{"headers": {"x-a": {"exact": "1"}}}, {"queryParams": {"a": {"exact": "1"}}}]
    objects = [virtual_service([delegating(root)]), delegate([rule({"headers": {"x-b": {"exact": "2"}}}, "a")])]
    cases: dict[tuple[str, ...], int] = {
        ("/", "x-a", "x-b"): 200,
        ("/?a=1", "x-b"): 200,
        ("/", "x-b"): 404,
        ("/", "x-a"): 404,
    }
    values = {"x-a": "1", "x-b": "2"}
    with running(objects) as gateway:
        found = {
            case: gateway.request("GET", case[0], headers={name: values[name] for name in case[1:]}).status
            for case in cases
        }
    assert found == cases


def test_a_delegate_inherits_what_it_does_not_say() -> None:
    root = delegating([PREFIX], timeout="3s", rewrite={"uri": "/p"}, headers={"request": {"set": {"x-root": "1"}}})
    rules = [
        rule({"uri": {"prefix": "/x/own"}}, "a", timeout="4s", headers={"request": {"set": {"x-own": "1"}}}),
        {"route": [to("b")]},
    ]
    with running([virtual_service([root]), delegate(rules)]) as gateway:
        seen = [gateway.request("GET", path).seen for path in ("/x/own/y", "/x/z")]
    names = ("x-envoy-expected-rq-timeout-ms", "x-root", "x-own")
    found = [(one.service, one.path, *(one.headers.get(name) for name in names)) for one in seen if one]
    assert found == [
        ("shop/a:80", "/p/y", "4000", None, "1"),  # headers are inherited as a whole
        ("shop/b:80", "/p/z", "3000", "1", None),
    ]
