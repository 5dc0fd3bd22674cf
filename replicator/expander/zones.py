"""Which zone each island of a Set runs in: as it is written, and what to write where nothing is."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from replicator import ranges
from replicator.diagnostics import Diagnostic, Place, Related, nearest
from replicator.expander.islands import Island, SetPlan
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node
from replicator.ranges import Range
from replicator.yaml_text import quoted, scalar
from replicator.zones import levelled

_AT_ONCE = 20  # keys of a matrix for which a line to write is shown


def assign_zones(plan: SetPlan, found: list[Diagnostic]) -> Callable[[Island], str]:
    """The zone of each island of an outermost Set whose entry does not say it. The Set has `placement.zones`.

    An island without a zone is an error. One that is another implementation has no pods here, and needs none.
    """
    placement = plan.model.placement
    assert placement is not None
    if plan.model.islands is not None:
        found += _without_entry(plan)
        return lambda island: ""
    node = placement.items.get("assigned")
    assigned = list(node.items.items()) if isinstance(node, MappingNode) else []
    place = placement.key_place("assigned" if node is not None else "zones")
    if plan.model.matrix is not None:
        return _keyed(plan, assigned, place, found)
    return _counted(plan, assigned, place, found)


def _without_entry(plan: SetPlan) -> Iterator[Diagnostic]:
    """Islands whose entries name no zone, each with the line to write."""
    entries = plan.model.islands
    assert entries is not None
    taken = [island.zone for island in plan.islands]
    suggested = levelled(plan.zones, taken)
    for island, zone in zip(plan.islands, taken, strict=True):
        if zone or island.implementation:
            continue
        chosen = scalar(next(suggested))
        written = isinstance(island.entry, MappingNode) and island.entry.items
        hint = f"zone: {chosen}" if written else f"{scalar(island.key)}: {{zone: {chosen}}}"
        message = f"the island `{island.path}` has no zone"
        yield Diagnostic("R0320", message, entries.key_place(island.key), island.path, hint)


def _shares(zones: Sequence[str], load: Mapping[str, int], more: int) -> dict[str, int]:
    """How many of `more` islands go to each zone, so that those with the fewest get them."""
    taken = [zone for zone, number in load.items() for _ in range(number)]
    shares = dict.fromkeys(zones, 0)
    for _, zone in zip(range(more), levelled(zones, taken), strict=False):
        shares[zone] += 1
    return shares


def _twice(key: str, one: str, other: str, place: Place, earlier: Place) -> Diagnostic:
    message = f"`{key}` is in two zones, `{one}` and `{other}`" if one != other else f"`{key}` is there twice"
    related = (Related("the first one", earlier),)
    return Diagnostic("R0322", message, place, hint="keep one of them", related=related)


def _missing(what: str, plan: SetPlan, written: Mapping[str, str], place: Place) -> Diagnostic:
    """Islands that no zone is assigned to, with the whole line to write."""
    line = ", ".join(f"{scalar(zone)}: {quoted(written[zone])}" for zone in plan.zones if written.get(zone))
    return Diagnostic("R0320", f"{what} of `{plan.path}` without a zone", place, hint=f"assigned: {{{line}}}")


# By keys of a matrix


def _keyed(
    plan: SetPlan, assigned: Iterable[tuple[str, Node]], place: Place, found: list[Diagnostic]
) -> Callable[[Island], str]:
    keys = {island.key: "" for island in plan.islands}
    places: dict[str, Place] = {}
    before = len(found)
    for zone, node in assigned:
        for key in (part.strip() for part in str(node.data).split(",")):
            if key not in keys:
                message = f"`{key}` is no island of `{plan.path}`"
                found.append(Diagnostic("R0505", message, node.place, hint=nearest(key, keys)))
            elif keys[key]:
                found.append(_twice(key, keys[key], zone, node.place, places[key]))
            else:
                keys[key] = zone
                places[key] = node.place
    missing = [key for key, zone in keys.items() if not zone]
    if missing and len(found) == before:
        some = missing[:_AT_ONCE]
        load = {zone: sum(1 for one in keys.values() if one == zone) for zone in plan.zones}
        rest = iter(some)
        more = {
            zone: [next(rest) for _ in range(share)] for zone, share in _shares(plan.zones, load, len(some)).items()
        }
        listed = {zone: [key for key, one in keys.items() if one == zone] + more[zone] for zone in plan.zones}
        what = f"island{'s' if len(missing) > 1 else ''} {', '.join(some)}"
        what += f" and {len(missing) - len(some):,} more" if len(missing) > len(some) else ""
        found.append(_missing(what, plan, {zone: ",".join(one) for zone, one in listed.items()}, place))
    return lambda island: keys[island.key]


# By number


class _Share(NamedTuple):
    """Numbers of islands that are assigned to a zone."""

    numbers: Range
    zone: str
    place: Place


def _counted(
    plan: SetPlan, assigned: Iterable[tuple[str, Node]], place: Place, found: list[Diagnostic]
) -> Callable[[Island], str]:
    before = len(found)
    shares = sorted(_read(assigned, found))
    first, last = plan.model.start, plan.model.start + len(plan.islands) - 1
    for one in shares:
        if one.numbers.first < first or one.numbers.last > last:
            there = f"they are {ranges.as_text([Range(first, last)])}" if last >= first else "there are none"
            message = f"`{ranges.as_text([one.numbers])}`: not all of these are islands of `{plan.path}`"
            found.append(Diagnostic("R0505", message, one.place, hint=there))
    for one, other in pairwise(shares):
        if other.numbers.first <= one.numbers.last:
            both = Range(other.numbers.first, min(one.numbers.last, other.numbers.last))
            found.append(_twice(ranges.as_text([both]), one.zone, other.zone, other.place, one.place))
    if len(found) == before:
        missing = list(_gaps([one.numbers for one in shares], first, last))
        if missing:
            found.append(_unassigned(plan, shares, missing, place))
    starts, zones = [one.numbers.first for one in shares], [one.zone for one in shares]
    return lambda island: zones[bisect_right(starts, island.ordinal) - 1]


def _read(assigned: Iterable[tuple[str, Node]], found: list[Diagnostic]) -> Iterator[_Share]:
    for zone, node in assigned:
        try:
            read = ranges.parse(str(node.data))
        except ranges.NotRanges as problem:
            found.append(Diagnostic("R0205", str(problem), node.place, hint=f'{scalar(zone)}: "0-3,8"'))
            continue
        yield from (_Share(numbers, zone, node.place) for numbers in read)


def _gaps(taken: Iterable[Range], first: int, last: int) -> Iterator[Range]:
    """The numbers from the first to the last that are not taken. What is taken is in order."""
    for one in taken:
        if one.first > first:
            yield Range(first, one.first - 1)
        first = one.last + 1
    if first <= last:
        yield Range(first, last)


def _unassigned(plan: SetPlan, shares: Sequence[_Share], missing: Sequence[Range], place: Place) -> Diagnostic:
    number = ranges.count(missing)
    own = {zone: [one.numbers for one in shares if one.zone == zone] for zone in plan.zones}
    rest = list(missing)
    for zone, share in _shares(plan.zones, {zone: ranges.count(own[zone]) for zone in plan.zones}, number).items():
        while share:
            one = rest.pop(0)
            size = min(share, one.last - one.first + 1)
            own[zone].append(Range(one.first, one.first + size - 1))
            share -= size
            if one.first + size <= one.last:
                rest.insert(0, Range(one.first + size, one.last))
    written = {zone: ranges.as_text(ranges.merged(numbers)) for zone, numbers in own.items()}
    what = f"island{'s' if number > 1 else ''} {ranges.as_text(missing)}"
    return _missing(what, plan, written, place)
