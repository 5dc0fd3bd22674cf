"""Islands and objects that are gone: what is said of them, what becomes of their data, and that nothing goes unsaid."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from test_operator import KUBECTL, Cluster, serving

from replicator.cli import main
from replicator.diagnostics import has_errors
from replicator.pipeline import Source
from replicator.pipeline import build as compile_sources

API = "replicator.dev/v1alpha1"
STORED = {"kind": "StatefulSet", "image": "db:1", "storage": {"/data": {"size": "1Gi"}}}


def document(kind: str, name: str, spec: Mapping[str, Any], **metadata: str) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


WEB = document("IslandType", "web", {"units": {"api": {"image": "api:1"}}})
CELL = document("IslandType", "cell", {"units": {"worker": {"image": "w:1"}}})
REGION = document(
    "IslandType", "region", {"units": {"api": {"image": "api:1"}}, "sets": {"cell": {"type": "cell", "replicas": 3}}}
)


def of(name: str, island_type: str = "web", **spec: Any) -> dict[str, Any]:
    """A Set: by `islands`, a list of keys or a map, or by what else is in `spec`."""
    if isinstance(spec.get("islands"), (list, str)):
        spec["islands"] = {key: {} for key in spec["islands"]}
    return document("IslandSet", name, {"type": island_type, **spec}, namespace="shop")


def written(file: Path, *documents: Mapping[str, Any]) -> Path:
    file.write_text("---\n".join(json.dumps(one) + "\n" for one in documents))
    return file


# Tombstones


@pytest.mark.parametrize(
    ("island_set", "message"),
    [
        (of("a", islands="xy", removed={"x": {}}), "the island `a/x` is there, and removed"),
        (of("a", islands="xy", removed={"x": None}), "the island `a/x` is there, and removed"),
        (of("a", replicas=3, removed={"2": {}}), "the island `a/2` is there, and removed"),
        (of("a", replicas=3, form="pods", removed={"0": {}}), "the island `a/0` is there, and removed"),
        (of("a", "region", islands="xy", removed={"x/cell/2": {}}), "the island `a/x/cell/2` is there, and removed"),
        (of("a", islands="xy", removed={"x/cell": {}}), "`x/cell` is the path of no island"),
        (of("a", islands="xy", removed={"X": {}}), "`X` is the path of no island"),
        (of("a", islands="xy", removed={"": {}}), "`` is the path of no island"),
        (of("a", islands="xy", removed={"z/": {}}), "`z/` is the path of no island"),
        (of("a", islands="xy", removed={"z/cell/": {}}), "`z/cell/` is the path of no island"),
        (of("a", islands="xy", removed={"z" * 33: {}}), f"`{'z' * 33}` is the path of no island"),
        (of("a", "region", islands="xy", removed={"x/shard/1": {}}), "there is no Set `shard` inside the islands of"),
        (of("a", "region", islands="xy", removed={"x/cell/1/b/2": {}}), "there is no Set `b` inside the islands of"),
    ],
)
def test_a_tombstone_that_cannot_be(
    island_set: dict[str, Any], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", str(written(tmp_path / "dsl.yaml", WEB, REGION, CELL, island_set))]) == 1
    output, errors = capfd.readouterr()
    assert output == ""
    assert errors.startswith(f"error[R0327]: {message}")
    assert errors.count("error[") == 1
    assert f"{tmp_path}/dsl.yaml:" in errors


@pytest.mark.parametrize(
    "island_set",
    [
        of("a", islands="xy", removed={"z": {}, "0": {"data": "delete"}, "old": None}),
        of("a", replicas=3, removed={"3": {}, "02": {}, "eu": {}}),
        of("a", replicas=3, start=1, form="pods", removed={"0": {}, "4": {}}),
        of("a", "region", islands="xy", removed={"x/cell/3": {}, "z": {}, "z/cell/0": {"data": "delete"}}),
    ],
)
def test_tombstones_are_written_nowhere(
    island_set: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    outputs = []
    for spec in (island_set["spec"], {key: value for key, value in island_set["spec"].items() if key != "removed"}):
        file = written(tmp_path / "dsl.yaml", WEB, REGION, CELL, {**island_set, "spec": spec})
        assert main(["build", str(file)]) == 0
        outputs.append(capfd.readouterr())
    assert outputs[0] == outputs[1]
    assert outputs[0].err == ""


# Builds over each other


class Place:
    """A directory with a project and its output."""

    def __init__(self, root: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.capfd = capfd
        self.output = root / "out"
        self.file = root / "dsl.yaml"
        self.list = root / "gone.yaml"
        self.out = self.err = ""

    def run(self, *arguments: str) -> int:
        self.capfd.readouterr()
        code = main(["build", str(self.file), *arguments])
        self.out, self.err = self.capfd.readouterr()
        return code

    def build(self, *documents: Mapping[str, Any], more: Sequence[str] = ()) -> int:
        """Into the directory, with the list of what is to be deleted."""
        written(self.file, *documents)
        return self.run("-o", str(self.output), "--deletions", str(self.list), *more)

    def kept_text(self, *documents: Mapping[str, Any]) -> Path:
        """What a build writes to standard output, in a file."""
        written(self.file, *documents)
        assert self.run() == 0, self.err
        earlier = self.root / "earlier.yaml"
        earlier.write_text(self.out)
        return earlier

    @property
    def gone(self) -> list[str]:
        return [f"{one['kind']} {one['metadata']['name']}" for one in documents_of(self.list)]

    @property
    def codes(self) -> list[str]:
        return re.findall(r"^\w+\[(R\d{4})\]", self.err, re.MULTILINE)

    def bytes(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.output.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Place:
    return Place(tmp_path, capfd)


def documents_of(file: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(file.read_text()) if one is not None]


DB = document("IslandType", "db", {"units": {"db": {**STORED, "replicas": 2, "ports": {"sql": 5432}}}})
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "files"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
FILES = document("IslandType", "files", {"units": {"api": {"image": "a:1"}}, "resources": [{"manifest": CLAIM}]})
SPACES: dict[str, Any] = {"scope": "namespace", "namespaces": {"create": True}}
MADE = ["PersistentVolumeClaim data-a-x-db-0", "PersistentVolumeClaim data-a-x-db-1"]
OBJECTS = ["StatefulSet a-x-db", "Service a-x-db", "Service a-x-db-headless"]


def test_what_is_gone_without_a_word_stays(place: Place) -> None:
    assert place.build(DB, of("a", "db", islands="xyz")) == 0
    assert place.list.read_text().startswith("# ")
    assert place.gone == []
    before = place.bytes()
    assert place.build(DB, of("a", "db", islands="y")) == 1
    assert place.codes == ["R0807", "R0807"]
    assert "the island `a/x` is gone, with 3 objects (Service ×2, StatefulSet)" in place.err
    assert "help: removed: {x: {data: retain}} in the IslandSet, or --allow-removed" in place.err
    assert place.err.endswith("nothing was written\n")
    assert place.bytes() == before
    assert {path.name for path in place.root.iterdir()} == {"out", "dsl.yaml", "gone.yaml"}
    assert place.build(DB, of("a", "db", islands="xyz", removed={"w": {}})) == 0, "a tombstone of nobody"


@pytest.mark.parametrize("layout", ["island", "object"])
def test_a_retained_island_keeps_its_claims(layout: str, place: Place) -> None:
    more = ["--layout", layout]
    assert place.build(DB, of("a", "db", islands="xy"), more=more) == 0
    assert place.build(DB, of("a", "db", islands="y", removed={"x": None}), more=more) == 0
    assert place.gone == OBJECTS
    for claim in MADE:
        assert f"  {claim.replace(' ', ' shop/')}: retained, as `a/x` says\n" in place.err
    assert place.build(DB, of("a", "db", islands="y", removed={"x": None}), more=more) == 0
    assert (place.gone, "deleted" in place.err) == ([], False)


def test_data_is_deleted_where_a_tombstone_says_so(place: Place) -> None:
    assert place.build(DB, of("a", "db", islands="xy")) == 0
    assert place.build(DB, of("a", "db", islands="y", removed={"x": {"data": "delete"}})) == 0
    assert place.gone == [*OBJECTS, *MADE]
    assert "data that is not deleted" not in place.err


@pytest.mark.parametrize(("word", "gone"), [({}, False), ({"data": "delete"}, True)])
def test_claims_of_their_own(word: Any, gone: bool, place: Place) -> None:
    assert place.build(FILES, of("a", "files", islands="xy")) == 0
    assert place.build(FILES, of("a", "files", islands="y", removed={"x": word})) == 0
    assert place.gone == ["Deployment a-x-api", *(["PersistentVolumeClaim a-x-files"] if gone else [])]
    assert ("  PersistentVolumeClaim shop/a-x-files: retained" in place.err) != gone


def test_claims_and_namespaces_stay_where_anything_may_go(place: Place) -> None:
    assert place.build(DB, FILES, of("a", "db", islands="x"), of("b", "files", islands="x", **SPACES)) == 0
    assert place.build(DB, of("a", "db", islands=[]), more=["--allow-removed"]) == 0
    assert set(place.gone) == {*OBJECTS, "Deployment api"}
    for kept in ("shop/data-a-x-db-0", "shop/data-a-x-db-1", "b-x/files", "b-x"):
        assert re.search(rf"^  \w+ {kept}: stays$", place.err, re.MULTILINE), kept


@pytest.mark.parametrize(("word", "gone"), [({}, False), ({"data": "delete"}, True)])
def test_an_islands_own_namespace(word: Any, gone: bool, place: Place) -> None:
    def spaces(**more: Any) -> dict[str, Any]:
        return of("a", "db", **SPACES, **more)

    assert place.build(DB, spaces(islands="xy")) == 0
    assert place.build(DB, spaces(islands="y", removed={"x": word})) == 0
    claims = ["PersistentVolumeClaim data-db-0", "PersistentVolumeClaim data-db-1"]
    every = ["StatefulSet db", "Service db", "Service db-headless", *([*claims, "Namespace a-x"] if gone else [])]
    assert place.gone == every
    assert ("  Namespace a-x: retained, as `a/x` says\n" in place.err) != gone


def with_inner(count: int) -> dict[str, Any]:
    inner = {"in": {"type": "db", "replicas": count}}
    return document("IslandType", "outer", {"units": {"api": {"image": "a:1"}}, "sets": inner})


def test_islands_inside_islands(place: Place) -> None:
    def outer(count: int, **more: Any) -> tuple[dict[str, Any], ...]:
        return DB, with_inner(count), of("a", "outer", **more)

    assert place.build(*outer(2, islands="xy")) == 0
    assert place.build(*outer(2, islands="y")) == 1
    assert place.codes == ["R0807"], "the islands inside are gone with it"
    assert "the island `a/x` is gone, with 7 objects" in place.err
    assert place.build(*outer(1, islands="xy")) == 1
    assert re.findall(r"the island `([^`]*)` is gone", place.err) == ["a/x/in/1", "a/y/in/1"]
    assert place.build(*outer(1, islands="xy", removed={"x/in/1": {}})) == 1
    assert re.findall(r"the island `([^`]*)` is gone", place.err) == ["a/y/in/1"]
    words = {"x": {"data": "delete"}, "x/in/0": {"data": "retain"}}
    assert place.build(*outer(2, islands="y", removed=words)) == 0
    assert len(place.gone) == 7 + 2
    assert "  PersistentVolumeClaim shop/data-a-x-in-0-db-0: retained, as `a/x/in/0` says\n" in place.err


def test_a_namespace_stays_with_what_stays_in_it(place: Place) -> None:
    def outer(**more: Any) -> tuple[dict[str, Any], ...]:
        return DB, with_inner(2), of("a", "outer", **SPACES, **more)

    assert place.build(*outer(islands="xy")) == 0
    words = {"x": {"data": "delete"}, "x/in/0": {"data": "retain"}}
    assert place.build(*outer(islands="y", removed=words)) == 0
    assert "Namespace a-x" not in place.gone
    assert "  Namespace a-x: stays: there is something in it that does\n" in place.err


def test_names_that_begin_alike(place: Place) -> None:
    """`a/x` is no word for the island `y` of the Set `a-x`, nor for the key `x-y`."""
    first = [of("a", islands=["x", "x-z", "w"]), of("a-x", islands=["y", "v"])]
    assert place.build(WEB, *first) == 0
    assert place.build(WEB, of("a", islands=["w"], removed={"x": {}}), of("a-x", islands=["v"])) == 1
    assert re.findall(r"the island `([^`]*)` is gone", place.err) == ["a/x-z", "a-x/y"]


def test_a_set_that_is_gone(place: Place) -> None:
    assert place.build(DB, WEB, of("a", "db", islands="xy"), of("b", islands="x")) == 0
    assert place.build(DB, WEB, of("b", islands="x")) == 1
    assert place.codes == ["R0807"]
    assert "the IslandSet `a` is gone, with 2 islands and 6 objects (Service ×4, StatefulSet ×2)" in place.err
    assert f"  --> {place.output}/a/x.yaml:" in place.err


@pytest.mark.parametrize("units", [{"api": {"image": "a:1"}}, {}])
def test_a_set_that_is_gone_with_islands_inside(units: dict[str, Any], place: Place) -> None:
    """It is told once, also where only the islands inside have objects."""
    typed = document("IslandType", "region", {"units": units, "sets": {"cell": {"type": "cell", "replicas": 3}}})
    assert place.build(CELL, WEB, typed, of("a", "region", islands="xy"), of("b", islands="x")) == 0, place.err
    assert place.build(CELL, WEB, of("b", islands="x")) == 1
    number = 8 if units else 6
    assert re.findall(r"^error\[R0807\]: (.*)$", place.err, re.MULTILINE) == [
        f"the IslandSet `a` is gone, with {number} islands and {number} objects (Deployment ×{number})"
    ]


@pytest.mark.parametrize("spec", [WEB["spec"], {"resources": [{"manifest": CLAIM}]}])
def test_a_set_that_is_gone_beside_one_whose_name_begins_it(spec: dict[str, Any], place: Place) -> None:
    typed = document("IslandType", "web", spec)
    spaces = {**SPACES, "namespaces": {"create": True, "labels": {"app.kubernetes.io/part-of": "a"}}}
    assert place.build(typed, of("a", islands="xy"), of("a-x", islands="y", **spaces)) == 0, place.err
    assert place.build(typed, of("a", islands="xy")) == 1
    assert re.findall(r"^error\[R0807\]: (.*), with", place.err, re.MULTILINE) == ["the IslandSet `a-x` is gone"]


def test_many_islands_are_told_in_short(place: Place) -> None:
    assert place.build(WEB, of("a", replicas=100)) == 0
    assert place.build(WEB, of("a", replicas=20)) == 1
    assert place.codes == ["R0807"] * 11
    assert "70 more islands of `a` are gone, with 70 objects (Deployment ×70)" in place.err
    assert place.build(WEB, of("a", replicas=20), more=["--allow-removed"]) == 0
    assert len(place.gone) == 80
    assert "to be deleted: 80 objects\n  of a/20: 1 object\n" in place.err or "  of a/99: 1 object\n" in place.err
    assert "  of 30 more islands\n" in place.err


def test_a_unit_under_another_name(place: Place) -> None:
    assert place.build(WEB, of("a", islands="xyz")) == 0
    renamed = document("IslandType", "web", {"units": {"web": {"image": "api:1"}}})
    assert place.build(renamed, of("a", islands="xyz", removed={"w": {}})) == 1
    assert place.codes == ["R0807"]
    assert "3 objects (Deployment ×3) of the IslandSet `a` are gone: Deployment shop/a-x-api, " in place.err
    assert place.build(renamed, of("a", islands="xyz"), more=["--allow-removed"]) == 0
    assert place.gone == [f"Deployment a-{key}-api" for key in "xyz"]


SHARED = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flags"}, "data": {"a": "b"}}


def test_what_stands_beside_the_islands(place: Place) -> None:
    assert place.build(WEB, of("a", islands="x", shared=[{"manifest": SHARED}])) == 0
    assert place.build(WEB, of("a", islands="x")) == 1
    assert "1 object (ConfigMap)" in place.err
    assert place.build(WEB, of("a", islands="x"), more=["--allow-removed"]) == 0
    assert place.gone == ["ConfigMap flags"]


# Routes


PORTED = document(
    "IslandType",
    "web",
    {"ports": {"http": {"unit": "api", "port": "http"}}, "units": {"api": {"image": "a:1", "ports": {"http": 80}}}},
)


def routing(provider: str, *routes: Any, **more: Any) -> dict[str, Any]:
    settings = {} if provider == "gloo" else {"gateway": {"name": "public", "namespace": "edge"}}
    spec = {"provider": provider, "hosts": ["a.example.com"], **settings, "routes": list(routes), **more}
    return document("Routing", "front", spec, namespace="edge")


EACH = {"name": "in", "each": "a", "match": {"headers": {"x-island": "{{ island.key }}"}}}


@pytest.mark.parametrize("provider", ["gloo", "istio", "gateway-api"])
@pytest.mark.parametrize("delegation", ["none", "set", "island"])
def test_routes_of_an_island_go_with_it(provider: str, delegation: str, place: Place) -> None:
    routes = routing(provider, EACH, delegation=delegation)
    more = ["--layout", "object"]
    assert place.build(PORTED, of("a", islands="xyz"), routes, more=more) == 0, place.err
    assert place.build(PORTED, of("a", islands="yz", removed={"x": {}}), routes, more=more) == 0, place.err
    assert place.gone[-2:] == ["Deployment a-x-api", "Service a-x-api"]
    of_routes = {"gloo": ["Upstream"], "istio": [], "gateway-api": []}[provider]
    delegates = {"gloo": "RouteTable", "istio": "VirtualService", "gateway-api": "HTTPRoute"}
    assert [one.split()[0] for one in place.gone[:-2]] == [
        *([delegates[provider]] if delegation == "island" else []),
        *of_routes,
    ]


INNER = document("IslandType", "outer", {**PORTED["spec"], "sets": {"cell": {"type": "web", "replicas": 2}}})
EACH_INNER = {**EACH, "each": "a/cell", "match": {"headers": {"x-island": "{{ parent.key }}{{ island.key }}"}}}


def test_routes_of_inner_islands_go_with_the_island_around_them(place: Place) -> None:
    def outer(islands: str, **more: Any) -> list[dict[str, Any]]:
        return [PORTED, INNER, of("a", "outer", islands=islands, **more), routing("gloo", EACH_INNER)]

    assert place.build(*outer("xy")) == 0, place.err
    assert place.build(*outer("y")) == 1
    assert place.codes == ["R0807"]
    assert "the island `a/x` is gone, with 8 objects (Deployment ×3, Service ×3, Upstream ×2)" in place.err
    assert place.build(*outer("y"), more=["--only", "routing"]) == 1
    assert place.codes == ["R0807"]
    assert "(Upstream ×2)" in place.err
    assert place.build(*outer("y", removed={"x": {}})) == 0, place.err
    assert len(place.gone) == 8


def test_routes_of_a_set_that_is_gone(place: Place) -> None:
    """Those of its islands go with it, though the Routing stays."""
    stays = {"name": "stays", "each": "b", "match": {"path": {"prefix": "/{{ island.key }}"}}}
    sets = of("a-x", islands="12"), of("b", islands="1")
    assert place.build(PORTED, *sets, routing("gloo", {**EACH, "each": "a-x"}, stays)) == 0, place.err
    assert place.build(PORTED, sets[1], routing("gloo", stays)) == 1
    assert re.findall(r"^error\[R0807\]: (.*)$", place.err, re.MULTILINE) == [
        "the IslandSet `a-x` is gone, with 2 islands and 6 objects (Deployment ×2, Service ×2, Upstream ×2)"
    ]
    assert f"  --> {place.output}/a-x/1.yaml:" in place.err


LAMBDA = {"function": {"aws": {"region": "eu-west-1", "function": "f", "secret": "aws"}}}


@pytest.mark.parametrize("others", [{}, {"x": {}}])
def test_a_label_of_a_route_makes_no_island(others: dict[str, Any], place: Place) -> None:
    """An island without objects of its own is known by a tombstone; a name alone has no place for its dashes."""
    typed = document("IslandType", "web", {**PORTED["spec"], "implementations": {"far": LAMBDA}})
    before = of("a", islands={"x-z": {"implementation": "far"}, "y": {}})
    assert place.build(typed, before, routing("gloo", EACH)) == 0, place.err
    assert place.build(typed, of("a", islands="y", removed=others), routing("gloo", EACH)) == 1
    assert re.findall(r"^error\[R0807\]: (.*)$", place.err, re.MULTILINE) == [
        "1 object (Upstream) of the Routing `front` is gone: Upstream edge/front-a-x-z-http"
    ]
    assert "where an island is gone, its key under `removed` in its IslandSet" in place.err
    assert place.build(typed, of("a", islands="y", removed={"x-z": {}}), routing("gloo", EACH)) == 0, place.err
    assert place.gone == ["Upstream front-a-x-z-http"]


@pytest.mark.parametrize("delegation", ["none", "island"])
def test_routes_say_what_they_need_no_more(delegation: str, place: Place) -> None:
    """An object that a Routing has for an island needs no word of its own where both of them stay."""
    elsewhere = {"name": "out", "each": "b", "match": {"path": {"prefix": "/{{ island.key }}"}}}
    sets = of("a", islands="xy"), of("b", islands="xy")
    assert place.build(PORTED, *sets, routing("gloo", EACH, elsewhere, delegation=delegation)) == 0, place.err
    assert place.build(PORTED, *sets, routing("gloo", elsewhere, delegation=delegation)) == 0, place.err
    assert [one for one in place.gone if "Upstream" in one] == ["Upstream front-a-x-http", "Upstream front-a-y-http"]
    assert len([one for one in place.gone if "RouteTable" in one]) == (2 if delegation == "island" else 0)
    assert "  Upstream edge/front-a-x-http\n" in place.err
    assert place.build(PORTED, *sets) == 1, "a Routing as a whole is another thing"
    assert place.codes == ["R0807"]
    assert "error[R0807]: the Routing `front` is gone, with " in place.err
    assert f"  --> {place.output}/_routing/front.yaml:" in place.err


@pytest.mark.parametrize("key", ["00", "99"])
def test_routes_that_are_cut_off_elsewhere(key: str, place: Place) -> None:
    """HTTPRoutes hold 16 rules: another island, or one less, moves where the next begins."""
    keys = [str(number) for number in range(10, 90)]
    routes = routing("gateway-api", EACH)
    assert place.build(PORTED, of("a", islands=keys), routes) == 0
    assert place.build(PORTED, of("a", islands=[*keys, key]), routes) == 0, place.err
    assert place.build(PORTED, of("a", islands=keys[1:], removed={"10": {}, key: {}}), routes) == 0, place.err


# `form: pods`


PODS = document("IslandType", "db", {"units": {"db": {"image": "db:1", "storage": {"/data": {"size": "1Gi"}}}}})


def pods(replicas: int, when: str = "", **more: Any) -> dict[str, Any]:
    if when:
        more["statefulSet"] = {"persistentVolumeClaimRetentionPolicy": {"whenScaled": when, "whenDeleted": when}}
    return of("a", "db", replicas=replicas, form="pods", **more)


def test_pods_that_are_islands(place: Place) -> None:
    assert place.build(PODS, pods(4)) == 0
    assert place.build(PODS, pods(2)) == 1
    assert re.findall(r"the island `([^`]*)` is gone, with 1 object \(Pod\)", place.err) == ["a/2", "a/3"]
    words = {"2": {"data": "retain"}, "3": {"data": "delete"}}
    assert place.build(PODS, pods(2, removed=words)) == 0, place.err
    assert place.gone == ["PersistentVolumeClaim data-a-3"]
    assert "  PersistentVolumeClaim shop/data-a-2: retained, as `a/2` says\n" in place.err


@pytest.mark.parametrize(("before", "after"), [("Delete", "Delete"), ("Delete", "Retain"), ("Retain", "Delete")])
def test_claims_that_a_stateful_set_deletes_by_itself(before: str, after: str, place: Place) -> None:
    assert place.build(PODS, pods(3, before)) == 0
    assert place.build(PODS, pods(2, after, removed={"2": {}})) == 1
    assert place.codes == ["R0808"]
    assert "help: first `whenScaled: Retain`, and apply that; then remove the island. Or `data: delete`" in place.err
    assert place.build(PODS, pods(2, after, removed={"2": {"data": "delete"}})) == 0
    assert place.gone == ["PersistentVolumeClaim data-a-2"]


def test_claims_that_go_with_their_stateful_set(place: Place) -> None:
    policy = {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}
    own = document("IslandType", "db", {"units": {"db": {**STORED, "spec": policy}}})
    assert place.build(own, of("a", "db", islands="xy")) == 0
    assert place.build(own, of("a", "db", islands="y", removed={"x": {}})) == 1
    assert place.codes == ["R0808"]
    assert place.build(own, of("a", "db", islands="y"), more=["--allow-removed"]) == 0
    assert "  PersistentVolumeClaim shop/data-a-x-db-0: deleted by Kubernetes: whenDeleted is Delete\n" in place.err


def test_claims_of_pods_that_an_autoscaler_made(place: Place) -> None:
    own = document("IslandType", "db", {"units": {"db": {**STORED, "autoscale": {"min": 1, "max": 3, "cpu": 70}}}})
    assert place.build(own, of("a", "db", islands="xy")) == 0
    assert place.build(own, of("a", "db", islands="y", removed={"x": {"data": "delete"}})) == 0
    assert [one for one in place.gone if "Claim" in one] == [f"PersistentVolumeClaim data-a-x-db-{n}" for n in range(3)]


# The earlier output, wherever it is


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_against_a_file(form: str, place: Place) -> None:
    written(place.file, WEB, of("a", islands="xy"))
    assert place.run("--format", form) == 0
    earlier = place.root / f"earlier.{form}"
    earlier.write_text(place.out)
    written(place.file, WEB, of("a", islands="y"))
    assert place.run("--against", str(earlier), "--format", form) == 1
    assert (place.out, place.codes) == ("", ["R0807"])
    assert place.run("--against", str(earlier), "--format", form, "--allow-removed") == 0
    assert place.err == "to be deleted: 1 object\n  Deployment shop/a-x-api\n"
    text = place.out
    assert place.run("--format", form) == 0
    assert place.out == text
    assert place.run("--against", str(earlier)) == 1, "in another form it is the same objects"


def test_against_a_directory(place: Place) -> None:
    assert place.build(WEB, of("a", islands="xy")) == 0
    (place.output / "kustomization.yaml").write_text("kind: Kustomization\n")
    written(place.file, WEB, of("a", islands="y", removed={"x": {}}))
    assert place.run("--against", str(place.output), "--deletions", str(place.list)) == 0
    assert place.gone == ["Deployment a-x-api"]
    for path in place.output.rglob("*.yaml"):
        path.write_text(path.read_text().partition("\n")[2] or "apiVersion: v1\nkind: Own\nmetadata: {name: own}\n")
    assert place.run("--against", str(place.output)) == 1, "now every file counts"
    assert "1 object (Own) is gone: Own own" in place.err
    (place.root / "empty").mkdir()
    assert place.run("--against", str(place.root / "empty")) == 2
    assert place.codes == ["R0806"]
    assert place.run("--against", str(place.root / "nothing")) == 2
    assert place.codes == ["R0801"]


def test_against_one_and_into_another(place: Place) -> None:
    """What either of them has must be accounted for."""
    earlier = place.kept_text(WEB, of("a", islands="xyz"))
    assert place.build(WEB, of("a", islands="wy")) == 0
    written(place.file, WEB, of("a", islands="y"))
    arguments = ["-o", str(place.output), "--against", str(earlier)]
    assert place.run(*arguments) == 1
    assert re.findall(r"the island `([^`]*)` is gone", place.err) == ["a/w", "a/x", "a/z"]
    written(place.file, WEB, of("a", islands="y", removed={"w": {}, "x": {}, "z": {}}))
    assert place.run(*arguments, "--deletions", str(place.list)) == 0
    assert place.gone == ["Deployment a-w-api", "Deployment a-x-api", "Deployment a-z-api"]


def test_an_object_that_moves_is_there(place: Place) -> None:
    """From file to file: by layout, or from a Type's resources to what is shared."""
    typed = document("IslandType", "web", {"resources": [{"manifest": SHARED}], "units": {"api": {"image": "a:1"}}})
    assert place.build(typed, of("a", islands="x")) == 0
    assert place.build(typed, of("a", islands="x"), more=["--layout", "object"]) == 0, place.err
    moved = {**SHARED, "metadata": {"name": "a-x-flags"}}
    assert place.build(WEB, of("a", islands="x", shared=[{"manifest": moved}])) == 0, place.err
    assert place.gone == []
    assert place.build(typed, of("a", islands="x"), more=["--only", "islands"]) == 0, place.err
    assert place.build(WEB, of("a", islands="x", shared=[{"manifest": moved}]), more=["--only", "islands"]) == 0


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (["--island", "a/y"], []),
        (["--island", "a/*"], ["a/x"]),
        (["--only", "islands"], ["a/x", "b/x"]),
        (["--only", "shared"], []),
        (["--only", "routing"], []),
    ],
)
@pytest.mark.parametrize("way", ["into", "against"])
def test_a_part_compares_what_it_selects(way: str, part: list[str], told: list[str], place: Place) -> None:
    now = (WEB, of("a", islands="yz"), of("b", islands="y"))
    before = (WEB, of("a", islands="xyz"), of("b", islands="xy"))
    if way == "into":
        assert place.build(*before) == 0
        code = place.build(*now, more=part)
    else:
        earlier = place.kept_text(*before)
        written(place.file, *now)
        code = place.run("--against", str(earlier), *part)
    assert code == (1 if told else 0), place.err
    assert re.findall(r"the island `([^`]*)` is gone", place.err) == told


def test_check_says_what_may_not_be_gone(place: Place) -> None:
    assert place.build(WEB, of("a", islands="xy")) == 0
    written(place.file, WEB, of("a", islands="y"))
    assert place.run("-o", str(place.output), "--check") == 1
    assert place.codes == ["R0807"]
    assert f"stale: {place.output}/a/x.yaml\n" in place.err


def test_a_file_that_is_broken(place: Place) -> None:
    assert place.build(WEB, of("a", islands="xy")) == 0
    file = place.output / "a/x.yaml"
    file.write_text(file.read_text().replace("metadata:", "metadata: {", 1))
    number = file.read_text().split("\n").index("metadata: {") + 1
    assert place.build(WEB, of("a", islands="xy")) == 1
    assert place.codes == ["R0101"]
    assert f"  --> {place.output}/a/x.yaml:{number}:" in place.err
    assert place.build(WEB, of("a", islands="xy"), more=["--allow-removed"]) == 0
    assert place.err.startswith("warning[R0101]")
    assert place.build(WEB, of("a", islands="xy")) == 0
    assert place.codes == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--allow-removed"],
        ["--deletions", "a"],
        ["-o", "out", "--deletions", "-"],
        ["-o", "o", "--deletions", "o/a"],
        ["--against", ""],
    ],
)
def test_flags_that_do_not_go_together(arguments: list[str], place: Place) -> None:
    written(place.file, WEB, of("a", islands="x"))
    assert place.run(*arguments) == 2
    assert place.out == ""


def test_nothing_is_written_where_the_list_cannot_be(place: Place) -> None:
    assert place.build(WEB, of("a", islands="xy")) == 0
    before = place.bytes()
    written(place.file, WEB, of("a", islands="y", removed={"x": {}}))
    assert place.run("-o", str(place.output), "--deletions", str(place.root / "no/such/gone.yaml")) == 2
    assert place.codes == ["R0803"]
    assert place.bytes() == before


# git


class Repository:
    def __init__(self, place: Place) -> None:
        self.place = place
        self.root = place.root
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=self.root, check=True, capture_output=True)

    def commit(self, **files: str) -> None:
        for name, text in files.items():
            path = self.root / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=a", "--allow-empty")


def text_of(*documents: Mapping[str, Any]) -> str:
    return "---\n".join(json.dumps(one) + "\n" for one in documents)


@pytest.fixture
def repository(place: Place, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.chdir(place.root)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    return Repository(place)


def test_against_a_revision(repository: Repository, capfd: pytest.CaptureFixture[str]) -> None:
    """The inputs, the files that they name and those of parameters are what they were, whatever is there now."""
    typed = document(
        "IslandType",
        "web",
        {
            "params": {"maps": {"type": "integer", "default": 1}},
            "resources": [
                {"file": "maps/*.yaml"},
                {"when": "{{ params.maps == 2 }}", "manifest": {**SHARED, "metadata": {"name": "second"}}},
            ],
        },
    )
    flags = json.dumps(SHARED)
    repository.commit(dsl=text_of(typed, of("a", islands="xy")), maps__a_yaml="")
    folder = repository.root / "maps"
    (folder / "a_yaml").unlink()
    (folder / "flags.yaml").write_text(flags)
    (folder / "more.yaml").write_text(flags.replace("flags", "more"))
    (repository.root / "values").write_text("a: {maps: 2}\n")
    repository.commit()
    (folder / "more.yaml").unlink()
    (repository.root / "values").write_text("a: {maps: 1}\n")
    arguments = ["build", "dsl", "--params", "values", "--against"]
    assert main([*arguments, "git:HEAD"]) == 1
    errors = capfd.readouterr().err
    assert "4 objects (ConfigMap ×4) of the IslandSet `a` are gone: " in errors
    repository.commit()
    assert main([*arguments, "git:main"]) == 0
    assert main([*arguments, "git:main~1", "--allow-removed"]) == 0
    assert "to be deleted: 4 objects\n" in capfd.readouterr().err


def test_a_revision_seen_from_a_folder(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    repository.commit(team__dsl=text_of(WEB, of("a", islands="xy")), web=text_of(WEB))
    repository.commit(team__dsl=text_of(WEB, of("a", islands="y")), team__new=text_of(of("b", islands="x")))
    monkeypatch.chdir(repository.root / "team")
    assert main(["build", "dsl", "new", "--against", "git:HEAD"]) == 0, "an input may be new"
    assert main(["build", "dsl", "new", "--against", "git:HEAD~1"]) == 1
    assert "the island `a/x` is gone, with 1 object (Deployment)" in capfd.readouterr().err
    assert main(["build", str(repository.root / "team" / "dsl"), "--against", "git:HEAD~1", "--allow-removed"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dsl", "--against", "git:no-such"], "there is no revision `no-such` in this repository"),
        (["dsl", "--against", "git:--all"], "there is no revision `--all` in this repository"),
        (["dsl", "--against", "git:^main"], "there is no revision `^main` in this repository"),
        (["dsl", "--against", "git:"], "there is no revision `` in this repository"),
        (["dsl", "--against", "git:HEAD~1"], "`git:HEAD~1` does not compile: R0302, there is no IslandType"),
        (["new", "--against", "git:HEAD"], "none of the inputs is in `git:HEAD`"),
        (["../dsl", "--against", "git:HEAD"], "`../dsl` is outside of the repository"),
        (["-", "--against", "git:HEAD"], "standard input has no earlier revision"),
    ],
)
def test_a_revision_that_cannot_be_had(
    arguments: list[str], message: str, repository: Repository, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    good = text_of(WEB, of("a", islands="x"))
    repository.commit(dsl=text_of(of("a", islands="x")))
    repository.commit(dsl=good)
    (repository.root / "new").write_text(good)
    outside = repository.root.parent / "dsl"
    outside.write_text(good)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(good.encode())))
    try:
        assert main(["build", *arguments]) == 2
    finally:
        outside.unlink()
    output, errors = capfd.readouterr()
    assert output == ""
    assert errors.startswith(f"error[R0806]: {message}"), errors
    assert "/replicator-" not in errors
    assert "Traceback" not in errors


def test_without_git(
    place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    written(place.file, WEB, of("a", islands="x"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert place.run("--against", "git:HEAD") == 2
    assert place.err.startswith("error[R0806]: git: not a git repository")
    monkeypatch.setenv("PATH", "")
    assert place.run("--against", "git:HEAD") == 2
    assert place.err.startswith("error[R0806]: there is no `git` here")


# Whatever is built after whatever


KINDS = ("web", "db", "files")


@st.composite
def builds(draw: st.DrawFn) -> tuple[list[dict[str, Any]], bool]:
    """Some Sets, and whether what is gone is allowed to be."""
    sets = []
    for name in draw(st.lists(st.sampled_from(["a", "a-x", "b"]), unique=True)):
        keys = draw(st.lists(st.sampled_from(["x", "y", "x-y"]), unique=True))
        gone = draw(st.lists(st.sampled_from(["x", "y", "x-y"]), unique=True))
        removed = {key: {"data": draw(st.sampled_from(["retain", "delete"]))} for key in gone if key not in keys}
        where = draw(st.sampled_from([{}, SPACES]))
        sets.append(of(name, draw(st.sampled_from(KINDS)), islands=keys, removed=removed, **where))
    return sets, draw(st.booleans())


HOLDERS = {"PersistentVolumeClaim", "Namespace"}
Identity = tuple[str, str, str]


def identity(item: dict[str, Any]) -> Identity:
    return item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]


def made_by(items: Iterable[dict[str, Any]]) -> set[Identity]:
    """The claims that StatefulSets make."""
    return {
        ("PersistentVolumeClaim", item["metadata"]["namespace"], f"data-{item['metadata']['name']}-{ordinal}")
        for item in items
        if item["kind"] == "StatefulSet"
        for ordinal in range(2)
    }


@given(st.lists(builds(), min_size=2, max_size=4))
@examples(40, whole_projects=True)
def test_nothing_disappears_without_a_word(steps: list[tuple[list[dict[str, Any]], bool]]) -> None:
    """A cluster to which all that is written is applied, and of which all that is listed is deleted, has what the last
    build wrote and what holds data and nobody gave up; and a build is refused where somebody did not say what is gone.
    """
    cluster: dict[Identity, tuple[str, str]] = {}  # the Set and the island that an object is of
    volumes: dict[Identity, tuple[str, str]] = {}
    before: dict[Identity, tuple[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        output, listed, file = Path(folder) / "out", Path(folder) / "gone.yaml", Path(folder) / "dsl.yaml"
        for sets, allow in steps:
            written(file, WEB, DB, FILES, *sets)
            plain = compiled(file)
            if plain is None:  # no build at all: two islands of one name
                continue
            labels = {identity(item): item["metadata"].get("labels", {}) for item in plain}
            now = {
                key: (value.get("replicator.dev/set", ""), value.get("replicator.dev/island", ""))
                for key, value in labels.items()
            }
            words = {
                f"{one['metadata']['name']}-{key}": word["data"]
                for one in sets
                for key, word in one["spec"]["removed"].items()
            }
            there = {island for _, island in now.values()}
            gone = {key: of for key, of in before.items() if key not in now}
            said = {key: words.get(of[1], "") if of[1] not in there else "" for key, of in gone.items()}
            arguments = ["build", str(file), "-o", str(output), "--deletions", str(listed)]
            with redirect_stderr(io.StringIO()) as errors:
                code = main([*arguments, *(["--allow-removed"] if allow else [])])
            assert code == (0 if allow or all(said.values()) else 1), errors.getvalue()
            if code:
                continue
            deleted = [identity(item) for item in documents_of(listed)]
            assert len(deleted) == len(set(deleted))
            claims = {claim: of for claim, of in volumes.items() if claim not in made_by(plain)}
            given_up = {
                key for key, of in {**gone, **claims}.items() if words.get(of[1]) == "delete" and of[1] not in there
            }
            spaces = {key for key in given_up if key[0] == "Namespace"}
            wanted = {key for key in gone if key[0] not in HOLDERS} | (given_up - spaces)
            assert set(deleted) - spaces - set(claims) == wanted - set(claims)
            assert set(deleted) & set(claims) <= given_up
            cluster |= now
            volumes |= {claim: of_claim(claim, plain) for claim in made_by(plain)}
            for key in deleted:
                cluster.pop(key, None)
                volumes.pop(key, None)
            assert now.keys() <= cluster.keys()
            assert {key for key in cluster.keys() - now.keys() if key[0] not in HOLDERS} == set()
            before = now


def of_claim(claim: Identity, items: Iterable[dict[str, Any]]) -> tuple[str, str]:
    (owner,) = (item for item in items if claim in made_by([item]))
    labels = owner["metadata"]["labels"]
    return labels["replicator.dev/set"], labels["replicator.dev/island"]


def compiled(file: Path) -> list[dict[str, Any]] | None:
    """The objects that a file compiles to, or None where it does not."""
    built = compile_sources([Source(file.name, file.read_bytes())])
    if has_errors(built.diagnostics):
        return None
    return [one for one in yaml.safe_load_all(b"".join(built.texts())) if one is not None]


# The list, and the real kubectl


@pytest.mark.skipif(not KUBECTL.exists(), reason="kubectl is not installed beside Python")
@pytest.mark.parametrize("islands", ["y", "xy"])
def test_kubectl_deletes_what_is_listed(islands: str, place: Place) -> None:
    """Also where nothing is; routes first, and the Namespace last."""
    sets = of("a", "web", islands="xy", **SPACES)
    routes = routing("gloo", EACH)
    assert place.build(PORTED, sets, routes) == 0
    items = [item for path in sorted(place.output.rglob("*.yaml")) for item in documents_of(path)]
    word = {key: {"data": "delete"} for key in set("xy") - set(islands)}
    assert place.build(PORTED, of("a", "web", islands=islands, removed=word, **SPACES), routes) == 0, place.err
    gone = [(item["kind"], item["metadata"]["name"]) for item in documents_of(place.list)]
    expected = [("Upstream", "front-a-x-http"), ("Deployment", "api"), ("Service", "api"), ("Namespace", "a-x")]
    assert gone == (expected if islands == "y" else [])
    cluster = Cluster({(item["apiVersion"], item["kind"]): item["kind"] != "Namespace" for item in items})
    for item in items:
        cluster.store(item)
    left = {cluster.path(item) for item in items} - {cluster.path(item) for item in documents_of(place.list)}
    with serving(cluster) as url:
        command = [KUBECTL, f"--server={url}", "delete", "--ignore-not-found", "--wait=false", "-f", place.list]
        for _ in range(2):
            done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert set(cluster.objects) == left
