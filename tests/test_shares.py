"""Sets of keys and the regular expressions that stand for them, against Python's engine and against RE2 itself."""

import re
from collections.abc import Iterator
from itertools import pairwise
from random import Random

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from replicator.ranges import Range, count, merged, numbers, of_numbers
from replicator.routing.share_patterns import WHOLE, Frame, Limits, Piece, of_label, of_segment, pieces
from replicator.routing.shares import Held, Segment, Share, disjoint, includes, is_empty, joined, of_keys, size, without

LIMITS = Limits(1024, 4096)
SPECIAL = "\\.+*?()|[]{}^$"
FREE = Limits(1 << 30)

# Keys

plain = st.sampled_from(
    ["acme", "ACME", "Acme", "007", "0", "7", "70", "65535", "65536", "01", "f", "F0", "1f", "-", "k"]
)
uuids = st.uuids().map(str)
hard = st.one_of(
    st.text(alphabet=SPECIAL + "a0", min_size=1, max_size=6),
    st.text(alphabet="aäéßſKkKsS漢\U0001f600\u0301\u2028 ", min_size=1, max_size=8),
    st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12),
)
long = st.text(alphabet="abkso-", min_size=20, max_size=60)
keys_of_headers = st.one_of(plain, uuids, uuids.map(str.upper), hard, long)
labels = st.one_of(
    plain.filter(lambda key: key != "-"), uuids, st.text(alphabet="aAkKsSoz09-", min_size=1, max_size=40), long
)
steps = st.one_of(plain, uuids, st.text(alphabet="aA0._~!$&'()*+,;=:@-", min_size=1, max_size=20), long)


@st.composite
def ranges(draw: st.DrawFn, number: int) -> tuple[Range, ...]:
    """Some of so many numbers; half of the time many single ones."""
    ends = st.integers(0, number - 1)
    if draw(st.booleans()):
        return of_numbers(draw(st.lists(ends, min_size=1, max_size=60)))
    return merged(Range(*sorted(draw(st.tuples(ends, ends)))) for _ in range(draw(st.integers(1, 4))))


@st.composite
def numbered(draw: st.DrawFn) -> Share:
    """A share of digits or of buckets."""
    kind = draw(st.sampled_from(["first", "last", "number"]))
    if kind == "number":
        return Share("number", ranges=draw(ranges(draw(st.sampled_from([1, 2, 10, 16, 256, 1000, 65536])))))
    width = draw(st.integers(1, 4))
    return Share(kind, ranges=draw(ranges(16**width)), width=width)  # type: ignore[arg-type]


def shares(keys: st.SearchStrategy[str], folded: bool = False) -> st.SearchStrategy[Share]:
    return st.one_of(st.lists(keys, min_size=1, max_size=80).map(lambda those: of_keys(those, folded)), numbered())


def near(draw: st.DrawFn, share: Share, keys: st.SearchStrategy[str]) -> str:
    """A key that is in a share, or nearly, or any."""
    key = draw(keys)
    how = draw(st.integers(0, 5))
    if how < 3 and share.kind == "keys":
        key = draw(st.sampled_from(sorted(share.values)))
    elif how < 4 and share.kind != "keys":
        end = draw(st.sampled_from(share.ranges))
        number = draw(st.sampled_from([end.first, end.last, max(end.first - 1, 0), end.last + 1]))
        digits = f"{number:0{share.width}x}" if share.width else str(number)
        digits = digits.upper() if draw(st.booleans()) else digits
        key = f"{key}{digits}" if share.kind == "last" else f"{digits}{key}" if share.kind == "first" else digits
    change = draw(st.sampled_from(["", "", "", "longer", "shorter", "upper", "zero", "before"]))
    return {
        "": key,
        "longer": key + draw(st.sampled_from(["x", "0", "f", "-"])),
        "shorter": key[:-1],
        "upper": key.swapcase(),
        "zero": f"0{key}",
        "before": f"x{key}",
    }[change]


# Values: keys in their frames


@st.composite
def in_header(draw: st.DrawFn) -> tuple[Share, Frame, Held, str]:
    share = draw(shares(keys_of_headers))
    value = near(draw, share, keys_of_headers)
    if draw(st.integers(0, 9)) == 0:
        value = draw(st.sampled_from(["", "\n", f"{value}\n", f"\n{value}", f"a\n{value}"]))
    return share, WHOLE, Held(share), value


@st.composite
def in_host(draw: st.DrawFn) -> tuple[Share, Frame, Held, str]:
    share = draw(shares(labels, folded=True))
    number = draw(st.sampled_from([1, 1, 2, 3, 32]))
    before = [
        draw(st.sampled_from(["a", "eu-1", "7", ""])) for _ in range(number - draw(st.sampled_from([1, 1, 1, 2])))
    ]
    after = draw(st.sampled_from(["", ".example.com", ".7", "."]))
    port = draw(st.sampled_from(["", ":80", ":7", ":65535"]))
    value = ".".join([*before, near(draw, share, labels)]) + after + port
    return share, of_label(number), Held(share, number), value.upper() if draw(st.booleans()) else value


@st.composite
def in_path(draw: st.DrawFn) -> tuple[Share, Frame, Segment, str]:
    share = draw(shares(steps))
    prefix = draw(st.sampled_from(["/", "/t", "/a.b/c", "/t/7"]))
    depth = prefix.count("/") if prefix != "/" else 0
    number = depth + draw(st.sampled_from([1, 1, 2, 3, 20]))
    between = [
        draw(st.sampled_from(["a", "7", ""])) for _ in range(number - depth - draw(st.sampled_from([1, 1, 1, 2])))
    ]
    start = draw(st.sampled_from([prefix.rstrip("/")] * 5 + ["/x", f"{prefix}x", prefix.upper()]))
    after = draw(st.sampled_from(["", "", "/", "/orders", "/7", "//"]))
    value = "/".join([start, *between, near(draw, share, steps)]) + after
    return share, of_segment(prefix, number), Segment(prefix, number, share), value


VALUES = {"header": in_header(), "host": in_host(), "path": in_path()}


@pytest.mark.parametrize("place", VALUES)
def test_a_regular_expression_matches_what_is_in_its_share(place: str) -> None:
    seen = {True: 0, False: 0}

    @examples(1500)
    @given(VALUES[place], st.sampled_from([FREE, LIMITS, Limits(250)]))
    def same(made: tuple[Share, Frame, Held | Segment, str], limits: Limits) -> None:
        share, frame, held, value = made
        parts = pieces(share, frame, limits)
        has = held.has(value)
        seen[has] += 1
        for engine in (re.compile, re2.compile):
            matching = [part for part in parts if engine(part.regex).fullmatch(value)]
            assert len(matching) == has, (engine, value, held)
            for part in matching:
                assert held._replace(share=part.share).has(value)

    same()
    assert min(seen.values()) > 300


# Pieces

MANY = st.one_of(
    st.tuples(
        st.lists(st.one_of(plain, uuids, hard, long), min_size=1, max_size=300).map(of_keys),
        st.sampled_from([WHOLE, of_segment("/t", 3), of_segment("/", 32)]),
    ),
    st.tuples(
        st.lists(st.one_of(labels, long), min_size=1, max_size=300).map(lambda those: of_keys(those, folded=True)),
        st.sampled_from([of_label(1), of_label(3), of_label(32)]),
    ),
    st.tuples(numbered(), st.sampled_from([WHOLE, of_label(1), of_label(32), of_segment("/t", 3)])),
)


@examples(500)
@given(MANY, st.sampled_from([LIMITS, Limits(1024, 1024), Limits(800), Limits(1024, 120), Limits(32768)]))
def test_pieces(made: tuple[Share, Frame], limits: Limits) -> None:
    """They have all keys and each once, keep the limits as RE2 counts, and two of them would not."""
    share, frame = made
    parts = pieces(share, frame, limits)
    assert joined(part.share for part in parts) == share
    assert sum(size(part.share) for part in parts) == size(share)
    for part in parts:
        assert re2.compile(part.regex).programsize <= part.size <= limits.program
        alone = len(part.share.values) + len(part.share.ranges) == 1
        assert len(part.regex) <= limits.length or alone
    for one, other in pairwise(parts):
        (longer,) = pieces(following(one, other), frame, FREE)
        assert longer.size > limits.program or len(longer.regex) > limits.length


def following(one: Piece, other: Piece) -> Share:
    """A piece with the first key, or range, of the next."""
    first = other.share._replace(values=frozenset(sorted(other.share.values)[:1]), ranges=other.share.ranges[:1])
    return joined([one.share, first])


def test_what_does_not_fit_alone_is_a_piece_that_says_so() -> None:
    (part,) = pieces(of_keys(["k" * 2000]), of_segment("/t", 3), LIMITS)
    assert part.size > LIMITS.program


def test_the_estimate_is_near() -> None:
    """Too high an estimate would make more rules than are needed."""
    random = Random(1)
    share = of_keys(f"{random.getrandbits(128):032x}" for _ in range(2000))
    for limit in (1024, 32768):
        parts = pieces(share, WHOLE, Limits(limit))
        needed = sum(re2.compile(part.regex).programsize for part in parts)
        assert len(parts) * limit <= 1.11 * needed + limit


# The algebra

SAMPLE = ["", "0", "7", "00", "07", "70", "a", "A", "af", "a7", "x7", "7x", "10", "255", "256", "65535", "acme", "ACME"]
of_few = st.one_of(
    st.lists(st.sampled_from(SAMPLE), min_size=1, max_size=5).map(of_keys),
    st.lists(st.sampled_from(SAMPLE), min_size=1, max_size=5).map(lambda those: of_keys(those, folded=True)),
    numbered(),
)


def keys_near(*those: Share) -> Iterator[str]:
    """Keys among which all are that some shares could differ in."""
    yield from SAMPLE
    for share in those:
        yield from share.values
        for one in share.ranges:
            for number in (one.first - 1, one.first, one.last, one.last + 1):
                if number >= 0:
                    yield f"{number:0{share.width}x}"
                    yield f"x{number:0{share.width}X}"
                    yield f"{number:0{share.width}x}x"
                    yield str(number)


@examples(1000)
@given(of_few, of_few)
def test_two_shares(one: Share, other: Share) -> None:
    keys = list(keys_near(one, other))
    both = [key for key in keys if one.has(key) and other.has(key)]
    assert not (disjoint(one, other) and both)
    assert not includes(one, other) or all(one.has(key) for key in keys if other.has(key))
    if "keys" in (one.kind, other.kind):
        assert disjoint(one, other) == (not both)
    elif (one.kind, one.width) == (other.kind, other.width):
        assert disjoint(one, other) == (not set(numbers(one.ranges)) & set(numbers(other.ranges)))
        assert includes(one, other) == (set(numbers(one.ranges)) >= set(numbers(other.ranges)))
    if (one.kind, one.width, one.folded) == (other.kind, other.width, other.folded):
        rest, all_of = without(one, other), joined([one, other])
        assert is_empty(rest) == (not size(rest))
        assert all(rest.has(key) == (one.has(key) and not other.has(key)) for key in keys)
        assert all(all_of.has(key) == (one.has(key) or other.has(key)) for key in keys)
        assert size(one) + size(other) == size(all_of) + size(one) - size(rest)
        assert is_empty(rest) or disjoint(rest, other)


@examples(500)
@given(st.data(), st.integers(1, 300))
def test_merged_ranges(data: st.DataObject, number: int) -> None:
    some = data.draw(st.lists(ranges(number), max_size=4))
    made = merged(one for those in some for one in those)
    assert list(numbers(made)) == sorted({each for those in some for each in numbers(those)})
    assert all(one.last + 1 < other.first for one, other in pairwise(made))
    assert count(made) == len(list(numbers(made)))
