"""Carries events from the spool to the worker, and deletes a segment once the ledger has all of it.

With Redis, lines of this gateway's spool and of adopted ones go to the usage stream; without it the worker reads the
spool itself. Either way only the worker's receipts delete anything, so what happens to Redis can delay a row, not lose
it. Nothing here is waited for by a call.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from gateway.metering.adoption import Adopted, adopt, producers, size_of
from gateway.metering.lines import event_version
from gateway.metering.redis_stream import RedisStream, StreamUnavailable
from gateway.metering.spool import Sealed, Spool
from ledger.threads import in_thread
from usage_contract.event import Receipt
from usage_contract.spool import read_lines, segment_path

log = logging.getLogger(__name__)

ReceiptReader = Callable[[str, int], Awaitable[Sequence[Receipt]]]  # producer, first segment wanted

_BATCH_EVENTS: Final = 128
_BATCH_BYTES: Final = 512 * 1024
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 10.0
_PROBE_AT_ONCE: Final = 64
_LONGEST_PATIENCE: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipperSettings:
    """Seconds. `answer_seconds`: how long the ledger is waited for. `confirm_seconds`: how long a shipped segment may
    lack its receipts before Redis is asked whether it still has it; doubled each time it is shipped again."""

    poll_seconds: float = 0.1
    receipts_seconds: float = 2.0
    answer_seconds: float = 5.0
    adopt_seconds: float = 10.0
    confirm_seconds: float = 15.0


class Producer(Protocol):
    """A spool whose folder this process holds: its own, or an adopted one."""

    @property
    def producer(self) -> str: ...
    @property
    def folder(self) -> Path: ...
    def sealed(self) -> dict[int, Sealed]: ...
    def durable_end(self, segment: int) -> int: ...
    def release(self, segment: int) -> None: ...


@dataclass(slots=True)
class _Shipment:
    """How far a segment has gone: `seen` events up to `offset`. `done_at` is when its last line went, in the shipper's
    clock."""

    offset: int = 0
    seen: int = 0
    last_id: bytes = b""
    done_at: float | None = None
    patience: float = 0.0
    missing: bool = False
    events: int | None = None  # that can be read; None: not all of it was


@dataclass(slots=True)
class ShipperCounts:
    """For metrics. `shipped` counts again what was shipped again; `reshipped` are segments."""

    shipped: int = 0
    failures: int = 0
    reshipped: int = 0
    released: int = 0
    adopted: int = 0
    lost: int = 0
    damaged: int = 0


@dataclass(slots=True)
class _Track:
    """A producer and its segments' shipments."""

    source: Producer
    shipments: dict[int, _Shipment] = field(default_factory=dict)
    asked_at: float = 0.0

    @property
    def any_shipped(self) -> bool:
        """Whether anything that is not confirmed has been shipped."""
        return any(shipment.last_id for shipment in self.shipments.values())

    def of(self, segment: int) -> _Shipment:
        return self.shipments.setdefault(segment, _Shipment())


class Shipper:
    """The background task of a gateway. `run` it; on SIGTERM, `ship_all`, then `close`.

    `receipts` reads a producer's receipts from the ledger; whatever it raises means: not now.
    """

    def __init__(
        self,
        spool: Spool,
        receipts: ReceiptReader,
        stream: RedisStream | None = None,
        *,
        settings: ShipperSettings | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts = ShipperCounts()
        self._spool = spool
        self._receipts = receipts
        self._stream = stream
        self._settings = settings or ShipperSettings()
        self._monotonic = monotonic
        self._tracks: list[_Track] = [_Track(spool)]
        self._adopted: list[Adopted] = []
        self._turn = asyncio.Lock()
        self._pause = 0.0
        self._not_before = 0.0
        self._trouble: str | None = None
        self._ledger_trouble: str | None = None
        self._stopping = False
        self._looked_at = float("-inf")
        self._asked_at = float("-inf")

    # ------------------------------------------------------------------------------------------- state
    @property
    def reason(self) -> str | None:
        """Why events do not reach the ledger now; None when they do. Calls go on all the same."""
        return self._trouble or self._ledger_trouble

    @property
    def unconfirmed(self) -> int:
        """Sealed events that are not known to be in the ledger."""
        return sum(each.events for track in self._tracks for each in track.source.sealed().values())

    @property
    def holding(self) -> list[str]:
        """Producers whose spool this gateway looks after; its own is the first."""
        return [track.source.producer for track in self._tracks]

    # ------------------------------------------------------------------------------------------- life
    async def run(self) -> None:
        """Until cancelled. `ship_all` may be called meanwhile."""
        task = asyncio.current_task()
        # A cancellation that some library swallowed on the way still counts.
        while task is None or not task.cancelling():
            try:
                await self.turn()
            except Exception:
                # Without this task the spool would fill until calls are refused: log the cause and go on.
                log.exception("shipping usage events failed in an unforeseen way")
            await asyncio.sleep(self._settings.poll_seconds)

    async def turn(self) -> None:
        """One look at everything that is due. Never raises for the disk, Redis or the ledger."""
        async with self._turn:
            now = self._monotonic()
            if not self._stopping and now - self._looked_at >= self._settings.adopt_seconds:
                self._looked_at = now
                await self._adopt()
            if self._stream is None:
                await self._look_for_damage()
            elif now >= self._not_before:
                await self._ship(self._stream)
            if now - self._asked_at >= self._settings.receipts_seconds:
                self._asked_at = now
                await self._confirm()

    async def ship_all(self, seconds: float) -> bool:
        """Seal, ship, and wait for the receipts, but at most so long. True: the ledger has everything of this gateway
        but calls that are still open. What is left is for whoever adopts the folder; nothing new is adopted."""
        self._stopping = True
        try:
            async with asyncio.timeout(seconds):
                return await self._ship_the_rest()
        except TimeoutError:
            log.warning("stopping with %d events that the ledger has not confirmed", self.unconfirmed)
            return False

    async def _ship_the_rest(self) -> bool:
        try:
            await in_thread(self._spool.seal)
        except OSError as error:
            log.error("spool: the last segment cannot be sealed: %s", error)
        pause = self._settings.poll_seconds
        while True:
            self._asked_at, self._not_before = float("-inf"), float("-inf")
            await self.turn()
            if not self._spool.sealed() and not self._spool.segment_events:
                return True
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 1.0)

    async def close(self) -> None:
        """Let go of adopted folders and of Redis. The spool is closed by its owner."""
        for each in self._adopted:
            each.close()
        self._adopted.clear()
        del self._tracks[1:]
        if self._stream is not None:
            await self._stream.close()

    # ------------------------------------------------------------------------------------------- adoption
    async def _adopt(self) -> None:
        try:
            adopted, others = await in_thread(self._look)
        except OSError as error:
            log.error("spools of other gateways cannot be looked at: %s", error)
            return
        self._spool.count_others(others + sum(each.bytes_used for each in (*self._adopted, *adopted)))
        for each in adopted:
            self.counts.adopted += 1
            self._adopted.append(each)
            self._tracks.append(_Track(each))
        for each in self._adopted:
            try:
                self.counts.lost += await in_thread(each.settle)
            except OSError as error:
                log.error("%d calls lost with %s cannot be written down yet: %s", each.open, each.producer, error)

    def _look(self) -> tuple[list[Adopted], int]:
        """Newly adopted folders, and the bytes of those that others hold."""
        adopted, others = [], 0
        held = {self._spool.producer, *(each.producer for each in self._adopted)}
        for folder in producers(self._spool.settings.root):
            if folder.name in held:
                continue
            try:
                found = adopt(folder)
            except OSError as error:
                log.error("the spool of %s cannot be adopted: %s", folder.name, error)
                found = None
            if found is None:
                others += size_of(folder)
            else:
                adopted.append(found)
        return adopted, others

    # ------------------------------------------------------------------------------------------- shipping
    async def _ship(self, stream: RedisStream) -> None:
        try:
            for track in list(self._tracks):
                await self._ship_track(stream, track)
                await self._look_after_marker(stream, track)
            await self._find_missing(stream)
        except StreamUnavailable as error:
            self.counts.failures += 1
            self._pause = min(max(self._pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
            self._not_before = self._monotonic() + self._pause
            if self._trouble is None:
                log.warning("usage events wait in the spool, Redis does not take them: %s", error)
            self._trouble = f"redis: {error}"
            return
        except OSError as error:
            log.error("the spool cannot be read: %s", error)
            return
        if self._trouble is not None:
            log.warning("Redis takes usage events again")
        self._pause, self._trouble = 0.0, None

    async def _ship_track(self, stream: RedisStream, track: _Track) -> None:
        source = track.source
        sealed = source.sealed()
        live = [self._spool.segment] if source is self._spool else []
        for segment in [*sorted(sealed), *live]:
            shipment = track.of(segment)
            while shipment.done_at is None:
                # Asked before the look: what becomes durable after it is for the next one.
                whole = segment in sealed and source.durable_end(segment) >= sealed[segment].size
                batch = _Batch.read(source, segment, shipment.offset)
                self.counts.damaged += batch.damaged
                if batch.entries:
                    shipped = await stream.ship(source.producer, segment, batch.entries)
                    track.asked_at = self._monotonic()
                    self.counts.shipped += len(batch.entries)
                    if shipped.fresh and self._start_over(track):
                        return
                    shipment.last_id = shipped.last_id
                shipment.offset = batch.end
                shipment.seen += len(batch.entries)
                if batch.full:
                    continue
                if whole:
                    shipment.events = shipment.seen
                    shipment.done_at = self._monotonic()
                    shipment.patience = shipment.patience or self._settings.confirm_seconds
                break

    async def _look_after_marker(self, stream: RedisStream, track: _Track) -> None:
        """While events wait to be confirmed and no batch asks for the marker anyway, ask for it alone."""
        now = self._monotonic()
        if track.any_shipped and now - track.asked_at >= self._settings.receipts_seconds:
            track.asked_at = now
            if (await stream.ship(track.source.producer, 0, ())).fresh:
                self._start_over(track)

    def _start_over(self, track: _Track) -> bool:
        """Ship all of a producer's segments again. False when none had been shipped before."""
        if not track.any_shipped:
            return False
        log.warning("Redis has lost its data: unconfirmed usage events of %s are shipped again", track.source.producer)
        self.counts.reshipped += len(track.shipments)
        track.shipments = {number: _Shipment(patience=each.patience) for number, each in track.shipments.items()}
        return True

    async def _find_missing(self, stream: RedisStream) -> None:
        """Segments that should have their receipts by now and are not in the stream either: noted first, and shipped
        again if the receipts read after that do not have them."""
        now = self._monotonic()
        late = [
            (track, segment, shipment)
            for track in self._tracks
            for segment, shipment in track.shipments.items()
            if shipment.done_at is not None
            and shipment.last_id
            and not shipment.missing
            and now - shipment.done_at >= shipment.patience
        ][:_PROBE_AT_ONCE]
        if not late:
            return
        waiting = await stream.waiting([shipment.last_id for _, _, shipment in late])
        for _, _, shipment in late:
            shipment.missing = shipment.last_id not in waiting
            shipment.done_at = now

    async def _look_for_damage(self) -> None:
        """Without a stream nobody here reads the segments: count what can be read of those that lack receipts for long,
        since no receipt ever comes for a damaged line."""
        now = self._monotonic()
        for track in self._tracks:
            for segment in track.source.sealed():
                shipment = track.of(segment)
                if shipment.done_at is None:
                    shipment.done_at = now
                elif not shipment.missing and now - shipment.done_at >= self._settings.confirm_seconds:
                    shipment.missing = True
                    shipment.events, damaged = await in_thread(_count, track.source, segment)
                    self.counts.damaged += damaged

    # ------------------------------------------------------------------------------------------- receipts
    async def _confirm(self) -> None:
        for track in list(self._tracks):
            sealed = track.source.sealed()
            if sealed:
                needed = any(each.events for each in sealed.values())
                receipts = await self._read_receipts(track.source.producer, min(sealed), needed=needed)
                if receipts is None:
                    return
                await self._release(track, sealed, receipts)
            if track.source is not self._spool and not track.source.sealed():
                await self._finish(track)

    async def _read_receipts(self, producer: str, first: int, *, needed: bool) -> dict[int, int] | None:
        """Events that are safe, by segment; None when the ledger does not say."""
        if not needed:
            return {}
        try:
            async with asyncio.timeout(self._settings.answer_seconds):
                receipts = await self._receipts(producer, first)
        except Exception as error:  # noqa: BLE001 - whatever a database raises: the segments stay
            if self._ledger_trouble is None:
                log.warning("receipts cannot be read, the spool keeps everything: %s", error)
            self._ledger_trouble = f"ledger: {type(error).__name__}"
            return None
        self._ledger_trouble = None
        return {each.segment: each.stored + each.dead_lettered for each in receipts}

    async def _release(self, track: _Track, sealed: dict[int, Sealed], safe: dict[int, int]) -> None:
        """Delete from the oldest on, as far as all is safe: an intent must not outlive its event. But where the disk
        refuses to take an open intent out of one, those after it go: that makes room."""
        blocked = False
        for segment in sorted(sealed):
            shipment = track.of(segment)
            # What was an event when it was written may be damaged by now; which kind a damaged line was, nobody knows.
            expected = sealed[segment].events if shipment.events is None else shipment.events
            if not blocked and safe.get(segment, 0) >= expected:
                try:
                    await in_thread(track.source.release, segment)
                except OSError as error:
                    log.error("spool segment %s/%d cannot be deleted: %s", track.source.producer, segment, error)
                    continue
                track.shipments.pop(segment, None)
                self.counts.released += 1
                continue
            blocked = True
            if self._stream is not None and safe.get(segment, 0) < expected and shipment.missing:
                log.warning(
                    "segment %s/%d is neither stored nor on its way: shipped again", track.source.producer, segment
                )
                self.counts.reshipped += 1
                track.shipments[segment] = _Shipment(patience=min(shipment.patience * 2, _LONGEST_PATIENCE))

    async def _finish(self, track: _Track) -> None:
        adopted = track.source
        self._tracks.remove(track)
        for each in self._adopted:
            if each is adopted:
                each.close()
        self._adopted = [each for each in self._adopted if each is not adopted]
        if self._stream is not None:
            with suppress(StreamUnavailable):  # it expires
                await self._stream.forget(adopted.producer)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Events of a segment from an offset on: `end` is how far was read, `full` whether there may be more."""

    entries: list[tuple[bytes, bytes]]
    end: int
    full: bool
    damaged: int

    @classmethod
    def read(cls, source: Producer, segment: int, offset: int) -> _Batch:
        limit = source.durable_end(segment)
        entries: list[tuple[bytes, bytes]] = []
        size = damaged = 0
        if offset >= limit:
            return cls(entries, offset, False, 0)
        for line in read_lines(segment_path(source.folder, segment), offset):
            if line.end > limit:
                break
            offset = line.end
            if line.kind == "E":
                entries.append((b"%d" % event_version(line.payload).schema_version, line.payload))
                size += len(line.payload)
            damaged += line.kind is None
            if len(entries) >= _BATCH_EVENTS or size >= _BATCH_BYTES:
                return cls(entries, offset, True, damaged)
        return cls(entries, offset, False, damaged)


def _count(source: Producer, segment: int) -> tuple[int | None, int]:
    """Events that can be read, and damaged lines."""
    try:
        kinds = [line.kind for line in read_lines(segment_path(source.folder, segment))]
    except OSError as error:
        log.error("spool segment %s/%d cannot be read: %s", source.producer, segment, error)
        return None, 0
    return kinds.count("E"), kinds.count(None)
