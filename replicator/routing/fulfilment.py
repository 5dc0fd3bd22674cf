"""Whether a request fulfils a condition without holes, and if not, why: the algebra's other half."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from replicator.routing.algebra import under, value_of
from replicator.routing.regexes import matches
from replicator.routing.requests import Request
from replicator.routing.rules import Condition, Test


class Shortfall(NamedTuple):
    """What of a condition a request does not fulfil: what it would have to have, and what it has."""

    message: str
    wanted: str
    given: str


def fulfils(request: Request, condition: Condition) -> bool:
    """Whether a request fulfils a condition. Raises `NotSimulated`, where a regular expression decides."""
    return next(shortfalls(request, condition), None) is None


def shortfalls(request: Request, condition: Condition) -> Iterator[Shortfall]:
    """All that a request lacks. Regular expressions come last: they need not be asked where anything else decides.

    Raises `NotSimulated`.
    """
    path, wanted = request.path, value_of(condition.path)
    if condition.path_op == "prefix" and not under(path, wanted):
        yield Shortfall(f"the path {path} is not under {wanted}", wanted, path)
    elif condition.path_op == "exact" and path != wanted:
        yield Shortfall(f"the path {path} is not {wanted}", wanted, path)
    if condition.methods and request.method not in condition.methods:
        methods = " or ".join(condition.methods)
        yield Shortfall(f"the method {request.method} is not {methods}", methods, request.method)
    parameters = request.parameters if condition.query else {}
    late: list[tuple[str, Test, tuple[str, ...]]] = []
    for test in condition.headers:
        values = _header(request, test.name)
        if test.op == "regex" and values:
            late.append((f"the header {test.name}", test, values))
        else:
            yield from _compared(f"the header {test.name}", test, values)
    for test in condition.query:
        values = (parameters[test.name],) if test.name in parameters else ()
        if test.op == "regex" and values:
            late.append((f"the query parameter {test.name}", test, values))
        else:
            yield from _compared(f"the query parameter {test.name}", test, values)
    if condition.segment is not None:
        if not condition.segment.has(path):
            yield Shortfall(f"no key of its is segment {condition.segment.number} of the path {path}", wanted, path)
    elif condition.path_op == "regex" and not matches(wanted, path):
        yield Shortfall(f"the path {path} is not as {wanted} says", wanted, path)
    for what, test, values in late:
        pattern = value_of(test.value)
        if test.held is not None:
            if not any(map(test.held.has, values)):
                yield Shortfall(f"{what} is {_shown(values)}, which is none of its keys", pattern, values[0])
        elif not any(matches(pattern, value) for value in values):
            yield Shortfall(f"{what} is {_shown(values)}, not as `{pattern}` says", pattern, values[0])


def _header(request: Request, name: str) -> tuple[str, ...]:
    """The values of a header, with those that the proxy itself gives a request before it looks for a route."""
    if name == "host":
        return (request.host,)
    if name == "x-forwarded-proto" and name not in request.headers:
        return (request.scheme,)
    return request.headers.get(name, ())


def _compared(what: str, test: Test, values: tuple[str, ...]) -> Iterator[Shortfall]:
    """A test of presence or of an exact value. Of a header that comes several times any one may have it."""
    wanted = value_of(test.value)
    if test.op == "absent":
        if values:
            yield Shortfall(f"{what} is there", "", values[0])
    elif not values:
        yield Shortfall(f"{what} is not there", wanted, "")
    elif test.op == "exact" and wanted not in values:
        yield Shortfall(f"{what} is {_shown(values)}, not `{wanted}`", wanted, values[0])


def _shown(values: tuple[str, ...]) -> str:
    return " and ".join(f"`{value}`" for value in values)
