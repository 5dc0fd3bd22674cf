"""No two objects of a build have one identity: kind, namespace and name. Decided from the patterns of their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from replicator import names
from replicator.binder import BoundSet
from replicator.context import ISLAND_NAME
from replicator.diagnostics import Diagnostic, Place, Related
from replicator.expander.islands import Island, SetPlan, island_place
from replicator.kinds import ONCE
from replicator.sources import assemble
from replicator.tree import Manifest, Text, text


class Named(NamedTuple):
    """Objects of one kind: one (without a plan), or one for each island of a Set for which `has` is true."""

    group: str
    kind: str
    full: Text  # namespace and name, with a line break between
    plan: SetPlan | None
    has: Callable[[Island], bool]
    place: Place | None
    once: bool = False  # it stands beside the islands, and is of a kind that several Sets may bring

    @property
    def prefix(self) -> str:
        """How every name begins; island names begin with that of the outermost Set."""
        first = self.full[0] if self.full else ""
        if isinstance(first, str):
            known = first
            if self.plan is not None and self.full[1:2] == (ISLAND_NAME,):
                known += f"{self.plan.root.path}-"
            return known
        return f"{self.plan.root.path}-" if self.plan is not None and first == ISLAND_NAME else ""

    @property
    def suffix(self) -> str:
        last = self.full[-1] if self.full else ""
        return last if isinstance(last, str) else ""

    def names(self) -> dict[str, Island | None]:
        """Every name, and the island that it is of."""
        if self.plan is None:
            return {"".join(part for part in self.full if isinstance(part, str)): None}
        return {assemble(self.full, island): island for island in self.plan.islands if self.has(island)}


def of_set(bound: BoundSet) -> Iterator[Named]:
    """What a Set makes: beside its islands, and for each of them."""
    for one in bound.objects:
        yield _named(one.manifest, None, _always)
    made: dict[tuple[str, str, Text], tuple[Manifest, set[str]]] = {}
    for shape in bound.shapes:
        for one in bound.stencil(shape).objects:
            manifest = one.manifest
            key = (manifest.api_version, manifest.kind, _full(manifest))
            made.setdefault(key, (manifest, set()))[1].add(shape)
    for manifest, of in made.values():
        every = len(of) == len(bound.shapes)
        has = _always if every else _in_shapes(bound, of)
        yield _named(manifest, bound.plan, has)


def of_routing(manifest: Manifest, plan: SetPlan | None) -> Named:
    """What a Routing makes: one object, or one for each island of a Set."""
    of = manifest.cases
    return _named(manifest, plan, (lambda island: island.case in of) if of else _always)


def _always(island: Island) -> bool:
    return True


def _in_shapes(bound: BoundSet, shapes: set[str]) -> Callable[[Island], bool]:
    return lambda island: bound.shape_of(island) in shapes


def _full(manifest: Manifest) -> Text:
    return text(manifest.namespace, "\n", manifest.name)


def _named(manifest: Manifest, plan: SetPlan | None, has: Callable[[Island], bool]) -> Named:
    group = manifest.api_version.rpartition("/")[0]
    once = manifest.once and manifest.kind in ONCE
    return Named(group, manifest.kind, _full(manifest), plan, has, manifest.origin.place, once)


Shared = tuple[tuple[Manifest, bytes], ...]


def once(shared: Iterable[Shared]) -> tuple[list[Shared], list[Diagnostic]]:
    """What stands beside the islands of some Sets, and its text: what several bring is kept with the first of them.

    Where they bring it in different words, that is an error.
    """
    first: dict[tuple[str, str, Text], tuple[Manifest, bytes]] = {}
    found: list[Diagnostic] = []
    kept: list[Shared] = []
    for objects in shared:
        own: list[tuple[Manifest, bytes]] = []
        for manifest, content in objects:
            named = _named(manifest, None, _always)
            earlier, text_of_it = first.setdefault((named.group, named.kind, named.full), (manifest, content))
            if earlier is manifest or not named.once:
                own.append((manifest, content))
            elif text_of_it != content:
                place = earlier.origin.place
                related = (Related("the other one", place),) if place else ()
                name = "".join(part for part in manifest.name if isinstance(part, str))
                message = f"the {manifest.kind} `{name}` stands once in a cluster, but is there in two forms"
                hint = "bring the same one, or let one Set alone bring it"
                found.append(Diagnostic("R0507", message, manifest.origin.place, hint=hint, related=related))
        kept.append(tuple(own))
    return kept, found


def illegal(objects: Iterable[Named]) -> Iterator[Diagnostic]:
    """Names that no object of the kind may have. Of those of islands, the longest is judged."""
    for one in objects:
        longest = one.plan.longest if one.plan is not None else None
        if one.plan is not None and longest is None:
            continue
        name = assemble(one.full, longest).partition("\n")[2]
        if names.is_object_name(one.kind, name):
            continue
        limit = names.MAX_NAME.get(one.kind, names.MAX_SUBDOMAIN)
        if len(name) > limit:
            message = f"the {one.kind} `{name}` has {len(name)} characters; Kubernetes takes at most {limit}"
            yield Diagnostic("R0506", message, one.place, hint="shorten the names that it is made of")
        else:
            yield Diagnostic("R0304", f"`{name}` is no name for an object of the kind {one.kind}", one.place)


def clashes(objects: Iterable[Named]) -> Iterator[Diagnostic]:
    """Objects of one identity. Only patterns that could be equal are compared name by name."""
    by_kind: dict[tuple[str, str], list[Named]] = {}
    for one in objects:
        by_kind.setdefault((one.group, one.kind), []).append(one)
    for alike in by_kind.values():
        names: dict[int, dict[str, Island | None]] = {}
        for one, other in _comparable(alike):
            if not _may_clash(one, other):
                continue
            for each in (one, other):
                if id(each) not in names:
                    names[id(each)] = each.names()
            first, second = names[id(one)], names[id(other)]
            for full in first if len(first) < len(second) else second:
                if full in first and full in second:
                    yield _clash(full, (one, first[full]), (other, second[full]))
                    break


def _comparable(alike: Sequence[Named]) -> Iterator[tuple[Named, Named]]:
    """The pairs of patterns of which one begins like the other, in the order of the patterns.

    In the order of their prefixes, those that one begins like are still open when it comes: no other is looked at.
    """
    pairs: list[tuple[int, int]] = []
    opened: list[tuple[str, int]] = []
    for prefix, number in sorted((one.prefix, number) for number, one in enumerate(alike)):
        while opened and not prefix.startswith(opened[-1][0]):
            opened.pop()
        pairs += ((min(earlier, number), max(earlier, number)) for _, earlier in opened)
        opened.append((prefix, number))
    return ((alike[first], alike[second]) for first, second in sorted(pairs))


def _may_clash(one: Named, other: Named) -> bool:
    if one.once and other.once:  # `once` judges them
        return False
    return one.suffix.endswith(other.suffix) or other.suffix.endswith(one.suffix)


def _clash(full: str, other: tuple[Named, Island | None], here: tuple[Named, Island | None]) -> Diagnostic:
    namespace, name = full.split("\n")
    where = f" in the namespace `{namespace}`" if namespace else ""
    related = []
    (one, of), (last, island) = other, here
    if one.place is not None:
        related.append(Related("the other is made from this", one.place))
    if of is not None and island_place(of) != one.place:
        related.append(Related("for this island", island_place(of)))
    if island is not None and last.place is not None and island_place(island) != last.place:
        related.append(Related("here for this island", island_place(island)))
    message = f"two objects are the {last.kind} `{name}`{where}"
    hint = "rename a Set, a key or a unit: names are joined with `-`"
    return Diagnostic("R0507", message, last.place, hint=hint, related=tuple(related))
