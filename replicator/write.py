"""Text to a descriptor of the outside world, in chunks: every byte of it or an error."""

from __future__ import annotations

import os
from collections.abc import Iterable

CHUNK = 32 * 1024  # larger writes to a pipe are slower: they do not stay in the cache


def to_descriptor(texts: Iterable[bytes], descriptor: int) -> None:
    """Write all texts to a file descriptor. Raises OSError, BrokenPipeError among them."""
    waiting: list[bytes] = []
    size = 0
    for text in texts:
        waiting.append(text)
        size += len(text)
        if size >= CHUNK:
            _write(descriptor, b"".join(waiting))
            waiting.clear()
            size = 0
    if waiting:
        _write(descriptor, b"".join(waiting))


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view[:CHUNK]) :]
