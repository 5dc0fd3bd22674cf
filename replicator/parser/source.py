"""Bytes to documents of nodes that know their line and column; what YAML readers disagree on stops here."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, Protocol

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from replicator.diagnostics import Diagnostic, Place, Related, lines_of
from replicator.parser.scalars import SUSPECTS, Disputed, OutOfRange, key_as_kubectl, resolve, resolve_as_kubectl

try:
    from yaml._yaml import CParser as _Parser
except ImportError:  # PyYAML built without libyaml: slower, the same events
    from yaml.parser import Parser as _PureParser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class _Parser(Reader, Scanner, _PureParser):  # type: ignore[no-redef]
        def __init__(self, stream: Any) -> None:
            Reader.__init__(self, stream)
            Scanner.__init__(self)
            _PureParser.__init__(self)


MAX_BYTES = 5_000_000
MAX_DEPTH = 64
MAX_ALIASED = 20_000  # nodes, or hundreds of characters, that aliases may add to one file
MAX_DOCUMENTS = 10_000
_MAX_FINDINGS = 100  # of one file; a file with more is not a file of the DSL

_UNFIT_ASCII = re.compile("[^\t\n\r\x20-\x7e]")


@cache
def _unfit() -> re.Pattern[str]:
    """What is not c-printable in YAML 1.2, and the line breaks that only YAML 1.1 knows (U+0085, U+2028, U+2029)."""
    return re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


class _Mark(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


class Node:
    """A YAML node: `data` is its plain Python value, `start` and `end` are its marks."""

    __slots__ = ("data", "end", "start")
    data: Any

    def __init__(self, data: Any, start: _Mark, end: _Mark) -> None:
        self.data = data
        self.start = start
        self.end = end

    @property
    def place(self) -> Place:
        start, end = self.start, self.end
        return Place(start.name, start.line + 1, start.column + 1, end.line + 1, end.column + 1)


class Scalar(Node):
    """A scalar: `text` as the author wrote it, unquoted; `style` is '' (plain), one quote, '|' or '>'."""

    __slots__ = ("style", "text")

    def __init__(self, data: Any, start: _Mark, end: _Mark, text: str, style: str) -> None:
        self.data = data
        self.start = start
        self.end = end
        self.text = text
        self.style = style

    @property
    def place(self) -> Place:
        start, end = self.start, self.end
        if self.style in ("|", ">"):  # point at the indicator, not at all the text
            return Place(start.name, start.line + 1, start.column + 1, start.line + 1, start.column + 2)
        return Place(start.name, start.line + 1, start.column + 1, end.line + 1, end.column + 1)

    def part(self, offset: int, length: int) -> Place:
        """The place of a part of the text, where the text stands in the file as it is read; else of the whole."""
        whole = self.place
        quotes = 2 if self.style in ("'", '"') else 0
        verbatim = self.end.column - self.start.column == len(self.text) + quotes
        if self.start.line != self.end.line or not verbatim or self.style in ("|", ">"):
            return whole
        column = whole.column + quotes // 2 + offset
        return Place(whole.file, whole.line, column, whole.line, column + length)


class Sequence(Node):
    """A sequence of nodes."""

    __slots__ = ("items",)

    def __init__(self, data: list[Any], start: _Mark, end: _Mark, items: list[Node]) -> None:
        self.data = data
        self.start = start
        self.end = end
        self.items = items

    @property
    def place(self) -> Place:
        start = self.start
        return Place(start.name, start.line + 1, start.column + 1, start.line + 1, start.column + 2)


class Mapping(Node):
    """A mapping: the text of a key to its value in `items`, in written order; `written` are the keys' own nodes."""

    __slots__ = ("by_text", "items", "written")
    by_text: dict[str, Scalar] | None

    def __init__(
        self, data: dict[str, Any], start: _Mark, end: _Mark, items: dict[str, Node], written: list[Scalar]
    ) -> None:
        self.data = data
        self.start = start
        self.end = end
        self.items = items
        self.written = written
        self.by_text = None

    @property
    def place(self) -> Place:
        start = self.start
        return Place(start.name, start.line + 1, start.column + 1, start.line + 1, start.column + 2)

    def get(self, *path: str) -> Node | None:
        """The node at a path of keys, or None."""
        node: Node | None = self
        for key in path:
            if not isinstance(node, Mapping):
                return None
            node = node.items.get(key)
        return node

    def key(self, key: str) -> Scalar:
        """The node of a key."""
        if self.by_text is None:
            self.by_text = {node.text: node for node in self.written}
        return self.by_text[key]

    def key_place(self, key: str) -> Place:
        """Where a key is written."""
        return self.key(key).place


class Document(NamedTuple):
    """One YAML document of a file, or (`listed`) an item of one that is a List."""

    file: str
    root: Mapping
    listed: bool = False

    @property
    def kind(self) -> str:
        return str(self.root.data.get("kind", ""))

    @property
    def identity(self) -> str:
        """Kind, namespace and name, as they are written."""
        metadata = self.root.data.get("metadata")
        parts = [metadata.get(field) for field in ("namespace", "name")] if isinstance(metadata, dict) else []
        return f"{self.kind} {'/'.join(str(part) for part in parts if part)}".rstrip()


class _Named(io.BytesIO):
    name: str


class _Frame:
    """A collection that is not closed yet."""

    __slots__ = ("anchor", "data", "depth", "flow", "items", "key", "mapping", "size", "start", "written")

    def __init__(self, mapping: bool, event: Any) -> None:
        self.mapping = mapping
        self.start = event.start_mark
        self.anchor = event.anchor
        self.flow = bool(event.flow_style)
        self.data: Any = {} if mapping else []
        self.items: Any = {} if mapping else []
        self.written: list[Scalar] = []
        self.key: Scalar | None = None
        self.size = 1
        self.depth = 1


class _Stop(Exception):
    """The rest of the file cannot be read."""


def decode_text(file: str, raw: bytes) -> tuple[str, list[Diagnostic]]:
    """UTF-8 bytes to text (a byte order mark is dropped), or the diagnostic that says why not."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in raw[:64]:
        what = "UTF-16 or UTF-32" if raw.count(b"\x00") * 4 > len(raw[:64]) else "a binary file"
        return "", [
            Diagnostic(
                "R0102",
                f"the file is not UTF-8 text: it looks like {what}",
                Place(file, 1, 1, 1, 2),
                hint="save it as UTF-8",
            )
        ]
    try:
        return raw.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        message = f"the file is not UTF-8 text: byte 0x{raw[error.start]:02x} at offset {error.start}"
        place = _after(file, error.object[: error.start].decode())
        return "", [Diagnostic("R0102", message, place, hint="save it as UTF-8")]


def _after(file: str, before: str) -> Place:
    """The place of the character that stands after a text."""
    lines = lines_of(before)
    line, column = len(lines), len(lines[-1]) + 1
    return Place(file, line, column, line, column + 1)


def load_data(file: str, text: str) -> tuple[list[Document], list[Diagnostic]]:
    """The documents of a file that is data: its scalars are read as kubectl reads them, and merge keys are merged."""
    reader = _DataReader(file, text)
    documents = list(reader.documents())
    return documents, reader.found


def load(
    file: str, text: str, wanted: str = "a document must be a map with apiVersion, kind, metadata and spec"
) -> tuple[list[Document], list[Diagnostic]]:
    """The documents of a text, and what is wrong with it. Empty documents are left out.

    `wanted` is what to say about a document that is no map.
    """
    reader = _Reader(file, text, wanted)
    documents = list(reader.documents())
    return documents, reader.found


class _Reader:
    odd_keys = frozenset("<")  # what a plain key begins with that is more than its text

    def __init__(self, file: str, text: str, wanted: str = "a document must be a map") -> None:
        self.file = file
        self.text = text
        self.wanted = wanted
        self.found: list[Diagnostic] = []
        self.anchors: dict[str, tuple[Node, int, int] | None] = {}
        self.aliased = 0
        self.weights: dict[int, int] = {}

    def say(self, code: str, message: str, place: Place, hint: str = "", *related: Related) -> None:
        self.found.append(Diagnostic(code, message, place, hint=hint, related=related))
        if len(self.found) >= _MAX_FINDINGS:
            raise _Stop

    def documents(self) -> Iterator[Document]:
        unfit = (_UNFIT_ASCII if self.text.isascii() else _unfit()).search(self.text)
        if unfit and self.is_unfit(unfit[0]):
            self.unfit(unfit)
            return
        stream = _Named(self.text.encode())
        stream.name = self.file
        number = 0
        try:
            parser = _Parser(stream)
            while (root := self.document(parser)) is not _END:
                number += 1
                if number > MAX_DOCUMENTS:
                    self.say("R0109", f"more than {MAX_DOCUMENTS:,} documents in one file", root.place)
                    return
                if isinstance(root, Mapping):
                    yield Document(self.file, root)
                elif root.data is not None:
                    self.say(
                        "R0201",
                        self.wanted,
                        root.place,
                    )
        except yaml.MarkedYAMLError as error:
            self.syntax(error)
        except _Stop:
            return

    def is_unfit(self, character: str) -> bool:
        return True

    def unfit(self, match: re.Match[str]) -> None:
        """The first character that YAML forbids, or that only YAML 1.1 takes for a line break."""
        place = _after(self.file, self.text[: match.start()])
        code = ord(match[0])
        if match[0] in "\x85\u2028\u2029":
            escape = "\\x85" if code == 0x85 else f"\\u{code:04x}"
            self.say(
                "R0106",
                f"U+{code:04X} is a line break in YAML 1.1 and a character in YAML 1.2",
                place,
                f"write it as {escape} in a double-quoted string",
            )
        else:
            self.say(
                "R0101",
                f"the character U+{code:04X} is not allowed in YAML",
                place,
                "remove it, or escape it in a double-quoted string",
            )

    def syntax(self, error: yaml.MarkedYAMLError) -> None:
        mark = error.problem_mark or error.context_mark
        if error.context_mark and re.search("quoted|flow", error.context or ""):
            mark = error.context_mark  # what was opened there is not closed
        lines = lines_of(self.text)

        def place_of(mark: Any) -> Place:
            """Where a mark is; the end of the text is the end of its last line, whatever the parser counts."""
            line, column = mark.line, mark.column
            if line >= len(lines):
                line, column = len(lines) - 1, len(lines[-1])
            return Place(self.file, line + 1, column + 1, line + 1, column + 2)

        place = place_of(mark) if mark else Place(self.file, 1, 1, 1, 2)
        if "nesting depth" in (error.problem or ""):  # libyaml 0.2.6 reads ahead, and has a limit of its own
            self.say("R0109", f"nested more than {MAX_DEPTH} levels deep", place)
            return
        line, column = place.line - 1, place.column - 1
        hint = ""
        for number in range(max(0, line - 1), line + 1):
            if re.search(r"[\[{,][^\[\]{}'\",]*\w\S*\{\{", lines[number]):
                hint = 'between brackets a text with an expression in it must be quoted as a whole: "a-{{ … }}"'
            elif re.search(r"(?:^|[:\-\[{,]\s*)\{\{", lines[number]):
                hint = 'an expression at the start of a value must be quoted: "{{ … }}"'
        if not hint and "\t" in lines[line][: column + 1]:
            hint = "YAML is indented with spaces, never with tabs"
        message = "not YAML: " + (error.problem or "it cannot be read").replace("did not find", "missing")
        related: tuple[Related, ...] = ()
        if error.context_mark and error.context and (context := place_of(error.context_mark)) != place:
            related = (Related(error.context, context),)
        self.say("R0101", message, place, hint, *related)

    def value(self, scalar: Scalar) -> None:
        """Resolve a plain scalar in value position. In key position the text stays as it is."""
        text = scalar.text
        if scalar.style or (text and text[0] not in SUSPECTS):
            return
        try:
            scalar.data = resolve(text)
        except Disputed:
            shown = text if len(text) <= 40 else text[:39] + "…"
            self.say(
                "R0106",
                f"YAML 1.1 and YAML 1.2 read `{shown}` differently",
                scalar.place,
                f'write "{shown}" for the text, or '
                + ("true or false" if text.isalpha() else "a plain decimal number"),
            )
        except OutOfRange:
            self.say(
                "R0111",
                f"`{text[:40]}` is a number that JSON cannot hold",
                scalar.place,
                "quote it if it is text",
            )

    def tag(self, event: Any) -> None:
        place = Node(None, event.start_mark, event.end_mark).place
        self.say(
            "R0105",
            f"tags are not part of the DSL: {event.tag}",
            place._replace(end_line=place.line, end_column=place.column + 1),
            "remove the tag; quote the value if it is text",
        )

    def document(self, parser: Any) -> Node:
        """The root of the next document, or `_END`."""
        get, odd_keys = parser.get_event, self.odd_keys
        stack: list[_Frame] = []
        frame: _Frame | None = None
        self.anchors = {}
        while True:
            event = get()
            kind = event.__class__
            if kind is ScalarEvent:  # by far the most: nothing is called for one that has no tag, anchor or trap
                text = event.value
                style = "" if event.implicit[0] else event.style or '"'
                scalar = Scalar(text, event.start_mark, event.end_mark, text, style)
                if event.tag is not None:
                    self.tag(event)
                if event.anchor is not None:
                    self.anchors[event.anchor] = (scalar, 1, 0)
                if frame is not None and frame.mapping and frame.key is None:
                    if text in frame.items or (not style and (not text or text[0] in odd_keys)):
                        self.key(frame, scalar)
                    else:
                        frame.key = scalar
                        frame.written.append(scalar)
                    continue
                if not style and (not text or text[0] in SUSPECTS):
                    self.value(scalar)
                if frame is None:
                    return scalar
                if frame.key is None:
                    frame.items.append(scalar)
                    frame.data.append(scalar.data)
                else:
                    text = frame.key.text
                    if text not in frame.items:
                        frame.items[text] = scalar
                        frame.data[text] = scalar.data
                    frame.key = None
                continue
            node: Node
            if kind is MappingStartEvent or kind is SequenceStartEvent:
                if event.tag is not None:
                    self.tag(event)
                if len(stack) >= MAX_DEPTH:
                    self.say(
                        "R0109",
                        f"nested more than {MAX_DEPTH} levels deep",
                        Node(None, event.start_mark, event.end_mark).place,
                    )
                    raise _Stop
                if frame is not None and frame.mapping and frame.key is None:
                    self.complex_key(frame, kind is MappingStartEvent, event)
                frame = _Frame(kind is MappingStartEvent, event)
                stack.append(frame)
                if event.anchor:
                    self.anchors[event.anchor] = None
                continue
            if kind is MappingEndEvent or kind is SequenceEndEvent:
                closed = stack.pop()
                frame = stack[-1] if stack else None
                size, depth = closed.size + len(closed.items), closed.depth
                if closed.mapping:
                    self.merge(closed)
                    node = Mapping(closed.data, closed.start, event.end_mark, closed.items, closed.written)
                else:
                    node = Sequence(closed.data, closed.start, event.end_mark, closed.items)
                if closed.anchor:
                    self.anchors[closed.anchor] = (node, size, depth)
            elif kind is AliasEvent:
                node, size, depth = self.alias(event, len(stack))
                if frame is not None and frame.mapping and frame.key is None:
                    if not isinstance(node, Scalar):
                        place = Node(None, event.start_mark, event.end_mark).place
                        self.say("R0108", "a key must be text, not a map or a list", place)
                        raise _Stop
                    node = Scalar(node.data, event.start_mark, event.end_mark, node.text, node.style)
            elif kind is StreamEndEvent:
                return _END
            else:  # the stream's start, a document's start or end
                if kind is DocumentStartEvent:
                    self.anchors = {}
                continue
            if frame is None:
                return node
            frame.size += size
            if depth >= frame.depth:
                frame.depth = depth + 1
            if not frame.mapping:
                frame.items.append(node)
                frame.data.append(node.data)
            elif frame.key is None:
                self.key(frame, node)
            else:
                text = frame.key.text
                if text not in frame.items:
                    frame.items[text] = node
                    frame.data[text] = node.data
                frame.key = None

    def key(self, frame: _Frame, node: Node) -> None:
        if not isinstance(node, Scalar):
            frame.key = Scalar("", node.start, node.end, f"?{len(frame.items)}", '"')  # reported when it began
            return
        text = node.text
        if not node.style and (text == "" or text == "<<"):
            what = "a merge key (`<<`) is YAML 1.1 only" if text else "a key is missing"
            self.say("R0108", what, node.place, "write the fields out, or quote the key")
        if text in frame.items:
            self.say(
                "R0103",
                f'the key "{text.removeprefix(_HIDDEN)}" is written twice',
                node.place,
                "",
                Related("first written here", next(key for key in frame.written if key.text == text).place),
            )
        else:
            frame.written.append(node)
        frame.key = node

    def merge(self, frame: _Frame) -> None:
        """Where the language has merge keys, write the merged fields into a mapping that ends."""

    def complex_key(self, frame: _Frame, mapping: bool, event: Any) -> None:
        place = Node(None, event.start_mark, event.end_mark).place
        if mapping and frame.flow and event.flow_style and event.start_mark.column == frame.start.column + 1:
            self.say(
                "R0107",
                "YAML reads `{{ … }}` as a map",
                place._replace(column=place.column - 1),
                'quote the expression: "{{ … }}"',
            )
        else:
            self.say("R0108", "a key must be text, not a map or a list", place)
        raise _Stop

    def weight(self, node: Node) -> int:
        """A node for every hundred characters of text under a node; at most what aliases may add."""
        if id(node) not in self.weights:
            waiting, characters = [node], 0
            while waiting and characters <= MAX_ALIASED * 100:
                one = waiting.pop()
                if isinstance(one, Scalar):
                    characters += len(one.text)
                elif isinstance(one, Mapping):
                    waiting += one.items.values()
                elif isinstance(one, Sequence):
                    waiting += one.items
            self.weights[id(node)] = characters // 100
        return self.weights[id(node)]

    def alias(self, event: Any, above: int) -> tuple[Node, int, int]:
        place = Node(None, event.start_mark, event.end_mark).place
        if event.anchor not in self.anchors:
            self.say("R0104", f"the alias *{event.anchor} names no anchor before it", place)
            raise _Stop
        target = self.anchors[event.anchor]
        if target is None:
            self.say(
                "R0104",
                f"the alias *{event.anchor} refers to a node that contains it",
                place,
                "write the value out",
            )
            raise _Stop
        self.aliased += max(target[1], self.weight(target[0]))
        if self.aliased > MAX_ALIASED:
            self.say(
                "R0104",
                f"aliases add more than {MAX_ALIASED:,} nodes to the file",
                place,
                "write the value out",
            )
            raise _Stop
        if above + target[2] > MAX_DEPTH:
            self.say("R0109", f"nested more than {MAX_DEPTH} levels deep", place)
            raise _Stop
        return target


class _DataReader(_Reader):
    """Files of others: what kubectl takes is taken."""

    odd_keys = SUSPECTS

    def is_unfit(self, character: str) -> bool:
        return character not in "\x85\u2028\u2029"  # line breaks to kubectl's reader, as to this one

    def value(self, scalar: Scalar) -> None:
        text = scalar.text
        if scalar.style or (text and text[0] not in SUSPECTS):
            return
        try:
            scalar.data = resolve_as_kubectl(text)
        except OutOfRange:
            self.say(
                "R0111", f"`{text[:40]}` is a number that JSON cannot hold", scalar.place, "quote it if it is text"
            )

    def key(self, frame: _Frame, node: Node) -> None:
        if isinstance(node, Scalar) and not node.style and node.text:
            node = Scalar(node.data, node.start, node.end, self.key_text(node), node.style)
        super().key(frame, node)

    def key_text(self, node: Scalar) -> str:
        """What a plain key is called."""
        if node.text == "<<":
            return MERGE
        try:
            return key_as_kubectl(node.text)
        except Disputed:
            message = f"kubectl does not read the key `{node.text}` as this text"
            self.say("R0106", message, node.place, f'quote it: "{node.text}"')
        except OutOfRange:
            message = f"the key `{node.text[:40]}` is a number that JSON cannot hold"
            self.say("R0111", message, node.place, "quote it if it is text")
        return node.text

    def merge(self, frame: _Frame) -> None:
        merged = frame.items.pop(MERGE, None)
        if merged is None:
            return
        number, key = next((number, node) for number, node in enumerate(frame.written) if node.text == MERGE)
        before = {node.text: node for node in frame.written[:number]}
        del frame.written[number], frame.data[MERGE]
        for source in merged.items if isinstance(merged, Sequence) else [merged]:
            if not isinstance(source, Mapping):
                self.say("R0108", "a merge key takes a map, or a list of maps", key.place)
                return
            for name, node in source.items.items():
                if name in before:
                    message = f"YAML keeps this `{name}`; kubectl takes that of the merge key, which comes after it"
                    self.say("R0106", message, before[name].place, "write the merge key (`<<`) first")
                if name not in frame.items:
                    frame.items[name] = node
                    frame.data[name] = node.data
                    frame.written.append(source.key(name))


_HIDDEN = "\0"
MERGE = f"{_HIDDEN}<<"  # what a merge key is called while its map is read: no key of an author
_END = Node(None, None, None)  # type: ignore[arg-type]
