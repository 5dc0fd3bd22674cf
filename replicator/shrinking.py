"""What is gone between two outputs: who said so, what is to be deleted, and what becomes of data.

An object that is gone is accounted for by a tombstone of its island, or by the word of whoever builds (`allow`); else
it is an error. What holds data is deleted only where a tombstone says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from replicator import immutable
from replicator.comparison import Stored
from replicator.diagnostics import Diagnostic, Place, Related
from replicator.expander.islands import SetPlan, Tombstone
from replicator.kinds import apply_rank, routing_rank
from replicator.names import MANAGED_BY, OF_ISLAND, OF_ROUTING, OF_SET, PART_OF, SPLIT
from replicator.parser.source import Mapping as MappingNode
from replicator.sources import assemble
from replicator.stamp import IslandText, RoutingObject, SetRows
from replicator.tree import Manifest, mapping
from replicator.yaml_text import document

if TYPE_CHECKING:
    from replicator.routing.rules import Table

# Deleting one deletes what is in it: volumes, all objects of a namespace, all objects of a kind. A claim's volume goes
# with it by the class's reclaimPolicy.
_HOLDERS = frozenset(("PersistentVolumeClaim", "PersistentVolume", "Namespace", "CustomResourceDefinition"))
_CLAIM = "PersistentVolumeClaim"
_MAX_TOLD = 10  # islands of one Set that have a finding of their own
_MAX_PODS = 100_000  # of a StatefulSet whose claims are listed


class Deletion(NamedTuple):
    """An object to delete; `island` is the path of the one that it was of, '' for none."""

    api_version: str
    kind: str
    namespace: str
    name: str
    island: str = ""
    rank: tuple[int, int] = (0, 0)


class Kept(NamedTuple):
    """What holds data and is not on the list of what to delete, and what becomes of it."""

    kind: str
    namespace: str
    name: str
    fate: str


class Shrinking(NamedTuple):
    """What follows from what is gone: findings; what to delete, in this order; data that is not deleted."""

    diagnostics: list[Diagnostic]
    deletions: Sequence[Deletion] = ()
    kept: Sequence[Kept] = ()


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
            if before.kind == "StatefulSet" and (of_set := _of_pods(before)):
                sets |= {f"{before.name}-{ordinal}": of_set for ordinal in _ordinals_less(before, after)}
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


def resizes(kind: str, fields: Iterable[str]) -> bool:
    """Whether a change of these fields may be one of the pods that a StatefulSet has."""
    return kind.partition(".")[0] == "StatefulSet" and any(
        field in ("spec", "spec.replicas", "spec.ordinals", "spec.reserveOrdinals") for field in fields
    )


def shrink(gone: Sequence[Stored], changed: Sequence[tuple[Stored, Stored]], census: Census, allow: bool) -> Shrinking:
    """Judge what is gone, and what changed. With `allow`, all that has no tombstone may go, but for what holds data."""
    judge = _Judge(census, allow)
    for before, after in changed:
        judge.change(before, after)
    for one in gone:
        if one.kind == "HorizontalPodAutoscaler" and one.at("spec", "scaleTargetRef", "kind") == "StatefulSet":
            target = str(one.at("spec", "scaleTargetRef", "name"))
            judge.most[one.namespace, target] = one.at("spec", "maxReplicas")
    for one in sorted(gone, key=lambda one: OF_ROUTING in one.labels):  # a Set that is gone is shown by its own
        judge.gone(one)
    return judge.verdict()


class _Missing(NamedTuple):
    """An island that is gone: the kinds of its objects, and where the first of them was."""

    whose: Whose
    kinds: Counter[str]
    was: Place


class _Judge:
    def __init__(self, census: Census, allow: bool) -> None:
        self.census = census
        self.allow = allow
        self.found: list[Diagnostic] = []
        self.most: dict[tuple[str, str], Any] = {}  # replicas that an autoscaler may have given, by its target
        self.deletions: list[Deletion] = []
        self.kept: list[Kept] = []
        self.islands: dict[str, _Missing] = {}
        self.others: dict[tuple[str, str], tuple[Place | None, list[Stored]]] = {}

    def gone(self, one: Stored) -> None:
        """An object that is there no more."""
        whose = self.census.whose(one)
        if whose.tombstone is None and not self.allow:
            if self.census.needs_no_word(one, whose):
                self.delete(one, whose)
            else:
                self.unaccounted(one, whose)
            return
        deleted = whose.tombstone is not None and not whose.tombstone.retain
        if one.full_kind in _HOLDERS and not deleted:
            self.keep(one.kind, one.namespace, one.name, whose)
        else:
            self.delete(one, whose)
        if one.kind == "StatefulSet":
            most = self.most.get((one.namespace, one.name))
            self.pods(one, _ordinals(one, most), "whenDeleted", _policies(one))

    def change(self, before: Stored, after: Stored) -> None:
        """An object that is another one than before."""
        whose = self.census.whose(after)
        for change in immutable.changes(after.full_kind, before.body, after.body):
            name = _full_name(after.namespace, after.name)
            self.found.append(
                Diagnostic(
                    "R0809",
                    f"the {after.kind} `{name}` is there, and Kubernetes lets nobody change its {change.field}",
                    self.census.place_of(after, whose),
                    f"$.{change.field.partition(' ')[0]}",
                    change.hint if self.allow else f"{change.hint}; --allow-removed, if it is to be made anew",
                    severity="warning" if self.allow else "error",
                    island=whose.path,
                )
            )
        if after.kind == "StatefulSet" and _of_pods(before):
            left = _ordinals_less(before, after)
            self.pods(before, left, "whenScaled", [*_policies(before), *_policies(after)])

    def pods(self, one: Stored, ordinals: Sequence[int], when: str, policies: Iterable[Mapping[str, Any]]) -> None:
        """Pods of a StatefulSet that are gone, and their claims. In `form: pods` each is an island."""
        templates = one.at("spec", "volumeClaimTemplates")
        claims = [_name(template) for template in templates] if isinstance(templates, list) else []
        automatic = any(policy.get(when) == "Delete" for policy in policies)
        of_pods = _of_pods(one)
        whose = self.census.whose(one)
        for ordinal in ordinals:
            if of_pods:
                whose = self.census.island(f"{one.name}-{ordinal}", of_pods)
                if whose.tombstone is None and not self.allow:
                    self.count(whose, "Pod", one.place)
                    continue
            for claim in claims:
                self.claim(one, f"{claim}-{one.name}-{ordinal}", whose, when if automatic else "")

    def claim(self, of: Stored, name: str, whose: Whose, automatic: str) -> None:
        """A claim that a StatefulSet made; `automatic` is the field by which Kubernetes deletes it, if it does."""
        tombstone = whose.tombstone
        if tombstone is not None and not tombstone.retain:
            self.deletions.append(Deletion("v1", _CLAIM, of.namespace, name, whose.path, (1, -apply_rank(_CLAIM))))
        elif automatic and tombstone is not None:
            field = f"persistentVolumeClaimRetentionPolicy.{automatic}"
            message = f"the claims of `{whose.path}` are to be retained, but its StatefulSet `{of.name}` deletes them"
            hint = f"first `{automatic}: Retain`, and apply that; then remove the island. Or `data: delete`"
            related = (Related(f"{field}: Delete", of.place),)
            self.found.append(Diagnostic("R0808", message, tombstone.place, hint=hint, related=related))
        elif automatic:
            self.kept.append(Kept(_CLAIM, of.namespace, name, f"deleted by Kubernetes: {automatic} is Delete"))
        else:
            self.keep(_CLAIM, of.namespace, name, whose)

    def keep(self, kind: str, namespace: str, name: str, whose: Whose) -> None:
        said = f"retained, as `{whose.tombstone.path}` says" if whose.tombstone is not None else "stays"
        self.kept.append(Kept(kind, namespace, name, said))

    def delete(self, one: Stored, whose: Whose) -> None:
        if OF_ROUTING in one.labels:
            rank = (0, -routing_rank(one.kind))
        else:
            rank = (1 if whose.name else 2, -apply_rank(one.kind))
        self.deletions.append(Deletion(one.api_version, one.kind, one.namespace, one.name, whose.path, rank))

    def unaccounted(self, one: Stored, whose: Whose) -> None:
        if whose.name and not whose.is_there:
            self.count(whose, one.kind, one.place)
            return
        routing = str(one.labels.get(OF_ROUTING, ""))
        if routing:
            owner, place = ("Routing", routing), self.census.routings.get(routing)
        else:
            owner = ("IslandSet", whose.of_set) if whose.of_set else ("", "")
            place = whose.root.model.metadata.name_node.place if whose.root is not None else None
        self.others.setdefault(owner, (place, []))[1].append(one)

    def count(self, whose: Whose, kind: str, was: Place) -> None:
        """One more object of an island that is gone, or of one inside it, and nobody said so."""
        path = self.census.outermost(whose.path)
        self.islands.setdefault(path, _Missing(whose._replace(path=path), Counter(), was)).kinds[kind] += 1

    def verdict(self) -> Shrinking:
        found = [*self.found, *_missing_islands(self.islands.values()), *_missing_objects(self.others)]
        if any(one.severity == "error" for one in found):
            return Shrinking(found)
        holding = {one.namespace for one in self.kept if one.namespace}
        deletions = []
        for one in sorted(self.deletions, key=lambda one: (one.rank, one.namespace, one.name)):
            if one.kind == "Namespace" and (one.name in holding or one.name in self.census.namespaces):
                self.kept.append(Kept(one.kind, "", one.name, "stays: there is something in it that does"))
            else:
                deletions.append(one)
        return Shrinking(found, deletions, self.kept)


def _missing_islands(islands: Iterable[_Missing]) -> Iterator[Diagnostic]:
    """Findings on islands that are gone; on a Set that is gone, where an object of it was in the earlier output."""
    by_set: dict[str, list[_Missing]] = {}
    for one in islands:
        by_set.setdefault(one.whose.of_set, []).append(one)
    for owner, missing in by_set.items():
        root = missing[0].whose.root
        if root is None:
            every = sum((one.kinds for one in missing), Counter[str]())
            message = f"the IslandSet `{owner}` is gone, with {_number(len(missing), 'island')} and {_list(every)}"
            hint = "--allow-removed; or leave it there, and list its islands under `removed`"
            yield Diagnostic("R0807", message, missing[0].was, hint=hint)
            continue
        for whose, kinds, _ in missing[:_MAX_TOLD]:
            key = whose.path.removeprefix(f"{root.path}/")
            message = f"the island `{whose.path}` is gone, with {_list(kinds)}"
            hint = f"removed: {{{key}: {{data: retain}}}} in the IslandSet, or --allow-removed"
            yield Diagnostic("R0807", message, _place(root), f"$.spec.removed.{key}", hint)
        rest = missing[_MAX_TOLD:]
        if rest:
            every = sum((one.kinds for one in rest), Counter[str]())
            message = f"{_number(len(rest), 'more island')} of `{root.path}` are gone, with {_list(every)}"
            yield Diagnostic("R0807", message, _place(root), "$.spec.removed")


def _missing_objects(others: Mapping[tuple[str, str], tuple[Place | None, list[Stored]]]) -> Iterator[Diagnostic]:
    """Findings on other objects that are gone; where their owner is gone too, at the first in the earlier output."""
    for (kind, owner), (place, objects) in others.items():
        of = f" of the {kind} `{owner}`" if owner else ""
        names = [f"{one.kind} {_full_name(one.namespace, one.name)}" for one in objects]
        told = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        every = Counter(one.kind for one in objects)
        verb = "is" if len(objects) == 1 else "are"
        message = f"{_list(every)}{of} {verb} gone: {told}"
        hint = "--allow-removed, if that is meant; under another name it is another object"
        if kind == "Routing" and place is None:
            message = f"the Routing `{owner}` is gone, with {_list(every)}: {told}"
        elif kind == "Routing" and any(OF_ISLAND in one.labels for one in objects):
            hint = "where an island is gone, its key under `removed` in its IslandSet; or --allow-removed"
        yield Diagnostic("R0807", message, place or objects[0].place, hint=hint)


def _place(root: SetPlan) -> Place:
    """Where a Set's tombstones are, or its name."""
    spec = root.model.node.items.get("spec")
    if isinstance(spec, MappingNode) and "removed" in spec.items:
        return spec.key_place("removed")
    return root.model.metadata.name_node.place


def _number(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _list(kinds: Counter[str]) -> str:
    parts = [f"{kind} ×{number:,}" if number > 1 else kind for kind, number in sorted(kinds.items())]
    return f"{_number(sum(kinds.values()), 'object')} ({', '.join(parts)})"


def _full_name(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _name(item: Any) -> str:
    metadata = item.get("metadata") if isinstance(item, Mapping) else None
    return str(metadata.get("name", "")) if isinstance(metadata, Mapping) else ""


def _of_pods(one: Stored) -> str:
    """The Set whose islands the pods of a StatefulSet are; '' where they are not."""
    selector = one.at("spec", "selector", "matchLabels")
    return str(selector[OF_SET]) if isinstance(selector, Mapping) and selector.keys() == {OF_SET} else ""


def _ordinals(one: Stored, most: Any = None) -> list[int]:
    """The ordinals of a StatefulSet's pods: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/

    OpenKruise's counts running pods, and leaves ordinals out. `most` is how many an autoscaler may have made of them.
    """
    replicas, start = one.at("spec", "replicas"), one.at("spec", "ordinals", "start")
    reserved = one.at("spec", "reserveOrdinals")
    skipped = {number for number in reserved if isinstance(number, int)} if isinstance(reserved, list) else set()
    count = min(next((number for number in (most, replicas) if isinstance(number, int)), 1), _MAX_PODS)
    ordinal = start if isinstance(start, int) else 0
    found: list[int] = []
    while len(found) < count:
        if ordinal not in skipped:
            found.append(ordinal)
        ordinal += 1
    return found


def _ordinals_less(before: Stored, after: Stored | None) -> list[int]:
    """The ordinals of a StatefulSet's pods that it has no more."""
    stay = set(_ordinals(after)) if after is not None else ()
    return [ordinal for ordinal in _ordinals(before) if ordinal not in stay]


def _policies(one: Stored) -> list[Mapping[str, Any]]:
    policy = one.at("spec", "persistentVolumeClaimRetentionPolicy")
    return [policy] if isinstance(policy, Mapping) else []


def as_manifests(deletions: Iterable[Deletion]) -> Iterator[bytes]:
    """What `kubectl delete --ignore-not-found -f` is given: each object by its kind and name, and no more of it."""
    yield b"# What is gone, in the order in which it is deleted: kubectl delete --ignore-not-found -f FILE\n"
    for one in deletions:
        metadata = {"name": one.name, "namespace": one.namespace or ...}
        body = mapping({"apiVersion": one.api_version, "kind": one.kind, "metadata": metadata})
        yield "".join(map(str, document(body))).encode()
