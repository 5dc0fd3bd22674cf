"""The shape of Partitions that the schema cannot say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from replicator.diagnostics import Diagnostic, Place
from replicator.model import Partition, Project
from replicator.parser.source import Mapping

SOURCES = ("header", "query", "hostLabel", "pathSegment")
TABLES = ("keys", "hex", "buckets")


def partitions(project: Project) -> Iterator[Diagnostic]:
    """One source of the key, one table, one answer for all other keys; a move of one kind of thing."""
    for one in project.partitions:
        spec = one.node.items["spec"]
        assert isinstance(spec, Mapping)
        key = spec.items.get("key")
        if isinstance(key, Mapping):
            yield from _exactly_one(key, SOURCES, key.place, "a key is in one place of the request")
        buckets = spec.items.get("buckets")
        if isinstance(buckets, Mapping):
            both = [field for field in SOURCES if field in buckets.items]
            if len(both) > 1:
                message = "the bucket's number is in one place of the request"
                yield Diagnostic("R0205", message, buckets.key_place(both[1]), hint="either `header` or `query`")
        yield from _tables(one, spec)
        otherwise = spec.items.get("otherwise")
        if isinstance(otherwise, Mapping):
            yield from _exactly_one(otherwise, ("respond", "island"), otherwise.place, "one answer for all other keys")
        for move in one.moves:
            yield from _exactly_one(move.node, TABLES, move.node.place, "a move is of keys, of digits or of buckets")
            for field in TABLES[1:]:
                if field in move.node.items and field not in spec.items:
                    place = move.node.key_place(field)
                    yield Diagnostic("R0205", f"this Partition has no `{field}`", place, hint="keys: […]")


def _tables(one: Partition, spec: Mapping) -> Iterator[Diagnostic]:
    tables = [field for field in TABLES if field in spec.items]
    if len(tables) > 1:
        message = f"`{tables[0]}` and `{tables[1]}` at once"
        yield Diagnostic("R0205", message, spec.key_place(tables[1]), hint=f"one of: {', '.join(TABLES)}")
    named = [node for node in (one.pins, one.keys) if node is not None and node.items]
    if not named and one.hex is None and one.buckets is None:
        place = one.node.key_place("spec")
        yield Diagnostic("R0202", "no key has an island", place, hint=f"one of: {', '.join(TABLES)}; or `pins`")
    numbered = one.buckets is not None and one.buckets.source is not None
    keyed = one.pins is not None or any(move.keys for move in one.moves)
    if one.key is None and "key" not in spec.items and (keyed or not numbered) and (tables or keyed):
        hint = "key: {header: x-tenant}"
        yield Diagnostic("R0202", 'missing field "key"', one.node.key_place("spec"), hint=hint)


def _exactly_one(node: Mapping, fields: Sequence[str], place: Place, message: str) -> Iterator[Diagnostic]:
    given = [field for field in fields if field in node.items]
    if len(given) != 1:
        where = node.key_place(given[1]) if given else place
        yield Diagnostic("R0205" if given else "R0202", message, where, hint=f"exactly one of: {', '.join(fields)}")
