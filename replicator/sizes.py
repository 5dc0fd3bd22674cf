"""Objects that are too large for the cluster, or for `kubectl apply` as it is.

What the cluster keeps is JSON without blanks. Its size is taken from the text that is written, of which indentation
does not count, and two quotes and a comma of each line do: for manifests that is true to a few hundredths. Of what is
above a limit, no more is made than it takes to know that.
"""

from __future__ import annotations

import re
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
# etcd takes requests of 1.5 MiB (--max-request-bytes). Routes can be spread over objects, so for them there is room to
# spare: controllers write a status into them, and the server its managedFields.
MOST_STORED = 1536 * 1024
MOST_ROUTES = 1024 * 1024
_INDENT = re.compile(rb"^[ -]+", re.MULTILINE)


def stored_size(text: bytes) -> int:
    """The bytes of an object as JSON without blanks, about, by its text in YAML."""
    return len(_INDENT.sub(b"", text)) + 3 * text.count(b"\n")


class _Measured(NamedTuple):
    manifest: Manifest
    size: int  # of the largest one; of routes, not counted on above `MOST_ROUTES`
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
            yield _told(measured, MOST_ROUTES, ways_out.get(one.owner, ""))
    for rows in sets:
        for manifest, content in rows.shared:
            if (size := stored_size(content)) > MOST_APPLIED:
                yield _told(_Measured(manifest, size, None), MOST_STORED)
        for measured in _of_islands(rows):
            if measured.size > MOST_APPLIED:
                yield _told(measured, MOST_STORED)


def _told(measured: _Measured, most: int, way_out: str = "") -> Diagnostic:
    manifest, size, island = measured
    name = "".join(part if isinstance(part, str) else "…" for part in manifest.name)
    of = f" of `{island.path}`" if island is not None else ""
    what = f"the {manifest.kind} `{name}`{of}"
    related = (Related("for this island", island_place(island)),) if island is not None else ()
    place = manifest.origin.place
    if size > most:
        message = f"{what} has more than {most:,} bytes: the cluster stores no object of that size"
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
        if (size := stored_size(content)) > largest.size:
            largest = _Measured(one.manifest, size, island)
        if largest.size > MOST_ROUTES:
            break
    return largest


def _counted(texts: Iterable[bytes]) -> int:
    """The bytes of a text, counted until they are too many in any case: what is large is not made twice."""
    size = 0
    for content in texts:
        size += stored_size(content)
        if size > MOST_ROUTES:
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
            yield _Measured(manifest, stored_size(content), one.island)
