"""What answers of the front doors are rendered from in these tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from wire.neutral import (
    Account,
    BlockStart,
    BlockStop,
    Choice,
    Ended,
    Finish,
    Part,
    Response,
    Served,
    Stamp,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Usage,
    UsageUpdate,
)

HEX = "0199aabbccdd7eef8011223344556677"
UUID = "0199aabb-ccdd-7eef-8011-223344556677"
USAGE = Usage(input=1000, output=500)


def account(input_usd: str | None = "0.00015", output_usd: str | None = "0.0003", **fields: Any) -> Account:
    return Account(
        usage=USAGE,
        input_usd=None if input_usd is None else Decimal(input_usd),
        output_usd=None if output_usd is None else Decimal(output_usd),
        **{"total_us": 123_456, "upstream_us": 120_000, **fields},
    )


def stamp(of: Account | None = None) -> Stamp:
    served = Served(provider="openai", model="gpt-4o-mini", session_id="s", account=lambda: of or account())
    return Stamp(id=HEX, created=1_763_600_000, model="fast", served=served)


def answer(*parts: Part, **fields: Any) -> Response:
    choice = Choice(parts=parts or (Text(text="Hello!"),), finish=Finish(reason="stop"))
    return Response(
        **{"dialect": "openai_chat", "id": "r", "model": "m", "choices": (choice,), "usage": USAGE, **fields}
    )


def text_events(*pieces: str) -> list[StreamEvent]:
    """A whole streamed text."""
    return [
        Started(id="r"),
        BlockStart(block=0, kind="text", part=Text(text="")),
        *(TextDelta(block=0, text=piece) for piece in pieces),
        BlockStop(block=0),
        Finish(reason="length"),
        UsageUpdate(usage=USAGE),
        Ended(),
    ]
