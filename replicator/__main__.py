"""The entry point: `python -m replicator` and the command `replicator`."""

from __future__ import annotations

import gc
import sys


def run() -> None:
    """Run the command line and exit with its code."""
    gc.disable()  # a build makes trees, not cycles, and ends soon
    from replicator.cli import main

    code = main()
    gc.freeze()  # nothing is worth collecting on the way out
    sys.exit(code)


if __name__ == "__main__":
    run()
