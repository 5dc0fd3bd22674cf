"""`rebalance`: a Partition's table with each island's share by weight, and as few keys moved as can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from replicator import names, ranges
from replicator.diagnostics import Diagnostic, Place, Related, nearest
from replicator.editing.balance import Direction, Move, Plan, plan
from replicator.editing.members import Member, members
from replicator.editing.text import GONE, Path, Refused
from replicator.expander.islands import STATES
from replicator.expander.members import natural
from replicator.model import Move as MoveUnderWay
from replicator.model import Partition, Project
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node, Scalar
from replicator.routing.partitions import not_shared_out, read


class Asked(NamedTuple):
    """What the command line asks for: islands that come, that go, and weights for this run.

    `partition` is NAME or NAMESPACE/NAME, needed where there are several; at most `max_moves` things are moved.
    """

    partition: str = ""
    add: Sequence[str] = ()
    remove: Sequence[str] = ()
    weights: Mapping[str, int] = {}
    max_moves: int | None = None


class Table(NamedTuple):
    """A table as numbers: of buckets, of hex digits, or of keys in the order in which they are written."""

    kind: str  # the field of the Partition
    path: Path
    node: MappingNode
    size: int
    digits: int  # the width of a hex number; 0 otherwise
    owned: Mapping[str, tuple[ranges.Range, ...]]

    def place(self, name: str) -> Place:
        """Where an owner is named, or named first."""
        if self.kind != "keys":
            return self.node.key_place(name)
        return next(owner.place for owner in self.node.items.values() if _text(owner) == name)

    def things(self, number: int) -> str:
        """So many of what the table shares out, in words."""
        one = {"buckets": "bucket", "keys": "key"}.get(self.kind, "hex digit" if self.digits == 1 else "hex value")
        return f"{number:,} {one}{'' if number == 1 else 's'}"

    def shown(self, move: Move) -> str:
        """What a move moves, as the table has it."""
        if self.kind != "keys":
            return ranges.as_text(move.ranges, self.digits)
        keys = list(self.node.items)
        return ",".join(keys[number] for number in ranges.numbers(move.ranges))


class Rebalanced(NamedTuple):
    """What is to be done to a Partition: the moves, the changes of documents, and what else to say."""

    partition: Partition
    table: Table
    plan: Plan
    changes: Mapping[MappingNode, Mapping[Path, Any]]
    notes: Sequence[str]

    def lines(self) -> Iterator[str]:
        """The moves, their sum, and what is left to do, in lines."""
        table = self.table

        def told(number: int) -> str:
            return f"{table.things(number)}: {100 * number / table.size:.1f} % of the keys"

        for move in self.plan.moves:
            number, _, share = told(move.number).partition(":")
            yield f"{move.origin} → {move.target}: {number} ({_clipped(table.shown(move))}):{share}"
        moved, remaining = sum(move.number for move in self.plan.moves), self.plan.remaining
        if moved:
            yield f"{self.partition.name}: {told(moved)} moved"
            if remaining:
                yield f"{table.things(remaining)} still to move: run it again"
        elif remaining:
            yield f"{self.partition.name}: {told(remaining)} to move; --max-moves 0 moves none"
        else:
            yield f"{self.partition.name}: nothing to move"
        yield from self.notes

    def data(self) -> dict[str, Any]:
        """The same for a program; what a move moves is written as in the table."""
        moves = [
            {
                "from": move.origin,
                "to": move.target,
                "count": move.number,
                "share": round(move.number / self.table.size, 6),
                self.table.kind: self.table.shown(move),
            }
            for move in self.plan.moves
        ]
        return {
            "partition": self.partition.name,
            "of": self.table.size,
            "moves": moves,
            "remaining": self.plan.remaining,
            "notes": list(self.notes),
        }


def rebalance(project: Project, asked: Asked) -> Rebalanced:
    """What `rebalance` does to the Partition of a project. Raises `Refused` (R0811)."""
    partition = _chosen(project, asked.partition)
    _judge_paths(partition, asked)
    table = _table(partition)
    known = members(project, partition.set.text)
    _judge_names(partition, table, known, asked)
    notes = []
    if known is None:
        notes.append(f"the islands of `{partition.set.text}` are not known from these files: all count alike")
    states = {name: one.state for name, one in (known or {}).items() if one.state != STATES[0]}
    weights = dict.fromkeys((*table.owned, *asked.add, *asked.weights), 1)
    weights |= {name: one.weight for name, one in (known or {}).items()}
    weights |= {**asked.weights, **dict.fromkeys(asked.remove, 0)}
    for name in sorted(states, key=natural):  # they keep what they have, and get no more
        if name in asked.remove:
            continue
        del weights[name]
        if name in table.owned:
            number = table.things(ranges.count(table.owned[name]))
            notes.append(f"{name} is {states[name]} and keeps its {number}; --remove {name} moves them")
    if not any(weights.values()):
        raise _refused("no island would own anything: all weights are 0", table.node)
    direction = None
    if asked.add or asked.remove or asked.weights:
        direction = Direction({*asked.remove, *asked.weights}, {*asked.add, *asked.weights})
    ordered = {name: weights[name] for name in sorted(weights, key=natural)}
    owned = {name: given for name, given in table.owned.items() if name in ordered}
    made = plan(owned, ordered, direction, asked.max_moves)
    notes += _left_empty(table, made, weights, asked)
    if made.uneven:
        notes.append("shares were uneven before and are still: without --add, --remove and --weight all are evened out")
    return Rebalanced(partition, table, made, {partition.node: _changes(table, made)}, notes)


def _refused(message: str, node: Node, hint: str = "", *related: Related) -> Refused:
    return Refused(Diagnostic("R0811", message, node.place, hint=hint, related=related))


def _chosen(project: Project, name: str) -> Partition:
    found = [
        one
        for one in project.partitions
        if name in ("", one.name, f"{one.metadata.namespace}/{one.name}" if one.metadata.namespace else "")
    ]
    if len(found) == 1:
        return found[0]
    known = sorted("/".join(filter(None, (one.metadata.namespace, one.name))) for one in project.partitions)
    if not known:
        raise Refused(Diagnostic("R0811", "there is no Partition in these files"))
    if not found:
        raise Refused(Diagnostic("R0802", f"there is no Partition `{name}`", hint=nearest(name, known)))
    hint = f"one of them: --partition {known[0]}; there are {', '.join(known)}"
    related = [Related("one of them", one.metadata.name_node.place) for one in found]
    message = f"there are {len(found)} Partitions" + (f" of the name `{name}`" if name else "")
    raise Refused(Diagnostic("R0811", message, related[0].place, hint=hint, related=tuple(related[1:])))


def _table(partition: Partition) -> Table:
    """The one table of a Partition, in which each number has one owner."""
    spec = partition.node.items["spec"]
    assert isinstance(spec, MappingNode)
    given = [one for one in ("keys", "hex", "buckets") if one in spec.items]
    if len(given) != 1:
        what = f"`{given[0]}` and `{given[1]}`" if given else "neither `keys` nor `hex` nor `buckets`"
        raise _refused(f"the Partition has {what}: there is not one table", partition.metadata.name_node)
    if partition.keys is not None:
        keys: dict[str, list[int]] = {}
        for number, owner in enumerate(partition.keys.items.values()):
            keys.setdefault(_text(owner), []).append(number)
        owned = {name: ranges.of_numbers(numbers) for name, numbers in keys.items()}
        if not owned:
            raise _refused("there are no keys to share out", partition.metadata.name_node)
        table = Table("keys", ("spec", "keys"), partition.keys, len(partition.keys.items), 0, owned)
    elif partition.hex is not None:
        width = partition.hex.width
        owned = _owned(partition.hex.table, 16**width, width)
        table = Table("hex", ("spec", "hex", "table"), partition.hex.table, 16**width, width, owned)
    else:
        assert partition.buckets is not None
        size = partition.buckets.number
        owned = _owned(partition.buckets.table, size, 0)
        table = Table("buckets", ("spec", "buckets", "table"), partition.buckets.table, size, 0, owned)
    for move in partition.moves:
        if move.node.items.keys() & {table.kind}:
            on_their_way = move.node.items[table.kind]
            message = f"{_moving(move)} are on their way from `{move.origin.text}` to `{move.target.text}`"
            raise _refused(message, on_their_way, _finish(move))
    return table


def _moving(move: MoveUnderWay) -> str:
    """What is in a move, in the words of its errors elsewhere."""
    if move.keys:
        return _clipped(f"the keys {', '.join(key.text for key in move.keys)}")
    given = move.hex or move.buckets
    assert given is not None
    return _clipped(f"the {'buckets' if given is move.buckets else 'digits'} {given.text}")


def _finish(move: MoveUnderWay) -> str:
    """The legal steps out of a move (`routing.moves`): a mirror may be dropped, a cutover has happened."""
    table = f"write them to `{move.target.text}` in the table{' or in `pins`' if move.keys else ''}"
    if move.phase == "cutover":
        return f"finish this move: {table}, and take it out of `moves`"
    return (
        f"finish this move: `phase: cutover`, built and applied; then {table}, and take it out of `moves`;"
        f" or drop it, and `{move.origin.text}` keeps them"
    )


def _text(node: Node) -> str:
    return node.text if isinstance(node, Scalar) else ""


def _owned(node: MappingNode, size: int, digits: int) -> dict[str, tuple[ranges.Range, ...]]:
    """The numbers of each owner: each below `size` has exactly one."""
    found: list[Diagnostic] = []
    owned: dict[str, tuple[ranges.Range, ...]] = {}
    taken: list[tuple[ranges.Range, Place]] = []
    for name, entry in node.items.items():
        assert isinstance(entry, Scalar)
        given = read(entry, digits, size)
        if isinstance(given, Diagnostic):
            found.append(given)
        else:
            taken += ((one, entry.place) for one in given)
            owned[name] = ranges.merged(given)
    if found := found or list(not_shared_out(taken, node.place, digits, size)):
        raise Refused(*found)
    return owned


def _judge_paths(partition: Partition, asked: Asked) -> None:
    """What is to have a share is the path of an island of the Set, as a table has it."""
    depth = partition.set.text.count("/") + 1
    found = []
    for name in (*asked.add, *asked.weights):
        keys = name.split("/")
        if len(keys) != depth or not all(map(names.is_key, keys)):
            known = "/".join(["KEY"] * depth)
            hint = f"{known}, a key is at most {names.MAX_KEY} of a-z, 0-9 and `-`, a letter or digit at both ends"
            found.append(Diagnostic("R0802", f"`{name}` is no island of `{partition.set.text}`", hint=hint))
    if found:
        raise Refused(*found)


def _judge_names(partition: Partition, table: Table, known: Mapping[str, Member] | None, asked: Asked) -> None:
    """Whoever is named is there, and may have and lose what is asked."""
    found: list[Diagnostic] = []
    for name in asked.remove:
        if name not in table.owned and name not in (known or {}):
            hint = nearest(name, {*table.owned, *(known or {})})
            found.append(Diagnostic("R0802", f"there is no island `{name}`", hint=hint))
        if name in asked.add or name in asked.weights:
            found.append(Diagnostic("R0802", f"`{name}` cannot be removed and be given a share in one run"))
        found += _held(partition, name)
    for name in (*asked.add, *asked.weights):
        if known is not None and name not in known:
            message = f"the Set `{partition.set.text}` has no island `{name}`"
            found.append(Diagnostic("R0811", message, partition.set.place, hint=nearest(name, known)))
        elif known is not None and known[name].state != STATES[0]:
            message = f"the island `{name}` is {known[name].state}: it gets no keys"
            hint = "its `state` in the Set must be active first"
            found.append(Diagnostic("R0811", message, partition.set.place, hint=hint))
    for name in table.owned if known is not None else ():
        if name not in (known or {}) and name not in asked.remove:
            message = f"the Set `{partition.set.text}` has no island `{name}`"
            hint = f"--remove {name} gives its share to the others"
            found.append(Diagnostic("R0811", message, table.place(name), hint=hint))
    if found:
        raise Refused(*found)


def _held(partition: Partition, name: str) -> Iterator[Diagnostic]:
    """What keeps an island beside the table: pins, moves, `otherwise`."""
    pins = partition.pins.items if partition.pins is not None else {}
    pinned = [(key, owner) for key, owner in pins.items() if _text(owner) == name]
    if pinned and partition.pins is not None:
        keys = _clipped(", ".join(key for key, _ in pinned))
        related = tuple(Related("pinned too", owner.place) for _, owner in pinned[1:9])
        hint = "pins are moved by hand: write each to another island"
        message = f"`{name}` has pinned keys: {keys}"
        yield Diagnostic("R0811", message, pinned[0][1].place, hint=hint, related=related)
    for move in partition.moves:
        for end in (move.origin, move.target):
            if end.text == name:
                yield Diagnostic("R0811", f"`{name}` has a part in a move", end.place, hint=_finish(move))
    owner = partition.otherwise.items.get("island") if partition.otherwise is not None else None
    if owner is not None and _text(owner) == name:
        hint = "`otherwise` is changed by hand: name another island, or `respond: 404`"
        yield Diagnostic("R0811", f"`{name}` serves the keys that no island has", owner.place, hint=hint)


def _left_empty(table: Table, made: Plan, weights: Mapping[str, int], asked: Asked) -> Iterator[str]:
    """Why an island that was to have a share has none after all moves."""
    having = {*table.owned, *(move.target for move in made.moves)}
    for name in dict.fromkeys((*asked.add, *asked.weights)):
        if name not in having and not weights[name]:
            yield f"{name} gets nothing: its weight is 0"
        elif name not in having and not made.remaining:
            yield f"{name} gets nothing: its share is less than {table.things(1)}"


def _changes(table: Table, made: Plan) -> dict[Path, Any]:
    """What the moves change in a table: the entries of whoever gives or gets."""
    if table.kind == "keys":
        keys = list(table.node.items)
        return {
            (*table.path, keys[number]): move.target for move in made.moves for number in ranges.numbers(move.ranges)
        }
    after: dict[str, list[ranges.Range]] = {}
    gone: dict[str, set[int]] = {}
    for move in made.moves:
        gone.setdefault(move.origin, set()).update(ranges.numbers(move.ranges))
        after.setdefault(move.target, list(table.owned.get(move.target, ()))).extend(move.ranges)
    for name, numbers in gone.items():
        have = after.get(name, table.owned.get(name, ()))
        after[name] = list(ranges.of_numbers(one for one in ranges.numbers(have) if one not in numbers))
    return {
        (*table.path, name): _as_before(table, name, ranges.as_text(ranges.merged(given), table.digits))
        if given
        else GONE
        for name, given in after.items()
    }


def _as_before(table: Table, name: str, text: str) -> str:
    """Ranges as the entry had them, else as others do: in capitals, with blanks after commas."""
    others = [_text(table.node.items[name])] if name in table.node.items else map(_text, table.node.items.values())
    written = "".join(others)
    if table.digits and written.upper() == written and any(one.isalpha() for one in written):
        text = text.upper()
    return text.replace(",", ", ") if ", " in written else text


def _clipped(text: str) -> str:
    return text if len(text) <= 200 else text[:199] + "…"
