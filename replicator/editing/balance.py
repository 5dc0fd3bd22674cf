"""Shares of numbered things (buckets, hex digits, keys) among islands by weight, and the fewest moves to them.

Numbers in, numbers out: nothing here knows of files. Where islands are alike, the order in which they are given
decides.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from replicator import ranges
from replicator.ranges import Range


class Direction(NamedTuple):
    """Which moves are allowed: those from a giver, and those to a receiver."""

    givers: Collection[str]
    receivers: Collection[str]


class Move(NamedTuple):
    """Numbers that go from one owner to another: ranges in order."""

    origin: str
    target: str
    ranges: tuple[Range, ...]

    @property
    def number(self) -> int:
        return ranges.count(self.ranges)


class Plan(NamedTuple):
    """Moves, how many more numbers a next run would move, and whether those left alone stay uneven."""

    moves: tuple[Move, ...]
    remaining: int
    uneven: bool


def plan(
    owned: Mapping[str, Sequence[Range]],
    weights: Mapping[str, int],
    direction: Direction | None = None,
    limit: int | None = None,
) -> Plan:
    """The smallest number of moves after which each has its share, to one number.

    `owned` are the numbers that each has now, `weights` of whom they are to be shared among: whoever owns something
    is in it; not all are 0. Without a direction every move is allowed; with one, what it allows is done. At most
    `limit` numbers are moved, the same ones that a run without a limit moves first.
    """
    counts = {name: ranges.count(owned.get(name, ())) for name in weights}
    direction = direction or Direction(weights, weights)
    wanted = _flows(counts, targets(counts, weights, direction), direction)
    left = sum(number for _, _, number in wanted) if limit is None else limit
    needs: dict[str, dict[str, int]] = {}
    remaining = 0
    for origin, target, number in wanted:
        now = min(number, left)
        left -= now
        remaining += number - now
        if now:
            needs.setdefault(origin, {})[target] = now
    moves = _moves(owned, needs)
    after = dict(counts)
    for origin, target, number in wanted:
        after[origin] -= number
        after[target] += number
    return Plan(moves, remaining, not is_even(after, weights))


def is_even(counts: Mapping[str, int], weights: Mapping[str, int]) -> bool:
    """Whether each has its share by weight, rounded up or down."""
    total, whole = sum(counts.values()), sum(weights.values())
    return all(abs(counts[name] * whole - total * weight) < whole for name, weight in weights.items())


def targets(counts: Mapping[str, int], weights: Mapping[str, int], direction: Direction) -> dict[str, int]:
    """How many each is to have: its share by weight rounded down, or up where that saves a move.

    Of those that are left to round up, first those who may give nothing, then those who may receive; then those whose
    share is nearest to the next number. Where those who may give nothing have more than the receivers lack, receivers
    are rounded up in the place of givers: that is a move more, but an allowed one.
    """
    total, whole = sum(counts.values()), sum(weights.values())
    shares = {name: divmod(total * weight, whole) for name, weight in weights.items()}
    made = {name: least for name, (least, _) in shares.items()}

    def rank(name: str) -> tuple[int, int]:
        if counts[name] > made[name]:
            return (1 if name in direction.givers else 0, -shares[name][1])
        return (2 if name in direction.receivers else 3, -shares[name][1])

    ranked = sorted(((rank(name), name) for name, (_, rest) in shares.items() if rest), key=lambda one: one[0])
    up, down = ranked[: total - sum(made.values())], ranked[total - sum(made.values()) :]
    for _, name in up:
        made[name] += 1
    stuck = sum(max(0, count - made[name]) for name, count in counts.items() if name not in direction.givers)
    lacking = sum(max(0, made[name] - count) for name, count in counts.items() if name in direction.receivers)
    givers = [name for (kind, _), name in reversed(up) if kind == 1]
    receivers = [name for (kind, _), name in down if kind == 2]
    for giver, receiver, _ in zip(givers, receivers, range(stuck - lacking), strict=False):
        made[giver] -= 1
        made[receiver] += 1
    return made


def _flows(counts: Mapping[str, int], wanted: Mapping[str, int], direction: Direction) -> list[tuple[str, str, int]]:
    """Who gives how many to whom. What only an unallowed move could even out stays."""
    spare = {name: count - wanted[name] for name, count in counts.items() if count > wanted[name]}
    short = {name: wanted[name] - count for name, count in counts.items() if count < wanted[name]}
    giving = {name: number for name, number in spare.items() if name in direction.givers}
    having = {name: number for name, number in spare.items() if name not in direction.givers}
    receiving = {name: number for name, number in short.items() if name in direction.receivers}
    lacking = {name: number for name, number in short.items() if name not in direction.receivers}
    to_others = min(sum(giving.values()), sum(lacking.values()))  # only givers can help those
    among = min(sum(giving.values()) - to_others, sum(receiving.values()))
    from_others = min(sum(having.values()), sum(receiving.values()) - among)
    given, received = _level(giving, to_others + among), _level(receiving, among + from_others)
    flows = _paired(given, _level(lacking, to_others))
    flows += _paired(given, received)
    return flows + _paired(_level(having, from_others), received)


def _level(amounts: Mapping[str, int], total: int) -> dict[str, int]:
    """What is taken of some amounts, together a total, so that what is left is as level as can be."""
    low, high = 0, max(amounts.values(), default=0)
    while low < high:  # the lowest level above which there is no more than the total
        level = (low + high) // 2
        if sum(max(0, amount - level) for amount in amounts.values()) <= total:
            high = level
        else:
            low = level + 1
    taken = {name: max(0, amount - low) for name, amount in amounts.items()}
    left = total - sum(taken.values())
    for name, amount in amounts.items():
        if left and amount > taken[name] and amount - taken[name] == low:
            taken[name] += 1
            left -= 1
    return taken


def _paired(given: dict[str, int], received: dict[str, int]) -> list[tuple[str, str, int]]:
    """Givers and receivers in order, each pair with as many as it can have; what they are left with is left there."""
    pairs = []
    waiting = deque(name for name, number in received.items() if number)
    for origin, number in given.items():
        while number and waiting:
            target = waiting[0]
            now = min(number, received[target])
            pairs.append((origin, target, now))
            number -= now
            received[target] -= now
            if not received[target]:
                waiting.popleft()
        given[origin] = number
    return pairs


def _moves(owned: Mapping[str, Sequence[Range]], needs: Mapping[str, Mapping[str, int]]) -> tuple[Move, ...]:
    """Which numbers go: those beside numbers of their new owner first, then from the ends of long ranges."""
    size = max((one.last for given in owned.values() for one in given), default=-1) + 1
    owner: list[str | None] = [None] * (size + 1)  # the one more is nobody's neighbour, on either side
    for name, given in owned.items():
        for one in given:
            owner[one.first : one.last + 1] = [name] * (one.last - one.first + 1)
    moves = []
    for origin, wanted in needs.items():
        cut = _cut(ranges.merged(owned[origin]), dict(wanted), owner)
        moves += [Move(origin, target, ranges.merged(cut[target])) for target in wanted]
    return tuple(moves)


def _cut(have: Sequence[Range], needs: dict[str, int], owner: list[str | None]) -> dict[str, list[Range]]:
    """The numbers of one owner that each of some others is given."""
    cut: dict[str, list[Range]] = {name: [] for name in needs}

    def give(name: str, first: int, last: int) -> None:
        cut[name].append(Range(first, last))
        needs[name] -= last - first + 1
        owner[first : last + 1] = [name] * (last - first + 1)

    rest: list[tuple[int, int]] = []  # length and first number of what is left
    for first, last in have:
        before, after = owner[first - 1], owner[last + 1]
        if before is not None and (number := min(needs.get(before, 0), last - first + 1)):
            give(before, first, first + number - 1)
            first += number
        if after is not None and (number := min(needs.get(after, 0), last - first + 1)) > 0:
            give(after, last - number + 1, last)
            last -= number
        if first <= last:
            rest.append((last - first + 1, first))
    rest.sort()
    for name in list(needs):
        while (wanted := needs[name]) > 0:
            length, first = rest.pop()
            number = min(wanted, length)
            give(name, first + length - number, first + length - 1)
            if number < length:
                insort(rest, (length - number, first))
    return cut
