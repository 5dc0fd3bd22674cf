"""What Istio refuses, warns of, drops or ignores is refused by the translation, and so is what it does not know."""

import copy
from typing import Any

import pytest
from envoy import Object, Refused, UnknownField
from envoy_istio import bootstrap
from test_envoy_gloo_refusals import inner_objects
from test_envoy_istio import (
    BACKENDS,
    HTTPS,
    PREFIX,
    PUBLIC,
    TLS,
    delegate,
    delegating,
    external,
    gateway_object,
    istio,
    rule,
    running,
    server,
    service_entry,
    to,
    virtual_service,
)

NOWHERE = dict.fromkeys([*BACKENDS, ("", "fn.example.org", 443)], ("127.0.0.1", 9))


def translate(*objects: Object) -> Object:
    return bootstrap(objects, NOWHERE, 0, gateways=[PUBLIC])


def destination_rule(host: str = "a.shop.svc.cluster.local", **spec: Any) -> Object:
    return istio("DestinationRule", "rule", host=host, **spec)


EVERYWHERE: Object = {"route": [to("a")]}
ELSEWHERE: Object = {"redirect": {"authority": "example.org"}}
ANSWER: Object = {"directResponse": {"status": 404}}


@pytest.mark.parametrize(
    ("matching", "message"),
    [
        ({"headers": {"X-Island": {"exact": "eu"}}}, "names are in lower case, 'X-Island'"),
        ({"withoutHeaders": {"X-Island": {}}}, "names are in lower case, 'X-Island'"),
        ({"headers": {"x island": {}}}, "names are in lower case, 'x island'"),
        ({"headers": {"authority": {"exact": "eu"}}}, "ignores the name 'authority'"),
        ({"headers": {"x": {"exact": "eu", "prefix": "e"}}}, "exactly one of exact, prefix"),
        ({"headers": {"x": {"prefix": ""}}}, "an empty prefix"),
        ({"headers": {"x": {"regex": ""}}}, "an empty regex"),
        ({"headers": {"x": {"regex": "x" * 1025}}}, "more than 1024"),
        ({"headers": {"x": {"regex": "*"}}}, r"\* is no regex"),
        ({"headers": {"x": {"exact": 1}}}, "not a string: 1"),
        ({"uri": {}}, "needs one of exact, prefix, regex"),
        ({"method": {}}, "needs one of exact, prefix, regex"),
        ({"uri": {"regex": "/x"}, "ignoreUriCase": True}, "ignores ignoreUriCase for a regex"),
        ({"port": 8080}, "no server of its gateways has the port 8080"),
    ],
)
def test_matches(matching: Object, message: str) -> None:
    with pytest.raises(Refused, match=message):
        translate(virtual_service([rule(matching, "a")]))


CATCH_ALLS: list[list[Object]] = [
    [],
    [{}],
    [{"uri": {"prefix": "/"}}],
    [{"uri": {"regex": ".*"}}],
    [{"uri": {"exact": "/x"}}, {"name": "rest"}],
]


@pytest.mark.parametrize("matches", CATCH_ALLS)
def test_a_rule_after_a_catch_all(matches: list[Object]) -> None:
    first = {**EVERYWHERE, **({"match": matches} if matches else {})}
    translate(virtual_service([first]))
    with pytest.raises(Refused, match=r"http\[1\]: Istio drops it, .* the catch-all of .*http\[0\]"):
        translate(virtual_service([first, rule(PREFIX, "b")]))


def test_a_match_after_a_catch_all_of_its_own_rule() -> None:
    with pytest.raises(Refused, match=r"http\[0\]: Istio drops it"):
        translate(virtual_service([{**EVERYWHERE, "match": [{}, PREFIX]}]))


@pytest.mark.parametrize(
    ("earlier", "later", "message"),
    [
        (PREFIX, {**PREFIX, "name": "again"}, "has a match that was used before"),
        ({"uri": {"prefix": "/i/1"}}, {"uri": {"prefix": "/i/10"}}, "the prefix /i/1 of .* takes all of /i/10"),
        ({"uri": {"prefix": "/i/1"}}, {"uri": {"prefix": "/i/10"}, "method": {"exact": "PUT"}}, None),
        ({"uri": {"prefix": "/i/1"}}, {"uri": {"exact": "/i/10"}}, None),
        ({"uri": {"prefix": "/i/10"}}, {"uri": {"prefix": "/i/1"}}, None),
    ],
)
def test_matches_that_istio_warns_of(earlier: Object, later: Object, message: str | None) -> None:
    shop = virtual_service([rule(earlier, "a"), rule(later, "b")])
    if message is None:
        translate(shop)
    else:
        with pytest.raises(Refused, match=message):
            translate(shop)


def two(*weights: int | None) -> Object:
    destinations = zip("abc", weights, strict=False)
    return {"route": [{**to(name), **({} if w is None else {"weight": w})} for name, w in destinations]}


SET_HOST = {"request": {"set": {"host": "x"}}}


@pytest.mark.parametrize(
    ("http", "message"),
    [
        ({}, "needs exactly one of route, redirect, directResponse"),
        ({**EVERYWHERE, **ELSEWHERE}, "needs exactly one of route"),
        ({**ELSEWHERE, **ANSWER}, "needs exactly one of route"),
        ({"route": []}, "is required"),
        ({**ELSEWHERE, "rewrite": {"uri": "/"}}, r"\['rewrite'\] has no effect on a redirect"),
        ({**ELSEWHERE, "timeout": "1s", "retries": {"attempts": 0}}, r"\['timeout', 'retries'\] has no effect"),
        ({**ANSWER, "fault": {"abort": {}}}, r"\['fault'\] has no effect on a directResponse"),
        ({**ANSWER, "mirrors": [to("b")]}, r"\['mirrors'\] has no effect on a directResponse"),
        ({**ANSWER, "headers": {"request": {"set": {"x": "y"}}}}, "headers.request has no effect"),
        ({**ANSWER, "headers": SET_HOST}, "headers.request has no effect"),
        ({**EVERYWHERE, "headers": {"response": {"set": {"Host": "x"}}}}, "does not change the header 'Host'"),
        ({**EVERYWHERE, "headers": {"request": {"set": {":path": "x"}}}}, "does not change the header ':path'"),
        ({**EVERYWHERE, "headers": {"request": {"remove": ["host"]}}}, "does not change the header 'host'"),
        ({**EVERYWHERE, "headers": SET_HOST, "rewrite": {"authority": "y"}}, "sets the authority several times"),
        (
            {**EVERYWHERE, "headers": {"request": {"set": {"host": "x"}, "add": {":authority": "y"}}}},
            "sets the authority several times",
        ),
        (
            {"route": [{**to("a"), "headers": SET_HOST}], "rewrite": {"authority": "y"}},
            "ignores a destination's authority",
        ),
        ({**EVERYWHERE, "rewrite": {}}, "needs uri, uriRegexRewrite or authority"),
        (
            {**EVERYWHERE, "rewrite": {"uri": "/", "uriRegexRewrite": {"match": "x", "rewrite": "y"}}},
            "only contain one of uri",
        ),
        ({**EVERYWHERE, "rewrite": {"uriRegexRewrite": {"match": "x"}}}, "needs match, .* and rewrite"),
        ({**EVERYWHERE, "mirror": to("b")["destination"], "mirrors": [to("b")]}, "both mirror and mirrors"),
        ({**EVERYWHERE, "mirrors": [to("b")], "mirrorPercentage": {"value": 1}}, "for mirror alone"),
        ({**EVERYWHERE, "mirrors": [{**to("b"), "percentage": {"value": 101}}]}, "101 is neither 0 nor"),
        ({**EVERYWHERE, "timeout": "0s"}, "at least 1, not '0s'"),
        ({**EVERYWHERE, "timeout": "1.0001s"}, "whole number of milliseconds"),
        ({**EVERYWHERE, "timeout": "1"}, "no duration"),
        ({**EVERYWHERE, "retries": {"attempts": -1}}, "attempts is -1"),
        ({**EVERYWHERE, "retries": {"perTryTimeout": "1s"}}, "attempts is 0"),
        ({**EVERYWHERE, "retries": {"attempts": 1, "retryOn": "5xx, reset"}}, "no retryOn policy: {' reset'}"),
        ({**EVERYWHERE, "fault": {}}, "must have an abort and/or a delay"),
        ({**EVERYWHERE, "fault": {"abort": {"httpStatus": 503}}}, "without a percentage nothing happens"),
        (
            {**EVERYWHERE, "fault": {"abort": {"httpStatus": 600, "percentage": {"value": 1}}}},
            "not in range 200-599",
        ),
        ({**EVERYWHERE, "corsPolicy": {}}, "nothing is allowed"),
        ({**EVERYWHERE, "corsPolicy": {"allowOrigins": [{"exact": ""}]}}, "nothing is allowed"),
        (
            {**EVERYWHERE, "corsPolicy": {"allowOrigins": [{"exact": "x"}], "allowMethods": ["FETCH"]}},
            "not supported as HTTP methods",
        ),
        (
            {**EVERYWHERE, "corsPolicy": {"allowOrigins": [{"exact": "x"}], "maxAge": "1.5s"}},
            "accurate only to seconds",
        ),
        ({"redirect": {}}, "must specify uri, authority, scheme or port"),
        ({"redirect": {"uri": "/", "redirectCode": 304}}, "304 is not supported"),
        ({"redirect": {"scheme": "ftp"}}, "invalid scheme"),
        ({"directResponse": {"status": 100}}, "100 is not in range"),
        ({"directResponse": {"status": 200, "body": {"string": "x" * 102_401}}}, "warns of a body"),
        (two(0, 0), r"the weights \[0, 0\]"),
        (two(1, -1), r"the weights \[1, -1\]"),
        (two(1, None), r"the weights \[1, None\] are not all given"),
        (two(0), r"the weights \[0\]"),
    ],
)
def test_rules(http: Object, message: str) -> None:
    with pytest.raises(Refused, match=message):
        translate(virtual_service([http]))


ANY_TLS = {"tls": {"mode": "SIMPLE"}}


def tls(**more: Any) -> Object:
    return destination_rule(trafficPolicy={"tls": {"mode": "SIMPLE", **more}})


def to_host(host: str, **more: Any) -> Object:
    return {"route": [{"destination": {"host": host, **more}}]}


@pytest.mark.parametrize(
    ("http", "others", "message"),
    [
        ({"route": [to("gone")]}, [], "gone.shop.* is no host of the registry: Istio would answer 503"),
        ({"route": [to("a", 81)]}, [], r"has the ports \[80\], not 81"),
        (to_host("a"), [], "a.edge.svc.cluster.local is no host"),  # a short name is in the rule's own namespace
        (to_host("a.shop"), [], "a.shop is no host"),  # nothing is added to what has a dot
        ({"route": [to("a", subset="v1")]}, [], "has no subset 'v1': Istio would answer 503"),
        (
            {"route": [to("a", subset="v1")]},
            [destination_rule(subsets=[{"name": "v1", "labels": {"version": "v1"}}])],
            r"nothing is behind .*a\[version=v1\].*: Istio would answer 503",
        ),
        ({**EVERYWHERE, "mirrors": [to("gone")]}, [], "gone.shop.* is no host"),
        (external(), [], "fn.example.org is no host of the registry"),
        (external(), [service_entry()], "no DestinationRule does TLS to fn.example.org:443"),
        (
            external(),
            [service_entry(), istio("DestinationRule", "fn", host="fn.example.org", trafficPolicy=ANY_TLS)],
            "without sni fn.example.org is asked for the certificate of the request's Host",
        ),
        (EVERYWHERE, [tls(sni="x")], "verifies no name of a.shop"),
        (external(80), [service_entry()], r"has the ports \[443\], not 80"),
        (external(), [service_entry("gone.example.org")], "fn.example.org is no host"),
    ],
)
def test_destinations(http: Object, others: list[Object], message: str) -> None:
    with pytest.raises(Refused, match=message):
        translate(virtual_service([http]), *others)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (service_entry("fn"), "no full domain name"),
        (service_entry("*.example.org"), "no full domain name"),
        (service_entry("a.shop.svc.cluster.local"), "is known already"),
        (service_entry(resolution="STATIC"), "nothing is behind .*fn.example.org"),
        (istio("ServiceEntry", "fn", resolution="DNS", hosts=[]), r"nothing is behind \[\]"),
        (service_entry(ports=[{"number": 1, "name": n, "protocol": "HTTP"} for n in "xy"]), "already defined"),
        (destination_rule("gone.shop.svc.cluster.local"), "no host of the registry"),
        (destination_rule("a"), "a.edge.svc.cluster.local is no host"),
        (destination_rule(trafficPolicy={}), "at least one field"),
        (
            destination_rule(trafficPolicy={"portLevelSettings": [{"port": {"number": 81}, "tls": TLS}]}),
            "has no port 81",
        ),
        (destination_rule(subsets=[{"name": "v_1"}]), "'v_1' is no DNS label"),
        (destination_rule(subsets=[{"name": "v"}, {"name": "v"}]), "given twice"),
        (tls(credentialName="x", caCertificates="y"), "cannot specify CA certificates"),
        (tls(mode="DISABLE", sni="x"), "ignores all but the mode"),
        (gateway_object(), "at least one server"),
        (gateway_object(server(80), server(80)), "'p-80' is not"),
        (gateway_object(server(443, protocol="HTTPS")), "must have TLS settings"),
        (gateway_object(server(443, **{**HTTPS, "tls": {"mode": "SIMPLE"}})), "needs a credentialName"),
        (gateway_object(server(80, tls=HTTPS["tls"])), "cannot have TLS settings for plain text"),
        (gateway_object({**server(80), "hosts": []}), "at least one host"),
        (gateway_object(server(80, "a_b.example.com")), "no host of a server"),
        (gateway_object(server(80), name="public"), "is said to be outside"),
    ],
)
def test_objects_around(item: Object, message: str) -> None:
    with pytest.raises(Refused, match=message):
        translate(item)


@pytest.mark.parametrize(
    ("spec", "servers", "message"),
    [
        ({"gateways": ["edge/gone"]}, [server()], "no Gateway edge/gone"),
        ({"gateways": ["public.edge.svc.cluster.local"]}, [server()], "no Gateway public.edge"),
        ({"gateways": ["mesh"]}, [server()], "is for sidecars alone"),
        ({}, [server(80, "*.example.org")], "no server of its gateways takes the host example.com"),
        ({}, [server(80, "shop/example.com")], "no server of its gateways takes the host example.com"),
        ({}, [server(80, tls={"httpsRedirect": True})], "redirected to https, where no server takes it"),
        ({"hosts": ["*.example.com", "a.example.com"]}, [server()], "another one's duplicate"),
        ({"hosts": ["shop_1.example.com"]}, [server()], "is no host"),
        ({"http": []}, [server()], "http must be provided"),
    ],
)
def test_gateways_and_hosts(spec: Object, servers: list[Object], message: str) -> None:
    shop = istio(
        "VirtualService", "shop", **{"hosts": ["example.com"], "gateways": ["own"], "http": [EVERYWHERE], **spec}
    )
    with pytest.raises(Refused, match=message):
        translate(gateway_object(*servers), shop)


def test_a_virtual_service_without_gateways_is_for_sidecars() -> None:
    shop = virtual_service([EVERYWHERE])
    del shop["spec"]["gateways"]
    with pytest.raises(Refused, match="is for sidecars alone"):
        translate(shop)


def test_clashes() -> None:
    with pytest.raises(Refused, match=r"another VirtualService has \*"):
        translate(virtual_service([EVERYWHERE], "a"), virtual_service([EVERYWHERE], "b"))
    with pytest.raises(Refused, match="VirtualService edge/shop: given twice"):
        translate(virtual_service([EVERYWHERE]), virtual_service([EVERYWHERE]))
    rules = [istio("DestinationRule", name, "shop", host="a", trafficPolicy={"tls": TLS}) for name in "ab"]
    with pytest.raises(Refused, match="has a DestinationRule already"):
        translate(*rules)


# Delegates


@pytest.mark.parametrize(
    ("root", "of_delegate"),
    [
        ({"uri": {"prefix": "/api"}}, {"uri": {"prefix": "/ap"}}),
        ({"uri": {"prefix": "/api"}}, {"uri": {"exact": "/"}}),
        ({"uri": {"prefix": "/api"}}, {"uri": {"regex": "/api/.*"}}),
        ({"uri": {"exact": "/api"}}, {"uri": {"prefix": "/api"}}),
        ({"uri": {"exact": "/api"}}, {"uri": {"exact": "/api/x"}}),
        ({"uri": {"regex": "/api"}}, {"uri": {"exact": "/api"}}),
        ({"headers": {"x": {}}}, {"headers": {"x": {"exact": "1"}}}),
        ({"headers": {"x": {"exact": "1"}}}, {"headers": {"x": {"exact": "2"}}}),
        ({"withoutHeaders": {"x": {"exact": "1"}}}, {"withoutHeaders": {"x": {}}}),
        ({"queryParams": {"x": {"exact": "1"}}}, {"queryParams": {"x": {"regex": "1"}}}),
        ({"port": 80}, {"port": 443}),
        ({"ignoreUriCase": True}, {"uri": {"exact": "/api"}}),
    ],
)
def test_a_rule_of_a_delegate_that_contradicts_its_root(root: Object, of_delegate: Object) -> None:
    objects = [virtual_service([delegating([root])]), delegate([rule(of_delegate, "a"), EVERYWHERE])]
    with pytest.raises(Refused, match=r"http\[0\].delegate.http\[0\]: Istio drops it"):
        translate(*objects)


@pytest.mark.parametrize(
    ("root", "http", "message"),
    [
        (delegating(name="gone"), EVERYWHERE, "delegates to no VirtualService shop/gone"),
        ({"delegate": {"name": "d"}}, EVERYWHERE, "delegates to no VirtualService edge/d"),
        ({**delegating(), "route": [to("a")]}, EVERYWHERE, "must not specify route"),
        ({**delegating(), **ELSEWHERE}, EVERYWHERE, "must not specify redirect"),
        (delegating(), delegating(), "cannot contain delegate"),
        ({**delegating(), **ANSWER}, EVERYWHERE, "needs exactly one of"),
        (delegating(rewrite={"uri": "/"}), ELSEWHERE, r"\['rewrite'\] has no effect on a redirect"),
        (delegating(timeout="1s"), {**EVERYWHERE, "timeout": "2s"}, "timeout has no effect, all rules"),
        (delegating(), to_host("near"), "near.shop.svc.cluster.local is no host"),
    ],
)
def test_delegations(root: Object, http: Object, message: str) -> None:
    with pytest.raises(Refused, match=message):
        translate(virtual_service([root]), delegate([http]))


def test_delegates_that_are_none() -> None:
    with pytest.raises(Refused, match=r"no rule delegates to .*'shop', 'd'"):
        translate(virtual_service([EVERYWHERE]), delegate([EVERYWHERE]))
    with pytest.raises(Refused, match=r"no rule delegates to .*'edge', 'shop'"):
        translate(istio("VirtualService", "shop", hosts=[], http=[EVERYWHERE]))
    with pytest.raises(Refused, match="without rules"):
        translate(virtual_service([delegating()]), delegate([]))
    with pytest.raises(Refused, match="delegates to no VirtualService shop/d that has no hosts"):
        with_hosts = istio("VirtualService", "d", "shop", hosts=["x.example.com"], gateways=[PUBLIC], http=[EVERYWHERE])
        translate(virtual_service([delegating()]), with_hosts)
    with pytest.raises(Refused, match="must have no gateways"):
        translate(istio("VirtualService", "d", "shop", gateways=[PUBLIC], http=[EVERYWHERE]))
    with pytest.raises(Refused, match=r"http\[1\]: Istio drops it, as it comes after the catch-all of .*delegate"):
        translate(virtual_service([delegating(), rule(PREFIX, "a")]), delegate([EVERYWHERE]))


# Unknown fields

PERCENTAGE = {"percentage": {"value": 1}}
OBJECTS = [
    virtual_service(
        [
            {
                "match": [
                    {
                        "uri": {"prefix": "/x"},
                        "method": {"exact": "GET"},
                        "headers": {"x-a": {"exact": "1"}},
                        "withoutHeaders": {"x-b": {}},
                        "queryParams": {"c": {"regex": "[0-9]"}},
                    }
                ],
                "route": [
                    {**to("a", subset="v1"), "weight": 1, "headers": {"request": {"remove": ["x"]}}},
                    {**to("b"), "weight": 1},
                ],
                "headers": {"request": {"set": {"x": "y"}}, "response": {"add": {"x": "y"}}},
                "rewrite": {"uriRegexRewrite": {"match": "x", "rewrite": "y"}},
                "retries": {"attempts": 1},
                "fault": {"abort": {"httpStatus": 503, **PERCENTAGE}, "delay": {"fixedDelay": "1s", **PERCENTAGE}},
                "mirrors": [{**to("b"), **PERCENTAGE}],
                "corsPolicy": {"allowOrigins": [{"exact": "x"}]},
            },
            {"match": [{"uri": {"exact": "/r"}}], "redirect": {"uri": "/"}},
            {"match": [{"uri": {"exact": "/d"}}], "directResponse": {"status": 200, "body": {"string": ""}}},
            delegating([{"uri": {"exact": "/e"}}], rewrite={"uri": "/"}),
            external(mirror=to("b")["destination"], mirrorPercentage={"value": 1}),
        ],
        gateways=["own"],
    ),
    delegate([rule({"uri": {"exact": "/e"}}, "a")]),
    gateway_object(server(80, tls={"httpsRedirect": True}), server(443, **HTTPS)),
    service_entry(endpoints=[{"address": "fn.example.org"}]),
    istio(
        "DestinationRule",
        "fn",
        host="fn.example.org",
        trafficPolicy={
            "connectionPool": {"http": {"h2UpgradePolicy": "UPGRADE"}},
            "portLevelSettings": [{"port": {"number": 443}, "tls": TLS}],
        },
    ),
    destination_rule(subsets=[{"name": "v1", "labels": {"version": "v1"}}]),
]
FREE_KEYS = {"withoutHeaders", "queryParams", "set", "add", "selector"}
LEVELS = [
    path
    for path in inner_objects(OBJECTS)
    if not path or (path[-1] not in FREE_KEYS and not (path[-1] == "headers" and "match" in path))
]


def test_the_objects_with_every_level_have_no_unknown_field() -> None:
    services = {**NOWHERE, ("shop", "a[version=v1]", 80): ("127.0.0.1", 9)}
    assert len(LEVELS) > 60
    assert len(bootstrap(OBJECTS, services, 0)["static_resources"]["clusters"]) == 4


@pytest.mark.parametrize("path", LEVELS, ids=lambda path: ".".join(map(str, path)))
def test_an_unknown_field_raises_at_any_level(path: tuple[str | int, ...]) -> None:
    objects = copy.deepcopy(OBJECTS)
    inner: Any = objects
    for key in path:
        inner = inner[key]
    inner["unheard"] = "of"
    services = {**NOWHERE, ("shop", "a[version=v1]", 80): ("127.0.0.1", 9)}
    with pytest.raises(UnknownField, match="unknown field 'unheard'"):
        bootstrap(objects, services, 0)


@pytest.mark.parametrize(
    "item",
    [
        istio("Sidecar", "x"),
        {**virtual_service([EVERYWHERE]), "apiVersion": "networking.istio.io/v1alpha3"},
        service_entry(resolution="NONE"),
        service_entry(ports=[{"number": 443, "name": "tls", "protocol": "TLS"}]),
        tls(mode="MUTUAL"),
        gateway_object(server(443, protocol="TLS", tls={"mode": "PASSTHROUGH"})),
        gateway_object(server(443, **{**HTTPS, "tls": {"mode": "MUTUAL", "credentialName": "x"}})),
        virtual_service([{"redirect": {"uri": "/", "derivePort": "FROM_REQUEST_PORT"}}]),
        virtual_service([{**EVERYWHERE, "fault": {"abort": {"grpcStatus": "NOT_FOUND", **PERCENTAGE}}}]),
    ],
)
def test_what_has_no_translation_raises(item: Object) -> None:
    with pytest.raises(UnknownField, match="translat"):
        translate(item)


def test_objects_of_others_are_passed_over() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"anything": 1}}
    with running([service, virtual_service([EVERYWHERE])]) as gateway:
        assert gateway.request("GET", "/").service == "shop/a:80"
