"""What names another island's objects: in fields that refer to them, and by hosts in texts. Islands share nothing.

Names are compared as patterns first: only what fits one is looked up among the islands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from replicator.binder import BoundSet
from replicator.diagnostics import Diagnostic, Related
from replicator.expander.islands import Island, island_place
from replicator.hosts import Token, names_in, texts_of
from replicator.identity import Named
from replicator.kinds import full_kind
from replicator.resolving import Unanswered
from replicator.tree import Leaf, List, Manifest, Map, Text, Tree


class Owned(NamedTuple):
    """An object of an island."""

    named: Named
    island: Island

    @property
    def related(self) -> tuple[Related, ...]:
        place = self.named.place
        made = (Related("it is made from this", place),) if place is not None else ()
        return (*made, Related("for this island", island_place(self.island)))


class Owners:
    """Whose an object is, by its kind and full name."""

    def __init__(self, named: Iterable[Named]) -> None:
        self._by_kind: dict[str, list[Named]] = {}
        for one in named:
            if one.plan is not None and len(one.plan.islands):
                self._by_kind.setdefault(full_kind(f"{one.group}/v1", one.kind), []).append(one)
        self._names: dict[int, dict[str, Island | None]] = {}

    def of(self, kind: str, name: str, namespace: str | None = None) -> Owned | None:
        """The island's object of a kind and a full name; in any namespace where none is given."""
        for one in self._by_kind.get(kind, ()):
            if not one.suffix or not name.endswith(one.suffix.rpartition("\n")[2]):
                continue
            if id(one) not in self._names:
                self._names[id(one)] = one.names()
            for full, island in self._find(one, name, namespace):
                if island is not None and full.endswith(f"\n{name}"):
                    return Owned(one, island)
        return None

    def _find(self, one: Named, name: str, namespace: str | None) -> Iterator[tuple[str, Island | None]]:
        names = self._names[id(one)]
        if namespace is not None:
            for full in (f"{namespace}\n{name}", f"\n{name}"):
                if full in names:
                    yield full, names[full]
            return
        yield from names.items()


def explained(unanswered: Iterable[Unanswered], owners: Owners) -> Iterator[Diagnostic]:
    """The references that nothing in their island answers; those that another island does are told as such."""
    for kind, name, namespace, diagnostic in unanswered:
        owned = owners.of(kind, name, namespace)
        if owned is not None:
            message = (
                f"the {kind.partition('.')[0]} `{name}` is the island's `{owned.island.path}`: islands share nothing"
            )
            hint = f"names are local to the island: `{name}` without the island's"
            diagnostic = diagnostic._replace(message=message, hint=hint, related=owned.related)
        yield diagnostic


def in_texts(sets: Iterable[BoundSet], owners: Owners) -> Iterator[Diagnostic]:
    """Hosts in texts that are Services of other islands, unless they are declared external."""
    for bound in sets:
        for shape, islands in bound.shapes.items():
            for one in bound.stencil(shape).objects:
                yield from _in_object(bound, one.manifest, islands, owners)


def _in_object(bound: BoundSet, manifest: Manifest, islands: Sequence[Island], owners: Owners) -> Iterator[Diagnostic]:
    for path, field in texts_of(manifest):
        for node, whole in _leaves(manifest.body, path, field == "probes"):
            for token in names_in(node, whole) if node.origin.place is not None else ():
                owned = _owner(bound, manifest, token, owners)
                others = [island for island in islands if owned is not None and island is not owned.island]
                if owned is None or not others or _is_external(bound, token):
                    continue
                message = f"`{token}` is a Service of the island `{owned.island.path}`, not of `{others[0].path}`"
                hint = f"address(set='{owned.named.plan.path}', …) calls it and says so" if owned.named.plan else ""
                yield Diagnostic("R0615", message, node.origin.place, hint=hint, related=owned.related)
                break


def _owner(bound: BoundSet, manifest: Manifest, token: Token, owners: Owners) -> Owned | None:
    if not token.is_known:
        return None
    if token.namespace is not None:
        return owners.of("Service", token.name, token.labels[token.namespace])
    namespace = manifest.namespace
    if any(not isinstance(part, str) for part in namespace):  # the island's own: a name by itself stays inside
        return None
    return owners.of("Service", token.name, "".join(map(str, namespace)))


def _is_external(bound: BoundSet, token: Token) -> bool:
    declared = bound.plan.type.external.get("Service", ())
    known: set[Text] = {bound.context.text(scalar) for scalar in declared}
    return (token.name,) in known or (str(token),) in known


def _leaves(node: Tree, path: Sequence[str], probe: bool, key: str = "") -> Iterator[tuple[Leaf, bool]]:
    """The texts at a path, and whether each is one host."""
    if isinstance(node, Leaf):
        yield node, probe and key == "host"
    elif isinstance(node, List):
        for item in node.items:
            yield from _leaves(item, path[1:] if path[:1] == ("[]",) else path, probe)
    elif isinstance(node, Map):
        for name, child in node.items:
            if not path or path[0] == name:
                yield from _leaves(child, path[1:], probe, name)
