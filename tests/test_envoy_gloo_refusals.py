"""RouteTables are delegated to as Gloo does it, and what Gloo or the translation cannot serve is refused."""

import copy
import http.client
from typing import Any

import pytest
from envoy import Refused, UnknownField
from envoy_gloo import bootstrap, running
from test_envoy_gloo import BACKENDS, Object, answers, kube, route, route_table, upstream, virtual_service

NOWHERE = dict.fromkeys(BACKENDS, ("127.0.0.1", 9))


def delegating(prefix: str = "/api", ref: str = "", **more: Any) -> Object:
    to = {"ref": {"name": ref, "namespace": "shop"}} if ref else {"selector": {"namespaces": ["shop"], "labels": {}}}
    return {"matchers": [{"prefix": prefix}], "delegateAction": to, **more}


def test_a_delegated_table_stands_in_the_place_of_its_route_and_keeps_its_order() -> None:
    objects = [
        virtual_service([route({"exact": "/api/first"}, "c"), delegating(ref="one"), route({"prefix": "/"}, "c")]),
        route_table("one", [route({"prefix": "/api/x"}, "a"), delegating("/api/deep", ref="two")]),
        route_table("two", [route({"prefix": "/api/deep"}, "b"), route({"exact": "/api/deep/never"}, "a")]),
    ]
    expected = {
        "/api/first": "c",
        "/api/x": "a",
        "/api/deep": "b",
        "/api/deep/never": "b",
        "/api": "c",
        "/other": "c",
    }
    with running(objects, BACKENDS) as gateway:
        assert answers(gateway, expected) == expected


ONE = [route({"prefix": "/api"}, "a")]
TWO = [
    route({"prefix": "/api/y"}, "b"),
    route({"regex": "/api/(x|y[0-9])"}, "a"),
    route({"exact": "/api/x"}, "c"),
    route({"prefix": "/api", "methods": ["PUT", "GET"], "headers": [{"name": "x-m"}]}, "b"),
]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        # In one weight: more methods, exact, regex, prefix, and of these the greater path first.
        ((None, 0), {"/api/x": "c", "/api/y1": "a", "/api/y": "b", "/api/z": "a"}),
        ((1, 2), {"/api/x": "a", "/api/y1": "a", "/api/y": "a", "/api/z": "a"}),
        # A table that is alone in its weight keeps its order.
        ((2, -1), {"/api/x": "a", "/api/y1": "b", "/api/y": "b", "/api/z": "a"}),
    ],
)
def test_tables_of_one_weight_are_sorted(weights: tuple[int | None, int], expected: dict[str, str]) -> None:
    tables = [route_table("one", ONE, weights[0]), route_table("two", TWO, weights[1])]
    with running([virtual_service([delegating()]), *tables], BACKENDS) as gateway:
        assert answers(gateway, expected) == expected
        by_method = gateway.request("PUT", "/api/x", headers={"x-m": ""}).service
    assert by_method == {None: "shop/b:80", 1: "shop/a:80", 2: "shop/a:80"}[weights[0]]


def test_routes_that_tie_keep_the_order_of_their_tables() -> None:
    tables = [
        route_table("b", [route({"prefix": "/api"}, "b")]),
        route_table("a", [route({"prefix": "/api", "headers": [{"name": "x-a"}]}, "a")]),
    ]
    with running([virtual_service([delegating()]), *tables], BACKENDS) as gateway:
        assert gateway.request("GET", "/api").service == "shop/b:80"
        assert gateway.request("GET", "/api", headers={"x-a": "1"}).service == "shop/a:80"


@pytest.mark.parametrize(
    ("selector", "status"),
    [
        ({"labels": {"set": "cart"}, "namespaces": ["shop"]}, 200),
        ({"labels": {"set": "cart"}, "namespaces": ["*"]}, 200),
        ({"labels": {"set": "cart"}}, None),  # the VirtualService's own namespace, edge
        ({"labels": {"set": "cart", "more": "x"}, "namespaces": ["shop"]}, None),
        ({"namespaces": ["shop", "edge"]}, 200),
    ],
)
def test_selectors(selector: Object, status: int | None) -> None:
    objects = [
        virtual_service([{"matchers": [{"prefix": "/"}], "delegateAction": {"selector": selector}}]),
        route_table("one", ONE, set="cart"),
    ]
    if status is None:
        with pytest.raises(Refused, match="delegates to no RouteTable"):
            bootstrap(objects, NOWHERE, 0)
    else:
        with running(objects, BACKENDS) as gateway:
            assert gateway.request("GET", "/api").status == status


def test_a_child_inherits_what_it_does_not_say() -> None:
    matcher = {"prefix": "/api", "headers": [{"name": "x-a", "value": "1"}]}
    parent = {**delegating(ref="one"), "matchers": [matcher], "inheritableMatchers": True}
    objects = [
        virtual_service([{**parent, "options": {"timeout": "3s", "prefixRewrite": "/p"}}]),
        route_table(
            "one",
            [
                route({"prefix": "/api/own"}, "a", options={"timeout": "4s"}),
                {"matchers": [{"prefix": "/api/moved"}], "redirectAction": {"pathRedirect": "/x"}},
                route({"prefix": "/api"}, "b"),
            ],
        ),
    ]
    with running(objects, BACKENDS) as gateway:
        own, rest = (gateway.request("GET", path, headers={"x-a": "1"}) for path in ("/api/own", "/api/z"))
        assert gateway.request("GET", "/api/moved", headers={"x-a": "1"}).status == 301
        assert gateway.request("GET", "/api/own").status == 404
    found = [(r.service, r.path, r.seen and r.seen.headers["x-envoy-expected-rq-timeout-ms"]) for r in (own, rest)]
    assert found == [("shop/a:80", "/p", "4000"), ("shop/b:80", "/p/z", "3000")]


def test_a_path_is_inherited_too_if_the_parent_says_so() -> None:
    child = route({"prefix": "/never", "methods": ["GET"]}, "a")
    objects = [virtual_service([delegating(ref="one", inheritablePathMatchers=True)]), route_table("one", [child])]
    with running(objects, BACKENDS) as gateway:
        assert answers(gateway, ["/api/x", "/never"]) == {"/api/x": "a", "/never": 404}
        assert gateway.request("POST", "/api/x").status == 404


@pytest.mark.parametrize(
    ("parent", "child", "message"),
    [
        ({}, route({"prefix": "/ap"}, "a"), "must begin with the parent's prefix '/api'"),
        ({}, {"routeAction": {"single": kube("a")}}, "must begin with the parent's prefix '/api'"),
        ({}, route({"prefix": "/api", "caseSensitive": False}, "a"), "caseSensitive"),
        ({"matchers": [{"prefix": "/api", "methods": ["GET"]}]}, ONE[0], "all the methods"),
        ({"matchers": [{"prefix": "/api", "headers": [{"name": "x"}]}]}, ONE[0], "all the headers"),
        ({"matchers": [{"prefix": "/api", "queryParameters": [{"name": "x"}]}]}, ONE[0], "all the query"),
        ({"matchers": [{"prefix": "/a"}, {"prefix": "/b"}]}, ONE[0], "a single matcher"),
        ({"matchers": [{"exact": "/api"}]}, ONE[0], "a prefix matcher"),
        (
            {"delegateAction": {"ref": {"name": "gone", "namespace": "shop"}}},
            ONE[0],
            "delegates to no RouteTable",
        ),
        ({}, delegating(ref="one"), "in a circle"),
    ],
)
def test_a_delegation_that_gloo_would_drop_is_refused(parent: Object, child: Object, message: str) -> None:
    objects = [virtual_service([{**delegating(ref="one"), **parent}]), route_table("one", [child])]
    with pytest.raises(Refused, match=message):
        bootstrap(objects, NOWHERE, 0)


def test_a_table_that_no_route_delegates_to_is_refused() -> None:
    with pytest.raises(Refused, match=r"no route delegates to .*'lost'"):
        bootstrap([virtual_service(ONE), route_table("lost", ONE)], NOWHERE, 0)


EVERY_LEVEL = virtual_service(
    [
        {
            "matchers": [{"prefix": "/", "headers": [{"name": "x"}], "queryParameters": [{"name": "q"}]}],
            "routeAction": {"multi": {"destinations": [{"weight": 1, "destination": kube("a"), "options": {}}]}},
            "options": {
                "retries": {"retryBackOff": {"baseInterval": "1s"}},
                "headerManipulation": {"requestHeadersToAdd": [{"header": {"key": "x", "value": "y"}}]},
                "cors": {"allowOrigin": ["a"]},
                "faults": {"abort": {"httpStatus": 503}, "delay": {"fixedDelay": "1s"}},
                "shadowing": {"upstream": {"name": "u", "namespace": "edge"}},
                "regexRewrite": {"pattern": {"regex": "x"}},
            },
        },
        {"redirectAction": {"pathRedirect": "/x"}},
        {"directResponseAction": {"status": 200}},
        {"matchers": [{"prefix": "/api"}], "delegateAction": {"selector": {"namespaces": ["shop"]}}},
    ],
    options={"retries": {}, "headerManipulation": {}},
)


def inner_objects(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of all objects in this value; not of labels, which have no fixed fields."""
    found = [path] if isinstance(value, dict) else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += inner_objects(item, (*path, key)) if key != "labels" else []
    return found


OBJECTS = [EVERY_LEVEL, upstream("u", "a"), route_table("one", ONE)]
LEVELS = inner_objects(OBJECTS)


def test_the_object_with_every_level_has_no_unknown_field() -> None:
    assert len(LEVELS) > 40
    assert len(bootstrap(OBJECTS, NOWHERE, 0)["static_resources"]["clusters"]) == 2


@pytest.mark.parametrize("path", LEVELS, ids=lambda path: ".".join(map(str, path)))
def test_an_unknown_field_raises_at_any_level(path: tuple[str | int, ...]) -> None:
    objects = copy.deepcopy(OBJECTS)
    inner: Any = objects
    for key in path:
        inner = inner[key]
    inner["unheard"] = "of"
    with pytest.raises(UnknownField, match="unknown field 'unheard'"):
        bootstrap(objects, NOWHERE, 0)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            {"apiVersion": "gateway.solo.io/v1", "kind": "MatchableHttpGateway", "metadata": {"name": "x"}},
            "no translation",
        ),
        (
            {"apiVersion": "gloo.solo.io/v1", "kind": "RouteTable", "metadata": {"name": "x"}},
            "no translation",
        ),
        (
            virtual_service([{"redirectAction": {}, "options": {"timeout": "1s"}}]),
            "'timeout'.* on a redirect",
        ),
        (
            virtual_service([route({"prefix": "/"}, "a", options={"appendXForwardedHost": True})]),
            "ignores append",
        ),
        ({**upstream("u", "a"), "spec": {"static": {"hosts": []}}}, "a single host"),
        (virtual_service([{"routeAction": "x"}]), "expected an object, found 'x'"),
    ],
)
def test_what_has_no_translation_raises(item: Object, message: str) -> None:
    with pytest.raises(UnknownField, match=message):
        bootstrap([item], NOWHERE, 0)


def to_upstream(name: str, namespace: str = "") -> Object:
    return {"upstream": {"name": name, "namespace": namespace}}


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ([route({"prefix": "/"}, "gone")], "no Service shop/gone:80"),
        ([{"routeAction": {"single": kube("a", port=81)}}], "no Service shop/a:81"),
        ([{"routeAction": {"single": to_upstream("gone")}}], "no Upstream edge/gone"),
        ([{"routeAction": {"single": to_upstream("u", "shop")}}], "no Upstream shop/u"),
        ([{"routeAction": {"upstreamGroup": {"name": "g", "namespace": "edge"}}}], "no UpstreamGroup edge/g"),
        (
            # Gloo fills an empty namespace in for destinations only.
            [route({"prefix": "/"}, "a", options={"shadowing": to_upstream("u")})],
            "no Upstream /u",
        ),
        ([{"routeAction": {"multi": {"destinations": [{"destination": kube("a")}]}}}], "at least 1"),
        ([{}], "needs exactly one of routeAction"),
        ([{**ONE[0], "redirectAction": {}}], "needs exactly one of routeAction"),
        ([route({"headers": [{"name": "x"}]}, "a")], "no path specifier"),
        ([route({"prefix": "/a//b"}, "a")], "takes no path '/a//b'"),
        ([route({"prefix": "/a b"}, "a")], "takes no path '/a b'"),
        ([route({"prefix": "/"}, "a", options={"prefixRewrite": "/.."})], "takes no path '/..'"),
        (
            [route({"prefix": "/"}, "a", options={"hostRewrite": "x", "autoHostRewrite": True})],
            "exactly one of",
        ),
        ([route({"prefix": "/"}, "a", options={"cors": {}})], "at least one of AllowOrigin"),
    ],
)
def test_what_gloo_refuses_or_cannot_resolve_raises(routes: list[Object], message: str) -> None:
    with pytest.raises(Refused, match=message):
        bootstrap([virtual_service(routes), upstream("u", "a")], NOWHERE, 0)


@pytest.mark.parametrize("action", ["single", "multi"])
def test_a_destination_without_a_namespace_is_in_that_of_its_route(action: str) -> None:
    destination = to_upstream("u")
    multi = {"destinations": [{"weight": 1, "destination": destination}]}
    objects = [
        virtual_service([{"routeAction": {"multi": multi} if action == "multi" else {"single": destination}}]),
        upstream("u", "b"),
    ]
    with running(objects, BACKENDS) as gateway:
        assert gateway.request("GET", "/").service == "shop/b:80"


def test_dangling_upstreams_and_clashing_virtual_services_are_refused() -> None:
    with pytest.raises(Refused, match="no Service shop/gone:80"):
        bootstrap([upstream("u", "gone")], NOWHERE, 0)
    group = {"apiVersion": "gloo.solo.io/v1", "kind": "UpstreamGroup", "metadata": {"name": "g", "namespace": "edge"}}
    with pytest.raises(Refused, match="no Upstream /u"):  # Gloo fills an empty namespace in on routes only
        bootstrap(
            [upstream("u", "a"), {**group, "spec": {"destinations": [{"destination": to_upstream("u")}]}}], NOWHERE, 0
        )
    with pytest.raises(Refused, match=r"edge\.b: domain '\*' is empty or taken"):
        bootstrap([virtual_service(ONE, "a"), virtual_service(ONE, "b")], NOWHERE, 0)
    with pytest.raises(Refused, match="VirtualService edge/shop: given twice"):
        bootstrap([virtual_service(ONE), virtual_service(ONE)], NOWHERE, 0)


def test_envoy_judges_the_configuration_before_it_runs() -> None:
    with (
        pytest.raises(Refused, match="Envoy refuses"),
        running([virtual_service([route({"regex": "("}, "a")])], BACKENDS),
    ):
        pass


def test_envoy_ends_with_the_test_that_fails() -> None:
    with pytest.raises(ZeroDivisionError), running([virtual_service(ONE)], BACKENDS) as gateway:
        assert gateway.request("GET", "/api").status == 200
        raise ZeroDivisionError
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", gateway.port).connect()
