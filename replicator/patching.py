"""The patches of a Set and of an island, applied to the island's objects by their names within it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from replicator.context import Context
from replicator.decisions import Decision
from replicator.diagnostics import Diagnostic, nearest
from replicator.expression.template import parse
from replicator.kinds import KUBERNETES_GROUPS, MERGE_KEYS
from replicator.model import Patch
from replicator.parser.source import Mapping as MappingNode
from replicator.patch import ROOT, How, Undecided, Unfit, apply_json_patch, merge
from replicator.tree import Leaf, List, Manifest, Map, Tree, at

# What names and tells apart objects: a patch of it would be lost, or would break what was proved.
_FIXED = frozenset(["apiVersion", "kind"])
_SAME = (("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"))


class Patched(NamedTuple):
    """The objects after patches; which patches (by identity) matched one; the expressions whose values are needed."""

    objects: list[Manifest]
    used: set[int]
    wanted: list[Decision]


def apply(context: Context, patches: Iterable[Patch], objects: list[Manifest]) -> Patched:
    """Apply patches. One that deletes its whole object (`$patch: delete`) takes it out."""
    used: set[int] = set()
    wanted: list[Decision] = []
    for patch in patches:
        changed: list[Manifest] = []
        for manifest in objects:
            if not _matches(patch, manifest):
                changed.append(manifest)
                continue
            used.add(id(patch))
            body = _patched(context, patch, manifest, wanted)
            if body is not None:
                changed.append(manifest._replace(body=body))
        objects = changed
    return Patched(objects, used, wanted)


def _matches(patch: Patch, manifest: Manifest) -> bool:
    group = manifest.api_version.rpartition("/")[0]
    return (
        (not patch.kind or fnmatchcase(manifest.kind, patch.kind))
        and (not patch.name or fnmatchcase(manifest.local, patch.name))
        and (not patch.group or fnmatchcase(group, patch.group))
        and (not patch.labels or _selected(patch.labels, manifest.body))
    )


_WORD = r"[^=!,()\s]+"
_TERM = re.compile(
    rf"\s*(?:(?P<absent>!)?\s*(?P<key>{_WORD})"
    rf"(?:\s*(?P<sign>==|=|!=)\s*(?P<value>{_WORD})?"
    rf"|\s+(?P<word>in|notin)\s*\((?P<values>[^()]*)\))?)\s*(?:,|$)"
)


class _Term(NamedTuple):
    """A requirement of a label selector: the label is (or is not) there and, where values are given, has one of them.

    Without the label, what is to have none of some values fits.
    """

    key: str
    wanted: bool
    values: tuple[str, ...] | None

    def fits(self, labels: Mapping[str, object]) -> bool:
        has = self.key in labels and (self.values is None or labels[self.key] in self.values)
        return has == self.wanted


def _terms(selector: str) -> tuple[_Term, ...] | None:
    """A label selector's requirements, by equality and by sets; None for what is no selector (apimachinery: labels)."""
    terms = []
    position = 0
    while position < len(selector):
        found = _TERM.match(selector, position)
        if found is None or (found["absent"] and (found["sign"] or found["word"])):
            return None
        values: tuple[str, ...] | None = None
        if found["word"]:
            values = tuple(value.strip() for value in found["values"].split(","))
        elif found["sign"]:
            values = (found["value"] or "",)
        negated = bool(found["absent"]) or found["sign"] == "!=" or found["word"] == "notin"
        terms.append(_Term(found["key"], not negated, values))
        position = found.end()
    return tuple(terms)


def _selected(selector: str, body: Map) -> bool:
    """Whether an object's fixed labels fit a selector."""
    labels = at(body, "metadata", "labels")
    known = {key: _plain(value) for key, value in labels.items} if isinstance(labels, Map) else {}
    terms = _terms(selector)
    return terms is not None and all(term.fits(known) for term in terms)


def _plain(node: Tree | None) -> object:
    """A scalar's value; a text as it is where all of it is known."""
    value = node.value if isinstance(node, Leaf) else None
    if isinstance(value, tuple) and all(isinstance(part, str) for part in value):
        return "".join(map(str, value))
    return value


def _patched(context: Context, patch: Patch, manifest: Manifest, wanted: list[Decision]) -> Map | None:
    given = context.value(patch.patch)
    try:
        if isinstance(given, List):
            made: Tree = apply_json_patch(manifest.body, [item for item in given.items if isinstance(item, Map)])
        else:
            assert isinstance(given, Map)
            directive = given.get("$patch")
            if isinstance(directive, Leaf) and directive.value == "delete":
                return None
            group = manifest.api_version.rpartition("/")[0]
            how = How(MERGE_KEYS if group in KUBERNETES_GROUPS else {}, patch_first=True)
            made = merge(manifest.body, _named_by_target(given), ROOT, how)
    except Unfit as unfit:
        needed = _needed(context, unfit.nodes) if isinstance(unfit, Undecided) else []
        wanted += needed
        if needed:
            return manifest.body
        target = f"the {manifest.kind} `{manifest.local}`"
        message = f"the patch does not fit {target}: {unfit}"
        context.found.append(Diagnostic("R0601", message, unfit.place or patch.patch.place, hint=unfit.hint))
        return manifest.body
    if not isinstance(made, Map) or any(_plain(at(made, *path)) != _plain(at(manifest.body, *path)) for path in _SAME):
        message = "a patch cannot change what an object is"
        hint = "apiVersion, kind, name and namespace stay"
        context.found.append(Diagnostic("R0601", message, patch.patch.place, hint=hint))
        return manifest.body
    return made


def _needed(context: Context, nodes: Iterable[Leaf]) -> list[Decision]:
    """The expressions in the author's scalars that these leaves come from."""
    scalars = [context.bound[node.origin.place] for node in nodes if node.origin.place in context.bound]
    expressions = [(expression, scalar) for scalar in scalars for expression in parse(scalar.text).expressions]
    return [Decision(expression, scalar) for expression, scalar in expressions if not context.is_known(expression)]


def _named_by_target(given: Map) -> Map:
    """A strategic merge as Kustomize's users write it: its own kind and name only say which object is meant."""
    metadata = given.get("metadata")
    items = [item for item in given.items if item[0] not in _FIXED]
    if isinstance(metadata, Map) and metadata.get("name") is not None:
        kept = Map(tuple(item for item in metadata.items if item[0] != "name"), metadata.origin)
        items = [(key, kept if key == "metadata" else value) for key, value in items]
    return Map(tuple(items), given.origin)


def unused(patches: Iterable[Patch], used: set[int], objects: Iterable[Manifest]) -> Iterator[Diagnostic]:
    """A patch that matches no object of any island; `objects` are those that there are."""
    known: dict[str, set[str]] = {}  # names of objects, by kind
    for manifest in objects:
        known.setdefault(manifest.kind, set()).add(manifest.local)
    for patch in patches:
        if id(patch) not in used:
            target = patch.node.items["target"]
            assert isinstance(target, MappingNode)
            of_kind = [kind for kind in known if not patch.kind or fnmatchcase(kind, patch.kind)]
            labels = target.items.get("labelSelector")
            named = [one for kind in of_kind for one in known[kind] if not patch.name or fnmatchcase(one, patch.name)]
            if labels is not None and _terms(patch.labels) is None:
                place = labels.place
                hint = f"`{patch.labels}` is no label selector: app=web, tier!=db, app in (web, db), !canary"
            elif labels is not None and named:
                place, hint = labels.place, f"of {', '.join(f'`{one}`' for one in sorted(set(named))[:8])} none fits"
            elif not of_kind:
                place, hint = (target.items.get("kind") or target).place, nearest(patch.kind, known)
            else:
                of_name = sorted(set().union(*(known[kind] for kind in of_kind)))
                within = [name for name in of_name if patch.name.endswith(f"-{name}")]
                place = (target.items.get("name") or target).place
                hint = f"names are those within the island: `{within[-1]}`" if within else nearest(patch.name, of_name)
            yield Diagnostic("R0604", "the patch matches no object", place, hint=hint)
