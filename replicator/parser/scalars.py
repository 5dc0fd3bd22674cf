"""The text of a plain YAML scalar to its value, with the readings on which YAML 1.1 and YAML 1.2 differ told apart."""

from __future__ import annotations

import re
from functools import lru_cache

Value = str | int | float | bool | None

# Patterns stay text here: `re` compiles and keeps those that are used.

# First characters of any plain scalar that is, or that some reader takes for, something else than text.
SUSPECTS = frozenset("0123456789+-.~=<nNtTfFyYoO")

_KEYWORDS: dict[str, Value] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# https://yaml.org/type/bool.html: booleans of YAML 1.1 that are text in YAML 1.2.
_OLD_BOOLEANS = frozenset(
    word for base in ("y", "n", "yes", "no", "on", "off") for word in (base, base.capitalize(), base.upper())
)
_INTEGER = r"[-+]?(?:0|[1-9][0-9]*)"
_HEXADECIMAL = r"0x[0-9a-fA-F]+"
_FLOAT = r"[-+]?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+][0-9]+)?"
_INFINITE = r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
# Numbers and dates of one version or of one reader only: octals (014, 0o14), 1_000, 12:30, 1e3, .5, 1., 0b1, dates.
_DISPUTED = r"""(?x)[-+]?0[0-9_]+ | [-+]?0o[0-7_]+ | [-+]?0b[01_]+ | [-+]0x[0-9a-fA-F_]+ | 0x[0-9a-fA-F_]+
    | [-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?
    | [-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?
    | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9:.]+[ \t]*(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?)?)?
    | = | <<"""
_LARGEST = 2**63
_LONG = 128


class Disputed(ValueError):
    """YAML 1.1 and YAML 1.2 (or well-known readers of either) give this plain scalar different values."""


class OutOfRange(ValueError):
    """A number that JSON, and so the Kubernetes API, cannot hold."""


@lru_cache(maxsize=1 << 16)
def resolve(text: str) -> Value:
    """The value of a plain scalar on which every reader agrees.

    Raises `Disputed` where readers disagree, `OutOfRange` for infinities, NaN and integers beyond 64 bits.
    """
    if text in _KEYWORDS:
        return _KEYWORDS[text]
    if text.isascii() and text.isdigit() and (text[0] != "0" or text == "0") and len(text) < 19:
        return int(text)
    if len(text) > _LONG:  # the forms below are read in time that grows with the square of the length
        if re.fullmatch(r"[-+]?[0-9]+", text):
            raise OutOfRange(text)
        if re.fullmatch(r"[-+0-9_.:eE]+", text):
            raise Disputed(text)
        return text
    if text[0].isdigit() and text[-1].isalpha() and text[-1] not in "abcdefABCDEFZ":
        return text  # a quantity or a duration: no form of number ends so
    if text in _OLD_BOOLEANS:
        raise Disputed(text)
    if re.fullmatch(_INTEGER, text):
        if len(text) > 20 or not -_LARGEST <= int(text) < _LARGEST:
            raise OutOfRange(text)
        return int(text)
    if re.fullmatch(_HEXADECIMAL, text):
        if len(text) > 18 or int(text, 16) >= _LARGEST:
            raise OutOfRange(text)
        return int(text, 16)
    if re.fullmatch(_FLOAT, text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise OutOfRange(text)
        return number_of(value)
    if re.fullmatch(_INFINITE, text):
        raise OutOfRange(text)
    if re.fullmatch(_DISPUTED, text):
        raise Disputed(text)
    return text


def number_of(value: float) -> int | float:
    """The number as JSON has it, which knows no kinds of numbers: 2.0 is 2."""
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


@lru_cache(maxsize=1 << 14)
def resolve_as_kubectl(text: str) -> Value:
    """The value that kubectl reads from a plain scalar: its reader is Go's yaml.v2, of YAML 1.1 with exceptions.

    There yes, on and y are booleans, 0644 and 0o644 are 420, 1_000 is 1000, but 12:30 and dates are text.
    Raises `OutOfRange` for infinities, NaN and integers beyond 64 bits.
    """
    if text in _KEYWORDS:
        return _KEYWORDS[text]
    if text in _OLD_BOOLEANS:
        return text.lower() in ("y", "yes", "on")
    if text[0] not in "0123456789+-.":
        return text
    if re.fullmatch(_INFINITE, text):
        raise OutOfRange(text)
    if text[0] == "." and re.search("(?<![0-9])_|_(?![0-9])", text):  # only there it reads `_` as Go does
        return text
    plain = text.replace("_", "")
    number = _go_integer(plain)
    if number is not None:
        if not -_LARGEST <= number < 2 * _LARGEST:
            raise OutOfRange(text)
        return number
    if re.fullmatch(_GO_FLOAT, plain):
        value = float(plain)
        if value in (float("inf"), float("-inf")):
            raise OutOfRange(text)
        return number_of(value)  # as Go writes it to JSON
    return text


def key_as_kubectl(text: str) -> str:
    """The key that kubectl makes of a plain scalar before a colon: what a value would be there, as JSON's text.

    Raises `Disputed` where it takes none (null) or writes another number than stands there (1.50, 1e3), and
    `OutOfRange` as above. sigs.k8s.io/yaml: convertToJSONableObject
    """
    value = resolve_as_kubectl(text)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and (number := _go_integer(text.replace("_", ""))) is not None and number < _LARGEST:
        return str(number)
    if isinstance(value, float) and f"{value:.6g}" == text:  # it writes keys with the digits of 32 bits
        return text
    raise Disputed(text)


_GO_FLOAT = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
_GO_BASES = ((r"0[xX][0-9a-fA-F]+", 16), (r"0[bB][01]+", 2), (r"0[oO]?[0-7]+", 8), (r"[0-9]+", 10))


def _go_integer(text: str) -> int | None:
    """The value of an integer as strconv.ParseInt reads it with base 0, or None."""
    digits = text.lstrip("+-") if text[:1] in ("+", "-") else text
    if len(text) - len(digits) > 1 or len(digits) > 70:
        return None
    for pattern, base in _GO_BASES:
        if re.fullmatch(pattern, digits) and (base != 10 or digits == "0" or digits[0] != "0"):
            value = int(digits[2:] if digits[1:2].isalpha() else digits, base)
            return -value if text[0] == "-" else value
    return None
