"""What single stages cost, in this process: reading, checking and proving, which no whole process shows by itself."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import workload

from replicator import check, identity, links, pipeline, proofs
from replicator.parser import decode, schema, source
from replicator.pipeline import Source, build
from replicator.routing import analysis

READING = ((source, "load"),)
CHECKING = ((schema, "judge"), (decode, "decode"), (check, "check"))
PROVING = ((links, "resolve"), (pipeline, "bind"), (identity, "clashes"), (proofs, "shared_values"))
ANALYSING = tuple((analysis, name) for name in ("unreachable", "overlapping", "unique_hosts"))
MANY = 10_000


def lines(rounds: int) -> list[str]:
    """The stages' costs against their budgets, a line each. Ratios are taken within a round; medians are told."""
    gc.disable()  # as the command does
    keyed = workload.by_keys_with_parameters(MANY)
    megabytes = len(keyed.encode()) / 1e6
    texts = {
        "keyed": keyed,
        "one": workload.by_count(1),
        "many": workload.by_count(MANY),
        "one shape": workload.by_shapes(MANY, 1),
        "three shapes": workload.by_shapes(MANY, 3),
        "two ways": workload.by_two_ways(MANY),
    }
    taken: dict[str, list[float]] = {"reading": [], "checking": [], "proving": [], "shapes": [], "analysing": []}
    for _ in range(rounds + 1):  # the first fills caches
        taken["reading"].append(_stages(texts["keyed"], READING) / megabytes)
        taken["checking"].append(_stages(texts["keyed"], CHECKING) / megabytes)
        taken["proving"].append(_stages(texts["many"], PROVING) / _stages(texts["one"], PROVING))
        taken["analysing"].append(_stages(texts["two ways"], ANALYSING) / _whole(texts["two ways"]))
        taken["shapes"].append(_whole(texts["three shapes"]) / _whole(texts["one shape"]))
    medians = {name: statistics.median(values[1:]) for name, values in taken.items()}
    return [
        _judged("reading a MB of keys", medians["reading"], 0.2, " s"),
        _judged("checking a MB of keys", medians["checking"], 0.05, " s"),
        _judged(f"proving {MANY:,} islands over proving one", medians["proving"], 1.2, ""),
        _judged(f"analysing two routes of {MANY:,} islands over building them", medians["analysing"], 0.05, ""),
        _judged(f"building {MANY:,} islands of three shapes over those of one", medians["shapes"], 1.3, ""),
    ]


def _judged(what: str, value: float, limit: float, unit: str) -> str:
    return f"budget {what}, {limit:g}{unit} or less: {value:.3g}{unit}: {'met' if value <= limit else 'not met'}"


def _whole(text: str) -> float:
    gc.collect()
    start = time.perf_counter()
    built = build([Source("dsl.yaml", text.encode())])
    assert not built.diagnostics
    for _ in built.texts():
        pass
    return time.perf_counter() - start


def _stages(text: str, stages: tuple[tuple[ModuleType, str], ...]) -> float:
    """The seconds that a build spends in some functions."""
    gc.collect()
    spent = [0.0]
    with _watched(stages, spent):
        assert not build([Source("dsl.yaml", text.encode())]).diagnostics
    return spent[0]


@contextmanager
def _watched(stages: tuple[tuple[ModuleType, str], ...], spent: list[float]) -> Iterator[None]:
    """While it lasts, the functions add their time to `spent`; what they make lazily is made at once."""
    originals = [(module, name, getattr(module, name)) for module, name in stages]

    def watch(function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments)
            result = list(result) if isinstance(result, Iterator) else result
            spent[0] += time.perf_counter() - start
            return result

        return watched

    try:
        for module, name, function in originals:
            setattr(module, name, watch(function))
        yield
    finally:
        for module, name, function in originals:
            setattr(module, name, function)
