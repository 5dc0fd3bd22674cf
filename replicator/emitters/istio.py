"""Neutral routes to Istio's API: Gateway, VirtualService, and what these refer to.

Field by field: https://istio.io/latest/docs/reference/config/networking/ (networking.istio.io/v1); what is refused
beyond the CRDs is in istio/istio, pkg/config/validation. A prefix there is a plain string prefix; a match without a
value tests presence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from replicator.diagnostics import Diagnostic
from replicator.durations import nanoseconds, seconds
from replicator.emitters.istio_registry import API, destination, entries, too_long
from replicator.emitters.routed import in_order, manifest
from replicator.routing import string_prefixes
from replicator.routing.header_values import literal
from replicator.routing.rules import (
    Action,
    Azure,
    Backend,
    Cors,
    Fault,
    Forward,
    HeaderChange,
    Redirect,
    Respond,
    Rule,
    Table,
    Target,
    Test,
    alike,
)
from replicator.routing.string_prefixes import Matcher
from replicator.tree import Hole, List, Manifest, Map, Origin, Repeat, Text, Tree, mapping, text, tree

_HTTP = 80


def emit(table: Table) -> tuple[list[Manifest], list[Diagnostic]]:
    """The objects of a Routing, in the order in which they are applied, and what stands in their way."""
    found = [*_refused(table), *too_long(table)]
    delegates = [one for rule in table.rules if _is_delegated(table, rule) for one in _delegates(table, rule)]
    made = [*_gateway(table), *in_order(entries(table)), *in_order(delegates), *_virtual_services(table)]
    return made, found


# Gateways and virtual hosts


def _gateway(table: Table) -> Iterator[Manifest]:
    gateway, tls = table.gateway, table.tls
    if gateway is None or not gateway.create:
        return
    hosts = List((Repeat(_hosts(table), table.over),) if table.over else _hosts(table))
    if tls is None:
        servers = [{"port": _port(gateway.port, "http"), "hosts": hosts}]
    else:
        settings = {"mode": "SIMPLE", "credentialName": tls.secret.name}
        servers = [{"port": _port(gateway.port, "https"), "tls": settings, "hosts": hosts}]
        if tls.redirect:
            servers.insert(0, {"port": _port(_HTTP, "http"), "tls": {"httpsRedirect": True}, "hosts": hosts})
    spec = {"selector": dict(gateway.selector), "servers": servers}
    yield manifest(table, API, "Gateway", (gateway.name,), spec, (gateway.namespace,))


def _port(number: int, name: str) -> dict[str, Any]:
    return {"number": number, "name": name, "protocol": name.upper()}


def _hosts(table: Table) -> tuple[Tree, ...]:
    return tuple(tree(host) for host in table.hosts)


def _virtual_services(table: Table) -> Iterator[Manifest]:
    """The virtual host, or one for each island; those of islands that are answered for differently are told apart."""
    if not table.rules:
        return  # Istio takes no VirtualService without a rule; requests to the host are answered by 404 then, too
    gateway = [f"{table.gateway.namespace}/{table.gateway.name}"] if table.gateway is not None else []
    gateways = gateway + (["mesh"] if table.settings.get("mesh") else [])
    for of in alike(table.cases(table.over), lambda case: tuple(rule.action_of(case) for rule in table.rules)):
        http = tuple(item for rule in table.rules for item in _items(table, rule, of))
        spec = {"hosts": List(_hosts(table)), "gateways": gateways, "http": List(http)}
        yield manifest(table, API, "VirtualService", table.object_name, spec, over=table.over, cases=of)


def _action(rule: Rule, of: frozenset[str]) -> Action:
    """What happens to the requests of islands of these cases, which are alike; without any, of all."""
    return rule.action_of(min(of)) if of else rule.action


def _items(table: Table, rule: Rule, of: frozenset[str]) -> tuple[Tree, ...]:
    """A rule in the virtual host; of one for each island, in that of islands of some cases."""
    if not rule.over:
        return _entries(table, rule, _action(rule, of))
    if not _is_delegated(table, rule):
        return (_each(table, rule),)
    # Nothing but the delegate: a match here would have to hold all that its rules match, which it cannot for regular
    # expressions and headers (pilot/pkg/model, mergeHTTPMatchRequests); what is said here would be its rules' default.
    delegate = {"delegate": {"name": _delegate_name(table, rule), "namespace": table.namespace}}
    root = mapping(delegate, Origin(rule.place, "routing"))
    return (Repeat((root,), rule.over),) if table.delegation == "island" else (root,)


def _each(table: Table, rule: Rule) -> Repeat:
    cases = tuple((case, _entries(table, rule, action)) for case, action in rule.cases)
    return Repeat(_entries(table, rule, rule.action), rule.over, cases)


# Delegates: VirtualServices without hosts, whose rules stand in the place of the one that names them


def _is_delegated(table: Table, rule: Rule) -> bool:
    return table.delegation != "none" and bool(rule.over)


def _delegate_name(table: Table, rule: Rule) -> Text:
    return text(f"{table.name}-", rule.name if table.delegation == "island" else rule.route)


def _delegates(table: Table, rule: Rule) -> Iterator[Manifest]:
    name = _delegate_name(table, rule)
    if table.delegation == "set":
        yield manifest(table, API, "VirtualService", name, {"http": List((_each(table, rule),))})
        return
    for of in alike(table.cases(rule.over), rule.action_of):
        spec = {"http": List(_entries(table, rule, _action(rule, of)))}
        yield manifest(table, API, "VirtualService", name, spec, over=rule.over, cases=of)


# Rules


def _entries(table: Table, rule: Rule, action: Action) -> tuple[Tree, ...]:
    """A rule with an action as HTTP routes: more than one where its matches need different rewrites."""
    only = _only_azure(action)
    rewrite = None if isinstance(action, Respond) or only is not None else rule.rewrite
    made: list[Map] = []
    for matchers, replacement in string_prefixes.entries(rule.conditions, rewrite):
        fields: dict[str, Any] = {"name": rule.name or ..., "match": [_match(one) for one in matchers]}
        if isinstance(action, Forward):
            fields |= _forward(table, action, replacement)
        elif isinstance(action, Redirect):
            fields["redirect"] = _redirect(action, replacement)
        else:
            fields["directResponse"] = _response(action)
        made.append(mapping(fields, Origin(rule.place, "routing")))
    if only is None or not only.over:
        return tuple(made)
    # All of the route is the function's: its path is.
    left_out = tuple((case, ()) for case, backend in only.cases if backend is None)
    return (Repeat(tuple(made), only.over, left_out),)


def _only_azure(action: Action) -> Target | None:
    """The target of a route to an Azure function: the only one, if it is of a spread too (`mixed.azure`)."""
    targets = action.targets if isinstance(action, Forward) else ()
    return next((one for one in targets for backend in one.backends() if isinstance(backend.function, Azure)), None)


def _match(matcher: Matcher) -> dict[str, Any]:
    condition = matcher.condition
    methods = condition.methods
    method = {"exact": methods[0]} if len(methods) == 1 else {"regex": "|".join(methods)}
    return {
        "uri": {matcher.path_op: matcher.path},
        "method": method if methods else ...,
        "headers": {test.name: _value(test) for test in condition.headers if test.op != "absent"} or ...,
        "withoutHeaders": {test.name: {} for test in condition.headers if test.op == "absent"} or ...,
        "queryParams": {test.name: _value(test) for test in condition.query} or ...,
    }


def _value(test: Test) -> dict[str, Any]:
    if test.op == "present":
        return {}
    if test.op == "exact" and not test.value:
        return {"regex": "^$"}  # an empty value might be read as none, which tests presence
    return {test.op: test.value}


def _forward(table: Table, action: Forward, replacement: Text | None) -> dict[str, Any]:
    only = _only_azure(action)
    single = action.targets[0].backend if len(action.targets) == 1 and (only or not action.targets[0].over) else None
    authority = action.host
    if authority is None and single is not None:
        authority = single.authority
    rewrite: dict[str, Any] = {}
    if only is not None and isinstance(only.backend.function, Azure):
        # The query is kept: Istio rewrites the path alone.
        rewrite["uriRegexRewrite"] = {"match": "^/.*$", "rewrite": text("/api/", only.backend.function.function)}
    elif replacement is not None:
        rewrite["uri"] = replacement
    if authority:
        rewrite["authority"] = authority
    request, response = _header_change(action.request), _header_change(action.response)
    headers = {"request": request or ..., "response": response or ...}
    return {
        "rewrite": rewrite or ...,
        "route": [{"destination": destination(table, single)}] if single else _weighted(table, action),
        "timeout": _duration(action.timeout),
        "retries": _retries(action),
        "headers": headers if request or response else ...,
        "mirrors": _mirrors(table, action),
        "fault": _fault(action.fault),
        "corsPolicy": _cors(action.cors),
    }


def _weighted(table: Table, action: Forward) -> List:
    routes: list[Tree] = []
    for target in action.targets:
        entry = _share(table, action, target.weight, target.backend)
        cases = tuple(
            (case, (_share(table, action, target.weight, backend),) if backend is not None else ())
            for case, backend in target.cases
        )
        routes.append(Repeat((entry,), target.over, cases) if target.over else entry)
    return List(tuple(routes))


def _share(table: Table, action: Forward, weight: int | Hole, backend: Backend) -> Tree:
    """A destination among others. Its Host is set as a header: that of the route would win over it."""
    own = backend.authority if action.host is None else ()
    headers = {"request": {"set": {"Host": own}}} if own else ...
    return tree({"destination": destination(table, backend), "weight": weight, "headers": headers})


def _duration(duration: str) -> Any:
    """A duration as Istio takes it; none, which is without limit there, where it is zero."""
    return seconds(duration) if nanoseconds(duration) else ...


def _retries(action: Forward) -> dict[str, Any]:
    """Unsaid, Istio tries twice more."""
    if action.retries is None:
        return {"attempts": 0}
    return {
        "attempts": action.retries["attempts"],
        "perTryTimeout": _duration(action.retries.get("perTryTimeout", "0s")),
        "retryOn": ",".join(action.retries.get("retryOn", ["5xx"])),
    }


def _header_change(change: HeaderChange) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for verb, values in (("add", change.add), ("set", change.put)):
        if values:
            made[verb] = {name: literal(value) for name, value in values}
    if change.remove:
        made["remove"] = list(change.remove)
    return made


def _mirrors(table: Table, action: Forward) -> Any:
    if action.mirror is None:
        return ...
    copied = {"destination": destination(table, action.mirror.backend), "percentage": {"value": action.mirror.percent}}
    return [copied]


def _fault(fault: Fault | None) -> Any:
    if fault is None:
        return ...
    made: dict[str, Any] = {}
    if fault.delay and nanoseconds(fault.delay):
        made["delay"] = {"percentage": {"value": fault.delay_percent}, "fixedDelay": seconds(fault.delay)}
    if fault.status:
        made["abort"] = {"percentage": {"value": fault.abort_percent}, "httpStatus": fault.status}
    return made or ...


def _cors(cors: Cors | None) -> Any:
    if cors is None:
        return ...
    return {
        "allowOrigins": [{"exact": origin} for origin in cors.origins],
        "allowMethods": list(cors.methods) or ...,
        "allowHeaders": list(cors.headers) or ...,
        "exposeHeaders": list(cors.expose) or ...,
        "maxAge": f"{cors.max_age}s" if cors.max_age is not None else ...,
        "allowCredentials": True if cors.credentials else ...,
    }


def _redirect(action: Redirect, replacement: Text | None) -> dict[str, Any]:
    """What takes the place of an exact path is the whole path."""
    return {
        "uri": action.path or replacement or ...,
        "authority": action.host or ...,
        "port": action.port or ...,
        "scheme": action.scheme or ...,
        "redirectCode": action.status,
    }


def _response(action: Respond) -> dict[str, Any]:
    return {"status": action.status, "body": {"string": action.body} if action.body else ...}


# What Istio's webhook refuses


_CORS_METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"])


def _refused(table: Table) -> Iterator[Diagnostic]:
    gateway, tls = table.gateway, table.tls
    if gateway is not None and "." in gateway.name:
        message = f"Istio takes no Gateway with dots in its name by a route: `{gateway.name}`"
        yield Diagnostic("R0708", message, gateway.place, hint="a name of a-z, 0-9 and -")
    if gateway is not None and tls is not None and tls.secret.namespace != gateway.namespace:
        message = f"Istio's proxy reads the Secrets of its own namespace, not of `{tls.secret.namespace}`"
        hint = "put the Gateway and the Secret beside the proxy: gateway: {namespace: NS, …}, tls: {secret: NS/NAME}"
        yield Diagnostic("R0708", message, tls.place, hint=hint)
    if gateway is not None and gateway.port == _HTTP and tls is not None and tls.redirect:
        message = f"the port {_HTTP} of the Gateway is that of the redirect to https"
        yield Diagnostic("R0708", message, gateway.place, hint="create: {port: 443}, or leave `redirect` out")
    for use in table.uses if table.settings.get("mesh") else ():
        if use.feature == "hosts.any":
            message = "the host `*` would be every host that the mesh calls"
            yield Diagnostic("R0708", message, use.place, hint="name the hosts, or leave `mesh` out")
    for rule in table.rules:
        for field, message, hint in _refused_of(rule):
            yield Diagnostic("R0708", f"not in Istio: {message}", rule.at(field), hint=hint)


def _refused_of(rule: Rule) -> Iterator[tuple[str, str, str]]:
    """The field, what Istio says against it, and the way out."""
    for action in rule.actions():
        if not isinstance(action, Forward):
            continue
        waits = {"timeout": action.timeout, "retries": (action.retries or {}).get("perTryTimeout", "0s")}
        waits["fault"] = action.fault.delay if action.fault is not None else "0s"
        for field, wait in waits.items():
            if nanoseconds(wait) % 10**6:
                yield field, "it counts time in whole milliseconds", "such as 1500ms"
        if action.cors is not None:
            if action.cors.max_age == 0:
                yield "cors", "`maxAge` is at least a second", "leave it out: browsers then take 5 seconds"
            if unknown := sorted(set(action.cors.methods) - _CORS_METHODS):
                yield (
                    "cors",
                    f"`allowMethods` has no {', '.join(unknown)}",
                    f"one of: {', '.join(sorted(_CORS_METHODS))}",
                )
