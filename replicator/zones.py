"""Which zones islands without one are best put into."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def least_loaded(zones: Sequence[str], taken: Iterable[str]) -> str:
    """The zone with the fewest islands; of several the first in the order of `zones`, of which there is one at least.

    `taken` is the zone of each island that has one; what is not among `zones` does not count.
    """
    return next(levelled(zones, taken))


def levelled(zones: Sequence[str], taken: Iterable[str]) -> Iterator[str]:
    """The zones of islands that are added one after another, each to the least loaded one; without an end."""
    load = dict.fromkeys(zones, 0)
    for zone in taken:
        if zone in load:
            load[zone] += 1
    while True:
        chosen = min(load, key=load.__getitem__)
        load[chosen] += 1
        yield chosen
