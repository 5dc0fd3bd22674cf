"""Which zone an island without one is best put into."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def least_loaded(zones: Sequence[str], taken: Iterable[str]) -> str:
    """The zone with the fewest islands; of several the first in the order of `zones`, of which there is one at least.

    `taken` is the zone of each island that has one; what is not among `zones` does not count.
    """
    load = dict.fromkeys(zones, 0)
    for zone in taken:
        if zone in load:
            load[zone] += 1
    return min(load, key=load.__getitem__)
