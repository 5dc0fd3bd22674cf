"""Host names in texts of the author's manifests: tokens that name a Service of the island, written out in full.

Only what looks like a host is judged: `name:port`, `scheme://name`, `name.namespace.svc…`; never a bare word, never a
part of a longer name. A token that names nothing in the set stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from replicator.tree import Leaf, List, Manifest, Map, Text, Tree, leaf, text

FIELDS = ("env", "args", "configMaps", "probes", "annotations")

_HOLE = "\udcff"  # no text has it; stands for a hole: a name that touches one is not known whole
_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_EDGE = r"[A-Za-z0-9_.\-\0]"
_TOKEN = re.compile(
    rf"""(?<!{_EDGE})(?P<name>{_LABEL})
    (?: (?P<rest>\.(?P<namespace>{_LABEL})\.svc(?:\.[a-z0-9-]+)*) (?!{_EDGE})
      | (?=:[0-9]{{1,5}}(?!{_EDGE}))
      | (?P<bare>(?!{_EDGE})(?!:[^/\s]*@)) )""",
    re.VERBOSE,
)


class Service(NamedTuple):
    """A Service of the island: its full name, and the namespaces in which authors may have written it."""

    full: Text
    namespaces: frozenset[str]


class Found(NamedTuple):
    """A token that names a Service of the island, and where it stands."""

    token: str
    service: str
    where: Leaf


def tokens(content: str) -> Iterator[tuple[int, int, str, str]]:
    """The host-like tokens of a text: start and end of the name, the name, and the namespace where one is written."""
    for match in _TOKEN.finditer(content):
        before = content[: match.start()][-80:]
        in_url = before.endswith("://") or _after_credentials(before)
        if not in_url and (match["bare"] is not None or before.endswith("/")):
            continue  # a bare word, or a path such as an image's
        yield match.start("name"), match.end("name"), match["name"], match["namespace"] or ""


def _after_credentials(before: str) -> bool:
    """Whether what stands before a name is `scheme://user:password@`."""
    return before.endswith("@") and re.search(r"://[^/\s@]*@\Z", before) is not None


Rewrite = Callable[[str, str], Text | None]


def _rewritten(value: str | Text, rewrite: Rewrite) -> Text:
    """A text with its tokens replaced by what `rewrite` makes of name and namespace; None keeps one as it is."""
    parts = (value,) if isinstance(value, str) else value
    joined = "".join(part if isinstance(part, str) else _HOLE for part in parts)
    holes = iter([part for part in parts if not isinstance(part, str)])
    made: list[str | Text] = []
    done = 0

    def keep(end: int) -> None:
        nonlocal done
        pieces = re.split(f"({_HOLE})", joined[done:end])
        made.extend((next(holes),) if piece == _HOLE else piece for piece in pieces)
        done = end

    for start, end, name, namespace in tokens(joined):
        new = rewrite(name, namespace)
        if new is not None:
            keep(start)
            made.append(new)
            done = end
    keep(len(joined))
    return text(*made)


class Hosts:
    """The Services of an island, and the texts of its objects that may name them."""

    def __init__(self, services: Mapping[str, Service], fields: frozenset[str]) -> None:
        self.services = services
        self.fields = fields
        self.found: list[Found] = []

    def judge(self, manifest: Manifest) -> Manifest:
        """The object with the tokens in the fields that are asked for written out; every token is noted."""
        body = manifest.body
        for path, field in _texts_of(manifest.kind):
            made = self._walk(body, path, field in self.fields)
            assert isinstance(made, Map)
            body = made
        return manifest._replace(body=body)

    def _walk(self, node: Tree, path: tuple[str, ...], change: bool) -> Tree:
        if isinstance(node, Leaf):
            return self._leaf(node, change)
        if isinstance(node, List) and path[:1] in (("[]",), ()):
            return List(tuple(self._walk(item, path[1:], change) for item in node.items), node.origin)
        if not isinstance(node, Map):
            return node
        if not path:
            return Map(tuple((key, self._walk(item, (), change)) for key, item in node.items), node.origin)
        first, *rest = path
        items = [
            (key, self._walk(item, tuple(rest), change) if first in ("*", key) else item) for key, item in node.items
        ]
        return Map(tuple(items), node.origin)

    def _leaf(self, node: Leaf, change: bool) -> Leaf:
        if node.origin.place is None or not isinstance(node.value, (str, tuple)):
            return node
        changed = False

        def rewrite(name: str, namespace: str) -> Text | None:
            nonlocal changed
            service = self.services.get(name)
            if service is None or (namespace and namespace not in service.namespaces):
                return None
            token = f"{name}.{namespace}.svc" if namespace else name
            self.found.append(Found(token, name, node))
            changed = changed or change
            return service.full if change else None

        made = _rewritten(node.value, rewrite)
        return leaf(made, node.origin) if changed else node


_POD_PATHS = {
    "Pod": ("spec",),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    **dict.fromkeys(
        ("Deployment", "ReplicaSet", "ReplicationController", "DaemonSet", "StatefulSet", "Job"),
        ("spec", "template", "spec"),
    ),
}


def _texts_of(kind: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """The paths of a kind's texts, with the name under which `rewriteHosts` knows them."""
    pod = _POD_PATHS.get(kind)
    if pod is not None:
        for containers in ("containers", "initContainers"):
            container = (*pod, containers, "[]")
            yield (*container, "env", "[]", "value"), "env"
            yield (*container, "args"), "args"
            yield (*container, "command"), "args"
            for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
                yield (*container, probe), "probes"
        yield (*pod[:-1], "metadata", "annotations"), "annotations"
    if kind == "ConfigMap":
        yield ("data",), "configMaps"
    yield ("metadata", "annotations"), "annotations"
