"""Errors of the Messages API. https://platform.claude.com/docs/en/api/errors

{"type": "error", "error": {"type", "message"}, "request_id"}: a body of its own, or the data of an `error` event after
a 200.
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

_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# An error inside a stream comes after a 200: its type is all there is to classify it by.
_STATUSES: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_KEPT = frozenset({400, 404, 413, 422})
_TIMEOUTS = frozenset({408, 504, 524})
_SECRET = re.compile(
    r"\b(?:sk|pk|rk|gw|gsk|xai|pplx|up)[-_][A-Za-z0-9_*.\-]{6,}|\bAIza[A-Za-z0-9_*\-]{10,}|(?<=Bearer )[^\s\"',;]+"
)
_LONGEST_MESSAGE = 4_000
# Anthropic answers an empty account with a 400; it is the operator's to mend, not the caller's.
_OPERATOR_BILLING = "credit balance is too low"


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """By status first; the body gives the message and the upstream's word. Header names are lower case."""
    error = _error_object(body)
    return _classify(status, error, _retry_after(headers))


def error_of_event(event: Mapping[str, Any]) -> UpstreamError:
    """Of an `error` event: by its type, an unknown one is the upstream's failure."""
    error = event.get("error")
    error = error if isinstance(error, dict) else {}
    return _classify(_STATUSES.get(str(error.get("type")), 500), error, None)


def failed_event(event: Mapping[str, Any]) -> Failed:
    return Failed.of(error_of_event(event))


def render_error(error: GatewayError) -> dict[str, Any]:
    """The body for `error.status`."""
    return _body(error.status, error.message, error.param, error.headers.get("x-request-id"))


def render_failed(failed: Failed) -> dict[str, Any]:
    """The data of an `error` event."""
    return _body(failed.status, failed.message, None, None)


def _body(status: int, message: str, param: str | None, request_id: str | None) -> dict[str, Any]:
    word = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    if param and param not in message:
        message = f"{param}: {message}"
    body: dict[str, Any] = {"type": "error", "error": {"type": word, "message": message}}
    if request_id is not None:
        body["request_id"] = request_id
    return body


def _classify(status: int, error: Mapping[str, Any], retry_after: float | None) -> UpstreamError:
    message = _message(error, status)
    word = error.get("type")
    word = word if isinstance(word, str) else None
    if status in (401, 402, 403) or (status == 400 and _OPERATOR_BILLING in message):
        return UpstreamCredentials(message)
    if status == 429:
        return UpstreamRateLimited(message, retry_after=retry_after)
    if status in _TIMEOUTS:
        return UpstreamTimedOut(message, retry_after=retry_after)
    if 400 <= status < 500:
        return UpstreamRejected(message, status=status if status in _KEPT else 400, type=word, code=word)
    if status >= 500:
        return UpstreamUnavailable(message, retry_after=retry_after)
    return UpstreamMalformed(f"The upstream answered with the unexpected status {status}")


def _error_object(body: bytes) -> Mapping[str, Any]:
    """The `error` member; {} where the body is something else (a proxy's page)."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


def _message(error: Mapping[str, Any], status: int) -> str:
    text = error.get("message")
    if not isinstance(text, str) or not text:
        return f"The upstream failed with status {status}"
    return _SECRET.sub("[redacted]", text[:_LONGEST_MESSAGE])


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """In seconds. A date is not read: nothing here knows the time."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e9 else None
