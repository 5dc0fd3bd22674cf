"""Routings are compiled, written for Gloo and run in a real Envoy: which Service answers which request."""

import json
import math
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from textwrap import dedent, indent
from threading import Event, Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import envoy
import envoy_gloo
import pytest
import yaml
from envoy import Gateway, Object, Service
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from replicator.diagnostics import Place
from replicator.expander.values import Setting
from replicator.pipeline import Built, Options, Source, build

# Inputs

WEB = """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: web}
spec:
  ports: {http: {unit: web, port: http}}
  units: {web: {image: registry.example.com/web, ports: {http: 80}}}
"""

TWO_PORTS = """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: two-ports}
spec:
  params: {base: {type: integer, default: 8000}}
  ports: {http: {unit: api, port: public}, admin: {unit: side, port: inside}}
  units:
    api: {image: registry.example.com/api, ports: {public: {containerPort: 8080, servicePort: "{{ params.base + 1 }}"}}}
    side: {image: registry.example.com/side, ports: {inside: 9000}}
"""


def island_set(name: str, islands: str, namespace: str = "shop", of_type: str = "web") -> str:
    return f"""
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{type: {of_type}, {islands}}}
"""


def routing(routes: str, name: str = "front", hosts: str = "[example.com]", params: str = "{}", gloo: str = "") -> str:
    """`gloo` is left to its defaults unless it is given."""
    return f"""
apiVersion: replicator.dev/v1alpha1
kind: Routing
metadata: {{name: {name}, namespace: edge}}
spec:
  {f"gloo: {gloo}" if gloo else "provider: gloo"}
  hosts: {hosts}
  params: {params}
  routes:
{indent(dedent(routes).strip(), "    ")}
"""


def dsl(*documents: str) -> str:
    return "---".join(documents)


CART = island_set("cart", 'islands: {us: {weight: 3}, eu: {}, "1": {}, "10": {}}')
BOOK = island_set("book", "islands: {eu: {}, us: {}}")
THREE = island_set("shard", "replicas: 3")


@dataclass(frozen=True)
class Case:
    """A Routing of these routes, and the answer that each request must get. See `ask` for how they are written."""

    routes: str
    expected: Mapping[str, str]
    documents: tuple[str, ...] = (WEB, CART)
    outside: tuple[Service, ...] = ()  # Services that the input does not make
    of_routing: Mapping[str, str] = field(default_factory=dict)

    def dsl(self, **of_routing: str) -> str:
        return dsl(*self.documents, routing(self.routes, **{**self.of_routing, **of_routing}))


def compile_text(text: str, *values: Setting) -> Built:
    return build([Source("dsl.yaml", text.encode())], Options(settings=values))


def compiled(text: str, *values: Setting) -> list[Object]:
    built = compile_text(text, *values)
    assert [f"{one.code}: {one.message}" for one in built.diagnostics] == []
    return list(yaml.load_all(b"".join(built.texts()), yaml.CSafeLoader))


def services(objects: Iterable[Object]) -> list[Service]:
    """The ports of the Services that a proxy may call: headless ones are no destinations."""
    return [
        (item["metadata"]["namespace"], item["metadata"]["name"], port["port"])
        for item in objects
        if item["kind"] == "Service" and item["spec"].get("clusterIP") != "None"
        for port in item["spec"]["ports"]
    ]


# Requests and answers


def ask(gateway: Gateway, request: str) -> str:
    """Sends `[METHOD ]/path?query[ name:value]…` and tells the answer.

    That is `namespace/service:port /path` as the back end saw it, and ` host:…` where it saw another Host than was
    sent; or the status, the Location and the body of what Envoy answers by itself.
    """
    words = request.split(" ")
    method = "GET" if words[0].startswith("/") else words.pop(0)
    path, *rest = words
    headers = [(name, value) for name, _, value in (word.partition(":") for word in rest)]
    host = dict(headers).get("host", "example.com")
    response = gateway.request(method, path, host, [header for header in headers if header[0] != "host"])
    if response.seen is None:
        parts = [str(response.status), response.headers.get("location"), response.body]
        return " ".join(part for part in parts if part)
    assert (response.status, response.seen.method) == (200, method)
    seen_host = response.seen.headers["host"]
    return f"{response.service} {response.path}" + (f" host:{seen_host}" if seen_host != host else "")


def ask_all(gateway: Gateway, requests: Iterable[str]) -> dict[str, str]:
    return {request: ask(gateway, request) for request in requests}


def running(objects: list[Object], outside: Iterable[Service] = ()) -> AbstractContextManager[Gateway]:
    """Envoy in front of the Services among the objects and of those outside."""
    return envoy_gloo.running(objects, [*services(objects), *outside])


STRAIGHT = "{destinations: kube}"

CASES = {
    "by header": Case(
        """
        - each: cart
          match: {headers: {x-island: "{{ island.key }}"}}
        """,
        {
            "/ x-island:eu": "shop/cart-eu-web:80 /",
            "/ X-Island:us": "shop/cart-us-web:80 /",
            "POST /a/b?c=d x-island:1": "shop/cart-1-web:80 /a/b?c=d",
            "/ x-island:10": "shop/cart-10-web:80 /",
            "/ x-island:100": "404",
            "/ x-island:EU": "404",
            "/ x-island:": "404",
            "/ x-islands:eu": "404",
            "/": "404",
        },
    ),
    "by path prefix": Case(
        """
        - each: cart
          match: {path: {prefix: "/i/{{ island.key }}"}}
        """,
        {
            "/i/1": "shop/cart-1-web:80 /i/1",
            "/i/1/": "shop/cart-1-web:80 /i/1/",
            "/i/1/x": "shop/cart-1-web:80 /i/1/x",
            "/i/1?q=10": "shop/cart-1-web:80 /i/1?q=10",
            "/i/10": "shop/cart-10-web:80 /i/10",
            "/i/10/x": "shop/cart-10-web:80 /i/10/x",
            "/i/100": "404",
            "/i/1x": "404",
            "/i/1;x": "404",
            "/i": "404",
            "/i/": "404",
            "/I/1": "404",
            "/x/i/1": "404",
            "/i/1/../10/x": "shop/cart-10-web:80 /i/10/x",
            "/i/1/%2e%2e/eu": "shop/cart-eu-web:80 /i/eu",
        },
    ),
    "a slash at the end of a prefix means nothing": Case(
        """
        - each: cart
          match: {path: {prefix: "/i/{{ island.key }}/"}}
        """,
        {
            "/i/1": "shop/cart-1-web:80 /i/1",
            "/i/1/x": "shop/cart-1-web:80 /i/1/x",
            "/i/10": "shop/cart-10-web:80 /i/10",
            "/i/100": "404",
        },
    ),
    "by exact path": Case(
        """
        - each: cart
          match: {path: {exact: "/e/{{ island.key }}"}}
        """,
        {
            "/e/1": "shop/cart-1-web:80 /e/1",
            "/e/10?x=y": "shop/cart-10-web:80 /e/10?x=y",
            "/e/1/": "404",
            "/e/1/x": "404",
            "/e/100": "404",
        },
    ),
    "by regex path": Case(
        """
        - each: cart
          match: {path: {regex: "/r/{{ island.key }}/[0-9]{1,2}"}}
        """,
        {
            "/r/1/12": "shop/cart-1-web:80 /r/1/12",
            "/r/10/1?q=x": "shop/cart-10-web:80 /r/10/1?q=x",
            "/r/1/123": "404",
            "/r/1/": "404",
            "/x/r/1/12": "404",
        },
    ),
    "a character class of RE2": Case(
        """
        - match: {path: {regex: "/[[:alpha:]]+"}}
          to: {island: cart/eu}
        """,
        {"/a": "shop/cart-eu-web:80 /a", "/1": "404"},
    ),
    "prefix rewritten to /": Case(
        """
        - each: cart
          match: {path: {prefix: "/i/{{ island.key }}"}}
          rewrite: {prefix: /}
        """,
        {
            "/i/1": "shop/cart-1-web:80 /",
            "/i/1/": "shop/cart-1-web:80 /",
            "/i/1?y=z": "shop/cart-1-web:80 /?y=z",
            "/i/1/x/y?z": "shop/cart-1-web:80 /x/y?z",
            "/i/1/i/1": "shop/cart-1-web:80 /i/1",
            "/i/10": "shop/cart-10-web:80 /",
            "/i/10/x": "shop/cart-10-web:80 /x",
            "/i/100": "404",
        },
    ),
    "prefix rewritten to /api": Case(
        """
        - each: cart
          match: {path: {prefix: "/i/{{ island.key }}"}}
          rewrite: {prefix: /api}
        - match: {path: {prefix: /slashed/}}
          rewrite: {prefix: /api/}
          to: {island: cart/us}
        - rewrite: {prefix: /rest}
          to: {island: cart/eu}
        """,
        {
            "/i/1": "shop/cart-1-web:80 /api",
            "/i/1/": "shop/cart-1-web:80 /api/",
            "/i/1?y=z": "shop/cart-1-web:80 /api?y=z",
            "/i/10/x": "shop/cart-10-web:80 /api/x",
            "/slashed/x": "shop/cart-us-web:80 /api/x",
            "/i/100": "shop/cart-eu-web:80 /rest/i/100",
            "/": "shop/cart-eu-web:80 /rest/",
        },
    ),
    "exact path rewritten": Case(
        """
        - match: {path: {exact: /old}}
          rewrite: {prefix: /new}
          to: {island: cart/eu}
        - match: {path: {exact: /top/of/all}}
          rewrite: {prefix: /}
          to: {island: cart/us}
        """,
        {
            "/old": "shop/cart-eu-web:80 /new",
            "/old?x=1": "shop/cart-eu-web:80 /new?x=1",
            "/old/": "404",
            "/top/of/all?x=1": "shop/cart-us-web:80 /?x=1",
        },
    ),
    "rewritten without a path in the match": Case(
        """
        - each: cart
          match: {headers: {x-island: "{{ island.key }}"}}
          rewrite: {prefix: "/of/{{ island.key }}"}
        - match: {path: {prefix: /}}
          rewrite: {prefix: /}
          to: {island: cart/eu}
        """,
        {
            "/ x-island:us": "shop/cart-us-web:80 /of/us/",
            "/x/y x-island:1": "shop/cart-1-web:80 /of/1/x/y",
            "/x/y?z": "shop/cart-eu-web:80 /x/y?z",
            "/": "shop/cart-eu-web:80 /",
        },
    ),
    "host rewritten": Case(
        """
        - each: cart
          match: {path: {prefix: "/i/{{ island.key }}"}}
          rewrite: {host: "{{ island.name }}.{{ island.namespace }}.example.net", prefix: /}
        - rewrite: {host: inside.example.net}
          to: {island: cart/eu}
        """,
        {
            "/i/1/x": "shop/cart-1-web:80 /x host:cart-1.shop.example.net",
            "/": "shop/cart-eu-web:80 / host:inside.example.net",
        },
    ),
    "by query": Case(
        """
        - match: {query: {empty: ""}}
          to: {service: empty, port: 80}
        - match: {query: {Given: {present: true}}}
          to: {service: present, port: 80}
        - match: {query: {number: {regex: "[0-9]{2}"}}}
          to: {service: regex, port: 80}
        - each: cart
          match: {query: {shard: "{{ island.key }}"}}
        """,
        {
            "/?shard=1": "shop/cart-1-web:80 /?shard=1",
            "/?x=y&shard=10": "shop/cart-10-web:80 /?x=y&shard=10",
            "/a?shard=eu": "shop/cart-eu-web:80 /a?shard=eu",
            "/?shard=100": "404",
            "/?shard=": "404",
            "/?shards=1": "404",
            "/?Shard=1": "404",
            "/ shard:1": "404",
            "/": "404",
            "/?empty=": "edge/empty:80 /?empty=",
            "/?empty": "edge/empty:80 /?empty",
            "/?empty=x": "404",
            "/?Given": "edge/present:80 /?Given",
            "/?Given=": "edge/present:80 /?Given=",
            "/?Given=x": "edge/present:80 /?Given=x",
            "/?given": "404",
            "/?number=12": "edge/regex:80 /?number=12",
            "/?number=123": "404",
            "/?number=": "404",
        },
        outside=(("edge", "empty", 80), ("edge", "present", 80), ("edge", "regex", 80)),
    ),
    "by headers": Case(
        """
        - match: {path: {exact: /exact}, headers: {x-v: {exact: "a,b"}}}
          to: {island: cart/eu}
        - match: {path: {exact: /empty}, headers: {x-v: ""}}
          to: {island: cart/eu}
        - match: {path: {exact: /regex}, headers: {X-V: {regex: "[ab]+"}}}
          to: {island: cart/eu}
        - match: {path: {exact: /present}, headers: {x-v: {present: true}}}
          to: {island: cart/eu}
        - match: {path: {exact: /absent}, headers: {x-v: {absent: true}}}
          to: {island: cart/eu}
        """,
        {
            "/exact x-v:a,b": "shop/cart-eu-web:80 /exact",
            "/exact x-v:a": "404",
            "/empty x-v:": "shop/cart-eu-web:80 /empty",
            "/empty x-v:a": "404",
            "/empty": "404",
            "/regex x-v:ab": "shop/cart-eu-web:80 /regex",
            "/regex x-v:abc": "404",
            "/regex": "404",
            "/present x-v:a": "shop/cart-eu-web:80 /present",
            "/present x-v:": "shop/cart-eu-web:80 /present",
            "/present": "404",
            "/absent": "shop/cart-eu-web:80 /absent",
            "/absent x-v:a": "404",
            "/absent x-v:": "404",
        },
    ),
    "integers and booleans are their text": Case(
        """
        - match: {headers: {x-number: 1}}
          to: {island: cart/1}
        - match: {query: {flag: true}}
          to: {island: cart/eu}
        - match: {headers: {x-word: "no"}}
          to: {island: cart/us}
        """,
        {
            "/ x-number:1": "shop/cart-1-web:80 /",
            "/ x-number:1.0": "404",
            "/?flag=true": "shop/cart-eu-web:80 /?flag=true",
            "/?flag=1": "404",
            "/ x-word:no": "shop/cart-us-web:80 /",
            "/ x-word:false": "404",
        },
    ),
    "by method": Case(
        """
        - match: {methods: [GET, POST]}
          to: {island: cart/eu}
        - match: {methods: [DELETE], path: {prefix: /x}}
          to: {island: cart/us}
        """,
        {
            "GET /": "shop/cart-eu-web:80 /",
            "POST /x": "shop/cart-eu-web:80 /x",
            "DELETE /x": "shop/cart-us-web:80 /x",
            "DELETE /": "404",
            "PUT /x": "404",
            "HEAD /": "404",
        },
    ),
    "conditions of one match are AND": Case(
        """
        - match: {path: {prefix: /a}, headers: {x-a: "1", x-b: "2"}, query: {q: "3"}, methods: [GET]}
          to: {island: cart/eu}
        """,
        {
            "/a?q=3 x-a:1 x-b:2": "shop/cart-eu-web:80 /a?q=3",
            "/a/b?q=3 x-a:1 x-b:2": "shop/cart-eu-web:80 /a/b?q=3",
            "/b?q=3 x-a:1 x-b:2": "404",
            "/a?q=3 x-a:1": "404",
            "/a?q=3 x-a:1 x-b:1": "404",
            "/a x-a:1 x-b:2": "404",
            "POST /a?q=3 x-a:1 x-b:2": "404",
        },
    ),
    "a list of matches is OR": Case(
        """
        - match: [{path: {exact: /a}}, {path: {prefix: /b}, methods: [POST]}, {headers: {x-c: {present: true}}}]
          to: {island: cart/eu}
        """,
        {
            "/a": "shop/cart-eu-web:80 /a",
            "POST /b/x": "shop/cart-eu-web:80 /b/x",
            "/x x-c:1": "shop/cart-eu-web:80 /x",
            "/b": "404",
            "/": "404",
        },
    ),
    "each of a list of matches has its own rewrite": Case(
        """
        - match: [{path: {exact: /a}}, {path: {prefix: /b}}, {path: {prefix: /}, headers: {x-c: {present: true}}}]
          rewrite: {prefix: /r}
          to: {island: cart/eu}
        """,
        {
            "/a": "shop/cart-eu-web:80 /r",
            "/b": "shop/cart-eu-web:80 /r",
            "/b/x": "shop/cart-eu-web:80 /r/x",
            "/x x-c:1": "shop/cart-eu-web:80 /r/x",
            "/b/x x-c:1": "shop/cart-eu-web:80 /r/x",
            "/": "404",
        },
    ),
    "the header wins that is written first": Case(
        """
        - each: cart
          match: {headers: {x-island: "{{ island.key }}"}}
        - each: cart
          match: {path: {prefix: "/i/{{ island.key }}"}}
        """,
        {
            "/i/us x-island:eu": "shop/cart-eu-web:80 /i/us",
            "/i/eu x-island:us": "shop/cart-us-web:80 /i/eu",
            "/i/us x-island:no": "shop/cart-us-web:80 /i/us",
        },
    ),
    "the path wins that is written first": Case(
        """
        - each: cart
          match: {path: {prefix: "/i/{{ island.key }}"}}
        - each: cart
          match: {headers: {x-island: "{{ island.key }}"}}
        """,
        {
            "/i/us x-island:eu": "shop/cart-us-web:80 /i/us",
            "/i/eu x-island:us": "shop/cart-eu-web:80 /i/eu",
            "/i/no x-island:us": "shop/cart-us-web:80 /i/no",
        },
    ),
    "a long path does not win over a short one before it": Case(
        """
        - match: {path: {prefix: /a}, methods: [GET, POST]}
          to: {island: cart/eu}
        - match: {path: {regex: "/a/.*"}, query: {by: regex}}
          to: {island: cart/1}
        - match: {path: {exact: /a/b}}
          to: {island: cart/us}
        """,
        {
            "/a/b": "shop/cart-eu-web:80 /a/b",
            "/a/b?by=regex": "shop/cart-eu-web:80 /a/b?by=regex",
            "PUT /a/b?by=regex": "shop/cart-1-web:80 /a/b?by=regex",
            "PUT /a/b": "shop/cart-us-web:80 /a/b",
            "PUT /a/c": "404",
        },
    ),
    "the first island wins where islands overlap": Case(
        """
        - each: cart
          match: [{headers: {x-island: "{{ island.key }}"}}, {path: {prefix: "/i/{{ island.key }}"}}]
        """,
        {
            "/i/us x-island:eu": "shop/cart-eu-web:80 /i/us",
            "/i/eu/x x-island:us": "shop/cart-eu-web:80 /i/eu/x",
            "/i/10 x-island:1": "shop/cart-1-web:80 /i/10",
            "/i/1 x-island:10": "shop/cart-1-web:80 /i/1",
        },
    ),
    "the first island wins where islands overlap and paths are rewritten": Case(
        """
        - each: cart
          match: [{headers: {x-island: "{{ island.key }}"}}, {path: {prefix: "/i/{{ island.key }}"}}]
          rewrite: {prefix: /r}
        """,
        {
            "/i/us x-island:eu": "shop/cart-eu-web:80 /r/i/us",
            "/i/eu x-island:us": "shop/cart-eu-web:80 /r",
            "/i/eu/x x-island:us": "shop/cart-eu-web:80 /r/x",
            "/i/10 x-island:1": "shop/cart-1-web:80 /r/i/10",
            "/i/1 x-island:10": "shop/cart-1-web:80 /r",
        },
    ),
    "a weight of zero": Case(
        """
        - match: {path: {prefix: /list}}
          to: [{island: cart/eu, weight: 0}, {island: cart/us, weight: 5}, {service: web, port: 80, weight: 0}]
        - to: {spread: mostly}
        """,
        {
            **{f"/list/{number}": f"shop/cart-us-web:80 /list/{number}" for number in range(20)},
            **{f"/{number}": f"shop/mostly-on-web:80 /{number}" for number in range(20)},
        },
        (WEB, CART, island_set("mostly", 'islands: {"on": {weight: 2}, "off": {weight: 0}}')),
        outside=(("edge", "web", 80),),
    ),
    "Services": Case(
        """
        - {match: {path: {prefix: /own}}, to: {service: web, port: 80}}
        - {match: {path: {prefix: /admin}}, to: {service: edge/web, port: 8080}}
        - {match: {path: {prefix: /other}}, port: 80, to: {service: store/web}}
        - {match: {path: {prefix: /list}}, port: 80, to: [{service: store/web}, {service: web, port: 8080, weight: 0}]}
        """,
        {
            "/own": "edge/web:80 /own",
            "/admin": "edge/web:8080 /admin",
            "/other": "store/web:80 /other",
            "/list": "store/web:80 /list",
            "/": "404",
        },
        (),
        outside=(("edge", "web", 80), ("edge", "web", 8080), ("store", "web", 80)),
    ),
    "an island beside a Service": Case(
        """
        - to: [{service: web, port: 80, weight: 0}, {island: cart/eu, weight: 1}]
        """,
        {"/": "shop/cart-eu-web:80 /"},
        outside=(("edge", "web", 80),),
    ),
    "redirects": Case(
        """
        - {match: {path: {prefix: /path}}, redirect: {path: /new}}
        - {match: {path: {prefix: /host}}, redirect: {host: new.example.com, status: 302}}
        - {match: {path: {prefix: /whole}}, redirect: {host: n.example.com, path: /n, status: 308, stripQuery: true}}
        - {match: {path: {prefix: /https}}, redirect: {scheme: https, status: 307}}
        - {match: {path: {prefix: /port}}, redirect: {scheme: https, port: 8443, status: 303}}
        - {match: {path: {prefix: /plain}}, redirect: {port: 8080}}
        - {match: {path: {prefix: /prefix}}, redirect: {prefix: /p/q}}
        - {match: {path: {prefix: /top}}, redirect: {prefix: /}}
        - {match: {path: {exact: /exact}}, redirect: {prefix: /e}}
        """,
        {
            "/path/x?q=1": "301 http://example.com/new?q=1",
            "/host/x?q=1": "302 http://new.example.com/host/x?q=1",
            "/whole/x?q=1": "308 http://n.example.com/n",
            "/https/x?q=1": "307 https://example.com/https/x?q=1",
            "/port": "303 https://example.com:8443/port",
            "/plain": "301 http://example.com:8080/plain",
            "/prefix": "301 http://example.com/p/q",
            "/prefix/x?q=1": "301 http://example.com/p/q/x?q=1",
            "/prefixes": "404",
            "/top": "301 http://example.com/",
            "/top/x": "301 http://example.com/x",
            "/exact?q=1": "301 http://example.com/e?q=1",
            "POST /path": "301 http://example.com/new",
        },
        (),
    ),
    "a redirect's prefix with a slash at its end": Case(
        """
        - {match: {path: {prefix: /old}}, redirect: {prefix: /new/}}
        """,
        {"/old/x": "301 http://example.com/new/x"},
        (),
    ),
    "redirects of each island": Case(
        """
        - each: cart
          match: {path: {prefix: "/i/{{ island.key }}"}}
          redirect: {prefix: /, host: new.example.com}
        """,
        {
            "/i/1/x": "301 http://new.example.com/x",
            "/i/10": "301 http://new.example.com/",
            "/i/100": "404",
        },
    ),
    "fixed responses": Case(
        """
        - {match: {path: {prefix: /status}}, respond: 421}
        - {match: {path: {prefix: /nothing}}, respond: {status: 204}}
        - {match: {path: {prefix: /body}}, respond: {status: 503, body: "{{ params.word }}, 100%"}}
        - each: cart
          match: {path: {exact: "/which/{{ island.key }}"}}
          respond: {status: 200, body: "{{ island.name }}"}
        """,
        {
            "/status": "421",
            "/nothing": "204",
            "/body": "503 soon, 100%",
            "/which/10": "200 cart-10",
            "/which/100": "404",
        },
        of_routing={"params": "{word: {type: string, default: soon}}"},
    ),
    "a default route": Case(
        """
        - each: cart
          match: {headers: {x-island: "{{ island.key }}"}}
        - to: {service: rest, port: 80}
        """,
        {
            "/ x-island:eu": "shop/cart-eu-web:80 /",
            "/ x-island:no": "edge/rest:80 /",
            "DELETE /a/b?c=d": "edge/rest:80 /a/b?c=d",
        },
        outside=(("edge", "rest", 80),),
    ),
    "hosts": Case(
        """
        - to: {island: cart/eu}
        """,
        {
            "/ host:shop.example.org": "shop/cart-eu-web:80 /",
            "/ host:SHOP.example.org": "shop/cart-eu-web:80 /",
            "/ host:a.example.com": "shop/cart-us-web:80 /",  # the other Routing's, which is without a wildcard
            "/ host:b.example.com": "shop/cart-eu-web:80 /",
            "/ host:example.com": "404",
            "/ host:example.org": "404",
            "/ host:other.example.org": "404",
        },
        (WEB, CART, routing("- {to: {island: cart/us}}", "other", "[a.example.com]")),
        of_routing={"hosts": '[shop.example.org, "*.example.com"]'},
    ),
    "any host": Case(
        """
        - to: {island: cart/eu}
        """,
        {"/ host:shop.example.org": "shop/cart-eu-web:80 /", "/ host:localhost": "shop/cart-eu-web:80 /"},
        of_routing={"hosts": '["*"]'},
    ),
    "parameters": Case(
        """
        - match: {path: {prefix: "{{ params.base }}/v{{ params.version }}"}, headers: {x-on: "{{ params.on }}"}}
          to: {island: "cart/{{ params.first }}"}
          rewrite: {prefix: "{{ params.base }}", host: "in.{{ params.site.domain }}"}
        - match: {headers: {x-empty: "{{ params.empty }}"}}
          to: {service: "{{ params.first }}-web", port: 80}
        """,
        {
            "/base/v2/x host:example.net x-on:true": "shop/cart-us-web:80 /base/x host:in.example.net",
            "/base/v2/x host:example.net": "404",
            "/base/v2/x host:www.example.net x-on:true": "shop/cart-us-web:80 /base/x host:in.example.net",
            "/base/v2/x host:example.com x-on:true": "404",
            "/ host:example.net x-empty:": "edge/us-web:80 /",
            "/ host:example.net x-empty:a": "404",
        },
        outside=(("edge", "us-web", 80),),
        of_routing={
            "hosts": '["{{ params.site.domain }}", "www.{{ params.site.domain }}"]',
            "params": """
    base: {type: string, default: /base}
    version: {type: integer, default: 2}
    on: {type: boolean, default: true}
    first: {type: string, default: us}
    empty: {type: string, default: ""}
    site: {type: object, default: {domain: example.net}}""",
        },
    ),
    "a Set by replicas": Case(
        """
        - each: shard
          match: {headers: {x-shard: "{{ island.ordinal }}"}}
        - match: {path: {exact: /two}}
          to: {island: shard/2}
        """,
        {
            "/ x-shard:0": "shop/shard-0-web:80 /",
            "/ x-shard:2": "shop/shard-2-web:80 /",
            "/ x-shard:3": "404",
            "/ x-shard:00": "404",
            "/two": "shop/shard-2-web:80 /two",
        },
        (WEB, THREE),
    ),
    "a Set that starts at 7": Case(
        """
        - each: shard
          match: {path: {prefix: "/{{ island.key }}"}}
        """,
        {
            "/7": "shop/shard-7-web:80 /7",
            "/10/x": "shop/shard-10-web:80 /10/x",
            "/6": "404",
            "/11": "404",
            "/1": "404",
        },
        (WEB, island_set("shard", "replicas: 4, start: 7")),
    ),
    "a Service per pod": Case(
        """
        - each: shard
          match: {headers: {x-shard: "{{ island.key }}"}}
          port: http
        - each: shard
          match: {path: {prefix: "/admin/{{ island.key }}"}}
          port: admin
        - to: {island: shard/8}
          port: http
        """,
        {
            "/ x-shard:7": "shop/shard-7:8080 /",
            "/ x-shard:8": "shop/shard-8:8080 /",
            "/admin/7": "shop/shard-7:9000 /admin/7",
            "/": "shop/shard-8:8080 /",
        },
        (
            TWO_PORTS.replace(', servicePort: "{{ params.base + 1 }}"', ""),
            island_set("shard", "replicas: 2, start: 7, form: pods", of_type="two-ports"),
        ),
    ),
    "an empty Set": Case(
        """
        - each: shard
          match: {headers: {x-shard: "{{ island.key }}"}}
        - match: {path: {prefix: /x}}
          to: {service: rest, port: 80}
        """,
        {"/ x-shard:0": "404", "/x x-shard:0": "edge/rest:80 /x"},
        (WEB, island_set("shard", "replicas: 0")),
        outside=(("edge", "rest", 80),),
    ),
    "ports of each island": Case(
        """
        - each: two
          match: {path: {prefix: "/{{ island.key }}"}}
          port: http
        - match: {path: {exact: /admin}}
          to: {island: two/eu, port: admin}
        - match: {path: {exact: /both}}
          port: http
          to: [{island: two/eu, port: admin, weight: 0}, {island: two/us}]
        - match: {path: {exact: /own}}
          port: http
          to: {island: two/eu, port: admin}
        """,
        {
            "/eu": "shop/two-eu-api:7001 /eu",
            "/us": "shop/two-us-api:8001 /us",
            "/admin": "shop/two-eu-side:9000 /admin",
            "/both": "shop/two-us-api:8001 /both",
            "/own": "shop/two-eu-side:9000 /own",
        },
        (TWO_PORTS, island_set("two", "islands: {eu: {params: {base: 7000}}, us: {}}", of_type="two-ports")),
    ),
    "expressions over the island": Case(
        """
        - each: cart
          match: {headers: {x-island: "{{ island.key | upper }}"}}
        - each: cart
          match: {path: {exact: "{{ params.base }}/{{ island.set }}.{{ island.name }}.{{ island.namespace }}"}}
        """,
        {
            "/ x-island:EU": "shop/cart-eu-web:80 /",
            "/ x-island:eu": "404",
            "/b/cart.cart-us.shop": "shop/cart-us-web:80 /b/cart.cart-us.shop",
        },
        of_routing={"params": "{base: {type: string, default: /b}}"},
    ),
    "a regular expression that turns out empty": Case(
        """
        - match: {headers: {x-v: {regex: "{{ params.pattern }}"}}}
          to: {island: cart/eu}
        """,
        {"/ x-v:": "shop/cart-eu-web:80 /", "/ x-v:a": "404"},
        of_routing={"params": '{pattern: {type: string, default: ""}}'},
    ),
    "Sets whose names begin alike": Case(
        """
        - each: cart
          match: {headers: {x-island: "{{ island.key }}"}}
        - to: {island: cart-beta/eu}
        """,
        {"/ x-island:us": "shop/cart-us-web:80 /", "/": "shop/cart-beta-eu-web:80 /"},
        (WEB, CART, island_set("cart-beta", "islands: {eu: {}}")),
    ),
    "an island in one route, its whole Set in another": Case(
        """
        - match: {path: {prefix: /eu}}
          to: {island: cart/eu}
        - each: cart
          match: {headers: {x-island: "{{ island.key }}"}}
        """,
        {"/eu": "shop/cart-eu-web:80 /eu", "/ x-island:eu": "shop/cart-eu-web:80 /"},
    ),
    "each island's requests to other destinations": Case(
        """
        - each: book
          match: {path: {prefix: "/list/{{ island.key }}"}}
          to: [{island: cart/10, weight: 1}, {island: cart/1, weight: 0}]
        - each: book
          match: {path: {prefix: "/spread/{{ island.key }}"}}
          to: {spread: one}
        """,
        {
            "/list/us": "shop/cart-10-web:80 /list/us",
            "/spread/eu": "shop/one-0-web:80 /spread/eu",
            "/spread/us": "shop/one-0-web:80 /spread/us",
            "/spread/1": "404",
        },
        (WEB, CART, BOOK, island_set("one", "replicas: 1")),
    ),
    "two Routings": Case(
        """
        - each: cart
          match: {path: {prefix: "/i/{{ island.key }}"}}
        """,
        {
            "/i/eu": "shop/cart-eu-web:80 /i/eu",
            "/i/us host:back.example.com": "shop/cart-us-web:80 /api",
        },
        (
            WEB,
            CART,
            routing(
                """
                - each: cart
                  match: {path: {prefix: "/i/{{ island.key }}"}}
                  rewrite: {prefix: /api}
                """,
                "back",
                "[back.example.com]",
            ),
        ),
    ),
    "Upstreams in a namespace of their own": Case(
        """
        - each: cart
          match: {path: {prefix: "/i/{{ island.key }}"}}
        - to: {service: web, port: 80}
        """,
        {"/i/eu": "shop/cart-eu-web:80 /i/eu", "/": "edge/web:80 /"},
        outside=(("edge", "web", 80),),
        of_routing={"gloo": "{namespace: gloo-system}"},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_requests_get_their_answers(case: Case) -> None:
    with running(compiled(case.dsl()), case.outside) as gateway:
        assert ask_all(gateway, case.expected) == case.expected


@pytest.mark.parametrize(
    "name",
    [
        "by header",
        "prefix rewritten to /api",
        "a weight of zero",
        "Services",
        "a Service per pod",
        "ports of each island",
        "Sets whose names begin alike",
        "two Routings",
    ],
)
def test_straight_to_services_they_are_the_same(name: str) -> None:
    case = CASES[name]
    with running(compiled(case.dsl(gloo=STRAIGHT)), case.outside) as gateway:
        assert ask_all(gateway, case.expected) == case.expected


WITH_HOSTS = """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: web}
spec:
  params: {site: {type: string, default: main}}
  ports: {http: {unit: web, port: http}}
  units: {web: {image: "web:1", ports: {http: 80}}}
  implementations:
    vm: {external: {host: "{{ island.key }}.{{ params.site }}.example.net", port: 443, tls: true}}
    old: {external: {host: old.example.net, port: 8080}}
"""
MIXED = island_set("cart", "islands: {eu: {}, us: {implementation: vm}, ap: {implementation: old, weight: 0}}")
OUTSIDE_ROUTES = """
    - {each: cart, match: {headers: {x-island: "{{ island.key }}"}}}
    - {match: {path: {prefix: /one}}, to: {island: cart/us}, rewrite: {prefix: /}}
    - {match: {path: {prefix: /host}}, to: {island: cart/us}, rewrite: {host: other.example.com}}
    - {match: {path: {prefix: /list}}, to: [{island: cart/us, weight: 0}, {island: cart/ap}]}
    - {match: {path: {prefix: /eu}}, to: {island: cart/eu}}
    - {name: rest, to: {spread: cart}}
"""


@pytest.mark.parametrize("gloo", ["", STRAIGHT])
def test_islands_outside_of_the_cluster(gloo: str) -> None:
    """Routes lead to hosts as to any other island, and each sees its own name, as from its other callers.

    No route can go straight to a host: it has an Upstream all the same.
    """
    objects = compiled(dsl(WITH_HOSTS, MIXED, routing(OUTSIDE_ROUTES, gloo=gloo)))
    us, ap = "/us.main.example.net:443 {} host:us.main.example.net", "/old.example.net:8080 {} host:old.example.net"
    expected = {
        "/a x-island:eu": "shop/cart-eu-web:80 /a",
        "/a x-island:us": us.format("/a"),
        "/a x-island:ap": ap.format("/a"),
        "/one/a": us.format("/a"),
        "/host": us.format("/host").replace("host:us.main.example.net", "host:other.example.com"),
        "/list": ap.format("/list"),
        "/eu": "shop/cart-eu-web:80 /eu",
    }
    with running(objects, [("", "us.main.example.net", 443), ("", "old.example.net", 8080)]) as gateway:
        assert ask_all(gateway, expected) == expected
        assert {ask(gateway, "/").partition(" ")[0] for _ in range(60)} == {
            "shop/cart-eu-web:80",
            "/us.main.example.net:443",
        }


def test_an_island_that_leaves_the_cluster_changes_its_own_upstream_and_routes_only() -> None:
    before = compiled(dsl(WITH_HOSTS, MIXED.replace("us: {implementation: vm}", "us: {}"), routing(OUTSIDE_ROUTES)))
    after = compiled(dsl(WITH_HOSTS, MIXED, routing(OUTSIDE_ROUTES)))
    changed = [item for item in before if item not in after]
    named = [(item["kind"], item["metadata"]["name"]) for item in changed]
    own = [("Service", "cart-us-web"), ("Deployment", "cart-us-web"), ("Upstream", "front-cart-us-http")]
    assert named == [*own, ("VirtualService", "front")]
    routes = [objects[-1]["spec"]["virtualHost"]["routes"] for objects in (before, after)]
    differing = [pair for pair in zip(*routes, strict=True) if pair[0] != pair[1]]
    # Its own route, and the one that leads to it alone: it is to see its own name.
    assert [at_first["matchers"][0] for at_first, _ in differing] == [
        {"prefix": "/", "headers": [{"name": "x-island", "value": "us"}]},
        {"exact": "/one"},
    ]
    for at_first, then in differing:
        assert then == {**at_first, "options": {**at_first["options"], "autoHostRewrite": True}}


def test_a_parameter_is_set_from_outside() -> None:
    routes = '- {to: {island: "cart/{{ params.first }}"}}'
    text = dsl(
        WEB,
        CART,
        routing(
            routes,
            hosts='["{{ params.domain }}"]',
            params="{domain: {type: string}, first: {type: string, default: eu}}",
        ),
    )
    place = Place("--set", 1, 1, 1, 2)
    given = [
        Setting("front", "", name, value, place, True) for name, value in (("domain", "example.net"), ("first", "us"))
    ]
    with running(compiled(text, *given)) as gateway:
        expected = {"/ host:example.net": "shop/cart-us-web:80 /", "/ host:example.com": "404"}
        assert ask_all(gateway, expected) == expected


MANY = dsl(
    WEB,
    island_set("shard", "replicas: 300"),
    routing('- {each: shard, match: {headers: {x-shard: "{{ island.key }}"}}}\n- {respond: 421}'),
)


def test_each_of_300_islands() -> None:
    expected = {f"/ x-shard:{number}": f"shop/shard-{number}-web:80 /" for number in range(300)}
    expected |= {"/ x-shard:300": "421", "/ x-shard:01": "421", "/ x-shard:-1": "421"}
    with running(compiled(MANY)) as gateway:
        assert ask_all(gateway, expected) == expected


# Weights


class Share(NamedTuple):
    """Routes, and which part of the requests for a path each Service gets."""

    routes: str
    shares: Mapping[str, float]
    path: str = "/"

    def dsl(self) -> str:
        return dsl(WEB, CART, THREE, routing(self.routes))


SHARES = {
    "a weighted list": Share(
        "- {to: [{island: cart/eu, weight: 9}, {island: cart/us, weight: 1}]}",
        {"shop/cart-eu-web:80": 0.9, "shop/cart-us-web:80": 0.1},
    ),
    "a weighted list beside zeros": Share(
        "- {to: [{island: cart/1, weight: 0}, {island: cart/eu}, {service: web, port: 80, weight: 3}]}",
        {"shop/cart-eu-web:80": 0.25, "edge/web:80": 0.75},
    ),
    "an island twice in a list": Share(
        "- {to: [{island: cart/eu, weight: 2}, {island: cart/us, weight: 4}, {island: cart/eu, weight: 2}]}",
        {"shop/cart-eu-web:80": 0.5, "shop/cart-us-web:80": 0.5},
    ),
    "a spread": Share(
        "- {to: {spread: cart}}",
        {
            "shop/cart-1-web:80": 1 / 6,
            "shop/cart-10-web:80": 1 / 6,
            "shop/cart-eu-web:80": 1 / 6,
            "shop/cart-us-web:80": 0.5,
        },
    ),
    "a spread of a Set by replicas": Share(
        "- {to: {spread: shard}}",
        {"shop/shard-0-web:80": 1 / 3, "shop/shard-1-web:80": 1 / 3, "shop/shard-2-web:80": 1 / 3},
    ),
    "a spread for each island": Share(
        """
        - each: cart
          match: {path: {prefix: "/{{ island.key }}"}}
          to: {spread: shard}
        """,
        {"shop/shard-0-web:80": 1 / 3, "shop/shard-1-web:80": 1 / 3, "shop/shard-2-web:80": 1 / 3},
        "/eu",
    ),
}


@pytest.mark.parametrize("share", SHARES.values(), ids=list(SHARES))
def test_weights(share: Share) -> None:
    requests = 600
    with running(compiled(share.dsl()), [("edge", "web", 80)]) as gateway:
        found = Counter(gateway.request("GET", share.path).service for _ in range(requests))
    assert found.keys() == share.shares.keys()
    for name, part in share.shares.items():
        deviation = math.sqrt(requests * part * (1 - part))
        assert abs(found[name] - requests * part) < 5.5 * deviation, found


# Timeouts and retries

NEVER = 0  # in place of a status: the request is not answered at all


class ScriptedServer(ThreadingHTTPServer):
    """A back end that answers with these statuses in turn, and then with 200."""

    def __init__(self, statuses: Iterable[int]) -> None:
        super().__init__((envoy.LOOPBACK, 0), _Scripted)
        self.statuses = list(statuses)
        self.tries = 0
        self.expected_timeouts: list[str | None] = []
        self.closing = Event()


class _Scripted(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    server: ScriptedServer

    def do_GET(self) -> None:
        self.server.tries += 1
        self.server.expected_timeouts.append(self.headers.get("x-envoy-expected-rq-timeout-ms"))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status == NEVER:
            self.server.closing.wait(envoy.PATIENCE)
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def scripted(
    objects: Iterable[Object], statuses: Iterable[int], bootstrap: envoy.Translate = envoy_gloo.bootstrap
) -> Iterator[tuple[Gateway, ScriptedServer]]:
    """Envoy in front of the one back end edge/flaky:80."""

    def translate(items: Iterable[Object], _: envoy.Services, listen_port: int) -> dict[str, Any]:
        host, port = server.server_address[:2]
        return bootstrap(items, {("edge", "flaky", 80): (str(host), port)}, listen_port)

    with ScriptedServer(statuses) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with envoy.running(translate, objects, []) as gateway:
                yield gateway, server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


class Flaky(NamedTuple):
    """What a route says, what its back end answers in turn, and then: the status, and how often it was tried."""

    fields: str
    statuses: tuple[int, ...]
    expected: tuple[int, int]


FLAKY = {
    "no retries unless said": Flaky("", (503,), (503, 1)),
    "until it succeeds": Flaky("retries: {attempts: 3}", (500, 503), (200, 3)),
    "at most so many": Flaky("retries: {attempts: 2}", (503, 503, 503), (503, 3)),
    "what counts as failed": Flaky("retries: {attempts: 2, retryOn: [gateway-error]}", (502, 500), (500, 2)),
    "several things count": Flaky(
        "retries: {attempts: 2, retryOn: [gateway-error, retriable-4xx]}", (502, 409), (200, 3)
    ),
    "each try has its time": Flaky("timeout: 10s, retries: {attempts: 1, perTryTimeout: 500ms}", (NEVER,), (200, 2)),
    "the whole has its time": Flaky("timeout: 0.3s", (NEVER,), (504, 1)),
    "tries share the time of the whole": Flaky("timeout: 300ms, retries: {attempts: 5}", (NEVER,), (504, 1)),
}


def flaky_routes(fields: str) -> str:
    return f"- {{{', '.join(filter(None, ['to: {service: flaky, port: 80}', fields]))}}}"


@pytest.mark.parametrize("flaky", FLAKY.values(), ids=list(FLAKY))
def test_timeouts_and_retries(flaky: Flaky) -> None:
    with scripted(compiled(dsl(routing(flaky_routes(flaky.fields)))), flaky.statuses) as (gateway, server):
        started = time.monotonic()
        status = gateway.request("GET", "/").status
        assert time.monotonic() - started < 5
        assert (status, server.tries) == flaky.expected


@pytest.mark.parametrize(
    ("fields", "milliseconds"),
    [("", "15000"), ("timeout: 1m1.5s", "61500"), ("timeout: 0s", None)],
)
def test_the_time_that_a_request_may_take(fields: str, milliseconds: str | None) -> None:
    with scripted(compiled(dsl(routing(flaky_routes(fields)))), []) as (gateway, server):
        assert gateway.request("GET", "/").status == 200
        assert server.expected_timeouts == [milliseconds]


# What may not be

MIXED_UP = {
    "Services of namespaces": (
        dsl(
            routing(
                """
                - {match: {path: {exact: /1}}, to: {service: a/b-c, port: 80}}
                - {match: {path: {exact: /2}}, to: {service: a-b/c, port: 80}}
                """
            )
        ),
        {"/1": "a/b-c:80 /1", "/2": "a-b/c:80 /2"},
        [("a", "b-c", 80), ("a-b", "c", 80)],
    ),
    "islands of namespaces": (
        dsl(
            WEB,
            island_set("a", "islands: {b-c: {}}", "one"),
            island_set("a-b", "islands: {c: {}}", "two"),
            routing(
                """
                - {match: {path: {exact: /1}}, to: {island: a/b-c}}
                - {match: {path: {exact: /2}}, to: {island: a-b/c}}
                """
            ),
        ),
        {"/1": "one/a-b-c-web:80 /1", "/2": "two/a-b-c-web:80 /2"},
        [],
    ),
    "whole Sets of namespaces": (
        dsl(
            WEB,
            island_set("a", "islands: {b-c: {}}", "one"),
            island_set("a-b", "islands: {c: {}}", "two"),
            routing("- {match: {path: {exact: /1}}, to: {spread: a}}\n- {to: {spread: a-b}}"),
        ),
        {"/1": "one/a-b-c-web:80 /1", "/2": "two/a-b-c-web:80 /2"},
        [],
    ),
    "an island and a Service": (
        dsl(
            WEB.replace("{http: {", "{http-80: {"),
            island_set("cart", "islands: {eu: {}}"),
            routing("- {match: {path: {exact: /1}}, to: {spread: cart}}\n- {to: {service: cart/eu-http, port: 80}}"),
        ),
        {"/1": "shop/cart-eu-web:80 /1", "/2": "cart/eu-http:80 /2"},
        [("cart", "eu-http", 80)],
    ),
    "Routings": (
        dsl(
            WEB,
            island_set("a-b", "islands: {eu: {}}"),
            island_set("b", "islands: {eu: {}}"),
            routing("- {to: {spread: a-b}}", "front"),
            routing("- {to: {spread: b}}", "front-a", "[a.example.com]"),
        ),
        {"/1": "shop/a-b-eu-web:80 /1", "/2 host:a.example.com": "shop/b-eu-web:80 /2"},
        [],
    ),
    "a Service for each island": (
        dsl(
            WEB,
            BOOK,
            routing(
                """
                - each: book
                  match: {path: {exact: "/{{ island.key }}"}}
                  to: {service: "db{{ island.key }}", port: 80}
                """
            ),
        ),
        {"/eu": "edge/dbeu:80 /eu", "/us": "edge/dbus:80 /us"},
        [("edge", "db", 80), ("edge", "dbeu", 80), ("edge", "dbus", 80)],
    ),
    "another Set's island of the same key": (
        dsl(
            WEB,
            BOOK,
            CART,
            routing(
                '- {each: book, match: {path: {exact: "/{{ island.key }}"}}, to: {island: "cart/{{ island.key }}"}}'
            ),
        ),
        {"/eu": "shop/cart-eu-web:80 /eu", "/us": "shop/cart-us-web:80 /us"},
        [],
    ),
    "paths that turn out empty": (
        dsl(
            WEB,
            island_set("letter", "islands: {a: {}, ab: {}}"),
            routing("""- {each: letter, match: {path: {prefix: "/i/{{ island.key | replace('a', '') }}"}}}"""),
        ),
        {"/i/b/x": "shop/letter-ab-web:80 /i/b/x", "/i/c": "shop/letter-a-web:80 /i/c"},
        [],
    ),
}


@pytest.mark.parametrize(("text", "expected", "outside"), MIXED_UP.values(), ids=list(MIXED_UP))
def test_destinations_are_never_mixed_up(text: str, expected: Mapping[str, str], outside: list[Service]) -> None:
    """The compiler may refuse what runs into each other, but never mislead a request."""
    if not compile_text(text).diagnostics:
        with running(compiled(text), outside) as gateway:
            assert ask_all(gateway, expected) == expected


def one_route(fields: str, *documents: str, **of_routing: str) -> str:
    return dsl(*(documents or (WEB, CART)), routing(f"- {{{fields}}}", **of_routing))


UDP = TWO_PORTS.replace("inside: 9000", "inside: {containerPort: 9000, protocol: UDP}")

REFUSED = {
    "two slashes in a path": one_route("match: {path: {prefix: /a//b}}, to: {island: cart/eu}"),
    "a redirect to the same place": one_route("redirect: {status: 308}"),
    "a redirect that keeps the query": one_route("redirect: {stripQuery: false}"),
    "two slashes in a rewrite": one_route("match: {path: {prefix: /a}}, rewrite: {prefix: //}, to: {island: cart/eu}"),
    "all weights zero": one_route("to: [{island: cart/eu, weight: 0}, {island: cart/us, weight: 0}]"),
    "one host in two Routings": dsl(routing("- {respond: 200}"), routing("- {respond: 200}", "other")),
    "one host twice": one_route("respond: 200", hosts="[example.com, example.com]"),
    "one host twice, by a parameter": one_route(
        "respond: 200", hosts='["{{ params.a }}", example.com]', params="{a: {type: string, default: example.com}}"
    ),
    "no destination but one of weight 0": one_route("to: {island: cart/eu, weight: 0}"),
    "nothing in a list but one of weight 0": one_route("to: [{island: cart/eu, weight: 0}]"),
    "weights above 32 bits": one_route(
        "to: {spread: big}",
        WEB,
        island_set("big", f"islands: {{{', '.join(f'k{number}: {{weight: 1000000}}' for number in range(4300))}}}"),
    ),
    "a lookahead": one_route('match: {path: {regex: "/(?!x).*"}}, to: {island: cart/eu}'),
    "a backreference": one_route("match: {headers: {x-v: {regex: '(a|b)\\1'}}}, to: {island: cart/eu}"),
    "a possessive repetition": one_route('match: {query: {v: {regex: "a++"}}}, to: {island: cart/eu}'),
    "an escape of Python's": one_route("match: {headers: {x-v: {regex: 'a\\Z'}}}, to: {island: cart/eu}"),
    "more repetitions than RE2 has": one_route('match: {headers: {x-v: {regex: "a{1001}"}}}, to: {island: cart/eu}'),
    "a query parameter without a name": one_route('match: {query: {"": a}}, to: {island: cart/eu}'),
    "a long body": one_route(f"respond: {{status: 200, body: {'x' * 5000}}}"),
    "a timeout of more than 10,000 years": one_route("to: {island: cart/eu}, timeout: 99999999h"),
    "a line break in a host": one_route('to: {island: cart/eu}, rewrite: {host: "a\\nb"}'),
    "a namespace that is none": one_route("to: {island: cart/eu}", gloo="{namespace: Gloo}"),
    "a port of UDP": one_route(
        "to: {island: cart/eu, port: admin}", UDP, island_set("cart", "islands: {eu: {}}", of_type="two-ports")
    ),
    "a prefix for what a regular expression matched": one_route(
        'match: {path: {regex: "/old/.*"}}, redirect: {prefix: /new}'
    ),
    "a delay of no time": one_route("to: {island: cart/eu}, fault: {delay: {duration: 0s}}"),
    "a header that the proxy writes last": one_route("to: {island: cart/eu}, headers: {response: {remove: [Server]}}"),
    "a line break in a header": one_route('to: {island: cart/eu}, headers: {request: {set: {a: "b\\nc"}}}'),
    "a percent sign that an expression makes": dsl(
        WEB,
        CART,
        routing(
            """
            - each: cart
              match: {path: {exact: "/{{ island.key }}"}}
              headers: {response: {add: {a: "{{ island.key | replace('e', '%') }}"}}}
            """
        ),
    ),
    "copies to a drained island": dsl(
        WEB,
        island_set("cart", "islands: {eu: {}, us: {state: drained}}"),
        routing("- {to: {island: cart/eu}, mirror: {island: cart/us}}"),
    ),
    "copies to a function": dsl(
        WEB + "  implementations: {run: {function: {gcp: {host: a.run.app}}}}\n",
        island_set("cart", "islands: {eu: {}, us: {implementation: run}}"),
        routing("- {to: {island: cart/eu}, mirror: {island: cart/us}}"),
    ),
    "two Gateways at one port": dsl(routing("- respond: 200")).replace(
        "  routes:", "  gateway: {create: {port: 8080}}\n  tls: {secret: a, redirect: true}\n  routes:"
    ),
    "a redirect that rewrites": one_route("redirect: {scheme: https}, rewrite: {prefix: /a}"),
    "a redirect that rewrites the host": one_route("redirect: {scheme: https}, rewrite: {host: a}"),
    "a redirect with a timeout": one_route("redirect: {scheme: https}, timeout: 5s"),
    "a response that rewrites": one_route("respond: 200, rewrite: {prefix: /a}"),
    "a response with a timeout": one_route("respond: 200, timeout: 5s"),
    "a response with retries": one_route("respond: 200, retries: {attempts: 2}"),
    "retries for what is no reason": one_route("to: {service: web, port: 80}, retries: {attempts: 2, retryOn: [50x]}"),
    "a response with a port": one_route("respond: 200, port: http"),
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=list(REFUSED))
def test_what_would_be_refused_or_lost_is_an_error(text: str) -> None:
    assert [one.code for one in compile_text(text).diagnostics] != []


# Any Routing, against a reference

KEYS = {"cart": {"1": 1, "10": 1, "eu": 1, "us": 3}, "shard": {"0": 1, "1": 1, "2": 1}}  # with the weights
KEY = "{{ island.key }}"

Route = dict[str, Any]


class Request(NamedTuple):
    method: str
    path: str
    query: str | None
    headers: dict[str, str]

    def __str__(self) -> str:
        query = "" if self.query is None else f"?{self.query}"
        return " ".join([self.method, self.path + query, *(f"{name}:{value}" for name, value in self.headers.items())])


def answers(routes: list[Route], request: Request) -> set[str]:
    """What the DSL says: the first route that matches answers; an each-route stands for one route per island."""
    for route in routes:
        for key in KEYS[route["each"]] if "each" in route else [""]:
            said: Route = json.loads(json.dumps(route).replace(KEY, key))
            if "each" in said and not said.keys() & {"to", "redirect", "respond"}:
                said["to"] = {"island": f"{said['each']}/{key}"}
            matches = said.get("match", {})
            for match in matches if isinstance(matches, list) else [matches]:
                if holds(match, request):
                    return set(answers_of(said, match.get("path", {"prefix": "/"}), request))
    return {"404"}


def holds(match: Mapping[str, Any], request: Request) -> bool:
    path = match.get("path", {"prefix": "/"})
    query = {name: values[0] for name, values in parse_qs(request.query or "", keep_blank_values=True).items()}
    return (
        ("exact" not in path or request.path == path["exact"])
        and ("prefix" not in path or f"{request.path}/".startswith(f"{path['prefix'].rstrip('/')}/"))
        and ("regex" not in path or re.fullmatch(path["regex"], request.path) is not None)
        and all(compares(test, request.headers.get(name)) for name, test in match.get("headers", {}).items())
        and all(compares(test, query.get(name)) for name, test in match.get("query", {}).items())
        and request.method in match.get("methods", [request.method])
    )


def compares(test: str | Mapping[str, Any], value: str | None) -> bool:
    if value is None or "absent" in test:
        return value is None and "absent" in test
    if isinstance(test, str):
        return value == test
    if "regex" in test:
        return re.fullmatch(test["regex"], value) is not None
    return "present" in test or value == test["exact"]


def answers_of(route: Route, path: Mapping[str, str], request: Request) -> Iterator[str]:
    query = "" if request.query is None else f"?{request.query}"
    if "respond" in route:
        yield f"{route['respond']['status']} {route['respond']['body']}"
    elif "redirect" in route:
        to = route["redirect"]
        place = to.get("scheme", "http") + "://" + to.get("host", "example.com")
        moved = to.get("path") or replaced(request.path, path, to.get("prefix"))
        yield f"{to.get('status', 301)} {place}{moved}{'' if to.get('stripQuery') else query}"
    else:
        rewrite = route.get("rewrite", {})
        host = f" host:{rewrite['host']}" if "host" in rewrite else ""
        for service in destinations(route["to"]):
            yield f"{service} {replaced(request.path, path, rewrite.get('prefix'))}{query}{host}"


def replaced(path: str, matched: Mapping[str, str], prefix: str | None) -> str:
    """The path with another prefix in the place of the matched one."""
    if prefix is None:
        return path
    rest = path.removeprefix(matched["prefix"].rstrip("/")) if "prefix" in matched else ""
    return prefix.rstrip("/") + rest or "/"


def destinations(to: Any) -> Iterator[str]:
    for one in to if isinstance(to, list) else [to]:
        if "service" in one:
            named = {f"edge/{one['service']}:{one['port']}": one.get("weight", 1)}
        elif "spread" in one:
            named = {f"shop/{one['spread']}-{key}-web:80": weight for key, weight in KEYS[one["spread"]].items()}
        else:
            named = {f"shop/{one['island'].replace('/', '-')}-web:80": one.get("weight", 1)}
        yield from (service for service, weight in named.items() if weight)


VALUES = st.sampled_from(["", "1", "10", "eu", "us"])
PREFIXES = st.sampled_from(["/", "/i", "/i/1", "/i/10/", "/old", "/old/x/y"])
REPLACEMENTS = st.sampled_from(["/", "/api", "/api/v1/"])
REGEXES = st.sampled_from(["/i/[0-9]+", "/(i|old)/.*", "/[a-z]*", "/i/1?/?.*"])


def value_tests(in_headers: bool) -> st.SearchStrategy[Any]:
    tests: list[st.SearchStrategy[Any]] = [
        VALUES,
        st.fixed_dictionaries({"exact": VALUES}),
        st.fixed_dictionaries({"regex": st.sampled_from(["1.*", "[a-z]+", "e?u?", "(eu|us)"])}),
        st.just({"present": True}),
    ]
    return st.one_of(*tests, *([st.just({"absent": True})] if in_headers else []))


PARTS: dict[str, st.SearchStrategy[Any]] = {
    "path": st.one_of(
        st.fixed_dictionaries({"prefix": PREFIXES}),
        st.fixed_dictionaries({"exact": st.sampled_from(["/", "/i/1", "/i/10", "/old"])}),
        st.fixed_dictionaries({"regex": REGEXES}),
    ),
    "headers": st.dictionaries(st.sampled_from(["x-island", "x-canary"]), value_tests(True), min_size=1),
    "query": st.dictionaries(st.sampled_from(["shard", "flag"]), value_tests(False), min_size=1),
    "methods": st.lists(st.sampled_from(["GET", "POST", "PUT"]), min_size=1, max_size=2, unique=True),
}

# Matches of one part are frequent, so that requests get past the first routes and are not all left over.
CONDITIONS: st.SearchStrategy[Route] = st.one_of(
    *(st.fixed_dictionaries({name: part}) for name, part in PARTS.items()), st.fixed_dictionaries({}, optional=PARTS)
)

BY_KEY: st.SearchStrategy[Route] = st.sampled_from(
    [
        {"path": {"prefix": f"/i/{KEY}"}},
        {"path": {"exact": f"/i/{KEY}"}},
        {"path": {"regex": f"/(i|old)/{KEY}(/.*)?"}},
        {"headers": {"x-island": KEY}},
        {"query": {"shard": KEY}},
    ]
)

ISLANDS = st.sampled_from([f"{name}/{key}" for name, keys in KEYS.items() for key in keys])

DESTINATIONS: st.SearchStrategy[Any] = st.one_of(
    st.fixed_dictionaries({"island": ISLANDS}),
    st.fixed_dictionaries({"spread": st.sampled_from(list(KEYS))}),
    st.just({"service": "rest", "port": 80}),
    st.lists(st.fixed_dictionaries({"island": ISLANDS}, optional={"weight": st.integers(0, 3)}), max_size=3).map(
        lambda more: [*more, {"service": "rest", "port": 80, "weight": 2}]
    ),
)


@st.composite
def route_lists(draw: st.DrawFn) -> list[Route]:
    routes: list[Route] = []
    for last in [False] * draw(st.integers(0, 5)) + [True]:
        route: Route = {}
        matches = draw(st.lists(CONDITIONS, min_size=1, max_size=3))
        if draw(st.booleans()):
            route["each"] = draw(st.sampled_from(list(KEYS)))
            matches[0] = {**matches[0], **draw(BY_KEY)}
        if "each" in route or not last:
            route["match"] = matches if len(matches) > 1 else matches[0]
        by_regex = "match" in route and any("regex" in match.get("path", {}) for match in matches)
        action = draw(st.sampled_from(["to", "to", "to", "redirect", "respond", *["island"] * 3 * ("each" in route)]))
        if action in ("to", "island"):
            rewrite: dict[str, Any] = {"host": st.just("in.example.net")}
            if not by_regex:
                rewrite["prefix"] = REPLACEMENTS
            if chosen := draw(st.fixed_dictionaries({}, optional=rewrite)):
                route["rewrite"] = chosen
            if action == "to":
                route["to"] = draw(DESTINATIONS)
        elif action == "redirect":
            where = [st.just({"path": "/new"}), st.just({"host": "n.example.com"})]
            if not by_regex:
                where.append(st.fixed_dictionaries({"prefix": REPLACEMENTS}))
            how = {
                "status": st.sampled_from([301, 302, 307, 308]),
                "stripQuery": st.booleans(),
                "scheme": st.just("https"),
            }
            route["redirect"] = {**draw(st.one_of(where)), **draw(st.fixed_dictionaries({}, optional=how))}
        else:
            body = f"of {KEY}" if "each" in route else "of all"
            route["respond"] = {"status": draw(st.sampled_from([200, 421])), "body": body}
        routes.append(route)
    return routes


PATHS = (
    *("/", "/i", "/i/", "/i/1", "/i/1/", "/i/1/x", "/i/10", "/i/10/x", "/i/100", "/i/eu", "/i/us/x"),
    *("/old", "/old/", "/old/eu", "/old/x/y/z", "/olds", "/a.b"),
)
QUERIES = (None, None, "", "shard=1", "shard=10&flag", "shard=", "flag=eu&shard=us", "shard=eu&shard=us", "x=1")
HEADERS = (None, None, "", "1", "10", "eu", "us", "no")


def some_request(random: Random) -> Request:
    headers = {name: random.choice(HEADERS) for name in ("x-island", "x-canary")}
    return Request(
        random.choice(["GET", "POST", "PUT"]),
        random.choice(PATHS),
        random.choice(QUERIES),
        {name: value for name, value in headers.items() if value is not None},
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(routes=route_lists(), seed=st.integers(0, 1000))
def test_any_routing_answers_as_the_language_says(routes: list[Route], seed: int) -> None:
    text = dsl(WEB, CART, THREE, routing(json.dumps(routes)))
    assume(all(one.code != "R0702" for one in compile_text(text).diagnostics))  # a route behind one for everything
    requests = [some_request(random) for random in [Random(seed)] for _ in range(100)]
    with running(compiled(text), [("edge", "rest", 80)]) as gateway:
        found = {str(request): (ask(gateway, str(request)), answers(routes, request)) for request in requests}
    assert {request: pair for request, pair in found.items() if pair[0] not in pair[1]} == {}
