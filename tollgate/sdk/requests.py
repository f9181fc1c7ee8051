"""From the arguments of a call to the request that is sent, and how its answer is read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic

import orjson

from tollgate.sdk.answers import AnswerT, ChunkT, Form, Reading, Translation, failed
from tollgate.sdk.endpoints import Endpoint
from tollgate.sdk.errors import InvalidRequestError, UnsupportedParameterError
from tollgate.sdk.types.shape import Shape
from wire.dialect import Dialect
from wire.dialects.anthropic_messages import DIALECT as MESSAGES
from wire.dialects.gemini import DIALECT as GEMINI
from wire.dialects.openai_chat import DIALECT as CHAT
from wire.dialects.openai_responses import DIALECT as RESPONSES
from wire.errors import BadRequest
from wire.neutral import Stamp
from wire.providers import Operation
from wire.translation import translate

_DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (CHAT, RESPONSES, MESSAGES, GEMINI)}
_DEEPEST = 100
_Fields = dict[str, Any]


@dataclass(frozen=True)
class Outbound:
    """One HTTP request. The headers hold a credential: they are never shown."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Planned(Generic[AnswerT, ChunkT]):
    """A call of a chat dialect, ready to be sent."""

    outbound: Outbound
    reading: Reading[AnswerT, ChunkT]
    stream: bool


@dataclass(frozen=True)
class Marks:
    """What is not the same in every call, and hence comes from outside: a bare id and Unix seconds for answers that
    are translated here, and the caller's wishes."""

    id: str
    created: int
    strict: bool = False
    betas: tuple[str, ...] = ()  # of Anthropic, which are a header on the wire


def plan(endpoint: Endpoint, form: Form[AnswerT, ChunkT], fields: _Fields, marks: Marks) -> Planned[AnswerT, ChunkT]:
    """`fields` is the body as the caller's dialect has it, `fields["model"]` the model's name without its provider.

    Raises InvalidRequestError, naming the field; UnsupportedParameterError for one that cannot be carried, if strict.
    """
    stream = fields.get("stream") is True
    model = endpoint.sent_model(fields["model"])
    try:
        if endpoint.speaks(form.dialect):
            return _passed(endpoint, form, fields, marks, model=model, stream=stream)
        return _translated(endpoint, form, fields, marks, model=model, stream=stream)
    except BadRequest as error:
        raise failed(error, endpoint) from None


def _passed(
    endpoint: Endpoint, form: Form[AnswerT, ChunkT], fields: _Fields, marks: Marks, *, model: str, stream: bool
) -> Planned[AnswerT, ChunkT]:
    dialect, quirks = form.dialect, endpoint.row.quirks
    names = (dialect.field_names.get(name, name) for name in sorted(quirks.drop))
    dropped = tuple(name for name in names if fields.get(name) is not None)
    check_strict(dropped, endpoint, marks.strict)
    body, added = dialect.rewrite_request(dumped(fields), model=model, quirks=quirks, include_usage=stream)
    extra = {"anthropic-beta": ",".join(marks.betas)} if marks.betas else {}
    if marks.strict and endpoint.is_gateway:
        extra["x-tollgate-strict"] = "1"
    reading = Reading(endpoint, form, model, dropped, hide_usage=added)
    return Planned(_post(endpoint, dialect.name, model, extra, body), reading, stream)


def _translated(
    endpoint: Endpoint, form: Form[AnswerT, ChunkT], fields: _Fields, marks: Marks, *, model: str, stream: bool
) -> Planned[AnswerT, ChunkT]:
    asked = endpoint.asked_model(model)
    upstream = _DIALECTS[endpoint.row.dialects[0]]
    said = form.dialect.parse_request(fields, model=asked, stream=stream)
    found = translate(said, form.dialect.field_names, upstream, model=model, stream=stream, quirks=endpoint.row.quirks)
    dropped = found.dropped + (("betas",) if marks.betas else ())
    check_strict(dropped, endpoint, marks.strict)
    operation: Operation = "gemini_stream" if upstream is GEMINI and stream else upstream.name
    options = fields.get("stream_options")
    wanted = isinstance(options, dict) and options.get("include_usage") is True
    stamp = Stamp(id=marks.id, created=marks.created, model=asked)
    reading = Reading(endpoint, form, model, dropped, Translation(upstream, found.fitted, stamp), hide_usage=not wanted)
    body = dumped(found.body)
    return Planned(_post(endpoint, operation, model, found.headers, body), reading, stream)


def _post(endpoint: Endpoint, operation: Operation, model: str, extra: Mapping[str, str], body: bytes) -> Outbound:
    return outbound(endpoint, "POST", endpoint.url(operation, model), extra, body)


def outbound(
    endpoint: Endpoint, method: str, url: str, extra: Mapping[str, str] | None = None, body: bytes | None = None
) -> Outbound:
    headers = {**endpoint.headers(), **(extra or {})}
    if body is not None:
        headers["content-type"] = "application/json"
    return Outbound(method, url, headers, body)


def check_strict(dropped: tuple[str, ...], endpoint: Endpoint, strict: bool) -> None:
    """Raises UnsupportedParameterError."""
    if dropped and strict:
        raise UnsupportedParameterError(
            f"Field {dropped[0]!r} cannot be carried to {endpoint.label} (strict)",
            code="cannot_carry",
            param=dropped[0],
            provider=endpoint.label,
        )


# ------------------------------------------------------------------------------------------------- bodies
def plain_fields(fields: Mapping[str, Any]) -> _Fields:
    """Fields that are not None, as JSON has them. Raises InvalidRequestError, naming what JSON cannot hold."""
    return {name: plain(value, name) for name, value in fields.items() if value is not None}


def plain(value: Any, path: str, depth: int = 0) -> Any:
    """Objects of earlier answers (of this package, or the vendors' own, which have `model_dump` too) become plain."""
    if value is None or (isinstance(value, str | bool | int | float) and not isinstance(value, Enum)):
        return value
    if depth > _DEEPEST:
        raise _unfit(path, "is nested too deeply")
    if isinstance(value, Shape):
        return value.model_dump(exclude_none=True)
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise _unfit(path, f"has a key that is not a text: {name!r}")
        return {name: plain(item, f"{path}.{name}", depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{path}[{place}]", depth + 1) for place, item in enumerate(value)]
    if isinstance(value, Enum):
        return plain(value.value, path, depth + 1)
    if callable(dump := getattr(value, "model_dump", None)) and not isinstance(value, type):
        return plain(dump(exclude_none=True), path, depth + 1)
    raise _unfit(path, f"cannot be sent: {type(value).__name__} has no form in JSON")


def dumped(body: Any) -> bytes:
    """Raises InvalidRequestError."""
    try:
        return orjson.dumps(body)
    except TypeError as error:  # integers beyond 64 bits, halves of surrogate pairs
        raise InvalidRequestError(f"The request has no form in JSON: {error}") from error


def _unfit(path: str, problem: str) -> InvalidRequestError:
    return InvalidRequestError(f"{path}: {problem}", param=path)
