"""What a caller asks, read from its bytes: as little as routing and metering need. The dialect does the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import orjson
from msgspec import structs

from gateway.calls.own_key import OwnKey, read_own_key
from gateway.catalogue import LONGEST_ID
from gateway.exchange import Exchange
from gateway.surfaces import ChatSurface, CountSurface, DoorSurface, ForwardSurface, Surface
from wire.errors import BadRequest
from wire.multipart import Form, boundary_of
from wire.neutral import Request
from wire.output_cap import read_output_cap, set_output_cap
from wire.reading import UNSTORABLE
from wire.rewriting import replace_top_level

_MAX_TAG = 255
DefaultModel = Callable[[Mapping[str, Any]], str | None]
LOWER_CAP = b"x-tollgate-lower-max-tokens"
_MOST_LEVELS = 200  # of a body that is translated: it may come out some levels deeper, and orjson writes 254
_SWITCH = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class Ask:
    """`raw` is the body as it came, `body` the same parsed (of a form: its text fields that matter here).

    `strict`: what cannot be carried is an error. `output_cap`: most tokens of the answer. `lower_cap`: whether that may
    be lowered to what a budget has left; None: as the gateway is set. `request` is what a front door made of the body:
    it is sent instead.
    """

    surface: Surface
    raw: bytes
    body: dict[str, Any]
    model: str
    stream: bool
    user: str | None
    session_id: str | None
    strict: bool
    include_usage: bool
    output_cap: int | None
    content_type: str = "application/json"
    request: Request | None = None
    own_key: OwnKey | None = None
    lower_cap: bool | None = None

    @property
    def service_tier(self) -> str | None:
        """The tier that is asked for, as prices name it; None: whichever the provider gives."""
        if self.body.get("speed") == "fast":  # https://platform.claude.com/docs/en/build-with-claude/fast-mode
            return "fast"
        tier = self.body.get("service_tier") or self.body.get("serviceTier")
        return tier.lower() if isinstance(tier, str) else None

    def with_output_cap(self, cap: int) -> Ask:
        """The same asked for with at most so many tokens."""
        if self.request is not None:
            return replace(self, request=structs.replace(self.request, max_tokens=cap), output_cap=cap)
        native = isinstance(self.surface, ForwardSurface) and self.surface.operation == "native_completion"
        forwarded = "native_completion" if native else "completions"
        kind = self.surface.dialect.name if isinstance(self.surface, ChatSurface) else forwarded
        raw = set_output_cap(self.raw, kind, cap)
        return replace(self, raw=raw, body=_parse(raw), output_cap=cap)


def read_ask(exchange: Exchange, surface: Surface, raw: bytes, default_model: DefaultModel | None = None) -> Ask:
    """`default_model` says what a call asks for that names none. Raises BadRequest naming the field."""
    content_type = exchange.header(b"content-type") or ""
    if isinstance(surface, ForwardSurface) and surface.form:
        body = _form(Form(raw, boundary_of(content_type)), surface.turns)
    else:
        body = _parse(raw)
        if "strict" in body:  # ours, not the upstream's
            raw = replace_top_level(raw, {"strict": None})
    strict = _flag({"strict": body.pop("strict", None)}, "strict")
    strict = strict or exchange.header(b"x-tollgate-strict") in ("1", "true")
    model = exchange.params.get("model") or body.get("model")
    if model is None:
        model = surface.default_model if isinstance(surface, ForwardSurface) else None
        model = default_model(body) if default_model is not None else model
    if not isinstance(model, str) or not model.strip():
        raise BadRequest("'model' is required and must be a non-empty string", param="model")
    model = model.strip()
    if len(model) > LONGEST_ID:
        raise BadRequest(f"'model' is longer than {LONGEST_ID} characters", param="model")
    _check_turns(body, surface)
    stream = surface.stream if surface.stream is not None else _flag(body, "stream")
    options = body.get("stream_options")
    return Ask(
        surface=surface,
        raw=raw,
        body=body,
        model=model,
        stream=stream,
        user=_named(body, surface.user_field),
        session_id=_session(exchange, body, surface),
        strict=strict,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        output_cap=read_output_cap(body),
        content_type=content_type,
        own_key=read_own_key(exchange.header),
        lower_cap=_SWITCH.get(exchange.header(LOWER_CAP) or ""),
    )


@contextmanager
def refusing_depth(body: dict[str, Any]) -> Iterator[None]:
    """Around what reads a caller's body or writes it anew. Its depth is looked at only when that fails: passed through
    as it is, it may be any. Raises BadRequest naming the deepest field."""
    try:
        yield
    except (RecursionError, TypeError):  # orjson's word for what it will not write
        field = max(body, key=lambda name: _depth(body[name]))
        if _depth(body[field]) <= _MOST_LEVELS:
            raise
        raise BadRequest(f"'{field}' is nested more than {_MOST_LEVELS} levels deep", param=field) from None


def _depth(value: Any) -> int:
    levels, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
        levels += 1
    return levels


def _check_turns(body: dict[str, Any], surface: Surface) -> None:
    turns = body.get(surface.turns)
    is_list = surface.turns in ("messages", "contents")
    # A countTokens request may hold a whole generateContent request instead, a stored prompt stands for an input.
    alternatives = ("generateContentRequest", "prompt", "previous_response_id", "conversation")
    if turns is None and isinstance(surface, CountSurface) and any(name in body for name in alternatives):
        return
    if not turns and surface.turns == "input" and any(body.get(name) for name in alternatives[1:]):
        return
    if not turns or (is_list and not isinstance(turns, list)):
        raise BadRequest(f"'{surface.turns}' is required and must not be empty", param=surface.turns)


def _form(form: Form, file: str) -> dict[str, Any]:
    """The text fields of a form upload that this gateway looks at, and whether its file is there."""
    body: dict[str, Any] = {}
    for name in ("model", "user"):
        if (value := form.text(name)) is not None:
            body[name] = value
    body["stream"] = form.text("stream") == "true"
    body[file] = file in form
    return body


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The request body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadRequest("The request body must be a JSON object")
    return body


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"'{name}' must be true or false", param=name)
    return bool(value)


def _session(exchange: Exchange, body: dict[str, Any], surface: Surface) -> str | None:
    named = _named(body, surface.session_field) if isinstance(surface, DoorSurface) else None
    return named or _tag(exchange.header(b"x-session-id"))


def _named(body: dict[str, Any], field: str | None) -> str | None:
    """The user or session that the body names, at `user`, `metadata.user_id` or the like."""
    if field is None:
        return None
    value: Any = body
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"'{field}' must be a string", param=field)
    return _tag(value)


def _tag(value: str | None) -> str | None:
    """A tag fit for a row, and for the path by which it is asked for: bounded, None when empty."""
    return UNSTORABLE.sub("", value)[:_MAX_TAG] or None if value else None
