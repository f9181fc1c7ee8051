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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Literal, Self

import httpx

from gateway.__main__ import IDLE_SECONDS
from tests.deployment import until
from tests.faults.bills import CLAUDE, GEMINI, GPT, RESILIENT, SOLAR
from tests.replay import Answer, Call, Gate, Upstream, answer_of, error, written

_WRITTEN_ID = re.compile(rb'"(?:id|responseId)": ?"([^"]+)"')
MARKER = re.compile(rb"call-[a-z0-9]+-\d+")
_ATTENTION = 30.0  # seconds within which a call is answered, whatever is broken and however busy the machine is
ALIASES: dict[str, Any] = {
    RESILIENT: {
        "provider": "solar",
        "model": "solar-refuses",
        "fallbacks": [{"provider": "openai", "model": "gpt-4o-mini"}],
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


SHAPES = (
    Shape("/v1/chat/completions", GPT, b"usage", False),
    Shape("/v1/chat/completions", GPT, b"[DONE]", True),
    Shape("/v1/messages", CLAUDE, b"usage", False),
    Shape("/v1/messages", CLAUDE, b"message_stop", True),
    Shape(f"/v1beta/models/{GEMINI}:generateContent", GEMINI, b"usageMetadata", False),
    Shape(f"/v1beta/models/{GEMINI}:streamGenerateContent?alt=sse", GEMINI, b"STOP", True),
    Shape("/v1/chat/completions", CLAUDE, b"[DONE]", True),
    Shape("/v1/messages", GPT, b"usage", False),
    Shape("/v1/chat/completions", f"gemini:{GEMINI}", b"[DONE]", True),
    Shape("/v1/responses", SOLAR, b"usage", False),
    Shape("/v1/responses", SOLAR, b"response.completed", True),
    Shape("/v1/chat/completions", RESILIENT, b"usage", False),
)
PLAIN = tuple(shape for shape in SHAPES if not shape.stream)
STREAMS = tuple(shape for shape in SHAPES if shape.stream)


def provide(upstream: Upstream, *, delay: float = 0.01, held: Gate | None = None) -> None:
    """Give the upstream an answer for every shape; streams take a while, so that faults find some of them open.

    `held` holds streams after their second event and other answers before their head.
    """
    for name, prefix in (
        ("openai-chat", ""),
        ("anthropic-messages", ""),
        ("gemini-generate", ""),
        ("solar-chat", "/solar"),
    ):
        for stream in (False, True):
            interaction = written(f"{name}-stream" if stream else name)
            path = prefix + interaction["request"]["url"].split("/", 3)[3].split("?")[0].join(("/", ""))
            answer = replace(answer_of(interaction), delay=delay, piece_delay=delay)
            if held:
                answer = replace(answer, gates={2: held}) if stream else replace(answer, gate=held)
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


@dataclass(frozen=True, slots=True)
class Window:
    """A time in which something was broken, and the gateways that served when it began."""

    began: float
    ended: float
    gateways: frozenset[str]

    def whole(self, made: Made) -> bool:
        """Whether the call was answered within it from its first byte to its last."""
        return made.outcome == "answered" and self.began <= made.started and made.ended <= self.ended


class Heads:
    """In the upstream's `hold`: keeps the head of each answer back until the caller it is for has left."""

    def __init__(self) -> None:
        self._gates: dict[bytes, Gate] = {}
        self._arrived: dict[bytes, tuple[asyncio.AbstractEventLoop, asyncio.Event]] = {}

    def __call__(self, call: Call) -> Gate | None:
        match = MARKER.search(call.body)
        if match is None or match[0] not in self._gates:
            return None
        loop, event = self._arrived[match[0]]
        loop.call_soon_threadsafe(event.set)
        return self._gates[match[0]]

    def expect(self, marker: str) -> tuple[asyncio.Event, Gate]:
        """What is set once the upstream has accepted the call, and what lets its answer go."""
        event = asyncio.Event()
        self._arrived[marker.encode()] = asyncio.get_running_loop(), event
        gate = self._gates[marker.encode()] = Gate()
        return event, gate


@dataclass(slots=True)
class Load:
    """`with Load(...) as load:` begins at once, in a thread; leaving the block waits for the last call.

    `gateways` is asked for each call anew; while there is none, calls wait. `seconds`: the starts are spread over that
    long; 0: as fast as `at_once` allows. `leave` makes callers hang up at that point: those of streams, or all of
    them where it is before the head of the answer, which `heads` then keeps back.
    """

    label: str
    gateways: Callable[[], Sequence[str]]
    keys: Sequence[str]
    calls: int
    at_once: int = 16
    seconds: float = 0.0
    shapes: Sequence[Shape] = SHAPES
    leave: Leave | None = None
    heads: Heads = field(default_factory=Heads)
    timeout: float = 120.0
    made: list[Made] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
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

    @contextmanager
    def meanwhile(self) -> Iterator[None]:
        """The block, in which something is broken, sees callers served: on every gateway some call begins and is
        answered within it, and none that was open when it began is open when it ends. It is prolonged until then where
        it is short. Raises AssertionError when callers have waited for too long.
        """
        began, serving = time.monotonic(), frozenset(self.gateways())
        yield
        enough = began + _ATTENTION - time.monotonic()
        until(lambda: not self._unserved(began, serving), "callers are served meanwhile", max(0.0, enough))
        self.windows.append(Window(began, time.monotonic(), serving))

    def _unserved(self, began: float, serving: frozenset[str]) -> bool:
        made, now = list(self.made), time.monotonic()
        window = Window(began, now, serving)
        stuck = any(not each.ended and each.started <= max(began, now - _ATTENTION) for each in made)
        return stuck or not serving <= {each.gateway for each in made if each.ended and window.whole(each)}

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
        # In turns, so that every gateway meets every shape and every key.
        chosen = gateways[(number + number // len(self.shapes)) % len(gateways)]
        made = Made(f"call-{self.label}-{number}", shape, chosen, time.monotonic())
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
        if self.leave == "at once":
            return await self._leave_at_once(made, body, headers)
        leave = self.leave if shape.stream else None
        pieces_wanted = {"first event": 1, "random event": self._random.randrange(1, 7)}.get(leave or "", 1 << 30)
        async with client.stream("POST", made.gateway + shape.path, content=body, headers=headers) as response:
            made.status = response.status_code
            pieces = 0
            async for piece in response.aiter_raw():
                made.said += piece
                pieces += 1
                if (leave == "before the end" and self._nearly(made)) or pieces >= pieces_wanted:
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

    async def _leave_at_once(self, made: Made, body: bytes, headers: dict[str, str]) -> None:
        """The whole request, and no byte of an answer: the upstream has the call and sends nothing yet."""
        host, _, port = made.gateway.removeprefix("http://").partition(":")
        accepted, head = self.heads.expect(made.marker)
        _, writer = await asyncio.open_connection(host, int(port))
        lines = [f"POST {made.shape.path} HTTP/1.1", f"host: {host}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()
        await asyncio.wait_for(accepted.wait(), self.timeout)
        writer.transport.abort()
        made.outcome = "left"
        await asyncio.sleep(0.05)  # else the answer overtakes the reset
        head.open()
