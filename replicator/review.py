"""A build against what was there before: fed with files as they are written, it says what follows from the change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from replicator import immutable
from replicator.census import Census, Former
from replicator.comparison import Outputs, head
from replicator.diagnostics import Diagnostic, has_errors
from replicator.pipeline import PARTS, Built
from replicator.shrinking import Shrinking, resizes, shrink

if TYPE_CHECKING:
    from replicator.routing.moves import Earlier


class Review:
    """What a build changes, file by file or as a whole. Only what it covers, by the file of a layout, is judged."""

    def __init__(self, built: Built, covered: Callable[[str], bool], allow: bool, directory: str = "") -> None:
        self._built = built
        self._directory = directory
        self._covered = covered
        self._allow = allow
        self._outputs = Outputs(lambda kind, fields: immutable.may_matter(kind, fields) or resizes(kind, fields))
        self._heads: list[str] = []
        self._then: dict[str, Earlier] = {}

    def file(self, path: str, before: bytes, after: bytes) -> None:
        """A file that changes, as it was and as it will be; nothing is empty."""
        if before:  # what is only new is read where something is gone
            self._outputs.file(f"{self._directory}/{path}", before, after)
            self._heads += head(before)

    def earlier(self, name: str, content: bytes) -> None:
        """A part of an earlier output."""
        self._outputs.earlier(name, content)
        self._heads += head(content)

    def compiled(self, name: str, earlier: Built) -> None:
        """An earlier build that is known whole."""
        self.earlier(name, b"".join(earlier.texts()))
        if earlier.partitions:
            from replicator.routing.moves import of_ownership

            self._then |= {name: of_ownership(owned) for name, owned in earlier.partitions.items()}

    @property
    def texts(self) -> dict[str, str]:
        """The texts of the earlier output, for findings in it."""
        return self._outputs.texts

    def judged(self) -> Shrinking:
        """What follows from all that is gone and all that changed."""
        if not self._outputs.is_settled():  # it may be in a file that did not change, or in a part not asked for
            whole = self._built._replace(selected=None, parts=frozenset(PARTS))
            self._outputs.now(b"".join(whole.texts()))
        compared = self._outputs.compared()
        found = [self._unreadable(one) for one in compared.diagnostics]
        if has_errors(found):
            return Shrinking(found)
        former = Former.of(compared.gone, compared.changed)
        census = Census(self._built.sets, self._built.routing, self._built.tables, former)
        gone = [one for one in compared.gone if self._covered(census.file_of(one))]
        changed = [(one, other) for one, other in compared.changed if self._covered(census.file_of(other))]
        shrinking = shrink(gone, changed, census, self._allow)
        return shrinking._replace(diagnostics=[*found, *self._steps(), *shrinking.diagnostics])

    def _steps(self) -> Iterator[Diagnostic]:
        """The steps of moves that are not legal, by what is known of the Partitions then."""
        if self._built.partitions and self._built.wants("routing"):
            from replicator.routing.moves import illegal, read

            yield from illegal({**read(self._heads), **self._then}, self._built.partitions.values())

    def _unreadable(self, one: Diagnostic) -> Diagnostic:
        """A part of the earlier output that nobody can read: what was in it may be gone, if anything may."""
        if self._allow:
            return one._replace(severity="warning")
        return one._replace(hint="write it as it was; or --allow-removed, if what was in it may be gone")
