"""The schemas that Types and Routings give their parameters: a closed subset of JSON Schema, checked and compiled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from replicator.diagnostics import Diagnostic, Place, nearest
from replicator.model import Param
from replicator.parser import schema
from replicator.parser.patterns import pattern_problem
from replicator.parser.source import Mapping, Node

_NUMBERS = frozenset(["minimum", "maximum"])
_BELONGS: dict[str, frozenset[str]] = {
    "string": frozenset(["pattern", "minLength", "maxLength"]),
    "integer": _NUMBERS,
    "number": _NUMBERS,
    "boolean": frozenset(),
    "array": frozenset(["items", "minItems", "maxItems", "uniqueItems"]),
    "object": frozenset(["properties", "required", "additionalProperties"]),
}
_COMMON = frozenset(["type", "description", "default", "enum"])
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_parameter(name: str, node: Mapping, place: Place) -> tuple[Param, list[Diagnostic]]:
    """The parameter that a schema declares. With diagnostics, it accepts any value, and only its type is known."""
    found = list(_judge(node))
    if not NAME.fullmatch(name) and "{{" not in name:
        message = f"`{name}` cannot be read in an expression"
        hint = "letters, digits and _, not beginning with a digit"
        found.append(Diagnostic("R0309", message, place, hint=hint))
    data = {keyword: value for keyword, value in node.data.items() if keyword != "default"}
    fits: schema.Check = _anything
    default = node.items.get("default")
    if not found:
        try:
            fits = schema.compile_check(data)
            if default is not None and not fits(default.data):
                found += [_misfit(name, default, data)]
        except (TypeError, ValueError, AttributeError, re.error):  # at the top: found by the DSL's schema
            fits = _anything
    if found:  # nobody is to ask more of a schema that is not right
        data = {"type": data.get("type")}
    return Param(name, data, fits, default, node, place), found


def _anything(value: Any) -> bool:
    return True


def _misfit(name: str, default: Node, data: dict[str, Any]) -> Diagnostic:
    from replicator.parser.slips import explain_value, spelt

    steps, message = (explain_value(default.data, data) or [((), "it does not fit")])[0]
    message = f"the default of `{name}{spelt(steps)}` does not fit its schema: {message}"
    hint = (
        "without quotes" if "expected an integer, found the text" in message and str(default.data).isdecimal() else ""
    )
    return Diagnostic("R0504", message, default.place, hint=hint)


def _judge(node: Mapping) -> Iterator[Diagnostic]:
    """What is wrong with a parameter's schema, at any depth, beyond what its own JSON Schema says."""
    of_type = node.data.get("type")
    if not isinstance(of_type, str) or of_type not in _BELONGS:
        where = node.items.get("type", node)
        yield Diagnostic("R0309", "a parameter's schema needs a type", where.place, hint="types: " + " ".join(_BELONGS))
        return
    known = _COMMON | _BELONGS[of_type]
    for keyword in node.items:
        if keyword not in known:
            message = f"`{keyword}` says nothing about a parameter of type {of_type}"
            yield Diagnostic("R0309", message, node.key_place(keyword), hint=nearest(keyword, known))
    pattern = node.items.get("pattern")
    if pattern is not None and isinstance(pattern.data, str) and (problem := pattern_problem(pattern.data)):
        yield Diagnostic("R0309", problem, pattern.place)
    children = [node.items.get("items"), node.items.get("additionalProperties")]
    properties = node.items.get("properties")
    if isinstance(properties, Mapping):
        children += properties.items.values()
    for child in children:
        if isinstance(child, Mapping):
            yield from _keywords(child)
            yield from _judge(child)
        elif child is not None and not isinstance(child.data, bool):
            yield Diagnostic("R0309", "a schema is a map with a type", child.place)


def _keywords(node: Mapping) -> Iterator[Diagnostic]:
    """The keywords of an inner schema that have no value of theirs. The DSL's schema, which may not be recursive,
    judges the outermost only.
    """
    of_keyword = schema.find("definitions.json", "#/$defs/paramSchema")["properties"]
    for keyword, value in node.items.items():
        if keyword in ("type", "items", "additionalProperties"):  # judged with what is inside
            continue
        if keyword in of_keyword and not schema.compile_check(of_keyword[keyword])(value.data):
            from replicator.parser.slips import explain_value, spelt

            steps, message = (explain_value(value.data, of_keyword[keyword]) or [((), "it does not fit")])[0]
            yield Diagnostic("R0309", f"`{keyword}{spelt(steps)}` of a schema: {message}", value.place)
