"""Partitions: what is refused and where, what is told, and how few rules a table takes."""

import json
from pathlib import Path
from random import Random
from typing import Any

import envoy_gateway_api
import pytest
import yaml
from test_simulator_envoy import PROVIDERS, backends, objects_of, refused

from replicator.cli import main
from replicator.diagnostics import Diagnostic, has_errors
from replicator.pipeline import Built, Options, Source, build

SETS = """\
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: web}
spec:
  ports: {http: {unit: web, port: http}}
  units: {web: {image: registry.example.com/web, ports: {http: 80}}}
  implementations:
    lambda: {function: {aws: {region: eu-west-1, function: web, secret: aws-creds}}}
    vm: {external: {host: web.example.net, port: 80}}
---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: cart, namespace: shop}
spec:
  type: web
  islands:
    {eu: {}, us: {}, fn: {implementation: lambda}, vm: {implementation: vm}, slow: {state: draining},
     old: {state: drained}}
  removed: {gone: {data: retain}}
---
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: region}
spec: {sets: {cell: {type: web, replicas: 2}}}
---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: region, namespace: shop}
spec: {type: region, islands: {eu: {}, us: {}}}
---
"""
HEAD = "apiVersion: replicator.dev/v1alpha1\nkind: Partition\nmetadata: {name: tenants}\n"
ROUTING = """
---
apiVersion: replicator.dev/v1alpha1
kind: Routing
metadata: {name: shop, namespace: edge}
spec:
  hosts: ["*.example.com"]
  routes:
    - """
OF_KGATEWAY = "\n  ".join(["spec:", *(f"{at}: {json.dumps(one)}" for at, one in PROVIDERS["kgateway"].spec.items())])
ROUTE = "{name: t, to: {partition: tenants}}"
KEYS = "set: cart, key: {header: x-t}"
HEX = 'hex: {digits: last, table: {eu: "0-7", us: "8-f"}}'
BUCKETS = 'buckets: {header: x-b, count: 8, table: {eu: "0-3", us: "4-7"}}'


def findings(text: str, **options: Any) -> list[Diagnostic]:
    return build([Source("dsl.yaml", text.encode())], Options(**options)).diagnostics


def move(*those: str) -> str:
    """Moves of those things from eu to us."""
    return f"moves: [{', '.join(f'{{{one}, from: eu, to: us, phase: cutover}}' for one in those)}]"


REFUSED = {
    # The shape
    "no set": ("R0202", "«spec»: {key: {header: a}, keys: {a: eu}}"),
    "unknown field": ("R0203", "spec: {set: cart, key: {header: a}, «kees»: {a: eu}}"),
    "no table": ("R0202", "«spec»: {set: cart, key: {header: a}}"),
    "no key": ("R0202", "«spec»: {set: cart, keys: {a: eu}}"),
    "no key of pins": ("R0202", f"«spec»: {{set: cart, pins: {{a: eu}}, {BUCKETS}}}"),
    "no key of buckets": ("R0202", '«spec»: {set: cart, buckets: {count: 2, table: {eu: "0-1"}}}'),
    "no source": ("R0202", "spec: {set: cart, key: «{»}, keys: {a: eu}}"),
    "two sources": ("R0205", "spec: {set: cart, key: {header: a, «query»: b}, keys: {a: eu}}"),
    "two tables": ("R0205", f"spec: {{{KEYS}, keys: {{a: eu}}, «hex»: {HEX[5:]}}}"),
    "two numbers": ("R0205", f"spec: {{set: cart, {BUCKETS.replace('count', '«query»: b, count')}}}"),
    "two answers": ("R0205", f"spec: {{{KEYS}, {HEX}, otherwise: {{respond: 421, «island»: eu}}}}"),
    "no answer": ("R0202", f"spec: {{{KEYS}, {HEX}, otherwise: «{{»}}}}"),
    "label zero": ("R0205", f"spec: {{set: cart, key: {{hostLabel: «0»}}, {HEX}}}"),
    "digits": ("R0205", f"spec: {{{KEYS}, {HEX.replace('last', '«middle»')}}}"),
    "count of digits": ("R0205", f"spec: {{{KEYS}, {HEX.replace('last', 'last, count: «5»')}}}"),
    "count of buckets": ("R0205", f"spec: {{set: cart, {BUCKETS.replace('8', '«0»')}}}"),
    "phase": ("R0205", f"spec: {{{KEYS}, {HEX}, moves: [{{hex: '0', from: eu, to: us, phase: «later»}}]}}"),
    "no phase": ("R0202", f"spec: {{{KEYS}, {HEX}, moves: [«{{»hex: '0', from: eu, to: us}}]}}"),
    "moves nothing": ("R0202", f"spec: {{{KEYS}, {HEX}, moves: [«{{»from: eu, to: us, phase: mirror}}]}}"),
    "no keys in a move": (
        "R0205",
        f"spec: {{{KEYS}, {HEX}, moves: [{{«keys»: [], from: eu, to: us, phase: mirror}}]}}",
    ),
    "move of two": (
        "R0205",
        f"spec: {{{KEYS}, {HEX}, moves: [{{keys: [a], «hex»: '0', from: eu, to: us, phase: mirror}}]}}",
    ),
    "move of no table": (
        "R0205",
        f"spec: {{{KEYS}, keys: {{a: eu}}, moves: [{{«hex»: '0', from: eu, to: us, phase: mirror}}]}}",
    ),
    "move of no buckets": (
        "R0205",
        f"spec: {{{KEYS}, {HEX}, moves: [{{«buckets»: '0', from: eu, to: us, phase: mirror}}]}}",
    ),
    # What there is
    "unknown set": ("R0701", f"spec: {{set: «card», key: {{header: a}}, {HEX}}}"),
    "unknown island": ("R0701", f"spec: {{{KEYS}, keys: {{a: «ue»}}}}"),
    "unknown island of digits": ("R0701", f"spec: {{{KEYS}, {HEX.replace('us', '«su»')}}}"),
    "unknown island in a move": (
        "R0701",
        f"spec: {{{KEYS}, {HEX}, moves: [{{hex: '0', from: eu, to: «e», phase: mirror}}]}}",
    ),
    "unknown island of all others": ("R0701", f"spec: {{{KEYS}, {HEX}, otherwise: {{island: «e»}}}}"),
    "removed": ("R0701", f"spec: {{{KEYS}, keys: {{a: «gone»}}}}"),
    "inner island by its last key": ("R0701", "spec: {set: region/cell, key: {header: a}, keys: {a: «0»}}"),
    "drained": ("R0709", f"spec: {{{KEYS}, keys: {{«a»: old}}}}"),
    "drained digits": ("R0709", f"spec: {{{KEYS}, {HEX.replace('us: ', 'old: «')}}}"),
    "drained, all others": ("R0709", f"spec: {{{KEYS}, {HEX}, otherwise: {{island: «old»}}}}"),
    # Keys
    "no header": ("R0706", f"spec: {{set: cart, key: {{header: «a b»}}, {HEX}}}"),
    "no header of buckets": ("R0706", f"spec: {{set: cart, {BUCKETS.replace('x-b', '«a:b»')}}}"),
    "empty key": ("R0706", f"spec: {{{KEYS}, keys: {{«''»: eu}}}}"),
    "blank": ("R0706", f"spec: {{{KEYS}, keys: {{«' a'»: eu}}}}"),
    "line": ("R0706", f'spec: {{{KEYS}, keys: {{«"a\\nb"»: eu}}}}'),
    "in a query": ("R0706", "spec: {set: cart, key: {query: t}, keys: {«a&b»: eu}}"),
    "not encoded": ("R0706", "spec: {set: cart, key: {query: t}, keys: {«é»: eu}}"),
    "no label": ("R0706", "spec: {set: cart, key: {hostLabel: 1}, keys: {«a.b»: eu}}"),
    "no segment": ("R0706", "spec: {set: cart, key: {pathSegment: 1}, keys: {«a/b»: eu}}"),
    "needless escape": ("R0706", "spec: {set: cart, key: {pathSegment: 1}, keys: {«'%41'»: eu}}"),
    "dots": ("R0706", "spec: {set: cart, key: {pathSegment: 1}, keys: {«..»: eu}}"),
    "key of a move": (
        "R0706",
        f"spec: {{set: cart, key: {{pathSegment: 1}}, {HEX}, {move('keys: [«a/0»]')}}}",
    ),
    "one host twice": ("R0714", "spec: {set: cart, key: {hostLabel: 1}, keys: {acme: eu, «ACME»: us}}"),
    # Gaps and overlaps
    "gap": ("R0714", f"spec: {{{KEYS}, hex: {{digits: last, table: «{{»eu: '0-7', us: '9-f'}}}}}}"),
    "overlap": ("R0714", f"spec: {{{KEYS}, hex: {{digits: last, table: {{eu: '0-8', us: «'8-f'»}}}}}}"),
    "overlap with itself": ("R0714", f"spec: {{{KEYS}, hex: {{digits: last, table: {{eu: «'0-8,8'», us: '9-f'}}}}}}"),
    "no range": ("R0706", f"spec: {{{KEYS}, hex: {{digits: last, table: {{eu: «'0..7'», us: '8-f'}}}}}}"),
    "width": ("R0706", f"spec: {{{KEYS}, hex: {{digits: last, count: 2, table: {{eu: «'0-f'»}}}}}}"),
    "backwards": ("R0706", f"spec: {{{KEYS}, hex: {{digits: last, table: {{eu: '0-7', us: «'f-8'»}}}}}}"),
    "no bucket": ("R0714", "spec: {set: cart, buckets: {header: b, count: 8, table: {eu: «'0-8'»}}}"),
    "gap of buckets": ("R0714", "spec: {set: cart, buckets: {header: b, count: 8, table: «{»eu: '0-6'}}}"),
    # Moves
    "to a drained one": (
        "R0709",
        f"spec: {{{KEYS}, {HEX}, moves: [{{hex: '0', from: eu, to: «old», phase: mirror}}]}}",
    ),
    "to itself": ("R0715", f"spec: {{{KEYS}, {HEX}, moves: [{{hex: '0', from: eu, to: «eu», phase: mirror}}]}}"),
    "not its own": ("R0715", f"spec: {{{KEYS}, {HEX}, moves: [{{hex: «'6-8'», from: eu, to: us, phase: mirror}}]}}"),
    "not its own key": (
        "R0715",
        f"spec: {{{KEYS}, keys: {{a: eu, b: us}}, moves: [{{keys: [a, «b»], from: eu, to: us, phase: cutover}}]}}",
    ),
    "nobody's": (
        "R0715",
        f"spec: {{{KEYS}, keys: {{a: eu}}, moves: [{{keys: [«b»], from: eu, to: us, phase: cutover}}]}}",
    ),
    "digits of another": (
        "R0715",
        f"spec: {{{KEYS}, {HEX}, moves: [{{keys: [«b8»], from: eu, to: us, phase: cutover}}]}}",
    ),
    "no digits": ("R0715", f"spec: {{{KEYS}, {HEX}, moves: [{{keys: [«x»], from: eu, to: us, phase: cutover}}]}}"),
    "a key beside numbers": (
        "R0715",
        f"spec: {{{KEYS}, {BUCKETS}, moves: [{{keys: [«3»], from: eu, to: us, phase: cutover}}]}}",
    ),
    "two moves": ("R0715", f"spec: {{{KEYS}, {HEX}, {move('hex: 0-3', 'hex: «3-4»')}}}"),
    "a key with its digits": ("R0715", f"spec: {{{KEYS}, {HEX}, {move('keys: [«a0»]', 'hex: 0-1')}}}"),
    "digits with a key of theirs": ("R0715", f"spec: {{{KEYS}, {HEX}, {move('hex: 0-1', 'keys: [«a0»]')}}}"),
    "one key twice": (
        "R0715",
        f"spec: {{{KEYS}, {HEX}, moves: [{{keys: [a0, «a0»], from: eu, to: us, phase: mirror}}]}}",
    ),
    "no such bucket": (
        "R0714",
        f"spec: {{{KEYS}, {BUCKETS}, moves: [{{buckets: «'8'», from: eu, to: us, phase: mirror}}]}}",
    ),
}


def place_of(marked: str) -> tuple[str, tuple[int, int]]:
    """A text without its « and », and the line and column of what was between them."""
    before = marked.partition("«")[0]
    line = before.count("\n") + 1
    return marked.replace("«", "").replace("»", ""), (line, len(before) - before.rfind("\n"))


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    """With its code at its place, whether a Routing asks for it or not, and by nothing else."""
    code, spec = REFUSED[case]
    text, place = place_of(f"{SETS}{HEAD}{spec}\n")
    for whole in (text, text + ROUTING.lstrip("\n") + ROUTE):
        found = [one for one in findings(whole) if one.severity == "error"]
        assert [(one.code, one.place and one.place[1:3]) for one in found] == [(code, place)], found


ROUTES = {
    "unknown partition": ("R0701", KEYS, "{name: t, to: {partition: «tenant»}}"),
    "in a list": ("R0205", KEYS, "{name: t, to: [«{»partition: tenants}, {island: cart/eu}]}"),
    "each": (
        "R0205",
        KEYS,
        "{name: t, each: cart, match: {headers: {a: '{{ island.key }}'}}, to: «{»partition: tenants}}",
    ),
    "tested": ("R0205", KEYS, "{name: t, match: «{»headers: {X-T: {present: true}}}, to: {partition: tenants}}"),
    "tested query": (
        "R0205",
        "set: cart, key: {query: t}",
        "{name: t, match: «{»query: {t: a}}, to: {partition: tenants}}",
    ),
    "tested host": (
        "R0205",
        "set: cart, key: {hostLabel: 1}",
        "{name: t, match: «{»headers: {Host: a.example.com}}, to: {partition: tenants}}",
    ),
    "whole path": (
        "R0205",
        "set: cart, key: {pathSegment: 2}",
        "{name: t, match: «{»path: {exact: /t/a}}, to: {partition: tenants}}",
    ),
    "segment in the prefix": (
        "R0205",
        "set: cart, key: {pathSegment: 2}",
        "{name: t, match: «{»path: {prefix: /t/a}}, to: {partition: tenants}}",
    ),
    "rewritten": (
        "R0708",
        "set: cart, key: {pathSegment: 2}",
        "{name: t, match: {path: {prefix: /t}}, «rewrite»: {prefix: /}, to: {partition: tenants}}",
    ),
}


@pytest.mark.parametrize("case", ROUTES)
def test_refused_of_a_route(case: str) -> None:
    code, keys, route = ROUTES[case]
    text, place = place_of(f"{SETS}{HEAD}spec: {{{keys}, {HEX}}}{ROUTING}{route}\n")
    found = [one for one in findings(text) if one.severity == "error"]
    assert [(one.code, one.place and one.place[1:3]) for one in found] == [(code, place)], found


def whole(spec: str, route: str = ROUTE, routing: str = ROUTING) -> str:
    return f"{SETS}{HEAD}spec: {{{spec}}}{routing}{route}\n"


def test_a_draining_island_keeps_its_keys_with_a_warning() -> None:
    (found,) = findings(whole(f"{KEYS}, keys: {{a: slow, b: slow, c: eu}}"))
    assert (found.code, found.severity) == ("R0709", "warning")
    assert found.message == "the island `cart/slow` is draining, and it has 2 keys"
    (found,) = findings(whole(f"{KEYS}, hex: {{digits: last, count: 2, table: {{slow: 00-7f, us: 80-ff}}}}"))
    assert found.message == "the island `cart/slow` is draining, and it has 128 values of its digits"
    moved = f"{KEYS}, keys: {{a: slow}}, moves: [{{keys: [a], from: slow, to: eu, phase: cutover}}]"
    assert findings(whole(moved)) == []


@pytest.mark.parametrize("islands", ["islands: {0: {}, 1: {}}", "replicas: 2", "replicas: 2, form: pods"])
@pytest.mark.parametrize("phase", ["mirror", "cutover"])
def test_islands_that_are_counted_move_keys_as_those_that_are_named(islands: str, phase: str) -> None:
    counted = SETS + "apiVersion: replicator.dev/v1alpha1\nkind: IslandSet\nmetadata: {name: many, namespace: shop}\n"
    counted += f"spec: {{type: web, {islands}}}\n---\n"
    table = 'set: many, key: {header: x-t}, pins: {a: 0}, hex: {digits: last, table: {0: "0-7", 1: "8-f"}}'
    moves = ", ".join(f"{{{one}, from: 0, to: 1, phase: {phase}}}" for one in ("keys: [a]", 'hex: "0"', "keys: [b7]"))
    built = build([Source("dsl.yaml", f"{counted}{HEAD}spec: {{{table}, moves: [{moves}]}}{ROUTING}{ROUTE}".encode())])
    assert not has_errors(built.diagnostics), built.diagnostics
    served = {line.written: line.island.key for line in built.partitions["tenants"].stages[0].lines}
    assert served == dict.fromkeys(("a: 0", "b7: 0"), "0" if phase == "mirror" else "1")


def test_a_route_that_another_hides_is_told_with_the_other() -> None:
    """Both have the lines of one table; what differs is where they lead to it."""
    routes = "{name: a, match: {path: {prefix: /a}}, to: {partition: tenants}}\n    - "
    routes += "{name: b, match: {path: {prefix: /a/b}}, to: {partition: tenants}}"
    (found,) = findings(whole(f"{KEYS}, keys: {{x: eu, y: eu}}", routes))
    assert found.code == "R0702"
    assert found.place is not None
    assert found.place.line == found.related[0].place.line + 1


def test_keys_of_paths_are_prefixes_where_nobody_knows_what_a_regular_expression_wins_over() -> None:
    spec = "set: cart, key: {pathSegment: 2}, keys: {a: eu, b: eu, c: us}, otherwise: {island: us}"
    gateway = ROUTING.replace("spec:\n", "spec:\n  provider: gateway-api\n  gateway: {name: public}\n")
    route = "{name: t, match: {path: {prefix: /t}}, to: {partition: tenants}}"
    built = build([Source("dsl.yaml", whole(spec, route, gateway).encode())])
    assert not has_errors(built.diagnostics), built.diagnostics
    (made,) = [one for one in yaml.safe_load_all(b"".join(built.texts())) if one["kind"] == "HTTPRoute"]
    paths = [[match["path"] for match in rule["matches"]] for rule in made["spec"]["rules"]]
    prefixes = [[path["value"] for path in of_rule if path["type"] == "PathPrefix"] for of_rule in paths]
    assert prefixes == [["/t/a", "/t/b"], ["/t/c"], ["/t"]]


def test_islands_of_every_kind_own_keys() -> None:
    assert findings(whole(f"{KEYS}, keys: {{a: eu, b: fn, c: vm}}")) == []
    assert findings(whole('set: region/cell, key: {header: a}, keys: {a: eu/0, b: us/1}, pins: {c: "us/0"}')) == []
    (found,) = findings(whole(f"{KEYS}, keys: {{a: eu}}, moves: [{{keys: [a], from: eu, to: fn, phase: mirror}}]"))
    assert found.code == "R0708"


def test_a_route_has_one_mirror() -> None:
    """A move in its first phase needs it; in its second it does not."""
    route = "{name: t, mirror: {island: cart/us}, to: {partition: tenants}}"
    first, second = move("hex: '0'").replace("cutover", "mirror"), move("hex: '0'")
    found = findings(whole(f"{KEYS}, {HEX}, {first}", route))
    assert [one.code for one in found] == ["R0205"]
    assert found[0].message == "this route has a mirror of its own, and a move of its Partition needs one"
    assert findings(whole(f"{KEYS}, {HEX}, {second}", route)) == []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (f"{KEYS}, keys: {{a: eu, b: us}}", "2 keys of a map; other keys go on to the routes that follow"),
        (f"{KEYS}, pins: {{a: eu}}, otherwise: {{respond: 421}}", "1 pinned key; other keys are answered by 421"),
        (
            f"{KEYS}, pins: {{a: eu}}, {HEX}, otherwise: {{island: us}}",
            "1 pinned key, then all 16 values of hex digits; other keys go to `cart/us`",
        ),
        (f"set: cart, {BUCKETS}", "all 8 buckets; other keys go on to the routes that follow"),
        (
            f"{KEYS}, {HEX}, moves: [{{hex: '0', from: eu, to: us, phase: mirror}}]",
            "all 16 values of hex digits; other keys go on to the routes that follow; moves under way: 1",
        ),
    ],
)
def test_validate_says_what_is_proved(spec: str, message: str) -> None:
    (found,) = [one for one in findings(whole(spec), notes=True) if one.code == "R0716"]
    assert found.severity == "note"
    assert found.message == f"proved: each key has one serving island: {message}"


def test_route_says_which_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    move = "moves: [{hex: '1', from: eu, to: us, phase: mirror}]"
    Path("dsl.yaml").write_text(whole(f"{KEYS}, pins: {{a9: eu}}, {HEX}, {move}, otherwise: {{respond: 421}}"))
    line = whole("").count("\n") - ROUTING.count("\n")

    def route(key: str, *more: str) -> str:
        main(["route", *more, "GET", "http://a.example.com/", "-H", f"x-t:{key}", "dsl.yaml"])
        return capfd.readouterr().out

    assert f"the key `a9` is in `pins: a9: eu` (dsl.yaml:{line}), of the Partition tenants" in route("a9")
    assert f"the key `x8` is in `hex: us: 8-f` (dsl.yaml:{line}), of the Partition tenants" in route("x8")
    assert "in a move whose phase is mirror" in route("x1")
    assert "is in `otherwise`" in route("zz")
    found = json.loads(route("x1", "--format", "json"))
    answer = found["answers"][0] if "answers" in found else found
    assert answer["key"] == {
        "partition": "tenants",
        "key": "x1",
        "table": "hex",
        "line": {**answer["key"]["line"], "text": "hex: eu: 0-7", "line": line},
        "move": "mirror",
    }


def test_a_header_that_comes_twice_is_told_by_the_line_that_serves() -> None:
    from replicator.routing.requests import request
    from replicator.routing.simulator import Simulator

    run = build([Source("dsl.yaml", whole(f"{KEYS}, {HEX}").encode())], Options())
    headers = [("x-t", "8"), ("x-t", "0")]
    (answer,) = Simulator(run.tables).answers(request("GET", "http", "a.example.com", "/", headers))
    assert answer.key is not None
    assert ([share.island for share in answer.shares], answer.key.line) == (["cart/eu"], "hex: eu: 0-7")


# How much a table takes


def islands(number: int) -> str:
    return ", ".join(f"i{one}: {{}}" for one in range(number))


def large(provider: str, spec: str, number: int) -> Built:
    """A Partition over so many islands of a Set."""
    of_set = SETS.partition("  islands:\n")[0] + f"  islands: {{{islands(number)}}}\n---\n"
    routing = json.dumps({**PROVIDERS[provider].spec, "hosts": ["*.example.com"]})[1:-1]
    text = f"{of_set}{HEAD}spec: {{{spec}}}\n---\napiVersion: replicator.dev/v1alpha1\nkind: Routing\n"
    text += "metadata: {name: shop, namespace: edge}\nspec: {" + routing + ", routes: [" + ROUTE + "]}\n"
    return build([Source("dsl.yaml", text.encode())], Options())


def tables(number: int) -> str:
    """All values of two digits, shared out among islands."""
    ends = [256 * one // number for one in range(number + 1)]
    of = [f'i{one}: "{ends[one]:02x}-{ends[one + 1] - 1:02x}"' for one in range(number)]
    return f"hex: {{digits: last, count: 2, table: {{{', '.join(of)}}}}}"


@pytest.fixture
def judged_by_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The translator takes any two regular expressions of one rank to overlap; that these do not is asked with keys."""
    monkeypatch.setattr(envoy_gateway_api, "_refuse_ties", lambda host, routes: None)


@pytest.mark.usefixtures("judged_by_keys")
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("source", ["header: x-t", "query: t", "hostLabel: 1"])
def test_two_thousand_keys(provider: str, source: str) -> None:
    """They are in few rules, which each provider and its proxies take."""
    random = Random(1)
    keys = [f"{random.getrandbits(128):032x}" for _ in range(2000)]
    spec = f"set: cart, key: {{{source}}}, keys: {{{', '.join(f'{key!r}: i{at % 50}' for at, key in enumerate(keys))}}}"
    run = large(provider, spec, 50)
    assert not has_errors(run.diagnostics), run.diagnostics
    objects = objects_of(run)
    assert refused(PROVIDERS[provider], objects) == ""
    routes = [one for one in objects if one["kind"] == "HTTPRoute"]
    for one in routes:
        matches = [len(rule["matches"]) for rule in one["spec"]["rules"]]
        assert len(matches) <= 16 and sum(matches) <= 128 and max(matches) <= 64
    names = [(one["kind"], one["metadata"]["name"], one["metadata"].get("namespace")) for one in objects]
    assert len(names) == len(set(names))
    with PROVIDERS[provider].running(objects, backends(objects)) as gateway:
        for at in range(0, 2000, 97):
            key = keys[at]
            host = f"{key}.example.com" if "host" in source else "a.example.com"
            response = gateway.request("GET", f"/?t={key}", host, [("x-t", key)])
            assert response.service == f"shop/cart-i{at % 50}-web:80"


@pytest.mark.usefixtures("judged_by_keys")
@pytest.mark.parametrize("source", ["header: x-t", "query: t", "hostLabel: 1"])
@pytest.mark.parametrize("provider", ["gateway-api", "kgateway"])
def test_pins_win_whatever_the_age_of_an_httproute(provider: str, source: str) -> None:
    """The table of many islands takes several HTTPRoutes; with the name of the oldest turned round, pins win too."""
    spec = f"set: cart, key: {{{source}}}, pins: {{a00: i59, aff: i0, '007': i1}}, {tables(60)}"
    run = large(provider, spec, 60)
    if provider == "gateway-api" and "host" in source:  # no other header is there for sure
        assert {one.code for one in run.diagnostics} == {"R0713"}
        return
    assert not has_errors(run.diagnostics), run.diagnostics
    objects = objects_of(run)
    routes = [one for one in objects if one["kind"] == "HTTPRoute"]
    assert len(routes) > 3
    for rank, one in enumerate(reversed(routes)):
        one["metadata"]["name"] = f"{rank}-{one['metadata']['name']}"
    with PROVIDERS[provider].running(objects, backends(objects)) as gateway:
        for key, island in {"a00": "i59", "aff": "i0", "007": "i1", "b00": "i0", "bff": "i59"}.items():
            host = f"{key}.example.com" if "host" in source else "a.example.com"
            response = gateway.request("GET", f"/?t={key}", host, [("x-t", key)])
            assert response.service == f"shop/cart-{island}-web:80"


def test_a_pin_is_no_longer_prefix_where_the_table_is_of_paths() -> None:
    """A regular expression of paths would win over it."""
    run = large("kgateway", f"set: cart, key: {{pathSegment: 1}}, pins: {{a00: i1}}, {tables(2)}", 2)
    (route,) = [one for one in objects_of(run) if one["kind"] == "HTTPRoute"]
    assert route["spec"]["rules"][0]["matches"][0]["path"] == {"type": "RegularExpression", "value": "/a00(/.*)?"}


def test_a_prefix_that_the_regular_expression_of_a_later_partition_would_win_over() -> None:
    routes = "{name: one, match: {path: {prefix: /t/a00}}, to: {island: cart/us}}\n"
    routes += "    - {name: t, match: {path: {prefix: /t}}, to: {partition: tenants}}"
    spec = f"set: cart, key: {{pathSegment: 2}}, {HEX}"
    assert findings(whole(spec, routes)) == []
    found = findings(whole(spec, routes, ROUTING.replace("spec:", OF_KGATEWAY)))
    assert [one.code for one in found] == ["R0713"]


def test_a_path_whose_regular_expression_is_too_large() -> None:
    route = f"{{name: t, match: {{path: {{prefix: /{'x' * 1000}}}}}, to: {{partition: tenants}}}}"
    (found,) = findings(whole(f"set: cart, key: {{pathSegment: 4}}, {HEX}", route))
    assert found.code == "R0708"


def test_parts_have_names_of_their_own() -> None:
    """Of the island a-to-cart-b, and of the move from a to b; of the island a-2, and of the second part of a."""
    keys = ", ".join(f"k{number}{'x' * 50}: a" for number in range(2000 - 2))
    moves = f"moves: [{{keys: [k1{'x' * 50}], from: a, to: b, phase: mirror}}]"
    spec = f"{KEYS}, keys: {{k: a-2, l: a-to-cart-b, {keys}}}, {moves}"
    text = whole(spec).replace("{eu: {}, us: {}, fn", "{a: {}, b: {}, a-2: {}, a-to-cart-b: {}, fn")
    run = build([Source("dsl.yaml", text.replace("spec:\n  hosts", f"{OF_KGATEWAY}\n  hosts").encode())], Options())
    assert not has_errors(run.diagnostics)
    names = [rule["name"] for one in objects_of(run) if one["kind"] == "HTTPRoute" for rule in one["spec"]["rules"]]
    assert len(names) == len(set(names)) > 4


# I2


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_edit_of_a_line_changes_the_rules_of_its_islands(provider: str) -> None:
    before = large(provider, f"{KEYS}, {tables(8)}", 8)
    after = large(provider, f"{KEYS}, {tables(8).replace('00-1f', '00-1e').replace('20-3f', '1f-3f')}", 8)
    old, new = (list(yaml.load_all(b"".join(run.texts()), yaml.CSafeLoader)) for run in (before, after))
    changed = [(one, other) for one, other in zip(old, new, strict=True) if one != other]
    assert [one["kind"] in ("VirtualService", "HTTPRoute") for one, _ in changed] == [True]
    lines, others = (json.dumps(one, indent=0).split("\n") for one in changed[0])
    assert len(lines) == len(others)
    assert sum(line != other for line, other in zip(lines, others, strict=True)) == 2


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_order_of_the_table_means_nothing(provider: str) -> None:
    def texts(spec: str) -> bytes:
        return b"".join(large(provider, spec, 4).texts())

    pins = ["a: i0", "b: i1", "c: i0"]
    lines = ['i0: "0-3,8"', 'i1: "4-7"', 'i2: "9-c"', 'i3: "d-f"']
    moves = ["{keys: [b], from: i1, to: i2, phase: mirror}", "{hex: '9', from: i2, to: i3, phase: cutover}"]

    def spec(step: int) -> str:
        table = ", ".join(lines[::step]).replace("0-3,8", "0-3,8" if step > 0 else "8,0-3")
        return (
            f"{KEYS}, pins: {{{', '.join(pins[::step])}}}, hex: {{digits: last, table: {{{table}}}}}, "
            f"moves: [{', '.join(moves[::step])}]"
        )

    assert texts(spec(1)) == texts(spec(-1))
