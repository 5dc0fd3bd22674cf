"""Parts of an Envoy route that are the same whatever provider's objects they come from."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

from envoy import typed

Part = dict[str, Any]  # of Envoy's configuration


class Condition(NamedTuple):
    """On a header or a query parameter; without a value on its presence."""

    name: str
    value: str
    regex: bool
    inverted: bool = False

    def envoy(self) -> Part:
        part: Part = {"name": self.name}
        if not self.value:
            part["present_match"] = True
        elif self.regex:
            part["string_match"] = {"safe_regex": {"regex": self.value}}
        else:
            part["string_match"] = {"exact": self.value}
        if self.inverted:
            part["invert_match"] = True
        return part


@dataclass(frozen=True)
class Option:
    """What one option adds to the Envoy route itself, to its action, and to the settings of a filter."""

    route: Part = field(default_factory=dict)
    action: Part = field(default_factory=dict)
    filters: Part = field(default_factory=dict)


def path_match(kind: str, path: str) -> Part:
    """`kind` is exact, prefix or regex."""
    parts: dict[str, Part] = {
        "exact": {"path": path},
        "prefix": {"prefix": path},  # of the string: /i/1 takes /i/10
        "regex": {"safe_regex": {"regex": path}},
    }
    return parts[kind]


def header_to_add(name: str, value: str, *, append: bool) -> Part:
    action = "APPEND_IF_EXISTS_OR_ADD" if append else "OVERWRITE_IF_EXISTS_OR_ADD"
    return {"header": {"key": name, "value": value}, "append_action": action}


def regex_rewrite(regex: str, substitution: str) -> Part:
    return {"pattern": {"regex": regex}, "substitution": substitution}


def filter_settings(name: str, message: str, settings: Part) -> Part:
    """A member of typed_per_filter_config."""
    return {f"envoy.filters.http.{name}": {"@type": typed(f"filters.http.{name}.v3.{message}"), **settings}}


def fraction(percentage: float | Fraction) -> Part:
    return {"numerator": int(percentage * 10000), "denominator": "MILLION"}
