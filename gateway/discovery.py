"""Which models a provider has that no catalogue can know: asked of the local model service, in the background."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import orjson

from gateway.local_state import parse_status
from gateway.models import Discovered, Models
from gateway.routing.providers import Provider
from gateway.upstream import Upstream, UpstreamRequest
from wire.errors import UpstreamError
from wire.providers import Operation

_log = logging.getLogger(__name__)
INTERVAL_SECONDS = 3.0
_DISCOVERED_TYPES = ("local",)
_AWAY = "the local model service is not running: start it with `tollgate up`, or `docker compose up local_llm`"


class Discovery:
    """Keeps `Models.discovered` and `Models.down` up to date."""

    def __init__(self, models: Models, upstream: Upstream) -> None:
        self._models = models
        self._upstream = upstream
        self._providers = [p for p in models.providers.values() if p.row.name in _DISCOVERED_TYPES]
        for provider in self._providers:
            models.discovered[provider.name] = {}
            models.down[provider.name] = "the local model service has not been asked yet"

    async def watch(self) -> None:
        """Ask again and again, until cancelled."""
        while True:
            await asyncio.gather(*(self._ask(provider) for provider in self._providers))
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _ask(self, provider: Provider) -> None:
        """The service tells its state; a bare llama-server, only which models it has."""
        said = await self._get(provider, "status")
        state = None if said is None else parse_status(said)
        if state is not None:
            rows = state.models if state.engine else ()
            names: dict[str, Discovered] | None = {row.name: Discovered(row.label, row.context) for row in rows}
            self._models.local[provider.name] = state
        else:
            listed = await self._get(provider, "models")
            names = None if listed is None else _names(listed)
            self._models.local.pop(provider.name, None)
        self._models.discovered[provider.name] = names or {}
        if names is None:
            self._models.down[provider.name] = _AWAY
        elif state is not None and not names and state.reason:
            self._models.down[provider.name] = state.reason
        else:
            self._models.down.pop(provider.name, None)

    async def _get(self, provider: Provider, operation: Operation) -> bytes | None:
        """The body of a 200, else None."""
        request = UpstreamRequest("GET", provider.url(operation, ""), provider.auth_headers())
        try:
            async with asyncio.timeout(2), self._upstream.send(request) as response:
                body = await response.read(1024 * 1024)
                return body if response.status == 200 else None
        except (UpstreamError, TimeoutError):
            return None


def _names(body: bytes) -> dict[str, Discovered] | None:
    """The models of an OpenAI-shaped list, with the window of a slot as llama-server tells it; None for no list."""
    try:
        rows = orjson.loads(body)["data"]
        return {row["id"]: Discovered(context_window=_window(row)) for row in rows if isinstance(row["id"], str)}
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None


def _window(row: dict[str, Any]) -> int | None:
    """https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, `GET /v1/models`."""
    meta = row.get("meta")
    window = meta.get("n_ctx") if isinstance(meta, dict) else None
    return window if type(window) is int and window > 0 else None
