"""Regular expressions of RE2, the proxies' engine, judged by Python's: one value at a time.

https://github.com/google/re2/wiki/Syntax. A proxy asks for the whole value to match. Where Python's engine may give
another answer, or could take for ever, there is none (`NotSimulated`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from unicodedata import category

from replicator.parser.patterns import compile_regex, pattern_problem

MAX_VALUE = 1000  # characters: of a value that Python's engine is asked about


class NotSimulated(Exception):
    """Whether a request matches cannot be said here; the message says why."""


@lru_cache(maxsize=1024)
def matches(pattern: str, value: str) -> bool:
    """Whether a regular expression of RE2 matches a whole value. Raises `NotSimulated`."""
    if len(value) > MAX_VALUE:
        raise NotSimulated(f"the value has {len(value):,} characters")
    translated = _translated(pattern, value)
    if problem := pattern_problem(translated):
        raise NotSimulated(f"the regular expression `{pattern}`: {problem}")
    return compile_regex(translated, re.ASCII).fullmatch(value) is not None


_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_NOBODY = "\U0010ffff"  # no character: it keeps a class from being empty

# What differs. The order counts: what is escaped is looked at before what is not.
_TOKENS = re.compile(
    r"(?P<quoted>\\Q.*?(?:\\E|\Z))"
    r"|\\[pP](?:(?P<letter>[A-Z])|\{(?P<negated>\^?)(?P<group>\w+)\})"
    r"|\\x\{(?P<code>[0-9A-Fa-f]{1,6})\}"
    r"|(?P<escape>\\.)"
    r"|\[:(?P<not>\^?)(?P<posix>[a-z]+):\]"
    r"|(?P<open>\[\^?\]?)"
    r"|(?P<close>\])"
    r"|(?P<flags>\(\?[imsU]*U[imsU]*)"
    r"|(?P<brace>\{(?=,))",
    re.DOTALL,
)


def _translated(pattern: str, value: str) -> str:
    """A regular expression in Python's words; of classes that Python does not know, it holds the value's characters."""
    alphabet = sorted(set(value))
    out: list[str] = []
    inside = False  # of a class in brackets
    last = 0

    def of_characters(found: list[str]) -> str:
        content = "".join(re.escape(one) for one in [*found, _NOBODY])
        return content if inside else f"[{content}]"

    for token in _TOKENS.finditer(pattern):
        out.append(pattern[last : token.start()])
        last = token.end()
        text = token[0]
        if token["quoted"]:
            if inside:
                raise NotSimulated(f"the regular expression `{pattern}`: \\Q in a class")
            out.append(re.escape(text[2:].removesuffix("\\E")))
        elif token["letter"] or token["group"]:
            name = token["letter"] or token["group"]
            without = (text[1] == "P") != bool(token["negated"])
            out.append(of_characters([one for one in alphabet if _is_of(one, name, pattern) != without]))
        elif token["code"]:
            code = int(token["code"], 16)
            out.append(re.escape(chr(code)) if code <= 0x10FFFF else _NOBODY)
        elif token["escape"]:
            if text == r"\C":
                raise NotSimulated(f"the regular expression `{pattern}`: single bytes")
            out.append(r"\Z" if text == r"\z" and not inside else text)
        elif token["posix"] and inside:
            known = _POSIX.get(token["posix"])
            if known is None:
                raise NotSimulated(f"the regular expression `{pattern}`: no class `{token['posix']}`")
            of_class = re.compile(f"[{known}]")
            wanted = [one for one in alphabet if bool(of_class.match(one)) != bool(token["not"])]
            out.append(of_characters(wanted) if token["not"] else known)
        elif token["posix"]:  # a class of these characters, as it stands
            out.append(text)
        elif token["open"]:
            out.append(f"\\{text}" if inside else text)
            inside = not (inside and text.endswith("]"))
        elif token["close"]:
            out.append(text)
            inside = False
        elif token["flags"]:
            out.append(text.replace("U", ""))
        else:
            out.append(text if inside else r"\{")
    out.append(pattern[last:])
    made = "".join(out).replace("(?)", "")
    folds = re.search(r"\(\?[ms]*i", made)
    if folds and not (value.isascii() and pattern.isascii() and not re.search(r"\\[pP]", pattern)):
        raise NotSimulated(f"the regular expression `{pattern}` passes over case beyond ASCII")
    return made


def _is_of(character: str, name: str, pattern: str) -> bool:
    """Whether a character is of a general category, by its one or two letters."""
    if name == "Any":
        return True
    if len(name) > 2 or name[0] not in "CLMNPSZ":
        raise NotSimulated(f"the regular expression `{pattern}`: scripts are not known here: `{name}`")
    return category(character).startswith(name)
