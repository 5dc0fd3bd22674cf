"""Where replicator's own time goes: one build in this process under cProfile."""

import cProfile
import importlib
import os
import pstats
import sys
from pathlib import Path


def show(dsl: Path, top: int = 25) -> None:
    """Build the file with its output thrown away, then print the functions of the most time of their own."""
    sys.argv = ["replicator", "build", str(dsl)]
    code = 0
    profiler = cProfile.Profile()
    terminal = os.dup(1)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        profiler.runcall(_build)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        os.dup2(terminal, 1)
        os.close(terminal)
    if code:
        sys.exit(f"replicator ended with exit code {code}")
    pstats.Stats(profiler).sort_stats("tottime").print_stats(top)


def _build() -> None:
    importlib.import_module("replicator.__main__").run()
