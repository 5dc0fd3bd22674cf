"""Two outputs, an earlier and a new one, document by document: which objects are gone, and which are different.

Documents of equal bytes are never read, nor are those of which one glance at their text shows that nobody cares for the
difference: of 10,000 islands that all changed their image only the text is split.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from replicator.diagnostics import Diagnostic, Place
from replicator.kinds import full_kind
from replicator.parser import source
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node, Sequence

_START = re.compile(rb"^---[ \t]*\r?\n", re.MULTILINE)
_HEAD = re.compile(rb"(?:---\n)?apiVersion: (.*)\nkind: (.*)\nmetadata:\n(?: .*\n)+(?=[a-zA-Z])")
_NAME = re.compile(rb'^  name: "?([^"\n]*)"?$', re.MULTILINE)  # the first one is that of the metadata
_SECTION = re.compile(r"^(?=[^\s#-])|^(?=  [^\s#-])", re.MULTILINE)  # keys of the first and of the second level


class Identity(NamedTuple):
    """What makes an object that one and no other. The namespace is '' where none is written."""

    group: str
    kind: str
    namespace: str
    name: str


class Stored(NamedTuple):
    """An object of an output as plain data, and where its document begins."""

    body: Mapping[str, Any]
    place: Place

    @property
    def api_version(self) -> str:
        return str(self.body["apiVersion"])

    @property
    def kind(self) -> str:
        return str(self.body["kind"])

    @property
    def full_kind(self) -> str:
        """The kind as the tables of kinds have it."""
        return full_kind(self.api_version, self.kind)

    @property
    def namespace(self) -> str:
        return str(self.body["metadata"].get("namespace") or "")

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def identity(self) -> Identity:
        return Identity(self.api_version.rpartition("/")[0], self.kind, self.namespace, self.name)

    @property
    def labels(self) -> Mapping[str, Any]:
        labels = self.body["metadata"].get("labels")
        return labels if isinstance(labels, Mapping) else {}

    def at(self, *path: str) -> Any:
        """What is at a path of keys, or None."""
        value: Any = self.body
        for step in path:
            value = value.get(step) if isinstance(value, Mapping) else None
        return value


class Compared(NamedTuple):
    """Objects that are gone, and those that differ, as they were and are; what of the earlier output is unreadable."""

    gone: list[Stored]
    changed: list[tuple[Stored, Stored]]
    diagnostics: list[Diagnostic]


Wanted = Callable[[str, set[str]], bool]
"""Whether anybody cares that these fields of an object of a kind differ, to the second level: `{'spec.replicas'}`."""


class _Document(NamedTuple):
    file: str
    line: int  # before its first one


_NOWHERE = _Document("", 0)


class Outputs:
    """An earlier output and a new one, given piece by piece in any order; `wanted` says whose changes are read."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._before: dict[bytes, _Document] = {}
        self._after: dict[bytes, _Document] = {}
        self._changed: list[tuple[Stored, Stored]] = []
        self._contents: dict[str, bytes] = {}
        self._found: list[Diagnostic] = []

    def earlier(self, file: str, content: bytes) -> None:
        """A part of the earlier output: of a file, or of what is called so."""
        self._before |= self._placed(file, content)
        self._contents[file] = content

    def now(self, content: bytes) -> None:
        """A part of the new output, or all of it."""
        self._after |= dict.fromkeys(_documents(content), _NOWHERE)

    def file(self, name: str, before: bytes, after: bytes) -> None:
        """A file of the earlier output, and what takes its place: what is in both is settled at once."""
        was, now = self._placed(name, before), dict.fromkeys(_documents(after), _NOWHERE)
        self._settle(was, now)
        self._after |= now
        if was:
            self._before |= was
            self._contents[name] = before

    def is_settled(self) -> bool:
        """Whether all that was there is there, by the text of what was given so far."""
        self._settle(self._before, self._after)
        return not self._before

    @property
    def texts(self) -> dict[str, str]:
        """The texts of the earlier files, for findings in them."""
        return {file: content.decode(errors="replace") for file, content in self._contents.items()}

    def compared(self) -> Compared:
        """What is gone, and what is different where that is wanted; all in the order of the earlier output."""
        self._settle(self._before, self._after)
        left = [one for text, of in self._before.items() for one in _objects(text, of, self._found)]
        names = {one.name.encode() for one in left}
        texts = [text for text in self._after if (match := _NAME.search(text)) is None or match[1] in names]
        known = {one.identity: one for text in texts for one in _objects(text, _NOWHERE, self._found)}
        gone: list[Stored] = []
        for one in left:
            if one.identity in known:
                self._changed.append((one, known[one.identity]))
            else:
                gone.append(one)
        return Compared(gone, self._changed, self._found)

    def _placed(self, file: str, content: bytes) -> dict[bytes, _Document]:
        placed: dict[bytes, _Document] = {}
        line = 0
        for text in _documents(content):
            if not text.isspace():
                placed.setdefault(text, _Document(file, line))
            line += text.count(b"\n")
        return placed

    def _settle(self, before: dict[bytes, _Document], after: dict[bytes, _Document]) -> None:
        """Take away what is equal, and what is of one object by its text; changes that are wanted are read."""
        for text in before.keys() & after.keys():
            del before[text], after[text]
        for old, new, kind in _alike(before, after):
            was, now = before.pop(old), after.pop(new)
            if self._wanted(kind, _different(old, new)):
                self._changed += zip(_objects(old, was, self._found), _objects(new, now, self._found), strict=False)


def head(content: bytes) -> list[str]:
    """The comments that a text begins with, each without its `#`: what is said there is no part of its objects."""
    begins = content[:2].lstrip(b"\n").startswith(b"#")  # the first line may be left blank
    lines = content[: content.find(b"\n---") + 1].split(b"\n") if begins else []
    return [line[1:].decode(errors="replace").strip() for line in lines if line.startswith(b"#")]


def _documents(content: bytes) -> Iterator[bytes]:
    """The texts of the documents of a stream, each with the line that it begins with; of JSON, an object a line."""
    first, _, rest = content.partition(b"\n")
    if first.startswith(b"{") and first.rstrip().endswith(b"}") and rest.lstrip()[:1] in (b"{", b""):
        yield from content.splitlines(keepends=True)
        return
    if content.startswith(b"%") or b"\n%" in content:  # a directive belongs to the document after it
        yield content
        return
    starts = [0, *(match.start() for match in _START.finditer(content)), len(content)]
    for start, end in pairwise(starts):
        if start < end:
            yield content[start:end]


def _alike(before: Iterable[bytes], after: Iterable[bytes]) -> list[tuple[bytes, bytes, str]]:
    """Documents that are of one object, with its kind, where the text shows it as we write it."""
    heads: dict[tuple[bytes, ...], tuple[list[bytes], list[bytes]]] = {}
    for side, texts in enumerate((before, after)):
        for text in texts:
            if (match := _HEAD.match(text)) and b"\n---" not in text[1:]:  # there is one object in it
                heads.setdefault((match[1], match[2], match[0]), ([], []))[side].append(text)
    return [
        (old[0], new[0], full_kind(version.decode(), kind.decode()))
        for (version, kind, _), (old, new) in heads.items()
        if len(old) == len(new) == 1
    ]


def _different(old: bytes, new: bytes) -> set[str]:
    """The fields in which two texts of one object differ, to the second level."""
    was, now = _sections(old), _sections(new)
    return {field for field in {*was, *now} if was.get(field) != now.get(field)}


def _sections(text: bytes) -> dict[str, list[str]]:
    """The parts of a text by the fields that they are of, to the second level."""
    sections: dict[str, list[str]] = {}
    top = ""
    for part in _SECTION.split(text.decode(errors="replace")):
        key = part.partition(":")[0]
        if not key.startswith(" "):
            top = key
        sections.setdefault(key if key == top else f"{top}.{key.strip()}", []).append(part)
    return sections


def _objects(text: bytes, of: _Document, found: list[Diagnostic]) -> list[Stored]:
    """The objects of a document; what is wrong with it goes to `found`."""
    decoded, problems = source.decode_text(of.file, text)
    documents, more = source.load_data(of.file, decoded) if not problems else ([], [])
    found += (_below(one, of.line) for one in (*problems, *more))
    objects: list[Stored] = []
    waiting: list[Node] = [one.root for one in reversed(documents)]
    while waiting:
        node = waiting.pop()
        items = node.get("items") if isinstance(node, MappingNode) else None
        place = _lower(node.place, of.line)
        if isinstance(items, Sequence) and str(node.data.get("kind", "")).endswith("List"):
            waiting += reversed(items.items)
        elif _is_object(node.data):
            objects.append(Stored(node.data, place))
        else:
            message = "this is no Kubernetes object: it has no apiVersion, kind and metadata.name"
            found.append(Diagnostic("R0806", message, place, hint="it is not as `build` wrote it"))
    return objects


def _is_object(data: Any) -> bool:
    if not isinstance(data, Mapping):
        return False
    metadata = data.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return all(isinstance(word, str) and word for word in (data.get("apiVersion"), data.get("kind"), name))


def _below(diagnostic: Diagnostic, lines: int) -> Diagnostic:
    """A finding in a part of a file, as one in the file."""
    related = tuple(one._replace(place=_lower(one.place, lines)) for one in diagnostic.related)
    place = _lower(diagnostic.place, lines) if diagnostic.place is not None else None
    return diagnostic._replace(place=place, related=related)


def _lower(place: Place, lines: int) -> Place:
    return place._replace(line=place.line + lines, end_line=place.end_line + lines)
