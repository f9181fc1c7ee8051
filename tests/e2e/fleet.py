"""Three gateways and a worker on one Redis and one Postgres: a deployment with replicas."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from redis import Redis

from gateway.admission.in_redis import PREFIX
from tests.deployment import MASTER_KEY, Deployment, GatewayProcess
from tests.replay.answers import Answer

CHAT = "/v1/chat/completions"
REPLICAS = 3


class Fleet(Deployment):
    """`gateways` are all of them; the first is the deployment's own."""

    def __init__(
        self,
        folder: Path,
        upstream_url: str,
        *,
        database_url: str,
        redis_url: str,
        config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(folder, upstream_url, database_url=database_url, redis_url=redis_url, config=config)
        self.redis_url = redis_url
        others = [
            GatewayProcess(self.gateway.arguments, folder / f"gateway-{number}.log", self.gateway.environment)
            for number in range(2, REPLICAS + 1)
        ]
        self.gateways = [self.gateway, *others]

    def start_gateway(self) -> None:
        for gateway in self.gateways:
            gateway.serve()

    def stop(self) -> None:
        for gateway in self.gateways:
            gateway.send(signal.SIGTERM)
        for gateway in self.gateways[1:]:
            gateway.stop()
        super().stop()

    def manage(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST with the master key."""
        response = self.post(path, body, key=MASTER_KEY)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def new_key(self, **fields: Any) -> str:
        return str(self.manage("/v1/keys", {"key_name": "limited", **fields})["key"])

    def counted_together(self) -> bool:
        """Whether Redis has always answered in time: on a machine that is too busy a gateway hands out its own share
        for a moment, so that who is let in, or where, is another though the limits hold."""
        return not any("limits and budgets are not shared" in each.log.read_text("utf-8") for each in self.gateways)

    def held(self) -> list[bytes]:
        """What budgets hold for open calls, and how many calls hold a slot, from Redis."""
        with Redis.from_url(self.redis_url) as redis:
            budgets = [redis.hget(key, "held") for key in redis.scan_iter(f"{PREFIX}:m:*")]
            slots = [redis.get(key) for key in redis.scan_iter(f"{PREFIX}:s:*")]
            calls = [b"call" for key in redis.scan_iter(f"{PREFIX}:h:*") for _ in range(redis.hlen(key))]
        return [each for each in (*budgets, *slots, *calls) if each not in (None, b"0")]


def ask_at_once(
    fleet: Fleet, key: str, count: int, body: dict[str, Any], gateways: Sequence[GatewayProcess] = ()
) -> list[httpx.Response]:
    """That many calls at the same time, over all gateways in turn, or some of them."""
    urls = [gateway.url + CHAT for gateway in gateways or fleet.gateways]

    async def one(client: httpx.AsyncClient, number: int) -> httpx.Response | None:
        try:
            return await client.post(urls[number % len(urls)], json=body, headers={"Authorization": f"Bearer {key}"})
        except httpx.TransportError:
            return None  # its gateway was killed

    async def run() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=count)
        async with httpx.AsyncClient(timeout=100, limits=limits) as client:
            found = await asyncio.gather(*[one(client, number) for number in range(count)])
        return [each for each in found if each is not None]

    return asyncio.run(run())


def statuses(responses: Sequence[httpx.Response]) -> Counter[int]:
    return Counter(response.status_code for response in responses)


def chat(model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], **fields}


def answer(prompt_tokens: int, completion_tokens: int, *, delay: float = 0.0) -> Answer:
    """A whole chat completion with that usage."""
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": _usage(prompt_tokens, completion_tokens),
    }
    return Answer(pieces=(json.dumps(body).encode(),), delay=delay)


def streamed(prompt_tokens: int, completion_tokens: int, *, pause: float) -> Answer:
    """The same as a stream of a few pieces."""
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    chunks: list[dict[str, Any]] = [
        {**base, "choices": [{"index": 0, "delta": {"role": "assistant", "content": word}, "finish_reason": None}]}
        for word in ("one ", "two ", "three")
    ]
    chunks.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    chunks.append({**base, "choices": [], "usage": _usage(prompt_tokens, completion_tokens)})
    pieces = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]
    return Answer(
        headers={"content-type": "text/event-stream"},
        pieces=(*pieces, b"data: [DONE]\n\n"),
        length=False,
        piece_delay=pause,
    )


def _usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
