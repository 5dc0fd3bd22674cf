"""What is gone between two outputs: who said so, what is to be deleted, and what becomes of data.

An object that is gone is accounted for by a tombstone of its island, or by the word of whoever builds (`allow`); else
it is an error. What holds data is deleted only where a tombstone says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from replicator import immutable
from replicator.census import Census, Whose, ordinals, ordinals_less, pods_of
from replicator.comparison import Stored
from replicator.diagnostics import Diagnostic, Place, Related
from replicator.expander.islands import SetPlan
from replicator.kinds import apply_rank, routing_rank
from replicator.names import OF_ISLAND, OF_ROUTING
from replicator.parser.source import Mapping as MappingNode
from replicator.tree import mapping
from replicator.yaml_text import document

# Deleting one deletes what is in it: volumes, all objects of a namespace, all objects of a kind. A claim's volume goes
# with it by the class's reclaimPolicy.
_HOLDERS = frozenset(("PersistentVolumeClaim", "PersistentVolume", "Namespace", "CustomResourceDefinition"))
_CLAIM = "PersistentVolumeClaim"
_MAX_TOLD = 10  # islands of one Set that have a finding of their own


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
            self.pods(one, ordinals(one, most), "whenDeleted", _policies(one))

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
        if after.kind == "StatefulSet" and pods_of(before):
            left = ordinals_less(before, after)
            self.pods(before, left, "whenScaled", [*_policies(before), *_policies(after)])

    def pods(self, one: Stored, ordinals: Sequence[int], when: str, policies: Iterable[Mapping[str, Any]]) -> None:
        """Pods of a StatefulSet that are gone, and their claims. In `form: pods` each is an island."""
        templates = one.at("spec", "volumeClaimTemplates")
        claims = [_name(template) for template in templates] if isinstance(templates, list) else []
        automatic = any(policy.get(when) == "Delete" for policy in policies)
        of_pods = pods_of(one)
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
