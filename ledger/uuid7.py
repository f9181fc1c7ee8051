"""The time inside a UUIDv7, by which events are filed."""

from __future__ import annotations

import re

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def is_uuid7(text: str) -> bool:
    """In canonical form: lower case, with dashes."""
    return _UUID7.fullmatch(text) is not None


def event_time_us(event_id: str) -> int:
    """The time inside a UUIDv7 in microseconds (it holds milliseconds). Raises ValueError for anything else."""
    if not is_uuid7(event_id):
        raise ValueError("event_id is not a UUIDv7 in canonical form")
    return int(event_id[:8] + event_id[9:13], 16) * 1000
