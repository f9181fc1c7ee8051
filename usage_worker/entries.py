"""What travels from a source through the loop to the store."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """One event as it was delivered, not decoded yet."""

    token: Any  # the source's own handle, given back to it in `ack`
    payload: bytes
    producer: str | None  # origin as the envelope states it; None when even that is unreadable
    segment: int | None
    problem: str | None = None  # the source already knows that this is no event
    counted: bool = True  # whether the segment's count includes this entry
    suspect: bool = False  # delivered so often that it may be what kills the worker


@dataclass(frozen=True, slots=True)
class Letter:
    """An entry that will never become a row as it is, with the reason. Ends in `usage_dead_letters`."""

    payload: bytes
    producer: str | None
    segment: int | None
    reason: str
    counted: bool = True
    event_id: str | None = None
    resolution: str | None = None  # set when there is nothing for anybody to do about it

    @property
    def letter_id(self) -> str:
        """The same entry delivered again is the same letter, so it is counted once."""
        origin = f"{self.producer}\0{self.segment}\0".encode()
        return hashlib.sha256(origin + self.payload).hexdigest()


def letter_of(entry: Entry, reason: str, event_id: str | None = None) -> Letter:
    counted = entry.counted and entry.producer is not None and entry.segment is not None
    return Letter(entry.payload, entry.producer, entry.segment, reason, counted, event_id)
