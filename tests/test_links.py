"""Links between Sets: `address(set=…)` and `uses` lead to the right island, or say why there is none."""

from typing import Any

import pytest
from test_sets import compiled, document, faults, only, run, set_of, type_of

Object = dict[str, Any]

LEDGER = type_of(
    """
    params: {number: {type: integer, default: 9000}}
    ports: {grpc: {unit: api, port: grpc}}
    units: {api: {image: ledger, ports: {grpc: "{{ params.number }}"}}}
    """,
    "ledger",
)


def caller(expression: str, name: str = "cart") -> str:
    """A Type with one unit, which has an address in its environment."""
    return type_of(f'units: {{web: {{image: web, env: {{ADDR: "{{{{ {expression} }}}}"}}}}}}', name)


def addresses(objects: list[Object]) -> dict[str, str]:
    """What each Deployment calls."""
    found = {}
    for item in objects:
        for container in item["spec"]["template"]["spec"]["containers"] if item["kind"] == "Deployment" else ():
            for variable in container.get("env", ()):
                found[item["metadata"]["name"]] = variable["value"]
    return found


def services(objects: list[Object]) -> dict[str, tuple[dict[str, str], int]]:
    """What each Service selects, and its only port."""
    found = {}
    for item in objects:
        if item["kind"] == "Service":
            (port,) = item["spec"]["ports"]
            found[item["metadata"]["name"]] = (item["spec"]["selector"], port["port"])
    return found


KEYS = "islands: {eu: {}, us: {params: {number: 9001}}}"


def ledgers(spec: str = KEYS, namespace: str = "shop") -> str:
    return LEDGER + set_of(spec, "ledger", namespace, "ledger")


def test_each_island_calls_the_one_of_its_key() -> None:
    objects = compiled(ledgers(), caller("address(set='ledger', port='grpc')"), set_of("islands: {eu: {}, us: {}}"))
    assert addresses(objects) == {"shop-eu-web": "ledger-eu-api:9000", "shop-us-web": "ledger-us-api:9001"}


def test_all_islands_call_one() -> None:
    objects = compiled(ledgers(), caller("address(set='ledger', key='us')"), set_of("islands: {eu: {}, ap: {}}"))
    assert addresses(objects) == {"shop-ap-web": "ledger-us-api:9001", "shop-eu-web": "ledger-us-api:9001"}


def test_a_peer_outside_is_called_at_its_own_port() -> None:
    ledger = LEDGER + "  implementations: {vm: {external: {host: vm.example.net, port: 443}}}\n"
    ledger += set_of("islands: {eu: {}, us: {implementation: vm}}", "ledger", "books", "ledger")
    objects = compiled(ledger, caller("address(set='ledger')"), set_of("islands: {eu: {}, us: {}}"))
    assert addresses(objects) == {
        "shop-eu-web": "ledger-eu-api.books.svc:9000",
        "shop-us-web": "ledger-us-api.books.svc:443",
    }


# A Type of three ports, and a host outside that offers two of them.
SPLIT = """
ports: {http: {unit: api, port: http}, metrics: {unit: api, port: metrics}, grpc: {unit: rpc, port: grpc}}
units:
  api: {image: api, ports: {http: 80, metrics: 9090}}
  rpc: {image: rpc, ports: {grpc: 9000}}
implementations: {vm: {external: {host: vm.example.net, ports: {http: 443, metrics: 9443}}}}
"""
SPLIT_SET = "islands: {eu: {}, us: {implementation: vm}}"


def split(ports: str = "{http: 443, metrics: 9443}") -> str:
    return type_of(SPLIT.replace("{http: 443, metrics: 9443}", ports), "ledger") + set_of(
        SPLIT_SET, "ledger", "shop", "ledger"
    )


@pytest.mark.parametrize(("port", "number"), [("http", 443), ("metrics", 9443)])
def test_each_port_of_a_host_has_its_number(port: str, number: int) -> None:
    call = caller(f"address(set='ledger', key='us', port='{port}')")
    assert addresses(compiled(split(), call, set_of("islands: {us: {}}"))) == {"shop-us-web": f"ledger-us-api:{number}"}


def test_a_service_that_stands_for_a_host_has_the_ports_that_it_offers() -> None:
    found = {}
    for ports in ("{http: 443, metrics: 9443}", "{http: 443, metrics: 443}", "{grpc: 9000}"):
        objects = [item for item in compiled(split(ports)) if item["spec"].get("type") == "ExternalName"]
        found[ports] = [
            (item["metadata"]["name"], [(one["name"], one["port"]) for one in item["spec"]["ports"]])
            for item in objects
        ]
    assert list(found.values()) == [
        [("ledger-us-api", [("http", 443), ("metrics", 9443)])],
        [("ledger-us-api", [("http", 443)])],
        [("ledger-us-rpc", [("grpc", 9000)])],
    ]


INNER = """
sets: {ledger: {type: ledger, islands: {eu: {}, us: {implementation: vm}}}}
units: {web: {image: w, env: {ALL: "{{ addresses('ledger', 'grpc') | join(',') }}"}}}
"""
NOT_OFFERED = {
    "of the same key": (caller("address(set='ledger', port='grpc')"), "islands: {us: {}, eu: {}}"),
    "of one key": (caller("address(set='ledger', port='grpc', key='us') | upper"), "islands: {ap: {}}"),
    "by a derived value": (
        type_of(
            """
            let: {a: "grpc://{{ address(set='ledger', port='grpc') }}"}
            units: {web: {image: w, env: {A: "{{ let.a }}"}}}
            """
        ),
        "islands: {us: {}}",
    ),
    "by nothing but a word": (
        type_of("units: {web: {image: w}}\nuses: [{set: ledger, port: grpc}]"),
        "islands: {us: {}, eu: {}}",
    ),
    "of a Set inside": (type_of(INNER), "islands: {ap: {}}"),
    "by a pod": (caller("address(set='ledger', port='grpc', key='us')"), "form: pods\nreplicas: 2"),
}


@pytest.mark.parametrize("case", NOT_OFFERED)
def test_a_port_that_an_implementation_does_not_offer(case: str) -> None:
    text, spec = NOT_OFFERED[case]
    [found] = run(split() + text + set_of(spec)).diagnostics
    assert (found.code, found.severity) == ("R0303", "error")
    assert "`vm`, which does not offer the port `grpc`" in found.message
    assert found.hint == "it offers http, metrics"
    *caller_, implementation, island = found.related
    assert [one.message for one in (implementation, island)] == ["the implementation", "the island that is called"]
    assert [one.message for one in caller_] in ([], ["for this island"])  # all islands call one: it is for none
    lines = (split() + text + set_of(spec)).split("\n")
    assert found.place is not None
    at = [lines[place.line - 1] for place in (found.place, implementation.place, island.place)]
    assert ("ledger" in at[0] or "let.a" in at[0]) and "vm: {external" in at[1] and "us: {implementation: vm}" in at[2]


def test_numbers_that_are_the_same_for_one_island() -> None:
    """A cluster refuses a Service with two ports of one number."""
    ports = '{http: "{{ params.a }}", metrics: "{{ params.b }}"}'
    params = "params: {a: {type: integer, default: 1}, b: {type: integer, default: 2}}"
    text = type_of(params + SPLIT.replace("{http: 443, metrics: 9443}", ports), "ledger")
    islands = "islands: {eu: {implementation: vm, params: {b: 1}}, us: {implementation: vm, params: {b: 3}}}"
    [found] = run(text + set_of(islands, "ledger", "shop", "ledger")).diagnostics
    assert (found.code, found.message, found.island) == ("R0305", "two ports of the number 1", "ledger/eu")
    compiled(text, set_of(islands.replace("b: 1", "b: 4"), "ledger", "shop", "ledger"))


def routed(to: str) -> str:
    return document("Routing", "edge", f"hosts: [a.example]\nroutes: [{{{to}}}]", "shop")


EACH = 'each: ledger, match: {headers: {x: "{{ island.key }}"}}'


@pytest.mark.parametrize(("port", "number"), [("http", 443), ("metrics", 9443)])
def test_routes_lead_to_the_number_of_the_port(port: str, number: int) -> None:
    for to in (EACH, "to: {spread: ledger}", "to: {island: ledger/us}"):
        objects = compiled(split(), routed(f"{to}, port: {port}"))
        hosts = [item["spec"]["static"]["hosts"] for item in objects if "static" in item["spec"]]
        assert hosts == [[{"addr": "vm.example.net", "port": number}]]


@pytest.mark.parametrize(
    "to", [EACH, "to: {spread: ledger}", "to: {island: ledger/us}", "to: [{island: ledger/eu}, {island: ledger/us}]"]
)
def test_a_route_to_a_port_that_is_not_offered(to: str) -> None:
    [found] = run(split() + routed(f"{to}, port: grpc")).diagnostics
    assert (found.code, found.hint) == ("R0303", "it offers http, metrics")
    assert [one.message for one in found.related] == ["the implementation", "the island that is called"]
    assert found.place is not None and found.place.line > found.related[1].place.line
    [*_, other] = compiled(split(), routed("to: {island: ledger/eu}, port: grpc"))
    assert other["kind"] == "VirtualService"


@pytest.mark.parametrize(
    ("external", "code", "says"),
    [
        ("{host: a.example}", "R0202", "port"),
        ("{host: a.example, port: 1, ports: {http: 2}}", "R0205", "at once"),
        ("{host: a.example, ports: {htp: 2}}", "R0303", "`htp`"),
        ("{host: a.example, ports: {}}", "R0205", "empty"),
        ("{host: a.example, ports: {http: 70000}}", "R0205", "70000"),
        ('{host: a.example, ports: {http: "{{ params.nope }}"}}', "R0402", "nope"),
        ('{host: a.example, ports: {http: "{{ 70000 }}"}}', "R0405", "70000"),
    ],
)
def test_ports_of_a_host_that_are_none(external: str, code: str, says: str) -> None:
    text = SPLIT.replace("{host: vm.example.net, ports: {http: 443, metrics: 9443}}", external)
    ledger = type_of(text, "ledger") + set_of(SPLIT_SET, "ledger", "shop", "ledger")
    (found,) = run(ledger).diagnostics
    assert (found.code, says in found.message + found.hint) == (code, True), found


def test_an_island_calls_another_of_its_own_set() -> None:
    text = LEDGER.replace("image: ledger", "image: ledger, env: {FIRST: \"{{ address(set='ledger', key='eu') }}\"}")
    objects = compiled(text, set_of("islands: {eu: {}, us: {}}", "ledger", "shop", "ledger"))
    assert addresses(objects) == dict.fromkeys(["ledger-eu-api", "ledger-us-api"], "ledger-eu-api:9000")


def test_all_islands_are_called_through_one_service() -> None:
    texts = [ledgers("islands: {eu: {}, us: {}}"), caller("address(set='ledger', all=true)")]
    objects = compiled(*texts, set_of("islands: {eu: {}}"))
    assert addresses(objects) == {"shop-eu-web": "ledger-grpc:9000"}
    selector, number = services(objects)["ledger-grpc"]
    assert number == 9000
    for name in ("ledger-eu-api", "ledger-us-api"):
        labels = only(objects, "Deployment", name)["spec"]["template"]["metadata"]["labels"]
        assert selector.items() <= labels.items()
    for name in ("shop-eu-web",):
        labels = only(objects, "Deployment", name)["spec"]["template"]["metadata"]["labels"]
        assert not selector.items() <= labels.items()


def test_nobody_asks_for_a_service_of_all() -> None:
    objects = compiled(ledgers("replicas: 2"), caller("address(set='ledger')"), set_of("replicas: 2"))
    assert "ledger-grpc" not in services(objects)


def test_a_service_of_all_stays_as_it_is_while_islands_are_added() -> None:
    def of(count: int) -> Object:
        texts = [ledgers(f"replicas: {count}"), caller("address(set='ledger', all=true)")]
        return only(compiled(*texts, set_of("replicas: 1")), "Service", "ledger-grpc")

    assert of(1) == of(5)


def test_pods_of_one_stateful_set_are_called_together() -> None:
    ledger = ledgers("replicas: 2\nform: pods")
    objects = compiled(ledger, caller("address(set='ledger', all=true)"), set_of("replicas: 1"))
    selector, _ = services(objects)["ledger-grpc"]
    pods = only(objects, "StatefulSet", "ledger")["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= pods.items()
    assert addresses(objects) == {"shop-0-web": "ledger-grpc:9000"}


BROUGHT = type_of(
    """
    ports: {sql: {service: db, port: 5432}}
    rewriteHosts: none
    resources:
    - manifest:
        apiVersion: v1
        kind: Service
        metadata: {name: db}
        spec: {selector: {app: db}, ports: [{port: 5432}]}
    - manifest:
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: db}
        spec:
          selector: {matchLabels: {app: db}}
          template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: db}]}}
    """,
    "ledger",
)


def test_services_that_the_author_brings_have_one_for_all_too() -> None:
    ledger = BROUGHT + set_of("replicas: 2", "ledger", "shop", "ledger")
    objects = compiled(ledger, caller("address(set='ledger', all=true)"), set_of("replicas: 1"))
    assert addresses(objects) == {"shop-0-web": "ledger-sql:5432"}
    selector, _ = services(objects)["ledger-sql"]
    assert selector == {"replicator.dev/set": "ledger", "app": "db"}
    for number in range(2):
        labels = only(objects, "Deployment", f"ledger-{number}-db")["spec"]["template"]["metadata"]["labels"]
        assert selector.items() <= labels.items()


@pytest.mark.parametrize(
    ("ledger", "shop", "expected"),
    [
        pytest.param("books", "shop", "ledger-eu-api.books.svc:9000", id="another namespace"),
        pytest.param("books", "", "ledger-eu-api.books.svc:9000", id="the caller's is kubectl's"),
        pytest.param("", "", "ledger-eu-api:9000", id="both are kubectl's"),
    ],
)
def test_an_address_in_another_namespace_says_it(ledger: str, shop: str, expected: str) -> None:
    objects = compiled(
        ledgers(namespace=ledger), caller("address(set='ledger')"), set_of("islands: {eu: {}}", namespace=shop)
    )
    assert addresses(objects) == {"shop-eu-web": expected}


def test_islands_with_namespaces_of_their_own() -> None:
    texts = [ledgers("islands: {eu: {}}\nscope: namespace", ""), caller("address(set='ledger')")]
    objects = compiled(*texts, set_of("islands: {eu: {}}\nscope: namespace", namespace=""))
    assert addresses(objects) == {"web": "api.ledger-eu.svc:9000"}


# Sets inside islands

CELL = type_of(
    """
    ports: {http: {unit: api, port: http}}
    units:
      api:
        image: cell
        ports: {http: 80}
        env: {ADDR: "{{ address(set='store') }}"}
    """,
    "cell",
)
STORE = type_of("ports: {sql: {unit: db, port: sql}}\nunits: {db: {image: db, ports: {sql: 5432}}}", "store")


def region(*, own: str = "", sets: str = "cell: {type: cell, replicas: 2}\nstore: {type: store, replicas: 2}") -> str:
    env = f'env: {{ADDR: "{{{{ {own} }}}}"}}' if own else ""
    unit = f"{{image: router, {env}}}"
    lines = sets.replace("\n", "\n      ")
    return type_of(f"\n    units: {{router: {unit}}}\n    sets:\n      {lines}\n    ", "region")


def test_inner_islands_call_those_beside_them_in_the_same_island() -> None:
    objects = compiled(CELL, STORE, region(), set_of("islands: {eu: {}, us: {}}", "world", "w", "region"))
    assert addresses(objects) == {
        f"world-{region}-cell-{cell}-api": f"world-{region}-store-{cell}-db:5432"
        for region in ("eu", "us")
        for cell in range(2)
    }


def test_a_set_inside_comes_before_one_outside() -> None:
    store = STORE + set_of("replicas: 2", "store", "stores", "store")
    world = set_of("islands: {eu: {}}", "world", "w", "region")
    inside = addresses(compiled(store, CELL, region(), world))
    assert set(inside.values()) == {"world-eu-store-0-db:5432", "world-eu-store-1-db:5432"}
    outside = addresses(compiled(store, CELL, region(sets="cell: {type: cell, replicas: 2}"), world))
    assert set(outside.values()) == {"store-0-db.stores.svc:5432", "store-1-db.stores.svc:5432"}


def test_the_islands_inside_one_are_called_together() -> None:
    text = region(own="address(set='cell', all=true)")
    world = set_of("islands: {eu: {}, us: {}}", "world", "w", "region")
    objects = compiled(CELL, STORE, text, world)
    for key in ("eu", "us"):
        assert addresses(objects)[f"world-{key}-router"] == f"world-{key}-cell-http:80"
        selector, _ = services(objects)[f"world-{key}-cell-http"]
        selected = {
            item["metadata"]["name"]
            for item in objects
            if item["kind"] == "Deployment"
            and selector.items() <= item["spec"]["template"]["metadata"]["labels"].items()
        }
        assert selected == {f"world-{key}-cell-0-api", f"world-{key}-cell-1-api"}


def test_the_cells_of_a_region_are_called_by_what_is_beside_them() -> None:
    store = STORE.replace("image: db", "image: db, env: {ADDR: \"{{ address(set='cell', port='http', all=true) }}\"}")
    cell = CELL.replace("{{ address(set='store') }}", "none")
    objects = compiled(cell, store, region(), set_of("islands: {eu: {}}", "world", "w", "region"))
    assert addresses(objects)["world-eu-store-1-db"] == "world-eu-cell-http:80"


# In single pods


def test_a_pod_calls_the_island_of_its_ordinal() -> None:
    text = caller("address(set='ledger')")
    objects = compiled(ledgers("replicas: 3"), text, set_of("replicas: 2\nform: pods"))
    (container,) = only(objects, "StatefulSet", "shop")["spec"]["template"]["spec"]["containers"]
    ordinal, address = container["env"]
    assert ordinal["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['apps.kubernetes.io/pod-index']"
    assert address["value"] == f"ledger-$({ordinal['name']})-api:9000"


def test_a_pod_without_a_peer() -> None:
    found = faults(ledgers("replicas: 2"), caller("address(set='ledger')"), set_of("replicas: 3\nform: pods"))
    assert [code for code, _ in found] == ["R0701"]


def test_ports_of_a_peer_that_differ_cannot_be_in_one_template() -> None:
    ledger = ledgers('replicas: 2\noverrides: [{islands: ["1"], params: {number: 9001}}]')
    found = faults(ledger, caller("address(set='ledger')"), set_of("replicas: 2\nform: pods"))
    assert [code for code, _ in found] == ["R0602"]


# What is wrong


@pytest.mark.parametrize(
    ("expression", "code", "says"),
    [
        ("address(set='leger')", "R0701", "there is no IslandSet `leger` here"),
        ("address(set='ledger', port='http')", "R0303", "the Type `ledger` has no port `http`"),
        ("address(set='ledger', key='ue')", "R0701", "there is no island `ledger/ue`"),
        ("address(set='ledger', key='eu', all=true)", "R0404", "`key` and `all` at once"),
        ("address(set='ledger', all='yes')", "R0404", "takes set, port, and key or all"),
        ("address(set='ledger', island='eu')", "R0404", "takes set, port, and key or all"),
        ("address(port='grpc', key='eu')", "R0404", "takes set, port, and key or all"),
        ("address('ledger', set='ledger')", "R0404", "takes set, port, and key or all"),
        ("address(set='ledger', port=9000)", "R0404", "takes set, port, and key or all"),
        ("address(set='ledger', all=true)", "R0611", "the number of the port `grpc` differs between islands"),
        ("address(set='ledger')", "R0701", "there is no island `ledger/ap`"),
        ("'x' if params.off else address(set='leger')", "R0701", "there is no IslandSet `leger` here"),
    ],
)
def test_what_is_not_there_is_said_where_it_is_called(expression: str, code: str, says: str) -> None:
    text = caller(expression).replace("spec:\n", "spec:\n  params: {off: {type: boolean, default: true}}\n")
    built = run(ledgers() + text + set_of("islands: {eu: {}, ap: {}}"))
    (finding,) = built.diagnostics
    assert (finding.code, says in finding.message) == (code, True), finding
    assert finding.place is not None
    lines = built.sources["dsl.yaml"].split("\n")
    assert expression in lines[finding.place.line - 1][finding.place.column - 1 :]


def test_a_peer_that_is_not_asked_for_need_not_be() -> None:
    branch = caller("address(set='ledger') if island.key != 'ap' else 'none'")
    default = caller("address(set='ledger') | default('none')")
    for text in (branch, default):
        found = addresses(compiled(ledgers(), text, set_of("islands: {eu: {}, ap: {}}")))
        assert found == {"shop-ap-web": "none", "shop-eu-web": "ledger-eu-api:9000"}
    joined = caller("['x', address(set='ledger')] | join(',')")
    assert [code for code, _ in faults(ledgers(), joined, set_of("islands: {eu: {}, ap: {}}"))] == ["R0701"]


NOWHERE = "{{ address(set='nope') }}"


@pytest.mark.parametrize(
    ("of_type", "of_set"),
    [
        (f'external: {{Secret: ["{NOWHERE}"]}}', "islands: {eu: {}}"),
        (f'implementations: {{vm: {{external: {{host: "{NOWHERE}", port: 1}}}}}}', "islands: {eu: {}}"),
        ("", f'islands: {{eu: {{}}}}\npatches: [{{target: {{kind: Deployment}}, patch: {{a: "{NOWHERE}"}}}}]'),
        ("", f'islands: {{eu: {{patches: [{{target: {{kind: Deployment}}, patch: {{a: "{NOWHERE}"}}}}]}}}}'),
    ],
)
def test_calls_are_judged_wherever_they_stand(of_type: str, of_set: str) -> None:
    found = faults(type_of(f"units: {{web: {{image: web}}}}\n{of_type}"), set_of(of_set))
    assert [code for code, _ in found] == ["R0701"]


def test_two_sets_of_which_one_has_no_namespace() -> None:
    found = faults(ledgers(namespace=""), caller("address(set='ledger')"), set_of("islands: {eu: {}}"))
    assert [code for code, _ in found] == ["R0704"]


def test_islands_outside_have_no_pods_to_be_selected() -> None:
    ledger = LEDGER + "  implementations: {vm: {external: {host: vm.example.net, port: 9000}}}\n"
    ledger += set_of("islands: {eu: {}, us: {implementation: vm}}", "ledger", "shop", "ledger")
    found = faults(ledger, caller("address(set='ledger', all=true)"), set_of("islands: {eu: {}}"))
    assert [code for code, _ in found] == ["R0611"]


def test_a_service_that_selects_nothing_has_none_for_all() -> None:
    ledger = BROUGHT.replace("{selector: {app: db}, ports", "{ports") + set_of("replicas: 2", "ledger", "", "ledger")
    found = faults(ledger, caller("address(set='ledger', all=true)"), set_of("replicas: 1", namespace=""))
    assert [code for code, _ in found if code != "R0606"] == ["R0611"]


def test_other_sets_are_not_known_while_islands_are_counted() -> None:
    text = region(sets="cell: {type: store, islands: \"{{ [address(set='store', key='0')] }}\"}")
    store = STORE + set_of("replicas: 1", "store", "w", "store")
    found = run(store + text + set_of("islands: {eu: {}}", "world", "w", "region")).diagnostics
    assert ["are not known while the islands of this one are counted" in one.message for one in found] == [True]


# `uses`


def using(use: str) -> str:
    return type_of(f"units: {{web: {{image: web}}}}\nuses: [{use}]")


def test_a_link_that_no_text_shows_is_judged_too() -> None:
    assert compiled(ledgers(), using("{set: ledger, port: grpc}"), set_of("islands: {eu: {}}"))


def test_a_use_of_all_makes_their_service() -> None:
    texts = [ledgers("replicas: 2"), using("{set: ledger, all: true}"), set_of("islands: {eu: {}}")]
    assert "ledger-grpc" in services(compiled(*texts))


@pytest.mark.parametrize(
    ("use", "code"),
    [
        ("{set: leger}", "R0701"),
        ("{set: ledger, port: http}", "R0303"),
        ("{set: ledger}", "R0701"),
        ("{set: ledger, key: ap}", "R0701"),
        ("{set: ledger, key: eu, all: true}", "R0205"),
        ("{set: '{{ params.set }}'}", "R0406"),
        ("{port: grpc}", "R0202"),
    ],
)
def test_uses_of_what_is_not_there(use: str, code: str) -> None:
    found = faults(ledgers(), using(use), set_of("islands: {eu: {}, ap: {}}"))
    assert [one for one, _ in found] == [code]


# Circles


def test_a_circle_is_told_once_with_all_its_arrows() -> None:
    first = type_of(
        "ports: {a: {unit: u, port: a}}\n"
        "units: {u: {image: u, ports: {a: 1}, env: {A: \"{{ address(set='second') }}\"}}}",
        "first",
    )
    second = first.replace("second", "third").replace("first", "second")
    third = second.replace("third", "fourth").replace("second", "third").replace("fourth", "first")
    sets = "".join(set_of("replicas: 1", name, "", name) for name in ("first", "second", "third"))
    built = run(first + second + third + sets)
    (finding,) = built.diagnostics
    assert (finding.code, finding.severity, len(finding.related)) == ("R0612", "warning", 2)
    assert finding.message.endswith("`first/u` → `second/u` → `third/u` → `first/u`")
    assert list(built.texts())


def test_a_chain_is_no_circle_and_neither_is_a_call_of_the_same_set() -> None:
    text = LEDGER.replace("image: ledger", "image: ledger, env: {FIRST: \"{{ address(set='ledger', key='eu') }}\"}")
    texts = [text, set_of("islands: {eu: {}}", "ledger", "shop", "ledger"), caller("address(set='ledger')")]
    assert run("".join([*texts, set_of("islands: {eu: {}}")])).diagnostics == []


def test_a_circle_through_a_derived_value() -> None:
    text = document(
        "IslandType",
        "cart",
        """
        let: {other: "{{ host('b') }}"}
        units:
          a: {image: a, ports: {p: 1}, env: {B: "{{ let.other }}"}}
          b: {image: b, ports: {p: 2}, env: {A: "{{ host('a') }}"}}
        """,
    )
    assert [code for code, _ in faults(text, set_of("replicas: 1"))] == ["R0612"]


@pytest.mark.parametrize("function", ["addresses('store', 'sql')", "keys('store')"])
def test_values_of_one_inner_set_cannot_follow_from_the_islands_of_a_later_one(function: str) -> None:
    cell = "params: {all: {type: string}}\nunits: {api: {image: cell}}"
    sets = f"cell: {{type: cell, replicas: 2, params: {{all: \"{{{{ {function} | join(',') }}}}\"}}}}"
    text = region(sets=f"{sets}\nstore: {{type: store, replicas: 2}}")
    world = set_of("islands: {eu: {}}", "world", "w", "region")
    assert faults(type_of(cell, "cell"), STORE, text, world) == [("R0405", f"\"{{{{ {function} | join(',') }}}}\"")]
