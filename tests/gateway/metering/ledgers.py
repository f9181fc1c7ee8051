"""Ledgers in memory that count receipts as the real worker does: every event once, for the segment it came in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from redis.asyncio import Redis

from gateway.metering.settlement import Attempt, Call, Metering, Outcome
from gateway.pricing import Price, from_config
from usage_contract.codec import decode, decode_intent, from_stream_fields
from usage_contract.event import Intent, Receipt, UsageEvent
from usage_contract.spool import read_lines, segment_path, segments
from wire.neutral import Usage

PRICE: Price = from_config({"input_price_per_million": "1", "output_price_per_million": "2"})
CALL = Call(request_id="req", surface="/v1/chat/completions", model_asked="m")
SUCCESS = Outcome(status="success", http_status=200, usage=Usage(input=10, output=20))


def begin(metering: Metering, price: Price | None = PRICE, **more: object) -> Attempt:
    return metering.begin(CALL, provider="openai", model_used="m", price=price, input_estimate=100, **more)  # type: ignore[arg-type]


class MemoryLedger:
    """Stores events once and counts receipts."""

    def __init__(self) -> None:
        self.events: dict[str, UsageEvent] = {}
        self.stored: Counter[tuple[str, int]] = Counter()
        self.asked = 0

    def store(self, event: UsageEvent, producer: str, segment: int) -> None:
        assert (event.producer, event.segment) == (producer, segment)
        assert self.events.get(event.event_id, event) == event, "one id, two stories"
        if event.event_id not in self.events:
            self.events[event.event_id] = event
            self.stored[producer, segment] += 1

    async def receipts(self, producer: str, first: int) -> Sequence[Receipt]:
        self.asked += 1
        return [
            Receipt(producer=name, segment=segment, stored=count, dead_lettered=0)
            for (name, segment), count in self.stored.items()
            if name == producer
        ]

    async def consume(self, redis: Redis, stream: str = "tollgate:usage") -> int:
        """Take what the stream holds, as a worker that acknowledges and deletes."""
        entries: list[tuple[bytes, dict[bytes, bytes]]] = await redis.xrange(stream)  # type: ignore[assignment]
        for entry_id, fields in entries:
            event = from_stream_fields(fields)
            self.store(event, fields[b"producer"].decode(), int(fields[b"segment"]))
            await redis.xdel(stream, entry_id)
        return len(entries)

    def read(self, root: Path) -> None:
        """Take what the spool holds, as a worker without Redis."""
        for folder in root.iterdir():
            for event in spooled_events(folder):
                self.store(event, folder.name, event.segment)


def fill(disk: Path) -> Path:
    """A file that leaves the file system no room."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("ab", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    return filler


def lines(folder: Path) -> Iterator[tuple[int, str | None, bytes]]:
    """Segment, kind and payload of every line of a producer's folder."""
    for number in segments(folder):
        for line in read_lines(segment_path(folder, number)):
            yield number, line.kind, line.payload


def spooled_events(folder: Path) -> list[UsageEvent]:
    return [decode(payload) for _, kind, payload in lines(folder) if kind == "E"]


def spooled_intents(folder: Path) -> list[Intent]:
    return [decode_intent(payload) for _, kind, payload in lines(folder) if kind == "I"]
