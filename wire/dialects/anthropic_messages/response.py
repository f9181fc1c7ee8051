"""A whole Messages answer to a neutral one and back. https://platform.claude.com/docs/en/api/messages"""

from __future__ import annotations

from typing import Any

import orjson

from wire import reading
from wire.dialect import Facts, Quirks, Rendered
from wire.dialects.anthropic_messages.blocks import parse_content
from wire.dialects.anthropic_messages.errors import error_of_event
from wire.dialects.anthropic_messages.finish import neutral_reason, parse_finish, render_finish
from wire.dialects.anthropic_messages.foreign import OWN
from wire.dialects.anthropic_messages.parts import PartRenderer
from wire.dialects.anthropic_messages.usage import parse_usage, render_usage
from wire.errors import BadRequest, UpstreamMalformed
from wire.neutral import Choice, Refusal, Response, Stamp, ToolCall

_FIELDS = frozenset({"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"})
_NO_QUIRKS = Quirks()


def parse_response(body: dict[str, Any]) -> Response:
    """Raises UpstreamMalformed for what is not a message, the upstream's own error where one stands in its place."""
    try:
        if reading.as_object(body, "answer").get("type") == "error":
            raise error_of_event(body)
        parts = parse_content(reading.as_list(body.get("content"), "content"), "content", answer=True)
        identity = reading.text_or_none(body, "id", "")
        model = reading.text_or_none(body, "model", "")
    except BadRequest as error:
        raise UpstreamMalformed(f"The upstream's answer is not a message: {error.message}") from error
    usage = parse_usage(body.get("usage"))
    return Response(
        dialect=OWN,
        id=identity,
        model=model,
        choices=(Choice(parts=parts, finish=parse_finish(body)),),
        usage=usage,
        service_tier=usage.service_tier if usage is not None else None,
        extra=reading.unknown_fields(body, _FIELDS),
    )


def render_response(response: Response, stamp: Stamp) -> Rendered:
    """One message holds one choice; others are reported, as is all that a message cannot say."""
    own = response.dialect == OWN
    dropped: list[str] = [f"choices[{index}]" for index in range(1, len(response.choices))]
    choice = response.choices[0] if response.choices else None
    parts = choice.parts if choice is not None else ()
    renderer = PartRenderer(own=own, seal=True, quirks=_NO_QUIRKS, dropped=dropped)
    body: dict[str, Any] = {
        "id": f"msg_{stamp.id}",
        "type": "message",
        "role": "assistant",
        "model": stamp.model,
        "content": [block for part in parts for block in renderer.in_assistant_turn(part)],
        **render_finish(
            choice.finish if choice is not None else None,
            called_tools=any(isinstance(part, ToolCall) for part in parts),
            refused=any(isinstance(part, Refusal) for part in parts),
        ),
        "usage": render_usage(response.usage),
    }
    if choice is not None and choice.logprobs is not None:
        dropped.append("logprobs")
    if choice is not None and choice.finish.reason == "error":
        dropped.append("finish_reason")
    if own:
        body.update(response.extra)
    else:
        extra = {**response.extra, **((choice.extra or {}) if choice is not None else {})}
        dropped.extend(f"extra.{name}" for name, value in extra.items() if value is not None)
    return Rendered(body=body, dropped=tuple(dropped))


def read_response(body: bytes) -> Facts:
    """What metering needs of a passed-through answer. Raises UpstreamMalformed when it is not a JSON object, or the
    error that stands in a message's place."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UpstreamMalformed("The upstream's answer is not JSON") from error
    if not isinstance(answer, dict):
        raise UpstreamMalformed("The upstream's answer is not a JSON object")
    if answer.get("type") == "error":
        raise error_of_event(answer)
    usage = parse_usage(answer.get("usage"))
    identity, word, content = answer.get("id"), answer.get("stop_reason"), answer.get("content")
    return Facts(
        usage=usage,
        finish=neutral_reason(word) if word is not None else None,
        response_id=identity if isinstance(identity, str) else None,
        text_bytes=sum(map(_generated_bytes, content)) if isinstance(content, list) else 0,
        service_tier=usage.service_tier if usage is not None else None,
    )


def _generated_bytes(block: Any) -> int:
    """UTF-8 bytes that the model wrote in a block: text, thinking, arguments."""
    if not isinstance(block, dict):
        return 0
    texts = sum(len(block[key].encode()) for key in ("text", "thinking") if isinstance(block.get(key), str))
    arguments = block.get("input")
    return texts + (len(orjson.dumps(arguments)) if isinstance(arguments, dict) and arguments else 0)
