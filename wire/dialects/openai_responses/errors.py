"""Errors of a Responses upstream, and ours in its shape. https://platform.openai.com/docs/guides/error-codes"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from wire.errors import (
    GatewayError,
    UpstreamCredentials,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimedOut,
    UpstreamUnavailable,
)

# Upstreams quote the key they refused, some of it starred out.
_CREDENTIALS = (
    re.compile(r"(?i)(api[ _-]?key(?: provided)?\s*[:=]\s*)\S+"),
    re.compile(r"(?i)(bearer\s+)\S+"),
    re.compile(r"()\b(?:sk|pk|rk|gw|xai|gsk|pplx|up|key|org|proj|sess)[-_][\w*.-]{6,}"),
    re.compile(r"()\bAIza[\w-]{10,}"),
    re.compile(r"()\beyJ[\w-]{8,}\.[\w.-]+"),
)
_MAX_MESSAGE = 2000  # characters of an upstream's text that are passed on

_KEPT = frozenset({400, 404, 413, 422})
_LIMIT_CODES = frozenset({"rate_limit_exceeded", "insufficient_quota", "rate_limit_error", "too_many_requests", "429"})
_REJECTED_CODES = frozenset({"invalid_prompt", "context_length_exceeded", "invalid_request_error", "bio_policy", "400"})


def scrub(text: str) -> str:
    for pattern in _CREDENTIALS:
        text = pattern.sub(r"\1[redacted]", text)
    return text[:_MAX_MESSAGE]


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """The status decides the kind; the body gives the words, whichever of the recorded shapes it has."""
    said = _read_body(body)
    message = said["message"] or f"The upstream answered with status {status}"
    code, kind, param = said["code"], said["type"], said["param"]
    # xAI says it with a 400.
    if status in (401, 402, 403) or (status == 400 and message.startswith("Incorrect API key")):
        return UpstreamCredentials("The provider refused the credentials")
    if status == 429:
        return UpstreamRateLimited(message, type=kind, code=code, param=param, retry_after=_retry_after(headers))
    if status in _KEPT:
        return UpstreamRejected(message, status=status, type=kind, code=code, param=param)
    if status in (408, 504, 524):
        return UpstreamTimedOut(message)
    if 400 <= status < 500:
        return UpstreamRejected(message, type=kind, code=code, param=param)
    return UpstreamUnavailable(message, retry_after=_retry_after(headers))


def in_band_error(error: Any) -> UpstreamError:
    """An error inside a stream, or of an answer with status `failed`: only its code can say what it was."""
    said = _words(error)
    message = said["message"] or "The upstream failed to finish its answer"
    code, kind = said["code"], said["type"]
    if code in _LIMIT_CODES or kind in _LIMIT_CODES:
        return UpstreamRateLimited(message, type=kind, code=code)
    if code in _REJECTED_CODES or kind in _REJECTED_CODES or (code or "").endswith(("_image", "_image_url")):
        return UpstreamRejected(message, type=kind, code=code, param=said["param"])
    return UpstreamUnavailable(message, type=kind, code=code)


def render_error(error: GatewayError) -> dict[str, Any]:
    return {"error": error_object(error), "detail": error.detail}


def error_object(error: GatewayError) -> dict[str, Any]:
    return {"message": error.message, "type": error.type, "param": error.param, "code": error.code}


def _read_body(body: bytes) -> dict[str, str | None]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _words(None)  # an HTML page of some proxy: never passed on
    if not isinstance(document, dict):
        return _words(None)
    error = document.get("error")
    if isinstance(error, dict):
        return _words(error)
    # xAI: {code, error: text}; Mistral and FastAPI servers: {detail}; Cohere: {message}
    return _words({**document, "message": error or document.get("message") or document.get("detail")})


def _words(error: Any) -> dict[str, str | None]:
    source = error if isinstance(error, dict) else {"message": error}
    words = {key: source.get(key) for key in ("message", "type", "code", "param")}
    texts = {key: _as_text(value) for key, value in words.items()}
    return {**texts, "message": scrub(texts["message"]) if texts["message"] else None}


def _as_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return None
    return str(value) if isinstance(value, str | int) else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds. A date is not understood here: this half of the code has no clock."""
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / scale
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    return None
