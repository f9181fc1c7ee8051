from __future__ import annotations

import pytest

from wire.errors import (
    BadRequest,
    CallerError,
    GatewayError,
    LimitReached,
    NotFound,
    NotReady,
    Unauthenticated,
    UpstreamCredentials,
    UpstreamRejected,
    UpstreamTimedOut,
    UpstreamUnavailable,
)
from wire.languages import in_language, preferred


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, None),
        ("", None),
        ("fr", None),
        ("ko", "ko"),
        ("KO-kr", "ko"),
        ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "ko"),
        ("en-US,en;q=0.9,ko;q=0.8", "en"),
        ("ko;q=0.5,en;q=0.6", "en"),
        ("fr,ko;q=0.1", "ko"),
        ("ko;q=0", None),
        ("ko;q=nonsense", None),
        ("korean", None),
        ("*", None),
        (",,;;q=1,ko", "ko"),
        ("ko;q=0.5;x=y", None),
    ],
)
def test_the_header_is_read_by_its_weights(header: str | None, language: str | None) -> None:
    assert preferred(header) == language


ERRORS: list[GatewayError] = [
    BadRequest("wrong", param="field"),
    BadRequest("wrong"),
    Unauthenticated("no"),
    Unauthenticated("no", code="expired_key"),
    NotFound("gone", code="job_not_found"),
    NotFound("gone"),
    LimitReached("slow down", retry_after=3),
    CallerError("conflict", status=409, code="conflict"),
    NotReady("wait"),
    UpstreamTimedOut("late"),
    UpstreamUnavailable("away"),
    UpstreamCredentials("refused"),
    UpstreamRejected("the provider's own words", status=422, param="x"),
    GatewayError("inside", code="internal_error"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{type(error).__name__}-{error.code}")
def test_only_the_words_change(error: GatewayError) -> None:
    told = in_language(error, "ko")
    assert any("가" <= char <= "힣" for char in told.message)
    assert told.detail == told.message
    same = ("status", "type", "code", "param", "retry_after", "headers")
    assert [getattr(told, name) for name in same] == [getattr(error, name) for name in same]
    assert in_language(told, "ko").message == told.message
    assert in_language(error, "en") is error
    assert in_language(error, None) is error


def test_what_the_caller_must_mend_is_named() -> None:
    told = in_language(BadRequest("'max_tokens' must be at least 1", param="max_tokens"), "ko")
    assert told.message == "'max_tokens' 값이 올바르지 않습니다: 'max_tokens' must be at least 1"
    assert "the provider's own words" in in_language(UpstreamRejected("the provider's own words"), "ko").message
    assert in_language(BadRequest("x", detail=[1]), "ko").detail == [1]
