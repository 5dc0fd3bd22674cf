"""Documents as an API server gives them back: Lists are taken apart, and what the server has set is left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from replicator.parser.source import Document, Mapping, Node, Sequence

_SERVER_SET = frozenset(
    "creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers generation managedFields "
    "ownerReferences resourceVersion selfLink uid".split()
)
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def unwrap(documents: Iterable[Document]) -> Iterator[Document]:
    """The documents as their authors wrote them: what `kubectl get … -o yaml` prints is one List of them."""
    for document in documents:
        items = document.root.items.get("items")
        if document.kind.endswith("List") and isinstance(items, Sequence):
            for item in items.items:
                if isinstance(item, Mapping):
                    yield Document(document.file, _authored(item))
        else:
            yield Document(document.file, _authored(document.root))


def _authored(root: Mapping) -> Mapping:
    metadata = root.items.get("metadata")
    if isinstance(metadata, Mapping):
        annotations = metadata.items.get("annotations")
        if isinstance(annotations, Mapping) and _LAST_APPLIED in annotations.items:
            metadata = _with(metadata, "annotations", _without(annotations, frozenset([_LAST_APPLIED])))
        if not _SERVER_SET.isdisjoint(metadata.items):
            metadata = _without(metadata, _SERVER_SET)
        if metadata is not root.items["metadata"]:
            root = _with(root, "metadata", metadata)
    return _without(root, frozenset(["status"])) if "status" in root.items else root


def _without(node: Mapping, keys: frozenset[str]) -> Mapping:
    items = {key: child for key, child in node.items.items() if key not in keys}
    return _mapping(node, items)


def _with(node: Mapping, key: str, child: Mapping) -> Mapping:
    return _mapping(node, {**node.items, key: child})


def _mapping(node: Mapping, items: dict[str, Node]) -> Mapping:
    written = [key for key in node.written if key.text in items]
    return Mapping({key: child.data for key, child in items.items()}, node.start, node.end, items, written)
