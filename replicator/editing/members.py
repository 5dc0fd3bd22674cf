"""Which islands the documents at hand say there are: those whose keys are written, or whose Types are here too."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count, islice
from typing import NamedTuple

from replicator import check
from replicator.check.project import set_at
from replicator.context import Context
from replicator.diagnostics import has_errors
from replicator.expander import expand
from replicator.expander.islands import STATES
from replicator.expander.members import natural
from replicator.model import IslandSet, Project
from replicator.parser.source import Mapping as MappingNode


class Member(NamedTuple):
    """What a Set says of an island."""

    weight: int = 1
    state: str = STATES[0]
    implementation: str = ""


def members(project: Project, path: str) -> Mapping[str, Member] | None:
    """The islands of a Set (`cart`, `region/cell`) by their keys, from the outermost on, in natural order.

    None where the Set is not among the documents, or its islands follow from what is not among them.
    """
    user = set_at(project, path)
    if user is None:
        return None
    if user.inside is None and (written := written_keys(user.model)) is not None:
        return {key: _member(user.model, key) for key in sorted(written, key=natural)}
    if has_errors(check.check(project)):
        return None
    plan, found = expand(project, lambda one: Context(one, {}).evaluate)
    if has_errors(found):
        return None
    islands = plan.sets[path].islands
    return {"/".join(one.path.split("/")[1::2]): Member(one.weight, one.state, one.implementation) for one in islands}


def written_keys(model: IslandSet) -> list[str] | None:
    """The keys of a Set's islands where they stand in it, by name or as a number of islands; else None."""
    if model.islands is not None:
        return list(model.islands.items)
    return ordinals(model, model.replicas) if model.replicas is not None else None


def ordinals(model: IslandSet, number: int) -> list[str]:
    """The keys of so many counted islands: those from `start` on that are not reserved."""
    return [str(one) for one in islice((one for one in count(model.start) if one not in model.reserved), number)]


def _member(model: IslandSet, key: str) -> Member:
    entry = model.islands.items[key] if model.islands is not None else None
    given = entry.data if isinstance(entry, MappingNode) else {}
    return Member(given.get("weight", 1), given.get("state", STATES[0]), given.get("implementation", ""))
