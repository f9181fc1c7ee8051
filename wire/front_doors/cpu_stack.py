"""The minimal CPU stack's API: one prompt in, one answer out. The shape is ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wire.dialect import FrontDoor, Rendered, StreamRenderer
from wire.errors import BadRequest, GatewayError
from wire.front_doors.errors import render_error
from wire.front_doors.figures import exact_cost, milliseconds, request_id, served_by, token_counts
from wire.front_doors.generation import read_max_tokens, read_temperature, schema_of
from wire.front_doors.spoken import spoken_text
from wire.front_doors.streams import DeltaStream
from wire.languages import Language
from wire.neutral import DoorName, Message, Request, Response, Stamp, Text
from wire.reading import WrongType, beyond, flag_or_none, text

_SCHEMA = schema_of(
    {
        "prompt": {"type": "string", "minLength": 1},
        "user": {"type": "string", "description": "A tag in the ledger; with the master key, the user who pays"},
    },
    required=("model", "prompt"),
)
_KNOWN = frozenset(_SCHEMA["properties"])
_FIELD_NAMES = {"messages": "prompt"} | {name: name for name in ("model", "temperature", "max_tokens", "stream")}


def parse_request(body: dict[str, Any], *, model: str | None = None, stream: bool | None = None) -> Request:
    """Raises BadRequest naming the field at fault."""
    try:
        return _read(body, model, stream)
    except WrongType as error:
        raise BadRequest(f"Invalid '{error.path}': {error.problem}", param=error.path) from error


def _read(body: dict[str, Any], model: str | None, stream: bool | None) -> Request:
    prompt = text(body, "prompt", "")
    if not prompt.strip():
        raise WrongType("prompt", "must not be blank")
    return Request(
        dialect="cpu_stack",
        model=model or text(body, "model", ""),
        messages=(Message(role="user", parts=(Text(text=prompt, path="prompt"),)),),
        max_tokens=read_max_tokens(body),
        temperature=read_temperature(body),
        stream=bool(flag_or_none(body, "stream", "")) if stream is None else stream,
        extra=beyond(body, _KNOWN) or {},
    )


def render_response(response: Response, stamp: Stamp) -> Rendered:
    answer, dropped = spoken_text(response)
    return Rendered(body=_head(stamp) | {"answer": answer} | _tail(stamp), dropped=dropped)


def _head(stamp: Stamp) -> dict[str, Any]:
    """`trace_id` is the request's id as its header, the ledger and `GET /traces` have it."""
    served = served_by(stamp)
    return {"trace_id": request_id(stamp), "model": served.model, "provider": served.provider}


def _tail(stamp: Stamp) -> dict[str, Any]:
    account = served_by(stamp).account()
    return {
        "latency_ms": milliseconds(account.total_us),
        "usage": token_counts(account.usage) | {"cost_usd": exact_cost(account)},
    }


class _CpuStack:
    name: DoorName = "cpu_stack"
    field_names: Mapping[str, str] = _FIELD_NAMES
    request_schema: Mapping[str, Any] = _SCHEMA
    parse_request = staticmethod(parse_request)
    render_response = staticmethod(render_response)
    render_error = staticmethod(render_error)

    def told(self, error: GatewayError, language: Language | None = None) -> GatewayError:  # noqa: ARG002
        return error

    def stream_renderer(self, stamp: Stamp, *, include_usage: bool = False) -> StreamRenderer:  # noqa: ARG002
        return DeltaStream(
            {"trace_id": request_id(stamp)}, "answer", end=lambda: _head(stamp) | _tail(stamp), told=self.told
        )


DOOR: FrontDoor = _CpuStack()
