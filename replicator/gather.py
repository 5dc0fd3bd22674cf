"""The files that a project names to what is in them: manifests as nodes, contents as bytes."""

from __future__ import annotations

from collections.abc import Iterator

from replicator.context import Data
from replicator.diagnostics import Diagnostic
from replicator.files import Files, Unreadable
from replicator.model import Project, Resource
from replicator.parser import source
from replicator.parser.source import Mapping, Scalar

MAX_FILE = 1024 * 1024  # of a ConfigMap, and so of a file in one (kubernetes: v1.MaxSecretSize)


def gather(project: Project, files: Files | None) -> tuple[Data, dict[str, str], list[Diagnostic]]:
    """All that the project's documents name beside themselves; the texts of manifests by name; what is wrong."""
    gatherer = _Gatherer(files)
    for resource in _resources(project):
        gatherer.manifests_of(resource)
    for scalar in _contents(project):
        gatherer.content_of(scalar)
    return Data(gatherer.manifests, gatherer.contents), gatherer.texts, gatherer.found


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
                if isinstance(node, Mapping) and isinstance(node.items["file"], Scalar):
                    yield node.items["file"]


class _Gatherer:
    def __init__(self, files: Files | None) -> None:
        self.files = files
        self.manifests: dict[int, tuple[Mapping, ...]] = {}
        self.contents: dict[int, bytes] = {}
        self.texts: dict[str, str] = {}
        self.found: list[Diagnostic] = []

    def unreadable(self, scalar: Scalar, error: Unreadable) -> None:
        self.found.append(Diagnostic("R0801", str(error), scalar.place, hint=error.hint))

    def reader(self) -> Files:
        if self.files is None:
            raise Unreadable("files cannot be read here")
        return self.files

    def content_of(self, scalar: Scalar) -> None:
        try:
            content = self.reader().read(scalar.place.file, scalar.text)
        except Unreadable as error:
            self.unreadable(scalar, error)
            return
        if len(content) > MAX_FILE:
            message = f"`{scalar.text}` has {len(content):,} bytes; a ConfigMap holds at most {MAX_FILE:,}"
            self.found.append(Diagnostic("R0313", message, scalar.place))
        self.contents[id(scalar)] = content

    def manifests_of(self, resource: Resource) -> None:
        scalar = resource.file
        if scalar is None:
            return
        documents: list[Mapping] = []
        try:
            matched = self.reader().match(scalar.place.file, scalar.text)
        except Unreadable as error:
            self.unreadable(scalar, error)
            return
        for name, raw in matched:
            text, problems = source.decode_text(name, raw)
            self.found += problems
            if problems:
                continue
            self.texts[name] = text
            load = source.load if resource.expressions else source.load_data
            read, problems = load(name, text)
            self.found += problems
            documents += (document.root for document in read)
        if not documents and not self.found:
            self.found.append(Diagnostic("R0110", f"`{scalar.text}` holds no manifests", scalar.place))
        self.manifests[id(scalar)] = tuple(documents)
