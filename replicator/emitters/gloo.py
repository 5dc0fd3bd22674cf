"""Neutral routes to Gloo's Edge API: VirtualService and Upstream.

Field by field: https://docs.solo.io/gloo-edge/latest/reference/api/ (gateway.solo.io, gloo.solo.io). A prefix there
is a plain string prefix; an empty value tests presence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from replicator.diagnostics import Diagnostic
from replicator.durations import seconds
from replicator.kinds import routing_rank
from replicator.routing.rules import Action, Backend, Forward, Redirect, Respond, Rule, Table, Test
from replicator.routing.string_prefixes import Matcher, entries
from replicator.tree import COMPILER, Hole, List, Manifest, Map, Origin, Repeat, Text, Tree, leaf, mapping, tree

_REDIRECTS = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}


def emit(table: Table) -> tuple[list[Manifest], list[Diagnostic]]:
    """The objects of a Routing, in the order in which they are applied, and what stands in their way."""
    made = [_virtual_service(table)]
    if not _direct(table):
        made += [_upstream(table, backend) for backend in table.backends()]
    return sorted(made, key=lambda one: (routing_rank(one.kind), one.over or _fixed(one.name))), []


def _fixed(name: Text) -> str:
    return "".join(part for part in name if isinstance(part, str))


def _direct(table: Table) -> bool:
    """Whether routes go straight to Services."""
    return bool(table.settings.get("destinations") == "kube")


def _namespace(table: Table) -> str:
    """Where the Upstreams are."""
    return str(table.settings.get("namespace", table.namespace))


def _metadata(table: Table, name: Text, namespace: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": "replicator", "replicator.dev/routing": table.name, **table.labels}
    return {"name": name, "namespace": namespace, "labels": labels}


def _upstream(table: Table, backend: Backend) -> Manifest:
    body = {
        "apiVersion": "gloo.solo.io/v1",
        "kind": "Upstream",
        "metadata": _metadata(table, backend.name, _namespace(table)),
        "spec": {"useHttp2": True if backend.http2 else ..., **(_static(backend) if backend.host else _kube(backend))},
    }
    origin = Origin(table.place, "routing")
    return Manifest(
        api_version="gloo.solo.io/v1",
        kind="Upstream",
        name=backend.name,
        namespace=(_namespace(table),),
        body=mapping(body, origin),
        origin=origin,
        over=backend.over,
        cases=backend.cases,
    )


def _kube(backend: Backend) -> dict[str, Any]:
    service = {
        "serviceName": backend.service,
        "serviceNamespace": backend.namespace,
        "servicePort": backend.port,
    }
    return {"kube": service}


_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"  # of the image of Gloo's proxy: those that the public ones sign for


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


def _virtual_service(table: Table) -> Manifest:
    routes: list[Tree] = []
    for rule in table.rules:
        usual = tuple(_entries(table, rule, rule.action))
        cases = tuple((case, tuple(_entries(table, rule, action))) for case, action in rule.cases)
        routes += (Repeat(usual, rule.over, cases),) if rule.over else usual
    body = {
        "apiVersion": "gateway.solo.io/v1",
        "kind": "VirtualService",
        "metadata": _metadata(table, (table.name,), table.namespace),
        "spec": {"virtualHost": {"domains": [*table.hosts], "routes": List(tuple(routes))}},
    }
    origin = Origin(table.place, "routing")
    name, namespace = (table.name,), (table.namespace,)
    return Manifest("gateway.solo.io/v1", "VirtualService", name, namespace, mapping(body, origin), origin)


def _entries(table: Table, rule: Rule, action: Action) -> Iterator[Map]:
    """A rule with an action as routes: more than one where its matchers need different rewrites."""
    for matchers, rewrite in entries(rule.conditions, rule.rewrite):
        fields: dict[str, Any] = {"name": rule.name or ..., "matchers": [_matcher(one) for one in matchers]}
        if isinstance(action, Forward):
            fields["routeAction"] = _route_action(table, action)
            fields["options"] = _options(action, rewrite)
        elif isinstance(action, Redirect):
            fields["redirectAction"] = _redirect(action, rewrite)
        else:
            fields["directResponseAction"] = _response(action)
        yield mapping(fields, Origin(rule.place, "routing"))


def _matcher(matcher: Matcher) -> dict[str, Any]:
    condition = matcher.condition
    return {
        matcher.path_op: matcher.path,
        "methods": list(condition.methods) or ...,
        "headers": [_header(test) for test in condition.headers] or ...,
        "queryParameters": [_query(test) for test in condition.query] or ...,
    }


def _header(test: Test) -> dict[str, Any]:
    if test.op == "present":
        return {"name": test.name}
    if test.op == "absent":
        return {"name": test.name, "invertMatch": True}
    return _compared(test)


def _query(test: Test) -> dict[str, Any]:
    return {"name": test.name} if test.op == "present" else _compared(test)


def _compared(test: Test) -> dict[str, Any]:
    if test.op == "regex":
        return {"name": test.name, "value": test.value, "regex": True}
    if not test.value:  # an empty value would test presence
        return {"name": test.name, "value": "^$", "regex": True}
    return {"name": test.name, "value": test.value}


def _route_action(table: Table, action: Forward) -> dict[str, Any]:
    if len(action.targets) == 1 and not action.targets[0].over:
        return {"single": _destination(table, action.targets[0].backend)}
    destinations: list[Tree] = []
    for target in action.targets:
        entry = _weighted(table, target.weight, target.backend)
        cases = tuple(
            (case, (_weighted(table, target.weight, backend),) if backend is not None else ())
            for case, backend in target.cases
        )
        destinations.append(Repeat((entry,), target.over, cases) if target.over else entry)
    return {"multi": {"destinations": List(tuple(destinations))}}


def _weighted(table: Table, weight: int | Hole, backend: Backend) -> Tree:
    return tree({"weight": weight, "destination": _destination(table, backend)}, COMPILER)


def _destination(table: Table, backend: Backend) -> dict[str, Any]:
    if _direct(table):
        reference = {"name": backend.service, "namespace": backend.namespace}
        return {"kube": {"ref": reference, "port": backend.port}}
    return {"upstream": {"name": backend.name, "namespace": _namespace(table)}}


def _options(action: Forward, rewrite: Text | None) -> dict[str, Any]:
    options: dict[str, Any] = {"timeout": seconds(action.timeout)}
    if rewrite is not None:
        options["prefixRewrite"] = rewrite
    if action.host is not None:
        options["hostRewrite"] = action.host
    elif any(backend.authority for target in action.targets for backend in target.backends()):
        options["autoHostRewrite"] = True  # hosts outside see their own name; to Services it makes no difference
    if action.retries is not None:
        options["retries"] = {
            "retryOn": ",".join(action.retries.get("retryOn", ["5xx"])),
            "numRetries": action.retries["attempts"],
            "perTryTimeout": seconds(action.retries["perTryTimeout"]) if "perTryTimeout" in action.retries else ...,
        }
    return options


def _redirect(action: Redirect, rewrite: Text | None) -> dict[str, Any]:
    return {
        "hostRedirect": action.host or ...,
        "pathRedirect": action.path or ...,
        "prefixRewrite": leaf(rewrite) if rewrite else ...,
        "portRedirect": action.port or ...,
        "httpsRedirect": True if action.scheme == "https" else ...,
        "responseCode": _REDIRECTS[action.status],
        "stripQuery": True if action.strip_query else ...,
    }


def _response(action: Respond) -> dict[str, Any]:
    return {"status": action.status, "body": action.body or ...}
