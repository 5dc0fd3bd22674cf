"""What Istio's registry must know of where routes lead: ServiceEntries and DestinationRules for hosts outside.

A host outside gets a name of its own in the registry, and is its endpoint. Under its real name, Istio would do TLS to
it for every pod of the mesh that calls it, and around the pod's own; and it takes a name once, whoever brings it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from replicator.diagnostics import Diagnostic
from replicator.emitters.routed import manifest
from replicator.routing.rules import Backend, Table
from replicator.tree import Hole, Manifest, Text, text

API = "networking.istio.io/v1"
_CLUSTER = ".svc.cluster.local"
_OUTSIDE = ".outside.internal"  # a top-level domain that is kept free for private use
_MAX_LABEL = 63


def _manifest(table: Table, kind: str, backend: Backend, spec: Mapping[str, Any]) -> Manifest:
    return manifest(table, API, kind, backend.name, spec, over=backend.over, cases=backend.cases, island=backend.island)


def destination(table: Table, backend: Backend) -> dict[str, Any]:
    """A backend as a Destination."""
    return {"host": _host(table, backend), "port": {"number": backend.port}}


def _host(table: Table, backend: Backend) -> Text:
    """The name of a backend in the registry: of its own for each island, else by the host and port."""
    if backend.service:
        return text(backend.service, ".", backend.namespace, _CLUSTER)
    if backend.over or backend.island:
        return text(backend.name, f".{table.namespace}", _OUTSIDE)
    where = f".{'https' if backend.tls else 'http'}-{backend.port.value}.{table.name}.{table.namespace}"
    return text(backend.host, where, _OUTSIDE)


def entries(table: Table) -> Iterator[Manifest]:
    """What the registry must be told: each host outside once."""
    told: set[tuple[Text, str, frozenset[str]]] = set()  # the same words are other hosts for another Set's islands
    for backend in table.backends():
        host = _host(table, backend)
        if not backend.host or (host, backend.over, backend.cases) in told:
            continue
        told.add((host, backend.over, backend.cases))
        yield _manifest(table, "ServiceEntry", backend, _entry(host, backend))
        if backend.tls:
            yield _manifest(table, "DestinationRule", backend, _tls(host, backend))


def _entry(host: Text, backend: Backend) -> dict[str, Any]:
    """HTTP/2 is spoken where the port's protocol says so, with TLS too (pilot/pkg/networking/core, isHttp2Cluster)."""
    protocol = "HTTP2" if backend.http2 else "HTTPS" if backend.tls else "HTTP"
    return {
        "hosts": [host],
        "location": "MESH_EXTERNAL",
        "resolution": "DNS",
        "ports": [{"number": backend.port, "name": protocol.lower(), "protocol": protocol}],
        "endpoints": [{"address": backend.host}],
    }


def _tls(host: Text, backend: Backend) -> dict[str, Any]:
    """The server's certificate is verified, and its name.

    `system` is what Istio takes for itself where no authorities are named, but that can be switched off
    (VERIFY_CERTIFICATE_AT_CLIENT).
    """
    tls = {"mode": "SIMPLE", "sni": backend.host, "subjectAltNames": [backend.host], "caCertificates": "system"}
    return {"host": host, "trafficPolicy": {"tls": tls}}


def too_long(table: Table) -> Iterator[Diagnostic]:
    """Backends whose name in the registry is no host: a label of it is too long."""
    for backend in table.backends():
        if not backend.host or not (backend.over or backend.island):
            continue
        islands = [one for one in table.islands.get(backend.over, ()) if not backend.cases or one.case in backend.cases]
        names = [_filled(backend.name, island.name) for island in islands] or [_filled(backend.name, "")]
        longest = max((label for name in names for label in name.split(".")), key=len)
        if len(longest) > _MAX_LABEL:
            message = f"`{longest}` has {len(longest)} characters; a part of a host in Istio has at most {_MAX_LABEL}"
            yield Diagnostic("R0506", message, backend.place, hint="a shorter name of the Routing, the Set or the key")


def _filled(name: Text, island: str) -> str:
    return "".join(island if isinstance(part, Hole) else part for part in name)
