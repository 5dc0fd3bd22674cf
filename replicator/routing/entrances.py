"""Which ports of which Sets routes lead to, and through which proxies: before anything is bound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from replicator.expander.islands import Plan
from replicator.isolation import Entrance, Router
from replicator.model import Destination, Partition, Project, Routing
from replicator.parser.source import Scalar
from replicator.routing.gateways import gateway_of
from replicator.routing.texts import Texts


def router_of(routing: Routing, provider: str) -> Router | None:
    """The proxy that requests of a Routing come through; None where its pods are not known.

    - Gloo runs its proxies where it is itself, and reads Gateways there (solo-io/gloo: install/helm/gloo/templates/
      7-gateway-proxy-deployment.yaml).
    - Istio's Gateway selects pods by labels in all namespaces (istio.io: Gateway.selector). In the mesh every pod may
      be the proxy.
    - Gateway API says by which label the pods of a Gateway are known (GEP-1762); they are beside it, but for
      implementations that share one proxy.
    """
    gateway = gateway_of(routing, provider)
    if provider == "gloo":
        where = gateway.namespace if gateway is not None else routing.settings[provider].get("namespace", "")
        return Router((("gloo", "gateway-proxy"),), where or "gloo-system")
    if gateway is None:
        return None
    if provider == "istio":
        return Router(tuple(sorted(gateway.selector.items())))
    return Router((("gateway.networking.k8s.io/gateway-name", gateway.name),), gateway.namespace)


def entrances(project: Project, plan: Plan, provider: str = "") -> list[Entrance]:
    """The entrances of all Routings, for their own providers unless another is given.

    A route to one island opens the port of all islands of its Set, so that no island changes with a route. What is
    not there is left out: it is told where the routes are compiled.
    """
    found: dict[Entrance, None] = {}
    partitions = {one.name: one for one in project.partitions}
    for routing in project.routings:
        router = router_of(routing, provider or routing.provider)
        for path, port in _led_to(routing, plan, partitions):
            known = plan.sets.get(path)
            offered = known.type.port(port.text if port is not None else "") if known is not None else None
            if offered is not None:
                found.setdefault(Entrance(path, offered.name, router, routing.metadata.name_node.place))
    return list(found)


def _led_to(routing: Routing, plan: Plan, partitions: Mapping[str, Partition]) -> Iterator[tuple[str, Scalar | None]]:
    """The Sets that routes lead to, with the ports that they say."""
    texts = Texts(plan.routing_params[routing.name])

    def of(destination: Destination, port: Scalar | None) -> Iterator[tuple[str, Scalar | None]]:
        if destination.target is None:
            return
        port = destination.port or port
        if destination.kind == "spread":
            yield destination.target.text, port
        elif destination.kind == "island" and (island := plan.island(texts.static(destination.target))) is not None:
            yield island.plan.path, port
        elif destination.kind == "partition" and (one := partitions.get(texts.static(destination.target))) is not None:
            yield one.set.text, port

    for route in routing.routes:
        each = route.each or routing.each
        if route.redirect is None and route.respond is None and not route.to and each is not None:
            yield each.text, route.port
        for destination in route.to:
            yield from of(destination, route.port)
        if route.mirror is not None:
            yield from of(route.mirror, None)
