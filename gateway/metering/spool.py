"""The spool's writer: intents and events, appended to checksummed segments on the local disk.

A line is one `write`, so it survives the process; `fsync` decides what of it survives the machine. Nothing here waits
for anything but the disk, and with an interval not even for that: a thread of the spool's own syncs, seals what has
become old, and tries again what the disk refused.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from gateway.ids import uuid7
from gateway.metering.folders import claim, remove, sync_folder
from gateway.metering.lines import event_line, intent_line
from usage_contract.event import Intent, UsageEvent
from usage_contract.spool import frame_seal, segment_path
from wire.errors import NotReady

log = logging.getLogger(__name__)

_TEND_SECONDS: Final = 0.25
_BACKLOG_EVENTS: Final = 20_000
_ALARM_EVERY: Final = 1_000
_PROBE: Final = b"?" * 4096  # no line end: a reader leaves it alone


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolSettings:
    """`fsync` is `never`, `always` or an interval in milliseconds. A segment is sealed at `segment_bytes`, or after
    `segment_seconds` if it holds an event. `quota_bytes` is for all of `root`. `on_full` says what happens to new calls
    when the quota is reached or the disk refuses: a 503, or service without a row and with an alarm."""

    root: Path
    fsync: Literal["never", "always"] | int = 50
    segment_bytes: int = 8 * 1024 * 1024
    segment_seconds: float = 10.0
    quota_bytes: int = 4 * 1024 * 1024 * 1024
    on_full: Literal["refuse", "unmetered"] = "refuse"

    def __post_init__(self) -> None:
        if isinstance(self.fsync, int) and self.fsync < 1:
            raise ValueError("the fsync interval must be at least 1 millisecond")


@dataclass(frozen=True, slots=True)
class Sealed:
    """A finished segment: how many events it holds, and its size in bytes."""

    events: int
    size: int


@dataclass(slots=True)
class SpoolCounts:
    """What an operator must hear about. `unmetered`: calls served without a row; `unwritten`: rows lost for good."""

    intents: int = 0
    events: int = 0
    refused: int = 0
    unmetered: int = 0
    unwritten: int = 0


class Spool:
    """One producer's spool. `open` it, then write from any thread."""

    def __init__(self, settings: SpoolSettings, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self.counts = SpoolCounts()
        self.producer = ""
        self.folder = settings.root
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._flock = -1
        self._file = -1
        self._segment = 0
        self._size = 0
        self._events = 0
        self._born = 0.0
        self._others = 0
        self._sealed: dict[int, Sealed] = {}
        self._sealed_bytes = 0
        self._open: dict[str, tuple[int, bytes]] = {}
        self._backlog: deque[UsageEvent] = deque()
        self._trouble: str | None = "not open"
        self._syncing = threading.Lock()
        self._unsynced: list[tuple[int, int]] = []  # number and descriptor of sealed segments
        self._doubtful: set[int] = set()
        self._durable = (0, 0)
        self._dirty = False
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    # ------------------------------------------------------------------------------------------- life
    def open(self) -> None:
        """Make this process's folder and its first segment. Raises OSError when the root cannot be written."""
        self.settings.root.mkdir(parents=True, exist_ok=True)
        while self._flock < 0:
            self.producer = uuid7()
            self.folder = self.settings.root / self.producer
            self.folder.mkdir(mode=0o700)
            # None: another gateway took the fresh folder for a dead one's before it was locked.
            held = claim(self.folder)
            self._flock = -1 if held is None else held
        with self._lock:
            self._begin(self._create(1), 1)
            self._trouble = None
        if self.settings.fsync != "never":
            sync_folder(self.settings.root)
            sync_folder(self.folder)
        self._closing.clear()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Seal, sync, and let go of the folder, which is removed if nothing is left in it. Intents that are still open
        stay, and become `lost` rows at the hands of whoever adopts the folder."""
        if self._flock < 0:
            return
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self.tend()
        self._sync()
        with self._lock:
            self._finish_segment()
            self._trouble = "closed"
            lost, self._backlog = len(self._backlog), deque()
        if lost:
            self.counts.unwritten += lost
            log.error("spool closed with %d events that the disk refused: their calls will be priced by estimate", lost)
        remove(self.folder, self._flock)
        self._flock = -1

    # ------------------------------------------------------------------------------------------- state
    @property
    def segment(self) -> int:
        """The number of the segment that is being written."""
        return self._segment

    @property
    def segment_events(self) -> int:
        """Events in the segment that is being written."""
        return self._events

    @property
    def open_intents(self) -> int:
        return len(self._open)

    @property
    def backlog(self) -> int:
        """Events in memory only, since the disk refused them; they are tried again four times a second."""
        return len(self._backlog)

    @property
    def bytes_used(self) -> int:
        """Bytes of segments under the root: exact for this producer, as last looked up for the others."""
        return self._sealed_bytes + self._size + self._others

    @property
    def writable(self) -> bool:
        return self._obstacle() is None

    @property
    def reason(self) -> str | None:
        """Why no new call can be written down; None when it can."""
        return self._obstacle()

    def sealed(self) -> dict[int, Sealed]:
        """Finished segments that are still on the disk, by number."""
        with self._lock:
            return dict(self._sealed)

    def durable_end(self, segment: int) -> int:
        """Bytes of a segment that may leave this machine: those that an OS crash cannot take back. An event that the
        ledger has and the spool forgot would be counted a second time, as a lost one."""
        with self._lock:
            if self.settings.fsync == "never":
                return self._size if segment == self._segment else self._sealed[segment].size
            synced, size = self._durable
            if segment < synced:
                return self._sealed[segment].size
            return size if segment == synced else 0

    def count_others(self, size: int) -> None:
        """Bytes that other producers under the same root use; they count against the quota."""
        self._others = size

    # ------------------------------------------------------------------------------------------- writing
    def write_intent(self, intent: Intent) -> None:
        """Write down that an attempt is about to be made. Raises NotReady when that is impossible and calls without a
        row are refused."""
        line = intent_line(intent)
        with self._lock:
            obstacle = self._obstacle()
            if obstacle is None:
                try:
                    self._open[intent.event_id] = (self._append(line), line)
                except OSError as error:
                    obstacle = self._refused_by_disk(error)
                else:
                    self.counts.intents += 1
                    return
        if self.settings.on_full == "refuse":
            self.counts.refused += 1
            raise NotReady(f"the usage spool takes no new calls: {obstacle}", code="spool_unwritable")
        if not self.counts.unmetered % _ALARM_EVERY:
            log.error("spool: calls go on UNMETERED, %d so far: %s", self.counts.unmetered + 1, obstacle)
        self.counts.unmetered += 1

    def write_event(self, event: UsageEvent) -> UsageEvent:
        """Write down how an attempt went; gives back the event with its producer and segment. Never raises for the
        disk: what it refuses is kept in memory and tried again. An event whose intent went unwritten is written only
        if there is room."""
        with self._lock:
            event = self._stamped(event)
            if event.event_id not in self._open and self._obstacle() is not None:
                return event
            if self._trouble is not None:
                self._keep(event)
                return event
            try:
                self._append_event(event)
            except OSError as error:
                self._refused_by_disk(error)
                self._keep(event)
            return event

    def seal(self) -> None:
        """Finish the current segment, if it holds anything, and begin the next. Raises OSError."""
        with self._lock:
            if self._size and self._file >= 0:
                self._roll()

    def release(self, segment: int) -> None:
        """Delete a sealed segment whose events are all safe. Intents in it that are still open move to the segment
        that is being written. Raises OSError, the segment then staying. Release in ascending order where that can be:
        an intent that outlives its event becomes a `lost` row, which the ledger then finds superseded."""
        with self._lock:
            moved = [key for key, (number, _) in self._open.items() if number == segment]
            if moved:
                into = self._append(b"".join(self._open[key][1] for key in moved))
                for key in moved:
                    self._open[key] = (into, self._open[key][1])
        if moved and isinstance(self.settings.fsync, int) and not self._sync():
            raise OSError("its open intents are not durable elsewhere")
        segment_path(self.folder, segment).unlink(missing_ok=True)
        with self._lock:
            gone = self._sealed.pop(segment, None)
            self._sealed_bytes -= 0 if gone is None else gone.size

    def tend(self) -> None:
        """What the spool's thread does four times a second: seal what is old, try again what the disk refused."""
        with self._lock:
            if self._file < 0:
                return
            try:
                if self._trouble is not None:
                    self._probe()
                while self._backlog:
                    self._append_event(self._stamped(self._backlog[0]))
                    self._backlog.popleft()
                if self._events and self._monotonic() - self._born >= self.settings.segment_seconds:
                    self._roll()
            except OSError as error:
                self._refused_by_disk(error)

    # ------------------------------------------------------------------------------------------- under the lock
    def _obstacle(self) -> str | None:
        if self._trouble is not None:
            return self._trouble
        if self.bytes_used >= self.settings.quota_bytes:
            return f"its quota of {self.settings.quota_bytes} bytes is used up"
        return None

    def _stamped(self, event: UsageEvent) -> UsageEvent:
        if event.segment == self._segment and event.producer == self.producer:
            return event
        return replace(event, producer=self.producer, segment=self._segment)

    def _append_event(self, event: UsageEvent) -> None:
        """Raises OSError. Until the line is there the intent stays open: it is all that a successor would find."""
        self._append(event_line(event), event=True)
        self._open.pop(event.event_id, None)

    def _append(self, line: bytes, *, event: bool = False) -> int:
        """The number of the segment that took the line. Raises OSError, the line then not being there."""
        number = self._segment
        size = self._size
        try:
            written = os.write(self._file, line)
            while written < len(line):
                written += os.write(self._file, line[written:])
            if self.settings.fsync == "always":
                os.fsync(self._file)
                self._durable = (number, size + written)
        except OSError:
            # Should this fail too, the tail is cut by `_probe` before anything else is written.
            os.ftruncate(self._file, size)
            raise
        if not size:
            self._born = self._monotonic()
        self._size = size + len(line)
        if event:
            self._events += 1
            self.counts.events += 1
        if not self._dirty:
            self._dirty = True
            self._wake.set()
        if self._size >= self.settings.segment_bytes:
            try:
                self._roll()
            except OSError as error:
                self._refused_by_disk(error)
        return number

    def _roll(self) -> None:
        """Raises OSError, the segment then going on."""
        old, number = self._file, self._segment
        seal = frame_seal(self._events)
        following = self._create(number + 1)
        try:
            if self.settings.fsync == "always":
                sync_folder(self.folder)
            if os.write(old, seal) != len(seal):
                raise OSError("the disk took only a part of the seal")
        except OSError:
            os.close(following)
            segment_path(self.folder, number + 1).unlink(missing_ok=True)
            os.ftruncate(old, self._size)
            raise
        self._sealed[number] = Sealed(self._events, self._size + len(seal))
        self._sealed_bytes += self._size + len(seal)
        if isinstance(self.settings.fsync, int):
            self._unsynced.append((number, old))
            # Its end, too, must become durable, though nothing more is written.
            self._dirty = True
            self._wake.set()
        else:
            os.close(old)
        self._begin(following, number + 1)

    def _create(self, number: int) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return os.open(segment_path(self.folder, number), flags, 0o600)

    def _begin(self, file: int, number: int) -> None:
        self._file, self._segment, self._size, self._events = file, number, 0, 0
        if not isinstance(self.settings.fsync, int):
            self._durable = (number, 0)

    def _finish_segment(self) -> None:
        """The last segment: sealed if it holds an event or an open intent, else removed."""
        file, self._file = self._file, -1
        try:
            os.ftruncate(file, self._size)
            if self._events or self._open:
                os.write(file, frame_seal(self._events))
                if self.settings.fsync != "never":
                    os.fsync(file)
            else:
                segment_path(self.folder, self._segment).unlink()
        except OSError as error:
            log.error("spool: the last segment of %s could not be finished: %s", self.producer, error)
        os.close(file)

    def _probe(self) -> None:
        """Cut what a failed write left behind and see whether the disk takes lines again. Raises OSError."""
        os.ftruncate(self._file, self._size)
        if os.write(self._file, _PROBE) != len(_PROBE):
            raise OSError("no room")
        os.ftruncate(self._file, self._size)
        if self.settings.fsync != "never":
            os.fsync(self._file)
        log.warning("spool: the disk takes lines again")
        self._trouble = None

    def _refused_by_disk(self, error: OSError) -> str:
        reason = f"the disk refuses: {error.strerror or error}"
        if self._trouble is None:
            log.error("spool: %s", reason)
            self._trouble = reason
        return reason

    def _keep(self, event: UsageEvent) -> None:
        if len(self._backlog) >= _BACKLOG_EVENTS or self._file < 0:
            self.counts.unwritten += 1
            log.error("spool: event %s is lost: %s", event.event_id, self._trouble)
            return
        self._backlog.append(event)

    # ------------------------------------------------------------------------------------------- the thread
    def _run(self) -> None:
        interval = self.settings.fsync
        pause = interval / 1000 if isinstance(interval, int) else 0.0
        looked = self._monotonic()
        while not self._closing.is_set():
            self._wake.wait(_TEND_SECONDS)
            self._wake.clear()
            try:
                if pause and self._dirty:
                    self._closing.wait(pause)
                    self._sync()
                if self._monotonic() - looked >= _TEND_SECONDS:
                    looked = self._monotonic()
                    self.tend()
            except Exception:
                # Without this thread nothing would be synced, sealed or shipped: log the cause and go on.
                log.exception("looking after the spool failed in an unforeseen way")
                self._closing.wait(_TEND_SECONDS)

    def _sync(self) -> bool:
        """Make durable all that was written so far. False: the disk refuses, as `reason` says, and is asked again.

        One at a time: else a quick second one would call durable what the first still waits for.
        """
        with self._syncing:
            with self._lock:
                if self._file < 0:
                    return False
                try:
                    live = os.dup(self._file)
                except OSError as error:
                    self._refused_by_disk(error)
                    return False
                self._dirty = False
                sealed, self._unsynced = self._unsynced, []
                reached = (self._segment, self._size)
            rolled = bool(sealed)
            try:
                while sealed:
                    self._sync_segment(*sealed[0], -1)
                    os.close(sealed.pop(0)[1])
                self._sync_segment(reached[0], live, reached[1])
                if rolled:
                    sync_folder(self.folder)
            except OSError as error:
                with self._lock:
                    self._unsynced = sealed + self._unsynced
                    self._dirty = True
                    self._refused_by_disk(error)
                return False
            else:
                with self._lock:
                    self._durable = max(self._durable, reached)
                return True
            finally:
                os.close(live)

    def _sync_segment(self, number: int, file: int, size: int) -> None:
        """Raises OSError. After a failed fsync the system takes the pages for clean, and the next one succeeds without
        them: they are written anew first, each byte where it is."""
        if number in self._doubtful:
            # Unless it is released already.
            with suppress(FileNotFoundError), segment_path(self.folder, number).open("r+b") as whole:
                content = whole.read(size)
                whole.seek(0)
                whole.write(content)
        self._doubtful.add(number)
        os.fsync(file)
        self._doubtful.discard(number)
