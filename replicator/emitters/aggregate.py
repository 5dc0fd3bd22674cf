"""The Services of all islands of a Set at once, for those ports that somebody calls so: `address(set=…, all=true)`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from replicator.context import ISLAND_NAME, Context
from replicator.diagnostics import Diagnostic
from replicator.emitters import labels
from replicator.emitters.containers import service_ports
from replicator.model import TypePort, Unit
from replicator.tree import Leaf, List, Manifest, Map, Origin, Text, Tree, leaf, mapping, text


def emit(context: Context, objects: Sequence[Manifest]) -> Iterator[Manifest]:
    """Those of an outermost Set. `objects` are what one of its islands has: a Service among them tells what it selects.

    Adding islands changes nothing in them.
    """
    plan = context.plan
    for name in sorted(plan.aggregated):
        port = context.type.ports[name]
        if port.unit is None:
            made = _of_service(context, port, objects)
        else:
            made = _of_unit(context, context.type.units[port.unit.text], port)
        if made is not None:
            component = port.unit.text if port.unit is not None else ""
            selector, ports = made
            own = labels.of_object(context, component, of_island=False)
            yield _manifest(context, text(f"{plan.path}-{name}"), own, {labels.SET: plan.path, **selector}, ports, port)


def emit_inner(context: Context) -> Iterator[Manifest]:
    """Those of the Sets inside an island: objects of that island."""
    for inner in context.plan.inner.values():
        within = Context(inner, {}, plans=context.plans)
        for name in sorted(inner.aggregated):
            port = inner.type.ports[name]
            assert port.unit is not None
            selector, ports = _of_unit(within, inner.type.units[port.unit.text], port)
            selector = {labels.SET: text(ISLAND_NAME, f"-{inner.model.name}"), **selector}
            full = text(ISLAND_NAME, f"-{inner.model.name}-{name}")
            yield _manifest(context, full, labels.of_object(context, port.unit.text), selector, ports, port)


def _manifest(
    context: Context, name: Text, own: Map, selector: dict[str, Any], ports: list[Tree], port: TypePort
) -> Manifest:
    origin = Origin(port.place, "type")
    metadata = labels.metadata(leaf(name), context.namespace, own)
    spec = {"selector": selector, "ports": ports}
    body = mapping({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}, origin)
    return Manifest("v1", "Service", name, context.namespace, body, origin)


def _of_unit(context: Context, unit: Unit, port: TypePort) -> tuple[dict[str, Any], list[Tree]]:
    """What selects a unit's pods in a Set, and the port as their own Services have it."""
    number = list(unit.ports).index(port.port.text)
    component = {} if context.pods else {labels.COMPONENT: unit.name}
    return component, [service_ports(context, [unit]).items[number]]


def _of_service(
    context: Context, port: TypePort, objects: Sequence[Manifest]
) -> tuple[dict[str, Any], list[Tree]] | None:
    """The same of a Service that the author brought along."""
    assert port.service is not None
    local = port.service.text
    spec = next((one.body.get("spec") for one in objects if (one.kind, one.local) == ("Service", local)), None)
    selector = spec.get("selector") if isinstance(spec, Map) else None
    ports = spec.get("ports") if isinstance(spec, Map) else None
    if not isinstance(selector, Map) or not isinstance(ports, List):
        message = f"the Service `{local}` selects no pods: there can be none like it for all islands"
        context.found.append(Diagnostic("R0611", message, port.place))
        return None
    own = {key: value for key, value in selector.items if key not in (labels.ISLAND, labels.SET)}
    return own, [one for one in ports.items if isinstance(one, Map) and _is_number(one.get("port"), port.port.data)]


def _is_number(node: Tree | None, number: object) -> bool:
    return isinstance(node, Leaf) and node.value == number
