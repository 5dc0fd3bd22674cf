"""What routes can do beyond matches and destinations, written for Gloo and run in a real Envoy."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import envoy_gloo
import pytest
from envoy import Gateway, Object, Service
from strict_schemas import needs_shared, problems
from test_functions import WITH_FUNCTIONS
from test_gloo_output import of_kind
from test_routing_envoy import (
    BOOK,
    CASES,
    STRAIGHT,
    WEB,
    ask,
    ask_all,
    compile_text,
    compiled,
    dsl,
    island_set,
    routing,
    running,
    services,
)

DELEGATIONS = ("none", "set", "island")
KEY = "{{ island.key }}"


def spec(text: str, *fields: str) -> str:
    """With these fields in the spec of the Routing."""
    return text.replace("  hosts:", "".join(f"  {field}\n" for field in fields) + "  hosts:")


# Delegation: the same requests get the same answers, however routes are spread over objects


def named_routes(text: str) -> str:
    """Each-routes have names: of what they are delegated to."""
    numbers = iter(range(100))
    return re.sub(r"- (\{?)each:", lambda found: f"- {found[1]}name: r{next(numbers)}\n      each:", text)


def unbraced(routes: str) -> bool:
    return "- {each" not in routes


DELEGATED = [name for name, case in CASES.items() if "each:" in case.routes and unbraced(case.routes)]
DELEGATED.remove("an empty Set")
# Islands of these may match one request: apart, they could not keep their order.
OVERLAPPING = [
    "by regex path",
    "the first island wins where islands overlap",
    "the first island wins where islands overlap and paths are rewritten",
]


@pytest.mark.parametrize(
    ("name", "delegation"),
    [
        *((name, "set") for name in DELEGATED),
        *((name, "island") for name in DELEGATED if name not in OVERLAPPING),
    ],
)
def test_delegated_requests_get_the_same_answers(name: str, delegation: str) -> None:
    case = CASES[name]
    text = spec(named_routes(case.dsl()), f"delegation: {delegation}")
    objects = compiled(text)
    assert of_kind("RouteTable", objects)
    with running(objects, case.outside) as gateway:
        assert ask_all(gateway, case.expected) == case.expected


@pytest.mark.parametrize("name", OVERLAPPING)
def test_islands_that_may_match_one_request_are_not_delegated_one_by_one(name: str) -> None:
    built = compile_text(spec(named_routes(CASES[name].dsl()), "delegation: island"))
    assert {one.code for one in built.diagnostics if one.severity == "error"} == {"R0712"}


# The traps of Gloo, each with the answer that the language gives. Requests match routes of two islands, where they can.
TRAPS = {
    # Written order: a header of one island, the path of another.
    "/i/us x-island:eu": "shop/cart-eu-web:80 /i/us",
    "/i/us/x x-island:none": "shop/cart-us-web:80 /x",
    # A prefix is of whole segments, and no rewrite gives `//`.
    "/i/1": "shop/cart-1-web:80 /",
    "/i/10": "shop/cart-10-web:80 /",
    "/i/10/x": "shop/cart-10-web:80 /x",
    "/i/1x": "shop/cart-eu-web:80 /i/1x",
    # RouteTables of one weight are sorted by methods, kind of path and path: that must not show.
    "POST /i/us/admin": "shop/cart-us-web:80 /admin",
    "/i/eu/exact": "shop/cart-eu-web:80 /exact",
    # What follows a delegated route comes after it, what is before comes before.
    "/i/eu/first": "403 first",
    "/i/us/last": "shop/cart-us-web:80 /last",
    "/q?island=us": "shop/cart-us-web:80 /q",
    "/q?island=us x-island:1": "shop/cart-1-web:80 /q",
    "/q?island=none": "shop/cart-eu-web:80 /q",
    # An empty value is a value.
    "/empty x-empty:": "204",
}
TRAPPED = f"""
- {{name: first, match: {{path: {{exact: /i/eu/first}}}}, respond: {{status: 403, body: first}}}}
- {{name: by-header, each: cart, match: {{headers: {{x-island: "{KEY}"}}}}}}
- {{name: by-path, each: cart, match: {{path: {{prefix: "/i/{KEY}"}}}}, rewrite: {{prefix: /}}}}
- {{name: by-query, each: cart, match: {{query: {{island: "{KEY}"}}}}}}
- {{name: last, match: {{path: {{exact: /last}}, methods: [GET, POST]}}, respond: 403}}
- {{name: empty, match: {{headers: {{x-empty: ""}}}}, respond: 204}}
- {{name: rest, to: {{island: cart/eu}}}}
"""
TRAPPED_CART = island_set("cart", 'islands: {eu: {}, us: {}, "1": {}, "10": {}}')


@pytest.mark.parametrize("gloo", ["", STRAIGHT], ids=["upstream", "kube"])
@pytest.mark.parametrize("delegation", DELEGATIONS)
def test_the_written_order_holds(delegation: str, gloo: str) -> None:
    text = spec(dsl(WEB, TRAPPED_CART, routing(TRAPPED, gloo=gloo)), f"delegation: {delegation}")
    expected = {
        request: answer.replace("/q", "/q?island=us") if request.startswith("/q?island=us") else answer
        for request, answer in TRAPS.items()
    }
    expected["/q?island=none"] = "shop/cart-eu-web:80 /q?island=none"
    with running(compiled(text)) as gateway:
        assert ask_all(gateway, expected) == expected


@pytest.mark.parametrize("delegation", ["none", "set"])
def test_islands_that_are_named_in_two_ways_keep_their_order(delegation: str) -> None:
    """The first island with a match gets the request: by its header, or by its path."""
    either = f'[{{path: {{prefix: "/i/{KEY}"}}}}, {{headers: {{x-island: "{KEY}"}}}}]'
    text = spec(dsl(WEB, BOOK, routing(f"- {{name: book, each: book, match: {either}}}")), f"delegation: {delegation}")
    expected = {
        "/i/us x-island:eu": "shop/book-eu-web:80 /i/us",
        "/i/eu x-island:us": "shop/book-eu-web:80 /i/eu",
        "/i/us x-island:us": "shop/book-us-web:80 /i/us",
        "/": "404",
    }
    with running(compiled(text)) as gateway:
        assert ask_all(gateway, expected) == expected


@pytest.mark.parametrize("delegation", DELEGATIONS)
def test_nested_islands_are_delegated_to(delegation: str) -> None:
    region = """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: region}
spec: {sets: {cell: {type: web, replicas: 2}}}
"""
    each = """
    - {name: cell, each: world/cell, match: {path: {prefix: "/{{ parent.key }}/{{ island.key }}"}}}
    - respond: 421
    """
    text = dsl(WEB, region, island_set("world", "islands: {eu: {}, us: {}}", of_type="region"), routing(each))
    expected = {
        "/eu/0/x": "shop/world-eu-cell-0-web:80 /eu/0/x",
        "/us/1": "shop/world-us-cell-1-web:80 /us/1",
        "/us/2": "421",
    }
    with running(compiled(spec(text, f"delegation: {delegation}"))) as gateway:
        assert ask_all(gateway, expected) == expected


@pytest.mark.parametrize("delegation", ["set", "island"])
def test_a_spread_is_an_upstream_group(delegation: str) -> None:
    text = spec(
        dsl(
            WEB,
            island_set("cart", "islands: {eu: {weight: 3}, us: {}, ap: {state: draining}}"),
            routing("- {to: {spread: cart}}"),
        ),
        f"delegation: {delegation}",
    )
    objects = compiled(text)
    [group] = of_kind("UpstreamGroup", objects)
    assert [item["weight"] for item in group["spec"]["destinations"]] == [3, 1]
    with running(objects) as gateway:
        answers = [ask(gateway, "/") for _ in range(200)]
    assert set(answers) == {"shop/cart-eu-web:80 /", "shop/cart-us-web:80 /"}
    assert 120 < answers.count("shop/cart-eu-web:80 /") < 180  # 150, with a standard deviation of 6.1


# States


STATES = island_set("cart", "islands: {eu: {}, us: {state: draining, weight: 8}, ap: {state: drained, weight: 8}}")


@pytest.mark.parametrize("gloo", ["", STRAIGHT], ids=["upstream", "kube"])
@pytest.mark.parametrize("delegation", DELEGATIONS)
@pytest.mark.parametrize(
    ("drained", "answer"),
    [("", "503"), (", drained: 410", "410"), (", drained: {status: 421, body: moved}", "421 moved")],
)
def test_states(delegation: str, gloo: str, drained: str, answer: str) -> None:
    routes = f"""
    - {{name: each, each: cart, match: {{path: {{prefix: "/{KEY}"}}}}}}
    - name: list
      match: {{path: {{exact: /list}}}}
      to: [{{island: cart/us}}, {{island: cart/ap}}, {{island: cart/eu}}]
    - {{name: rest, to: {{spread: cart}}}}
    """
    states = STATES.replace("weight: 8}}}", f"weight: 8}}}}{drained}}}")
    text = spec(dsl(WEB, states, routing(routes, gloo=gloo)), f"delegation: {delegation}")
    expected = {"/eu": "shop/cart-eu-web:80 /eu", "/us/x": "shop/cart-us-web:80 /us/x", "/ap": answer, "/ap/x": answer}
    with running(compiled(text)) as gateway:
        assert ask_all(gateway, expected) == expected
        assert {ask(gateway, path) for path in ("/list",) * 20} == {"shop/cart-eu-web:80 /list"}
        assert {ask(gateway, path) for path in ("/",) * 20} == {"shop/cart-eu-web:80 /"}


def test_all_islands_may_be_drained() -> None:
    islands = island_set("cart", "islands: {eu: {state: drained}, us: {state: drained}}, drained: 410")
    each = f'- {{each: cart, match: {{path: {{prefix: "/{KEY}"}}}}}}\n- respond: 404'
    with running(compiled(dsl(WEB, islands, routing(each)))) as gateway:
        assert ask_all(gateway, ["/eu", "/us/x", "/"]) == {"/eu": "410", "/us/x": "410", "/": "404"}
    for to in ("{spread: cart}", "[{island: cart/eu}, {island: cart/us}]"):
        codes = [one.code for one in compile_text(dsl(WEB, islands, routing(f"- {{to: {to}}}"))).diagnostics]
        assert codes == ["R0705"]


# Functions


OUTSIDE: list[Service] = [
    ("", "lambda.eu-west-1.amazonaws.com", 443),
    ("", "app-azure.azurewebsites.net", 443),
    ("", "run.a.run.app", 443),
    ("kourier-system", "kourier-internal", 80),
    ("istio-system", "local", 8080),
    ("", "archive.example.net", 443),
]
FUNCTIONS = island_set(
    "cart",
    "islands: {eu: {}, lambda: {implementation: lambda}, azure: {implementation: azure}, run: {implementation: run},"
    " knative: {implementation: knative}, other: {implementation: other}}",
)
CALLED = {
    "/eu/x": "shop/cart-eu-web:80 /eu/x",
    "/lambda/x": "/lambda.eu-west-1.amazonaws.com:443 /2015-03-31/functions/Cart_lambda/invocations?Qualifier=prod"
    " host:lambda.eu-west-1.amazonaws.com",
    "/azure/x": "/app-azure.azurewebsites.net:443 /api/thumb?code=secret host:app-azure.azurewebsites.net",
    "/run/x": "/run.a.run.app:443 /run/x host:run.a.run.app",
    "/knative/x": "kourier-system/kourier-internal:80 /knative/x host:cart-knative.shop.svc.cluster.local",
    "/other/x": "istio-system/local:8080 /other/x host:cart.other-fn.svc.cluster.local",
}


@pytest.mark.parametrize("gloo", ["", STRAIGHT], ids=["upstream", "kube"])
@pytest.mark.parametrize("delegation", DELEGATIONS)
def test_islands_that_are_functions(delegation: str, gloo: str) -> None:
    each = f'- {{name: each, each: cart, match: {{path: {{prefix: "/{KEY}"}}}}}}'
    text = spec(dsl(WITH_FUNCTIONS, FUNCTIONS, routing(each, gloo=gloo)), f"delegation: {delegation}")
    with running(compiled(text), OUTSIDE) as gateway:
        assert ask_all(gateway, CALLED) == CALLED


def test_functions_as_destinations() -> None:
    routes = """
    - {match: {path: {prefix: /lambda}}, to: {function: {aws: {region: eu-west-1, function: f, invocation: async}}}}
    - {match: {path: {prefix: /azure}}, to: {function: {azure: {app: app-azure, function: g, authLevel: Anonymous}}}}
    - {match: {path: {prefix: /run}}, to: {function: {gcp: {host: run.a.run.app}}}, rewrite: {prefix: /}}
    - {match: {path: {prefix: /knative}}, to: {function: {knative: {service: fn/hello}}}}
    - match: {path: {prefix: /mixed}}
      to: [{function: {aws: {region: eu-west-1, function: g}}}, {island: cart/eu}]
    - {to: {host: archive.example.net}}
    """
    expected = {
        "POST /lambda": "/lambda.eu-west-1.amazonaws.com:443 /2015-03-31/functions/f/invocations?Qualifier=$LATEST"
        " host:lambda.eu-west-1.amazonaws.com",
        "/azure/x?y=z": "/app-azure.azurewebsites.net:443 /api/g host:app-azure.azurewebsites.net",
        "/run/x": "/run.a.run.app:443 /x host:run.a.run.app",
        "/knative": "kourier-system/kourier-internal:80 /knative host:hello.fn.svc.cluster.local",
        "/": "/archive.example.net:443 / host:archive.example.net",
    }
    text = dsl(WEB, island_set("cart", "islands: {eu: {}}"), routing(routes))
    with running(compiled(text), OUTSIDE) as gateway:
        assert ask_all(gateway, expected) == expected
        seen = gateway.request("GET", "/lambda", "example.com").seen
        assert seen is not None
        assert seen.headers["x-amz-invocation-type"] == "Event"
        assert {ask(gateway, "/mixed").partition(" ")[0] for _ in range(40)} == {
            "/lambda.eu-west-1.amazonaws.com:443",
            "shop/cart-eu-web:80",
        }


# Modifiers


def one(modifiers: str, gloo: str = "") -> str:
    return dsl(WEB, BOOK, routing(f"- {{to: {{island: book/eu}}, {modifiers}}}", gloo=gloo))


def test_headers_are_changed() -> None:
    changes = (
        'headers: {request: {add: {x-a: "1"}, set: {x-s: "100% {{ params.p }}"}, remove: [X-R]},'
        " response: {add: {x-b: more}, set: {x-c: new}, remove: [x-gone]}}"
    )
    text = one(changes).replace("params: {}", "params: {p: {type: string, default: of it}}")
    with running(compiled(text)) as gateway:
        sent = [
            ("x-a", "0"),
            ("x-s", "0"),
            ("x-r", "0"),
            ("x-answer-x-gone", "here"),
            ("x-answer-x-c", "old"),
            ("x-answer-x-b", "some"),
        ]
        answer = gateway.request("GET", "/", "example.com", sent)
    assert answer.seen is not None
    assert answer.seen.headers["x-s"] == "100% of it"
    assert "x-r" not in answer.seen.headers
    assert answer.headers["x-c"] == "new"
    assert "x-gone" not in answer.headers


def test_cross_origin_requests() -> None:
    policy = (
        "cors: {allowOrigins: ['https://a.example.com'], allowMethods: [GET, PUT], allowHeaders: [x-tenant],"
        " exposeHeaders: [x-b], maxAge: 1h, allowCredentials: true}"
    )
    ask_first = [("access-control-request-method", "PUT")]
    with running(compiled(one(policy))) as gateway:
        allowed = gateway.request("OPTIONS", "/", "example.com", [("origin", "https://a.example.com"), *ask_first])
        refused = gateway.request("OPTIONS", "/", "example.com", [("origin", "https://b.example.com"), *ask_first])
        plain = gateway.request("GET", "/", "example.com", [("origin", "https://a.example.com")])
    assert {name: value for name, value in allowed.headers.items() if name.startswith("access-control")} == {
        "access-control-allow-origin": "https://a.example.com",
        "access-control-allow-methods": "GET,PUT",
        "access-control-allow-headers": "x-tenant",
        "access-control-max-age": "3600",
        "access-control-allow-credentials": "true",
        **{name: value for name, value in allowed.headers.items() if name == "access-control-expose-headers"},
    }
    assert "access-control-allow-origin" not in refused.headers
    assert plain.headers["access-control-expose-headers"] == "x-b"


def test_any_origin() -> None:
    with running(compiled(one("cors: {allowOrigins: ['*']}"))) as gateway:
        answer = gateway.request("GET", "/", "example.com", [("origin", "https://b.example.com")])
    assert "access-control-allow-origin" in answer.headers


@pytest.mark.parametrize("percent", [100, 0])
def test_faults(percent: int) -> None:
    with running(compiled(one(f"fault: {{abort: {{status: 418, percent: {percent}}}}}"))) as gateway:
        assert gateway.request("GET", "/", "example.com").status == (418 if percent else 200)


@pytest.mark.parametrize("gloo", ["", STRAIGHT], ids=["upstream", "kube"])
def test_mirrored_requests_are_answered_by_the_destination(gloo: str) -> None:
    text = one("mirror: {island: book/us, percent: 50}", gloo)
    objects = compiled(text)
    assert [item["metadata"]["name"] for item in of_kind("Upstream", objects)][-1] == "front-book-us-http"
    with running(objects) as gateway:
        assert {ask(gateway, "/") for _ in range(20)} == {"shop/book-eu-web:80 /"}


@pytest.mark.parametrize(
    ("mirror", "service", "host"),
    [
        ("island: book/us", "shop/book-us-web:80", "example.com"),
        ("host: a.example.net, tls: false", "/a.example.net:80", "a.example.net"),
    ],
)
def test_copies_arrive_with_their_host(mirror: str, service: str, host: str) -> None:
    """That of the request, without what Envoy puts behind it by itself; a host outside sees its own."""
    objects = compiled(one(f"mirror: {{{mirror}}}"))
    with running(objects, [("", "a.example.net", 80)]) as gateway:
        ask(gateway, "/x")
        patience = time.monotonic() + 10
        while len(gateway.received) < 2 and time.monotonic() < patience:
            time.sleep(0.01)
        found = {seen.service: (seen.path, seen.headers["host"]) for seen in gateway.received}
    assert found == {"shop/book-eu-web:80": ("/x", "example.com"), service: ("/x", host)}


# Virtual hosts


EACH_HOST = spec(
    dsl(
        WITH_FUNCTIONS,
        island_set("cart", "islands: {eu: {}, us: {}, ap: {state: drained}, lambda: {implementation: lambda}}"),
        BOOK,
        routing(
            """
            - {match: {path: {prefix: /books}}, to: {spread: book}}
            - {match: {path: {exact: /whoami}}, respond: {status: 200, body: "{{ island.key }}"}}
            - {match: {path: {exact: /old}}, redirect: {path: /new}}
            - {}
            """,
            hosts='["{{ island.key }}.example.com"]',
        ),
    ),
    "each: cart",
)
BY_HOST = {
    "/ host:eu.example.com": "shop/cart-eu-web:80 /",
    "/ host:us.example.com": "shop/cart-us-web:80 /",
    "/ host:ap.example.com": "503",
    "/whoami host:ap.example.com": "200 ap",
    "/ host:lambda.example.com": CALLED["/lambda/x"],
    "/ host:example.com": "404",
}


@pytest.mark.parametrize("delegation", DELEGATIONS)
def test_a_virtual_host_for_each_island(delegation: str) -> None:
    objects = compiled(spec(EACH_HOST, f"delegation: {delegation}"))
    names = [item["metadata"]["name"] for item in of_kind("VirtualService", objects)]
    assert sorted(names) == [f"front-cart-{key}" for key in ("ap", "eu", "lambda", "us")]
    with running(objects, OUTSIDE) as gateway:
        assert ask_all(gateway, BY_HOST) == BY_HOST
        assert ask(gateway, "/books host:us.example.com").startswith("shop/book-")


@contextmanager
def both(text: str) -> Iterator[dict[bool, Gateway]]:
    objects = compiled(text)
    backends = [*services(objects), *OUTSIDE]
    with (
        envoy_gloo.running(objects, backends, tls=True) as secure,
        envoy_gloo.running(objects, backends, tls=False) as plain,
    ):
        yield {True: secure, False: plain}


@pytest.mark.parametrize("created", ["", "gateway: {create: {}, namespace: gloo-system}"], ids=["existing", "created"])
def test_requests_that_are_not_encrypted_are_redirected(created: str) -> None:
    text = spec(EACH_HOST, "tls: {secret: certs/shop, redirect: true}", *filter(None, [created]))
    with both(text) as gateways:
        assert ask_all(gateways[True], BY_HOST) == BY_HOST
        assert ask(gateways[False], "/a?b=c host:eu.example.com") == "301 https://eu.example.com/a?b=c"
        assert ask(gateways[False], "/ host:example.com") == "404"


def test_a_gateway_takes_the_routing_alone() -> None:
    text = dsl(
        spec(routing("- respond: 200", "one", "[a.example.com, '*.b.example.com']"), "gateway: {create: {port: 9080}}"),
        spec(routing("- respond: 203", "two", "['*']"), "gateway: {create: {}}", "tls: {secret: a}"),
    )
    with both(text) as gateways:
        assert ask_all(gateways[False], ["/ host:a.example.com", "/ host:x.b.example.com", "/ host:c.com"]) == {
            "/ host:a.example.com": "200",
            "/ host:x.b.example.com": "200",
            "/ host:c.com": "404",
        }
        assert ask(gateways[True], "/ host:a.example.com") == "203"


# All that is asked for above is what Gloo's CustomResourceDefinitions take


WRITTEN: Mapping[str, str] = {
    "each host": spec(EACH_HOST, "tls: {secret: a, redirect: true}", "gateway: {create: {}}", "delegation: island"),
    **{
        f"delegation {delegation}": spec(dsl(WEB, TRAPPED_CART, routing(TRAPPED)), f"delegation: {delegation}")
        for delegation in DELEGATIONS
    },
    "functions": dsl(WITH_FUNCTIONS, FUNCTIONS, routing(f'- {{each: cart, match: {{path: {{prefix: "/{KEY}"}}}}}}')),
    "modifiers": one(
        "headers: {request: {set: {a: b}}, response: {remove: [c]}}, cors: {allowOrigins: ['*'], maxAge: 1h},"
        " fault: {abort: {status: 503, percent: 0.5}, delay: {duration: 1s}}, mirror: {host: a.example.net}"
    ),
    "group": spec(dsl(WEB, BOOK, routing("- {to: {spread: book}}")), "delegation: set"),
    "identity token": dsl(
        routing("- {to: {function: {gcp: {host: a.run.app, audience: b}}}}", gloo="{edition: enterprise}")
    ),
}


@needs_shared
@pytest.mark.parametrize("text", WRITTEN.values(), ids=list(WRITTEN))
def test_the_custom_resource_definitions_hold(text: str) -> None:
    objects: list[Object] = compiled(text)
    assert problems(objects) == []


CELLS = """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: region}
spec:
  sets:
    cell: {type: web, islands: {a: {}, b: {state: drained}, c: {state: draining}}, drained: {status: 410, body: moved}}
"""


@pytest.mark.parametrize("delegation", DELEGATIONS)
def test_states_of_islands_inside_islands(delegation: str) -> None:
    routes = """
    - {name: cell, each: world/cell, match: {path: {prefix: "/{{ parent.key }}/{{ island.key }}"}}}
    - {name: rest, to: {spread: world/cell}}
    """
    text = dsl(WEB, CELLS, island_set("world", "islands: {eu: {}, us: {}}", of_type="region"), routing(routes))
    expected = {
        "/eu/a": "shop/world-eu-cell-a-web:80 /eu/a",
        "/us/b/x": "410 moved",
        "/us/c": "shop/world-us-cell-c-web:80 /us/c",
    }
    with running(compiled(spec(text, f"delegation: {delegation}"))) as gateway:
        assert ask_all(gateway, expected) == expected
        assert {ask(gateway, "/") for _ in range(40)} == {f"shop/world-{key}-cell-a-web:80 /" for key in ("eu", "us")}


@pytest.mark.parametrize("delegation", DELEGATIONS)
def test_a_spread_over_functions_and_pods(delegation: str) -> None:
    """The Host follows the destination, and so does the call of a function."""
    islands = "islands: {eu: {}, lambda: {implementation: lambda}, run: {implementation: run}}"
    text = spec(
        dsl(WITH_FUNCTIONS, island_set("cart", islands), routing("- {name: all, to: {spread: cart}}")),
        f"delegation: {delegation}",
    )
    with running(compiled(text), OUTSIDE) as gateway:
        assert {ask(gateway, "/") for _ in range(80)} == {
            "shop/cart-eu-web:80 /",
            CALLED["/lambda/x"],
            "/run.a.run.app:443 / host:run.a.run.app",
        }


def test_several_hosts_and_wildcards() -> None:
    text = dsl(
        spec(
            routing("- respond: 200", "one", '["{{ island.key }}.example.com", "*.{{ island.key }}.example.com"]'),
            "each: book",
        ),
        WEB,
        BOOK,
        routing("- respond: 203", "two", "['*.example.com', example.com]"),
    )
    expected = {
        "/ host:eu.example.com": "200",
        "/ host:x.us.example.com": "200",
        "/ host:de.example.com": "203",
        "/ host:example.com": "203",
        "/ host:example.org": "404",
    }
    with running(compiled(text)) as gateway:
        answers = ask_all(gateway, expected)
    assert {request: answer.split(" ")[0] for request, answer in answers.items()} == expected


@pytest.mark.parametrize("delegation", DELEGATIONS)
def test_the_route_above_is_for_all_paths_below(delegation: str) -> None:
    """Gloo drops a route whose path does not begin with that of the route which delegates to it."""
    match = f'[{{path: {{prefix: "/ab/{KEY}"}}}}, {{path: {{exact: "/ab-{KEY}"}}}}, {{path: {{prefix: "/b/x/{KEY}"}}}}]'
    text = dsl(WEB, BOOK, routing(f"- {{name: book, each: book, match: {match}}}"))
    expected = {
        f"{path}": f"shop/book-{path[-2:]}-web:80 {path}"
        for path in ("/ab/eu", "/ab/us", "/ab-eu", "/b/x/us", "/b/x/eu")
    }
    with running(compiled(spec(text, f"delegation: {delegation}"))) as gateway:
        assert ask_all(gateway, expected) == expected


def test_no_islands_have_no_virtual_hosts() -> None:
    text = routing("- {}", hosts=f'["{KEY}.example.com"]')
    objects = compiled(dsl(WEB, island_set("book", "replicas: 0"), spec(text, "each: book")))
    assert [item["kind"] for item in objects] == []


def test_a_namespace_of_a_gateway_is_one() -> None:
    text = spec(routing("- respond: 200"), "gateway: {name: a, namespace: x.y}")
    assert [one.code for one in compile_text(text).diagnostics] == ["R0304"]
