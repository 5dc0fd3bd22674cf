"""Placement: zones of islands, node labels, spreading, and nodes of an island's own."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from replicator.zones import least_loaded


def test_the_least_loaded_zone_is_the_first_of_those_with_the_fewest_islands() -> None:
    assert least_loaded(["a", "b", "c"], []) == "a"
    assert least_loaded(["c", "b", "a"], []) == "c"
    assert least_loaded(["a", "b", "c"], ["a", "a", "b"]) == "c"
    assert least_loaded(["a", "b", "c"], ["c", "a"]) == "b"
    assert least_loaded(["a", "b"], ["b", "x", "x", "a", "a"]) == "b"


@given(st.lists(st.sampled_from("abcd"), max_size=20), st.permutations("abc"), st.integers(0, 12))
def test_zones_given_one_after_another_level_out(taken: list[str], zones: list[str], more: int) -> None:
    before = Counter({zone: taken.count(zone) for zone in zones})
    for _ in range(more):
        taken = [*taken, least_loaded(zones, taken)]
    after = Counter({zone: taken.count(zone) for zone in zones})
    grown = [after[zone] for zone in zones if after[zone] > before[zone]]
    assert sum(after.values()) == sum(before.values()) + more
    assert not grown or max(grown) <= min(after.values()) + 1
