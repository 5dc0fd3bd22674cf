"""The algebra of matches, on conditions without holes: what includes what, what excludes what, what both ask for.

Exact for paths by exact value and by prefix, for headers and query parameters by exact value and presence, for
methods, and for regular expressions of ours, of which it is known what they match. An author's regular expression is
not analysed: it includes, and excludes, only what it must by its text (the plain letters that it begins with).

A header may come several times; proxies then see its values joined by commas (RFC 9110, 5.3), so that it has one value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from replicator.routing import shares
from replicator.routing.rules import Condition, Test
from replicator.sources import assemble
from replicator.tree import Text

if TYPE_CHECKING:
    from replicator.expander.islands import Island


def filled(condition: Condition, island: Island | None) -> Condition:
    """A condition with its holes filled for an island. Raises `Failure`."""

    def known(content: Text) -> Text:
        joined = assemble(content, island)
        return (joined,) if joined else ()

    def tests(given: tuple[Test, ...]) -> tuple[Test, ...]:
        return tuple(test._replace(value=known(test.value)) for test in given)

    return condition._replace(
        path=known(condition.path), headers=tests(condition.headers), query=tests(condition.query)
    )


def value_of(content: Text) -> str:
    """A text without holes as a string."""
    return "".join(part for part in content if isinstance(part, str))


def under(path: str, prefix: str) -> bool:
    """Whether a path is a prefix of whole segments, or below it."""
    return prefix == "/" or path == prefix or path.startswith(f"{prefix}/")


def includes(outer: Condition, inner: Condition) -> bool:
    """Whether every request that fulfils `inner` fulfils `outer`; False where a regular expression hides the answer."""
    return (
        path_includes(outer, inner)
        and _tests_include(outer.headers, inner.headers)
        and _tests_include(outer.query, inner.query)
        and (not outer.methods or (bool(inner.methods) and set(inner.methods) <= set(outer.methods)))
    )


def path_includes(outer: Condition, inner: Condition) -> bool:
    """Whether every path that a condition asks for is asked for by another."""
    mine, its = value_of(outer.path), value_of(inner.path)
    if outer.segment is not None or inner.segment is not None:
        return _segments_include(outer, inner)
    if outer.path_op == "prefix":
        return mine == "/" or (inner.path_op != "regex" and under(its, mine))
    return (outer.path_op, mine) == (inner.path_op, its)


def _segments_include(outer: Condition, inner: Condition) -> bool:
    """Whether a path includes another, of which one at least is a segment of ours."""
    mine, its = outer.segment, inner.segment
    if mine is None:
        return outer.path_op == "prefix" and its is not None and under(its.prefix, value_of(outer.path))
    if its is not None:
        same = mine.number == its.number and under(its.prefix, mine.prefix)
        return same and shares.includes(mine.share, its.share)
    return inner.path_op != "regex" and mine.has(value_of(inner.path))


def _tests_include(outer: tuple[Test, ...], inner: tuple[Test, ...]) -> bool:
    given = {test.name: test for test in inner}
    return all(test.name in given and test_includes(test, given[test.name]) for test in outer)


def test_includes(outer: Test, inner: Test) -> bool:
    """Whether every value that fulfils a test fulfils another test of the same thing."""
    if outer.op == "present":
        return inner.op in ("present", "exact", "regex")
    if outer.held is not None:
        if inner.held is not None:
            return outer.held.label == inner.held.label and shares.includes(outer.held.share, inner.held.share)
        return inner.op == "exact" and outer.held.has(value_of(inner.value))
    return (outer.op, outer.value) == (inner.op, inner.value)


def contributes(outer: Condition, inner: Condition) -> bool:
    """Whether a condition takes all requests of another, but for those that differ in what can be shared out.

    That is whether a header is there, and which of the listed methods it is: see `uncovered`.
    """
    if is_apart(outer, inner):
        return False
    given = {test.name: test for test in inner.headers}
    return (
        path_includes(outer, inner)
        and _tests_include(outer.query, inner.query)
        and all(
            test_includes(test, given[test.name]) if test.name in given else test.op in ("present", "absent")
            for test in outer.headers
        )
        and (not outer.methods or not set(outer.methods).isdisjoint(inner.methods))
    )


def is_apart(one: Condition, other: Condition) -> bool:
    """Whether it is said of two conditions that no request fulfils both."""
    return one.apart != "" and one.apart == other.apart and one != other


def disjoint(one: Condition, other: Condition) -> bool:
    """Whether no request fulfils both; False where a regular expression hides the answer."""
    return (
        is_apart(one, other)
        or paths_disjoint(one, other)
        or _tests_disjoint(one.headers, other.headers)
        or _tests_disjoint(one.query, other.query)
        or (bool(one.methods) and bool(other.methods) and set(one.methods).isdisjoint(other.methods))
    )


def paths_disjoint(one: Condition, other: Condition) -> bool:
    """Whether no path is as both conditions ask for."""
    first, second = value_of(one.path), value_of(other.path)
    if one.segment is not None or other.segment is not None:
        return _segments_disjoint(one, other) if one.segment is not None else _segments_disjoint(other, one)
    if "regex" in (one.path_op, other.path_op):
        return _begin_apart(first, one.path_op, second, other.path_op)
    if one.path_op == "prefix":
        return not (under(second, first) or (other.path_op == "prefix" and under(first, second)))
    return first != second if other.path_op == "exact" else not under(first, second)


def _segments_disjoint(one: Condition, other: Condition) -> bool:
    """Whether no path is both, where the first is a segment of ours."""
    assert one.segment is not None
    mine, its, path = one.segment, other.segment, value_of(other.path)
    if its is not None:
        apart = not (under(mine.prefix, its.prefix) or under(its.prefix, mine.prefix))
        return apart or (mine.number == its.number and shares.disjoint(mine.share, its.share))
    if other.path_op == "exact":
        return not mine.has(path)
    if other.path_op == "regex":
        return _begin_apart(value_of(one.path), "regex", path, "regex")
    if under(mine.prefix, path):
        return False
    key = shares.segment_of(path, mine.number)
    return not under(path, mine.prefix) or (key is not None and not mine.share.has(key))


_BEGIN = re.compile(r"\^?([A-Za-z0-9/_~:@!&',;=% -]*)([*?{]?)")


def _begin(content: str, op: str) -> tuple[str, bool]:
    """What every text begins with that is a text, is under it, or matches it; and whether nothing may follow."""
    if op != "regex":
        return content, op == "exact"
    found = _BEGIN.match(content)
    if found is None or "|" in content:
        return "", False
    return found[1][:-1] if found[2] else found[1], found.end() == len(content) and not found[2]


def _begin_apart(one: str, op: str, other: str, other_op: str) -> bool:
    """Whether a text cannot begin as both say. A whole text must itself begin as the other says."""
    (first, whole), (second, other_whole) = _begin(one, op), _begin(other, other_op)
    if whole and other_whole:
        return first != second
    if whole:
        return not first.startswith(second)
    return not second.startswith(first) and (other_whole or not first.startswith(second))


def _tests_disjoint(one: tuple[Test, ...], other: tuple[Test, ...]) -> bool:
    given = {test.name: test for test in other}
    return any(test.name in given and excludes(test, given[test.name]) for test in one)


def excludes(one: Test, other: Test) -> bool:
    """Whether no value fulfils both of two tests of the same thing."""
    if (one.op == "absent") != (other.op == "absent"):
        return True
    if one.held is not None or other.held is not None:
        return _holds_apart(one, other) if one.held is not None else _holds_apart(other, one)
    if {one.op, other.op} in ({"regex"}, {"regex", "exact"}):
        return _begin_apart(value_of(one.value), one.op, value_of(other.value), other.op)
    return one.op == other.op == "exact" and one.value != other.value


def _holds_apart(one: Test, other: Test) -> bool:
    """Whether no value fulfils two tests, of which the first is a regular expression of ours."""
    assert one.held is not None
    if other.held is not None:
        return one.held.label == other.held.label and shares.disjoint(one.held.share, other.held.share)
    return other.op == "exact" and not one.held.has(value_of(other.value))


def meet(one: Condition, other: Condition) -> Condition | None:
    """The condition that holds where both do; None where they are disjoint, or no one condition says it.

    That is where a regular expression would have to hold together with another test of the same thing.
    """
    if disjoint(one, other):
        return None
    narrow = other if path_includes(one, other) else one if path_includes(other, one) else None
    headers = _together(one.headers, other.headers)
    query = _together(one.query, other.query)
    if narrow is None or headers is None or query is None:
        return None
    methods = tuple(method for method in one.methods or other.methods if method in (other.methods or one.methods))
    return narrow._replace(headers=headers, query=query, methods=methods, apart="")


def _together(one: tuple[Test, ...], other: tuple[Test, ...]) -> tuple[Test, ...] | None:
    joined: dict[str, Test] = {test.name: test for test in one}
    for test in other:
        mine = joined.setdefault(test.name, test)
        if test_includes(mine, test):
            joined[test.name] = test
        elif not test_includes(test, mine):
            return None
    return tuple(joined[name] for name in sorted(joined))


def uncovered(condition: Condition, others: Iterable[Condition]) -> bool:
    """Whether some request fulfils a condition and none of the others.

    A value that nobody names fulfils no exact test, and there are always such values; so only presence against absence,
    and methods that are listed, can be shared out among several others. (So can the keys of a regular expression of
    ours; that is not looked for.)
    """
    return _remains(condition, [other for other in others if contributes(other, condition)])


def _remains(condition: Condition, others: list[Condition]) -> bool:
    if any(includes(other, condition) for other in others):
        return False
    tested = {test.name for test in condition.headers}
    for header in sorted({test.name for other in others for test in other.headers if test.op == "absent"} - tested):
        halves = (Test(header, "present", ()), Test(header, "absent", ()))  # it is there, or it is not
        return any(
            _part(condition._replace(headers=tuple(sorted((*condition.headers, half)))), others) for half in halves
        )
    if len(condition.methods) > 1:
        return any(_part(condition._replace(methods=(method,)), others) for method in condition.methods)
    return True


def _part(condition: Condition, others: list[Condition]) -> bool:
    return _remains(condition, [other for other in others if contributes(other, condition)])
