"""The files that documents name: read as bytes, inside one root, whatever `..` and links say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

MAX_BYTES = 64_000_000  # of all files that one build reads beside its documents


class Unreadable(Exception):
    """A file that is not there, cannot be read, or is outside of the root; the message is for the author."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Files:
    """Reads files below a root directory."""

    def __init__(self, root: str) -> None:
        self._given = root
        self._root = Path(os.path.realpath(root))
        self._room = MAX_BYTES

    def read(self, document: str, path: str) -> bytes:
        """The bytes of a file; its path is relative to the document's. Raises `Unreadable`."""
        return self._bytes(self._inside(self._base(document) / path, path), path)

    def match(self, document: str, pattern: str) -> list[tuple[str, bytes]]:
        """Names and bytes of the files that a pattern matches, in order of their names. Raises `Unreadable`."""
        start = Path(os.path.normpath(self._base(document) / pattern))
        if not any(character in pattern for character in "*?["):
            return [(self._shown(start), self._bytes(self._inside(start, pattern), pattern))]
        try:
            found = sorted(self._expand(Path(start.anchor), start.parts[1:]))
        except (OSError, ValueError) as error:
            raise _unreadable(pattern, error) from None
        if not found:
            raise Unreadable(f"no file matches `{pattern}`", "the pattern is relative to this document's file")
        return [(self._shown(path), self._bytes(self._inside(path, pattern), pattern)) for path in found]

    def _base(self, document: str) -> Path:
        """The directory of a document's file; standard input's is the root."""
        return self._root if document.startswith("<") else Path.cwd() / Path(document).parent

    def _shown(self, path: Path) -> str:
        return os.path.relpath(path).replace(os.sep, "/")

    def _inside(self, path: Path, asked: str) -> Path:
        try:
            real = Path(os.path.realpath(path))
        except (OSError, ValueError) as error:
            raise _unreadable(asked, error) from None
        if not real.is_relative_to(self._root):
            raise Unreadable(
                f"`{asked}` is outside of the root directory",
                "name a directory above it with --root" if not Path(asked).is_absolute() else "use a relative path",
            )
        return real

    def _expand(self, start: Path, steps: tuple[str, ...]) -> Iterator[Path]:
        if not steps:
            if start.is_file():
                yield start
            return
        step, *rest = steps
        if not any(character in step for character in "*?["):
            yield from self._expand(start / step, tuple(rest))
            return
        if not Path(os.path.realpath(start)).is_relative_to(self._root) or not start.is_dir():
            return
        for child in start.iterdir():
            if fnmatchcase(child.name, step) and not (child.name.startswith(".") and not step.startswith(".")):
                yield from self._expand(child, tuple(rest))

    def _bytes(self, path: Path, asked: str) -> bytes:
        try:
            if not path.is_file():
                raise Unreadable(f"`{asked}` is no file" if path.exists() else f"there is no file `{asked}`")
            self._room -= path.stat().st_size
            if self._room < 0:
                raise Unreadable(f"the files of this build have more than {MAX_BYTES // 1_000_000} MB")
            return path.read_bytes()
        except (OSError, ValueError) as error:
            raise _unreadable(asked, error) from None


def _unreadable(asked: str, error: Exception) -> Unreadable:
    return Unreadable(f"`{asked}` cannot be read: {getattr(error, 'strerror', None) or error}")
