"""Ids of calls and attempts: UUIDv7, in the order they were made within a process.

RFC 9562 section 6.2, method 3: the 12 bits after the millisecond are its fraction. A clock that stands still or jumps
back does not turn the order around: the last timestamp is then counted on by its smallest step (a 4096th of a
millisecond), which also keeps two ids of one process apart without their random part. Only a clock that went back by
more than half a day is followed: it had been wrong before, and the ledger takes no time of a day ahead. The random part
then has to do.
"""

from __future__ import annotations

import os
import threading
import time

_FOLLOW_BACK = (12 * 3_600_000) << 12  # in steps of a stamp
_POOL_BYTES = 4096
_RANDOM_BYTES = 8
_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_MASK = (1 << 62) - 1


class _Source:
    """The state behind `uuid7`. A forked child starts with an empty pool, or it would repeat its parent's ids."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._pool = b""
        self._used = 0

    def next(self, now_ns: int) -> int:
        with self._lock:
            stamp = (now_ns << 12) // 1_000_000  # milliseconds, 12 binary places
            if self._last - stamp <= _FOLLOW_BACK:
                stamp = max(stamp, self._last + 1)
            self._last = stamp
            start = self._used
            if start >= len(self._pool):
                self._pool = os.urandom(_POOL_BYTES)
                start = 0
            self._used = start + _RANDOM_BYTES
            random = int.from_bytes(self._pool[start : start + _RANDOM_BYTES]) & _RANDOM_MASK
        return (stamp >> 12) << 80 | _VERSION | (stamp & 0xFFF) << 64 | _VARIANT | random


_source = _Source()
os.register_at_fork(after_in_child=_source.reset)


def uuid7(now_ns: int | None = None) -> str:
    """A new id in the usual 8-4-4-4-12 form; greater than every earlier one of this process,
    unless the clock went back by more than half a day.

    `now_ns` replaces the wall clock (nanoseconds since the epoch).
    """
    text = f"{_source.next(time.time_ns() if now_ns is None else now_ns):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
