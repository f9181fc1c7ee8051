"""Google's error shape, read and written. Bodies of 5xx are written by hand: none was recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wire.dialects.gemini import DIALECT
from wire.dialects.gemini.errors import scrub
from wire.errors import (
    BadRequest,
    GatewayError,
    LimitReached,
    NotReady,
    UpstreamCredentials,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimedOut,
    UpstreamUnavailable,
)

INFO = "type.googleapis.com/google.rpc.ErrorInfo"


def body(**error: Any) -> bytes:
    return json.dumps({"error": error}).encode()


@pytest.mark.parametrize(
    ("status", "raw", "kind", "rendered_status"),
    [
        (400, body(code=400, message="bad", status="INVALID_ARGUMENT"), UpstreamRejected, 400),
        (404, body(message="gone", status="NOT_FOUND"), UpstreamRejected, 404),
        (413, b"", UpstreamRejected, 413),
        (409, body(message="clash", status="ABORTED"), UpstreamRejected, 400),
        (401, body(message="no"), UpstreamCredentials, 502),
        (403, body(message="no", status="PERMISSION_DENIED"), UpstreamCredentials, 502),
        (400, body(message="x", details=[{"@type": INFO, "reason": "API_KEY_EXPIRED"}]), UpstreamCredentials, 502),
        (429, body(message="slow", status="RESOURCE_EXHAUSTED"), UpstreamRateLimited, 429),
        (500, body(message="oops", status="INTERNAL"), UpstreamUnavailable, 502),
        (503, b"<html>busy</html>", UpstreamUnavailable, 502),
        (504, body(message="late", status="DEADLINE_EXCEEDED"), UpstreamTimedOut, 504),
        (408, b"[]", UpstreamTimedOut, 504),
        (502, json.dumps([{"error": {"message": "in an array"}}]).encode(), UpstreamUnavailable, 502),
        (400, b'{"error": "just text"}', UpstreamRejected, 400),
        (400, b"\xff", UpstreamRejected, 400),
        (400, b'{"error": {"message": 3, "details": "odd", "status": 4}}', UpstreamRejected, 400),
    ],
)
def test_status_decides(status: int, raw: bytes, kind: type[UpstreamError], rendered_status: int) -> None:
    error = DIALECT.parse_error(status, {}, raw)
    assert type(error) is kind
    assert error.status == rendered_status
    assert error.message


def test_messages_are_kept_without_credentials() -> None:
    error = DIALECT.parse_error(400, {}, body(message="Invalid API-token AIzaSyA-1_b for projects/my-shop: key=abc"))
    assert error.message == "Invalid API-token *** for projects/***: ***"
    assert DIALECT.parse_error(400, {}, b'{"error": "just text"}').message == "just text"
    assert scrub("Bearer ya29.abc and sk-abcdefghi") == "*** and ***"
    assert scrub("for consumer 'project_number:123'") == "for consumer 'projects/***'"
    assert scrub("the value of projects and of a key is fine") == "the value of projects and of a key is fine"


@pytest.mark.parametrize(
    ("headers", "details", "seconds"),
    [
        ({"retry-after": "7"}, [], 7.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, [], None),
        ({"retry-after": "-1"}, [{"retryDelay": "2s"}], 2.0),
        ({}, [{"retryDelay": "34.4s"}], 34.4),
        ({}, [{"retryDelay": 3}, "odd"], None),
        ({}, [{"retryDelay": "soon"}], None),
    ],
)
def test_retry_after(headers: dict[str, str], details: list[Any], seconds: float | None) -> None:
    error = DIALECT.parse_error(429, headers, body(message="slow", details=details))
    assert error.retry_after == seconds


def test_errors_are_rendered_in_googles_shape() -> None:
    rendered = DIALECT.render_error(BadRequest("contents[0]: is odd", param="contents[0]"))
    assert rendered == {
        "error": {
            "code": 400,
            "message": "contents[0]: is odd",
            "status": "INVALID_ARGUMENT",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [{"field": "contents[0]", "description": "contents[0]: is odd"}],
                }
            ],
        }
    }
    limited = DIALECT.render_error(LimitReached("slow down", retry_after=1.5))["error"]
    assert limited["status"] == "RESOURCE_EXHAUSTED"
    assert limited["details"] == [
        {"@type": INFO, "reason": "RATE_LIMIT_EXCEEDED", "domain": "tollgate"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"},
    ]
    again = DIALECT.parse_error(429, {}, json.dumps({"error": limited}).encode())
    assert (again.retry_after, again.code) == (1.5, "RESOURCE_EXHAUSTED")


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (NotReady("starting"), "UNAVAILABLE"),
        (GatewayError("odd", status=418), "INVALID_ARGUMENT"),
        (GatewayError("odd", status=599), "INTERNAL"),
        (UpstreamTimedOut("late"), "DEADLINE_EXCEEDED"),
    ],
)
def test_status_words(error: GatewayError, word: str) -> None:
    assert DIALECT.render_error(error)["error"]["status"] == word
