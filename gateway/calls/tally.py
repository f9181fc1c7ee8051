"""What is learnt of an answer while it passes: tokens, finish, how much was generated, when the first of it came."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from wire.dialect import Facts, Meter
from wire.errors import GatewayError
from wire.front_doors.spoken import SpokenStream, spoken_text
from wire.neutral import (
    BlockStart,
    Ended,
    Failed,
    Finish,
    Refusal,
    Response,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
    UsageUpdate,
)


@dataclass(slots=True)
class Tally:
    """Filled while the answer passes; read once, at settlement. Times are seconds of `time.perf_counter`."""

    http_status: int | None = None
    usage: Usage | None = None
    finish: str | None = None
    response_id: str | None = None
    service_tier: str | None = None
    text_bytes: int = 0
    first_token_at: float | None = None
    ended: bool = False
    failed: GatewayError | None = None
    lost: tuple[str, ...] = ()  # of a stream: what its translation could not carry
    words: list[str] | None = None  # the text of a translated answer, where somebody keeps it
    tell: Callable[[GatewayError], GatewayError] = lambda error: error  # an upstream's words, as the caller hears them
    _spoken: SpokenStream = field(default_factory=SpokenStream)

    def take_facts(self, facts: Facts) -> None:
        self.usage = facts.usage
        self.finish = facts.finish
        self.response_id = facts.response_id
        self.service_tier = facts.service_tier
        self.text_bytes = facts.text_bytes
        self.ended = True

    def take_response(self, response: Response) -> None:
        self.usage = response.usage
        self.finish = response.choices[0].finish.reason if response.choices else None
        self.response_id = response.id
        self.service_tier = response.service_tier
        self.text_bytes = sum(part_bytes(part) for choice in response.choices for part in choice.parts)
        if self.words is not None:
            self.words.append(spoken_text(response)[0])
        self.ended = True

    def take_meter(self, meter: Meter, now: float) -> None:
        """After each event: the meter's fields are totals so far."""
        self.usage = meter.usage
        self.finish = meter.finish
        self.response_id = meter.response_id
        self.text_bytes = meter.text_bytes
        self.ended = meter.ended
        self.failed = None if meter.failed is None else self.tell(meter.failed)
        if self.first_token_at is None and meter.generated:
            self.first_token_at = now

    def take_events(self, events: Iterable[StreamEvent], now: float) -> None:
        for event in events:
            if self.words is not None:
                self.words.append(self._spoken.feed(event))
            match event:
                case TextDelta():
                    self.text_bytes += len(event.text.encode())
                    self._generated(now)
                case BlockStart():
                    self.text_bytes += part_bytes(event.part)
                    if event.kind != "text":
                        self._generated(now)
                case UsageUpdate():
                    self.usage = event.usage
                case Started():
                    self.response_id = event.id
                    self.usage = event.usage or self.usage
                case Finish() if event.choice == 0:
                    self.finish = event.reason
                case Failed():
                    self.failed = self.tell(event.error())
                case Ended():
                    self.ended = True
                case _:
                    pass

    def _generated(self, now: float) -> None:
        if self.first_token_at is None:
            self.first_token_at = now


def part_bytes(part: object) -> int:
    """UTF-8 bytes that the model wrote in a part; media count nothing here."""
    match part:
        case Text() | Refusal() | Thinking():
            return len(part.text.encode())
        case ToolCall():
            return len(part.name) + len(part.arguments.encode())
        case _:
            return 0
