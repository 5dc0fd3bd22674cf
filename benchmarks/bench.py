"""What is measured, and the files that the measured commands need."""

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import parts
import report
import rivals
import workload
from measure import FailedError, Sample, output_of, run_once

HERE = Path(__file__).parent
CHECKED = 3  # the number of islands at which the rivals' outputs are compared with replicator's


@dataclass(frozen=True)
class Case:
    """One command at one number of islands."""

    name: str
    count: int
    command: tuple[str, ...]
    rounds: int


class Bench:
    """The files and commands of one benchmark run, in a directory of its own."""

    def __init__(self, directory: Path, replicator: Sequence[str]) -> None:
        """Write nothing yet."""
        self.directory = directory
        self.replicator = [*replicator, "build"]
        self.helm_command: str | None = None
        self.environment = _environment(directory)
        self.results = report.Results()

    def dsl(self, name: str, count: int) -> Path:
        """The DSL file of a case, written when first asked for."""
        path = self.directory / f"{name}-{count}.dsl.yaml"
        if not path.exists():
            write = workload.by_keys_with_parameters if name == report.KEYED else workload.by_count
            path.write_text(write(count))
            self.results.dsl_sizes[name, count] = path.stat().st_size
        return path

    def helm_version(self) -> str:
        """What helm says of itself, which also shows that it runs here."""
        if self.helm_command is None:
            raise FailedError("it is neither on PATH nor in $HELM, and --fetch-helm was never used")
        return output_of([self.helm_command, "version", "--short"], self.environment).strip()

    def write_rivals(self) -> None:
        """Build for one key and for two, and write the rivals' templates from what the second key added."""
        outputs = []
        for keys in (parts.KEYS[:1], parts.KEYS):
            path = self.directory / f"rivals-{len(keys)}.dsl.yaml"
            path.write_text(workload.by_keys(keys))
            outputs.append(output_of([*self.replicator, str(path)], self.environment))
        taken_apart = parts.take_apart(*outputs)
        repeated = "".join(part.text for part in taken_apart if part.repeated)
        print(f"An island and its route are {repeated.count('---')} documents and {len(repeated) / 1e3:.2f} kB.")
        (self.directory / "template.jinja").write_text(rivals.jinja_template(taken_apart))
        rivals.write_chart(self.directory / "chart", taken_apart)

    def command(self, name: str, count: int) -> tuple[str, ...]:
        """The command line of a case, with its files in place."""
        if name == report.JINJA:
            template = str(self.directory / "template.jinja")
            return (sys.executable, str(HERE / "jinja_loop.py"), template, str(count))
        if name == report.HELM:
            assert self.helm_command is not None
            chart = str(self.directory / "chart")
            return (self.helm_command, "template", "shop", chart, "--set", f"count={count}")
        if name == report.CAT:
            return ("cat", str(self.stored_output(count)))
        return (*self.replicator, str(self.dsl(name, count)))

    def stored_output(self, count: int) -> Path:
        """What replicator writes for a number of islands, in a file."""
        path = self.directory / f"output-{count}.yaml"
        if not path.exists():
            build = shlex.join(self.command(report.REPLICATOR, count))
            output_of(["sh", "-c", f"{build} > {shlex.quote(str(path))}"], self.environment)
        return path

    def compare(self, name: str) -> str:
        """Whether a rival writes the same documents, digests apart."""
        texts = [output_of(self.command(which, CHECKED), self.environment) for which in (report.REPLICATOR, name)]
        ours, theirs = (parts.documents(text) for text in texts)
        return "the same documents" if ours == theirs else "OTHER DOCUMENTS: its row is not comparable"

    def measure(self, cases: Sequence[Case]) -> None:
        """Run every case once unmeasured, then in rounds, each round beginning with another case."""
        failed: set[Case] = set()

        def run(case: Case) -> Sample | None:
            if case in failed:
                return None
            try:
                return run_once(case.command, self.environment)
            except FailedError as error:
                failed.add(case)
                print(f"{report.NAMES[case.name]} failed at N = {case.count:,}: {error}", file=sys.stderr)
                return None

        for case in cases:
            run(case)
        for round_number in range(max(case.rounds for case in cases)):
            first = round_number % len(cases)
            for case in [*cases[first:], *cases[:first]]:
                if round_number < case.rounds and (sample := run(case)):
                    self.results.samples.setdefault((case.name, case.count), []).append(sample)


def _environment(directory: Path) -> dict[str, str]:
    """The caller's, but compiled modules are kept between runs and helm's files go to the directory."""
    ours = {f"HELM_{kind}_HOME": str(directory / "helm" / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
    ours["PYTHONPYCACHEPREFIX"] = str(directory / "pycache")
    dropped = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
    return {name: value for name, value in os.environ.items() if name not in dropped} | ours
