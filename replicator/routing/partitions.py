"""Partitions: which island serves a key, line by line of the table; that each key has one is proved here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from replicator import ranges
from replicator.diagnostics import Diagnostic, Place, Related, nearest
from replicator.expander.islands import Island, Plan, SetPlan, island_place
from replicator.expander.members import natural
from replicator.model import KeySource, Move, Partition, Project
from replicator.names import PATH
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node, Scalar
from replicator.ranges import Range
from replicator.routing.requests import Request, normal
from replicator.routing.shares import Share, disjoint, is_empty, label_of, of_keys, segment_of, size, without
from replicator.routing.texts import is_header

MAX_KEYS = 2000  # of a map of all keys, and of pins
_SHOWN = 4  # places of others in one finding


class Line(NamedTuple):
    """Keys that one island serves, as a line of the table says; `move` is where a move says so, from `origin`.

    `mirror` gets copies of their requests. `field` is where the line is written: pins, keys, hex, buckets or moves.
    """

    field: str
    written: str
    place: Place
    share: Share
    island: Island
    mirror: Island | None = None
    move: Move | None = None
    origin: Island | None = None


class Stage(NamedTuple):
    """Lines whose keys are read at one place of the request, and are all different: their order does not matter."""

    name: str
    source: KeySource
    lines: tuple[Line, ...]


class Ownership(NamedTuple):
    """A Partition with its islands: its stages are looked at in turn. `otherwise` serves all other keys, if it does."""

    name: str
    model: Partition
    plan: SetPlan
    stages: tuple[Stage, ...]
    otherwise: Island | None

    @property
    def answer(self) -> Node | None:
        """The fixed response for all other keys, as it is written."""
        return self.model.otherwise.items.get("respond") if self.model.otherwise is not None else None

    def islands(self) -> Iterator[Island]:
        """The islands that the table and the moves name, each once."""
        lines = (line for stage in self.stages for line in stage.lines)
        named = [island for line in lines for island in (line.island, line.mirror, line.origin)]
        yield from {island.path: island for island in named if island is not None}.values()


def resolve(project: Project, plan: Plan) -> tuple[dict[str, Ownership], list[Diagnostic]]:
    """All Partitions of a project by name. With errors they are not to be used."""
    found: list[Diagnostic] = []
    made: dict[str, Ownership] = {}
    for partition in sorted(project.partitions, key=lambda one: natural(one.name)):
        owned = _Resolver(partition, plan, found).resolve()
        if owned is not None:
            made[partition.name] = owned
    return made, found


def proved(owned: Ownership, is_led_to: bool) -> Diagnostic:
    """What is known of a Partition: that each key has one island, and by which tables it is found.

    It is said, too, where no route leads to it.
    """
    tables: list[str] = []
    for stage in owned.stages:
        number = sum(size(line.share) for line in stage.lines)
        tables.append(_TOLD[stage.name].format(number=f"{number:,}", s="" if number == 1 else "s"))
    model = owned.model
    rest = "go on to the routes that follow"
    if owned.otherwise is not None:
        rest = f"go to `{owned.otherwise.path}`"
    elif model.otherwise is not None:
        answer = model.otherwise.data["respond"]
        rest = f"are answered by {answer if isinstance(answer, int) else answer['status']}"
    moves = f"; moves under way: {len(model.moves):,}" if model.moves else ""
    unused = "" if is_led_to else "; no route of this build leads to it"
    message = f"proved: each key has one serving island: {', then '.join(tables)}; other keys {rest}{moves}{unused}"
    return Diagnostic("R0716", message, model.metadata.name_node.place, severity="note")


_TOLD = {
    "pins": "{number} pinned key{s}",
    "keys": "{number} key{s} of a map",
    "hex": "all {number} values of hex digits",
    "buckets": "all {number} bucket{s}",
}


def read(node: Scalar, width: int, number: int) -> tuple[Range, ...] | Diagnostic:
    """The ranges of a line of a table, in the order in which they are written, or what is wrong with them.

    `width` is that of hex digits, or 0; `number` is how many numbers there are.
    """
    try:
        parsed = ranges.parse(node.text, width)
    except ranges.NotRanges as problem:
        return Diagnostic("R0706", str(problem), node.place)
    beyond = max(one.last for one in parsed)
    if beyond >= number:
        return Diagnostic("R0714", f"there is no bucket {beyond:,}: they are 0 to {number - 1:,}", node.place)
    return parsed


def not_shared_out(taken: Iterable[tuple[Range, Place]], table: Place, width: int, number: int) -> Iterator[Diagnostic]:
    """What keeps a table from giving every number to one island: gaps and overlaps. That there are none is the proof.

    `taken` are all ranges, and the places of their lines.
    """
    what = "digits" if width else "buckets"
    free: list[Range] = []
    after = 0
    last: Place | None = None
    for one, line in sorted(taken):
        if one.first > after:
            free.append(Range(after, one.first - 1))
        elif one.first < after and last is not None:
            both = Range(one.first, min(one.last, after - 1))
            message = f"the {what} {ranges.as_text([both], width)} belong to two islands"
            if last == line:
                message = f"the {what} {ranges.as_text([both], width)} are written twice"
            yield Diagnostic(
                "R0714", message, line, hint="each belongs to one", related=(Related("the other line", last),)
            )
        if one.last >= after:
            after, last = one.last + 1, line
    if after < number:
        free.append(Range(after, number - 1))
    if free:
        message = f"the {what} {ranges.as_text(free, width)} belong to no island"
        yield Diagnostic("R0714", message, table, hint="write them to one; `replicator rebalance` then evens out")


class _Resolver:
    def __init__(self, partition: Partition, plan: Plan, found: list[Diagnostic]) -> None:
        self.model = partition
        self.found = found
        self.before = len(found)
        self.set = plan.sets.get(partition.set.text)
        if self.set is None:
            hint = nearest(partition.set.text, plan.sets)
            self.say("R0701", f"there is no IslandSet `{partition.set.text}`", partition.set.place, hint)
        self.inner: Mapping[str, Island] | None = None
        self.known: dict[str, Island] = {}  # each one once: those of a Set by number are made when they are asked for

    def say(self, code: str, message: str, place: Place, hint: str = "", *related: Related) -> None:
        self.found.append(Diagnostic(code, message, place, hint=hint, related=related))

    def resolve(self) -> Ownership | None:
        model = self.model
        if self.set is None:
            return None
        self.legal(model.key)
        pins = list(self.owned("pins", model.pins))
        pinned = frozenset(value for line in pins for value in line.share.values)
        stages: list[Stage] = []
        if model.keys is not None and model.key is not None:
            rest = (line for line in self.owned("keys", model.keys) if line.share.values.isdisjoint(pinned))
            stages.append(Stage("keys", model.key, (*pins, *rest)))
        elif pins and model.key is not None:
            stages.append(Stage("pins", model.key, tuple(pins)))
        if model.hex is not None and model.key is not None:
            template = Share(model.hex.which, width=model.hex.width)
            lines = tuple(self.numbered("hex", model.hex.table, template, 16**model.hex.width))
            stages.append(Stage("hex", model.key, lines))
        if model.buckets is not None:
            source = model.buckets.source or model.key
            self.legal(model.buckets.source)
            lines = tuple(self.numbered("buckets", model.buckets.table, Share("number"), model.buckets.number))
            if source is not None:
                stages.append(Stage("buckets", source, lines))
        if len(self.found) > self.before:
            return None
        stages = self.moved(stages)
        otherwise = model.otherwise.items.get("island") if model.otherwise is not None else None
        fallback = self.island(otherwise.text, otherwise.place) if isinstance(otherwise, Scalar) else None
        self.states(stages, fallback)
        errors = any(one.severity == "error" for one in self.found[self.before :])
        return None if errors else Ownership(model.name, model, self.set, tuple(stages), fallback)

    def legal(self, source: KeySource | None) -> None:
        if source is not None and source.kind == "header" and not is_header(source.name):
            self.say("R0706", f"`{source.name}` is no header's name", source.place)

    def island(self, key: str, place: Place) -> Island | None:
        """The island of a key; of Sets inside islands, of the keys from the outermost on."""
        assert self.set is not None
        if key in self.known:
            return self.known[key]
        if self.set.above is None:
            found = self.set.find(key)
        else:
            if self.inner is None:
                self.inner = {"/".join(one.path.split("/")[1::2]): one for one in self.set.islands}
            found = self.inner.get(key)
        if found is None:
            path = self.set.path
            removed = self.set.root.model.removed
            gone = removed is not None and key in removed.items
            known = [one.key for one in self.set.islands[:1000]] if self.inner is None else list(self.inner)[:1000]
            hint = nearest(key, known)
            related: tuple[Related, ...] = ()
            if gone and removed is not None:
                related = (Related("it is removed here", removed.key_place(key)),)
                hint = "give its keys to another island before it is removed"
            self.say("R0701", f"the Set `{path}` has no island `{key}`", place, hint, *related)
        else:
            self.known[key] = found
        return found

    # The table

    def owned(self, field: str, table: MappingNode | None) -> Iterator[Line]:
        """The lines of a map of keys to islands."""
        if table is None or self.model.key is None:
            return
        if self.too_many(len(table.items), field, "a map"):
            return
        folded = self.model.key.kind == "hostLabel"
        first: dict[str, Place] = {}
        for key, node in table.items.items():
            place = table.key_place(key)
            assert isinstance(node, Scalar)
            if problem := _illegal(self.model.key, key):
                self.say("R0706", f"{problem[0]}: `{key}`", place, problem[1])
            known = key.lower() if folded else key
            if first.setdefault(known, place) is not place:
                message = f"the key `{key}` is written twice: hosts are the same in upper and lower case"
                self.say("R0714", message, place, "keep one of them", Related("the other line", first[known]))
            island = self.island(node.text, node.place)
            if island is not None:
                yield Line(field, f"{key}: {node.text}", place, of_keys([key], folded), island)

    def too_many(self, number: int, field: str, what: str) -> bool:
        if number > MAX_KEYS:
            message = f"{what} of {number:,} keys; a proxy's routes hold at most {MAX_KEYS:,}"
            hint = "hex (digits of a uniform key, as a UUID) or buckets (that the edge computes); pin single keys"
            spec = self.model.node.items["spec"]
            assert isinstance(spec, MappingNode)
            self.say("R0718", message, spec.key_place(field), hint)
        return number > MAX_KEYS

    def numbered(self, field: str, table: MappingNode, template: Share, number: int) -> Iterator[Line]:
        """The lines of a table of islands to digits or buckets, of which there are so many."""
        taken: list[tuple[Range, Place]] = []
        width = template.width
        wrong = False
        for key, node in table.items.items():
            assert isinstance(node, Scalar)
            parsed = read(node, width, number)
            island = self.island(key, table.key_place(key))
            if isinstance(parsed, Diagnostic):
                self.found.append(parsed)
            if isinstance(parsed, Diagnostic) or island is None:
                wrong = True
                continue
            share = template._replace(ranges=ranges.merged(parsed))
            line = Line(field, f"{key}: {node.text}", node.place, share, island)
            taken += ((one, node.place) for one in parsed)
            yield line
        if not wrong:
            self.found += not_shared_out(taken, table.place, width, number)

    # Moves

    def moved(self, stages: list[Stage]) -> list[Stage]:
        """The stages with what moves say: who serves, and who gets copies. Single keys come last: they may be pins."""
        first: list[tuple[Share, Move]] = []
        if self.too_many(sum(len(one.keys) for one in self.model.moves), "moves", "moves"):
            return stages
        for move in sorted(self.model.moves, key=lambda one: bool(one.keys)):
            origin = self.island(move.origin.text, move.origin.place)
            target = self.island(move.target.text, move.target.place)
            if origin is None or target is None:
                continue
            if origin is target:
                self.say("R0715", f"a move from `{origin.path}` to itself", move.target.place)
                continue
            stages = self.of_move(stages, move, origin, target, first)
        return stages

    def of_move(
        self, stages: list[Stage], move: Move, origin: Island, target: Island, first: list[tuple[Share, Move]]
    ) -> list[Stage]:
        key = self.model.key
        if move.keys:
            assert key is not None
            folded = key.kind == "hostLabel"
            for scalar in move.keys:
                share = of_keys([scalar.text], folded)
                if problem := _illegal(key, scalar.text):
                    self.say("R0706", f"{problem[0]}: `{scalar.text}`", scalar.place, problem[1])
                    continue
                stages = self.part(stages, move, share, scalar, origin, target, first)
            return stages
        node = move.hex or move.buckets
        template = next(
            (line.share for stage in stages for line in stage.lines if stage.name in ("hex", "buckets")), None
        )
        if node is None or template is None:
            return stages
        number = self.model.buckets.number if self.model.buckets is not None else 16**template.width
        parsed = read(node, template.width, number)
        if isinstance(parsed, Diagnostic):
            self.found.append(parsed)
            return stages
        share = template._replace(ranges=ranges.merged(parsed))
        return self.part(stages, move, share, node, origin, target, first)

    def part(
        self,
        stages: list[Stage],
        move: Move,
        share: Share,
        node: Scalar,
        origin: Island,
        target: Island,
        first: list[tuple[Share, Move]],
    ) -> list[Stage]:
        """The stages where a share of what an island has is on its way to another."""
        for earlier, other in first:
            if not disjoint(earlier, share) and earlier.kind == share.kind:
                self.say(
                    "R0715", f"`{node.text}` is in two moves", node.place, "", Related("the other", other.node.place)
                )
                return stages
        first.append((share, move))
        serving, mirror = (origin, target) if move.phase == "mirror" else (target, None)
        left = share
        for at, stage in enumerate(stages):
            lines: list[Line] = []
            for line in stage.lines:
                rest = without(line.share, left) if line.share.kind == share.kind else line.share
                if rest == line.share:
                    lines.append(line)
                    continue
                part = without(line.share, rest)
                if line.island is not origin:
                    message = f"`{node.text}` is not `{origin.path}`'s: it is `{line.island.path}`'s"
                    self.say("R0715", message, node.place, "", Related("this line says so", line.place))
                    return stages
                if not is_empty(rest):
                    lines.append(line._replace(share=rest))
                lines.append(Line(line.field, line.written, line.place, part, serving, mirror, move, origin))
                left = without(left, part)
            stages = [*stages[:at], stage._replace(lines=tuple(lines)), *stages[at + 1 :]]
        if is_empty(left):
            return stages
        return self.single(stages, move, left, node, origin, (serving, mirror))

    def single(
        self,
        stages: list[Stage],
        move: Move,
        share: Share,
        node: Scalar,
        origin: Island,
        now: tuple[Island, Island | None],
    ) -> list[Stage]:
        """A key that moves by itself, where its digits, or its number, have their island: a pin for the time."""
        key = next(iter(share.values), "")
        table = stages[-1]
        owner = None
        if share.kind == "keys" and table.name in ("hex", "buckets") and table.source == self.model.key:
            owner = next((line for line in table.lines if line.share.has(key)), None)
        if owner is not None and owner.move is not None:
            self.say(
                "R0715", f"`{node.text}` is in two moves", node.place, "", Related("the other", owner.move.node.place)
            )
            return stages
        if owner is None or owner.island is not origin:
            message = f"`{node.text}` is not `{origin.path}`'s"
            related = (Related(f"it is `{owner.island.path}`'s, by this line", owner.place),) if owner else ()
            hint = "a move begins with what the table says" if owner else "pin the key first: pins: {…}"
            self.say("R0715", message, node.place, hint, *related)
            return stages
        line = Line("moves", f"{key}: {origin.key}", node.place, share, now[0], now[1], move, origin)
        if stages[0].name == "pins":
            return [stages[0]._replace(lines=(*stages[0].lines, line)), *stages[1:]]
        assert self.model.key is not None
        return [Stage("pins", self.model.key, (line,)), *stages]

    # States

    def states(self, stages: Iterable[Stage], fallback: Island | None) -> None:
        """Islands that get no new requests, and still serve keys."""
        keys: dict[str, tuple[Island, Line, int]] = {}
        for line in (line for stage in stages for line in stage.lines):
            if line.island.state != "active":
                _, first, number = keys.get(line.island.path, (line.island, line, 0))
                keys[line.island.path] = line.island, first, number + size(line.share)
            if line.mirror is not None and line.mirror.state != "active" and line.move is not None:
                hint = "move them to another island"
                self.state(line.mirror, line.move.target.place, "keys are on their way to it", hint)
        for island, line, number in keys.values():
            self.state(island, line.place, f"it has {number:,} {_UNITS[line.share.kind][number != 1]}")
        if fallback is not None and fallback.state != "active" and self.model.otherwise is not None:
            self.state(fallback, self.model.otherwise.items["island"].place, "it serves all other keys")

    def state(self, island: Island, place: Place, what: str, hint: str = "move its keys to another island") -> None:
        drained = island.state == "drained"
        related = (Related(f"it is {island.state}", island_place(island)),)
        message = f"the island `{island.path}` is {island.state}, and {what}"
        finding = Diagnostic("R0709", message, place, hint=hint, related=related)
        self.found.append(finding if drained else finding._replace(severity="warning"))


_VALUES = ("value of its digits", "values of its digits")
_UNITS = {"keys": ("key", "keys"), "first": _VALUES, "last": _VALUES, "number": ("bucket", "buckets")}
_LABEL = re.compile(r"[0-9A-Za-z_](?:[0-9A-Za-z_-]*[0-9A-Za-z_])?", re.ASCII)
_HINTS = {
    "header": "a header's value has no control characters, and no spaces around it",
    "query": "as it stands in the URL: percent-encoded",
    "hostLabel": "letters, digits and `-`",
    "pathSegment": "as proxies normalise it: percent-encoded as in a%20b, but for A-Z, a-z, 0-9 and -._~; no `/`",
}
_NOT_IN: Mapping[str, Callable[[str], bool]] = {
    "header": lambda key: key != key.strip() or any(ord(character) < 32 or ord(character) == 127 for character in key),
    "query": lambda key: re.fullmatch(r"[!-~]+", key) is None or "&" in key or "#" in key,
    "hostLabel": lambda key: _LABEL.fullmatch(key) is None,
    "pathSegment": lambda key: "/" in key or bool(PATH.problem(f"/{key}")) or normal(f"/{key}") != f"/{key}",
}


def _illegal(source: KeySource, key: str) -> tuple[str, str] | None:
    """What is wrong with a key, at the place where requests have it, and what keys are like there."""
    if not key:
        return "no key at all", "requests without a key are `otherwise`'s"
    if _NOT_IN[source.kind](key):
        return "no request has such a key there", _HINTS[source.kind]
    return None


def key_of(source: KeySource, request: Request) -> list[str]:
    """The keys that a request has at a place: none, one, or, of a header that comes several times, several."""
    if source.kind == "header":
        return list(request.headers.get(source.name.lower(), ()))
    if source.kind == "query":
        return [request.parameters[source.name]] if source.name in request.parameters else []
    if source.kind == "hostLabel":
        found = label_of(request.host, source.number)
    else:
        found = segment_of(request.path, source.number)
    return [found] if found is not None else []
