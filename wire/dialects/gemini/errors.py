"""Errors in Google's shape: {"error": {"code": <HTTP status>, "message", "status": <word>, "details": [...]}}.

https://cloud.google.com/apis/design/errors. A stream without `alt=sse` holds the same object in an array.
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
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimedOut,
    UpstreamUnavailable,
)

_WORDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_STATUSES = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "DEADLINE_EXCEEDED": 504,
}
_KEPT_STATUSES = frozenset({400, 404, 413, 422})
_TYPE = "type.googleapis.com/google.rpc."

# Keys, tokens and project names that Google's messages repeat.
_CREDENTIALS = re.compile(
    r"AIza[\w-]+|ya29\.[\w.-]+|\b(?:sk|gw|pk)-[\w-]{8,}|(?i:\bbearer\s+\S+)"
    r"|(?i:\b(?:api[_ ]?)?key\s*[=:]\s*)[^\s,;\"']+"
)
_PROJECTS = re.compile(r"\b(projects?[/ :_](?:number:)?)[\w-]*\d[\w-]*|\bprojects/[\w-]+")


def scrub(message: str) -> str:
    """The message without credentials and project names."""
    return _PROJECTS.sub("projects/***", _CREDENTIALS.sub("***", message))


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """By status first. A refused key is a 400 at Google, told apart by its reason."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    return classify(status, document, retry_after=_seconds(headers.get("retry-after")))


def classify(status: int | None, document: Any, *, retry_after: float | None = None) -> UpstreamError:
    """The error of a parsed body. `status` None (an error after the 200): the body's own code, else its word."""
    error = _error_object(document)
    word = error.get("status") if isinstance(error.get("status"), str) else None
    code = error.get("code")
    if status is None:
        status = code if isinstance(code, int) and 400 <= code < 600 else _STATUSES.get(word or "", 502)
    message = error.get("message")
    message = scrub(message) if isinstance(message, str) and message else f"The upstream answered with status {status}"
    if status in (401, 403) or (status == 400 and _is_bad_key(error)):
        return UpstreamCredentials("The provider refused the credentials")
    if status == 429:
        delay = retry_after if retry_after is not None else _retry_delay(error)
        return UpstreamRateLimited(message, code=word, retry_after=delay)
    if status in (408, 504):
        return UpstreamTimedOut(message)
    if 400 <= status < 500:
        return UpstreamRejected(message, status=status if status in _KEPT_STATUSES else 400, code=word)
    return UpstreamUnavailable(message, retry_after=retry_after)


def _error_object(document: Any) -> dict[str, Any]:
    if isinstance(document, list) and document:
        document = document[0]
    error = document.get("error") if isinstance(document, dict) else None
    return error if isinstance(error, dict) else {"message": error}


def _details(error: dict[str, Any]) -> list[dict[str, Any]]:
    details = error.get("details")
    return [item for item in details if isinstance(item, dict)] if isinstance(details, list) else []


def _is_bad_key(error: dict[str, Any]) -> bool:
    reasons = {item.get("reason") for item in _details(error) if isinstance(item.get("reason"), str)}
    return not reasons.isdisjoint({"API_KEY_INVALID", "API_KEY_EXPIRED"}) or "API key" in str(error.get("message"))


def _retry_delay(error: dict[str, Any]) -> float | None:
    """RetryInfo's protobuf duration: "34.4s"."""
    for item in _details(error):
        delay = item.get("retryDelay")
        if isinstance(delay, str):
            return _seconds(delay.removesuffix("s"))
    return None


def _seconds(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else -1.0
    except ValueError:  # a date: no clock here
        return None
    return value if 0 <= value < float("inf") else None


def render_error(error: GatewayError) -> dict[str, Any]:
    """The body for `error.status`. Code, field and delay stand in details, where Google's own clients look."""
    details: list[dict[str, Any]] = []
    if error.code is not None:
        details.append({"@type": f"{_TYPE}ErrorInfo", "reason": error.code.upper(), "domain": "tollgate"})
    if error.param is not None:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
    if error.retry_after is not None:
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{error.retry_after:g}s"})
    rendered: dict[str, Any] = {"code": error.status, "message": error.message, "status": _word(error.status)}
    if details:
        rendered["details"] = details
    return {"error": rendered}


def _word(status: int) -> str:
    return _WORDS.get(status) or ("INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
