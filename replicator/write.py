"""Text to a descriptor of the outside world, in chunks: every byte of it or an error."""

from __future__ import annotations

import os
from collections.abc import Iterable
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
    """A file whose content is on the disk, beside the place where it is to be. Raises OSError when it is made."""

    def __init__(self, path: str, content: bytes) -> None:
        self._path = path
        self._waiting = f"{path}.{os.getpid()}.tmp"
        try:
            with open(self._waiting, "xb") as file:
                file.write(content)
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


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view[:CHUNK]) :]
