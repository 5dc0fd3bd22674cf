"""The tests of Routings: their requests are simulated, and the answers are compared with what is expected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from replicator.routing import requests
from replicator.routing.answers import Answer, Destination, outcome, steps, where
from replicator.routing.requests import Request
from replicator.routing.rules import Case, Table
from replicator.routing.simulator import Simulator, gateway_of
from replicator.sources import assemble


class Result(NamedTuple):
    """A test that was run. `missed` says what was expected and is not so; of one that passes, nothing."""

    routing: str
    case: Case
    answer: Answer
    missed: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name, or what it asks for."""
        return self.case.name or f"{self.case.request['method']} {self.case.request['path']}"


def run(tables: Sequence[Table]) -> list[Result]:
    """The tests of all Routings, in their order; a request may come to another Routing of the same gateway."""
    simulator = Simulator(tables)
    results = []
    for table in tables:
        for case in table.tests:
            request = _request(case, table)
            answer = simulator.answer(request, gateway_of(table), why=False)
            missed = tuple(_missed(case, answer, table))
            if missed:
                answer = simulator.answer(request, gateway_of(table))
            results.append(Result(f"{table.namespace}/{table.name}", case, answer, missed))
    return results


def _request(case: Case, table: Table) -> Request:
    given = case.request
    host = given["host"] if "host" in given else assemble(table.hosts[0], None).replace("*", "any", 1)
    scheme = given.get("scheme", "https" if table.tls is not None else "http")
    return requests.request(given["method"], scheme, host, given["path"], given["headers"].items())


def _missed(case: Case, answer: Answer, table: Table) -> Iterator[str]:
    """What a test expects, and what there is instead."""
    expected = case.expect
    for field in ("island", "service", "host", "function"):
        if field in expected:
            wanted = str(expected[field])
            if field == "service" and "/" not in wanted:
                wanted = f"{table.namespace}/{wanted}"
            found = {_called(share, field, wanted) for share in answer.shares}
            if found != {wanted}:
                yield f"{field} {wanted}, got {_got(answer)}"
    if "spread" in expected:
        yield from _unlike_spread(str(expected["spread"]), answer, table)
    if "route" in expected and answer.route != expected["route"]:
        yield f"route {expected['route']}, got {_route(answer)}"
    if "path" in expected and answer.path != expected["path"]:
        yield f"path {expected['path']}, got {answer.path or _got(answer)}"
    if "status" in expected and answer.status != expected["status"]:
        yield f"status {expected['status']}, got {answer.status or _got(answer)}"
    if "redirect" in expected and answer.location != expected["redirect"]:
        yield f"redirect {expected['redirect']}, got {answer.location or _got(answer)}"


def _called(share: Destination, field: str, wanted: str) -> str:
    """The name of a destination, as a test may call it."""
    if field == "function":
        bare = share.function.partition(":")[0] if share.vendor == "aws" else share.function.rpartition("/")[2]
        return bare if wanted == bare else share.function
    return str(getattr(share, field))


def _unlike_spread(wanted: str, answer: Answer, table: Table) -> Iterator[str]:
    islands = {share.island for share in answer.shares}
    others = sorted({share.island or share.shown for share in answer.shares if share.set != wanted})
    if others or not islands:
        yield f"spread {wanted}, got {_got(answer)}"
        return
    every = [one.path for one in table.islands.get(wanted, ()) if one.state == "active" and one.weight]
    if left := [path for path in every if path not in islands] if every else ["its other islands"]:
        more = f" and {len(left) - 3:,} more" if len(left) > 3 else ""
        yield f"spread {wanted}, got {_got(answer)}: not {', '.join(left[:3])}{more}"


def _route(answer: Answer) -> str:
    if answer.at is None:
        return next(outcome(answer))
    return f"{answer.route or 'a route without a name'} ({where(answer.at)})"


def _got(answer: Answer) -> str:
    """What happens, in a few words."""
    if answer.kind != "forward":
        return next(outcome(answer))
    shown = [share.shown for share in answer.shares]
    return " or ".join(shown[:3]) + (f" or {len(shown) - 3:,} more" if len(shown) > 3 else "")


# The report


def as_text(results: Iterable[Result], verbose: bool) -> str:
    """What failed and why, and a line that counts; with `verbose` what passed too."""
    lines: list[str] = []
    passed = failed = 0
    for result in results:
        if result.missed:
            failed += 1
            lines += [f"FAIL {where(result.case.place)} {result.routing}: {result.name}", *_details(result)]
        else:
            passed += 1
            lines += [f"ok   {where(result.case.place)} {result.routing}: {result.name}"] if verbose else []
    if not passed and not failed:
        return "no tests: spec.tests of a Routing holds requests and the answers that they must get\n"
    counted = [f"{number:,} {word}" for number, word in ((failed, "failed"), (passed, "passed")) if number]
    return "\n".join([*lines, ", ".join(counted), ""])


def details(result: Result) -> str:
    """Why a test failed."""
    return "\n".join(line.removeprefix("  ") for line in _details(result))


def _details(result: Result) -> Iterator[str]:
    answer = result.answer
    yield f"  {answer.request.method} {answer.request.url}"
    for name, values in answer.request.headers.items():
        yield from (f"    {name}: {value}" for value in values)
    yield from (f"  expected {one}" for one in result.missed)
    yield from (f"  {line}" for line in steps(answer))
    yield from (f"  note: {note}" for note in answer.notes)
