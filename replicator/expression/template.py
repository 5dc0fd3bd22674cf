"""A scalar's text to a template: the text kept to the last character, and the expressions between `{{` and `}}`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from replicator.expression.program import Program

Path = tuple[str, ...]

MAX_EXPRESSION = 1_000  # characters


class Flaw(NamedTuple):
    """What is wrong with a part of a scalar's text."""

    code: str
    message: str
    offset: int
    length: int
    hint: str = ""


class Call(NamedTuple):
    """A call of one of the language's functions; all arguments are literals."""

    function: str
    arguments: tuple[Any, ...]
    keywords: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        given = [repr(a) for a in self.arguments] + [f"{k}={v!r}" for k, v in self.keywords]
        return f"{self.function}({', '.join(given)})"


class Expr(NamedTuple):
    """One expression.

    `path` is set where it is just a dotted name, `call` where it is just a function call; anything else has a
    `program`. `reads` are the dotted names and `calls` the calls in every branch of it.
    """

    text: str
    offset: int
    reads: tuple[Path, ...]
    calls: tuple[Call, ...]
    path: Path = ()
    call: Call | None = None
    program: Program | None = None

    @property
    def omits(self) -> bool:
        """Whether a branch of it may drop the key that it is the value of."""
        return ("omit",) in self.reads


class Template(NamedTuple):
    """A scalar's text, cut into literal text and expressions."""

    parts: tuple[str | Expr, ...]
    flaws: tuple[Flaw, ...] = ()

    @property
    def whole(self) -> Expr | None:
        """The expression, where the scalar is one expression and nothing else: it keeps its value's type."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Expr):
            return self.parts[0]
        return None

    @property
    def expressions(self) -> list[Expr]:
        return [part for part in self.parts if not isinstance(part, str)]


# A string literal, a bracket, or the end of the expression.
_TOKEN = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|['"{}\[\]()]""", re.DOTALL)
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_DOTTED = re.compile(rf"\s*({_NAME}(?:\.{_NAME})*)\s*")
_LITERAL = r"""(?:'[^'\\\r\n]*'|"[^"\\\r\n]*")"""
_CALL = re.compile(rf"\s*({_NAME})\(\s*((?:{_LITERAL}\s*(?:,\s*{_LITERAL}\s*)*)?)\)\s*")
_LITERALS = re.compile(_LITERAL)
# Words that are not names to jinja2's parser.
_RESERVED = frozenset(["true", "false", "none", "True", "False", "None", "not", "and", "or", "if", "else", "in", "is"])


@lru_cache(maxsize=1 << 14)
def parse(text: str) -> Template:
    """Cut a scalar's text. Flaws are values in the result; the parts are whole only where there are none."""
    start = text.find("{{")
    if start < 0:
        return Template((text,) if text else ())
    parts: list[str | Expr] = []
    flaws: list[Flaw] = []
    done = 0
    while start >= 0:
        if start > done:
            parts.append(text[done:start])
        end = _end(text, start + 2)
        if end < 0:
            flaws.append(
                Flaw(
                    "R0401",
                    "`{{` without its `}}`",
                    start,
                    2,
                    "for the two characters themselves write {{ '{{' }}",
                )
            )
            break
        outcome = _expression(text[start + 2 : end], start)
        if isinstance(outcome, Expr):
            parts.append(outcome)
        else:
            flaws += outcome
        done = end + 2
        start = text.find("{{", done)
    if done < len(text):
        parts.append(text[done:])
    return Template(tuple(parts), tuple(flaws))


def _end(text: str, position: int) -> int:
    """Where the `}}` of an expression begins: not inside a string, not closing the expression's own braces."""
    depth = 0
    while match := _TOKEN.search(text, position):
        token = match[0]
        if token == "}" and depth <= 0:
            return match.start() if text.startswith("}}", match.start()) else -1
        if len(token) == 1:
            depth += token in "{[("
            depth -= token in "}])"
        position = match.end()
    return -1


def _expression(text: str, offset: int) -> Expr | list[Flaw]:
    length = len(text) + 4
    if len(text) > MAX_EXPRESSION:
        return [Flaw("R0407", f"an expression of more than {MAX_EXPRESSION:,} characters", offset, 2)]
    if text.strip() == "":
        return [Flaw("R0401", "an expression without anything in it", offset, length)]
    if text[0] in "-+" or text[-1] in "-+":
        return [
            Flaw(
                "R0403",
                "there is no white space control",
                offset,
                length,
                "the text around an expression is kept as it is",
            )
        ]
    if (match := _DOTTED.fullmatch(text)) and _RESERVED.isdisjoint(match[1].split(".")):
        path = tuple(match[1].split("."))
        return Expr(text.strip(), offset, (path,), (), path=path)
    if (match := _CALL.fullmatch(text)) and match[1] not in _RESERVED:
        call = Call(match[1], tuple(literal[1:-1] for literal in _LITERALS.findall(match[2])))
        return Expr(text.strip(), offset, (), (call,), call=call)
    from replicator.expression.program import read

    program, flaws = read(text, offset)
    if program is None:
        return flaws
    if program.path:
        return Expr(text.strip(), offset, (program.path,), (), path=program.path)
    if program.call:
        return Expr(text.strip(), offset, (), (program.call,), call=program.call)
    return Expr(text.strip(), offset, program.reads, program.calls, program=program)
