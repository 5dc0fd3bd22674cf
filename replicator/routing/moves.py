"""Steps of moves, between an earlier state of a Partition and the present one: which of them are legal.

While a key is in a move, then or now, the island that serves it changes in one way only: from `mirror` to `cutover` of
that move. So no key is served by an island that has not had copies of its requests, and what an island was given to
serve is not taken from it again before the table says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, cast

from replicator import ranges
from replicator.diagnostics import Diagnostic, Place
from replicator.ranges import Range
from replicator.routing.partitions import Line, Ownership
from replicator.routing.shares import Kind, Share, disjoint, of_keys, without

Phase = tuple[str, str, str]
"""From one island to another, by their paths, and the phase."""


class State(NamedTuple):
    """Who serves a key, and the move that it is in. `serving` is None where that is not known."""

    serving: str | None
    move: Phase | None


class Moving(NamedTuple):
    """Keys in a move, as they are written at the head of a file."""

    share: Share
    move: Phase


class Earlier(NamedTuple):
    """What is known of an earlier Partition: all of it, or only the moves that were under way."""

    moving: tuple[Moving, ...]
    ownership: Ownership | None = None


def of_ownership(owned: Ownership) -> Earlier:
    """The state of a Partition that is known whole."""
    return Earlier(tuple(_moving(owned)), owned)


def _moving(owned: Ownership) -> Iterator[Moving]:
    for line in _lines(owned):
        if line.move is not None:
            yield Moving(line.share, _phase(line))


def _lines(owned: Ownership) -> Iterator[Line]:
    for stage in owned.stages:
        yield from stage.lines


def _phase(line: Line) -> Phase:
    """The move of a line, with the islands' paths."""
    assert line.move is not None
    if line.move.phase == "mirror":
        assert line.mirror is not None
        return line.island.path, line.mirror.path, "mirror"
    assert line.origin is not None
    return line.origin.path, line.island.path, "cutover"


# Steps


def illegal(earlier: Mapping[str, Earlier], now: Iterable[Ownership]) -> Iterator[Diagnostic]:
    """The steps that are not legal, each at the place of the move, or of the line, that says so now (R0717).

    Partitions that were not there before have no steps. One that is gone takes its moves along.
    """
    present = {owned.name: owned for owned in now}
    for name, gone in earlier.items():
        if name not in present and gone.moving:
            message = f"the Partition `{name}` is gone, and {_shown(gone.moving[0].share)} was in a move"
            hint = "finish its moves, or call them off, under its name; then rename it or take it out"
            yield Diagnostic("R0717", message, hint=hint)
    for owned in present.values():
        before = earlier.get(owned.name)
        if before is not None:
            yield from _of_partition(before, owned)


def _of_partition(before: Earlier, now: Ownership) -> Iterator[Diagnostic]:
    told: set[tuple[Phase | None, Phase | None, Place]] = set()
    for share in _atoms(before, now):
        was, line = _was(before, share), _line(now, share)
        present = State(line.island.path, _phase(line) if line.move else None) if line else None
        problem = _problem(was, present)
        if line is None and share.kind != "keys" and not _has(now, share):
            problem = "they are in a move, and the table has other digits, or buckets, now"
        if not problem:
            continue
        place = now.model.metadata.name_node.place
        if line is not None:
            place = line.move.node.place if line.move is not None else line.place
        key = (was.move if was else None, present.move if present else None, place)
        if key not in told:
            told.add(key)
            yield Diagnostic("R0717", f"{_shown(share)}: {problem}", place, hint=_WAY_OUT)


_WAY_OUT = "a move goes from `mirror` to `cutover`; then the table says its island, and the move is taken out"


def _problem(was: State | None, now: State | None) -> str:
    """What is wrong with a step; empty where it is legal. None is a key that no island has."""
    if was is None or (was.move is None and (now is None or now.move is None)):
        return ""
    before, after = was.move, now.move if now is not None else None
    if now is None:
        return "it is in a move, and no island has it any more"
    if was.serving == now.serving:
        return ""
    if before is not None and after is not None and before[:2] == after[:2] and (before[2], after[2]) == _FORWARD:
        return ""
    if before is None and after is not None and after[2] == "cutover":
        return f"`{after[1]}` serves it from now on, and has had no copies of its requests"
    if was.serving is None:
        return ""
    if before is not None and before[2] == "mirror":
        return f"`{was.serving}` served it and copied to `{before[1]}`; `{now.serving}` serves it without a cutover"
    if before is not None:
        return f"`{was.serving}` serves it since the cutover; now `{now.serving}` would"
    return f"`{was.serving}` served it; now `{now.serving}` does, and a move begins"


_FORWARD = ("mirror", "cutover")


def _was(before: Earlier, share: Share) -> State | None:
    for moving in before.moving:
        if moving.share.kind == share.kind and not disjoint(moving.share, share):
            origin, target, phase = moving.move
            return State(origin if phase == "mirror" else target, moving.move)
    if before.ownership is None:
        return State(None, None)
    line = _line(before.ownership, share)
    return State(line.island.path, None) if line is not None else None


def _line(owned: Ownership, share: Share) -> Line | None:
    """The line that has keys of which all are in one, by the first stage that has them."""
    key = next(iter(share.values), None)
    for stage in owned.stages:
        for line in stage.lines:
            same = stage.source == owned.stages[0].source
            if line.share.has(key) if key is not None and same else _within(share, line.share):
                return line
    return None


def _has(owned: Ownership, share: Share) -> bool:
    return any((line.share.kind, line.share.width) == (share.kind, share.width) for line in _lines(owned))


def _within(share: Share, other: Share) -> bool:
    return (share.kind, share.width) == (other.kind, other.width) and not disjoint(share, other)


def _atoms(before: Earlier, now: Ownership) -> Iterator[Share]:
    """Keys, each by itself, and runs of numbers that no line of either divides; those in no move are left out."""
    moving = [*before.moving, *_moving(now)]
    keys = sorted({value for one in moving for value in one.share.values})
    folded = any(one.share.folded for one in moving)
    for key in keys:
        yield of_keys([key], folded)
    numbered = [one.share for one in moving if one.share.kind != "keys"]
    edges: dict[tuple[str, int], set[int]] = {}
    every = [*numbered, *(line.share for line in _lines(now))]
    if before.ownership is not None:
        every += (line.share for line in _lines(before.ownership))
    for share in every:
        if share.kind != "keys":
            ends = edges.setdefault((share.kind, share.width), set())
            ends.update(end for one in share.ranges for end in (one.first, one.last + 1))
    for share in _different(numbered):
        inside = sorted(edges[share.kind, share.width])
        for one in share.ranges:
            starts = [one.first, *(edge for edge in inside if one.first < edge <= one.last)]
            for start, after in zip(starts, [*starts[1:], one.last + 1], strict=True):
                yield share._replace(ranges=(Range(start, after - 1),))


def _different(shares: Sequence[Share]) -> Iterator[Share]:
    """The shares without what is in those before them."""
    seen: list[Share] = []
    for share in shares:
        left = share
        for other in seen:
            if (other.kind, other.width) == (left.kind, left.width):
                left = without(left, other)
        seen.append(share)
        yield left


def _shown(share: Share) -> str:
    if share.kind == "keys":
        return f"the key `{next(iter(share.values))}`"
    what = "buckets" if share.kind == "number" else "digits"
    return f"the {what} {ranges.as_text(share.ranges, share.width)}"


# At the head of a file


def heads(partitions: Iterable[Ownership]) -> str:
    """Comments that say which Partitions a Routing leads to, and the moves that are under way, for the next build."""
    lines: list[str] = []
    for owned in partitions:
        lines.append(f"# Partition {owned.name}\n")
        lines += sorted(
            f"# Partition {owned.name}: {_written(share)} {origin} -> {target} {phase}\n"
            for share, (origin, target, phase) in _moving(owned)
        )
    return "".join(lines)


def _written(share: Share) -> str:
    if share.kind == "keys":
        field = "keys, folded" if share.folded else "keys"
        return f"{field} {json.dumps(sorted(share.values))}"
    return f"{share.kind} {share.width} {ranges.as_text(share.ranges, share.width)}"


_HEAD = re.compile(
    r"Partition (?P<name>\S+?)"
    r"(?:: (?:keys(?P<folded>, folded)? (?P<keys>\[.*\])|(?P<kind>first|last|number) (?P<width>\d) (?P<ranges>\S+))"
    r" (?P<origin>\S+) -> (?P<target>\S+) (?P<phase>mirror|cutover))?"
)


def _read(head: re.Match[str]) -> Share:
    if head["keys"] is not None:
        return of_keys(map(str, json.loads(head["keys"])), head["folded"] is not None)
    width = int(head["width"])
    return Share(cast(Kind, head["kind"]), ranges=ranges.parse(head["ranges"], width), width=width)


def read(lines: Iterable[str]) -> dict[str, Earlier]:
    """What comments (without their `#`) at the heads of files say, by the Partition's name; others say nothing."""
    found: dict[str, list[Moving]] = {}
    for line in lines:
        head = _HEAD.fullmatch(line)
        if head is None:
            continue
        moving = found.setdefault(head["name"], [])
        if head["phase"] is None:
            continue
        with suppress(ValueError):  # somebody changed it by hand: that move is not known
            moving.append(Moving(_read(head), (head["origin"], head["target"], head["phase"])))
    return {name: Earlier(tuple(moving)) for name, moving in found.items()}
