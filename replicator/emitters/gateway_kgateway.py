"""What kgateway adds to Gateway API: Backend, DirectResponse and TrafficPolicy.

Field by field: https://kgateway.dev/docs/envoy/latest/reference/api/ (gateway.kgateway.dev/v1alpha1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from replicator.durations import parts
from replicator.routing.rules import Aws, Backend, Gcp, Respond

GROUP = "gateway.kgateway.dev"
VERSION = f"{GROUP}/v1alpha1"


def is_native(backend: Backend) -> bool:
    """Whether kgateway itself calls a function: it signs the request, and sends it where it must go."""
    return isinstance(backend.function, Aws) or (isinstance(backend.function, Gcp) and bool(backend.function.audience))


def backend_spec(backend: Backend) -> dict[str, Any]:
    """The spec of the Backend of what is outside of the cluster."""
    function = backend.function
    if isinstance(function, Aws):
        call = {
            "functionName": function.function,
            "invocationMode": "Async" if function.asynchronous else "Sync",
            "qualifier": function.qualifier or ...,
        }
        auth = {"type": "Secret", "secretRef": {"name": function.secret.name}} if function.secret else ...
        return {"aws": {"region": function.region, "accountId": function.account, "auth": auth, "lambda": call}}
    if isinstance(function, Gcp) and function.audience:
        return {"gcp": {"host": backend.host, "audience": function.audience}}
    protocol = "http2" if backend.http2 else ...
    return {"static": {"appProtocol": protocol, "hosts": [{"host": backend.host, "port": backend.port}]}}


def problem(backend: Backend, namespace: str) -> tuple[str, str]:
    """Why kgateway cannot call a function as it is declared, and the way out; two empty texts where it can."""
    function = backend.function
    if not isinstance(function, Aws):
        return "", ""
    if not function.account:
        return "kgateway calls a Lambda function by its account", "account: the twelve digits of the AWS account"
    if function.role:
        return (
            "kgateway takes no role for one function",
            "leave `role` out: the proxy's own service account may have it",
        )
    if function.secret is not None and function.secret.namespace != namespace:
        return "kgateway reads the Secret in the namespace of the Routing", f"a Secret in `{namespace}`"
    return "", ""


def response_spec(answer: Respond) -> dict[str, Any]:
    """The spec of a DirectResponse."""
    return {"status": answer.status, "body": answer.body or ...}


def retry_spec(retries: Mapping[str, Any]) -> dict[str, Any]:
    """The spec of a TrafficPolicy that tries failed requests again."""
    once = retries.get("perTryTimeout")
    return {
        "retry": {
            "retryOn": list(retries.get("retryOn", ["5xx"])),
            "attempts": retries["attempts"],
            "perTryTimeout": parts(once) if once else ...,
        }
    }
