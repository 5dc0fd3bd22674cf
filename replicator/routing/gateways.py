"""The Gateway of a Routing, and the pods of the proxy that serves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from replicator.model import Routing
from replicator.parser.source import Mapping as MappingNode
from replicator.routing.rules import PORTS, Gateway


class Router(NamedTuple):
    """Pods of a proxy, by their labels; where no namespace is known (""), in any."""

    labels: Mapping[str, str]
    namespace: str = ""


def gateway_of(routing: Routing, provider: str) -> Gateway | None:
    """The Gateway that a Routing names or makes, with what is not said filled in; None where it has none."""
    node = routing.gateway
    if node is None:
        return None
    data, create = node.data, node.items.get("create")
    made = create.data if isinstance(create, MappingNode) else {}
    return Gateway(
        name=data.get("name", routing.name),
        namespace=data.get("namespace", routing.settings[provider].get("namespace", routing.metadata.namespace)),
        place=node.place,
        create=create is not None,
        of_class=made.get("class", ""),
        selector=made.get("selector", {"istio": "ingressgateway"}),
        port=made.get("port", PORTS[provider][routing.tls is not None]),
        section=data.get("section", ""),
    )


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
        return Router({"gloo": "gateway-proxy"}, where or "gloo-system")
    if gateway is None:
        return None
    if provider == "istio":
        return Router(gateway.selector)
    return Router({"gateway.networking.k8s.io/gateway-name": gateway.name}, gateway.namespace)
