"""How an error is told on each path: status, headers, and the body in the shape that its callers read (DESIGN §3.5)."""

from __future__ import annotations

import math
from urllib.parse import parse_qs

import orjson

from gateway.exchange import Scope
from gateway.surfaces import LLM_SERVER, SURFACES, DoorSurface
from wire.dialect import CallerFormat, FrontDoor
from wire.dialects.anthropic_messages import DIALECT as ANTHROPIC
from wire.dialects.gemini import DIALECT as GEMINI
from wire.dialects.openai_chat import DIALECT as OPENAI_CHAT
from wire.errors import GatewayError
from wire.front_doors.cpu_stack import DOOR as CPU_STACK
from wire.front_doors.playground import DOOR as PLAYGROUND
from wire.languages import preferred

Headers = list[tuple[bytes, bytes]]

_DOORS: dict[str, FrontDoor] = {each.dialect.name: each.dialect for each in SURFACES if isinstance(each, DoorSurface)}
# The first that fits; all else, management too, is OpenAI's shape.
_BELOW: tuple[tuple[str, CallerFormat], ...] = (
    ("/v1beta/", GEMINI),
    ("/v1/messages", ANTHROPIC),
    ("/api/v1/", LLM_SERVER.dialect),
    ("/api/", PLAYGROUND),
    ("/query", CPU_STACK),
    ("/status", CPU_STACK),
    ("/traces", CPU_STACK),
)
_GOOGLE_HEADERS = {b"x-goog-api-key", b"x-goog-api-client"}


def format_of(scope: Scope) -> CallerFormat:
    """What the caller of a path reads. `/v1/models` is three vendors': the request's headers tell whose client asks."""
    path = scope["path"]
    if path.startswith("/v1/models"):
        return _asked_for_models(scope)
    return next((told for prefix, told in _BELOW if path.startswith(prefix)), OPENAI_CHAT)


def _asked_for_models(scope: Scope) -> CallerFormat:
    """Google's SDKs ask for v1 too, so that only the way of saying the key or the client's name tells them apart."""
    names = {name for name, _ in scope["headers"]}
    if b"anthropic-version" in names:
        return ANTHROPIC
    posted = scope["method"] == "POST" and scope["path"] != "/v1/models"  # {model}:generateContent
    google = posted or names & _GOOGLE_HEADERS or "key" in parse_qs(scope["query_string"].decode("latin-1"))
    return GEMINI if google else OPENAI_CHAT


def error_answer(error: GatewayError, told_as: CallerFormat, accept_language: str | None) -> tuple[int, Headers, bytes]:
    """Status, headers, body. A front door says some things in words of its own."""
    told = error
    if door := _DOORS.get(told_as.name):
        told = door.told(error, preferred(accept_language))
    headers = [(b"content-type", b"application/json")]
    if told.retry_after is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(told.retry_after))).encode()))
    headers += [(name.encode(), value.encode()) for name, value in error.headers.items()]
    return told.status, headers, orjson.dumps(told_as.render_error(told))
