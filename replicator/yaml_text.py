"""Trees to YAML text that every reader reads alike: YAML 1.1, YAML 1.2 and Go's; holes become slots."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple

from replicator.expression.values import Kind, text_of
from replicator.tree import Hole, Leaf, List, Map, Repeat, Text, Tree

# Plain where no reader can take it for a number, a date, a boolean, null, an indicator or a comment.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@+-]*(?:(?: |:)[A-Za-z0-9_./@+-]+)*")
_QUANTITY = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:m|[KMGTPE]i|ms|s|h)")
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])
_LONGEST_KEY = 1000  # readers look 1,024 characters ahead for the colon; a longer key is told by a question mark
_BLANK_END = re.compile(r"[ \t](?:\n|\Z)")
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f]")
_ESCAPE = re.compile('["\\\\\x00-\x1f\x7f]')


@cache
def _unclean() -> str:
    """What is not written as it is: not printable, a line break of YAML 1.1, a mark, a surrogate, no character."""
    return (
        "\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u2029\u202a-\u202e\u2066-\u2069\ud800-\uf8ff\ufdd0-\ufdef\ufeff\ufff0-\uffff"
        "\U0001fffe-\U0001ffff\U0002fffe-\U0002ffff\U0003fffe-\U0010ffff"
    )


@cache
def _control() -> re.Pattern[str]:
    return re.compile(f"[{_unclean()}]")


@cache
def _escaped() -> re.Pattern[str]:
    return re.compile(f'["\\\\\n{_unclean()}]')


_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}

SAFE: frozenset[Kind] = frozenset({"label", "name", "int", "bool"})
"""Kinds whose text needs no escape anywhere: such a hole may stand in the middle of a scalar's text."""


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quoted(value: str) -> str:
    """A text in double quotes."""
    pattern = _ESCAPE if value.isascii() else _escaped()
    return f'"{pattern.sub(_escape, value)}"'


@lru_cache(maxsize=1 << 14)
def is_plain(value: str) -> bool:
    """Whether a text needs no quotes."""
    if _PLAIN.fullmatch(value):
        return value.lower() not in _WORDS
    return _QUANTITY.fullmatch(value) is not None


def _is_clean_block(value: str) -> bool:
    return (
        "\n" in value.rstrip("\n")
        and value[0] not in " \t\n"
        and not value.endswith("\n\n")
        and not (_CONTROL if value.isascii() else _control()).search(value)
        and not _BLANK_END.search(value)
        and "\n\t" not in value
    )


def block(value: str, indent: int) -> str:
    """A text as a literal block whose lines begin at column `indent`; in quotes where a block cannot hold it."""
    if not _is_clean_block(value):
        return quoted(value)
    pad = " " * indent
    head = "|" if value.endswith("\n") else "|-"
    lines = value.removesuffix("\n").split("\n")
    return head + "".join(f"\n{pad}{line}" if line else "\n" for line in lines)


def scalar(value: str | int | float | bool | None, indent: int = 0) -> str:
    """A known scalar as YAML text; `indent` is where the lines of a literal block begin."""
    if isinstance(value, str):
        if is_plain(value):
            return value
        return block(value, indent) if "\n" in value else quoted(value)
    if isinstance(value, float):
        return _number(text_of(value))
    return "null" if value is None else text_of(value)


def _number(text: str) -> str:
    """A number with a fraction before its exponent: without one, YAML 1.1 reads a text."""
    mantissa, exponent, rest = text.partition("e")
    return text if "." in mantissa or not exponent else f"{mantissa}.0e{rest}"


Encode = Callable[[str], str]


class Slot(NamedTuple):
    """A whole scalar, or a part of one that needs no quoting, that is filled per island.

    `style` is how its text is encoded: `part` (as it is), `quoted`, `block` (at column `indent`), `value` (typed),
    `json`.
    """

    parts: Text
    style: str
    indent: int = 0

    def encode(self, value: Any) -> str:
        """The slot's text: of its assembled text, or (`value`) of its one hole's value. It cannot fail."""
        if self.style == "json":
            return json.dumps(value, ensure_ascii=False)
        if self.style == "value":
            return quoted(value) if isinstance(value, str) else scalar(value)
        if self.style == "part":
            return str(value)
        return quoted(value) if self.style == "quoted" else block(value, self.indent)


class Repetition(NamedTuple):
    """Pieces that are repeated for each island of a Set, with a separator between the rounds that have any.

    `cases` and `span` are those of the `Repeat`.
    """

    pieces: tuple[Piece, ...]
    over: str
    separator: str = ""
    cases: tuple[tuple[str, tuple[Piece, ...]], ...] = ()
    span: tuple[int, int] | None = None


Piece = str | Slot | Repetition


def document(body: Tree) -> tuple[Piece, ...]:
    """One YAML document, from its `---` to its last line break, in pieces."""
    out: list[Piece] = ["---\n"]
    _block(body, 0, "", out)
    return _joined(out)


def json_line(body: Tree) -> tuple[Piece, ...]:
    """An object as one line of JSON, in pieces."""
    out: list[Piece] = []
    _json(body, out)
    out.append("\n")
    return _joined(out)


def _json(node: Tree, out: list[Piece]) -> None:
    if isinstance(node, Map):
        start = "{"
        for key, value in node.items:
            out.append(f"{start}{json.dumps(key, ensure_ascii=False)}:")
            _json(value, out)
            start = ","
        out.append("}" if node.items else "{}")
    elif isinstance(node, List):
        _json_list(node, out)
    elif isinstance(node, Leaf):
        _json_leaf(node.value, out)


def _json_list(node: List, out: list[Piece]) -> None:
    out.append("[")
    for number, item in enumerate(node.items):
        if isinstance(item, Repeat):
            out.append(_repetition(item, _json_items, ","))
        else:
            _json(item, out)
        if number < len(node.items) - 1:
            out.append(",")
    out.append("]")


def _json_items(items: tuple[Tree, ...], out: list[Piece]) -> None:
    for number, item in enumerate(items):
        out.append("," if number else "")
        _json(item, out)


def _repetition(node: Repeat, write: Callable[[tuple[Tree, ...], list[Piece]], None], separator: str) -> Repetition:
    """The pieces of what is repeated, as `write` writes its items."""

    def pieces(items: tuple[Tree, ...]) -> tuple[Piece, ...]:
        out: list[Piece] = []
        write(items, out)
        return _joined(out)

    cases = tuple((case, pieces(items)) for case, items in node.cases)
    return Repetition(pieces(node.items), node.over, separator, cases, node.span)


def _json_leaf(value: object, out: list[Piece]) -> None:
    if isinstance(value, Hole):
        out.append(Slot((value,), "part" if value.kind in ("int", "bool") else "json"))
    elif not isinstance(value, tuple):
        out.append(json.dumps(value, ensure_ascii=False))
    elif all(isinstance(part, str) or part.kind in SAFE for part in value):
        out.append('"')
        out += (
            json.dumps(part, ensure_ascii=False)[1:-1] if isinstance(part, str) else Slot((part,), "part")
            for part in value
        )
        out.append('"')
    else:
        out.append(Slot(value, "json"))


def _joined(pieces: list[Piece]) -> tuple[Piece, ...]:
    joined: list[Piece] = []
    run: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            run.append(piece)
            continue
        if run:
            joined.append("".join(run))
            run = []
        joined.append(piece)
    if run:
        joined.append("".join(run))
    return tuple(piece for piece in joined if piece != "")


def _block(node: Tree, indent: int, lead: str, out: list[Piece]) -> None:
    """Write a map or list that is not empty; `lead` stands in place of the first line's indentation."""
    pad = " " * indent
    if isinstance(node, Map):
        for number, (key, value) in enumerate(node.items):
            start, written = pad if number or not lead else lead, _key(key)
            out.append(f"{start}{written}:" if len(written) <= _LONGEST_KEY else f"{start}? {written}\n{pad}:")
            _value(value, indent, out)
    elif isinstance(node, List):
        for number, item in enumerate(node.items):
            start = pad if number or not lead else lead
            if isinstance(item, Repeat):
                out.append(_repetition(item, partial(_items, indent, start), ""))
            else:
                _item(item, indent, start, out)


def _items(indent: int, start: str, items: tuple[Tree, ...], out: list[Piece]) -> None:
    for item in items:
        _item(item, indent, start, out)


def _item(item: Tree, indent: int, start: str, out: list[Piece]) -> None:
    if isinstance(item, (Map, List)) and item.items:
        _block(item, indent + 2, f"{start}- ", out)
    else:
        out.append(f"{start}-")
        _value(item, indent, out)


def _value(node: Tree, indent: int, out: list[Piece]) -> None:
    """What follows a key or a dash, to the end of the line or of the block."""
    if isinstance(node, Map):
        if node.items:
            out.append("\n")
            _block(node, indent + 2, "", out)
        else:
            out.append(" {}\n")
    elif isinstance(node, List):
        if node.items:
            out.append("\n")
            _block(node, indent, "", out)
        else:
            out.append(" []\n")
    elif isinstance(node, Leaf):
        out.append(" ")
        _leaf(node, indent + 2, out)
        out.append("\n")
    else:
        raise TypeError("a Repeat stands in a list only")


@lru_cache(maxsize=1 << 12)
def _key(key: str) -> str:
    return key if is_plain(key) else quoted(key)


def _leaf(node: Leaf, indent: int, out: list[Piece]) -> None:
    value = node.value
    if isinstance(value, Hole):
        out.append(Slot((value,), "part" if value.kind in ("int", "bool") else "value"))
    elif not isinstance(value, tuple):
        out.append(scalar(value, indent))
    elif all(isinstance(part, str) or part.kind in SAFE for part in value):
        _safe_text(value, indent, out)
    else:
        static = "".join(part for part in value if isinstance(part, str))
        out.append(Slot(value, "block", indent) if "\n" in static else Slot(value, "quoted"))


_SAMPLE = {"label": "0", "name": "a-0", "int": "0", "bool": "true"}


def _safe_text(parts: Text, indent: int, out: list[Piece]) -> None:
    """A text whose holes need no escape: its style follows from its fixed parts and its holes' kinds alone."""
    sample = "".join(part if isinstance(part, str) else _SAMPLE[part.kind] for part in parts)
    if "\n" in sample and _is_clean_block(sample):
        pad = " " * indent
        out.append("|\n" if sample.endswith("\n") else "|-\n")
        fresh = True
        for number, part in enumerate(parts):
            if isinstance(part, Hole):
                out.append(pad if fresh else "")
                out.append(Slot((part,), "part"))
                fresh = False
                continue
            lines = (part.removesuffix("\n") if number == len(parts) - 1 else part).split("\n")
            for line_number, line in enumerate(lines):
                if line_number:
                    out.append("\n")
                    fresh = True
                if line:
                    out.append(pad + line if fresh else line)
                    fresh = False
        return
    plain = _is_plain_start(parts[0]) and _PLAIN.fullmatch(sample) is not None
    out.append("" if plain else '"')
    for part in parts:
        if isinstance(part, Hole):
            out.append(Slot((part,), "part"))
        else:
            out.append(part if plain else quoted(part)[1:-1])
    out.append("" if plain else '"')


def _is_plain_start(first: str | Hole) -> bool:
    """Whether a text that begins so is no word of YAML, whatever follows."""
    if isinstance(first, Hole):
        return first.kind == "name"
    lowered = first.lower()
    return not any(word.startswith(lowered) for word in _WORDS)
