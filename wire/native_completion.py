"""llama.cpp's own completion: what metering reads of it, and OpenAI's `usage` put beside its own counts.

https://github.com/ggml-org/llama.cpp/tree/master/tools/server#post-completion-given-a-prompt-it-returns-the-predicted-completion
"""

from __future__ import annotations

from typing import Any

import orjson

from wire.dialect import Facts
from wire.dialects.openai_chat import DIALECT as OPENAI_CHAT
from wire.errors import UpstreamError, UpstreamMalformed, UpstreamTruncated
from wire.neutral import Usage
from wire.sse import SseEvent

_FINISH = {"eos": "stop", "word": "stop", "limit": "length"}


def parse_native(raw: bytes) -> dict[str, Any] | list[Any]:
    """One answer, or a list of them for a list of prompts. Raises UpstreamMalformed."""
    try:
        answer = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise UpstreamMalformed("The upstream's answer is not JSON") from error
    if not isinstance(answer, dict | list):
        raise UpstreamMalformed("The upstream's answer is neither an object nor a list")
    return answer


def read_native(answer: dict[str, Any] | list[Any]) -> Facts:
    parts = [part for part in (answer if isinstance(answer, list) else [answer]) if isinstance(part, dict)]
    counted = [usage for part in parts if (usage := _usage(part)) is not None]
    return Facts(
        usage=_sum(counted) if counted else None,
        finish=_FINISH.get(str(parts[0].get("stop_type"))) if parts else None,
        text_bytes=sum(_text_bytes(part) for part in parts),
    )


def with_usage(answer: dict[str, Any] | list[Any]) -> dict[str, Any] | list[Any]:
    """The same with `usage`, as OpenAI's completions have it; of a list, in each."""
    if isinstance(answer, list):
        return [with_usage(part) if isinstance(part, dict) else part for part in answer]
    usage = _usage(answer)
    if usage is None:
        return answer
    counts = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read},
    }
    return {**answer, "usage": counts}


class NativeMeter:
    """One stream: it has ended with the event whose `stop` is true."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.response_id: str | None = None
        self.generated = False
        self.text_bytes = 0
        self.failed: UpstreamError | None = None
        self.ended = False
        self.last: bytes | None = None  # the terminal event with `usage`, for the caller

    def feed(self, event: SseEvent) -> bool:
        """True: every event is for the caller, the terminal one as `last`."""
        try:
            chunk = orjson.loads(event.data or b"")
        except orjson.JSONDecodeError:
            return True
        if not isinstance(chunk, dict):
            return True
        if chunk.get("error"):
            self.failed = OPENAI_CHAT.parse_error(502, {}, event.data or b"")
            return True
        self.text_bytes += _text_bytes(chunk)
        self.generated = self.generated or self.text_bytes > 0
        if chunk.get("stop") is True:
            self.ended = True
            self.finish = _FINISH.get(str(chunk.get("stop_type")))
            self.usage = _usage(chunk)
            self.last = b"data: " + orjson.dumps(with_usage(chunk)) + b"\n\n"
        return True

    def close(self) -> None:
        """Raises UpstreamTruncated when the answer was cut."""
        if not self.ended and self.failed is None:
            raise UpstreamTruncated("The upstream's stream ended before the answer was complete")


def _usage(answer: dict[str, Any]) -> Usage | None:
    given, made = answer.get("tokens_evaluated"), answer.get("tokens_predicted")
    if type(given) is not int or type(made) is not int:
        return None
    timings = answer.get("timings")
    cached = timings.get("cache_n") if isinstance(timings, dict) else None
    native = {"tokens_evaluated": given, "tokens_predicted": made}
    return Usage(input=given, output=made, cache_read=cached if type(cached) is int else 0, native=native)


def _sum(counted: list[Usage]) -> Usage:
    if len(counted) == 1:
        return counted[0]
    return Usage(
        input=sum(usage.input for usage in counted),
        output=sum(usage.output for usage in counted),
        cache_read=sum(usage.cache_read for usage in counted),
    )


def _text_bytes(part: dict[str, Any]) -> int:
    content = part.get("content")
    return len(content.encode("utf-8", "surrogatepass")) if isinstance(content, str) else 0
