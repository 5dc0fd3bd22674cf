"""What kgateway adds to Gateway API: Backend, DirectResponse and TrafficPolicy.

Field by field: https://kgateway.dev/docs/envoy/latest/reference/api/ (gateway.kgateway.dev/v1alpha1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from replicator.durations import nanoseconds, parts
from replicator.routing.rules import Aws, Backend, Fault, Forward, Gcp, Respond
from replicator.tree import Text

GROUP = "gateway.kgateway.dev"
VERSION = f"{GROUP}/v1alpha1"


def is_native(backend: Backend) -> bool:
    """Whether kgateway itself calls a function: it signs the request, and sends it where it must go."""
    function = backend.function
    if isinstance(function, Aws):
        return bool(function.account) or not function.url
    return isinstance(function, Gcp) and bool(function.audience)


def backend_spec(backend: Backend) -> dict[str, Any]:
    """The spec of the Backend of what is outside of the cluster."""
    function = backend.function
    if isinstance(function, Aws) and is_native(backend):
        call = {
            "functionName": function.function,
            "invocationMode": "Async" if function.asynchronous else "Sync",
            "qualifier": function.qualifier or ...,
        }
        auth: Any = ...
        if function.secret is not None:
            auth = {"type": "Secret", "secretRef": {"name": function.secret.name}}
        elif function.role:
            auth = {"type": "AssumeRole", "assumeRole": {"roleArn": function.role}}
        return {"aws": {"region": function.region, "accountId": function.account, "auth": auth, "lambda": call}}
    if isinstance(function, Gcp) and function.audience:
        return {"gcp": {"host": backend.host, "audience": function.audience}}
    protocol = "http2" if backend.http2 else ...
    return {"static": {"appProtocol": protocol, "hosts": [{"host": backend.host, "port": backend.port}]}}


def problem(backend: Backend, namespace: str) -> tuple[str, str]:
    """Why kgateway cannot call a function as it is declared, and the way out; two empty texts where it can."""
    function = backend.function
    if not isinstance(function, Aws) or not is_native(backend):
        return "", ""
    if function.role and function.secret is not None:
        return "kgateway takes a role or a Secret, not both", "leave one of `role` and `secret` out"
    if function.secret is not None and function.secret.namespace != namespace:
        return "kgateway reads the Secret in the namespace of the Routing", f"a Secret in `{namespace}`"
    return "", ""


def prefix_problem(prefix: Text, replacement: Text, redirects: bool) -> tuple[str, str]:
    """Why kgateway cannot replace a prefix, and the way out; two empty texts where it can.

    It leaves that to Envoy's prefix_rewrite, which keeps the slash before the rest. Only a rewrite to `/` goes by a
    regular expression instead, in which the prefix is not escaped (kgateway-dev/kgateway:
    pkg/kgateway/translator/httproute and plugins/builtin).
    """
    if replacement != ("/",) or prefix == ("/",):
        return "", ""
    if redirects:
        return (
            "kgateway redirects to `//` where `/` takes the place of a prefix",
            "redirect: {path: /}, or another prefix",
        )
    if any(isinstance(part, str) and re.search(r"[$()*+]", part) for part in prefix):
        return "kgateway takes this prefix for a regular expression where `/` replaces it", "a prefix without `$()*+`"
    return "", ""


def response_spec(answer: Respond) -> dict[str, Any]:
    """The spec of a DirectResponse."""
    return {"status": answer.status, "body": answer.body or ...}


def policy_spec(action: Forward) -> dict[str, Any]:
    """The spec of a TrafficPolicy with the retries and the faults of a route; empty where there are none."""
    return {**_retry(action.retries), **_faults(action.fault)}


FOLLOWS_HOST: Mapping[str, Any] = {"autoHostRewrite": True}
"""The spec of a TrafficPolicy by which the Host is that of the destination, where that is a host outside."""


def _retry(retries: Mapping[str, Any] | None) -> dict[str, Any]:
    if retries is None:
        return {}
    once = retries.get("perTryTimeout")
    return {
        "retry": {
            "retryOn": list(retries.get("retryOn", ["5xx"])),
            "attempts": retries["attempts"],
            "perTryTimeout": parts(once) if once else ...,
        }
    }


def _faults(fault: Fault | None) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if fault is not None and fault.delay_percent:
        made["delay"] = {"fixedDelay": parts(fault.delay), "percentage": int(fault.delay_percent)}
    if fault is not None and fault.abort_percent:
        made["abort"] = {"httpStatus": fault.status, "percentage": int(fault.abort_percent)}
    return {"faultInjection": made} if made else {}


def policy_problem(action: Forward) -> tuple[str, str, str] | None:
    """Which field of a route, faults or retries, kgateway cannot do, why, and the way out; None where it can."""
    once = action.retries.get("perTryTimeout") if action.retries is not None else None
    if once and nanoseconds(once) < 10**6:
        return "retries", "kgateway gives each try a millisecond at least", "perTryTimeout: 1s, or leave it out"
    fault = action.fault or Fault()
    for percent in (fault.delay_percent, fault.abort_percent):
        if percent != int(percent):
            message = f"kgateway makes faults for whole percents of the requests, not for {percent:g}"
            return "fault", message, f"percent: {max(1, round(percent))}"
    if fault.delay_percent and not 10**6 <= nanoseconds(fault.delay) <= 3600 * 10**9:
        return "fault", "kgateway delays requests by a millisecond at least, and an hour at most", "duration: 5s"
    return None
