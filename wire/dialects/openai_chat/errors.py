"""Errors of OpenAI's shape and of its many dialects among compatible servers.

OpenAI: {"error": {"message", "type", "param", "code"}}. Recorded beside it: `error` as a string (Ollama, Venice, xAI
with `code` next to it), everything at top level (Mistral, Cohere), `detail` as a string or a list (Mistral, FastAPI
servers), an integer `code` (llama.cpp, OpenRouter), a list around the object (Gemini).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from wire.errors import (
    GatewayError,
    UpstreamCredentials,
    UpstreamError,
    UpstreamMalformed,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimedOut,
    UpstreamUnavailable,
)
from wire.neutral import Failed

_KEPT = frozenset({400, 404, 413, 422})
_CREDENTIALS = frozenset({401, 402, 403})
_TIMEOUTS = frozenset({408, 504, 524})
# An error inside a 200 may say nothing but a word of these.
_STATUS_BY_WORD = {
    "invalid_request_error": 400,
    "bad_request": 400,
    "context_length_exceeded": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "timeout": 504,
}
_SECRETS = re.compile(
    r"\b(?:sk|pk|rk|gw|gsk|xai|pplx|nvapi)[-_][A-Za-z0-9_*.\-]{6,}"
    r"|\b(?:up|hf|fw)_[A-Za-z0-9*]{16,}"
    r"|\bAIza[A-Za-z0-9_*\-]{10,}"
    r"|(?<=Bearer )[^\s\"',;]+"
    r"|(?i:(?<=api key: )|(?<=api key provided: )|(?<=api_key=))[^\s\"',;]+"
    r"|\b(?:org-|proj_|user-)[A-Za-z0-9]{16,}"
)
_LONGEST_MESSAGE = 4_000


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """By status first; the body gives the message and the upstream's words. Header names are lower case."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    return _classify(status, _error_object(parsed), _retry_after(headers))


def in_band_error(answer: Mapping[str, Any]) -> UpstreamError:
    """Of an answer or chunk with an `error` member after a 200: its own status, else its words, say what it is."""
    error = _error_object(answer)
    for key in ("status_code", "status", "code"):
        status = error.get(key)
        if isinstance(status, str) and status.isascii() and status.isdigit():
            status = int(status)
        if isinstance(status, int) and 400 <= status < 600:
            return _classify(status, error, None)
    words = (error.get("code"), error.get("type"))
    status = next((_STATUS_BY_WORD[word] for word in words if isinstance(word, str) and word in _STATUS_BY_WORD), 500)
    return _classify(status, error, None)


def failed_event(answer: Mapping[str, Any]) -> Failed:
    return Failed.of(in_band_error(answer))


def render_error(error: GatewayError) -> dict[str, Any]:
    """The body for `error.status`: OpenAI's shape, and the any-llm gateway's `detail` beside it."""
    return {
        "error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code},
        "detail": error.detail,
    }


def render_failed(failed: Failed) -> dict[str, Any]:
    """The data of an in-band error event."""
    return render_error(
        UpstreamError(failed.message, status=failed.status, code=failed.code, type=failed.type or "upstream_error")
    )


def _error_object(parsed: Any) -> dict[str, Any]:
    """The members that describe the error, wherever they stand; `message` is text where there is any."""
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    if not isinstance(parsed, dict):
        return {}
    inner = parsed.get("error")
    if isinstance(inner, dict):
        return inner | {"message": _with_raw(inner)}
    if isinstance(inner, str):
        return {**parsed, "message": parsed.get("message") or inner}
    return {**parsed, "message": parsed.get("message") or _detail(parsed.get("detail"))}


def _with_raw(error: dict[str, Any]) -> Any:
    """OpenRouter says "Provider returned error" and keeps what the provider said in `metadata.raw`."""
    message = error.get("message")
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    return f"{message}: {raw}" if isinstance(message, str) and isinstance(raw, str) else message


def _detail(detail: Any) -> Any:
    """FastAPI's validation list: where and what, of its first entries."""
    if not isinstance(detail, list):
        return detail
    entries = [entry for entry in detail[:5] if isinstance(entry, dict)]
    return "; ".join(f"{_location(entry.get('loc'))}{entry.get('msg')}" for entry in entries)


def _location(location: Any) -> str:
    return ".".join(str(step) for step in location if step != "body") + ": " if isinstance(location, list) else ""


def _classify(status: int, error: Mapping[str, Any], retry_after: float | None) -> UpstreamError:
    message = _message(error.get("message"), status)
    kind, code, param = _word(error.get("type")), _word(error.get("code")), _word(error.get("param"))
    # xAI says it with a 400.
    if status in _CREDENTIALS or (status == 400 and message.startswith("Incorrect API key")):
        return UpstreamCredentials(message)
    if status == 429:
        return UpstreamRateLimited(message, code=code if code != "429" else None, retry_after=retry_after)
    if status in _TIMEOUTS:
        return UpstreamTimedOut(message, retry_after=retry_after)
    if 400 <= status < 500:
        return UpstreamRejected(message, status=status if status in _KEPT else 400, type=kind, code=code, param=param)
    if status >= 500:
        return UpstreamUnavailable(message, retry_after=retry_after)
    return UpstreamMalformed(f"The upstream answered with the unexpected status {status}")


def _word(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return scrub(value)[:200] if isinstance(value, str) and value else None


def _message(text: Any, status: int) -> str:
    if isinstance(text, list | dict):
        text = orjson.dumps(text, default=str).decode() if _shallow(text) else None
    if not isinstance(text, str) or not text:
        return f"The upstream failed with status {status}"
    return scrub(text[:_LONGEST_MESSAGE])


def _shallow(value: Any, depth: int = 8) -> bool:
    if depth == 0:
        return False
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(_shallow(item, depth - 1) for item in inner)


def scrub(text: str) -> str:
    """Without anything that looks like a credential or an account's id."""
    return _SECRETS.sub("[redacted]", text)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """In seconds; OpenAI gives milliseconds beside it. A date is not read: nothing here knows the time."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if 0 <= seconds < 1e9:
            return seconds
    return None
