"""What a request must be like: the `match` of routes to conditions."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from replicator import names
from replicator.diagnostics import Place
from replicator.expander.islands import SetPlan
from replicator.model import Match, ValueTest
from replicator.routing.rules import Condition, Test
from replicator.routing.texts import Texts, is_header
from replicator.sources import Ruled, reads
from replicator.tree import Hole, Text
from replicator.yaml_text import SAFE

Use = Callable[[str, Place], None]

_METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"])
_by_name = attrgetter("name")


def condition(match: Match, texts: Texts, use: Use) -> Condition:
    """The condition of one entry of `match`; `use` is told of what not every provider can do."""
    op: Any = "prefix"
    path: Text = ("/",)
    if match.path is not None:
        op, scalar = match.path
        path = texts.regex(scalar) if op == "regex" else texts.path(scalar, op)
        if op == "regex":
            use("path.regex", scalar.place)
    headers = tuple(_test(test, "header", texts, use) for test in match.headers)
    for number, one in enumerate(headers):
        if any(one.name == other.name for other in headers[:number]):
            message = f"the header `{one.name}` is written twice: names are the same in upper and lower case"
            texts.say("R0706", message, match.headers[number].place)
    query = tuple(_test(test, "query parameter", texts, use) for test in match.query)
    if not _METHODS.issuperset(match.methods):
        use("method.other", match.place)
    return Condition(op, path, tuple(sorted(headers, key=_by_name)), tuple(sorted(query, key=_by_name)), match.methods)


def _test(test: ValueTest, what: str, texts: Texts, use: Use) -> Test:
    name = test.name.lower() if what == "header" else test.name
    if what == "header" and not is_header(name):
        texts.say("R0706", f"`{test.name}` is no header's name", test.place)
    if what != "header" and test.op == "absent":
        texts.say("R0708", "no proxy can match on a query parameter that is absent", test.place)
    elif test.op != "exact":
        use(f"{'header' if what == 'header' else 'query'}.{test.op}", test.place)
    value: Text = ()
    if not name:
        texts.say("R0706", "a query parameter without a name", test.place)
    if test.value is not None:
        value = texts.regex(test.value) if test.op == "regex" else texts.text(test.value)
        if test.op == "regex" and not value:
            value = ("^$",)  # an empty text would test presence
        if len(value) == 1 and isinstance(value[0], Hole) and value[0].kind not in SAFE:
            value = (Hole(value[0].kind, Ruled(value, names.NOT_EMPTY)),)
    return Test(name, test.op, value)


def tells_apart(one: Condition, each: SetPlan) -> bool:
    """Whether a condition names the island: by its full name, or by its key and what it is inside of."""
    return any(names_island(value, each) for value in (one.path, *(test.value for test in (*one.headers, *one.query))))


def names_island(value: Text, each: SetPlan) -> bool:
    """Whether a text differs for any two islands of a Set."""
    return _named(reads(value), each)


def _named(atoms: frozenset[tuple[str, ...]], each: SetPlan) -> bool:
    if ("island", "name") in atoms:
        return True
    keyed = bool(atoms & {("island", "key"), ("island", "ordinal")})
    if each.above is None:
        return keyed
    around = {("island", "set"), ("parent", "name")}
    if each.above.above is None:
        around |= {("parent", "key"), ("parent", "ordinal")}
    return keyed and bool(atoms & around)
