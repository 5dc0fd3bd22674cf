"""The results as Markdown: times, memory, ratios of the same run, and how they stand to the budgets."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from measure import Sample

REPLICATOR = "replicator"
KEYED = "keyed"
JINJA = "jinja"
CAT = "cat"
HELM = "helm"
KEYED_BYTES = 100_000  # below this the cost per MB is noise
NAMES = {
    REPLICATOR: "replicator build",
    KEYED: "replicator build, keyed",
    JINJA: "Jinja2 loop",
    CAT: "cat",
    HELM: "helm template",
}


@dataclass
class Results:
    """Samples by command and number of islands, in order of rounds, and the DSL files' sizes in bytes."""

    samples: dict[tuple[str, int], list[Sample]] = field(default_factory=dict)
    dsl_sizes: dict[tuple[str, int], int] = field(default_factory=dict)

    def seconds(self, name: str, count: int) -> float | None:
        """The median wall time."""
        samples = self.samples.get((name, count))
        return statistics.median(sample.seconds for sample in samples) if samples else None

    def peak_mb(self, name: str, count: int) -> float | None:
        """The median of the peak memory."""
        samples = self.samples.get((name, count))
        return statistics.median(sample.peak_mb for sample in samples) if samples else None

    def ratio(self, above: tuple[str, int], below: tuple[str, int]) -> float | None:
        """The median over the rounds of the two times' ratio within the round."""
        pairs = zip(self.samples.get(above, ()), self.samples.get(below, ()), strict=False)
        ratios = [upper.seconds / lower.seconds for upper, lower in pairs]
        return statistics.median(ratios) if ratios else None

    def keyed_cost(self, count: int) -> float | None:
        """Seconds per MB of DSL that the keyed Set takes above the Set by number, within the round."""
        pairs = zip(self.samples.get((KEYED, count), ()), self.samples.get((REPLICATOR, count), ()), strict=False)
        extra = [keyed.seconds - counted.seconds for keyed, counted in pairs]
        size = self.dsl_sizes.get((KEYED, count), 0) - self.dsl_sizes.get((REPLICATOR, count), 0)
        return statistics.median(extra) / (size / 1e6) if extra and size >= KEYED_BYTES else None


def measured_table(results: Results, counts: Sequence[int]) -> str:
    """Seconds, peak memory and output of every command."""
    rows = [["", *(f"N = {count:,}" for count in counts)]]
    for name, title in NAMES.items():
        if any((name, count) in results.samples for count in counts):
            rows.append([title, *(_measured(results, name, count) for count in counts)])
    return _markdown(rows)


def ratio_table(results: Results, counts: Sequence[int]) -> str:
    """Replicator's time over each rival's."""
    rows = [["", *(f"N = {count:,}" for count in counts)]]
    for name in (HELM, JINJA, CAT):
        ratios = [results.ratio((REPLICATOR, count), (name, count)) for count in counts]
        if any(ratio is not None for ratio in ratios):
            rows.append([f"replicator / {NAMES[name]}", *(_number(ratio, "{:.3g}") for ratio in ratios)])
    costs = [results.keyed_cost(count) for count in counts]
    if any(cost is not None for cost in costs):
        rows.append(["keyed above by number, s per MB of DSL", *(_number(cost, "{:.2f}") for cost in costs)])
    return _markdown(rows) if len(rows) > 1 else ""


def growth_lines(results: Results, counts: Sequence[int]) -> list[str]:
    """How the time grows from each number of islands to the next, and over the whole range."""
    steps = list(zip(counts[1:], counts, strict=False))
    if len(counts) > 2:
        steps += [(count, counts[0]) for count in counts[2:]]
    lines = []
    for more, fewer in sorted(steps):
        ratio = results.ratio((REPLICATOR, more), (REPLICATOR, fewer))
        if ratio is not None:
            lines.append(f"growth {more:,} over {fewer:,}: {ratio:.3g} times")
    return lines


def budget_lines(results: Results, counts: Sequence[int]) -> list[str]:
    """One line per budget that this run can speak to."""
    lines = []

    def judge(what: str, value: float | None, limit: float, unit: str, at_least: bool = False) -> None:
        if value is None:
            return
        met = value >= limit if at_least else value <= limit
        bound = "or more" if at_least else "or less"
        verdict = "met" if met else "not met"
        lines.append(f"budget {what}, {limit:g}{unit} {bound}: {value:.3g}{unit}: {verdict}")

    helm = results.ratio((HELM, 10_000), (REPLICATOR, 10_000))
    judge("N = 10,000, helm's time over replicator's", helm, 25, "", at_least=True)
    judge("N = 10,000, time over cat's", results.ratio((REPLICATOR, 10_000), (CAT, 10_000)), 8, "")
    for count in counts:
        judge(
            f"N = {count:,}, time over the Jinja2 loop's",
            results.ratio((REPLICATOR, count), (JINJA, count)),
            1,
            "",
        )
    judge("N = 1, time over helm's", results.ratio((REPLICATOR, 1), (HELM, 1)), 1.5, "")
    judge("N = 10,000, peak memory", results.peak_mb(REPLICATOR, 10_000), 40, " MB")
    judge("N = 100,000, peak memory", results.peak_mb(REPLICATOR, 100_000), 80, " MB")
    growth = results.ratio((REPLICATOR, 100_000), (REPLICATOR, 10_000))
    judge("growth 100,000 over 10,000", growth, 10, "")
    return lines


def _measured(results: Results, name: str, count: int) -> str:
    samples = results.samples.get((name, count))
    if not samples:
        return "–"
    seconds, peak_mb = results.seconds(name, count), results.peak_mb(name, count)
    return f"{seconds:.3f} s, {peak_mb:.0f} MB, wrote {_size(samples[-1].written)}"


def _size(written: int) -> str:
    return f"{written / 1e6:.2f} MB" if written >= 1e6 else f"{written / 1e3:.1f} kB"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def _markdown(rows: list[list[str]]) -> str:
    header, *body = rows
    ruled = [header, ["---"] * len(header), *body]
    return "\n".join("| " + " | ".join(row) + " |" for row in ruled)
