"""`scale`: islands come and go, with zones and tombstones, and only what says so is edited."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from replicator.cli import main

HEAD = """\
---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: cart, namespace: shop}
spec:
  type: cart
"""
COUNTED = HEAD + "  replicas: 3   # cells\n"
KEYED = HEAD + "  islands:\n    cell-1: {}   # first\n    cell-2: {}\n"
TYPE = """\
---
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: cart}
spec:
  units: {api: {image: x}}
"""
REGION = TYPE.replace("cart", "region") + "  sets:\n    cell: {type: cart, replicas: 3}   # in each\n"
REGIONS = HEAD.replace("cart", "region") + "  islands: {eu: {}, us: {}}\n"
PARTITION = """\
---
apiVersion: replicator.dev/v1alpha1
kind: Partition
metadata: {name: tenants}
spec:
  set: cart
  key: {header: x-tenant}
"""


class Files:
    """A file of the DSL in a folder of its own."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.file = folder / "dsl.yaml"
        self._capfd = capfd

    def run(self, text: str, *arguments: str) -> tuple[int, str, str]:
        """The exit code, what is printed, and what the file is afterwards; errors are printed too, as their codes."""
        self.file.write_bytes(text.encode())
        code = main(["scale", str(self.file), *arguments])
        out, errors = self._capfd.readouterr()
        found = re.findall(r"^error\[(R\d+)\]: (.*)\n(?:  --> .*:(\d+):\d+\n)?", errors, re.MULTILINE)
        told = "".join(f"{line}: {one} {message}\n" for one, message, line in found)
        return code, out + (told or errors), self.file.read_bytes().decode()

    def builds(self, text: str) -> bool:
        """Whether a text compiles without a word."""
        self.file.write_bytes(text.encode())
        code = main(["build", str(self.file)])
        return (code, self._capfd.readouterr().err) == (0, "")


@pytest.fixture
def files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Files:
    return Files(tmp_path, capfd)


@pytest.mark.parametrize(
    ("before", "arguments", "after", "told"),
    [
        (COUNTED, "5", COUNTED.replace(" 3 ", " 5 "), "cart: 3 → 5 islands\n+ cart/3\n+ cart/4\n"),
        (COUNTED, "+1", COUNTED.replace(" 3 ", " 4 "), "cart: 3 → 4 islands\n+ cart/3\n"),
        (COUNTED, "3", COUNTED, "cart: 3 islands, as before\n"),
        (
            COUNTED,
            "-2",
            COUNTED.replace(" 3 ", " 1 ") + '  removed:\n    "1": {data: retain}\n    "2": {data: retain}\n',
            "cart: 3 → 1 island\n- cart/1: its data is retained\n- cart/2: its data is retained\n",
        ),
        (
            COUNTED + "  removed: {0: {}}\n  start: 1\n",
            "2 --data delete",
            COUNTED.replace(" 3 ", " 2 ") + "  removed: {0: {}, 3: {data: delete}}\n  start: 1\n",
            "cart: 3 → 2 islands\n- cart/3: its data is to be deleted\n",
        ),
        (
            COUNTED + "  start: 1\n  reserved: [2]\n  form: pods\n  workload: AdvancedStatefulSet\n",
            "2",
            COUNTED.replace(" 3 ", " 2 ")
            + "  start: 1\n  reserved: [2]\n  form: pods\n  workload: AdvancedStatefulSet\n"
            + '  removed:\n    "4": {data: retain}\n',
            "cart: 3 → 2 islands\n- cart/4: its data is retained\n",
        ),
        (
            COUNTED + "  placement:\n    zones: [a, b]\n    assigned: {a: '0,2', b: '1'}  # z\n",
            "6",
            COUNTED.replace(" 3 ", " 6 ")
            + "  placement:\n    zones: [a, b]\n    assigned: {a: '0,2,4', b: '1,3,5'}  # z\n",
            "cart: 3 → 6 islands\n+ cart/3 in zone b\n+ cart/4 in zone a\n+ cart/5 in zone b\n",
        ),
        (
            HEAD + "  replicas: 2\n  placement: {zones: [a, b], assigned: {a: 0-2}}\n",  # a zone is there before
            "4",
            HEAD + "  replicas: 4\n  placement: {zones: [a, b], assigned: {a: 0-2, b: 3}}\n",
            "cart: 2 → 4 islands\n+ cart/2 in zone a\n+ cart/3 in zone b\n",
        ),
        (
            HEAD + "  replicas: 0\n  placement: {zones: [a, b]}\n",
            "2",
            HEAD + '  replicas: 2\n  placement: {zones: [a, b], assigned: {a: "0", b: "1"}}\n',
            "cart: 0 → 2 islands\n+ cart/0 in zone a\n+ cart/1 in zone b\n",
        ),
        (
            COUNTED + "  placement: {zones: [a, b], assigned: {a: 0-1, b: 2}}\n",
            "1",
            COUNTED.replace(" 3 ", " 1 ")
            + "  placement: {zones: [a, b], assigned: {a: 0}}\n"
            + '  removed:\n    "1": {data: retain}\n    "2": {data: retain}\n',
            "cart: 3 → 1 island\n- cart/1: its data is retained\n- cart/2: its data is retained\n",
        ),
        (
            KEYED,
            "4",
            KEYED + "    cell-3: {}\n    cell-4: {}\n",
            "cart: 2 → 4 islands\n+ cart/cell-3\n+ cart/cell-4\n",
        ),
        (
            KEYED + "  removed: {cell-3: {}}\n  placement: {zones: [a, b]}\n",
            "+2",
            KEYED
            + "    cell-4: {zone: a}\n    cell-5: {zone: b}\n  removed: {cell-3: {}}\n  placement: {zones: [a, b]}\n",
            "cart: 2 → 4 islands\n+ cart/cell-4 in zone a\n+ cart/cell-5 in zone b\n",
        ),
        (
            KEYED + "  removed: {cell-3: {}, old: {}}\n",
            "+1 --reuse",
            KEYED + "    cell-3: {}\n  removed: {old: {}}\n",
            "cart: 2 → 3 islands\n+ cart/cell-3\n",
        ),
        (
            HEAD + "  islands: {c10: {}, c9: {}, eu: {}}\n",
            "1",
            HEAD + "  islands: {c9: {}}\n  removed:\n    c10: {data: retain}\n    eu: {data: retain}\n",
            "cart: 3 → 1 island\n- cart/c10: its data is retained\n- cart/eu: its data is retained\n",
        ),
        (
            HEAD + "  islands: {1: {}, 2: {}}\n",
            "3",
            HEAD + "  islands: {1: {}, 2: {}, 3: {}}\n",
            "cart: 2 → 3 islands\n+ cart/3\n",
        ),
        (
            KEYED,
            "0",
            HEAD + "  islands: {}\n  removed:\n    cell-1: {data: retain}\n    cell-2: {data: retain}\n",
            "cart: 2 → 0 islands\n- cart/cell-1: its data is retained\n- cart/cell-2: its data is retained\n",
        ),
    ],
)
def test_only_this_changes(files: Files, before: str, arguments: str, after: str, told: str) -> None:
    assert files.run(before, "cart", *arguments.split()) == (0, told, after)


@pytest.mark.parametrize("amount", ["5", "-1", "0"])
@pytest.mark.parametrize("before", [COUNTED, KEYED])
def test_what_comes_of_it_compiles(files: Files, before: str, amount: str) -> None:
    amount = amount if before == COUNTED or amount != "5" else "+3"
    code, _, after = files.run(TYPE + before, "cart", amount)
    assert code == 0
    assert files.builds(after)


def test_a_key_is_not_used_again_unasked(files: Files) -> None:
    text = COUNTED + '  removed: {"3": {}, "4": {}, old: {}}\n'
    code, told, after = files.run(text, "cart", "6")
    assert (code, after) == (1, text)
    assert told == "8: R0812 a key is never used again, and there are tombstones of `3`, `4`\n"
    code, _, after = files.run(text, "cart", "6", "--reuse")
    assert (code, after) == (0, COUNTED.replace(" 3 ", " 6 ") + "  removed: {old: {}}\n")


def test_what_went_comes_back_as_it_was(files: Files) -> None:
    text = COUNTED + "  removed: {old: {}}\n  placement: {zones: [a, b], assigned: {a: '0,2', b: '1'}}\n"
    _, _, small = files.run(text, "cart", "-1")
    _, _, after = files.run(small, "cart", "+1", "--reuse")
    assert after == text


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("  pins: {a: 2}\n", "14: R0812 the Partition `tenants` gives keys to the island `2`"),
        ("  keys: {a: 2, b: 2}\n", "14: R0812 the Partition `tenants` gives keys to the island `2`"),
        ("  hex: {digits: last, table: {2: 0-f}}\n", "14: R0812 the Partition `tenants` gives keys to the island `2`"),
        ("  buckets: {count: 1, table: {2: 0}}\n", "14: R0812 the Partition `tenants` gives keys to the island `2`"),
        ("  keys: {a: 0}\n  otherwise: {island: 2}\n", "15: R0812 the Partition"),
        ("  moves: [{keys: [a], from: 0, to: 2, phase: mirror}]\n", "14: R0812 the Partition"),
    ],
)
def test_an_island_with_keys_stays(files: Files, more: str, told: str) -> None:
    text = COUNTED.replace("---\n", "") + PARTITION + more
    code, found, after = files.run(text, "cart", "2")
    assert (code, after) == (1, text)
    assert found.startswith(told)
    assert found.count("R08") == 1
    assert files.run(text, "cart", "4")[0] == 0


ROUTING = """\
---
apiVersion: replicator.dev/v1alpha1
kind: Routing
metadata: {name: web, namespace: shop}
spec:
  provider: istio
  hosts: [shop.example.com]
  gateway: {namespace: istio-system, name: public}
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            KEYED + "  waves: [{islands: [cell-2]}, {rest: true}]\n",
            "10: R0812 `cell-2` in `waves` would match no island of `cart` any more\n",
        ),
        (
            KEYED + "  waves:\n    - {islands: [cell-1]}\n    - {islands: ['*-[2-9]']}\n",
            "12: R0812 `*-[2-9]` in `waves` would match no island of `cart` any more\n",
        ),
        (
            KEYED + "  overrides: [{islands: [cell-1, cell-2], params: {}}]\n",
            "10: R0812 `cell-2` in `overrides` would match no island of `cart` any more\n",
        ),
        (
            COUNTED + "  overrides: [{islands: ['[2-9]'], params: {}}]\n",
            "8: R0812 `[2-9]` in `overrides` would match no island of `cart` any more\n",
        ),
        (
            KEYED + ROUTING + "  routes: [{to: {island: cart/cell-2}}]\n",
            "18: R0812 a route of the Routing `web` names the island `cart/cell-2`\n",
        ),
        (
            KEYED + ROUTING + "  routes: [{to: {island: cart/cell-1}, mirror: {island: cart/cell-2}}]\n",
            "18: R0812 a mirror of the Routing `web` names the island `cart/cell-2`\n",
        ),
        (
            KEYED
            + ROUTING
            + "  routes: [{to: {island: cart/cell-1}}]\n"
            + "  tests: [{name: a, request: {path: /}, expect: {island: cart/cell-2}}]\n",
            "19: R0812 a test of the Routing `web` names the island `cart/cell-2`\n",
        ),
        (
            KEYED + ROUTING + "  routes: [{to: {island: cart/cell-2/api/0}}]\n",  # inside the one that goes
            "18: R0812 a route of the Routing `web` names the island `cart/cell-2/api/0`\n",
        ),
    ],
)
def test_an_island_that_is_named_stays(files: Files, text: str, told: str) -> None:
    assert files.run(text, "cart", "-1") == (1, told, text)


def test_an_inner_island_that_is_named_stays(files: Files) -> None:
    inner = REGION.replace("replicas: 3", "replicas: 3, overrides: [{islands: ['2'], params: {}}]")
    text = TYPE + inner + REGIONS + ROUTING + "  routes: [{to: {island: region/us/cell/2}}]\n"
    code, told, after = files.run(text, "region/cell", "2")
    assert (code, after) == (1, text)
    assert told == (
        "14: R0812 `2` in `overrides` would match no island of `region/cell` any more\n"
        "30: R0812 a route of the Routing `web` names the island `region/us/cell/2`\n"
    )


def test_what_still_matches_an_island_stays(files: Files) -> None:
    """Globs that match another, names of islands of other Sets, and what matched nothing before."""
    text = (
        KEYED
        + "  overrides: [{islands: ['cell-*', old], params: {}}]\n  waves: [{islands: ['*']}]\n"
        + ROUTING
        + "  routes: [{to: [{island: cart/cell-1}, {island: other/cell-2}, {island: cart/x/cell-2}]}]\n"
    )
    code, _, after = files.run(text, "cart", "-1")
    assert code == 0
    assert "    cell-2: {}\n" not in after


def test_a_set_inside_islands_changes_in_all_of_them(files: Files) -> None:
    text = TYPE + REGION + REGIONS
    code, told, after = files.run(text, "region/cell", "5")
    assert (code, after) == (0, text.replace("replicas: 3", "replicas: 5"))
    assert told == "region/cell: 3 → 5 islands in each of 2\n+ region/cell/3\n+ region/cell/4\n"
    code, told, after = files.run(text, "region/cell", "2")
    tombs = "  removed:\n    eu/cell/2: {data: retain}\n    us/cell/2: {data: retain}\n"
    assert (code, after) == (0, text.replace("replicas: 3", "replicas: 2") + tombs)
    assert files.builds(after)
    assert files.run(after, "region/cell", "3")[1].startswith("23: R0812 a key is never used again")
    code, _, after = files.run(after, "region/cell", "3", "--reuse")
    assert (code, after) == (0, text + "  removed: {}\n")


def test_islands_of_another_implementation_hold_no_sets(files: Files) -> None:
    text = TYPE + REGION + REGIONS.replace("us: {}", "us: {implementation: vm}")
    code, told, after = files.run(text, "region/cell", "2")
    assert code == 0
    assert told.startswith("region/cell: 3 → 2 islands in each of 1\n")
    assert after.endswith("  removed:\n    eu/cell/2: {data: retain}\n")


def test_keys_of_islands_inside_islands(files: Files) -> None:
    partition = PARTITION.replace("set: cart", "set: region/cell") + "  keys: {a: us/2}\n"
    text = TYPE + REGION + REGIONS + partition
    for path, amount in (("region/cell", "2"), ("region", "1")):
        code, told, after = files.run(text, path, amount)
        assert (code, after) == (1, text)
        assert told == "29: R0812 the Partition `tenants` gives keys to the island `us/2`\n"


def test_all_islands_with_keys_are_removed_by_one_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What the help says is run, and then the island goes."""
    table = "  buckets: {header: x-bucket, count: 6, table: {eu/0: '0-2', us/0: 3, us/1: '4,5'}}\n"
    file = tmp_path / "dsl.yaml"
    file.write_text(TYPE + REGION + REGIONS + PARTITION.replace("set: cart", "set: region/cell") + table)
    assert main(["scale", str(file), "region", "-1"]) == 1
    errors = capfd.readouterr().err
    assert errors.startswith("error[R0812]: the Partition `tenants` gives keys to the islands `us/0`, `us/1`\n")
    assert re.findall(r"^help: (.*)$", errors, re.MULTILINE) == [
        "first `replicator rebalance … --remove us/0 --remove us/1` with these files"
    ]
    assert main(["rebalance", str(file), "--remove", "us/0", "--remove", "us/1"]) == 0
    assert main(["scale", str(file), "region", "-1"]) == 0


@pytest.mark.parametrize(
    ("text", "arguments", "code", "told"),
    [
        (COUNTED, "shop 1", 2, ": R0802 there is no Set `shop` in these files"),
        (COUNTED, "cart -4", 2, ": R0802 there are only 3 islands, 4 cannot go"),
        (COUNTED, "cart 11 --max-islands 10", 1, ": R0508 11 islands are more than 10"),
        (COUNTED, "cart many", 2, "Usage:"),
        (COUNTED, "cart --dry 1", 2, "Usage:"),
        (HEAD + "  islands: {eu: {}, us: {}}\n", "cart 3", 1, "7: R0812 what the next islands of `cart` are called"),
        (HEAD + "  islands: {a1: {}, b2: {}}\n", "cart 3", 1, "7: R0812 what the next islands of `cart` are called"),
        (HEAD + "  islands: {}\n", "cart 3", 1, "7: R0812 what the next islands of `cart` are called"),
        (HEAD + "  matrix: {a: [b, c]}\n", "cart 3", 1, "7: R0812 the islands of a matrix are its values"),
        (
            TYPE + REGION.replace("replicas: 3", "replicas: '{{ 3 }}'") + REGIONS,
            "region/cell 2",
            1,
            "14: R0812 `region/cell` has no literal number of islands",
        ),
        (COUNTED + "  placement: {zones: [a], assigned: {a: x}}\n", "cart 4", 1, "8: R0812 zone `a`: `x` is neither"),
        (COUNTED + COUNTED.replace("shop", "b"), "cart 4", 1, "4: R0812 several Sets have the name `cart`"),
        (HEAD + "  replicas: &n 3\n  start: *n\n", "cart 4", 1, "7: R0810 `spec.replicas` cannot be edited safely"),
    ],
)
def test_what_is_refused(files: Files, text: str, arguments: str, code: int, told: str) -> None:
    """The finding is where it is to be mended, and nothing is written."""
    found, words, after = files.run(text, *arguments.split())
    assert (found, after) == (code, text)
    assert words.startswith(told)


def test_a_dry_run_and_json(files: Files) -> None:
    code, told, after = files.run(COUNTED, "cart", "-1", "--dry-run", "--format", "json")
    assert (code, after) == (0, COUNTED)
    data = json.loads(told)
    assert (data["before"], data["after"], data["removed"]) == (3, 2, [{"key": "2", "data": "retain"}])
    assert "+  replicas: 2   # cells\n" in data["diff"]
    assert not data["written"]


def test_several_files(tmp_path: Path) -> None:
    """The Type is in one file, the Set with the tombstones in another."""
    (tmp_path / "types.yaml").write_text(TYPE + REGION)
    (tmp_path / "sets.yaml").write_text(REGIONS)
    assert main(["scale", str(tmp_path), "region/cell", "2"]) == 0
    assert (tmp_path / "types.yaml").read_text() == TYPE + REGION.replace("replicas: 3", "replicas: 2")
    assert (tmp_path / "sets.yaml").read_text().startswith(REGIONS + "  removed:\n    eu/cell/2: {data: retain}\n")
