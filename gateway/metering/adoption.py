"""Spools of gateways that died: found by a lock that nobody holds, recovered, and kept until the ledger has them.

Recovery only adds: torn tails are cut, open segments sealed, and an intent without an outcome becomes a `lost` event,
priced by its estimate, under the intent's own id. Whoever dies in the middle of it leaves a folder that the next one
recovers the same way.

A disk that is full must not keep what would free it: segments are shipped and released whether or not there is room for
seals and `lost` events, but for those whose open intents have no event yet.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from gateway.metering.folders import claim, remove, sync_folder
from gateway.metering.lines import event_id, event_line
from gateway.metering.settlement import lost_event
from gateway.metering.spool import Sealed
from usage_contract.event import Intent
from usage_contract.spool import frame_seal, read_lines, segment_path, segments

log = logging.getLogger(__name__)

_LINES_AT_ONCE: Final = 1000
_NAME: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# Lenient on purpose: fields that a newer gateway added are passed over, so that its lost calls can be priced here.
_intent: Final = msgspec.json.Decoder(Intent).decode


class Adopted:
    """A dead producer's folder, held and recovered. Read like a spool that nobody writes any more."""

    def __init__(self, folder: Path, lock: int, sealed: dict[int, Sealed], open_intents: dict[str, _Open]) -> None:
        self.folder = folder
        self.producer = folder.name
        self._lock = lock
        self._sealed = sealed
        self._open = open_intents
        self._next = max(sealed, default=0) + 1

    @property
    def bytes_used(self) -> int:
        return sum(each.size for each in self._sealed.values())

    @property
    def open(self) -> int:
        """Intents that have no event yet."""
        return len(self._open)

    def sealed(self) -> dict[int, Sealed]:
        return dict(self._sealed)

    def durable_end(self, segment: int) -> int:
        return self._sealed[segment].size

    def settle(self) -> int:
        """Write the `lost` events that are not written yet; their number: attempts whose outcome nobody knows. Raises
        OSError, none of them then being there."""
        if not self._open:
            return 0
        sealed = _write_lost(self.folder, self._next, [each.payload for each in self._open.values()])
        self._open.clear()
        if sealed is None:
            return 0
        self._sealed[self._next] = sealed
        return sealed.events

    def release(self, segment: int) -> None:
        """Delete a segment whose events are all safe; ascending order where that can be. Raises OSError."""
        if any(each.segment == segment for each in self._open.values()):
            raise OSError("calls that it began have no `lost` events yet")
        segment_path(self.folder, segment).unlink(missing_ok=True)
        self._sealed.pop(segment, None)

    def close(self) -> None:
        """Let go of the folder: gone if it is empty, else for the next who looks."""
        remove(self.folder, self._lock)


@dataclass(frozen=True, slots=True)
class _Open:
    """An intent without an event, and the segment that holds it."""

    segment: int
    payload: bytes


@dataclass(slots=True)
class _Found:
    """What a segment holds: `end` is where its whole lines end, `sealed` whether the last of them is the seal."""

    events: int = 0
    end: int = 0
    sealed: bool = False


def adopt(folder: Path) -> Adopted | None:
    """Hold and recover a folder that nobody holds; None when someone does. `settle` it then, and again until there is
    room. Raises OSError when it cannot be read; the folder is then let go of, as it is."""
    lock = claim(folder)
    if lock is None:
        return None
    try:
        found = Adopted(folder, lock, *_recover(folder))
    except BaseException:
        os.close(lock)
        raise
    if sealed := found.sealed():
        events = sum(each.events for each in sealed.values())
        log.warning("adopted the spool of a gateway that died: %d events, %d calls lost with it", events, found.open)
    return found


def producers(root: Path) -> list[Path]:
    """All producer folders under the root, told by their names. Raises OSError."""
    return sorted(path for path in root.iterdir() if _NAME.fullmatch(path.name) and path.is_dir())


def size_of(folder: Path) -> int:
    """Bytes of the folder's segments; those that vanish meanwhile count nothing. Raises OSError."""
    total = 0
    for number in segments(folder):
        try:
            total += segment_path(folder, number).stat().st_size
        except FileNotFoundError:
            continue
    return total


def _recover(folder: Path) -> tuple[dict[int, Sealed], dict[str, _Open]]:
    open_intents: dict[str, _Open] = {}
    sealed: dict[int, Sealed] = {}
    for number in segments(folder):
        path = segment_path(folder, number)
        found = _scan(path, number, open_intents)
        size = found.end
        if not found.sealed:
            try:
                size = _seal(path, found)
            except OSError as error:
                # Only readers of the folder would see it: who adopts counts for itself.
                log.error("spool segment %s/%s goes without a seal: %s", folder.name, path.name, error)
        sealed[number] = Sealed(found.events, size)
    return sealed, open_intents


def _scan(path: Path, number: int, open_intents: dict[str, _Open]) -> _Found:
    """Gather intents, take out those that have an event. An event never stands before its intent."""
    found = _Found()
    damaged = 0
    for line in read_lines(path):
        found.end = line.end
        match line.kind:
            case "I":
                open_intents[event_id(line.payload).event_id] = _Open(number, line.payload)
            case "E":
                open_intents.pop(event_id(line.payload).event_id, None)
                found.events += 1
            case "S":
                found.sealed = True
            case None:
                damaged += 1
    if damaged:
        log.error("spool segment %s/%s: %d damaged lines skipped", path.parent.name, path.name, damaged)
    return found


def _seal(path: Path, found: _Found) -> int:
    """Cut a torn tail and seal: readers that already know the whole lines see no difference."""
    seal = frame_seal(found.events)
    with path.open("r+b") as file:
        file.truncate(found.end)
        file.seek(found.end)
        file.write(seal)
        file.flush()
        os.fsync(file.fileno())
    return found.end + len(seal)


def _write_lost(folder: Path, number: int, intents: Sequence[bytes]) -> Sealed | None:
    """The segment of `lost` events; None when no intent can be read. Raises OSError, nothing then being there."""
    lines: list[bytes] = []
    for payload in intents:
        try:
            intent = _intent(payload)
        except msgspec.DecodeError as error:
            log.error("spool of %s: an intent cannot be read, its call has no row: %s", folder.name, error)
            continue
        lines.append(event_line(lost_event(intent, producer=folder.name, segment=number)))
    if not lines:
        return None
    lines.append(frame_seal(len(lines)))
    path = segment_path(folder, number)
    try:
        with path.open("xb") as file:
            for start in range(0, len(lines), _LINES_AT_ONCE):
                file.write(b"".join(lines[start : start + _LINES_AT_ONCE]))
            file.flush()
            os.fsync(file.fileno())
        sync_folder(folder)
    except OSError:
        # A worker that has read a part of it meanwhile will find the same events in the same place.
        path.unlink(missing_ok=True)
        raise
    return Sealed(len(lines) - 1, sum(map(len, lines)))
