"""Results of tests as JUnit XML, which CI systems read: a suite for each Routing.

The elements and attributes are those of https://github.com/testmoapp/junitxml: `file` and `line` say where a test is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from replicator.report import printable
from replicator.routing.trials import Result, details


def as_xml(results: Sequence[Result]) -> str:
    """The document."""
    suites: dict[str, list[Result]] = {}
    for result in results:
        suites.setdefault(result.routing, []).append(result)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines.append(f'<testsuites name="replicator" {_counts(results)}>')
    for name, inside in suites.items():
        lines.append(f"  <testsuite name={_quoted(name)} {_counts(inside)}>")
        lines += [line for result in inside for line in _case(result)]
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])


def _counts(results: Sequence[Result]) -> str:
    failures = sum(bool(result.missed) for result in results)
    return f'tests="{len(results)}" failures="{failures}" errors="0" skipped="0"'


def _case(result: Result) -> Iterator[str]:
    place = result.case.place
    at = f'file={_quoted(place.file)} line="{place.line}"'
    head = f"    <testcase name={_quoted(result.name)} classname={_quoted(result.routing)} {at}"
    if not result.missed:
        yield f"{head}/>"
        return
    yield f"{head}>"
    message = _quoted("expected " + "; ".join(result.missed))
    text = "\n".join(printable(line) for line in details(result).split("\n"))
    yield f'      <failure type="expectation" message={message}>{escape(text)}</failure>'
    yield "    </testcase>"


def _quoted(text: str) -> str:
    """An attribute's value with its quotes; what XML cannot hold is shown as one mark."""
    return quoteattr(printable(text))
