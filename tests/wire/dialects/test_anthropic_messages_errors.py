"""Errors of the upstream by status first, and ours in Anthropic's words."""

from __future__ import annotations

import orjson
import pytest

from wire.dialects.anthropic_messages import DIALECT
from wire.errors import (
    BadRequest,
    GatewayError,
    LimitReached,
    NotAllowed,
    NotFound,
    NotReady,
    PriceUnknown,
    TooLarge,
    Unauthenticated,
    UpstreamCredentials,
    UpstreamError,
    UpstreamMalformed,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimedOut,
    UpstreamUnavailable,
)


def body(kind: str, message: str = "said") -> bytes:
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})


@pytest.mark.parametrize(
    ("status", "kind", "expected", "status_for_caller"),
    [
        (400, "invalid_request_error", UpstreamRejected, 400),
        (404, "not_found_error", UpstreamRejected, 404),
        (413, "request_too_large", UpstreamRejected, 413),
        (422, "invalid_request_error", UpstreamRejected, 422),
        (409, "conflict_error", UpstreamRejected, 400),
        (401, "authentication_error", UpstreamCredentials, 502),
        (402, "billing_error", UpstreamCredentials, 502),
        (403, "permission_error", UpstreamCredentials, 502),
        (429, "rate_limit_error", UpstreamRateLimited, 429),
        (408, "timeout_error", UpstreamTimedOut, 504),
        (504, "timeout_error", UpstreamTimedOut, 504),
        (500, "api_error", UpstreamUnavailable, 502),
        (529, "overloaded_error", UpstreamUnavailable, 502),
        (302, "moved", UpstreamMalformed, 502),
    ],
)
def test_the_status_decides(status: int, kind: str, expected: type[UpstreamError], status_for_caller: int) -> None:
    error = DIALECT.parse_error(status, {}, body(kind))
    assert type(error) is expected
    assert error.status == status_for_caller
    if expected is UpstreamRejected:
        assert (error.message, error.type, error.code) == ("said", kind, kind)


def test_an_empty_account_is_the_operators_to_mend() -> None:
    text = "Your credit balance is too low to access the Anthropic API."
    assert isinstance(DIALECT.parse_error(400, {}, body("invalid_request_error", text)), UpstreamCredentials)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("17", 17.0), ("0.5", 0.5), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None), ("nan", None)],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    error = DIALECT.parse_error(429, {"retry-after": header}, body("rate_limit_error"))
    assert error.retry_after == seconds
    assert DIALECT.parse_error(529, {"retry-after": "3"}, b"").retry_after == 3


@pytest.mark.parametrize(
    "answer", [b"<html>busy</html>", b"[]", b"\xff", b'{"error": {"message": 3}}', b'{"error": 1}']
)
def test_a_body_of_another_shape(answer: bytes) -> None:
    error = DIALECT.parse_error(503, {}, answer)
    assert isinstance(error, UpstreamUnavailable)
    assert error.message == "The upstream failed with status 503"


def test_an_error_that_is_only_text() -> None:
    assert DIALECT.parse_error(400, {}, b'{"error": "no such thing"}').message == "no such thing"


@pytest.mark.parametrize(
    "secret",
    ["sk-ant-api03-abcdefgh", "AIzaSyA1234567890abcdef", "gw-" + "x" * 64, "Bearer abc.def"],
)
def test_credentials_never_pass(secret: str) -> None:
    error = DIALECT.parse_error(400, {}, body("invalid_request_error", f"bad key {secret}, sorry"))
    assert secret.removeprefix("Bearer ") not in error.message
    assert error.message.startswith("bad key ")
    assert error.message.endswith("sorry")


def test_a_message_has_an_end() -> None:
    assert len(DIALECT.parse_error(400, {}, body("invalid_request_error", "x" * 100_000)).message) < 5_000


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (BadRequest("m"), "invalid_request_error"),
        (Unauthenticated("m"), "authentication_error"),
        (PriceUnknown("m"), "billing_error"),
        (NotAllowed("m"), "permission_error"),
        (NotFound("m"), "not_found_error"),
        (TooLarge("m"), "request_too_large"),
        (LimitReached("m"), "rate_limit_error"),
        (UpstreamUnavailable("m"), "api_error"),
        (UpstreamTimedOut("m"), "timeout_error"),
        (NotReady("m"), "overloaded_error"),
        (GatewayError("m"), "api_error"),
        (GatewayError("m", status=418), "invalid_request_error"),
    ],
)
def test_ours_in_anthropics_words(error: GatewayError, word: str) -> None:
    assert DIALECT.render_error(error) == {"type": "error", "error": {"type": word, "message": "m"}}


def test_the_field_and_the_request_are_named() -> None:
    error = BadRequest("must be a string", param="messages[0].role", headers={"x-request-id": "r1"})
    assert DIALECT.render_error(error) == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "messages[0].role: must be a string"},
        "request_id": "r1",
    }
    named = BadRequest("messages[0].role: must be a string", param="messages[0].role")
    assert DIALECT.render_error(named)["error"]["message"] == "messages[0].role: must be a string"
