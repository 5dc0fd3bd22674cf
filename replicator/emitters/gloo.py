"""Neutral routes to Gloo's Edge API: Gateway, VirtualService, RouteTable, UpstreamGroup and Upstream.

Field by field: https://docs.solo.io/gloo-edge/latest/reference/api/ (gateway.solo.io, gloo.solo.io).
"""

from __future__ import annotations

from typing import Any

from replicator.diagnostics import Diagnostic
from replicator.emitters.gloo_routes import destinations, goes_straight, group_name, is_shared, routes
from replicator.emitters.gloo_upstreams import namespace_of, upstream
from replicator.emitters.routed import in_order, manifest
from replicator.names import MAX_LABEL, OF_ROUTING
from replicator.routing.rules import PORTS, Condition, Forward, Gateway, Rule, Table, alike
from replicator.tree import List, Manifest, Map, Origin, Repeat, Text, Tree, mapping, text

_GATEWAY, _GLOO = "gateway.solo.io/v1", "gloo.solo.io/v1"
_ROUTE, _OF_GATEWAY = "replicator.dev/route", "replicator.dev/gateway"
_PLAIN, _ = PORTS["gloo"]


def emit(table: Table) -> tuple[list[Manifest], list[Diagnostic]]:
    """The objects of a Routing, in the order in which they are applied, and what stands in their way."""
    gateway, tls = table.gateway, table.tls
    if gateway is not None and gateway.create and gateway.port == _PLAIN and tls is not None and tls.redirect:
        message = f"the port {_PLAIN} of the Gateway is that of the redirect to https"
        return [], [Diagnostic("R0708", message, gateway.place, hint="create: {port: 8443}, or leave `redirect` out")]
    if gateway is not None and len(gateway.name) > MAX_LABEL:
        message = f"the Gateway's name has {len(gateway.name)} characters: VirtualServices carry it in a label"
        return [], [Diagnostic("R0506", message, gateway.place, hint=f"at most {MAX_LABEL}")]
    made = [_virtual_service(table, of) for of in alike(table.cases(table.over), lambda case: _actions(table, case))]
    made += (one for rule in table.rules if _delegates(table, rule) for one in _route_tables(table, rule))
    made += _groups(table)
    made += (upstream(table, backend) for backend in table.backends(straight=goes_straight(table)))
    if table.tls is not None and table.tls.redirect:
        made.append(_to_https(table))
    if table.gateway is not None and table.gateway.create:
        made += _gateways(table, table.gateway)
    return in_order(made), []


def _actions(table: Table, case: str) -> Any:
    return tuple(rule.action_of(case) for rule in table.rules)


# Virtual hosts


def _virtual_service(table: Table, of: frozenset[str]) -> Manifest:
    """The virtual host; of one for each island, that of islands of some cases."""
    listed: list[Tree] = []
    for rule in table.rules:
        if _delegates(table, rule):
            listed.append(_delegating(table, rule))
            continue
        action = rule.action_of(min(of)) if of else rule.action
        usual = tuple(routes(table, rule, action))
        cases = tuple((case, tuple(routes(table, rule, other))) for case, other in rule.cases)
        listed += (Repeat(usual, rule.over, cases),) if rule.over else usual
    spec = {
        "sslConfig": _ssl(table),
        "virtualHost": {"domains": [*table.hosts], "routes": List(tuple(listed))},
    }
    labels = _host_labels(table)
    name = table.object_name
    return manifest(table, _GATEWAY, "VirtualService", name, spec, labels=labels, over=table.over, cases=of)


def _host_labels(table: Table) -> dict[str, str]:
    """What a Gateway of Gloo, which chooses its virtual hosts itself, can choose them by."""
    return {_OF_GATEWAY: table.gateway.name} if table.gateway is not None else {}


def _ssl(table: Table) -> Any:
    """With it, a VirtualService belongs to Gateways that speak TLS, and to no others."""
    if table.tls is None:
        return ...
    secret = table.tls.secret
    domains: dict[Text, None] = {}
    for host in table.hosts:
        domains.setdefault(text(*host[:-1], host[-1].partition(":")[0]) if isinstance(host[-1], str) else host)
    names = ... if ("*",) in domains else [*domains]  # a client names no port, and without names any will do
    return {"secretRef": {"name": secret.name, "namespace": secret.namespace}, "sniDomains": names}


def _to_https(table: Table) -> Manifest:
    """The virtual host of the Gateways that do not speak TLS."""
    redirect = {"httpsRedirect": True, "responseCode": "MOVED_PERMANENTLY"}
    route = {"matchers": [{"prefix": "/"}], "redirectAction": redirect}
    spec = {"virtualHost": {"domains": [*table.hosts], "routes": [route]}}
    name = text(table.object_name, "-redirect")
    return manifest(table, _GATEWAY, "VirtualService", name, spec, labels=_host_labels(table), over=table.over)


def _gateways(table: Table, gateway: Gateway) -> list[Manifest]:
    """The listeners; Gloo reads those in its own namespace, and one speaks TLS or does not."""
    plain = table.tls is None
    made = [_gateway(table, gateway, (gateway.name,), gateway.port, not plain)]
    if table.tls is not None and table.tls.redirect:
        made.append(_gateway(table, gateway, (f"{gateway.name}-redirect",), _PLAIN, False))
    return made


def _gateway(table: Table, gateway: Gateway, name: Text, port: int, tls: bool) -> Manifest:
    spec = {
        "bindAddress": "::",
        "bindPort": port,
        "ssl": tls,
        "proxyNames": ["gateway-proxy"],
        "httpGateway": {
            "virtualServiceSelector": {_OF_GATEWAY: gateway.name},  # of any Routing that names it
            "virtualServiceNamespaces": ["*"],
        },
    }
    return manifest(table, _GATEWAY, "Gateway", name, spec, (gateway.namespace,))


# Delegation: the routes of an each-route in objects of their own, behind one route in its place


def _delegates(table: Table, rule: Rule) -> bool:
    return table.delegation != "none" and bool(rule.over)


def _delegating(table: Table, rule: Rule) -> Map:
    """The route in an each-route's place. Its matcher may only be a prefix, which those below it must repeat.

    RouteTables that a selector chooses are sorted where they share a weight; those of islands exclude each other, so
    that no order matters, and one more of them changes nothing here.
    """
    name = f"{table.name}-{rule.route}"
    if table.delegation == "set":
        action: dict[str, Any] = {"ref": {"name": name, "namespace": table.namespace}}
    else:
        labels = {OF_ROUTING: table.name, _ROUTE: rule.route}
        action = {"selector": {"namespaces": [table.namespace], "labels": labels}}
    fields = {"name": rule.route, "matchers": [{"prefix": _head(rule.conditions)}], "delegateAction": action}
    return mapping(fields, Origin(rule.place, "routing"))


def _head(conditions: tuple[Condition, ...]) -> str:
    """What all paths of all islands begin with, up to a `/`."""
    heads = []
    for condition in conditions:
        first = condition.path[0]
        heads.append("/" if condition.path_op == "regex" or not isinstance(first, str) else first)
    first, last = min(heads), max(heads)
    length = next((at for at, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    return first[: first.rindex("/", 0, max(length, 1)) + 1]


def _route_tables(table: Table, rule: Rule) -> list[Manifest]:
    labels = {_ROUTE: rule.route}
    if table.delegation == "set":
        usual = tuple(routes(table, rule, rule.action))
        cases = tuple((case, tuple(routes(table, rule, other))) for case, other in rule.cases)
        listed = List((Repeat(usual, rule.over, cases),))
        whole = (f"{table.name}-{rule.route}",)
        return [manifest(table, _GATEWAY, "RouteTable", whole, {"routes": listed}, labels=labels)]
    made = []
    for of in alike(table.cases(rule.over), rule.action_of):
        own = List(tuple(routes(table, rule, rule.action_of(min(of)) if of else rule.action)))
        name = text(f"{table.name}-", rule.name)
        spec = {"routes": own}
        made.append(manifest(table, _GATEWAY, "RouteTable", name, spec, labels=labels, over=rule.over, cases=of))
    return made


def _groups(table: Table) -> list[Manifest]:
    """The UpstreamGroups of spreads: one for each port of a Set, not for each name, so that clashes are found."""
    made: dict[str, Manifest] = {}
    for action in (action for rule in table.rules for action in rule.actions()):
        if isinstance(action, Forward) and is_shared(table, action):
            backend = action.targets[0].backend
            name = (group_name(table, action.targets[0]),)
            spec = {"destinations": destinations(table, action.targets)}
            group = manifest(table, _GLOO, "UpstreamGroup", name, spec, (namespace_of(table),), place=backend.place)
            made.setdefault(backend.of, group)
    return list(made.values())
