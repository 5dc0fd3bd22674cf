"""The JSON Schemas under `schemas/`, and a check that says only whether a value fits: the explaining is elsewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from replicator.parser.patterns import compile_regex

if TYPE_CHECKING:
    from replicator.diagnostics import Diagnostic
    from replicator.parser.source import Document

Check = Callable[[Any], bool]

KINDS = {
    "IslandType": "islandtype.json",
    "IslandSet": "islandset.json",
    "Routing": "routing.json",
    "Partition": "partition.json",
}
API_VERSION = "replicator.dev/v1alpha1"


def directory() -> str:
    """Where the schemas are: in the package (a wheel) or beside it (a checkout, an editable install)."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    inside = os.path.join(package, "schemas")
    return inside if os.path.isdir(inside) else os.path.join(os.path.dirname(package), "schemas")


@cache
def load(name: str) -> dict[str, Any]:
    """A schema file by its name."""
    with open(os.path.join(directory(), name), "rb") as file:
        schema: dict[str, Any] = json.load(file)
    return schema


@cache
def of_kind(kind: str) -> Check:
    """The check of a kind of document."""
    name = KINDS[kind]
    return compile_check(load(name), name)


def judge(document: Document) -> list[Diagnostic]:
    """What is wrong with the form of a document; empty where it fits its kind's schema."""
    data = document.root.data
    kind = data.get("kind")
    if data.get("apiVersion") == API_VERSION and isinstance(kind, str) and kind in KINDS and of_kind(kind)(data):
        return []
    from replicator.parser.slips import explain  # jsonschema is slow to import, and few documents are wrong

    return explain(document)


@cache
def _referred(name: str, pointer: str) -> Check:
    return compile_check(find(name, pointer), name)


def find(name: str, pointer: str) -> dict[str, Any]:
    """The part of a schema file that a JSON pointer (`#/$defs/unit`) names."""
    node: Any = load(name)
    for step in pointer.removeprefix("#").strip("/").split("/"):
        node = node[step] if step else node
    schema: dict[str, Any] = node
    return schema


_TYPES: dict[str, Check] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())
    ),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}

# Keywords that say nothing about validity.
ANNOTATIONS = frozenset(
    [
        "$schema",
        "$id",
        "$defs",
        "title",
        "description",
        "default",
        "examples",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-int-or-string",
    ]
)


def compile_check(schema: dict[str, Any], file: str = "") -> Check:
    """A function that says whether a plain value fits a schema, as a validator of draft 2020-12 would.

    Only the keywords that the schemas and parameters of the DSL use are known; another raises ValueError.
    """
    checks: list[Check] = []
    for keyword, argument in schema.items():
        if keyword in ANNOTATIONS:
            continue
        if keyword in ("then", "else"):  # done by `if`
            continue
        maker = _KEYWORDS.get(keyword)
        if maker is None:
            raise ValueError(f"unknown keyword {keyword}")
        if check := maker(argument, schema, file):
            checks.append(check)
    if not checks:
        return lambda value: True
    if len(checks) == 1:
        return checks[0]
    first, *others = checks
    if len(others) == 1:
        second = others[0]
        return lambda value: first(value) and second(value)
    return lambda value: all(check(value) for check in checks)


def _ref(argument: Any, schema: dict[str, Any], file: str) -> Check:
    name, _, pointer = argument.partition("#")
    target = name or file
    resolved: list[Check] = []

    def check(value: Any) -> bool:
        if not resolved:
            resolved.append(_referred(target, "#" + pointer))
        return resolved[0](value)

    return check


def _type(argument: Any, schema: dict[str, Any], file: str) -> Check:
    if isinstance(argument, str):
        return _TYPES[argument]
    checks = [_TYPES[name] for name in argument]
    return lambda value: any(check(value) for check in checks)


def _properties(argument: Any, schema: dict[str, Any], file: str) -> Check | None:
    """`properties` and `additionalProperties` in one pass over a map."""
    if "properties" in schema and argument is not schema["properties"]:
        return None  # `additionalProperties` is done by `properties`
    checks = {name: compile_check(child, file) for name, child in schema.get("properties", {}).items()}
    rest = schema.get("additionalProperties", True)
    if isinstance(rest, bool):
        other: Check | None = None if rest else lambda value: False
    else:
        other = compile_check(rest, file)
    find_check = checks.get

    def check(value: Any) -> bool:
        if isinstance(value, dict):
            for name, item in value.items():
                test = find_check(name, other)
                if test is not None and not test(item):
                    return False
        return True

    return check


def _required(argument: Any, schema: dict[str, Any], file: str) -> Check:
    return lambda value: not isinstance(value, dict) or all(name in value for name in argument)


def _items(argument: Any, schema: dict[str, Any], file: str) -> Check:
    item = compile_check(argument, file)
    return lambda value: not isinstance(value, list) or all(map(item, value))


def _if(argument: Any, schema: dict[str, Any], file: str) -> Check:
    condition = compile_check(argument, file)
    then = compile_check(schema.get("then", {}), file)
    otherwise = compile_check(schema.get("else", {}), file)
    return lambda value: then(value) if condition(value) else otherwise(value)


def _all_of(argument: Any, schema: dict[str, Any], file: str) -> Check:
    checks = [compile_check(child, file) for child in argument]
    return lambda value: all(check(value) for check in checks)


def same(one: Any, other: Any) -> bool:
    """Equality as JSON Schema has it: true is not 1, but 1.0 is."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _sized(
    of: type[str] | type[list[Any]] | type[dict[str, Any]], test: Callable[[int, int], bool]
) -> Callable[..., Check]:
    def maker(argument: Any, schema: dict[str, Any], file: str) -> Check:
        return lambda value: not isinstance(value, of) or test(len(value), argument)

    return maker


def _at_least(size: int, limit: int) -> bool:
    return size >= limit


def _at_most(size: int, limit: int) -> bool:
    return size <= limit


def _pattern(argument: Any, schema: dict[str, Any], file: str) -> Check:
    search = compile_regex(argument).search
    return lambda value: not isinstance(value, str) or search(value) is not None


def _unique(value: Any) -> bool:
    return not isinstance(value, list) or len(set(map(_hashable, value))) == len(value)


def _hashable(value: Any) -> Any:
    """What is equal for two values exactly where `same` says that they are."""
    if isinstance(value, list):
        return (list, *map(_hashable, value))
    if isinstance(value, dict):
        return (dict, frozenset((key, _hashable(item)) for key, item in value.items()))
    return (bool, value) if isinstance(value, bool) else value


_KEYWORDS: dict[str, Callable[[Any, dict[str, Any], str], Check | None]] = {
    "$ref": _ref,
    "type": _type,
    "properties": _properties,
    "additionalProperties": _properties,
    "required": _required,
    "items": _items,
    "if": _if,
    "allOf": _all_of,
    "const": lambda argument, schema, file: lambda value: same(value, argument),
    "enum": lambda argument, schema, file: lambda value: any(same(value, allowed) for allowed in argument),
    "pattern": _pattern,
    "minimum": lambda argument, schema, file: lambda value: not _is_number(value) or value >= argument,
    "maximum": lambda argument, schema, file: lambda value: not _is_number(value) or value <= argument,
    "minLength": _sized(str, _at_least),
    "maxLength": _sized(str, _at_most),
    "minItems": _sized(list, _at_least),
    "maxItems": _sized(list, _at_most),
    "minProperties": _sized(dict, _at_least),
    "maxProperties": _sized(dict, _at_most),
    "uniqueItems": lambda argument, schema, file: _unique if argument else None,
}
