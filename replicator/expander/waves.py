"""In which wave each island is rolled out: a property of the output, never a value of an island.

An outermost island brings those inside it into its wave. It is in the wave whose globs name it, wherever that wave
stands. The percentages take of the others, wave by wave, in natural order of keys; `rest` takes what they leave.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import translate
from functools import cached_property
from itertools import islice

from replicator.diagnostics import Diagnostic, Related, nearest
from replicator.expander.islands import Island, Plan, SetPlan
from replicator.expander.values import WILD
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Scalar

_SHOWN = 5  # islands in a message


def share(percent: int, count: int) -> int:
    """How many of a Set's islands a percentage is, rounded up: a wave of 1% of a few islands is one of them."""
    return -(-percent * count // 100)


class SetWaves:
    """The waves of an outermost Set, and its islands that globs name, by key."""

    def __init__(self, plan: SetPlan, named: Mapping[str, int]) -> None:
        self.plan = plan
        self.named = named

    @property
    def last(self) -> int:
        return len(self.plan.model.waves)

    def of(self, key: str) -> int:
        return self._early.get(key, self.last)

    @cached_property
    def _early(self) -> Mapping[str, int]:
        """The wave of each island that has a name in one, or is not in the last; others are not even looked at."""
        found = dict(self.named)
        others = (island.key for island in self.plan.islands if island.key not in self.named)
        for number, wave in enumerate(self.plan.model.waves[:-1], 1):
            found.update(dict.fromkeys(islice(others, share(wave.percent, len(self.plan.islands))), number))
        return found

    @property
    def left(self) -> int:
        """How many islands, the last ones of those that no glob names, are in no wave."""
        waves, count = self.plan.model.waves, len(self.plan.islands)
        if waves[-1].rest:
            return 0
        return max(0, count - len(self.named) - sum(share(wave.percent, count) for wave in waves))


class Rollout:
    """The waves of a build, from 1 to `number`: those of its Sets side by side, by the Sets' paths.

    What stands beside islands is in the first wave, and the islands of Sets that have no waves; routes are in the last.
    """

    def __init__(self, sets: Mapping[str, SetWaves]) -> None:
        self.sets = sets

    @property
    def number(self) -> int:
        """How many waves there are."""
        return max((one.last for one in self.sets.values()), default=1)

    def of(self, island: Island) -> int:
        """The wave of an island: that of the outermost one around it."""
        while island.parent is not None:
            island = island.parent
        waves = self.sets.get(island.plan.path)
        return waves.of(island.key) if waves is not None else 1


ONE_WAVE = Rollout({})


def rollout(plan: Plan) -> tuple[Rollout, list[Diagnostic]]:
    """The waves of all Sets. With errors they are not to be used."""
    found: list[Diagnostic] = []
    sets = {}
    for path, one in plan.sets.items():
        if one.above is None and one.model.waves:
            named, problems = _named(one)
            sets[path] = SetWaves(one, named)
            found += problems or _left_out(sets[path])
    return Rollout(sets), found


def unsteady(waves: Rollout) -> Iterator[Diagnostic]:
    """Waves that cannot be written into objects: where islands are counted, one more changes the waves of others."""
    for one in waves.sets.values():
        for wave in one.plan.model.waves:
            if wave.percent:
                message = "`percent` with --sync-waves: one island more would change objects of others"
                hint = "name the islands of each wave; or use --layout wave, a directory for each wave"
                yield Diagnostic("R0325", message, wave.node.key_place("percent"), hint=hint)


def _named(plan: SetPlan) -> tuple[dict[str, int], list[Diagnostic]]:
    """The wave of each island that a glob names, and the globs that name none, or one of another wave."""
    found: list[Diagnostic] = []
    named: dict[str, int] = {}
    first: dict[str, Scalar] = {}
    for number, wave in enumerate(plan.model.waves, 1):
        for glob in wave.globs:
            hits = list(_hits(plan, glob.text))
            if not hits:
                hint = nearest(glob.text, [island.key for island in plan.islands])
                message = f"`{glob.text}` matches no island of `{plan.path}`"
                found.append(Diagnostic("R0505", message, glob.place, hint=hint))
            for island in hits:
                if named.setdefault(island.key, number) == number:
                    first.setdefault(island.key, glob)
                    continue
                message = f"the island `{island.path}` is in two waves, {named[island.key]} and {number}"
                related = (Related("the first one", first[island.key].place),)
                hint = "one wave names it, by its key or by a glob"
                found.append(Diagnostic("R0324", message, glob.place, "", hint, related, island=island.path))
    return named, found


def _hits(plan: SetPlan, glob: str) -> Iterator[Island]:
    """The islands whose keys a glob matches."""
    if WILD.search(glob):
        matches = re.compile(translate(glob)).fullmatch
        yield from (island for island in plan.islands if matches(island.key))
    elif (island := plan.find(glob)) is not None:
        yield island


def _left_out(waves: SetWaves) -> list[Diagnostic]:
    """Islands that are in no wave."""
    if not waves.left:
        return []
    islands = waves.plan.islands
    others = [island for island in islands if island.key not in waves.named][-waves.left :]
    shown = ", ".join(f"`{island.path}`" for island in others[:_SHOWN])
    more = f" and {len(others) - _SHOWN:,} more" if len(others) > _SHOWN else ""
    verb = "is" if len(others) == 1 else "are"
    spec = waves.plan.model.node.items["spec"]
    assert isinstance(spec, MappingNode)
    hint = "`- {rest: true}` at the end takes what is left"
    return [Diagnostic("R0324", f"{shown}{more} {verb} in no wave", spec.key_place("waves"), hint=hint)]
