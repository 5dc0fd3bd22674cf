"""Objects that are too large for the cluster, or for `kubectl apply` as it is.

Sizes are those of the text that is written, in bytes. The cluster keeps JSON without blanks, which for what is written
here is about as long: indentation against quotes. Of what is above a limit, no more is made than it takes to know that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from replicator.diagnostics import Diagnostic, Related
from replicator.expander.islands import Island, island_place
from replicator.stamp import IslandText, RoutingObject, SetRows
from replicator.tree import Manifest
from replicator.yaml_text import Repetition, Slot

# `kubectl apply` without --server-side keeps the object in an annotation, and all annotations of an object have at most
# this many bytes (k8s.io/apimachinery: TotalAnnotationSizeLimitB).
MOST_APPLIED = 256 * 1024
# etcd takes requests of 1.5 MiB (--max-request-bytes); the server adds fields of its own (managedFields, status).
MOST_STORED = 1024 * 1024


class _Measured(NamedTuple):
    manifest: Manifest
    size: int  # of the largest one; not counted on above `MOST_STORED`
    island: Island | None


def too_large(
    sets: Sequence[SetRows], routing: Sequence[RoutingObject], ways_out: Mapping[str, str]
) -> Iterator[Diagnostic]:
    """A warning or an error for each object above a limit; of those of all islands, for the largest.

    `ways_out` says for a Routing, by its name, how its objects become smaller.
    """
    by_path = {rows.plan.path: rows for rows in sets}
    for one in routing:
        measured = _of_routing(one, by_path)
        if measured.size > MOST_APPLIED:
            yield _told(measured, ways_out.get(one.owner, ""))
    for rows in sets:
        for manifest, content in rows.shared:
            if len(content) > MOST_APPLIED:
                yield _told(_Measured(manifest, len(content), None), "")
        for measured in _of_islands(rows):
            if measured.size > MOST_APPLIED:
                yield _told(measured, "")


def _told(measured: _Measured, way_out: str) -> Diagnostic:
    manifest, size, island = measured
    name = "".join(part if isinstance(part, str) else "…" for part in manifest.name)
    of = f" of `{island.path}`" if island is not None else ""
    what = f"the {manifest.kind} `{name}`{of}"
    related = (Related("for this island", island_place(island)),) if island is not None else ()
    place = manifest.origin.place
    if size > MOST_STORED:
        message = f"{what} has more than {MOST_STORED:,} bytes: the cluster stores no object of that size"
        return Diagnostic("R0710", message, place, hint=way_out or "make two objects of it", related=related)
    message = f"{what} has {size:,} bytes: too many for the copy that `kubectl apply` keeps in an annotation"
    hint = f"kubectl apply --server-side{', or ' if way_out else ''}{way_out}"
    return Diagnostic("R0710", message, place, hint=hint, related=related, severity="warning")


def _of_routing(one: RoutingObject, rows: Mapping[str, SetRows]) -> _Measured:
    over = one.manifest.over
    if not over:
        return _Measured(one.manifest, _counted(one.texts(rows)), None)
    longest = max(map(len, rows[over].rows), default=0)
    if _at_most(one.pieces, longest, rows) <= MOST_APPLIED:
        return _Measured(one.manifest, 0, None)
    largest = _Measured(one.manifest, 0, None)
    for island, content in zip(one.islands(rows), one.texts(rows), strict=True):
        if len(content) > largest.size:
            largest = _Measured(one.manifest, len(content), island)
        if largest.size > MOST_STORED:
            break
    return largest


def _counted(texts: Iterable[bytes]) -> int:
    """The bytes of a text, counted until they are too many in any case: what is large is not made twice."""
    size = 0
    for content in texts:
        size += len(content)
        if size > MOST_STORED:
            break
    return size


def _at_most(pieces: Iterable[object], longest: int, rows: Mapping[str, SetRows]) -> int:
    """What an island's object has at most, where the island with most to fill in has so many bytes of it."""
    size = 0
    for piece in pieces:
        if isinstance(piece, Repetition):
            size += _counted(rows[piece.over].repeated(piece, rows))
        elif isinstance(piece, Slot):
            size += longest
        else:
            size += len(str(piece).encode())
    return size


def _of_islands(rows: SetRows) -> Iterator[_Measured]:
    """The objects of the island with most to fill in, of each shape that could have a large one."""
    if not rows.rows:
        return
    longest = max(map(len, rows.rows))
    large = [shape for shape in rows.shapes if shape.whole.at_most(longest) > MOST_APPLIED]
    if not large:
        return
    chosen: dict[int, IslandText] = {}
    for one in rows.islands():
        known = chosen.get(id(one.shape))
        if one.shape in large and (known is None or len(one.row) > len(known.row)):
            chosen[id(one.shape)] = one
    for one in chosen.values():
        for manifest, content in one.objects():
            yield _Measured(manifest, len(content), one.island)
