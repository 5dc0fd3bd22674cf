"""The schemas that Types and Routings give their parameters: a closed subset of JSON Schema, checked and compiled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from replicator.diagnostics import Diagnostic, Place, nearest
from replicator.model import Param
from replicator.parser import schema
from replicator.parser.source import Mapping, Node

MAX_PATTERN = 500  # characters

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
    """The parameter that a schema declares. With diagnostics, it accepts any value."""
    found = list(_judge(node))
    if not NAME.fullmatch(name):
        message = f"`{name}` cannot be read in an expression"
        hint = "letters, digits and _, not beginning with a digit"
        found.append(Diagnostic("R0309", message, place, hint=hint))
    data = {keyword: value for keyword, value in node.data.items() if keyword != "default"}
    fits: schema.Check = _anything if found else schema.compile_check(data)
    default = node.items.get("default")
    if default is not None and not fits(default.data):
        found += [_misfit(name, default, data)]
    return Param(name, data, fits, default, node, place), found


def _anything(value: Any) -> bool:
    return True


def _misfit(name: str, default: Node, data: dict[str, Any]) -> Diagnostic:
    from replicator.parser.slips import explain_value

    path, message = (explain_value(default.data, data) or [("", "it does not fit")])[0]
    return Diagnostic("R0504", f"the default of `{name}{path}` does not fit its schema: {message}", default.place)


def _judge(node: Mapping) -> Iterator[Diagnostic]:
    """What is wrong with a parameter's schema, at any depth, beyond what its own JSON Schema says."""
    of_type = node.data.get("type")
    if of_type not in _BELONGS:
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
            yield from _judge(child)
        elif child is not None and not isinstance(child.data, bool):
            yield Diagnostic("R0309", "a schema is a map with a type", child.place)


def pattern_problem(pattern: str) -> str:
    """Why a regular expression is not fit for use, or ''. Nested repetition is refused: it may take for ever."""
    if len(pattern) > MAX_PATTERN:
        return f"a pattern of more than {MAX_PATTERN} characters"
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"not a regular expression: {error}"
    # The standard library's own syntax tree: there is no public one.
    regex_parser: Any = import_module("re._parser")
    if _repeats(regex_parser.parse(pattern, compiled.flags), 0):
        return "a pattern with a repetition inside a repetition can take for ever"
    return ""


def _repeats(tree: Any, depth: int) -> bool:
    """Whether a long repetition stands inside another one whose rounds nothing tells apart."""
    for operator, argument in tree:
        inner = depth
        if str(operator) in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            _, most, body = argument
            inner = depth + (int(most) > 16 and not _is_delimited(body))
            if depth and int(most) > 16:
                return True
        if any(_repeats(child, inner) for child in _subtrees(argument)):
            return True
    return False


def _is_delimited(body: Any) -> bool:
    """Whether each round begins or ends with a character that the rest of it cannot hold: `(-[a-z]+)*`."""
    items = list(body)
    if len(items) == 1 and str(items[0][0]) == "SUBPATTERN":
        items = list(items[0][1][-1])
    if len(items) == 1:
        return str(items[0][0]) in (*_SETS, "ANY", "NOT_LITERAL")
    ends = ((items[0], items[1:]), (items[-1], items[:-1]))
    return any(str(end[0]) in _SETS and _characters([end]).isdisjoint(_characters(rest)) for end, rest in ends)


_SETS = ("LITERAL", "IN")
_ASCII = frozenset(range(128)) | {-1}  # -1: all the others
_CATEGORIES = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}


def _characters(items: Any) -> frozenset[int]:
    """The characters that a syntax tree can match, at most."""
    found: frozenset[int] = frozenset()
    for operator, argument in items:
        name = str(operator)
        if name == "LITERAL":
            found |= {argument if argument < 128 else -1}
        elif name == "RANGE":
            found |= {code if code < 128 else -1 for code in range(argument[0], min(argument[1], 128) + 1)}
        elif name == "IN":
            negated = str(argument[0][0]) == "NEGATE"
            inside = _characters(argument[1:] if negated else argument)
            found |= _ASCII - inside if negated else inside
        elif name == "CATEGORY" and not str(argument).startswith("CATEGORY_NOT_"):
            pattern = re.compile(_CATEGORIES[str(argument).removeprefix("CATEGORY_")])
            found |= {code for code in range(128) if pattern.match(chr(code))} | {-1}
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "SUBPATTERN"):
            found |= _characters(argument[-1])
        elif name != "AT":
            return _ASCII
    return found


def _subtrees(argument: Any) -> Iterator[Any]:
    """The syntax trees inside an operator's argument."""
    if hasattr(argument, "data") and hasattr(argument, "state"):
        yield argument
    elif isinstance(argument, (list, tuple)):
        for item in argument:
            yield from _subtrees(item)
