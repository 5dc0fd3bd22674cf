"""`scale`: more or fewer islands of a Set; those that go leave tombstones, and no key is used a second time unasked."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Any, NamedTuple

from replicator import names, ranges
from replicator.check.project import set_at
from replicator.diagnostics import Diagnostic, Place, Related, nearest
from replicator.editing.members import members, ordinals, written_keys
from replicator.editing.text import GONE, Path, Refused
from replicator.expander.members import natural
from replicator.expander.values import WILD
from replicator.model import IslandSet, IslandType, Partition, Project, Routing
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node, Scalar
from replicator.zones import levelled


class Asked(NamedTuple):
    """What the command line asks for: so many islands (`5`), or so many more or fewer (`+2`, `-1`), of a Set.

    `set` is a path (`cart`, `region/cell`), `data` what tombstones say; `reuse` allows keys that have one.
    """

    set: str
    amount: str
    data: str = "retain"
    reuse: bool = False
    max_islands: int = 100_000


class Scaled(NamedTuple):
    """What is to be done: changes by the root of the document that they are in, and what to say of them."""

    set: str
    before: int
    after: int
    came: Sequence[tuple[str, str]]  # keys and zones
    went: Sequence[str]
    fate: str  # of the data of those that went
    inside: int | None  # in how many islands, of a Set inside islands
    changes: Mapping[MappingNode, Mapping[Path, Any]]

    def lines(self) -> Iterator[str]:
        """The islands that come and go, in lines."""
        each = "" if self.inside is None else f" in each of {self.inside:,}"
        islands = "island" if self.after == 1 else "islands"
        if self.before == self.after:
            yield f"{self.set}: {self.after:,} {islands}{each}, as before"
            return
        yield f"{self.set}: {self.before:,} → {self.after:,} {islands}{each}"
        for key, zone in self.came[:_SHOWN]:
            yield f"+ {self.set}/{key}" + (f" in zone {zone}" if zone else "")
        for key in self.went[:_SHOWN]:
            yield f"- {self.set}/{key}: its data {_FATES[self.fate]}"
        if (more := len(self.came) + len(self.went) - _SHOWN) > 0:
            yield f"… and {more:,} more"

    def data(self) -> dict[str, Any]:
        """The same for a program."""
        return {
            "set": self.set,
            "before": self.before,
            "after": self.after,
            "in": self.inside,
            "added": [{"key": key, "zone": zone or None} for key, zone in self.came],
            "removed": [{"key": key, "data": self.fate} for key in self.went],
        }


_SHOWN = 20
_FATES = {"retain": "is retained", "delete": "is to be deleted"}


@dataclass
class _Set:
    """A Set as it is edited: its model, where its fields are, and who keeps its tombstones.

    A Set inside a Type is in all islands of that Type: `around` are the outermost Sets, and the paths of the islands
    in them that have such a Set; `path` is then where the Set is in the Type's document.
    """

    name: str
    model: IslandSet
    document: MappingNode
    path: Path
    around: Sequence[tuple[IslandSet, Sequence[str]]]

    @property
    def spec(self) -> MappingNode:
        node = self.document.get(*self.path)
        assert isinstance(node, MappingNode)
        return node

    def tombstones(self, key: str) -> Iterator[tuple[IslandSet, str]]:
        """Where an island's tombstones are or would be: a Set, and the key there."""
        for outer, paths in self.around:
            yield from ((outer, f"{path}{key}") for path in paths)

    def tomb(self, key: str) -> Node | None:
        """The key of an island's tombstone, of any of the islands of one key."""
        for outer, name in self.tombstones(key):
            if outer.removed is not None and name in outer.removed.items:
                return outer.removed.key(name)
        return None


def scale(project: Project, asked: Asked) -> Scaled:
    """What `scale` does to a Set of a project. Raises `Refused` (R0812)."""
    scaled = _found(project, asked.set)
    model = scaled.model
    if model.matrix is not None:
        hint = "add a value to an axis, or take one out, and write tombstones for the islands that go"
        place = scaled.spec.key_place("matrix")
        raise Refused(
            Diagnostic("R0812", "the islands of a matrix are its values: they have no number", place, hint=hint)
        )
    keys = written_keys(model)
    if keys is None:
        node = model.count or model.keys
        place = node.place if node is not None else model.metadata.name_node.place
        hint = "scale by what the expression reads" if node is not None else "replicas: 3"
        raise Refused(Diagnostic("R0812", f"`{asked.set}` has no literal number of islands", place, hint=hint))
    wanted = _wanted(asked.amount, len(keys))
    if wanted > asked.max_islands:
        message = f"{wanted:,} islands are more than {asked.max_islands:,}"
        raise Refused(Diagnostic("R0508", message, hint="raise the limit with --max-islands"))
    keys = sorted(keys, key=natural)
    came = _next(scaled, keys, wanted - len(keys), asked.reuse) if wanted > len(keys) else []
    went = keys[wanted:]
    _judge_keys(scaled, came, asked.reuse)
    _judge_gone(project, scaled, keys[:wanted], went)
    changes: dict[MappingNode, dict[Path, Any]] = {scaled.document: {}}
    here = changes[scaled.document]
    zones = _zones(scaled, keys, came)
    if model.replicas is not None:
        if wanted != len(keys):
            here[(*scaled.path, "replicas")] = wanted
        here |= _assigned(scaled, keys, zones, went)
    else:
        here |= {(*scaled.path, "islands", key): {"zone": zones[key]} if key in zones else {} for key in came}
        here |= {(*scaled.path, "islands", key): GONE for key in went}
    for key in came:
        for outer, name in scaled.tombstones(key):
            if outer.removed is not None and name in outer.removed.items:
                changes.setdefault(outer.node, {})[("spec", "removed", name)] = GONE
    for key in sorted(went, key=natural):
        for outer, name in scaled.tombstones(key):
            changes.setdefault(outer.node, {})[("spec", "removed", name)] = {"data": asked.data}
    inside = None if model in project.sets else sum(len(paths) for _, paths in scaled.around)
    arrivals = [(key, zones.get(key, "")) for key in came]
    return Scaled(asked.set, len(keys), wanted, arrivals, went, asked.data, inside, changes)


def _found(project: Project, path: str) -> _Set:
    user = set_at(project, path)
    if user is None:
        known = [one.name for one in project.sets]
        raise Refused(Diagnostic("R0802", f"there is no Set `{path}` in these files", hint=nearest(path, known)))
    if sum(one.name == path.partition("/")[0] for one in project.sets) > 1:
        first = path.partition("/")[0]
        places = [one.metadata.name_node.place for one in project.sets if one.name == first]
        related = tuple(Related("one of them", place) for place in places[1:])
        message, hint = f"several Sets have the name `{first}`", "name only the file of the one that you mean"
        raise Refused(Diagnostic("R0812", message, places[0], hint=hint, related=related))
    if user.inside is None:
        return _Set(path, user.model, user.model.node, ("spec",), [(user.model, [""])])
    around = []
    for outer in project.sets:
        paths = [
            f"{key}/{user.model.name}/"
            for steps in _ways(project, outer, user.inside)
            for key in _islands(project, outer, steps)
        ]
        around.append((outer, paths))
    return _Set(path, user.model, user.inside.node, ("spec", "sets", user.model.name), around)


def _ways(project: Project, outer: IslandSet, wanted: IslandType) -> Iterator[tuple[str, ...]]:
    """The paths of Sets, from an outermost one on, whose islands are of a Type."""
    waiting: list[tuple[tuple[str, ...], IslandSet, frozenset[IslandType]]] = [((outer.name,), outer, frozenset())]
    while waiting:
        path, model, seen = waiting.pop()
        island_type = project.type_of.get(model)
        if island_type is wanted:
            yield path
        if island_type is not None and island_type not in seen:
            waiting += (((*path, name), one, seen | {island_type}) for name, one in island_type.sets.items())


def _islands(project: Project, outer: IslandSet, steps: tuple[str, ...]) -> Iterator[str]:
    """The paths of islands below their outermost Set: `eu`, `eu/cell/3`."""
    known = members(project, "/".join(steps))
    if known is None:
        message = f"which islands `{'/'.join(steps)}` has is not known from these files"
        place = outer.metadata.name_node.place
        raise Refused(Diagnostic("R0812", message, place, hint="name all files of the project"))
    for key in (key for key, one in known.items() if not one.implementation):  # another one holds no Sets
        first, *rest = key.split("/")
        yield "/".join([first, *(part for pair in zip(steps[1:], rest, strict=True) for part in pair)])


def _wanted(amount: str, now: int) -> int:
    number = int(amount)
    if amount[0] not in "+-":
        return number
    if now + number < 0:
        raise Refused(Diagnostic("R0802", f"there are only {now:,} islands, {-number:,} cannot go"))
    return now + number


def _next(scaled: _Set, keys: Sequence[str], number: int, reuse: bool) -> list[str]:
    """The keys of islands that come: numbers, or names that end in the next numbers where all do."""
    model = scaled.model
    if model.replicas is not None:
        return ordinals(model, len(keys) + number)[len(keys) :]
    assert model.islands is not None
    place = scaled.spec.key_place("islands")
    split = [re.fullmatch(r"(|.*[^0-9])(0|[1-9][0-9]*)", key) for key in keys]
    prefixes = {found[1] if found else None for found in split}
    prefix = next(iter(prefixes), None)
    if prefix is None or len(prefixes) > 1:
        message = f"what the next islands of `{scaled.name}` are called does not follow from its keys"
        raise Refused(Diagnostic("R0812", message, place, hint="write their keys by hand: `islands: {ap: {}}`"))
    last = max(int(found[2]) for found in split if found)
    came: list[str] = []
    while len(came) < number:
        last += 1
        key = f"{prefix}{last}"
        if reuse or scaled.tomb(key) is None:
            came.append(key)
    for key in came:
        if len(key) > names.MAX_KEY:
            raise Refused(
                Diagnostic("R0812", f"the next key, `{key}`, has more than {names.MAX_KEY} characters", place)
            )
    return came


def _judge_keys(scaled: _Set, came: Iterable[str], reuse: bool) -> None:
    """No island that comes was removed before, unless its author says that this is meant."""
    if reuse:
        return
    tombs = [tomb for key in came if (tomb := scaled.tomb(key)) is not None]
    if tombs:
        message = f"a key is never used again, and there are tombstones of {_listed([str(one.data) for one in tombs])}"
        hint = "--reuse takes them out: what data they have left becomes the new islands'"
        related = tuple(Related("removed, too", tomb.place) for tomb in tombs[1:_LISTED])
        raise Refused(Diagnostic("R0812", message, tombs[0].place, hint=hint, related=related))


_LISTED = 8  # in a message


def _listed(keys: Collection[str]) -> str:
    """Some keys in a message, not all of many."""
    return ", ".join(f"`{key}`" for key in [*keys][:_LISTED]) + (", …" if len(keys) > _LISTED else "")


def _judge_gone(project: Project, scaled: _Set, left: Sequence[str], went: Sequence[str]) -> None:
    """Nothing among the documents needs an island that goes."""
    gone = frozenset(went)
    if not gone:
        return
    found = [*_owning(project, scaled, gone), *_routed_to(project, scaled, gone), *_globs_left(scaled, left, gone)]
    if found:
        raise Refused(*found)


def _owning(project: Project, scaled: _Set, gone: frozenset[str]) -> Iterator[Diagnostic]:
    """Islands that go and have keys of a Partition."""
    depth = scaled.name.count("/") + 1
    for partition in project.partitions:
        if partition.set.text != scaled.name and not partition.set.text.startswith(f"{scaled.name}/"):
            continue
        owning: dict[str, dict[str, Place]] = {}  # by field
        for what, owner, place in _owners(partition):
            steps = owner.split("/")
            if len(steps) >= depth and steps[depth - 1] in gone:
                owning.setdefault(what, {}).setdefault(owner, place)
        for what, places in owning.items():
            hint = f"first change `{what}` by hand"
            if what == "table":
                hint = f"first `replicator rebalance … --remove {' --remove '.join(places)}` with these files"
            (_, place), *others = places.items()
            islands = f"island{'s' if others else ''} {_listed(places)}"
            message = f"the Partition `{partition.name}` gives keys to the {islands}"
            related = tuple(Related(f"to `{owner}`", other) for owner, other in others[: _LISTED - 1])
            yield Diagnostic("R0812", message, place, hint=hint, related=related)


def _routed_to(project: Project, scaled: _Set, gone: frozenset[str]) -> Iterator[Diagnostic]:
    """Islands that go, or have one around them that goes, and are named by a route or by a test of routes."""
    sets = scaled.name.split("/")
    end = 2 * len(sets)
    for routing in project.routings:
        for what, node in _destinations(routing):
            steps = node.text.split("/")
            if len(steps) >= end and steps[:end:2] == sets and steps[end - 1] in gone:
                message = f"{what} of the Routing `{routing.name}` names the island `{node.text}`"
                yield Diagnostic("R0812", message, node.place, hint="first name another island there, or take it out")


def _destinations(routing: Routing) -> Iterator[tuple[str, Scalar]]:
    """Where a Routing names islands: by what, and the path of one."""
    for route in routing.routes:
        for one in route.to:
            if one.kind == "island" and one.target is not None:
                yield "a route", one.target
        if route.mirror is not None and route.mirror.kind == "island" and route.mirror.target is not None:
            yield "a mirror", route.mirror.target
    for test in routing.tests:
        if isinstance(island := test.get("expect", "island"), Scalar):
            yield "a test", island


def _globs_left(scaled: _Set, left: Sequence[str], gone: frozenset[str]) -> Iterator[Diagnostic]:
    """Globs of overrides and waves that match islands that go, and none that stays."""
    globs = [("overrides", glob) for one in scaled.model.overrides for glob in one.globs]
    globs += [("waves", glob) for one in scaled.model.waves for glob in one.globs]
    for field, glob in globs:
        if WILD.search(glob.text):
            matches = re.compile(translate(glob.text)).fullmatch
            needed = any(map(matches, gone)) and not any(map(matches, left))
        else:
            needed = glob.text in gone
        if needed:
            message = f"`{glob.text}` in `{field}` would match no island of `{scaled.name}` any more"
            hint = f"first take it out, with its entry of `{field}` where nothing else is named there"
            yield Diagnostic("R0812", message, glob.place, hint=hint)


def _owners(partition: Partition) -> Iterator[tuple[str, str, Place]]:
    """The islands that a Partition names: in which field, which one, where."""

    def values(field: str, node: MappingNode | None) -> Iterator[tuple[str, str, Place]]:
        for owner in node.items.values() if node is not None else ():
            if isinstance(owner, Scalar):
                yield field, owner.text, owner.place

    yield from values("pins", partition.pins)
    yield from values("table", partition.keys)
    for table in (partition.hex, partition.buckets):
        for key in table.table.written if table is not None else ():
            yield "table", key.text, key.place
    for move in partition.moves:
        for end in (move.origin, move.target):
            yield "moves", end.text, end.place
    if partition.otherwise is not None and isinstance(owner := partition.otherwise.items.get("island"), Scalar):
        yield "otherwise", owner.text, owner.place


def _zones(scaled: _Set, keys: Sequence[str], came: Sequence[str]) -> dict[str, str]:
    """The zones of islands that come, each in that which has fewest by then."""
    placement = scaled.model.placement
    zones = placement.data.get("zones", []) if placement is not None else []
    if not zones:
        return {}
    if scaled.model.islands is not None:
        entries = [entry for entry in scaled.model.islands.items.values() if isinstance(entry, MappingNode)]
        taken = [entry.data["zone"] for entry in entries if "zone" in entry.items]
        return dict(zip(came, levelled(zones, taken), strict=False))
    known = {key: zone for zone, having in _assignment(scaled).items() for key in having}
    made = {key: known[key] for key in came if key in known}  # somebody has thought of them before
    taken = [*(known[key] for key in keys if key in known), *made.values()]
    return made | dict(zip((key for key in came if key not in known), levelled(zones, taken), strict=False))


def _assignment(scaled: _Set) -> dict[str, list[str]]:
    """The keys of counted islands that `placement.assigned` has, by zone."""
    placement = scaled.model.placement
    assigned = placement.items.get("assigned") if placement is not None else None
    found = {}
    for zone, node in assigned.items.items() if isinstance(assigned, MappingNode) else ():
        try:
            given = ranges.parse(node.text if isinstance(node, Scalar) else "")
        except ranges.NotRanges as error:
            raise Refused(Diagnostic("R0812", f"zone `{zone}`: {error}", node.place)) from None
        if ranges.count(given) > _MOST:
            raise Refused(Diagnostic("R0812", f"zone `{zone}` has more than {_MOST:,} islands", node.place))
        found[zone] = [str(number) for number in ranges.numbers(given)]
    return found


_MOST = 1_000_000  # of islands that a zone is read to have


def _assigned(scaled: _Set, keys: Sequence[str], zones: Mapping[str, str], went: Sequence[str]) -> dict[Path, Any]:
    """What changes in `placement.assigned`."""
    before = _assignment(scaled) if zones or went else {}
    gone = set(went)
    after = {zone: [key for key in having if key not in gone] for zone, having in before.items()}
    known = {key for having in before.values() for key in having}
    for key, zone in zones.items():
        if key not in known:
            after.setdefault(zone, []).append(key)
    return {
        (*scaled.path, "placement", "assigned", zone): ranges.as_text(ranges.of_numbers(map(int, having)))
        if having
        else GONE
        for zone, having in after.items()
        if having != before.get(zone)
    }
