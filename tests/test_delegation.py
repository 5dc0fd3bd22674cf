"""Each-routes that are delegated to objects of their own."""

import pytest
from test_routing_envoy import BOOK, WEB, compile_text, dsl, routing


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
