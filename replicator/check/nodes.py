"""What Sets say of the nodes that their pods run on."""

from __future__ import annotations

from collections.abc import Iterator

from replicator.diagnostics import Diagnostic
from replicator.model import Project

_LIMITS = ("maxUnavailable", "minAvailable")
_MOST = 2**31 - 1


def disruption(project: Project) -> Iterator[Diagnostic]:
    """A budget has one limit, which the API server takes (kubernetes: ValidatePodDisruptionBudgetSpec)."""
    for island_set in project.sets:
        given = island_set.disruption
        if given is None:
            continue
        limits = [field for field in _LIMITS if field in given.items]
        if len(limits) != 1:
            message = "`maxUnavailable` and `minAvailable` at once" if limits else "nothing says how many may be away"
            place = given.key_place(limits[1]) if limits else given.place
            yield Diagnostic("R0205", message, place, hint="a budget has one of them: maxUnavailable: 1")
        for field in limits:
            node = given.items[field]
            value = node.data
            digits = value.removesuffix("%").lstrip("0") if isinstance(value, str) else ""
            if len(digits) > 3 or int(digits or 0) > 100:
                yield Diagnostic("R0205", f"`{value}` is more than all pods", node.place, hint="at most 100%")
            elif isinstance(value, int) and value > _MOST:
                yield Diagnostic("R0205", f"`{field}` is at most {_MOST:,}", node.place)
