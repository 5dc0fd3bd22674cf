"""Which zones islands without one are best put into."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def levelled(zones: Sequence[str], taken: Iterable[str]) -> Iterator[str]:
    """The zones of islands that are added one after another, each to the one with the fewest islands; without an end.

    Of several it is the first in the order of `zones`, of which there is one at least. `taken` is the zone of each
    island that has one; what is not among `zones` does not count.
    """
    load = dict.fromkeys(zones, 0)
    for zone in taken:
        if zone in load:
            load[zone] += 1
    while True:
        chosen = min(load, key=load.__getitem__)
        load[chosen] += 1
        yield chosen
