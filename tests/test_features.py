"""The table of features: for each line a Routing that asks for it, which a provider writes or refuses as it says."""

from typing import NamedTuple

import pytest
import yaml
from strict_schemas import needs_shared, problems

from replicator.diagnostics import Diagnostic
from replicator.pipeline import Built, Source, build
from replicator.routing.features import COLUMNS, FEATURES, No

TYPE = """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: web}
spec:
  ports: {http: {unit: web, port: http}}
  units: {web: {image: "web:1", ports: {http: 80}}}
  implementations:
    vm: {external: {host: vm.example.net, port: 443, tls: true}}
    knative: {function: {knative: {service: fn/hello}}}
    azure: {function: {azure: {app: app, function: thumb, authLevel: Anonymous}}}
---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: cart, namespace: shop}
spec: {type: web, islands: ISLANDS}
"""
ISLANDS = "{eu: {}, us: {}, vm: {implementation: vm}, fn: {implementation: knative}, az: {implementation: azure}}"

SETTINGS = {
    "gloo": ["provider: gloo"],
    "gloo-enterprise": ["provider: gloo", "gloo: {edition: enterprise}"],
    "istio": ["provider: istio"],
    "gateway-api": ["provider: gateway-api"],
    "kgateway": ["provider: gateway-api", "gateway-api: {flavor: kgateway}"],
}

ROUTING = """
---
apiVersion: replicator.dev/v1alpha1
kind: Routing
metadata: {name: shop, namespace: edge}
spec:
"""


class Asking(NamedTuple):
    """A Routing's routes, and what else of it differs from the usual."""

    routes: str
    hosts: str = "[shop.example.com]"
    gateway: str = "{name: public, namespace: edge}"
    more: str = ""
    islands: str = ISLANDS
    documents: str = ""


TO = "to: {island: cart/eu}"
MANY = f"{{{', '.join(f'i{number}: {{}}' for number in range(17))}}}"
CREATED = "{create: {class: envoy}}"


def function(fields: str) -> Asking:
    return Asking(f"- to: {{function: {fields}}}")


def partition(key: str) -> Asking:
    table = "hex: {digits: last, table: {eu: 0-7, us: 8-f}}"
    document = "---\napiVersion: replicator.dev/v1alpha1\nkind: Partition\nmetadata: {name: tenants}\n"
    return Asking(
        "- to: {partition: tenants}", documents=f"{document}spec: {{set: cart, key: {key}, pins: {{a: us}}, {table}}}"
    )


ASKING = {
    "path.regex": Asking(f"- {{match: {{path: {{regex: '/[ab]'}}}}, {TO}}}"),
    "header.regex": Asking(f"- {{match: {{headers: {{x: {{regex: '[ab]'}}}}}}, {TO}}}"),
    "header.present": Asking(f"- {{match: {{headers: {{x: {{present: true}}}}}}, {TO}}}"),
    "header.absent": Asking(f"- {{match: {{headers: {{x: {{absent: true}}}}}}, {TO}}}"),
    "query.regex": Asking(f"- {{match: {{query: {{x: {{regex: '[ab]'}}}}}}, {TO}}}"),
    "query.present": Asking(f"- {{match: {{query: {{x: {{present: true}}}}}}, {TO}}}"),
    "method.other": Asking(f"- {{match: {{methods: [PURGE]}}, {TO}}}"),
    "respond": Asking("- respond: {status: 410, body: gone}"),
    "drained": Asking(
        "- {each: cart, match: {headers: {x: '{{ island.key }}'}}}", islands="{eu: {}, us: {state: drained}}"
    ),
    "redirect.prefix": Asking("- {match: {path: {prefix: /a}}, redirect: {prefix: /b}}"),
    "redirect.stripQuery": Asking("- {match: {path: {exact: /a}}, redirect: {path: /b, stripQuery: true}}"),
    "retries": Asking(f"- {{{TO}, retries: {{attempts: 2}}}}"),
    "fault": Asking(f"- {{{TO}, fault: {{abort: {{status: 503, percent: 1}}}}}}"),
    "mirror.host": Asking(f"- {{{TO}, mirror: {{host: archive.example.net}}}}"),
    "mirror": Asking(f"- {{{TO}, mirror: {{island: cart/us}}}}"),
    "cors": Asking(f"- {{{TO}, cors: {{allowOrigins: ['https://a.example.com']}}}}"),
    "headers": Asking(f"- {{{TO}, headers: {{request: {{set: {{x: z}}}}}}}}"),
    "targets.many": Asking("- to: {spread: cart}", islands=MANY),
    "mixed.host": Asking("- to: [{island: cart/eu}, {island: cart/vm}]"),
    "mixed.knative": Asking("- to: [{island: cart/eu}, {island: cart/fn}]"),
    "mixed.aws": Asking(
        "- to: [{island: cart/eu}, {function: {aws: {region: eu-west-1, function: f, url: x.on.aws}}}]"
    ),
    "mixed.azure": Asking("- {to: [{island: cart/eu}, {island: cart/az}], rewrite: {host: a.example.com}}"),
    "function.aws": function("{aws: {region: eu-west-1, account: '123456789012', function: thumbs, secret: aws}}"),
    "function.aws.unaccounted": function("{aws: {region: eu-west-1, function: thumbs, secret: aws}}"),
    "function.aws.url": function("{aws: {region: eu-west-1, function: thumbs, url: x.lambda-url.eu-west-1.on.aws}}"),
    "function.aws.account": function(
        "{aws: {region: eu-west-1, function: thumbs, account: '123456789012', url: x.lambda-url.eu-west-1.on.aws}}"
    ),
    "function.azure": function("{azure: {app: app, function: thumb, secret: keys}}"),
    "function.azure.anonymous": function("{azure: {app: app, function: thumb, authLevel: Anonymous}}"),
    "function.gcp": function("{gcp: {host: hello-abc.a.run.app}}"),
    "function.gcp.audience": function("{gcp: {host: hello-abc.a.run.app, audience: 'https://hello-abc.a.run.app'}}"),
    "function.knative": function("{knative: {service: fn/hello}}"),
    "partition": partition("{header: x-tenant}"),
    "partition.host": partition("{hostLabel: 1}"),
    "partition.path": partition("{pathSegment: 1}"),
    "host": Asking("- to: {host: archive.example.net}"),
    "gateway.none": Asking(f"- {TO}", gateway=""),
    "gateway.create": Asking(f"- {TO}", gateway=CREATED),
    "gateway.class": Asking(f"- {TO}", gateway="{create: {}}"),
    "gateway.section": Asking(f"- {TO}", gateway="{name: public, section: https}"),
    "tls": Asking(f"- {TO}", gateway=CREATED, more="tls: {secret: shop-tls}"),
    "tls.existing": Asking(f"- {TO}", more="tls: {secret: shop-tls}"),
    "delegation.regex": Asking(
        "- {name: shop, each: cart, match: {path: {regex: '[/]{{ island.key }}'}}}",
        more="delegation: set",
        islands="{eu: {}}",  # with several, it is unknown in Gateway API which of two such expressions comes first
    ),
    "hosts.any": Asking(f"- {TO}", hosts="['*']"),
    "hosts.port": Asking(f"- {TO}", hosts="['shop.example.com:8443']"),
    "hosts.overlap": Asking(f"- {TO}", hosts="[shop.example.com, '*.example.com']"),
    "hosts.many": Asking(f"- {TO}", hosts=f"[{', '.join(f's{number}.example.com' for number in range(17))}]"),
}


def compiled(asking: Asking, column: str) -> Built:
    gateway = f"gateway: {asking.gateway}" if asking.gateway else ""
    fields = [*SETTINGS[column], f"hosts: {asking.hosts}", gateway, asking.more, "routes:", asking.routes]
    text = (
        TYPE.replace("ISLANDS", asking.islands)
        + asking.documents
        + ROUTING
        + "".join(f"  {field}\n" for field in fields if field)
    )
    return build([Source("dsl.yaml", text.encode())])


def errors(built: Built) -> list[Diagnostic]:
    return [one for one in built.diagnostics if one.severity == "error"]


def test_every_line_is_asked_for() -> None:
    assert ASKING.keys() == FEATURES.keys()


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("name", ASKING)
def test_a_provider_does_what_the_table_says(name: str, column: str) -> None:
    cell = FEATURES[name].cells.get(column, "")
    found = errors(compiled(ASKING[name], column))
    if isinstance(cell, No):
        told = [one for one in found if cell.reason in one.message]
        assert told, found
        assert [(one.code, one.hint) for one in told] == [("R0708", cell.way_out)]
        assert told[0].place is not None
        assert told[0].place.file == "dsl.yaml"
    else:
        assert found == []


@needs_shared
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("name", ASKING)
def test_what_is_written_passes_the_crds(name: str, column: str) -> None:
    built = compiled(ASKING[name], column)
    if errors(built):
        assert isinstance(FEATURES[name].cells.get(column, ""), No)
        return
    objects = list(yaml.load_all(b"".join(built.texts()), yaml.CSafeLoader))
    assert problems(objects) == []


def two(first: str, second: str) -> Built:
    """Two Routings for Gloo, with these Gateways."""
    text = TYPE.replace("ISLANDS", "{eu: {}, us: {}}")
    for number, gateway in enumerate((first, second)):
        routing = ROUTING.replace("name: shop, namespace: edge", f"name: r{number}, namespace: n{number}")
        text += f"{routing}  hosts: [h{number}.example.com]\n  gateway: {gateway}\n  routes: [{{{TO}}}]\n"
    return build([Source("dsl.yaml", text.encode())])


@pytest.mark.parametrize("create", ["{}", "{port: 8080}"])
def test_a_port_of_gloo_has_one_gateway(create: str) -> None:
    [found] = errors(two("{create: {}}", f"{{name: other, create: {create}}}"))
    assert (found.code, [one.message for one in found.related]) == ("R0708", ["the other one"])
    assert not errors(two("{create: {}}", "{name: other, create: {port: 8081}}"))


def test_a_gateway_that_one_routing_makes_is_for_others_too() -> None:
    built = two("{name: public, create: {}}", "{name: public, namespace: n0}")
    assert not errors(built)
    objects = list(yaml.load_all(b"".join(built.texts()), yaml.CSafeLoader))
    [gateway] = [item["spec"]["httpGateway"] for item in objects if item["kind"] == "Gateway"]
    labels = [item["metadata"]["labels"] for item in objects if item["kind"] == "VirtualService"]
    [(name, value)] = gateway["virtualServiceSelector"].items()
    assert [one[name] for one in labels] == [value, value]
    assert gateway["virtualServiceNamespaces"] == ["*"]


def test_an_island_that_a_provider_cannot_reach_names_its_implementation() -> None:
    lambda_type = TYPE.replace("knative: {service: fn/hello}", "aws: {region: eu-west-1, function: f}")
    text = lambda_type.replace("ISLANDS", "{eu: {}, fn: {implementation: knative}}") + ROUTING
    text += "  provider: istio\n  hosts: [a.example.com]\n  gateway: {name: public}\n  routes: [{to: {spread: cart}}]\n"
    [told] = errors(build([Source("dsl.yaml", text.encode())]))
    assert [(one.message, one.place.line) for one in told.related] == [("an island may be this implementation", 10)]


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("kgateway", "fault: {abort: {status: 503, percent: 10.5}}"),
        ("istio", "timeout: 0.5ms"),
        ("istio", "fault: {delay: {duration: 0.5ms}}"),
        ("istio", "cors: {allowOrigins: ['*'], maxAge: 0s}"),
    ],
)
def test_what_an_emitter_refuses_is_told_at_its_field(column: str, field: str) -> None:
    asking = Asking(f"\n  - name: all\n    {TO}\n    {field}")
    [found] = errors(compiled(asking, column))
    assert found.code == "R0708"
    assert found.place is not None
    usual = errors(compiled(Asking(f"\n  - name: all\n    {TO}\n    nothing: {{}}"), column))[0].place
    assert usual is not None
    assert (found.place.line, found.place.column) == (usual.line, usual.column)


def test_an_ingress_that_all_islands_share_is_granted_by_its_name() -> None:
    islands = f"{{{', '.join(f'i{number}: {{implementation: knative}}' for number in range(20))}}}"
    asking = Asking("- {name: by-header, each: cart, match: {headers: {x: '{{ island.key }}'}}}", islands=islands)
    built = compiled(asking, "gateway-api")
    assert not errors(built)
    objects = list(yaml.load_all(b"".join(built.texts()), yaml.CSafeLoader))
    [grant] = [item for item in objects if item["kind"] == "ReferenceGrant"]
    assert grant["metadata"]["namespace"] == "kourier-system"
    assert grant["spec"]["to"] == [{"group": "", "kind": "Service", "name": "kourier-internal"}]


def test_a_gateway_that_exists_is_listed() -> None:
    """One that a Routing of the build makes is not."""
    assert two("{name: public, namespace: gate}", "{name: mine, create: {}}").external == [("Gateway", "gate/public")]
    assert two("{name: public, create: {}}", "{name: public, namespace: n0}").external == []
