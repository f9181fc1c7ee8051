"""What metering reads of OpenAI-shaped answers that are passed through and belong to no chat dialect.

Completions, embeddings, images, audio, moderations, rerank. https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from msgspec import structs

from wire.dialect import Facts
from wire.dialects.openai_chat import DIALECT as OPENAI_CHAT
from wire.errors import UpstreamError, UpstreamMalformed, UpstreamTruncated
from wire.neutral import Usage
from wire.sse import SseEvent


class ForwardReader:
    """Reads whole answers, streams and errors of these operations."""

    def read_response(self, body: bytes) -> Facts:
        """Raises UpstreamMalformed when it is not JSON."""
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise UpstreamMalformed("The upstream's answer is not JSON") from error
        if not isinstance(answer, dict):
            return Facts(usage=None)
        return Facts(
            usage=read_usage(answer),
            finish=_finish(answer),
            response_id=answer["id"] if isinstance(answer.get("id"), str) else None,
            text_bytes=_text_bytes(answer),
        )

    def meter(self, *, hide_usage: bool = False) -> ForwardMeter:
        return ForwardMeter(hide_usage=hide_usage)

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return OPENAI_CHAT.parse_error(status, headers, body)


class ForwardMeter:
    """One stream. It has ended with `[DONE]`, a finish reason, or an event that names itself done or completed.

    Of a stream in which nothing looks like OpenAI's (Writer's completions are `{"value": ...}`), nobody can say more
    than that its body came to a proper end.
    """

    def __init__(self, *, hide_usage: bool) -> None:
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.response_id: str | None = None
        self.generated = False
        self.text_bytes = 0
        self.failed: UpstreamError | None = None
        self.ended = False
        self._hide_usage = hide_usage
        self._images = 0
        self._known = False
        self._spoke = False

    def feed(self, event: SseEvent) -> bool:
        """False for the usage chunk, where it was the gateway that asked for it."""
        try:
            chunk = orjson.loads(event.data or b"")
        except orjson.JSONDecodeError:
            self.ended = self.ended or (event.data or b"").startswith(b"[DONE]")
            return True
        if not isinstance(chunk, dict):
            return True
        self._spoke = True
        if chunk.get("error") or event.event == "error":
            self.failed = OPENAI_CHAT.parse_error(502, {}, event.data or b"")
            return True
        kind = chunk.get("type")
        self._known = self._known or isinstance(kind, str) or "choices" in chunk
        if isinstance(kind, str) and kind.endswith((".done", ".completed")):
            self.ended = True
        self.finish = _finish(chunk) or self.finish
        self.ended = self.ended or self.finish is not None
        self.response_id = self.response_id or (chunk["id"] if isinstance(chunk.get("id"), str) else None)
        self.text_bytes += _text_bytes(chunk)
        self.generated = self.generated or self.text_bytes > 0 or bool(kind)
        usage = read_usage(chunk)
        # Each whole image is an event of its own; partial ones are only previews.
        self._images += isinstance(kind, str) and kind.endswith(".completed") and "b64_json" in chunk
        self.usage = usage or self.usage
        if self._images:
            self.usage = structs.replace(self.usage or Usage(), images=self._images)
        return not (self._hide_usage and usage is not None and not chunk.get("choices"))

    def close(self) -> None:
        """Raises UpstreamTruncated when the answer was cut."""
        if self.ended or self.failed is not None:
            return
        if self._known or not self._spoke:
            raise UpstreamTruncated("The upstream's stream ended before the answer was complete")
        self.ended = True


def read_usage(answer: Mapping[str, Any]) -> Usage | None:
    """None where the answer says nothing. Images made are counted beside their tokens, audio by its seconds."""
    native = answer.get("usage")
    made = answer.get("data")
    images = len(made) if isinstance(made, list) and made and _is_image(made[0]) else 0
    if not isinstance(native, dict):
        return Usage(images=images) if images else None
    if native.get("type") == "duration":
        return Usage(seconds=_seconds(native.get("seconds")), native=native)
    total = _count(native, "total_tokens")
    output = _count(native, "completion_tokens", "output_tokens") or 0
    given = _count(native, "prompt_tokens", "input_tokens")
    if given is None and total is None:
        return Usage(images=images) if images else None
    into = _details(native, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    out = _details(native, "completion_tokens_details", "output_tokens_details", "output_token_details")
    cost = native.get("cost")
    return Usage(
        input=max(0, (total or 0) - output) if given is None else given,
        cache_read=_count(into, "cached_tokens") or 0,
        input_audio=_count(into, "audio_tokens") or 0,
        input_image=_count(into, "image_tokens") or 0,
        output=output,
        reasoning=_count(out, "reasoning_tokens") or 0,
        output_audio=_count(out, "audio_tokens") or 0,
        output_image=_count(out, "image_tokens") or 0,
        images=images,
        cost_usd=str(cost) if isinstance(cost, int | float) and not isinstance(cost, bool) else None,
        native=native,
    )


def _is_image(item: Any) -> bool:
    return isinstance(item, dict) and ("b64_json" in item or "url" in item)


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else 0.0


def _count(values: Mapping[str, Any], *names: str) -> int | None:
    return next((values[name] for name in names if type(values.get(name)) is int and values[name] >= 0), None)


def _details(values: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return next((values[name] for name in names if isinstance(values.get(name), dict)), {})


def _choices(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    choices = answer.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def _finish(answer: Mapping[str, Any]) -> str | None:
    """Of the first choice of a completion."""
    choices = _choices(answer)
    reason = choices[0].get("finish_reason") if choices else None
    return reason if isinstance(reason, str) and reason in ("stop", "length", "content_filter") else None


def _text_bytes(answer: Mapping[str, Any]) -> int:
    texts = [choice.get("text") for choice in _choices(answer)]
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts if isinstance(text, str))
