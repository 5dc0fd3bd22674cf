"""What becomes text: trees of maps, lists and leaves whose scalars may have holes, one tree for many islands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from replicator.diagnostics import Place
from replicator.expression.values import Kind

Path = tuple[str, ...]


class Origin(NamedTuple):
    """Where a leaf comes from: a place in a source, and the layer that won (type, set, island, compiler, …)."""

    place: Place | None
    layer: str


COMPILER = Origin(None, "compiler")


class Source(Protocol):
    """Where a hole's value comes from. Equal sources give equal values in one scope."""

    @property
    def reads(self) -> frozenset[Path]:
        """The atoms that the value depends on: `('island', 'key')`, `('params', 'version')`."""

    def value(self, scope: Any) -> Any:
        """The value in a scope. Raises `Failure`."""


@dataclass(frozen=True, slots=True)
class Hole:
    """A part of a scalar that is known per island only, and what is known of it before."""

    kind: Kind
    source: Source


Text = tuple[str | Hole, ...]
"""Text with holes; neighbouring strings are joined and empty ones left out, so that equal texts compare equal."""


class Leaf(NamedTuple):
    """A scalar: a plain value, a text with holes (a tuple), or one hole that keeps its type."""

    value: str | int | float | bool | Text | Hole | None
    origin: Origin = COMPILER


class Map(NamedTuple):
    """A map in the order in which it is written."""

    items: tuple[tuple[str, Tree], ...]
    origin: Origin = COMPILER

    def get(self, key: str) -> Tree | None:
        for name, value in self.items:
            if name == key:
                return value
        return None


class List(NamedTuple):
    """A list; a `Repeat` among its items stands for one item per island."""

    items: tuple[Tree, ...]
    origin: Origin = COMPILER


class Repeat(NamedTuple):
    """Some items for each island of a Set: `over` is the Set's path. There is one at least that has items.

    `cases` are the cases of islands for which other items stand, or none. With `span` only the islands from the first
    number on, and before the second, are meant.
    """

    items: tuple[Tree, ...]
    over: str
    cases: tuple[tuple[str, tuple[Tree, ...]], ...] = ()
    span: tuple[int, int] | None = None


Tree = Leaf | Map | List | Repeat


class Manifest(NamedTuple):
    """One Kubernetes object; with `over` one per island of that Set (of those of some `cases`, where there are any).

    `local` is its name within the island. With `once` it stands beside the islands, however many ask for it. `written`
    is the namespace that its author wrote.
    """

    api_version: str
    kind: str
    name: Text
    namespace: Text
    body: Map
    origin: Origin = COMPILER
    over: str = ""
    local: str = ""
    once: bool = False
    written: str = ""
    cases: frozenset[str] = frozenset()


def text(*parts: str | Hole | Text) -> Text:
    """Join texts and holes to one text."""
    joined: list[str | Hole] = []
    for part in parts:
        for piece in part if isinstance(part, tuple) else (part,):
            if piece == "":
                continue
            if isinstance(piece, str) and joined and isinstance(joined[-1], str):
                joined[-1] += piece
            else:
                joined.append(piece)
    return tuple(joined)


def leaf(value: Text, origin: Origin = COMPILER) -> Leaf:
    """A leaf of a text: a plain string where it has no holes."""
    if not value:
        return Leaf("", origin)
    if len(value) == 1 and isinstance(value[0], str):
        return Leaf(value[0], origin)
    return Leaf(value, origin)


def tree(value: Any, origin: Origin = COMPILER) -> Tree:
    """A tree from dicts, lists, scalars, texts, holes and trees. Keys whose value is `...` are left out."""
    if isinstance(value, (Leaf, Map, List, Repeat)):
        return value
    if isinstance(value, Mapping):
        return Map(tuple((key, tree(item, origin)) for key, item in value.items() if item is not ...), origin)
    if isinstance(value, tuple):
        return leaf(value, origin)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return List(tuple(tree(item, origin) for item in value), origin)
    return Leaf(value, origin)


def mapping(value: Mapping[str, Any], origin: Origin = COMPILER) -> Map:
    """`tree` of a dict."""
    made = tree(value, origin)
    assert isinstance(made, Map)
    return made


def at(node: Tree | None, *path: str) -> Tree | None:
    """What is at a path of keys, or None."""
    for step in path:
        node = node.get(step) if isinstance(node, Map) else None
    return node


def holes(node: Tree) -> list[Hole]:
    """All holes of a tree, those inside a `Repeat` apart: they are filled from other islands."""
    found: list[Hole] = []
    _holes(node, found)
    return found


def _holes(node: Tree, found: list[Hole]) -> None:
    if isinstance(node, Leaf):
        if isinstance(node.value, Hole):
            found.append(node.value)
        elif isinstance(node.value, tuple):
            found.extend(part for part in node.value if isinstance(part, Hole))
    elif isinstance(node, Map):
        for _, child in node.items:
            _holes(child, found)
    elif isinstance(node, List):
        for child in node.items:
            _holes(child, found)
