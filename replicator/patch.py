"""Trees merged as kubectl merges: maps key by key, lists by Kubernetes' merge keys, null drops a key."""

from __future__ import annotations

from collections.abc import Iterable

from replicator.kinds import MERGE_KEYS
from replicator.tree import Leaf, List, Map, Tree


def merge(base: Tree, patch: Tree, field: str = "") -> Tree:
    """A strategic merge of a patch into a tree; `field` is the key under which the tree stands."""
    if isinstance(base, Map) and isinstance(patch, Map):
        merged = dict(base.items)
        for key, value in patch.items:
            if isinstance(value, Leaf) and value.value is None:
                merged.pop(key, None)
            else:
                merged[key] = merge(merged[key], value, key) if key in merged else without_nulls(value)
        return Map(tuple(merged.items()), base.origin)
    if isinstance(base, List) and isinstance(patch, List) and field in MERGE_KEYS:
        return List(tuple(_merge_items(base.items, patch.items, MERGE_KEYS[field])), base.origin)
    return without_nulls(patch)


def without_nulls(node: Tree) -> Tree:
    """The tree without the keys that are null: in what is added, they say that nothing is there."""
    if isinstance(node, Map):
        kept = ((key, value) for key, value in node.items if not (isinstance(value, Leaf) and value.value is None))
        return Map(tuple((key, without_nulls(value)) for key, value in kept), node.origin)
    if isinstance(node, List):
        return List(tuple(without_nulls(item) for item in node.items), node.origin)
    return node


def _merge_items(base: Iterable[Tree], patch: Iterable[Tree], keys: Iterable[str]) -> list[Tree]:
    items = list(base)
    for item in patch:
        for key in keys:
            identity = item.get(key) if isinstance(item, Map) else None
            if not isinstance(identity, Leaf):
                continue
            same = [number for number, other in enumerate(items) if _is_called(other, key, identity)]
            if same:
                items[same[0]] = merge(items[same[0]], item)
                break
        else:
            items.append(without_nulls(item))
    return items


def _is_called(item: Tree, key: str, identity: Leaf) -> bool:
    value = item.get(key) if isinstance(item, Map) else None
    return isinstance(value, Leaf) and value.value == identity.value


def ordered(node: Map, order: Iterable[str]) -> Map:
    """The map with the keys of `order` first, in that order."""
    items = dict(node.items)
    first = [(key, items.pop(key)) for key in order if key in items]
    return Map((*first, *items.items()), node.origin)
