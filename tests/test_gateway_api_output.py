"""What is written for Gateway API and kgateway, object by object: schemas and CEL rules, names, grants, limits."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import yaml
from envoy import Object
from envoy_gateway_api import check
from strict_schemas import needs_shared, problems

from replicator.pipeline import Built, Source, build

TYPE = """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: web}
spec:
  ports: {http: {unit: web, port: http}}
  units: {web: {image: registry.example.com/web, ports: {http: 80}}}
  implementations:
    vm: {external: {host: "{{ island.key }}.example.net", port: 443, tls: true}}
    lambda: {function: {aws: {region: eu-west-1, account: "123456789012", function: "f-{{ island.key }}"}}}
"""
TWO = "islands: {eu: {}, us: {weight: 3}}"


def island_set(islands: str = TWO, name: str = "cart", namespace: str = "shop") -> str:
    where = f", namespace: {namespace}" if namespace else ""
    return f"""
---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {{name: {name}{where}}}
spec: {{type: web, {islands}}}
"""


def routing(routes: str, *more: str, name: str = "front", flavor: str = "generic", **fields: str) -> str:
    spec = {"gateway": "{name: public}", "hosts": "[example.com]", **fields}
    text = "\n".join(f"  {field}: {value}" for field, value in spec.items() if value)
    return f"""
---
apiVersion: replicator.dev/v1alpha1
kind: Routing
metadata: {{name: {name}, namespace: edge}}
spec:
  provider: gateway-api
  gateway-api: {{flavor: {flavor}}}
{text}
  routes: [{routes}]
"""


def built(*documents: str) -> Built:
    return build([Source("dsl.yaml", "".join((TYPE, *documents)).encode())])


def compiled(*documents: str) -> list[Object]:
    made = built(*documents)
    assert [f"{one.code}: {one.message}" for one in made.diagnostics if one.severity == "error"] == []
    return list(yaml.load_all(b"".join(made.texts()), yaml.CSafeLoader))


def written(*documents: str) -> list[Object]:
    """The objects of the Routings, judged by the definitions of their kinds."""
    objects = [one for one in compiled(*documents) if "replicator.dev/routing" in one["metadata"].get("labels", {})]
    check(objects)
    assert problems(one for one in objects if one["apiVersion"] == "v1") == []
    return objects


def of_kind(kind: str, objects: Iterable[Object]) -> list[Object]:
    return [one for one in objects if one["kind"] == kind]


def named(objects: Iterable[Object]) -> list[str]:
    return [f"{one['kind']} {one['metadata']['namespace']}/{one['metadata']['name']}" for one in objects]


def rules(objects: Iterable[Object]) -> Iterator[Object]:
    for route in of_kind("HTTPRoute", objects):
        yield from route["spec"]["rules"]


def one_rule(fields: str, flavor: str = "generic") -> Object:
    (rule,) = rules(written(island_set(), routing(f"{{{fields}}}", flavor=flavor)))
    return rule


def errors(*documents: str) -> list[str]:
    return [one.code for one in built(*documents).diagnostics if one.severity == "error"]


pytestmark = needs_shared
TO = "to: {service: web, port: 80}"
BY_HEADER = '{name: by-header, each: cart, match: {headers: {x-island: "{{ island.key }}"}}}'


def test_a_whole_object() -> None:
    objects = written(
        island_set(),
        routing("{name: a, match: {path: {exact: /a}, headers: {X-V: '1'}, query: {q: '2'}}, to: {island: cart/eu}}"),
    )
    labels = {"app.kubernetes.io/managed-by": "replicator", "replicator.dev/routing": "front"}
    assert objects == [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "ReferenceGrant",
            "metadata": {"name": "edge-front", "namespace": "shop", "labels": labels},
            "spec": {
                "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "edge"}],
                "to": [{"group": "", "kind": "Service", "name": "cart-eu-web"}],
            },
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "front", "namespace": "edge", "labels": labels},
            "spec": {
                "parentRefs": [{"name": "public", "namespace": "edge"}],
                "hostnames": ["example.com"],
                "rules": [
                    {
                        "name": "a",
                        "matches": [
                            {
                                "path": {"type": "Exact", "value": "/a"},
                                "headers": [{"name": "x-v", "type": "Exact", "value": "1"}],
                                "queryParams": [{"name": "q", "type": "Exact", "value": "2"}],
                            }
                        ],
                        "backendRefs": [{"name": "cart-eu-web", "namespace": "shop", "port": 80}],
                        "timeouts": {"request": "15s"},
                    }
                ],
            },
        },
    ]


REWRITES = {
    "match: {path: {prefix: /a}}, rewrite: {prefix: /b}": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/b"},
    "match: {path: {exact: /a}}, rewrite: {prefix: /b}": {"type": "ReplaceFullPath", "replaceFullPath": "/b"},
    "rewrite: {prefix: /b}": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/b/"},
}


@pytest.mark.parametrize("fields", REWRITES)
def test_a_path_is_rewritten(fields: str) -> None:
    (one,) = one_rule(f"{fields}, {TO}")["filters"]
    assert one == {"type": "URLRewrite", "urlRewrite": {"path": REWRITES[fields]}}


def test_a_rule_is_split_where_its_matches_are_rewritten_differently() -> None:
    matches = "match: [{path: {prefix: /a}, methods: [GET, PUT]}, {path: {exact: /b}}, {path: {exact: /c}}]"
    found = list(rules(written(routing(f"{{name: a, {matches}, rewrite: {{prefix: /}}, {TO}}}"))))
    assert [[match["path"]["value"] for match in rule["matches"]] for rule in found] == [["/a"], ["/a"], ["/b", "/c"]]
    assert all("name" not in rule for rule in found)


FILTERS: dict[str, Any] = {
    "rewrite: {host: in.example.net}": {"urlRewrite": {"hostname": "in.example.net"}},
    "headers: {request: {set: {X-A: '1%'}, add: {x-b: '2'}, remove: [x-c]}}": {
        "requestHeaderModifier": {
            "set": [{"name": "x-a", "value": "1%"}],
            "add": [{"name": "x-b", "value": "2"}],
            "remove": ["x-c"],
        }
    },
    "headers: {response: {remove: [x-c]}}": {"responseHeaderModifier": {"remove": ["x-c"]}},
    "mirror: {service: shadow, port: 80}": {
        "requestMirror": {"backendRef": {"name": "shadow", "namespace": "edge", "port": 80}}
    },
    "mirror: {service: shadow, port: 80, percent: 5}": {
        "requestMirror": {"backendRef": {"name": "shadow", "namespace": "edge", "port": 80}, "percent": 5}
    },
    "mirror: {service: shadow, port: 80, percent: 0.25}": {
        "requestMirror": {
            "backendRef": {"name": "shadow", "namespace": "edge", "port": 80},
            "fraction": {"numerator": 25, "denominator": 10000},
        }
    },
    "cors: {allowOrigins: ['https://a.example.com'], maxAge: 2m, allowCredentials: true}": {
        "cors": {"allowOrigins": ["https://a.example.com"], "maxAge": 120, "allowCredentials": True}
    },
}


@pytest.mark.parametrize("fields", FILTERS)
def test_filters(fields: str) -> None:
    (one,) = one_rule(f"{TO}, {fields}")["filters"]
    del one["type"]
    assert one == FILTERS[fields]


@pytest.mark.parametrize(
    ("written_as", "expected"),
    [("0s", "0s"), ("90s", "90s"), ("1.5s", "1s500ms"), ("500ms", "500ms"), ("2m", "120s"), ("48h1m1s", "48h1m1s")],
)
def test_timeouts(written_as: str, expected: str) -> None:
    assert one_rule(f"{TO}, timeout: {written_as}")["timeouts"] == {"request": expected}


@pytest.mark.parametrize("duration", ["0.0001s", "100000h"])
def test_a_timeout_that_cannot_be_said(duration: str) -> None:
    assert errors(routing(f"{{{TO}, timeout: {duration}}}")) == ["R0706"]


def test_a_redirect() -> None:
    rule = one_rule(
        "match: {path: {prefix: /a}}, redirect: {scheme: https, host: n.example.com, prefix: /b, status: 307}"
    )
    assert rule["filters"] == [
        {
            "type": "RequestRedirect",
            "requestRedirect": {
                "scheme": "https",
                "hostname": "n.example.com",
                "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/b"},
                "statusCode": 307,
            },
        }
    ]
    assert rule.keys() == {"matches", "filters"}


def test_weights() -> None:
    refs = one_rule("to: {spread: cart}")["backendRefs"]
    assert [(one["name"], one["weight"]) for one in refs] == [("cart-eu-web", 1), ("cart-us-web", 3)]


def test_any_host_has_no_hostnames() -> None:
    (route,) = written(routing(f"{{{TO}}}", hosts="['*']"))
    assert "hostnames" not in route["spec"]


def test_a_listener_is_named() -> None:
    (route,) = written(routing(f"{{{TO}}}", gateway="{name: public, namespace: gateways, section: https}"))
    assert route["spec"]["parentRefs"] == [{"name": "public", "namespace": "gateways", "sectionName": "https"}]


# Many rules


def test_rules_are_spread_over_routes_that_are_named_after_their_first() -> None:
    objects = written(
        island_set("replicas: 20"),
        routing(f"{BY_HEADER}, {{name: health, match: {{path: {{exact: /healthz}}}}, {TO}}}, {{name: rest, {TO}}}"),
    )
    routes = of_kind("HTTPRoute", objects)
    assert {one["metadata"]["name"]: len(one["spec"]["rules"]) for one in routes} == {
        "front": 16,
        "front-by-header-cart-16": 6,
    }
    assert [rule["name"] for rule in routes[1]["spec"]["rules"]][3:] == ["by-header-cart-19", "health", "rest"]


def test_a_route_that_begins_an_object_needs_a_name() -> None:
    no_name = BY_HEADER.replace("name: by-header, ", "")
    assert errors(island_set("replicas: 20"), routing(no_name)) == ["R0202"]


def test_rules_of_one_name() -> None:
    exact = f"{{name: by-header-cart-eu, match: {{path: {{exact: /a}}}}, {TO}}}"
    assert errors(island_set(), routing(f"{BY_HEADER}, {exact}")) == ["R0707"]
    assert errors(island_set(), routing(f"{BY_HEADER}, {exact.replace('cart-eu', 'cart-ap')}")) == []


def test_matches_are_counted_too() -> None:
    paths = ", ".join(f"{{path: {{exact: /{number}}}}}" for number in range(60))
    routes = ", ".join(f"{{name: r{n}, match: [{paths.replace('/', f'/{n}/')}], {TO}}}" for n in range(3))
    found = of_kind("HTTPRoute", written(routing(routes)))
    assert {one["metadata"]["name"]: len(one["spec"]["rules"]) for one in found} == {"front": 2, "front-r2": 1}


@pytest.mark.parametrize(
    ("delegation", "expected"),
    [
        ("none", ["front", "front-by-header-cart-14"]),
        ("set", ["front", "front-by-header", "front-by-header-cart-16"]),
        ("island", ["front", *(f"front-by-header-cart-{number}" for number in range(20))]),
    ],
)
def test_delegation(delegation: str, expected: list[str]) -> None:
    routes = f"{{name: a, match: {{path: {{exact: /a}}}}, {TO}}}, {{name: b, match: {{path: {{exact: /b}}}}, {TO}}}"
    objects = written(island_set("replicas: 20"), routing(f"{routes}, {BY_HEADER}", delegation=delegation))
    assert sorted(one["metadata"]["name"] for one in of_kind("HTTPRoute", objects)) == sorted(expected)


def test_a_virtual_host_for_each_island() -> None:
    islands = "islands: {eu: {}, us: {state: drained}, ap: {implementation: vm}}"
    objects = written(
        island_set(islands),
        routing(
            "{name: old, match: {path: {prefix: /old}}, redirect: {path: /new}},"
            " {name: rest, match: {path: {prefix: /}}}",
            flavor="kgateway",
            each="cart",
            hosts="['{{ island.key }}.example.com']",
        ),
    )
    routes = {one["metadata"]["name"]: one["spec"] for one in of_kind("HTTPRoute", objects)}
    assert {name: spec["hostnames"] for name, spec in routes.items()} == {
        f"front-cart-{key}": [f"{key}.example.com"] for key in ("ap", "eu", "us")
    }
    last = {name: spec["rules"][1] for name, spec in routes.items()}
    assert last["front-cart-eu"]["backendRefs"][0]["name"] == "cart-eu-web"
    assert last["front-cart-ap"]["backendRefs"][0]["kind"] == "Backend"
    assert last["front-cart-us"]["filters"][0]["extensionRef"]["kind"] == "DirectResponse"


# Grants


def test_services_of_others_are_granted_by_name_while_they_are_few() -> None:
    few = of_kind("ReferenceGrant", written(island_set("replicas: 16"), routing(BY_HEADER)))
    assert [item["name"] for item in few[0]["spec"]["to"]] == [f"cart-{number}-web" for number in range(16)]
    many = of_kind("ReferenceGrant", written(island_set("replicas: 17"), routing(BY_HEADER)))
    assert many[0]["spec"]["to"] == [{"group": "", "kind": "Service"}]


def test_a_grant_in_each_namespace_of_its_own() -> None:
    objects = written(island_set(f"scope: namespace, {TWO}", namespace=""), routing(BY_HEADER))
    assert named(of_kind("ReferenceGrant", objects)) == [
        "ReferenceGrant cart-eu/edge-front",
        "ReferenceGrant cart-us/edge-front",
    ]


def test_one_grant_in_a_namespace_whatever_routes_lead_into_it() -> None:
    """A namespace holds an island and those inside it; one grant serves routes to any of them."""
    outer = """
---
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: region}
spec:
  ports: {http: {unit: desk, port: http}}
  units: {desk: {image: registry.example.com/desk, ports: {http: 80}}}
  sets: {cell: {type: web, islands: {a: {}, b: {}}}}
  implementations:
    vm: {external: {host: region.example.net, port: 443, tls: true}}
"""
    islands = "scope: namespace, islands: {eu: {}, us: {}, vm: {implementation: vm}}"
    world = island_set(islands, "world", "").replace("type: web", "type: region")
    cells = '{name: cell, each: world/cell, match: {headers: {x-cell: "{{ island.name }}"}}}'
    regions = '{name: region, each: world, match: {headers: {x-region: "{{ island.key }}"}}}'
    one = "{name: one, match: {path: {prefix: /one}}, to: {island: world/eu/cell/a}}"
    for routes in (cells, f"{cells}, {regions}", f"{one}, {cells}", f"{one}, {regions}"):
        grants = named(of_kind("ReferenceGrant", written(outer, world, routing(routes))))
        assert grants == ["ReferenceGrant world-eu/edge-front", "ReferenceGrant world-us/edge-front"], routes


def test_no_grant_is_needed_at_home() -> None:
    assert named(written(island_set(namespace="edge"), routing(BY_HEADER))) == ["HTTPRoute edge/front"]


def test_grants_of_two_routings_do_not_clash() -> None:
    objects = written(
        island_set(),
        routing(BY_HEADER, name="a", hosts="[a.example.com]"),
        routing(BY_HEADER, name="b", hosts="[b.example.com]"),
    )
    assert named(of_kind("ReferenceGrant", objects)) == [
        "ReferenceGrant shop/edge-a",
        "ReferenceGrant shop/edge-b",
    ]


# Outside of the cluster


@pytest.mark.parametrize("flavor", ["generic", "kgateway"])
def test_hosts_outside(flavor: str) -> None:
    routes = (
        "{name: a, match: {path: {prefix: /a}}, to: {host: a.example.net}},"
        "{name: b, to: {host: b.example.net, tls: false, port: 8080}}"
    )
    objects = written(routing(routes, flavor=flavor))
    kind = "Backend" if flavor == "kgateway" else "Service"
    assert sorted(named(objects)) == sorted(
        [
            f"{kind} edge/front-a-example-net-443",
            f"{kind} edge/front-b-example-net-8080",
            "BackendTLSPolicy edge/front-a-example-net-443",
            "HTTPRoute edge/front",
        ]
    )
    first, second = rules(objects)
    assert [rule["filters"][0]["urlRewrite"]["hostname"] for rule in (first, second)] == [
        "a.example.net",
        "b.example.net",
    ]
    (ref,) = first["backendRefs"]
    assert ("port" in ref) is (flavor == "generic")
    (policy,) = of_kind("BackendTLSPolicy", objects)
    assert policy["spec"]["validation"] == {"hostname": "a.example.net", "wellKnownCACertificates": "System"}


FUNCTIONS = {
    "{azure: {app: app, function: thumb, authLevel: Anonymous}}": {
        "hostname": "app.azurewebsites.net",
        "path": {"type": "ReplaceFullPath", "replaceFullPath": "/api/thumb"},
    },
    "{gcp: {host: hello-abc.a.run.app}}": {"hostname": "hello-abc.a.run.app"},
    "{aws: {region: eu-west-1, function: f, url: x.lambda-url.eu-west-1.on.aws}}": {
        "hostname": "x.lambda-url.eu-west-1.on.aws"
    },
    "{knative: {service: fn/hello}}": {"hostname": "hello.fn.svc.cluster.local"},
}


@pytest.mark.parametrize("flavor", ["generic", "kgateway"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_by_their_host(function: str, flavor: str) -> None:
    rule = one_rule(f"to: {{function: {function}}}", flavor)
    assert rule["filters"] == [{"type": "URLRewrite", "urlRewrite": FUNCTIONS[function]}]


def test_a_lambda_function_is_invoked_by_kgateway() -> None:
    call = (
        "{region: eu-west-1, account: '123456789012', function: f, qualifier: live, secret: creds, invocation: async}"
    )
    backend, route = written(routing(f"{{to: {{function: {{aws: {call}}}}}}}", flavor="kgateway"))
    assert backend["spec"] == {
        "aws": {
            "region": "eu-west-1",
            "accountId": "123456789012",
            "auth": {"type": "Secret", "secretRef": {"name": "creds"}},
            "lambda": {"functionName": "f", "invocationMode": "Async", "qualifier": "live"},
        }
    }
    (rule,) = route["spec"]["rules"]
    assert "filters" not in rule
    assert rule["backendRefs"] == [
        {"group": "gateway.kgateway.dev", "kind": "Backend", "name": backend["metadata"]["name"], "namespace": "edge"}
    ]


def test_a_secret_of_another_namespace_is_out_of_reach() -> None:
    call = "{region: eu-west-1, account: '123456789012', function: f, secret: other/creds}"
    assert errors(routing(f"{{to: {{function: {{aws: {call}}}}}}}", flavor="kgateway")) == ["R0708"]


# What kgateway adds


def test_fixed_answers() -> None:
    islands = "islands: {eu: {}, us: {state: drained}}, drained: {status: 503, body: moved}"
    objects = written(
        island_set(islands),
        routing(f"{BY_HEADER}, {{name: none, respond: {{status: 421, body: away}}}}", flavor="kgateway"),
    )
    answers = {one["metadata"]["name"]: one["spec"] for one in of_kind("DirectResponse", objects)}
    assert answers == {
        "front-by-header-drained-503": {"status": 503, "body": "moved"},
        "front-none-421": {"status": 421, "body": "away"},
    }


def test_an_answer_that_names_the_island() -> None:
    route = (
        '{name: who, each: cart, match: {path: {exact: "/{{ island.key }}"}},'
        ' respond: {status: 200, body: "this is {{ island.key }}"}}'
    )
    objects = written(island_set(), routing(route, flavor="kgateway"))
    answers = {one["metadata"]["name"]: one["spec"]["body"] for one in of_kind("DirectResponse", objects)}
    assert answers == {"front-who-200-cart-eu": "this is eu", "front-who-200-cart-us": "this is us"}
    used = [rule["filters"][0]["extensionRef"]["name"] for rule in rules(objects)]
    assert used == list(answers)


def test_retries_and_faults() -> None:
    more = "retries: {attempts: 2, perTryTimeout: 1.5s}, fault: {abort: {status: 503, percent: 5}}"
    policy, _ = written(routing(f"{{name: a, {TO}, {more}}}", flavor="kgateway"))
    assert policy["metadata"]["name"] == "front-a"
    assert policy["spec"] == {
        "retry": {"retryOn": ["5xx"], "attempts": 2, "perTryTimeout": "1s500ms"},
        "faultInjection": {"abort": {"httpStatus": 503, "percentage": 5}},
    }


def test_the_host_follows_the_destination() -> None:
    objects = written(
        island_set("islands: {eu: {}, vm: {implementation: vm}}"), routing("{to: {spread: cart}}", flavor="kgateway")
    )
    (policy,) = of_kind("TrafficPolicy", objects)
    assert policy["spec"] == {"autoHostRewrite": True}
    (rule,) = rules(objects)
    assert [one["type"] for one in rule["filters"]] == ["ExtensionRef"]


# Gateways


def test_a_gateway_is_made() -> None:
    objects = written(
        routing(
            f"{{{TO}}}",
            gateway="{name: public, namespace: gateways, create: {class: envoy}}",
            tls="{secret: certificates/shop-tls, redirect: true}",
        )
    )
    assert named(objects) == [
        "ReferenceGrant certificates/edge-front-tls",
        "Gateway gateways/public",
        "HTTPRoute edge/front",
        "HTTPRoute edge/front-redirect",
    ]
    _, gateway, route, redirect = (one["spec"] for one in objects)
    selector = {"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}}
    plain = {"name": "http", "hostname": "example.com", "port": 80, "protocol": "HTTP"}
    reference = {"group": "", "kind": "Secret", "name": "shop-tls", "namespace": "certificates"}
    assert gateway == {
        "gatewayClassName": "envoy",
        "listeners": [
            {**plain, "allowedRoutes": {"namespaces": selector}},
            {
                "name": "https",
                "hostname": "example.com",
                "port": 443,
                "protocol": "HTTPS",
                "tls": {"mode": "Terminate", "certificateRefs": [reference]},
                "allowedRoutes": {"namespaces": selector},
            },
        ],
    }
    assert route["parentRefs"] == [{"name": "public", "namespace": "gateways", "sectionName": "https"}]
    assert redirect["parentRefs"] == [{"name": "public", "namespace": "gateways", "sectionName": "http"}]
    assert redirect["rules"][0]["filters"] == [
        {"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}
    ]


def test_a_gateway_is_made_once() -> None:
    created = "{name: public, create: {class: envoy}}"
    documents = (
        routing(f"{{{TO}}}", name="a", hosts="[a.example.com]", gateway=created),
        routing(f"{{{TO}}}", name="b", hosts="[b.example.com]", gateway=created),
    )
    assert errors(*documents) == ["R0507"]


# Limits


LONG = "x" * 1100
PREFIXES = ", ".join(f"{{path: {{prefix: /{number}}}}}" for number in range(17))
LIMITS = {
    "a path": (f"{{match: {{path: {{prefix: /{LONG}}}}}, {TO}}}", "R0706"),
    "a query parameter": (f"{{match: {{query: {{q: {LONG}}}}}, {TO}}}", "R0706"),
    "a header": (f"{{match: {{headers: {{x: {'y' * 4097}}}}}, {TO}}}", "R0706"),
    "the name of a query parameter": (f"{{match: {{query: {{'a[]': x}}}}, {TO}}}", "R0708"),
    "too many headers": (
        f"{{match: {{headers: {{{', '.join(f'x{number}: z' for number in range(17))}}}}}, {TO}}}",
        "R0713",
    ),
    "a weight": ("{to: [{service: a, port: 80, weight: 1000000}, {island: cart/us, weight: 1}]}", ""),
    "an origin beside any": (f"{{{TO}, cors: {{allowOrigins: ['*', 'https://a.example.com']}}}}", "R0708"),
    "a rewritten host with a port": (f"{{{TO}, rewrite: {{host: 'a.example.com:8080'}}}}", "R0708"),
    "the name of a rule": (f"{{name: My Rule, {TO}}}", "R0304"),
    "matches": (
        f"{{match: [{', '.join(f'{{path: {{exact: /{number}}}}}' for number in range(65))}], {TO}}}",
        "R0713",
    ),
    "rules of a route": (f"{{match: [{PREFIXES}], rewrite: {{prefix: /}}, {TO}}}", "R0713"),
}


@pytest.mark.parametrize(("routes", "code"), LIMITS.values(), ids=list(LIMITS))
def test_limits(routes: str, code: str) -> None:
    assert errors(island_set(), routing(routes)) == ([code] if code else [])


@pytest.mark.parametrize(
    ("route", "codes"),
    [
        (f"match: {{path: {{prefix: /a+b}}}}, rewrite: {{prefix: /}}, {TO}", ["R0708"]),
        (f"match: {{path: {{prefix: /a+b}}}}, rewrite: {{prefix: /c}}, {TO}", []),
        ("match: {path: {prefix: /a}}, redirect: {prefix: /}", ["R0708"]),
        ("match: {path: {exact: /a}}, redirect: {prefix: /}", []),
        ("match: {path: {prefix: /}}, redirect: {prefix: /, port: 8443}", []),
    ],
)
def test_prefixes_that_kgateway_cannot_replace(route: str, codes: list[str]) -> None:
    assert errors(island_set(), routing(f"{{{route}}}", flavor="kgateway")) == codes
    assert errors(island_set(), routing(f"{{{route}}}")) == []


def test_a_path_that_is_too_long_for_one_island() -> None:
    part = f"{{{{ island.key | replace('us', '{'x' * 200}') }}}}"
    path = f"/{{{{ island.key }}}}/{part * 6}"
    (problem,) = built(
        island_set(), routing(f'{{name: a, each: cart, match: {{path: {{prefix: "{path}"}}}}}}')
    ).diagnostics
    assert (problem.code, problem.island) == ("R0706", "cart/us")
    assert problem.place is not None


def test_the_name_of_an_object_that_is_too_long() -> None:
    islands = "islands: {eu: {implementation: vm}}"
    assert errors(island_set(islands), routing(BY_HEADER, name="f" * 60)) == ["R0506", "R0506"]


DRAINING = "islands: {eu: {state: draining}}"
ZERO = "islands: {eu: {weight: 0}}"
LONG = "e" * 300


@pytest.mark.parametrize(
    ("routes", "islands", "flavor", "hint"),
    [
        ("{to: {spread: cart}}", DRAINING, "generic", "say state: active for an island, or leave the route out"),
        (
            "{to: [{island: cart/eu}, {island: cart/eu}]}",
            DRAINING,
            "generic",
            "say state: active for an island, or lea",
        ),
        ("{to: {spread: cart}}", "islands: {}", "generic", "give the Set an island, or leave the route out"),
        ("{to: {spread: cart}}", ZERO, "generic", "give an island a `weight`"),
        ("{to: [{island: cart/eu, weight: 0}]}", TWO, "generic", "give one a `weight`"),
        (f"{{name: {LONG}, to: {{island: cart/eu}}}}", TWO, "generic", "a-z, 0-9 and `-`, 253 characters at most"),
        (
            "{to: {spread: cart}, fault: {abort: {status: 503}}}",
            TWO,
            "generic",
            "flavor: kgateway; provider gloo or is",
        ),
        ("{to: {spread: cart}, fault: {abort: {status: 503, percent: 10.5}}}", TWO, "kgateway", "percent: 10"),
        ("{to: {spread: cart}, fault: {delay: {duration: 1s, percent: 0.2}}}", TWO, "kgateway", "percent: 1"),
        ("{to: {spread: cart}}", "replicas: 17", "generic", "name 16 islands at most in `to`; provider gloo or istio"),
    ],
)
def test_a_refusal_says_what_to_do(routes: str, islands: str, flavor: str, hint: str) -> None:
    made = built(island_set(islands), routing(routes, flavor=flavor))
    [told] = [one.hint for one in made.diagnostics if one.severity == "error"]
    assert told is not None
    assert told.startswith(hint)


def test_a_text_outside_of_each_names_no_island() -> None:
    key = "{{ island.key }}"
    made = built(island_set(), routing("{to: {spread: cart}}", hosts=f'["{key}.example.com"]'))
    [told] = [(one.code, one.hint) for one in made.diagnostics]
    assert told == ("R0402", "each: SET, on the route or on the whole Routing, is for each island")
    compiled(island_set(), routing("{name: all}", each="cart", hosts=f'["{key}.example.com"]'))


def test_the_answers_for_the_islands_of_two_sets_are_told_apart() -> None:
    """The words are the same, but not the islands whose names are put into them."""
    key = "{{ island.key }}"
    answer = f'respond: {{status: 200, body: "I am {key}"}}'
    routes = [f'{{each: {name}, match: {{headers: {{x-{name}: "{key}"}}}}, {answer}}}' for name in ("cart", "book")]
    objects = written(island_set(), island_set(name="book"), routing(", ".join(routes), flavor="kgateway"))
    answers = {one["metadata"]["name"] for one in of_kind("DirectResponse", objects)}
    assert answers == {f"front-200-{name}-{key}" for name in ("cart", "book") for key in ("eu", "us")}
    used = {one["filters"][0]["extensionRef"]["name"] for one in rules(objects)}
    assert used == answers
