"""An implementation that is a host outside of the cluster: ExternalName Services under the names that callers use.

https://kubernetes.io/docs/concepts/services-networking/service/#externalname
"""

from __future__ import annotations

from collections.abc import Iterator

from replicator import names
from replicator.context import Context
from replicator.emitters import labels
from replicator.model import External
from replicator.tree import List, Manifest, Origin, Tree, leaf, mapping


def emit(context: Context, implementation: External) -> Iterator[Manifest]:
    """One Service for each that the Type's interface names, with the ports that the host offers."""
    origin = Origin(implementation.place, "type")
    services: dict[str, dict[object, Tree]] = {}
    for name, port in sorted(context.type.ports.items()):
        named = port.unit or port.service
        if named is None or implementation.number(name) is None:
            continue
        _, number = context.offered(port, implementation.name)
        fields = {"name": name, "port": number, "protocol": "TCP"}
        # A Service takes no two ports of one number: those that lead to the same are one.
        services.setdefault(named.text, {}).setdefault(number.value, mapping(fields, origin))
    for local, ports in services.items():
        full = context.object_name(local)
        metadata = labels.metadata(leaf(full, origin), context.namespace, labels.of_object(context, local))
        spec = {
            "type": "ExternalName",
            "externalName": context.ruled_text(implementation.host, names.HOST),
            "ports": List(tuple(ports.values())),
        }
        body = mapping({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}, origin)
        yield Manifest("v1", "Service", full, context.namespace, body, origin, local=local)
