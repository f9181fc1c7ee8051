"""What must be known of a stream that is passed through. The hot path: every event of every such stream comes here.

One JSON decoding per event and no more; odd values are the caller's to see and count as nothing here.
"""

from __future__ import annotations

from typing import Any

import orjson

from wire.dialects.openai_chat.errors import in_band_error
from wire.dialects.openai_chat.finish import read_finish, read_reason
from wire.dialects.openai_chat.measure import calls_tools, shows_media, text_bytes
from wire.dialects.openai_chat.usage import finished, read_usage, supersedes, usage_of_chunk
from wire.errors import UpstreamError, UpstreamTruncated
from wire.neutral import Usage
from wire.sse import SseEvent


class ChatMeter:
    def __init__(self, *, hide_usage: bool) -> None:
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.response_id: str | None = None
        self.generated = False
        self.text_bytes = 0
        self.failed: UpstreamError | None = None
        self.ended = False
        self._hide_usage = hide_usage
        self._unfinished: dict[Any, bool] = {}  # choice index -> still without a finish reason
        self._calls_tools = False
        self._tier: Any = None

    def feed(self, event: SseEvent) -> bool:
        """False for the usage chunk, where it was the gateway that asked for it."""
        data = event.data
        if data is None:
            return True
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            if data.startswith(b"[DONE]"):
                self._end()
            return True
        if not isinstance(chunk, dict):
            return True
        if chunk.get("error") or event.event == "error":
            self.failed = self.failed or in_band_error(chunk)
            self._count(usage_of_chunk(chunk), alone=True)  # OpenRouter says what was used until then
            return True
        choices = chunk.get("choices")
        if choices and isinstance(choices, list):
            for choice in choices:
                if isinstance(choice, dict):
                    self._choice(choice)
        else:
            choices = None
        if self.response_id is None and isinstance(answer_id := chunk.get("id"), str) and answer_id:
            self.response_id = answer_id
        if "service_tier" in chunk:
            self._tier = chunk["service_tier"] or self._tier
        usage = usage_of_chunk(chunk)
        if not usage:
            return True
        self._count(usage, alone=choices is None)
        return not (self._hide_usage and choices is None)

    def close(self) -> None:
        """Raises UpstreamTruncated when the answer was cut."""
        if self.ended or self.failed is not None:
            return
        if not self._unfinished or any(self._unfinished.values()):
            raise UpstreamTruncated("The upstream's stream ended before the answer was complete")
        self._end()

    def _choice(self, choice: dict[str, Any]) -> None:
        delta = choice.get("delta")
        if delta:
            count = text_bytes(delta)
            if count:
                self.text_bytes += count
                self.generated = True
            if calls_tools(delta):
                self._calls_tools = self._calls_tools or choice.get("index", 0) == 0
                self.generated = True
            elif not self.generated and shows_media(delta):
                self.generated = True
        index = choice.get("index") if isinstance(choice.get("index"), int) else 0
        reason = choice.get("finish_reason")
        if reason:
            self._unfinished[index] = False
            if index == 0:
                self.finish = read_finish(choice, 0, calls_tools=self._calls_tools).reason
        else:
            self._unfinished.setdefault(index, True)

    def _count(self, native: Any, *, alone: bool) -> None:
        complete = alone or (bool(self._unfinished) and not any(self._unfinished.values()))
        usage = read_usage(native, service_tier=self._tier, complete=complete)
        if usage is not None and supersedes(usage, self.usage):
            self.usage = usage

    def _end(self) -> None:
        if self.failed is not None:
            return  # OpenRouter sends [DONE] after an error too
        self.ended = True
        if self.usage is not None:
            self.usage = finished(self.usage)
        if self.finish is None and 0 in self._unfinished:
            self.finish = read_reason(None, calls_tools=self._calls_tools)
