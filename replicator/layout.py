"""A build as files of a directory: which file each part of it is in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import groupby

from replicator import tree
from replicator.expander.islands import Island
from replicator.kinds import ELSEWHERE
from replicator.pipeline import Built
from replicator.sources import assemble
from replicator.stamp import RoutingObject, SetRows
from replicator.tree import Manifest


def files(built: Built, layout: str) -> Iterator[tuple[str, bytes]]:
    """Relative paths and contents. `island` is a file for each island, `object` one for each object."""
    part = _by_island if layout == "island" else _by_object
    yield from part(built)


def covers(built: Built, globs: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether a file belongs to what was asked for, so that it is stale where the build does not have it."""
    only = built.only

    def covered(path: str) -> bool:
        routing = path.startswith("_routing/")
        shared = not routing and ("/_shared" in path or path == "_dsl.yaml")
        part = "routing" if routing else "shared" if shared else "islands"
        if globs:
            return part == "islands" and any(_is_of(path, glob.split("/")) for glob in globs)
        return only in ("", part)

    return covered


def _stem(island: Island) -> str:
    """An island's path in the directory: one inside another stands beside it, `region/eu.cell.0`."""
    first, *rest = island.path.split("/")
    return f"{first}/{'.'.join(rest)}"


def _is_of(path: str, globs: list[str]) -> bool:
    """Whether a file is of an island that the globs of a path's segments match, or of one inside it."""
    first, _, rest = path.partition("/")
    steps = [first, *rest.partition("/")[0].removesuffix(".yaml").split(".")]
    return len(steps) >= len(globs) and all(map(fnmatchcase, steps, globs))


def _by_island(built: Built) -> Iterator[tuple[str, bytes]]:
    if built.dsl and built.wants("shared"):
        yield "_dsl.yaml", b"".join(built.dsl)
    for rows in built.sets:
        if built.wants("shared") and rows.shared:
            yield f"{rows.plan.path}/_shared.yaml", b"".join(text for _, text in rows.shared)
        if built.wants("islands"):
            for one in rows.islands(built.selected):
                if content := one.whole():  # an island that is a function has no objects
                    yield f"{_stem(one.island)}.yaml", content
    if built.wants("routing"):
        by_name = {rows.plan.path: rows for rows in built.sets}
        for owner, group in groupby(built.routing, key=lambda one: one.owner):
            objects = list(group)
            together = [one for one in objects if not (one.apart and one.manifest.over)]
            if together:
                yield f"_routing/{owner}.yaml", b"".join(text for one in together for text in one.texts(by_name))
            for over in dict.fromkeys(one.manifest.over for one in objects if one.apart and one.manifest.over):
                of_set = [one for one in objects if one.apart and one.manifest.over == over]
                yield from _island_by_island(owner, of_set, by_name)


def _island_by_island(
    owner: str, objects: Sequence[RoutingObject], rows: Mapping[str, SetRows]
) -> Iterator[tuple[str, bytes]]:
    """A Routing's objects that there are one of for each island, in a file for each."""
    texts = [(one.manifest.cases, one.texts(rows)) for one in objects]
    for island in rows[objects[0].manifest.over].plan.islands:
        own = [next(of_object) for cases, of_object in texts if not cases or island.case in cases]
        if own:
            yield f"_routing/{owner}/{island.name}.yaml", b"".join(own)


def _by_object(built: Built) -> Iterator[tuple[str, bytes]]:
    if built.dsl and built.wants("shared"):
        yield "_dsl.yaml", b"".join(built.dsl)
    for rows in built.sets:
        if built.wants("shared"):
            named = [(manifest, manifest.local or _known(manifest), text) for manifest, text in rows.shared]
            yield from _apart(f"{rows.plan.path}/_shared", named)
        if built.wants("islands"):
            for one in rows.islands(built.selected):
                named = [(manifest, manifest.local or one.island.name, text) for manifest, text in one.objects()]
                yield from _apart(_stem(one.island), named)
    if built.wants("routing"):
        yield from _routing_objects(built, {rows.plan.path: rows for rows in built.sets})


def _apart(directory: str, objects: Sequence[tuple[Manifest, str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """The files of a directory's objects. Where kinds of several API groups have one name, the group is told too."""
    short = Counter(_file(manifest.kind, name) for manifest, name, _ in objects)
    for manifest, name, text in objects:
        file = _file(manifest.kind, name)
        group, _, _ = manifest.api_version.rpartition("/")
        if short[file] > 1 and group:
            file = _file(f"{manifest.kind}.{group}", name)
        yield f"{directory}/{file}", text


def _routing_objects(built: Built, rows: Mapping[str, SetRows]) -> Iterator[tuple[str, bytes]]:
    for one in built.routing:
        directory = f"_routing/{one.owner}"
        kind, full = one.manifest.kind, one.manifest.name
        if kind in ELSEWHERE:
            full = tree.text(one.manifest.namespace, ".", full)
        if not one.manifest.over:
            yield f"{directory}/{_file(kind, assemble(full, None))}", b"".join(one.texts(rows))
            continue
        for island, content in zip(one.islands(rows), one.texts(rows), strict=True):
            yield f"{directory}/{_file(kind, assemble(full, island))}", content


def _known(manifest: Manifest) -> str:
    return "".join(part for part in manifest.name if isinstance(part, str))


def _file(kind: str, name: str) -> str:
    """A file's name: RBAC's names may hold what a file's name may not."""
    safe = re.sub(r"[^A-Za-z0-9._-]", lambda match: f"%{ord(match[0]):02X}", name)
    return f"{kind.lower()}-{safe}.yaml"
