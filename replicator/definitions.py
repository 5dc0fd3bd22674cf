"""Kinds that a build defines and uses at once: an API server takes the objects only once it serves the kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from replicator.diagnostics import Diagnostic, Related
from replicator.tree import Leaf, Manifest, at


def used_at_once(manifests: Iterable[Manifest]) -> Iterator[Diagnostic]:
    """A note for each CustomResourceDefinition of a build that holds objects of its kind as well.

    Until the definition is Established, the server refuses them ("no matches for kind").
    https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
    """
    objects: dict[tuple[str, str], Manifest] = {}
    defined: dict[tuple[str, str], Manifest] = {}
    for manifest in manifests:
        objects.setdefault((manifest.api_version.rpartition("/")[0], manifest.kind), manifest)
        if manifest.kind == "CustomResourceDefinition":
            group, kind = (at(manifest.body, "spec", *path) for path in (("group",), ("names", "kind")))
            if isinstance(group, Leaf) and isinstance(kind, Leaf):
                defined.setdefault((str(group.value), str(kind.value)), manifest)
    for of, definition in defined.items():
        if (user := objects.get(of)) is None:
            continue
        message = f"the kind {of[1]} is defined here, and objects of it are in the same build"
        hint = (
            "apply in two steps: first the output of `--only shared`, and all of it once the definition is Established"
        )
        related = (Related("an object of it", user.origin.place),) if user.origin.place else ()
        yield Diagnostic("R0617", message, definition.origin.place, hint=hint, related=related, severity="note")
