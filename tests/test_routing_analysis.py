"""What is said of tables of routes, against brute force: every request of a small universe is led through the table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_match_algebra import CONDITIONS

from replicator import stamp
from replicator.diagnostics import Diagnostic
from replicator.pipeline import Options, Source, build
from replicator.routing import algebra, analysis
from replicator.routing.algebra import contributes, includes, uncovered
from replicator.routing.index import Index, prefixes
from replicator.routing.rules import Condition, Table
from replicator.sizes import stored_size

HEAD = """\
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: t}
spec:
  ports: {http: {unit: a, port: http}}
  units: {a: {image: "x:1", ports: {http: 80}}}
"""


def dsl(islands: str, routes: list[dict[str, Any]] | str, more: str = "", hosts: str = "[a.example.com]") -> str:
    written = routes if isinstance(routes, str) else json.dumps(routes)
    return f"""{HEAD}---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {{name: s, namespace: ns}}
spec: {{type: t, {islands}}}
---
apiVersion: replicator.dev/v1alpha1
kind: Routing
metadata: {{name: r, namespace: ns}}
spec:
  hosts: {hosts}
  {more}
  routes: {written}
"""


def found_in(text: str, **options: Any) -> list[Diagnostic]:
    """What is said of a text, but for the size of the objects."""
    return [one for one in every_finding(text, **options) if one.code != "R0710"]


def every_finding(text: str, **options: Any) -> list[Diagnostic]:
    return build([Source("dsl.yaml", text.encode())], Options(**options)).diagnostics


def said(text: str, **options: Any) -> list[str]:
    """The findings as CODE MESSAGE, in order of their places."""
    return [f"{one.code} {one.message}" for one in found_in(text, **options)]


def unfolded(text: str, monkeypatch: pytest.MonkeyPatch) -> list[Diagnostic]:
    """What is said of the routes that no request reaches, for every island."""
    found: list[Diagnostic] = []
    real = analysis.unreachable

    def watched(table: Table) -> Iterator[Diagnostic]:
        found.extend(real(table))
        yield from found

    with monkeypatch.context() as patched:
        patched.setattr(analysis, "unreachable", watched)
        build([Source("dsl.yaml", text.encode())])
    return found


# Brute force

KEYS = ["a", "a-b", "ab", "b"]
Request = tuple[str, str, dict[str, str], dict[str, str]]


@cache
def requests() -> list[Request]:
    """Every combination of the values that a match can ask for here, with some that none asks for."""
    made = []
    for x, y, q in product([None, *KEYS, "other"], [None, "1", "other"], [None, "a", "other"]):
        headers = {name: value for name, value in (("x", x), ("y", y)) if value is not None}
        query = {} if q is None else {"q": q}
        paths = ["/", "/i", "/a", "/i/a", "/i/a/b", "/i/ab", "/i/a-b", "/i/b"]
        for path, method in product([*paths, *(f"{one.rstrip('/')}/other" for one in paths)], ["GET", "PUT", "OTHER"]):
            made.append((path, method, headers, query))
    return made


SLASHED = "{{ island.key | replace('-', '/') }}"
KEY = "{{ island.key }}"


def value(text: str, key: str) -> str:
    return text.replace(SLASHED, key.replace("-", "/")).replace(KEY, key)


def fulfils(request: Request, match: dict[str, Any], key: str) -> bool:
    path, method, headers, query = request
    for op, wanted in match.get("path", {"prefix": "/"}).items():
        wanted = value(wanted, key)
        below = op == "prefix" and (wanted == "/" or path.startswith(f"{wanted}/"))
        if path != wanted and not below:
            return False
    if "methods" in match and method not in match["methods"]:
        return False
    for field, has in (("headers", headers), ("query", query)):
        for name, wanted in match.get(field, {}).items():
            if isinstance(wanted, str):
                if has.get(name) != value(wanted, key):
                    return False
            elif (name in has) == ("absent" in wanted):
                return False
    return True


Reached = dict[tuple[int, str], bool]


def reached(routes: list[dict[str, Any]], keys: list[str]) -> Reached:
    """Whether a request reaches each route, and each island of an each-route."""
    order: list[tuple[int, str, list[dict[str, Any]]]] = []
    for number, route in enumerate(routes):
        order += [(number, key, route["match"]) for key in (keys if "each" in route else [""])]
    left = requests()
    found: Reached = {}
    for number, key, matches in order:
        rest = [request for request in left if not any(fulfils(request, match, key) for match in matches)]
        found[number, key] = len(rest) < len(left)
        left = rest
    return found


def matches(each: bool) -> st.SearchStrategy[list[dict[str, Any]]]:
    paths = ["/", "/i", "/i/a", "/i/a/b", "/a"]
    values = ["a", "b"]
    if each:
        paths += [f"/i/{KEY}", f"/i/{SLASHED}", f"/i/{KEY}"]
        values += [KEY, KEY]
    path = st.builds(lambda op, text: {op: text}, st.sampled_from(["exact", "prefix"]), st.sampled_from(paths))
    exact: st.SearchStrategy[Any] = st.sampled_from(values)
    a: st.SearchStrategy[Any] = st.just("a")
    present, absent = st.just({"present": True}), st.just({"absent": True})
    x = st.one_of(exact, exact, present, absent)
    y = st.one_of(st.just("1"), present, absent)
    headers = st.fixed_dictionaries({}, optional={"x": x, "y": y})
    query = st.fixed_dictionaries({}, optional={"q": st.one_of(a, present)})
    methods = st.lists(st.sampled_from(["GET", "PUT"]), unique=True, min_size=1)
    optional: dict[str, Any] = {"path": path, "headers": headers, "query": query, "methods": methods}
    one = st.fixed_dictionaries({}, optional=optional)
    return st.lists(one, min_size=1, max_size=2)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[str]]:
    keys = draw(st.lists(st.sampled_from(KEYS), unique=True, min_size=2, max_size=4))
    routes: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 5))):
        each = draw(st.booleans())
        route: dict[str, Any] = {"name": f"route-{number}", "match": draw(matches(each))}
        if each and "island.key" in json.dumps(route["match"]):
            route["each"] = "s"
        else:
            route["match"] = draw(matches(False))
            route["respond"] = 404
        routes.append(route)
    return routes, sorted(keys)


def judged(routes: list[dict[str, Any]], keys: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = dsl(f"islands: {{{', '.join(f'{key}: {{}}' for key in keys)}}}", routes)
    hidden = set()
    for one in unfolded(text, monkeypatch):
        if one.code == "R0702" and one.severity == "error":
            assert one.place is not None
            name = text.split("\n")[one.place.line - 1][one.place.column - 1 : one.place.end_column - 1].strip('"')
            hidden.add((int(name.removeprefix("route-")), one.island.removeprefix("s/")))
    wanted = {which for which, is_reached in reached(routes, keys).items() if not is_reached}
    assert hidden == wanted


class _Patch:
    """A monkeypatch for each example: hypothesis takes no fixtures of a function."""

    def __enter__(self) -> pytest.MonkeyPatch:
        self.made = pytest.MonkeyPatch()
        return self.made

    def __exit__(self, *_: object) -> None:
        self.made.undo()


HEADERS = [{"headers": {"x": {word: True}}} for word in ("present", "absent")]


@given(tables())
@example(
    (
        [
            {"name": "route-0", "match": [HEADERS[0]], "respond": 404},
            {"name": "route-1", "match": [HEADERS[1]], "respond": 404},
            {"name": "route-2", "match": [{"path": {"prefix": f"/i/{KEY}"}}], "each": "s"},
        ],
        ["a", "b"],
    )
)
@example(([{"name": "route-0", "match": [{"path": {"prefix": f"/i/{SLASHED}"}}], "each": "s"}], ["a", "a-b"]))
@example(
    (
        [
            {"name": "route-0", "match": [{"methods": ["GET"]}], "respond": 404},
            {
                "name": "route-1",
                "match": [{"path": {"exact": "/"}}, {"path": {"exact": f"/i/{KEY}"}, "methods": ["GET"]}],
                "each": "s",
            },
        ],
        ["a", "b"],
    )
)
@settings(max_examples=150, deadline=None)
def test_exactly_what_no_request_reaches_is_told(table: tuple[list[dict[str, Any]], list[str]]) -> None:
    with _Patch() as monkeypatch:
        judged(*table, monkeypatch)


@given(tables())
@settings(max_examples=50, deadline=None)
def test_nothing_depends_on_what_is_decided_as_it_is_written(table: tuple[list[dict[str, Any]], list[str]]) -> None:
    """The same where every island is joined."""
    with _Patch() as monkeypatch:
        monkeypatch.setattr(analysis, "MOST_PAIRS", -1)
        judged(*table, monkeypatch)


@given(tables())
@settings(max_examples=50, deadline=None)
def test_within_a_virtual_host_of_each_island(table: tuple[list[dict[str, Any]], list[str]]) -> None:
    """With `each` on the Routing itself, every island has the routes for itself."""
    routes, keys = table
    own = [{name: part for name, part in route.items() if name != "each"} | {"respond": 404} for route in routes]
    text = dsl(
        f"islands: {{{', '.join(f'{key}: {{}}' for key in keys)}}}", own, "each: s", '["{{ island.key }}.example.com"]'
    )
    with _Patch() as monkeypatch:
        found = unfolded(text, monkeypatch)
    hidden: set[tuple[int, str]] = set()
    for one in found:
        if one.code == "R0702" and one.severity == "error":
            assert one.place is not None
            name = text.split("\n")[one.place.line - 1][one.place.column - 1 : one.place.end_column - 1].strip('"')
            of = [one.island.removeprefix("s/")] if one.island else keys
            hidden |= {(int(name.removeprefix("route-")), key) for key in of}
    wanted = set()
    for key in keys:
        # One island's routes alone, with its key put in.
        alone = json.loads(json.dumps(own).replace(SLASHED, key.replace("-", "/")).replace(KEY, key))
        wanted |= {(number, key) for (number, _), is_reached in reached(alone, [key]).items() if not is_reached}
    assert hidden == wanted


# The index


@given(st.lists(CONDITIONS, max_size=8), CONDITIONS)
@settings(max_examples=300, deadline=None)
def test_the_index_finds_what_contributes(known: list[Condition], one: Condition) -> None:
    index: Index[int] = Index()
    for number, condition in enumerate(known):
        index.add(condition, number)
    wanted = {condition: known.index(condition) for condition in known if contributes(condition, one)}
    assert dict(index.contributing(one)) == wanted


@given(CONDITIONS, st.lists(CONDITIONS, max_size=4))
@settings(max_examples=300, deadline=None)
def test_only_what_contributes_can_cover(one: Condition, others: list[Condition]) -> None:
    assert all(contributes(other, one) for other in others if includes(other, one))
    assert uncovered(one, others) == uncovered(one, [other for other in others if contributes(other, one)])


def test_prefixes_of_a_path() -> None:
    assert list(prefixes("/")) == ["/"]
    assert list(prefixes("/a/b")) == ["/", "/a", "/a/b"]
    assert list(prefixes("/a/")) == ["/", "/a", "/a/"]


def by_path(text: str) -> dict[str, Any]:
    return {"name": "by-path", "each": "s", "match": {"path": {"prefix": text}}}


def by_header(text: str) -> dict[str, Any]:
    return {"name": "by-header", "each": "s", "match": {"headers": {"x": text}}}


class _Counted:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        self.number = 0
        real = getattr(module, name)

        def counted(*arguments: Any) -> Any:
            self.number += 1
            return real(*arguments)

        monkeypatch.setattr(module, name, counted)


MANY = 10_000


# What is said


def test_an_island_whose_path_is_below_that_of_an_earlier() -> None:
    routes: list[dict[str, Any]] = [{"name": "by-path", "each": "s", "match": {"path": {"prefix": f"/i/{SLASHED}"}}}]
    (one,) = found_in(dsl("islands: {a: {}, a-b: {}, a-c: {}, d: {}}", routes))
    assert (one.code, one.severity, one.others) == ("R0702", "error", 1)
    assert one.message == "no request reaches this route of `s/a-b`"
    assert [related.message for related in one.related] == ["for this island", "it takes all of them, for `s/a`"]
    assert one.hint == "give each island a match of its own, which no other's includes"


def test_an_island_whose_path_is_above_that_of_an_earlier() -> None:
    """It works as long as the keys stand in this order, which means nothing."""
    turned = "{{ island.key | replace('z', 'a') | replace('-', '/') }}"
    routes: list[dict[str, Any]] = [{"name": "by-path", "each": "s", "match": {"path": {"prefix": f"/i/{turned}"}}}]
    (one,) = found_in(dsl("islands: {a-b: {}, z: {}, y: {}}", routes))
    assert (one.code, one.severity) == ("R0712", "warning")
    assert one.message == "the match of `s/z` includes that of `s/a-b`, which is before it by its key"


def test_islands_of_one_match() -> None:
    routes: list[dict[str, Any]] = [
        {"name": "by-length", "each": "s", "match": {"headers": {"x": "{{ island.key | length }}"}}}
    ]
    (one,) = found_in(dsl("islands: {a: {}, b: {}, cc: {}, d: {}}", routes))
    assert (one.code, one.others) == ("R0702", 1)
    assert one.related[1].message == "it has the same match, for `s/a`"


def test_one_island_of_an_each_route_hidden_by_a_route_before() -> None:
    routes: list[dict[str, Any]] = [
        {"name": "closed", "match": {"path": {"prefix": "/i/b"}}, "respond": 503},
        {"name": "by-path", "each": "s", "match": {"path": {"prefix": f"/i/{KEY}"}}},
    ]
    assert said(dsl("islands: {a: {}, b: {}}", routes)) == ["R0702 no request reaches this route of `s/b`"]


def test_a_route_hidden_by_several_together() -> None:
    routes: list[dict[str, Any]] = [
        {"name": "with", "match": HEADERS[0], "respond": 404},
        {"name": "without", "match": HEADERS[1], "respond": 404},
        {"name": "rest", "to": {"spread": "s"}},
    ]
    (one,) = found_in(dsl("islands: {a: {}, b: {}}", routes))
    assert one.code == "R0702"
    assert [related.message for related in one.related] == ["it takes a part of them"] * 2
    assert one.hint == "put it before them"


def test_one_match_of_several() -> None:
    routes: list[dict[str, Any]] = [
        {"name": "a", "match": [{"path": {"prefix": "/a"}}, {"path": {"exact": "/a/b"}}], "respond": 404},
        {"name": "b", "match": [{"path": {"prefix": "/b"}}, {"path": {"prefix": "/a/c"}}], "respond": 404},
    ]
    found = found_in(dsl("islands: {a: {}}", routes))
    assert [(one.code, one.severity, one.message) for one in found] == [
        ("R0702", "warning", "no request reaches this match")
    ] * 2


def test_a_condition_twice_in_a_route() -> None:
    routes: list[dict[str, Any]] = [{"name": "a", "match": [{"path": {"prefix": "/a"}}] * 2, "respond": 404}]
    (one,) = found_in(dsl("islands: {a: {}}", routes))
    assert (one.severity, one.related[0].message) == ("warning", "it has the same match")


def test_regular_expressions_hide_only_what_is_written_alike() -> None:
    regex = {"path": {"regex": "/a.*"}}
    routes: list[dict[str, Any]] = [
        {"name": "a", "match": regex, "respond": 404},
        {"name": "b", "match": {"path": {"prefix": "/a"}}, "respond": 404},
        {"name": "c", "match": regex, "respond": 404},
    ]
    assert said(dsl("islands: {a: {}}", routes)) == ["R0702 no request reaches this route"]


def test_regular_expressions_are_said_not_to_be_analysed() -> None:
    routes: list[dict[str, Any]] = [
        {"name": "a", "match": {"path": {"regex": "/a.*"}}, "respond": 404},
        {"name": "b", "match": {"headers": {"x": {"regex": "a+"}}}, "respond": 404},
        {"name": "c", "respond": 404},
    ]
    text = dsl("islands: {a: {}}", routes)
    assert not said(text)
    (one,) = found_in(text, notes=True)
    assert (one.code, one.severity, len(one.related)) == ("R0711", "note", 1)
    assert one.message.startswith("2 of 3 routes are not analysed")
    assert not said(dsl("islands: {a: {}}", routes[:1]), notes=True)


# Hosts


def two(first: str, second: str, more: str = "") -> str:
    """A Routing for each island of a Set, and another."""
    one = dsl("islands: {a: {}, b: {}}", "[{respond: 404}]", "each: s", f'["{first}"]')
    return f"""{one}---
apiVersion: replicator.dev/v1alpha1
kind: Routing
metadata: {{name: z, namespace: ns}}
spec: {{hosts: ["{second}"], {more} routes: [{{respond: 404}}]}}
"""


def test_a_host_of_an_island_in_another_routing() -> None:
    (one,) = found_in(two(f"{KEY}.example.com", "b.example.com"))
    assert (one.code, one.message) == ("R0707", "the host `b.example.com` is in two Routings")
    assert one.related[0].message == "it is there too, for `s/b`"
    assert one.hint == "put the routes of a host into one Routing, or give one of the two a host of its own"


def test_a_host_at_another_gateway() -> None:
    assert not said(two(f"{KEY}.example.com", "b.example.com", "gateway: {name: other},"))


def test_two_islands_of_one_host() -> None:
    (one,) = found_in(two("h{{ island.key | length }}.example.com", "c.example.com"))
    assert (one.code, one.message, one.others) == ("R0707", "the host `h1.example.com` is of two islands", 0)
    assert one.hint == "use {{ island.name }} in its hosts"


def test_a_host_that_is_none_for_an_island() -> None:
    text = two("{{ island.key ~ '_' }}.example.com", "b.example.com")
    assert {one.code for one in found_in(text)} == {"R0706"}


def test_a_virtual_host_for_each_of_no_islands() -> None:
    assert not said(two(f"{KEY}.example.com", "b.example.com").replace("islands: {a: {}, b: {}}", "replicas: 0"))


# Delegation


def delegated(islands: str, *routes: dict[str, Any]) -> str:
    return dsl(islands, list(routes), "delegation: island")


REGEX = {"name": "by-regex", "each": "s", "match": {"path": {"regex": f"/{KEY}/.*"}}}
TWO = {"name": "two", "each": "s", "match": [{"path": {"prefix": f"/i/{KEY}"}}, {"headers": {"x": KEY}}]}
OVERLAP = "R0712 the routes of `s/a` and `s/b` overlap"


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        (by_path(f"/i/{KEY}"), []),
        (by_path("/i/{{ island.key | lower }}/x"), []),
        (by_header(KEY), []),
        (by_header("{{ island.name }}-{{ island.key }}"), []),
        ({"name": "e", "each": "s", "match": [{"path": {"exact": f"/{KEY}/x"}}, {"path": {"exact": f"/{KEY}/y"}}]}, []),
        ({"name": "e", "each": "s", "match": {"path": {"regex": "/.*"}, "headers": {"x": KEY}}}, []),
        (TWO, [OVERLAP]),
        (
            REGEX,
            ["R0712 the routes of `s/a` and `s/b` cannot be told apart: of regular expressions it is not known"],
        ),
        (
            {"name": "e", "each": "s", "match": {"headers": {"x": {"regex": f"{KEY}.*"}}}},
            ["R0712 the routes of `s/a` and `s/b` cannot be told apart: of regular expressions it is not known"],
        ),
    ],
)
def test_islands_that_are_delegated_exclude_each_other(route: dict[str, Any], expected: list[str]) -> None:
    assert said(delegated("islands: {a: {}, b: {}}", route)) == expected
    assert not said(delegated("islands: {a: {}}", route))
    assert not said(delegated("islands: {a: {}, b: {}}", route).replace("delegation: island", "delegation: set"))


def test_delegated_islands_one_below_another() -> None:
    turned = "{{ island.key | replace('z', 'a') | replace('-', '/') }}"
    found = found_in(delegated("islands: {a-b: {}, z: {}, y: {}}", by_path(f"/i/{turned}")))
    assert [(one.code, one.severity) for one in found] == [("R0712", "error")]
    assert found[0].message == "the routes of `s/a-b` and `s/z` overlap"


def _two_rewrites(first: str, second: str, op: str = "prefix") -> str:
    match = [{"path": {"prefix": first}}, {"path": {op: second}}]
    return delegated("islands: {a: {}, b: {}}", {**by_path(""), "match": match, "rewrite": {"prefix": "/r"}})


def test_matches_of_one_island_with_rewrites_of_their_own() -> None:
    """Sorted by path, `/i/a/x` would come before `/i/a`; as written, `/i/a` takes the requests of both."""
    message = "R0712 of `s/a` this match overlaps with another, and each rewrites its own part"
    assert message in said(_two_rewrites(f"/i/{KEY}/x", f"/i/{KEY}"))
    assert not said(_two_rewrites(f"/i/{KEY}", f"/j/{KEY}"))
    assert not said(_two_rewrites(f"/i/{KEY}/x", f"/i/{KEY}").replace('"rewrite": {"prefix": "/r"}', '"timeout": "3s"'))


@given(st.lists(st.sampled_from(KEYS), unique=True, min_size=2, max_size=4), matches(True))
@settings(max_examples=150, deadline=None)
def test_exactly_islands_that_overlap_are_refused(keys: list[str], match: list[dict[str, Any]]) -> None:
    if "island.key" not in json.dumps(match):
        match = [*match, {"headers": {"x": KEY}}]
    text = delegated(f"islands: {{{', '.join(f'{key}: {{}}' for key in keys)}}}", {**by_path(""), "match": match})
    both = any(sum(any(fulfils(request, one, key) for one in match) for key in keys) > 1 for request in requests())
    assert any(one.code == "R0712" for one in found_in(text)) == both


def test_objects_of_two_each_routes_of_one_name() -> None:
    more = """---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: b-s, namespace: ns}
spec: {type: t, islands: {a: {}}}
"""
    first = {**by_path(f"/i/{KEY}"), "name": "a-b"}
    second = {**by_path("/j/{{ island.key }}"), "name": "a", "each": "b-s"}
    assert "R0507" in {one.code for one in found_in(delegated("islands: {a: {}, c: {}}", first, second) + more)}


# Paths that are wrong for some islands


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/i/{{ island.key | replace('b', '/b') }}", "is not normal"),
        ("/i/{{ island.key | replace('b', 'b/') }}", "ends with /"),
        ("/i/.{{ island.key | replace('b', '.') }}", "is not normal"),
        ("/i/%2{{ island.key | replace('b', 'f') }}", "is no path of a URL"),
        ("/i{{ island.key | replace('b', '') }}", ""),
        ("/i/{{ island.key | replace('b', '') }}", "ends with /"),
        ("/i/{{ island.key | replace('b', 'b/c') }}", ""),
    ],
)
def test_a_path_that_is_wrong_for_one_island(path: str, words: str) -> None:
    """Each value is a part of a path; only the whole is none. So for what a prefix is rewritten to."""
    rewritten = {**by_path(f"/i/{KEY}"), "rewrite": {"prefix": path}}
    for route in (by_path(path), rewritten):
        found = found_in(dsl("islands: {a: {}, b: {}}", [route]))
        assert [one.code for one in found] == (["R0706"] if words else [])
        assert all(words in one.message and one.related for one in found)


# Nobody left


NOBODY = "nobody would get a request"
STATES = "islands: {eu: {state: draining}, us: {state: drained}, ap: {weight: 0}, de: {state: draining, weight: 5}}"


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ([{"island": "s/us"}], [f"R0705 no island is active: {NOBODY}"]),
        ([{"island": "s/us", "weight": 0}, {"island": "s/eu"}], [f"R0705 no island is active: {NOBODY}"]),
        ([{"island": "s/us", "weight": 3}, {"island": "s/ap", "weight": 0}], [f"R0705 all weights are zero: {NOBODY}"]),
        ([{"island": "s/eu"}, {"service": "x", "port": 80, "weight": 0}], [f"R0705 all weights are zero: {NOBODY}"]),
        ({"spread": "s"}, [f"R0705 the weights of all active islands are zero: {NOBODY}"]),
        ({"island": "s/us"}, ["R0709 the island `s/us` is drained: nobody would answer"]),
        ([{"island": "s/us"}, {"island": "s/ap"}], []),
    ],
)
def test_a_route_that_nobody_is_left_for(to: Any, expected: list[str]) -> None:
    """Also where there is something else to be said: a warning about another route hides nothing."""
    warned = {"name": "old", "match": {"path": {"prefix": "/old"}}, "to": {"island": "s/eu"}}
    route = {"name": "route", "to": to}
    assert said(dsl(STATES, [route])) == expected
    warning = "R0709 the island `s/eu` is draining"
    assert said(dsl(STATES, [warned, route])) == [warning, *expected]


# Sizes


def wide(count: int, more: str = "") -> str:
    return dsl(f"replicas: {count}", [by_path(f"/i/{KEY}")], more)


def test_the_sizes_of_routing_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not every_finding(wide(400))
    (one,) = every_finding(wide(2000))
    assert (one.code, one.severity) == ("R0710", "warning")
    assert one.hint == "kubectl apply --server-side, or delegation: island"
    written = b"".join(build([Source("dsl.yaml", wide(2000).encode())]).texts())
    (host,) = [part for part in written.split(b"---\n") if b"kind: VirtualService" in part]
    size = stored_size(b"---\n" + host)
    assert f"{size:,} bytes" in one.message
    made = _Counted(monkeypatch, stamp._Filler, "fill")
    (one,) = every_finding(wide(MANY))
    assert (one.severity, one.hint) == ("error", "delegation: island")
    assert made.number < 7000  # no more than is needed to know
    assert not every_finding(wide(MANY, "delegation: island"))


def test_the_sizes_of_objects_of_islands() -> None:
    """A CustomResourceDefinition is often too large for `kubectl apply`."""
    spec = """resources:
  - manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: large}, data: {text: "{{ params.text }}"}}
  params: {text: {type: string, default: ""}}
"""
    text = wide(2).replace("  ports: {http", f"  {spec}  ports: {{http")
    assert not every_finding(text)
    for size, severity in ((300_000, "warning"), (1_600_000, "error")):
        large = text.replace("replicas: 2", f"islands: {{a: {{}}, b: {{params: {{text: {'x' * size}}}}}}}")
        (one,) = every_finding(large)
        assert (one.code, one.severity) == ("R0710", severity)
        assert "of `s/b`" in one.message


# 10,000 islands


def test_islands_are_not_looked_at_where_what_is_written_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    fills = _Counted(monkeypatch, analysis, "_filler")
    added = _Counted(monkeypatch, Index, "add")
    routes: list[dict[str, Any]] = [
        {"name": "health", "match": {"path": {"exact": "/healthz"}}, "respond": 200},
        by_path(f"/i/{KEY}"),
        by_header(KEY),
        {
            "name": "by-both",
            "each": "s",
            "match": [{"headers": {"y": KEY}}, {"path": {"prefix": "/j/{{ island.name }}"}}],
        },
        {"name": "rest", "to": {"spread": "s"}},
    ]
    assert not said(dsl(f"replicas: {MANY}", routes))
    assert added.number == 2  # the two routes that are one each
    assert fills.number == 6


def test_delegated_islands_are_not_looked_at_where_what_is_written_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    met = _Counted(monkeypatch, analysis, "_meeting")
    by_both = {"name": "both", "each": "s", "match": [{"path": {"exact": f"/{KEY}/{op}"}} for op in "xy"]}
    routes = [by_path(f"/i/{KEY}"), by_header(KEY), by_both]
    assert not said(delegated(f"replicas: {MANY}", *routes))
    assert met.number == 0


@pytest.mark.parametrize(
    "routes",
    [
        [by_path("/i/{{ island.key | lower }}"), by_header(KEY)],
        [by_path("/i/{{ island.key | replace('-', '/') }}"), by_header("{{ island.key | length }}")],
        [
            by_path(f"/i/{KEY}"),
            by_header(KEY),
            {"name": "more", "each": "s", "match": {"path": {"prefix": f"/i/x{KEY}"}}},
        ],
        [{"name": "a", "match": {"path": {"exact": "/i/7"}}, "respond": 404}, by_path(f"/i/{KEY}")],
    ],
)
def test_islands_are_joined_not_compared(routes: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    compared = _Counted(monkeypatch, algebra, "path_includes")
    said(dsl(f"replicas: {MANY}", routes))
    assert compared.number <= 8 * MANY


def test_a_route_for_some_requests_of_all_islands_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes those with the header; nobody takes those without it."""
    added = _Counted(monkeypatch, Index, "add")
    canary = {"name": "canary", "match": {"headers": {"y": {"present": True}}}, "respond": 404}
    routes = [canary, by_path(f"/i/{KEY}"), by_header(KEY)]
    assert not said(dsl(f"replicas: {MANY}", routes))
    assert added.number == 1


def test_all_islands_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = _Counted(monkeypatch, algebra, "path_includes")
    routes: list[dict[str, Any]] = [by_path(f"/i/{KEY}"), {**by_path(f"/i/{KEY}/x"), "name": "again"}]
    (one,) = found_in(dsl(f"replicas: {MANY}", routes))
    assert (one.code, one.others) == ("R0702", MANY - 1)
    assert compared.number <= 8 * MANY


def test_the_routes_of_each_virtual_host_are_joined_too(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = _Counted(monkeypatch, algebra, "path_includes")
    routes = [{"match": {"path": {"prefix": f"/{KEY}/{number}"}}, "respond": 404} for number in range(100)]
    assert not said(dsl("replicas: 50", routes, "each: s", '["{{ island.key }}.example.com"]'))
    assert compared.number <= 50 * 100 * 3


def test_many_routes_are_not_compared_with_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = _Counted(monkeypatch, algebra, "path_includes")
    routes: list[dict[str, Any]] = [
        {"match": {"path": {"prefix": f"/r{number}"}, "headers": {"x": "1"}}, "respond": 404} for number in range(3000)
    ]
    assert not said(dsl("replicas: 1", routes))
    assert compared.number <= 30_000
