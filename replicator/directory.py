"""A build to a directory, of which only what we wrote is ever touched."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

_MARK = b"# Written by replicator as "
_TEMPORARY = ".replicator-"


def header(path: str) -> bytes:
    """The line that a file of ours begins with; the path is the file's in the directory."""
    return _MARK + f"{path}; changes to this file are lost.\n".encode()


class Foreign(Exception):
    """Files that the build would write, but that something else has written."""

    def __init__(self, paths: list[str]) -> None:
        super().__init__(", ".join(paths))
        self.paths = paths


class Busy(Exception):
    """Another build writes to the directory."""


class Review(Protocol):
    """Who is told how files change, before they do."""

    def file(self, path: str, before: bytes, after: bytes) -> None:
        """A file of ours that changes, as it is and as it will be; nothing is empty. Our line in it is left blank."""


class Difference(NamedTuple):
    """How a directory differs from a build: a file is missing, different, or stale."""

    path: str
    what: str


def differences(
    files: Iterable[tuple[str, bytes]], directory: Path, covered: Callable[[str], bool], review: Review
) -> Iterator[Difference]:
    """Where a directory is not what a build would make of it."""
    known = set()
    for path, content in files:
        known.add(path)
        there = _read(directory / path)
        if there is None:
            yield Difference(path, "missing")
        elif there != header(path) + content:
            review.file(path, _body(there), content)
            yield Difference(path, "different")
    for path in _stale(directory, known, covered, review):
        yield Difference(path, "stale")


def _stale(directory: Path, known: set[str], covered: Callable[[str], bool], review: Review) -> list[str]:
    """Files of ours that a build covers and does not have."""
    stale = [path for path in ours(directory) if path not in known and covered(path)]
    for path in stale:
        review.file(path, _body(_read(directory / path)), b"")
    return stale


def _body(content: bytes | None) -> bytes:
    """What is in a file of ours, its first line left blank; nothing where it is not ours."""
    return b"\n" + content.partition(b"\n")[2] if content is not None and content.startswith(_MARK) else b""


class Written(NamedTuple):
    """What writing to a directory did: numbers of files."""

    changed: int
    unchanged: int
    removed: int


def to_directory(
    files: Iterable[tuple[str, bytes]],
    directory: Path,
    covered: Callable[[str], bool],
    review: Review,
    consent: Callable[[], None],
) -> Written:
    """Make a directory what the build says.

    All new content is written to temporary files first; only when every byte of it is on the disk, and `review` knows
    all that changes, is `consent` asked; then they are renamed into place, and stale files removed. Files that are as
    they should be are not touched, nor is anything that was not written by us. Raises `Foreign`, `Busy`, OSError, and
    what `consent` raises; the directory is then as it was.
    """
    made_root = not directory.exists()
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with _locked(directory):
            return _replace(files, directory, covered, review, consent)
    except BaseException:
        if made_root:
            _remove_if_empty(directory)
        raise


def _replace(
    files: Iterable[tuple[str, bytes]],
    directory: Path,
    covered: Callable[[str], bool],
    review: Review,
    consent: Callable[[], None],
) -> Written:
    _sweep(directory)
    waiting: list[tuple[Path, Path]] = []
    made: list[Path] = []
    known: set[str] = set()
    foreign: list[str] = []
    unchanged = 0
    try:
        for path, content in files:
            known.add(path)
            target = directory / path
            there = _read(target)
            if there is not None and there == header(path) + content:
                unchanged += 1
                continue
            if there is not None and not there.startswith(_MARK):
                foreign.append(path)
                continue
            if (barred := _in_the_way(directory, target)) is not None:
                foreign.append(barred)
                continue
            _make_directory(target.parent, made)
            temporary = target.parent / f"{_TEMPORARY}{os.getpid()}-{len(waiting)}.tmp"
            waiting.append((temporary, target))
            with temporary.open("wb") as file:
                file.write(header(path))
                file.write(content)
            review.file(path, _body(there), content)
        if foreign:
            raise Foreign(list(dict.fromkeys(foreign)))
        stale = _stale(directory, known, covered, review)
        consent()
        for temporary, target in waiting:
            temporary.replace(target)
    except BaseException:
        for temporary, _ in waiting:
            temporary.unlink(missing_ok=True)
        for parent in reversed(made):
            _remove_if_empty(parent)
        raise
    for path in stale:
        (directory / path).unlink()
        parent = (directory / path).parent
        while parent != directory and _remove_if_empty(parent):
            parent = parent.parent
    return Written(len(waiting), unchanged, len(stale))


def _in_the_way(directory: Path, target: Path) -> str | None:
    """What stands, between a directory and a file of it, where a directory must be."""
    for parent in reversed(target.relative_to(directory).parents[:-1]):
        if os.path.lexists(directory / parent) and (
            not (directory / parent).is_dir() or (directory / parent).is_symlink()
        ):
            return parent.as_posix()
    return None


def _make_directory(path: Path, made: list[Path]) -> None:
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for one in reversed(missing):
        one.mkdir()
        made.append(one)


def _remove_if_empty(path: Path) -> bool:
    try:
        path.rmdir()
    except OSError:
        return False
    return True


def _read(path: Path) -> bytes | None:
    """A file's content; None where there is none. A directory or a link in its place is not ours to replace."""
    try:
        return path.read_bytes() if stat.S_ISREG(path.lstat().st_mode) else b""
    except (FileNotFoundError, NotADirectoryError):
        return None


def ours(directory: Path) -> Iterator[str]:
    """The files under a directory that we wrote to it, by the line that they begin with; links are not followed.

    What was written to a directory inside of it belongs to that one: its path ends with the one in its first line.
    """
    for found in _walk(directory):
        if found.suffix == ".yaml" and stat.S_ISREG(found.lstat().st_mode):
            path = found.relative_to(directory).as_posix()
            with found.open("rb") as file:
                first = file.readline(4096)
            if first.startswith(_MARK) and not any(first == header(end) for end in _ends(path)):
                yield path


def named(directory: Path, endings: tuple[str, ...]) -> Iterator[str]:
    """The files under a directory whose names end so; links are not followed."""
    for found in _walk(directory):
        if found.name.endswith(endings) and stat.S_ISREG(found.lstat().st_mode):
            yield found.relative_to(directory).as_posix()


def _ends(path: str) -> Iterator[str]:
    """A path as it is seen from each directory on its way."""
    while "/" in path:
        path = path.split("/", 1)[1]
        yield path


def _walk(directory: Path) -> Iterator[Path]:
    for parent, directories, names in os.walk(directory):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in sorted(names):
            yield Path(parent, name)


def _sweep(directory: Path) -> None:
    """Remove temporary files that a build left when it was killed: nobody else writes while we hold the lock."""
    for path in _walk(directory):
        if path.name.startswith(_TEMPORARY) and path.suffix == ".tmp":
            path.unlink()


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory against other builds; the lock ends with the process, however it ends."""
    try:
        import fcntl
    except ImportError:  # no advisory locks on this system
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy from None
        yield
    finally:
        os.close(descriptor)
