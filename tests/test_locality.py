"""A change of one island changes its file, those of islands inside it, and the routes: nothing else, byte for byte."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from replicator.binder import MAX_STENCILS
from replicator.layout import files
from replicator.pipeline import LAYOUTS, Built, Options, Source, build

Object = dict[str, Any]
Files = dict[str, bytes]

ROOT = Path(__file__).resolve().parents[1]

few = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


# Projects


def document(kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": "replicator.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def manifest(kind: str, name: str, **body: Any) -> Object:
    return {"manifest": {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **body}}


PARAMS: Object = {
    "word": {"type": "string", "default": "x"},
    "number": {"type": "integer", "default": 1},
    "flag": {"type": "boolean", "default": False},
    "items": {"type": "array", "items": {"type": "string"}, "default": []},
    "limits": {"type": "object", "default": {"cpu": "100m"}},
    "conf": {"type": "string", "enum": ["one", "two"], "default": "one"},
    "region": {"type": "string", "default": "none"},
    "tier": {"type": "string", "default": "none"},
}
# Each parameter is used wherever it could tell islands apart: alone, amid text, as structure, as a reference.
UNIT: Object = {
    "image": "api:1",
    "replicas": "{{ params.number }}",
    "ports": {"http": "{{ params.number + 8000 }}"},
    "args": "{{ params.items }}",
    "env": {
        "WORD": "{{ params.word }}",
        "MIXED": "a {{ params.word }} {{ params.number }}",
        "UPPER": "{{ params.word | upper }}",
        "WHERE": "{{ params.region }}/{{ params.tier }}/{{ island.key }}",
        "OMITTED": "{{ params.word if params.flag else omit }}",
        "CONF": {"configMap": "{{ params.conf }}", "key": "a"},
    },
    "files": {
        "/etc/whole": "{{ params.word }}",
        "/etc/lines": "- {{ params.word }}\n- {{ params.limits | to_json }}\n",
    },
    "resources": {"limits": "{{ params.limits }}"},
    "podMetadata": {"annotations": {"word": "{{ params.word }}", "let": "{{ let.both }}"}},
}
RESOURCES: list[Object] = [
    manifest("ConfigMap", "one", data={"a": "{{ params.word }}"}),
    manifest("ConfigMap", "two", data={"a": "{{ island.name }} {{ params.word }}"}),
    {"when": "{{ params.flag }}", **manifest("ConfigMap", "flagged", data={"a": "{{ params.word }}"})},
    {"forEach": "{{ params.items }}", **manifest("ConfigMap", "item-{{ item }}", data={"a": "{{ item }}"})},
]
CART: Object = {
    "params": PARAMS,
    "let": {"both": "{{ params.word }}-{{ params.number }}"},
    "ports": {"http": {"unit": "api", "port": "http"}},
    "units": {"api": UNIT},
    "resources": RESOURCES,
    "implementations": {"away": {"external": {"host": "{{ island.key }}.example.net", "port": 443}}},
}


def routing(each: str, path: str) -> Object:
    routes = [
        {"name": "own", "each": each, "match": {"path": {"prefix": path}}, "rewrite": {"prefix": "/"}},
        {"name": "header", "each": each, "match": {"headers": {"x-island": "{{ island.name }}"}}},
        {"name": "rest", "to": {"spread": each}},
    ]
    return document("Routing", "edge", {"hosts": ["example.com"], "routes": routes})


def project(spec: Object, routed: bool = True, cart: Object = CART) -> list[Object]:
    """A Set of `cart`, a second Set that no test touches, and the routes."""
    documents = [document("IslandType", "cart", cart), document("IslandSet", "shop", {"type": "cart", **spec})]
    documents.append(document("IslandSet", "other", {"type": "cart", "replicas": 2}))
    return documents + ([routing("shop", "/{{ island.key }}")] if routed else [])


def compiled(documents: Iterable[Object]) -> Built:
    """JSON is YAML."""
    text = "\n---\n".join(json.dumps(one) for one in documents)
    made = build([Source("dsl.yaml", text.encode())], Options())
    assert [one.message for one in made.diagnostics if one.severity == "error"] == []
    return made


def written(made: Built, layout: str) -> Files:
    found = list(files(made, layout))
    assert len({path for path, _ in found}) == len(found)
    return {path.removeprefix("wave-1/"): content for path, content in found}  # where there are no waves, all is there


def built(documents: Iterable[Object], layout: str = "island") -> Files:
    """The files that the documents are compiled to."""
    return written(compiled(documents), layout)


def changes(before: Files, after: Files) -> set[str]:
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def stems(layout: str, islands: Iterable[str]) -> tuple[str, ...]:
    """How the paths of files begin that belong to some islands, and to those inside them."""
    own = [f"shop/{one.replace('/', '.')}" for one in islands]
    return tuple(stem + end for stem in own for end in (("/", ".") if layout == "object" else (".",)))


def outside(before: list[Object], after: list[Object], islands: Callable[[str], tuple[str, ...]]) -> set[str]:
    """The files that changed, in one layout or the other, and whose paths begin otherwise than those of `islands`."""
    old, new = compiled(before), compiled(after)
    found = set()
    for layout in LAYOUTS:
        one, other = written(old, layout), written(new, layout)
        assert any(path.startswith("other/") for path in one)
        found |= {path for path in changes(one, other) if not path.startswith(islands(layout))}
    return found


def judge(before: list[Object], after: list[Object], islands: Iterable[str], routes: bool = True) -> None:
    """Only files of these islands, and of those inside them, changed; where `routes` may too, the routing file."""
    islands = list(islands)
    found = outside(before, after, lambda layout: stems(layout, islands))
    assert {path for path in found if not (routes and path.startswith("_routing/"))} == set()


def same(before: list[Object], *others: list[Object]) -> None:
    """The same files, with the same bytes, in the same order."""
    expected = list(built(before).items())
    for one in others:
        assert list(built(one).items()) == expected


# Values that are quoted in one way or another, or are laid out over lines, or are empty.
words = st.sampled_from(
    [
        *("x", "y", "a b", "", "no", "1e3", "0", "null", "~", "12:30", "2020-01-01", "=", "- a", "a: b", "a #b", "#"),
        *(
            "'",
            '"',
            "\\",
            "{",
            "}}",
            "[a]",
            "&a",
            "*a",
            "!a",
            "%",
            "@",
            "é",
            "漢",
            " a",
            "a ",
            "\t",
            "\u0085",
            "\u2028",
        ),
        *("line\n", "one\ntwo\n", "one\ntwo", "\n", "\n\n", " one\ntwo\n", "one \ntwo\n", "one\r\ntwo\n", "x" * 200),
    ]
)
values = st.fixed_dictionaries(
    {},
    optional={
        "word": words,
        "number": st.integers(1, 3),
        "flag": st.booleans(),
        "items": st.lists(st.sampled_from("abc"), max_size=3, unique=True),
        "limits": st.dictionaries(st.sampled_from(["cpu", "memory"]), st.sampled_from(["1", "200m", "1Gi"])),
        "conf": st.sampled_from(["one", "two"]),
    },
)
some_keys = st.sampled_from(["0", "1", "2", "9", "10", "11", "a", "a-1", "a-2", "a-10", "b", "eu", "eu-1", "no", "x"])
PATCH = {"target": {"kind": "Deployment"}, "patch": {"spec": {"paused": True}}}
entries = st.fixed_dictionaries(
    {}, optional={"params": values, "weight": st.integers(1, 5), "patches": st.just([PATCH])}
)
scopes = st.sampled_from([{}, {"scope": "prefix"}, {"scope": "namespace", "namespaces": {"create": True}}])
common = st.fixed_dictionaries({}, optional={"params": values})


# Keys


@given(st.dictionaries(some_keys, entries, min_size=1, max_size=5), some_keys, entries, common, scopes)
@few
def test_adding_or_removing_a_key(islands: Object, key: str, entry: Object, more: Object, scope: Object) -> None:
    without = {other: one for other, one in islands.items() if other != key}
    if not without:
        return
    before = project({"islands": without, **more, **scope})
    after = project({"islands": {**without, key: entry}, **more, **scope})
    judge(before, after, [key])


@given(st.dictionaries(some_keys, entries, min_size=2, max_size=5), st.data(), common, scopes)
@few
def test_editing_a_key(islands: Object, data: st.DataObject, more: Object, scope: Object) -> None:
    key = data.draw(st.sampled_from(sorted(islands)))
    edited = {**islands, key: data.draw(entries)}
    before, after = (project({"islands": one, **more, **scope}) for one in (islands, edited))
    judge(before, after, [key])


@given(st.dictionaries(some_keys, entries, min_size=2, max_size=6), st.randoms(use_true_random=False), common, scopes)
@few
def test_the_order_of_keys_means_nothing(islands: Object, random: Any, more: Object, scope: Object) -> None:
    keys = list(islands)
    random.shuffle(keys)
    before = project({"islands": islands, **more, **scope})
    shuffled = project({"islands": {key: islands[key] for key in keys}, **more, **scope})
    same(before, shuffled, shuffled[::-1])  # nor does that of documents


@given(st.dictionaries(some_keys, entries, min_size=2, max_size=4), st.data())
@few
def test_a_weight_changes_routes_alone(islands: Object, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(islands)))
    edited = {**islands, key: {**islands[key], "weight": 7}}
    judge(project({"islands": islands}), project({"islands": edited}), [])


@given(st.dictionaries(some_keys, entries, min_size=2, max_size=5), st.data(), common, scopes)
@few
def test_another_implementation(islands: Object, data: st.DataObject, more: Object, scope: Object) -> None:
    key = data.draw(st.sampled_from(sorted(islands)))
    plain = {other: {name: one[name] for name in one if name != "patches"} for other, one in islands.items()}
    edited = {**plain, key: {**plain[key], "implementation": "away"}}
    before, after = (project({"islands": one, **more, **scope}, routed=False) for one in (plain, edited))
    judge(before, after, [key], routes=False)


@pytest.mark.parametrize("first", ["x", "no", "one\ntwo\n", "", "é", "a: b"])
@pytest.mark.parametrize("second", ["x", "no", "one\ntwo\n", "", "- a\n"])
def test_a_value_of_one_island_is_written_the_same_whatever_others_have(first: str, second: str) -> None:
    """Where all islands have one value it is known beforehand, and might be laid out otherwise."""
    before = project({"islands": {"eu": None, "us": None}, "params": {"word": first}})
    after = project({"islands": {"eu": None, "us": {"params": {"word": second}}}, "params": {"word": first}})
    judge(before, after, ["us"])
    alone = project({"islands": {"eu": {"params": {"word": first}}}})
    assert built(alone)["shop/eu.yaml"] == built(before)["shop/eu.yaml"] == built(after)["shop/eu.yaml"]


# Counts


@given(st.integers(0, 12), st.integers(0, 3), st.integers(0, 2), common, scopes)
@few
def test_adding_and_removing_the_last(count: int, added: int, start: int, more: Object, scope: Object) -> None:
    count, spec = max(count, 1), {"start": start, **more, **scope}
    before, after = (project({"replicas": number, **spec}) for number in (count, count + added))
    new = [str(start + number) for number in range(count, count + added)]
    judge(before, after, new)


@given(st.integers(2, 12), st.integers(1, 3), common)
@few
def test_starting_later_removes_the_first(count: int, later: int, more: Object) -> None:
    later = min(later, count - 1)
    before = project({"replicas": count, **more})
    judge(before, project({"replicas": count - later, "start": later, **more}), map(str, range(later)))


@given(st.integers(1, 12), st.data(), values, common, scopes)
@few
def test_editing_one_of_a_number(count: int, data: st.DataObject, edit: Object, more: Object, scope: Object) -> None:
    number = str(data.draw(st.integers(0, count - 1)))
    spec = {"replicas": count, **more, **scope}
    after = {**spec, "overrides": [{"islands": [number], "params": edit}]}
    judge(project(spec), project(after), [number])


def test_counted_and_named_islands_are_the_same() -> None:
    by_name = built(project({"islands": {"0": None, "1": None, "2": None}}))
    assert built(project({"replicas": 3})) == by_name


# Matrices

regions, tiers = st.sets(st.sampled_from(["eu", "us", "ap"]), min_size=1), st.sets(st.sampled_from("123"), min_size=1)


def combinations(first: Iterable[str], second: Iterable[str]) -> set[str]:
    return {"-".join(pair) for pair in product(first, second)}


@given(regions, tiers, regions, tiers, common, scopes, st.randoms(use_true_random=False))
@few
def test_a_value_more_on_an_axis(
    before_r: set[str],
    before_t: set[str],
    after_r: set[str],
    after_t: set[str],
    more: Object,
    scope: Object,
    random: Any,
) -> None:
    def spec(first: set[str], second: set[str]) -> Object:
        axes = {"region": sorted(first), "tier": sorted(second)}
        for axis in axes.values():
            random.shuffle(axis)
        return {"matrix": axes, **more, **scope}

    touched = combinations(before_r, before_t) ^ combinations(after_r, after_t)
    judge(project(spec(before_r, before_t)), project(spec(after_r, after_t)), touched)


@given(regions, tiers, st.data(), common)
@few
def test_leaving_out_of_a_matrix(first: set[str], second: set[str], data: st.DataObject, more: Object) -> None:
    region, tier = data.draw(st.sampled_from(sorted(first))), data.draw(st.sampled_from(sorted(second)))
    exclude = data.draw(st.sampled_from([{"region": region}, {"tier": tier}, {"region": region, "tier": tier}]))
    left = {
        f"{r}-{t}"
        for r, t in product(first, second)
        if not (exclude.get("region", r) == r and exclude.get("tier", t) == t)
    }
    if not left:
        return
    spec = {"matrix": {"region": sorted(first), "tier": sorted(second)}, **more}
    judge(project(spec), project({**spec, "exclude": [exclude]}), combinations(first, second) - left)


@given(regions, tiers, st.data(), values, common)
@few
def test_editing_one_of_a_matrix(
    first: set[str], second: set[str], data: st.DataObject, edit: Object, more: Object
) -> None:
    key = data.draw(st.sampled_from(sorted(combinations(first, second))))
    spec = {"matrix": {"region": sorted(first), "tier": sorted(second)}, **more}
    judge(project(spec), project({**spec, "overrides": [{"islands": [key], "params": edit}]}), [key])


# Globs of overrides

globs = st.sampled_from(["*", "a*", "a-?", "*-1", "[ab]", "[0-9]", "?", "1*", "eu*", "eu"])
overrides = st.lists(st.tuples(globs, values), max_size=3)


def of_globs(keys: Iterable[str], given_overrides: list[tuple[str, Object]]) -> Object:
    """The overrides whose globs match an island: one that matches none is an error."""
    return {
        "overrides": [
            {"islands": [glob], "params": params}
            for glob, params in given_overrides
            if any(fnmatchcase(key, glob) for key in keys)
        ]
    }


@given(st.dictionaries(some_keys, entries, min_size=1, max_size=6), overrides, st.data(), values, globs, scopes)
@few
def test_editing_an_override(
    islands: Object, layers: list[tuple[str, Object]], data: st.DataObject, edit: Object, glob: str, scope: Object
) -> None:
    at = data.draw(st.integers(0, len(layers)))
    old = layers[at : at + 1]
    edited = [*layers[:at], (glob, edit), *layers[at + 1 :]]
    touched = [key for key in islands if any(fnmatchcase(key, one) for one in [glob, *(one for one, _ in old)])]
    before, after = (project({"islands": islands, **of_globs(islands, one), **scope}) for one in (layers, edited))
    judge(before, after, touched)


@given(st.dictionaries(some_keys, entries, min_size=1, max_size=5), some_keys, entries, overrides)
@few
def test_an_island_that_a_glob_finds(
    islands: Object, key: str, entry: Object, layers: list[tuple[str, Object]]
) -> None:
    """Adding an island that old globs match is no change of others that they match."""
    without = {other: one for other, one in islands.items() if other != key}
    if not without:
        return
    layers = [layer for layer in layers if any(fnmatchcase(other, layer[0]) for other in without)]
    before, after = (
        project({"islands": one, **of_globs(without, layers)}) for one in (without, {**without, key: entry})
    )
    judge(before, after, [key])


# Sets in sets

REGION: Object = {
    "params": {
        **PARAMS,
        "cells": {"type": "integer", "default": 1},
        "tenants": {"type": "array", "items": {"type": "string"}, "default": []},
    },
    "ports": {"http": {"unit": "router", "port": "http"}},
    "units": {
        "router": {
            "image": "router:1",
            "ports": {"http": 80},
            "env": {
                "CELLS": "{{ keys('cell') | join(',') }}",
                "TENANTS": "{{ addresses('tenant', 'http') | join(',') }}",
                "WORD": "{{ params.word }}",
            },
        }
    },
    "sets": {
        "cell": {"type": "cart", "replicas": "{{ params.cells }}", "params": {"word": "{{ params.word }}"}},
        "tenant": {"type": "cart", "islands": "{{ params.tenants }}", "params": {"flag": "{{ params.flag }}"}},
        "fixed": {"type": "cart", "islands": {"p": None, "q": {"params": {"number": "{{ params.number }}"}}}},
    },
}
region_values = st.fixed_dictionaries(
    {},
    optional={
        "word": words,
        "number": st.integers(1, 3),
        "flag": st.booleans(),
        "cells": st.integers(0, 3),
        "tenants": st.lists(st.sampled_from(["a", "b", "c9", "c10"]), max_size=3, unique=True),
    },
)
region_entries = st.fixed_dictionaries({}, optional={"params": region_values, "weight": st.integers(1, 5)})
region_keys = st.sampled_from(["ap", "eu", "us", "1", "10"])


def nested(islands: Object, region: Object = REGION, **more: Any) -> list[Object]:
    documents = [document("IslandType", "cart", CART), document("IslandType", "region", region)]
    documents.append(document("IslandSet", "shop", {"type": "region", "islands": islands, **more}))
    documents.append(document("IslandSet", "other", {"type": "region", "replicas": 2}))
    return [*documents, routing("shop/fixed", "/{{ parent.key }}/{{ island.key }}")]


@given(st.dictionaries(region_keys, region_entries, min_size=1, max_size=3), region_keys, region_entries, scopes)
@few
def test_adding_or_removing_an_island_with_islands_inside(
    islands: Object, key: str, entry: Object, scope: Object
) -> None:
    without = {other: one for other, one in islands.items() if other != key}
    if not without:
        return
    before, after = (nested(one, **scope) for one in (without, {**without, key: entry}))
    judge(before, after, [key])


@given(st.dictionaries(region_keys, region_entries, min_size=2, max_size=3), st.data(), scopes)
@few
def test_editing_an_island_with_islands_inside(islands: Object, data: st.DataObject, scope: Object) -> None:
    key = data.draw(st.sampled_from(sorted(islands)))
    edited = {**islands, key: data.draw(region_entries)}
    judge(nested(islands, **scope), nested(edited, **scope), [key])


def with_cells(**more: Any) -> Object:
    sets = {**REGION["sets"], "cell": {**REGION["sets"]["cell"], **more}}
    return {**REGION, "sets": sets}


@given(st.integers(0, 2), values)
@few
def test_editing_the_islands_inside_by_their_key(number: int, edit: Object) -> None:
    """An override of the inner Set is of that key in every island; nothing of the islands around it follows."""
    islands = {"eu": {"params": {"cells": 3}}, "us": {"params": {"cells": number + 1}}}
    region = with_cells(overrides=[{"islands": [number], "params": edit}])
    found = outside(
        nested(islands, default_cells(REGION)), nested(islands, default_cells(region)), everywhere(f"cell.{number}")
    )
    assert found == set()


def default_cells(region: Object) -> Object:
    """Three cells where an island says nothing: an override must match an island wherever the Type is used."""
    return {**region, "params": {**region["params"], "cells": {"type": "integer", "default": 3}}}


def everywhere(inner: str) -> Callable[[str], tuple[str, ...]]:
    """The paths of the files of one inner island of every island."""
    islands = [f"{one}.{inner}" for one in ("shop/eu", "shop/us", "other/0", "other/1")]
    return lambda layout: tuple(f"{one}{end}" for one in islands for end in (("/" if layout == "object" else "."),))


@given(entries, values)
@few
def test_another_island_inside_every_island(entry: Object, more: Object) -> None:
    def inner(islands: Object) -> Object:
        return {**REGION, "sets": {**REGION["sets"], "fixed": {"type": "cart", "islands": islands, "params": more}}}

    regions = {"eu": None, "us": {"params": {"cells": 2}}}
    before, after = (nested(regions, inner(one)) for one in ({"p": None}, {"o": entry, "p": None}))
    found = outside(before, after, everywhere("fixed.o"))
    assert {path for path in found if not path.startswith("_routing/")} == set()


def test_three_levels_deep() -> None:
    """world/eu/region/a/cell/1, told by its file."""
    world = {
        "params": {
            "regions": {"type": "array", "items": {"type": "string"}},
            "cells": {"type": "integer", "default": 2},
        },
        "units": {"top": {"image": "top:1", "env": {"REGIONS": "{{ keys('region') | join(',') }}"}}},
        "sets": {
            "region": {"type": "region", "islands": "{{ params.regions }}", "params": {"cells": "{{ params.cells }}"}}
        },
    }

    def of(islands: Object) -> Files:
        types = [
            document("IslandType", name, spec) for name, spec in (("cart", CART), ("region", REGION), ("world", world))
        ]
        return built([*types, document("IslandSet", "shop", {"type": "world", "islands": islands})])

    before = of({"eu": {"params": {"regions": ["a", "b"]}}, "us": {"params": {"regions": ["a"]}}})
    after = of({"eu": {"params": {"regions": ["a", "b"], "cells": 3}}, "us": {"params": {"regions": ["a"]}}})
    assert "shop/eu.region.a.cell.1.yaml" in before
    assert changes(before, after) == {
        *(f"shop/eu.region.{one}.yaml" for one in "ab"),  # it knows its cells
        *(f"shop/eu.region.{one}.cell.2.yaml" for one in "ab"),
    }
    fewer = of({"eu": {"params": {"regions": ["b"]}}, "us": {"params": {"regions": ["a"]}}})
    assert {path for path in changes(before, fewer) if not path.startswith("shop/eu.region.a.")} == {"shop/eu.yaml"}


# Four deep: islands by all ways to name them at each depth, with patches and links

WHO = {"metadata": {"annotations": {"who": "{{ island.name }} {{ params.word }}"}}}
ARGS = [
    {"op": "add", "path": "/spec/template/spec/containers/0/env/-", "value": {"name": "N", "value": "{{ island.key }}"}}
]
inner_patches = st.lists(
    st.sampled_from(
        [
            {"target": {"kind": "Deployment", "name": "api"}, "patch": WHO},
            {"target": {"kind": "Deployment", "name": "api"}, "patch": ARGS},
            {"target": {"name": "t*"}, "patch": {"data": {"b": "{{ parent.key }}/{{ params.word }}"}}},
            {"target": {"kind": "ConfigMap", "name": "one"}, "patch": {"$patch": "delete"}},
        ]
    ),
    max_size=2,
)
inner_entries = st.fixed_dictionaries({}, optional={"params": values, "patches": inner_patches})
counted = st.sampled_from([1, 2, "{{ params.number }}"]).map(lambda count: {"replicas": count})
by_list = st.just({"islands": "{{ params.items }}"})
by_matrix = st.just({"matrix": {"region": ["e", "u"], "tier": ["1"]}})
by_keys = st.dictionaries(st.sampled_from(["p", "q", "q-1"]), inner_entries, min_size=1, max_size=2).map(
    lambda islands: {"islands": islands}
)
inner_params = st.sampled_from(
    [{}, {"word": "{{ params.word }} {{ island.key }}"}, {"word": "{{ params.word }}", "items": "{{ params.items }}"}]
)


@st.composite
def inner_sets(draw: st.DrawFn, named: bool = False) -> Object:
    """A Set inside an island; where it is `named`, by keys that are written."""
    members = draw(by_keys if named else st.one_of(counted, by_list, by_matrix, by_keys))
    return {**members, "params": draw(inner_params), "patches": draw(inner_patches)}


def deep(islands: Object, levels: list[Object], scope: Object) -> list[Object]:
    """A Set `shop` with three Sets inside, each in the one before; a Set `peer` beside the first, which all call."""
    kept = [one for one in RESOURCES if one["manifest"]["metadata"]["name"] != "one"]
    own: Object = {
        "params": PARAMS,
        "let": CART["let"],
        "resources": [*kept, manifest("ConfigMap", "one", data={"x": "{{ params.word }}"})],
        "ports": {"http": {"unit": "api", "port": "http"}},
    }
    unit = {"image": "api:1", "ports": {"http": "{{ params.number + 8000 }}"}, "args": "{{ params.items }}"}
    env = {"WORD": "{{ params.word }}", "PEER": "{{ address(set='peer', key='p') }}"}
    around = {"AROUND": "{{ parent.name }} {{ parent.key }} {{ parent.params.word }}"}
    documents = []
    for number in range(4):
        variables = env if number == 0 else {**env, **around}
        sets = {"deep": {"type": f"t{number + 1}", **levels[number]}} if number < 3 else {}
        if number == 0:
            sets["peer"] = {"type": "friend", "islands": {"p": None}}
        spec = {**own, "units": {"api": {**unit, "env": variables}}, "sets": sets}
        documents.append(document("IslandType", f"t{number}", spec))
    friend = {"ports": own["ports"], "units": {"api": {"image": "f:1", "ports": {"http": 80}}}}
    documents.append(document("IslandType", "friend", friend))
    documents.append(document("IslandSet", "shop", {"type": "t0", "islands": islands, **scope}))
    documents.append(document("IslandSet", "other", {"type": "friend", "replicas": 2}))
    last = routing("shop/deep/deep/deep", "/{{ island.name }}")
    return [*documents, last]


levels = st.tuples(inner_sets(), inner_sets(), inner_sets()).map(list)
with_items = values.map(lambda given: {"params": {"items": ["a"], **given}})


def has_islands(documents: list[Object]) -> bool:
    """Whether nothing is wrong: where a list is empty, a patch has nothing to match, and a route nowhere to go."""
    text = "\n---\n".join(json.dumps(one) for one in documents)
    return not [
        one for one in build([Source("dsl.yaml", text.encode())], Options()).diagnostics if one.severity == "error"
    ]


@given(st.dictionaries(region_keys, with_items, min_size=1, max_size=2), region_keys, with_items, levels, scopes)
@few
def test_an_island_with_three_sets_in_sets(
    islands: Object, key: str, entry: Object, inner: list[Object], scope: Object
) -> None:
    after = deep({**islands, key: entry}, inner, scope)
    assume(has_islands(after))
    without = {other: one for other, one in islands.items() if other != key}
    if without:
        before = deep(without, inner, scope)
        assume(has_islands(before))
        judge(before, after, [key])
    edited = deep({**islands, key: {"params": {"items": ["a"]}}}, inner, scope)
    assume(has_islands(edited))
    judge(edited, after, [key])


@given(levels, st.integers(0, 2), st.data(), scopes)
@few
def test_an_entry_of_a_set_in_sets(inner: list[Object], depth: int, data: st.DataObject, scope: Object) -> None:
    """Only files of islands of that key in that Set, and of those inside, changed: their names say so."""
    named = data.draw(inner_sets(named=True))
    key = data.draw(st.sampled_from(sorted(named["islands"])))
    edited = {**named, "islands": {**named["islands"], key: data.draw(inner_entries)}}
    tops = {"eu": {"params": {"items": ["a", "b"]}}, "us": {"params": {"items": ["c"]}}}
    before, after = (deep(tops, [*inner[:depth], one, *inner[depth + 1 :]], scope) for one in (named, edited))
    assume(has_islands(before) and has_islands(after))
    changed = changes(built(before), built(after))
    steps = [Path(path).name.split(".")[:-1] for path in changed if not path.startswith("_routing/")]
    assert all(path.startswith(("shop/", "_routing/")) for path in changed)
    assert all(len(step) > 2 * depth + 2 and step[2 * depth + 2] == key for step in steps), changed


# Many shapes


def test_more_shapes_than_are_kept() -> None:
    """Stencils come and go; what is made of them does not change."""
    assert MAX_STENCILS < 300
    unit = {"image": "api:1", "args": "{{ params.items }}", "env": {"WORD": "{{ params.word }}"}}
    small = {"params": PARAMS, "units": {"api": unit}}

    def of(islands: Object) -> Files:
        return built(project({"islands": islands}, routed=False, cart=small))

    islands = {f"i{number}": {"params": {"items": [f"x{number}"], "word": str(number)}} for number in range(300)}
    before = of(islands)
    assert len([path for path in before if path.startswith("shop/")]) == 300
    assert changes(before, of({**islands, "i7": {"params": {"items": ["p", "q"]}}})) == {"shop/i7.yaml"}
    for key in ("i0", "i7", "i299"):
        assert before[f"shop/{key}.yaml"] == of({key: islands[key]})[f"shop/{key}.yaml"]


# form: pods


def pods(number: int, *more: Object, start: int = 0) -> list[Object]:
    units = {
        "api": {
            "image": "api:1",
            "ports": {"http": 80},
            "env": {"KEY": "{{ island.key }}"},
            "files": {"/etc/own": "{{ island.name }} {{ params.word }}", "/etc/same": "x"},
        }
    }
    cart = {"params": {"word": PARAMS["word"]}, "ports": CART["ports"], "units": units}
    spec = {"form": "pods", "replicas": number, "start": start, "overrides": list(more)}
    return project(spec, cart=cart)


@given(st.integers(1, 15), st.integers(1, 3), st.integers(0, 120))
@few
def test_a_pod_more(number: int, added: int, start: int) -> None:
    before, after = (built(pods(one, start=start), "object") for one in (number, number + added))
    new = range(start + number, start + number + added)
    groups = {f"shop/_shared/configmap-api-files-by-pod-{one // 100}.yaml" for one in new}
    allowed = {"shop/_shared/statefulset-", *groups, *(f"shop/{one}/" for one in new), "_routing/"}
    assert {path for path in changes(before, after) if not path.startswith(tuple(allowed))} == set()


@given(st.integers(1, 15), st.data(), words)
@few
def test_editing_a_pod(number: int, data: st.DataObject, word: str) -> None:
    key = str(data.draw(st.integers(0, number - 1)))
    before, after = pods(number), pods(number, {"islands": [key], "params": {"word": word}})
    changed = changes(built(before, "object"), built(after, "object"))
    assert changed <= {"shop/_shared/configmap-api-files-by-pod-0.yaml"}


# The same input


@given(st.dictionaries(some_keys, entries, min_size=1, max_size=4), overrides, scopes)
@few
def test_the_same_input_gives_the_same_bytes(islands: Object, layers: list[tuple[str, Object]], scope: Object) -> None:
    documents = project({"islands": islands, **of_globs(islands, layers), **scope})
    same(documents, json.loads(json.dumps(documents)))


def test_neither_hash_seed_nor_directory_nor_locale_changes_a_byte(tmp_path: Path) -> None:
    islands = {key: {"params": {"word": key, "items": [key]}} for key in ("b", "a", "10", "9")}
    file = tmp_path / "dsl.yaml"
    file.write_text(
        "\n---\n".join(map(json.dumps, nested({"eu": {"params": {"cells": 3, "tenants": ["b", "a"]}}, "us": None})))
    )
    other = tmp_path / "other" / "dsl.yaml"
    other.parent.mkdir()
    other.write_text("\n---\n".join(map(json.dumps, project({"islands": islands})[::-1])))
    outputs: dict[Path, set[bytes]] = {file: set(), other: set()}
    environments: list[dict[str, str]] = [
        {"PYTHONHASHSEED": "0"},
        {"PYTHONHASHSEED": "4242", "LC_ALL": "C", "TZ": "Asia/Tokyo", "PYTHONUTF8": "0"},
    ]
    for more in environments:
        for source, found in outputs.items():
            directory = source.parent if more["PYTHONHASHSEED"] == "0" else ROOT
            command = [sys.executable, "-m", "replicator", "build", os.path.relpath(source, directory)]
            environment = {**os.environ, "PYTHONPATH": str(ROOT), **more}
            found.add(subprocess.run(command, cwd=directory, env=environment, capture_output=True, check=True).stdout)
    assert [len(found) for found in outputs.values()] == [1, 1]


# The judge itself


@pytest.mark.parametrize("layout", ["island", "object"])
def test_a_change_elsewhere_is_seen(layout: str) -> None:
    before, after = (project({"islands": {"eu": None, "us": one}}) for one in (None, {"params": {"word": "y"}}))
    assert changes(built(before, layout), built(after, layout))
    judge(before, after, ["us"])
    for islands in ([], ["eu"], ["u"], ["us-1"]):
        with pytest.raises(AssertionError):
            judge(before, after, islands)
    with pytest.raises(AssertionError):
        judge(before, project({"islands": {"eu": None}}), ["us"], routes=False)
