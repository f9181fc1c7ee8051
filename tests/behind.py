"""All recorded interactions behind one gateway: which provider entry each stands for, and many calls at once.

The model's name in a call is the interaction's id, so that the loopback upstream knows which answer to give, and the
ledger's row which call it is of.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from tests.deployment import Deployment, until
from tests.recorded import DIALECT_OF
from tests.replay import Answer, Upstream, answer_of
from wire.providers import ROWS

AT_ONCE = 8

# Endpoint of a recording -> the gateway's path, and the upstream's path below `/<entry>`.
PATHS = {
    "chat/completions": ("/v1/chat/completions", "/v1/chat/completions"),
    "responses": ("/v1/responses", "/v1/responses"),
    "responses/compact": ("/v1/responses/compact", "/v1/responses/compact"),
    "responses/input_tokens": ("/v1/responses/input_tokens", "/v1/responses/input_tokens"),
    "messages": ("/v1/messages", "/v1/messages"),
    "messages/count_tokens": ("/v1/messages/count_tokens", "/v1/messages/count_tokens"),
    "embeddings": ("/v1/embeddings", "/v1/embeddings"),
    "completions": ("/v1/completions", "/v1/completions"),
    "moderations": ("/v1/moderations", "/v1/moderations"),
    "rerank": ("/v1/rerank", "/v1/rerank"),
    "generateContent": ("/v1beta/models/{}:generateContent",) * 2,
    "streamGenerateContent": ("/v1beta/models/{}:streamGenerateContent",) * 2,
    "countTokens": ("/v1beta/models/{}:countTokens",) * 2,
}
COUNTS = ("responses/input_tokens", "messages/count_tokens", "countTokens")
_FAMILY = {
    "openai_chat": "openai_compatible",
    "openai_responses": "openai_compatible",
    "anthropic_messages": "anthropic",
    "gemini": "gemini",
}
_DIALECT = {
    **DIALECT_OF,
    "responses/compact": "openai_responses",
    "responses/input_tokens": "openai_responses",
    "messages/count_tokens": "anthropic_messages",
    "countTokens": "gemini",
}
_PRESETS = {"azure-openai": "azure", "llamacpp": "local", "cohere": "openai_compatible"}


def dialect_of(interaction: dict[str, Any]) -> str:
    """The dialect that the provider was spoken to in; of what is merely forwarded, OpenAI's."""
    return _DIALECT.get(interaction["endpoint"], "openai_chat")


def entry_of(interaction: dict[str, Any]) -> str:
    """The name of its provider entry: the recorded provider as it was spoken to."""
    return f"{interaction['provider']}-{dialect_of(interaction).replace('_', '-')}"


def providers(url: str, rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The `providers` section for the interactions of these index rows, all of them at one loopback server."""
    entries: dict[str, Any] = {}
    for row in rows:
        if row["endpoint"] not in PATHS:
            continue
        name, dialect = entry_of(row), dialect_of(row)
        kind = _PRESETS.get(row["provider"], row["provider"])
        if kind not in ROWS or dialect not in ROWS[kind].dialects:
            kind = _FAMILY[dialect]
        below = "/v1" if dialect.startswith("openai") else ""
        entries[name] = {
            "type": kind,
            "api_key": f"sentinel-key-of-{name}",
            "api_base": f"{url}/{name}{below}",
            "dialects": [dialect],
        }
    return entries


def is_stream(interaction: dict[str, Any]) -> bool:
    return "stream" in interaction["kind"]


def put(upstream: Upstream, interaction: dict[str, Any], answer: Answer | None = None) -> None:
    """Have the upstream answer a call for this interaction's id as it was recorded, or otherwise.

    The gateway always asks Gemini for SSE, so an array is given to it as Google itself would give it then.
    """
    path = f"/{entry_of(interaction)}" + PATHS[interaction["endpoint"]][1].format(interaction["id"])
    if answer is None:
        if interaction["endpoint"] == "streamGenerateContent":
            interaction = _as_sse(interaction)
        answer = answer_of(interaction)
    upstream.on(path, answer, model=interaction["id"])


def _as_sse(interaction: dict[str, Any]) -> dict[str, Any]:
    body = interaction["response"]["body_text"]
    if not body.lstrip().startswith("["):
        return interaction
    text = "".join(f"data: {json.dumps(element)}\r\n\r\n" for element in json.loads(body))
    headers = {"content-type": "text/event-stream"}
    return {**interaction, "response": {**interaction["response"], "body_text": text, "headers": headers}}


@dataclass(frozen=True)
class Ask:
    """One call to make of the gateway; `of` is what it is about, `name` tells its row from others of the same.
    `keyless`: by somebody without a key."""

    of: dict[str, Any]
    path: str
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    name: str = ""
    keyless: bool = False


def gateway_path(endpoint: str, model: str, query: str = "") -> str:
    return PATHS[endpoint][0].format(quote(model, safe=":")) + query


@dataclass
class Got:
    """What came back. `broken`: the connection ended before the answer did."""

    ask: Ask
    status: int
    headers: httpx.Headers
    text: str
    broken: bool = False


def ask_all(deployment: Deployment, asks: Sequence[Ask], *, key: str | None = None) -> list[Got]:
    """Make the calls, a few at a time, in their order."""
    plain = {"content-type": "application/json"}
    credential = {"authorization": f"Bearer {key or deployment.key}"}

    async def one(client: httpx.AsyncClient, ask: Ask) -> Got:
        content = ask.body if isinstance(ask.body, bytes) else json.dumps(ask.body).encode()
        pieces: list[bytes] = []
        broken = False
        headers = plain | ({} if ask.keyless else credential) | ask.headers
        async with client.stream("POST", ask.path, content=content, headers=headers) as response:
            try:
                async for piece in response.aiter_bytes():
                    pieces.append(piece)
            except httpx.RemoteProtocolError:
                broken = True
        return Got(ask, response.status_code, response.headers, b"".join(pieces).decode("utf-8", "replace"), broken)

    async def run() -> list[Got]:
        async with httpx.AsyncClient(base_url=deployment.url, timeout=60) as client:
            return await _bounded([lambda ask=ask: one(client, ask) for ask in asks])  # type: ignore[misc]

    return asyncio.run(run())


async def _bounded(jobs: Sequence[Callable[[], Awaitable[Got]]]) -> list[Got]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def hold(job: Callable[[], Awaitable[Got]]) -> Got:
        async with gate:
            return await job()

    return list(await asyncio.gather(*[hold(job) for job in jobs]))


def rows_of(deployment: Deployment, count: int) -> dict[str, list[dict[str, Any]]]:
    """Every row of the ledger by request id, once there are `count`, oldest attempt first."""
    until(lambda: deployment.get("/v1/usage/count").json()["count"] >= count, f"{count} rows in the ledger", 60)
    found: dict[str, list[dict[str, Any]]] = {}
    cursor: dict[str, str] = {}
    while True:
        response = deployment.get("/v1/usage", limit=1000, **cursor)
        for row in response.json():
            found.setdefault(row["request_id"], []).insert(0, row)
        if "x-next-cursor" not in response.headers:
            return found
        cursor = {"cursor": response.headers["x-next-cursor"]}


class Score:
    """How each interaction fared, by provider and endpoint."""

    def __init__(self) -> None:
        self._outcomes: Counter[tuple[str, str, str]] = Counter()
        self.failures: list[str] = []

    def note(self, of: dict[str, Any], outcome: str) -> None:
        self._outcomes[of["provider"], of["endpoint"], outcome] += 1

    def check(self, of: dict[str, Any], problems: Sequence[str], outcome: str = "passed") -> None:
        if problems:
            self.failures.append(f"{of['id']}: " + "; ".join(problems))
        self.note(of, "FAILED" if problems else outcome)

    def total(self, outcome: str) -> int:
        return sum(count for (_, _, what), count in self._outcomes.items() if what == outcome)

    def table(self) -> str:
        lines = [
            f"{provider:18} {endpoint:24} {outcome:40} {count:5}"
            for (provider, endpoint, outcome), count in sorted(self._outcomes.items())
        ]
        totals = Counter[str]()
        for (_, _, outcome), count in self._outcomes.items():
            totals[outcome] += count
        lines += [f"{'all':18} {'':24} {outcome:40} {count:5}" for outcome, count in sorted(totals.items())]
        return "\n".join(lines)

    def verdict(self) -> str:
        return "\n".join([*self.failures[:4000], f"({len(self.failures)} failures)", self.table()])
