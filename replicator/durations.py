"""Durations as the DSL writes them, in Kubernetes' way, to what proxies' APIs take."""

from __future__ import annotations

import re
from decimal import Decimal

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_UNITS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}


def in_seconds(duration: str) -> Decimal:
    """The seconds of a duration such as `1m30s` or `500ms`."""
    return sum((Decimal(number) * _UNITS[unit] for number, unit in _PART.findall(duration)), Decimal(0))


def seconds(duration: str) -> str:
    """A duration in the JSON form of protobuf's Duration: seconds, with `s` at the end."""
    number = in_seconds(duration).normalize()
    return f"{number:f}s"
