"""An editing command, from sources to the new texts of the files that it changes; nothing is written here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import unified_diff
from typing import Any, NamedTuple, Protocol

from replicator.diagnostics import Diagnostic, has_errors, tidy
from replicator.editing.text import Path, Refused, changed
from replicator.model import Project
from replicator.parser import decode, stored
from replicator.parser.source import Mapping as MappingNode
from replicator.pipeline import Source, read


class Done(Protocol):
    """What a command does: changes of documents, by their roots, and what to say of them."""

    @property
    def changes(self) -> Mapping[MappingNode, Mapping[Path, Any]]: ...
    def lines(self) -> Iterator[str]: ...
    def data(self) -> dict[str, Any]: ...


class Edited(NamedTuple):
    """What a command came to: what it did and the new texts by file, or the diagnostics that say why not."""

    diagnostics: list[Diagnostic]
    texts: Mapping[str, str]
    done: Done | None = None
    files: Mapping[str, str] = {}

    def diff(self) -> str:
        """The difference of all files, as `diff -u` has it."""
        return "".join(line for file, text in self.files.items() for line in _diff(file, self.texts[file], text))


def edit(sources: Sequence[Source], work: Callable[[Project], Done]) -> Edited:
    """Do some work on the project that sources hold; it and its edits may raise `Refused`."""
    documents, texts, found = read(sources)
    if not has_errors(found):
        project, problems = decode.decode(documents)
        found += problems
    if has_errors(found):
        return Edited(tidy(stored.name_owners(found, documents)), texts)
    try:
        done = work(project)
        return Edited([], texts, done, changed(documents, texts, done.changes))
    except Refused as refused:
        return Edited(tidy(stored.name_owners(refused.diagnostics, documents)), texts)


def _diff(file: str, before: str, after: str) -> Iterator[str]:
    for line in unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True), file, file):
        yield line if line.endswith(("\n", "\r")) else f"{line}\n\\ No newline at end of file\n"
