"""What objects of a Routing have in common, whatever the provider: their metadata, and their order when applied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from replicator.diagnostics import Place
from replicator.kinds import routing_rank
from replicator.routing.rules import Table
from replicator.tree import Manifest, Origin, Text, mapping

_NO_LABELS: Mapping[str, str] = MappingProxyType({})


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
    labels: Mapping[str, str] = _NO_LABELS,
    over: str = "",
    cases: frozenset[str] = frozenset(),
    place: Place | None = None,
) -> Manifest:
    """An object of a Routing, in its namespace unless another is given.

    `over` and `cases` are those of the `Manifest`; `labels` stand beside those that every object of the Routing has.
    """
    where = namespace or (table.namespace,)
    own = {"app.kubernetes.io/managed-by": "replicator", "replicator.dev/routing": table.name}
    metadata = {"name": name, "namespace": where, "labels": {**own, **labels, **table.labels}}
    origin = Origin(place or table.place, "routing")
    body = mapping({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}, origin)
    return Manifest(api_version, kind, name, where, body, origin, over, cases=cases)


def in_order(made: Iterable[Manifest]) -> list[Manifest]:
    """Objects as they are applied: what is referred to comes first; of a kind, by Set or name."""
    return sorted(made, key=lambda one: (routing_rank(one.kind), one.over or fixed(one.name)))
