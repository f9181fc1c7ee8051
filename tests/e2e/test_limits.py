"""Limits over three gateways: what they share is counted once, and what is refused uses nothing up."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.deployment import until
from tests.e2e.fleet import CHAT, Fleet, answer, ask_at_once, chat, statuses, streamed
from tests.replay import Upstream


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, redis_server_url: str, module_postgres_url: str
) -> Iterator[tuple[Fleet, Upstream]]:
    folder = tmp_path_factory.mktemp("limits")
    with (
        Upstream() as upstream,
        Fleet(folder, upstream.url, database_url=module_postgres_url, redis_url=redis_server_url) as fleet,
    ):
        yield fleet, upstream


def test_a_hundred_requests_a_minute_are_a_hundred_over_three_gateways(place: tuple[Fleet, Upstream]) -> None:
    fleet, upstream = place
    upstream.forget()
    upstream.on(CHAT, answer(10, 1))
    key = fleet.new_key(limits={"requests_per_minute": 100})
    responses = ask_at_once(fleet, key, 240, chat("openai:gpt-4o-mini"))
    assert statuses(responses) == {200: 100, 429: 140}
    assert len(upstream.calls) == 100
    refused = next(each for each in responses if each.status_code == 429)
    assert refused.json()["detail"] == "Rate limit exceeded"
    assert 1 <= int(refused.headers["retry-after"]) <= 61
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    left = {int(each.headers["x-ratelimit-remaining-requests"]) for each in responses if each.status_code == 200}
    assert left == set(range(100))
    assert {each.headers["x-ratelimit-limit-requests"] for each in responses} == {"100"}


def test_tokens_a_minute_hold_under_fifty_streams(place: tuple[Fleet, Upstream]) -> None:
    """Each takes 20 of input and at most 30 of output; the estimate of the input is not below what is counted."""
    fleet, upstream = place
    upstream.forget()
    upstream.on(CHAT, streamed(20, 30, pause=0.1))
    key = fleet.new_key(limits={"tokens_per_minute": 1000})
    body = chat("openai:gpt-4o-mini", max_tokens=30, stream=True)
    responses = ask_at_once(fleet, key, 50, body)
    let_in = statuses(responses)[200]
    assert statuses(responses)[429] == 50 - let_in
    assert 10 <= let_in <= 20
    # What was reserved beyond the real use is free again: the limit can be used up, never exceeded.
    until(lambda: not fleet.held(), "no call is open")
    while (more := statuses(ask_at_once(fleet, key, 6, body))[200]) > 0:
        let_in += more
        until(lambda: not fleet.held(), "no call is open")
    assert let_in * 50 <= 1000
    assert let_in >= 17


def test_concurrent_calls(place: tuple[Fleet, Upstream]) -> None:
    fleet, upstream = place
    upstream.forget()
    upstream.on(CHAT, answer(10, 1, delay=1.5))
    key = fleet.new_key(limits={"concurrent_calls": 5})
    assert statuses(ask_at_once(fleet, key, 20, chat("openai:gpt-4o-mini"))) == {200: 5, 429: 15}
    until(lambda: not fleet.held(), "no call is open")
    assert statuses(ask_at_once(fleet, key, 5, chat("openai:gpt-4o-mini"))) == {200: 5}


def test_a_request_that_no_limit_ever_lets_through_is_told_so(place: tuple[Fleet, Upstream]) -> None:
    fleet, _ = place
    key = fleet.new_key(limits={"input_tokens_per_minute": 50})
    body = chat("openai:gpt-4o-mini")
    body["messages"][0]["content"] = "word " * 500
    response = fleet.post(CHAT, body, key=key)
    assert response.status_code == 429
    assert "retry-after" not in response.headers
    assert re.search(r"too large.*50 input tokens per minute", response.json()["error"]["message"])


def test_refusals_are_counted(place: tuple[Fleet, Upstream]) -> None:
    fleet, _ = place
    text = "".join(httpx.get(f"{gateway.url}/metrics").text for gateway in fleet.gateways)
    assert re.search(r'gateway_rate_limit_hits_total\{scope="key"\} [1-9]', text)


def test_without_limits_an_answer_says_nothing_of_them(place: tuple[Fleet, Upstream]) -> None:
    fleet, upstream = place
    upstream.forget()
    upstream.on(CHAT, answer(10, 1))
    response = fleet.post(CHAT, chat("openai:gpt-4o-mini"))
    assert response.status_code == 200
    assert not [name for name in response.headers if name.startswith("x-ratelimit")]
