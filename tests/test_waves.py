"""Waves: each island is in exactly one, the waves together are the whole build, and nothing else follows from them."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import document, examples

from replicator.cli import main
from replicator.expander.waves import share
from replicator.layout import files
from replicator.pipeline import LAYOUTS, PARTS, Built, Options, Source, build

Object = dict[str, Any]
Waves = list[Object]

SYNC = "argocd.argoproj.io/sync-wave"
ISLAND = "replicator.dev/island"


# Projects

UNIT: Object = {"image": "cart:1", "ports": {"http": 8080}}
CELL: Object = {"units": {"worker": {"image": "worker:1"}}}
CART: Object = {
    "params": {"region": {"type": "string", "default": "none"}, "tier": {"type": "string", "default": "none"}},
    "ports": {"http": {"unit": "api", "port": "http"}},
    "units": {"api": {**UNIT, "podMetadata": {"annotations": {"example.com/a": "b"}}}},
    "resources": [{"manifest": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "own"}}}],
}
NESTING: Object = {**CART, "sets": {"cell": {"type": "cell", "replicas": 2}}}
PODS: Object = {"ports": CART["ports"], "units": {"api": UNIT}}
TYPES = {"cart": CART, "nesting": NESTING, "pods": PODS, "cell": CELL}
KEYS = ("0", "2", "9", "10", "a", "a-1", "a-2", "a-10", "eu", "us")  # in natural order
SHARED = [{"manifest": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "beside"}}}]


def text_of(documents: Iterable[Object]) -> str:
    """JSON is YAML."""
    return "\n---\n".join(map(json.dumps, documents))


def project(sets: Iterable[tuple[str, Object]], *more: Object) -> list[Object]:
    types = [document("IslandType", name, spec) for name, spec in TYPES.items()]
    return [*types, *(document("IslandSet", name, spec, namespace="shop") for name, spec in sets), *more]


def carts(spec: Object, *more: Object) -> str:
    return text_of(project([("cart", {"type": "cart", **spec})], *more))


def routing(name: str, over: str, delegation: str = "none", each: bool = False) -> Object:
    """Routes to each island and to all of them, or (`each`) a virtual host for each."""
    if each:
        spec: Object = {
            "each": over,
            "hosts": [f"{{{{ island.key }}}}.{over}.example.com"],
            "routes": [{"name": "all"}],
        }
    else:
        match = {"path": {"prefix": "/{{ island.key }}"}}
        routes = [{"name": "own", "each": over, "match": match}, {"name": "rest", "to": {"spread": over}}]
        spec = {"hosts": [f"{over}.example.com"], "delegation": delegation, "routes": routes}
    return document("Routing", name, spec, namespace="shop")


def compiled(text: str, **options: Any) -> Built:
    return build([Source("dsl.yaml", text.encode())], Options(**options))


def made(text: str, **options: Any) -> Built:
    built = compiled(text, **options)
    assert [one for one in built.diagnostics if one.severity == "error"] == []
    return built


def errors(text: str, **options: Any) -> list[str]:
    found = (one for one in compiled(text, **options).diagnostics if one.severity == "error")
    return [f"{one.code}: {one.message}" for one in found]


def documents_of(built: Built) -> list[bytes]:
    return re.split(rb"^---\n", b"".join(built.texts()), flags=re.MULTILINE)[1:]


def objects(built: Built) -> list[Object]:
    """Those of a build to JSON."""
    return [json.loads(line) for line in b"".join(built.texts()).splitlines()]


# What waves mean, said once more


def placed(keys: Sequence[str], waves: Waves) -> dict[str, int] | None:
    """The wave of each key; None where they are in error. `keys` are in their order."""
    named: dict[str, set[int]] = {}
    for number, wave in enumerate(waves, 1):
        for glob in wave.get("islands", ()):
            hits = [key for key in keys if fnmatchcase(key, glob)]
            if not hits:
                return None
            for key in hits:
                named.setdefault(key, set()).add(number)
    if any(len(numbers) > 1 for numbers in named.values()):
        return None
    found = {key: min(numbers) for key, numbers in named.items()}
    left = [key for key in keys if key not in found]
    for number, wave in enumerate(waves, 1):
        taken = len(left) if "rest" in wave else ceil(Fraction(wave.get("percent", 0), 100) * len(keys))
        found.update(dict.fromkeys(left[:taken], number))
        left = left[taken:]
    return None if left else found


@st.composite
def wave_lists(draw: st.DrawFn, keys: Sequence[str], percent: bool = True) -> Waves:
    """Waves, right or wrong, of which a wave of the rest is the last."""
    globs = st.sampled_from(keys).flatmap(lambda key: st.sampled_from([key, key, f"{key[0]}*", f"*{key[-1]}"]))
    named = st.lists(globs, min_size=1, max_size=2, unique=True).map(lambda found: {"islands": found})
    counted = st.sampled_from([1, 10, 25, 33, 34, 50, 99, 100]).map(lambda number: {"percent": number})
    ways: list[st.SearchStrategy[Object]] = [*([counted] if percent else []), *([named] if keys else [])]
    waves: Waves = draw(st.lists(st.one_of(ways), min_size=1, max_size=3)) if ways else []
    rest = not waves or draw(st.sampled_from([True, True, False]))
    return [*waves, {"rest": True}] if rest else waves


@st.composite
def island_sets(draw: st.DrawFn, percent: bool = True) -> tuple[Object, list[str]]:
    """A Set's spec in one way of saying which islands there are, and the keys."""
    kind = draw(st.sampled_from(["keyed", "counted", "matrix", "nesting", "pods"]))
    spec: Object = {"type": kind if kind in ("nesting", "pods") else "cart"}
    keys: list[str]
    if kind in ("keyed", "nesting"):
        chosen = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=6, unique=True))
        keys = [key for key in KEYS if key in chosen]
        spec["islands"] = dict.fromkeys(chosen)
    elif kind == "matrix":
        axes = {"region": draw(st.sampled_from([["eu"], ["us", "eu"]])), "tier": ["1", "10", "9"]}
        keys = [f"{region}-{tier}" for region in sorted(axes["region"]) for tier in ("1", "9", "10")]
        spec["matrix"] = axes
    else:
        start, count = draw(st.sampled_from([0, 8])), draw(st.integers(0 if kind == "counted" else 1, 12))
        keys = [str(number) for number in range(start, start + count)]
        spec |= {"replicas": count, "start": start} | ({"form": "pods"} if kind == "pods" else {})
    if kind != "pods" and draw(st.booleans()):
        spec["waves"] = draw(wave_lists(keys, percent))
    if draw(st.booleans()):
        spec["shared"] = SHARED
    return spec, keys


@st.composite
def projects(draw: st.DrawFn, percent: bool = True) -> tuple[list[Object], dict[str, int]]:
    """Several Sets, with routes; and the wave of each of their islands, by name."""
    documents: list[Object] = []
    expected: dict[str, int] = {}
    sets: list[tuple[str, Object]] = []
    several: list[tuple[str, ...]] = [("cart",), ("cart", "shop"), ("a", "b-c", "d")]
    for name in draw(st.sampled_from(several)):
        while True:
            spec, keys = draw(island_sets(percent))
            found = placed(keys, spec["waves"]) if "waves" in spec else dict.fromkeys(keys, 1)
            if found is not None:
                break
        if sum("shared" in one for _, one in sets):
            spec.pop("shared", None)
        sets.append((name, spec))
        for key, number in found.items():
            inner = [f"-cell-{inside}" for inside in range(2)] if spec["type"] == "nesting" else []
            expected |= {f"{name}-{key}{end}": number for end in ("", *inner)}
        if draw(st.booleans()) and keys:
            kind = draw(st.sampled_from(["none", "set", "island", "each"]))
            documents.append(routing(f"to-{name}", name, "none" if kind == "each" else kind, kind == "each"))
    return project(sets, *documents), expected


def count_of(documents: Iterable[Object]) -> int:
    return max((len(one["spec"].get("waves", ())) or 1 for one in documents if one["kind"] == "IslandSet"), default=1)


# Each island is in exactly one wave


@given(projects())
@examples(40)
def test_each_island_is_in_one_wave(given: tuple[list[Object], dict[str, int]]) -> None:
    documents, expected = given
    text, count = text_of(documents), count_of(documents)
    found: dict[str, int] = {}
    for number in range(1, count + 1):
        of_wave = objects(made(text, wave=number, only="islands", form="json"))
        names = {one["metadata"]["labels"][ISLAND] for one in of_wave}
        assert not names & found.keys()
        found |= dict.fromkeys(names, number)
    assert found == expected
    assert errors(text, wave=count + 1) == [f"R0802: there is no wave {count + 1}"]


@given(island_sets().filter(lambda one: "waves" in one[0]))
@examples(150)
def test_waves_are_refused_where_an_island_is_in_none_or_in_two(given: tuple[Object, list[str]]) -> None:
    spec, keys = given
    told = errors(text_of(project([("cart", spec)])))
    assert bool(told) == (placed(keys, spec["waves"]) is None)
    assert {one[:5] for one in told} <= {"R0324", "R0505"}


ROUNDING = [  # percent, islands, of them in the first wave
    (1, 1, 1),
    (1, 10, 1),
    (1, 100, 1),
    (1, 101, 2),
    (10, 4, 1),
    (10, 10, 1),
    (10, 11, 2),
    (25, 4, 1),
    (25, 5, 2),
    (33, 3, 1),
    (34, 3, 2),
    (50, 3, 2),
    (99, 100, 99),
    (99, 99, 99),
    (100, 7, 7),
    (7, 100, 7),  # 7 * 0.01 * 100 is more than 7 in floating point
    (29, 100, 29),
    (58, 50, 29),
    (50, 0, 0),
]


@pytest.mark.parametrize(("percent", "islands", "expected"), ROUNDING)
def test_percentages_are_rounded_up(percent: int, islands: int, expected: int) -> None:
    assert share(percent, islands) == expected
    text = carts({"replicas": islands, "start": 3, "waves": [{"percent": percent}, {"rest": True}]})
    names = {one["metadata"]["labels"][ISLAND] for one in objects(made(text, wave=1, only="islands", form="json"))}
    assert names == {f"cart-{number}" for number in range(3, 3 + expected)}


def test_the_table_of_the_docs_is_right() -> None:
    page = (Path(__file__).parents[1] / "docs" / "waves.md").read_text()
    head, _, *rows = ([cell.strip(" %") for cell in row.split("|")] for row in re.findall(r"^\|(.*)\|$", page, re.M))
    assert head == ["of islands", "1", "4", "10", "33", "100"]
    for percent, *cells in rows:
        assert [int(cell) for cell in cells] == [ceil(Fraction(int(percent) * int(of), 100)) for of in head[1:]]
    assert len(rows) == 5


@pytest.mark.parametrize(
    ("waves", "expected"),
    [
        ([{"percent": 50}, {"islands": ["eu"]}, {"rest": True}], [{"ap", "sa"}, {"eu"}, {"us"}]),
        ([{"percent": 25}, {"percent": 50}, {"islands": ["ap"]}], [{"eu"}, {"sa", "us"}, {"ap"}]),
        ([{"islands": ["ap", "eu"]}, {"percent": 100}], [{"ap", "eu"}, {"sa", "us"}]),
        ([{"percent": 75}, {"percent": 75}, {"percent": 75}], [{"ap", "eu", "sa"}, {"us"}, set()]),
        ([{"islands": ["[ae]*"]}, {"islands": ["*s"]}, {"islands": ["sa"]}], [{"ap", "eu"}, {"us"}, {"sa"}]),
        ([{"islands": ["e*", "eu"]}, {"rest": True}], [{"eu"}, {"ap", "sa", "us"}]),
        ([{"rest": True}], [{"ap", "eu", "sa", "us"}]),
    ],
)
def test_names_come_before_percentages(waves: Waves, expected: list[set[str]]) -> None:
    text = carts({"islands": dict.fromkeys(["us", "eu", "ap", "sa"]), "waves": waves})
    for number, keys in enumerate(expected, 1):
        built = made(text, wave=number, only="islands", form="json")
        assert {one["metadata"]["labels"][ISLAND] for one in objects(built)} == {f"cart-{key}" for key in keys}


# The waves together are the whole build


@given(projects(), st.sampled_from(["yaml", "json"]), st.sampled_from(["", *PARTS]), st.booleans())
@examples(60)
def test_the_waves_together_are_the_whole(
    given: tuple[list[Object], dict[str, int]], form: str, only: str, with_dsl: bool
) -> None:
    """On standard output each wave has its documents in the order of the whole; in a directory each has its files."""
    documents, _ = given
    text = text_of(documents)
    more: Object = {"form": form, "only": only, "with_dsl": with_dsl}
    whole = made(text, **more)
    waves = [made(text, wave=number, **more) for number in range(1, count_of(documents) + 1)]

    def parts(built: Built) -> list[bytes]:
        return documents_of(built) if form == "yaml" else b"".join(built.texts()).splitlines()

    assert sum((Counter(parts(one)) for one in waves), Counter()) == Counter(parts(whole))
    for one in waves:
        rest = iter(parts(whole))
        assert all(part in rest for part in parts(one))
    for layout in LAYOUTS if form == "yaml" else ():
        found = [pair for one in waves for pair in files(one, layout)]
        assert len({path for path, _ in found}) == len(found)
        assert dict(found) == dict(files(whole, layout))


@given(projects())
@examples(20)
def test_a_directory_for_each_wave_holds_the_files_of_the_whole(given: tuple[list[Object], dict[str, int]]) -> None:
    documents, _ = given
    built = made(text_of(documents), with_dsl=True)
    by_wave = dict(files(built, "wave"))
    assert {path.partition("/")[2]: content for path, content in by_wave.items()} == dict(files(built, "island"))
    for number in range(1, count_of(documents) + 1):
        of_wave = dict(files(made(text_of(documents), with_dsl=True, wave=number), "wave"))
        assert of_wave == {path: one for path, one in by_wave.items() if path.startswith(f"wave-{number}/")}


def test_where_the_parts_are() -> None:
    routes = routing("shop", "cart", "island")
    spec = {"islands": dict.fromkeys(["eu", "us"]), "shared": SHARED, "waves": [{"islands": ["us"]}, {"rest": True}]}
    other = ("other", {"type": "nesting", "islands": {"x": None}})
    text = text_of(project([("cart", {"type": "cart", **spec}), other], routes))
    assert [path for path, _ in files(made(text, with_dsl=True), "wave")] == [
        "wave-1/_dsl.yaml",
        "wave-1/cart/_shared.yaml",
        "wave-2/cart/eu.yaml",
        "wave-1/cart/us.yaml",
        "wave-1/other/x.yaml",
        "wave-1/other/x.cell.0.yaml",
        "wave-1/other/x.cell.1.yaml",
        "wave-2/_routing/shop.yaml",
        "wave-2/_routing/shop/cart-eu.yaml",
        "wave-2/_routing/shop/cart-us.yaml",
    ]


def test_numbers_of_directories_sort() -> None:
    waves = [{"islands": [str(number)]} for number in range(12)]
    paths = [path for path, _ in files(made(carts({"replicas": 12, "waves": waves})), "wave")]
    assert paths == [f"wave-{number + 1:02}/cart/{number}.yaml" for number in range(12)]


def test_one_wave_where_no_set_has_any() -> None:
    text = carts({"replicas": 2}, routing("shop", "cart"))
    assert documents_of(made(text, wave=1)) == documents_of(made(text))
    assert errors(text, wave=2) == ["R0802: there is no wave 2"]


# With --island and --only: what is in both


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--wave", "1", "--island", "cart/*"], {"cart-eu", "cart-eu-cell-0", "cart-eu-cell-1"}),
        (["--wave", "2", "--island", "cart/us"], {"cart-us", "cart-us-cell-0", "cart-us-cell-1"}),
        (["--wave", "2", "--island", "cart/*/cell/1"], {"cart-ap-cell-1", "cart-us-cell-1"}),
        (["--wave", "1", "--island", "cart/us"], set()),
        (["--wave", "1", "--only", "islands"], {"cart-eu", "cart-eu-cell-0", "cart-eu-cell-1"}),
        (["--wave", "1", "--only", "routing"], set()),
        (["--wave", "2", "--only", "shared"], set()),
    ],
)
def test_what_is_asked_for_twice(
    options: list[str], expected: set[str], tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    spec = {"type": "nesting", "islands": dict.fromkeys(["eu", "us", "ap"]), "shared": SHARED}
    spec["waves"] = [{"islands": ["eu"]}, {"rest": True}]
    (tmp_path / "dsl.yaml").write_text(text_of(project([("cart", spec)], routing("shop", "cart"))))
    assert main(["build", str(tmp_path / "dsl.yaml"), "--format", "json", *options]) == 0
    found = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert {one["metadata"]["labels"][ISLAND] for one in found} == expected


@pytest.mark.parametrize(("wave", "said"), [("0", "0 is not in the range"), ("3", "there is no wave 3"), ("x", "'x'")])
def test_a_wave_that_there_is_not(wave: str, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dsl.yaml").write_text(carts({"replicas": 3, "waves": [{"percent": 1}, {"rest": True}]}))
    assert main(["build", str(tmp_path / "dsl.yaml"), "--wave", wave]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err


# Errors


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"waves": [{"islands": ["eu"]}]}, ["R0324: `cart/ap`, `cart/us` are in no wave"]),
        ({"waves": [{"percent": 34}, {"islands": ["eu"]}]}, []),
        ({"waves": [{"percent": 33}, {"islands": ["eu"]}]}, ["R0324: `cart/us` is in no wave"]),
        (
            {"waves": [{"islands": ["e*"]}, {"islands": ["eu"]}, {"rest": True}]},
            ["R0324: the island `cart/eu` is in two waves, 1 and 2"],
        ),
        ({"waves": [{"islands": ["ue"]}, {"rest": True}]}, ["R0505: `ue` matches no island of `cart`"]),
        ({"waves": [{"islands": ["ue"]}]}, ["R0505: `ue` matches no island of `cart`"]),
        ({"waves": [{"rest": True}, {"percent": 10}]}, ["R0324: after `rest` no island is left for another wave"]),
        ({"waves": [{"rest": True}, {"rest": True}]}, ["R0324: after `rest` no island is left for another wave"]),
        ({"waves": [{}]}, ["R0324: nothing says what is in this wave"]),
        ({"waves": [{"percent": 5, "rest": True}]}, ["R0324: `percent` and `rest` in one wave"]),
        (
            {"waves": [{"islands": ["{{ island.key }}"]}]},
            ["R0406: this field is literal: it decides names and structure"],
        ),
        ({"waves": [{"percent": 0}]}, ["R0205: 0 is less than 1"]),
        ({"waves": []}, ["R0205: fewer than 1"]),
    ],
)
def test_what_waves_cannot_be(spec: Object, expected: list[str]) -> None:
    ways = {} if "replicas" in spec else {"islands": dict.fromkeys(["eu", "us", "ap"])}
    found = errors(carts({**ways, **spec}))
    assert [one[:5] for one in found] == [one[:5] for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one == other or one.startswith("R0205")


def test_pods_have_no_waves() -> None:
    spec = {"type": "pods", "form": "pods", "replicas": 2, "waves": [{"rest": True}]}
    message = "R0325: one StatefulSet is rolled out as a whole: its pods have no waves"
    assert errors(text_of(project([("cart", spec)]))) == [message]


def test_many_islands_in_no_wave_are_told_once() -> None:
    waves = [{"percent": 12}]
    message = "R0324: `cart/12`, `cart/13`, `cart/14`, `cart/15`, `cart/16` and 83 more are in no wave"
    assert errors(carts({"replicas": 100, "waves": waves})) == [message]


# Directories: a build of one wave leaves the files of others alone


@pytest.mark.parametrize("layout", LAYOUTS)
def test_waves_one_after_another_make_the_whole_directory(layout: str, tmp_path: Path) -> None:
    spec = {"type": "nesting", "replicas": 5, "shared": SHARED}
    spec["waves"] = [{"islands": ["3"]}, {"percent": 40}, {"rest": True}]
    text = text_of(project([("cart", spec)], routing("shop", "cart", "island")))
    source, whole, parts = tmp_path / "dsl.yaml", tmp_path / "whole", tmp_path / "parts"
    source.write_text(text)
    command = ["build", str(source), "--layout", layout, "--with-dsl", "-o"]
    assert main([*command, str(whole)]) == 0
    for number in ("2", "1", "3"):
        before = contents(parts)
        assert main([*command, str(parts), "--wave", number]) == 0
        assert before.items() <= contents(parts).items()
        assert main([*command, str(parts), "--wave", number, "--check"]) == 0
    assert contents(parts) == contents(whole)


def contents(directory: Path) -> dict[str, bytes]:
    return {one.relative_to(directory).as_posix(): one.read_bytes() for one in directory.rglob("*") if one.is_file()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_wave_touches_its_own_files_only(layout: str, tmp_path: Path) -> None:
    """Of an island that is no more, nobody knows the wave: its files go with a build of all waves."""

    def write(image: str, keys: Sequence[str]) -> None:
        spec = {"islands": dict.fromkeys(keys), "shared": SHARED, "waves": [{"islands": ["eu"]}, {"rest": True}]}
        text = carts(spec, routing("shop", "cart", "island")).replace("cart:1", image)
        (tmp_path / "dsl.yaml").write_text(text)

    def run(*more: str) -> set[str]:
        """What a build changes, the files of routing apart; their islands' or Sets' names."""
        before = contents(tmp_path / "out")
        command = ["build", str(tmp_path / "dsl.yaml"), "--layout", layout, "-o", str(tmp_path / "out")]
        assert main([*command, "--allow-removed", *more]) == 0  # who says so is in test_shrinking.py
        after = contents(tmp_path / "out")
        found = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        paths = (path.split("/")[1:] if layout == "wave" else path.split("/") for path in found)
        return {"/".join(path[:2]).removesuffix(".yaml") for path in paths}

    write("cart:1", ["eu", "us", "old"])
    run()
    write("cart:2", ["eu", "us"])
    assert run("--wave", "1") == {"cart/eu"}
    assert run("--wave", "2") == {"cart/us", "_routing/shop"}  # the route of `old`; its Upstream is in shop.yaml
    assert run("--wave", "1") == set()
    assert run() == {"cart/old"}
    write("cart:2", ["eu", "us", "new"])
    assert run("--wave", "1", "--only", "islands") == set()
    assert run("--wave", "2", "--island", "cart/n*") == {"cart/new"}


def test_an_island_in_another_wave_moves_with_its_new_one(tmp_path: Path) -> None:
    def run(first: str, *more: str) -> set[str]:
        spec = {"islands": dict.fromkeys(["eu", "us", "ap"]), "waves": [{"islands": [first]}, {"rest": True}]}
        (tmp_path / "dsl.yaml").write_text(carts(spec))
        command = ["build", str(tmp_path / "dsl.yaml"), "--layout", "wave", "-o", str(tmp_path / "out")]
        assert main([*command, *more]) == 0
        return set(contents(tmp_path / "out"))

    assert run("eu") == {"wave-1/cart/eu.yaml", "wave-2/cart/us.yaml", "wave-2/cart/ap.yaml"}
    moved = {"wave-1/cart/us.yaml", "wave-2/cart/eu.yaml", "wave-2/cart/ap.yaml"}
    assert run("us", "--wave", "1") == {*moved, "wave-1/cart/eu.yaml"} - {"wave-2/cart/eu.yaml"}
    assert run("us", "--wave", "2") == moved


# Argo CD's sync waves


def waves_of(built: Built) -> dict[tuple[str, str], str]:
    """The annotation of each object, by kind and name."""
    return {(one["kind"], one["metadata"]["name"]): one["metadata"]["annotations"][SYNC] for one in objects(built)}


def without_sync(one: Object) -> Object:
    annotations = one["metadata"]["annotations"]
    del annotations[SYNC]
    if not annotations:
        del one["metadata"]["annotations"]
    return one


@given(projects(percent=False))
@examples(40)
def test_every_object_has_its_wave_and_nothing_else_changes(given: tuple[list[Object], dict[str, int]]) -> None:
    documents, expected = given
    text = text_of(documents)
    plain, synced = made(text, form="json"), made(text, form="json", sync_waves=True)
    found = objects(synced)
    last = {name: objects(made(text, form="json", sync_waves=True, only=name)) for name in PARTS}
    assert {one["metadata"]["annotations"][SYNC] for one in last["shared"]} <= {"0"}
    assert {one["metadata"]["annotations"][SYNC] for one in last["routing"]} <= {str(count_of(documents) + 1)}
    for one in last["islands"]:
        assert one["metadata"]["annotations"][SYNC] == str(expected[one["metadata"]["labels"][ISLAND]])
    assert sum(map(len, last.values())) == len(found)
    assert [without_sync(one) for one in found] == objects(plain)


def test_stored_documents_stay_as_they_are() -> None:
    text = carts({"replicas": 1, "waves": [{"rest": True}]})
    assert made(text, with_dsl=True, sync_waves=True).dsl == made(text, with_dsl=True).dsl != []


@given(
    st.lists(st.sampled_from(KEYS), min_size=2, max_size=6, unique=True),
    st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True),
    st.sampled_from(["cart", "nesting"]),
)
@examples(40)
def test_one_island_more_changes_no_other(keys: list[str], first: list[str], of_type: str) -> None:
    """With the annotation, too: a wave by name or of the rest says nothing of other islands."""
    *before, added = keys
    named = [key for key in first if key in before]
    waves = [*([{"islands": named}] if named else []), {"rest": True}]

    def written(islands: list[str]) -> dict[str, bytes]:
        spec = {"type": of_type, "islands": dict.fromkeys(islands), "waves": waves, "shared": SHARED}
        built = made(text_of(project([("cart", spec)])), sync_waves=True)
        return dict(files(built, "island"))

    old, new = written(before), written(keys)
    assert old.items() <= new.items()
    stems = {path.removesuffix(".yaml").partition(".")[0] for path in new.keys() - old.keys()}
    assert stems == {f"cart/{added}"}


def test_another_wave_changes_the_island_alone() -> None:
    def written(first: list[str]) -> dict[str, bytes]:
        spec = {"islands": dict.fromkeys(["eu", "us", "ap"]), "waves": [{"islands": first}, {"rest": True}]}
        return dict(files(made(carts(spec), sync_waves=True), "island"))

    before, after = written(["eu"]), written(["eu", "us"])
    assert {path for path in before if before[path] != after[path]} == {"cart/us.yaml"}


def test_an_annotation_of_the_author_stays() -> None:
    own = {"metadata": {"annotations": {SYNC: "-1", "a": "b"}}}
    patches = [{"target": {"kind": "Deployment"}, "patch": own}]
    patches.append({"target": {"kind": "Service"}, "patch": {"metadata": {"annotations": {"a": "b"}}}})
    spec = {"islands": {"eu": None, "us": {"patches": [{"target": {"kind": "ConfigMap"}, "patch": own}]}}}
    text = carts({**spec, "patches": patches, "waves": [{"islands": ["eu"]}, {"rest": True}]})
    built = made(text, form="json", sync_waves=True)
    assert waves_of(built) == {
        ("ConfigMap", "cart-eu-own"): "1",
        ("Service", "cart-eu-api"): "1",
        ("Deployment", "cart-eu-api"): "-1",
        ("ConfigMap", "cart-us-own"): "-1",
        ("Service", "cart-us-api"): "2",
        ("Deployment", "cart-us-api"): "-1",
    }
    assert all(one["metadata"]["annotations"].get("a") for one in objects(built) if one["kind"] != "ConfigMap")


@pytest.mark.parametrize("annotations", [None, {}, {"a": "{{ island.key }}"}])
def test_annotations_of_manifests_are_kept(annotations: Object | None) -> None:
    metadata = {"name": "own", "annotations": annotations, "finalizers": ["a/b"]}
    own = {"manifest": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}}
    text = carts({"islands": {"eu": None}}).replace(json.dumps(CART["resources"][0]), json.dumps(own))
    [found] = [one for one in objects(made(text, form="json", sync_waves=True)) if one["kind"] == "ConfigMap"]
    assert found["metadata"]["annotations"] == {**({"a": "eu"} if annotations else {}), SYNC: "1"}
    assert list(found["metadata"]) == ["name", "namespace", "labels", "annotations", "finalizers"]


def test_namespaces_go_with_their_island_and_what_stands_once_goes_first() -> None:
    account = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tools"}}
    text = carts(
        {
            "islands": dict.fromkeys(["eu", "us"]),
            "scope": "namespace",
            "namespaces": {"create": True, "annotations": {"a": "b"}},
            "waves": [{"islands": ["us"]}, {"rest": True}],
        }
    ).replace(json.dumps(CART["resources"][0]), json.dumps({"manifest": account}))
    found = waves_of(made(text, form="json", sync_waves=True))
    assert {name: wave for (kind, name), wave in found.items() if kind == "Namespace"} == {
        "tools": "0",
        "cart-us": "1",
        "cart-eu": "2",
    }


def test_nobody_is_annotated_unasked() -> None:
    text = carts({"replicas": 2, "waves": [{"islands": ["1"]}, {"rest": True}]}, routing("shop", "cart"))
    assert SYNC.encode() not in b"".join(made(text).texts())
    plain = carts({"replicas": 2}, routing("shop", "cart"))
    assert list(made(text).texts()) == list(made(plain).texts())


def test_percentages_are_not_written_into_objects() -> None:
    text = carts({"replicas": 2, "waves": [{"percent": 50}, {"rest": True}]})
    message = "R0325: `percent` with --sync-waves: one island more would change objects of others"
    assert errors(text, sync_waves=True) == [message]
    assert errors(text) == []
