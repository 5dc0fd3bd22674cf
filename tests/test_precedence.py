"""The written order of routes, compiled to Gateway API's precedence, against brute force over requests.

The reference reads the routes as they are written, from first to last. What is written is read as Gateway API says: the
most specific match wins, and no two matches of different HTTPRoutes may tie for a request.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import product
from textwrap import indent
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import examples
from test_routing_envoy import WEB

from replicator.pipeline import Source, build
from replicator.routing import analysis

Object = dict[str, Any]
KEYS = ["1", "10", "eu"]

HEAD = (
    f"{WEB}---\n"
    """\
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: cart, namespace: shop}
spec: {type: web, islands: {eu: {}, "10": {}, "1": {}}}
---
"""
)


def document(routes: list[Object], **spec: Any) -> str:
    return HEAD + yaml.safe_dump(
        {
            "apiVersion": "replicator.dev/v1alpha1",
            "kind": "Routing",
            "metadata": {"name": "front", "namespace": "edge"},
            "spec": {
                "provider": "gateway-api",
                "gateway-api": {"flavor": "kgateway"},
                "gateway": {"name": "public"},
                "hosts": ["example.com"],
                "routes": routes,
                **spec,
            },
        }
    )


@pytest.fixture(autouse=True, scope="module")
def _hidden_routes() -> Iterator[None]:
    """Routes that hide others, or overlap, are errors by themselves; here the order must be right for them too."""
    with pytest.MonkeyPatch.context() as patch:
        for judge in ("unreachable", "overlapping"):
            patch.setattr(analysis, judge, lambda table: ())
        yield


class Request(NamedTuple):
    path: str
    method: str
    headers: tuple[tuple[str, str], ...]
    query: tuple[tuple[str, str], ...]


def requests() -> Iterator[Request]:
    paths = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/i/1", "/i/1/a", "/i/10", "/i/eu", "/eu", "/1/a"]
    for path, method, island, x, q in product(paths, ["GET", "PUT"], ["", *KEYS], ["", "1", "2"], ["", "1"]):
        headers = tuple((name, value) for name, value in (("x-island", island), ("x", x)) if value)
        yield Request(path, method, headers, (("q", q),) if q else ())


REQUESTS = list(requests())


def under(path: str, prefix: str) -> bool:
    return prefix == "/" or path == prefix or path.startswith(prefix + "/")


# As it is written


def of_island(value: Any, key: str) -> Any:
    if isinstance(value, str):
        return value.replace("{{ island.key }}", key)
    if isinstance(value, dict):
        return {name: of_island(item, key) for name, item in value.items()}
    return [of_island(item, key) for item in value] if isinstance(value, list) else value


def holds(match: Object, request: Request) -> bool:
    path = match.get("path", {"prefix": "/"})
    if "regex" in path:
        if not re.fullmatch(path["regex"], request.path):
            return False
    elif not (request.path == path["exact"] if "exact" in path else under(request.path, path["prefix"])):
        return False
    if "methods" in match and request.method not in match["methods"]:
        return False
    for tests, has in ((match.get("headers", {}), request.headers), (match.get("query", {}), request.query)):
        for name, test in tests.items():
            if name not in dict(has) or (isinstance(test, str) and dict(has)[name] != test):
                return False
            if isinstance(test, dict) and not re.fullmatch(test.get("regex", ".*"), dict(has)[name]):
                return False
    return True


def replaced(path: str, match: Object, rewrite: str | None) -> str:
    """The path that the destination sees."""
    given = match.get("path", {"prefix": "/"})
    if rewrite is None:
        return path
    if "exact" in given:
        return rewrite
    rest = path.removeprefix(given["prefix"]) if given["prefix"] != "/" else path
    return rewrite.removesuffix("/") + rest or "/"


def written(routes: list[Object], request: Request) -> tuple[str, str, str]:
    for number, route in enumerate(routes):
        for key in KEYS if "each" in route else [""]:
            for match in of_island(route.get("match", [{}]), key):
                if holds(match, request):
                    rewrite = route.get("rewrite", {}).get("prefix")
                    return (
                        f"{number + 1}s",
                        f"cart-{key}-web" if key else f"s{number}",
                        replaced(request.path, match, rewrite),
                    )
    return "", "", ""


# As Gateway API reads it


def fulfilled(match: Object, request: Request) -> bool:
    kind, path = match["path"]["type"], match["path"]["value"]
    if kind == "RegularExpression":
        if not re.fullmatch(path, request.path):
            return False
    elif not (request.path == path if kind == "Exact" else under(request.path, path)):
        return False
    if match.get("method", request.method) != request.method:
        return False
    for tests, has in ((match.get("headers", []), request.headers), (match.get("queryParams", []), request.query)):
        for test in tests:
            if test["name"] not in dict(has):
                return False
            if test["type"] == "Exact" and dict(has)[test["name"]] != test["value"]:
                return False
            if test["type"] == "RegularExpression" and not re.fullmatch(test["value"], dict(has)[test["name"]]):
                return False
    return True


def rank(match: Object) -> tuple[Any, ...]:
    """As kgateway, which takes a regular expression for less than an exact path, and for more than a prefix."""
    kind = ["PathPrefix", "RegularExpression", "Exact"].index(match["path"]["type"])
    length = 0 if kind else len(match["path"]["value"])
    return kind, length, "method" in match, len(match.get("headers", [])), len(match.get("queryParams", []))


def routed(objects: list[Object], request: Request) -> tuple[str, str, str]:
    found = [
        (rank(match), -number, route["metadata"]["name"], rule, match)
        for route in objects
        for number, rule in enumerate(route["spec"]["rules"])
        for match in rule["matches"]
        if fulfilled(match, request)
    ]
    if not found:
        return "", "", ""
    found.sort(key=lambda one: one[:2], reverse=True)
    best = [one for one in found if one[0] == found[0][0]]
    assert len({name for _, _, name, _, _ in best}) == 1, f"a tie between HTTPRoutes for {request}"
    rule, match = best[0][3:]
    (backend,) = rule["backendRefs"]
    return rule["timeouts"]["request"], backend["name"], rewritten(request.path, rule, match)


def rewritten(path: str, rule: Object, match: Object) -> str:
    """GEP-726: a prefix is replaced segment by segment, a slash at the end of the replacement is none."""
    for one in rule.get("filters", []):
        change = one["urlRewrite"]["path"]
        if change["type"] == "ReplaceFullPath":
            return str(change["replaceFullPath"])
        assert [match] == rule["matches"]
        rest = path.removeprefix(match["path"]["value"].removesuffix("/"))
        return change["replacePrefixMatch"].removesuffix("/") + rest or "/"
    return path


def compile_routes(routes: list[Object], **spec: Any) -> tuple[list[Object], list[tuple[str, str]]]:
    for number, route in enumerate(routes):
        route |= {"name": f"r{number}", "timeout": f"{number + 1}s"}
        if "each" not in route:
            route["to"] = {"service": f"s{number}", "port": 80}
    built = build([Source("dsl.yaml", document(routes, **spec).encode())])
    problems = [(one.code, one.message) for one in built.diagnostics if one.severity == "error"]
    if problems:
        return [], problems
    objects = yaml.load_all(b"".join(built.texts()), yaml.CSafeLoader)
    return [one for one in objects if one["kind"] == "HTTPRoute"], []


def check(routes: list[Object], objects: list[Object]) -> None:
    for one in objects:
        assert len(one["spec"]["rules"]) <= 16
        assert sum(len(rule["matches"]) for rule in one["spec"]["rules"]) <= 128
        assert all(len(rule["matches"]) <= 64 for rule in one["spec"]["rules"])
    for request in REQUESTS:
        assert routed(objects, request) == written(routes, request), request


# Hand-written

ISLAND = {"headers": {"x-island": "{{ island.key }}"}}
PATH = {"path": {"prefix": "/i/{{ island.key }}"}}
CASES: Mapping[str, list[Object]] = {
    "the most specific first": [{"match": [{"path": {"exact": "/a/b"}}]}, {"match": [{"path": {"prefix": "/a"}}]}, {}],
    "a prefix before an exact path": [{"match": [{"path": {"prefix": "/a"}}]}, {"match": [{"path": {"exact": "/ab"}}]}],
    "a header before a path": [{"match": [{"headers": {"x": "1"}}]}, {"match": [{"path": {"prefix": "/a"}}]}, {}],
    "a header before an exact path and a method": [
        {"match": [{"headers": {"x": "1"}}]},
        {"match": [{"path": {"exact": "/a"}, "methods": ["GET", "PUT"]}]},
        {},
    ],
    "two that tie": [{"match": [{"headers": {"x": "1"}}]}, {"match": [{"headers": {"x-island": "eu"}}]}],
    "three that tie": [
        {"match": [{"headers": {"x": "1"}}]},
        {"match": [{"headers": {"x-island": "eu"}}]},
        {"match": [{"headers": {"x-island": {"present": True}}}]},
    ],
    "a query before a header before a method": [
        {"match": [{"query": {"q": "1"}}]},
        {"match": [{"headers": {"x": "1"}}]},
        {"match": [{"methods": ["GET"]}]},
        {},
    ],
    "islands by header before a path": [{"each": "cart", "match": [ISLAND]}, {"match": [{"path": {"prefix": "/a"}}]}],
    "islands by path before a header": [{"each": "cart", "match": [PATH]}, {"match": [{"headers": {"x": "1"}}]}],
    "a header before islands by path": [{"match": [{"headers": {"x": "1"}}]}, {"each": "cart", "match": [PATH]}, {}],
    "islands by header before islands by path": [
        {"each": "cart", "match": [ISLAND]},
        {"each": "cart", "match": [PATH]},
    ],
    "islands by path before islands by header": [
        {"each": "cart", "match": [PATH]},
        {"each": "cart", "match": [ISLAND]},
    ],
    "islands by header or path": [{"each": "cart", "match": [ISLAND, PATH]}],
    "islands twice by header": [
        {"each": "cart", "match": [ISLAND]},
        {"each": "cart", "match": [{**ISLAND, "path": {"prefix": "/a"}}]},
        {},
    ],
    "one island before all": [{"match": [{"headers": {"x-island": "10"}}]}, {"each": "cart", "match": [ISLAND]}, {}],
    "one island's path before all": [{"match": [{"path": {"prefix": "/i/1"}}]}, {"each": "cart", "match": [PATH]}, {}],
    "all before one island": [
        {"each": "cart", "match": [ISLAND]},
        {"match": [{"headers": {"x-island": "10", "x": "1"}}]},
        {},
    ],
    "below an island's path": [
        {"each": "cart", "match": [PATH]},
        {"match": [{"path": {"prefix": "/i/1/a"}}]},
        {"match": [{"path": {"prefix": "/i"}}]},
    ],
    "rewritten below": [
        {"match": [{"path": {"prefix": "/a"}}], "rewrite": {"prefix": "/new"}},
        {"match": [{"path": {"prefix": "/a/b"}}]},
        {},
    ],
    "rewritten from everything": [
        {"match": [{"headers": {"x": "1"}}], "rewrite": {"prefix": "/new"}},
        {"match": [{"path": {"exact": "/a/b"}}]},
        {"match": [{"path": {"prefix": "/i"}}]},
        {},
    ],
    "rewritten by the first of two": [
        {
            "match": [{"path": {"prefix": "/a"}}, {"path": {"prefix": "/a/b"}}, {"headers": {"x": "1"}}],
            "rewrite": {"prefix": "/"},
        },
        {},
    ],
    "a regular expression before a prefix": [
        {"match": [{"path": {"regex": "/a/[bc].*"}}]},
        {"match": [{"path": {"prefix": "/a"}}]},
    ],
    "a prefix before a regular expression of another": [
        {"match": [{"path": {"prefix": "/i/1"}}]},
        {"match": [{"path": {"regex": "/i/e.*"}, "headers": {"x": "1"}}]},
    ],
    "headers before a regular expression": [
        {"match": [{"headers": {"x": "1"}}]},
        {"match": [{"path": {"regex": "/a/.*"}}]},
        {},
    ],
    "islands by a regular expression": [
        {"each": "cart", "match": [{"headers": {"x-island": {"regex": "{{ island.key }}"}}}]},
        {"match": [{"path": {"prefix": "/a"}}]},
    ],
    "islands rewritten": [
        {"each": "cart", "match": [ISLAND, PATH], "rewrite": {"prefix": "/new"}},
        {"match": [{"path": {"prefix": "/i"}}]},
    ],
}


@pytest.mark.parametrize("delegation", ["none", "set", "island"])
@pytest.mark.parametrize("routes", CASES.values(), ids=list(CASES))
def test_the_written_order_holds(routes: list[Object], delegation: str) -> None:
    mine = [dict(route) for route in routes]
    objects, problems = compile_routes(mine, delegation=delegation)
    assert problems == []
    check(mine, objects)


# Generated


def conditions(of_islands: bool) -> st.SearchStrategy[Object]:
    key = "{{ island.key }}"
    names = ["1", "10", "eu", *([key] * 4 if of_islands else [])]
    prefixes = ["/", "/a", "/a/b", "/i", "/i/1", *([f"/i/{key}", f"/{key}", f"/i/{key}/a"] if of_islands else [])]
    exacts = ["/", "/a", "/a/b", "/i/1", *([f"/i/{key}", f"/{key}/a"] if of_islands else [])]
    path = st.one_of(
        st.sampled_from(prefixes).map(lambda one: {"prefix": one}),
        st.sampled_from(exacts).map(lambda one: {"exact": one}),
        st.sampled_from(["/a/.*", "/i/(1|eu)"]).map(lambda one: {"regex": one}),
    )
    present: Any = st.sampled_from([{"present": True}, {"present": True}, {"regex": "1.*"}])
    headers = st.fixed_dictionaries(
        {}, optional={"x-island": st.one_of(st.sampled_from(names), present), "x": st.one_of(st.just("1"), present)}
    )
    query = st.fixed_dictionaries({}, optional={"q": st.one_of(st.just("1"), present)})
    methods = st.lists(st.sampled_from(["GET", "PUT"]), min_size=1, max_size=2, unique=True)
    return st.fixed_dictionaries({}, optional={"path": path, "headers": headers, "query": query, "methods": methods})


def routes_of(of_islands: bool) -> st.SearchStrategy[Object]:
    fields: dict[str, Any] = {"match": st.lists(conditions(of_islands), min_size=1, max_size=2)}
    if of_islands:
        fields["each"] = st.just("cart")
    rewrite = st.sampled_from(["/", "/new", "/new/b"]).map(lambda one: {"prefix": one})
    return st.fixed_dictionaries(fields, optional={"rewrite": rewrite})


@given(
    st.lists(st.one_of(routes_of(False), routes_of(True)), min_size=1, max_size=4),
    st.sampled_from(["none", "none", "set", "island"]),
)
@examples(150)
def test_any_order_holds(routes: list[Object], delegation: str) -> None:
    objects, problems = compile_routes(routes, delegation=delegation)
    for code, message in problems:
        if code == "R0708" or "regular expression" in message:  # it has no prefix, or stands in the way
            continue
        tie = "they tie" in message and delegation != "none"  # `present` is as specific as a value, so order must tell
        assert code == "R0703" or (code == "R0713" and ("matches" in message or tie)), indent(message, " ")
    assume(not problems)
    check(routes, objects)
