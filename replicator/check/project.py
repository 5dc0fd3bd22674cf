"""The documents of a project and who uses whom: what the checks ask about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from replicator.model import IslandSet, IslandType, Partition, Project, Routing
from replicator.parser.source import Mapping, Node


def all_documents(project: Project) -> list[IslandType | IslandSet | Routing | Partition]:
    return [*project.types, *project.sets, *project.routings, *project.partitions]


def sets_of(project: Project, island_type: IslandType) -> list[IslandSet]:
    return [island_set for island_set in project.sets if project.type_of.get(island_set) is island_type]


class User(NamedTuple):
    """A Set of a Type: at the top (`inside` is None), or inside the islands of another Type."""

    model: IslandSet
    inside: IslandType | None


def users_of(project: Project, island_type: IslandType) -> list[User]:
    """All Sets whose islands are of a Type."""
    users = [User(model, None) for model in sets_of(project, island_type)]
    for outer in project.types:
        users += (User(model, outer) for model in outer.sets.values() if project.type_of.get(model) is island_type)
    return users


def all_sets(project: Project) -> Iterator[IslandSet]:
    yield from project.sets
    for island_type in project.types:
        yield from island_type.sets.values()


def set_at(project: Project, path: str) -> User | None:
    """The Set of a path (`region/cell`), and the Type that it is inside of."""
    first, *rest = path.split("/")
    model = next((one for one in project.sets if one.name == first), None)
    inside: IslandType | None = None
    for name in rest:
        inside = project.type_of.get(model) if model else None
        model = inside.sets.get(name) if inside else None
    return User(model, inside) if model else None


def children_of(node: Node | None) -> Iterable[Node]:
    return node.items.values() if isinstance(node, Mapping) else ()
