"""Background jobs of the LLM Server API: they outlive their request and their gateway, one gateway makes each, and
every attempt is a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deployment import MASTER_KEY, Deployment, until
from tests.e2e.fleet import CHAT as UPSTREAM_CHAT
from tests.e2e.fleet import answer
from tests.replay import Gate, Upstream, answer_of, error, written

CHAT = "/api/v1/chat"
JOBS = {"lease_seconds": 2, "at_once": 2, "max_open": 6, "max_bytes": 4000}
CONFIG: dict[str, Any] = {
    "llm_server": {"default_model": "openai:gpt-4o-mini", "jobs": JOBS},
    "auth": {"anonymous": {"user": "guest", "surfaces": ["llm_server"]}},
    "byok": {"providers": ["openai"]},
}


@pytest.fixture(scope="module", params=["embedded", "stack"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Deployment, Upstream]]:
    stack = request.param == "stack"
    redis_url = request.getfixturevalue("redis_server_url") if stack else None
    database_url = request.getfixturevalue("module_postgres_url") if stack else None
    folder: Path = tmp_path_factory.mktemp(request.param)
    with (
        Upstream() as upstream,
        Deployment(folder, upstream.url, redis_url=redis_url, database_url=database_url, config=CONFIG) as deployment,
    ):
        yield deployment, upstream


def put_off(deployment: Deployment, key: str | None = None, url: str | None = None, **body: Any) -> dict[str, Any]:
    """A job, as it was taken; without a key as the guest's."""
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    asked = {"user_prompt": "later, please", "background": True, **body}
    response = httpx.post((url or deployment.url) + CHAT, json=asked, headers=headers, timeout=30)
    assert response.status_code == 202, response.text
    taken: dict[str, Any] = response.json()
    assert (taken["status"], taken["result"], taken["error"]) == ("queued", None, None)
    return taken


def look(deployment: Deployment, job: dict[str, Any], key: str | None = None, **params: str) -> httpx.Response:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return httpx.get(deployment.url + job["status_url"], params=params, headers=headers, timeout=30)


def done(deployment: Deployment, job: dict[str, Any], key: str | None = None, seconds: float = 30) -> dict[str, Any]:
    """The job, once it has ended."""

    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = look(deployment, job, key).json()
        return None if found["status"] in ("queued", "running") else found

    found: dict[str, Any] = until(ended, "the job has ended", seconds)
    return found


@pytest.mark.parametrize("keyed", [False, True])
def test_a_job_gives_the_answer_that_the_call_would_have_given(place: tuple[Deployment, Upstream], keyed: bool) -> None:
    deployment, upstream = place
    upstream.forget()
    upstream.add(written("openai-chat"))
    key = deployment.key if keyed else None
    session = f"job-{keyed}"
    direct = httpx.post(
        deployment.url + CHAT,
        json={"user_prompt": "now", "request_id": session},
        headers={"authorization": f"Bearer {key}"} if key else {},
        timeout=30,
    ).json()
    job = put_off(deployment, key, request_id=session, temperature=0.5, max_tokens=20)
    found = done(deployment, job, key)
    assert found["status"] == "completed"
    result = found["result"]
    assert set(result) == set(direct)
    same = ("output_text", "request_id", "model", "provider", "usage", "cost", "finish_reason")
    assert {name: result[name] for name in same} == {name: direct[name] for name in same}
    assert result["history"]["messages"] == 2
    assert upstream.calls[-1].json["max_completion_tokens"] == 20
    rows = deployment.rows(2, session_id=session)
    assert [(row["kind"], row["status"], row["endpoint"]) for row in rows] == [("final", "success", CHAT)] * 2
    kept = httpx.get(
        deployment.url + f"/api/v1/conversations/{session}",
        headers={"authorization": f"Bearer {key}"} if key else {},
        timeout=30,
    ).json()
    assert [each["content"] for each in kept["messages"][::2]] == ["now", "later, please"]


def test_a_job_is_its_user_s_alone(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.forget()
    upstream.on(UPSTREAM_CHAT, answer(1, 1))
    job = put_off(deployment, deployment.key)
    assert done(deployment, job, deployment.key)["status"] == "completed"
    assert look(deployment, job).status_code == 404
    headers = {"authorization": f"Bearer {MASTER_KEY}"}
    assert look(deployment, job, MASTER_KEY).status_code == 400
    (row,) = deployment.rows(1, session_id=job["request_id"])
    assert look(deployment, job, MASTER_KEY, user=row["user_id"]).status_code == 200
    assert httpx.delete(deployment.url + job["status_url"], headers=headers, timeout=30).status_code == 400
    unknown = httpx.get(deployment.url + CHAT + "/no-such-job", timeout=30)
    assert unknown.status_code == 404
    assert unknown.json()["error"]["code"] == "job_not_found"


def test_a_failed_call_is_a_failed_job(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.forget()
    upstream.on(UPSTREAM_CHAT, error(400, {"error": {"message": "no such thing"}}))
    found = done(deployment, put_off(deployment))
    assert (found["status"], found["result"]) == ("failed", None)
    assert found["error"]["message"] == "no such thing"


def test_what_is_wrong_with_the_request_is_said_at_once(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.forget()
    for body in ({"user_prompt": ""}, {"user_prompt": "x", "model": "none"}, {"user_prompt": "x", "stream": True}):
        response = httpx.post(deployment.url + CHAT, json={"background": True, **body}, timeout=30)
        assert response.status_code in (400, 404)
    own = {"x-tollgate-provider-key": "own-key-of-the-caller"}
    response = httpx.post(deployment.url + CHAT, json={"user_prompt": "x", "background": True}, headers=own, timeout=30)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "own_key_in_background")
    assert not upstream.calls


def test_a_cancelled_job_has_no_answer_and_still_its_row(place: tuple[Deployment, Upstream]) -> None:
    """One that runs, and those that wait behind; a user has so many open at most."""
    deployment, upstream = place
    upstream.forget()
    gate = Gate()
    held = answer_of(written("openai-chat"))
    upstream.on(UPSTREAM_CHAT, replace(held, gate=gate))
    jobs = [put_off(deployment) for _ in range(6)]
    full = httpx.post(deployment.url + CHAT, json={"user_prompt": "x", "background": True}, timeout=30)
    assert (full.status_code, full.json()["error"]["code"]) == (429, "too_many_jobs")
    upstream.wait(calls=2)
    until(lambda: look(deployment, jobs[0]).json()["status"] == "running", "the first job runs")
    for job in jobs[:4]:
        url = deployment.url + job["status_url"]
        cancelled = httpx.delete(url, timeout=30) if job is jobs[0] else httpx.post(f"{url}/cancel", timeout=30)
        assert cancelled.json()["status"] == "cancelled"
    gate.open()
    for job in jobs[4:]:
        assert done(deployment, job)["status"] == "completed"
    assert [look(deployment, job).json()["status"] for job in jobs[:4]] == ["cancelled"] * 4
    # The two that ran were answered upstream, and are billed as what they were.
    for job in jobs[:2]:
        (row,) = deployment.rows(1, session_id=job["request_id"])
        assert row["completion_tokens"] > 0
        missing = httpx.get(deployment.url + f"/api/v1/conversations/{job['request_id']}", timeout=30)
        assert missing.status_code == 404
    assert len(upstream.calls) == 4


def test_a_job_s_key_must_still_be_good(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.forget()
    gate = Gate()
    held = answer_of(written("openai-chat"))
    upstream.on(UPSTREAM_CHAT, replace(held, gate=gate))
    blocking = [put_off(deployment) for _ in range(2)]
    upstream.wait(calls=2)
    made = deployment.post("/v1/keys", {"key_name": "short", "user_id": "short"}, key=MASTER_KEY).json()
    job = put_off(deployment, made["key"])
    master = {"authorization": f"Bearer {MASTER_KEY}"}
    assert httpx.delete(f"{deployment.url}/v1/keys/{made['id']}", headers=master, timeout=30).status_code < 300
    gate.open()
    assert [done(deployment, each)["status"] for each in blocking] == ["completed"] * 2

    def failed() -> dict[str, Any] | None:
        found: dict[str, Any] = look(deployment, job, MASTER_KEY, user="short").json()
        return found if found["status"] == "failed" else None

    assert until(failed, "the job has failed")["error"]["code"] == "invalid_api_key"
    assert len(upstream.calls) == 2


@pytest.mark.parametrize("ending", ["kill", "stop"])
def test_a_job_finishes_across_a_gateway_s_restart(place: tuple[Deployment, Upstream], ending: str) -> None:
    """What was in flight is made again; the attempt that died is a row of its own."""
    deployment, upstream = place
    upstream.forget()
    gate = Gate()
    held = answer_of(written("openai-chat"))
    upstream.on(UPSTREAM_CHAT, replace(held, gate=gate), held)
    job = put_off(deployment, deployment.key, request_id=f"restart-{ending}")
    waiting = put_off(deployment, request_id=f"waiting-{ending}")
    upstream.wait(calls=1)
    getattr(deployment.gateway, ending)()
    gate.open()
    deployment.start_gateway()
    found = done(deployment, job, deployment.key)
    assert found["status"] == "completed"
    assert found["result"]["output_text"] == "A tollgate counts every passing, once."
    assert done(deployment, waiting)["status"] == "completed"
    rows = deployment.rows(2, session_id=f"restart-{ending}")
    kinds = sorted((row["kind"], row["status"]) for row in rows)
    assert kinds == [("final", "success"), ("lost", "lost")] if ending == "kill" else [kinds[0], ("final", "success")]
    assert len({row["request_id"] for row in rows}) == 2
    assert sum(row["status"] == "success" for row in rows) == 1


def test_a_request_for_the_background_is_bounded(place: tuple[Deployment, Upstream]) -> None:
    body = {"user_prompt": "x" * 4000, "background": True}
    assert httpx.post(place[0].url + CHAT, json=body, timeout=30).status_code == 413
