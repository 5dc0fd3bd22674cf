"""Trees changed as kubectl and Kustomize change them: strategic merges with Kubernetes' merge keys, and JSON patches.

https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/, RFC 6902
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from replicator.kinds import MERGE_KEYS, MERGED_WORDS, SECOND_KEYS
from replicator.tree import Hole, Leaf, List, Map, Tree

_DIRECTIVES = ("$patch", "$retainKeys")
_DELETE_FROM = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"


class Unfit(Exception):
    """A patch that cannot be applied; the message is for its author, the place is the part of it that does not fit."""

    def __init__(self, message: str, node: Tree | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.stand_at(node)

    def stand_at(self, node: Tree | None) -> None:
        """Take a node's place."""
        self.place = node.origin.place if isinstance(node, (Leaf, Map, List)) else None


class Undecided(Unfit):
    """A test of a value that is not known for the shape; `nodes` are the leaves whose values are needed."""

    def __init__(self, message: str, nodes: list[Leaf]) -> None:
        super().__init__(message)
        self.nodes = nodes


class At(NamedTuple):
    """Where a tree stands: the field that holds it, and the one that holds that."""

    parent: str
    field: str

    def under(self, field: str) -> At:
        return At(self.field, field)


class How(NamedTuple):
    """How lists are merged: the keys of their items, and whether those that a patch names come first.

    kubectl and Kustomize put new items before the others; what is merged into the objects that we make follows them.
    """

    keys: Mapping[tuple[str, str], str] = MERGE_KEYS
    patch_first: bool = False


ROOT = At("", "")
OURS = How()


def merge(base: Tree, patch: Tree, at: At = ROOT, how: How = OURS) -> Tree:
    """A strategic merge of a patch into a tree. Raises `Unfit` for a directive that is none, and for a map, list or
    scalar where another of them is.
    """
    if isinstance(base, Map) and isinstance(patch, Map):
        return _merge_maps(base, patch, at, how)
    if isinstance(base, List) and isinstance(patch, List):
        return _merge_lists(base, patch, None, at, how)
    if _form(base) != _form(patch) and not _is_null(base):
        raise Unfit(f"`{at.field}` is {_form(base)}, not {_form(patch)}", patch)
    return without_nulls(patch)


def _form(node: Tree) -> str:
    return "a map" if isinstance(node, Map) else "a list" if isinstance(node, List) else "a scalar"


def _merge_maps(base: Map, patch: Map, at: At, how: How) -> Map:
    directive = _directive(patch)
    if directive == "replace":
        return Map(_without_nulls(item for item in patch.items if item[0] != "$patch"), base.origin)
    if directive not in ("", "merge"):
        raise Unfit(f"`$patch: {directive}` cannot stand here", patch.get("$patch"))
    merged = dict(base.items)
    retained = patch.get("$retainKeys")
    if isinstance(retained, List):
        wanted = {_text(item) for item in retained.items}
        merged = {key: value for key, value in merged.items() if key in wanted}
    for key, value in patch.items:
        prefix, slash, field = key.partition("/")
        there = merged.get(field)
        if key in _DIRECTIVES:
            continue
        if prefix + slash == _DELETE_FROM:
            if isinstance(there, List) and isinstance(value, List):
                gone = {_text(item) for item in value.items}
                merged[field] = List(tuple(item for item in there.items if _text(item) not in gone), there.origin)
        elif prefix + slash == _ORDER:
            given = patch.get(field)
            if isinstance(there, List) and isinstance(value, List):
                changes = given if isinstance(given, List) else List(())
                merged[field] = _merge_lists(there, changes, value, at.under(field), how)
        elif key.startswith("$"):
            raise Unfit(f"`{key}` is no directive of a strategic merge", value)
        elif _is_null(value) or _directive(value) == "delete":
            merged.pop(key, None)
        elif key not in merged:
            merged[key] = without_nulls(value)
        elif not isinstance(patch.get(_ORDER + key), List):
            merged[key] = merge(merged[key], value, at.under(key), how)
    return Map(tuple(merged.items()), base.origin)


def _merge_lists(base: List, patch: List, order: List | None, at: At, how: How) -> List:
    key = how.keys.get((at.parent, at.field), "")
    if not key and (at.parent, at.field) not in MERGED_WORDS and (patch.items or order is None):
        return List(tuple(map(without_nulls, patch.items)), base.origin)
    replaced = any(_directive(item) == "replace" for item in patch.items)
    known = [] if replaced else [(item, place) for place, item in enumerate(base.items)]  # -1: it was not there
    for item in patch.items:
        directive = _directive(item)
        if directive == "replace":
            if isinstance(item, Map) and len(item.items) > 1:
                raise Unfit("`$patch: replace` is an item of its own, and takes the place of the whole list", item)
            continue
        if directive not in ("", "merge", "delete"):
            raise Unfit(f"`$patch: {directive}` cannot stand here", item)
        if key and not (isinstance(item, Map) and isinstance(item.get(key), Leaf)):
            raise Unfit(f"an item of `{at.field}` has no `{key}`, by which items of this list are merged", item)
        same = [number for number, (other, _) in enumerate(known) if _is_meant(other, item, key)]
        if directive == "delete":
            known = [other for number, other in enumerate(known) if number not in same]
        elif same:
            merged, place = known[same[0]]
            known[same[0]] = merge(merged, item, at, how), place
        else:
            known.append((without_nulls(item), -1))
    if order is not None or how.patch_first:
        known = _in_order(known, order or patch, key)
    return List(tuple(item for item, _ in known), base.origin)


def _in_order(items: list[tuple[Tree, int]], order: List, key: str) -> list[tuple[Tree, int]]:
    """Items with their places in the list before, as kubectl orders them: those of `order` as they are there, each of
    the others before the first of these that it stood before (apimachinery: strategicpatch, mergeSortedSlice).
    """
    ranks = [next((rank for rank, one in enumerate(order.items) if _is_meant(item, one, key)), -1) for item, _ in items]
    named = [item for rank, item in sorted(zip(ranks, items, strict=True), key=lambda pair: pair[0]) if rank >= 0]
    made = []
    for rank, item in zip(ranks, items, strict=True):
        if rank < 0:
            while named and named[0][1] <= item[1]:
                made.append(named.pop(0))
            made.append(item)
    return made + named


def _is_meant(item: Tree, patch: Tree, key: str) -> bool:
    """Whether a patch's item means one of the list. What may be there twice by its key is told apart by a second one,
    where the patch says it.
    """
    if not key:
        return isinstance(item, Leaf) and isinstance(patch, Leaf) and item.value == patch.value
    if not isinstance(item, Map) or not isinstance(patch, Map) or not _is_equal(item.get(key), patch.get(key)):
        return False
    second, default = SECOND_KEYS.get(key, ("", ""))
    said = patch.get(second)
    return said is None or _is_equal(item.get(second) or Leaf(default), said)


def _is_equal(one: Tree | None, other: Tree | None) -> bool:
    return isinstance(one, Leaf) and isinstance(other, Leaf) and one.value == other.value


def _directive(node: Tree) -> str:
    return _text(node.get("$patch")) if isinstance(node, Map) else ""


def _is_directive(key: str) -> bool:
    return key in _DIRECTIVES or key.startswith((_DELETE_FROM, _ORDER))


def _text(node: Tree | None) -> str:
    return str(node.value) if isinstance(node, Leaf) else ""


def _is_null(node: Tree) -> bool:
    return isinstance(node, Leaf) and node.value is None


def without_nulls(node: Tree) -> Tree:
    """The tree without the keys that are null, and without directives and what they delete: in what is added, they say
    nothing.
    """
    if isinstance(node, Map):
        return Map(_without_nulls(node.items), node.origin)
    if isinstance(node, List):
        kept = (item for item in node.items if _directive(item) not in ("delete", "replace"))
        return List(tuple(map(without_nulls, kept)), node.origin)
    return node


def _without_nulls(items: Iterable[tuple[str, Tree]]) -> tuple[tuple[str, Tree], ...]:
    return tuple(
        (key, without_nulls(value))
        for key, value in items
        if not _is_null(value) and not _is_directive(key) and _directive(value) != "delete"
    )


# RFC 6902


def apply_json_patch(document: Tree, operations: Iterable[Map]) -> Tree:
    """The document after the operations of a JSON patch, in order. Raises `Unfit` where one cannot be applied."""
    for operation in operations:
        try:
            document = _applied(document, operation)
        except Unfit as unfit:
            unfit.stand_at(operation.get("path") or operation)
            raise
    return document


def _applied(document: Tree, operation: Map) -> Tree:
    name, path = _text(operation.get("op")), _pointer(operation, "path")
    value = operation.get("value")
    if name in ("add", "replace", "test") and value is None:
        raise Unfit(f"the operation `{name}` has no `value`")
    if name == "add" and value is not None:
        document = _changed(document, path, value, "add")
    elif name == "replace" and value is not None:
        document = _changed(document, path, value, "replace")
    elif name == "remove":
        document = _changed(document, path, None, "remove")
    elif name in ("move", "copy"):
        source = _pointer(operation, "from")
        found = _found(document, source)
        if name == "move":
            document = _changed(document, source, None, "remove")
        document = _changed(document, path, found, "add")
    elif name == "test" and value is not None:
        found = _found(document, path)
        if _plain(found) != _plain(value):
            message = f"the test of `{_shown(path)}` fails"
            unknown = [*_unknown(found), *_unknown(value)]
            raise Undecided(message, unknown) if unknown else Unfit(message)
    else:
        raise Unfit(f"`{name}` is no operation: add, remove, replace, move, copy, test")
    return document


def _pointer(operation: Map, field: str) -> list[str]:
    text = _text(operation.get(field))
    if not text.startswith("/"):
        raise Unfit(f"`{field}` is a JSON pointer that begins with /")
    if re.search("~(?![01])", text):
        raise Unfit(f"`{field}` has a ~ by itself", hint="in a JSON pointer ~0 stands for ~, and ~1 for /")
    return [step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/")]


def _shown(path: list[str]) -> str:
    return "/" + "/".join(path)


def _index(node: List, step: str, path: list[str], more: int = 0) -> int:
    if step == "-" and more:
        return len(node.items)
    if not re.fullmatch("0|[1-9][0-9]{0,8}", step) or int(step) >= len(node.items) + more:
        raise Unfit(f"there is nothing at `{_shown(path)}`")
    return int(step)


def _found(node: Tree, path: list[str]) -> Tree:
    for number, step in enumerate(path):
        if isinstance(node, Map):
            child = node.get(step)
            if child is None:
                raise Unfit(f"there is nothing at `{_shown(path[: number + 1])}`")
            node = child
        elif isinstance(node, List):
            node = node.items[_index(node, step, path[: number + 1])]
        else:
            raise Unfit(f"there is nothing at `{_shown(path[: number + 1])}`")
    return node


def _changed(node: Tree, path: list[str], value: Tree | None, how: str, done: int = 0) -> Tree:
    """The tree with the value added, replaced or removed at the path's end."""
    step, last = path[done], done == len(path) - 1
    here = path[: done + 1]
    if isinstance(node, Map):
        items = dict(node.items)
        if (not last or how != "add") and step not in items:
            hint = "`op: add` writes what is not there" if last and how == "replace" else ""
            raise Unfit(f"there is nothing at `{_shown(here)}`", hint=hint)
        if not last:
            items[step] = _changed(items[step], path, value, how, done + 1)
        elif value is None:
            del items[step]
        else:
            items[step] = value
        return Map(tuple(items.items()), node.origin)
    if isinstance(node, List):
        listed = list(node.items)
        index = _index(node, step, here, 1 if last and how == "add" else 0)
        if not last:
            listed[index] = _changed(listed[index], path, value, how, done + 1)
        elif value is None:
            del listed[index]
        elif how == "add":
            listed.insert(index, value)
        else:
            listed[index] = value
        return List(tuple(listed), node.origin)
    raise Unfit(f"there is nothing at `{_shown(here)}`")


def _plain(node: Tree) -> Any:
    if isinstance(node, Map):
        return {key: _plain(value) for key, value in node.items}
    if isinstance(node, List):
        return [_plain(item) for item in node.items]
    return node.value if isinstance(node, Leaf) else node


def _unknown(node: Tree) -> Iterator[Leaf]:
    """The leaves under a node whose values are known per island only."""
    if isinstance(node, Leaf):
        if isinstance(node.value, (tuple, Hole)):
            yield node
    elif isinstance(node, (Map, List)):
        for child in (value for _, value in node.items) if isinstance(node, Map) else node.items:
            yield from _unknown(child)


def ordered(node: Map, order: Iterable[str]) -> Map:
    """The map with the keys of `order` first, in that order."""
    items = dict(node.items)
    first = [(key, items.pop(key)) for key in order if key in items]
    return Map((*first, *items.items()), node.origin)
