"""What Types say: ports, environment, files, workloads, volumes, resources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from replicator import names
from replicator.check.project import sets_of
from replicator.diagnostics import Diagnostic, Place, Related, nearest
from replicator.model import IslandSet, IslandType, Project, Serverless, Unit, UnitPort
from replicator.parser.source import Mapping, Scalar, Sequence


def type_ports(project: Project) -> Iterator[Diagnostic]:
    for island_type in project.types:
        for port in island_type.ports.values():
            if (port.unit is None) == (port.service is None):
                hint = "{unit: NAME, port: NAME}, or {service: NAME, port: 80} of a Service in `resources`"
                yield Diagnostic("R0205", "a port is of a unit or of a Service", port.place, hint=hint)
                continue
            if port.unit is None:
                if not isinstance(port.port.data, int) or not 0 < port.port.data < 65536:
                    yield Diagnostic("R0205", "a Service's port is a number from 1 to 65535", port.port.place)
                continue
            unit = island_type.units.get(port.unit.text)
            if unit is None:
                message = f"there is no unit `{port.unit.text}`"
                yield Diagnostic("R0303", message, port.unit.place, hint=nearest(port.unit.text, island_type.units))
            elif port.port.text not in unit.ports:
                message = f"the unit `{unit.name}` has no port `{port.port.text}`"
                yield Diagnostic("R0303", message, port.port.place, hint=nearest(port.port.text, unit.ports))


def implementations(project: Project) -> Iterator[Diagnostic]:
    for island_type in project.types:
        for one in island_type.implementations.values():
            if isinstance(one, Serverless):
                continue
            if one.port is None and not one.ports:
                hint = "port: 443 for all ports of the Type, or ports: {http: 443} for those that the host offers"
                yield Diagnostic("R0202", 'missing field "port"', one.place, hint=hint)
            elif one.port is not None and one.ports:
                yield Diagnostic("R0205", "`port` and `ports` at once", one.node.key_place("ports"))
            for name in one.ports:
                if name not in island_type.ports:
                    ports = one.node.items["ports"]
                    assert isinstance(ports, Mapping)
                    known = island_type.ports
                    hint = nearest(name, known) if known else f"`{island_type.name}` declares no `ports`"
                    message = f"the Type `{island_type.name}` has no port `{name}`"
                    yield Diagnostic("R0303", message, ports.key_place(name), hint=hint)


def uses(project: Project) -> Iterator[Diagnostic]:
    for island_type in project.types:
        for use in island_type.uses:
            if use.key is not None and use.all:
                yield Diagnostic("R0205", "`key` and `all` at once", use.node.key_place("all"))


def references(project: Project) -> Iterator[Diagnostic]:
    for island_type in project.types:
        nodes = island_type.node.get("spec", "references")
        for node in nodes.items if isinstance(nodes, Sequence) else ():
            assert isinstance(node, Mapping)
            for one, other in (("path", "to"), ("to", "path")):
                if one in node.items and other not in node.items:
                    hint = "a path and what it leads to; or neither, of a kind that names nothing"
                    yield Diagnostic("R0205", f"`{one}` without `{other}`", node.key_place(one), hint=hint)


def same_number(ports: Iterable[UnitPort], number: Callable[[UnitPort], Scalar], what: str) -> Iterator[Diagnostic]:
    first: dict[tuple[str, str], UnitPort] = {}
    for port in ports:
        text = number(port).text
        earlier = first.setdefault((text, port.protocol), port)
        if earlier is not port:
            related = (Related(f"`{earlier.name}` has it too", earlier.place),)
            yield Diagnostic("R0305", f"two {what} of the number {text}", port.place, related=related)


def port_clashes(project: Project) -> Iterator[Diagnostic]:
    for island_type in project.types:
        for unit in island_type.units.values():
            said = list(same_number(unit.ports.values(), lambda port: port.container, "ports"))
            yield from said
            if not said:
                yield from same_number(unit.ports.values(), lambda port: port.service, "Service ports")


def environment(project: Project) -> Iterator[Diagnostic]:
    for island_type in project.types:
        for unit in island_type.units.values():
            for name, source in (unit.env.items if unit.env else {}).items():
                if isinstance(source, Mapping) and unit.env:
                    yield from _source(source, unit.env.key_place(name))


def _source(source: Mapping, place: Place) -> Iterator[Diagnostic]:
    given = [word for word in ("secret", "configMap", "field") if word in source.items]
    if len(given) != 1:
        hint = "one of: {secret, key}, {configMap, key}, {field}"
        yield Diagnostic("R0205", "a variable's value comes from exactly one place", place, hint=hint)
        return
    word = given[0]
    keyed = word != "field"
    if keyed and "key" not in source.items:
        yield Diagnostic("R0202", f'missing field "key": which one of the {word}\'s', place)
    for field in ("key", "optional"):
        if not keyed and field in source.items:
            yield Diagnostic("R0205", f"`{field}` says nothing about a field of the pod", source.key_place(field))


def files(project: Project) -> Iterator[Diagnostic]:
    for island_type in project.types:
        for unit in island_type.units.values():
            first: dict[str, str] = {}
            for path in unit.files.items if unit.files else ():
                assert unit.files
                place = unit.files.key_place(path)
                parts = path.split("/")
                if not path.startswith("/") or path.endswith("/") or {"", ".", ".."} & set(parts[1:]) or ":" in path:
                    hint = "an absolute path without `.`, `..`, `:` and empty steps: /etc/app/config.yaml"
                    yield Diagnostic("R0308", f"`{path}` is no path for a file", place, hint=hint)
                    continue
                key = names.config_key(path)
                if not names.is_config_key(key):
                    hint = f"at most {names.MAX_SUBDOMAIN} characters, and no `..` at its beginning"
                    yield Diagnostic("R0308", f"`{path}` makes no key of a ConfigMap", place, hint=hint)
                    continue
                earlier = first.setdefault(key, path)
                if earlier != path:
                    related = (Related("the first one", unit.files.key_place(earlier)),)
                    yield Diagnostic("R0308", f"two files of the ConfigMap key `{key}`", place, related=related)


# Which kinds of workload have a field.
_OF_KINDS = {
    "replicas": ("Deployment", "StatefulSet"),
    "autoscale": ("Deployment", "StatefulSet"),
    "schedule": ("CronJob",),
}


_GIVEN_OTHERWISE = {
    "replicas": "the unit's own `replicas`",
    "selector": "the compiler: it keeps islands apart",
    "template": "the unit's own fields, `pod` and `podMetadata`",
    "serviceName": "the compiler: the unit's headless Service",
    "volumeClaimTemplates": "the unit's own `storage`",
    "schedule": "the unit's own `schedule`",
}


def workloads(project: Project) -> Iterator[Diagnostic]:
    for island_type in project.types:
        pods = any(island_set.form == "pods" for island_set in sets_of(project, island_type))
        for unit in island_type.units.values():
            if unit.storage and unit.kind != "StatefulSet" and not pods:
                hint = "kind: StatefulSet; for a volume that need not last: pod: {volumes: [{name: …, emptyDir: {}}]}"
                yield Diagnostic("R0307", f"a {unit.kind} has no `storage`", unit.node.key_place("storage"), hint=hint)
            for field, kinds in _OF_KINDS.items():
                if field in unit.node.items and unit.kind not in kinds:
                    hint = f"kind: {' or '.join(kinds)}"
                    message = f"a {unit.kind} has no `{field}`"
                    yield Diagnostic("R0307", message, unit.node.key_place(field), hint=hint)
            if unit.kind == "CronJob" and unit.schedule is None:
                hint = 'schedule: "0 3 * * *"'
                yield Diagnostic("R0202", 'missing field "schedule": when the Jobs start', unit.place, hint=hint)
            if unit.autoscale and not {"cpu", "memory", "metrics"} & unit.autoscale.items.keys():
                place = unit.node.key_place("autoscale")
                yield Diagnostic("R0202", "an autoscaler needs a metric: cpu, memory or metrics", place, hint="cpu: 70")
            yield from _claims(unit)
            yield from same_volumes([unit])
            if unit.service and "selector" in unit.service.items:
                message = "`selector` comes from the compiler: it keeps islands apart"
                yield Diagnostic("R0307", message, unit.service.key_place("selector"))
            for path in unit.storage.items if unit.storage else ():
                if unit.files and path in unit.files.items:
                    related = (Related("the file", unit.files.key_place(path)),)
                    message = f"a file and a volume at one path, `{path}`"
                    assert unit.storage
                    yield Diagnostic("R0305", message, unit.storage.key_place(path), related=related)
            if unit.service and not unit.ports:
                message = "`service` of a unit without `ports`: it has no Service"
                yield Diagnostic("R0307", message, unit.node.key_place("service"), hint="give it `ports`")
            yield from _given_otherwise(unit)


def _given_otherwise(unit: Unit) -> Iterator[Diagnostic]:
    """Fields of the workload's spec, and of the spec of a CronJob's Jobs, that the compiler writes."""
    specs = [unit.spec]
    for field in ("jobTemplate", "spec") if unit.kind == "CronJob" else ():
        node = specs[-1].items.get(field) if specs[-1] else None
        if isinstance(node, Scalar):
            yield Diagnostic("R0307", f"`{field}` is written out, as a map", node.place)
        specs.append(node if isinstance(node, Mapping) else None)
    for spec in specs:
        for field in spec.items if spec else ():
            if spec and field in _GIVEN_OTHERWISE:
                message = f"`{field}` comes from {_GIVEN_OTHERWISE[field]}"
                yield Diagnostic("R0307", message, spec.key_place(field))


def _claims(unit: Unit) -> Iterator[Diagnostic]:
    first: dict[str, str] = {}
    for path, claim in (unit.storage.items if unit.storage else {}).items():
        assert unit.storage
        place = unit.storage.key_place(path)
        if not path.startswith("/") or ":" in path:
            yield Diagnostic("R0307", f"`{path}` is no path to mount at", place, hint="an absolute path")
        name = claim.data.get("name") or names.claim_name(path)
        earlier = first.setdefault(name, path)
        if "{{" in name:
            continue
        if not names.is_label(name):
            yield Diagnostic("R0304", f"`{name}` is no name for a volume", place)
        elif earlier != path:
            related = (Related("the first one", unit.storage.key_place(earlier)),)
            yield Diagnostic("R0305", f"two volumes of the name `{name}`", place, "", "give one a `name`", related)


def same_volumes(units: list[Unit], by_pod: bool = False) -> Iterator[Diagnostic]:
    """The volumes of one pod have different names: those of `storage`, of `files`, and of `pod.volumes`.

    `by_pod`: files may differ between pods, and those are in a volume of their own.
    """
    first: dict[str, Place] = {}
    for unit in units:
        made = (names.files(unit.name), *([names.files_by_pod(unit.name)] if by_pod else ()))
        named = [(name, unit.node.key_place("files")) for name in made] if unit.files else []
        for path, claim in (unit.storage.items if unit.storage else {}).items():
            assert unit.storage
            named.append((claim.data.get("name") or names.claim_name(path), unit.storage.key_place(path)))
        volumes = unit.pod.items.get("volumes") if unit.pod else None
        listed = volumes.items if isinstance(volumes, Sequence) else []
        named += (
            (volume.data["name"], volume.items["name"].place)
            for volume in listed
            if isinstance(volume, Mapping) and isinstance(volume.data.get("name"), str)
        )
        for name, place in named:
            earlier = first.setdefault(name, place)
            if earlier is not place:
                related = (Related("the first one", earlier),)
                message = f"two volumes of one pod named `{name}`"
                yield Diagnostic("R0305", message, place, hint="give one another `name`", related=related)


def resources(project: Project) -> Iterator[Diagnostic]:
    documents: list[IslandType | IslandSet] = [*project.types, *project.sets]
    for document in documents:
        resources = document.resources if isinstance(document, IslandType) else document.shared
        for resource in resources:
            if (resource.manifest is None) == (resource.file is None):
                hint = "manifest: {…} or file: base/*.yaml"
                yield Diagnostic("R0205", "an entry has a manifest or a file", resource.place, hint=hint)
            if "expressions" in resource.node.items and resource.file is None:
                place = resource.node.key_place("expressions")
                yield Diagnostic("R0205", "`expressions` is for files: in a manifest they are always on", place)
        if isinstance(document, IslandType) and not (document.units or document.sets or resources):
            yield Diagnostic("R0202", "a Type needs units, resources or sets", document.node.key_place("spec"))
