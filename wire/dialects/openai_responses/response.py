"""A whole Responses answer to the neutral model and back. https://platform.openai.com/docs/api-reference/responses/object

An answer repeats the settings of its request; those are not read: they say nothing that the caller did not say.
"""

from __future__ import annotations

from typing import Any

import orjson

from wire.dialect import Facts, Rendered
from wire.dialects.openai_responses import carried
from wire.dialects.openai_responses.errors import error_object, in_band_error
from wire.dialects.openai_responses.items import (
    annotation,
    call_item,
    image_item,
    item_id,
    message_item,
    proof_item,
    reasoning_id,
    reasoning_item,
    text_part,
)
from wire.dialects.openai_responses.parts import CALL_TYPES, read_output_item
from wire.dialects.openai_responses.usage import read_usage, render_usage
from wire.errors import GatewayError, UpstreamMalformed
from wire.neutral import (
    Audio,
    Choice,
    Finish,
    FinishReason,
    Image,
    Native,
    Part,
    Refusal,
    Response,
    Stamp,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from wire.reading import (
    WrongType,
    as_object,
    integer_or_none,
    list_or_empty,
    text_or_none,
)

# Settings of the request that every answer repeats.
ECHOED = frozenset(
    {
        "background",
        "frequency_penalty",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "parallel_tool_calls",
        "presence_penalty",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "store",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    }
)
_READ = frozenset(
    {
        "id",
        "object",
        "created_at",
        "completed_at",
        "status",
        "error",
        "incomplete_details",
        "model",
        "output",
        "output_text",
        "usage",
        "service_tier",
    }
)

_INCOMPLETE: dict[str | None, FinishReason] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
    "pause": "pause",
}
_UNFINISHED: dict[str | None, FinishReason] = {
    "queued": "pause",
    "in_progress": "pause",
    "cancelled": "error",
    "failed": "error",
}
# Neutral reasons for which an answer is not `completed`.
_CUT: dict[FinishReason, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "pause",
}


# ------------------------------------------------------------------------------------------------- reading
def parse_response(body: dict[str, Any]) -> Response:
    """Raises UpstreamMalformed, or the upstream's own error when the answer says that it failed."""
    try:
        answer = as_object(body, "response")
        if answer.get("status") == "failed" or _is_error(answer):
            raise in_band_error(answer.get("error"))
        output = list_or_empty(answer, "output", "")
        items = [read_output_item(item, f"output[{index}]") for index, item in enumerate(output)]
        return Response(
            dialect="openai_responses",
            id=text_or_none(answer, "id", ""),
            model=text_or_none(answer, "model", ""),
            choices=(
                Choice(
                    parts=tuple(part for parts in items for part in parts),
                    finish=finish_of(answer),
                    logprobs=_read_logprobs(output),
                ),
            ),
            usage=read_usage(answer),
            created=created_of(answer),
            service_tier=text_or_none(answer, "service_tier", ""),
            extra=extra_of(answer),
        )
    except WrongType as error:
        raise malformed(error) from error


def malformed(error: WrongType) -> UpstreamMalformed:
    return UpstreamMalformed(f"The upstream's answer is not a Responses answer: {error.path} {error.problem}")


def created_of(answer: dict[str, Any]) -> int | None:
    value = answer.get("created_at")
    return int(value) if isinstance(value, float) else integer_or_none(answer, "created_at", "")


def extra_of(answer: dict[str, Any]) -> dict[str, Any]:
    """What the answer says beyond the neutral model; empty values say nothing."""
    return {key: value for key, value in answer.items() if key not in ECHOED and key not in _READ and value}


def finish_of(answer: dict[str, Any]) -> Finish:
    """Of a response object, whole or from a terminal event."""
    status = text_or_none(answer, "status", "")
    if status == "incomplete":
        details = answer.get("incomplete_details")
        cause = details.get("reason") if isinstance(details, dict) else None
        word = cause if isinstance(cause, str) else None
        return Finish(reason=_INCOMPLETE.get(word, "length"), native=word or status, details=details)
    if status in _UNFINISHED:
        return Finish(reason=_UNFINISHED[status], native=status)
    called = any(
        isinstance(item, dict) and item.get("type") in CALL_TYPES for item in list_or_empty(answer, "output", "")
    )
    return Finish(reason="tool_calls" if called else "stop", native=status)


def _read_logprobs(output: list[Any]) -> dict[str, Any] | None:
    """Chat's shape. The entries of both dialects are the same objects."""
    entries: list[Any] = []
    for item in output:
        if item.get("type") == "message" and isinstance(item.get("content"), list):
            for part in item["content"]:
                entries += part.get("logprobs") or []
    return {"content": entries, "refusal": None} if entries else None


def read_response(body: bytes) -> Facts:
    """Raises UpstreamMalformed when it is not JSON of this dialect, or the error that stands in a response's place."""
    try:
        answer = as_object(orjson.loads(body), "response")
        if _is_error(answer):
            raise in_band_error(answer["error"])
        failed = answer.get("status") == "failed" or answer.get("error") is not None
        return Facts(
            usage=read_usage(answer),
            finish="error" if failed else finish_of(answer).reason,
            response_id=text_or_none(answer, "id", ""),
            text_bytes=text_bytes(answer),
            service_tier=text_or_none(answer, "service_tier", ""),
        )
    except orjson.JSONDecodeError as error:
        raise UpstreamMalformed("The upstream's answer is not JSON") from error
    except WrongType as error:
        raise malformed(error) from error


def _is_error(answer: dict[str, Any]) -> bool:
    """An error object under a 200, and no response object around it."""
    return bool(answer.get("error")) and not isinstance(answer.get("output"), list)


def text_bytes(answer: dict[str, Any]) -> int:
    """UTF-8 bytes that the model wrote: text, refusals, reasoning, arguments. Broken items count nothing."""
    total = 0
    output = answer.get("output")
    for item in output if isinstance(output, list) else []:
        if isinstance(item, dict):
            written = [item.get(key) for key in ("arguments", "input", "code")]
            for key in ("content", "summary"):
                inner = item.get(key)
                for part in inner if isinstance(inner, list) else []:
                    written += [part.get("text"), part.get("refusal")] if isinstance(part, dict) else []
            total += sum(len(entry.encode()) for entry in written if isinstance(entry, str))
    return total


# ------------------------------------------------------------------------------------------------- rendering
def render_response(response: Response, stamp: Stamp) -> Rendered:
    dropped: list[str] = [f"choices[{index}]" for index in range(1, len(response.choices))]
    choice = response.choices[0] if response.choices else Choice(parts=(), finish=Finish(reason="stop"))
    output = _Output(stamp, choice, dropped).render()
    own = response.dialect == "openai_responses"
    usage = response.usage
    answer = answer_object(
        stamp,
        finish=choice.finish,
        output=output,
        usage=usage,
        service_tier=response.service_tier or (usage.service_tier if usage else None),
    )
    if own:
        answer |= response.extra
        if usage is not None and usage.native is not None:
            answer["usage"] = usage.native
        if choice.finish.native in _UNFINISHED and choice.finish.native is not None:
            answer |= {"status": choice.finish.native, "incomplete_details": None}
    else:
        extra = {**response.extra, **(choice.extra or {})}
        dropped += [f"extra.{key}" for key, value in extra.items() if value is not None]
    dropped += finish_losses(choice.finish)
    return Rendered(body=answer, dropped=tuple(dict.fromkeys(dropped)))


def status_of(finish: Finish) -> str:
    return "failed" if finish.reason == "error" else "incomplete" if finish.reason in _CUT else "completed"


def finish_losses(finish: Finish) -> list[str]:
    return ["stop_sequence"] if finish.stop_sequence is not None else []


def answer_object(
    stamp: Stamp,
    *,
    finish: Finish | None,
    output: list[dict[str, Any]],
    usage: Usage | None = None,
    error: GatewayError | None = None,
    service_tier: str | None = None,
) -> dict[str, Any]:
    """The response object. `finish` None: still in progress. Every field that the official SDKs require is there."""
    status = "in_progress" if finish is None else status_of(finish)
    failure: dict[str, Any] | None = None
    if status == "failed":
        told = error_object(error) if error else {"code": "server_error", "message": "The upstream failed"}
        failure = {"code": told["code"] or "server_error", "message": told["message"]}
    answer: dict[str, Any] = {
        "id": f"resp_{stamp.id}",
        "object": "response",
        "created_at": stamp.created,
        "status": status,
        "background": False,
        "error": failure,
        "incomplete_details": {"reason": _CUT[finish.reason]} if finish and finish.reason in _CUT else None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": stamp.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None if usage is None else render_usage(usage),
        "user": None,
    }
    if service_tier is not None:
        answer["service_tier"] = service_tier
    if usage is not None and usage.web_searches:
        answer["tool_usage"] = {"web_search": {"num_requests": usage.web_searches}}
    return answer


class _Output:
    """Parts to output items. Texts that follow each other are one message, as long as they belong to one item."""

    def __init__(self, stamp: Stamp, choice: Choice, dropped: list[str]) -> None:
        self._stamp = stamp
        self._parts = choice.parts
        self._status = "incomplete" if status_of(choice.finish) == "incomplete" else "completed"
        self._dropped = dropped
        logprobs = choice.logprobs.get("content") if isinstance(choice.logprobs, dict) else None
        self._logprobs: list[Any] = list(logprobs or [])
        self._items: list[dict[str, Any]] = []
        self._content: list[dict[str, Any]] = []
        self._group: tuple[str | None, str | None] = (None, None)

    def render(self) -> list[dict[str, Any]]:
        for part in self._parts:
            if isinstance(part, Text | Refusal):
                self._add_text(part)
            else:
                self._flush()
                self._add_item(part)
        self._flush()
        return self._items

    def _add_text(self, part: Text | Refusal) -> None:
        group = (part.item_id, part.phase) if isinstance(part, Text) else self._group
        if group != self._group:
            self._flush()
        self._group = group
        if isinstance(part, Refusal):
            self._content.append({"type": "refusal", "refusal": part.text})
            return
        if part.text or not part.signature:
            rendered = [annotation(citation, len(part.text), self._dropped) for citation in part.citations]
            annotations = [entry for entry in rendered if entry is not None]
            self._content.append(text_part(part.text, annotations, self._take_logprobs(part.text)))
        if part.signature is not None:
            self._flush()
            self._items.append(proof_item(self._id("reasoning"), carried.of_text(part.signature, empty=not part.text)))

    def _take_logprobs(self, text: str) -> list[Any]:
        """The entries of this text: as many as their tokens fill it."""
        taken: list[Any] = []
        length = 0
        while self._logprobs and length < len(text):
            entry = self._logprobs.pop(0)
            taken.append(entry)
            length += len(str(entry.get("token", ""))) if isinstance(entry, dict) else 1
        return taken

    def _flush(self) -> None:
        if self._content:
            self._items.append(message_item(self._id("message"), self._status, self._content, self._group[1]))
        self._content, self._group = [], (None, None)

    def _add_item(self, part: Part) -> None:
        if isinstance(part, ToolCall):
            if part.signature is not None:
                self._items.append(proof_item(self._id("reasoning"), carried.of_call(part.id, part.signature)))
            self._items.append(call_item(self._id(call_kind(part)), part, self._status))
        elif isinstance(part, Thinking):
            if part.origin == "openai_responses" or part.text or part.signature or part.opaque or part.details:
                self._items.append(reasoning_item(reasoning_id(part, self._id("reasoning")), part))
        elif isinstance(part, Native) and part.dialect == "openai_responses":
            self._items.append(part.value)
        elif isinstance(part, Image):
            item = image_item(self._id("image_generation_call"), part, self._dropped)
            self._items += [] if item is None else [item]
        else:
            self._dropped.append(part.type if isinstance(part, Native) else type(part).__name__.lower())
            if isinstance(part, Audio) and part.transcript:
                self._content.append(text_part(part.transcript, [], []))

    def _id(self, kind: str) -> str:
        return item_id(self._stamp, kind, len(self._items))


def call_kind(part: ToolCall) -> str:
    return "custom_tool_call" if part.kind == "custom" else "function_call"
