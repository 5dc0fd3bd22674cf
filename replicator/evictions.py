"""What a Set's budgets do for the pods that they select: whether they let any go, and hold any back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from replicator.diagnostics import Diagnostic, Place, Related
from replicator.expander.islands import Island, SetPlan, island_place
from replicator.expression.values import Failure
from replicator.proofs import Workload, place_of, selector_of, workloads_of
from replicator.sources import in_range
from replicator.tree import Hole, Leaf, Manifest, Source, at

_LIMITS = ("minAvailable", "maxUnavailable")
_MOST = 2**31 - 1  # int32, as `replicas` is


class Limit(NamedTuple):
    """A budget's `minAvailable` or `maxUnavailable`: a number of pods, or a percentage of them, as text."""

    field: str
    value: int | str

    def allows(self, pods: int) -> int:
        """How many of so many healthy pods may be evicted at once. Percentages are rounded up, whichever it is.

        kubernetes/kubernetes: pkg/controller/disruption/disruption.go, getExpectedPodCount; "Rounding logic when
        specifying percentages" in https://kubernetes.io/docs/tasks/run-application/configure-pdb/
        """
        number = self.value if isinstance(self.value, int) else -(-pods * int(self.value.removesuffix("%")) // 100)
        return min(number, pods) if self.field == "maxUnavailable" else max(pods - number, 0)


class Guard(NamedTuple):
    """A budget, and the workload whose pods it selects. `pods` is their number, or where that comes from.

    With an autoscaler it is the least number that counts. `place` is where the number is written, `limit_place` where
    the budget says how many.
    """

    name: str
    whose: str
    limit: Limit
    pods: int | Source
    place: Place | None
    limit_place: Place | None

    def varies(self, plan: SetPlan) -> bool:
        """Whether islands have numbers of their own."""
        return not isinstance(self.pods, int) and bool(self.pods.reads & plan.varying)

    def count(self, island: Island) -> int:
        """The number of pods in an island. Raises `Failure`."""
        return self.pods if isinstance(self.pods, int) else in_range(self.pods.value(island), 0, _MOST)

    def judge(self, pods: int) -> Diagnostic | None:
        """What is wrong with the budget for so many pods."""
        allowed = self.limit.allows(pods)
        if pods <= 0 or 0 < allowed < pods:
            return None
        without = f"patches: [{{target: {{kind: PodDisruptionBudget, name: {self.name}}}, patch: {{$patch: delete}}}}]"
        if allowed:
            message = f"the budget of {self.whose} guards nothing: {_all_of(pods)} may be away at once"
            hint = f"more replicas; or leave the budget out: {without}"
        else:
            message = f"the budget of {self.whose} lets no pod go: no node that runs {_one_of(pods)} can be drained"
            hint = f"{'more replicas, or ' if pods == 1 else ''}maxUnavailable: 1; or leave it out: {without}"
        related = (Related("the budget", self.limit_place),) if self.limit_place else ()
        return Diagnostic("R0625", message, self.place, hint=hint, related=related, severity="warning")


def _all_of(pods: int) -> str:
    return "its only pod" if pods == 1 else f"all {pods} of its pods"


def _one_of(pods: int) -> str:
    return "it" if pods == 1 else f"one of the {pods}"


def guards(objects: Sequence[Manifest]) -> tuple[Guard, ...]:
    """The budgets of the Set's `disruption` among an island's objects; those of manifests are their author's own."""
    budgets = [one for one in objects if one.kind == "PodDisruptionBudget" and one.origin.layer == "set"]
    if not budgets:
        return ()
    workloads = [workload for one in objects for workload in workloads_of(one)]
    scaled = dict(_autoscaled(objects))
    return tuple(guard for budget in budgets if (guard := _guard(budget, workloads, scaled)) is not None)


_Target = tuple[str, object]


def _autoscaled(objects: Iterable[Manifest]) -> Iterator[tuple[_Target, Leaf]]:
    """The workloads that have autoscalers, by kind and full name, and the least number of their pods."""
    for one in objects:
        if one.kind == "HorizontalPodAutoscaler":
            kind, name = (at(one.body, "spec", "scaleTargetRef", field) for field in ("kind", "name"))
            least = at(one.body, "spec", "minReplicas")
            if isinstance(kind, Leaf) and isinstance(name, Leaf):
                full = name.value if isinstance(name.value, tuple) else (name.value,)
                yield (str(kind.value), full), least if isinstance(least, Leaf) else Leaf(1, one.origin)


def _guard(budget: Manifest, workloads: Sequence[Workload], scaled: Mapping[_Target, Leaf]) -> Guard | None:
    """What a budget does; None where patches made something else of it, or the number of pods is no number."""
    selector = selector_of(budget)
    chosen = [one for one in workloads if selector is not None and selector.selects(one.labels)]
    given = [(field, node) for field in _LIMITS if isinstance(node := at(budget.body, "spec", field), Leaf)]
    if len(chosen) != 1 or len(given) != 1:
        return None
    ((field, limit),) = given
    workload = chosen[0].manifest
    count = _count(workload, scaled)
    pods = count.value.source if isinstance(count.value, Hole) else count.value if type(count.value) is int else None
    if pods is None or not isinstance(limit.value, (int, str)) or not _is_limit(limit.value):
        return None
    whose = f"the {chosen[0].name}"
    return Guard(budget.local, whose, Limit(field, limit.value), pods, place_of(count, workload), limit.origin.place)


def _is_limit(value: int | str) -> bool:
    """Whether a value is a number of pods, or a percentage."""
    return isinstance(value, int) or re.fullmatch("[0-9]{1,3}%", value) is not None


def _count(workload: Manifest, scaled: Mapping[_Target, Leaf]) -> Leaf:
    """The number of a workload's pods; without one it is 1."""
    least = scaled.get((workload.kind, workload.name))
    if least is not None:
        return least
    written = at(workload.body, "spec", "replicas")
    return written if isinstance(written, Leaf) and written.value is not None else Leaf(1)


def judge(
    by_shape: Mapping[str, tuple[Guard, ...]], plan: SetPlan, shape_of: Callable[[Island], str]
) -> Iterator[Diagnostic]:
    """What is wrong with the budgets of a Set's islands. Each workload is told once, with the number of its islands.

    `by_shape` are the budgets of islands of each shape. Islands are asked only where they have numbers of their own.
    """
    first = plan.example
    assert first is not None
    varying: dict[str, list[Guard]] = {}
    for shape, known in by_shape.items():
        for guard in known:
            if guard.varies(plan):
                varying.setdefault(shape, []).append(guard)
                continue
            with suppress(Failure):  # said where the number is written
                found = guard.judge(guard.count(first))
                if found is not None:
                    yield found
    told: dict[tuple[Place | None, bool], Diagnostic] = {}  # by what it is about, and whether no pod may go
    for island in plan.islands if varying else ():
        for guard in varying.get(shape_of(island), ()):
            with suppress(Failure):
                pods = guard.count(island)
                found = guard.judge(pods)
                if found is None:
                    continue
                key = (guard.place, guard.limit.allows(pods) == 0)
                if key in told:
                    told[key] = told[key]._replace(others=told[key].others + 1)
                else:
                    related = (*found.related, Related("for this island", island_place(island)))
                    told[key] = found._replace(related=related)
    yield from told.values()
