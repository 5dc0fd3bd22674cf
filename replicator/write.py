"""Text to a descriptor of the outside world, in chunks: every byte of it or an error."""

from __future__ import annotations

import os
from collections.abc import Iterable

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


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view[:CHUNK]) :]
