"""What matches with holes say of each other before any island is looked at.

A text of which only one hole is not known has a head and a tail that are. Where `unique` names atoms, the two sides are
those of two different islands of one Set, whose values of these atoms differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator.routing import algebra
from replicator.routing.algebra import under, value_of
from replicator.routing.rules import Condition, Test
from replicator.sources import Atom, Ruled, Within
from replicator.tree import Hole, Path, Text, text
from replicator.yaml_text import SAFE

if TYPE_CHECKING:
    from replicator.expander.islands import Island

Unique = frozenset[Path]
SAME: Unique = frozenset()
"""The two sides may be of one island."""


def unique_in(example: Island) -> Unique:
    """The atoms of which no two islands of a Set have one value, by one of its islands."""
    if example.plan.above is not None:
        return frozenset([("island", "name")])
    return frozenset([("island", "name"), ("island", "key"), ("island", "ordinal")])


def bare(content: Text) -> Text:
    """A text without the rules that its holes must obey: they say nothing of what it can be equal to."""
    return text(*(_bare(part) for part in content))


def _bare(part: str | Hole) -> str | Hole | Text:
    if isinstance(part, Hole) and isinstance(part.source, Ruled):
        return bare(part.source.content)
    return part.source.hole if isinstance(part, Hole) and isinstance(part.source, Within) else part


def bare_condition(condition: Condition) -> Condition:
    """A condition whose texts are `bare`."""
    headers, query = (
        tuple(test._replace(value=bare(test.value)) for test in tests) for tests in (condition.headers, condition.query)
    )
    return condition._replace(path=bare(condition.path), headers=headers, query=query)


def is_known(content: Text) -> bool:
    """Whether a text has no holes."""
    return not any(isinstance(part, Hole) for part in content)


def varies(condition: Condition) -> bool:
    """Whether a condition has holes."""
    texts = (condition.path, *(test.value for test in (*condition.headers, *condition.query)))
    return not all(map(is_known, texts))


def _head(content: Text) -> str:
    return content[0] if content and isinstance(content[0], str) else ""


def _tail(content: Text) -> str:
    return content[-1] if content and isinstance(content[-1], str) else ""


def _differs(content: Text, unique: Unique) -> bool:
    """Whether a text has another value for any two islands: around its one hole stands what is the same for all.

    Keys, names and ordinals have no `/`, so neither is one such path ever below another.
    """
    found = [part for part in content if isinstance(part, Hole)]
    if len(found) != 1:
        return False
    source = found[0].source
    return isinstance(source, Atom) and source.path in unique


def is_of_one_depth(path: Text) -> bool:
    """Whether a path has as many segments for every island, so that none of its values is below another."""
    return all(isinstance(part, str) or part.kind in SAFE for part in path)


def may_equal(one: Text, other: Text, unique: Unique = SAME) -> bool:
    """Whether two texts can have one value."""
    if one == other:
        return not _differs(one, unique)
    if is_known(one) and is_known(other):
        return False
    for known, pattern in ((one, other), (other, one)):
        if is_known(known) and len(value_of(known)) < len(_head(pattern)) + len(_tail(pattern)):
            return False
    first, second = sorted((_head(one), _head(other)), key=len)
    last, longer = sorted((_tail(one), _tail(other)), key=len)
    return second.startswith(first) and longer.endswith(last)


def may_be_under(path: Text, prefix: Text, unique: Unique = SAME) -> bool:
    """Whether a path can be a prefix of whole segments, or below it."""
    if prefix == ("/",):
        return True
    if path == prefix:
        return not _differs(path, unique)
    if is_known(path) and is_known(prefix):
        return under(value_of(path), value_of(prefix))
    here, above = _head(path), _head(prefix)
    if is_known(prefix) and len(here) > len(above):
        return under(here, above)
    if is_known(path) and len(here) < len(above):
        return False
    return here.startswith(above) or above.startswith(here)


def may_contribute(outer: Condition, inner: Condition, unique: Unique = SAME) -> bool:
    """Whether a condition can take a part of the requests of another: `algebra.contributes`, for some values."""
    if outer.methods and set(outer.methods).isdisjoint(inner.methods):
        return False
    if outer.segment is not None or inner.segment is not None:
        if not _segment_may_include(outer, inner):
            return False
    elif outer.path_op != "prefix":
        if outer.path_op != inner.path_op or not may_equal(outer.path, inner.path, unique):
            return False
    elif inner.path_op == "regex":
        if not may_equal(outer.path, ("/",)):
            return False
    elif not may_be_under(inner.path, outer.path, unique):
        return False
    return _may_include(outer.headers, inner.headers, unique, True) and _may_include(
        outer.query, inner.query, unique, False
    )


def _segment_may_include(outer: Condition, inner: Condition) -> bool:
    if is_known(outer.path) and is_known(inner.path):
        return algebra.path_includes(outer, inner)
    if outer.segment is None:
        prefix = (inner.segment.prefix,) if inner.segment is not None else ()
        return outer.path_op == "prefix" and may_be_under(prefix, outer.path)
    return inner.path_op != "regex"


def _may_include(outer: tuple[Test, ...], inner: tuple[Test, ...], unique: Unique, shared_out: bool) -> bool:
    given = {test.name: test for test in inner}
    for test in outer:
        its = given.get(test.name)
        if test.held is not None and its is not None and its.op == "exact" and not is_known(its.value):
            continue
        if test.held is not None or (its is not None and its.held is not None):
            if its is None or not algebra.test_includes(test, its):
                return False
        elif test.op in ("exact", "regex"):
            if its is None or its.op != test.op or not may_equal(test.value, its.value, unique):
                return False
        elif its is None:
            if not shared_out:
                return False
        elif (its.op == "absent") != (test.op == "absent"):
            return False
    return True


def disjoint(one: Condition, other: Condition, unique: Unique = SAME) -> bool:
    """Whether no request can fulfil both, whatever the values."""
    if one.methods and other.methods and set(one.methods).isdisjoint(other.methods):
        return True
    if _tests_disjoint(one.headers, other.headers, unique) or _tests_disjoint(one.query, other.query, unique):
        return True
    if (one.segment is not None or other.segment is not None) and is_known(one.path) and is_known(other.path):
        return algebra.paths_disjoint(one, other)
    if "regex" in (one.path_op, other.path_op):
        return False
    if one.path_op == other.path_op == "exact":
        return not may_equal(one.path, other.path, unique)
    return not (
        (one.path_op == "prefix" and may_be_under(other.path, one.path, unique))
        or (other.path_op == "prefix" and may_be_under(one.path, other.path, unique))
    )


def _tests_disjoint(one: tuple[Test, ...], other: tuple[Test, ...], unique: Unique) -> bool:
    given = {test.name: test for test in other}
    for test in one:
        its = given.get(test.name)
        if its is None:
            continue
        if (test.op == "absent") != (its.op == "absent"):
            return True
        if (test.held is not None or its.held is not None) and is_known(test.value) and is_known(its.value):
            if algebra.excludes(test, its):
                return True
        elif test.op == its.op == "exact" and not may_equal(test.value, its.value, unique):
            return True
    return False
