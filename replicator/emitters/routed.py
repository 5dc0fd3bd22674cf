"""What objects of a Routing have in common, whatever the provider: their metadata, and their order when applied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from replicator import names
from replicator.diagnostics import Place
from replicator.kinds import routing_rank
from replicator.routing.rules import Table
from replicator.sources import Atom
from replicator.tree import Hole, Manifest, Origin, Text, mapping

ISLAND = Hole("name", Atom(("island", "name")))
NO_LABELS: Mapping[str, str] = MappingProxyType({})


def fixed(content: Text) -> str:
    """What of a text is the same for all islands."""
    return "".join(part for part in content if isinstance(part, str))


def manifest(
    table: Table,
    api_version: str,
    kind: str,
    name: Text,
    spec: Any,
    namespace: Text = (),
    labels: Mapping[str, str] = NO_LABELS,
    over: str = "",
    cases: frozenset[str] = frozenset(),
    place: Place | None = None,
    island: str = "",
) -> Manifest:
    """An object of a Routing, in its namespace unless another is given.

    `over` and `cases` are those of the `Manifest`; `labels` stand beside those that every object of the Routing has.
    One that goes with an island has its label: each of those that are `over` a Set, and one for the one `island`, which
    is told by its path.
    """
    where = namespace or (table.namespace,)
    own: dict[str, Any] = {names.MANAGED_BY: "replicator", names.OF_ROUTING: table.name}
    whose: Any = (ISLAND,) if over else island.replace("/", "-")
    if whose:
        own[names.OF_ISLAND] = whose
    metadata = {"name": name, "namespace": where, "labels": {**own, **labels, **table.labels}}
    origin = Origin(place or table.place, "routing")
    body = mapping({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}, origin)
    return Manifest(api_version, kind, name, where, body, origin, over, cases=cases)


def in_order(made: Iterable[Manifest]) -> list[Manifest]:
    """Objects as they are applied: what is referred to comes first; of a kind, by Set or name."""
    return sorted(made, key=lambda one: (routing_rank(one.kind), one.over or fixed(one.name)))
