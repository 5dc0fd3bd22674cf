"""The waves as Argo CD's annotation, by which it applies one after another, each once the one before is healthy.

https://argo-cd.readthedocs.io/en/stable/user-guide/sync-waves/
"""

from __future__ import annotations

from typing import NamedTuple

from replicator.expander.islands import Island, SetPlan
from replicator.expander.waves import Rollout
from replicator.tree import Hole, Leaf, Manifest, Map, Path, leaf

ANNOTATION = "argocd.argoproj.io/sync-wave"
_BEFORE = ("name", "namespace", "labels")  # what an object's metadata has before its annotations


class IslandWave(NamedTuple):
    """The number of an island's wave, as text: annotations are texts."""

    rollout: Rollout

    @property
    def reads(self) -> frozenset[Path]:
        return frozenset([("island", "name")])

    def value(self, scope: Island) -> str:
        return str(self.rollout.of(scope))


class SyncWaves(NamedTuple):
    """What writes the annotation: 0 for what stands beside islands, an island's wave, and one more than all for routes.

    An annotation that the author has written stays.
    """

    rollout: Rollout

    def of_shared(self, manifest: Manifest) -> Manifest:
        return _annotated(manifest, Leaf("0"))

    def of_island(self, manifest: Manifest, plan: SetPlan) -> Manifest:
        """An object of the islands of a Set. Where all are in one wave its number is known."""
        waves = self.rollout.sets.get(plan.root.path)
        one = waves is None or waves.last == 1
        return _annotated(manifest, Leaf("1") if one else leaf((Hole("text", IslandWave(self.rollout)),)))

    def of_routing(self, manifest: Manifest) -> Manifest:
        return _annotated(manifest, Leaf(str(self.rollout.number + 1)))


def _annotated(manifest: Manifest, value: Leaf) -> Manifest:
    metadata = manifest.body.get("metadata")
    assert isinstance(metadata, Map)
    given = metadata.get("annotations")
    kept = given.items if isinstance(given, Map) else ()
    if any(key == ANNOTATION for key, _ in kept):
        return manifest
    made = Map((*kept, (ANNOTATION, value)), given.origin if isinstance(given, Map) else metadata.origin)
    before = [item for item in metadata.items if item[0] in _BEFORE]
    after = [item for item in metadata.items if item[0] not in (*_BEFORE, "annotations")]
    own = Map((*before, ("annotations", made), *after), metadata.origin)
    items = tuple((key, own if key == "metadata" else item) for key, item in manifest.body.items)
    return manifest._replace(body=Map(items, manifest.body.origin))
