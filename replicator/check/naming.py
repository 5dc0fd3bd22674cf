"""Names: those that Kubernetes would refuse, that are taken, or that are the compiler's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from replicator import kinds, names
from replicator.check.project import all_documents
from replicator.diagnostics import Diagnostic, Place, Related, nearest
from replicator.model import Metadata, Project
from replicator.parser.source import Mapping, Node, Scalar


def unique_names(project: Project) -> Iterator[Diagnostic]:
    for word, documents in (
        ("IslandType", project.types),
        ("IslandSet", project.sets),
        ("Routing", project.routings),
        ("Partition", project.partitions),
    ):
        first: dict[tuple[str, str], Metadata] = {}
        for document in documents:
            metadata: Metadata = document.metadata
            within = metadata.namespace if word == "IslandType" else ""  # the others are known by their name alone
            earlier = first.setdefault((within, metadata.name), metadata)
            if earlier is not metadata:
                related = (Related("the first one", earlier.name_node.place),)
                message = f"a second {word} of the name `{metadata.name}`"
                hint = (
                    ""
                    if earlier.namespace == metadata.namespace
                    else f"{word}s are known by their names, whatever the namespace"
                )
                yield Diagnostic("R0301", message, metadata.name_node.place, hint=hint, related=related)


def legal_names(project: Project) -> Iterator[Diagnostic]:
    for document in all_documents(project):
        metadata = document.metadata
        root = document.node
        name = metadata.name
        if not names.is_label_1035(name) and "{{" not in name:
            hint = "at most 63 of a-z, 0-9 and `-`, beginning with a letter, ending with a letter or digit"
            yield Diagnostic(
                "R0304", f"`{name}` is no name for a {root.data['kind']}", metadata.name_node.place, hint=hint
            )
        if (node := root.get("metadata", "namespace")) and not names.is_label(metadata.namespace):
            yield Diagnostic("R0304", f"`{metadata.namespace}` is no namespace's name", node.place)
        yield from _legal_labels(root.get("metadata", "labels"))
        yield from _reserved_labels(root.get("metadata", "labels"), _WRITTEN.get(root.data["kind"], ()))
    for island_set in project.sets:
        labels = island_set.namespaces.get("labels") if island_set.namespaces else None
        yield from _legal_labels(labels)
        yield from _reserved_labels(labels, ("managed-by",))
    for island_type in project.types:
        for unit in island_type.units.values():
            if not names.is_label(unit.name) and "{{" not in unit.name:
                hint = "at most 63 of a-z, 0-9 and `-`, a letter or digit at both ends"
                yield Diagnostic("R0304", f"`{unit.name}` is no name for a unit", unit.place, hint=hint)
            for port in unit.ports.values():
                yield from _legal_port(port.name, port.place)
            for name in unit.env.items if unit.env else ():
                place = unit.env.key_place(name) if unit.env else unit.place
                if "{{" in name:
                    continue
                if not names.ENVIRONMENT.fullmatch(name):
                    yield Diagnostic("R0304", f"`{name}` is no name for an environment variable", place)
                elif name.startswith("REPLICATOR_ISLAND_"):
                    yield Diagnostic("R0304", f"`{name}` is a variable of the compiler's", place, hint="another name")
            service = unit.service
            for labels in (unit.pod_labels, service.get("labels") if service else None):
                yield from _legal_labels(labels)
                yield from _reserved_labels(labels)
        for name, type_port in island_type.ports.items():
            yield from _legal_port(name, type_port.place)
        external = island_type.node.get("spec", "external")
        for kind in external.written if isinstance(external, Mapping) else ():
            if "{{" not in kind.text and not kinds.is_kind(kind.text):
                hint = nearest(kind.text, kinds.COMMON) or "a kind as its manifests name it, such as ConfigMap"
                yield Diagnostic("R0304", f"`{kind.text}` is no kind of Kubernetes objects", kind.place, hint=hint)
        for of_kind, items in island_type.external.items():
            for item in items:
                namespace, _, name = item.text.rpartition("/")  # `name`, or `namespace/name`
                legal = names.is_object_name(of_kind, name) and (namespace == "" or names.is_label(namespace))
                if "{{" not in item.text and not (legal and not item.text.startswith("/")):
                    yield Diagnostic("R0304", f"`{item.text}` is no name of a {of_kind}", item.place)


def _legal_port(name: str, place: Place) -> Iterator[Diagnostic]:
    if not names.is_port_name(name):
        hint = "at most 15 of a-z, 0-9 and single `-`, with a letter among them"
        yield Diagnostic("R0304", f"`{name}` is no name for a port", place, hint=hint)


def _legal_labels(node: Node | None) -> Iterator[Diagnostic]:
    if isinstance(node, Mapping):
        for key, value in node.items.items():
            text = value.text if isinstance(value, Scalar) else ""
            if problem := names.label_problem(key, "" if "{{" in text else text):
                yield Diagnostic("R0304", problem, node.key_place(key))


# Labels of `app.kubernetes.io` that the compiler writes on the objects onto which a document's own labels go.
_WRITTEN = {"IslandSet": ("name", "instance", "component", "part-of", "managed-by"), "Routing": ("managed-by",)}


def _reserved_labels(node: Node | None, written: Iterable[str] = ("component",)) -> Iterator[Diagnostic]:
    """Labels by which islands and units are told apart, and others that the compiler writes."""
    if not isinstance(node, Mapping):
        return
    ours = {f"app.kubernetes.io/{name}" for name in written}
    for key in node.items:
        if key.startswith("replicator.dev/") or key in ours:
            message = f"the label `{key}` is the compiler's: it writes its own there"
            yield Diagnostic("R0304", message, node.key_place(key), hint="use a label of your own")
