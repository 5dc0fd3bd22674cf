"""Run a command once and write its wall seconds, peak memory in bytes, bytes written and exit code.

A process of its own, with hardly an import: a child's peak memory is never told as less than its parent's.
"""

import os
import sys
import time

PEAK_UNIT = 1 if sys.platform == "darwin" else 1024
READ_SIZE = 1 << 16


def main() -> None:
    """Measure the command that the arguments are; its output is drained through a pipe and counted."""
    command = sys.argv[1:]
    buffer = bytearray(READ_SIZE)
    written = 0
    start = time.perf_counter()
    reading, writing = os.pipe()
    to_pipe = [(os.POSIX_SPAWN_DUP2, writing, 1)]
    try:
        child = os.posix_spawnp(command[0], command, os.environ, file_actions=to_pipe)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")
    os.close(writing)
    while size := os.readv(reading, [buffer]):
        written += size
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - start
    print(seconds, usage.ru_maxrss * PEAK_UNIT, written, os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
