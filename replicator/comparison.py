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


class Outputs:
    """An earlier output and a new one, given piece by piece in any order."""

    def __init__(self) -> None:
        self._before: dict[bytes, _Document] = {}
        self._after: dict[bytes, _Document] = {}
        self._contents: dict[str, bytes] = {}

    def earlier(self, file: str, content: bytes) -> None:
        """A part of the earlier output: of a file, or of what is called so."""
        self._contents[file] = content
        line = 0
        for text in _documents(content):
            if not text.isspace():
                self._before.setdefault(text, _Document(file, line))
            line += text.count(b"\n")

    def now(self, content: bytes) -> None:
        """A part of the new output."""
        for text in _documents(content):
            self._after.setdefault(text, _Document("", 0))

    @property
    def texts(self) -> dict[str, str]:
        """The texts of the earlier files, for findings in them."""
        return {file: content.decode(errors="replace") for file, content in self._contents.items()}

    def compared(self, wanted: Wanted) -> Compared:
        """What is gone, and what is different where that is wanted; all in the order of the earlier output."""
        before = {text: of for text, of in self._before.items() if text not in self._after}
        after = {text: of for text, of in self._after.items() if text not in self._before}
        found: list[Diagnostic] = []
        changed: list[tuple[Stored, Stored]] = []
        for old, new, kind, fields in _alike(before, after):
            was, now = before.pop(old), after.pop(new)
            if wanted(kind, fields):
                changed += zip(_objects(old, was, found), _objects(new, now, found), strict=False)
        known = {one.identity: one for text, of in after.items() for one in _objects(text, of, found)}
        gone: list[Stored] = []
        for one in (one for text, of in before.items() for one in _objects(text, of, found)):
            if one.identity in known:
                changed.append((one, known[one.identity]))
            else:
                gone.append(one)
        return Compared(gone, changed, found)


def head(content: bytes) -> list[str]:
    """The comments that a text begins with, each without its `#`: what is said there is no part of its objects."""
    lines = content[: max(content.find(b"---"), 0)].split(b"\n")
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


def _alike(before: Iterable[bytes], after: Iterable[bytes]) -> list[tuple[bytes, bytes, str, set[str]]]:
    """Documents that are of one object by their text, with its kind and the fields that differ, to the second level."""
    heads: dict[_Head, list[tuple[bytes, dict[str, str]]]] = {}
    for text in before:
        _add(heads, text)
    others: dict[_Head, list[tuple[bytes, dict[str, str]]]] = {}
    for text in after:
        _add(others, text)
    made = []
    for head, own in heads.items():
        same = others.get(head, [])
        if len(own) == len(same) == 1:
            (old, was), (new, now) = own[0], same[0]
            fields = {field for field in {*was, *now} if was.get(field) != now.get(field)}
            made.append((old, new, full_kind(*head[:2]), fields))
    return made


_Head = tuple[str, str, str]  # API version, kind, metadata


def _add(heads: dict[_Head, list[tuple[bytes, dict[str, str]]]], text: bytes) -> None:
    """Put a document under its head, if its text shows it."""
    sections: dict[str, str] = {}
    top = ""
    for part in _SECTION.split(text.decode(errors="replace")):
        key = part.partition(":")[0]
        if key.startswith(" "):
            key = f"{top}.{key.strip()}"
        else:
            top = key
        if sections.setdefault(key, part) is not part:  # several objects in one text
            return
    if {"apiVersion", "kind", "metadata"} <= sections.keys():
        words = [sections.pop(key).partition(":")[2].strip() for key in ("apiVersion", "kind")]
        of_metadata = [key for key in sections if key.partition(".")[0] == "metadata"]
        metadata = "".join(sections.pop(key) for key in of_metadata)
        heads.setdefault((words[0], words[1], metadata), []).append((text, sections))


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
