"""Regular expressions of authors: whether they are fit for Python's engine, which backtracks, or for proxies' RE2."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

MAX_PATTERN = 500  # characters


def re2_problem(pattern: str) -> str:
    """Why a regular expression is not one of RE2, as proxies have it, or ''.

    https://github.com/google/re2/wiki/Syntax
    """
    tree, problem = _parsed(_common(pattern))
    if problem:
        return problem
    for operator in _operators(tree):
        if operator in _NOT_RE2:
            return f"RE2, the proxies' engine, has no {_NOT_RE2[operator]}"
    if re.search(r"(?<!\\)(?:\\\\)*\\[ZNuU]", pattern):
        return "RE2, the proxies' engine, has no \\Z, \\N and \\u; \\z is the end of the text"
    repeats = re.findall(r"\{([0-9]{1,9})(?:,([0-9]{0,9}))?\}", pattern)
    if any(int(number) > 1000 for pair in repeats for number in pair if number):
        return "RE2, the proxies' engine, repeats at most 1,000 times"
    return ""


# Classes and escapes of RE2 that Python's parser does not know: for its syntax tree, any class will do.
_OF_RE2 = r"\[\[:\^?[a-z]+:\]|\[:\^?[a-z]+:\]|\\[pP](?:[A-Z]|\{\^?\w+\})|\\x\{[0-9A-Fa-f]{1,6}\}|\\[zC]"


def _common(pattern: str) -> str:
    """The pattern with what only RE2 has replaced by what Python has too."""
    quoted = re.sub(r"\\Q(.*?)(?:\\E|\Z)", lambda match: re.escape(match[1]), pattern, flags=re.DOTALL)
    plain = re.sub(_OF_RE2, lambda match: "[a" if match[0].startswith("[[") else "a", quoted)
    return re.sub(r"\(\?([ims]*)U([ims]*)", r"(?\1\2", plain).replace("(?)", "").replace("(?:", "(?:")


_NOT_RE2 = {
    "ASSERT": "look-ahead and look-behind",
    "ASSERT_NOT": "look-ahead and look-behind",
    "GROUPREF": "back-references",
    "GROUPREF_EXISTS": "conditional groups",
    "ATOMIC_GROUP": "atomic groups",
    "POSSESSIVE_REPEAT": "possessive repetition",
}


def _operators(tree: Any) -> Iterator[str]:
    for operator, argument in tree:
        yield str(operator)
        for child in _subtrees(argument):
            yield from _operators(child)


def _parsed(pattern: str) -> tuple[Any, str]:
    """The syntax tree of a regular expression, or why there is none."""
    if len(pattern) > MAX_PATTERN:
        return None, f"a pattern of more than {MAX_PATTERN} characters"
    try:
        compiled = compile_regex(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return None, f"not a regular expression: {error}"
    # The standard library's own syntax tree: there is no public one.
    regex_parser: Any = import_module("re._parser")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return regex_parser.parse(pattern, compiled.flags), ""


def compile_regex(pattern: str, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    """The pattern compiled; what Python only warns of is as it is. Raises re.error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return re.compile(pattern, flags)


def pattern_problem(pattern: str) -> str:
    """Why a regular expression is not fit for use, or ''. Nested repetition is refused: it may take for ever."""
    tree, problem = _parsed(pattern)
    if problem:
        return problem
    if _repeats(tree, 0) or _is_ambiguous(tree):
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


def _is_ambiguous(tree: Any, repeated: bool = False) -> bool:
    """Whether a repeated choice has overlapping ways, or three long repetitions in a row can share characters."""
    run: list[frozenset[int]] = []
    for operator, argument in tree:
        name = str(operator)
        long = name in ("MAX_REPEAT", "MIN_REPEAT") and int(argument[1]) > 16
        if long:
            run = [*(one for one in run if not one.isdisjoint(_characters(argument[2]))), _characters(argument[2])]
            if len(run) > 2:
                return True
        elif name not in ("AT", "MAX_REPEAT", "MIN_REPEAT"):
            run = []
        if name == "BRANCH" and repeated:
            ways = [_characters(list(way)[:1]) if list(way) else _ASCII for way in argument[1]]
            if any(not one.isdisjoint(other) for number, one in enumerate(ways) for other in ways[:number]):
                return True
        if any(_is_ambiguous(child, repeated or long) for child in _subtrees(argument)):
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
