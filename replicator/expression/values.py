"""Values of expressions: their text in YAML's sense, their kinds, and the marker that drops a key."""

from __future__ import annotations

import json
from typing import Any, Literal

from replicator.diagnostics import Diagnostic, Place, Related

# What is known of a value before it is known: `label` is a DNS label, `name` a dash-joined name that starts with
# a letter and so is never a number or a word of YAML; `any` may be anything, a map or a list too.
Kind = Literal["label", "name", "int", "float", "bool", "text", "map", "list", "any"]

MAX_TEXT = 64 * 1024  # characters of a text that expressions make

OF_TYPE: dict[object, Kind] = {
    "string": "text",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
    "object": "map",
}
"""The kinds of the values of JSON Schema's types."""

STRUCTURAL: frozenset[Kind] = frozenset({"map", "list", "any"})


class _Omit:
    def __repr__(self) -> str:
        return "omit"


OMIT = _Omit()


class Failure(Exception):
    """An expression cannot be evaluated with these values; the message is for the author."""

    def __init__(self, message: str, hint: str = "", code: str = "R0405", *related: Related) -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code
        self.related = related

    def at(self, place: Place | None, *related: Related, island: str = "") -> Diagnostic:
        """The finding at the place of what could not be evaluated, `island` being the path of the one it was for."""
        return Diagnostic(self.code, str(self), place, hint=self.hint, related=(*related, *self.related), island=island)


def text_of(value: Any) -> str:
    """The text of a scalar value as YAML writes it. Raises `Failure` for a map, a list, null or `omit`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return json.dumps(value)
    if value is None:
        raise Failure("null has no text", "give it a text with the filter `default('…', true)`")
    if value is OMIT:
        raise Failure("`omit` is not text: it drops a key only where it is the whole value")
    what = "a map" if isinstance(value, dict) else "a list"
    raise Failure(f"{what} in the middle of text", "the filters `join` and `to_json` make text of it", "R0408")


def kind_of(value: Any) -> Kind:
    """The kind of a known value."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "text"
    return "map" if isinstance(value, dict) else "list" if isinstance(value, list) else "any"


def either(one: Kind, other: Kind) -> Kind:
    """The kind of a value that is of one kind or of the other."""
    if one == other:
        return one
    texts: set[Kind] = {"label", "name", "text"}
    return "text" if one in texts and other in texts else "any"
