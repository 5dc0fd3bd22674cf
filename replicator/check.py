"""What a project means, judged before anything is expanded: a table of small checks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from replicator import names
from replicator.diagnostics import Diagnostic, Place, Related, nearest
from replicator.expression.template import parse
from replicator.model import IslandSet, IslandType, Metadata, Project, Resource, Routing, Unit, UnitPort
from replicator.parser.source import Mapping, Node, Scalar, Sequence
from replicator.scope import ISLAND, Scope, island_attributes, keys, let_kinds, let_reads, scalars


def check(project: Project) -> list[Diagnostic]:
    """All findings of all checks."""
    return [diagnostic for judge in CHECKS for diagnostic in judge(project)]


def _documents(project: Project) -> list[IslandType | IslandSet | Routing]:
    return [*project.types, *project.sets, *project.routings]


def _sets_of(project: Project, island_type: IslandType) -> list[IslandSet]:
    return [island_set for island_set in project.sets if island_set.type.text == island_type.name]


class _User(NamedTuple):
    """A Set of a Type: at the top (`inside` is None), or inside the islands of another Type."""

    model: IslandSet
    inside: IslandType | None


def _users(project: Project, island_type: IslandType) -> list[_User]:
    """All Sets whose islands are of a Type."""
    users = [_User(model, None) for model in _sets_of(project, island_type)]
    for outer in project.types:
        users += (_User(model, outer) for model in outer.sets.values() if model.type.text == island_type.name)
    return users


def _all_sets(project: Project) -> Iterator[IslandSet]:
    yield from project.sets
    for island_type in project.types:
        yield from island_type.sets.values()


def _unique_names(project: Project) -> Iterator[Diagnostic]:
    for word, documents in (
        ("IslandType", project.types),
        ("IslandSet", project.sets),
        ("Routing", project.routings),
    ):
        first: dict[str, Metadata] = {}
        for document in documents:
            metadata: Metadata = document.metadata
            earlier = first.setdefault(metadata.name, metadata)
            if earlier is not metadata:
                related = (Related("the first one", earlier.name_node.place),)
                message = f"a second {word} of the name `{metadata.name}`"
                yield Diagnostic("R0301", message, metadata.name_node.place, related=related)


def _legal_names(project: Project) -> Iterator[Diagnostic]:
    for document in _documents(project):
        metadata = document.metadata
        root = document.node
        name = metadata.name
        if not names.is_label_1035(name):
            hint = "at most 63 of a-z, 0-9 and `-`, beginning with a letter, ending with a letter or digit"
            yield Diagnostic(
                "R0304", f"`{name}` is no name for a {root.data['kind']}", metadata.name_node.place, hint=hint
            )
        if (node := root.get("metadata", "namespace")) and not names.is_label(metadata.namespace):
            yield Diagnostic("R0304", f"`{metadata.namespace}` is no namespace's name", node.place)
        yield from _legal_labels(root.get("metadata", "labels"))
    for island_type in project.types:
        for unit in island_type.units.values():
            if not names.is_label(unit.name):
                hint = "at most 63 of a-z, 0-9 and `-`, a letter or digit at both ends"
                yield Diagnostic("R0304", f"`{unit.name}` is no name for a unit", unit.place, hint=hint)
            for port in unit.ports.values():
                yield from _legal_port(port.name, port.place)
            for name in unit.env.items if unit.env else ():
                if not names.ENVIRONMENT.fullmatch(name):
                    place = unit.env.key_place(name) if unit.env else unit.place
                    yield Diagnostic("R0304", f"`{name}` is no name for an environment variable", place)
            yield from _legal_labels(unit.pod_labels)
        for name, type_port in island_type.ports.items():
            yield from _legal_port(name, type_port.place)
        for names_node in _children(island_type.node.get("spec", "external")):
            for item in names_node.items if isinstance(names_node, Sequence) else ():
                if "{{" not in item.data and not names.is_subdomain(item.data):
                    yield Diagnostic("R0304", f"`{item.data}` is no name of a Kubernetes object", item.place)


def _children(node: Node | None) -> Iterable[Node]:
    return node.items.values() if isinstance(node, Mapping) else ()


def _legal_port(name: str, place: Place) -> Iterator[Diagnostic]:
    if not names.is_port_name(name):
        hint = "at most 15 of a-z, 0-9 and single `-`, with a letter among them"
        yield Diagnostic("R0304", f"`{name}` is no name for a port", place, hint=hint)


def _legal_labels(node: Node | None) -> Iterator[Diagnostic]:
    if isinstance(node, Mapping):
        for key, value in node.items.items():
            text = value.text if isinstance(value, Scalar) else ""
            if problem := names.label_problem(key, "" if "{{" in text else text):
                yield Diagnostic("R0304", problem, node.key_place(key))


def _types_exist(project: Project) -> Iterator[Diagnostic]:
    known = {island_type.name for island_type in project.types}
    for island_set in _all_sets(project):
        name = island_set.type.text
        if name not in known:
            hint = nearest(name, known) or "give the file that holds it to the same build"
            yield Diagnostic("R0302", f"there is no IslandType `{name}`", island_set.type.place, hint=hint)


def _no_cycles(project: Project) -> Iterator[Diagnostic]:
    """A Type is not inside itself."""
    types = {island_type.name: island_type for island_type in project.types}
    reported: set[frozenset[str]] = set()
    for start in project.types:
        waiting: list[tuple[str, tuple[str, ...]]] = [(start.name, (start.name,))]
        while waiting:
            name, path = waiting.pop()
            for inner in types[name].sets.values():
                other = inner.type.text
                if other == start.name and frozenset(path) not in reported:
                    reported.add(frozenset(path))
                    message = "a Type is inside itself: " + " → ".join((*path, other))
                    yield Diagnostic("R0314", message, inner.type.place)
                elif other in types and other not in path:
                    waiting.append((other, (*path, other)))


def _type_ports(project: Project) -> Iterator[Diagnostic]:
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


def _same_number(ports: Iterable[UnitPort], number: Callable[[UnitPort], Scalar], what: str) -> Iterator[Diagnostic]:
    first: dict[tuple[str, str], UnitPort] = {}
    for port in ports:
        text = number(port).text
        earlier = first.setdefault((text, port.protocol), port)
        if earlier is not port:
            related = (Related(f"`{earlier.name}` has it too", earlier.place),)
            yield Diagnostic("R0305", f"two {what} of the number {text}", port.place, related=related)


def _port_clashes(project: Project) -> Iterator[Diagnostic]:
    for island_type in project.types:
        for unit in island_type.units.values():
            yield from _same_number(unit.ports.values(), lambda port: port.container, "ports")
            if all(port.container is not port.service for port in unit.ports.values()):
                yield from _same_number(unit.ports.values(), lambda port: port.service, "Service ports")


def _environment(project: Project) -> Iterator[Diagnostic]:
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


def _files(project: Project) -> Iterator[Diagnostic]:
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
                earlier = first.setdefault(key, path)
                if earlier != path or not key.strip("."):
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
}


def _workloads(project: Project) -> Iterator[Diagnostic]:
    for island_type in project.types:
        pods = any(island_set.form == "pods" for island_set in _sets_of(project, island_type))
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
            if unit.autoscale and unit.replicas:
                place = unit.node.key_place("replicas")
                related = (Related("the autoscaler decides it", unit.node.key_place("autoscale")),)
                yield Diagnostic("R0307", "`replicas` beside `autoscale`", place, hint="remove it", related=related)
            if unit.autoscale and not {"cpu", "memory", "metrics"} & unit.autoscale.items.keys():
                place = unit.node.key_place("autoscale")
                yield Diagnostic("R0202", "an autoscaler needs a metric: cpu, memory or metrics", place, hint="cpu: 70")
            yield from _claims(unit)
            for field in unit.spec.items if unit.spec else ():
                if field in _GIVEN_OTHERWISE and unit.spec:
                    message = f"`{field}` comes from {_GIVEN_OTHERWISE[field]}"
                    yield Diagnostic("R0307", message, unit.spec.key_place(field))


def _claims(unit: Unit) -> Iterator[Diagnostic]:
    first: dict[str, str] = {}
    for path, claim in (unit.storage.items if unit.storage else {}).items():
        assert unit.storage
        place = unit.storage.key_place(path)
        if not path.startswith("/") or ":" in path:
            yield Diagnostic("R0307", f"`{path}` is no path to mount at", place, hint="an absolute path")
        name = claim.data.get("name") or names.claim_name(path)
        earlier = first.setdefault(name, path)
        if not names.is_label(name):
            yield Diagnostic("R0304", f"`{name}` is no name for a volume", place)
        elif earlier != path:
            related = (Related("the first one", unit.storage.key_place(earlier)),)
            yield Diagnostic("R0305", f"two volumes of the name `{name}`", place, "", "give one a `name`", related)


def _counts(project: Project) -> Iterator[Diagnostic]:
    for island_set in _all_sets(project):
        spec = island_set.node.items.get("spec", island_set.node)
        assert isinstance(spec, Mapping)
        place = (
            island_set.node.key_place("spec") if spec is not island_set.node else island_set.metadata.name_node.place
        )
        ways = [field for field in ("islands", "replicas", "matrix") if field in spec.items]
        if len(ways) != 1:
            message = f"`{ways[0]}` and `{ways[1]}` at once" if ways else "nothing says which islands there are"
            where = spec.key_place(ways[1]) if ways else place
            hint = "islands: {eu: {}, us: {}} for keys, replicas: 3, or matrix: {region: [eu, us]}"
            yield Diagnostic("R0311", message, where, hint=hint)
        for field, of in (("start", "replicas"), ("exclude", "matrix")):
            if field in spec.items and of not in spec.items:
                yield Diagnostic("R0311", f"`{field}` goes with `{of}` only", spec.key_place(field))
        if "namespaces" in spec.items and island_set.scope != "namespace":
            hint = "scope: namespace"
            yield Diagnostic(
                "R0310", "`namespaces` goes with `scope: namespace`", spec.key_place("namespaces"), hint=hint
            )
        if spec is not island_set.node and island_set.form == "copies":
            for field in ("workload", "reserved", "statefulSet"):
                if field in spec.items:
                    yield Diagnostic("R0310", f"`{field}` goes with `form: pods`", spec.key_place(field))


def _pods(project: Project) -> Iterator[Diagnostic]:
    """What `form: pods` cannot have: it is one StatefulSet, whose pods are the islands."""
    types = {island_type.name: island_type for island_type in project.types}
    for island_set in project.sets:
        island_type = types.get(island_set.type.text)
        if island_type is None:
            continue
        form = island_set.node.get("spec", "form")
        if island_set.form == "copies":
            for unit in island_type.units.values():
                if unit.init:
                    related = (Related("this Set makes copies", form.place if form else island_set.type.place),)
                    hint = "in copies an init container is written under `pod.initContainers`"
                    place = unit.node.key_place("init")
                    yield Diagnostic("R0310", "`init` belongs to `form: pods`", place, hint=hint, related=related)
            continue
        assert form is not None
        related = (Related("this Set is one StatefulSet", form.place),)
        spec = island_set.node.items["spec"]
        assert isinstance(spec, Mapping)
        for way in ("islands", "matrix"):
            if way in spec.items:
                message = "islands of `form: pods` have no names but their ordinals"
                yield Diagnostic("R0310", message, spec.key_place(way), hint="replicas: N", related=related)
        if island_set.scope == "namespace":
            message = "the pods of one StatefulSet are in one namespace"
            yield Diagnostic("R0310", message, spec.key_place("scope"), hint="scope: prefix", related=related)
        if island_type.resources:
            message = "`form: pods` makes one pod of an island: the Type's `resources` have no place in it"
            hint = "put what all pods share into the Set's `shared`, or use form: copies"
            yield Diagnostic("R0310", message, island_type.resources[0].place, hint=hint, related=related)
        yield from _advanced(island_set, spec)
        containers = [unit for unit in island_type.units.values() if not unit.init]
        if not containers:
            yield Diagnostic("R0310", "every unit is an init container", island_set.type.place, related=related)
        for unit in island_type.units.values():
            for field in ("kind", "replicas", "autoscale", "schedule", "spec", "service"):
                if field in unit.node.items:
                    message = f"a unit of `form: pods` is a container: it has no `{field}` of its own"
                    yield Diagnostic("R0310", message, unit.node.key_place(field), related=related)
            if unit.init and unit.ports:
                yield Diagnostic(
                    "R0310",
                    "an init container serves no ports",
                    unit.node.key_place("ports"),
                    related=related,
                )
        every = [port for unit in island_type.units.values() for port in unit.ports.values()]
        yield from _same_number(every, lambda port: port.container, "ports of one pod")
        first: dict[str, UnitPort] = {}
        for port in every:
            earlier = first.setdefault(port.name, port)
            if earlier is not port:
                both = (Related("the first one", earlier.place), *related)
                yield Diagnostic("R0305", f"two ports of one pod named `{port.name}`", port.place, related=both)


def _advanced(island_set: IslandSet, spec: Mapping) -> Iterator[Diagnostic]:
    """The rules of OpenKruise's webhook, which its CRD does not hold, and what the core StatefulSet does not have.

    openkruise/kruise: pkg/webhook/statefulset/validating/statefulset_validation.go
    """
    core = island_set.workload == "StatefulSet"
    if core and island_set.reserved:
        hint = "workload: AdvancedStatefulSet (OpenKruise)"
        yield Diagnostic(
            "R0310", "Kubernetes' StatefulSet cannot leave ordinals out", spec.key_place("reserved"), hint=hint
        )
    given = island_set.stateful_set
    if given is None:
        return
    for field in given.items:
        if field in _MADE_FOR_PODS:
            hint = f"it comes from {_MADE_FOR_PODS[field]}"
            yield Diagnostic("R0307", f"`{field}` is not yours to give here", given.key_place(field), hint=hint)
        elif not core and field == "minReadySeconds":
            hint = "updateStrategy: {rollingUpdate: {minReadySeconds: …}}"
            message = "OpenKruise's StatefulSet has no minReadySeconds here"
            yield Diagnostic("R0307", message, given.key_place(field), hint=hint)
        elif core and field in _KRUISE_FIELDS:
            hint = "workload: AdvancedStatefulSet (OpenKruise)"
            message = f"Kubernetes' StatefulSet has no `{field}`"
            yield Diagnostic("R0307", message, given.key_place(field), hint=hint)
    rolling = given.get("updateStrategy", "rollingUpdate")
    if not isinstance(rolling, Mapping):
        return
    if given.get("updateStrategy", "type") is not None and given.data["updateStrategy"].get("type") == "OnDelete":
        yield Diagnostic("R0307", "updateStrategy OnDelete has no rollingUpdate", rolling.place)
    for field in rolling.items:
        if core and field not in ("partition", "maxUnavailable"):
            hint = "workload: AdvancedStatefulSet (OpenKruise)"
            message = f"Kubernetes' StatefulSet has no rollingUpdate.{field}"
            yield Diagnostic("R0307", message, rolling.key_place(field), hint=hint)
    if core:
        return
    parallel = given.data.get("podManagementPolicy", "Parallel") == "Parallel"
    limited = [(rolling, "maxUnavailable"), (rolling, "unorderedUpdate")]
    scaling = given.items.get("scaleStrategy")
    if isinstance(scaling, Mapping):
        limited.append((scaling, "maxUnavailable"))
    for holder, field in limited:
        if field in holder.items and holder.data[field] != 1 and not parallel:
            message = f"`{field}` needs podManagementPolicy: Parallel"
            yield Diagnostic("R0307", message, holder.key_place(field))
    ready = rolling.items.get("minReadySeconds")
    if ready is not None and not (isinstance(ready.data, int) and 0 <= ready.data <= 300):
        yield Diagnostic("R0307", "minReadySeconds is from 0 to 300", ready.place)
    for holder, field in limited:
        node = holder.items.get(field)
        if isinstance(node, Scalar) and isinstance(node.data, str) and not re.fullmatch(r"[0-9]+%", node.data):
            yield Diagnostic("R0307", f"`{node.data}` is neither a number nor a percentage", node.place)


_MADE_FOR_PODS = {
    "replicas": "the Set's `replicas`",
    "ordinals": "the Set's `start`",
    "reserveOrdinals": "the Set's `reserved`",
    "selector": "the compiler: it selects the Set's pods",
    "serviceName": "the compiler: the Set's headless Service",
    "template": "the Type's units",
    "volumeClaimTemplates": "the units' `storage`",
}
_KRUISE_FIELDS = frozenset(["scaleStrategy", "lifecycle", "volumeClaimUpdateStrategy"])


def _resources(project: Project) -> Iterator[Diagnostic]:
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
        if isinstance(document, IslandType) and not document.units and not resources:
            yield Diagnostic("R0202", "a Type needs units or resources", document.node.key_place("spec"))


def _type_expressions(project: Project) -> Iterator[Diagnostic]:
    for island_type in project.types:
        spec = island_type.node.items["spec"]
        assert isinstance(spec, Mapping)
        types = {one.name: one for one in project.types}
        variants: dict[tuple[frozenset[str], str], _User | None] = {
            (island_attributes(user.model) | _inherited(project, user), user.inside.name if user.inside else ""): user
            for user in _users(project, island_type)
        }
        for (attributes, _), user in (variants or {(frozenset(ISLAND), ""): None}).items():
            scope = Scope(
                island_type.params,
                attributes,
                let_kinds(island_type, attributes, user.inside if user else None, types),
                island_type,
                parent=user.inside if user else None,
                types=types,
            )
            for diagnostic in _judge_type(island_type, spec, scope):
                if user and "there is no `island." in diagnostic.message:
                    why = "has no namespace" if "namespace" in diagnostic.message else "has keys, not ordinals"
                    related = (Related(f"this Set {why}", user.model.metadata.name_node.place),)
                    diagnostic = diagnostic._replace(related=related)
                elif user and "there is no `parent`" in diagnostic.message:
                    related = (Related("this Set is inside no island", user.model.metadata.name_node.place),)
                    diagnostic = diagnostic._replace(related=related)
                yield diagnostic


def _inherited(project: Project, user: _User) -> frozenset[str]:
    """An island inside another has the other's namespace, if every outermost Set around it has one."""
    around, seen = [user.inside] if user.inside else [], set()
    if not around:
        return frozenset()
    while around:
        island_type = around.pop()
        if island_type.name in seen:
            continue
        seen.add(island_type.name)
        for other in _users(project, island_type):
            if other.inside is not None:
                around.append(other.inside)
            elif "namespace" not in island_attributes(other.model):
                return frozenset()
    return frozenset(["namespace"])


def _judge_type(island_type: IslandType, spec: Mapping, scope: Scope) -> Iterator[Diagnostic]:
    for name, scalar in island_type.let.items():
        yield from scope.judge(scalar)
        if cycle := _cycle(island_type, name):
            message = "derived values refer to each other: " + " → ".join(cycle)
            yield Diagnostic("R0402", message, scalar.place)
    for inner in island_type.sets.values():
        given: list[Node | None] = [inner.count, inner.keys, inner.params]
        for node in (*given, *(override.params for override in inner.overrides)):
            for scalar in scalars(node):
                yield from scope.judge(scalar)
        for entry in _children(inner.islands):
            for scalar in scalars(entry.items.get("params") if isinstance(entry, Mapping) else None):
                yield from scope.judge(scalar)
    yield from _judge_resources(island_type.resources, scope)
    for names_node in _children(spec.items.get("external")):
        for scalar in scalars(names_node):
            yield from scope.judge(scalar)
    for one in island_type.implementations.values():
        for scalar in (one.host, one.port):
            yield from scope.judge(scalar)
    units = spec.items.get("units")
    for name, node in units.items.items() if isinstance(units, Mapping) else ():
        unit = island_type.units[name]
        fixed = {"kind", "init"} | ({"storage"} if unit.storage else set())
        for field, child in node.items.items() if isinstance(node, Mapping) else ():
            if field in fixed:
                yield from _no_expressions(*_literal_parts(field, child))
            for scalar in scalars(child):
                if field not in ("kind", "init"):
                    yield from scope.judge(scalar)


def _cycle(island_type: IslandType, name: str) -> list[str]:
    """How a derived value comes to refer to itself, if it does."""
    paths = [[name]]
    seen: set[str] = set()
    while paths:
        path = paths.pop()
        for other in let_reads(island_type.let[path[-1]]):
            if other == name:
                return [*path, name]
            if other in island_type.let and other not in seen:
                seen.add(other)
                paths.append([*path, other])
    return []


def _judge_resources(resources: Iterable[Resource], scope: Scope) -> Iterator[Diagnostic]:
    for resource in resources:
        inside = scope
        if resource.for_each is not None:
            inside = scope._replace(item=_item_schema(resource.for_each, scope))
        for node in (resource.when, resource.for_each):
            for scalar in scalars(node):
                yield from scope.judge(scalar)
        for scalar in scalars(resource.manifest):
            yield from inside.judge(scalar)


def _item_schema(node: Node, scope: Scope) -> dict[str, Any]:
    """The schema of the items of a `forEach`, where it is a parameter; else of anything."""
    whole = parse(node.text).whole if isinstance(node, Scalar) else None
    if whole is None or len(whole.path) != 2 or whole.path[0] != "params" or whole.path[1] not in scope.params:
        return {}
    items = scope.params[whole.path[1]].schema.get("items", {})
    return dict(items)


def _shared_expressions(project: Project) -> Iterator[Diagnostic]:
    types = {island_type.name: island_type for island_type in project.types}
    for island_set in project.sets:
        island_type = types.get(island_set.type.text)
        if island_type is not None:
            yield from _judge_resources(island_set.shared, Scope(island_type.params, let={}))


def _literal_parts(field: str, node: Node) -> list[Node | None]:
    """The parts of a unit's field that decide names, and so are literal."""
    if field == "storage" and isinstance(node, Mapping):
        return [claim.items.get("name") for claim in node.items.values() if isinstance(claim, Mapping)]
    return [node]


def _no_expressions(*nodes: Node | None) -> Iterator[Diagnostic]:
    for node in nodes:
        for scalar in scalars(node):
            place = scalar.part(scalar.text.index("{{"), 2)
            yield Diagnostic("R0406", "this field is literal: it decides names and structure", place)


def _literal_fields(project: Project) -> Iterator[Diagnostic]:
    for island_type in project.types:
        spec = island_type.node
        yield from _no_expressions(*(spec.get("spec", field) for field in ("params", "ports")))
    for island_set in project.sets:
        spec = island_set.node
        yield from _no_expressions(*(spec.get("spec", field) for field in ("type", "scope", "form")))
        for override in island_set.overrides:
            yield from _no_expressions(*override.globs)
    for routing in project.routings:
        spec = routing.node
        yield from _no_expressions(*(spec.get("spec", field) for field in ("provider", "gloo", "params")))
        for route in routing.routes:
            yield from _no_expressions(route.each, route.port, *(d.port for d in route.to))
            yield from _no_expressions(*(route.node.get(field) for field in ("name", "redirect", "timeout", "retries")))
    for document in _documents(project):
        yield from _no_expressions(document.node.get("metadata"))
        for key in keys(document.node):
            place = key.part(key.text.index("{{"), 2)
            yield Diagnostic("R0406", "a key is literal: there are no expressions in it", place)


def _set_expressions(project: Project) -> Iterator[Diagnostic]:
    for island_set in project.sets:
        scope = Scope({}, island_attributes(island_set))
        for node in (island_set.params, *(override.params for override in island_set.overrides)):
            for scalar in scalars(node):
                yield from scope.judge(scalar)
        for entry in _children(island_set.islands):
            if isinstance(entry, Mapping):
                for scalar in scalars(entry.items.get("params")):
                    yield from scope.judge(scalar)


def _set_at(project: Project, path: str) -> _User | None:
    """The Set of a path (`region/cell`), and the Type that it is inside of."""
    first, *rest = path.split("/")
    types = {island_type.name: island_type for island_type in project.types}
    model = next((one for one in project.sets if one.name == first), None)
    inside: IslandType | None = None
    for name in rest:
        inside = types.get(model.type.text) if model else None
        model = inside.sets.get(name) if inside else None
    return _User(model, inside) if model else None


def _routing_expressions(project: Project) -> Iterator[Diagnostic]:
    for routing in project.routings:
        plain = Scope(routing.params)
        for host in routing.hosts:
            yield from plain.judge(host)
        for route in routing.routes:
            each = _set_at(project, route.each.text) if route.each else None
            scope = plain
            if each is not None:
                attributes = island_attributes(each.model) | _inherited(project, each)
                scope = Scope(routing.params, attributes, parent=each.inside)
            for field in ("match", "to", "rewrite", "respond"):
                for scalar in scalars(route.node.get(field)):
                    yield from scope.judge(scalar)


def _routes(project: Project) -> Iterator[Diagnostic]:
    """The shape of routes that the schema cannot say: one action each, names once, nothing behind a catch-all."""
    for routing in project.routings:
        first: dict[str, Place] = {}
        for route in routing.routes:
            actions = [word for word in ("to", "redirect", "respond") if word in route.node.items]
            if len(actions) > 1 or not (actions or route.each):
                message = "a route does one thing" if actions else "a route does nothing"
                yield Diagnostic("R0205", message, route.place, hint="exactly one of: to, redirect, respond")
            if route.name:
                earlier = first.setdefault(route.name, route.place)
                if earlier is not route.place:
                    related = (Related("the first one", earlier),)
                    yield Diagnostic(
                        "R0707", f"a second route of the name `{route.name}`", route.place, related=related
                    )
            for destination in route.to:
                if not destination.kind:
                    hint = "one of: island, spread, service"
                    yield Diagnostic("R0202", "a destination names nothing", destination.place, hint=hint)
        for one, two in pairwise(routing.routes):
            if not one.matches:
                related = (Related("it matches every request", one.place),)
                yield Diagnostic(
                    "R0702", "no request reaches this route", two.place, hint="put it before", related=related
                )


def _one_destination(project: Project) -> Iterator[Diagnostic]:
    for routing in project.routings:
        for route in routing.routes:
            node = route.node.items.get("to")
            for item in node.items if isinstance(node, Sequence) else [node]:
                if isinstance(item, Mapping):
                    words = [word for word in ("island", "spread", "service") if word in item.items]
                    if len(words) > 1:
                        hint = "exactly one of: island, spread, service; for several, a list"
                        yield Diagnostic("R0205", "a destination names two things", item.key_place(words[1]), hint=hint)


CHECKS: tuple[Callable[[Project], Iterator[Diagnostic]], ...] = (
    _unique_names,
    _legal_names,
    _types_exist,
    _no_cycles,
    _type_ports,
    _port_clashes,
    _environment,
    _files,
    _workloads,
    _counts,
    _pods,
    _resources,
    _shared_expressions,
    _literal_fields,
    _type_expressions,
    _set_expressions,
    _routing_expressions,
    _routes,
    _one_destination,
)
