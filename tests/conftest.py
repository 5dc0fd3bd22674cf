"""The option --update-golden, and the output of the examples."""

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("project", parent=settings.default, deadline=None)  # no test is about time
settings.load_profile("project")

ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="Write the golden files instead of comparing them.")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--update-golden") and os.environ.get("CI"):
        pytest.exit("--update-golden: CI is set, and there golden files are compared, never written", returncode=2)


@pytest.fixture(scope="session")
def update_golden(pytestconfig: pytest.Config) -> bool:
    """Whether golden files are to be written."""
    return bool(pytestconfig.getoption("--update-golden"))


@pytest.fixture(scope="session")
def unprivileged(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """What stands before a command so that it may read only what it has been given the right to: root may read all."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("there is no setpriv")
    prefix = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all", "--")
    closed = tmp_path_factory.mktemp("closed") / "file"
    closed.touch(0)
    if subprocess.run([*prefix, "cat", str(closed)], capture_output=True, check=False).returncode == 0:
        pytest.skip("root's rights cannot be taken away here")
    return prefix


@pytest.fixture(scope="session")
def build() -> Callable[[Path], str]:
    """What `replicator build FILE` prints for a file of the repository. It exits with 0, and says but notes."""

    @functools.cache
    def output(file: Path) -> str:
        command = [sys.executable, "-m", "replicator", "build", file.relative_to(ROOT).as_posix()]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        if done.returncode or re.search(rb"^(?!note)\w+\[", done.stderr, re.MULTILINE):
            pytest.fail(f"{file.name}: exit code {done.returncode}\n{done.stderr.decode()}", pytrace=False)
        return done.stdout.decode()

    return output
