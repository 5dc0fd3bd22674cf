"""Whatever the input is: diagnostics with a place, or manifests; never a traceback, a hang, or half an output.

A case's text has a mark, `‸`, where its first diagnostic is to point; the mark is taken out before it is compiled.
`codes` are the codes of all diagnostics in the order of their places: one mistake is one finding, told once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent, indent
from typing import Any, NamedTuple

import pytest

from replicator.cli import main

MARK = "‸"


class Case(NamedTuple):
    """An input that is refused. `place` is LINE:COLUMN, for bytes, where no mark can stand."""

    name: str
    text: str | bytes
    codes: str
    place: str = ""
    others: int = 0

    @property
    def raw(self) -> bytes:
        return self.text if isinstance(self.text, bytes) else self.text.replace(MARK, "").encode()

    @property
    def where(self) -> str:
        if isinstance(self.text, bytes):
            return self.place
        before, mark, _ = self.text.partition(MARK)
        assert mark, f"{self.name}: no mark"
        return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


# Documents. Every `spec` is written as if it began its line.


def document(kind: str, metadata: str, spec: str) -> str:
    head = f"apiVersion: replicator.dev/v1alpha1\nkind: {kind}\nmetadata: {{{metadata}}}\nspec:\n"
    return head + indent(dedent(spec).strip("\n"), "  ") + "\n"


def documents(*texts: str) -> str:
    return "---\n".join(texts)


def island_type(spec: str, name: str = "app") -> str:
    return document("IslandType", f"name: {name}", spec)


def island_set(spec: str = "type: app\nislands: {eu: {}, us: {}}", name: str = "cart", namespace: str = "shop") -> str:
    return document("IslandSet", f"name: {name}, namespace: {namespace}", spec)


def routing(spec: str, name: str = "front") -> str:
    return document("Routing", f"name: {name}, namespace: edge", spec)


UNITS = "units: {web: {image: nginx, ports: {http: 80}}}"
OFFER = "ports: {http: {unit: web, port: http}}"
TYPE = island_type(f"{OFFER}\n{UNITS}")
SET = island_set()
ONE = island_set("type: app\nislands: {eu: {}}")
GOOD = documents(TYPE, SET)

PARAMS = """
params:
  v: {type: string, default: x}
  n: {type: integer, default: 1}
  m: {type: object, properties: {c: {type: string}}, additionalProperties: false, default: {c: x}}
"""


def unit(fields: str, of_type: str = "") -> str:
    """A unit with some more fields, in a Set."""
    head = f"{of_type}\n" if of_type else ""
    return documents(island_type(f"{head}units:\n  web:\n    image: nginx\n" + indent(dedent(fields), "    ")), ONE)


def pods(fields: str, of_set: str = "") -> str:
    """A unit with some more fields, in a Set that is one StatefulSet."""
    spec = PARAMS.strip("\n") + "\nunits:\n  web:\n    image: nginx\n" + indent(dedent(fields), "    ")
    return documents(island_type(spec), island_set("type: app\nreplicas: 2\nform: pods\n" + of_set))


def text(scalar: str, params: str = "") -> str:
    """An expression in a text: `scalar` stands between double quotes, but for a mark that it begins with."""
    quoted = f'{MARK}"{scalar[1:]}"' if scalar.startswith(MARK + '"') else f'"{scalar}"'
    return unit(f"ports: {{http: 80}}\nenv: {{A: {quoted}}}", f"params: {{{params}}}" if params else "")


def failing(expression: str, params: str = "") -> str:
    """An expression that fails when it is evaluated: the whole scalar is pointed at."""
    return unit(f'ports: {{http: 80}}\nenv: {{A: {MARK}"{expression}"}}', f"params: {{{params}}}" if params else "")


_NODE_PORTS = """
units:
  a: {{image: x, ports: {{http: 80}}, service: {{type: NodePort, ports: [{{port: 80, nodePort: 30080}}]}}}}
  b: {{image: x, ports: {{http: 80}}, service: {{type: NodePort, ports: [{{port: 80, nodePort: {}}}]}}}}
"""


def patched(target: str, patch: str) -> str:
    return documents(
        TYPE, island_set(f"type: app\nislands: {{eu: {{}}}}\npatches: [{{target: {target}, patch: {patch}}}]")
    )


def parameter(schema: str, name: str = "a") -> str:
    return documents(island_type(f"params:\n  {name}: {schema}\n{UNITS}"), ONE)


def values(of_set: str, params: str = PARAMS) -> str:
    """A Set of a Type with the parameters v (text), n (an integer) and m (a map)."""
    return documents(island_type(params.strip("\n") + "\n" + UNITS), island_set("type: app\n" + dedent(of_set)))


def routes(entries: str, hosts: str = "[a.example.com]", more: str = "", of_set: str = SET) -> str:
    head = f"{more}\n" if more else ""
    spec = f"{head}hosts: {hosts}\nroutes:\n{indent(dedent(entries), '  ')}"
    return documents(TYPE, of_set, routing(spec))


def match(what: str) -> str:
    return routes(f"- {{name: a, match: {{{what}}}, to: {{spread: cart}}}}")


def path(scalar: str) -> str:
    return match(f"path: {{prefix: {MARK}{scalar}}}")


DISPUTED = (
    "yes", "No", "on", "y", "0o14", "012", "00", "1e3", "1_000", ".5", "1.", "0b1", "12:30", "1:2:3", "=",
    "2020-01-01", "2020-01-01T10:00:00Z",
)  # fmt: skip

UNREADABLE = (
    "{{ island.key", "{{ island.key }", "{{ }}", "{{}}", "{{ 'a }}", "{{ (1 }}", "{{ 1) }}", "{{ 1 2 }}", "{{ a b }}",
    "{{ a = 1 }}", "{{ a; b }}", "{{ a, b }}", "{{ lambda: 1 }}", "{{ [a for a in b] }}", "{{ f'{a}' }}", "{{ $a }}",
    "{{ .Values.a }}", "{{ a ? b : c }}", "{{ a && b }}", "{{ {% if a %} }}", "{{ # a }}", "{{{ a }}}",
)  # fmt: skip

UNKNOWN = (
    "{{ foo }}", "{{ isand.key }}", "{{ island }}", "{{ island.kye }}", "{{ island.key.length }}", "{{ params }}",
    "{{ island.ordinal }}", "{{ params.a }}", "{{ params['a'] }}", "{{ params.a is defined }}", "{{ let.a }}",
    "{{ loop.index }}", "{{ self }}", "{{ cycler }}", "{{ island.__class__ }}", "{{ island['__class__'] }}",
    "{{ island.key.__class__.__mro__ }}", "{{ params.__class__ }}", "{{ \u0430 }}", "{{ 'a' if false else foo }}",
)  # fmt: skip

ABSENT = (
    "{{ 2 ** 3 }}", "{{ 'a' * 10**9 }}", "{{ 4 / 2 }}", "{{ +1 }}", "{{ 'abc'[0:1] }}", "{{ island.key.upper() }}",
    "{{ 'a'.upper() }}", "{{ ''.__class__ }}", "{{ [].append(1) }}", "{{ {'a': 1}.a }}", "{{ island.key | bar }}",
    "{{ 'a' | attr('b') }}", "{{ 'a' | map('b') }}", "{{ island.key is bar }}", "{{ 1 is sameas 1 }}",
    "{{- island.key }}", "{{ island.key -}}", "{{ 'a' if true }}", "{{ omit }}",
)  # fmt: skip

MISCALLED = (
    "{{ bar() }}", "{{ range(3) }}", "{{ dict(a=1) }}", "{{ namespace() }}", "{{ super() }}", "{{ host() }}",
    "{{ host(island.key) }}", "{{ host(*['web']) }}", "{{ host(unit='web') }}", "{{ host('wbe') }}", "{{ name('a') }}",
    "{{ host('web', 'http') }}", "{{ port('web') }}", "{{ 'a' if true else host('wbe') }}",
)  # fmt: skip

FAILING = (
    "{{ 1 // 0 }}", "{{ 1 % 0 }}", "{{ 1 is divisibleby 0 }}", "{{ 'a' + 'b' }}", "{{ 'a' * 1000000000 }}",
    "{{ [1] * 1000000000 }}", "{{ '%1000000000d' % 1 }}", "{{ 1.5 + 1 }}", "{{ 9223372036854775807 + 1 }}",
    "{{ -island.key }}", "{{ none }}", "{{ 'a' | int }}", "{{ 'a' | join }}",
    "{{ 1 | length }}", "{{ 'a' | indent(1000000) }}",
    "{{ 'a' | replace('', 'b') }}", "{{ 'a' < 1 }}", "{{ 'a' in 5 }}",
)  # fmt: skip

FAILING_IN_THE_ISLAND = (
    "{{ [1][5] }}", "{{ [] | first }}", "{{ [1, 'a'] | sort }}", "{{ omit ~ 'a' }}", "{{ {[1]: 2} }}",
    "{{ omit | to_json }}",
)  # fmt: skip

MISGIVEN = (
    "{{ 'a' | replace('b') }}", "{{ 'a' | upper(1) }}", "{{ 'a' | indent(with=3) }}", "{{ 1 is divisibleby }}",
)  # fmt: skip

DEFAULTS = (
    "{type: integer, default: ‸x}", '{type: integer, default: ‸"5"}', "{type: integer, default: ‸1.5}",
    "{type: integer, minimum: 5, default: ‸3}", "{type: string, default: ‸5}", "{type: string, default: ‸null}",
    '{type: boolean, default: ‸"true"}', "{type: array, default: ‸x}", "{type: string, enum: [a, b], default: ‸c}",
    "{type: string, pattern: ^a$, default: ‸b}", "{type: string, minLength: 2, default: ‸a}",
    "{type: array, items: {type: string}, default: ‸[a, 1]}", "{type: array, uniqueItems: true, default: ‸[1, 1]}",
    "{type: object, properties: {b: {type: integer}}, default: ‸{b: x}}",
    "{type: object, properties: {b: {type: integer}}, required: [b], default: ‸{}}",
    "{type: object, properties: {}, additionalProperties: false, default: ‸{b: 1}}",
)  # fmt: skip


SOURCE = [
    Case("no bytes", b"", "R0110", "1:1"),
    Case("only comments", "‸# nothing\n", "R0110"),
    Case("only empty documents", "‸---\n---\n...\n", "R0110"),
    Case("UTF-16 with a mark", GOOD.encode("utf-16"), "R0102", "1:1"),
    Case("UTF-16 without a mark", GOOD.encode("utf-16-be"), "R0102", "1:1"),
    Case("UTF-32", GOOD.encode("utf-32"), "R0102", "1:1"),
    Case("a program", b"\x7fELF\x02\x01\x01\x00" + bytes(200), "R0102", "1:1"),
    Case("an image", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "R0102", "1:1"),
    Case("a byte of no character after lone carriage returns", b"a: b\r# c\r\xe9\r", "R0102", "3:1"),
    Case("Latin-1", b"a: b\n# caf\xe9\n", "R0102", "2:6"),
    Case("a surrogate in UTF-8", b'a: "\xed\xa0\x80"\n', "R0102", "1:5"),
    Case("a truncated character", b"a: \xe6\x9d", "R0102", "1:4"),
    Case("NUL late in the file", TYPE.encode() + b'# \x00"\n', "R0101", "7:3"),
    Case("a control character", 'a: "b‸\x1b[31mc"\n', "R0101"),
    Case("no character", "a: b‸\uffffc\n", "R0101"),
    Case("a mark in the middle", TYPE + "---\n‸\ufeff" + SET, "R0101"),
    Case("a line break of YAML 1.1: NEL", 'a: "b‸\x85c"\n', "R0106"),
    Case("a line break of YAML 1.1: LS", 'a: "b‸\u2028c"\n', "R0106"),
    Case("a tab for indentation", "a:\n‸\tb: c\n", "R0101"),
    Case("an unclosed double quote", 'a: b\nc: ‸"d\ne: f\n', "R0101"),
    Case("an unclosed single quote", "a: b\nc: ‸'d\ne: f\n", "R0101"),
    Case("an unclosed map", "a: b\nc: ‸{d: e\n", "R0101"),
    Case("an unclosed list", "a: b\nc: ‸[d, e\n", "R0101"),
    Case("a closing bracket too many", "a: [b]‸]\n", "R0101"),
    Case("a colon in a value", "a: b‸: c\n", "R0101"),
    Case("a colon in a value of a map in flow", "a: ‸{b: c: d}\n", "R0101"),
    Case("an indicator at the start", "a: ‸@b\n", "R0101"),
    Case("an unknown escape", 'a: ‸"b\\qc"\n', "R0101"),
    Case("an escaped surrogate", 'a: ‸"b\\ud800"\n', "R0101"),
    Case("another version of YAML", "‸%YAML 2.0\n---\na: b\n", "R0101"),
    Case("a list and a map in one", "a: b\n‸- c\n", "R0101"),
    Case("a step back to nowhere", "a:\n    b: c\n  ‸d: e\n", "R0101"),
    Case("text after the end", "a: b\n...\n‸c\n", "R0101"),
    Case("a tag", "a: ‸!!str 5\n", "R0105"),
    Case("a tag of a map", "a: ‸!thing {b: c}\n", "R0105"),
    Case("a tag of nothing", "a: ‸!!null\n", "R0105"),
    Case("an alias of nothing", "a: ‸*b\n", "R0104"),
    Case("an alias of the document before", "a: &b c\n---\nd: ‸*b\n", "R0104"),
    Case("an alias of itself", "a: &b\n  c: ‸*b\n", "R0104"),
    Case("a merge key", "a: &b {c: d}\ne:\n  ‸<<: *b\n", "R0108"),
    Case("a list for a key", "a:\n  ‸[b]: c\n", "R0108"),
    Case("a map for a key", "a:\n  ‸{b: c}: d\n", "R0108"),
    Case("an alias of a map for a key", "a: &b {c: d}\n‸*b : e\n", "R0108"),
    Case("an alias of a list for a key", unit("pod:\n  a: &b [c]\n  ‸*b : d\n"), "R0108"),
    Case("nothing for a key", "a:\n  ?‸\n  : b\n", "R0108"),
    Case("a key twice", "a: b\n‸a: c\n", "R0103"),
    Case("a key twice, deep", "a:\n  - b: {c: d, ‸c: e}\n", "R0103"),
    Case("a key twice, once in quotes", "a: b\n‸'a': c\n", "R0103"),
    Case("a key three times", "a: b\n‸a: c\na: d\n", "R0103 R0103"),
    Case("a key twice by an alias", "a: &b c\nd:\n  &e f: g\n  ‸*e : h\n", "R0103"),
    Case("an expression without quotes", "a: ‸{{ params.x }}\n", "R0107"),
    Case("an expression without quotes, text after it", "a: ‸{{ params.x }}/b\n", "R0107"),
    Case("an expression without quotes in a list", "a:\n  - ‸{{ params.x | default('b') }}\n", "R0107"),
    Case("an expression without quotes in flow", "a: {b: ‸{{ params.x }}}\n", "R0107"),
    *(Case(f"read differently: {word}", f"a: ‸{word}\n", "R0106") for word in DISPUTED),
    *(
        Case(f"no number of JSON: {word}", f"a: ‸{word}\n", "R0111")
        for word in (".inf", "-.INF", ".nan", "9223372036854775808", "9" * 400, "0xFFFFFFFFFFFFFFFF", "1.0e+999")
    ),
]

DOCUMENTS = [
    Case("text", "‸hello\n", "R0201"),
    Case("a list", "‸- hello\n", "R0201"),
    Case("a number", "‸5\n", "R0201"),
    Case("an empty map", "‸{}\n", "R0202"),
    Case("no kind", "‸apiVersion: replicator.dev/v1alpha1\n", "R0202"),
    Case("no apiVersion", "‸kind: IslandType\n", "R0202"),
    Case("a misspelt kind", "apiVersion: replicator.dev/v1alpha1\nkind: ‸IslandTyp\n", "R0201"),
    Case("a number for the kind", "apiVersion: replicator.dev/v1alpha1\nkind: ‸5\n", "R0201"),
    Case("another apiVersion", "apiVersion: ‸replicator.dev/v2\nkind: IslandType\n", "R0201"),
    Case("a Kubernetes manifest", "apiVersion: ‸v1\nkind: ConfigMap\nmetadata: {name: a}\n", "R0201"),
    Case(
        "no metadata",
        "‸apiVersion: replicator.dev/v1alpha1\nkind: IslandType\nspec: {units: {a: {image: b}}}\n",
        "R0202",
    ),
    Case("no name", TYPE.replace("metadata: {name: app}", "‸metadata: {}"), "R0202"),
    Case("nothing for the metadata", TYPE.replace("metadata: {name: app}", "‸metadata:"), "R0204"),
    Case(
        "nothing for the spec",
        "apiVersion: replicator.dev/v1alpha1\nkind: IslandSet\nmetadata: {name: a}\n‸spec:\n",
        "R0204",
    ),
    Case("two Types of one name", documents(TYPE, TYPE.replace("name: app", "name: ‸app")), "R0301"),
    Case("two Sets of one name", documents(TYPE, SET, SET.replace("name: cart", "name: ‸cart")), "R0301"),
    Case("a Set without its Type", island_set("type: ‸nope\nislands: {eu: {}}"), "R0302"),
    Case("a misspelt field of the document", TYPE.replace("spec:", "‸spce:"), "R0203"),
    Case("an unknown field of a Type", island_type(f"‸deployments: []\n{UNITS}"), "R0203"),
    Case("an unknown field of a unit", unit("‸imagePolicy: Always\n"), "R0203"),
    Case("an unknown field of a port", unit("ports: {a: {containerPort: 80, ‸name: b}}\n"), "R0203"),
    Case("an unknown field of a variable", unit("env: {A: {‸valueFrom: {}}}\n"), "R0203"),
    Case("an unknown field of a claim", unit("kind: StatefulSet\nstorage: {/a: {size: 1Gi, ‸class: b}}\n"), "R0203"),
    Case("namespaces without their scope", values("islands: {eu: {}}\n‸namespaces: {}"), "R0310"),
    Case("an unknown field of a Set", values("islands: {eu: {}}\n‸colour: red"), "R0203"),
    Case("an unknown field of an island", values("islands: {eu: {‸param: {}}}"), "R0203"),
    Case(
        "an unknown field of an override",
        values("replicas: 1\noverrides: [{islands: ['0'], params: {}, ‸when: a}]"),
        "R0203",
    ),
    Case("an unknown field of a Routing", routes("- {to: {spread: cart}}", more="‸gateways: []"), "R0203"),
    Case("an unknown field of a route", routes("- {‸prefix: /, to: {spread: cart}}"), "R0203"),
    Case("an unknown field of a match", match("‸host: a"), "R0203"),
    Case("an unknown field of a destination", routes("- {to: {spread: cart, ‸subset: a}}"), "R0203"),
    Case("an unknown field of a provider", routes("- {to: {spread: cart}}", more="gloo: {‸mesh: a}"), "R0203"),
    Case("a misspelt field that is required", values("replicas: 1").replace("type: app", "‸typ: app"), "R0203"),
    Case(
        "another tool's word for a field that is required",
        routes("- {to: {spread: cart}}").replace("hosts:", "‸domains:"),
        "R0203",
    ),
    Case("no units", island_type("units: {}").replace("spec:", "‸spec:"), "R0202"),
    Case("nothing for the units", island_type("‸units:"), "R0204"),
    Case("a list for the units", island_type("‸units: [{name: web}]"), "R0204"),
    Case("text for a unit", island_type("units: {web: ‸nginx}"), "R0204"),
    Case("no image", island_type("units: {‸web: {}}"), "R0202"),
    Case("a number for the image", island_type("units: {web: {image: ‸5}}"), "R0204"),
    Case("nothing in the image", island_type('units: {web: {image: ‸""}}'), "R0205"),
    Case("text for the count", values('replicas: ‸"3"'), "R0204"),
    Case("a count below zero", values("replicas: ‸-1"), "R0205"),
    Case("a count with a fraction", values("replicas: ‸1.5"), "R0204"),
    Case("an expression for the count", values('replicas: ‸"{{ 3 }}"'), "R0204"),
    Case("a list for the islands", values("‸islands: [eu, us]"), "R0204"),
    Case("a number for an island", values("islands: {eu: ‸3}"), "R0204"),
    Case("another scope", values("islands: {eu: {}}\nscope: ‸cluster"), "R0205"),
    Case("a misspelt form", values("islands: {eu: {}}\nform: ‸pod"), "R0205"),
    Case("keys and a count at once", values("islands: {eu: {}}\n‸replicas: 3"), "R0311"),
    Case("neither keys nor a count", documents(TYPE, island_set("type: app").replace("spec:", "‸spec:")), "R0311"),
    Case("a start without a count", values("islands: {eu: {}}\n‸start: 3"), "R0311"),
    Case("too many islands", values("replicas: ‸100001"), "R0508"),
    Case("as many islands as 64 bits can count", values("replicas: ‸9223372036854775807"), "R0508"),
]

NAMES = [
    *(
        Case(f"no key: {key}", values(f"islands: {{‸{key}: {{}}}}"), "R0501")
        for key in ("EU", "a_b", "-x", "x-", "a.b", "é", "k" * 33, '""', '"a b"')
    ),
    Case(
        "a key and the override for it",
        values("islands: {‸EU: {}}\noverrides: [{islands: [EU], params: {n: 2}}]"),
        "R0501",
    ),
    Case("no name of a Set", documents(TYPE, SET.replace("name: cart", "name: ‸Cart")), "R0304"),
    Case("a Set's name that begins with a digit", documents(TYPE, SET.replace("name: cart", "name: ‸0cart")), "R0304"),
    Case("a Set's name of 64 characters", documents(TYPE, SET.replace("name: cart", "name: ‸" + "c" * 64)), "R0304"),
    Case("an expression for a name", documents(TYPE, SET.replace("name: cart", 'name: "‸{{ a }}"')), "R0406"),
    Case("no name of a namespace", documents(TYPE, SET.replace("namespace: shop", "namespace: ‸Shop")), "R0304"),
    Case("no name of a unit", island_type("units: {‸Web: {image: a}}"), "R0304"),
    Case("a unit's name of 64 characters", island_type("units: {‸" + "w" * 64 + ": {image: a}}"), "R0304"),
    Case("an expression for a unit's name", island_type('units: {"‸{{ a }}": {image: a}}'), "R0406"),
    Case("no name of a port", unit("ports: {‸HTTP: 80}\n"), "R0304"),
    Case("a port's name of digits", unit("ports: {‸80: 80}\n"), "R0304"),
    Case("a port's name of 16 characters", unit("ports: {‸abcdefghijklmnop: 80}\n"), "R0304"),
    Case("no name of a variable", unit('env: {‸"A=B": c}\n'), "R0304"),
    Case("an expression for a variable's name", unit('env: {"‸{{ a }}": b}\n'), "R0406"),
    Case("no key of a label", documents(TYPE, SET.replace("shop}", "shop, labels: {‸-a: b}}")), "R0304"),
    Case("no value of a label", documents(TYPE, SET.replace("shop}", "shop, labels: {‸a: -b}}")), "R0304"),
    Case(
        "our own label",
        documents(TYPE, SET.replace("shop}", "shop, labels: {‸replicator.dev/island: b}}")),
        "R0304/R0307",
    ),
    Case("our own label of a pod", unit("podMetadata: {labels: {‸replicator.dev/island: a}}\n"), "R0304/R0307"),
    Case(
        "a label that selects pods", unit("podMetadata: {labels: {‸app.kubernetes.io/component: a}}\n"), "R0304/R0307"
    ),
    Case("no name of an external object", island_type(f"external: {{Secret: [‸A_b]}}\n{UNITS}"), "R0304"),
    Case(
        "a Service's name of 64 characters",
        documents(
            island_type("units: {" + "w" * 40 + ": {kind: StatefulSet, image: a}}"),
            island_set("type: app\nislands: {‸" + "k" * 9 + ": {}, us: {}}"),
        ),
        "R0506",
    ),
    Case(
        "a StatefulSet's name of 53 characters",
        documents(
            island_type("units: {" + "w" * 38 + ": {kind: StatefulSet, image: a}}"),
            island_set("type: app\nislands: {‸" + "k" * 9 + ": {}, us: {}}"),
        ),
        "R0506",
    ),
    Case(
        "an island's name of 64 characters, and that of another",
        documents(TYPE, island_set("type: app\nislands: {us1: {}, ‸eu1: {}, ap: {}}", name="c" * 60)),
        "R0506",
    ),
    Case(
        "a StatefulSet's name of 53 characters, its pods islands",
        documents(TYPE, island_set("type: app\nreplicas: 2\nform: pods", name="‸" + "c" * 53)),
        "R0506",
    ),
    Case(
        "two islands of one name",
        documents(
            TYPE,
            island_set("type: app\nislands: {b-c: {}}", name="a"),
            island_set("type: app\nislands: {‸c: {}}", name="a-b"),
        ),
        "R0507",
    ),
    Case(
        "two objects of one name, of two islands of a Set",
        documents(
            island_type("units: {‸web: {image: a}, b-web: {image: a}}"),
            island_set("type: app\nislands: {c: {}, c-b: {}}"),
        ),
        "R0507",
    ),
    Case(
        "two objects of one name, of one island",
        documents(
            island_type("units:\n  web: {kind: StatefulSet, image: a}\n  ‸web-headless: {image: a, ports: {b: 80}}"),
            SET,
        ),
        "R0507",
    ),
]

EXPRESSIONS = [
    *(Case(f"cannot be read: {expression}", text(f"a‸{expression}"), "R0401") for expression in UNREADABLE),
    *(Case(f"unknown: {expression}", text(f"a‸{expression}"), "R0402") for expression in UNKNOWN),
    *(Case(f"not in the language: {expression}", text(f"a‸{expression}"), "R0403") for expression in ABSENT),
    *(Case(f"called wrongly: {expression}", text(f"a‸{expression}"), "R0404") for expression in MISCALLED),
    Case("an unknown port", text("a‸{{ address('web', 'htp') }}"), "R0303"),
    *(Case(f"fails: {expression}", failing(expression), "R0405") for expression in FAILING),
    Case("fails: {{ 'a' is odd }}", failing("{{ 'a' is odd }}"), "R0405"),
    Case("fails: {{ 4 is divisibleby 0 }}", failing("{{ 4 is divisibleby 0 }}"), "R0405"),
    *(Case(f"fails: {expression}", failing(expression), "R0405") for expression in FAILING_IN_THE_ISLAND),
    *(Case(f"given wrongly: {expression}", text(f"‸{expression}"), "R0404") for expression in MISGIVEN),
    Case("no number of JSON", text("‸{{ 1e400 }}"), "R0111"),
    Case("half a character", failing("{{ '\\\\ud800' }}"), "R0401/R0405"),
    Case("half a character in a file", unit("files: {/a: ‸\"{{ '\\\\ud800' }}\"}"), "R0401/R0405"),
    Case("a list as text", failing("{{ [1, 2] }}"), "R0408"),
    Case("a map in text", failing("a{{ {'b': 1} }}"), "R0408"),
    Case("a map of a parameter in text", failing("a{{ params.b }}", "b: {type: object, default: {}}"), "R0408"),
    Case(
        "a key that the map does not have",
        failing("{{ params.b.c }}", "b: {type: object, default: {}}"),
        "R0405",
    ),
    Case(
        "a key that the map cannot have",
        text("‸{{ params.b.c }}", "b: {type: object, properties: {d: {type: string}}, default: {}}"),
        "R0402",
    ),
    Case("a key of a text", text("‸{{ params.b.c }}", "b: {type: string, default: a}"), "R0402"),
    Case("replace in replace", failing("{{ 'a'" + "|replace('a', 'aaaaaaaaaa')" * 25 + " }}"), "R0407"),
    Case(
        "indent of a long text",
        failing("{{ params.b | indent(64) }}", 'b: {type: string, default: "' + "a\\n" * 2000 + '"}'),
        "R0407",
    ),
    Case(
        "join of long texts",
        failing("{{ [params.b, params.b] | join }}", "b: {type: string, default: " + "a" * 40000 + "}"),
        "R0407",
    ),
    Case(
        "text after text",
        failing("{{ params.b ~ params.b }}", "b: {type: string, default: " + "a" * 40000 + "}"),
        "R0407",
    ),
    Case("deep parentheses", text("‸{{ " + "(" * 400 + "1" + ")" * 400 + " }}"), "R0407"),
    Case("deep lists", text("‸{{ " + "[" * 480 + "1" + "]" * 480 + " }}"), "R0407"),
    Case("many signs", text("‸{{ 1" + "-" * 900 + "1 }}"), "R0407"),
    Case("many operations", text("‸{{ 1" + " + 1" * 240 + " }}"), "R0407"),
    Case("10,000 characters", text("‸{{ '" + "a" * 10000 + "' }}"), "R0407"),
    Case("a derived value of itself", unit("env: {}", 'let: {a: ‸"{{ let.a }}"}'), "R0402"),
    Case("an expression for a default", parameter('{type: string, default: "‸{{ island.key }}"}'), "R0406"),
    Case(
        "an expression for a glob",
        values('islands: {eu: {}}\noverrides: [{islands: ["‸{{ island.key }}"], params: {n: 2}}]'),
        "R0406",
    ),
    Case(
        "an expression for a Type's name",
        documents(TYPE, island_set('type: "‸{{ a }}"\nislands: {eu: {}}')),
        "R0406",
    ),
    Case(
        "an expression for a volume's name",
        unit('kind: StatefulSet\nstorage: {/a: {size: 1Gi, name: "‸{{ island.key }}"}}'),
        "R0406",
    ),
    Case("an expression for a Secret's name", unit('env: {A: {secret: ‸"{{ island.key }}", key: k}}'), "R0603"),
    Case(
        "an expression for a Secret's key",
        unit('env: {A: {secret: s, key: "‸{{ island.key }}"}}', "external: {Secret: [s]}"),
        "R0406",
    ),
    Case("an expression for a pod's field", unit('env: {A: {field: "‸{{ island.key }}"}}'), "R0406"),
    Case("a count below zero", unit('replicas: ‸"{{ 0 - 1 }}"'), "R0204/R0205/R0405"),
    Case("a count beyond 64 bits", unit('replicas: "‸{{ 99999999999999999999 }}"'), "R0111"),
    Case("text for a port", unit('ports: {a: ‸"{{ island.key }}"}'), "R0204/R0205/R0405"),
    Case("a port out of range", unit('ports: {a: ‸"{{ 70000 }}"}'), "R0204/R0205/R0405"),
    Case(
        "nothing for the image",
        island_type('units: {web: {image: ‸"{{ omit }}"}}') + "---\n" + SET,
        "R0202/R0204/R0205/R0403/R0405",
    ),
    Case(
        "null for the image", island_type('units: {web: {image: ‸"{{ none }}"}}') + "---\n" + SET, "R0204/R0205/R0405"
    ),
    Case("text for a list of mounts", unit('volumeMounts: ‸"{{ island.key }}"'), "R0204/R0205/R0405"),
    Case("text for a map of resources", unit('resources: ‸"{{ island.key }}"'), "R0204/R0205/R0405"),
]

PARAMETERS = [
    Case("text for a schema", parameter("‸x"), "R0206"),
    Case("a number for a schema", parameter("‸5"), "R0206"),
    Case("a list for a schema", documents(island_type(f"params:\n  ‸a: [b]\n{UNITS}")), "R0206"),
    Case("nothing for a schema", documents(island_type(f"params:\n  ‸a:\n{UNITS}")), "R0206"),
    Case("no type", documents(island_type(f"params:\n  ‸a: {{default: x}}\n{UNITS}")), "R0202"),
    Case("a misspelt type", parameter("{type: ‸strin, default: x}"), "R0205"),
    Case("an unknown keyword", parameter("{type: string, ‸format: email, default: x}"), "R0203"),
    Case("a keyword of another type", parameter("{type: string, ‸minimum: 3, default: x}"), "R0309"),
    Case("a reference", parameter('{type: string, ‸$ref: "#/b", default: x}'), "R0203"),
    Case("a pattern that is none", parameter('{type: string, pattern: ‸"[", default: x}'), "R0309"),
    Case(
        "a pattern of more than 500 characters",
        parameter("{type: string, pattern: ‸" + "a" * 501 + ", default: a}"),
        "R0309",
    ),
    Case("a repetition in a repetition", parameter('{type: string, pattern: ‸"(a+)+$", default: a}'), "R0309"),
    Case(
        "an ambiguous choice in a repetition", parameter('{type: string, pattern: ‸"^(a|aa)+$", default: a}'), "R0309"
    ),
    Case("a chain of repetitions", parameter('{type: string, pattern: ‸"^a*a*a*a*a*a*a*b", default: b}'), "R0309"),
    Case("no type of the items", parameter("{type: array, items: ‸{minimum: 1}, default: []}"), "R0309"),
    Case("text for the items", parameter("{type: array, items: ‸string, default: []}"), "R0204"),
    Case("text for a property", parameter("{type: object, properties: {b: ‸string}, default: {}}"), "R0204"),
    Case(
        "a pattern that is none, deep",
        parameter('{type: array, items: {type: object, properties: {b: {type: string, pattern: ‸"["}}}, default: []}'),
        "R0309",
    ),
    Case("no choice", documents(island_type(f"params:\n  a: {{type: string, ‸enum: []}}\n{UNITS}")), "R0205"),
    Case(
        "a name that no expression can read",
        documents(island_type(f"params:\n  ‸a-b: {{type: string}}\n{UNITS}")),
        "R0309",
    ),
    Case(
        "an expression for a parameter's name",
        documents(island_type(f'params:\n  "‸{{{{ a }}}}": {{type: string}}\n{UNITS}')),
        "R0406",
    ),
    *(Case(f"a default that does not fit: {schema}", parameter(schema), "R0504") for schema in DEFAULTS),
]

VALUES = [
    Case("an unknown parameter of a Set", values("islands: {eu: {}}\nparams: {‸w: 1}"), "R0502"),
    Case("an unknown parameter of an island", values("islands: {eu: {params: {‸w: 1}}}"), "R0502"),
    Case(
        "an unknown parameter of an override",
        values("islands: {eu: {}}\noverrides: [{islands: [eu], params: {‸w: 1}}]"),
        "R0502",
    ),
    Case(
        "a required parameter without a value",
        documents(island_type(f"params: {{a: {{type: string}}}}\n{UNITS}"), SET.replace("name: cart", "name: ‸cart")),
        "R0503",
    ),
    Case(
        "one without a value in one island",
        documents(
            island_type(f"params: {{a: {{type: string}}}}\n{UNITS}"),
            island_set("type: app\nislands: {eu: {params: {a: b}}, ‸us: {}}"),
        ),
        "R0503",
    ),
    Case("text for an integer", values('islands: {eu: {}}\nparams: {n: ‸"5"}'), "R0504"),
    Case("a number for text", values("islands: {eu: {}}\nparams: {v: ‸2.1}"), "R0504"),
    Case("nothing for text", values("islands: {eu: {params: {v: ‸null}}}"), "R0504"),
    Case(
        "text for an integer of two islands",
        values("islands: {eu: {params: {n: ‸a}}, us: {params: {n: a}}}"),
        "R0504 R0504",
    ),
    Case(
        "text for an integer in an override",
        values("islands: {eu: {}, us: {}}\noverrides: [{islands: ['*'], params: {n: ‸a}}]"),
        "R0504",
    ),
    Case("a field of a map of a Set", values("islands: {eu: {}, us: {}}\nparams: {m: {c: ‸1}}"), "R0504"),
    Case(
        "a field of a map of an override",
        values("islands: {eu: {}, us: {}}\noverrides: [{islands: ['*'], params: {m: {c: ‸1}}}]"),
        "R0504",
        others=1,
    ),
    Case("a constant that does not fit", values("replicas: 2\nparams: {n: ‸\"{{ 'a' }}\"}"), "R0504"),
    Case("a constant that fails", values('replicas: 2\nparams: {n: ‸"{{ 1 // 0 }}"}'), "R0405"),
    Case("a field of a map of an island", values("islands: {eu: {params: {m: {c: ‸1}}}}"), "R0504"),
    Case("an unknown field of a map", values("islands: {eu: {}, us: {}}\nparams: {m: ‸{d: a}}"), "R0504"),
    Case("a list for parameters", values("islands: {eu: {}}\n‸params: [v]"), "R0204"),
    Case(
        "an expression of the wrong type",
        values('islands: {eu: {}, us: {}, ap: {}}\nparams: {n: ‸"{{ island.key }}"}'),
        "R0504",
        others=2,
    ),
    Case("an expression that fails", values('islands: {eu: {}, us: {}}\nparams: {n: ‸"{{ 1 // 0 }}"}'), "R0405"),
    Case(
        "an expression that gives nothing", values('islands: {eu: {}}\nparams: {n: ‸"{{ omit }}"}'), "R0403/R0405/R0504"
    ),
    Case(
        "an integer beyond 64 bits",
        values('islands: {eu: {}}\nparams: {n: "‸{{ 99999999999999999999 }}"}'),
        "R0111",
    ),
    Case("a parameter in a parameter", values('islands: {eu: {}}\nparams: {v: "‸{{ params.n }}"}'), "R0402"),
    Case("a function in a parameter", values("islands: {eu: {}}\nparams: {v: \"‸{{ host('web') }}\"}"), "R0404"),
    Case("an ordinal in a Set by keys", values('islands: {eu: {}}\nparams: {v: "‸{{ island.ordinal }}"}'), "R0402"),
    Case(
        "a glob without a hit",
        values("islands: {eu: {}, us: {}}\noverrides: [{islands: [‸e, 'u*'], params: {n: 2}}]"),
        "R0505",
    ),
    Case("a path for a glob", values("islands: {eu: {}}\noverrides: [{islands: [‸cart/eu], params: {n: 2}}]"), "R0505"),
    Case("an ordinal that is not there", values("replicas: 3\noverrides: [{islands: [‸3], params: {n: 2}}]"), "R0505"),
    Case("no globs", values("replicas: 3\noverrides: [{‸islands: [], params: {n: 2}}]"), "R0205"),
    Case("text for the globs", values("replicas: 3\noverrides: [{islands: ‸a, params: {n: 2}}]"), "R0204"),
    Case("a weight below zero", values("islands: {eu: {weight: ‸-1}}"), "R0205"),
]

PODS = [
    Case("keys", documents(TYPE, island_set("type: app\nform: pods\n‸islands: {eu: {}}")), "R0310"),
    Case("a unit's kind", pods("‸kind: StatefulSet"), "R0310"),
    Case("a unit's replicas", pods("‸replicas: 2"), "R0310"),
    Case("a unit's Service", pods("ports: {a: 80}\n‸service: {type: LoadBalancer}"), "R0310"),
    Case("an init container alone", pods("init: true").replace("type: app", "type: ‸app"), "R0310"),
    Case("an init container in copies", unit("‸init: true"), "R0310"),
    Case(
        "an image that differs", pods("ports: {a: 80}").replace("image: nginx", 'image: ‸"a:{{ island.key }}"'), "R0602"
    ),
    Case("a parameter that differs", pods('args: [‸"{{ params.v }}"]', 'params: {v: "{{ island.key }}"}'), "R0602"),
    Case(
        "a parameter that differs by an override",
        pods('args: [‸"{{ params.v }}"]', "overrides: [{islands: [1], params: {v: b}}]"),
        "R0602",
    ),
    Case("a label that differs", pods('podMetadata: {labels: {a: ‸"{{ island.key }}"}}'), "R0602"),
    Case("a probe that differs", pods('readinessProbe: {httpGet: {port: 80, path: ‸"/{{ island.key }}"}}'), "R0602"),
    Case("an expression over the key", pods('env: {A: ‸"{{ island.key | upper }}"}'), "R0602"),
    Case("a variable that one pod has not", pods("env: {A: ‸\"{{ omit if island.key == '1' else 'b' }}\"}"), "R0602"),
    Case(
        "a port of two containers",
        documents(
            island_type("units:\n  a: {image: b, ports: {http: 80}}\n  c: {image: b, ports: {‸web: 80}}"),
            island_set("type: app\nreplicas: 1\nform: pods"),
        ),
        "R0305",
    ),
    Case(
        "a port's name of two containers",
        documents(
            island_type("units:\n  a: {image: b, ports: {http: 80}}\n  c: {image: b, ports: {‸http: 81}}"),
            island_set("type: app\nreplicas: 1\nform: pods"),
        ),
        "R0305",
    ),
    Case(
        "a volume of two containers",
        documents(
            island_type(
                "units:\n  a: {image: b, storage: {/d: {size: 1Gi}}}\n  c: {image: b, storage: {‸/d: {size: 1Gi}}}"
            ),
            island_set("type: app\nreplicas: 1\nform: pods"),
        ),
        "R0305",
    ),
]

WORKLOADS = [
    Case("an unknown kind", unit("kind: ‸ReplicaSet"), "R0205"),
    Case("a list of ports", unit("‸ports: [80]"), "R0204"),
    Case("a port's number in quotes", unit('ports: {a: ‸"80"}'), "R0204/R0205"),
    Case("port 0", unit("ports: {a: ‸0}"), "R0205"),
    Case("port 65536", unit("ports: {a: ‸65536}"), "R0205"),
    Case("a protocol in lower case", unit("ports: {a: {containerPort: 80, protocol: ‸tcp}}"), "R0205"),
    Case("a Service's port without a container's", unit("ports: {‸a: {servicePort: 80}}"), "R0202"),
    Case("two ports of one number", unit("ports: {a: 80, ‸b: 80}"), "R0305"),
    Case(
        "two Service ports of one number",
        unit("ports: {a: {containerPort: 80, servicePort: 1}, ‸b: {containerPort: 81, servicePort: 1}}"),
        "R0305",
    ),
    Case(
        "a Service's port of another port's number",
        unit("ports: {a: 80, ‸b: {containerPort: 81, servicePort: 80}}"),
        "R0305",
    ),
    Case(
        "a Type's port of an unknown unit", unit("ports: {http: 80}", "ports: {http: {unit: ‸wb, port: http}}"), "R0303"
    ),
    Case(
        "a Type's port of an unknown port", unit("ports: {http: 80}", "ports: {http: {unit: web, port: ‸htp}}"), "R0303"
    ),
    Case("a list of variables", unit("‸env: [{name: A, value: b}]"), "R0204"),
    Case("a variable with a fraction", unit("env: {A: ‸1.5}"), "R0204"),
    Case("nothing for a variable", unit("env: {‸A: }"), "R0204"),
    Case("a variable from nowhere", unit("env: {‸A: {}}"), "R0205"),
    Case("a variable from two places", unit("env: {‸A: {secret: a, configMap: b, key: c}}"), "R0205"),
    Case("a Secret that is not declared", unit("env: {A: {secret: ‸a, key: b}}"), "R0603"),
    Case("a ConfigMap that is not declared", unit("env: {A: {configMap: ‸a, key: b}}"), "R0603"),
    Case("a Secret without its key", unit("env: {‸A: {secret: a}}", "external: {Secret: [a]}"), "R0202"),
    Case("a Secret for the image that is not declared", unit("pod: {imagePullSecrets: [{name: ‸a}]}"), "R0603"),
    Case(
        "a Secret for the image by an expression",
        unit('pod: {imagePullSecrets: [{name: ‸"{{ island.key }}-a"}]}'),
        "R0406/R0603",
    ),
    Case("a source of variables that is not declared", unit("envFrom: [{secretRef: {name: ‸a}}]"), "R0603"),
    Case("an account that is not declared", unit("pod: {serviceAccountName: ‸a}"), "R0603"),
    Case("text for the command", unit("command: ‸sh -c true"), "R0204/R0205"),
    Case("text for the resources", unit("resources: ‸small"), "R0204/R0205"),
    Case("text for the pod", unit("pod: ‸a"), "R0204"),
    Case("storage of a Deployment", unit("‸storage: {/a: {size: 1Gi}}"), "R0307"),
    Case("storage at no path", unit("kind: StatefulSet\nstorage: {‸a: {size: 1Gi}}"), "R0307"),
    Case("storage without a size", unit("kind: StatefulSet\nstorage: {‸/a: {}}"), "R0202"),
    Case("a number for a size", unit("kind: StatefulSet\nstorage: {/a: {size: ‸1}}"), "R0204"),
    Case("a volume's name that is none", unit("kind: StatefulSet\nstorage: {‸/a: {size: 1Gi, name: A_b}}"), "R0304"),
    Case(
        "two volumes of one name",
        unit("kind: StatefulSet\nstorage: {/a-b: {size: 1Gi}, ‸/a/b: {size: 1Gi}}"),
        "R0305",
    ),
    Case(
        "a volume named as that of the files",
        unit("kind: StatefulSet\nfiles: {/b: c}\nstorage: {‸/a: {size: 1Gi, name: web-files}}"),
        "R0305",
    ),
    Case(
        "a file and a volume at one path",
        unit("kind: StatefulSet\nfiles: {/a: b}\nstorage: {‸/a: {size: 1Gi}}"),
        "R0305/R0307/R0308",
    ),
    *(
        Case(f"no path of a file: {name}", unit(f"files: {{‸{name}: b}}"), "R0308")
        for name in ("a", "/a/", "/a//b", "/a/../b", "/a/./b", "/..", "/", '"/a:b"', '""')
    ),
    Case("two files of one key", unit("files: {/a/b: c, ‸/a.b: d}"), "R0308"),
    Case("a number for a file", unit("files: {/a: ‸5}"), "R0204"),
    Case("a list of files", unit("‸files: [/a]"), "R0204"),
    Case("the template's selector", unit("spec: {‸selector: {}}"), "R0307"),
    Case("the count in the spec", unit("spec: {‸replicas: 3}"), "R0307"),
    Case("the Service's selector", unit("ports: {a: 80}\nservice: {‸selector: {b: c}}"), "R0307"),
    Case("a Service without a port", unit("‸service: {type: LoadBalancer}"), "R0202/R0205/R0307"),
]

ROUTES = [
    Case(
        "each of an unknown Set",
        routes('- {name: a, each: ‸crt, match: {path: {prefix: "/{{ island.key }}"}}}'),
        "R0701",
    ),
    Case("a spread over an unknown Set", routes("- {to: {spread: ‸crt}}"), "R0701"),
    Case("an unknown island", routes("- {to: {island: ‸cart/ue}}"), "R0701"),
    Case("an island of an unknown Set", routes("- {to: {island: ‸crt/eu}}"), "R0701"),
    Case("an island without its key", routes("- {to: {island: ‸cart}}"), "R0701"),
    Case("an island too deep", routes("- {to: {island: ‸cart/eu/us}}"), "R0701"),
    Case(
        "a Set by an expression",
        routes('- {to: {spread: ‸"{{ params.s }}"}}', more="params: {s: {type: string, default: cart}}"),
        "R0406/R0701",
    ),
    Case("no routes", routes("[]").replace("routes:", "‸routes:"), "R0205"),
    Case("an empty route", routes("- ‸{}"), "R0205"),
    Case("no action", routes("- {name: ‸a, match: {path: {prefix: /}}}"), "R0205"),
    Case("two actions", routes("- {name: a, to: {spread: cart}, ‸respond: 404}"), "R0205"),
    Case("text for a destination", routes("- {to: ‸cart}"), "R0204"),
    Case("a destination that names nothing", routes("- {to: ‸{weight: 1}}"), "R0202 R0205"),
    Case("a destination that names two things", routes("- {to: {spread: cart, ‸island: cart/eu}}"), "R0205"),
    Case("a spread in a list", routes("- {to: [‸{spread: cart}, {island: cart/eu}]}"), "R0205"),
    Case(
        "a route after one for everything",
        routes("- {to: {spread: cart}}\n- {name: ‸b, match: {path: {prefix: /b}}, respond: 410}"),
        "R0702",
    ),
    Case(
        "two routes after one for everything",
        routes(
            "- {to: {spread: cart}}\n- {name: ‸b, match: {path: {prefix: /b}}, respond: 410}\n- {name: c, respond: 410}"
        ),
        "R0702 R0702",
    ),
    Case(
        "a route after an empty match",
        routes("- {match: {}, to: {spread: cart}}\n- {name: ‸b, match: {path: {prefix: /b}}, respond: 410}"),
        "R0702",
    ),
    Case(
        "a route after the prefix /",
        routes("- {match: {path: {prefix: /}}, respond: 404}\n- {name: ‸b, match: {path: {prefix: /b}}, respond: 410}"),
        "R0702",
    ),
    Case(
        "a route with the match of one before",
        routes(
            "- {match: {path: {exact: /b}}, to: {spread: cart}}\n- {name: ‸b, match: {path: {exact: /b}}, respond: 410}"
        ),
        "R0702",
    ),
    Case(
        "a patch that changes nothing that is there",
        patched("{kind: Deployment}", "[{op: replace, path: ‸/spec/paused, value: true}]"),
        "R0601",
    ),
    Case("a list for a map in a patch", patched("{kind: Deployment}", "{spec: {template: ‸[a]}}"), "R0601"),
    Case("a patch of no kind", patched("{kind: ‸Deploymant}", "{a: b}"), "R0604"),
    Case("a patch of no name", patched("{kind: Deployment, name: ‸cart-eu-web}", "{a: b}"), "R0604"),
    Case("a port of nodes twice in an island", documents(island_type(_NODE_PORTS.format("‸30080")), ONE), "R0610"),
    Case(
        "a probe of no port of its container",
        unit("ports: {http: 80}\nlivenessProbe: {tcpSocket: {port: ‸htp}}"),
        "R0303",
    ),
    Case("each without a match", routes("- {name: ‸a, each: cart}"), "R0703"),
    Case(
        "each without the island in its match", routes("- {name: ‸a, each: cart, match: {path: {prefix: /a}}}"), "R0703"
    ),
    Case(
        "each with the Set in its match",
        routes('- {name: ‸a, each: cart, match: {path: {prefix: "/{{ island.set }}"}}}'),
        "R0703",
    ),
    Case("the island outside of each", match('path: {prefix: "/‸{{ island.key }}"}'), "R0402"),
    Case("a function", match("path: {prefix: \"/‸{{ host('web') }}\"}"), "R0404"),
    Case(
        "an expression that fails for every island",
        routes('- {each: cart, match: {path: {prefix: ‸"/{{ island.key | int }}"}}}'),
        "R0405",
        others=1,
    ),
    Case(
        "an expression that makes no path",
        routes("- {each: cart, match: {path: {prefix: ‸\"/{{ island.key ~ '#' }}\"}}}"),
        "R0706",
        others=1,
    ),
    Case(
        "no namespace",
        routes("- {to: {spread: cart}}").replace("name: front, namespace: edge", "name: ‸front"),
        "R0704",
    ),
    Case(
        "no namespace of the Set",
        routes("- {to: ‸{spread: cart}}", of_set=SET.replace(", namespace: shop", "")),
        "R0704",
    ),
    Case(
        "weights that are all zero",
        routes("- {name: ‸a, to: [{island: cart/eu, weight: 0}, {island: cart/us, weight: 0}]}"),
        "R0705",
    ),
    Case("the only weight is zero", routes("- {name: ‸a, to: [{island: cart/eu, weight: 0}]}"), "R0705"),
    Case(
        "islands whose weights are all zero",
        routes("- {to: ‸{spread: cart}}", of_set=island_set("type: app\nislands: {eu: {weight: 0}}")),
        "R0705",
    ),
    Case(
        "a Set without islands", routes("- {to: ‸{spread: cart}}", of_set=island_set("type: app\nreplicas: 0")), "R0705"
    ),
    Case("an unknown port", routes("- {to: {spread: cart, port: ‸grpc}}"), "R0303"),
    Case("a number for a Type's port", routes("- {to: {spread: cart, port: ‸80}}"), "R0303"),
    Case("a Service without a port", routes("- {to: ‸{service: a}}"), "R0303"),
    Case("a Service's port by name", routes("- {to: {service: a, port: ‸http}}"), "R0303"),
    Case("no name of a Service", routes("- {to: {service: ‸A_b, port: 80}}"), "R0304"),
    Case("a Service of an empty namespace", routes("- {to: {service: ‸/a, port: 80}}"), "R0304"),
    Case("no hosts", documents(TYPE, SET, routing("‸hosts: []\nroutes: [{to: {spread: cart}}]")), "R0205"),
    Case("text for the hosts", routes("- {to: {spread: cart}}", hosts="‸a.example.com"), "R0204"),
    *(
        Case(f"no host: {host}", routes("- {to: {spread: cart}}", hosts=f"[‸{host}]"), "R0706")
        for host in ("a_b.example.com", '"http://a"', '"*a.com"', '"a.*"', "a/b", '"a b"', '"a:99999"')
    ),
    Case(
        "a host by a parameter that is none",
        routes("- {to: {spread: cart}}", '[‸"a.{{ params.d }}"]', "params: {d: {type: string, default: A_b}}"),
        "R0706",
    ),
    Case("a host twice", routes("- {to: {spread: cart}}", hosts="[a.example.com, ‸a.example.com]"), "R0707"),
    Case(
        "a host of two Routings",
        routes("- {to: {spread: cart}}").replace("name: front", "name: ‸front")
        + "---\n"
        + routing("hosts: [b.example.com, a.example.com]\nroutes: [{to: {spread: cart}}]", name="back"),
        "R0707",
    ),
    Case(
        "two routes of one name",
        routes("- {name: a, match: {path: {exact: /a}}, respond: 410}\n- {name: ‸a, to: {spread: cart}}"),
        "R0707",
    ),
    Case("an expression for a route's name", routes('- {name: "‸{{ params.a }}", to: {spread: cart}}'), "R0406"),
    *(
        Case(f"no path: {name}", path(name), "R0706")
        for name in (
            "a",
            "//a",
            "/a//b",
            "/a/../b",
            "/a/./b",
            "/a%2Fb",
            "/a%2fb",
            '"/a#b"',
            "/a?b",
            '"/a b"',
            "/é",
            "/a%zz",
            '"*"',
        )
    ),
    Case("an empty path", path('""'), "R0205"),
    Case("text for a path", match("path: ‸/a"), "R0204"),
    Case("two paths", match("‸path: {exact: /a, prefix: /b}"), "R0205"),
    Case("no name of a header", match('headers: {‸"a b": c}'), "R0706"),
    Case("two tests of a header", match("headers: {‸a: {exact: b, regex: c}}"), "R0205"),
    Case("a query parameter that is absent", match("query: {‸a: {absent: true}}"), "R0708"),
    Case("a regular expression that is none", match('headers: {a: {regex: ‸"["}}'), "R0706"),
    Case("a regular expression that RE2 does not read", match('headers: {a: {regex: ‸"(?=a)"}}'), "R0706/R0708"),
    Case("a method in lower case", match("methods: [‸get]"), "R0205"),
    Case("a method twice", match("‸methods: [GET, GET]"), "R0205"),
    Case("text for the methods", match("methods: ‸GET"), "R0204"),
    Case(
        "a rewrite of a regular expression",
        routes("- {match: {path: {regex: /a.*}}, rewrite: {prefix: ‸/}, to: {spread: cart}}"),
        "R0708",
    ),
    Case(
        "a redirect of a regular expression's prefix",
        routes("- {match: {path: {regex: /a.*}}, redirect: {prefix: ‸/b}}"),
        "R0708",
    ),
    Case("a rewrite to no path", routes("- {rewrite: {prefix: ‸a}, to: {spread: cart}}"), "R0706"),
    Case("a rewrite to no host", routes('- {rewrite: {host: ‸"a b"}, to: {spread: cart}}'), "R0706"),
    Case("a rewrite of an answer", routes("- {‸rewrite: {prefix: /a}, respond: 404}"), "R0203/R0205/R0708"),
    Case("a timeout of a redirect", routes("- {‸timeout: 3s, redirect: {path: /a}}"), "R0203/R0205/R0708"),
    Case("a redirect to nowhere", routes("- {‸redirect: {}}"), "R0205"),
    Case("a redirect to two paths", routes("- {redirect: {path: /a, ‸prefix: /b}}"), "R0205"),
    Case("a redirect to no host", routes('- {redirect: {host: ‸"https://a.b"}}'), "R0706"),
    Case("a redirect with another status", routes("- {redirect: {path: /a, status: ‸304}}"), "R0205"),
    *(
        Case(f"no answer: {status}", routes(f"- {{respond: ‸{status}}}"), "R0204/R0205")
        for status in ("99", "600", "-1", "404.5", '"404"', "true")
    ),
    Case("an answer without its status", routes("- {‸respond: {body: a}}"), "R0202"),
    *(
        Case(f"no duration: {duration}", routes(f"- {{timeout: ‸{duration}, to: {{spread: cart}}}}"), "R0204/R0205")
        for duration in ("15", "15 s", "1d", "-1s", "1.s", "PT1S", '"{{ 1 }}s"')
    ),
    Case("retries without a number", routes("- {‸retries: {perTryTimeout: 1s}, to: {spread: cart}}"), "R0202"),
    Case("no retries", routes("- {retries: {attempts: ‸0}, to: {spread: cart}}"), "R0205"),
    Case("another provider", routes("- {to: {spread: cart}}", more="provider: ‸nginx"), "R0205"),
    Case("no namespace of the Upstreams", routes("- {to: {spread: cart}}", more="gloo: {namespace: ‸A_b}"), "R0304"),
    Case(
        "a parameter without a value",
        routes("- {to: {spread: cart}}", more="params: {d: {type: string}}").replace("name: front", "name: ‸front"),
        "R0503",
    ),
    Case("an unknown parameter", routes("- {to: {spread: cart}}", hosts='["‸{{ params.d }}"]'), "R0402"),
    Case(
        "a map in a host",
        routes("- {to: {spread: cart}}", '[‸"a{{ params.d }}"]', "params: {d: {type: object, default: {}}}"),
        "R0408",
    ),
    Case(
        "two Upstreams of one name",
        documents(
            TYPE,
            island_set("type: app\nislands: {b-c: {}}", name="a", namespace="one"),
            island_set("type: app\nislands: {c: {}}", name="a-b", namespace="two"),
            routing(
                "hosts: [a.b]\nroutes:\n- {match: {path: {prefix: /a}}, to: {spread: a}}\n- {to: ‸{spread: a-b}}",
                name="front",
            ),
        ),
        "R0507/R0707",
    ),
]

REFUSED = [
    pytest.param(case, id=f"{group}: {case.name}"[:100])
    for group, cases in {
        "source": SOURCE,
        "document": DOCUMENTS,
        "name": NAMES,
        "expression": EXPRESSIONS,
        "parameter": PARAMETERS,
        "value": VALUES,
        "pods": PODS,
        "workload": WORKLOADS,
        "route": ROUTES,
    }.items()
    for case in cases
]

FINE: dict[str, str | bytes] = {
    "a byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "lines that end as on Windows": GOOD.replace("\n", "\r\n").encode(),
    "no last line break": GOOD.rstrip("\n").encode(),
    "an end mark": GOOD.encode() + b"...\n",
    "empty documents between": GOOD.replace("---\n", "---\n# nothing\n---\n").encode(),
    "a directive": b"%YAML 1.2\n---\n" + GOOD.encode(),
    "tabs between tokens": GOOD.replace("image: nginx", "image:\tnginx").encode(),
    "keys that YAML 1.1 takes for booleans and numbers": values(
        "islands: {no: {}, on: {}, y: {}, 0: {}, 012: {}, 1e3: {}}"
    ),
    "a key of 32 characters": values("islands: {" + "k" * 32 + ": {}}"),
    "nothing for an island": values("islands: {eu: , us: ~}"),
    "anchors and aliases": values("islands: {eu: &a {params: {n: 2}}, us: *a}"),
    "an alias in a list": unit("args: [&a b, *a, *a]"),
    "text that looks like an expression of another kind": unit(
        "args: ['{% if a %}', '{# a #}', '}}', '{ { a } }', '{{ \"{{\" }}']"
    ),
    "one port for two protocols": unit("ports: {a: 53, b: {containerPort: 53, protocol: UDP}}"),
    "a bracket in a set of a pattern": parameter('{type: string, pattern: "^[[a]$", default: a}'),
    "a POSIX class in a match": match('path: {regex: "/[[:alpha:]]+"}'),
    "RE2's own syntax": match('path: {regex: "/\\\\pL+"}'),
    "a trailing slash of a prefix": match("path: {prefix: /a/}"),
    "two islands of one name in two namespaces": documents(
        TYPE,
        island_set("type: app\nislands: {b-c: {}}", name="a", namespace="one"),
        island_set("type: app\nislands: {c: {}}", name="a-b", namespace="two"),
    ),
    "two ports of nodes in an island": documents(island_type(_NODE_PORTS.format(30081)), ONE),
    "a value that is dropped": unit('env: {A: "{{ omit }}"}'),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, so that a file is `dsl.yaml` in every message."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names_are_unique() -> bool:
    names = [str(parameters.id) for parameters in REFUSED]
    return len(names) == len(set(names))


def test_the_table_is_large_and_says_nothing_twice() -> None:
    assert len(REFUSED) >= 70
    assert names_are_unique()


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: Case, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "dsl.yaml").write_bytes(case.raw)
    code = main(["validate", "dsl.yaml", "--format", "json"])
    output, errors = capfd.readouterr()
    assert (code, errors) == (1, "")
    found = json.loads(output)["diagnostics"]
    first = found[0]
    shown = "\n".join(f"{d['code']} {d['line']}:{d['column']} {d['message']}" for d in found)
    assert f"{first['line']}:{first['column']}" == case.where, shown
    codes = case.codes.split()
    assert len(found) == len(codes), shown
    for diagnostic, allowed in zip(found, codes, strict=True):
        assert diagnostic["code"] in allowed.split("/"), shown
        assert diagnostic["severity"] == "error"
        assert diagnostic["file"] == "dsl.yaml", shown
        assert diagnostic["others"] == case.others, shown
        assert not words_of_python(diagnostic), shown

    code = main(["build", "dsl.yaml"])
    output, errors = capfd.readouterr()
    assert (code, output) == (1, "")
    lines = errors.split("\n")
    assert lines[0].startswith(f"error[{first['code']}]: ")
    assert lines[1] == f"  --> dsl.yaml:{case.where}"
    assert "Traceback" not in errors
    assert all(character == "\n" or character.isprintable() for character in errors)


# What people write, and the words that tell them what to write instead: of the message, and of the hint.
WAYS_OUT = {
    "types for a parameter": (parameter("{type: [string, integer]}"), "expected text, found a list", "one of: string"),
    "routes without any": (
        document("Routing", "name: a, namespace: b", "hosts: [a.example.com]\nroutes:"),
        "found nothing",
        "`routes: [{to: {spread",
    ),
    "text for the command": (unit("command: sh -c true"), "the text `sh -c true`", "`command: [sh, "),
    "text for the resources": (unit("resources: small"), "the text `small`", "`resources: {requests: {cpu"),
    "a list for the environment": (unit("env: [{name: A, value: b}]"), "found a list", "`env: {LOG_LEVEL: info}`"),
    "a list of a unit's ports": (unit("ports: [80]"), "found a list", "`ports: {http: 8080}`"),
    "a list of a Type's ports": (island_type(f"ports: [http]\n{UNITS}"), "a list", "`ports: {http: {unit: api, "),
    "a list of keys": (
        documents(TYPE, island_set("type: app\nislands: [eu]")),
        "a list",
        "`islands: {eu: {}, us: {}}`",
    ),
    "a code as text": (routes('- {respond: "404"}'), "the text `404`", "`respond: 404`"),
    "a timeout without a unit": (routes("- {timeout: 15, to: {spread: cart}}"), "found `15`", "15s"),
    "a path for a match": (routes("- {match: /a, respond: 404}"), "the text `/a`", "`match: {path: {prefix: "),
    "a prefix for a path": (routes("- {match: {path: /a}, respond: 404}"), "the text `/a`", "`path: {prefix: "),
    "a Set for a destination": (routes("- {to: cart}"), "the text `cart`", "`to: {spread: cart}`"),
    "a unit that is not indented": (
        island_type("units:\n  web:\n  image: nginx"),
        "expected a map, found nothing",
        "indented deeper",
    ),
    "an expression in a list": (unit("args: [a-{{ island.key }}]"), "not YAML", '"a-{{ … }}"'),
    "an expression in a list after another text": (unit("args: [a, --x={{ island.key }}]"), "not YAML", '"a-{{ … }}"'),
    "an expression at the start of a value": (unit("args: {{ island.key }}b"), "", '"{{ … }}"'),
    "Helm's values": (text("{{ .Values.version }}"), "cannot be read", "`params.version`"),
    "values": (text("{{ values.version }}"), "unknown name `values`", "`params.NAME`"),
    "a parameter without its root": (text("{{ a }}", "a: {type: string, default: x}"), "name `a`", "`params.NAME`"),
    "a letter of a text": (text("{{ 'abc'[0] }}"), 'only maps and lists have items, not "abc"', ""),
    "a number of many digits": (
        unit("env: {A: 1." + "5" * 1_000_000 + "}"),
        "5555…` differently",
        '5555…" for the text',
    ),
    "an integer that only the islands know": (
        unit('replicas: "{{ params.a ~ island.key }}"', "params: {a: {type: string, default: a}}"),
        "the value of this expression is no integer",
        "the filter `int`",
    ),
    "a name within the cluster for a patch": (
        patched("{kind: Deployment, name: cart-eu-web}", "{spec: {replicas: 2}}"),
        "matches no object",
        "within the island: `web`",
    ),
    "a misspelt name for a patch": (patched("{kind: Service, name: wbe}", "{a: b}"), "matches no", '"web"'),
    "a misspelt kind for a patch": (patched("{kind: Deploymant}", "{a: b}"), "matches no", '"Deployment"'),
    "a patch of what is not there": (
        patched("{kind: Deployment}", "[{op: replace, path: /spec/paused, value: true}]"),
        "nothing at `/spec/paused`",
        "`op: add`",
    ),
    "a port of a probe": (
        unit("ports: {http: 80}\nreadinessProbe: {httpGet: {path: /, port: htp}}"),
        "the container has no port `htp`",
        '"http"',
    ),
    "a repository and a tag": (
        island_type("units: {web: {image: {repository: nginx, tag: 1}}}"),
        "found a map",
        "`image: postgres:16`",
    ),
    "a parameter that is required": (
        parameter("{type: string, required: true}"),
        "found `true`",
        "if it has no default",
    ),
    "a list of a map that is required": (parameter("{type: object, required: a}"), "the text `a`", "`required: [cpu]`"),
    "an entry of a Container's environment": (
        unit("env: {A: {valueFrom: {secretKeyRef: {name: a, key: b}}}}"),
        'unknown field "valueFrom"',
        "`PASSWORD: {secret: ",
    ),
    "a value of an island beside its parameters": (
        values("islands: {eu: {n: 2}}"),
        'unknown field "n"',
        "`eu: {params: {",
    ),
    "a size for a volume": (unit("kind: StatefulSet\nstorage: {/a: 1Gi}"), "the text `1Gi`", "{size: 1Gi}"),
    "a text for a status": (
        routes("- {redirect: {path: /a, status: found}}"),
        "the text `found`",
        "301",
    ),
    "a number of a port for its name": (text("{{ address('web', 80) }}"), "takes (unit, port)", "called by its name"),
    "a default in quotes": (parameter('{type: integer, default: "2"}'), "found the text `2`", "without quotes"),
    "a route to islands of no namespace": (
        routes("- {to: {spread: cart}}", of_set=SET.replace(", namespace: shop", "")).replace(MARK, ""),
        "the namespace of its Set",
        "metadata: {namespace: ",
    ),
    "a kind in the plural": (island_type(f"external: {{Secrets: [a]}}\n{UNITS}"), "`Secrets` is no kind", '"Secret"'),
    "a kind in lower case": (island_type(f"external: {{secret: [a]}}\n{UNITS}"), "`secret` is no kind", '"Secret"'),
}


@pytest.mark.parametrize("name", WAYS_OUT)
def test_what_is_wrong_and_what_to_write(name: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given, message, hint = WAYS_OUT[name]
    (folder / "dsl.yaml").write_text(given)
    assert main(["validate", "dsl.yaml", "--format", "json"]) == 1
    first, *_ = json.loads(capfd.readouterr()[0])["diagnostics"]
    assert message in first["message"]
    assert hint in (first["hint"] or ""), first


def words_of_python(diagnostic: dict[str, Any]) -> list[str]:
    """What an author who knows no Python cannot understand."""
    words = f"{diagnostic['message']} {diagnostic['hint']}"
    strange = (
        "None]", "True", "False", "positional argument", "keyword argument", "instances of", "JSON serializable",
        "not iterable", "string formatting", "lambda>", "codec", "unhashable", "Error:", "['",
    )  # fmt: skip
    return [word for word in strange if word in words]


@pytest.mark.parametrize("name", FINE)
def test_fine(name: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = FINE[name]
    (folder / "dsl.yaml").write_bytes(given if isinstance(given, bytes) else given.encode())
    assert (main(["validate", "dsl.yaml"]), *capfd.readouterr()) == (0, "", "")
    code = main(["build", "dsl.yaml"])
    output, errors = capfd.readouterr()
    assert (code, errors) == (0, "")
    assert output.startswith("---\n")


@pytest.mark.parametrize(
    "text",
    [
        values("replicas: 2.0"),
        values("replicas: 2\nstart: 1.0"),
        values("islands: {eu: {params: {n: 2.0}}}").replace("image: nginx", 'image: nginx, env: {A: "{{ params.n }}"}'),
        unit("replicas: 2.0"),
        unit("ports: {a: 80.0}"),
        routes("- {to: [{island: cart/eu, weight: 2.0}, {island: cart/us}]}"),
        routes("- {respond: 404.0}"),
    ],
    ids=["islands", "start", "parameter", "replicas", "port", "weight", "status"],
)
def test_integer_with_a_point(text: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """To JSON Schema 2.0 is an integer, to Kubernetes it is none: it is refused, or written without the point."""
    (folder / "dsl.yaml").write_text(text)
    code = main(["build", "dsl.yaml"])
    output, errors = capfd.readouterr()
    assert (code == 0 and not errors) or (code == 1 and errors.startswith(("error[R0204]: ", "error[R0504]: ")))
    assert ".0" not in output


def test_keys_are_read_as_text(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "dsl.yaml").write_text(values("islands: {no: {}, 0: {}, 012: {}}"))
    assert main(["build", "dsl.yaml"]) == 0
    output = capfd.readouterr().out
    for key in ("no", "0", "012"):
        assert f"name: cart-{key}-web\n" in output


def test_what_is_dropped_is_not_written(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "dsl.yaml").write_text(FINE["a value that is dropped"])  # type: ignore[arg-type]
    main(["build", "dsl.yaml"])
    output, errors = capfd.readouterr()
    assert errors == ""
    assert "null" not in output
    assert "env" not in output


# Large inputs, and those that would grow without end: in a process of their own, with limits.

SECONDS = 8  # of a processor; room for a machine that is shared
MEMORY = 200 << 20

LIMITED = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))
resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS + 1}))
from replicator.__main__ import run
try:
    run()
finally:
    with open("/proc/self/status") as status, open("peak", "w") as peak:
        peak.write(next(line for line in status if line.startswith("VmHWM")).split()[1])
"""


def limited(folder: Path, arguments: Sequence[str], given: bytes) -> tuple[int, str, str]:
    """Run a command with 600 MB of address space and eight seconds of a processor; it must stay below 200 MB."""
    (folder / "dsl.yaml").write_bytes(given)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", LIMITED, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=60, check=False)
    output, errors = done.stdout.decode(), done.stderr.decode()
    assert done.returncode >= 0, f"killed by signal {-done.returncode}: more than {SECONDS} seconds, or out of memory"
    assert "Traceback" not in errors
    assert "internal error" not in errors
    assert int((folder / "peak").read_text()) * 1024 < MEMORY
    return done.returncode, output, errors


def doubled(first: str, expression: str, times: int) -> str:
    """Derived values, each of which has the one before it twice."""
    lines = [f'a{number}: "{expression}"'.replace("$", f"let.a{number - 1}") for number in range(1, times)]
    return "let:\n" + indent("\n".join([f"a0: {first}", *lines]), "  ")


LONG = "x" * 100_000

LARGE = [
    Case("3,000 levels of blocks", "".join(" " * level + "a:\n" for level in range(3_000)).encode(), "R0109", "65:65"),
    Case("10,000 levels of lists in flow", b"a: " + b"[" * 10_000 + b"]" * 10_000, "R0109", "*"),
    Case("10,000 levels of maps in flow", b"{a: " * 10_000 + b"}" * 10_000, "R0109", "1:257"),
    Case("10,000 levels of dashes", b"- " * 10_000 + b"a", "R0109", "1:129"),
    Case("10,000 levels of questions", b"? " * 10_000 + b"a", "R0108", "1:3"),
    Case("a million opening brackets", b"[" * 1_000_000, "R0109", "*"),
    Case("10,000 documents", b"---\na: b\n" * 10_000, "R0202", "2:1"),
    Case("10,001 documents", b"---\na: b\n" * 10_001, "R0109", "20002:1"),
    Case("a million empty documents", b"---\n" * 1_000_000, "R0109", "10002:1"),
    Case("6 MB of comments", b"# " + b"x" * 6_000_000, "R0109", "1:1"),
    Case("a key half a million times", b"a: b\n" * 500_000, "R0103", "2:1"),
    Case("a million digits", values(f"replicas: ‸{'9' * 1_000_000}"), "R0111"),
    Case("a line of 1 MB, then a mistake", unit(f"env: {{A: {LONG * 10}, ‸a b: c}}"), "R0304"),
    Case("a name of 4 MB", documents(TYPE, island_set(f"type: ‸{LONG * 40}\nislands: {{eu: {{}}}}")), "R0302"),
    Case(
        "an alias bomb",
        "a0: &a0 [b, b, b, b, b, b, b, b, b]\n"
        + "".join(
            f"a{number}: &a{number} [{MARK if number == 4 else ''}{', '.join([f'*a{number - 1}'] * 9)}]\n"
            for number in range(1, 10)
        ),
        "R0104",
        place="*",
    ),
    Case(
        "aliases of a long text",
        unit(
            f"files:\n  /a: &a {LONG * 10}\n"
            + "".join(f"  /b{number}: {MARK if number == 100 else ''}*a\n" for number in range(3_000))
        ).replace(MARK, ""),
        "R0104",
        place="*",
    ),
    Case("20,000 unknown fields", unit("".join(f"{MARK if not n else ''}x{n}: a\n" for n in range(20_000))), "R0203"),
    Case(
        "20,000 islands, each with a mistake",
        values("islands:\n" + "".join(f"  k{n}: {{params: {{{MARK if not n else ''}w: 1}}}}\n" for n in range(20_000))),
        "R0502",
    ),
    Case(
        "2,000 patterns that match none of 5,000 islands",
        values(
            "islands:\n"
            + "".join(f"  k{number}: {{}}\n" for number in range(5_000))
            + "overrides:\n"
            + "".join(
                f"- {{islands: [{MARK if not number else ''}y{number}], params: {{n: 2}}}}\n" for number in range(2_000)
            )
        ),
        "R0505",
    ),
    Case(
        "text that doubles 40 times",
        unit('env: {A: ‸"{{ let.a39 }}"}', doubled("b", "{{ $ }}{{ $ }}", 40)),
        "R0407",
        "*",
    ),
    Case(
        "text of the island that doubles 40 times",
        unit('env: {A: ‸"{{ let.a39 }}"}', doubled('"{{ island.key }}"', "{{ $ }}{{ $ }}", 40)),
        "R0407",
        "*",
    ),
    Case(
        "a text that doubles 40 times in expressions",
        unit('env: {A: ‸"{{ let.a39 }}"}', doubled('"{{ island.key }}"', "{{ $ ~ $ }}", 40)),
        "R0407",
        "*",
    ),
    Case(
        "a list that doubles 40 times",
        unit('env: {A: ‸"{{ let.a39 | to_json }}"}', doubled("\"{{ ['b'] }}\"", "{{ [$, $] }}", 40)),
        "R0407",
        "*",
    ),
    Case("an encoding of an encoding", failing("{{ 'a'" + " | b64encode" * 70 + " }}"), "R0407"),
    Case(
        "an ambiguous choice in a repetition",
        parameter(f'{{type: string, pattern: ‸"^(a|aa)+$", default: {"a" * 60}b}}'),
        "R0309",
    ),
    Case(
        "a chain of repetitions",
        parameter(f'{{type: string, pattern: ‸"a*a*a*a*a*a*a*b", default: {"a" * 300}}}'),
        "R0309",
    ),
]

TOO_LARGE_TO_STORE = {
    "a scalar of 4 MB": unit(f"env: {{A: {LONG * 40}}}"),
    "a scalar of 4 MB with an expression": unit(f'env: {{A: "{{{{ island.key }}}}{LONG * 40}"}}'),
    "130,000 arguments": unit(f"args: [{'abcdefghij, ' * 130_000}b]"),
}

LARGE_AND_FINE = {
    "100,000 digits and a letter": unit(f"env: {{A: {'1' * 100_000}x}}"),
    "100,000 digits and dashes and a letter": unit(f"env: {{A: {'1_' * 50_000}x}}"),
    "10,000 islands by key": values("islands:\n" + "".join(f"  k{number}: {{}}\n" for number in range(10_000))),
    "5,000 overrides, each of one of 5,000 islands": values(
        "islands:\n"
        + "".join(f"  k{number}: {{}}\n" for number in range(5_000))
        + "overrides:\n"
        + "".join(f"- {{islands: [k{number}], params: {{n: 2}}}}\n" for number in range(5_000))
    ),
    "2,000 Sets": documents(
        TYPE, *(island_set("type: app\nreplicas: 1", name=f"s{number}") for number in range(2_000))
    ),
    "20,000 different items": parameter(f"{{type: array, uniqueItems: true, default: {list(range(20_000))}}}"),
}


@pytest.mark.parametrize("case", LARGE, ids=lambda case: case.name)
def test_large(case: Case, folder: Path) -> None:
    where = "" if case.place == "*" else case.where  # "*": several are right, or it depends on libyaml's version
    code, output, errors = limited(folder, ["build", "dsl.yaml"], case.raw)
    assert (code, output) == (1, ""), errors[:500]
    lines = errors.split("\n")
    assert max(map(len, lines)) < 500
    assert lines[0].startswith(f"error[{case.codes}]: ")
    assert lines[1].startswith(f"  --> dsl.yaml:{where}")
    code, output, errors = limited(folder, ["validate", "dsl.yaml", "--format", "json"], case.raw)
    assert (code, errors) == (1, "")
    assert json.loads(output)["diagnostics"][0]["code"] == case.codes


@pytest.mark.parametrize("name", LARGE_AND_FINE)
def test_large_and_fine(name: str, folder: Path) -> None:
    code, output, errors = limited(folder, ["validate", "dsl.yaml"], LARGE_AND_FINE[name].encode())
    assert (code, output, errors[:500]) == (0, "", "")


@pytest.mark.parametrize("name", TOO_LARGE_TO_STORE)
def test_too_large_to_store(name: str, folder: Path) -> None:
    """It compiles, but no cluster stores it."""
    code, output, errors = limited(folder, ["validate", "dsl.yaml"], TOO_LARGE_TO_STORE[name].encode())
    assert (code, output) == (1, "")
    assert errors.startswith("error[R0710]: ")
    assert errors.count("R0710") == errors.count("[R")


def test_long_chain(folder: Path) -> None:
    """A thousand derived values, each of the one before it: compiled, or refused as too much."""
    given = unit('env: {A: "{{ let.a999 }}"}', doubled("b", "{{ $ }}", 1_000))
    code, output, errors = limited(folder, ["validate", "dsl.yaml"], given.encode())
    assert (code, output) == (0, "") or errors.startswith("error[R0407]: ")


# The command line: 2 for what is no finding about the input.


def run(folder: Path, command: str, given: bytes = b"") -> tuple[int, str, str]:
    """A shell command in which `replicator` is ours."""
    script = f'replicator() {{ "{sys.executable}" -m replicator "$@"; }}\n{command}'
    done = subprocess.run(["bash", "-c", script], cwd=folder, input=given, capture_output=True, timeout=60, check=False)
    errors = done.stderr.decode()
    assert "Traceback" not in errors
    assert "internal error" not in errors
    return done.returncode, done.stdout.decode(), errors


@pytest.fixture
def good(folder: Path) -> Path:
    (folder / "dsl.yaml").write_text(values("islands: {eu: {}, us: {}}"))
    return folder


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["build", "nope.yaml"], "error[R0801]: nope.yaml: No such file or directory"),
        (["build", "dsl.yaml", "nope.yaml"], "error[R0801]: nope.yaml: No such file or directory"),
        (["build", "no\x1b[31mpe.yaml"], "error[R0801]: no\ufffd[31mpe.yaml: No such file or directory"),
        (["build", "empty"], "empty: no *.yaml or *.yml in this directory"),
        (["build"], "nothing to compile"),
        (["validate"], "nothing to compile"),
        (["build", ""], "nothing to compile"),
        (["frobnicate"], "No such command"),
        (["build", "dsl.yaml", "--frobnicate"], "No such option"),
        (["validate", "dsl.yaml", "--format", "xml"], "'xml' is not one of"),
        (["build", "dsl.yaml", "--only", "pods"], "'pods' is not one of"),
        (["build", "dsl.yaml", "--max-islands", "0"], "--max-islands"),
        (["build", "dsl.yaml", "--params", "nope.yaml"], "error[R0801]: nope.yaml: No such file or directory"),
        (["build", "dsl.yaml", "--params", "empty"], "error[R0801]: empty: Is a directory"),
        (["build", "dsl.yaml", "--set", "cart"], "SET.PARAM=VALUE"),
        (["build", "dsl.yaml", "--set", "cart.v"], "SET.PARAM=VALUE"),
        (["build", "dsl.yaml", "--set", ".v=1"], "SET.PARAM=VALUE"),
        (["build", "dsl.yaml", "--set", "cart.=1"], "SET.PARAM=VALUE"),
        (["build", "dsl.yaml", "--set", "cart.a-b=1"], "SET.PARAM=VALUE"),
        (["build", "dsl.yaml", "--set", "crt.v=1"], "error[R0802]: there is no IslandSet or Routing `crt`"),
        (["build", "dsl.yaml", "--set", "cart/ue.v=1"], "error[R0802]: there is no island `cart/ue`"),
        (["build", "dsl.yaml", "edge.yaml", "--set", "edge/eu.v=1"], "error[R0802]: the Routing `edge` has no island"),
        (["build", "dsl.yaml", "--root", "nope"], "'nope' does not exist"),
        (["build", "dsl.yaml", "-o", ""], "-o names no directory"),
        (["build", "dsl.yaml", "--island", "cart/x*"], "error[R0802]: `cart/x*` matches no island"),
    ],
    ids=lambda value: " ".join(value).replace("\x1b", "ESC") if isinstance(value, list) else "",
)
def test_usage(arguments: list[str], words: str, good: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (good / "empty").mkdir()
    edge = "hosts: [a.example.com]\nroutes: [{name: all, respond: {status: 404}}]"
    (good / "edge.yaml").write_text(routing(edge, "edge"))
    code = main(arguments)
    output, errors = capfd.readouterr()
    assert words in errors
    assert (code, output) == (2, "")
    assert all(character == "\n" or character.isprintable() for character in errors)


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("cart.w=1", "R0502"),
        ("cart/eu.w=1", "R0502"),
        ("cart.n=x", "R0504"),
        ("cart.n=1.5", "R0504"),
        ("cart.n=NaN", "R0504"),
        ("cart.n=99999999999999999999", "R0504"),
        ('cart.m={"c": 1}', "R0504"),
        ('cart.m={"c": "a", "c": "b"}', "R0504"),
    ],
    ids=lambda value: value[:30],
)
def test_setting_that_does_not_fit(setting: str, code: str, good: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "dsl.yaml", "--set", setting]) == 1
    output, errors = capfd.readouterr()
    assert output == ""
    assert errors.startswith(f"error[{code}]: ")
    assert max(map(len, errors.split("\n"))) < 500


def test_setting_that_is_no_text(good: Path) -> None:
    code, output, errors = run(good, "replicator build dsl.yaml --set $'cart.v=\\xff'")
    assert code in (1, 2)
    assert output == ""
    assert errors


@pytest.mark.parametrize(("written", "read"), [("3", 3), ("3.0", 3), ("3e0", 3)])
def test_setting_of_an_integer(written: str, read: int, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """JSON has numbers, not their kinds: a whole one is an integer, as it is in a file."""
    unit = "{image: x, replicas: '{{ params.n }}'}"
    text = documents(island_type(f"params: {{n: {{type: integer}}}}\nunits: {{web: {unit}}}"), ONE)
    (folder / "dsl.yaml").write_text(text)
    assert main(["build", "dsl.yaml", "--set", f"cart.n={written}"]) == 0
    assert f"replicas: {read}\n" in capfd.readouterr().out


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_setting_that_no_json_holds(number: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "dsl.yaml").write_text(parameter("{type: number, default: 1}"))
    assert main(["build", "dsl.yaml", "--set", f"cart.a={number}"]) == 1
    assert capfd.readouterr().err.startswith("error[R0504]: ")


@pytest.mark.parametrize(
    ("given", "code", "place"),
    [
        (b"\xff\xfe", "R0102", "1:1"),
        (b"- a\n", "R0201", "1:1"),
        (b"cart: 5\n", "R0204", "1:1"),
        (b"cart: {n: yes}\n", "R0106", "1:11"),
        (b"cart: {w: 1}\n", "R0502", "1:11"),
        (b"cart: {n: x}\n", "R0504", "1:11"),
    ],
)
def test_values_that_do_not_fit(
    given: bytes, code: str, place: str, good: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (good / "params.yaml").write_bytes(given)
    assert main(["build", "dsl.yaml", "--params", "params.yaml"]) == 1
    output, errors = capfd.readouterr()
    assert output == ""
    lines = errors.split("\n")
    assert lines[0].startswith(f"error[{code}]: ")
    assert lines[1] == f"  --> params.yaml:{place}"
    assert "apiVersion" not in errors  # it is no document of the DSL
    if code != "R0102":
        assert lines[3] == f" 1 | {given.decode().rstrip()}"


def test_values_of_no_island(good: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (good / "params.yaml").write_text("cart:\n  v: a\ncart/ue:\n  v: b\n  n: 2\n")
    assert main(["build", "dsl.yaml", "--params", "params.yaml"]) == 2
    output, errors = capfd.readouterr()
    assert output == ""
    assert errors.startswith("error[R0802]: there is no island `cart/ue`\n  --> params.yaml:4:6\n")
    assert errors.endswith("\n1 error in 1 file\n")


def test_expression_in_values(good: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It is evaluated or refused, never written as it is."""
    (good / "dsl.yaml").write_text(
        documents(island_type(f"{PARAMS.strip()}\nunits: {{web: {{image: '{{{{ params.v }}}}'}}}}"), ONE)
    )
    (good / "params.yaml").write_text('cart: {v: "{{ island.key }}"}\n')
    code = main(["build", "dsl.yaml", "--params", "params.yaml"])
    output, errors = capfd.readouterr()
    assert "{{" not in output
    assert (code == 0 and "image: " in output) or errors.startswith("error[R0406]: ")


@pytest.mark.parametrize(
    ("arguments", "denied"),
    [
        ("dsl.yaml", "dsl.yaml"),
        (".", "./dsl.yaml"),
        ("params.yaml --params dsl.yaml", "dsl.yaml"),
        ("shut", "shut"),
        ("shut/dsl.yaml", "shut/dsl.yaml"),
    ],
)
def test_unreadable(arguments: str, denied: str, good: Path, unprivileged: tuple[str, ...]) -> None:
    (good / "dsl.yaml").chmod(0)
    (good / "params.yaml").write_text("")
    (good / "shut").mkdir(0)
    command = [*unprivileged, sys.executable, "-m", "replicator", "build", *arguments.split()]
    done = subprocess.run(command, cwd=good, capture_output=True, text=True, timeout=60, check=False)
    (good / "shut").chmod(0o700)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error[R0801]: {denied}: Permission denied\n"


def test_only_the_files_of_a_directory_are_read(good: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (good / "more.yaml").mkdir()
    assert main(["validate", "."]) == 0
    (good / "gone.yaml").symlink_to("nowhere")
    assert main(["validate", "."]) == 2
    assert capfd.readouterr() == ("", "error[R0801]: ./gone.yaml: No such file or directory\n")


FULL = "error[R0803]: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("command", ["build dsl.yaml", "validate dsl.yaml --format json", "--help"])
def test_full_disk(command: str, good: Path) -> None:
    assert run(good, f"replicator {command} > /dev/full") == (2, "", FULL)


def test_full_disk_for_the_messages(folder: Path) -> None:
    assert run(folder, "replicator build nope.yaml 2> /dev/full")[:2] == (2, "")


def test_reader_that_goes_away(folder: Path) -> None:
    (folder / "dsl.yaml").write_text(values("replicas: 5000"))
    code, _, errors = run(folder, "replicator build dsl.yaml | head -c1; exit ${PIPESTATUS[0]}")
    assert (code, errors) == (2, "")


def test_closed_output(good: Path) -> None:
    code, _, errors = run(good, "replicator build dsl.yaml >&-")
    assert code == 2
    assert errors.startswith("error[R0803]: the output cannot be written")


def test_closed_input(good: Path) -> None:
    code, output, errors = run(good, "replicator build - <&-")
    assert (code, output) == (2, "")
    assert "standard input is closed" in errors


def test_closed_messages(folder: Path) -> None:
    assert run(folder, "replicator build - 2>&-", b"a: b\n") == (1, "", "")


def test_a_bug_of_ours(good: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """It asks for a report, and prints where it happened only where that is asked for."""

    def fails(*given: object) -> None:
        raise RuntimeError("so it is")

    monkeypatch.setattr("replicator.cli.build", fails)
    assert main(["build", "dsl.yaml"]) == 3
    output, errors = capfd.readouterr()
    assert output == ""
    assert errors.startswith("internal error: RuntimeError: so it is\n")
    assert "report it" in errors
    assert "Traceback" not in errors
    for arguments in (["--debug", "build", "dsl.yaml"], ["build", "--debug", "dsl.yaml"]):
        with pytest.raises(RuntimeError):
            main(arguments)


def test_output_that_is_no_unicode(folder: Path) -> None:
    command = "PYTHONIOENCODING=ascii replicator validate --format json -"
    code, output, errors = run(folder, command, "é: b\n".encode())
    assert (code, errors) == (1, "")
    assert json.loads(output)["diagnostics"][0]["code"] == "R0202"


def test_findings_on_standard_input_are_named(folder: Path) -> None:
    code, output, errors = run(folder, "replicator validate -", b"a: b\n")
    assert (code, output) == (1, "")
    assert "\n  --> <stdin>:1:1\n" in errors


def test_types_alone_are_warned_of(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "dsl.yaml").write_text(TYPE)
    assert main(["build", "dsl.yaml"]) == 0
    output, errors = capfd.readouterr()
    assert output == ""
    assert errors.startswith("warning[R0110]: there are Types only: nothing is written\n  --> dsl.yaml:3:18\n")
