"""An index of conditions without holes, by their paths and by the values that they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Generic, TypeVar

from replicator.routing.algebra import contributes, value_of
from replicator.routing.rules import Condition
from replicator.tree import Text

Entry = TypeVar("Entry")
_Named = tuple[str, str, str]  # a test of a value: of what, its name, how it is compared


def prefixes(path: str) -> Iterator[str]:
    """The prefixes of whole segments that a path is under, `/` first and the path itself last."""
    yield "/"
    at = path.find("/", 1)
    while at != -1:
        yield path[:at]
        at = path.find("/", at + 1)
    if path != "/":
        yield path


class Index(Generic[Entry]):
    """Conditions and what belongs to each, the first of those that are equal.

    A look-up costs what the condition is made of, not how many there are in the index.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], dict[str, dict[Condition, Entry]]] = {}
        self._signatures: dict[tuple[_Named, ...], None] = {}

    def add(self, condition: Condition, entry: Entry) -> None:
        values = _values(condition)
        self._signatures.setdefault(tuple(values))
        key = (*_place(condition), *values.items())
        self._known.setdefault(key, {}).setdefault(condition.apart, {}).setdefault(condition, entry)

    def contributing(self, condition: Condition) -> Iterator[tuple[Condition, Entry]]:
        """The conditions that take a part of the requests of another, or all (`algebra.contributes`)."""
        values = _values(condition)
        signatures = self._within(values)
        for op, path in _paths(condition):
            for signature in signatures:
                found = self._known.get((op, path, *((name, values[name]) for name in signature)), {})
                for apart, those in found.items():
                    if apart and apart == condition.apart:  # of these only the condition itself takes its requests
                        if condition in those:
                            yield condition, those[condition]
                        continue
                    for other, entry in those.items():
                        if contributes(other, condition):
                            yield other, entry

    def _within(self, values: dict[_Named, Text]) -> list[tuple[_Named, ...]]:
        """The sets of tests that some condition has and all of which are among those that are given."""
        if len(values) < 20 and 1 << len(values) < len(self._signatures):
            return [
                chosen
                for number in range(len(values) + 1)
                for chosen in combinations(values, number)
                if chosen in self._signatures
            ]
        return [signature for signature in self._signatures if values.keys() >= set(signature)]


def _values(condition: Condition) -> dict[_Named, Text]:
    tests = (("header", condition.headers), ("query", condition.query))
    return {
        (what, test.name, test.op): test.value
        for what, those in tests
        for test in those
        if test.op in ("exact", "regex") and test.held is None  # of ours: not equal, but included
    }


def _place(condition: Condition) -> tuple[str, str]:
    """Where a condition is looked for by its path; one of ours, by the prefix that it is under."""
    if condition.segment is not None:
        return "prefix", condition.segment.prefix
    return condition.path_op, value_of(condition.path)


def _paths(condition: Condition) -> Iterator[tuple[str, str]]:
    """The paths that include that of a condition."""
    path = value_of(condition.path)
    if condition.segment is not None:
        yield from (("prefix", prefix) for prefix in prefixes(condition.segment.prefix))
        return
    if condition.path_op == "regex":
        yield "prefix", "/"
        yield "regex", path
        return
    for prefix in prefixes(path):
        yield "prefix", prefix
    if condition.path_op == "exact":
        yield "exact", path
