"""The algebra of matches against brute force: what it says of two conditions holds for every request."""

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from replicator.ranges import Range
from replicator.routing import rules
from replicator.routing.algebra import disjoint, includes, meet, uncovered, under, value_of
from replicator.routing.rules import EVERYTHING, Condition
from replicator.routing.share_patterns import WHOLE, Limits, of_segment, pieces
from replicator.routing.shares import Held, Segment, Share, of_keys
from replicator.routing.shares import disjoint as disjoint_shares
from replicator.routing.shares import includes as includes_share

PATHS = ["/", "/a", "/a/b", "/ab"]
NAMES = ["x", "y"]
VALUES = ["", "1"]
METHODS = ["GET", "POST"]
SHARES = [
    of_keys({"1"}),
    of_keys({"1", "other"}),
    of_keys({"b", "other"}),
    Share("last", ranges=(Range(0, 7),), width=1),
    Share("last", ranges=(Range(1, 1),), width=1),
    Share("first", ranges=(Range(10, 14),), width=1),
    Share("number", ranges=(Range(0, 4),)),
]
"""What regular expressions of ours stand for; a request is compared with their text."""
Request = tuple[str, str, dict[str, str], dict[str, str]]


def requests() -> Iterator[Request]:
    """Every combination of paths, methods, headers and parameters, with some that no condition names."""
    given = [None, *VALUES, "other"]
    for x, y, q in product(given, given, given):
        headers = {name: value for name, value in (("x", x), ("y", y)) if value is not None}
        query = {} if q is None else {"q": q}
        for path, method in product(
            [*PATHS, "/a/1", "/a/other", "/a/b/other", "/ab/other", "/other"], [*METHODS, "OTHER"]
        ):
            yield path, method, headers, query


REQUESTS = list(requests())


def fulfils(request: Request, condition: Condition) -> bool:
    path, method, headers, query = request
    wanted = value_of(condition.path)
    if condition.path_op == "regex":
        if not re.fullmatch(wanted, path):
            return False
    elif not (path == wanted if condition.path_op == "exact" else under(path, wanted)):
        return False
    if condition.methods and method not in condition.methods:
        return False
    for wanted_of, has in ((condition.headers, headers), (condition.query, query)):
        for test in wanted_of:
            if test.op == "absent" and test.name in has:
                return False
            if test.op != "absent" and test.name not in has:
                return False
            if test.op == "exact" and has[test.name] != value_of(test.value):
                return False
            if test.op == "regex" and not re.fullmatch(value_of(test.value), has[test.name]):
                return False
    return True


def value_tests(names: list[str], ops: list[str]) -> st.SearchStrategy[tuple[rules.Test, ...]]:
    def of(name: str) -> st.SearchStrategy[rules.Test]:
        exact = st.sampled_from(VALUES).map(lambda value: rules.Test(name, "exact", (value,) if value else ()))
        others: list[Any] = [op for op in ops if op not in ("exact", "regex")]
        ours = st.sampled_from(SHARES).map(lambda share: rules.Test(name, "regex", (regex(share),), Held(share)))
        plain = st.one_of(exact, st.sampled_from(others).map(lambda op: rules.Test(name, op, ())))
        return st.one_of(plain, ours) if "regex" in ops else plain

    chosen = st.lists(st.sampled_from(names), unique=True, max_size=2).map(sorted)
    return chosen.flatmap(lambda those: st.tuples(*map(of, those)))


def regex(share: Share) -> str:
    return pieces(share, WHOLE, Limits(1024))[0].regex


def segment(prefix: str, number: int, share: Share) -> tuple[str, tuple[str, ...], Segment]:
    made = pieces(share, of_segment(prefix, number), Limits(1024))[0].regex
    return "regex", (made,), Segment(prefix, number, share)


PLAIN = st.tuples(st.sampled_from(["exact", "prefix"]), st.sampled_from(PATHS).map(lambda path: (path,)), st.none())
PLACES = st.one_of(
    PLAIN,
    st.builds(segment, st.just("/"), st.sampled_from([1, 2]), st.sampled_from(SHARES)),
    st.builds(segment, st.just("/a"), st.just(2), st.sampled_from(SHARES)),
)


def conditions(places: st.SearchStrategy[Any], *ours: str) -> st.SearchStrategy[Condition]:
    return st.builds(
        lambda place, headers, query, methods: Condition(place[0], place[1], headers, query, methods, place[2]),
        places,
        value_tests(NAMES, ["exact", "present", "absent", *ours]),
        value_tests(["q"], ["exact", "present", *ours]),
        st.lists(st.sampled_from(METHODS), unique=True, max_size=2).map(tuple),
    )


CONDITIONS = conditions(PLAIN)
OURS = conditions(PLACES, "regex")


@given(CONDITIONS, CONDITIONS)
@settings(max_examples=400, deadline=None)
def test_two_conditions(one: Condition, other: Condition) -> None:
    first = [request for request in REQUESTS if fulfils(request, one)]
    both = [request for request in first if fulfils(request, other)]
    if disjoint(one, other):
        assert not both
    assert disjoint(one, other) or both
    assert not includes(other, one) or first == both
    joined = meet(one, other)
    assert (joined is None) == disjoint(one, other)
    if joined is not None:
        assert [request for request in REQUESTS if fulfils(request, joined)] == both


@given(OURS, OURS)
@settings(max_examples=600, deadline=None)
def test_two_conditions_with_regular_expressions_of_ours(one: Condition, other: Condition) -> None:
    first = [request for request in REQUESTS if fulfils(request, one)]
    both = [request for request in first if fulfils(request, other)]
    assert not disjoint(one, other) or not both
    assert not includes(other, one) or first == both
    joined = meet(one, other)
    if joined is not None:
        assert [request for request in REQUESTS if fulfils(request, joined)] == both
    if not uncovered(one, [other]):
        assert first == both


@pytest.mark.parametrize(("one", "other"), list(product(SHARES, repeat=2)))
def test_what_is_said_of_two_shares_is_exact_for_keys_and_like_digits(one: Share, other: Share) -> None:
    keys = ["", "1", "b", "other", "11", "7x", "x7", "71", "a9", "9", "3", "0", "x1", "a", "1x", "B", "E8"]
    both = [key for key in keys if one.has(key) and other.has(key)]
    assert not (disjoint_shares(one, other) and both)
    if "keys" in (one.kind, other.kind) or one.kind == other.kind:
        assert disjoint_shares(one, other) == (not both)
        assert includes_share(one, other) == all(one.has(key) for key in keys if other.has(key))


@given(CONDITIONS, CONDITIONS)
@settings(max_examples=300, deadline=None)
def test_what_is_not_included_has_a_request_of_its_own(one: Condition, other: Condition) -> None:
    outside = [request for request in REQUESTS if fulfils(request, one) and not fulfils(request, other)]
    assert includes(other, one) == (not outside)


@given(CONDITIONS, st.lists(CONDITIONS, max_size=4))
@example(EVERYTHING, [EVERYTHING._replace(headers=(rules.Test("x", op, ()),)) for op in ("present", "absent")])
@example(EVERYTHING._replace(methods=("GET", "POST")), [EVERYTHING._replace(methods=(of,)) for of in ("GET", "POST")])
@settings(max_examples=400, deadline=None)
def test_what_several_conditions_leave(one: Condition, others: list[Condition]) -> None:
    left = [r for r in REQUESTS if fulfils(r, one) and not any(fulfils(r, other) for other in others)]
    assert uncovered(one, others) == bool(left)


def test_a_regular_expression_is_not_analysed() -> None:
    regex, other = (EVERYTHING._replace(path_op="regex", path=(path,)) for path in ("/a.*", "/(a|b).*"))
    assert not disjoint(regex, other)
    assert not includes(regex, other)
    assert includes(regex, regex)
    assert includes(EVERYTHING, regex)
    assert not includes(EVERYTHING._replace(path=("/a",)), regex)
    assert meet(regex, other) is None
    assert meet(regex, EVERYTHING) == regex
    assert uncovered(other, [regex])


def test_what_a_regular_expression_begins_with() -> None:
    def path(op: Any, text: str) -> Condition:
        return EVERYTHING._replace(path_op=op, path=(text,))

    assert disjoint(path("regex", "/v[0-9]+"), path("exact", "/healthz"))
    assert disjoint(path("regex", "/a/.*"), path("regex", "^/b/.*"))
    assert disjoint(path("prefix", "/a"), path("regex", "/b+"))
    assert not disjoint(path("regex", "/v?healthz"), path("exact", "/healthz"))
    assert not disjoint(path("regex", "/v|/healthz"), path("exact", "/healthz"))
    assert not disjoint(path("prefix", "/v1"), path("regex", "/v[0-9]+"))
    assert disjoint(path("regex", "/i/1"), path("regex", "/i/10"))
    assert disjoint(path("regex", "/i/1"), path("exact", "/i/10"))
    assert not disjoint(path("regex", "/i/1"), path("exact", "/i/1"))
    assert not disjoint(path("regex", "/i/1.*"), path("regex", "/i/10"))
    assert not disjoint(path("regex", "/i/1*"), path("exact", "/i/"))
    assert not disjoint(path("prefix", "/"), path("regex", "/v[0-9]+"))
    one, other = (EVERYTHING._replace(headers=(rules.Test("x", "regex", (value,)),)) for value in ("eu-.*", "us-.*"))
    assert disjoint(one, other)
    assert not disjoint(one, EVERYTHING._replace(headers=(rules.Test("x", "exact", ("eu-1",)),)))
