"""Time zones by their names in the IANA database."""

from __future__ import annotations

from datetime import UTC, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones


@cache
def zone_of(name: str) -> tzinfo:
    """Raises ValueError for a zone that does not exist. https://data.iana.org/time-zones/tzdb/"""
    if name == "UTC":
        return UTC
    if name not in _zones():
        raise ValueError(f"{name[:64]!r} is not a time zone; use a name such as Asia/Seoul or UTC")
    return ZoneInfo(name)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
