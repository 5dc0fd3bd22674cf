"""Host names in the texts of an island's objects: tokens that name a Service of the island, written out in full.

Only what looks like a host is judged: `name:port`, `scheme://name`, `name.namespace.svc…`, each with a pod's name
before it where the Service is a StatefulSet's; never a bare word, never a part of a longer name. A token that names
nothing in the set stays as it is. https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from replicator.diagnostics import Place
from replicator.expression.values import Failure
from replicator.kinds import TEMPLATES, full_kind
from replicator.sources import Digest
from replicator.tree import Hole, Leaf, List, Manifest, Map, Text, Tree, leaf, text

FIELDS = ("env", "args", "configMaps", "probes", "annotations")

# No text has these: they stand for holes, of any text and of a number.
_HOLE, _NUMBER = "\udcff", "\udcfe"
# What is known at run time only is a part of a name that nobody knows whole: `$(POD_NAME)`, `${NAMESPACE}`, a hole.
_LABEL = rf"(?:[a-z0-9-]++|\$\([A-Za-z0-9_.-]++\)|\$\{{[A-Za-z0-9_]++\}}|[{_HOLE}{_NUMBER}])++"
_EDGE = rf"[A-Za-z0-9_\-{_HOLE}{_NUMBER}]"
_TOKEN = re.compile(
    rf"""(?<!{_EDGE})(?<![.)}}]) (?P<host>{_LABEL}(?:\.{_LABEL})*) (?!{_EDGE}) (?!\.{_EDGE}|\.\$)
    (?: (?P<port>:(?:[0-9]{{1,5}}|{_NUMBER})(?!{_EDGE})(?!\.[A-Za-z0-9])(?!@)) | (?!:[^/\s]*@)(?!:[0-9])(?!@) )""",
    re.VERBOSE,
)
_WHOLE = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_KNOWN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_IN_URL = re.compile(r"://(?:[^/\s@]*@)?\Z")


def may_name(content: str, services: Container[str]) -> bool:
    """Whether a text is a Service's name, or has a token that may name one."""
    return content in services or any(token.name in services for _, _, ways in readings(content) for token in ways)


class Token(NamedTuple):
    """A host name, as one way to read it: its labels, and which of them are a pod, a Service and a namespace."""

    labels: tuple[str, ...]
    pod: int | None
    service: int
    namespace: int | None

    @property
    def name(self) -> str:
        return self.labels[self.service]

    @property
    def is_known(self) -> bool:
        """Whether the Service's name is known: no part of it is an island's value, or a variable's."""
        return _KNOWN.fullmatch(self.name) is not None

    def __str__(self) -> str:
        end = len(self.labels) if self.namespace is None else self.namespace + 1
        shown = ".".join(self.labels[:end]) + (".svc" if "svc" in self.labels[end : end + 1] else "")
        return re.sub(f"[{_HOLE}{_NUMBER}]", "…", shown)


def readings(content: str, whole: bool = False) -> Iterator[tuple[int, int, list[Token]]]:
    """The host-like tokens of a text: start, end, and the ways to read each. With `whole` the text is one host."""
    if whole:
        if _WHOLE.fullmatch(content):
            host = content.removesuffix(".")
            yield 0, len(host), list(_ways(tuple(host.split(".")), True))
        return
    if ":" not in content and ".svc" not in content:
        return
    for match in _TOKEN.finditer(content):
        start, host = match.start("host"), match["host"]
        if match["port"] is None and ".svc" not in host and content[start - 1 : start] not in ("/", "@"):
            continue  # a word like most
        before = content[max(0, start - 120) : start]
        in_url = _IN_URL.search(before) is not None
        named = in_url or (match["port"] is not None and not before.endswith("/"))  # else a path such as an image's
        ways = list(_ways(tuple(host.split(".")), named))
        if ways:
            yield start, match.end("host"), ways


def _ways(labels: tuple[str, ...], named: bool) -> Iterator[Token]:
    """How the labels of a host name can be read; without a port or a scheme only with `svc`."""
    if "svc" in labels[2:4]:
        end = labels.index("svc", 2)
        yield Token(labels, end - 3 if end == 3 else None, end - 2, end - 1)
    elif named:
        if len(labels) == 1:
            yield Token(labels, None, 0, None)
        elif len(labels) == 2:
            yield Token(labels, 0, 1, None)
            yield Token(labels, None, 0, 1)
        elif len(labels) == 3:
            yield Token(labels, 0, 1, 2)


class Service(NamedTuple):
    """A Service of the island: its full name, and the namespaces in which authors may have written it."""

    full: Text
    namespaces: frozenset[str]


class Found(NamedTuple):
    """A token that names a Service of the island, and where it stands."""

    token: str
    service: str
    where: Leaf


class Hosts:
    """The Services of an island, and the texts of its objects that may name them.

    `services` and `stateful` (StatefulSets, whose pods have names of their own) are by their names in the island.
    `namespace` is the island's; `fields` are those whose texts are changed.
    """

    def __init__(
        self,
        services: Mapping[str, Service],
        stateful: Mapping[str, Text],
        namespace: Text,
        fields: frozenset[str],
    ) -> None:
        self.services = services
        self.stateful = stateful
        self.namespace = namespace
        self.fields = fields
        self.found: list[Found] = []
        self.lost: list[Found] = []
        """The tokens that name pods of the island's Services which no StatefulSet of it makes."""
        self.strange: list[Found] = []
        """The tokens of a name by itself, with no namespace, that no Service of the island has."""
        self.open: list[Place] = []
        """Where texts have parts that may be any text, a host among them."""

    def judge(self, manifest: Manifest) -> Manifest:
        """The object with the tokens in the fields that are asked for written out; every token is noted."""
        body = manifest.body
        for path, field in texts_of(manifest):
            made = self._walk(body, path, field)
            assert isinstance(made, Map)
            body = made
        return manifest._replace(body=body)

    def name(self, node: Leaf) -> Leaf | None:
        """A leaf that is one host name, written out; None where it names no Service of the island."""
        made = self._rewritten(node, True, whole=True)
        return None if made is None else leaf(made, node.origin)

    def _walk(self, node: Tree, path: tuple[str, ...], field: str, whole: bool = False) -> Tree:
        if isinstance(node, Leaf):
            return self._leaf(node, field, whole)
        if isinstance(node, List) and path[:1] in (("[]",), ()):
            return List(tuple(self._walk(item, path[1:], field) for item in node.items), node.origin)
        if not isinstance(node, Map):
            return node
        if not path:
            hosts = ("host",) if field == "probes" else ()
            return Map(tuple((key, self._walk(item, (), field, key in hosts)) for key, item in node.items), node.origin)
        first, *rest = path
        items = [(key, self._walk(item, tuple(rest), field) if first == key else item) for key, item in node.items]
        return Map(tuple(items), node.origin)

    def _leaf(self, node: Leaf, field: str, whole: bool) -> Leaf:
        digest = digest_of(node)
        if digest is not None:  # of files: what they are in the end
            return self._digest(node, digest)
        if node.origin.place is None or not isinstance(node.value, (str, tuple)):
            return node
        if any(isinstance(part, Hole) and part.kind not in ("label", "name", "int") for part in node.value):
            self.open.append(node.origin.place)
        made = self._rewritten(node, field in self.fields, whole)
        return node if made is None else leaf(made, node.origin)

    def _digest(self, node: Leaf, digest: Digest) -> Leaf:
        if "configMaps" not in self.fields:
            return node
        found = len(self.found)
        volumes = []
        for volume in digest.volumes:
            texts = [(name, self._rewritten(Leaf(content), True) or content) for name, content in volume.texts]
            volumes.append(volume._replace(texts=tuple(texts)))
        del self.found[found:]  # they are noted where the files are
        return Leaf((Hole("label", Digest(tuple(volumes))),), node.origin)

    def _rewritten(self, node: Leaf, change: bool, whole: bool = False) -> Text | None:
        """The leaf's text with its tokens written out; None where nothing is to be changed."""
        changed = False

        def answer(ways: list[Token]) -> Text | None:
            nonlocal changed
            token = next((way for way in ways if self._is_ours(way)), None)
            if token is None:
                lost = next((way for way in ways if self._is_lost(way)), None)
                self.lost += [Found(str(lost), lost.name, node)] if lost is not None else []
                alone = (way for way in ways if way.is_known and way.pod is None and way.namespace is None)
                self.strange += (Found(str(way), way.name, node) for way in alone if node.origin.place is not None)
                return None
            self.found.append(Found(str(token), token.name, node))
            changed = changed or change
            return self._full(token) if change else None

        assert isinstance(node.value, (str, tuple))
        made = _replaced(node.value, answer, whole)
        return made if changed else None

    def _is_ours(self, token: Token) -> bool:
        service = self.services.get(token.name)
        if service is None:
            return False
        if token.namespace is None:
            label = token.labels[token.pod] if token.pod is not None else ""
            return not _KNOWN.fullmatch(label) or self._pod(label) is not None
        namespace = token.labels[token.namespace]
        return not _KNOWN.fullmatch(namespace) or namespace in service.namespaces

    def _is_lost(self, token: Token) -> bool:
        """Whether it looks like a pod's name before that of a Service of the island."""
        pod = token.labels[token.pod] if token.pod is not None else ""
        rest = token._replace(labels=token.labels[1:], pod=None, service=token.service - 1)
        if token.namespace is not None:
            rest = rest._replace(namespace=token.namespace - 1)
        return pod.rpartition("-")[2].isdecimal() and self._is_ours(rest)

    def _pod(self, label: str) -> Text | None:
        """A pod of a StatefulSet of the island, by its name in the island."""
        name, _, ordinal = label.rpartition("-")
        full = self.stateful.get(name) if ordinal.isdecimal() or not _KNOWN.fullmatch(ordinal) else None
        return None if full is None else text(full, f"-{ordinal}")

    def _full(self, token: Token) -> Text:
        parts: list[str | Text] = list(token.labels)
        parts[token.service] = self.services[token.name].full
        if token.pod is not None:
            parts[token.pod] = self._pod(token.labels[token.pod]) or token.labels[token.pod]
        if token.namespace is not None and self.namespace and _KNOWN.fullmatch(token.labels[token.namespace]):
            parts[token.namespace] = self.namespace
        return _dotted(parts)


def _dotted(parts: list[str | Text]) -> Text:
    joined: list[str | Text] = []
    for part in parts:
        joined += [".", part] if joined else [part]
    return text(*joined)


def _replaced(value: str | Text, answer: Callable[[list[Token]], Text | None], whole: bool = False) -> Text:
    """A text with its tokens replaced by what `answer` makes of them; None keeps one as it is."""
    parts = (value,) if isinstance(value, str) else value
    joined = "".join(part if isinstance(part, str) else _NUMBER if part.kind == "int" else _HOLE for part in parts)
    holes = [part for part in parts if not isinstance(part, str)]
    made: list[str | Text] = []
    done = 0
    for start, end, ways in readings(joined, whole):
        new = answer(ways)
        if new is not None:
            made += [joined[done:start], new]
            done = end
    made.append(joined[done:])
    filled: list[str | Text] = []
    for part in made:  # what stands for a hole is the hole again, in order
        for piece in text(part):
            pieces = re.split(f"([{_HOLE}{_NUMBER}])", piece) if isinstance(piece, str) else [piece]
            filled += [(holes.pop(0),) if one in (_HOLE, _NUMBER) else text(one) for one in pieces]
    return text(*filled)


def names_in(node: Leaf, whole: bool = False) -> Iterator[Token]:
    """The tokens of a leaf's text, in every way to read them."""
    if isinstance(node.value, (str, tuple)):
        for _, _, ways in readings(_joined(node.value), whole):
            yield from ways


def _joined(value: str | Text) -> str:
    parts = (value,) if isinstance(value, str) else value
    return "".join(part if isinstance(part, str) else _HOLE for part in parts)


def settled(manifest: Manifest) -> Map:
    """The object with the digests of its pods' files that do not depend on the island."""
    body = manifest.body
    for path in TEMPLATES.get(full_kind(manifest.api_version, manifest.kind), ()):
        if path:
            made = _settled(body, (*path.split("."), "metadata", "annotations"))
            assert isinstance(made, Map)
            body = made
    return body


def _settled(node: Tree, path: tuple[str, ...]) -> Tree:
    if not isinstance(node, Map):
        return node
    if path:
        child = node.get(path[0])
        new = None if child is None else _settled(child, path[1:])
        if new is child:
            return node
        return Map(tuple((key, new if key == path[0] and new else item) for key, item in node.items), node.origin)
    changed = {}
    for key, item in node.items:
        digest = digest_of(item) if isinstance(item, Leaf) else None
        if digest is None or digest.reads or not isinstance(item, Leaf):
            continue
        with suppress(Failure):  # which is told where it is evaluated for the islands
            changed[key] = Leaf(digest.value(None), item.origin)
    return Map(tuple((key, changed.get(key, item)) for key, item in node.items), node.origin) if changed else node


def digest_of(node: Leaf) -> Digest | None:
    """The digest that a leaf stands for, if it stands for one."""
    if isinstance(node.value, tuple) and len(node.value) == 1 and isinstance(node.value[0], Hole):
        source = node.value[0].source
        return source if isinstance(source, Digest) else None
    return None


def texts_of(manifest: Manifest) -> Iterator[tuple[tuple[str, ...], str]]:
    """The paths of an object's texts, with the name under which `rewriteHosts` knows them."""
    kind = full_kind(manifest.api_version, manifest.kind)
    for template in TEMPLATES.get(kind, ()):
        steps = tuple(template.replace("[]", ".[]").split(".")) if template else ()
        for containers in ("containers", "initContainers", "ephemeralContainers"):
            container = (*steps, "spec", containers, "[]")
            yield (*container, "env", "[]", "value"), "env"
            yield (*container, "args"), "args"
            yield (*container, "command"), "args"
            for probe in ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle"):
                yield (*container, probe), "probes"
        if template:
            yield (*steps, "metadata", "annotations"), "annotations"
    if kind == "ConfigMap":
        yield ("data",), "configMaps"
    yield ("metadata", "annotations"), "annotations"
