"""The LLM Server API over three gateways on one Redis and one Postgres: dialogues go on, and jobs are made, at any."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from urllib.parse import quote

import httpx
import pytest

from tests.deployment import until
from tests.e2e.fleet import CHAT as UPSTREAM_CHAT
from tests.e2e.fleet import Fleet, answer
from tests.e2e.test_llm_server_jobs import CHAT, CONFIG, done, put_off
from tests.replay import Gate, Upstream, answer_of, written
from tests.services import RedisServer, ServiceUnavailable, running


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, module_postgres_url: str) -> Iterator[tuple[Fleet, Upstream]]:
    folder = tmp_path_factory.mktemp("fleet")
    with ExitStack() as stack:
        try:
            redis = stack.enter_context(running(RedisServer))
        except ServiceUnavailable as reason:
            pytest.skip(f"no Redis for tests: {reason}")
        upstream = stack.enter_context(Upstream())
        fleet = Fleet(folder, upstream.url, database_url=module_postgres_url, redis_url=redis.url, config=CONFIG)
        yield stack.enter_context(fleet), upstream


def test_a_dialogue_goes_on_at_any_gateway_at_once(place: tuple[Fleet, Upstream]) -> None:
    """A turn is kept before the last bytes of its answer go out."""
    fleet, upstream = place
    upstream.forget()
    upstream.on(UPSTREAM_CHAT, answer(3, 2))
    headers = {"authorization": f"Bearer {fleet.key}"}
    for number in range(12):
        url = fleet.gateways[number % 3].url
        body = {"user_prompt": f"turn {number}", "request_id": "moving", "model": "gpt-4o-mini"}
        told = httpx.post(url + CHAT, json=body, headers=headers, timeout=30).json()
        assert told["history"]["messages"] == 2 * number
    read = httpx.get(f"{fleet.gateways[2].url}/api/v1/conversations/moving", headers=headers, timeout=30).json()
    assert [each["content"] for each in read["messages"][::2]] == [f"turn {number}" for number in range(12)]
    # An id may hold whatever a person writes, a slash too.
    odd = "a/b?c=ü 가"
    body = {"user_prompt": "x", "request_id": odd, "model": "gpt-4o-mini"}
    assert httpx.post(fleet.url + CHAT, json=body, headers=headers, timeout=30).status_code == 200
    quoted = quote(odd, safe="")
    assert (
        httpx.get(f"{fleet.url}/api/v1/conversations/{quoted}", headers=headers, timeout=30).json()["request_id"] == odd
    )


def test_each_job_is_made_once_and_a_dead_gateway_s_is_taken_over(place: tuple[Fleet, Upstream]) -> None:
    fleet, upstream = place
    upstream.forget()
    upstream.on(UPSTREAM_CHAT, answer(3, 2, delay=0.05))
    jobs = []
    for number in range(24):
        if number % 6 == 0:
            user = f"user-{number}"
            key = fleet.new_key(user_id=user)
        url = fleet.gateways[number % 3].url
        jobs.append((put_off(fleet, key, url, request_id=f"s{number}"), key))
    assert [done(fleet, job, key)["status"] for job, key in jobs] == ["completed"] * 24
    assert len(upstream.calls) == 24
    rows = [row for number in (0, 6, 12, 18) for row in fleet.rows(6, user_id=f"user-{number}")]
    assert sorted(row["session_id"] for row in rows) == sorted(f"s{number}" for number in range(24))
    assert {row["kind"] for row in rows} == {"final"}
    # The one that works on it dies; one of the others makes the call again.
    upstream.forget()
    gate = Gate()
    held = answer_of(written("openai-chat"))
    upstream.on(UPSTREAM_CHAT, replace(held, gate=gate), held)
    job = put_off(fleet, key, request_id="taken-over")
    upstream.wait(calls=1)
    began = time.monotonic()
    fleet.gateways[0].kill()  # the job was put off there, so it began there
    gate.open()
    deployment_url = fleet.gateways[1].url
    headers = {"authorization": f"Bearer {key}"}
    until(
        lambda: (
            httpx.get(deployment_url + job["status_url"], headers=headers, timeout=30).json()["status"] == "completed"
        ),
        "another gateway has done it",
        30,
    )
    assert time.monotonic() - began < 20
