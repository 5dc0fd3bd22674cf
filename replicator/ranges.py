"""Sets of numbers as people write them: single ones and ranges with both ends, in decimal or in hex digits.

`0-7,12` is 0 to 7, and 12. In hex digits each number has a fixed width: `00-7f`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Range(NamedTuple):
    """Numbers from `first` to `last`, both included."""

    first: int
    last: int

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.first <= number <= self.last


class NotRanges(ValueError):
    """The text is no list of ranges; the message says why."""


def parse(text: str, digits: int = 0) -> tuple[Range, ...]:
    """The ranges of a text in the order in which they are written; `digits` is the width of hex numbers, 0 decimal.

    Raises `NotRanges`.
    """
    number = rf"[0-9a-fA-F]{{{digits}}}" if digits else r"0|[1-9][0-9]{0,9}"
    base = 16 if digits else 10
    made = []
    for part in text.split(","):
        found = re.fullmatch(rf"\s*({number})\s*(?:-\s*({number})\s*)?", part, re.ASCII)
        if found is None:
            example = f"{'0' * digits}-{'7' * digits}" if digits else "0-7,12"
            raise NotRanges(f"`{part.strip()}` is neither a number nor a range such as {example}")
        first, last = int(found[1], base), int(found[2] or found[1], base)
        if first > last:
            raise NotRanges(f"the range `{part.strip()}` ends before it begins")
        made.append(Range(first, last))
    return tuple(made)


def merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same numbers as ranges in order, of which none touches the next."""
    made: list[Range] = []
    for one in sorted(ranges):
        if made and one.first <= made[-1].last + 1:
            made[-1] = Range(made[-1].first, max(made[-1].last, one.last))
        else:
            made.append(one)
    return tuple(made)


def of_numbers(numbers: Iterable[int]) -> tuple[Range, ...]:
    """Numbers as ranges in order."""
    return merged(Range(number, number) for number in numbers)


def numbers(ranges: Iterable[Range]) -> Iterator[int]:
    """Every number of some ranges."""
    for one in ranges:
        yield from range(one.first, one.last + 1)


def count(ranges: Iterable[Range]) -> int:
    """How many numbers there are in ranges that do not overlap."""
    return sum(one.last - one.first + 1 for one in ranges)


def as_text(ranges: Iterable[Range], digits: int = 0) -> str:
    """Ranges as they are written: `0-7,12`, or `00-7f` in hex digits."""

    def shown(number: int) -> str:
        return f"{number:0{digits}x}" if digits else str(number)

    ends = ((shown(one.first), shown(one.last)) for one in ranges)
    return ",".join(first if first == last else f"{first}-{last}" for first, last in ends)
