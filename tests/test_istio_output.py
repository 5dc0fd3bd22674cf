"""What is written for Istio, object by object: strict schemas, full names, no loose ends, names and order."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from textwrap import dedent, indent
from typing import Any

import pytest
from envoy import Object, Service
from strict_schemas import needs_shared, problems
from test_routing_envoy import BOOK, CASES, WEB, Case, compile_text, compiled, dsl, island_set, services

PUBLIC = "gateway: {name: public, namespace: ingress}"

MIXED = """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: mixed}
spec:
  ports: {http: {unit: web, port: http}}
  units: {web: {image: registry.example.com/web, ports: {http: {containerPort: 80, appProtocol: APP}}}}
  implementations:
    vm: {external: {host: "{{ island.key }}.example.net", port: 8443, tls: true}}
    old: {external: {host: old.example.net, port: 8080}}
    run: {function: {gcp: {host: "{{ island.key }}.a.run.app"}}}
    app: {function: {azure: {app: "app-{{ island.key }}", function: resize, authLevel: Anonymous}}}
    knative: {function: {knative: {service: fn/hello}}}
"""


def routing(routes: str, *more: str, hosts: str = "[example.com]", gateway: str = PUBLIC, name: str = "front") -> str:
    fields = [f"hosts: {hosts}", gateway, *more]
    return f"""
apiVersion: replicator.dev/v1alpha1
kind: Routing
metadata: {{name: {name}, namespace: edge, labels: {{team: a}}}}
spec:
  provider: istio
{indent(chr(10).join(filter(None, fields)), "  ")}
  routes:
{indent(dedent(routes).strip(), "    ")}
"""


def mixed(islands: str, app: str = "http") -> str:
    return dsl(MIXED.replace("APP", app), island_set("cart", f"islands: {islands}", of_type="mixed"))


def delegated(case: Case, delegation: str) -> str:
    """An input that is written for Gloo, for Istio: its each-routes are named, as delegation needs."""
    text = re.sub(r"(?m)^  (?:provider: gloo|gloo: .*)$", f"  provider: istio\n  {PUBLIC}", case.dsl())
    if delegation == "none":
        return text
    names = (f"name: route-{number}" for number in range(100))
    text = re.sub(r"(?m)^( +- )\{each:", lambda found: f"{found[1]}{{{next(names)}, each:", text)
    text = re.sub(r"(?m)^( +)- each:", lambda found: f"{found[1]}- {next(names)}\n{found[1]}  each:", text)
    return text.replace("  provider: istio", f"  provider: istio\n  delegation: {delegation}")


def istio_objects(text: str) -> list[Object]:
    return [item for item in compiled(text) if item["apiVersion"] == "networking.istio.io/v1"]


def specs(text: str, kind: str) -> dict[str, Any]:
    """The specs of the objects of a kind, by their names."""
    return {item["metadata"]["name"]: item["spec"] for item in istio_objects(text) if item["kind"] == kind}


def http(*documents: str, name: str = "front") -> list[Object]:
    found: list[Object] = specs(dsl(*documents), "VirtualService")[name]["http"]
    return found


def told(text: str) -> list[str]:
    return [f"{one.code}: {one.message}" for one in compile_text(text).diagnostics]


def both(*routes: str) -> str:
    """Routes of two Sets whose islands are all outside."""
    outside = "islands: {eu: {implementation: vm}, us: {implementation: vm}}"
    sets = [island_set(name, outside, of_type="mixed") for name in ("cart", "book")]
    return dsl(MIXED.replace("APP", "http"), *sets, routing("\n".join(routes)))


def to_service(fields: str = "") -> str:
    return routing(f"- {{to: {{service: web, port: 80}}{', ' if fields else ''}{fields}}}")


EVERY_CASE = [
    pytest.param(text, list(case.outside), id=f"{name}, {delegation}")
    for name, case in CASES.items()
    for delegation in ("none", "set", "island")
    if not told(text := delegated(case, delegation))
]


def test_most_cases_are_for_istio_too() -> None:
    """What the table of features refuses are redirects; islands that overlap are not delegated one by one."""
    refused = [name for name, case in CASES.items() if told(delegated(case, "none"))]
    assert all("redirect" in name for name in refused)
    alone = [told(delegated(case, "island")) for case in CASES.values()]
    overlapping = [found for found in alone if found and all(one.startswith("R0712") for one in found)]
    assert len(EVERY_CASE) == 3 * (len(CASES) - len(refused)) - len(overlapping)


# No loose ends


@needs_shared
@pytest.mark.parametrize(("text", "outside"), EVERY_CASE)
def test_the_custom_resource_definitions_hold(text: str, outside: list[Service]) -> None:
    assert problems(compiled(text)) == []


@pytest.mark.parametrize(("text", "outside"), EVERY_CASE)
def test_nothing_is_left_open(text: str, outside: list[Service]) -> None:
    objects = compiled(text)
    for check in (_identities, _order, _references, _defaults):
        assert list(check(objects, {*services(objects), *outside})) == []


def _identities(objects: list[Object], known: set[Service]) -> Iterator[str]:
    found = Counter((item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]) for item in objects)
    yield from (f"{one}: {times} times" for one, times in found.items() if times > 1)


def _order(objects: list[Object], known: set[Service]) -> Iterator[str]:
    """What is referred to comes first, delegates before what names them, and islands before all of it."""
    ranks = ["Gateway", "ServiceEntry", "DestinationRule", "VirtualService"]
    last: dict[str, tuple[int, bool]] = {}
    for item in objects:
        owner = item["metadata"]["labels"].get("replicator.dev/routing", "")
        rank = (ranks.index(item["kind"]), "hosts" in item["spec"]) if owner else (-1, False)
        if rank < last.get(owner, rank) or (not owner and len(last) > 1):
            yield f"{item['kind']} {item['metadata']['name']} comes too late"
        last[owner] = rank


def _rules(objects: Iterable[Object]) -> Iterator[Object]:
    for item in objects:
        yield from item["spec"]["http"] if item["kind"] == "VirtualService" else ()


def _destinations(objects: Iterable[Object]) -> Iterator[Object]:
    for rule in _rules(objects):
        yield from (one["destination"] for one in (*rule.get("route", ()), *rule.get("mirrors", ())))


def _references(objects: list[Object], known: set[Service]) -> Iterator[str]:
    """Every host is a full name of the registry; every ServiceEntry and delegate has its use."""
    ports = {(f"{name}.{namespace}.svc.cluster.local", port) for namespace, name, port in known}
    entries = {
        (host, port["number"])
        for item in objects
        if item["kind"] == "ServiceEntry"
        for host in item["spec"]["hosts"]
        for port in item["spec"]["ports"]
    }
    used = {(one["host"], one["port"]["number"]) for one in _destinations(objects)}
    yield from (f"no host {one}" for one in used - ports - entries)
    yield from (f"nothing uses the ServiceEntry of {one}" for one in entries - used)
    rules = [item["spec"]["host"] for item in objects if item["kind"] == "DestinationRule"]
    yield from (f"no host {one} for a DestinationRule" for one in set(rules) - {host for host, _ in entries})
    names = Counter(
        (one["delegate"]["namespace"], one["delegate"]["name"]) for one in _rules(objects) if "delegate" in one
    )
    delegates = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): 1
        for item in objects
        if item["kind"] == "VirtualService" and "hosts" not in item["spec"]
    }
    if names != delegates:
        yield f"{names} are named, {delegates} are there"


def _defaults(objects: list[Object], known: set[Service]) -> Iterator[str]:
    """No default of Istio decides."""
    for rule in _rules(objects):
        if len(rule.keys() & {"route", "redirect", "directResponse", "delegate"}) != 1:
            yield f"not one action: {rule}"
        if "delegate" in rule:
            if rule.keys() != {"delegate"}:
                yield f"more than a delegate: {rule}"
            continue
        if not all(len(match["uri"]) == 1 for match in rule["match"]):
            yield f"a match without a path: {rule}"
        if "route" in rule and not ({"timeout", "retries"} <= rule.keys() and "attempts" in rule["retries"]):
            yield f"no timeout or retries: {rule}"
        if len(rule.get("route", ())) > 1 and not all("weight" in one for one in rule["route"]):
            yield f"no weight: {rule}"


# Virtual hosts and Gateways


def test_whole_objects() -> None:
    """One small input, to the last field."""
    text = dsl(
        WEB,
        island_set("cart", "islands: {eu: {}}"),
        routing(
            """
            - name: all
              match: {path: {prefix: /a}, headers: {X-V: {absent: true}, x-w: {present: true}}, query: {q: ""}}
              to: {island: cart/eu}
              rewrite: {prefix: /, host: in.example.net}
              timeout: 90s
            - {match: {path: {exact: /b}}, redirect: {host: n.example.com, path: /c, scheme: https, port: 8443}}
            - respond: {status: 421, body: misdirected}
            """
        ),
    )
    rest = {"headers": {"x-w": {}}, "withoutHeaders": {"x-v": {}}, "queryParams": {"q": {"regex": "^$"}}}
    labels = {"app.kubernetes.io/managed-by": "replicator", "replicator.dev/routing": "front", "team": "a"}
    redirect = {"uri": "/c", "authority": "n.example.com", "port": 8443, "scheme": "https", "redirectCode": 301}
    destination = {"host": "cart-eu-web.shop.svc.cluster.local", "port": {"number": 80}}
    assert istio_objects(text) == [
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "front", "namespace": "edge", "labels": labels},
            "spec": {
                "hosts": ["example.com"],
                "gateways": ["ingress/public"],
                "http": [
                    {
                        "name": "all",
                        "match": [{"uri": {"exact": "/a"}, **rest}, {"uri": {"prefix": "/a/"}, **rest}],
                        "rewrite": {"uri": "/", "authority": "in.example.net"},
                        "route": [{"destination": destination}],
                        "timeout": "90s",
                        "retries": {"attempts": 0},
                    },
                    {"match": [{"uri": {"exact": "/b"}}], "redirect": redirect},
                    {
                        "match": [{"uri": {"prefix": "/"}}],
                        "directResponse": {"status": 421, "body": {"string": "misdirected"}},
                    },
                ],
            },
        }
    ]


@pytest.mark.parametrize(
    ("gateway", "more", "expected"),
    [
        (PUBLIC, "istio: {mesh: true}", ["ingress/public", "mesh"]),
        ("", "istio: {mesh: true}", ["mesh"]),
        ("gateway: {name: own}", "", ["edge/own"]),
        ("gateway: {create: {}}", "", ["edge/front"]),
    ],
)
def test_gateways_are_named_in_full(gateway: str, more: str, expected: list[str]) -> None:
    text = routing("- to: {service: web, port: 80}", more, gateway=gateway)
    assert specs(text, "VirtualService")["front"]["gateways"] == expected


HOSTS = {"hosts": ["example.com"]}
PLAIN = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}}
SECURE = {
    "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
    "tls": {"mode": "SIMPLE", "credentialName": "shop-tls"},
}


@pytest.mark.parametrize(
    ("create", "tls", "servers"),
    [
        ("", "", [{**PLAIN, **HOSTS}]),
        ("port: 8080", "", [{"port": {**PLAIN["port"], "number": 8080}, **HOSTS}]),
        ("", "tls: {secret: shop-tls}", [{**SECURE, **HOSTS}]),
        ("", "tls: {secret: edge/shop-tls}", [{**SECURE, **HOSTS}]),
        (
            "",
            "tls: {secret: shop-tls, redirect: true}",
            [{**PLAIN, "tls": {"httpsRedirect": True}, **HOSTS}, {**SECURE, **HOSTS}],
        ),
    ],
)
def test_a_gateway_that_is_made(create: str, tls: str, servers: list[Object]) -> None:
    text = routing("- to: {service: web, port: 80}", tls, gateway=f"gateway: {{create: {{{create}}}}}")
    assert specs(text, "Gateway") == {"front": {"selector": {"istio": "ingressgateway"}, "servers": servers}}


def test_a_gateway_has_the_proxys_labels() -> None:
    text = routing("- respond: 200", gateway="gateway: {namespace: ingress, create: {selector: {app: proxy}}}")
    [gateway, service] = istio_objects(text)
    assert gateway["metadata"]["namespace"] == "ingress"
    assert gateway["spec"]["selector"] == {"app": "proxy"}
    assert service["spec"]["gateways"] == ["ingress/front"]


def test_a_virtual_host_for_each_island() -> None:
    """Those of islands that are answered for differently are of their own form; the Gateway takes all hosts."""
    own = {"hosts": '["{{ island.key }}.example.com"]', "gateway": "gateway: {create: {}}"}
    islands = island_set("cart", "islands: {eu: {}, old: {state: drained}, us: {}}")
    text = dsl(WEB, islands, routing("- name: all", "each: cart", **own))
    assert specs(text, "Gateway")["front"]["servers"][0]["hosts"] == [
        f"{key}.example.com" for key in ("eu", "old", "us")
    ]
    found = specs(text, "VirtualService")
    assert {name: spec["hosts"] for name, spec in found.items()} == {
        "front-cart-eu": ["eu.example.com"],
        "front-cart-us": ["us.example.com"],
        "front-cart-old": ["old.example.com"],
    }
    assert found["front-cart-old"]["http"][0]["directResponse"] == {"status": 503}
    assert found["front-cart-us"]["http"][0]["route"][0]["destination"]["host"] == "cart-us-web.shop.svc.cluster.local"


def test_without_rules_there_is_no_virtual_service() -> None:
    each = '- {each: shard, match: {headers: {x-shard: "{{ island.key }}"}}}'
    assert istio_objects(dsl(WEB, island_set("shard", "replicas: 0"), routing(each))) == []


# Delegation

DELEGATING = """
- {name: by-path, each: cart, match: {path: {prefix: "/i/{{ island.key }}"}}, rewrite: {prefix: /}}
- {name: first, match: {path: {exact: /first}}, to: {service: web, port: 80}}
- {name: by-header, each: cart, match: {headers: {x-island: "{{ island.key }}"}}}
- {name: rest, to: {spread: cart}}
"""


@pytest.mark.parametrize(
    ("delegation", "by_path", "by_header"),
    [
        ("set", ["front-by-path"], ["front-by-header"]),
        (
            "island",
            [f"front-by-path-cart-{key}" for key in ("eu", "old", "us")],
            [f"front-by-header-cart-{key}" for key in ("eu", "old", "us")],
        ),
    ],
)
def test_delegates_stand_in_the_place_of_their_route(delegation: str, by_path: list[str], by_header: list[str]) -> None:
    islands = island_set("cart", "islands: {us: {}, eu: {}, old: {state: drained}}")
    own = dsl(WEB, islands, routing(DELEGATING))
    text = dsl(WEB, islands, routing(DELEGATING, f"delegation: {delegation}"))
    services = specs(text, "VirtualService")
    root = services["front"]["http"]
    assert [rule.get("name") or rule["delegate"]["name"] for rule in root] == [*by_path, "first", *by_header, "rest"]
    delegates = {name: spec["http"] for name, spec in services.items() if name != "front"}
    assert delegates.keys() == {*by_path, *by_header}
    merged = [one for rule in root for one in (delegates[rule["delegate"]["name"]] if "delegate" in rule else [rule])]
    assert merged == http(own)


# Actions


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("timeout: 500ms", {"timeout": "0.5s"}),
        ("retries: {attempts: 3}", {"retries": {"attempts": 3, "retryOn": "5xx"}}),
        (
            "retries: {attempts: 2, perTryTimeout: 1.5s, retryOn: [gateway-error, reset]}",
            {"retries": {"attempts": 2, "perTryTimeout": "1.5s", "retryOn": "gateway-error,reset"}},
        ),
        ("rewrite: {host: a.example.net}", {"rewrite": {"authority": "a.example.net"}}),
        ("rewrite: {prefix: /v1}", {"rewrite": {"uri": "/v1/"}}),
        (
            "headers: {request: {add: {X-B: b, x-a: 50%}, set: {x-c: c}}, response: {remove: [X-Powered-By]}}",
            {
                "headers": {
                    "request": {"add": {"x-a": "50%%", "x-b": "b"}, "set": {"x-c": "c"}},
                    "response": {"remove": ["x-powered-by"]},
                }
            },
        ),
        (
            "mirror: {service: shop/copy, port: 81, percent: 2.5}",
            {
                "mirrors": [
                    {
                        "destination": {"host": "copy.shop.svc.cluster.local", "port": {"number": 81}},
                        "percentage": {"value": 2.5},
                    }
                ]
            },
        ),
        (
            "fault: {abort: {status: 503, percent: 1}, delay: {duration: 2s}}",
            {
                "fault": {
                    "abort": {"percentage": {"value": 1}, "httpStatus": 503},
                    "delay": {"percentage": {"value": 100}, "fixedDelay": "2s"},
                }
            },
        ),
        (
            """cors:
                {allowOrigins: ['https://a.example.com'], allowMethods: [GET], allowHeaders: [x-a],
                 exposeHeaders: [x-b], maxAge: 1h, allowCredentials: true}""",
            {
                "corsPolicy": {
                    "allowOrigins": [{"exact": "https://a.example.com"}],
                    "allowMethods": ["GET"],
                    "allowHeaders": ["x-a"],
                    "exposeHeaders": ["x-b"],
                    "maxAge": "3600s",
                    "allowCredentials": True,
                }
            },
        ),
        ("cors: {allowOrigins: ['*']}", {"corsPolicy": {"allowOrigins": [{"exact": "*"}]}}),
    ],
)
def test_modifiers(fields: str, expected: Object) -> None:
    [rule] = http(to_service(fields))
    usual = {"timeout": "15s", "retries": {"attempts": 0}}
    destination = {"host": "web.edge.svc.cluster.local", "port": {"number": 80}}
    whole = {"match": [{"uri": {"prefix": "/"}}], "route": [{"destination": destination}], **usual, **expected}
    assert rule == whole
    assert problems(istio_objects(to_service(fields))) == []


def test_a_timeout_of_zero_is_none() -> None:
    """Istio takes no shorter one than a millisecond, and has none by itself."""
    [rule] = http(to_service("timeout: 0s, retries: {attempts: 1, perTryTimeout: 0s}"))
    assert "timeout" not in rule
    assert rule["retries"] == {"attempts": 1, "retryOn": "5xx"}


@pytest.mark.parametrize(("methods", "expected"), [("[GET]", {"exact": "GET"}), ("[GET, PUT]", {"regex": "GET|PUT"})])
def test_methods(methods: str, expected: Object) -> None:
    [rule] = http(routing(f"- {{match: {{methods: {methods}}}, to: {{service: web, port: 80}}}}"))
    assert rule["match"] == [{"uri": {"prefix": "/"}, "method": expected}]


def test_a_redirect_of_exact_paths_replaces_them() -> None:
    [rule] = http(routing("- {match: [{path: {exact: /a}}, {path: {exact: /b}}], redirect: {prefix: /c, status: 308}}"))
    assert rule == {
        "match": [{"uri": {"exact": "/a"}}, {"uri": {"exact": "/b"}}],
        "redirect": {"uri": "/c", "redirectCode": 308},
    }


# Hosts outside of the cluster, and functions


@pytest.mark.parametrize(
    ("to", "host", "port", "protocol", "names"),
    [
        ("{host: a.example.net}", "a.example.net", 443, "HTTPS", "front-a-example-net-443"),
        ("{host: a.example.net, port: 8443}", "a.example.net", 8443, "HTTPS", "front-a-example-net-8443"),
        ("{host: a.example.net, tls: false}", "a.example.net", 80, "HTTP", "front-a-example-net-80"),
        ("{function: {gcp: {host: a-uc.a.run.app}}}", "a-uc.a.run.app", 443, "HTTPS", "front-a-uc-a-run-app"),
        (
            "{function: {aws: {region: eu-west-1, function: thumbs, url: x.lambda-url.eu-west-1.on.aws}}}",
            "x.lambda-url.eu-west-1.on.aws",
            443,
            "HTTPS",
            "front-eu-west-1-thumbs",
        ),
        (
            "{function: {azure: {app: shop, function: resize, authLevel: Anonymous}}}",
            "shop.azurewebsites.net",
            443,
            "HTTPS",
            "front-shop-resize",
        ),
    ],
)
def test_a_host_outside_is_an_entry_of_the_registry(to: str, host: str, port: int, protocol: str, names: str) -> None:
    """It is verified, by the authorities of the system, where it speaks TLS; it sees its own Host."""
    text = routing(f"- {{to: {to}}}")
    alias = f"{host}.{protocol.lower()}-{port}.front.edge.outside.internal"
    assert specs(text, "ServiceEntry") == {
        names: {
            "hosts": [alias],
            "location": "MESH_EXTERNAL",
            "resolution": "DNS",
            "ports": [{"number": port, "name": protocol.lower(), "protocol": protocol}],
            "endpoints": [{"address": host}],
        }
    }
    tls = {"mode": "SIMPLE", "sni": host, "subjectAltNames": [host], "caCertificates": "system"}
    rules = {names: {"host": alias, "trafficPolicy": {"tls": tls}}} if protocol == "HTTPS" else {}
    assert specs(text, "DestinationRule") == rules
    [rule] = http(text)
    assert rule["route"] == [{"destination": {"host": alias, "port": {"number": port}}}]
    assert rule["rewrite"]["authority"] == host
    assert problems(istio_objects(text)) == []


def test_an_azure_function_has_a_path_of_its_own() -> None:
    to = "{function: {azure: {app: shop, function: resize, authLevel: Anonymous}}}"
    [rule] = http(routing(f"- {{match: {{path: {{prefix: /a}}}}, rewrite: {{prefix: /b}}, to: {to}}}"))
    assert rule["match"] == [{"uri": {"exact": "/a"}}, {"uri": {"prefix": "/a/"}}]
    assert rule["rewrite"] == {
        "uriRegexRewrite": {"match": "^/.*$", "rewrite": "/api/resize"},
        "authority": "shop.azurewebsites.net",
    }


def test_a_spread_over_the_only_azure_function() -> None:
    islands = "{eu: {implementation: app}, us: {implementation: app, state: drained}}"
    text = dsl(mixed(islands), routing("- {to: {spread: cart}}"))
    [rule] = http(text)
    assert rule["rewrite"] == {
        "uriRegexRewrite": {"match": "^/.*$", "rewrite": "/api/resize"},
        "authority": "app-eu.azurewebsites.net",
    }
    assert rule["route"][0]["destination"]["host"] == "front-cart-eu-http.edge.outside.internal"


def test_a_host_is_told_once() -> None:
    """However many routes and functions lead to it; another port is another entry."""
    azure = "{function: {azure: {app: shop, function: NAME, authLevel: Anonymous}}}"
    text = routing(
        f"""
        - {{match: {{path: {{exact: /a}}}}, to: {azure.replace("NAME", "a")}}}
        - {{match: {{path: {{exact: /b}}}}, to: {azure.replace("NAME", "b")}}}
        - {{match: {{path: {{exact: /c}}}}, to: {{host: shop.azurewebsites.net}}}}
        - {{to: {{host: shop.azurewebsites.net, port: 8443}}}}
        """
    )
    assert list(specs(text, "ServiceEntry")) == ["front-shop-a", "front-shop-azurewebsites-net-8443"]
    hosts = [rule["route"][0]["destination"]["host"] for rule in http(text)]
    assert hosts == [
        *["shop.azurewebsites.net.https-443.front.edge.outside.internal"] * 3,
        "shop.azurewebsites.net.https-8443.front.edge.outside.internal",
    ]


ISLANDS = """
{eu: {}, us: {implementation: vm}, ap: {implementation: run, weight: 2}, fn: {implementation: knative}}
"""


def test_each_of_several_destinations_sees_its_own_host() -> None:
    """The Host of the author is that of all."""
    expected = [
        ("front-cart-ap-http.edge.outside.internal", 443, 2, "ap.a.run.app"),
        ("cart-eu-web.shop.svc.cluster.local", 80, 1, ""),
        ("kourier-internal.kourier-system.svc.cluster.local", 80, 1, "hello.fn.svc.cluster.local"),
        ("front-cart-us-http.edge.outside.internal", 8443, 1, "us.example.net"),
    ]
    [rule, by_author] = http(
        mixed(ISLANDS),
        routing(
            """
            - {match: {path: {exact: /a}}, to: {spread: cart}}
            - {to: {spread: cart}, rewrite: {host: a.example.com}}
            """
        ),
    )
    assert "rewrite" not in rule
    assert rule["route"] == [
        {
            "destination": {"host": host, "port": {"number": port}},
            "weight": weight,
            **({"headers": {"request": {"set": {"Host": authority}}}} if authority else {}),
        }
        for host, port, weight, authority in expected
    ]
    assert by_author["rewrite"] == {"authority": "a.example.com"}
    assert all("headers" not in one for one in by_author["route"])


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("hello", "hello.shop"),
        ("fn/hello", "hello.fn"),
        ('"fn/{{ island.key }}"', "eu.fn"),
        ('"{{ island.key }}"', "eu.shop"),
    ],
)
def test_a_knative_service_is_asked_for_by_its_own_host(service: str, expected: str) -> None:
    """That of an island, too, of whose name the compiler knows a part only."""
    islands = mixed("{eu: {implementation: knative}}").replace("service: fn/hello", f"service: {service}")
    [rule] = http(islands, routing("- {to: {island: cart/eu}}"))
    assert rule["rewrite"] == {"authority": f"{expected}.svc.cluster.local"}


@pytest.mark.parametrize("delegation", ["none", "set", "island"])
def test_islands_that_are_answered_for_differently(delegation: str) -> None:
    islands = "{eu: {}, us: {implementation: vm}, app: {implementation: app}, old: {state: drained}}"
    each = '- {name: each, each: cart, match: {path: {prefix: "/{{ island.key }}"}}, rewrite: {prefix: /}}'
    text = dsl(mixed(islands), routing(each, f"delegation: {delegation}"))
    found = {rule["name"]: rule for rule in _rules(istio_objects(text)) if "name" in rule}
    assert {name.removeprefix("each-cart-"): rule.get("rewrite") for name, rule in found.items()} == {
        "app": {
            "uriRegexRewrite": {"match": "^/.*$", "rewrite": "/api/resize"},
            "authority": "app-app.azurewebsites.net",
        },
        "eu": {"uri": "/"},
        "old": None,
        "us": {"uri": "/", "authority": "us.example.net"},
    }
    assert found["each-cart-old"]["directResponse"] == {"status": 503}
    assert sorted(specs(text, "ServiceEntry")) == ["front-cart-app-http", "front-cart-us-http"]
    assert problems(istio_objects(text)) == []


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        ("http", {"front-cart-us-http": "HTTPS", "front-cart-old-http": "HTTP"}),
        ("grpc", {"front-cart-us-http": "HTTP2", "front-cart-old-http": "HTTP2"}),
    ],
)
def test_hosts_that_speak_http2(app: str, expected: dict[str, str]) -> None:
    islands = mixed("{us: {implementation: vm}, old: {implementation: old}}", app)
    text = dsl(islands, routing("- {to: {spread: cart}}"))
    ports = {name: spec["ports"][0] for name, spec in specs(text, "ServiceEntry").items()}
    assert {name: port["protocol"] for name, port in ports.items()} == expected
    assert list(specs(text, "DestinationRule")) == ["front-cart-us-http"]


# What Istio would refuse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            routing("- respond: 200", "istio: {mesh: true}", hosts='["*"]'),
            "R0708: the host `*` would be every host that the mesh calls",
        ),
        (
            routing("- respond: 200", "tls: {secret: other/shop-tls}", gateway="gateway: {create: {}}"),
            "R0708: Istio's proxy reads the Secrets of its own namespace, not of `other`",
        ),
        (
            routing("- respond: 200", "tls: {secret: a}", gateway="gateway: {namespace: ingress, create: {}}"),
            "R0708: Istio's proxy reads the Secrets of its own namespace, not of `edge`",
        ),
        (
            routing(
                "- respond: 200",
                "tls: {secret: a, redirect: true}",
                gateway="gateway: {create: {port: 80}}",
            ),
            "R0708: the port 80 of the Gateway is that of the redirect to https",
        ),
        (
            routing("- respond: 200", gateway="gateway: {name: a.b}"),
            "R0708: Istio takes no Gateway with dots in its name by a route: `a.b`",
        ),
        (to_service("timeout: 0.5ms"), "R0708: not in Istio: it counts time in whole milliseconds"),
        (
            to_service("retries: {attempts: 1, perTryTimeout: 1.2345s}"),
            "R0708: not in Istio: it counts time in whole milliseconds",
        ),
        (
            to_service("cors: {allowOrigins: ['*'], maxAge: 0s}"),
            "R0708: not in Istio: `maxAge` is at least a second",
        ),
        (
            to_service("cors: {allowOrigins: ['*'], allowMethods: [PURGE]}"),
            "R0708: not in Istio: `allowMethods` has no PURGE",
        ),
        (
            dsl(
                mixed(f"{{{'k' * 32}: {{implementation: vm}}}}"),
                routing("- {to: {spread: cart}}", name="r" * 30),
            ),
            f"R0506: `{'r' * 30}-cart-{'k' * 32}-http` has 73 characters; a part of a host in Istio has at most 63",
        ),
    ],
)
def test_what_istio_would_refuse(text: str, expected: str) -> None:
    assert told(text) == [expected]


def test_route_names_are_the_authors() -> None:
    each = '- {name: by-path, each: book, match: {path: {prefix: "/{{ island.key }}"}}}\n- {name: rest, respond: 404}'
    assert [rule["name"] for rule in http(WEB, BOOK, routing(each))] == ["by-path-book-eu", "by-path-book-us", "rest"]


def test_the_hosts_of_two_sets_are_told_apart() -> None:
    """What is written of their islands' hosts is word for word the same; the hosts are not."""
    paths = [
        f'- {{each: {name}, match: {{path: {{prefix: "/{name}/{{{{ island.key }}}}"}}}}}}' for name in ("cart", "book")
    ]
    of_each = {f"front-{name}-{key}-http" for name in ("cart", "book") for key in ("eu", "us")}
    for kind in ("ServiceEntry", "DestinationRule"):
        assert specs(both(*paths), kind).keys() == of_each
