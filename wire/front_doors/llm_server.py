"""The LLM Server API: one prompt in, one text out, with the dialogue kept by the server under a `request_id`.

The format is ours, in the words of the small servers whose clients speak it. A stream is SSE: an event
`{"type": "delta", "request_id", "output_text"}` for each piece of text, then one of type `done` with all that a whole
answer has but its text, or one of type `error`. What the server adds to the prompt (earlier turns, a system prompt) is
put into the request by `gateway.calls.llm_server`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from msgspec import Struct

from wire.dialect import FrontDoor, Rendered, StreamRenderer
from wire.errors import GatewayError
from wire.front_doors.errors import render_error
from wire.front_doors.figures import costs, milliseconds, served_by, timestamp, token_counts
from wire.front_doors.generation import read_max_tokens, read_temperature, schema_of
from wire.front_doors.spoken import SpokenStream, spoken_text, words_of
from wire.languages import Language, in_language
from wire.neutral import (
    Account,
    BlockStart,
    Citation,
    CitationDelta,
    DoorName,
    Message,
    Request,
    Response,
    Stamp,
    StreamEvent,
    Text,
    TextDelta,
)
from wire.reading import (
    UNSTORABLE,
    WrongType,
    as_object,
    at,
    beyond,
    flag_or_none,
    integer_or_none,
    text_or_none,
)
from wire.sse import encode_event

_SCHEMA = schema_of(
    {
        "user_prompt": {"type": "string", "minLength": 1},
        "request_id": {"type": "string", "description": "The dialogue that goes on; an answer names the one it is of"},
        "system_prompt": {"type": "string"},
        "background": {"type": "boolean", "default": False, "description": "Answer 202, and the job by its id"},
        "web_search": {"type": "boolean", "default": False},
        "openai_api_key": {"type": "string", "description": "The caller's own, with use_user_api_key"},
        "use_user_api_key": {"type": "boolean", "default": False},
        "history": {
            "oneOf": [
                {"type": "boolean"},
                {
                    "type": "object",
                    "properties": {
                        "use": {"type": "boolean"},
                        "save": {"type": "boolean"},
                        "max_turns": {"type": "integer", "minimum": 0},
                    },
                    "additionalProperties": False,
                },
            ]
        },
        "user": {"type": "string", "description": "A tag in the ledger; with the master key, the user who pays"},
    },
    required=("user_prompt",),
)
_KNOWN = frozenset(_SCHEMA["properties"])
_FIELD_NAMES = {name: name for name in ("model", "max_tokens", "temperature", "stream", "web_search")}
_HISTORY = frozenset({"use", "save", "max_turns"})
_ONE_LINE = re.compile(r"[^\t\n]{1,255}")


class Options(Struct, frozen=True, kw_only=True):
    """What a call says beside its prompt. `own_key`: OpenAI's, of the caller, where it is to be used.

    `use_history`: earlier turns go before the prompt; `max_turns` of them at most. `save_history`: this one is kept.
    """

    prompt: str
    request_id: str | None
    system_prompt: str | None
    background: bool
    web_search: bool
    own_key: str | None
    use_history: bool
    save_history: bool
    max_turns: int | None


def parse_request(body: dict[str, Any], *, model: str | None = None, stream: bool | None = None) -> Request:
    """The prompt alone, as one message of the user. Raises BadRequest naming the field at fault."""
    options = read_options(body)
    return Request(
        dialect="llm_server",
        model=model or text_or_none(body, "model", "") or "",
        messages=(Message(role="user", parts=(Text(text=options.prompt, path="user_prompt"),)),),
        max_tokens=read_max_tokens(body),
        temperature=read_temperature(body),
        stream=bool(flag_or_none(body, "stream", "")) if stream is None else stream,
        web_search=options.web_search,
        extra=beyond(body, _KNOWN) or {},
    )


def read_options(body: dict[str, Any]) -> Options:
    """Raises BadRequest naming the field at fault; the text never holds what stood there."""
    prompt = text_or_none(body, "user_prompt", "")
    if prompt is None or not prompt.strip():
        raise WrongType("user_prompt", "is required and must not be empty")
    for field in ("user_prompt", "system_prompt"):
        if "\x00" in (text_or_none(body, field, "") or ""):
            raise WrongType(field, "must not hold the character NUL")
    request_id = text_or_none(body, "request_id", "")
    if request_id is not None and (not _ONE_LINE.fullmatch(request_id) or UNSTORABLE.search(request_id)):
        raise WrongType("request_id", "must be 1 to 255 characters without control characters")
    own_key = text_or_none(body, "openai_api_key", "") if flag_or_none(body, "use_user_api_key", "") else None
    text_or_none(body, "openai_api_key", "")
    use, save, max_turns = _history(body.get("history"))
    return Options(
        prompt=prompt,
        request_id=request_id,
        system_prompt=text_or_none(body, "system_prompt", "") or None,
        background=bool(flag_or_none(body, "background", "")),
        web_search=bool(flag_or_none(body, "web_search", "")),
        own_key=own_key or None,
        use_history=use,
        save_history=save,
        max_turns=max_turns,
    )


def _history(value: Any) -> tuple[bool, bool, int | None]:
    """`true`, `false`, or `{"use", "save", "max_turns"}`."""
    if value is None or isinstance(value, bool):
        return value is not False, value is not False, None
    options = as_object(value, "history")
    for name in options:
        if name not in _HISTORY:
            raise WrongType(at("history", name), "is not known here; use, save and max_turns are")
    use, save = flag_or_none(options, "use", "history"), flag_or_none(options, "save", "history")
    max_turns = integer_or_none(options, "max_turns", "history")
    if max_turns is not None and max_turns < 0:
        raise WrongType("history.max_turns", "must not be negative")
    return use is not False, save is not False, max_turns


def render_response(response: Response, stamp: Stamp) -> Rendered:
    output_text, dropped = spoken_text(response)
    choice = response.choices[0] if response.choices else None
    sources = _Sources()
    length = 0
    for part in choice.parts if choice is not None else ():
        size = len(words_of(part))
        for citation in part.citations if isinstance(part, Text) else ():
            sources.add(citation, length, size)
        length += size
    finish = None if choice is None else choice.finish.reason
    body = _head(stamp) | {"output_text": output_text} | _tail(stamp, finish, sources)
    return Rendered(body=body, dropped=tuple(_lost(dropped)))


class LlmServerStream:
    def __init__(self, stamp: Stamp) -> None:
        self._stamp = stamp
        self._spoken = SpokenStream()
        self.dropped: list[str] = []
        self._cited: list[CitationDelta] = []
        self._length = 0
        self._blocks: dict[int, tuple[int, int]] = {}  # where the text of a block begins, and how long it is
        self._delta = b'{"type":"delta","request_id":%b,"output_text":' % orjson.dumps(_session_id(stamp))

    def feed(self, event: StreamEvent) -> bytes:
        if isinstance(event, CitationDelta):
            self._cited.append(event)
        piece = self._spoken.feed(event)
        self.dropped = _lost(self._spoken.dropped)
        if not piece:
            return b""
        if isinstance(event, BlockStart | TextDelta):
            start, size = self._blocks.get(event.block, (self._length, 0))
            self._blocks[event.block] = (start, size + len(piece))
        self._length += len(piece)
        return encode_event(self._delta + orjson.dumps(piece) + b"}")

    def close(self) -> bytes:
        sources = _Sources()
        for cited in self._cited:
            start, size = self._blocks.get(cited.block, (0, self._length))
            sources.add(cited.citation, start, size)
        end = {"type": "done"} | _head(self._stamp) | _tail(self._stamp, self._spoken.finish, sources)
        return encode_event(orjson.dumps(end))

    def error(self, error: GatewayError) -> bytes:
        language = served_by(self._stamp).language
        return encode_event(orjson.dumps({"type": "error"} | render_error(told(error, language))))


def told(error: GatewayError, language: Language | None = None) -> GatewayError:
    return in_language(error, language)


def _lost(dropped: Sequence[str]) -> list[str]:
    """Without what the answer does say: citations, and that they were searched for."""
    return [name for name in dropped if name != "citations" and "search" not in name]


def _session_id(stamp: Stamp) -> str:
    return served_by(stamp).session_id or stamp.id


def _head(stamp: Stamp) -> dict[str, Any]:
    provider = served_by(stamp).provider
    return {"id": stamp.id, "request_id": _session_id(stamp), "model": stamp.model, "provider": provider}


def _tail(stamp: Stamp, finish: str | None, sources: _Sources) -> dict[str, Any]:
    served = served_by(stamp)
    account = served.account()
    return {
        "finish_reason": finish,
        "citations": sources.found,
        "usage": token_counts(account.usage),
        "cost": costs(account),
        "timings": _timings(account),
        **served.shown,
        "created_at": timestamp(stamp.created),
    }


def _timings(account: Account) -> dict[str, float | None]:
    first = account.first_token_us
    return {
        "total_ms": milliseconds(account.total_us),
        "upstream_ms": milliseconds(account.upstream_us),
        "first_token_ms": None if first is None else milliseconds(first),
    }


class _Sources:
    """What an answer rests on: each source once, in the order of its first mention, with the places in `output_text`
    (characters) that rest on it."""

    def __init__(self) -> None:
        self._by_source: dict[tuple[str | None, str | None], dict[str, Any]] = {}

    @property
    def found(self) -> list[dict[str, Any]]:
        return list(self._by_source.values())

    def add(self, citation: Citation, start: int, size: int) -> None:
        """Of a text that begins at `start` and has `size` characters; without a place of its own it is of all of it."""
        key = (citation.url, citation.url or citation.title or citation.cited_text)
        source = self._by_source.setdefault(
            key, {"url": citation.url, "title": citation.title, "cited_text": citation.cited_text, "spans": []}
        )
        first = 0 if citation.start is None else min(citation.start, size)
        last = size if citation.end is None else min(citation.end, size)
        span = {"start": start + first, "end": start + last}
        if span not in source["spans"]:
            source["spans"].append(span)


class _LlmServer:
    name: DoorName = "llm_server"
    field_names: Mapping[str, str] = _FIELD_NAMES
    request_schema: Mapping[str, Any] = _SCHEMA
    parse_request = staticmethod(parse_request)
    render_response = staticmethod(render_response)
    render_error = staticmethod(render_error)
    told = staticmethod(told)

    def stream_renderer(self, stamp: Stamp, *, include_usage: bool = False) -> StreamRenderer:  # noqa: ARG002
        return LlmServerStream(stamp)


DOOR: FrontDoor = _LlmServer()
