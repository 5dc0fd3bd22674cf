"""Trees changed as kubectl and Kustomize change them: strategic merges with Kubernetes' merge keys, and JSON patches.

https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/, RFC 6902
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from replicator.kinds import MERGE_KEYS
from replicator.tree import Leaf, List, Map, Tree

_DIRECTIVES = ("$patch", "$retainKeys")
_DELETE_FROM = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"


class Unfit(Exception):
    """A patch that cannot be applied; the message is for its author, the place is the part of it that does not fit."""

    def __init__(self, message: str, node: Tree | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.place = node.origin.place if isinstance(node, (Leaf, Map, List)) else None
        self.hint = hint


class At(NamedTuple):
    """Where a tree stands: the field that holds it, and the one that holds that."""

    parent: str
    field: str

    def under(self, field: str) -> At:
        return At(self.field, field)


Keys = Mapping[tuple[str, str], str]
ROOT = At("", "")


def merge(base: Tree, patch: Tree, at: At = ROOT, keys: Keys = MERGE_KEYS) -> Tree:
    """A strategic merge of a patch into a tree. Raises `Unfit` for a directive that is none."""
    if isinstance(base, Map) and isinstance(patch, Map):
        return _merge_maps(base, patch, at, keys)
    if isinstance(base, List) and isinstance(patch, List):
        key = keys.get((at.parent, at.field))
        if key is not None:
            return _merge_lists(base, patch, key, at, keys)
        if (at.parent, at.field) == ("metadata", "finalizers"):
            known = [item for item in base.items if item not in patch.items]
            return List((*known, *patch.items), base.origin)
    if isinstance(base, (Map, List)) and isinstance(patch, (Map, List)):
        wanted, given = ("a map", "a list") if isinstance(base, Map) else ("a list", "a map")
        raise Unfit(f"`{at.field}` is {wanted}, not {given}", patch)
    return without_nulls(patch)


def _merge_maps(base: Map, patch: Map, at: At, keys: Keys) -> Map:
    directive = _text(patch.get("$patch"))
    if directive == "replace":
        return Map(tuple(item for item in patch.items if item[0] != "$patch"), base.origin)
    if directive not in ("", "merge"):
        raise Unfit(f"`$patch: {directive}` cannot stand here", patch.get("$patch"))
    merged = dict(base.items)
    retained = patch.get("$retainKeys")
    if isinstance(retained, List):
        wanted = {_text(item) for item in retained.items}
        merged = {key: value for key, value in merged.items() if key in wanted}
    for key, value in patch.items:
        if key in _DIRECTIVES:
            continue
        if key.startswith(_DELETE_FROM):
            field = key.removeprefix(_DELETE_FROM)
            there = merged.get(field)
            if isinstance(there, List) and isinstance(value, List):
                gone = {_text(item) for item in value.items}
                merged[field] = List(tuple(item for item in there.items if _text(item) not in gone), there.origin)
        elif key.startswith("$"):
            if not key.startswith(_ORDER):  # kubectl's own patches hold the order; ours follow the base
                raise Unfit(f"`{key}` is no directive of a strategic merge", value)
        elif _is_null(value) or (isinstance(value, Map) and _text(value.get("$patch")) == "delete"):
            merged.pop(key, None)
        elif key in merged:
            merged[key] = merge(merged[key], value, at.under(key), keys)
        else:
            merged[key] = without_nulls(value)
    return Map(tuple(merged.items()), base.origin)


def _merge_lists(base: List, patch: List, key: str, at: At, keys: Keys) -> List:
    items = list(base.items)
    for item in patch.items:
        directive = _text(item.get("$patch")) if isinstance(item, Map) else ""
        if directive == "replace":
            items = []
            continue
        identity = item.get(key) if isinstance(item, Map) else None
        if not isinstance(identity, Leaf):
            raise Unfit(f"an item of `{at.field}` has no `{key}`, by which items of this list are merged", item)
        same = [number for number, other in enumerate(items) if _is_called(other, key, identity)]
        if directive == "delete":
            items = [other for number, other in enumerate(items) if number not in same]
        elif same:
            items[same[0]] = merge(items[same[0]], item, at, keys)
        else:
            items.append(without_nulls(item))
    return List(tuple(items), base.origin)


def _is_called(item: Tree, key: str, identity: Tree | None) -> bool:
    value = item.get(key) if isinstance(item, Map) else None
    return isinstance(value, Leaf) and isinstance(identity, Leaf) and value.value == identity.value


def _is_directive(key: str) -> bool:
    return key in _DIRECTIVES or key.startswith((_DELETE_FROM, _ORDER))


def _text(node: Tree | None) -> str:
    return str(node.value) if isinstance(node, Leaf) else ""


def _is_null(node: Tree) -> bool:
    return isinstance(node, Leaf) and node.value is None


def without_nulls(node: Tree) -> Tree:
    """The tree without the keys that are null, and without directives: in what is added, they say nothing."""
    if isinstance(node, Map):
        kept = ((key, value) for key, value in node.items if not _is_null(value) and not _is_directive(key))
        return Map(tuple((key, without_nulls(value)) for key, value in kept), node.origin)
    if isinstance(node, List):
        return List(tuple(without_nulls(item) for item in node.items), node.origin)
    return node


# RFC 6902


def apply_json_patch(document: Tree, operations: Iterable[Map]) -> Tree:
    """The document after the operations of a JSON patch, in order. Raises `Unfit` where one cannot be applied."""
    for operation in operations:
        try:
            document = _applied(document, operation)
        except Unfit as unfit:
            raise Unfit(str(unfit), operation.get("path") or operation, unfit.hint) from None
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
        if _plain(_found(document, path)) != _plain(value):
            raise Unfit(f"the test of `{_shown(path)}` fails")
    else:
        raise Unfit(f"`{name}` is no operation: add, remove, replace, move, copy, test")
    return document


def _pointer(operation: Map, field: str) -> list[str]:
    text = _text(operation.get(field))
    if not text.startswith("/"):
        raise Unfit(f"`{field}` is a JSON pointer that begins with /")
    return [step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/")]


def _shown(path: list[str]) -> str:
    return "/" + "/".join(path)


def _index(node: List, step: str, path: list[str], more: int = 0) -> int:
    if step == "-" and more:
        return len(node.items)
    if not step.isdecimal() or int(step) >= len(node.items) + more:
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


def ordered(node: Map, order: Iterable[str]) -> Map:
    """The map with the keys of `order` first, in that order."""
    items = dict(node.items)
    first = [(key, items.pop(key)) for key in order if key in items]
    return Map((*first, *items.items()), node.origin)
