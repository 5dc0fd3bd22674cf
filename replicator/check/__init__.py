"""What a project means, judged before anything is expanded: a table of small checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from replicator.check import expressions, isolation, naming, nodes, partitions, routings, sets, types
from replicator.diagnostics import Diagnostic
from replicator.model import Project

CHECKS: tuple[Callable[[Project], Iterator[Diagnostic]], ...] = (
    naming.unique_names,
    naming.legal_names,
    sets.types_exist,
    sets.implementations_exist,
    sets.no_cycles,
    types.type_ports,
    types.references,
    types.implementations,
    types.port_clashes,
    types.uses,
    types.environment,
    types.files,
    types.workloads,
    sets.counts,
    sets.pods,
    sets.tombstones,
    nodes.disruption,
    nodes.placement,
    sets.waves,
    isolation.isolation,
    types.resources,
    expressions.shared_expressions,
    expressions.literal_fields,
    expressions.type_expressions,
    expressions.set_expressions,
    expressions.routing_expressions,
    routings.routes,
    routings.one_destination,
    partitions.partitions,
)


def check(project: Project) -> list[Diagnostic]:
    """All findings of all checks."""
    return [diagnostic for judge in CHECKS for diagnostic in judge(project)]
