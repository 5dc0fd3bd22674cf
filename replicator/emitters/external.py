"""An implementation that is a host outside of the cluster: ExternalName Services under the names that callers use.

https://kubernetes.io/docs/concepts/services-networking/service/#externalname
"""

from __future__ import annotations

from collections.abc import Iterator

from replicator import names
from replicator.context import Context
from replicator.emitters import labels
from replicator.model import External, TypePort
from replicator.tree import Manifest, Origin, leaf, mapping


def emit(context: Context, implementation: External) -> Iterator[Manifest]:
    """One Service for each that the Type's interface names."""
    services: dict[str, list[TypePort]] = {}
    for port in context.type.ports.values():
        named = port.unit or port.service
        if named is not None:
            services.setdefault(named.text, []).append(port)
    origin = Origin(implementation.place, "type")
    host = implementation.host
    for local, offered in services.items():
        # The host has one port, so all that lead to it are one of the Service: it takes no two of one number.
        first = min(offered, key=lambda port: port.name)
        name, number = context.offered(first, implementation.name)
        ports = [{"name": first.name, "port": number, "protocol": "TCP"}]
        metadata = labels.metadata(leaf(name, origin), context.namespace, labels.of_object(context, local))
        spec = {
            "type": "ExternalName",
            "externalName": context.ruled_text(host, names.HOST),
            "ports": ports,
        }
        body = mapping({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}, origin)
        yield Manifest("v1", "Service", name, context.namespace, body, origin, local=local)
