"""Hosts and functions that routes lead to: their objects, the names of these, and what no such object can be."""

import pytest
from test_gloo_output import gloo_objects, named, of_kind, routes
from test_routing_envoy import STRAIGHT, compile_text, compiled, dsl, island_set, routing

from replicator.layout import files

WITH_FUNCTIONS = """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: web}
spec:
  ports: {http: {unit: web, port: http}}
  units: {web: {image: registry.example.com/web, ports: {http: 80}}}
  implementations:
    lambda: {function: {aws: {region: eu-west-1, function: "Cart_{{ island.key }}", qualifier: prod, secret: aws}}}
    azure: {function: {azure: {app: "app-{{ island.key }}", function: thumb, secret: keys/azure}}}
    run: {function: {gcp: {host: "{{ island.key }}.a.run.app"}}}
    knative: {function: {knative: {service: "cart-{{ island.key }}"}}}
    other: {function: {knative: {service: "{{ island.key }}-fn/cart", ingress: istio-system/local, port: 8080}}}
"""
KEYS = "eu: {}, " + ", ".join(f"{name}: {{implementation: {name}}}" for name in ("lambda", "azure", "run"))
KNATIVE = "knative: {implementation: knative}, other: {implementation: other}"
EACH = '- {each: cart, match: {path: {exact: "/{{ island.key }}"}}}'


def to(destination: str, match: str = "") -> str:
    return f"- {{to: {destination}{f', match: {match}' if match else ''}}}"


def told(text: str) -> list[str]:
    return [f"{one.code}: {one.message}" for one in compile_text(text).diagnostics]


def test_islands_that_are_functions() -> None:
    """They have no objects of their own, and an Upstream each."""
    objects = compiled(dsl(WITH_FUNCTIONS, island_set("cart", f"islands: {{{KEYS}, {KNATIVE}}}"), routing(EACH)))
    own = [item["metadata"]["labels"] for item in objects if "replicator.dev/routing" not in item["metadata"]["labels"]]
    assert {labels["replicator.dev/island"] for labels in own} == {"cart-eu"}
    assert {item["metadata"]["name"]: item["spec"] for item in of_kind("Upstream", objects)} == {
        "front-cart-eu-http": {
            "kube": {"serviceName": "cart-eu-web", "serviceNamespace": "shop", "servicePort": 80},
        },
        "front-cart-lambda-http": {
            "aws": {
                "region": "eu-west-1",
                "secretRef": {"name": "aws", "namespace": "edge"},
                "lambdaFunctions": [
                    {"logicalName": "Cart_lambda", "lambdaFunctionName": "Cart_lambda", "qualifier": "prod"}
                ],
            }
        },
        "front-cart-azure-http": {
            "azure": {
                "functionAppName": "app-azure",
                "secretRef": {"name": "azure", "namespace": "keys"},
                "functions": [{"functionName": "thumb", "authLevel": "Function"}],
            }
        },
        "front-cart-run-http": {
            "sslConfig": {
                "sni": "run.a.run.app",
                "sslFiles": {"rootCa": "/etc/ssl/certs/ca-certificates.crt"},
                "verifySubjectAltName": ["run.a.run.app"],
            },
            "static": {"useTls": True, "hosts": [{"addr": "run.a.run.app", "port": 443}]},
        },
        "front-cart-knative-http": {
            "kube": {"serviceName": "kourier-internal", "serviceNamespace": "kourier-system", "servicePort": 80},
        },
        "front-cart-other-http": {
            "kube": {"serviceName": "local", "serviceNamespace": "istio-system", "servicePort": 8080},
        },
    }
    hosts = {route["matchers"][0]["exact"]: route["options"].get("hostRewrite", "") for route in routes(objects)}
    assert hosts["/knative"] == "cart-knative.shop.svc.cluster.local"  # in the island's namespace, for it names none
    assert hosts["/other"] == "cart.other-fn.svc.cluster.local"


@pytest.mark.parametrize(
    ("destinations", "expected"),
    [
        # What an author tells apart is apart: the same name in another region, and in another Function App.
        (
            [f"{{function: {{aws: {{region: {region}, function: Thumbs}}}}}}" for region in ("eu-west-1", "us-east-1")],
            ["front-eu-west-1-thumbs", "front-us-east-1-thumbs"],
        ),
        (
            [f"{{function: {{azure: {{app: {app}, function: f, authLevel: Anonymous}}}}}}" for app in ("a", "b")],
            ["front-a-f", "front-b-f"],
        ),
        (
            [f"{{function: {{aws: {{region: r, function: f, qualifier: {of}}}}}}}" for of in ("$LATEST", "V_1")],
            ["front-r-f-latest", "front-r-f-v-1"],
        ),
        (
            ["{host: a.example.net}", "{host: a.example.net, port: 8443}"],
            ["front-a-example-net-443", "front-a-example-net-8443"],
        ),
        (["{host: a.example.net}", "{host: a.example.net, port: 443}"], ["front-a-example-net-443"]),
    ],
)
def test_names_of_what_is_no_island(destinations: list[str], expected: list[str]) -> None:
    text = dsl(routing("\n".join(to(one, f"{{path: {{exact: /{at}}}}}") for at, one in enumerate(destinations))))
    assert named(text) == [f"edge/{name}" for name in (*expected, "front")]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{host: a.b.example.net}", "{host: a-b.example.net}"),
        ("{function: {aws: {region: r, function: Thumbs}}}", "{function: {aws: {region: r, function: thumbs}}}"),
        (
            "{function: {aws: {region: r, function: f}}}",
            "{function: {aws: {region: r, function: f, invocation: async}}}",
        ),
        (
            "{function: {azure: {app: a, function: f, secret: k}}}",
            "{function: {azure: {app: a, function: f, authLevel: Admin, secret: k}}}",
        ),
    ],
)
def test_two_of_one_name_are_never_mixed_up(first: str, second: str) -> None:
    """Rather no output than one that leads to another function than the author's."""
    [found] = told(dsl(routing(f"{to(first, '{path: {exact: /a}}')}\n{to(second)}")))
    assert found.startswith("R0507")


def test_two_of_one_name_for_each_island() -> None:
    each = "- {each: cart, match: {path: {exact: '/NUMBER/{{ island.key }}'}}, to: {host: '{{ island.NAME }}.net'}}"
    both = [each.replace("NUMBER", name).replace("NAME", name) for name in ("key", "name")]
    text = dsl(WITH_FUNCTIONS, island_set("cart", "islands: {eu: {}}"), routing("\n".join(both)))
    assert [found[:5] for found in told(text)] == ["R0507"]
    assert len(named(text.replace("/key/", "/x/").replace("island.key }}.net", "island.name }}.net"))) == 2


def test_an_island_keeps_its_upstream_beside_a_spread_that_leaves_it_out() -> None:
    islands = island_set("cart", "islands: {eu: {}, ap: {implementation: lambda, state: draining}}")
    text = dsl(
        WITH_FUNCTIONS, islands, routing(f"{to('{island: cart/ap}', '{path: {exact: /}}')}\n{to('{spread: cart}')}")
    )
    built = compile_text(text)
    assert [(one.code, one.severity) for one in built.diagnostics] == [("R0709", "warning")]
    written = b"".join(built.texts()).decode()
    assert "name: front-cart-ap-http\n  namespace: edge\n  labels:" in written


def test_what_is_mirrored_to_has_an_upstream_even_straight_to_services() -> None:
    each = EACH.replace("}}}", "}}, mirror: {island: cart/eu}}").replace('"}, mirror', '"}}, mirror')
    text = dsl(WITH_FUNCTIONS, island_set("cart", "islands: {eu: {}, us: {}}"), routing(each, gloo=STRAIGHT))
    assert named(text) == ["edge/front-cart-eu-http", "edge/front"]


def test_straight_to_services_and_to_what_has_none() -> None:
    text = dsl(WITH_FUNCTIONS, island_set("cart", f"islands: {{{KEYS}, {KNATIVE}}}"), routing(EACH, gloo=STRAIGHT))
    objects = gloo_objects(text)
    reached = {route["matchers"][0]["exact"]: next(iter(route["routeAction"]["single"])) for route in routes(objects)}
    assert reached == {
        **dict.fromkeys(("/eu", "/knative", "/other"), "kube"),
        **dict.fromkeys(("/azure", "/lambda", "/run"), "upstream"),
    }
    assert len(of_kind("Upstream", objects)) == 3


LONG = ".".join(["a" * 60] * 4)

ILLEGAL = {
    "{function: {aws: {region: r, function: Über}}}": "R0304",
    "{function: {aws: {region: r, function: 'a b'}}}": "R0304",
    f"{{function: {{aws: {{region: r, function: {'x' * 65}}}}}}}": "R0304",
    "{function: {aws: {region: r, function: 'arn:aws:lambda:r:1:function:f'}}}": "R0304",
    "{function: {aws: {region: r_1, function: f}}}": "R0304",
    "{function: {aws: {region: R, function: f}}}": "R0304",
    "{function: {aws: {region: r, function: f, role: admin}}}": "R0304",
    "{function: {aws: {region: r, function: f, qualifier: a.b}}}": "R0304",
    "{function: {aws: {region: r, function: f, url: 'https://f.example.net'}}}": "R0304",
    "{function: {azure: {app: a.azurewebsites.net, function: f}}}": "R0304",
    "{function: {azure: {app: a, function: 1f}}}": "R0304",
    "{function: {gcp: {host: 'https://a.run.app'}}}": "R0304",
    "{function: {knative: {service: a/b/c}}}": "R0304",
    "{function: {knative: {service: A}}}": "R0304",
    "{function: {knative: {service: B/a}}}": "R0304",
    "{function: {knative: {service: a, ingress: b}}}": "R0304",
    "{host: 'https://example.net'}": "R0304",
    "{host: 10.0.0.1}": "R0304",
    "{host: example.net, port: 0}": "R0303",
    "{host: example.net, port: http}": "R0303",
    f"{{host: {LONG}}}": "R0506",
    "{function: {ibm: {}}}": "R0203",
    "{function: {}}": "R0205",
    "{function: {aws: {region: r, function: f}, gcp: {host: a.net}}}": "R0205",
    "{function: {aws: {region: r, function: f}}, host: a.net}": "R0205",
    "{function: {aws: {region: r, function: f}}, port: 80}": "R0205",
    "{function: {aws: {region: r, function: f}}, tls: true}": "R0205",
    "{function: {aws: {region: '{{ params.missing }}', function: f}}}": "R0402",
    "{function: {aws: {region: r, function: f, role: 'arn:{{ 1 }}'}}}": "R0406",
    "{function: {azure: {app: a, function: f, secret: '{{ 1 }}'}}}": "R0406",
}


@pytest.mark.parametrize(("destination", "code"), ILLEGAL.items())
def test_what_no_function_or_host_is_called(destination: str, code: str) -> None:
    name = "routes-of-a-very-long-name" if destination == f"{{host: {LONG}}}" else "front"
    [found] = compile_text(dsl(routing(to(destination), name))).diagnostics
    assert found.code == code
    assert found.place is not None


@pytest.mark.parametrize(
    ("implementation", "code"),
    [
        ('lambda: {function: {aws: {region: r, function: "{{ island.key }}.x"}}}', "R0304"),
        ("lambda: {function: {aws: {region: r, function: a.x}}}", "R0304"),
        ('lambda: {function: {aws: {region: "{{ island.key }}_", function: f}}}', "R0304"),
        ('lambda: {function: {aws: {region: r, function: f, secret: "{{ island.key }}"}}}', "R0406"),
        ('azure: {function: {azure: {app: "{{ island.key }}_", function: f}}}', "R0304"),
        ('knative: {function: {knative: {service: "x/{{ island.key }}.y"}}}', "R0304"),
        ('run: {function: {gcp: {host: "{{ island.key }}_.run.app"}}}', "R0304"),
    ],
)
def test_what_no_island_can_be(implementation: str, code: str) -> None:
    """A text of islands is judged for each, one of all of them once."""
    kind = implementation.partition(":")[0]
    text = WITH_FUNCTIONS.partition("    lambda:")[0] + f"    {implementation}\n"
    islands = island_set("cart", f"islands: {{eu: {{implementation: {kind}}}, us: {{implementation: {kind}}}}}")
    found = compile_text(dsl(text, islands, routing(EACH))).diagnostics
    assert {one.code for one in found} == {code}


def test_islands_in_their_own_regions() -> None:
    text = WITH_FUNCTIONS.replace("region: eu-west-1", 'region: "{{ island.key }}-1"')
    islands = "islands: {eu: {implementation: lambda}, us: {implementation: lambda}}"
    objects = gloo_objects(dsl(text, island_set("cart", islands), routing(EACH)))
    assert [item["spec"]["aws"]["region"] for item in of_kind("Upstream", objects)] == ["eu-1", "us-1"]


CALLER = """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: front}
spec: {units: {web: {image: "front:1", env: {CART: "{{ address(set='cart', port='http') }}"}}}}
"""


def test_a_function_has_no_address_for_other_islands() -> None:
    """It is said where it is called; an island that is none may be called all the same."""
    islands = "islands: {eu: {}, us: {implementation: lambda}}"
    text = dsl(
        WITH_FUNCTIONS, CALLER, island_set("cart", islands), island_set("front", "islands: {KEY: {}}", of_type="front")
    )
    assert told(text.replace("KEY", "eu")) == []
    [found] = compile_text(text.replace("KEY", "us")).diagnostics
    assert found.message == "the island `cart/us` is the function `lambda`, and has no address in the cluster"
    assert found.place is not None
    assert "address(" in text.replace("KEY", "us").splitlines()[found.place.line - 1]


def test_an_island_that_is_a_function_has_no_file() -> None:
    built = compile_text(
        dsl(WITH_FUNCTIONS, island_set("cart", "islands: {eu: {}, us: {implementation: lambda}}"), routing(EACH))
    )
    assert [path for path, _ in files(built, "island")] == ["cart/eu.yaml", "_routing/front.yaml"]


def test_secrets_of_functions_and_hosts_must_be_there_already() -> None:
    text = dsl(WITH_FUNCTIONS, island_set("cart", f"islands: {{{KEYS}}}"), routing(EACH))
    text = text.replace("  hosts:", "  tls: {secret: certs/shop}\n  hosts:")
    assert compile_text(text).external == [("Secret", "certs/shop"), ("Secret", "edge/aws"), ("Secret", "keys/azure")]


def test_one_azure_secret() -> None:
    other = to("{function: {azure: {app: b, function: f, secret: other}}}")
    both = f"{to('{function: {azure: {app: a, function: f, secret: k}}}', '{path: {exact: /}}')}\n{other}"
    assert [found[:5] for found in told(dsl(routing(both)))] == ["R0708"]
    assert told(dsl(routing(both.replace("other", "k")))) == []
