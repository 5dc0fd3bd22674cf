"""Whose the objects of an output are, by their labels: islands, Sets and Routings that are there, gone, or removed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from replicator.comparison import Stored
from replicator.diagnostics import Place
from replicator.expander.islands import SetPlan, Tombstone
from replicator.names import MANAGED_BY, OF_ISLAND, OF_ROUTING, OF_SET, PART_OF, SPLIT
from replicator.sources import assemble
from replicator.stamp import IslandText, RoutingObject, SetRows
from replicator.tree import Manifest

if TYPE_CHECKING:
    from replicator.routing.rules import Table

MAX_PODS = 100_000  # of a StatefulSet that are counted


class Whose(NamedTuple):
    """Whose an object is: `name` and `path` of an island, or two empty texts; its outermost Set where that is there.

    `of_set` is the name of that Set, also where it is gone; '' for none.
    """

    name: str
    path: str
    root: SetPlan | None
    of_set: str = ""
    tombstone: Tombstone | None = None
    is_there: bool = False


class Former(NamedTuple):
    """What objects that are gone say by their labels: the Set of an island, and the outermost Set of a Set. All names
    are full ones.
    """

    sets: Mapping[str, str]
    outermost: Mapping[str, str]

    @classmethod
    def of(cls, gone: Iterable[Stored], changed: Iterable[tuple[Stored, Stored]]) -> Former:
        """The islands of which objects of their own are gone, or the pods that they are."""
        sets: dict[str, str] = {}
        outermost: dict[str, str] = {}
        for one in gone:
            of_set, island = _set_and_island(one)
            if of_set and island and OF_ROUTING not in one.labels:
                sets[island] = of_set
            ours = one.kind != "Namespace" and one.labels.get(MANAGED_BY) == "replicator"  # its labels are the author's
            if of_set and ours and PART_OF in one.labels:
                outermost[of_set] = str(one.labels[PART_OF])
        for before, after in (*((one, None) for one in gone), *changed):
            if before.kind == "StatefulSet" and (of_set := pods_of(before)):
                sets |= {f"{before.name}-{ordinal}": of_set for ordinal in ordinals_less(before, after)}
        return cls(sets, outermost)

    def root(self, of_set: str) -> str:
        """The outermost Set of a Set that is gone, as far as anything tells it: a label, or the islands around."""
        if of_set in self.outermost:
            return self.outermost[of_set]
        around = next((self.sets[name] for name, rest in _beginnings(of_set) if rest and name in self.sets), None)
        return of_set if around is None else self.root(around)


class Census:
    """The Sets, islands and Routings that there are now, by the labels that objects of an output have.

    `former` is what objects that are gone say of islands and Sets.
    """

    def __init__(
        self,
        sets: Sequence[SetRows],
        routing: Sequence[RoutingObject],
        tables: Sequence[Table],
        former: Former,
    ) -> None:
        self._sets = sets
        self._routing = routing
        self._former = former
        self._inner = {name for rows in sets for name in rows.plan.inner}
        self.roots = {rows.plan.path: rows.plan for rows in sets if rows.plan.above is None}
        self.routings = {table.name: table.place for table in tables}
        self._tombstones = {one.name: one for plan in self.roots.values() for one in plan.removed()}
        own = {table.namespace for table in tables} | {plan.namespace for plan in self.roots.values()}
        self._namespaces = own | {str(table.settings["namespace"]) for table in tables if "namespace" in table.settings}

    @cached_property
    def _islands(self) -> Mapping[str, IslandText]:
        return {one.island.name: one for rows in self._sets for one in rows.islands()}

    @cached_property
    def namespaces(self) -> frozenset[str]:
        """The namespaces of what there is."""
        return frozenset(self._namespaces | {one.island.namespace for one in self._islands.values()})

    def whose(self, one: Stored) -> Whose:
        """The island that an object is of, by its labels."""
        of_set, island = _set_and_island(one)
        if OF_ROUTING in one.labels:
            return self._reached(island)
        return self.island(island, of_set) if island and of_set else Whose("", "", *self._root(of_set))

    def island(self, name: str, of_set: str) -> Whose:
        """The island of a full name, in the Set (of an island inside another: of that island's Set) of a full name.

        A tombstone of an island is one of all that are inside it, and the longest name that fits is meant: whoever is
        there has no tombstone.
        """
        root, outermost = self._root(of_set)
        whose = Whose(name, self._path(root, name, of_set), root, outermost)
        for beginning, rest in _beginnings(name):
            if rest and not of_set.startswith(f"{beginning}-"):
                continue
            if beginning in self._islands:
                return whose._replace(is_there=not rest)
            if beginning in self._tombstones:
                return whose._replace(tombstone=self._tombstones[beginning])
        return whose

    def _reached(self, name: str) -> Whose:
        """The island of a full name to which a Routing leads, or that one around it of which more than a name is known.

        A name alone does not tell the islands and Sets that it is made of: an island must be there, or gone with
        objects of its own, or have a tombstone. Else it is nobody's.
        """
        for beginning, rest in _beginnings(name):
            if rest and not any(rest.startswith(f"-{inner}-") for inner in self._inner):
                continue
            if beginning in self._islands:
                if rest:
                    break
                island = self._islands[beginning].island
                return Whose(name, island.path, island.plan.root, island.plan.root.path, is_there=True)
            if beginning in self._former.sets:
                return self.island(beginning, self._former.sets[beginning])
            if beginning in self._tombstones:
                tombstone = self._tombstones[beginning]
                of_set = tombstone.path.partition("/")[0]
                return Whose(beginning, tombstone.path, self.roots[of_set], of_set, tombstone)
        return Whose("", "", None)

    def _root(self, of_set: str) -> tuple[SetPlan | None, str]:
        """The outermost Set of a Set, by its full name: where it is there, and its name."""
        known = self._former.root(of_set)
        if known in self.roots or known != of_set or of_set in self._former.outermost:
            return self.roots.get(known), known
        around = (name for name, rest in _beginnings(of_set) if name in self.roots and _is_in(self.roots[name], rest))
        name = next(around, of_set)
        return self.roots.get(name), name

    def _path(self, root: SetPlan | None, name: str, of_set: str) -> str:
        """The path of an island; its name again where it does not follow from the Sets that there are."""
        there = self._islands.get(name)
        if there is not None:
            return there.island.path
        if root is not None and name.startswith(f"{root.path}-"):
            below = name.removeprefix(f"{root.path}-")
            if of_set == root.path:
                return f"{root.path}/{below}"
            key = name.removeprefix(f"{of_set}-")
            around = next(_split(root, of_set.removeprefix(f"{root.path}-")), None)
            return f"{root.path}/{around}/{key}" if around else f"{root.path}/{below}"
        return f"{of_set}/{name.removeprefix(f'{of_set}-')}" if name.startswith(f"{of_set}-") else name

    def outermost(self, path: str) -> str:
        """The island that is gone with one that is gone: the first around it that is not there, or itself."""
        steps = path.split("/")
        around = (steps[:length] for length in range(2, len(steps), 2))
        return next(("/".join(one) for one in around if "-".join(one) not in self._islands), path)

    def file_of(self, one: Stored) -> str:
        """Where an object is in a directory by islands: what decides whether a part of a build covers it."""
        if OF_ROUTING in one.labels:
            return f"_routing/{one.labels[OF_ROUTING]}.yaml"
        whose = self.whose(one)
        if not whose.path:
            return f"{one.labels.get(OF_SET, '')}/_shared.yaml"
        first, _, rest = whose.path.partition("/")
        return f"{first}/{rest.replace('/', '.')}.yaml"

    def needs_no_word(self, one: Stored, whose: Whose) -> bool:
        """Whether an object follows from what is there, which says by itself that it is not needed.

        It is what was cut off for its size; or what went with an island to which its Routing leads no more, or in
        another way.
        """
        routing = one.labels.get(OF_ROUTING)
        stays = routing in self.routings if routing else one.labels.get(OF_SET) in self.roots
        return stays and (one.labels.keys() >= SPLIT.keys() or (bool(routing) and whose.is_there))

    def place_of(self, one: Stored, whose: Whose) -> Place | None:
        """Where an object that is there comes from."""
        text = self._islands.get(whose.name)
        island = text.island if text is not None else None
        for manifest in self._manifests(text):
            place = manifest.origin.place
            if manifest.kind == one.kind and place is not None and assemble(manifest.name, island) == one.name:
                return place
        return whose.root.model.metadata.name_node.place if whose.root is not None else None

    def _manifests(self, text: IslandText | None) -> Iterator[Manifest]:
        """What an island, or (None) no island, has objects of."""
        if text is not None:
            yield from (manifest for manifest, _ in text.shape.objects)
        else:
            yield from (manifest for rows in self._sets for manifest, _ in rows.shared)
        over = ("", text.island.plan.path) if text is not None else ("",)
        yield from (one.manifest for one in self._routing if one.manifest.over in over)


def _beginnings(name: str) -> Iterator[tuple[str, str]]:
    """What a full name may begin with, by its dashes, and the rest; the longest first."""
    end = len(name)
    while end > 0:
        yield name[:end], name[end:]
        end = name.rfind("-", 0, end)


def _set_and_island(one: Stored) -> tuple[str, str]:
    """The full names of the Set and the island in the labels of an object; '' for none."""
    return str(one.labels.get(OF_SET, "")), str(one.labels.get(OF_ISLAND, ""))


def _is_in(root: SetPlan, rest: str) -> bool:
    """Whether a full name that begins with an outermost Set's, and has this rest, may be that of a Set inside."""
    return next(_split(root, rest.removeprefix("-")), None) is not None


def _split(plan: SetPlan, below: str) -> Iterator[str]:
    """The ways to read `eu-cell` as `eu/cell`: a key and a Set inside, at every level."""
    for name, inner in plan.inner.items():
        if below.endswith(f"-{name}"):
            yield f"{below.removesuffix(f'-{name}')}/{name}"
        steps = below.split(f"-{name}-")
        for number in range(1, len(steps)):
            for rest in _split(inner, f"-{name}-".join(steps[number:])):
                yield f"{f'-{name}-'.join(steps[:number])}/{name}/{rest}"


def pods_of(one: Stored) -> str:
    """The Set whose islands the pods of a StatefulSet are; '' where they are not."""
    selector = one.at("spec", "selector", "matchLabels")
    return str(selector[OF_SET]) if isinstance(selector, Mapping) and selector.keys() == {OF_SET} else ""


def ordinals(one: Stored, most: Any = None) -> list[int]:
    """The ordinals of a StatefulSet's pods: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/

    OpenKruise's counts running pods, and leaves ordinals out. `most` is how many an autoscaler may have made of them.
    """
    replicas, start = one.at("spec", "replicas"), one.at("spec", "ordinals", "start")
    reserved = one.at("spec", "reserveOrdinals")
    skipped = {number for number in reserved if isinstance(number, int)} if isinstance(reserved, list) else set()
    count = min(next((number for number in (most, replicas) if isinstance(number, int)), 1), MAX_PODS)
    ordinal = start if isinstance(start, int) else 0
    found: list[int] = []
    while len(found) < count:
        if ordinal not in skipped:
            found.append(ordinal)
        ordinal += 1
    return found


def ordinals_less(before: Stored, after: Stored | None) -> list[int]:
    """The ordinals of a StatefulSet's pods that it has no more."""
    stay = set(ordinals(after)) if after is not None else ()
    return [ordinal for ordinal in ordinals(before) if ordinal not in stay]
