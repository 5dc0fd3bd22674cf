"""An implementation that is a host outside of the cluster: ExternalName Services under the names that callers use.

https://kubernetes.io/docs/concepts/services-networking/service/#externalname
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from replicator import names
from replicator.context import Context
from replicator.diagnostics import Diagnostic, Related
from replicator.emitters import labels
from replicator.expander.islands import island_place
from replicator.expression.values import Failure
from replicator.model import External
from replicator.tree import Hole, List, Manifest, Origin, Tree, leaf, mapping


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
        _differ(context, implementation, ports)
        full = context.object_name(local)
        metadata = labels.metadata(leaf(full, origin), context.namespace, labels.of_object(context, local))
        spec = {
            "type": "ExternalName",
            "externalName": context.ruled_text(implementation.host, names.HOST),
            "ports": List(tuple(ports.values())),
        }
        body = mapping({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}, origin)
        yield Manifest("v1", "Service", full, context.namespace, body, origin, local=local)


def _differ(context: Context, implementation: External, numbers: Iterable[object]) -> None:
    """Numbers that are not known to be the same are not the same for any island."""
    known = list(numbers)
    if len(known) < 2 or not any(isinstance(number, Hole) for number in known):
        return
    for island in context.plan.islands:
        if island.implementation != implementation.name:
            continue
        with suppress(Failure):  # which is told where the number is written out
            values = [number.source.value(island) if isinstance(number, Hole) else number for number in known]
            twice = [value for number, value in enumerate(values) if value in values[:number]]
            if twice:
                message = f"two ports of the number {twice[0]}"
                related = (Related("for this island", island_place(island)),)
                hint = "one expression for both makes them one port of the Service"
                place = implementation.place
                context.found.append(
                    Diagnostic("R0305", message, place, hint=hint, related=related, island=island.path)
                )
