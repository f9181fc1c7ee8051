"""From what comes back to typed objects and errors. Pure: bytes and headers in, no network here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Generic, TypeVar

import orjson
from msgspec import structs

from tollgate.sdk.endpoints import Endpoint
from tollgate.sdk.errors import (
    AuthenticationError,
    MalformedAnswerError,
    TollgateError,
    kind_of,
)
from tollgate.sdk.types import (
    ChatCompletion,
    ChatCompletionChunk,
    MessageResponse,
    MessageStreamEvent,
    Response,
    ResponseStreamEvent,
)
from tollgate.sdk.types.shape import About, Answer, Shape, WrongForm, read
from wire.dialect import Dialect
from wire.dialects.anthropic_messages import DIALECT as MESSAGES
from wire.dialects.openai_chat import DIALECT as CHAT
from wire.dialects.openai_responses import DIALECT as RESPONSES
from wire.errors import GatewayError, UpstreamCredentials, UpstreamError
from wire.neutral import Failed, Stamp, StreamEvent
from wire.sse import SseEvent, SseSplitter
from wire.tool_fitting import Fitted, StreamRestorer, restore_response
from wire.translation import caller_names

AnswerT = TypeVar("AnswerT", bound=Answer)
ChunkT = TypeVar("ChunkT", bound=Shape)
_DROPPED = b": tollgate-dropped: "
_LIMIT = "ratelimit"
_SILENT = frozenset({"ping"})  # events that say nothing


@dataclass(frozen=True)
class Form(Generic[AnswerT, ChunkT]):
    """What a dialect's answers are read into."""

    dialect: Dialect
    whole: type[AnswerT]
    chunk: type[ChunkT]


CHAT_FORM = Form(CHAT, ChatCompletion, ChatCompletionChunk)
RESPONSES_FORM = Form(RESPONSES, Response, ResponseStreamEvent)
MESSAGES_FORM = Form(MESSAGES, MessageResponse, MessageStreamEvent)


@dataclass(frozen=True)
class Translation:
    """The provider speaks another dialect than the caller."""

    upstream: Dialect
    fitted: Fitted
    stamp: Stamp


@dataclass(frozen=True)
class Reading(Generic[AnswerT, ChunkT]):
    """How the answer of one call is read. `hide_usage`: nobody asked for the usage chunk of its stream."""

    endpoint: Endpoint
    form: Form[AnswerT, ChunkT]
    model: str
    dropped: tuple[str, ...] = ()
    translation: Translation | None = None
    hide_usage: bool = False

    def whole(self, raw: bytes, headers: Mapping[str, str]) -> AnswerT:
        """Raises TollgateError."""
        dialect, translation = self.form.dialect, self.translation
        lost: tuple[str, ...] = ()
        try:
            if translation is None:
                dialect.read_response(raw)  # an error inside a 200 is raised here
                body = json_object(raw)
            else:
                answer = translation.upstream.parse_response(json_object(raw))
                if translation.fitted.changed:
                    answer = restore_response(answer, translation.fitted)
                rendered = dialect.render_response(answer, translation.stamp)
                body, lost = rendered.body, caller_names(rendered.dropped, {})
            made = read(self.form.whole, body)
        except GatewayError as error:
            raise failed(error, self.endpoint) from None
        except WrongForm as error:
            raise malformed(error, self.endpoint) from error
        made.tollgate = about(self.endpoint, self.model, headers, self.dropped + lost)
        return made

    def stream(self, headers: Mapping[str, str]) -> StreamReading[ChunkT]:
        return StreamReading(self, about(self.endpoint, self.model, headers, self.dropped))

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> TollgateError:
        upstream = self.form.dialect if self.translation is None else self.translation.upstream
        return failure(self.endpoint, upstream.parse_error, status, headers, body)


class StreamReading(Generic[ChunkT]):
    """One stream: pieces of bytes in, typed chunks out."""

    def __init__(self, reading: Reading[Any, ChunkT], known: About) -> None:
        self._endpoint = reading.endpoint
        self._chunk = reading.form.chunk
        self._meter = reading.form.dialect.meter(hide_usage=reading.hide_usage)
        self._events = SseSplitter()
        self._translated = (
            None if reading.translation is None else _Translated(reading.form.dialect, reading.translation)
        )
        self.about = known
        self.usage: Shape | None = None  # the last count seen, hidden ones included

    def feed(self, piece: bytes) -> list[ChunkT]:
        """Raises TollgateError."""
        return self._told(lambda: self._read(piece if self._translated is None else self._translated.feed(piece)))

    def close(self) -> list[ChunkT]:
        """At the end of input. Raises TruncatedAnswerError when the answer is not whole."""
        return self._told(self._close)

    def _told(self, step: Callable[[], list[ChunkT]]) -> list[ChunkT]:
        try:
            return step()
        except GatewayError as error:
            raise failed(error, self._endpoint) from None
        except WrongForm as error:
            raise malformed(error, self._endpoint) from error

    def _close(self) -> list[ChunkT]:
        chunks: list[ChunkT] = []
        if self._translated is not None:
            chunks += self._read(self._translated.close())
            self._drop(self._translated.lost)
        chunks += self._typed(self._events.close())
        self._meter.close()
        return chunks

    def _read(self, piece: bytes) -> list[ChunkT]:
        return self._typed(self._events.feed(piece))

    def _typed(self, events: list[SseEvent]) -> list[ChunkT]:
        return [chunk for event in events if (chunk := self._one(event)) is not None]

    def _one(self, event: SseEvent) -> ChunkT | None:
        if event.data is None:
            if event.raw.startswith(_DROPPED):
                self._drop(tuple(event.raw[len(_DROPPED) :].decode("utf-8", "replace").strip().split(", ")))
            return None
        keep = self._meter.feed(event)
        if self._meter.failed is not None:
            raise self._meter.failed
        if event.data == b"[DONE]":
            return None
        value = _json(event.data)
        if not isinstance(value, dict):
            raise WrongForm("an event is not a JSON object")
        if value.get("type") in _SILENT:
            return None
        chunk = read(self._chunk, value, "an event")
        inner = getattr(chunk, "response", None) or getattr(chunk, "message", None)
        self.usage = getattr(chunk, "usage", None) or getattr(inner, "usage", None) or self.usage
        return chunk if keep else None

    def _drop(self, names: tuple[str, ...]) -> None:
        self.about = structs.replace(self.about, dropped=tuple(dict.fromkeys(self.about.dropped + names)))


class _Translated:
    """The provider's stream as the caller's dialect has it."""

    def __init__(self, caller: Dialect, translation: Translation) -> None:
        self._events = SseSplitter()
        self._parser = translation.upstream.stream_parser()
        self._renderer = caller.stream_renderer(translation.stamp, include_usage=True)
        self._restorer = StreamRestorer(translation.fitted) if translation.fitted.changed else None

    @property
    def lost(self) -> tuple[str, ...]:
        return caller_names(self._renderer.dropped, {})

    def feed(self, piece: bytes) -> bytes:
        return self._parse(self._events.feed(piece))

    def close(self) -> bytes:
        return self._parse(self._events.close()) + self._render(self._parser.close()) + self._renderer.close()

    def _parse(self, events: list[SseEvent]) -> bytes:
        return b"".join([self._render(self._parser.feed(event)) for event in events if event.data is not None])

    def _render(self, events: list[StreamEvent]) -> bytes:
        for event in events:
            if isinstance(event, Failed):
                raise UpstreamError(event.message, status=event.status, code=event.code, type=event.type)
        if self._restorer is not None:
            events = self._restorer.feed(events)
        return b"".join([self._renderer.feed(event) for event in events])


# ------------------------------------------------------------------------------------------------- beside the answer
def about(endpoint: Endpoint, model: str, headers: Mapping[str, str], dropped: tuple[str, ...]) -> About:
    said = headers.get("x-tollgate-dropped")
    attempts = headers.get("x-tollgate-route", "")
    return About(
        provider=headers.get("x-tollgate-provider", endpoint.name),
        model=headers.get("x-tollgate-model", model),
        request_id=headers.get("x-request-id") or headers.get("request-id"),
        cost_usd=_decimal(headers.get("x-tollgate-cost-usd")),
        attempts=int(attempts) if attempts.isdecimal() else None,
        dropped=tuple(dict.fromkeys((*dropped, *(said.split(", ") if said else ())))),
        headers={name: value for name, value in headers.items() if name.startswith("x-tollgate-") or _LIMIT in name},
    )


def _decimal(text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        return None


# ------------------------------------------------------------------------------------------------- errors
ParseError = Callable[[int, Mapping[str, str], bytes], UpstreamError]


def failure(
    endpoint: Endpoint, parse_error: ParseError, status: int, headers: Mapping[str, str], body: bytes
) -> TollgateError:
    """Of an answer whose status is an error's."""
    parsed = parse_error(status, headers, body)
    if endpoint.is_gateway:
        parsed.code = _gateways_own(body) or parsed.code
    elif isinstance(parsed, UpstreamCredentials):
        parsed.code = None  # a gateway's word, for a key of its operator's
    kind = kind_of(status, parsed.code)
    if isinstance(parsed, UpstreamCredentials) and status == 400:  # Google's, and xAI's
        kind = AuthenticationError
    return _raised(
        kind,
        parsed,
        endpoint,
        status=status,
        provider=headers.get("x-tollgate-provider", endpoint.label),
        request_id=headers.get("x-request-id") or headers.get("request-id"),
    )


def failed(error: GatewayError, endpoint: Endpoint) -> TollgateError:
    """What the wire formats say is wrong, before anything is sent or in the middle of an answer. To be raised without
    its cause, whose text may repeat the key."""
    kind = AuthenticationError if isinstance(error, UpstreamCredentials) else kind_of(error.status, error.code)
    return _raised(kind, error, endpoint, status=error.status, provider=endpoint.label)


def _raised(
    kind: type[TollgateError],
    error: GatewayError,
    endpoint: Endpoint,
    *,
    status: int,
    provider: str,
    request_id: str | None = None,
) -> TollgateError:
    """The provider's words without the key, should it repeat that."""

    def clean(word: str | None) -> str | None:
        return word.replace(endpoint.key, "***") if word and endpoint.key else word

    return kind(
        clean(error.message) or "",
        status=status,
        code=clean(error.code),
        type=clean(error.type),
        param=clean(error.param),
        provider=provider,
        retry_after=error.retry_after,
        request_id=request_id,
    )


def malformed(error: WrongForm, endpoint: Endpoint) -> MalformedAnswerError:
    return MalformedAnswerError(f"The answer cannot be read: {error}", provider=endpoint.label)


def _gateways_own(body: bytes) -> str | None:
    """A gateway's `code` says more than its status."""
    value = _json(body)
    error = value.get("error") if isinstance(value, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) else None


def json_object(raw: bytes) -> dict[str, Any]:
    """Raises WrongForm."""
    value = _json(raw)
    if not isinstance(value, dict):
        raise WrongForm("it is not a JSON object")
    return value


def _json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
