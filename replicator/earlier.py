"""Earlier outputs and earlier inputs: a directory that was written, a file of manifests, a revision in git."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from replicator import directory

_ENDINGS = (".yaml", ".yml", ".json")
GIT = "git:"
_REVISION = "git:REV is a branch, a tag or a commit of the repository that this directory is in"
_KEPT = "--against DIR: an output that was kept"


class Unavailable(Exception):
    """An earlier output that cannot be had; the message is for the author."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def files(name: str) -> Iterator[tuple[str, bytes]]:
    """The files of an earlier output, by name, and what is in them: a file, or those of a directory.

    Where files of a directory are ours, as after `-o`, the others in it are no part of the output. Raises `Unavailable`
    and OSError.
    """
    path = Path(name)
    if not path.is_dir():
        yield name, path.read_bytes()
        return
    paths = list(directory.ours(path)) or list(directory.named(path, _ENDINGS))
    if not paths:
        raise Unavailable(f"`{name}` holds no manifests", "a directory that `build -o` wrote, or one of *.yaml files")
    for one in paths:
        yield f"{name}/{one}", (path / one).read_bytes()


class Revision(NamedTuple):
    """The files of a repository as they were; `at` gives the path there of a path that is named now."""

    at: Callable[[str], str]
    root: str


@contextmanager
def revision(name: str) -> Iterator[Revision]:
    """The files of the working directory's repository at a revision, as long as the context lasts.

    They are what `git archive` gives: files that its attributes leave out of exports are not there. Raises
    `Unavailable`.
    """
    top = os.path.realpath(_git("rev-parse", "--show-toplevel").decode().rstrip("\n"))
    asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    commit = _git(*asked, what=name).decode().strip()
    if not commit.isalnum():  # `^main`, and nothing, are no revisions but what is left out of some
        raise _no_revision(name)
    with TemporaryDirectory(prefix="replicator-") as folder:
        there = os.path.realpath(folder)

        def at(path: str) -> str:
            parent, last = os.path.split(os.path.abspath(path))
            now = os.path.join(os.path.realpath(parent), last)
            if os.path.commonpath([now, top]) != top:
                raise Unavailable(f"`{path}` is outside of the repository {top}", _KEPT)
            return os.path.join(there, os.path.relpath(now, top))

        archive = os.path.join(there, ".replicator.tar")
        _git("archive", "--format=tar", f"--output={archive}", commit, at=top)
        with tarfile.open(archive) as tar:
            try:
                tar.extractall(there, filter="data")
            except tarfile.FilterError as error:
                raise Unavailable(f"the revision `{name}` holds a file that is unsafe to write: {error}") from None
        os.unlink(archive)
        yield Revision(at, there)


def _git(*arguments: str, what: str | None = None, at: str | None = None) -> bytes:
    try:
        process = subprocess.Popen(["git", *arguments], cwd=at, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except FileNotFoundError:
        raise Unavailable("there is no `git` here", _KEPT) from None
    printed, errors = process.communicate()
    if process.returncode == 0:
        return printed
    said = errors.decode(errors="replace").strip().removeprefix("fatal: ")
    raise _no_revision(what) if what is not None and not said else Unavailable(f"git: {said}", _REVISION)


def _no_revision(name: str) -> Unavailable:
    return Unavailable(f"there is no revision `{name}` in this repository", _REVISION)
