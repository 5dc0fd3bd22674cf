"""Text to the outside world, to a descriptor or in the place of files: every byte of it or an error."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress

CHUNK = 64 * 1024  # what a pipe holds: more in one write waits for the reader, less is more calls


def to_descriptor(texts: Iterable[bytes], descriptor: int) -> None:
    """Write all texts to a file descriptor. Raises OSError, BrokenPipeError among them."""
    waiting: list[bytes] = []
    room = CHUNK
    for text in texts:
        room -= len(text)
        if room < 0:
            _write(descriptor, b"".join(waiting))
            waiting.clear()
            room = CHUNK - len(text)
        waiting.append(text)
    _write(descriptor, b"".join(waiting))


class Staged:
    """A file whose content is on the disk, beside the place where it is to be. Raises OSError when it is made.

    `mode` are its permissions; without it they are those of any new file.
    """

    def __init__(self, path: str, content: bytes, mode: int | None = None) -> None:
        self._path = path
        self._waiting = f"{path}.{os.getpid()}.tmp"
        try:
            with open(self._waiting, "xb") as file:
                file.write(content)
            if mode is not None:
                os.chmod(self._waiting, mode)
        except OSError as error:
            error.filename = path
            self.discard()
            raise

    def commit(self) -> None:
        """Put it in its place, whatever is there. Raises OSError."""
        os.replace(self._waiting, self._path)

    def discard(self) -> None:
        """Leave nothing behind, where it was not put in its place."""
        with suppress(OSError):
            os.unlink(self._waiting)


def replace_files(contents: Mapping[str, bytes]) -> None:
    """Give files new contents, all of them or none. They keep their modes, and a link leads where it did.

    Raises OSError, also for what is no regular file.
    """
    staged: list[Staged] = []
    try:
        for name, content in contents.items():
            target = os.path.realpath(name)
            mode = os.stat(target).st_mode
            if not stat.S_ISREG(mode):
                raise OSError(errno.EINVAL, "it is no regular file", name)
            staged.append(Staged(target, content, stat.S_IMODE(mode)))
        for one in staged:
            one.commit()
    except BaseException:
        for one in staged:
            one.discard()
        raise


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view[:CHUNK]) :]
