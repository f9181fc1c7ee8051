"""What the upstream says to one call: made from an interaction, changed by a test into a failure."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"

# Headers of a recording that describe the recorded connection, not this one.
_CONNECTION = frozenset({"content-length", "transfer-encoding", "content-encoding", "connection", "date"})


class Gate:
    """Holds an answer until a test opens it, from whichever thread."""

    def __init__(self) -> None:
        self._open = False
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @property
    def is_open(self) -> bool:
        return self._open

    def open(self) -> None:
        """Let everyone through, now and later."""
        self._open = True
        for loop, event in tuple(self._waiting):
            loop.call_soon_threadsafe(event.set)

    async def passed(self) -> None:
        """Return once the gate is open."""
        event = asyncio.Event()
        waiter = (asyncio.get_running_loop(), event)
        self._waiting.add(waiter)
        try:
            while not self._open:
                await event.wait()
        finally:
            self._waiting.discard(waiter)


@dataclass(frozen=True)
class Answer:
    """One HTTP answer as the pieces in which it is sent, and what goes wrong with it.

    `gate` holds it before its first byte, `gates[i]` before the body's piece `i` (the number of pieces: before the
    end). `delay` and `piece_delay` are seconds before the head and before each piece after the first. `cut_after`
    closes the connection after that many bytes of the body, without an end. `hang` never answers. `garbage` is sent
    as it is in place of an HTTP answer. `length` announces the body's length instead of sending it chunked.
    `written_id` is an id in the body that becomes another for each call: see `Call.answer_id`.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    pieces: tuple[bytes, ...] = (b"{}",)
    length: bool = True
    gate: Gate | None = None
    gates: Mapping[int, Gate] = field(default_factory=dict)
    delay: float = 0.0
    piece_delay: float = 0.0
    cut_after: int | None = None
    hang: bool = False
    garbage: bytes | None = None
    written_id: str | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def named(self, answer_id: str) -> Answer:
        """The same with that id in place of the written one."""
        if self.written_id is None:
            return self
        old, new = json.dumps(self.written_id).encode(), json.dumps(answer_id).encode()
        return replace(self, pieces=tuple(piece.replace(old, new) for piece in self.pieces))


def error(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON error of the given status."""
    return Answer(
        status=status,
        headers={"content-type": "application/json", **(headers or {})},
        pieces=(json.dumps(body).encode(),),
    )


def answer_of(interaction: Mapping[str, Any]) -> Answer:
    """The answer that the interaction holds, cut as its recorder received it, else at each event of a stream."""
    response = interaction["response"]
    body = response["body_text"].encode()
    headers = {name.lower(): value for name, value in (response.get("headers") or {}).items()}
    kept = {name: value for name, value in headers.items() if name not in _CONNECTION}
    kept.setdefault("content-type", _guess_type(body))
    streamed = not kept["content-type"].startswith("application/json")
    pieces = pieces_of(body, response.get("chunk_sizes")) if streamed else (body,)
    return Answer(status=response["status"], headers=kept, pieces=pieces, length=not streamed)


def _guess_type(body: bytes) -> str:
    return "text/event-stream" if re.match(rb"(data|event|id|:)[: ]", body) else "application/json"


def pieces_of(body: bytes, sizes: list[int] | None = None) -> tuple[bytes, ...]:
    """The body cut at the given sizes when they add up to it, else after each blank line (each event)."""
    if sizes and sum(sizes) == len(body):
        ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
        return tuple(body[end - size : end] for end, size in zip(ends, sizes, strict=True) if size)
    return tuple(part for part in re.split(rb"(?<=\r\n\r\n)|(?<=\n\n)", body) if part)


@cache
def _fixture(name: str) -> str:
    return (FIXTURES / f"{name}.json").read_text(encoding="utf-8")


def written(name: str) -> dict[str, Any]:
    """A written interaction by its file name without `.json`, such as `openai-chat-stream`."""
    loaded: dict[str, Any] = json.loads(_fixture(name))
    return loaded
