"""A build as files of a directory: which file each part of it is in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import groupby
from typing import NamedTuple

from replicator import tree
from replicator.expander.islands import Island
from replicator.expander.waves import Rollout
from replicator.kinds import ELSEWHERE
from replicator.pipeline import Built
from replicator.sources import assemble
from replicator.stamp import RoutingObject, SetRows
from replicator.tree import Manifest


def files(built: Built, layout: str) -> Iterator[tuple[str, bytes]]:
    """Relative paths and contents.

    `island` is a file for each island, `object` one for each object; `wave` is as `island`, in a folder for each wave.
    """
    if layout == "object":
        yield from _by_object(built)
    else:
        yield from _by_island(built, _of_waves(built.waves) if layout == "wave" else _Folders())


def covers(built: Built, layout: str, globs: tuple[str, ...], wave: int = 0) -> Callable[[str], bool]:
    """Whether a file belongs to what was asked for, so that it is stale where the build does not have it.

    What was asked for are the `parts` of the build: of the islands, those that `globs` match and that are in a `wave`,
    where any are given. An island that is no more is in no wave: its files are stale for a build of all waves only.
    """
    plans = {rows.plan.path: rows.plan for rows in built.sets}

    def covered(path: str) -> bool:
        if layout == "wave":
            path = _FOLDER.sub("", path, count=1)
        routing = path.startswith("_routing/")
        shared = not routing and ("/_shared" in path or path == "_dsl.yaml")
        part = "routing" if routing else "shared" if shared else "islands"
        if part != "islands" or not built.wants(part):
            return built.wants(part)
        steps = _steps(path)
        if globs and not any(_is_of(steps, glob.split("/")) for glob in globs):
            return False
        outermost = plans[steps[0]].find(steps[1]) if wave and steps[0] in plans else None
        return not wave or (outermost is not None and built.waves.of(outermost) == wave)

    return covered


_FOLDER = re.compile(r"^wave-[0-9]+/")


class _Folders(NamedTuple):
    """The folders of what stands beside the islands, of the routes, and of each island."""

    shared: str = ""
    routing: str = ""
    of: Callable[[Island], str] = lambda island: ""


def _of_waves(waves: Rollout) -> _Folders:
    """A folder for each wave, numbered so that their names sort."""
    width = len(str(waves.number))
    names = [f"wave-{number:0{width}}/" for number in range(1, waves.number + 1)]
    return _Folders(names[0], names[-1], lambda island: names[waves.of(island) - 1])


def _stem(island: Island) -> str:
    """An island's path in the directory: one inside another stands beside it, `region/eu.cell.0`."""
    first, *rest = island.path.split("/")
    return f"{first}/{'.'.join(rest)}"


def _steps(path: str) -> list[str]:
    """The segments of the path of the island that a file is of."""
    first, _, rest = path.partition("/")
    return [first, *rest.partition("/")[0].removesuffix(".yaml").split(".")]


def _is_of(steps: list[str], globs: list[str]) -> bool:
    """Whether the globs of a path's segments match an island, or one that it is inside of."""
    return len(steps) >= len(globs) and all(map(fnmatchcase, steps, globs))


def _by_island(built: Built, folders: _Folders) -> Iterator[tuple[str, bytes]]:
    if built.dsl and built.wants("shared"):
        yield f"{folders.shared}_dsl.yaml", b"".join(built.dsl)
    for rows in built.sets:
        if built.wants("shared") and rows.shared:
            yield f"{folders.shared}{rows.plan.path}/_shared.yaml", b"".join(text for _, text in rows.shared)
        if built.wants("islands"):
            for one in rows.islands(built.selected):
                if content := one.whole():  # an island that is a function has no objects
                    yield f"{folders.of(one.island)}{_stem(one.island)}.yaml", content
    if built.wants("routing"):
        folder = f"{folders.routing}_routing"
        by_name = {rows.plan.path: rows for rows in built.sets}
        heads = _heads(built)
        for owner, group in groupby(built.routing, key=lambda one: one.owner):
            objects = list(group)
            together = [one for one in objects if not (one.apart and one.manifest.over)]
            if together:
                texts = (text for one in together for text in one.texts(by_name))
                yield f"{folder}/{owner}.yaml", b"".join((heads.pop(owner, b""), *texts))
            for over in dict.fromkeys(one.manifest.over for one in objects if one.apart and one.manifest.over):
                of_set = [one for one in objects if one.apart and one.manifest.over == over]
                yield from _island_by_island(f"{folder}/{owner}", of_set, by_name)


def _island_by_island(
    folder: str, objects: Sequence[RoutingObject], rows: Mapping[str, SetRows]
) -> Iterator[tuple[str, bytes]]:
    """A Routing's objects that there are one of for each island, in a file for each."""
    texts = [(one.manifest.cases, one.texts(rows)) for one in objects]
    for island in rows[objects[0].manifest.over].plan.islands:
        own = [next(of_object) for cases, of_object in texts if not cases or island.case in cases]
        if own:
            yield f"{folder}/{island.name}.yaml", b"".join(own)


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


def _heads(built: Built) -> dict[str, bytes]:
    """What a Routing's first file says of the moves under way, for the next build, where it leads to Partitions."""
    if not built.partitions:
        return {}
    from replicator.routing.moves import heads

    return {table.name: heads(table.partitions()).encode() for table in built.tables}


def _routing_objects(built: Built, rows: Mapping[str, SetRows]) -> Iterator[tuple[str, bytes]]:
    heads = _heads(built)
    for one in built.routing:
        directory = f"_routing/{one.owner}"
        kind, full = one.manifest.kind, one.manifest.name
        if kind in ELSEWHERE:
            full = tree.text(one.manifest.namespace, ".", full)
        if not one.manifest.over:
            head = heads.pop(one.owner, b"")
            yield f"{directory}/{_file(kind, assemble(full, None))}", b"".join((head, *one.texts(rows)))
            continue
        for island, content in zip(one.islands(rows), one.texts(rows), strict=True):
            yield f"{directory}/{_file(kind, assemble(full, island))}", content


def _known(manifest: Manifest) -> str:
    return "".join(part for part in manifest.name if isinstance(part, str))


def _file(kind: str, name: str) -> str:
    """A file's name: RBAC's names may hold what a file's name may not."""
    safe = re.sub(r"[^A-Za-z0-9._-]", lambda match: f"%{ord(match[0]):02X}", name)
    return f"{kind.lower()}-{safe}.yaml"
