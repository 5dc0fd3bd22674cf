"""The Gateway of a Routing."""

from __future__ import annotations

from replicator.model import Routing
from replicator.parser.source import Mapping as MappingNode
from replicator.routing.rules import PORTS, Gateway


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
