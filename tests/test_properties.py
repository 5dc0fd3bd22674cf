"""Properties of the compiler over generated projects: function of its input, locality, faithful texts, no traceback."""

import base64
import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import strategies as dsl
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry, Resource
from ruamel.yaml import YAML
from strategies import Document, Expression, Parts, Project, Set, document, examples, text_of

from replicator.diagnostics import CODES, Diagnostic, Place, has_errors
from replicator.expression import program, template
from replicator.expression.values import Failure
from replicator.parser import parameters, schema, source
from replicator.pipeline import Built, Source, build
from replicator.report import as_json, as_text

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = [path.read_text() for path in sorted((ROOT / "dsl-examples").glob("*.yaml"))]


# Building, and taking output apart


def built(*texts: str) -> Built:
    return build([Source(f"{number}.yaml", text.encode()) for number, text in enumerate(texts)])


def output(*texts: str) -> str:
    """What the compiler writes, where nothing is wrong."""
    made = built(*texts)
    wrong = [one for one in made.diagnostics if one.code != "R0612"]  # units that call each other are no mistake
    assert not wrong, as_text(wrong, made.sources) + "\n".join(texts)
    return b"".join(made.texts()).decode()


def errors(*texts: str) -> list[Diagnostic]:
    """The errors of a build. Without any its text is made and read."""
    made = built(*texts)
    if not has_errors(made.diagnostics):
        parsed(b"".join(made.texts()).decode())
    return [diagnostic for diagnostic in made.diagnostics if diagnostic.severity == "error"]


def parsed(text: str) -> list[Any]:
    return list(yaml.load_all(text, yaml.CSafeLoader))


class Piece(NamedTuple):
    """One object of the output: what it is, whose it is ('' where it is no island's), and its text."""

    kind: str
    name: str
    island: str
    text: str


def pieces(text: str) -> list[Piece]:
    """The output, object by object. Inside an object no line begins with three dashes."""
    found = []
    for one in re.split(r"(?m)^---\n", text)[1:]:
        data = yaml.load(one, yaml.CSafeLoader)
        metadata = data["metadata"]
        found.append(Piece(data["kind"], metadata["name"], metadata["labels"].get("replicator.dev/island", ""), one))
    return found


def small(units: Document | None = None, members: Document | None = None, **fields: Any) -> list[Document]:
    """A Type of the given units and fields, and a Set of it."""
    return [
        document("IslandType", "t", {"units": units or {"a": {"image": "x"}}, **fields}),
        document("IslandSet", "s", {"type": "t", **(members or {"islands": {"eu": None}})}, namespace="ns"),
    ]


# I1: a function of its input


@examples(100, whole_projects=True)
@given(dsl.projects(), st.data())
def test_order_of_files_documents_and_islands_means_nothing(project: Project, data: st.DataObject) -> None:
    expected = output(project.text)
    assert output(project.text) == expected
    shuffled = [_shuffled_islands(one, data) for one in data.draw(st.permutations(project.documents))]
    cut = data.draw(st.integers(0, len(shuffled)))
    assert output(*(dsl.dump(part) for part in (shuffled[:cut], shuffled[cut:]) if part)) == expected


def _shuffled_islands(one: Document, data: st.DataObject) -> Document:
    islands = one["spec"].get("islands")
    if not isinstance(islands, dict):
        return one
    return {**one, "spec": {**one["spec"], "islands": dict(data.draw(st.permutations(list(islands.items()))))}}


def test_keys_whose_numbers_are_equal_have_one_order() -> None:
    """`1` and `01` are one number in natural order, and two islands."""
    keys = ["1", "01", "001", "a1", "a01", "a1-0", "a01-0"]
    forth, back = ({"islands": dict.fromkeys(order)} for order in (keys, keys[::-1]))
    assert output(text_of(*small(members=forth))) == output(text_of(*small(members=back)))


def test_names_whose_numbers_are_equal_have_one_order() -> None:
    made = small()[:1] + [document("IslandSet", name, {"type": "t", "replicas": 1}) for name in ("s1", "s01")]
    assert output(text_of(*made)) == output(text_of(*made[::-1]))
    routes = [{"respond": 404}]
    made = [document("Routing", f"r{n}", {"hosts": [f"{n}.org"], "routes": routes}, namespace="n") for n in ("1", "01")]
    assert output(text_of(*made)) == output(text_of(*made[::-1]))


_RUN = """
import json, sys
from replicator.pipeline import Source, build
from replicator.report import as_text
for text in json.load(sys.stdin):
    built = build([Source("a.yaml", text.encode())])
    sys.stdout.buffer.write(as_text(built.diagnostics, built.sources).encode())
    if not built.diagnostics:
        sys.stdout.buffer.write(b"".join(built.texts()))
"""


def _wrong() -> Iterator[str]:
    """Many faults, some of them at one place."""
    env = {"A": "{{ params.z }}{{ params.y }}{{ lett.x }}", "B": {}, "C": "{{ nope('a') }}"}
    units = {"a": {"image": "x", "env": env}, "b": {"image": "{{ params.m.a }}{{ params.n.a }}"}}
    yield text_of(*small(units, {"type": "tt", "replicas": 2}, ports={"p": {"unit": "z", "port": "q"}}))
    schemas = {name: {"type": "object", "additionalProperties": {"type": "string"}} for name in ("m", "n", "o", "p")}
    overrides = [{"islands": ["0"], "params": {name: {"a": 1} for name in schemas}}]
    yield text_of(*small(members={"replicas": 2, "overrides": overrides}, params=schemas))
    yield text_of(*small(params=schemas))


def test_the_hash_seed_means_nothing() -> None:
    inputs = [*_wrong(), *EXAMPLES]

    @examples(10, whole_projects=True)
    @given(dsl.projects())
    def collect(project: Project) -> None:
        inputs.append(project.text)

    collect()
    outputs = set()
    for seed in ("0", "1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        run = subprocess.run(
            [sys.executable, "-c", _RUN], input=json.dumps(inputs).encode(), capture_output=True, env=environment
        )
        assert run.returncode == 0, run.stderr.decode()
        outputs.add(run.stdout)
    assert len(outputs) == 1


# I2: locality


def others(text: str, *islands: str) -> list[object]:
    """All of an output, in its order, that does not belong to some islands: their objects, Upstreams and routes."""
    kept: list[object] = []
    for piece in pieces(text):
        if piece.island in islands or (piece.kind == "Upstream" and piece.name in _names(islands)):
            continue
        if piece.kind == "VirtualService":
            data = yaml.load(piece.text, yaml.CSafeLoader)
            host = data["spec"]["virtualHost"]
            host["routes"] = [rest for route in host["routes"] for rest in _without(route, _names(islands))]
            kept.append(data)
        elif piece.kind == "StatefulSet" and not piece.island:  # `form: pods`: it counts its pods
            kept.append(re.sub(r"(?m)^  (?:replicas: [0-9]+|ordinals:\n    start: [0-9]+)\n", "", piece.text))
        else:
            kept.append(piece.text)
    return kept


def _names(islands: tuple[str, ...]) -> set[str]:
    """What a route may name islands by: their Upstreams, their Services."""
    return {
        name
        for island in islands
        for name in (f"edge-{island}-p0", island, *(f"{island}-{unit}" for unit in dsl.UNITS))
    }


def _without(route: Document, names: set[str]) -> Iterator[Document]:
    action = route.get("routeAction", {})
    if "single" in action:
        if _goal(action["single"]) not in names:
            yield route
    elif "multi" in action:
        rest = [one for one in action["multi"]["destinations"] if _goal(one["destination"]) not in names]
        yield {**route, "routeAction": {"multi": {"destinations": rest}}}
    else:
        yield route


def _goal(destination: Document) -> str:
    reference = destination["upstream"] if "upstream" in destination else destination["kube"]["ref"]
    return str(reference["name"])


@examples(90, whole_projects=True)
@given(dsl.sets("shop", counted=False), dsl.sets("shop2"), st.data())
def test_a_key_that_comes_goes_moves_or_changes_touches_no_other(one: Set, other: Set, data: st.DataObject) -> None:
    routing = data.draw(dsl.routings((one, other)))
    key = data.draw(st.sampled_from([key for key in dsl.KEYS if key not in one.keys]))
    values = st.tuples(dsl.layers(sorted(one.type.params), ("key", "name")), st.sampled_from([None, 1, 2, 7]))
    weights = {key: (one.document["spec"]["islands"][key] or {}).get("weight") for key in one.keys}

    def text(keys: tuple[str, ...], own: Any = None, overrides: tuple[Any, ...] = ()) -> str:
        mine = {**one.own, **({key: own[0]} if own else {})}
        shares = {**weights, **({key: own[1]} if own else {})}
        made = dsl.assemble("shop", one.type, keys, one.params, (*one.overrides, *overrides), mine, shares)
        return output(Project((made, other), (routing,)).text)

    before = text(one.keys)
    expected = others(before, f"shop-{key}")
    first, second = data.draw(values), data.draw(values)
    added = text((*one.keys, key), first)
    assert pieces(added) != pieces(before)
    assert others(added, f"shop-{key}") == expected
    assert text((key, *one.keys), first) == added
    edited = text((key, *one.keys), second)
    assert others(edited, f"shop-{key}") == expected
    overridden = text((*one.keys, key), second, (((key,), first[0]),))
    assert others(overridden, f"shop-{key}") == expected


@examples(120, whole_projects=True)
@given(dsl.sets("shop", counted=True), st.data())
def test_a_count_that_grows_or_shrinks_touches_no_island_that_stays(one: Set, data: st.DataObject) -> None:
    routing = data.draw(dsl.routings((one,)))
    first, more = int(one.keys[0]), data.draw(st.integers(1, 12))

    def text(start: int, keys: tuple[str, ...], overrides: tuple[Any, ...] = ()) -> str:
        made = dsl.assemble("shop", one.type, keys, one.params, (*one.overrides, *overrides), start=start)
        return output(Project((made,), (routing,)).text)

    expected = others(text(first, one.keys))
    new = tuple(str(int(one.keys[-1]) + number) for number in range(1, more + 1))
    grown = text(first, one.keys + new)
    assert others(grown, *(f"shop-{key}" for key in new)) == expected
    values = data.draw(dsl.layers(sorted(one.type.params), ("key", "ordinal")))
    overridden = text(first, one.keys + new, (((new[0],), values),))
    assert others(overridden, f"shop-{new[0]}") == others(grown, f"shop-{new[0]}")
    if first:
        earlier = text(first - 1, (str(first - 1), *one.keys))
        assert others(earlier, f"shop-{first - 1}") == expected


@examples(100, whole_projects=True)
@given(dsl.pod_sets("ledger"), st.data())
def test_pods_that_come_change_the_count_alone(one: Set, data: st.DataObject) -> None:
    routing = data.draw(dsl.routings((one,)))
    first = int(one.keys[0])

    def text(start: int, keys: tuple[str, ...]) -> str:
        made = dsl.assemble("ledger", one.type, keys, one.params, start=start, form="pods")
        return output(Project((made,), (routing,)).text)

    expected = others(text(first, one.keys))
    new = str(int(one.keys[-1]) + 1)
    assert others(text(first, (*one.keys, new)), f"ledger-{new}") == expected
    if first:
        earlier = text(first - 1, (str(first - 1), *one.keys))
        assert others(earlier, f"ledger-{first - 1}") == expected


_CELL = document(
    "IslandType",
    "cell",
    {
        "params": {"v": {"type": "string", "default": "1"}, "w": {"type": "string", "default": "x"}},
        "ports": {"p0": {"unit": "a", "port": "http"}},
        "units": {"a": {"image": "x:{{ params.v }}", "ports": {"http": 80}, "env": {"A": "{{ island.key }}"}}},
    },
)


def _region(islands: Document) -> str:
    gate = {"image": "x", "env": {"CELLS": "{{ addresses('cell', 'p0') | join(' ') }}"}}
    params = {"cells": {"type": "integer", "default": 2}, "v": {"type": "string", "default": "1"}}
    inner = {"cell": {"type": "cell", "replicas": "{{ params.cells }}", "params": {"v": "{{ params.v }}"}}}
    prefix = {"path": {"prefix": "/{{ parent.key }}/{{ island.key }}"}}
    routes = [{"name": "cells", "each": "shop/cell", "match": prefix}, {"to": {"spread": "shop/cell"}}]
    return text_of(
        _CELL,
        document("IslandType", "region", {"params": params, "units": {"gate": gate}, "sets": inner}),
        document("IslandSet", "shop", {"type": "region", "islands": islands}, namespace="ns"),
        document("Routing", "edge", {"hosts": ["a.b"], "routes": routes}, namespace="edge"),
    )


@pytest.mark.parametrize(
    "changed",
    [
        *({"cells": 0}, {"cells": 1}, {"cells": 5}, {"v": "2"}, {"v": "{{ island.key }}", "cells": 2}),
        *(None, {}, {"v": "no", "cells": 12}),
    ],
)
def test_an_island_with_islands_inside_changes_with_them_alone(changed: Document | None) -> None:
    mine = ("shop-eu", *(f"shop-eu-cell-{number}" for number in range(20)))
    stay: Document = {"us": {"params": {"cells": 3}}, "ap": None}
    expected = others(output(_region(stay)), *mine)
    for islands in ({**stay, "eu": {"params": changed or {}, "weight": 4}}, {"eu": {"params": changed or {}}, **stay}):
        text = output(_region(islands))
        assert others(text, *mine) == expected
        assert any(piece.island == "shop-eu" for piece in pieces(text))


@pytest.mark.parametrize("axis", ["v", "w"])
def test_a_value_of_a_matrix_adds_and_changes_its_islands_alone(axis: str) -> None:
    def text(matrix: Document, **fields: Any) -> str:
        spread = [{"to": {"spread": "shop"}}]
        return output(
            text_of(
                _CELL,
                document("IslandSet", "shop", {"type": "cell", "matrix": matrix, **fields}, namespace="ns"),
                document("Routing", "edge", {"hosts": ["a.b"], "routes": spread}, namespace="edge"),
            )
        )

    axes: Document = {"v": ["1", "2", "no"], "w": ["a", "b"]}
    more = {**axes, axis: ["z", *axes[axis]]}
    mine = tuple(f"shop-{v}-{w}" for v, w in product(more["v"], more["w"]) if "z" in (v, w))
    assert others(text(more), *mine) == others(text(axes), *mine) == others(text(axes))
    assert others(text(axes, exclude=[{"v": "2", "w": "a"}]), "shop-2-a") == others(text(axes), "shop-2-a")
    override = [{"islands": ["2-*"], "params": {"w": "c"}}]
    assert others(text(axes, overrides=override), "shop-2-a", "shop-2-b") == others(text(axes), "shop-2-a", "shop-2-b")


def test_one_override_may_name_an_island_twice() -> None:
    """A glob counts as used where an earlier one of its override matches the island too."""
    override = {"islands": ["e*", "eu", "us"], "params": {"n": 2}}
    members = {"islands": {"eu": None, "us": None}, "overrides": [override]}
    text = output(text_of(*small(members=members, params={"n": {"type": "integer"}})))
    assert [piece.name for piece in pieces(text)] == ["s-eu-a", "s-us-a"]


# Stencils: what comes out is what naive evaluation gives, island by island


class Naive(NamedTuple):
    """One island, whose scalars are evaluated one by one."""

    of: Set
    key: str

    @property
    def island(self) -> dict[str, Any]:
        own = {
            "key": self.key,
            "name": f"{self.of.name}-{self.key}",
            "ordinal": int(self.key) if self.of.by_count else 0,
        }
        if self.of.pods:  # the downward API's variables
            key = "$(REPLICATOR_ISLAND_KEY)"
            return {"key": key, "name": "$(REPLICATOR_ISLAND_NAME)", "ordinal": key}
        return own

    @property
    def params(self) -> dict[str, Any]:
        values = {name: spec["default"] for name, spec in self.of.type.params.items() if "default" in spec}
        layers = [self.of.params]
        layers += [given for globs, given in self.of.overrides if any(fnmatchcase(self.key, glob) for glob in globs)]
        for layer in (*layers, self.of.own.get(self.key, {})):
            for name, value in layer.items():
                values[name] = _over(values.get(name), self.plain(value))
        return values

    def plain(self, value: Any) -> Any:
        if isinstance(value, Parts):
            return self.scalar(value)
        if isinstance(value, list):
            return [self.plain(item) for item in value]
        return {key: self.plain(item) for key, item in value.items()} if isinstance(value, dict) else value

    def scalar(self, parts: Parts) -> Any:
        """One expression keeps its type; all else is text."""
        return self.value(parts[0]) if len(parts) == 1 and not isinstance(parts[0], str) else self.text(parts)

    def text(self, parts: Parts) -> str:
        return "".join(part if isinstance(part, str) else _text(self.value(part)) for part in parts)

    def port(self, unit: str, port: str) -> int:
        container, service = self.of.type.ports[unit][port]
        number = container if self.of.pods else service
        return int(self.scalar(number) if isinstance(number, Parts) else number)

    def value(self, expression: Expression) -> Any:
        operation, *given = expression
        if operation == "value":
            return given[0]
        if operation == "island":
            return self.island[given[0]]
        if operation == "params":
            return self.params[given[0]]
        if operation == "let":
            return self.scalar(self.of.type.let[given[0]])
        host = "localhost" if self.of.pods else f"{self.island['name']}-{given[0]}"
        if operation in ("host", "name"):
            return host
        if operation == "port":
            return self.port(*given)
        if operation == "address":
            return f"{host}:{self.port(*given)}"
        if operation == "filter":
            return _filtered(given[0], self.value(given[1]), *given[2:])
        if operation == "if":
            return self.value(given[1] if self.value(given[0]) else given[2])
        if operation == "not":
            return not self.value(given[0])
        one, two = map(self.value, given)
        results: dict[str, Callable[[], Any]] = {
            "add": lambda: one + two,
            "sub": lambda: one - two,
            "mul": lambda: one * two,
            "div": lambda: one // two,
            "mod": lambda: one % two,
            "concat": lambda: _text(one) + _text(two),
            "and": lambda: one and two,
            "or": lambda: one or two,
            "eq": lambda: one == two,
            "ne": lambda: one != two,
            "lt": lambda: one < two,
            "le": lambda: one <= two,
        }
        return results[operation]()


def _over(weak: Any, strong: Any) -> Any:
    if isinstance(weak, dict) and isinstance(strong, dict):
        return {**weak, **{key: _over(weak.get(key), value) for key, value in strong.items()}}
    return strong


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _filtered(name: str, value: Any, *given: Any) -> Any:
    if name == "length":
        return len(value)
    if name == "join":
        return str(given[0]).join(value)
    text = _text(value)
    results: dict[str, Callable[[], Any]] = {
        "lower": text.lower,
        "upper": text.upper,
        "trim": text.strip,
        "string": lambda: text,
        "default": lambda: value,
        "replace": lambda: text.replace(*given),
        "b64encode": lambda: base64.b64encode(text.encode()).decode(),
        "sha256": lambda: hashlib.sha256(text.encode()).hexdigest(),
    }
    return results[name]()


@examples(200, whole_projects=True)
@given(st.one_of(dsl.sets("shop"), dsl.pod_sets("shop")))
def test_output_is_what_naive_evaluation_gives(one: Set) -> None:
    objects = {(item["kind"], item["metadata"]["name"]): item for item in parsed(output(Project((one,), ()).text))}
    for key, (unit, body) in product(one.keys, one.type.document["spec"]["units"].items()):
        island = Naive(one, key)
        kind = body.get("kind", "Deployment")
        workload = objects[("StatefulSet", "shop") if one.pods else (kind, f"shop-{key}-{unit}")]
        pod = workload["spec"]["template"]
        container = next(one for one in pod["spec"]["containers"] if one["name"] == unit)
        env = {item["name"]: item.get("value") for item in container.get("env", [])}
        expected = {name: island.text(parts) for name, parts in one.type.env[unit].items()}
        assert {name: text for name, text in env.items() if not name.startswith("REPLICATOR_")} == expected
        files = objects.get(("ConfigMap", f"shop-{unit}-files" if one.pods else f"shop-{key}-{unit}-files"), {})
        assert files.get("data", {}) == {
            re.sub("[^-._a-zA-Z0-9]", "-", path[1:].replace("/", ".")): island.text(parts)
            for path, parts in one.type.files[unit].items()
        }
        ports = {port: island.scalar(container) if isinstance(container, Parts) else container
                 for port, (container, _) in one.type.ports[unit].items()}  # fmt: skip
        assert {port["name"]: port["containerPort"] for port in container.get("ports", [])} == ports
        params = island.params
        for field, param in (("nodeSelector", "extra"), ("hostNetwork", "flag")):
            if field in body.get("pod", {}):
                assert pod["spec"][field] == params[param]
        if "dnsConfig" in body.get("pod", {}):
            assert pod["spec"]["dnsConfig"]["searches"] == params["items"]
        if "subdomain" in body.get("pod", {}):
            assert pod["spec"].get("subdomain") == (params["text"] if params["flag"] else None)
        if "overhead" in body.get("pod", {}):
            assert pod["spec"]["overhead"]["share"] == params["share"]
        if "resources" in body:
            assert container["resources"]["limits"] == params["limits"]


@given(st.sampled_from(["{{ island.ordinal }}", "{{ island.key }}", "{{ island.name }}", "n={{ island.ordinal }}"]))
def test_the_downward_api_carries_an_attribute_by_itself(text: str) -> None:
    units = {"a": {"image": "x", "env": {"A": text}, "args": [text], "command": [text]}}
    (workload,) = (one for one in parsed(output(text_of(*small(units, {"replicas": 2, "form": "pods"})))) if
                   one["kind"] == "StatefulSet")  # fmt: skip
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    name = "NAME" if "name" in text else "KEY"
    expected = re.sub(r"\{\{.*\}\}", f"$(REPLICATOR_ISLAND_{name})", text)
    assert (container["env"][-1]["value"], container["args"], container["command"]) == (
        expected,
        [expected],
        [expected],
    )


def test_braces_in_a_value_do_not_make_pods_differ() -> None:
    """An expression that reads nothing of `island` gives every pod one value."""
    units = {"a": {"image": "x", "env": {"A": "{{ params.x }}"}}}
    members = {"replicas": 2, "form": "pods", "params": {"x": "{{ '{{' }}"}}
    assert '"{{"' in output(text_of(*small(units, members, params={"x": {"type": "string"}})))


# I6: a string stays a string, a number a number


def _ruamel(version: str) -> Any:
    reader = YAML(typ="safe", pure=True)
    reader.version = version
    return reader


READERS: dict[str, Callable[[str], list[Any]]] = {
    "PyYAML": lambda text: list(yaml.load_all(text, yaml.SafeLoader)),
    "PyYAML with libyaml": parsed,
    "ruamel.yaml for YAML 1.1": lambda text: list(_ruamel("1.1").load_all(text)),
    "ruamel.yaml for YAML 1.2": lambda text: list(_ruamel("1.2").load_all(text)),
}


def exactly(one: Any, other: Any) -> bool:
    """Equality that tells 1 from true and from "1". Numbers are JSON's: 1 and 1.0 are one."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(exactly(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(exactly, one, other))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


_INTEGERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-10, 10))
_NUMBERS = st.one_of(_INTEGERS, st.floats(allow_nan=False, allow_infinity=False))
_KEYS = st.text(st.characters(exclude_characters="{$", exclude_categories=["Cs"]), min_size=1, max_size=20)


@examples(150)
@given(
    st.lists(dsl.texts, min_size=1, max_size=6),
    st.lists(_NUMBERS, max_size=4),
    st.dictionaries(_KEYS, st.one_of(dsl.texts, _NUMBERS, st.booleans()), max_size=4),
)
def test_values_are_read_back_as_they_were(texts: list[str], numbers: list[Any], map_: dict[str, Any]) -> None:
    """Texts wherever they may stand, written in the Type or given as parameters, and numbers, by every reader."""
    declared: dict[str, str] = {f"t{number}": text for number, text in enumerate(texts)}
    counted = {f"n{number}": value for number, value in enumerate(numbers)}
    params: Document = {name: {"type": "string"} for name in declared}
    params |= {name: {"type": "number"} for name in counted}
    params["map"] = {"type": "object", "additionalProperties": True}
    said = [dsl.literal(text) for text in texts]
    asked = [f"{{{{ params.{name} }}}}" for name in declared]
    numbered = [f"{{{{ params.{name} }}}}" for name in counted]
    unit = {
        "image": "x",
        "env": {name.upper(): text for name, text in zip(declared, said, strict=True)}
        | dict(zip(declared, asked, strict=True)),
        "files": {f"/{name}": text for name, text in zip(declared, said, strict=True)}
        | {f"/p/{name}": f"a:\n  b: {text}\nc\n" for name, text in zip(declared, asked, strict=True)},
        "args": [*said, *asked],
        "podMetadata": {"annotations": {f"a/{name}": text for name, text in zip(declared, said, strict=True)}},
        "pod": {"numbers": numbers, "params": numbered, "map": "{{ params.map }}", "texts": [*said, *asked]},
    }
    given_map = dsl.in_dsl(map_)
    islands = {"eu": {"params": {**dsl.in_dsl(declared), **counted, "map": given_map}}, "us": {"params": counted}}
    members = {"islands": islands, "params": {**dict.fromkeys(declared, "us"), "map": {}}}
    text = output(text_of(*small({"a": unit}, members, params=params)))
    for name, read in READERS.items():
        config, workload, *_ = read(text)
        template_ = workload["spec"]["template"]
        (container,) = template_["spec"]["containers"]
        env = {item["name"]: item["value"] for item in container["env"]}
        assert exactly(env, {name.upper(): text for name, text in declared.items()} | declared), name
        assert exactly(
            config["data"],
            declared | {f"p.{name}": f"a:\n  b: {text}\nc\n" for name, text in declared.items()},
        ), name
        assert exactly(container["args"], texts * 2), name
        annotations = template_["metadata"]["annotations"]
        annotations.pop("replicator.dev/files")
        assert exactly(annotations, {f"a/{name}": text for name, text in declared.items()}), name
        pod = template_["spec"]
        wanted = {"numbers": numbers, "params": numbers, "map": map_, "texts": texts * 2}
        assert exactly({field: pod[field] for field in wanted}, wanted), name


# I8: manifests or located diagnostics, never a traceback

_BREAK = re.compile(r"\r\n|\r|\n")


def judge(raw: bytes) -> Built:
    """Build any bytes: it makes text that YAML readers take, or says what is wrong and where in the file."""
    made = build([Source("a.yaml", raw)])
    lines = _BREAK.split(made.sources.get("a.yaml", raw.decode("utf-8", "replace")))
    for one in made.diagnostics:
        assert one.code in CODES
        assert one.message
        assert one.place is not None, one
        for place in (one.place, *(related.place for related in one.related)):
            assert_inside(place, lines)
    as_text(made.diagnostics, made.sources)
    json.loads(as_json(made.diagnostics))
    if not has_errors(made.diagnostics):
        for item in parsed(b"".join(made.texts()).decode()):
            assert {"apiVersion", "kind", "metadata"} <= item.keys()
    return made


def assert_inside(place: Place, lines: list[str]) -> None:
    """A place is a range of its file; it may point at the end of a line or of the file, where something is missing."""
    assert place.file == "a.yaml"
    assert 1 <= place.line <= place.end_line <= len(lines), place
    assert 1 <= place.column <= len(lines[place.line - 1]) + 1, (place, lines[place.line - 1])
    assert 1 <= place.end_column <= len(lines[place.end_line - 1]) + 2, (place, lines[place.end_line - 1])
    assert (place.line, place.column) <= (place.end_line, place.end_column), place


@examples(1000)
@given(
    st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode), st.text().map(lambda t: t.encode("utf-16")))
)
def test_any_bytes(raw: bytes) -> None:
    judge(raw)
    head = b"apiVersion: replicator.dev/v1alpha1\nkind: IslandSet\nmetadata: {name: a}\nspec: "
    judge(head + raw)
    judge(b"\xef\xbb\xbf" + raw)


_TOKENS = st.sampled_from(
    [
        *("", " ", "  ", "\n", "\t", "\r", "\r\n", ":", ": ", "- ", "---\n", "...\n", "#", "# ", ",", "'", '"', "|\n"),
        *(">\n", "{", "}", "[", "]", "{}", "[]", "{{", "}}", "{{ }}", "{{ params.x }}", "{{ island.key }}"),
        *("{{ omit }}", "? ", "&a ", "*a", "&a *a", "<<: *a", "!!str ", "!x ", "%YAML 1.1\n", "@", "`", "\\", "null"),
        *("~", "no", "true", "y", "0", "-1", "1.0", "3.0", "-0.0", "1e3", "1e400", "0x10", "0o7", "9" * 20),
        *("1" * 5000, ".inf", ".nan", "2020-01-01", "a", "A", "a-b", "_", "*", "/", "s/eu", "-", "é", "\U0001f600"),
        *("\x00", "\x85", "\u2028", "\ufeff", "\xa0", "x" * 70, "name", "kind: ", "spec: ", "units: ", "params: "),
        *("type: ", "islands: ", "replicas: ", "form: pods", "default: "),
    ]
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A valid example with a few lines, tokens or characters deleted, doubled, moved or replaced."""
    text = draw(st.sampled_from(EXAMPLES))
    for _ in range(draw(st.integers(1, 4))):
        cut = draw(st.sampled_from([r"(?<=\n)", r"\b", r""]))
        parts = [part for part in re.split(cut, text) if part]
        if not parts:
            break
        at = draw(st.integers(0, len(parts) - 1))
        how = draw(st.sampled_from(["delete", "double", "move", "replace", "insert", "take"]))
        if how == "delete":
            del parts[at]
        elif how == "double":
            parts.insert(at, parts[at])
        elif how == "move":
            parts.insert(draw(st.integers(0, len(parts) - 1)), parts.pop(at))
        elif how == "take":
            parts[at] = draw(st.sampled_from(parts))
        else:
            parts[at : at + (how == "replace")] = [draw(_TOKENS)]
        text = "".join(parts)
    return text


@examples(2500)
@given(mutated())
def test_mutated_text(text: str) -> None:
    judge(text.encode())


# Values that are wrong nearly everywhere, and now and then by their type only.
_SCALARS = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        -1,
        3.0,
        0.5,
        -0.0,
        2**63 - 1,
        1e300,
        "",
        "a",
        "eu",
        "{{ 1 }}",
        "{{ omit }}",
        "{{",
        "x" * 300,
    ]
)
_DATA: st.SearchStrategy[Any] = st.recursive(
    st.one_of(_SCALARS, st.sampled_from(["{{ params.x }}", "{{ island.key }}", "{{ [1, 'a'] }}", "{{ {'a': 1} }}"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["a", "type", "name", "x y", "{{ a }}", "items", "default"]), inner, max_size=3
        ),
    ),
    max_leaves=5,
)


@cache
def _documents() -> list[Document]:
    return [one for text in EXAMPLES for one in parsed(text)]


def _paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from _paths(child, (*path, key))


@st.composite
def mutated_data(draw: st.DrawFn, number: int = 1) -> list[Document]:
    """The documents of an example, some nodes of which are replaced, deleted or added."""
    text = draw(st.sampled_from(EXAMPLES))
    documents = parsed(text)
    for _ in range(number):
        *above, last = draw(st.sampled_from([path for path in _paths(documents) if len(path) > 1]))
        holder: Any = documents
        for step in above:
            holder = holder[step]
        how = draw(st.sampled_from(["replace", "replace", "delete", "add", "copy"]))
        if how == "replace":
            holder[last] = draw(_DATA)
        elif how == "delete":
            del holder[last]
        elif isinstance(holder, dict):
            other = draw(st.sampled_from(["image", "env", "params", "type", "weight", "init", "x"]))
            holder[other] = holder[last] if how == "copy" else draw(_DATA)
        else:
            holder.append(draw(_DATA))
    return documents


@examples(1500)
@given(mutated_data(), st.booleans())
def test_mutated_data(documents: list[Document], together: bool) -> None:
    judge(dsl.dump(documents if together else documents[::-1]).encode())


_SCHEMAS = st.fixed_dictionaries(
    {"type": st.sampled_from(["array", "object", "string", "integer", "number", "boolean"])},
    optional=dict.fromkeys(
        [
            *("items", "properties", "additionalProperties", "required", "enum", "pattern", "default", "minLength"),
            *("minimum", "minItems", "uniqueItems"),
        ],
        _DATA,
    ),
)


@examples(600)
@given(_SCHEMAS, _SCHEMAS, _DATA)
def test_any_schema_of_a_parameter(one: Document, other: Document, value: Any) -> None:
    nested = {"type": "array", "items": other}
    fields = {"type": "object", "properties": {"a": other}, "additionalProperties": one}
    params = {"p": one, "q": nested, "r": fields}
    values = {"p": value, "q": [value], "r": {"a": value, "b": value}}
    judge(
        text_of(*small({"a": {"image": "{{ params.p }}"}}, {"replicas": 1, "params": values}, params=params)).encode()
    )


def test_items_of_a_schema_that_is_not_right() -> None:
    """What an expression makes of them is not asked where the schema itself is a finding."""
    params = {"p": {"type": "array", "items": {"type": []}, "default": ["a"]}}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "{{ item.b }}"}}
    resources = [{"forEach": "{{ params.p }}", "manifest": manifest}]
    text = text_of(*small(params=params, resources=resources))
    assert [one.code for one in judge(text.encode()).diagnostics] == ["R0309"]


KEYWORDS = {
    "type": "array",
    "enum": "array",
    "pattern": "string",
    "minLength": "string",
    "maximum": "integer",
    "maxItems": "array",
    "items": "array",
    "properties": "object",
    "uniqueItems": "array",
    "required": "object",
    "additionalProperties": "object",
    "default": "array",
    "description": "array",
}


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_a_keyword_of_a_nested_schema_with_any_value(keyword: str) -> None:
    """What a validator would not take for a schema is an error, at any depth."""
    of = KEYWORDS[keyword]
    values: list[Any] = [None, [], {}, "a", "[", -1, 1.5, True, [1], {"a": 1}, {"a": {"type": []}}]
    parameters: list[Any] = [[], "a", 1, {}, {"a": 1}, None]
    for value in values:
        inner = {"type": of, keyword: value}
        params = {
            "list": {"type": "array", "items": inner},
            "map": {"type": "object", "additionalProperties": inner},
            "fields": {"type": "object", "properties": {"a": inner}},
        }
        try:
            Draft202012Validator.check_schema(inner)
            wrong = False
        except SchemaError:
            wrong = True
        for value_of_a in parameters:
            members = {
                "replicas": 1,
                "params": {"list": [value_of_a], "map": {"a": value_of_a}, "fields": {"a": value_of_a}},
            }
            made = judge(text_of(*small(members=members, params=params)).encode())
            assert has_errors(made.diagnostics) or not wrong, inner


# Hostile input, case by case

_NUMBER = {"n": {"type": "integer", "default": 3}}
_HEAD = "apiVersion: replicator.dev/v1alpha1\n"


@pytest.mark.parametrize(
    "text",
    [
        f"{_HEAD}kind: []\n",
        f"{_HEAD}kind: {{a: b}}\n",
        f"{_HEAD}kind: IslandType\nmetadata: {{name: a, labels: &a {{b: c}}}}\nspec: {{*a : 1}}\n",
        f"{_HEAD}kind: IslandType\nmetadata: &a {{name: a}}\nspec: {{units: {{u: {{image: x, pod: {{*a : 1}}}}}}}}\n",
        text_of(*small(members={"islands": {"1" * 5000: None}})),
        text_of(*small(members={"replicas": 3.0, "start": 1.0})),
        text_of(*small(members={"replicas": 2, "start": 10**9})),
        text_of(*small(params={"p": {"type": "string", "default": "a", "pattern": "^[[:alpha:]]+$"}})),
        "{",
        "a: [b",
        text_of(
            *small(), document("Routing", "r", {"hosts": ["a.b"], "routes": [{"to": {"island": "s/" + "1" * 5000}}]})
        ),
        *(
            text_of(*small({"a": {"image": "x", field: value}}, params=_NUMBER))
            for field, value in (
                ("files", {"/a": "{{ 1 // 0 }}"}),
                ("files", {"/a": "{{ 'x' | int }}"}),
                ("ports", {"http": "{{ omit }}"}),
                ("ports", {"http": 80.0}),
                ("replicas", 2.0),
            )
        ),
        text_of(*small({"a": {"image": "x", "env": {"A": "a{{ let.o }}"}}}, let={"o": "{{ omit }}"})),
        text_of(*small(members={"replicas": 1, "params": {"n": "{{ omit }}"}}, params=_NUMBER)),
        text_of(*small(members={"replicas": 1, "params": {"n": "{{ 'a' }}"}}, params=_NUMBER)),
    ],
    ids=lambda text: re.sub(r"\W+", "-", text[-60:]),
)
def test_hostile_documents(text: str) -> None:
    judge(text.encode())


@pytest.mark.parametrize(
    "expression",
    [
        *("[omit]", "{'a': omit}", "[1, [omit]]", "omit ~ 'a'", "omit | string", "omit | to_json", "[omit] | first"),
        *("{1: 'a'}", "{true: 'a', 'b': 1}", "{none: 2}", "{params.n: 2}", "{[]: 2}", "{1.5: 2}", "{'': 2}"),
        *("[(1, 2)]", "(1, 2)", "()", "{'a': (1, 2)}", "{'a': {'b': [none, {}]}}", "[]", "{}", "none", "[none]"),
        *("1e400", "-1e400", "[1e400]", "1e22", "9" * 100, "0.0000001", "-9223372036854775808"),
        *("9223372036854775807 + 1", "5 is divisibleby 0", "params.n is divisibleby(0)", "5 // 0", "5 % 0"),
        *("'x' is odd", "none is odd", "1 in 2", "not " * 198 + "params.n", "-" * 150 + "params.n"),
        *("[" * 197 + "params.n" + "]" * 197, "(" * 490 + "1" + ")" * 490, "(1 ~ " * 90 + "params.n" + ")" * 90),
        *("params.n | string" + " | lower" * 100, "[params.n][" * 90 + "0" + "]" * 90, "params", "island", "let"),
        *("let.x", "item", "params.n.x", "params['n']", "params[0]", "x['a']", "island.plan"),
        *("'x' | int(default='y')", "'5' | int(16)", "'a' | indent(params.n)", "'a' | indent(-1)", "['a'] | join(5)"),
        *("'a' | replace('', 'b')", "'a' | replace('a', omit)", "[1, 'a'] | sort", "'abc' | first", "[] | first"),
        *("1 if params.n else omit", "params.n | default(omit)", "'a' | default", "'ab' | length(1)", "'a' < 1"),
        *("[] == {}",),
    ],
)
def test_hostile_expressions(expression: str) -> None:
    """Wherever it stands, an expression gives a value that YAML can hold, or is an error with a place."""
    scalar = f"{{{{ {expression} }}}}"
    for fields in (
        {"env": {"A": scalar}},
        {"env": {"A": f"a {scalar} b"}},
        {"files": {"/a": f"a: {scalar}\nb: {{{{ island.key }}}}\n"}},
        {"files": {"/a": f"a: {scalar}\n"}},
        {"pod": {"x": scalar}},
        {"pod": {"x": [scalar]}},
        {"podMetadata": {"labels": {"a": scalar}, "annotations": {"b": scalar}}},
        {"ports": {"http": scalar}, "replicas": scalar, "resources": scalar, "envFrom": scalar},
    ):
        unit = {"a": {"image": "x", **fields}}
        judge(text_of(*small(unit, {"islands": {"eu": None, "us": {"params": {"n": 4}}}}, params=_NUMBER)).encode())
    for params in ({"n": {"type": "integer", "default": 3}}, {"n": {"type": "object", "additionalProperties": True}}):
        members = {"islands": {"eu": None}, "params": {"n": scalar}}
        judge(text_of(*small({"a": {"image": "x", "pod": {"x": "{{ params.n }}"}}}, members, params=params)).encode())
        judge(
            text_of(
                *small({"a": {"image": "x", "pod": {"x": "{{ let.y }}"}}}, let={"y": scalar}, params=_NUMBER)
            ).encode()
        )
    routes = [{"match": {"path": {"prefix": "/{{ params.n }}"}, "headers": {"a": scalar}}, "respond": 200}]
    routing = document("Routing", "r", {"hosts": ["a.b"], "routes": routes, "params": _NUMBER}, namespace="ns")
    judge(text_of(*small(), routing).encode())


@pytest.mark.parametrize("expression", ["'%9999999d' is odd", "'%9999999d' is divisibleby 3", "'%9999999d' is even"])
def test_an_expression_makes_no_large_text(expression: str) -> None:
    tracemalloc.start()
    try:
        judge(text_of(*small({"a": {"image": "x", "env": {"A": f"{{{{ {expression} }}}}"}}})).encode())
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


_LAUGHS = {
    "text": ["x", *(f"{{{{ let.l{number} }}}}" * 50 for number in range(6))],
    "concat": ["{{ island.key ~ 'x' }}", *(f"{{{{ let.l{n} ~ {' ~ '.join([f'let.l{n}'] * 50)} }}}}" for n in range(6))],
    "list": ["{{ ['x'] }}", *(f"{{{{ [{', '.join([f'let.l{number}'] * 60)}] }}}}" for number in range(6))],
}


@pytest.mark.parametrize("laugh", _LAUGHS)
@pytest.mark.parametrize("field", ["env", "pod"])
def test_derived_values_do_not_grow_without_bounds(laugh: str, field: str) -> None:
    """A billion laughs by `let`: each value is many times the one before. The build is given little room and time."""
    let = {f"l{number}": value for number, value in enumerate(_LAUGHS[laugh])}
    unit = {"a": {"image": "x", field: {"a": "{{ let.l6 }}"}}}

    def limits() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (5, 5))

    run = subprocess.run(
        [sys.executable, "-m", "replicator", "validate", "-"],
        input=text_of(*small(unit, let=let)).encode(),
        capture_output=True,
        preexec_fn=limits,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert run.returncode == 1, run.stderr.decode()[-300:]
    assert b"error[R0407]" in run.stderr


# The quick check of form and jsonschema


@cache
def _validators() -> dict[str, Draft202012Validator]:
    files = {path.name: json.loads(path.read_bytes()) for path in sorted((ROOT / "schemas").glob("*.json"))}
    registry: Registry[Any] = Registry().with_resources(
        (name, Resource.from_contents(contents)) for name, contents in files.items()
    )
    return {kind: Draft202012Validator(files[name], registry=registry) for kind, name in schema.KINDS.items()}


@examples(600)
@given(mutated_data(number=1), mutated_data(number=2))
def test_the_quick_check_and_jsonschema_have_one_verdict(one: list[Document], two: list[Document]) -> None:
    for data, kind in product((*one, *two), schema.KINDS):
        assert schema.of_kind(kind)(data) == _validators()[kind].is_valid(data)


@st.composite
def param_schemas(draw: st.DrawFn, depth: int = 2) -> Document:
    """Schemas that a parameter may have."""
    of = draw(st.sampled_from(["string", "integer", "number", "boolean", *(["array", "object"] if depth else [])]))
    made: Document = {"type": of}
    if draw(st.integers(0, 4)) == 0:
        made["enum"] = draw(st.lists(_VALUES, min_size=1, max_size=4))
    size = st.integers(0, 3)
    patterns = st.sampled_from(["^a", "b$", "[0-9]+", "^$", "x.y"])
    optional: dict[str, dict[str, st.SearchStrategy[Any]]] = {
        "string": {"pattern": patterns, "minLength": size, "maxLength": size},
        "integer": {"minimum": st.sampled_from([0, -1, 0.5]), "maximum": st.sampled_from([1, 1.0, 2**40])},
        "number": {"minimum": st.sampled_from([0, -1, 0.5]), "maximum": st.sampled_from([1, 1.0, 1e300])},
        "boolean": {},
        "array": {"minItems": size, "maxItems": size, "uniqueItems": st.booleans()},
        "object": {"required": st.lists(st.sampled_from(["a", "b"]), max_size=2)},
    }
    made |= draw(st.fixed_dictionaries({}, optional=optional[of]))
    if of == "array" and draw(st.booleans()):
        made["items"] = draw(param_schemas(depth - 1))
    if of == "object" and draw(st.booleans()):
        made["properties"] = draw(st.dictionaries(st.sampled_from(["a", "b"]), param_schemas(depth - 1), max_size=2))
    if of == "object" and draw(st.booleans()):
        made["additionalProperties"] = draw(st.one_of(st.booleans(), param_schemas(depth - 1)))
    return made


_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(
        [None, True, False, 0, 1, -1, 1.0, 0.5, -0.0, 2**53 + 1, 1e300, "", "a", "ab", "b\n", "1", "é", "x y"]
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def _near(made: Document) -> Iterator[Any]:
    """Values at the borders of a schema."""
    yield from made.get("enum", ())
    for border in (made[keyword] for keyword in ("minimum", "maximum") if keyword in made):
        yield from (border, border - 1, border + 1, float(border))
    for size in (made[keyword] for keyword in ("minLength", "maxLength", "minItems", "maxItems") if keyword in made):
        for number in (max(size - 1, 0), size, size + 1):
            yield from ("a" * number, list(range(number)), [1] * number, ["a"] * number)
    inner = [made["items"]] if "items" in made else []
    yield from ([value] for one in inner for value in _near(one))
    fields = made.get("properties", {})
    yield from ({name: value} for name, one in fields.items() for value in _near(one))
    yield from ({name: None} for name in (*made.get("required", ()), *fields))
    yield dict.fromkeys(made.get("required", ()), "a")
    if isinstance(made.get("additionalProperties"), dict):
        yield from ({"c": value} for value in _near(made["additionalProperties"]))
    elif "additionalProperties" in made:
        yield {"c": 1}


@examples(500)
@given(param_schemas(), st.lists(_VALUES, max_size=4))
def test_the_checks_of_parameters_and_jsonschema_have_one_verdict(made: Document, values: list[Any]) -> None:
    (read,), problems = source.load("a.yaml", dsl.dump([made]))
    assert not problems
    param, wrong = parameters.read_parameter("p", read.root, read.root.place)
    assert not wrong
    assert param.schema == made
    validator = Draft202012Validator(made)
    for value in (*values, *_near(made), None, True, 1, 1.0, "a", [], {}):
        assert param.fits(value) == validator.is_valid(value), value


# Expressions

_NAMES = st.sampled_from(
    ["params", "island", "let", "omit", "a", "_x", "é", "not", "true", "none", "None", "in", "x1", "1"]
)
_SPACE = st.sampled_from(["", " ", "  ", "\n", "\t", "\r\n", "\xa0", "\x0b"])


@st.composite
def spaced(draw: st.DrawFn) -> str:
    """Dotted names and calls of literals, and what is nearly so, with white space wherever it may stand."""
    if draw(st.booleans()):
        tokens = [draw(_NAMES)]
        for _ in range(draw(st.integers(0, 3))):
            tokens += [draw(st.sampled_from([".", ".", ".", "..", " . "])), draw(_NAMES)]
    else:
        quote = draw(st.sampled_from(["'", '"']))
        inside = st.text(st.characters(exclude_characters=quote, exclude_categories=["Cs"]), max_size=6)
        arguments = draw(st.lists(st.one_of(inside, dsl.fragments), max_size=3))
        tokens = [draw(_NAMES), "("]
        for number, argument in enumerate(arguments):
            spelt = argument.replace("\\", "\\\\").replace(quote, "") if draw(st.integers(0, 3)) else argument
            tokens += [draw(st.sampled_from([",", ",", ", ", ""])) if number else "", f"{quote}{spelt}{quote}"]
        tokens.append(draw(st.sampled_from([")", ")", ",)", ""])))
    return "".join(token + draw(_SPACE) if token not in ("", ".") else token for token in ["", *tokens])


@examples(600)
@given(spaced())
def test_the_fast_path_reads_as_jinja2_does(text: str) -> None:
    """A dotted name or a call of literals means what jinja2's parser takes it for."""
    made = template.parse(f"{{{{{text}}}}}")
    if made.flaws or len(made.parts) != 1 or isinstance(made.parts[0], str):
        return
    quick = made.parts[0]
    slow, flaws = program.read(text, 0)
    assert slow is not None, flaws
    assert (quick.path, quick.call) == (slow.path, slow.call)
    assert (quick.reads, quick.calls) == (slow.reads, slow.calls)
    whole = quick.path or quick.call
    if whole and whole != ("omit",):
        assert slow.run(lambda path: f"<{path}>", lambda call: f"<{call}>") == f"<{whole}>"


@examples(300)
@given(st.data())
def test_text_around_expressions_is_kept_to_the_last_character(data: st.DataObject) -> None:
    around = data.draw(st.lists(dsl.texts, min_size=2, max_size=4))
    parts: list[Any] = [around[0]]
    for text in around[1:]:
        parts += [data.draw(st.sampled_from([("params", "x"), ("island", "key"), ("value", "}}")])), text]
    values = {"params": "<x>", "island": "<key>", "value": "}}"}
    expected = "".join(part if isinstance(part, str) else values[part[0]] for part in parts)
    made = template.parse(dsl.spelt(parts))
    assert not made.flaws
    assert "".join(part if isinstance(part, str) else _value(part) for part in made.parts) == expected


def _value(part: template.Expr) -> str:
    if part.path:
        return f"<{part.path[-1]}>"
    assert part.program is not None
    return str(part.program.run(lambda path: None, lambda call: None))


@pytest.mark.parametrize(
    "text",
    [
        *("a\n", "a", "a\n\n", "\na", "a\r\nb\r\n", "a\r", "\x85", "{# b #}", "{% if %}", "100%} {#", "#}", "##"),
        *("{%-", "-%}", "{", "}", "}}", "}}}", "{ {", "'", '"', "\U0001f600", "\u2028", "\ufeff", "\t", " ", "\x00"),
        *("%s", "\\", "${{", ""),
    ],
)
def test_text_around_an_expression_comes_out(text: str) -> None:
    """Through the whole compiler, before, after and between, where islands share a value and where they do not."""
    before, after = dsl.literal(text, before_expression=True), dsl.literal(text)
    for expression, values in (("{{ params.x }}", ["v", "v"]), ("{{ island.key }}", ["eu", "us"]), ("{{ 'c' }}", "cc")):
        scalar = f"{before}{expression}{before}{expression}{after}"
        unit = {"a": {"image": "x", "env": {"A": scalar}, "files": {"/f": scalar}}}
        documents = small(unit, {"islands": {"eu": None, "us": None}}, params={"x": {"type": "string", "default": "v"}})
        made = parsed(output(text_of(*documents)))
        for number, value in enumerate(values):
            config, workload = made[2 * number : 2 * number + 2]
            expected = f"{text}{value}{text}{value}{text}"
            assert config["data"]["f"] == expected
            assert workload["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] == expected


_SCOPE: dict[str, Any] = {
    "params": {
        "text": "Some text, é",
        "word": "no",
        "count": 7,
        "flag": True,
        "things": ["b", "a", "c"],
        "map": {"a": {"b": 1}, "class": "x"},
        "nothing": None,
    },
    "island": {"key": "eu", "name": "s-eu"},
}
_PLAIN_NAMES = dsl.Names(
    texts=(("params", "text"), ("params", "word"), ("island", "key")),
    integers=(("params", "count"),),
    booleans=(("params", "flag"),),
    lists=(("params", "things"),),
)


def _lookup(path: tuple[str, ...]) -> Any:
    value: Any = _SCOPE
    for step in path:
        if not isinstance(value, dict):
            raise KeyError(step)
        value = value[step]
    return value


def _of_jinja2(expression: str) -> Any:
    sandbox = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    return sandbox.compile_expression(expression, undefined_to_none=False)(**_SCOPE)


@examples(300)
@given(dsl.expressions(_PLAIN_NAMES, depth=3))
def test_accepted_expressions_give_what_jinja2_gives(expression: Expression) -> None:
    text = dsl.spell(expression)
    for word in ("b64encode", "sha256", "string", "~"):  # ours, or of our own text of a value
        if word in text:
            return
    made, flaws = program.read(text, 0)
    if made is None:
        assert [flaw.code for flaw in flaws] == ["R0407"]
        return
    result = made.run(_lookup, lambda call: None)
    assert exactly(result, _of_jinja2(text))


@pytest.mark.parametrize(
    "text",
    [
        *("params.things[0]", "params.things[-1]", "params.map.a.b", "params.map['a']['b']", "params['text'] | upper"),
        *("params.text | default('x')", "params.absent | default('x')", "params.absent is defined"),
        *("params.map is mapping", "params.things | first", "params.things | last", "params.things | length"),
        *("params.things | join('-')", "{'a': 1}['a']", "[1, 2, 3] | join(',')", "'b' in params.things"),
        *("'z' not in params.things", "params.count // 2", "params.count % 4", "-params.count"),
        *("1 < params.count <= 7", "params.flag and params.word", "not params.flag or 'x'", "'a' 'b'"),
        *("params.word is string", "params.count is number", "params.flag is boolean", "params.count is odd"),
        *("none is none", "7 is divisibleby 7", "params.things is sequence", "params.nothing is none"),
        *("params.text | replace('e', '')", "'  x ' | trim", "'7' | int", "'x' | int(3)", "params.count is even"),
        *("'a' ~ 'b' ~ 1", "{'a': [1, 'b']}", "[[], {}]"),
    ],
)
def test_the_language_gives_what_jinja2_gives(text: str) -> None:
    made, flaws = program.read(text, 0)
    assert made is not None, flaws
    assert exactly(made.run(_lookup, lambda call: None), _of_jinja2(text))


_ATOMS = st.sampled_from(
    [
        *("params", "params.text", "params.things", "params.map", "params.count", "params.nothing", "params.absent"),
        *("island", "island.key", "omit", "'a'", "''", "'{0.__class__}'", "'%s'", "1", "0", "-1", "1.5", "true"),
        *("none", "self", "loop", "namespace", "range", "cycler", "lipsum", "dict", "joiner", "x", "__builtins__"),
        *("environment", "()", "[]", "{}"),
    ]
)
_ATTRIBUTES = st.sampled_from("__class__ __init__ __globals__ upper format items keys get mro a class real".split())
_FILTERED = st.sampled_from(
    [
        *("attr('__class__')", "format(1)", "map('upper')", "map(attribute='__class__')", "list", "default('x')"),
        *("first", "join", "join(',')", "to_json", "string", "length", "sort", "unique", "int", "tojson", "xmlattr"),
        *("pprint", "last"),
    ]
)


@st.composite
def attacks(draw: st.DrawFn, depth: int = 3) -> str:
    """Expressions that reach for what is not theirs, most of them refused."""
    if not depth or not draw(st.integers(0, 3)):
        return draw(_ATOMS)
    inner = draw(attacks(depth - 1))
    other = draw(attacks(depth - 1))
    attribute = draw(_ATTRIBUTES)
    return draw(
        st.sampled_from(
            [
                *(f"{inner}.{attribute}", f"({inner}).{attribute}", f"{inner}['{attribute}']"),
                *(f"({inner})['{attribute}']", f"({inner})[{other}]", f"{inner}[0]", f"{inner}()"),
                *(f"{inner}({other})", f"({inner}).{attribute}()", f"({inner}) | {draw(_FILTERED)}"),
                *(f"[{inner}, {other}]", f"{{'a': {inner}}}", f"({inner},)", f"{{{inner}: {other}}}"),
                *(f"({inner}) ~ ({other})", f"({inner}) + ({other})", f"({inner}) * ({other})"),
                *(f"({inner}) % ({other})", f"({inner}) == ({other})", f"({inner}) in ({other})", f"-({inner})"),
                *(f"({inner}) if ({other}) else ({inner})", f"({inner}) and ({other})", f"not ({inner})"),
                *(f"{inner}[1:2]", f"({inner}) is odd", f"({inner}) is divisibleby({other})"),
                *(f"({inner}) is callable", f"({inner}) ** 9"),
            ]
        )
    )


@examples(600)
@given(attacks())
def test_expressions_give_plain_data_or_fail(text: str) -> None:
    """Nothing of Python is reached by an accepted expression: neither attributes nor methods nor other values."""
    made, flaws = program.read(text, 0)
    if made is None:
        assert flaws
        return
    try:
        result = made.run(_lookup, lambda call: "<call>")
    except Failure:
        return
    assert not any(word in str(result) for word in ("<class", "<built", "<bound", "object at"))
    if "omit" not in text:
        json.dumps(result, allow_nan=False)


@pytest.mark.parametrize(
    "text",
    [
        *("''.__class__", "params.text.__class__", "params['text'].__class__", "params.things[0].__class__.__mro__"),
        *("island.__class__", "island['__class__']", "params.__class__", "params.map.__class__", "params.map.items()"),
        *("'{0.__class__}'.format(1)", "'{0.__class__}' | format(1)", "params.text | attr('__class__')"),
        *("params.map.keys()", "[1] | map('string') | join", "params.text.upper()", "self", "range(9)", "lipsum()"),
        *("cycler('a')", "host.__globals__", "params.map['__class__']", "('a').__class__"),
        *("params.map[params.text.__class__]", "island.plan.type", "island.entry"),
    ],
)
def test_attributes_are_refused(text: str) -> None:
    """Through the whole compiler: an error at the expression."""
    params = {
        "text": {"type": "string", "default": "t"},
        "items": {"type": "array", "default": ["a"]},
        "map": {"type": "object", "default": {"a": "b"}},
    }
    unit = {"a": {"image": "x", "env": {"A": f"{{{{ {text} }}}}"}}}
    found = errors(text_of(*small(unit, params=params)))
    assert [one.place is not None and one.place.line for one in found] == [11]
    assert found[0].code in ("R0402", "R0403", "R0404", "R0405")
