"""Edits of a YAML text: scalars are replaced and entries of maps added or taken out; all else stays, byte for byte.

An edit is a few splices at places that the reader knows. A round trip through ruamel.yaml would rewrite lines that
nobody asked to change: of the 43 examples of this project it gives back 35 as they were when told how they are
indented, 1 when not, and none that has CRLF.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

from replicator.diagnostics import Diagnostic, Related, has_errors
from replicator.parser import schema, source, stored
from replicator.parser.scalars import Disputed, OutOfRange, resolve
from replicator.parser.source import Document, Node, Scalar, Sequence
from replicator.parser.source import Mapping as MappingNode
from replicator.yaml_text import is_plain, quoted

Path = tuple[str, ...]
Value = Any
"""A text, a number, or a map of texts to such values."""


class _Gone:
    """What an entry becomes that is taken out."""


GONE = _Gone()


class Refused(Exception):
    """An edit that is not made, and why: it cannot be, or would change something else too."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__(diagnostics[0].message)
        self.diagnostics = list(diagnostics)


def edited(file: str, text: str, number: int, changes: Mapping[Path, Value]) -> str:
    """A text with changes of its document of a number, counted from 0.

    A change is of the value at a path of keys: another scalar, a new entry (maps on the way to it are made), or `GONE`.
    The result is read again: all documents are what they were, but for the changes, and fit their schemas. Raises
    `Refused` (R0810).
    """
    before = _documents(file, text)
    first = next(iter(changes))
    wanted = [one.root.data for one in before]
    wanted[number] = deepcopy(wanted[number])
    _judge_shared(before[number], changes)
    try:
        for step in (_replaced, _added, _removed):  # each knows its places in the text that the one before made
            document = _documents(file, text)[number]
            splices = list(step(_Text(text, document), changes, wanted[number]))
            text = _spliced(text, splices)
        after = _documents(file, text)
    except _Unreadable as error:
        raise _unsafe(before[number], first, f"of what comes of it is told: {error}") from None
    if [repr(one.root.data) for one in after] != list(map(repr, wanted)):
        raise _unsafe(before[number], first, "more than this would change")
    for one in after:
        if has_errors(problems := schema.judge(one)):
            raise _unsafe(before[number], first, f"it would not fit the schema: {problems[0].message}")
    return text


def changed(
    documents: Iterable[Document], texts: Mapping[str, str], changes: Mapping[MappingNode, Mapping[Path, Value]]
) -> dict[str, str]:
    """The new texts of files, by name: `changes` are those of documents, by their roots. Raises `Refused`."""
    made: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for document in documents:
        file = document.file
        number = numbers[file] = numbers.get(file, -1) + 1
        if changes.get(document.root):
            made[file] = edited(file, made.get(file, texts[file]), number, changes[document.root])
    return made


class _Splice(NamedTuple):
    """A range of a text, by offsets, and what comes in its place."""

    start: int
    end: int
    text: str


def _spliced(text: str, splices: Iterable[_Splice]) -> str:
    parts, at = [], 0
    for splice in sorted(splices, key=lambda one: (one.start, one.end)):  # insertions at one place keep their order
        parts += [text[at : splice.start], splice.text]
        at = max(at, splice.end)
    return "".join([*parts, text[at:]])


class _Unreadable(Exception):
    """A text that our own reader does not take."""


def _documents(file: str, text: str) -> list[Document]:
    documents, found = source.load(file, text)
    authored, more = stored.unwrap(documents)
    if problem := next(iter([*found, *more]), None):
        raise _Unreadable(problem.message)
    return authored


def _unsafe(document: Document, path: Path, why: str, *related: Related) -> Refused:
    """That a path cannot be edited, told at the last key on the way that there is."""
    place, node = document.root.place, document.root
    for key in path:
        if key not in node.items:
            break
        place = node.key_place(key)
        child = node.items[key]
        if not isinstance(child, MappingNode):
            break
        node = child
    message = f"`{'.'.join(path)}` cannot be edited safely: {why}"
    return Refused(Diagnostic("R0810", message, place, hint="make this change by hand", related=related))


def _judge_shared(document: Document, changes: Iterable[Path]) -> None:
    """Refuse what an alias repeats: there one edit would be two."""
    seen: dict[int, Node] = {}
    aliased: set[int] = set()
    waiting: list[Node] = [document.root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            aliased.add(id(node))
            continue
        seen[id(node)] = node
        if isinstance(node, MappingNode):
            waiting += node.items.values()
        elif isinstance(node, Sequence):
            waiting += node.items
    for path in changes if aliased else ():
        for length in range(1, len(path) + 1):
            child = document.root.get(*path[:length])
            if child is not None and id(child) in aliased:
                related = Related("the value that an alias repeats", child.place)
                raise _unsafe(document, path[:length], "an alias repeats this value elsewhere", related)


class _Text:
    """A text and a document of it."""

    def __init__(self, text: str, document: Document) -> None:
        self.text = text
        self.document = document
        self._starts = [0, *(found.end() for found in re.finditer(r"\r\n|\n|\r", text))]

    def node(self, path: Path) -> Node | None:
        return self.document.root.get(*path) if path else self.document.root

    def map(self, path: Path) -> MappingNode | None:
        node = self.node(path)
        return node if isinstance(node, MappingNode) else None

    def offset(self, mark: Any) -> int:
        if mark.line >= len(self._starts):
            return len(self.text)
        return min(len(self.text), int(self._starts[mark.line] + mark.column))

    def start(self, node: Node) -> int:
        """Where a node begins, after its anchor."""
        return self.skip(r"(?:&\S+\s+)*", self.offset(node.start))

    def skip(self, pattern: str, at: int) -> int:
        found = re.compile(pattern).match(self.text, at)
        return found.end() if found else at

    def is_flow(self, node: Node) -> bool:
        return self.text[self.start(node) : self.start(node) + 1] in ("{", "[")

    @property
    def is_json(self) -> bool:
        """Whether the document is JSON, as far as its author cares: between braces, with quoted keys."""
        root = self.document.root
        return self.is_flow(root) and all(key.style == '"' for key in root.written)

    def in_flow(self, path: Path) -> bool:
        return any(self.is_flow(node) for end in range(len(path) + 1) if (node := self.map(path[:end])) is not None)

    def line_break(self) -> str:
        found = re.search(r"\r\n|\n|\r", self.text)
        return found[0] if found else "\n"

    def colon(self, key: Scalar) -> int:
        """Where an entry's colon ends."""
        return self.skip(r"\s*:", self.offset(key.end))

    def value_end(self, key: Scalar, value: Node) -> int:
        """Where an entry ends: after the last character of its value, or at the start of the line after a block's."""
        after = self.colon(key)
        if self.offset(value.start) < after:  # an alias: the node stands elsewhere, before
            return self.skip(r"\s*\*[^\s,\[\]{}]+", after)
        return self._end(value, after)

    def _end(self, node: Node, after: int) -> int:
        if isinstance(node, Scalar) and not node.style and not node.text:
            return after
        if isinstance(node, Scalar) or self.is_flow(node):
            return self.offset(node.end)
        if isinstance(node, MappingNode):
            last = node.written[-1]
            return self.value_end(last, node.items[last.text])
        assert isinstance(node, Sequence)
        *others, final = node.items
        before = max(self.offset(one.start) for one in (node, *others))
        if self.offset(final.start) > before and not _is_empty(final):
            return self._end(final, self.offset(final.start))
        # An alias, or nothing: the list ends where only blank lines and comments follow in it.
        lines = self.text[: self.offset(node.end)].splitlines(keepends=True)
        while re.fullmatch(r"\s*(?:#.*\s*)?", lines[-1]):
            lines.pop()
        return len("".join(lines[:-1])) + len(re.sub(r"(?:^|\s)\s*#.*", "", lines[-1].rstrip("\r\n")).rstrip())

    def line_end(self, at: int) -> int | None:
        """Where the line ends that an entry ends on, its comment included; None where more follows on it."""
        end = self.skip(r"[ \t]*(?:(?<=[ \t])#[^\r\n]*)?", at)
        return end if end == len(self.text) or self.text[end] in "\r\n" else None

    def begins_line(self, at: int) -> int | None:
        """Where the line begins that an offset is in, if only blanks are before it."""
        start = max(self.text.rfind("\n", 0, at), self.text.rfind("\r", 0, at)) + 1
        return start if not self.text[start:at].strip(" ") else None


def _is_empty(node: Node) -> bool:
    return isinstance(node, Scalar) and not node.style and not node.text


def _at(data: Any, path: Path) -> Any:
    for key in path:
        data = data[key]
    return data


# Scalars


def _may_be_plain(value: str, flow: bool) -> bool:
    """Whether a text may be written without quotes where its author writes texts of its kind so."""
    if is_plain(value):
        return True
    if not re.fullmatch(r"[0-9A-Za-z]+(?:[-,/][0-9A-Za-z]+)*", value) or (flow and "," in value):
        return False
    try:
        known = resolve(value)
    except (Disputed, OutOfRange):
        return False
    return known == value or (type(known) is int and str(known) == value)


def _scalar(value: str | int, style: str | None, flow: bool) -> tuple[str, str | int]:
    """A scalar's text in the style of others (None: there are none), and what it is read as."""
    if isinstance(value, int):
        return str(value), value
    if style == "'" and re.fullmatch(r"[\x20-\x7e]*", value):
        return "'" + value.replace("'", "''") + "'", value
    if style == "" and _may_be_plain(value, flow):
        return value, resolve(value)  # type: ignore[return-value]
    if style is None and is_plain(value):
        return value, value
    return quoted(value), value


_JSON = "json"  # the style of texts of which all are in double quotes, keys too


def _key(key: str, others: Iterable[Scalar], around: str | None = None) -> str:
    """A key's text in the style of those beside it that are of its kind, numbers or not."""
    if around == _JSON:
        return quoted(key)
    style = next((one.style for one in others if one.text.isdecimal() == key.isdecimal()), None)
    if style == "" and key.isdecimal():
        return key
    return _scalar(key, style if style in ("'", '"') else None, flow=True)[0]


# Values that change


def _replaced(text: _Text, changes: Mapping[Path, Value], data: Any) -> Iterator[_Splice]:
    """Other values for scalars."""
    for path, value in changes.items():
        node = text.node(path)
        if value is GONE or node is None:
            continue
        if not isinstance(node, Scalar) or _is_empty(node):
            raise _unsafe(text.document, path, "it is no scalar")
        holder, flow = _at(data, path[:-1]), text.in_flow(path[:-1])
        written, holder[path[-1]] = _scalar(value, node.style, flow)
        if node.style in ("|", ">"):
            yield from _block_replaced(text, node, written)
        else:
            yield _Splice(text.start(node), text.offset(node.end), written)


def _block_replaced(text: _Text, node: Scalar, written: str) -> Iterator[_Splice]:
    """One line in the place of a block scalar; a comment beside its indicator stays."""
    start, end = text.start(node), text.offset(node.end)
    head = text.skip(r"[|>][-+0-9]*", start)
    yield _Splice(start, head, written)
    line = text.skip(r"[^\r\n]*", head)
    yield _Splice(line, max(line, len(text.text[:end].rstrip("\r\n"))), "")


def _value(value: Value, style: str | None, flow: bool) -> tuple[str, Any]:
    """A value on one line, and what it is read as."""
    if isinstance(value, dict):
        style = style if style == _JSON else None
        items = {key: _value(item, style, flow=True) for key, item in value.items()}
        inside = ", ".join(f"{_key(key, (), style)}: {written}" for key, (written, _) in items.items())
        return f"{{{inside}}}", {key: known for key, (_, known) in items.items()}
    return _scalar(value, style, flow)


# Entries that come


def _added(text: _Text, changes: Mapping[Path, Value], data: Any) -> Iterator[_Splice]:
    """New entries, after the last one of their map."""
    for path, entries in _new(text, changes).items():
        known = text.map(path)
        assert known is not None
        holder = _at(data, path)
        styles = [one.style for one in known.items.values() if isinstance(one, Scalar) and not _is_empty(one)]
        style = _JSON if text.is_json else styles[-1] if styles else None
        flow = text.in_flow(path)
        lines: list[str] = []
        for key, value in entries.items():
            name = _key(key, known.written, style)
            deep = isinstance(value, dict) and any(isinstance(one, dict) for one in value.values())
            if deep and not flow:
                lines.append(f"{name}:")
                made = {}
                for inner, one in value.items():
                    written, made[inner] = _value(one, None, flow=False)
                    lines.append(" " * _step(text, path) + f"{_key(inner, ())}: {written}")
                holder[key] = made
            else:
                written, holder[key] = _value(value, style, flow)
                lines.append(f"{name}: {written}")
        yield from _flow_added(text, known, lines) if flow else _block_added(text, path, known, lines)


def _new(text: _Text, changes: Mapping[Path, Value]) -> dict[Path, dict[str, Value]]:
    """The entries that come, by the path of the map that is there; what is missing on the way to it is in them."""
    new: dict[Path, dict[str, Value]] = {}
    for path, value in changes.items():
        if value is GONE or text.node(path) is not None:
            continue
        length = len(path) - 1
        while text.map(path[:length]) is None:
            if text.node(path[:length]) is not None:
                raise _unsafe(text.document, path[:length], "it is no map")
            length -= 1
        inside = new.setdefault(path[:length], {})
        for key in path[length:-1]:
            inside = inside.setdefault(key, {})
        inside[path[-1]] = value
    return new


def _step(text: _Text, path: Path) -> int:
    """By how many columns a map is indented in the one around it."""
    outer, inner = text.map(path[:-1]) if path else None, text.map(path)
    if outer is None or inner is None:
        return 2
    return int(max(inner.start.column - outer.start.column, 0)) or 2


def _block_added(text: _Text, path: Path, known: MappingNode, lines: list[str]) -> Iterator[_Splice]:
    final = known.written[-1]
    end = text.value_end(final, known.items[final.text])
    ending = text.line_break()
    indent = " " * known.written[0].start.column
    block = "".join(f"{indent}{line}{ending}" for line in lines)
    if end and text.text[end - 1] in "\r\n":  # after a block scalar
        yield _Splice(end, end, block)
        return
    at = text.line_end(end)
    if at is None:
        raise _unsafe(text.document, path, "there is no line for a new entry")
    if at == len(text.text):
        yield _Splice(at, at, ending + block.removesuffix(ending))
    else:
        at = text.skip(r"\r\n|\n|\r", at)
        yield _Splice(at, at, block)


def _flow_added(text: _Text, known: MappingNode, entries: list[str]) -> Iterator[_Splice]:
    if not known.written:
        at = text.start(known) + 1
        yield _Splice(at, at, ", ".join(entries))
        return
    final = known.written[-1]
    key = text.offset(final.start)
    end = text.value_end(final, known.items[final.text])
    start = text.begins_line(key)
    between = ", " if start is None else f",{text.line_break()}{text.text[start:key]}"
    comma = text.skip(r"\s*,", end)
    line = text.line_end(comma)
    if start is None or line is None:  # the map goes on, or ends, on the line
        yield _Splice(end, end, "".join(f"{between}{entry}" for entry in entries))
        return
    if comma == end:
        yield _Splice(end, end, ",")
    more = between[1:] + between.join(entries)
    yield _Splice(line, line, more + ("," if comma > end else ""))


# Entries that go


def _removed(text: _Text, changes: Mapping[Path, Value], data: Any) -> Iterator[_Splice]:
    """Entries are taken out with their lines and the comments on these; comments on lines of their own stay."""
    going: dict[Path, set[str]] = {}
    for path, value in changes.items():
        if value is GONE:
            going.setdefault(path[:-1], set()).add(path[-1])
    for path, keys in going.items():
        known = text.map(path)
        if known is None or not keys <= known.items.keys():
            raise _unsafe(text.document, path, "what is to be taken out is not there")
        holder = _at(data, path)
        for key in keys:
            del holder[key]
        yield from (_flow_removed if text.in_flow(path) else _block_removed)(text, path, known, keys)


def _block_removed(text: _Text, path: Path, known: MappingNode, keys: set[str]) -> Iterator[_Splice]:
    for key in known.written:
        if key.text not in keys:
            continue
        start = text.begins_line(text.offset(key.start))
        end = text.value_end(key, known.items[key.text])
        if text.text[end - 1] not in "\r\n":
            line = text.line_end(end)
            if line is None or start is None:
                raise _unsafe(text.document, (*path, key.text), "it shares its line with something else")
            end = text.skip(r"\r\n|\n|\r", line)
        if start is None:
            raise _unsafe(text.document, (*path, key.text), "it shares its line with something else")
        yield _Splice(start, end, "")
    if keys == known.items.keys():
        holder = text.map(path[:-1])
        if holder is None or not path:
            raise _unsafe(text.document, path, "nothing would be left of it")
        at = text.colon(holder.key(path[-1]))
        yield _Splice(at, at, " {}")


def _flow_removed(text: _Text, path: Path, known: MappingNode, keys: set[str]) -> Iterator[_Splice]:
    ends = {key.text: text.value_end(key, known.items[key.text]) for key in known.written}
    kept: Scalar | None = None  # the last entry before these that stays
    run: list[Scalar] = []
    for key in [*known.written, None]:
        if key is not None and key.text in keys:
            start, end = text.begins_line(text.offset(key.start)), text.skip(r"[ \t]*,", ends[key.text])
            line = text.line_end(end)
            if start is not None and line is not None:  # it has lines of its own
                yield _Splice(start, text.skip(r"\r\n|\n|\r", line), "")
            else:
                run.append(key)
            continue
        if run:
            start, end = text.offset(run[0].start), ends[run[-1].text]
            if key is not None and not re.search(r"[\r\n]", text.text[end : text.offset(key.start)]):
                yield _Splice(start, text.offset(key.start), "")
            elif kept is not None and "#" not in text.text[ends[kept.text] : start]:
                yield _Splice(ends[kept.text], end, "")  # with the comma before
            else:
                yield _Splice(start, text.skip(r"[ \t]*,", end), "")
        kept, run = key, []
