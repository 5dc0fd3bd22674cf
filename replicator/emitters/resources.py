"""Manifests that the author brings along to objects of the island, or of the shared part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from replicator import names
from replicator.context import Context
from replicator.decisions import item_key, items_key, when_key
from replicator.diagnostics import Diagnostic, Related
from replicator.emitters import labels
from replicator.kinds import ONCE, full_kind
from replicator.model import Resource
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node, Sequence
from replicator.references import mark
from replicator.tree import Hole, Leaf, List, Manifest, Map, Origin, Text, Tree, at, leaf, mapping, text


def emit(context: Context, resources: tuple[Resource, ...]) -> Iterator[Manifest]:
    """The objects of some entries of `resources` or `shared`."""
    for number, resource in enumerate(resources):
        if context.structure.get(when_key(number)) is False:
            continue
        if resource.for_each is None:
            yield from _entry(context, resource)
            continue
        for index, item in enumerate(context.structure.get(items_key(number), ())):
            inside = context.for_item(item, item_key(number, index))
            yield from _entry(inside, resource)
            context.found += inside.found


def _entry(context: Context, resource: Resource) -> Iterator[Manifest]:
    if resource.manifest is not None:
        yield from _manifests(context, context.value(resource.manifest), ())
    elif resource.file is not None:
        related = (Related("its file is named here", resource.file.place),)
        for node in context.data.manifests.get(id(resource.file), ()):
            body = context.value(node) if resource.expressions else as_data(node)
            yield from _manifests(context, body, related)


def as_data(node: Node) -> Tree:
    """A node as it is: nothing in it is an expression."""
    origin = Origin(node.place, "resource")
    if isinstance(node, MappingNode):
        return Map(tuple((key, as_data(child)) for key, child in node.items.items()), origin)
    if isinstance(node, Sequence):
        return List(tuple(as_data(child) for child in node.items), origin)
    return Leaf(node.data, origin)


def _manifests(context: Context, body: Tree | None, related: tuple[Related, ...]) -> Iterator[Manifest]:
    """The object of a manifest, or the objects of a List of manifests."""
    if not isinstance(body, Map):
        message = "not a manifest: an item of a List is a map with apiVersion, kind and metadata"
        place = body.origin.place if isinstance(body, (Leaf, List)) else None
        context.found.append(Diagnostic("R0312", message, place, related=related))
        return
    items = body.get("items") if _known(body.get("kind")).endswith("List") else None
    if isinstance(items, List):
        for item in items.items:
            yield from _manifests(context, item, related)
    elif isinstance(items, Leaf) and items.value is None:  # no items: an empty List
        return
    else:
        made = _object(context, body, related)
        if made is not None:
            yield made


def _known(node: Tree | None) -> str:
    return node.value if isinstance(node, Leaf) and isinstance(node.value, str) else ""


def _object(context: Context, body: Map, related: tuple[Related, ...]) -> Manifest | None:
    metadata = body.get("metadata")
    api_version, kind = _known(body.get("apiVersion")), _known(body.get("kind"))
    local = _known(metadata.get("name")) if isinstance(metadata, Map) else ""
    for field, value in (("apiVersion", api_version), ("kind", kind), ("metadata.name", local)):
        if not value:
            hint = "a manifest has apiVersion, kind and metadata.name"
            context.found.append(
                Diagnostic("R0312", f"not a manifest: it has no {field}", body.origin.place, hint=hint, related=related)
            )
            return None
    assert isinstance(metadata, Map)
    if not names.is_object_name(kind, local):
        written = metadata.get("name")
        place = written.origin.place if isinstance(written, Leaf) else body.origin.place
        context.found.append(Diagnostic("R0304", f"`{local}` is no name of a {kind}", place, related=related))
    defined = [_known(at(body, "spec", *path)) for path in (("names", "plural"), ("group",))]
    if kind == "CustomResourceDefinition" and all(defined) and local != ".".join(defined):
        message = f"the name of a CustomResourceDefinition is its plural and group: `{'.'.join(defined)}`"
        context.found.append(Diagnostic("R0304", message, body.origin.place))
    once = context.shared or kind in ONCE
    cluster_scoped = context.is_cluster_scoped(api_version, kind)
    name: Text = (local,) if once else context.object_name(local, cluster_scoped)
    namespace: Text = () if cluster_scoped else context.namespace
    extra = context.plan.model.metadata.labels if kind not in ONCE else {}
    if not once:
        body = mark(
            full_kind(api_version, kind),
            body,
            mapping(labels.of_island(context)),
            _select(context, cluster_scoped),
            context.type.references,
        )
        extra = {**labels.of_island(context), **extra}
    return Manifest(
        api_version,
        kind,
        name,
        namespace,
        _with_metadata(body, metadata, name, namespace, {**_labels(context, metadata), **extra}),
        Origin(body.origin.place, "resource"),
        local=local,
        once=once,
        written=_known(metadata.get("namespace")),
    )


def _select(context: Context, cluster_scoped: bool) -> Map | None:
    """What is put into selectors: in a namespace of its own an island needs nothing to be told apart."""
    if context.plan.own_namespaces and not cluster_scoped:
        return None
    return mapping({labels.ISLAND: labels.of_island(context)[labels.ISLAND]})


def _labels(context: Context, metadata: Map) -> dict[str, Tree]:
    """The labels of the manifest itself; those that expressions give are such as a label may be."""
    own = metadata.get("labels")
    found = dict(own.items) if isinstance(own, Map) else {}
    for key, value in found.items():
        if isinstance(value, Leaf) and isinstance(value.value, (tuple, Hole)) and value.origin.place is not None:
            content = value.value if isinstance(value.value, tuple) else (value.value,)
            found[key] = context.ruled(content, names.LABEL_VALUE_RULE, value.origin.place)
    return found


def _with_metadata(body: Map, metadata: Map, name: Text, namespace: Text, own: dict[str, Any]) -> Map:
    given = dict(metadata.items)
    given.pop("labels", None)
    given.pop("namespace", None)
    written = given.pop("name")
    joined = mapping(own)
    made = mapping(
        {
            "name": leaf(name, written.origin if isinstance(written, Leaf) else body.origin),
            "namespace": text(namespace) or ...,
            "labels": joined if joined.items else ...,
            **given,
        }
    )
    return Map(tuple((key, made if key == "metadata" else value) for key, value in body.items), body.origin)
