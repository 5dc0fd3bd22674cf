"""The files that a project names to what is in them: manifests as nodes, contents as bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from replicator.context import Data
from replicator.diagnostics import Diagnostic
from replicator.kinds import MAX_CONFIG_MAP
from replicator.model import Project, Resource
from replicator.parser import source
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node, Scalar, Sequence

if TYPE_CHECKING:
    from replicator.files import Files


def gather(project: Project, root: str | None) -> tuple[Data, dict[str, str], list[Diagnostic]]:
    """All that the project's documents name beside themselves; the texts of manifests by name; what is wrong.

    Only files below the root directory are read; without one, none.
    """
    gatherer = _Gatherer(root)
    for resource in _resources(project):
        gatherer.manifests_of(resource)
    for scalar in _contents(project):
        gatherer.content_of(scalar)
    scopes = dict(_scopes(project, gatherer.manifests))
    return Data(gatherer.manifests, gatherer.contents, scopes), gatherer.texts, gatherer.found


def left_behind(project: Project) -> Iterator[Diagnostic]:
    """The files that documents name, which are not there where documents are stored by themselves."""
    named = [resource.file for resource in _resources(project) if resource.file is not None]
    for scalar in (*named, *_contents(project)):
        message = f"stored in a cluster, this document cannot be compiled: `{scalar.text}` is not stored with it"
        hint = "write what is in the file into the document: `manifest: …`, or the file's text"
        yield Diagnostic("R0805", message, scalar.place, hint=hint, severity="warning")


def _resources(project: Project) -> Iterator[Resource]:
    for island_type in project.types:
        yield from island_type.resources
    for island_set in project.sets:
        yield from island_set.shared


def _contents(project: Project) -> Iterator[Scalar]:
    """The scalars that name the files whose content a unit's `files` hold."""
    for island_type in project.types:
        for unit in island_type.units.values():
            for node in unit.files.items.values() if unit.files else ():
                if isinstance(node, MappingNode) and isinstance(node.items["file"], Scalar):
                    yield node.items["file"]


def _scopes(
    project: Project, manifests: Mapping[int, tuple[MappingNode, ...]]
) -> Iterator[tuple[tuple[str, str], str]]:
    """The group and kind, and the scope, of every kind that one of the project's manifests defines."""
    for resource in _resources(project):
        waiting: list[Node] = [resource.manifest] if resource.manifest else list(manifests.get(id(resource.file), ()))
        while waiting:
            node = waiting.pop()
            items = node.get("items") if isinstance(node, MappingNode) else None
            if isinstance(items, Sequence):
                waiting += items.items
            elif isinstance(node, MappingNode) and node.data.get("kind") == "CustomResourceDefinition":
                told = [node.get("spec", *path) for path in (("group",), ("names", "kind"), ("scope",))]
                group, kind, scope = (one.text if isinstance(one, Scalar) else "" for one in told)
                yield (group, kind), scope


class _Gatherer:
    def __init__(self, root: str | None) -> None:
        self.root = root
        self.files: Files | None = None
        self.manifests: dict[int, tuple[MappingNode, ...]] = {}
        self.contents: dict[int, bytes] = {}
        self.texts: dict[str, str] = {}
        self.found: list[Diagnostic] = []

    def read(self, scalar: Scalar, many: bool) -> list[tuple[str, bytes]]:
        """The files that a scalar names, by name; none where they cannot be read, which is said."""
        from replicator.files import Files, Unreadable

        try:
            if self.root is None:
                raise Unreadable("files cannot be read here")
            if self.files is None:
                self.files = Files(self.root)
            if many:
                return self.files.match(scalar.place.file, scalar.text)
            return [(scalar.text, self.files.read(scalar.place.file, scalar.text))]
        except Unreadable as error:
            self.found.append(Diagnostic("R0801", str(error), scalar.place, hint=error.hint))
            return []

    def content_of(self, scalar: Scalar) -> None:
        for _, content in self.read(scalar, many=False):
            if len(content) > MAX_CONFIG_MAP:
                message = f"`{scalar.text}` has {len(content):,} bytes; a ConfigMap holds at most {MAX_CONFIG_MAP:,}"
                self.found.append(Diagnostic("R0313", message, scalar.place))
            self.contents[id(scalar)] = content

    def manifests_of(self, resource: Resource) -> None:
        scalar = resource.file
        if scalar is None:
            return
        documents: list[MappingNode] = []
        already = len(self.found)
        for name, raw in self.read(scalar, many=True):
            text, problems = source.decode_text(name, raw)
            self.found += problems
            if problems:
                continue
            self.texts[name] = text
            load = source.load if resource.expressions else source.load_data
            read, problems = load(name, text)
            self.found += problems
            documents += (document.root for document in read)
        if not documents and len(self.found) == already:
            self.found.append(Diagnostic("R0110", f"`{scalar.text}` holds no manifests", scalar.place))
        self.manifests[id(scalar)] = tuple(documents)
