"""What a call is taken to generate when it sets no limit."""

from __future__ import annotations

from gateway.admission.output_sizes import FLOOR, OutputSizes


def test_who_is_not_known_gets_the_floor() -> None:
    assert OutputSizes().p95("key", "model") == FLOOR


def test_the_95th_percentile_of_the_last_hundred() -> None:
    sizes = OutputSizes()
    for tokens in range(1, 1001):
        sizes.note("key", "model", tokens)
    assert sizes.p95("key", "model") == 995
    assert sizes.p95("key", "other") == FLOOR


def test_small_answers_do_not_lower_the_floor() -> None:
    sizes = OutputSizes()
    sizes.note("key", "model", 3)
    assert sizes.p95("key", "model") == FLOOR
