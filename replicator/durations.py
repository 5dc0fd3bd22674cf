"""Durations as the DSL writes them, in Kubernetes' way, to what proxies' APIs take."""

from __future__ import annotations

import re

_PART = r"([0-9]+)(?:\.([0-9]+))?(ms|s|m|h)"
_NANOSECONDS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def nanoseconds(duration: str) -> int:
    """The nanoseconds of a duration such as `1m30s` or `500ms`; what is below one is dropped."""
    total = 0
    for whole, fraction, unit in re.findall(_PART, duration):
        scale = _NANOSECONDS[unit]
        total += int(whole) * scale + (int(fraction) * scale // 10 ** len(fraction) if fraction else 0)
    return total


def seconds(duration: str) -> str:
    """A duration in the JSON form of protobuf's Duration: seconds, with `s` at the end."""
    whole, rest = divmod(nanoseconds(duration), 10**9)
    return f"{whole}.{rest:09d}".rstrip("0") + "s" if rest else f"{whole}s"


def parts(duration: str) -> str:
    """A duration as Gateway API takes it (GEP-2257): whole numbers of at most five digits; '' where there is none."""
    milliseconds, below = divmod(nanoseconds(duration), 10**6)
    seconds, milliseconds = divmod(milliseconds, 1000)
    hours, minutes = 0, 0
    if seconds > 99_999:
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
    if below or hours > 99_999:
        return ""
    found = [(hours, "h"), (minutes, "m"), (seconds, "s"), (milliseconds, "ms")]
    return "".join(f"{number}{unit}" for number, unit in found if number) or "0s"
