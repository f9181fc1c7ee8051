"""Calls of every kind against the gateways, from the test's own process, and what came of each.

A call's marker is in its prompt, by which the upstream's requests are told apart, and in its session id, by which the
ledger's rows are. Nothing is retried here: whoever got no answer says so.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Literal, Self

import httpx

from gateway.__main__ import IDLE_SECONDS
from tests.replay import Answer, Gate, Upstream, answer_of, error, written

_WRITTEN_ID = re.compile(rb'"(?:id|responseId)": ?"([^"]+)"')
MARKER = re.compile(rb"call-[a-z0-9]+-\d+")
# A name that is answered by another provider after the first has refused three times.
ALIASES: dict[str, Any] = {
    "resilient": {
        "provider": "solar",
        "model": "solar-refuses",
        "fallbacks": [{"provider": "openai", "model": "gpt-4o-mini"}],
        "pricing": {"input_price_per_million": "1", "output_price_per_million": "2"},
    }
}


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of call: `end` is in the last piece of a whole answer."""

    path: str
    model: str
    end: bytes
    stream: bool

    def body(self, marker: str, user: str | None) -> dict[str, Any]:
        turns: list[dict[str, Any]] = [{"role": "user", "content": f"{marker}: say something"}]
        if "/models/" in self.path:
            return {"contents": [{"role": "user", "parts": [{"text": turns[0]["content"]}]}]}
        named = {"model": self.model, "stream": self.stream}
        if self.path == "/v1/messages":
            return {**named, "messages": turns, "max_tokens": 500}
        if self.path == "/v1/responses":
            return {**named, "input": turns[0]["content"], "store": False}
        return {**named, "messages": turns} | ({"user": user} if user else {})


_GEMINI = "gemini-2.5-flash"
_CLAUDE = "anthropic:claude-sonnet-4-5"
_GPT = "openai:gpt-4o-mini"
SHAPES = (
    Shape("/v1/chat/completions", _GPT, b"usage", False),
    Shape("/v1/chat/completions", _GPT, b"[DONE]", True),
    Shape("/v1/messages", _CLAUDE, b"usage", False),
    Shape("/v1/messages", _CLAUDE, b"message_stop", True),
    Shape(f"/v1beta/models/{_GEMINI}:generateContent", _GEMINI, b"usageMetadata", False),
    Shape(f"/v1beta/models/{_GEMINI}:streamGenerateContent?alt=sse", _GEMINI, b"STOP", True),
    Shape("/v1/chat/completions", _CLAUDE, b"[DONE]", True),
    Shape("/v1/messages", _GPT, b"usage", False),
    Shape("/v1/chat/completions", f"gemini:{_GEMINI}", b"[DONE]", True),
    Shape("/v1/responses", "solar:solar-pro2", b"usage", False),
    Shape("/v1/responses", "solar:solar-pro2", b"response.completed", True),
    Shape("/v1/chat/completions", "resilient", b"usage", False),
)
PLAIN = tuple(shape for shape in SHAPES if not shape.stream)
STREAMS = tuple(shape for shape in SHAPES if shape.stream)


def provide(upstream: Upstream, *, delay: float = 0.01, gates: dict[int, Gate] | None = None) -> None:
    """Give the upstream an answer for every shape; streams take a while, so that faults find some of them open."""
    for name, prefix in (
        ("openai-chat", ""),
        ("anthropic-messages", ""),
        ("gemini-generate", ""),
        ("solar-chat", "/solar"),
    ):
        for stream in (False, True):
            interaction = written(f"{name}-stream" if stream else name)
            path = prefix + interaction["request"]["url"].split("/", 3)[3].split("?")[0].join(("/", ""))
            answer = replace(
                answer_of(interaction), delay=delay, piece_delay=delay, gates=(gates or {}) if stream else {}
            )
            found = _WRITTEN_ID.search(answer.body)
            assert found, name
            answer = replace(answer, written_id=found[1].decode())
            upstream.on(path, answer, stream=stream)
    refusal: Answer = error(503, {"error": {"message": "overloaded"}}, {"retry-after": "0"})
    upstream.on("/solar/v1/chat/completions", refusal, model="solar-refuses", stream=False)


Outcome = Literal["answered", "refused", "cut", "left"]
# When a caller hangs up: before anything came, after so many pieces (-1: by chance), or after all but the end.
Leave = Literal["at once", "first event", "random event", "before the end"]


@dataclass(slots=True)
class Made:
    """One call. `left`: this caller hung up on purpose. Times by `time.monotonic`."""

    marker: str
    shape: Shape
    gateway: str
    started: float
    ended: float = 0.0
    outcome: Outcome = "cut"
    status: int | None = None
    said: bytes = b""


@dataclass(slots=True)
class Load:
    """`with Load(...) as load:` begins at once, in a thread; leaving the block waits for the last call.

    `gateways` is asked for each call anew; while there is none, calls wait. `seconds`: the starts are spread over that
    long; 0: as fast as `at_once` allows. `leave` makes every caller hang up at that point.
    """

    label: str
    gateways: Callable[[], Sequence[str]]
    keys: Sequence[str]
    calls: int
    at_once: int = 16
    seconds: float = 0.0
    shapes: Sequence[Shape] = SHAPES
    leave: Leave | None = None
    timeout: float = 120.0
    made: list[Made] = field(default_factory=list)
    _moved: threading.Condition = field(default_factory=threading.Condition)
    _thread: threading.Thread | None = None
    _ended: int = 0
    _random: random.Random = field(default_factory=lambda: random.Random(7))

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name=f"load {self.label}", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread is not None
        self._thread.join(self.timeout + self.seconds + self.calls)
        assert kind is not None or not self._thread.is_alive(), f"the load {self.label} does not end"

    def reached(self, share: float, seconds: float = 300.0) -> None:
        """Wait until that share of the calls has ended. Raises TimeoutError."""
        with self._moved:
            if not self._moved.wait_for(lambda: self._ended >= share * self.calls, seconds):
                raise TimeoutError(f"{self._ended} of {self.calls} calls ended")

    def outcomes(self) -> Counter[str]:
        return Counter(each.outcome for each in self.made)

    def unanswered(self) -> list[str]:
        """What callers got in place of an answer, for a message."""
        others = [each for each in self.made if each.outcome != "answered"]
        return [f"{each.marker} {each.outcome} {each.status}: {each.said[-300:]!r}" for each in others[:10]]

    def open(self, gateway: str | None = None) -> int:
        """Calls that are under way, of one gateway or of all."""
        return sum(not each.ended for each in self.made if gateway in (None, each.gateway))

    async def _run(self) -> None:
        # A connection that the gateway closes while it is idle would count as cut.
        limits = httpx.Limits(max_connections=self.at_once * 4, keepalive_expiry=IDLE_SECONDS - 5)
        gate = asyncio.Semaphore(self.at_once)
        began = time.monotonic()
        async with httpx.AsyncClient(timeout=self.timeout, limits=limits) as client, asyncio.TaskGroup() as group:
            for number, shape, key in zip(
                range(self.calls), itertools.cycle(self.shapes), itertools.cycle(self.keys), strict=False
            ):
                await asyncio.sleep(max(0.0, began + self.seconds * number / self.calls - time.monotonic()))
                await gate.acquire()
                task = group.create_task(self._one(client, number, shape, key))
                task.add_done_callback(lambda _: gate.release())

    async def _one(self, client: httpx.AsyncClient, number: int, shape: Shape, key: str) -> None:
        while not (gateways := self.gateways()):  # noqa: ASYNC110 - they are started by another thread
            await asyncio.sleep(0.02)
        made = Made(f"call-{self.label}-{number}", shape, gateways[number % len(gateways)], time.monotonic())
        self.made.append(made)
        try:
            await self._ask(client, made, key, number)
        except httpx.ConnectError:
            made.outcome = "refused"
        except httpx.TransportError:
            made.outcome = "cut"
        made.ended = time.monotonic()
        with self._moved:
            self._ended += 1
            self._moved.notify_all()

    async def _ask(self, client: httpx.AsyncClient, made: Made, key: str, number: int) -> None:
        shape = made.shape
        body = json.dumps(shape.body(made.marker, f"end-user-{number % 5}" if number % 2 else None)).encode()
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json", "x-session-id": made.marker}
        pieces_wanted = {None: 1 << 30, "first event": 1, "random event": self._random.randrange(1, 7)}.get(
            self.leave, 1 << 30
        )
        if self.leave == "at once":
            return await self._leave_at_once(made, body, headers)
        async with client.stream("POST", made.gateway + shape.path, content=body, headers=headers) as response:
            made.status = response.status_code
            pieces = 0
            async for piece in response.aiter_raw():
                made.said += piece
                pieces += 1
                if (self.leave == "before the end" and self._nearly(made)) or pieces >= pieces_wanted:
                    made.outcome = "left"
                    return None
        if response.status_code >= 400:
            made.outcome = "refused"
        elif shape.end in made.said:
            made.outcome = "answered"
        return None

    @staticmethod
    def _nearly(made: Made) -> bool:
        """The answer's last event but the end has come."""
        return b'finish_reason":"stop' in made.said.replace(b" ", b"") or b"message_delta" in made.said

    @staticmethod
    async def _leave_at_once(made: Made, body: bytes, headers: dict[str, str]) -> None:
        """The whole request, and no wait for a single byte of an answer."""
        host, _, port = made.gateway.removeprefix("http://").partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        lines = [f"POST {made.shape.path} HTTP/1.1", f"host: {host}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()
        await asyncio.sleep(0.05)  # else the reset overtakes the request
        writer.transport.abort()
        made.outcome = "left"
