"""Chunks of a streamed answer to neutral events. https://platform.openai.com/docs/api-reference/chat/streaming

Finish reasons and the end are told together, at `[DONE]` or at the end of input: servers send the reason twice, before
the last text, or put the usage after it. A server that never sends `[DONE]` (Cerebras, Perplexity) ended its answer
when every choice has its finish reason; anything less was cut.
"""

from __future__ import annotations

from typing import Any

import orjson

from wire.dialects.openai_chat.errors import failed_event
from wire.dialects.openai_chat.response import call_id_stem
from wire.dialects.openai_chat.stream_choice import ChoiceStream
from wire.dialects.openai_chat.usage import finished, read_usage, supersedes, usage_of_chunk
from wire.errors import UpstreamMalformed, UpstreamTruncated
from wire.neutral import Ended, Extra, Started, StreamEvent, Usage, UsageUpdate
from wire.reading import WrongType, as_object, list_or_empty, object_or_none
from wire.sse import SseEvent

# Fields of a chunk that are read, or that mean nothing to anybody: `obfuscation` and Mistral's `p` are padding.
_READ = frozenset({"id", "object", "created", "model", "choices", "usage", "service_tier", "obfuscation", "p", "error"})


class ChatStreamParser:
    """One stream. Holds what later events need and nothing of the text."""

    def __init__(self) -> None:
        self._started = False
        self._over = False
        self._choices: dict[int, ChoiceStream] = {}
        self._blocks = 0
        self._id_stem = ""
        self._usage: Usage | None = None
        self._tier: str | None = None
        self._extras: dict[str, Any] = {}
        self._untold: list[StreamEvent] = []

    def feed(self, event: SseEvent) -> list[StreamEvent]:
        """Raises UpstreamMalformed on JSON that is broken or has a wrong type where text is read."""
        data = event.data
        if data is None or self._over or not data.strip():
            return []
        try:
            if data.startswith(b"[DONE]"):
                return self._end()
            chunk = as_object(orjson.loads(data), "chunk")
            if chunk.get("error") or event.event == "error":
                return self._fail(chunk)
            return self._chunk(chunk)
        except orjson.JSONDecodeError as error:
            raise UpstreamMalformed("The upstream sent a chunk that is not JSON") from error
        except WrongType as error:
            raise UpstreamMalformed(f"The upstream sent a chunk that cannot be read: {error}") from error

    def _fail(self, chunk: dict[str, Any]) -> list[StreamEvent]:
        """OpenRouter's error chunk also says what was used until then."""
        self._over = True
        return [*self._start(chunk), *self._count(usage_of_chunk(chunk), alone=True), failed_event(chunk)]

    def close(self) -> list[StreamEvent]:
        """Raises UpstreamTruncated when the answer was cut."""
        if self._over:
            return []
        if not self._all_finished():
            raise UpstreamTruncated("The upstream's stream ended before the answer was complete")
        try:
            return self._end()
        except WrongType as error:
            raise UpstreamMalformed(f"The upstream sent a stream that cannot be read: {error}") from error

    def _all_finished(self) -> bool:
        return bool(self._choices) and all(choice.ended_by is not None for choice in self._choices.values())

    def _chunk(self, chunk: dict[str, Any]) -> list[StreamEvent]:
        choices = list_or_empty(chunk, "choices", "")
        usage = usage_of_chunk(chunk)
        tier = chunk.get("service_tier")
        if isinstance(tier, str) and tier:
            self._tier = tier
        if not chunk.keys() <= _READ:
            self._note_extras(chunk)
        # Azure's first chunk has neither choices nor an id: the answer has not begun yet.
        events = self._start(chunk) if choices or usage or chunk.get("id") else []
        for item in choices:
            events += self._choice(as_object(item, "choices[]"))
        if usage:
            events += self._count(usage, alone=not choices)
        if self._untold and self._started:
            events += self._untold
            self._untold = []
        return events

    def _start(self, chunk: dict[str, Any]) -> list[StreamEvent]:
        if self._started:
            return []
        self._started = True
        answer_id, model, created = chunk.get("id"), chunk.get("model"), chunk.get("created")
        answer_id = answer_id if isinstance(answer_id, str) and answer_id else None
        self._id_stem = call_id_stem(answer_id)
        return [
            Started(
                id=answer_id,
                model=model if isinstance(model, str) and model else None,
                created=created if isinstance(created, int) else None,
            )
        ]

    def _choice(self, source: dict[str, Any]) -> list[StreamEvent]:
        index = source.get("index")
        index = index if isinstance(index, int) else 0
        choice = self._choices.get(index)
        if choice is None:
            stem = self._id_stem if index == 0 else f"{self._id_stem}{index}_"
            choice = self._choices[index] = ChoiceStream(index, stem, self._take_block)
        delta = object_or_none(source, "delta", "choices[]")
        events = choice.delta(delta, source.get("logprobs")) if delta else []
        if source.get("finish_reason"):
            choice.ended_by = source
        if filters := source.get("content_filter_results"):
            events.append(Extra(name="content_filter_results", value=filters, choice=index))
        return events

    def _take_block(self) -> int:
        self._blocks += 1
        return self._blocks - 1

    def _count(self, native: Any, *, alone: bool) -> list[StreamEvent]:
        """A count beside an unfinished choice is a running one (Perplexity, vLLM's continuous usage)."""
        usage = read_usage(native, service_tier=self._tier, complete=alone or self._all_finished())
        if usage is None or not supersedes(usage, self._usage):
            return []
        self._usage = usage
        return [UsageUpdate(usage=usage)]

    def _note_extras(self, chunk: dict[str, Any]) -> None:
        """Each only when it is new or changed: Perplexity repeats its search results in every chunk."""
        for name in chunk.keys() - _READ:
            value = chunk[name]
            if value is not None and self._extras.get(name) != value:
                self._extras[name] = value
                self._untold.append(Extra(name=name, value=value))

    def _end(self) -> list[StreamEvent]:
        self._over = True
        events = self._start({})
        for _, choice in sorted(self._choices.items()):
            events += choice.close()
            events.append(choice.finish())
        if self._usage is not None and not self._usage.complete:
            events.append(UsageUpdate(usage=finished(self._usage)))
        return [*events, *self._untold, Ended()]
