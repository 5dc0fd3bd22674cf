"""The files that documents name: read as bytes, inside one root, whatever `..` and links say."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

MAX_BYTES = 64_000_000  # of all files that one build reads beside its documents
_NOTHING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Unreadable(Exception):
    """A file that is not there, cannot be read, or is outside of the root; the message is for the author."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Files:
    """Reads files below a root directory."""

    def __init__(self, root: str) -> None:
        self._root = Path(os.path.realpath(root))
        self._room = MAX_BYTES

    def read(self, document: str, path: str) -> bytes:
        """The bytes of a file; its path is relative to the document's. Raises `Unreadable`."""
        return self._bytes(_base(document, path) / path, path)

    def match(self, document: str, pattern: str) -> list[tuple[str, bytes]]:
        """Names and bytes of the files that a pattern matches, in order of their names. Raises `Unreadable`."""
        steps = Path(os.path.normpath(pattern)).parts
        if not any(map(_is_glob, steps)):
            path = Path(os.path.normpath(_base(document, pattern) / pattern))
            return [(_shown(path), self._bytes(path, pattern))]
        if any("**" in step for step in steps):  # taken for a `*` it would match fewer files than its author thinks
            hint = "an entry for each level: base/*.yaml, base/*/*.yaml"
            raise Unreadable(f"`{pattern}`: there is no `**`, a step of a pattern is one folder", hint)
        number = next(number for number, step in enumerate(steps) if _is_glob(step))
        start = Path(os.path.normpath(_base(document, pattern).joinpath(*steps[:number])))
        found = sorted(self._expand(start, steps[number:]))
        if not found:
            raise Unreadable(f"no file matches `{pattern}`", "the pattern is relative to this document's file")
        return [(_shown(path), self._bytes(path, _shown(path))) for path in found]

    def _expand(self, start: Path, steps: Sequence[str]) -> Iterator[Path]:
        """The files below a directory that the steps of a pattern match."""
        if not steps:
            if stat.S_ISREG(_mode(start)):
                yield start
            return
        step, *rest = steps
        if not _is_glob(step):
            yield from self._expand(start / step, rest)
        elif self._is_inside(start) and stat.S_ISDIR(_mode(start)):
            try:
                names = os.listdir(start)
            except OSError as error:
                raise _unreadable(_shown(start), error) from None
            for name in names:
                if fnmatchcase(name, step) and (name[0] != "." or step[0] == "."):
                    yield from self._expand(start / name, rest)

    def _is_inside(self, path: Path) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(self._root)

    def _bytes(self, path: Path, asked: str) -> bytes:
        try:
            if not self._is_inside(path):
                raise Unreadable(
                    f"`{asked}` is outside of the root directory",
                    "name a directory above it with --root" if not Path(asked).is_absolute() else "use a relative path",
                )
            mode = _mode(path)
            if not stat.S_ISREG(mode):
                raise Unreadable(f"`{asked}` is no file" if mode else f"there is no file `{asked}`")
            self._room -= path.stat().st_size
            if self._room < 0:
                raise Unreadable(f"the files of this build have more than {MAX_BYTES // 1_000_000} MB")
            return path.read_bytes()
        except OSError as error:
            raise _unreadable(asked, error) from None


def _base(document: str, asked: str) -> Path:
    """The directory that a path of a document is relative to; standard input's is the working directory."""
    if "\0" in asked:
        raise Unreadable(f"`{asked}` is no path: it holds a NUL character")
    try:
        os.fsencode(asked)
    except UnicodeError:
        raise Unreadable(f"`{asked}` is no path: this system's file names have other characters") from None
    return Path.cwd() if document.startswith("<") else Path.cwd() / Path(document).parent


def _shown(path: Path) -> str:
    return os.path.relpath(path).replace(os.sep, "/")


def _is_glob(step: str) -> bool:
    return any(character in step for character in "*?[")


def _mode(path: Path) -> int:
    """What there is at a path, as `stat` has it; 0 for nothing. Raises `Unreadable`."""
    try:
        return path.stat().st_mode
    except OSError as error:
        if error.errno in _NOTHING:
            return 0
        raise _unreadable(_shown(path), error) from None


def _unreadable(asked: str, error: OSError) -> Unreadable:
    return Unreadable(f"`{asked}` cannot be read: {error.strerror or error}")
