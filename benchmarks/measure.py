"""Commands as whole processes: measured by one_run.py, or run for their output."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ONE_RUN = (sys.executable, "-I", "-S", str(Path(__file__).with_name("one_run.py")))


class FailedError(Exception):
    """A command could not be started, or ended with an error."""


@dataclass(frozen=True)
class Sample:
    """What one run took."""

    seconds: float
    peak_mb: float
    written: int


def run_once(command: Sequence[str], environment: Mapping[str, str]) -> Sample:
    """Measure one run of a command; a failure raises its last words."""
    done = _run([*ONE_RUN, *command], environment)
    if done.returncode:
        raise FailedError(_last_words(command, done.returncode, done.stderr))
    seconds, peak, written, code = done.stdout.split()
    if int(code):
        raise FailedError(_last_words(command, int(code), done.stderr))
    return Sample(float(seconds), int(peak) / 1e6, int(written))


def output_of(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """The text that a command writes, for small outputs that are looked at and not measured."""
    done = _run(command, environment)
    if done.returncode:
        raise FailedError(_last_words(command, done.returncode, done.stderr))
    return done.stdout


def _run(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            env=environment,
            check=False,
        )
    except OSError as error:
        raise FailedError(f"{command[0]}: {error.strerror}") from error


def _last_words(command: Sequence[str], code: int, errors: str) -> str:
    tail = "\n".join(errors.strip().splitlines()[-8:])
    return f"{' '.join(command)}: exit code {code}\n{tail}"
