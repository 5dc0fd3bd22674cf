"""Each-routes that are delegated to objects of their own."""

import re

import pytest
from test_routing_envoy import BOOK, WEB, compile_text, dsl, island_set, routing

from replicator.diagnostics import Diagnostic


def delegating(name: str, delegation: str = "island") -> str:
    each = f'- {{{name}each: book, match: {{path: {{exact: "/{{{{ island.key }}}}"}}}}}}'
    text = dsl(WEB, BOOK, routing(f"{each}\n- respond: 404"))
    return text.replace("  hosts:", f"  delegation: {delegation}\n  hosts:")


@pytest.mark.parametrize(
    ("name", "delegation", "expected"),
    [
        ("", "island", ['R0202: missing field "name"']),
        ("", "set", ['R0202: missing field "name"']),
        ("", "none", []),
        ("name: by_path, ", "island", ["R0304: `by_path` is no part of an object's name"]),
        ("name: by_path, ", "none", []),
    ],
)
def test_what_names_objects_is_a_name(name: str, delegation: str, expected: list[str]) -> None:
    """Told once; a route that is not of each island, as the last, makes no object."""
    found = compile_text(delegating(name, delegation)).diagnostics
    assert [f"{one.code}: {one.message}" for one in found] == expected


# What islands are told apart by; KEY stands for an expression over the island's key.
APART = {
    "prefix": "{path: {prefix: /i/KEY}}",
    "exact": "{path: {exact: /i/KEY/x}}",
    "header": "{headers: {x-island: KEY}}",
    "query": "{query: {island: KEY}}",
    "a part of a header": "{headers: {x-island: book-KEY-1}}",
    "regex with a header": "{path: {regex: /r/.*}, headers: {x-island: KEY}}",
    "both, by the same header": "[{path: {prefix: /a}, headers: {x: KEY}}, {headers: {x: KEY}}]",
    "paths that never meet": "[{path: {prefix: /a/KEY}}, {path: {prefix: /b/KEY}}]",
    "methods that never meet": "[{path: {prefix: /KEY}, methods: [GET]}, {headers: {x: KEY}, methods: [PUT]}]",
    "there, and not there": "[{path: {prefix: /KEY}, headers: {x: {absent: true}}}, {headers: {x: KEY}}]",
    "an island twice": "[{path: {prefix: /KEY}}, {path: {prefix: /KEY/x}}]",
    "rewritten": "[{path: {prefix: /a/KEY}}, {path: {prefix: /b/KEY}}], rewrite: {prefix: /}",
}

TOGETHER = {
    "header or path": "[{path: {prefix: /i/KEY}}, {headers: {x-island: KEY}}]",
    "two headers": "[{headers: {a: KEY}}, {headers: {b: KEY}}]",
    "header or query": "[{query: {a: KEY}}, {headers: {b: KEY}}]",
    "exact or below": "[{path: {exact: /KEY/us}}, {path: {prefix: /eu/KEY}}]",
    "regex": "{path: {regex: /.*/KEY}}",
    "regex of a header": "{headers: {x-island: {regex: .*KEY.*}}}",
    "rewritten apart": "[{path: {prefix: /KEY}}, {path: {prefix: /KEY/x}}], rewrite: {prefix: /y}",
}


def each_of(match: str, delegation: str, value: str = "island.key", islands: str = "eu, us") -> str:
    # A value with an expression is quoted: `/i/KEY` becomes "/i/{{ island.key }}".
    quoted = re.sub(r"[\w./*-]*KEY[\w./*-]*", lambda found: f'"{found[0]}"', match)
    fields = quoted.replace("KEY", f"{{{{ {value} }}}}")
    book = island_set("book", f"islands: {{{', '.join(f'{key}: {{}}' for key in islands.split(', '))}}}")
    text = dsl(WEB, book, routing(f"- {{name: book, each: book, match: {fields}}}\n- respond: 404"))
    return text.replace("  hosts:", f"  delegation: {delegation}\n  hosts:")


def errors(text: str) -> list[Diagnostic]:
    return [one for one in compile_text(text).diagnostics if one.severity == "error"]


@pytest.mark.parametrize("match", APART.values(), ids=list(APART))
@pytest.mark.parametrize("value", ["island.key", "island.key | upper"])
def test_islands_that_exclude_each_other_may_be_apart(match: str, value: str) -> None:
    assert errors(each_of(match, "island", value)) == []


@pytest.mark.parametrize("match", TOGETHER.values(), ids=list(TOGETHER))
def test_islands_that_may_match_one_request_may_not_be_apart(match: str) -> None:
    """Gloo sorts the routes of RouteTables that a selector chooses, and the written order would be lost."""
    [found] = errors(each_of(match, "island"))
    assert found.code == "R0712"
    assert found.hint.startswith("delegation: none, or set")
    assert errors(each_of(match, "set")) == []


@pytest.mark.parametrize(("islands", "codes"), [("eu, eu-1", ["R0702", "R0712"]), ("eu, us-1", [])])
def test_one_island_below_another(islands: str, codes: list[str]) -> None:
    """It is asked of each island, by its values."""
    text = each_of("{path: {prefix: /KEY}}", "island", "island.key | replace('-', '/')", islands)
    assert [one.code for one in errors(text)] == codes


def test_the_spreads_of_two_sets_may_not_have_one_name() -> None:
    """The port `c-http` of `a`, and the port `http` of `a-c`: one of them would get the requests of both."""
    web = WEB.replace(
        "{http: {unit: web, port: http}}", "{http: {unit: web, port: http}, c-http: {unit: web, port: http}}"
    )
    assert web != WEB
    sets = [island_set("a", "islands: {eu: {}, us: {}}"), island_set("a-c", "islands: {ap: {}, sa: {}}")]
    routes = """
- {match: {path: {prefix: /one}}, port: c-http, to: {spread: a}}
- {match: {path: {prefix: /two}}, port: http, to: {spread: a-c}}
"""
    text = dsl(web, *sets, routing(routes)).replace("  hosts:", "  delegation: set\n  hosts:")
    assert [(one.code, "UpstreamGroup `front-a-c-http`" in one.message) for one in errors(text)] == [("R0507", True)]
