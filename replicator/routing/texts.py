"""Texts of a Routing: what is the same for all islands is put in, what differs stays a hole."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from replicator import names
from replicator.diagnostics import Diagnostic, Place, Related
from replicator.expression.template import Expr, Path, parse
from replicator.expression.values import Failure, text_of
from replicator.parser.patterns import re2_problem
from replicator.parser.source import Scalar
from replicator.scope import ISLAND
from replicator.sources import Atom, Computed, Ruled, Within
from replicator.tree import Hole, Source, Text, text
from replicator.yaml_text import SAFE

_HOST = re.compile(rf"(?:\*|(?:\*\.)?{names.SUBDOMAIN.pattern})(?::[0-9]{{1,5}})?")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 `token`


def sample(content: Text, filler: str) -> str:
    """A text with something in the place of its holes."""
    return "".join(part if isinstance(part, str) else filler for part in content)


def is_host(host: str) -> bool:
    """Whether a text is a host of a virtual host: a name, `*.name` or `*`, perhaps with a port."""
    port = host.rpartition(":")[2] if ":" in host else "1"
    return _HOST.fullmatch(host) is not None and len(host) <= names.MAX_SUBDOMAIN and 0 < int(port) < 65536


def is_header(name: str) -> bool:
    """Whether a text is the name of a header."""
    return _HEADER.fullmatch(name) is not None


class Texts:
    """The texts of one Routing. What is wrong with them is in `found`; `places` says where holes come from."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params
        self.found: list[Diagnostic] = []
        self.places: dict[Source, Place] = {}

    def say(self, code: str, message: str, place: Place, hint: str = "", *related: Related) -> None:
        self.found.append(Diagnostic(code, message, place, hint=hint, related=related))

    def static(self, scalar: Scalar) -> str:
        """A text that does not depend on an island."""
        bound = self.text(scalar)
        if any(isinstance(part, Hole) for part in bound):
            message = "this cannot differ between islands"
            self.say("R0708", message, scalar.place, "without `to`, an each-route goes to its own island")
        return "".join(part for part in bound if isinstance(part, str))

    def text(self, scalar: Scalar) -> Text:
        """A text over `params`, whose values are known, and over `island`, which stays a hole."""
        if "{{" not in scalar.text:
            return text(scalar.text)
        parts: list[str | Hole] = []
        for part in parse(scalar.text).parts:
            try:
                bound = part if isinstance(part, str) else self._expression(part)
                parts.append(bound)
                if isinstance(bound, Hole):
                    ruled = (Ruled((bound,), rule) for rule in (names.HEADER_PART, names.NOT_EMPTY))
                    self.places.update(dict.fromkeys((bound.source, *ruled), scalar.place))
            except Failure as failure:
                self.found.append(failure.at(scalar.place))
        return text(*parts)

    def _expression(self, expression: Expr) -> str | Hole:
        depends = frozenset(path[:2] for path in expression.reads if path[0] in ("island", "parent"))
        if not depends:
            return text_of(self.evaluate(expression, None))
        if expression.path:
            return Hole(ISLAND.get(expression.path[1], "text"), Atom(expression.path))
        return Hole("text", Computed(expression, depends, self))

    def evaluate(self, expression: Expr, scope: Any) -> Any:
        """An expression's value; `scope` is the island, or None where there is none. Raises `Failure`."""

        def value_of(path: Path) -> Any:
            if path[0] in ("island", "parent"):
                return scope.value(path)
            value: Any = self.params
            for step in path[1:]:
                if not isinstance(value, Mapping):
                    raise KeyError(step)
                value = value[step]
            return value

        if expression.path:
            try:
                return value_of(expression.path)
            except KeyError:
                raise Failure(f"`{expression.text}` has no value") from None
        assert expression.program is not None
        return expression.program.run(value_of, lambda call: None)

    def ruled(self, content: Text, rule: names.Rule, place: Place) -> Text:
        """A text that must be as a rule says, for every island."""
        if all(isinstance(part, str) for part in content):
            if problem := rule.problem("".join(part for part in content if isinstance(part, str))):
                self.say(rule.code, problem, place, rule.hint)
            return content
        whole = Hole("text", Ruled(content, rule))
        self.places[whole.source] = place
        return (whole,)

    def regex(self, scalar: Scalar) -> Text:
        """A regular expression of RE2."""
        value = self.text(scalar)
        if problem := re2_problem(sample(value, "x")):
            self.say("R0706", problem, scalar.place)
        return value

    def path(self, scalar: Scalar, op: str) -> Text:
        """A path as proxies take it: Gloo refuses what is not normal, and other proxies normalise before they match."""
        value = self.text(scalar)
        shown = sample(value, "0")
        rule = names.PATH
        if op == "prefix":
            rule, last = names.PATH_PREFIX, value[-1] if value else ""
            if isinstance(last, str) and last.endswith("/") and shown != "/":
                value = text(*value[:-1], last[:-1])
        if problem := names.PATH.problem(shown):
            self.say(rule.code, problem, scalar.place, rule.hint)
        return tuple(self._within(part, value, rule, scalar.place) for part in value)

    def _within(self, part: str | Hole, content: Text, rule: names.Rule, place: Place) -> str | Hole:
        """A part of a path. Keys and names of islands make no path wrong that is right with another in their place."""
        if isinstance(part, str) or part.kind in SAFE:
            return part
        source = Within(part, content, rule)
        self.places[source] = place
        return Hole(part.kind, source)

    def header(self, scalar: Scalar) -> Text:
        """A value that a header is given."""
        value = self.text(scalar)
        for part in value:
            if isinstance(part, str) and (problem := names.HEADER_PART.problem(part.replace("%", ""))):
                self.say("R0706", problem, scalar.place, names.HEADER_PART.hint)
        return tuple(
            part if isinstance(part, str) or part.kind in SAFE else Hole(part.kind, Ruled((part,), names.HEADER_PART))
            for part in value
        )

    def host(self, scalar: Scalar) -> Text:
        """A host that a request is given: no wildcard."""
        value = self.text(scalar)
        shown = sample(value, "x")
        if shown.startswith("*") or not is_host(shown):
            self.say("R0706", f"`{shown}` is no host", scalar.place, "web.example.com")
        return value
