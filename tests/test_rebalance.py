"""`rebalance`: the fewest moves that the direction allows, shares by weight, and only the table edited."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator import ranges
from replicator.cli import main
from replicator.editing.balance import Direction, Plan, is_even, plan
from replicator.ranges import Range

Owned = dict[str, tuple[Range, ...]]


def apply(owned: Mapping[str, tuple[Range, ...]], made: Plan) -> Owned:
    """The table after the moves; each must be of what its origin has."""
    numbers = {name: set(ranges.numbers(given)) for name, given in owned.items()}
    for move in made.moves:
        moved = set(ranges.numbers(move.ranges))
        assert moved
        assert moved <= numbers[move.origin]
        numbers[move.origin] -= moved
        numbers.setdefault(move.target, set()).update(moved)
    return {name: ranges.of_numbers(having) for name, having in numbers.items()}


def counts(owned: Mapping[str, tuple[Range, ...]], names: Collection[str]) -> dict[str, int]:
    return {name: ranges.count(owned.get(name, ())) for name in names}


def moved(made: Plan) -> int:
    return sum(move.number for move in made.moves)


def fewest(before: Mapping[str, int], weights: Mapping[str, int], direction: Direction | None) -> int | None:
    """The fewest moves of all assignments that are even and can be reached; None where there is none."""
    total, whole = sum(before.values()), sum(weights.values())
    possible = [range(total * weight // whole, -(-total * weight // whole) + 1) for weight in weights.values()]
    found = []
    for after in itertools.product(*possible):
        if sum(after) != total:
            continue
        gain = {name: number - before[name] for name, number in zip(weights, after, strict=True)}
        if direction is not None:
            held = sum(-one for name, one in gain.items() if one < 0 and name not in direction.givers)
            taken = sum(one for name, one in gain.items() if one > 0 and name in direction.receivers)
            if held > taken:
                continue
        found.append(sum(one for one in gain.values() if one > 0))
    return min(found, default=None)


def tables(size: int, number: int) -> Iterator[dict[str, int]]:
    for shares in itertools.product(range(size + 1), repeat=number):
        if sum(shares) == size:
            yield dict(zip("abcd", shares, strict=False))


def directions(names: list[str]) -> list[Direction | None]:
    first, last = names[0], names[-1]
    single = [Direction(givers, receivers) for one in names for givers, receivers in (((), one), (one, one))]
    return [None, *single, Direction(first, last), Direction([first, last], last)]


@pytest.mark.parametrize("size", range(1, 9))
def test_no_assignment_is_reached_with_fewer_moves(size: int) -> None:
    """Against all assignments of small tables to at most four islands, with weights, in every direction."""
    seen = 0
    for number in range(1, 5):
        for turn, before in enumerate(tables(size, number)):
            for other, wanted in enumerate(itertools.product((0, 1, 2, 5), repeat=number)):
                if not sum(wanted) or (number > 2 and (turn + other) % (13 if number == 4 else 3)):
                    continue
                weights = dict(zip(before, wanted, strict=True))
                ends = list(itertools.accumulate(before.values(), initial=0))
                owned = {
                    name: ranges.of_numbers(range(start, end))
                    for name, (start, end) in zip(before, itertools.pairwise(ends), strict=True)
                }
                for direction in directions(list(before)):
                    made = plan(owned, weights, direction)
                    best = fewest(before, weights, direction)
                    after = counts(apply(owned, made), weights)
                    seen += 1
                    assert (best is None) == made.uneven, (before, weights, direction)
                    assert best is None or (moved(made), is_even(after, weights)) == (best, True)
                    for move in made.moves if direction else ():
                        assert move.origin in direction.givers or move.target in direction.receivers  # type: ignore[union-attr]
    assert seen > 10


@st.composite
def owned_tables(draw: st.DrawFn) -> Owned:
    """Tables of up to 300 numbers in ranges, with up to six owners."""
    owners = draw(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 40)), min_size=1, max_size=30))
    numbers: dict[str, list[int]] = {}
    first = 0
    for name, length in owners:
        numbers.setdefault(name, []).extend(range(first, first + length))
        first += length
    return {name: ranges.of_numbers(having) for name, having in numbers.items()}


@given(owned_tables(), st.lists(st.integers(0, 9), min_size=6, max_size=6), st.integers(1, 30))
def test_small_steps_lead_to_the_same_end(owned: Owned, given_weights: list[int], step: int) -> None:
    weights = dict(zip("abcdef", given_weights, strict=True)) | {"g": 1}
    whole = plan(owned, weights)
    assert is_even(counts(apply(owned, whole), weights), weights)
    total, start = 0, owned
    while True:
        made = plan(owned, weights, limit=step)
        assert moved(made) == min(step, moved(whole) - total)
        assert made.remaining == moved(whole) - total - moved(made)
        total += moved(made)
        owned = apply(owned, made)
        if not made.remaining:
            break
    assert total == moved(whole)
    assert counts(owned, weights) == counts(apply(start, whole), weights)
    assert plan(owned, weights) == Plan((), 0, False)


@given(owned_tables(), st.integers(1, 30), st.sampled_from(["add", "remove"]))
def test_small_steps_in_a_direction(owned: Owned, step: int, what: str) -> None:
    first = sorted(owned)[0]
    direction = Direction((), ("new",)) if what == "add" else Direction((first,), ())
    weights = {**dict.fromkeys("abcdef", 1), **({"new": 1} if what == "add" else {first: 0})}
    whole = plan(owned, weights, direction)
    left = owned
    while (made := plan(left, weights, direction, step)).moves:
        left = apply(left, made)
    assert counts(left, weights) == counts(apply(owned, whole), weights)


@pytest.mark.parametrize("striped", [False, True])
def test_the_bounds_of_a_large_table(striped: bool) -> None:
    size, number = 65_536, 1000
    numbers: dict[str, list[int]] = {f"i{one}": [] for one in range(number)}
    for one in range(size):
        numbers[f"i{one % number if striped else one * number // size}"].append(one)
    owned = {name: ranges.of_numbers(having) for name, having in numbers.items()}
    weights = dict.fromkeys(owned, 1)
    made = plan(owned, weights | {"new": 1}, Direction((), ("new",)))
    assert {move.target for move in made.moves} == {"new"}
    assert size // (number + 1) <= moved(made) <= -(-size // (number + 1))
    assert is_even(counts(apply(owned, made), weights | {"new": 1}), weights | {"new": 1})
    made = plan(owned, weights | {"i7": 0}, Direction(("i7",), ()))
    assert {move.origin for move in made.moves} == {"i7"}
    assert moved(made) == len(numbers["i7"])
    assert is_even(counts(apply(owned, made), weights), weights | {"i7": 0})


@pytest.mark.parametrize("number", range(1, 40))
def test_one_more_island_takes_no_more_than_its_share(number: int) -> None:
    owned = {f"i{one}": ranges.of_numbers(range(one, 256, number)) for one in range(number)}
    made = plan(owned, dict.fromkeys([*owned, "new"], 1), Direction((), ("new",)))
    assert moved(made) <= -(-256 // (number + 1))
    assert not made.uneven


def test_tables_stay_readable() -> None:
    """Numbers are taken beside those of their new owner, or from the ends of ranges."""
    owned: Owned = {"eu": (Range(0, 127),), "us": (Range(128, 255),)}
    for name in ("ap", "sa", "af"):
        owned = apply(owned, plan(owned, dict.fromkeys([*owned, name], 1), Direction((), (name,))))
    assert sum(map(len, owned.values())) <= 9
    assert apply(owned, plan(owned, {**dict.fromkeys(owned, 1), "ap": 0}, Direction(("ap",), ())))["ap"] == ()


# The command

PARTITION = """\
apiVersion: replicator.dev/v1alpha1
kind: Partition
metadata: {name: tenants}   # who is where
spec:
  set: cart
  key: {header: x-tenant}
"""
BUCKETS = (
    PARTITION
    + """\
  buckets:
    header: x-bucket
    count: 256
    table:            # all of them
      eu: "0-127"     # Europe

      us: '128-255'   # and the rest
"""
)
SET = """\
---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: cart, namespace: shop}
spec: {type: cart, islands: {eu: {}, us: {}, ap: {}}}
"""


class Files:
    """A file of the DSL in a folder of its own."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.file = folder / "dsl.yaml"
        self._capfd = capfd

    def run(self, text: str, *options: str) -> tuple[int, str, str]:
        """The exit code, what is printed, and what the file is afterwards; errors are printed too, as their codes."""
        self.file.write_bytes(text.encode())
        code = main(["rebalance", str(self.file), *options])
        out, errors = self._capfd.readouterr()
        found = re.findall(r"^error\[(R\d+)\]: (.*)\n(?:  --> .*:(\d+):\d+\n)?", errors, re.MULTILINE)
        told = "".join(f"{line}: {one} {message}\n" for one, message, line in found)
        assert found or not errors or code == 2, errors
        return code, out + told, self.file.read_bytes().decode()


@pytest.fixture
def files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Files:
    return Files(tmp_path, capfd)


def test_an_island_is_added(files: Files) -> None:
    code, told, after = files.run(BUCKETS + SET, "--add", "ap")
    assert code == 0
    assert told.splitlines() == [
        "eu → ap: 42 buckets (86-127): 16.4 % of the keys",
        "us → ap: 43 buckets (128-170): 16.8 % of the keys",
        "tenants: 85 buckets: 33.2 % of the keys moved",
    ]
    changed = BUCKETS.replace('"0-127"', '"0-85"').replace("'128-255'", "'171-255'")
    assert after == changed + "      ap: '86-170'\n" + SET
    assert files.run(after, "--add", "ap") == (0, "tenants: nothing to move\n", after)
    assert files.run(after) == (0, "tenants: nothing to move\n", after)


def test_an_island_is_removed(files: Files) -> None:
    code, told, after = files.run(BUCKETS, "--remove", "us")
    assert code == 0
    assert told.startswith("us → eu: 128 buckets (128-255): 50.0 % of the keys\n")
    assert after == BUCKETS.replace('"0-127"', '"0-255"').replace("      us: '128-255'   # and the rest\n", "")


def test_a_dry_run_writes_nothing(files: Files) -> None:
    code, told, after = files.run(BUCKETS, "--add", "ap", "--max-moves", "1", "--dry-run")
    assert (code, after) == (0, BUCKETS)
    assert "84 buckets still to move: run it again\n" in told
    assert '\n-      eu: "0-127"     # Europe\n+      eu: "0-126"     # Europe\n' in told
    assert "\n+      ap: '127'\n" in told


def test_no_moves_at_all_are_no_nothing_to_move(files: Files) -> None:
    told = "tenants: 85 buckets: 33.2 % of the keys to move; --max-moves 0 moves none\n"
    assert files.run(BUCKETS + SET, "--add", "ap", "--max-moves", "0") == (0, told, BUCKETS + SET)
    even = BUCKETS + SET.replace(", ap: {}", "")
    assert files.run(even, "--max-moves", "0") == (0, "tenants: nothing to move\n", even)


def test_an_island_that_gets_nothing_is_told_why(files: Files) -> None:
    nothing = "tenants: nothing to move\n"
    text = BUCKETS + SET.replace("ap: {}", "ap: {weight: 0}")
    assert files.run(text, "--add", "ap")[:2] == (0, nothing + "ap gets nothing: its weight is 0\n")
    few = PARTITION + "  buckets: {header: x-bucket, count: 2, table: {eu: 0, us: 1}}\n" + SET
    for options in (("--add", "ap"), ("--weight", "ap=1")):
        found = files.run(few, *options)
        assert found == (0, nothing + "ap gets nothing: its share is less than 1 bucket\n", few)
    keys = PARTITION + "  keys: {a: eu, b: us}\n" + SET
    assert files.run(keys, "--add", "ap")[1] == nothing + "ap gets nothing: its share is less than 1 key\n"
    _, told, _ = files.run(BUCKETS + SET, "--add", "ap", "--max-moves", "0")
    assert "gets nothing" not in told  # it will


def test_weights_are_those_of_the_set_and_of_the_run(files: Files) -> None:
    weighted = SET.replace("ap: {}", "ap: {weight: 2}")
    _, told, _ = files.run(BUCKETS + weighted)
    assert "tenants: 128 buckets" in told
    _, told, after = files.run(BUCKETS + weighted, "--weight", "ap=1")
    assert "tenants: 85 buckets" in told
    _, told, after = files.run(after, "--weight", "ap=0")
    assert "tenants: 85 buckets" in told
    assert "ap:" not in after.partition("---")[0]


def test_json(files: Files, capfd: pytest.CaptureFixture[str]) -> None:
    files.file.write_text(BUCKETS)
    main(["rebalance", str(files.file), "--add", "ap", "--max-moves", "10", "--format", "json"])
    told = json.loads(capfd.readouterr().out)
    assert told["moves"] == [{"from": "eu", "to": "ap", "count": 10, "share": 0.039062, "buckets": "118-127"}]
    assert (told["partition"], told["of"], told["remaining"], told["written"]) == ("tenants", 256, 75, True)
    assert told["files"] == [str(files.file)]


@pytest.mark.parametrize(
    ("before", "options", "after"),
    [
        (
            '{digits: last, table: {eu: "0-7", us: 8-F}}',
            "--add ap",
            '{digits: last, table: {eu: "0-5", us: B-F, ap: 6-A}}',
        ),
        (
            "{digits: first, count: 2, table: {eu: '00-7f, ff', us: 80-fe}}",
            "--remove us",
            "{digits: first, count: 2, table: {eu: '00-ff'}}",
        ),
        (
            "{digits: last, table: {eu: '0-3,  8', us: 4-7, ap: 9-f}}",
            "",
            "{digits: last, table: {eu: '0-3,  8', us: 4-7,f, ap: 9-e}}",
        ),
    ],
)
def test_hex_digits(files: Files, before: str, options: str, after: str) -> None:
    code, _, text = files.run(f"{PARTITION}  hex: {before}\n", *options.split())
    assert code == 0
    after = after.replace("4-7,f", '"4-7,f"')  # between braces a comma ends a plain text
    assert text == f"{PARTITION}  hex: {after}\n"


def test_keys(files: Files) -> None:
    text = PARTITION + "  keys:\n    a: eu  # one\n    b: eu\n    'c': \"eu\"\n    d: us\n"
    code, told, after = files.run(text, "--add", "ap")
    assert (code, after) == (0, text.replace('"eu"', '"ap"'))
    assert told.startswith("eu → ap: 1 key (c): 25.0 % of the keys\n")


def test_draining_islands_keep_what_they_have(files: Files) -> None:
    draining = SET.replace("us: {}", "us: {state: draining}")
    code, told, after = files.run(BUCKETS + draining)
    assert code == 0
    assert "eu → ap: 64 buckets (64-127)" in told
    assert "us is draining and keeps its 128 buckets; --remove us moves them\n" in told
    code, told, after = files.run(after, "--remove", "us")
    assert (code, "us" in after.partition("---")[0].partition("table")[2]) == (0, False)
    code, told, _ = files.run(BUCKETS + draining, "--add", "us")
    assert (code, told) == (1, "5: R0811 the island `us` is draining: it gets no keys\n")


def test_what_a_direction_leaves_uneven_is_told(files: Files) -> None:
    text = BUCKETS.replace("0-127", "0-9").replace("128-255", "10-255")
    code, told, _ = files.run(text, "--remove", "eu")
    assert (code, "uneven" in told) == (0, False)
    code, told, _ = files.run(text, "--add", "ap")
    assert code == 0
    assert "us → ap: 85 buckets" in told
    assert "shares were uneven before and are still" in told


def many(text: str) -> str:
    return text + "---\n" + text.replace("tenants", "users")


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        (BUCKETS + SET, "--add xx", "5: R0811 the Set `cart` has no island `xx`"),
        (BUCKETS + SET.replace("us: {}, ", ""), "", "13: R0811 the Set `cart` has no island `us`"),
        (BUCKETS, "--remove xx", ": R0802 there is no island `xx`"),
        (BUCKETS + "  pins: {bigco: us, small: us}\n", "--remove us", "14: R0811 `us` has pinned keys: bigco, small"),
        (BUCKETS + "  otherwise: {island: us}\n", "--remove us", "14: R0811 `us` serves the keys that no island has"),
        (
            BUCKETS + "  moves: [{buckets: 0-3, from: eu, to: us, phase: mirror}]\n",
            "",
            "14: R0811 the buckets 0-3 are on their way from `eu` to `us`",
        ),
        (
            PARTITION
            + "  hex: {digits: last, table: {eu: 0-7, us: 8-f}}\n"
            + "  moves: [{hex: '7', from: eu, to: us, phase: mirror}]\n",
            "",
            "8: R0811 the digits 7 are on their way from `eu` to `us`",
        ),
        (
            PARTITION + "  keys: {a: eu, b: eu}\n  moves: [{keys: [a, b], from: eu, to: us, phase: mirror}]\n",
            "",
            "8: R0811 the keys a, b are on their way from `eu` to `us`",
        ),
        (
            BUCKETS + "  moves: [{keys: [a], from: eu, to: us, phase: mirror}]\n",
            "--remove us",
            "14: R0811 `us` has a part in a move",
        ),
        (BUCKETS.replace("0-127", "0-99"), "", "11: R0714 the buckets 100-127 belong to no island"),
        (BUCKETS.replace("0-127", "0-129"), "", "13: R0714 the buckets 128-129 belong to two islands"),
        (BUCKETS.replace("-255", "-256"), "", "13: R0714 there is no bucket 256: they are 0 to 255"),
        (BUCKETS.replace("0-127", "zero"), "", "11: R0706 `zero` is neither a number nor a range such as 0-7,12"),
        (BUCKETS, "--weight us=0 --weight eu=0", "11: R0811 no island would own anything: all weights are 0"),
        (PARTITION + "  pins: {a: eu}\n", "", "3: R0811 the Partition has neither `keys` nor `hex` nor `buckets`: "),
        (many(BUCKETS), "", "3: R0811 there are 2 Partitions"),
        (many(BUCKETS), "--partition x", ": R0802 there is no Partition `x`"),
        (SET, "", ": R0811 there is no Partition in these files"),
        (
            BUCKETS.replace('"0-127"', '&all "0-127"') + "  otherwise: {respond: {body: *all, status: 421}}\n",
            "--add ap",
            "11: R0810 ",
        ),
    ],
)
def test_what_is_refused(files: Files, text: str, options: str, told: str) -> None:
    """The finding is where it is to be mended, and nothing is written."""
    code, found, after = files.run(text, *options.split())
    assert code == (2 if "R0802" in told else 1)
    assert found.startswith(told)
    assert after == text


TYPE = """\
---
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: cart}
spec:
  units: {api: {image: "x:1", ports: {http: 80}}}
  ports: {http: {unit: api, port: http}}
"""
ROUTING = """\
---
apiVersion: replicator.dev/v1alpha1
kind: Routing
metadata: {name: shop, namespace: shop}
spec:
  provider: istio
  hosts: [shop.example.com]
  gateway: {namespace: istio-system, name: public}
  routes: [{to: {partition: tenants}}]
"""


@pytest.mark.parametrize("name", ["", "a b/ö", "/", "a/", "a/b", "Ap", "a_b", "-a", "a" * 33, "..", "a\nb: 1"])
@pytest.mark.parametrize("rest", ["", SET, "  moves: [{buckets: 1, from: eu, to: us, phase: mirror}]\n"])
def test_what_is_no_island_gets_no_share(files: Files, name: str, rest: str) -> None:
    for options in (("--add", name), ("--weight", f"{name}=2") if name else ("--add", "ap", "--add", name)):
        code, told, after = files.run(BUCKETS + rest, *options)
        assert (code, after) == (2, BUCKETS + rest)
        assert "\n" in name or told == f": R0802 `{name}` is no island of `cart`\n"


def test_islands_inside_islands_are_paths_of_keys(files: Files) -> None:
    text = BUCKETS.replace("set: cart", "set: region/cell").replace("eu:", "eu/1:").replace("us:", "us/1:")
    for name in ("ap", "ap/1/2", "ap//1"):
        assert files.run(text, "--add", name)[::2] == (2, text)
    code, _, after = files.run(text, "--add", f"ap/{'a' * 32}")
    assert (code, f"      ap/{'a' * 32}: '86-170'\n" in after) == (0, True)


def told_way_out(file: Path, capfd: pytest.CaptureFixture[str], text: str, *options: str) -> str:
    """The help of a refusal, which names the place of the first error."""
    file.write_text(text)
    assert main(["rebalance", str(file), *options]) in (1, 2)
    found = re.search(r"^help: (.*)$", capfd.readouterr().err, re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_way_out_of_a_move_is_one_of_legal_steps(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each state that the help tells of builds over the one before; for a cutover, to drop the move is none."""
    file, out = tmp_path / "dsl.yaml", tmp_path / "out"
    rest = SET.replace(", ap: {}", "") + TYPE + ROUTING
    moving = "  otherwise: {island: eu}\n  moves: [{buckets: 127, from: eu, to: us, phase: mirror}]\n"

    def steps(text: str) -> int:
        file.write_text(text)
        return main(["build", str(file), "-o", str(out)])

    mirror = BUCKETS + moving + rest
    cutover = mirror.replace("phase: mirror", "phase: cutover")
    done = BUCKETS.replace("0-127", "0-126").replace("128-255", "127-255") + moving.splitlines()[0] + "\n" + rest
    dropped = BUCKETS + moving.splitlines()[0] + "\n" + rest
    for options in ((), ("--remove", "us")):
        hint = told_way_out(file, capfd, mirror, *options)
        assert hint == (
            "finish this move: `phase: cutover`, built and applied; then write them to `us` in the table, and take it"
            " out of `moves`; or drop it, and `eu` keeps them"
        )
        hint = told_way_out(file, capfd, cutover, *options)
        assert hint == "finish this move: write them to `us` in the table, and take it out of `moves`"
    assert [steps(text) for text in (mirror, dropped, mirror, done, cutover, dropped, done)] == [0, 0, 0, 1, 0, 1, 0]


def test_the_way_out_where_an_island_serves_what_is_left(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file, text = tmp_path / "dsl.yaml", BUCKETS + "  otherwise: {island: us}\n"
    hint = told_way_out(file, capfd, text, "--remove", "us")
    assert hint == "`otherwise` is changed by hand: name another island, or `respond: 404`"
    for way in ("island: eu", "respond: 404"):
        file.write_text(text.replace("island: us", way))
        assert main(["rebalance", str(file), "--remove", "us"]) == 0


def test_of_several_one_is_chosen(files: Files) -> None:
    code, _, after = files.run(many(BUCKETS), "--partition", "users", "--add", "ap")
    assert code == 0
    assert after.startswith(BUCKETS + "---\n")
    assert after != many(BUCKETS)


def test_windows_line_ends_and_a_mark(files: Files) -> None:
    text = "\ufeff" + BUCKETS.replace("\n", "\r\n")
    _, _, after = files.run(text, "--add", "ap")
    assert after == text.replace("0-127", "0-85").replace("128-255", "171-255") + "      ap: '86-170'\r\n"


def test_a_stream_is_edited_to_standard_output(capfd: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    import io
    import sys

    for options in (["--add", "ap"], []):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BUCKETS.encode())))
        assert main(["rebalance", "-", *options]) == 0
        out, errors = capfd.readouterr()
        assert (out != BUCKETS) == bool(options)
        assert out.startswith(PARTITION)
        assert "tenants: " in errors
