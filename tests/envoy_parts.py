"""Parts of an Envoy route that are the same whatever provider's objects they come from."""

from typing import Any

from envoy import typed

Part = dict[str, Any]  # of Envoy's configuration


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


def fraction(percentage: float) -> Part:
    return {"numerator": int(percentage * 10000), "denominator": "MILLION"}
