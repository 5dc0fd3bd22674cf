"""Diagnostics to text for a person, or to JSON for a program."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from unicodedata import category, east_asian_width

from replicator.diagnostics import Diagnostic, Place, lines_of

if TYPE_CHECKING:
    from replicator.shrinking import Deletion, Kept

_COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "note": "\x1b[1;34m", "help": "\x1b[1;36m"}
_LONGEST_LINE = 160
_MAX_LISTED = 50  # objects to delete, or islands of them
MAX_SHOWN = 100  # findings; whoever wants all asks for JSON


def as_text(found: Sequence[Diagnostic], sources: Mapping[str, str], colour: bool = False) -> str:
    """All findings as a compiler prints them, with the source line and a caret; then one line that counts them.

    `sources` maps the name of a file to its text; a place in an unknown file is printed without its line. Of more than
    `MAX_SHOWN` findings the first are shown, errors before warnings, and how many more there are.
    """
    if not found:
        return ""
    shown = found
    if len(found) > MAX_SHOWN:
        shown = sorted(found, key=lambda one: one.severity != "error")[:MAX_SHOWN]
    lines = {name: lines_of(text) for name, text in sources.items() if _is_named(name, shown)}
    blocks = [_block(diagnostic, lines, colour) for diagnostic in shown]
    if len(shown) < len(found):
        blocks.append(f"… and {len(found) - len(shown):,} more (`replicator validate --format json` prints all)\n")
    return "\n".join([*blocks, _count(found), ""])


def as_list(external: Sequence[tuple[str, str]]) -> str:
    """What must be there already, an object on a line under a heading; nothing where nothing is declared."""
    lines = [f"  {kind} {name}\n" for kind, name in external]
    return "".join(["what must be there already, as declared:\n", *lines]) if lines else ""


def as_deletions(deletions: Sequence[Deletion], kept: Sequence[Kept]) -> str:
    """What is to be deleted, in its order, and the data that is not; of many islands how much each has."""
    lines = []
    if deletions:
        lines.append(f"to be deleted: {_objects(len(deletions))}\n")
    if len(deletions) <= _MAX_LISTED:
        lines += (f"  {one.kind} {_name(one.namespace, one.name)}\n" for one in deletions)
    else:
        owners = Counter(one.island for one in deletions)
        lines += (f"  of {owner or 'no island'}: {_objects(n)}\n" for owner, n in [*owners.items()][:_MAX_LISTED])
        if len(owners) > _MAX_LISTED:
            lines.append(f"  of {len(owners) - _MAX_LISTED:,} more islands\n")
    if kept:
        lines.append(f"data that is not deleted: {_objects(len(kept))}\n")
    lines += (f"  {one.kind} {_name(one.namespace, one.name)}: {one.fate}\n" for one in kept[:_MAX_LISTED])
    if len(kept) > _MAX_LISTED:
        lines.append(f"  and {len(kept) - _MAX_LISTED:,} more\n")
    return "".join(lines)


def _objects(number: int) -> str:
    return f"{number:,} object{'' if number == 1 else 's'}"


def _name(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def as_json(found: Sequence[Diagnostic], external: Sequence[tuple[str, str]] = ()) -> str:
    """All findings, and what is declared external, as one JSON document; every key is always there, null where there
    is nothing.
    """
    rows = [
        {
            "code": d.code,
            "severity": d.severity,
            "message": d.message,
            **_json_place(d.place),
            "path": d.path or None,
            "hint": d.hint or None,
            "others": d.others,
            "related": [{"message": r.message, **_json_place(r.place)} for r in d.related],
        }
        for d in found
    ]
    outside = [{"kind": kind, "name": name} for kind, name in external]
    whole = {"version": 1, "diagnostics": rows, "external": outside}
    text = json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace").decode()  # half a character is an escape in JSON


def _is_named(name: str, found: Sequence[Diagnostic]) -> bool:
    return any(
        (d.place is not None and d.place.file == name) or any(r.place.file == name for r in d.related) for d in found
    )


def _json_place(place: Place | None) -> dict[str, object]:
    return {
        "file": place and place.file,
        "line": place and place.line,
        "column": place and place.column,
        "endLine": place and place.end_line,
        "endColumn": place and place.end_column,
    }


def _block(diagnostic: Diagnostic, lines: Mapping[str, list[str]], colour: bool) -> str:
    def paint(text: str, what: str) -> str:
        return f"{_COLOURS[what]}{text}\x1b[0m" if colour else text

    head = paint(f"{diagnostic.severity}[{diagnostic.code}]", diagnostic.severity)
    out = [f"{head}: {printable(diagnostic.message)}"]
    if diagnostic.place:
        out += _snippet("-->", diagnostic.place, lines, "")
    for related in diagnostic.related:
        out += _snippet(":::", related.place, lines, related.message)
    if diagnostic.path:
        out.append(f"  at: {printable(diagnostic.path)}")
    if diagnostic.others:
        out.append(f"  note: same in {diagnostic.others:,} other{'s' if diagnostic.others > 1 else ''}")
    if diagnostic.hint:
        out.append(f"{paint('help', 'help')}: {printable(diagnostic.hint)}")
    return "\n".join([*out, ""])


def _snippet(arrow: str, place: Place, lines: Mapping[str, list[str]], note: str) -> list[str]:
    position = f":{place.line}:{place.column}" if place.line else ""
    where = f"  {arrow} {printable(place.file)}{position}"
    text = lines.get(place.file, [])
    if not 1 <= place.line <= len(text):
        return [f"{where} {printable(note)}".rstrip()]
    line = text[place.line - 1]
    start = min(place.column - 1, len(line))
    end = place.end_column - 1 if place.end_line == place.line else len(line)
    end = max(min(end, len(line)), start)
    cut = max(0, start - _LONGEST_LINE // 2) if len(line) > _LONGEST_LINE else 0
    shown = line[cut : cut + _LONGEST_LINE]
    gutter = " " * len(str(place.line))
    marker = " " * _width(line[cut:start]) + "^" * max(1, _width(shown[start - cut : end - cut]))
    return [
        where,
        f" {gutter} |",
        f" {place.line} | {printable(shown)}",
        f" {gutter} | {marker} {printable(note)}".rstrip(),
    ]


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(0 if category(c) in ("Mn", "Me") else 2 if east_asian_width(c) in "WF" else 1 for c in printable(text))


def printable(text: str) -> str:
    """The text with whatever a terminal would obey (control characters, direction marks) shown as one mark."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(" " if c == "\t" else c if c.isprintable() else "\ufffd" for c in text)


def _count(found: Sequence[Diagnostic]) -> str:
    parts = []
    for severity in ("error", "warning", "note"):
        number = sum(d.severity == severity for d in found)
        if number:
            parts.append(f"{number:,} {severity}{'s' if number > 1 else ''}")
    files = len({d.place.file for d in found if d.place and d.place.line})
    where = f" in {files} file{'s' if files > 1 else ''}" if files else ""
    return ", ".join(parts) + where
