"""With `delegation: island`, one more island adds objects and files of Gloo's, and changes none that is there."""

from collections.abc import Iterator

import pytest
from envoy import Object
from test_functions import WITH_FUNCTIONS
from test_routing_envoy import WEB, compile_text, compiled, dsl, island_set, routing
from test_routing_features_envoy import KEY, spec

from replicator.layout import files
from replicator.pipeline import LAYOUTS

ROUTES = f"""
- {{name: by-header, each: cart, match: {{headers: {{x-island: "{KEY}"}}}}}}
- {{name: by-path, each: cart, match: {{path: {{prefix: "/i/{KEY}"}}}}, rewrite: {{prefix: /}}}}
- {{name: host, each: cart, match: {{path: {{prefix: "/h/{KEY}"}}}}, to: {{host: "{KEY}.example.net"}}}}
- {{name: rest, respond: 404}}
"""


def text(islands: str, routes: str = ROUTES, of_type: str = WEB) -> str:
    return spec(dsl(of_type, island_set("cart", islands), routing(routes)), "delegation: island")


def identity(item: Object) -> tuple[str, str, str]:
    return item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]


def keyed(*keys: str) -> str:
    return f"islands: {{{', '.join(f'{key}: {{}}' for key in keys)}}}"


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        (keyed("b"), keyed("b", "c"), "c"),
        (keyed("b"), keyed("a", "b"), "a"),  # before all others by its key
        (keyed("a1", "c"), keyed("a1", "b", "c"), "b"),
        ("replicas: 10", "replicas: 11", "10"),
        ("replicas: 1000", "replicas: 1001", "1000"),
        ("replicas: 3, form: pods", "replicas: 4, form: pods", "3"),
    ],
)
def test_one_more_island_changes_no_object(before: str, after: str, key: str) -> None:
    """But the StatefulSet's count in `form: pods`."""
    old, new = ({identity(item): item for item in compiled(text(one))} for one in (before, after))
    changed = {one for one in old if old[one] != new.get(one)}
    assert changed <= ({("StatefulSet", "shop", "cart")} if "pods" in before else set())
    assert {name for kind, _, name in new.keys() - old.keys() if kind in ("RouteTable", "Upstream")} == {
        f"front-by-header-cart-{key}",
        f"front-by-path-cart-{key}",
        f"front-host-cart-{key}",
        f"front-cart-{key}-http",
        f"front-cart-{key}-example-net-443",
    }


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("last", ["{}", "{implementation: lambda}", "{state: drained}", "{state: draining, weight: 0}"])
def test_one_more_island_changes_no_file(last: str, layout: str) -> None:
    """Whatever it is: its own objects, and those of routes that are for it, are in files of its own."""

    def written(islands: str) -> dict[str, bytes]:
        built = compile_text(text(islands, of_type=WITH_FUNCTIONS))
        assert [one for one in built.diagnostics if one.severity == "error"] == []
        return {path.removeprefix("wave-1/"): content for path, content in files(built, layout)}

    before, after = written("islands: {a: {}, c: {}}"), written(f"islands: {{a: {{}}, b: {last}, c: {{}}}}")
    assert {path for path in before if before[path] != after.get(path)} == set()
    assert after.keys() - before.keys()
    assert all("cart-b" in path or path.startswith("cart/b") for path in after.keys() - before.keys())


def parents(objects: list[Object]) -> Iterator[Object]:
    return (item for item in objects if item["kind"] in ("VirtualService", "UpstreamGroup"))


@pytest.mark.parametrize("number", [1, 10, 1000])
def test_the_root_is_of_one_size(number: int) -> None:
    objects = compiled(text(f"replicas: {number}"))
    [root] = parents(objects)
    assert len(root["spec"]["virtualHost"]["routes"]) == 4
    tables = [item for item in objects if item["kind"] == "RouteTable"]
    assert len(tables) == 3 * number
    assert {len(item["spec"]["routes"]) for item in tables} <= {1, 2}


def test_a_change_of_state_changes_the_islands_own_routes_only() -> None:
    old, new = (
        {identity(item): item for item in compiled(text(f"islands: {{a: {state}, b: {{}}}}"))}
        for state in ("{}", "{state: drained}")
    )
    assert old.keys() == new.keys()
    assert {name for _, _, name in (one for one in old if old[one] != new[one])} == {
        "front-by-header-cart-a",
        "front-by-path-cart-a",
    }
