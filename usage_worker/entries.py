"""What travels from a source through the loop to the store."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from ledger.uuid7 import is_uuid7

MAX_PRODUCER = 100  # characters; it is in an index
_REASON = 500  # characters
# Inside a JSON text the quotes would be escaped, so this finds the member alone.
_EVENT_ID = re.compile(rb'"event_id":\s*"([0-9a-f-]{36})"')


class Entry(NamedTuple):
    """One event as it was delivered, not decoded yet."""

    token: Any  # the source's own handle, given back to it in `ack`
    payload: bytes
    producer: str | None  # origin as the envelope states it; None when even that is unreadable
    segment: int | None
    problem: str | None = None  # the source already knows that this is no event
    counted: bool = True  # whether the segment's count includes this entry
    suspect: bool = False  # workers died of it, as far as anybody can tell


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
        """The same event delivered again is the same letter, so it is counted once."""
        origin = f"{self.producer}\0{self.segment}\0".encode()
        identity = self.event_id.encode() if self.counted and self.event_id is not None else self.payload
        return hashlib.sha256(origin + identity).hexdigest()


def letter_of(entry: Entry, reason: str) -> Letter:
    """A letter that every database takes, however strange the entry is. What bears no event's id is none of its
    segment's events, whatever its envelope says: counted, it would stand for one that is not stored yet."""
    producer, segment = entry.producer, entry.segment
    if not _is_origin(producer, segment):
        producer = segment = None
    event_id = _event_id(entry.payload) if entry.counted else None
    counted = event_id is not None and producer is not None
    return Letter(entry.payload, producer, segment, reason.replace("\0", "\ufffd")[:_REASON], counted, event_id)


def _event_id(payload: bytes) -> str | None:
    found = _EVENT_ID.search(payload)
    event_id = found[1].decode() if found else ""
    return event_id if is_uuid7(event_id) else None


def _is_origin(producer: str | None, segment: int | None) -> bool:
    """Whether it can name a segment: no gateway writes anything else, but anybody may write to a stream."""
    if producer is None or segment is None:
        return False
    return 0 < len(producer) <= MAX_PRODUCER and "\0" not in producer and 0 <= segment < 2**63
