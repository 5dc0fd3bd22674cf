"""Shares as regular expressions of RE2 that proxies take: as few as their limits allow.

Proxies bound what RE2 calls the size of a program. It is estimated from above here: a byte is an instruction, a range
of bytes is one, and so is an alternative; of keys in order RE2 takes common beginnings together.
https://github.com/google/re2/blob/main/re2/parse.cc (RemoveLeadingString), envoy: source/common/common/regex.cc
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from replicator.ranges import Range
from replicator.routing.shares import Share

_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$])")
_OVERHEAD = 8  # instructions of any program
_ANY = 12  # instructions of a repeated class of all characters but a few, as UTF-8


class Limits(NamedTuple):
    """What a provider's proxies take: instructions of RE2, and characters of a value."""

    program: int
    length: int = 1 << 20


class Frame(NamedTuple):
    """What stands around a key in a value: patterns before and after it, and of its other characters (`any`).

    `size` is what all of it costs, in instructions. With `folded`, case makes no difference.
    """

    before: str = ""
    after: str = ""
    any: str = "."
    size: int = 0
    folded: bool = False


WHOLE = Frame()


def of_label(number: int) -> Frame:
    """The frame of a host's label; a port may follow. Case makes no difference in hosts."""
    before = "(?i)" + _times(r"[^.:]*\.", number - 1)
    return Frame(before, "([.:].*)?", "[^.:]", (_ANY + 2) * (number - 1) + _ANY + 6, folded=True)


def of_segment(prefix: str, number: int) -> Frame:
    """The frame of a path's segment, under a prefix of whole segments that has fewer of them."""
    depth = prefix.count("/") if prefix != "/" else 0
    between = number - depth - 1
    start = escaped(prefix.rstrip("/")) + "/" + _times("[^/]*/", between)
    return Frame(start, "(/.*)?", "[^/]", len(prefix.encode()) + (_ANY + 2) * between + _ANY + 6)


def _times(pattern: str, number: int) -> str:
    return pattern * number if number < 2 else f"({pattern}){{{number}}}"


def escaped(key: str) -> str:
    """A text as a regular expression that matches it alone."""
    return _SPECIAL.sub(r"\\\1", key)


class Piece(NamedTuple):
    """A part of a share, and the regular expression that matches a value with one of its keys, and no other value.

    `size` is what the expression costs at most, in instructions.
    """

    share: Share
    regex: str
    size: int


def pieces(share: Share, frame: Frame, limits: Limits) -> list[Piece]:
    """A share in parts, whose regular expressions are within the limits; but a part has one key, or range, at least."""
    if share.kind == "keys":
        return [
            Piece(share._replace(values=frozenset(keys)), _framed("|".join(map(escaped, keys)), frame), cost)
            for keys, cost in _groups(sorted(share.values), frame, limits)
        ]
    made: list[Piece] = []
    waiting = list(share.ranges)
    while waiting:
        number = _fitting(share, waiting, frame, limits)
        part = share._replace(ranges=tuple(waiting[:number]))
        made.append(Piece(part, *_numbers(part, frame)))
        del waiting[:number]
    return made


def _framed(body: str, frame: Frame) -> str:
    return f"{frame.before}{_group(body)}{frame.after}"


def _group(body: str) -> str:
    return f"({body})" if "|" in body else body


def _groups(keys: Sequence[str], frame: Frame, limits: Limits) -> Iterator[tuple[list[str], int]]:
    """Keys in order, as many together as fit, and what they cost."""
    start = _OVERHEAD + frame.size
    room = limits.length - len(frame.before) - len(frame.after) - 2
    group: list[str] = []
    cost = length = 0
    before = b""
    for key in keys:
        content = key.encode()
        new = _cost(content[_alike(before, content) :], frame)
        long = len(escaped(key)) + 1
        if group and (start + cost + new > limits.program or length + long - 1 > room):
            yield group, start + cost
            group, cost, length, new = [], 0, 0, _cost(content, frame)
        group.append(key)
        cost += new
        length += long
        before = content
    if group:
        yield group, start + cost


def _cost(content: bytes, frame: Frame) -> int:
    """What an alternative of these bytes costs. Where case makes no difference, Unicode has a third k and a third s."""
    return len(content) + 2 + (3 * content.count(b"k") + 2 * content.count(b"s") if frame.folded else 0)


def _alike(one: bytes, other: bytes) -> int:
    """How many bytes two texts have in common at their beginnings."""
    longest = min(len(one), len(other))
    return next((at for at in range(longest) if one[at] != other[at]), longest)


def _fitting(share: Share, ranges: Sequence[Range], frame: Frame, limits: Limits) -> int:
    """How many of the ranges, from the first on, fit one regular expression; one always does.

    The least number that does not fit is looked for by doubling, and then between.
    """

    def fits(number: int) -> bool:
        regex, cost = _numbers(share._replace(ranges=tuple(ranges[:number])), frame)
        return cost <= limits.program and len(regex) <= limits.length

    low, high = 1, 2
    while high <= len(ranges) and fits(high):
        low, high = high, high * 2
    high = min(high, len(ranges) + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low


def _numbers(share: Share, frame: Frame) -> tuple[str, int]:
    """The regular expression of a share of hex digits or numbers, and what it costs."""
    if share.kind != "number":
        body, cost = _digits(share.ranges, share.width, 16)
        rest = f"{frame.any}*"
        key = f"{rest}{_group(body)}" if share.kind == "last" else f"{_group(body)}{rest}"
        return f"{frame.before}{key}{frame.after}", _OVERHEAD + frame.size + _ANY + cost
    alternatives: list[tuple[str, int]] = []
    for width in range(1, 7):
        least = 10 ** (width - 1) if width > 1 else 0
        found = _clipped(share.ranges, least, 10**width - 1)
        if found:
            alternatives.append(_digits(found, width, 10))
    body = "|".join(text for text, _ in alternatives)
    return _framed(body, frame), _OVERHEAD + frame.size + sum(cost + 1 for _, cost in alternatives)


def _clipped(ranges: Sequence[Range], first: int, last: int, shift: int = 0) -> tuple[Range, ...]:
    """What of the ranges lies between two numbers, counted from `shift` on."""
    return tuple(
        Range(max(one.first, first) - shift, min(one.last, last) - shift)
        for one in ranges
        if one.first <= last and one.last >= first
    )


def _digits(ranges: Sequence[Range], width: int, base: int) -> tuple[str, int]:
    """Numbers of so many digits as alternatives of a digit and what may follow it; and what they cost."""
    unit = base ** (width - 1)
    following: dict[tuple[Range, ...], list[int]] = {}
    for digit in range(base):
        found = _clipped(ranges, digit * unit, (digit + 1) * unit - 1, digit * unit)
        if found:
            following.setdefault(found, []).append(digit)
    parts: list[str] = []
    total = 0
    for rest, digits in following.items():
        text, cost = _class(digits, base)
        if width > 1 and rest == (Range(0, unit - 1),):
            every, one = _class(range(base), base)
            text += every if width == 2 else f"{every}{{{width - 1}}}"
            cost += one * (width - 1)
        elif width > 1:
            more, one = _digits(rest, width - 1, base)
            text += _group(more)
            cost += one
        parts.append(text)
        total += cost + 1
    return "|".join(parts), total


def _class(digits: Sequence[int], base: int) -> tuple[str, int]:
    """A class of digits, of hex ones in either case; and what it costs."""
    alphabets = ["0123456789", "abcdef", "ABCDEF"] if base == 16 else ["0123456789"]
    runs: list[str] = []
    for alphabet in alphabets:
        start = 10 if alphabet[0] in "aA" else 0
        those = [digit - start for digit in digits if 0 <= digit - start < len(alphabet)]
        while those:
            end = 1
            while end < len(those) and those[end] == those[end - 1] + 1:
                end += 1
            first, last = alphabet[those[0]], alphabet[those[end - 1]]
            runs.append(first if end == 1 else f"{first}{last}" if end == 2 else f"{first}-{last}")
            del those[:end]
    if len(runs) == 1 and len(runs[0]) == 1:
        return runs[0], 1
    return f"[{''.join(runs)}]", len(runs)
