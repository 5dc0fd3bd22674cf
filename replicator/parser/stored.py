"""Documents as an API server gives them back: Lists are taken apart, and what the server has set is left out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from replicator.diagnostics import Diagnostic
from replicator.parser.source import Document, Mapping, Node, Sequence

_SERVER_SET = frozenset(
    "creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers generation managedFields "
    "ownerReferences resourceVersion selfLink uid".split()
)
# How tools that apply documents know them again. On what is made of a document it would claim that for the tool too:
# KEP-3659 (ApplySet), https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/, and Flux's and Helm's.
_TRACKING = {
    "labels": frozenset(
        "applyset.kubernetes.io/part-of argocd.argoproj.io/instance "
        "helm.toolkit.fluxcd.io/name helm.toolkit.fluxcd.io/namespace "
        "kustomize.toolkit.fluxcd.io/name kustomize.toolkit.fluxcd.io/namespace".split()
    ),
    "annotations": frozenset(
        "kubectl.kubernetes.io/last-applied-configuration argocd.argoproj.io/tracking-id "
        "config.k8s.io/owning-inventory meta.helm.sh/release-name meta.helm.sh/release-namespace".split()
    ),
}
# Labels that have other uses too: on a document that comes from a cluster they are such a tool's.
_TRACKING_STORED = frozenset(["app.kubernetes.io/instance", "app.kubernetes.io/managed-by"])


def unwrap(documents: Iterable[Document]) -> tuple[list[Document], list[Diagnostic]]:
    """The documents as their authors wrote them: what `kubectl get … -o yaml` prints is one List of them."""
    authored: list[Document] = []
    found: list[Diagnostic] = []
    for document in documents:
        items = document.root.items.get("items")
        if not document.kind.endswith("List") or items is None:
            authored.append(document._replace(root=_authored(document.root)))
        elif isinstance(items, Sequence):
            for item in items.items:
                if isinstance(item, Mapping):
                    authored.append(Document(document.file, _authored(item), listed=True))
                else:
                    message = "an item of a List must be a map with apiVersion, kind, metadata and spec"
                    found.append(Diagnostic("R0201", message, item.place))
        elif items.data is not None:  # null is no items
            found.append(Diagnostic("R0201", "the `items` of a List are a list", document.root.key_place("items")))
    return authored, found


def name_owners(found: Iterable[Diagnostic], documents: Iterable[Document]) -> list[Diagnostic]:
    """The findings, with the object that each is about before its path where it is an item of a List.

    There a line says little: nobody has seen the text that the API server's answer is.
    """
    listed: dict[str, list[Document]] = {}
    for document in documents:
        if document.listed:
            listed.setdefault(document.file, []).append(document)
    return [_with_owner(diagnostic, listed) for diagnostic in found] if listed else list(found)


def _with_owner(diagnostic: Diagnostic, listed: dict[str, list[Document]]) -> Diagnostic:
    place = diagnostic.place
    if place is None or place.file not in listed:
        return diagnostic
    items, at = listed[place.file], (place.line - 1, place.column - 1)
    number = bisect_right(items, at, key=lambda one: (one.root.start.line, one.root.start.column))
    owner = items[number - 1] if number else None
    if owner is None or at >= (owner.root.end.line, owner.root.end.column):
        return diagnostic
    return diagnostic._replace(path=f"{owner.identity} {diagnostic.path}".rstrip())


def _authored(root: Mapping) -> Mapping:
    metadata = root.items.get("metadata")
    if isinstance(metadata, Mapping):
        for field, keys in _TRACKING.items():
            given = metadata.items.get(field)
            if field == "labels" and "uid" in metadata.items:
                keys |= _TRACKING_STORED
            if isinstance(given, Mapping) and not keys.isdisjoint(given.items):
                metadata = _with(metadata, field, _without(given, keys))
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
