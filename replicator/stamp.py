"""Once per island: `evaluate` does all that can fail and makes one compact row an island; filling text cannot fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, repeat
from operator import itemgetter
from typing import Any, NamedTuple

from replicator.binder import Bound, BoundSet, Stencil
from replicator.diagnostics import Diagnostic, Place, Related
from replicator.expander.islands import Island, SetPlan, island_place
from replicator.expression.values import Failure, text_of
from replicator.sources import hole_reader, text_reader
from replicator.tree import Hole, Leaf, List, Manifest, Map, Repeat, Source, Text, Tree
from replicator.yaml_text import Piece, Repetition, Slot

Read = Callable[[Island], Any]
Fill = Callable[[Sequence[bytes]], bytes]
_SEPARATOR = b"\0"  # no YAML text holds it


class _Filler:
    """Text with gaps, and which cell of a row goes into which gap."""

    __slots__ = ("_parts", "_pick", "_text")

    def __init__(self, pieces: Sequence[str | int]) -> None:
        parts: list[bytes] = [b""]
        picked: list[int] = []
        for piece in pieces:
            if isinstance(piece, int):
                picked.append(piece)
                parts += [b"", b""]
            else:
                parts[-1] += piece.encode()
        self._parts = parts
        self._text = b"".join(parts)
        self._pick = itemgetter(*picked) if picked else None
        if len(picked) == 1:
            only = picked[0]
            self._pick = lambda cells: (cells[only],)  # type: ignore[assignment]

    def at_most(self, longest: int) -> int:
        """The bytes of the text where each cell has no more than so many."""
        return len(self._text) + len(self._parts) // 2 * longest

    def fill(self, cells: Sequence[bytes]) -> bytes:
        if self._pick is None:
            return self._text
        parts = self._parts.copy()
        parts[1::2] = self._pick(cells)
        return b"".join(parts)


class ShapeText:
    """The objects of islands of one shape, as text with gaps."""

    def __init__(self, placed: list[tuple[Manifest, list[str | int]]]) -> None:
        self._placed = placed
        self.whole = _Filler([piece for _, pieces in placed for piece in pieces])

    @cached_property
    def objects(self) -> list[tuple[Manifest, _Filler]]:
        """Each object by itself."""
        return [(manifest, _Filler(pieces)) for manifest, pieces in self._placed]


class IslandText(NamedTuple):
    """An island's output: as a whole, or object by object."""

    island: Island
    shape: ShapeText
    row: bytes

    def whole(self) -> bytes:
        return self.shape.whole.fill(self.row.split(_SEPARATOR))

    def objects(self) -> Iterator[tuple[Manifest, bytes]]:
        cells = self.row.split(_SEPARATOR)
        for manifest, filler in self.shape.objects:
            yield manifest, filler.fill(cells)


@dataclass(eq=False, slots=True)
class SetRows:
    """A Set's islands as rows of cells; cells of routes come first, those of an island's own objects after them."""

    plan: SetPlan
    rows: list[bytes]
    shapes: list[ShapeText]
    shape_of: list[int] | None  # None: every island has the first
    shared: tuple[tuple[Manifest, bytes], ...]
    places: Mapping[Slot, int | str]

    def texts(self) -> Iterator[bytes]:
        """The text of each island in turn."""
        for row, shape in zip(self.rows, self._shapes(), strict=False):
            yield shape.whole.fill(row.split(_SEPARATOR))

    def islands(self, selected: Callable[[Island], bool] | None = None) -> Iterator[IslandText]:
        """The islands in turn, or those that are selected."""
        for island, shape, row in zip(self.plan.islands, self._shapes(), self.rows, strict=False):
            if selected is None or selected(island):
                yield IslandText(island, shape, row)

    def _shapes(self) -> Iterable[ShapeText]:
        if self.shape_of is not None:
            return (self.shapes[number] for number in self.shape_of)
        return repeat(self.shapes[0]) if self.shapes else ()

    def repeated(self, repetition: Repetition, rows: Mapping[str, SetRows]) -> Iterator[bytes]:
        """Pieces of a routing object, once for each island. `rows` fill what is repeated inside them."""
        fill = self._filler(repetition.pieces, rows).fill
        chosen = self.rows
        if repetition.span is not None:
            chosen = chosen[slice(*repetition.span)]
        if repetition.cases:
            made: Iterable[bytes] = self._by_case(repetition, fill, rows)
        else:
            made = (fill(row.split(_SEPARATOR)) for row in chosen)
        if not repetition.separator:
            yield from made
            return
        between = repetition.separator.encode()
        for number, one in enumerate(made):
            if number:
                yield between
            yield one

    def _filler(self, pieces: Iterable[Piece], rows: Mapping[str, SetRows]) -> _Filler:
        known: list[str | int] = []
        for piece in pieces:
            if isinstance(piece, Repetition):
                known.append(b"".join(rows[piece.over].repeated(piece, rows)).decode())
            else:
                known.append(self.places[piece] if isinstance(piece, Slot) else piece)
        return _Filler(known)

    def _by_case(self, repetition: Repetition, fill: Fill, rows: Mapping[str, SetRows]) -> Iterator[bytes]:
        """The islands' texts, where some have others; those that have none are left out."""
        fills = {case: self._filler(pieces, rows).fill if pieces else None for case, pieces in repetition.cases}
        start, stop = repetition.span or (0, len(self.rows))
        for island, row in islice(zip(self.plan.islands, self.rows, strict=False), start, stop):
            chosen = fills.get(island.case, fill)
            if chosen is not None:
                yield chosen(row.split(_SEPARATOR))


def evaluate(
    bound: BoundSet, routed: Iterable[Slot], origins: Mapping[Hole, Place | None]
) -> tuple[SetRows, list[Diagnostic]]:
    """The rows of a Set. `routed` are the slots that routing objects fill once for each island.

    A value that fails is a diagnostic at the place of its hole, with the island as the related place.
    """
    evaluator = _Evaluator(bound.plan)
    common = evaluator.table(routed)
    shapes: dict[str, int] = {}
    texts: list[ShapeText] = []
    readers: list[list[Callable[[Island], str]]] = []
    rows: list[bytes] = []
    filler_of: list[int] = []
    shape_of = bound.shape_of
    for island in bound.plan.islands:
        shape = shape_of(island)
        number = shapes.get(shape)
        if number is None:
            number = shapes[shape] = len(texts)
            stencil = bound.stencil(shape)
            evaluator.learn(stencil, origins)
            table = evaluator.table(_slots(stencil), common)
            texts.append(
                ShapeText(
                    [(one.manifest, [_placed(piece, table.places) for piece in one.pieces]) for one in stencil.objects]
                )
            )
            readers.append(table.readers)
        try:
            rows.append("\0".join([read(island) for read in readers[number]]).encode())
        except Failure:
            rows.append(b"")
            evaluator.explain(island, readers[number])
        filler_of.append(number)
    shared = tuple((one.manifest, evaluator.fixed(one, origins)) for one in bound.objects)
    uniform = len(texts) <= 1
    made = SetRows(bound.plan, rows, texts, None if uniform else filler_of, shared, common.places)
    return made, evaluator.found


def _placed(piece: Piece, places: Mapping[Slot, int | str]) -> str | int:
    if isinstance(piece, Slot):
        return places[piece]
    assert isinstance(piece, str)
    return piece


def _slots(stencil: Stencil) -> Iterator[Slot]:
    for one in stencil.objects:
        for piece in one.pieces:
            if isinstance(piece, Slot):
                yield piece


class _Table(NamedTuple):
    """Where each slot's text is: in a cell (its number), or known already (its text); how the cells are read."""

    places: dict[Slot, int | str]
    readers: list[Callable[[Island], str]]


def _scalar_reader(hole: Hole) -> Read:
    """A hole's value, which must be a scalar."""
    read = hole_reader(hole)

    def judged(island: Island) -> Any:
        value = read(island)
        if value is not None:
            text_of(value)
        return value

    return judged


def _memoised(read: Read, encode: Callable[[Any], str]) -> Callable[[Island], str]:
    """Encode each distinct value once, while they are few."""
    memo: dict[tuple[type, Any], str] = {}

    def encoded(island: Island) -> str:
        value = read(island)
        of = value.__class__
        key = (of, repr(value) if of is float else value)  # 0.0 is not -0.0
        text = memo.get(key)
        if text is None:
            text = encode(value)
            if len(memo) < 1024:
                memo[key] = text
        return text

    return encoded


class _Evaluator:
    def __init__(self, plan: SetPlan) -> None:
        self.plan = plan
        self.varying = plan.varying | {("island", "weight"), ("island", "implementation")}
        self.first = plan.example
        self.found: list[Diagnostic] = []
        self.origins: dict[Hole, Place | None] = {}
        self.holes: dict[Callable[[Island], str], Slot] = {}

    def learn(self, stencil: Stencil, origins: Mapping[Hole, Place | None]) -> None:
        self.origins.update(origins)
        for one in stencil.objects:
            for hole, place in hole_places(one.manifest.body):
                self.origins.setdefault(hole, place)

    def table(self, slots: Iterable[Slot], base: _Table | None = None) -> _Table:
        places = dict(base.places) if base else {}
        readers = list(base.readers) if base else []
        for slot in slots:
            if slot in places:
                continue
            depends = {path for part in slot.parts if isinstance(part, Hole) for path in part.source.reads}
            read = self.reader(slot)
            if depends & self.varying or self.first is None:
                places[slot] = len(readers)
                readers.append(read)
                continue
            try:
                places[slot] = read(self.first)
            except Failure:
                places[slot] = ""
                self.explain(self.first, [read], once=True)
        return _Table(places, readers)

    def reader(self, slot: Slot) -> Callable[[Island], str]:
        """The slot's text as a function of the island. The function raises `Failure`."""
        hole = slot.parts[0]
        if slot.style == "value" and isinstance(hole, Hole):
            read = _memoised(_scalar_reader(hole), slot.encode)
        elif slot.style == "part":
            read = text_reader(slot.parts)
        else:
            read = _memoised(text_reader(slot.parts), slot.encode)
        self.holes[read] = slot
        return read

    def explain(self, island: Island, readers: Iterable[Callable[[Island], str]], once: bool = False) -> None:
        """Say which holes of an island's slots fail, and why."""
        for read in readers:
            slot = self.holes.get(read)
            for hole in (part for part in slot.parts if isinstance(part, Hole)) if slot else ():
                try:
                    value = hole.source.value(island)
                    if slot and slot.style != "value":
                        text_of(value)
                except Failure as failure:
                    place = self.origins.get(hole)
                    related = () if once else (Related("for this island", island_place(island)),)
                    self.found.append(failure.at(place, *related, island="" if once else island.path))

    def fixed(self, one: Bound, origins: Mapping[Hole, Place | None]) -> bytes:
        """The text of an object of the whole Set."""
        self.origins.update(origins)
        for hole, place in hole_places(one.manifest.body):
            self.origins.setdefault(hole, place)
        table = self.table(piece for piece in one.pieces if isinstance(piece, Slot))
        return "".join(str(_placed(piece, table.places)) for piece in one.pieces).encode()


def hole_places(node: Tree) -> Iterator[tuple[Hole, Place | None]]:
    """The holes under a node, with the places of their leaves."""
    if isinstance(node, Leaf):
        parts: Text | tuple[Any, ...] = node.value if isinstance(node.value, tuple) else (node.value,)
        for part in parts:
            if isinstance(part, Hole):
                yield part, node.origin.place
    elif isinstance(node, Map):
        for _, child in node.items:
            yield from hole_places(child)
    elif isinstance(node, (List, Repeat)):
        for child in node.items:
            yield from hole_places(child)
        for _, items in node.cases if isinstance(node, Repeat) else ():
            for child in items:
                yield from hole_places(child)


class RoutingObject(NamedTuple):
    """An object of a Routing, in pieces; with `over` one per island of that Set, `apart`: in the island's own file."""

    owner: str
    manifest: Manifest
    pieces: tuple[Piece, ...]
    places: Mapping[Source, Place]
    apart: bool = False

    def slots(self) -> Iterator[tuple[str, Slot]]:
        """The slots to be filled once for each island, with the Set's path."""
        yield from _slots_of(self.pieces, self.manifest.over)

    def texts(self, rows: Mapping[str, SetRows]) -> Iterator[bytes]:
        """The object's text, or the texts of the objects of all islands."""
        over = self.manifest.over
        if over:
            yield from rows[over].repeated(self.repetition(rows), rows)
            return
        for piece in self.pieces:
            if isinstance(piece, Repetition):
                yield from rows[piece.over].repeated(piece, rows)
            else:
                assert isinstance(piece, str)
                yield piece.encode()

    def islands(self, rows: Mapping[str, SetRows]) -> Iterator[Island]:
        """The islands that have such an object, in the order of `texts`."""
        of = self.manifest.cases
        return (island for island in rows[self.manifest.over].plan.islands if not of or island.case in of)

    def repetition(self, rows: Mapping[str, SetRows]) -> Repetition:
        """The object as what is repeated for each island of its Set."""
        over, of = self.manifest.over, self.manifest.cases
        others = {island.case for island in rows[over].plan.islands if island.case not in of} if of else ()
        return Repetition(self.pieces, over, cases=tuple((case, ()) for case in sorted(others)))


def _slots_of(pieces: Iterable[Piece], over: str) -> Iterator[tuple[str, Slot]]:
    for piece in pieces:
        if isinstance(piece, Slot):
            yield over, piece
        elif isinstance(piece, Repetition):
            yield from _slots_of(piece.pieces, piece.over)
            for _, pieces in piece.cases:
                yield from _slots_of(pieces, piece.over)
