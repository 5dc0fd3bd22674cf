"""What is written for Gloo, object by object: strict schemas, explicit namespaces, no loose ends, names and order."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest
from envoy import Object, Service
from strict_schemas import needs_shared, problems
from test_routing_envoy import (
    BOOK,
    CART,
    CASES,
    FLAKY,
    MANY,
    MIXED,
    OUTSIDE_ROUTES,
    SHARES,
    STRAIGHT,
    TWO_PORTS,
    WEB,
    WITH_HOSTS,
    compile_text,
    compiled,
    dsl,
    flaky_routes,
    island_set,
    routing,
    services,
)

OUTSIDE = [("edge", "web", 80), ("edge", "flaky", 80)]

# Every input that test_routing_envoy sends requests through, and the Services outside of it.
INPUTS: dict[str, tuple[str, list[Service]]] = {
    **{name: (case.dsl(), list(case.outside)) for name, case in CASES.items()},
    **{f"{name}, straight": (case.dsl(gloo=STRAIGHT), list(case.outside)) for name, case in CASES.items()},
    **{name: (share.dsl(), OUTSIDE) for name, share in SHARES.items()},
    **{name: (dsl(routing(flaky_routes(flaky.fields))), OUTSIDE) for name, flaky in FLAKY.items()},
    "many islands": (MANY, []),
    "pods whose container and Service could have two ports": (
        dsl(
            TWO_PORTS,
            island_set("shard", "replicas: 2, form: pods", of_type="two-ports"),
            routing("- {to: {spread: shard}, port: http}"),
        ),
        [],
    ),
}

every_input = pytest.mark.parametrize(("text", "outside"), INPUTS.values(), ids=list(INPUTS))


def gloo_objects(text: str) -> list[Object]:
    return [item for item in compiled(text) if item["apiVersion"].partition("/")[0].endswith(".solo.io")]


def of_kind(kind: str, objects: Iterable[Object]) -> list[Object]:
    return [item for item in objects if item["kind"] == kind]


def routes(objects: Iterable[Object]) -> list[Object]:
    found = of_kind("VirtualService", objects)
    return [route for item in found for route in item["spec"]["virtualHost"]["routes"]]


def weighted(route: Object) -> list[Object]:
    found: list[Object] = route.get("routeAction", {}).get("multi", {}).get("destinations", [])
    return found


@needs_shared
@every_input
def test_the_custom_resource_definitions_hold(text: str, outside: list[Service]) -> None:
    assert problems(compiled(text)) == []


@every_input
def test_nothing_is_left_open(text: str, outside: list[Service]) -> None:
    objects = compiled(text)
    for check in (_identities, _order, _references, _names, _defaults):
        assert list(check(objects, {*services(objects), *outside})) == []


def _identities(objects: list[Object], known: set[Service]) -> Iterator[str]:
    """A namespace is written out, and no two objects are one."""
    found = Counter((item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]) for item in objects)
    yield from (f"{one}: {times} times" for one, times in found.items() if times > 1)


def _order(objects: list[Object], known: set[Service]) -> Iterator[str]:
    """What a VirtualService refers to comes before it, and islands before all of it."""
    ranks = ["Upstream", "VirtualService"]
    last: dict[str, int] = {}
    for item in objects:
        owner = item["metadata"]["labels"].get("replicator.dev/routing", "")
        rank = ranks.index(item["kind"]) if owner else -1
        if rank < last.get(owner, -1) or (not owner and len(last) > 1):
            yield f"{item['kind']} {item['metadata']['name']} comes too late"
        last[owner] = rank


def _references(objects: list[Object], known: set[Service]) -> Iterator[str]:
    """Every destination exists, by its name and namespace: what Gloo fills in depends on where a reference stands."""
    upstreams = {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in of_kind("Upstream", objects)}
    used = set()
    for route in routes(objects):
        single = route.get("routeAction", {}).get("single")
        for destination in [single] if single else [item["destination"] for item in weighted(route)]:
            if "kube" in destination:
                kube = destination["kube"]
                if (kube["ref"]["namespace"], kube["ref"]["name"], kube["port"]) not in known:
                    yield f"no Service {kube}"
            else:
                used.add((destination["upstream"]["namespace"], destination["upstream"]["name"]))
    yield from (f"no Upstream {key}" for key in used - upstreams)
    yield from (f"nothing uses the Upstream {key}" for key in upstreams - used)
    for item in of_kind("Upstream", objects):
        kube = item["spec"]["kube"]
        if (kube["serviceNamespace"], kube["serviceName"], kube["servicePort"]) not in known:
            yield f"no Service {kube}"


def _names(objects: list[Object], known: set[Service]) -> Iterator[str]:
    """An Upstream is `<routing>-<island>-<port name>`, or for another Service its namespace, name and port."""
    islands = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): item["metadata"]["labels"]["replicator.dev/island"]
        for item in of_kind("Service", objects)
        if "replicator.dev/island" in item["metadata"]["labels"]
    }
    for item in of_kind("Upstream", objects):
        owner, kube = item["metadata"]["labels"]["replicator.dev/routing"], item["spec"]["kube"]
        service = (kube["serviceNamespace"], kube["serviceName"])
        right = {f"{owner}-{islands[service]}-{port}" for port in ("http", "admin")} if service in islands else set()
        if item["metadata"]["name"] not in (right or {f"{owner}-{'-'.join(service)}-{kube['servicePort']}"}):
            yield f"{item['metadata']['name']} leads to {service}"


def _defaults(objects: list[Object], known: set[Service]) -> Iterator[str]:
    """No default of Gloo decides."""
    for route in routes(objects):
        if len(route.keys() & {"routeAction", "redirectAction", "directResponseAction"}) != 1:
            yield f"not one action: {route}"
        if not all(len(matcher.keys() & {"exact", "prefix", "regex"}) == 1 for matcher in route["matchers"]):
            yield f"a matcher without a path: {route}"
        if "routeAction" in route and not re.fullmatch(r"[0-9]+(\.[0-9]+)?s", route["options"]["timeout"]):
            yield f"no timeout: {route}"
        if not all("weight" in item for item in weighted(route)):
            yield f"no weight: {route}"
        if "responseCode" not in route.get("redirectAction", {"responseCode": ""}):
            yield f"no status: {route}"


@needs_shared
def test_the_custom_resource_definitions_hold_for_hosts_too() -> None:
    assert problems(compiled(dsl(WITH_HOSTS, MIXED, routing(OUTSIDE_ROUTES)))) == []


@pytest.mark.parametrize("app", ["", ", appProtocol: grpc"])
def test_upstreams_of_hosts(app: str) -> None:
    """Without an authority and a name Envoy would believe any server; unsaid, TLS would follow from the number."""
    text = WITH_HOSTS.replace("http: 80", f"http: {{containerPort: 80{app}}}")
    objects = compiled(dsl(text, MIXED, routing(OUTSIDE_ROUTES)))
    specs = {item["metadata"]["name"]: item["spec"] for item in of_kind("Upstream", objects)}
    host = "us.main.example.net"
    config = {
        "sni": host,
        "sslFiles": {"rootCa": "/etc/ssl/certs/ca-certificates.crt"},
        "verifySubjectAltName": [host],
        **({"alpnProtocols": ["h2"]} if app else {}),
    }
    http2 = {"useHttp2": True} if app else {}
    assert specs == {
        "front-cart-ap-http": {
            **http2,
            "static": {"useTls": False, "hosts": [{"addr": "old.example.net", "port": 8080}]},
        },
        "front-cart-us-http": {
            **http2,
            "sslConfig": config,
            "static": {"useTls": True, "hosts": [{"addr": host, "port": 443}]},
        },
        "front-cart-eu-http": {
            **http2,
            "kube": {"serviceName": "cart-eu-web", "serviceNamespace": "shop", "servicePort": 80},
        },
    }


TWO = island_set("two", "islands: {us: {}, eu: {}}", of_type="two-ports")


def named(text: str) -> list[str]:
    return [f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in gloo_objects(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            dsl(WEB, BOOK, routing("- {to: {spread: book}}")),
            ["edge/front-book-eu-http", "edge/front-book-us-http", "edge/front"],
        ),
        (
            dsl(WEB, BOOK, routing("- {to: {island: book/us}}", "shop", gloo="{namespace: gloo-system}")),
            ["gloo-system/shop-book-us-http", "edge/shop"],
        ),
        (
            dsl(WEB, BOOK, routing("- {to: {spread: book}}", gloo=STRAIGHT)),
            ["edge/front"],
        ),
        (
            dsl(
                TWO_PORTS,
                TWO,
                routing(
                    """
                    - {each: two, port: http, match: {path: {exact: "/{{ island.key }}"}}}
                    - {port: admin, to: {island: two/eu}}
                    """
                ),
            ),
            ["edge/front-two-eu-admin", "edge/front-two-eu-http", "edge/front-two-us-http", "edge/front"],
        ),
        (
            dsl(
                WEB,
                island_set("shard", "replicas: 12, form: pods"),
                routing('- {each: shard, match: {path: {exact: "/{{ island.key }}"}}}'),
            ),
            [*(f"edge/front-shard-{number}-http" for number in range(12)), "edge/front"],
        ),
        (
            dsl(routing("- {match: {path: {exact: /}}, to: {service: a, port: 1}}\n- {to: {service: b/c, port: 2}}")),
            ["edge/front-b-c-2", "edge/front-edge-a-1", "edge/front"],
        ),
        (
            dsl(routing("- {respond: 404}")),
            ["edge/front"],
        ),
        (
            dsl(
                WEB,
                BOOK,
                routing("- {to: {island: book/eu}}", "b", "[b.example.com]"),
                routing("- {to: {island: book/eu}}", "a", "[a.example.com]"),
            ),
            ["edge/a-book-eu-http", "edge/a", "edge/b-book-eu-http", "edge/b"],
        ),
    ],
    ids=["spread", "namespace", "straight", "two ports", "pods", "Services", "no destination", "two Routings"],
)
def test_names(text: str, expected: list[str]) -> None:
    assert named(text) == expected


def test_every_destination_has_one_upstream() -> None:
    text = dsl(
        TWO_PORTS,
        TWO,
        routing(
            """
            - {each: two, port: http, match: {path: {exact: "/{{ island.key }}"}}}
            - {each: two, port: admin, match: {path: {exact: "/admin/{{ island.key }}"}}}
            - {to: {service: web, port: 80}}
            """,
            "a",
        ),
    )
    assert sorted(named(text)) == [
        "edge/a",
        "edge/a-edge-web-80",
        "edge/a-two-eu-admin",
        "edge/a-two-eu-http",
        "edge/a-two-us-admin",
        "edge/a-two-us-http",
    ]


@pytest.mark.parametrize("action", ["", ", redirect: {path: /x}", ", respond: 200", ", to: {service: rest, port: 80}"])
def test_an_empty_set_has_no_routes(action: str) -> None:
    each = f'- {{each: shard, match: {{headers: {{x-shard: "{{{{ island.key }}}}"}}}}{action}}}'
    objects = gloo_objects(dsl(WEB, island_set("shard", "replicas: 0"), routing(f"{each}\n- {{respond: 421}}")))
    assert [item["kind"] for item in objects] == ["VirtualService"]
    assert [list(route) for route in routes(objects)] == [["matchers", "directResponseAction"]]


def test_an_upstream_is_written_once() -> None:
    text = dsl(
        WEB,
        CART,
        routing(
            """
            - {each: cart, match: {headers: {x-island: "{{ island.key }}"}}}
            - {each: cart, match: {path: {prefix: "/i/{{ island.key }}"}}}
            - {match: {path: {prefix: /eu}}, to: {island: cart/eu}}
            - {to: {spread: cart}}
            """
        ),
    )
    assert named(text) == [*(f"edge/front-cart-{key}-http" for key in ("1", "10", "eu", "us")), "edge/front"]


def test_route_names_are_the_authors() -> None:
    text = dsl(
        WEB,
        BOOK,
        routing(
            """
            - {name: by-header, each: book, match: {headers: {x-island: "{{ island.key }}"}}}
            - {name: by-path, each: book, match: {path: {prefix: "/{{ island.key }}"}}}
            - {name: rest, to: {spread: book}}
            """
        ),
    )
    found = [route["name"] for route in routes(compiled(text))]
    assert found == ["by-header-book-eu", "by-header-book-us", "by-path-book-eu", "by-path-book-us", "rest"]


def test_labels_of_a_routing() -> None:
    """A Routing's own labels are put on its objects."""
    text = routing("- {to: {service: web, port: 80}}").replace(
        "namespace: edge}", "namespace: edge, labels: {team: a}, annotations: {note: b}}"
    )
    for item in gloo_objects(dsl(text)):
        assert item["metadata"]["labels"] == {
            "app.kubernetes.io/managed-by": "replicator",
            "replicator.dev/routing": "front",
            "team": "a",
        }
        assert "annotations" not in item["metadata"]


def test_whole_objects() -> None:
    """One small input, to the last field."""
    text = dsl(
        WEB,
        island_set("cart", "islands: {eu: {}}"),
        routing(
            """
            - match: {path: {prefix: /a}, headers: {X-V: {absent: true}}, query: {q: ""}, methods: [GET, PUT]}
              to: {island: cart/eu}
              rewrite: {prefix: /, host: in.example.net}
              timeout: 90s
              retries: {attempts: 2, perTryTimeout: 1.5s, retryOn: [gateway-error, reset]}
            - match: {path: {exact: /b}}
              redirect: {host: n.example.com, path: /c, scheme: https, port: 8443, status: 308, stripQuery: true}
            - respond: {status: 421, body: misdirected}
            """
        ),
    )
    rest = {
        "methods": ["GET", "PUT"],
        "headers": [{"name": "x-v", "invertMatch": True}],
        "queryParameters": [{"name": "q", "value": "^$", "regex": True}],
    }
    labels = {"app.kubernetes.io/managed-by": "replicator", "replicator.dev/routing": "front"}
    assert gloo_objects(text) == [
        {
            "apiVersion": "gloo.solo.io/v1",
            "kind": "Upstream",
            "metadata": {
                "name": "front-cart-eu-http",
                "namespace": "edge",
                "labels": {**labels, "replicator.dev/island": "cart-eu"},
            },
            "spec": {"kube": {"serviceName": "cart-eu-web", "serviceNamespace": "shop", "servicePort": 80}},
        },
        {
            "apiVersion": "gateway.solo.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "front", "namespace": "edge", "labels": labels},
            "spec": {
                "virtualHost": {
                    "domains": ["example.com"],
                    "routes": [
                        {
                            "matchers": [{"exact": "/a", **rest}, {"prefix": "/a/", **rest}],
                            "routeAction": {
                                "single": {"upstream": {"name": "front-cart-eu-http", "namespace": "edge"}}
                            },
                            "options": {
                                "timeout": "90s",
                                "prefixRewrite": "/",
                                "hostRewrite": "in.example.net",
                                "retries": {
                                    "retryOn": "gateway-error,reset",
                                    "numRetries": 2,
                                    "perTryTimeout": "1.5s",
                                },
                            },
                        },
                        {
                            "matchers": [{"exact": "/b"}],
                            "redirectAction": {
                                "hostRedirect": "n.example.com",
                                "pathRedirect": "/c",
                                "httpsRedirect": True,
                                "portRedirect": 8443,
                                "responseCode": "PERMANENT_REDIRECT",
                                "stripQuery": True,
                            },
                        },
                        {
                            "matchers": [{"prefix": "/"}],
                            "directResponseAction": {"status": 421, "body": "misdirected"},
                        },
                    ],
                }
            },
        },
    ]


@pytest.mark.parametrize(
    "to", ['{host: "{{ island.key }}.example.net"}', '{function: {gcp: {host: "{{ island.key }}.example.net"}}}']
)
def test_a_host_that_names_the_island_is_one_for_each(to: str) -> None:
    each = f'- {{each: book, match: {{path: {{exact: "/{{{{ island.key }}}}"}}}}, to: {to}}}'
    objects = gloo_objects(dsl(WEB, BOOK, routing(each)))
    upstreams = {item["metadata"]["name"]: item["spec"]["static"]["hosts"] for item in of_kind("Upstream", objects)}
    assert [upstreams[route["routeAction"]["single"]["upstream"]["name"]][0]["addr"] for route in routes(objects)] == [
        "eu.example.net",
        "us.example.net",
    ]


def test_a_function_of_a_type_without_ports_has_one_upstream() -> None:
    of_type = """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: job}
spec:
  units: {job: {image: registry.example.com/job}}
  implementations: {run: {function: {gcp: {host: "{{ island.key }}.a.run.app"}}}}
"""
    each = '- {each: job, match: {path: {exact: "/{{ island.key }}"}}}\n- {to: {island: job/eu}}'
    islands = island_set("job", "islands: {eu: {implementation: run}, us: {implementation: run}}", of_type="job")
    assert named(dsl(of_type, islands, routing(each))) == ["edge/front-job-eu", "edge/front-job-us", "edge/front"]


def test_a_host_does_not_speak_tls_and_speak_it_at_one_port() -> None:
    to = "- {match: {path: {exact: /a}}, to: {host: a.example.net, port: 80, tls: TLS}}"
    text = dsl(routing("\n".join(to.replace("TLS", tls).replace("/a}", f"/{tls}}}") for tls in ("true", "false"))))
    assert [one.code for one in compile_text(text).diagnostics] == ["R0507"]


def test_a_percent_sign_of_a_header_is_no_command() -> None:
    [route] = routes(compiled(dsl(routing("- {to: {service: web, port: 80}, headers: {request: {set: {x: 5%}}}}"))))
    header = {"key": "x", "value": "5%%"}
    assert route["options"]["headerManipulation"] == {"requestHeadersToAdd": [{"header": header, "append": False}]}


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ("[a.example.com, '*.example.net']", ["a.example.com", "*.example.net"]),
        (
            "['a.example.com:8443', a.example.com]",
            ["a.example.com"],
        ),  # a client that asks for a certificate names no port
        ("[a.example.com, '*']", None),
    ],
)
def test_a_certificate_is_for_the_hosts(hosts: str, expected: list[str] | None) -> None:
    text = routing("- respond: 200", hosts=hosts).replace("  routes:", "  tls: {secret: certs/tls}\n  routes:")
    [service] = of_kind("VirtualService", compiled(text))
    config = service["spec"]["sslConfig"]
    assert config["secretRef"] == {"name": "tls", "namespace": "certs"}
    assert config.get("sniDomains") == expected
