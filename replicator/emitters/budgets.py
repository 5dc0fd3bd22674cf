"""The PodDisruptionBudgets of a Set's `disruption`: one for each workload that keeps a number of pods.

https://kubernetes.io/docs/tasks/run-application/configure-pdb/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from replicator.context import Context
from replicator.emitters import labels
from replicator.kinds import REPLICATED, full_kind
from replicator.proofs import selector_of, workloads_of
from replicator.tree import Leaf, Manifest, Map, Origin, at, leaf, mapping

_LIMITS = ("minAvailable", "maxUnavailable")
_POLICY = "unhealthyPodEvictionPolicy"


def emit(context: Context, objects: Sequence[Manifest], shared: Iterable[Manifest] = ()) -> Iterator[Manifest]:
    """Budgets for the workloads among an island's objects (or those of a Set of pods), each called like its workload.

    Pods that a budget of the author's own selects, of the island or `shared`, get none: the eviction API refuses a pod
    that two of them select.
    """
    given = context.plan.root.model.disruption
    if given is None:
        return
    authors = [one for one in (*objects, *shared) if one.kind == "PodDisruptionBudget"]
    own = [(one.namespace, found) for one in authors if (found := selector_of(one)) is not None]
    origin = Origin(given.place, "set")
    limits = {field: Leaf(node.data, Origin(node.place, "set")) for field, node in given.items.items()}
    for one in objects:
        selector = at(one.body, "spec", "selector")
        if full_kind(one.api_version, one.kind) not in REPLICATED or not isinstance(selector, Map):
            continue
        near = [budget for namespace, budget in own if namespace == one.namespace]
        if any(budget.selects(workload.labels) for workload in workloads_of(one) for budget in near):
            continue
        marks = at(one.body, "metadata", "labels")
        spec = {
            **{field: limits[field] for field in _LIMITS if field in limits},
            "selector": {"matchLabels": selector} if one.kind == "ReplicationController" else selector,
            _POLICY: limits.get(_POLICY, ...),
        }
        metadata = labels.metadata(leaf(one.name, origin), one.namespace, marks if isinstance(marks, Map) else Map(()))
        body = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}
        place = Origin(one.origin.place, "set")
        yield one._replace(
            api_version="policy/v1", kind="PodDisruptionBudget", body=mapping(body, origin), origin=place, written=""
        )
