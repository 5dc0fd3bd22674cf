"""Where providers differ, each gives the one answer that is written here by hand; and so does the simulator.

An emitter and its translation for the tests may share one mistake: these answers are nobody's reading of the other's.
"""

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pytest
from envoy import Service
from strict_schemas import crd_schema, problems
from test_routing_envoy import WEB, Flaky, ask, compile_text, dsl, island_set, scripted
from test_simulator_envoy import PROVIDERS, backends, objects_of

from replicator.diagnostics import has_errors
from replicator.routing.requests import request
from replicator.routing.simulator import Simulator

KEY = "{{ island.key }}"
DELEGATIONS = ("none", "set", "island")
CART = island_set("cart", 'islands: {eu: {}, us: {weight: 3}, "1": {}, "10": {}}')
STATES = island_set(
    "cart", "islands: {eu: {}, us: {state: draining, weight: 8}, ap: {state: drained, weight: 8}}, drained: 410"
)

Answers = Mapping[str, str | set[str]]


class Trap(NamedTuple):
    """Routes, and who gets each request; a set of answers is of those that it gets in turn.

    Requests and answers are written as for `ask`. `refused` has, by provider, a part of what is said against them;
    `not_run` are those that need what not every gateway has (ExternalName Services as back ends).
    """

    routes: str
    expected: Answers
    sets: str = CART
    hosts: tuple[str, ...] = ("example.com",)
    outside: tuple[Service, ...] = ()
    refused: Mapping[str, str] = {}
    not_run: tuple[str, ...] = ()
    delegations: Iterable[str] = ("none",)
    more: str = ""  # another document

    def text(self, provider: str, delegation: str) -> str:
        spec = {**PROVIDERS[provider].spec, "hosts": list(self.hosts), "delegation": delegation}
        fields = "".join(f"  {name}: {json.dumps(value)}\n" for name, value in spec.items())
        head = "apiVersion: replicator.dev/v1alpha1\nkind: Routing\nmetadata: {name: front, namespace: edge}\nspec:\n"
        documents = [WEB, self.sets, f"\n{head}{fields}  routes:\n{self.routes}"]
        if self.more:
            other = spec | {"hosts": ["*.example.com"]}
            fields = "".join(f"  {name}: {json.dumps(value)}\n" for name, value in other.items())
            documents.append(f"\n{head.replace('front', 'other')}{fields}  routes:\n{self.more}")
        return dsl(*documents)


NO_ANSWERS = {"gateway-api": "there are no fixed responses"}
TRAPS = {
    "a prefix is of whole segments, and leaves no `//`": Trap(
        f'    - {{name: a, each: cart, match: {{path: {{prefix: "/i/{KEY}"}}}}, rewrite: {{prefix: /}}}}\n',
        {
            "/i/1": "shop/cart-1-web:80 /",
            "/i/1/": "shop/cart-1-web:80 /",
            "/i/1/x?y=//": "shop/cart-1-web:80 /x?y=//",
            "/i/10": "shop/cart-10-web:80 /",
            "/i/10/x": "shop/cart-10-web:80 /x",
            "/i/1x": "404",
            "/i/100": "404",
            "/I/1": "404",
            "/i": "404",
        },
        delegations=DELEGATIONS,
    ),
    "what takes the place of a prefix": Trap(
        """
    - {match: {path: {prefix: /a/}}, rewrite: {prefix: /b/}, to: {island: cart/eu}}
    - {match: {path: {prefix: /}}, rewrite: {prefix: /all}, to: {island: cart/us}}
""",
        {
            "/a": "shop/cart-eu-web:80 /b",
            "/a/": "shop/cart-eu-web:80 /b/",
            "/a/x/": "shop/cart-eu-web:80 /b/x/",
            "/ab": "shop/cart-us-web:80 /all/ab",
            "/": "shop/cart-us-web:80 /all/",
            "/x": "shop/cart-us-web:80 /all/x",
        },
    ),
    "an empty value is a value": Trap(
        """
    - {match: {headers: {x-e: ""}}, to: {island: cart/eu}}
    - {match: {query: {e: ""}}, to: {island: cart/us}}
""",
        {
            "/ x-e:": "shop/cart-eu-web:80 /",
            "/ x-e:1": "404",
            "/": "404",
            "/?e=": "shop/cart-us-web:80 /?e=",
            "/?e": "shop/cart-us-web:80 /?e",
            "/?e=1": "404",
        },
    ),
    "the header is written first": Trap(
        f"""
    - {{name: h, each: cart, match: {{headers: {{X-Island: "{KEY}"}}}}}}
    - {{name: p, each: cart, match: {{path: {{prefix: "/i/{KEY}"}}}}}}
""",
        {
            "/i/us x-island:eu": "shop/cart-eu-web:80 /i/us",
            "/i/us X-ISLAND:1": "shop/cart-1-web:80 /i/us",
            "/i/us x-island:EU": "shop/cart-us-web:80 /i/us",
            "/i/us/x": "shop/cart-us-web:80 /i/us/x",
            "/ x-island:10": "shop/cart-10-web:80 /",
            "/": "404",
        },
        delegations=DELEGATIONS,
    ),
    "the path is written first": Trap(
        f"""
    - {{name: p, each: cart, match: {{path: {{prefix: "/i/{KEY}"}}}}}}
    - {{name: h, each: cart, match: {{headers: {{x-island: "{KEY}"}}}}}}
""",
        {
            "/i/us x-island:eu": "shop/cart-us-web:80 /i/us",
            "/i/ap x-island:eu": "shop/cart-eu-web:80 /i/ap",
            "/i/10 x-island:1": "shop/cart-10-web:80 /i/10",
        },
        delegations=DELEGATIONS,
    ),
    "what is more specific comes later": Trap(
        """
    - {match: {headers: {x-a: "1"}}, to: {island: cart/eu}}
    - {match: {path: {prefix: /a}, methods: [POST]}, to: {island: cart/us}}
    - {match: {path: {prefix: /a/b}, headers: {x-b: "1"}}, to: {island: cart/1}}
    - {match: {path: {exact: /a/b/c}, query: {q: "1"}}, to: {island: cart/10}}
    - {match: {path: {exact: /a}}, to: {service: rest, port: 80}}
""",
        {
            "/a/b/c?q=1 x-a:1": "shop/cart-eu-web:80 /a/b/c?q=1",
            "/a/b/c?q=1 x-b:1": "shop/cart-1-web:80 /a/b/c?q=1",
            "/a/b/c?q=1": "shop/cart-10-web:80 /a/b/c?q=1",
            "POST /a/b/c?q=1 x-b:1": "shop/cart-us-web:80 /a/b/c?q=1",
            "POST /a/b/c": "shop/cart-us-web:80 /a/b/c",
            "POST /a": "shop/cart-us-web:80 /a",
            "POST /a x-a:1": "shop/cart-eu-web:80 /a",
            "/a": "edge/rest:80 /a",
            "/x": "404",
        },
        outside=(("edge", "rest", 80),),
    ),
    "the longer path comes later": Trap(
        """
    - {match: {path: {prefix: /a}, headers: {x-a: "1"}}, to: {island: cart/eu}}
    - {match: {path: {prefix: /a/b}, methods: [GET]}, to: {island: cart/us}}
    - {match: {path: {exact: /a/b/c}}, to: {island: cart/1}}
""",
        {
            "/a/b/c x-a:1": "shop/cart-eu-web:80 /a/b/c",
            "/a/b/c": "shop/cart-us-web:80 /a/b/c",
            "POST /a/b/c": "shop/cart-1-web:80 /a/b/c",
            "POST /a/b": "404",
            "PUT /a/b x-a:1": "shop/cart-eu-web:80 /a/b",
        },
    ),
    "weights need no sum, and zero is none": Trap(
        """
    - {match: {path: {exact: /two}}, to: [{island: cart/eu, weight: 1}, {island: cart/us, weight: 2}]}
    - {match: {path: {exact: /one}}, to: [{island: cart/eu, weight: 0}, {island: cart/us, weight: 7}]}
    - {name: all, to: {spread: cart}}
""",
        {
            "/two": {"shop/cart-eu-web:80 /two", "shop/cart-us-web:80 /two"},
            "/one": "shop/cart-us-web:80 /one",
            "/": {f"shop/cart-{key}-web:80 /" for key in ("eu", "us", "1", "10")},
        },
        delegations=("none", "set"),
    ),
    "no match is 404, and no other host's affair": Trap(
        "    - {match: {path: {exact: /a}}, to: {island: cart/eu}}\n",
        {
            "/a host:a.example.com": "shop/cart-eu-web:80 /a",
            "/a host:A.EXAMPLE.COM": "shop/cart-eu-web:80 /a",
            "/b host:a.example.com": "404",
            "/b host:b.example.com": "shop/cart-us-web:80 /b",
            "/b host:x.a.example.com": "shop/cart-us-web:80 /b",
            "/b host:example.com": "404",
            "/b host:example.org": "404",
        },
        hosts=("a.example.com",),
        more="    - {to: {island: cart/us}}\n",
    ),
    "methods": Trap(
        """
    - {match: {methods: [PUT, POST]}, to: {island: cart/eu}}
    - {match: {methods: [GET]}, to: {island: cart/us}}
""",
        {
            "POST /": "shop/cart-eu-web:80 /",
            "PUT /": "shop/cart-eu-web:80 /",
            "/": "shop/cart-us-web:80 /",
            "HEAD /": "404",
        },
    ),
    "a regular expression matches the whole": Trap(
        """
    - {match: {path: {regex: "/v[12]/x"}}, to: {island: cart/eu}}
    - {match: {headers: {x-a: {regex: "a|bc"}}}, to: {island: cart/us}}
    - {match: {query: {q: {regex: "[0-9]+"}}}, to: {island: cart/1}}
""",
        {
            "/v1/x": "shop/cart-eu-web:80 /v1/x",
            "/v1/x/y": "404",
            "/a/v1/x": "404",
            "/v3/x": "404",
            "/ x-a:a": "shop/cart-us-web:80 /",
            "/ x-a:bc": "shop/cart-us-web:80 /",
            "/ x-a:ac": "404",
            "/ x-a:abc": "404",
            "/?q=12": "shop/cart-1-web:80 /?q=12",
            "/?q=12a": "404",
        },
        refused={"gateway-api": "whether a regular expression or another path wins is the implementation's own"},
    ),
    "hosts outside see their own": Trap(
        """
    - {match: {path: {prefix: /a}}, to: {host: a.example.net}}
    - {match: {path: {prefix: /b}}, rewrite: {host: c.example.com}, to: {host: b.example.net}}
    - {to: {island: cart/eu}}
""",
        {
            "/a": "/a.example.net:443 /a host:a.example.net",
            "/b": "/b.example.net:443 /b host:c.example.com",
            "/c": "shop/cart-eu-web:80 /c",
        },
        outside=(("", "a.example.net", 443), ("", "b.example.net", 443)),
        not_run=("gateway-api",),
    ),
    "islands that are left": Trap(
        f"""
    - {{name: each, each: cart, match: {{path: {{prefix: "/i/{KEY}"}}}}}}
    - {{match: {{path: {{exact: /list}}}}, to: [{{island: cart/us}}, {{island: cart/ap}}, {{island: cart/eu}}]}}
    - {{to: {{spread: cart}}}}
""",
        {
            "/i/eu": "shop/cart-eu-web:80 /i/eu",
            "/i/us/x": "shop/cart-us-web:80 /i/us/x",
            "/i/ap": "410",
            "/i/ap/x": "410",
            "/list": {"shop/cart-eu-web:80 /list"},
            "/": {"shop/cart-eu-web:80 /"},
        },
        sets=STATES,
        refused=NO_ANSWERS,
        delegations=DELEGATIONS,
    ),
    "redirects": Trap(
        """
    - {match: {path: {exact: /old}}, redirect: {path: /new, status: 308}}
    - {match: {path: {exact: /port}}, redirect: {port: 8443, scheme: https}}
    - {match: {path: {exact: /host}}, redirect: {host: n.example.com}}
    - {match: {path: {exact: /found}}, redirect: {path: /x, status: 303}}
""",
        {
            "/old?a=b": "308 http://example.com/new?a=b",
            "/port": "301 https://example.com:8443/port",
            "/host?a=b": "301 http://n.example.com/host?a=b",
            "/found": "303 http://example.com/x",
            "/old/": "404",
        },
    ),
    "a redirected prefix": Trap(
        "    - {match: {path: {prefix: /old}}, redirect: {prefix: /new, status: 302}}\n",
        {
            "/old": "302 http://example.com/new",
            "/old/x?a=b": "302 http://example.com/new/x?a=b",
            "/older": "404",
        },
        refused={"istio": "a redirect replaces the whole path"},
    ),
    "answers of the proxy": Trap(
        """
    - {match: {path: {exact: /a}}, respond: {status: 421, body: "moved"}}
    - {match: {path: {exact: /b}}, respond: 204}
    - {to: {island: cart/eu}}
""",
        {"/a": "421 moved", "/b": "204", "/c": "shop/cart-eu-web:80 /c"},
        refused=NO_ANSWERS,
    ),
    "a copy is not waited for": Trap(
        "    - {to: {island: cart/eu}, mirror: {service: edge/rest, port: 80}}\n",
        {"/": "shop/cart-eu-web:80 /"},
        outside=(("edge", "rest", 80),),
    ),
    "paths are normal": Trap(
        """
    - {match: {path: {prefix: /a/b}}, to: {island: cart/eu}}
    - {match: {path: {exact: "/~x"}}, to: {island: cart/us}}
""",
        {
            "/a/./b": "shop/cart-eu-web:80 /a/b",
            "/x/../a/b/": "shop/cart-eu-web:80 /a/b/",
            "/a/%62": "shop/cart-eu-web:80 /a/b",
            "/a%2Fb": "404",
            "/%7ex": "shop/cart-us-web:80 /~x",
            "/a/b/../c": "404",
        },
    ),
}
CASES = [(name, provider, how) for name, trap in TRAPS.items() for provider in PROVIDERS for how in trap.delegations]


@pytest.mark.parametrize(("name", "provider", "delegation"), CASES)
def test_traps(name: str, provider: str, delegation: str) -> None:
    trap = TRAPS[name]
    built = compile_text(trap.text(provider, delegation))
    if provider in trap.refused:
        said = [one.message for one in built.diagnostics if one.severity == "error"]
        assert any(trap.refused[provider] in message for message in said), said
        return
    assert not has_errors(built.diagnostics), built.diagnostics
    objects = objects_of(built)
    assert problems(item for item in objects if crd_schema(item["apiVersion"], item["kind"]) is not None) == []
    simulator = Simulator(built.tables)
    assert {one: simulated(simulator, one) for one in trap.expected} == {
        one: answer if isinstance(answer, set) else {answer} for one, answer in trap.expected.items()
    }
    if provider in trap.not_run:
        return
    with PROVIDERS[provider].running(objects, [*backends(objects), *trap.outside]) as gateway:
        found: Answers = {
            one: {ask(gateway, one) for _ in range(60)} if isinstance(answer, set) else ask(gateway, one)
            for one, answer in trap.expected.items()
        }
    assert found == trap.expected


def simulated(simulator: Simulator, asked: str) -> set[str]:
    """What the simulator says, as `ask` writes it."""
    words = asked.split(" ")
    method = "GET" if words[0].startswith("/") else words.pop(0)
    headers = dict(word.split(":", 1) for word in words[1:])
    host = headers.pop("host", "example.com")
    [answer] = simulator.answers(request(method, "http", host, words[0], headers.items()))
    if answer.kind != "forward":
        return {" ".join(filter(None, (str(answer.status), answer.location, answer.body)))}
    return {
        f"{one.service or f'/{one.host}'}:{one.port} {answer.path}"
        + (f" host:{one.authority}" if one.authority != host else "")
        for one in answer.shares
    }


TO = "to: {island: cart/eu}"
POLICY = "cors: {allowOrigins: ['https://a.example.com'], allowMethods: [GET, PUT], maxAge: 1h}"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_fault_for_every_request(provider: str) -> None:
    trap = Trap(f"    - {{{TO}, fault: {{abort: {{status: 418, percent: 100}}}}}}\n", {})
    built = compile_text(trap.text(provider, "none"))
    assert has_errors(built.diagnostics) == (provider == "gateway-api")
    if provider != "gateway-api":
        objects = objects_of(built)
        with PROVIDERS[provider].running(objects, backends(objects)) as gateway:
            assert [gateway.request("GET", "/").status for _ in range(20)] == [418] * 20


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_browser_asks_before_it_sends(provider: str) -> None:
    objects = objects_of(compile_text(Trap(f"    - {{{TO}, {POLICY}}}\n", {}).text(provider, "none")))
    asked = [("access-control-request-method", "PUT")]
    with PROVIDERS[provider].running(objects, backends(objects)) as gateway:
        allowed, other = (
            gateway.request("OPTIONS", "/", headers=[("origin", f"https://{name}.example.com"), *asked])
            for name in "ab"
        )
    assert allowed.seen is None
    assert allowed.headers["access-control-allow-origin"] == "https://a.example.com"
    assert allowed.headers["access-control-allow-methods"].replace(" ", "") == "GET,PUT"
    assert allowed.headers["access-control-max-age"] == "3600"
    assert "access-control-allow-origin" not in other.headers


FLAKY = {
    "no retries unless said": Flaky("", (503,), (503, 1)),
    "as often as said": Flaky(", retries: {attempts: 2}", (503, 503, 503), (503, 3)),
}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", FLAKY)
def test_tries_and_their_time(name: str, provider: str) -> None:
    flaky = FLAKY[name]
    trap = Trap(f"    - {{to: {{service: flaky, port: 80}}{flaky.fields}}}\n", {})
    built = compile_text(trap.text(provider, "none"))
    if flaky.fields and provider == "gateway-api":
        assert has_errors(built.diagnostics)
        return
    with scripted(objects_of(built), flaky.statuses, PROVIDERS[provider].translate) as (gateway, server):
        assert (gateway.request("GET", "/").status, server.tries) == flaky.expected
        assert server.expected_timeouts[0] == "15000"
