"""Moves of keys between islands: every step of the state machine, in tables of each kind, and read back from a file."""

import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

from replicator.comparison import head
from replicator.pipeline import LAYOUTS, Source, build
from replicator.routing import moves
from replicator.routing.moves import Earlier
from replicator.routing.partitions import Ownership

ISLANDS = "abc"


class Step(NamedTuple):
    """Who the table says has the key ("" nobody), and the move that it is in: (to, phase)."""

    owner: str
    move: tuple[str, str] | None = None

    @property
    def serving(self) -> str:
        return self.move[0] if self.move is not None and self.move[1] == "cutover" else self.owner

    def __str__(self) -> str:
        return f"{self.owner or 'nobody'}{'-{}-{}'.format(*self.move) if self.move else ''}"


STEPS = [
    Step(""),
    *(Step(owner) for owner in ISLANDS),
    *(Step(owner, (to, phase)) for owner, to, phase in product(ISLANDS, ISLANDS, ("mirror", "cutover")) if owner != to),
]

# From a step to the next ones, as people would draw it: a is the table's island, b where the key goes, c a third one.
LEGAL = {
    "nobody": "everything",
    "a": "nobody a b c a-b-mirror a-c-mirror b-a-cutover c-a-cutover",
    "a-b-mirror": "a a-b-mirror a-c-mirror a-b-cutover b-a-cutover c-a-cutover",
    "a-b-cutover": "b a-b-cutover c-b-cutover b-a-mirror b-c-mirror",
}


def legal(before: Step, after: Step) -> bool:
    """Whether the drawing has a step, with the islands in any roles."""
    order = [island for island in (before.owner, before.move[0] if before.move else "") if island]
    roles = dict(zip(dict.fromkeys([*order, *ISLANDS]), ISLANDS, strict=False)) | {"": ""}
    named = [
        Step(roles[step.owner], (roles[step.move[0]], step.move[1]) if step.move else None) for step in (before, after)
    ]
    allowed = LEGAL[str(named[0])]
    return allowed == "everything" or str(named[1]) in allowed.split()


HEAD = """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: cart}
spec:
  ports: {http: {unit: api, port: http}}
  units: {api: {image: x, ports: {http: 8080}}}
---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: cart, namespace: shop}
spec: {type: cart, islands: {a: {}, b: {}, c: {}}}
---
apiVersion: replicator.dev/v1alpha1
kind: Partition
metadata: {name: tenants}
spec:
  set: cart
  key: {header: x-tenant}
"""


def keys(step: Step) -> str:
    other = "other: a"
    table = f"{{acme: {step.owner}, {other}}}" if step.owner else f"{{{other}}}"
    return f"  keys: {table}\n" + move(step, "keys: [acme]")


def pins(step: Step) -> str:
    table = f"{{acme: {step.owner}, other: a}}" if step.owner else "{other: a}"
    return f"  pins: {table}\n" + move(step, "keys: [acme]")


def single(step: Step) -> str:
    """A key that digits give to an island."""
    shares = [f'{island}: "{text}"' for island, text in zip(numbered(step), ("e", "0-6,f", "7-d"), strict=True)]
    return f"  hex: {{digits: last, table: {{{', '.join(shares)}}}}}\n" + move(step, "keys: [acme]")


def hexes(step: Step) -> str:
    shares = [f'{island}: "{text}"' for island, text in zip(numbered(step), ("1-3", "0,4-9", "a-f"), strict=True)]
    return f"  hex: {{digits: last, table: {{{', '.join(shares)}}}}}\n" + move(step, 'hex: "1-3"')


def buckets(step: Step) -> str:
    shares = [f'{island}: "{text}"' for island, text in zip(numbered(step), ("10-19", "0-9", "20-63"), strict=True)]
    table = f"{{header: x-bucket, count: 64, table: {{{', '.join(shares)}}}}}"
    return f"  buckets: {table}\n" + move(step, 'buckets: "10-19"')


def numbered(step: Step) -> list[str]:
    return [step.owner, *(island for island in ISLANDS if island != step.owner)]


def move(step: Step, what: str) -> str:
    if step.move is None:
        return ""
    return f"  moves: [{{{what}, from: {step.owner}, to: {step.move[0]}, phase: {step.move[1]}}}]\n"


KINDS = {"keys": keys, "pins": pins, "single": single, "hex": hexes, "buckets": buckets}


def ownership(kind: str, step: Step) -> Ownership:
    built = build([Source("dsl.yaml", (HEAD + KINDS[kind](step)).encode())])
    assert not [one for one in built.diagnostics if one.severity == "error"], built.diagnostics
    return built.partitions["tenants"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_step(kind: str) -> None:
    known = {step: ownership(kind, step) for step in STEPS if step.owner or kind in ("keys", "pins")}
    number = 0
    for before, after in product(known, known):
        found = list(moves.illegal({"tenants": moves.of_ownership(known[before])}, [known[after]]))
        assert bool(found) == (not legal(before, after)), f"{before} to {after}: {found}"
        assert {one.code for one in found} <= {"R0717"}
        assert all(one.place is not None and one.hint for one in found)
        number += not legal(before, after)
    assert number > 80


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_file_says_of_moves_is_enough_for_all_steps_but_those_whose_island_it_does_not_say(kind: str) -> None:
    known = {step: ownership(kind, step) for step in STEPS if step.owner or kind in ("keys", "pins")}
    for before, after in product(known, known):
        earlier = moves.read(head(moves.heads([known[before]]).encode() + b"---\n"))
        assert set(earlier) == {"tenants"}
        found = list(moves.illegal(earlier, [known[after]]))
        unknown = before.move is None and after.move is not None and after.move[1] == "cutover"
        if legal(before, after):
            assert not found or unknown, f"{before} to {after}"
        elif before.move is not None or (after.move is not None and after.move[1] == "cutover"):
            assert found, f"{before} to {after}"


def test_a_partition_that_was_not_there_has_no_steps() -> None:
    now = ownership("keys", Step("a", ("b", "cutover")))
    assert not list(moves.illegal({}, [now]))
    assert not list(moves.illegal({"others": Earlier(())}, [now]))


def test_a_partition_that_is_gone_takes_no_moves_along() -> None:
    before = ownership("keys", Step("a", ("b", "cutover")))
    (found,) = moves.illegal({"tenants": moves.of_ownership(before)}, [])
    assert (found.code, found.message) == (
        "R0717",
        "the Partition `tenants` is gone, and the key `acme` was in a move",
    )
    assert not list(moves.illegal({"tenants": moves.of_ownership(ownership("keys", Step("a")))}, []))


def test_a_table_of_other_digits_is_told() -> None:
    before = ownership("hex", Step("a", ("b", "mirror")))
    after = ownership("buckets", Step("a"))
    found = list(moves.illegal({"tenants": moves.of_ownership(before)}, [after]))
    assert {one.message.partition(": ")[2] for one in found} == {
        "they are in a move, and the table has other digits, or buckets, now"
    }


def test_what_is_written_by_hand_is_passed_over() -> None:
    text = moves.heads([ownership("keys", Step("a", ("b", "mirror")))])
    assert text == ('# Partition tenants\n# Partition tenants: keys ["acme"] cart/a -> cart/b mirror\n')
    for wrong in ("[acme]", '{"acme"}', "acme"):
        read = moves.read(head(text.replace('["acme"]', wrong).encode() + b"---\n"))
        assert read == {"tenants": Earlier(())}
    assert moves.read(head(text.replace("# Partition", "# partition").encode() + b"---\n")) == {}


def test_a_key_that_is_in_part_of_a_moved_range_is_told_with_that_part() -> None:
    before = ownership("buckets", Step("a", ("b", "mirror")))
    text = HEAD + (
        '  buckets: {header: x-bucket, count: 64, table: {a: "10-14", b: "0-9,15-19", c: "20-63"}}\n'
        '  moves: [{buckets: "10-14", from: a, to: b, phase: mirror}]\n'
    )
    now = build([Source("dsl.yaml", text.encode())]).partitions["tenants"]
    (found,) = moves.illegal({"tenants": moves.of_ownership(before)}, [now])
    assert (
        found.message
        == "the buckets 15-19: `cart/a` served it and copied to `cart/b`; `cart/b` serves it without a cutover"
    )


# By the command


DSL = """
apiVersion: replicator.dev/v1alpha1
kind: Routing
metadata: {name: shop, namespace: edge}
spec:
  gateway: {name: public}
  hosts: [shop.example.com]
  routes: [{to: {partition: tenants}}]
"""


def written(directory: Path, step: Step) -> None:
    (directory / "dsl.yaml").write_text(f"{HEAD}{keys(step)}---{DSL}")


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "replicator", "build", "dsl.yaml", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_over_an_earlier_directory(tmp_path: Path, layout: str) -> None:
    to = ("-o", "out", "--layout", layout)
    for step, wrong in (
        (Step("a", ("b", "mirror")), ""),
        (Step("b"), "serves it without a cutover"),
        (Step("a", ("b", "cutover")), ""),
        (Step("a"), "serves it since the cutover"),
        (Step("b"), ""),
        (Step("b", ("a", "cutover")), "has had no copies"),
        (Step("b", ("a", "mirror")), ""),
        (Step("b", ("a", "cutover")), ""),
    ):
        written(tmp_path, step)
        before = {path: path.read_bytes() for path in tmp_path.rglob("out/**/*.yaml")}
        done = run(tmp_path, *to)
        if not wrong:
            assert done.returncode == 0, done.stderr
            continue
        assert done.returncode == 1
        assert "error[R0717]: the key `acme`: " in done.stderr
        assert wrong in done.stderr
        assert before == {path: path.read_bytes() for path in tmp_path.rglob("out/**/*.yaml")}
        assert run(tmp_path, *to, "--only", "islands").returncode == 0  # the routes are left as they are


def test_against_a_revision(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=me", "-c", "user.email=me@example.com", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    written(tmp_path, Step("a"))
    git("add", ".")
    git("commit", "-qm", "before")
    written(tmp_path, Step("a", ("b", "mirror")))
    assert run(tmp_path, "--against", "git:HEAD").returncode == 0
    written(tmp_path, Step("b", ("c", "mirror")))  # only all of the table tells that it was a's
    done = run(tmp_path, "--against", "git:HEAD")
    assert (done.returncode, done.stdout) == (1, "")
    assert "`cart/a` served it; now `cart/b` does, and a move begins" in done.stderr
