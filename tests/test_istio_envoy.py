"""Routings are written for Istio and run in a real Envoy: requests get the answers that they get for Gloo."""

from collections.abc import Iterable
from contextlib import AbstractContextManager

import envoy_istio
import pytest
from envoy import Gateway, Object, Service
from test_istio_output import delegated, mixed, routing, told
from test_routing_envoy import CASES, ask_all, compiled, dsl, services


def running(objects: list[Object], outside: Iterable[Service] = ()) -> AbstractContextManager[Gateway]:
    return envoy_istio.running(objects, [*services(objects), *outside], ["ingress/public"])


@pytest.mark.parametrize("delegation", ["none", "island"])
@pytest.mark.parametrize("name", CASES)
def test_requests_get_their_answers(name: str, delegation: str) -> None:
    case = CASES[name]
    text = delegated(case, delegation)
    if found := told(text):
        apart = delegation == "island" and all(one.startswith("R0712") for one in found)
        assert apart or "redirect" in name, found
        return
    with running(compiled(text), case.outside) as gateway:
        assert ask_all(gateway, case.expected) == case.expected


@pytest.mark.parametrize("match", ["", "match: {methods: [GET]}, ", "match: {path: {prefix: /a}}, "])
def test_a_prefix_cannot_be_redirected(match: str) -> None:
    route = f"- {{{match}redirect: {{prefix: /new}}}}"
    assert "a redirect replaces the whole path" in str(told(dsl(routing(route))))


ISLANDS = """
{eu: {}, us: {implementation: vm}, ap: {implementation: run}, fn: {implementation: knative},
 app: {implementation: app}, old: {state: drained}}
"""
ROUTES = """
- {name: each, each: cart, match: {path: {prefix: "/i/{{ island.key }}"}}, rewrite: {prefix: /}}
- {match: {path: {exact: /own}}, to: [{island: cart/eu, weight: 0}, {host: a.example.net}]}
- match: {path: {exact: /all}}
  to: [{island: cart/eu, weight: 0}, {host: a.example.net}]
  rewrite: {host: b.example.com}
- {to: {island: cart/eu}}
"""
OUTSIDE = [
    ("", "us.example.net", 8443),
    ("", "ap.a.run.app", 443),
    ("", "app-app.azurewebsites.net", 443),
    ("", "a.example.net", 443),
    ("kourier-system", "kourier-internal", 80),
]
ANSWERS = {
    "/i/eu/x": "shop/cart-eu-web:80 /x",
    "/i/us/x": "/us.example.net:8443 /x host:us.example.net",
    "/i/ap": "/ap.a.run.app:443 / host:ap.a.run.app",
    "/i/fn/x?y=z": "kourier-system/kourier-internal:80 /x?y=z host:hello.fn.svc.cluster.local",
    "/i/app/x?y=z": "/app-app.azurewebsites.net:443 /api/resize?y=z host:app-app.azurewebsites.net",
    "/i/old": "503",
    "/own": "/a.example.net:443 /own host:a.example.net",
    "/all": "/a.example.net:443 /all host:b.example.com",
    "/": "shop/cart-eu-web:80 /",
}


@pytest.mark.parametrize("delegation", ["none", "set", "island"])
def test_hosts_outside_and_functions_see_their_own_host(delegation: str) -> None:
    """Azure has a path of its own, too; what comes without TLS is sent there first."""
    more = (f"delegation: {delegation}", "tls: {secret: front-tls, redirect: true}")
    secure = {f"{request} x-forwarded-proto:https": answer for request, answer in ANSWERS.items()}
    plain = {"/i/eu?y=z": "301 https://example.com/i/eu?y=z"}
    objects = compiled(dsl(mixed(ISLANDS), routing(ROUTES, *more, gateway="gateway: {create: {}}")))
    with running(objects, OUTSIDE) as gateway:
        assert ask_all(gateway, {**secure, **plain}) == {**secure, **plain}
