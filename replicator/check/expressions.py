"""Expressions: unknown names in every branch of them, and expressions where none may be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from replicator.check.project import User, all_documents, children_of, set_at, users_of
from replicator.diagnostics import Diagnostic, Related
from replicator.expression.template import parse
from replicator.model import PROVIDERS, FunctionCall, IslandSet, IslandType, Project, Resource, Routing, Serverless
from replicator.parser.source import Mapping, Node, Scalar
from replicator.scope import ISLAND, MAX_LET_DEPTH, Scope, island_attributes, keys, let_kinds, let_reads, scalars


def type_expressions(project: Project) -> Iterator[Diagnostic]:
    for island_type in project.types:
        spec = island_type.node.items["spec"]
        assert isinstance(spec, Mapping)
        variants: dict[tuple[frozenset[str], IslandType | None], User | None] = {
            (island_attributes(user.model) | _inherited(project, user), user.inside): user
            for user in users_of(project, island_type)
        }
        for (attributes, _), user in (variants or {(frozenset(ISLAND), None): None}).items():
            scope = Scope(
                island_type.params,
                attributes,
                let_kinds(island_type, attributes, user.inside if user else None, project.type_of),
                island_type,
                parent=user.inside if user else None,
                type_of=project.type_of,
            )
            found = [*_judge_type(island_type, spec, scope), *_judge_patches(user.model if user else None, scope)]
            for diagnostic in found:
                if user and diagnostic.message in _ABSENT:
                    why = _ABSENT[diagnostic.message]
                    related = (Related(f"this Set {why}", user.model.metadata.name_node.place),)
                    diagnostic = diagnostic._replace(related=related)
                elif user and "there is no `parent`" in diagnostic.message:
                    related = (Related("this Set is inside no island", user.model.metadata.name_node.place),)
                    diagnostic = diagnostic._replace(related=related)
                yield diagnostic


_ABSENT = {
    "there is no `island.namespace` here": "has no namespace",
    "there is no `island.ordinal` here": "has keys, not ordinals",
}


def _judge_patches(model: IslandSet | None, scope: Scope) -> Iterator[Diagnostic]:
    """The patches of a Set and of its islands: they are read in the islands' scope."""
    if model is None:
        return
    holders = [patch.patch for patch in model.patches]
    entries = [entry for entry in children_of(model.islands) if isinstance(entry, Mapping)]
    holders += (entry.items["patches"] for entry in entries if "patches" in entry.items)
    for holder in holders:
        for scalar in scalars(holder):
            yield from scope.judge(scalar)


def _inherited(project: Project, user: User) -> frozenset[str]:
    """An island inside another has the other's namespace, if every outermost Set around it has one."""
    around: list[IslandType] = [user.inside] if user.inside else []
    seen: set[IslandType] = set()
    if not around:
        return frozenset()
    while around:
        island_type = around.pop()
        if island_type in seen:
            continue
        seen.add(island_type)
        for other in users_of(project, island_type):
            if other.inside is not None:
                around.append(other.inside)
            elif "namespace" not in island_attributes(other.model):
                return frozenset()
    return frozenset(["namespace"])


def _judge_type(island_type: IslandType, spec: Mapping, scope: Scope) -> Iterator[Diagnostic]:
    for name, scalar in island_type.let.items():
        yield from scope.judge(scalar)
        cycle, too_long = _chain(island_type, name)
        if cycle:
            message = "derived values refer to each other: " + " → ".join(cycle)
            yield Diagnostic("R0402", message, scalar.place)
        elif too_long:
            yield Diagnostic("R0407", f"more than {MAX_LET_DEPTH} derived values, one made of another", scalar.place)
    for inner in island_type.sets.values():
        given: list[Node | None] = [inner.count, inner.keys, inner.params]
        for node in (*given, *(override.params for override in inner.overrides)):
            for scalar in scalars(node):
                yield from scope.judge(scalar)
        for entry in children_of(inner.islands):
            for scalar in scalars(entry.items.get("params") if isinstance(entry, Mapping) else None):
                yield from scope.judge(scalar)
    yield from _judge_resources(island_type.resources, scope)
    for names_node in children_of(spec.items.get("external")):
        for scalar in scalars(names_node):
            yield from scope.judge(scalar)
    for one in island_type.implementations.values():
        for scalar in scalars(one.node):
            yield from scope.judge(scalar)
    units = spec.items.get("units")
    for name, node in units.items.items() if isinstance(units, Mapping) else ():
        unit = island_type.units[name]
        fixed = {"kind", "init"} | {field for field in ("storage", "env") if field in unit.node.items}
        for field, child in node.items.items() if isinstance(node, Mapping) else ():
            if field in fixed:
                yield from _no_expressions(*_literal_parts(field, child))
            literal = (
                {id(scalar) for part in _literal_parts(field, child) for scalar in scalars(part)}
                if field in fixed
                else set()
            )
            for scalar in scalars(child):
                if id(scalar) not in literal:
                    yield from scope.judge(scalar)


def _chain(island_type: IslandType, name: str) -> tuple[list[str], bool]:
    """How a derived value comes to refer to itself; or whether it is too long a way from others."""
    seen: set[str] = set()
    waiting: list[tuple[str, ...]] = [(name,)]
    while waiting:
        path = waiting.pop(0)
        if len(path) > MAX_LET_DEPTH:
            return [], True
        for other in let_reads(island_type.let[path[-1]]):
            if other == name:
                return [*path, name], False
            if other in island_type.let and other not in seen:
                seen.add(other)
                waiting.append((*path, other))
    return [], False


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


def shared_expressions(project: Project) -> Iterator[Diagnostic]:
    for island_set in project.sets:
        island_type = project.type_of.get(island_set)
        if island_type is not None:
            yield from _judge_resources(island_set.shared, Scope(island_type.params, let={}))


def _literal_parts(field: str, node: Node) -> list[Node | None]:
    """The parts of a unit's field that decide names, and so are literal."""
    if field == "env" and isinstance(node, Mapping):
        sources = [source for source in node.items.values() if isinstance(source, Mapping)]
        return [source.items.get(part) for source in sources for part in ("key", "field")]
    if field == "storage" and isinstance(node, Mapping):
        return [claim.items.get("name") for claim in node.items.values() if isinstance(claim, Mapping)]
    return [node]


def _no_expressions(*nodes: Node | None) -> Iterator[Diagnostic]:
    for node in nodes:
        for scalar in scalars(node):
            place = scalar.part(scalar.text.index("{{"), 2)
            yield Diagnostic("R0406", "this field is literal: it decides names and structure", place)


_LITERAL_OF_ROUTING = (*("provider", *PROVIDERS, "gateway", "params", "each", "tls", "delegation", "tests"),)
_LITERAL_OF_SET = ("type", "scope", "form", "isolation", "egress", "allow", "placement")
_LITERAL_OF_ROUTE = ("name", "redirect", "timeout", "retries", "cors", "fault")
_LITERAL_OF_FUNCTION = ("account", "role", "secret", "invocation", "authLevel", "ingress")


def literal_fields(project: Project) -> Iterator[Diagnostic]:
    for island_type in project.types:
        spec = island_type.node
        yield from _no_expressions(*(spec.get("spec", field) for field in ("params", "ports", "uses")))
        for one in island_type.implementations.values():
            if isinstance(one, Serverless):
                yield from _no_expressions(*_literal_of(one.call))
    for island_set in project.sets:
        spec = island_set.node
        yield from _no_expressions(*(spec.get("spec", field) for field in _LITERAL_OF_SET))
        entries = (entry for entry in children_of(island_set.islands) if isinstance(entry, Mapping))
        yield from _no_expressions(*(entry.items.get("zone") for entry in entries))
        for override in island_set.overrides:
            yield from _no_expressions(*override.globs)
        yield from _no_expressions(*(glob for wave in island_set.waves for glob in wave.globs))
    for routing in project.routings:
        spec = routing.node
        yield from _no_expressions(*(spec.get("spec", field) for field in _LITERAL_OF_ROUTING))
        for route in routing.routes:
            yield from _no_expressions(route.each, route.port, *(d.port for d in route.to))
            yield from _no_expressions(*(route.node.get(field) for field in _LITERAL_OF_ROUTE))
            for destination in route.to:
                if destination.function is not None:
                    yield from _no_expressions(*_literal_of(destination.function))
    for partition in project.partitions:
        yield from _no_expressions(*scalars(partition.node.get("spec")))
    for document in all_documents(project):
        yield from _no_expressions(document.node.get("metadata"))
        for key in keys(document.node):
            place = key.part(key.text.index("{{"), 2)
            yield Diagnostic("R0406", "a key is literal: there are no expressions in it", place)


def _literal_of(call: FunctionCall) -> Iterator[Node | None]:
    return (call.node.items.get(field) for field in _LITERAL_OF_FUNCTION)


def set_expressions(project: Project) -> Iterator[Diagnostic]:
    for island_set in project.sets:
        scope = Scope({}, island_attributes(island_set))
        for node in (island_set.params, *(override.params for override in island_set.overrides)):
            for scalar in scalars(node):
                yield from scope.judge(scalar)
        for entry in children_of(island_set.islands):
            if isinstance(entry, Mapping):
                for scalar in scalars(entry.items.get("params")):
                    yield from scope.judge(scalar)


def routing_expressions(project: Project) -> Iterator[Diagnostic]:
    for routing in project.routings:
        whole = _routing_scope(project, routing, routing.each)
        for host in routing.hosts:
            yield from whole.judge(host)
        for route in routing.routes:
            scope = _routing_scope(project, routing, route.each) if route.each else whole
            for field in ("match", "to", "rewrite", "respond", "headers", "mirror"):
                for scalar in scalars(route.node.get(field)):
                    yield from scope.judge(scalar)


def _routing_scope(project: Project, routing: Routing, each: Scalar | None) -> Scope:
    """What the texts of a Routing, or of a route, may name: `island` where it is one of each island."""
    if each is None:
        return Scope(routing.params)
    found = set_at(project, each.text)
    if found is None:  # which is said when the Set is looked up
        return Scope(routing.params, frozenset(ISLAND))
    attributes = island_attributes(found.model) | _inherited(project, found)
    return Scope(routing.params, attributes, parent=found.inside)
