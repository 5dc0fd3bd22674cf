"""The backends of neutral routes as Gloo's Upstreams: Kubernetes Services, hosts, functions.

Field by field: https://docs.solo.io/gloo-edge/latest/reference/api/ (gloo.solo.io). They are our own, never those that
Gloo discovers: discovery is off by default, and its names are not ours.
"""

from __future__ import annotations

from typing import Any

from replicator.emitters.routed import manifest
from replicator.routing.rules import Aws, Azure, Backend, Gcp, Knative, SecretName, Table
from replicator.tree import Manifest

_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"  # of the image of Gloo's proxy: those that the public ones sign for


def namespace_of(table: Table) -> str:
    """Where the Upstreams are."""
    return str(table.settings.get("namespace", table.namespace))


def upstream(table: Table, backend: Backend) -> Manifest:
    """The Upstream of a backend; of one that is `over` a Set, one for each island."""
    spec = {"useHttp2": True if backend.http2 else ..., **_kind(table, backend)}
    where = (namespace_of(table),)
    cases = backend.cases if backend.over else frozenset()
    return manifest(
        table,
        "gloo.solo.io/v1",
        "Upstream",
        backend.name,
        spec,
        where,
        over=backend.over,
        cases=cases,
        place=backend.place,
        island=backend.island,
    )


def _kind(table: Table, backend: Backend) -> dict[str, Any]:
    function = backend.function
    if isinstance(function, Aws):
        return {"aws": _aws(function)}
    if isinstance(function, Azure):
        listed = [{"functionName": function.function, "authLevel": function.level}]
        return {"azure": {"functionAppName": function.app, "secretRef": _secret(function.secret), "functions": listed}}
    if isinstance(function, Gcp) and function.audience and table.settings.get("edition") == "enterprise":
        return {"gcp": {"host": backend.host, "audience": function.audience}}
    if backend.host and not isinstance(function, Knative):
        return _static(backend)
    service = {
        "serviceName": backend.service,
        "serviceNamespace": backend.namespace,
        "servicePort": backend.port,
    }
    return {"kube": service}


def _aws(function: Aws) -> dict[str, Any]:
    """Gloo invokes only what is listed by a logical name; discovery, which could fill the list, may be off."""
    listed = {
        "logicalName": function.function,
        "lambdaFunctionName": function.function,
        "qualifier": function.qualifier or ...,
    }
    return {
        "region": function.region,
        "secretRef": _secret(function.secret),
        "awsAccountId": function.account or ...,
        "roleArn": function.role or ...,
        "lambdaFunctions": [listed],
    }


def _secret(secret: SecretName | None) -> Any:
    return {"name": secret.name, "namespace": secret.namespace} if secret is not None else ...


def _static(backend: Backend) -> dict[str, Any]:
    """A host outside of the cluster. Whether it speaks TLS is said: unsaid, Gloo takes it from the port's number.

    Envoy verifies a server only where it is told whose word to take, and for which name.
    """
    static = {"static": {"useTls": backend.tls, "hosts": [{"addr": backend.host, "port": backend.port}]}}
    if not backend.tls:
        return static
    config = {
        "sni": backend.host,
        "alpnProtocols": ["h2"] if backend.http2 else ...,
        "sslFiles": {"rootCa": _AUTHORITIES},
        "verifySubjectAltName": [backend.host],
    }
    return {"sslConfig": config, **static}
