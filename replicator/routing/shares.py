"""Sets of keys, and what regular expressions of ours stand for: so that all of them is known, as of exact values.

A key is a text. A share holds single keys, all keys that begin or end with some hex digits, or numbers of buckets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from replicator.ranges import Range, count, merged

_HEX = re.compile(r"[0-9A-Fa-f]+", re.ASCII)
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,5}", re.ASCII)


Kind = Literal["keys", "first", "last", "number"]


class Share(NamedTuple):
    """A set of keys.

    `keys` holds those of `values`; with `folded` they are in lower case, and upper case is the same. `first` and
    `last` hold those that begin or end with `width` hex digits whose number is in `ranges`, in either case. `number`
    holds the decimal numbers of `ranges`, without leading zeros. Ranges are in order, and none touches the next.
    """

    kind: Kind
    values: frozenset[str] = frozenset()
    ranges: tuple[Range, ...] = ()
    width: int = 0
    folded: bool = False

    def has(self, key: str) -> bool:
        """Whether a key is in it."""
        if self.kind == "keys":
            return (key.lower() if self.folded else key) in self.values
        number = number_of(self, key)
        return number is not None and any(number in one for one in self.ranges)


def of_keys(values: Iterable[str], folded: bool = False) -> Share:
    """A share of single keys."""
    return Share("keys", frozenset(value.lower() if folded else value for value in values), folded=folded)


def number_of(share: Share, key: str) -> int | None:
    """The number of a key in a share of hex digits or buckets; None where it has none."""
    if share.kind == "number":
        return int(key) if _DECIMAL.fullmatch(key) else None
    digits = key[-share.width :] if share.kind == "last" else key[: share.width]
    if len(digits) < share.width or "\n" in key or not _HEX.fullmatch(digits):
        return None
    return int(digits, 16)


def joined(shares: Iterable[Share]) -> Share:
    """The keys of several shares of one kind, of which there is at least one."""
    first, *others = shares
    values = first.values.union(*(one.values for one in others))
    return first._replace(values=values, ranges=merged(part for one in (first, *others) for part in one.ranges))


def without(share: Share, other: Share) -> Share:
    """The keys of a share that are not in another of its kind."""
    if share.kind == "keys":
        return share._replace(values=share.values - other.values)
    kept: list[Range] = []
    for one in share.ranges:
        start = one.first
        for gone in other.ranges:
            if gone.last >= start and gone.first <= one.last:
                if gone.first > start:
                    kept.append(Range(start, gone.first - 1))
                start = gone.last + 1
        if start <= one.last:
            kept.append(Range(start, one.last))
    return share._replace(ranges=tuple(kept))


def _alike(one: Share, other: Share) -> bool:
    return (one.kind, one.width) == (other.kind, other.width)


def _asked_of(one: Share, other: Share) -> bool:
    """Whether the values of single keys may be asked of another share: those of either case, not of one in lower."""
    return other.kind != "keys" or other.folded >= one.folded


def is_empty(share: Share) -> bool:
    """Whether no key is in a share."""
    return not share.values and not share.ranges


def disjoint(one: Share, other: Share) -> bool:
    """Whether no key is in both; exact."""
    if one.kind == "keys" and _asked_of(one, other):
        return not any(other.has(value) for value in one.values)
    if other.kind == "keys":
        return disjoint(other, one)
    if _alike(one, other):
        return not any(mine.first <= its.last and its.first <= mine.last for mine in one.ranges for its in other.ranges)
    return False  # of other digits, or digits and buckets: some key has both


def includes(outer: Share, inner: Share) -> bool:
    """Whether every key of a share is in another; False where that is not looked at: digits of other widths, case."""
    if inner.kind == "keys":
        return _asked_of(inner, outer) and all(outer.has(value) for value in inner.values)
    if not _alike(outer, inner):
        return False
    return all(any(mine.first <= its.first and its.last <= mine.last for mine in outer.ranges) for its in inner.ranges)


def size(share: Share) -> int:
    """How many keys, values of digits, or buckets a share has."""
    return len(share.values) or count(share.ranges)


class Held(NamedTuple):
    """What a test of ours holds of a value: its key is in a share. The key is the value, or (`label`) a host's label.

    Labels are counted from 1 at the left; a port is no part of the host.
    """

    share: Share
    label: int = 0

    def has(self, value: str) -> bool:
        """Whether the key of a value is in the share."""
        key = label_of(value, self.label) if self.label else value
        return key is not None and self.share.has(key)


def label_of(host: str, number: int) -> str | None:
    """A label of a host, by its number; None where it has not so many."""
    labels = host.partition(":")[0].split(".", number)
    return labels[number - 1] if len(labels) >= number else None


def segment_of(path: str, number: int) -> str | None:
    """A segment of a path, by its number from 1; None where it has not so many."""
    segments = path.split("/", number + 1)
    return segments[number] if len(segments) > number else None


class Segment(NamedTuple):
    """What a path of ours is: under a prefix of whole segments, with a segment, by its number from 1, in a share."""

    prefix: str
    number: int
    share: Share

    def has(self, path: str) -> bool:
        """Whether it is a path's."""
        below = self.prefix == "/" or path == self.prefix or path.startswith(f"{self.prefix}/")
        key = segment_of(path, self.number) if below else None
        return key is not None and self.share.has(key)
