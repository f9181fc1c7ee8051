"""What travels from a source through the loop to the store."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple

MAX_PRODUCER = 100  # characters; it is in an index
_REASON = 500  # characters


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
        """The same entry delivered again is the same letter, so it is counted once."""
        origin = f"{self.producer}\0{self.segment}\0".encode()
        return hashlib.sha256(origin + self.payload).hexdigest()


def letter_of(entry: Entry, reason: str, event_id: str | None = None) -> Letter:
    """A letter that every database takes, however strange the entry is."""
    producer, segment = entry.producer, entry.segment
    if not _is_origin(producer, segment):
        producer = segment = None
    counted = entry.counted and producer is not None
    return Letter(entry.payload, producer, segment, reason.replace("\0", "\ufffd")[:_REASON], counted, event_id)


def _is_origin(producer: str | None, segment: int | None) -> bool:
    """Whether it can name a segment: no gateway writes anything else, but anybody may write to a stream."""
    if producer is None or segment is None:
        return False
    return 0 < len(producer) <= MAX_PRODUCER and "\0" not in producer and 0 <= segment < 2**63
