"""Neutral rules as routes of Gloo's Edge API: matchers, actions, options.

Field by field: https://docs.solo.io/gloo-edge/latest/reference/api/ (gateway.solo.io, gloo.solo.io). A prefix there is
a plain string prefix, so a prefix of whole segments is two matchers; an empty value tests presence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from replicator.durations import seconds
from replicator.emitters.gloo_upstreams import namespace_of
from replicator.routing.header_values import literal
from replicator.routing.rules import (
    Action,
    Aws,
    Azure,
    Backend,
    Cors,
    Fault,
    Forward,
    HeaderChange,
    Knative,
    Redirect,
    Respond,
    Rule,
    Table,
    Target,
    Test,
)
from replicator.routing.string_prefixes import Matcher, entries
from replicator.tree import COMPILER, Hole, List, Map, Origin, Repeat, Text, Tree, leaf, mapping, tree

_REDIRECTS = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}


def routes(table: Table, rule: Rule, action: Action) -> Iterator[Map]:
    """A rule with an action as routes: more than one where its matchers need different rewrites."""
    for matchers, rewrite in entries(rule.conditions, rule.rewrite):
        fields: dict[str, Any] = {"name": rule.name or ..., "matchers": [_matcher(one) for one in matchers]}
        if isinstance(action, Forward):
            fields["routeAction"] = _route_action(table, action)
            fields["options"] = _options(table, action, rewrite)
        elif isinstance(action, Redirect):
            fields["redirectAction"] = _redirect(action, rewrite)
        else:
            fields["directResponseAction"] = _response(action)
        yield mapping(fields, Origin(rule.place, "routing"))


def is_shared(table: Table, action: Forward) -> bool:
    """Whether the destinations are an UpstreamGroup: those of a spread, where objects are kept small."""
    return table.delegation != "none" and len(action.targets) == 1 and bool(action.targets[0].over)


def goes_straight(table: Table) -> bool:
    """Whether routes name Services themselves, and Upstreams only where there is no Service."""
    return table.settings.get("destinations") == "kube"


def group_name(table: Table, target: Target) -> str:
    """The name of the UpstreamGroup of a spread: of its Set and port."""
    return f"{table.name}-{target.backend.of.replace('/', '-').replace(' ', '-')}"


def destinations(table: Table, targets: tuple[Target, ...]) -> List:
    """Targets as weighted destinations."""
    made: list[Tree] = []
    for target in targets:
        entry = _weighted(table, target.weight, target.backend)
        cases = tuple(
            (case, (_weighted(table, target.weight, backend),) if backend is not None else ())
            for case, backend in target.cases
        )
        made.append(Repeat((entry,), target.over, cases) if target.over else entry)
    return List(tuple(made))


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
    if is_shared(table, action):
        return {"upstreamGroup": {"name": group_name(table, action.targets[0]), "namespace": namespace_of(table)}}
    if len(action.targets) == 1 and not action.targets[0].over:
        return {"single": _destination(table, action.targets[0].backend)}
    return {"multi": {"destinations": destinations(table, action.targets)}}


def _weighted(table: Table, weight: int | Hole, backend: Backend) -> Tree:
    return tree({"weight": weight, "destination": _destination(table, backend)}, COMPILER)


def _destination(table: Table, backend: Backend) -> dict[str, Any]:
    if goes_straight(table) and backend.service:
        reference = {"name": backend.service, "namespace": backend.namespace}
        return {"kube": {"ref": reference, "port": backend.port}}
    reached: dict[str, Any] = {"upstream": {"name": backend.name, "namespace": namespace_of(table)}}
    function = backend.function
    if isinstance(function, Aws):
        # The request as an event with its method, path and headers; the answer as one to a load balancer.
        call = {"requestTransformation": True, "unwrapAsAlb": True}
        style = {"invocationStyle": "ASYNC"} if function.asynchronous else {}
        reached["destinationSpec"] = {"aws": {"logicalName": function.function, **style, **call}}
    elif isinstance(function, Azure):
        reached["destinationSpec"] = {"azure": {"functionName": function.function}}
    return reached


def _options(table: Table, action: Forward, rewrite: Text | None) -> dict[str, Any]:
    options: dict[str, Any] = {"timeout": seconds(action.timeout)}
    if rewrite is not None:
        options["prefixRewrite"] = rewrite
    backends = [backend for target in action.targets for backend in target.backends()]
    if action.host is not None:
        options["hostRewrite"] = action.host
    elif len(backends) == 1 and isinstance(backends[0].function, Knative):
        options["hostRewrite"] = backends[0].authority
    elif any(backend.authority and not isinstance(backend.function, Aws) for backend in backends):
        options["autoHostRewrite"] = True  # hosts outside see their own name; to Services it makes no difference
    if action.retries is not None:
        options["retries"] = {
            "retryOn": ",".join(action.retries.get("retryOn", ["5xx"])),
            "numRetries": action.retries["attempts"],
            "perTryTimeout": seconds(action.retries["perTryTimeout"]) if "perTryTimeout" in action.retries else ...,
        }
    if action.mirror is not None:
        options["shadowing"] = {
            "upstream": {"name": action.mirror.backend.name, "namespace": namespace_of(table)},
            "percentage": action.mirror.percent,
            # The Host of a copy is the request's, without the `-shadow` that Envoy puts behind it by itself.
            "disableShadowHostSuffixAppend": True,
            "hostRewriteLiteral": action.mirror.backend.authority or ...,
        }
    if action.fault is not None:
        options["faults"] = _faults(action.fault)
    if action.cors is not None:
        options["cors"] = _cors(action.cors)
    if action.request != HeaderChange() or action.response != HeaderChange():
        options["headerManipulation"] = {**_change("request", action.request), **_change("response", action.response)}
    return options


def _change(of: str, change: HeaderChange) -> dict[str, Any]:
    added = [
        {"header": {"key": name, "value": literal(value)}, "append": append}
        for values, append in ((change.add, True), (change.put, False))
        for name, value in values
    ]
    return {f"{of}HeadersToAdd": added or ..., f"{of}HeadersToRemove": list(change.remove) or ...}


def _cors(cors: Cors) -> dict[str, Any]:
    return {
        "allowOrigin": list(cors.origins),
        "allowMethods": list(cors.methods) or ...,
        "allowHeaders": list(cors.headers) or ...,
        "exposeHeaders": list(cors.expose) or ...,
        "maxAge": str(cors.max_age) if cors.max_age is not None else ...,  # as it stands in the answer's header
        "allowCredentials": True if cors.credentials else ...,
    }


def _faults(fault: Fault) -> dict[str, Any]:
    abort = {"percentage": fault.abort_percent, "httpStatus": fault.status}
    delay = {"percentage": fault.delay_percent, "fixedDelay": seconds(fault.delay)} if fault.delay else ...
    return {"abort": abort if fault.status else ..., "delay": delay}


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
