"""What callers are told when the gateway cannot ask the others."""

from __future__ import annotations

from typing import Literal

import pytest

from gateway.admission.rules import MINUTE_MS, Reading, Slots, Verdict, Window
from gateway.calls.limit_answers import LimitAnswers, limit_headers
from gateway.calls.shares import Share
from gateway.observability.metrics import Metrics

SHARE = Share(Slots("key:k:calls", 1), "key", "k")


@pytest.mark.parametrize(
    ("setting", "status", "code"), [("refuse", 503, "redis_away"), ("local", 429, "budget_share_used")]
)
def test_with_redis_away(setting: Literal["local", "refuse"], status: int, code: str) -> None:
    error = LimitAnswers(Metrics(), setting).refusal([SHARE], Verdict("share", 0, 1000, (Reading(),)))
    assert (error.status, error.code, error.retry_after) == (status, code, 1)


def test_of_several_limits_the_tightest_is_told() -> None:
    def share(scope: Literal["key", "provider"], unit: Literal["requests", "input", "tokens"], capacity: int) -> Share:
        return Share(Window(f"{scope}:{unit}", capacity, MINUTE_MS, 1, unit), scope, "x")

    held = [
        (share("key", "requests", 10), Reading(left=9)),
        (share("provider", "requests", 500), Reading(left=3)),
        (share("key", "tokens", 1000), Reading(left=700)),
        (share("key", "input", 800), Reading(left=600)),
    ]
    found = {name.decode(): value.decode() for name, value in limit_headers(held)}
    assert (found["x-ratelimit-limit-requests"], found["x-ratelimit-remaining-requests"]) == ("500", "3")
    assert (found["x-ratelimit-limit-tokens"], found["x-ratelimit-remaining-tokens"]) == ("800", "600")
    assert found["x-ratelimit-reset-requests"] == "60s"
    assert (found["x-ratelimit-limit"], found["x-ratelimit-remaining"]) == ("500", "3")
