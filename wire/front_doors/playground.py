"""The playground's flat chat API: one endpoint, an answer with `content`, `usage` and `cost`.

The format is ours. Messages are written as OpenAI's are, so their parts work too. A stream is SSE: an event
`{"type": "delta", "id", "content"}` for each piece of text, then one of type `done` with all that a whole answer has
but its content, or one of type `error`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wire.dialect import FrontDoor, Rendered, StreamRenderer
from wire.dialects.openai_chat.messages import read_messages
from wire.errors import (
    BadRequest,
    CallerError,
    GatewayError,
    NotReady,
    Unauthenticated,
    UpstreamCredentials,
    UpstreamError,
)
from wire.front_doors.errors import render_error
from wire.front_doors.figures import costs, served_by, timestamp, token_counts
from wire.front_doors.generation import read_max_tokens, read_temperature, schema_of
from wire.front_doors.spoken import spoken_text
from wire.front_doors.streams import DeltaStream
from wire.languages import Language
from wire.neutral import DoorName, Request, Response, Stamp
from wire.reading import WrongType, as_list, beyond, flag_or_none, text

_SCHEMA = schema_of(
    {
        "messages": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object"},
            "description": "As OpenAI's; at least one of role user",
        },
        "session_id": {"type": "string", "description": "For GET /api/usage/session/{id}"},
        "user_id": {"type": "string", "description": "A tag in the ledger; with the master key, the user who pays"},
    },
    required=("model", "messages"),
)
_KNOWN = frozenset(_SCHEMA["properties"])
_FIELD_NAMES = {name: name for name in ("model", "messages", "temperature", "max_tokens", "stream")}
_KEPT = (400, 404, 413, 422, 429)  # an upstream's own refusals


def parse_request(body: dict[str, Any], *, model: str | None = None, stream: bool | None = None) -> Request:
    """Raises BadRequest naming the path of the field at fault."""
    try:
        return _read(body, model, stream)
    except WrongType as error:
        raise BadRequest(f"Invalid '{error.path}': {error.problem}", param=error.path) from error


def _read(body: dict[str, Any], model: str | None, stream: bool | None) -> Request:
    messages = read_messages(as_list(body.get("messages"), "messages"), "messages")
    if not any(message.role == "user" for message in messages):
        raise WrongType("messages", "must hold at least one message of role user")
    return Request(
        dialect="playground",
        model=model or text(body, "model", ""),
        messages=messages,
        max_tokens=read_max_tokens(body),
        temperature=read_temperature(body),
        stream=bool(flag_or_none(body, "stream", "")) if stream is None else stream,
        extra=beyond(body, _KNOWN) or {},
    )


def render_response(response: Response, stamp: Stamp) -> Rendered:
    content, dropped = spoken_text(response)
    return Rendered(body=_head(stamp) | {"content": content} | _tail(stamp), dropped=dropped)


def told(error: GatewayError, language: Language | None = None) -> GatewayError:  # noqa: ARG001 - a FrontDoor
    """Standard messages: what a provider says stays in the log, but for what it refuses of the request itself."""
    if isinstance(error, UpstreamCredentials) and error.code == "own_key_refused":
        return error  # the caller's own key for the provider
    if isinstance(error, Unauthenticated | UpstreamCredentials):
        return Unauthenticated("Invalid API key", detail=None if isinstance(error, UpstreamError) else error.detail)
    if error.status == 404 and (error.param == "model" or isinstance(error, UpstreamError)):
        return CallerError("Unsupported model", status=404, code="model_not_found", param="model", detail=error.detail)
    if isinstance(error, UpstreamError) and error.status == 429:
        return CallerError("Rate limit exceeded", status=429, code="rate_limit_exceeded", retry_after=error.retry_after)
    if isinstance(error, UpstreamError) and error.status not in _KEPT:
        return GatewayError("Provider API failure", code="provider_failure", retry_after=error.retry_after)
    if isinstance(error, NotReady):  # its reason tells the operator what to set where; GET /api/models has it, too
        return NotReady("Service unavailable", code=error.code, retry_after=error.retry_after)
    return error


def _id(stamp: Stamp) -> str:
    return f"chat-{stamp.id}"


def _head(stamp: Stamp) -> dict[str, Any]:
    return {"id": _id(stamp), "model": stamp.model, "provider": served_by(stamp).provider}


def _tail(stamp: Stamp) -> dict[str, Any]:
    account = served_by(stamp).account()
    return {"usage": token_counts(account.usage), "cost": costs(account), "created_at": timestamp(stamp.created)}


class _Playground:
    name: DoorName = "playground"
    field_names: Mapping[str, str] = _FIELD_NAMES
    request_schema: Mapping[str, Any] = _SCHEMA
    parse_request = staticmethod(parse_request)
    render_response = staticmethod(render_response)
    render_error = staticmethod(render_error)
    told = staticmethod(told)

    def stream_renderer(self, stamp: Stamp, *, include_usage: bool = False) -> StreamRenderer:  # noqa: ARG002
        return DeltaStream({"id": _id(stamp)}, "content", end=lambda: _head(stamp) | _tail(stamp), told=self.told)


DOOR: FrontDoor = _Playground()
