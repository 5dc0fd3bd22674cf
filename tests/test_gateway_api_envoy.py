"""Routings are written for Gateway API and run in a real Envoy: requests get the answers that they get for Gloo."""

from collections.abc import Iterable
from contextlib import AbstractContextManager

import envoy_gateway_api
import pytest
from envoy import Gateway, Object, Service
from test_istio_envoy import ANSWERS, ISLANDS, OUTSIDE, ROUTES
from test_istio_output import delegated, mixed, routing, told
from test_routing_envoy import CASES, Case, ask_all, compiled, dsl, services

FLAVORS = ["generic", "kgateway"]

# The cases that are refused, and why: neither can say them, or the standard alone cannot.
NEITHER = {
    "by headers": "no match on absence",
    "a long path does not win over a short one before it": "regular expression",
    "redirects": "a redirect keeps the query",
}
STANDARD = {
    "by query": "no match on presence",
    "by headers": "no match on presence",
    "a list of matches is OR": "no match on presence",
    "each of a list of matches has its own rewrite": "no match on presence",
    "fixed responses": "no fixed responses",
}
KGATEWAY = {"redirects of each island": "redirects to `//`"}
APART = {
    "by regex path": "cannot be told apart",
    "the first island wins where islands overlap": "overlap",
    "the first island wins where islands overlap and paths are rewritten": "overlap",
}


def running(objects: list[Object], outside: Iterable[Service] = ()) -> AbstractContextManager[Gateway]:
    return envoy_gateway_api.running(objects, [*services(objects), *outside])


def for_gateway_api(text: str, flavor: str) -> str:
    return text.replace("provider: istio", f"provider: gateway-api\n  gateway-api: {{flavor: {flavor}}}")


def text_of(case: Case, flavor: str, delegation: str) -> str:
    """A case with names for its each-routes, after which HTTPRoutes are named."""
    return for_gateway_api(delegated(case, "set").replace("delegation: set", f"delegation: {delegation}"), flavor)


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("delegation", ["none", "set", "island"])
@pytest.mark.parametrize("name", CASES)
def test_requests_get_their_answers(name: str, delegation: str, flavor: str) -> None:
    case = CASES[name]
    text = text_of(case, flavor, delegation)
    why = {**NEITHER, **(STANDARD if flavor == "generic" else KGATEWAY), **(APART if delegation == "island" else {})}
    if name in why:
        assert any(why[name] in message for message in told(text))
        return
    with running(compiled(text), case.outside) as gateway:
        assert ask_all(gateway, case.expected) == case.expected


@pytest.mark.parametrize("delegation", ["none", "set", "island"])
def test_hosts_outside_and_functions_see_their_own_host(delegation: str) -> None:
    """For kgateway: Azure has a path of its own, too."""
    text = dsl(mixed(ISLANDS), for_gateway_api(routing(ROUTES, f"delegation: {delegation}"), "kgateway"))
    with running(compiled(text), OUTSIDE) as gateway:
        assert ask_all(gateway, ANSWERS) == ANSWERS
