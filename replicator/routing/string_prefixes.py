"""Conditions for proxies whose path prefix is a plain string, as Envoy's `prefix` is: `/a` would match `/ab` too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from replicator.routing.rules import Condition
from replicator.tree import Text, text


class Matcher(NamedTuple):
    """A path as such a proxy compares it, and the condition that it comes from, for all the rest."""

    path_op: Literal["exact", "prefix", "regex"]
    path: Text
    condition: Condition


class Entry(NamedTuple):
    """Matchers of one rule, of which one must hold, and what takes the place of the path that any of them matched."""

    matchers: tuple[Matcher, ...]
    rewrite: Text | None


def entries(conditions: Sequence[Condition], rewrite: Text | None) -> list[Entry]:
    """The entries that a rule becomes: more than one where its matchers need different rewrites."""
    groups: list[tuple[Text | None, list[Matcher]]] = []
    for condition in conditions:
        for matcher, replacement in _matchers(condition, rewrite):
            if groups and groups[-1][0] == replacement:
                groups[-1][1].append(matcher)
            else:
                groups.append((replacement, [matcher]))
    return [Entry(tuple(matchers), replacement) for replacement, matchers in groups]


def _matchers(condition: Condition, rewrite: Text | None) -> Iterator[tuple[Matcher, Text | None]]:
    """A prefix of whole segments is the path itself, and all that is under it; no rewrite of it yields `//`."""
    path = condition.path
    if condition.path_op != "prefix":
        yield Matcher(condition.path_op, path, condition), rewrite
        return
    slashed = text(rewrite, "/") if rewrite is not None and rewrite != ("/",) else rewrite
    if path == ("/",):
        yield Matcher("prefix", path, condition), slashed
        return
    yield Matcher("exact", path, condition), rewrite
    yield Matcher("prefix", text(path, "/"), condition), slashed
