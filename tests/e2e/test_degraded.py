"""With Redis or the database away, serving goes on and readiness says what is wrong; rows arrive when it is back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.deployment import MASTER_KEY, Deployment, until
from tests.replay import Upstream
from tests.replay.answers import FIXTURES
from tests.services import Server

ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
CHAT = "/v1/chat/completions"


def _upstream_answers(upstream: Upstream) -> None:
    upstream.add(json.loads((FIXTURES / "openai-chat.json").read_text(encoding="utf-8")))


def _degraded(deployment: Deployment, word: str) -> bool:
    answer = deployment.get("/health/readiness")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return body["status"] == "degraded" and any(word in reason for reason in body["reasons"])


def test_redis_away_from_the_start_and_back(tmp_path: Path, redis_server: Server, postgres_url: str) -> None:
    redis_server.stop()
    config = {"admission": {"on_redis_away": "refuse"}}
    with (
        Upstream() as upstream,
        Deployment(
            tmp_path, upstream.url, redis_url=redis_server.url, database_url=postgres_url, config=config
        ) as deployment,
    ):
        _upstream_answers(upstream)
        limits = {"limits": {"requests_per_minute": 100}}
        limited = deployment.post("/v1/keys", limits, key=MASTER_KEY).json()["key"]
        refused = deployment.post(CHAT, ASK, key=limited)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "redis_away")
        assert refused.headers["retry-after"] == "1"
        assert deployment.post(CHAT, ASK).status_code == 200
        until(lambda: _degraded(deployment, "edis"), "readiness names Redis")
        redis_server.start()
        if not deployment.worker.running:  # a worker without Redis may end: whoever runs it starts it again
            deployment.worker.start()
        deployment.rows(1)
        until(lambda: deployment.get("/health/readiness").json()["status"] == "healthy", "all is well again")
        assert deployment.post(CHAT, ASK, key=limited).status_code == 200


def test_the_database_away_while_serving(tmp_path: Path, redis_url: str, postgres_server: Server) -> None:
    with (
        Upstream() as upstream,
        Deployment(tmp_path, upstream.url, redis_url=redis_url, database_url=postgres_server.url) as deployment,
    ):
        _upstream_answers(upstream)
        assert deployment.post(CHAT, ASK).status_code == 200
        deployment.rows(1)
        postgres_server.stop()
        until(lambda: _degraded(deployment, "database"), "readiness names the database")
        assert deployment.get("/health").json()["database"] == "unavailable"
        assert deployment.post(CHAT, ASK).status_code == 200
        unknown = deployment.post(CHAT, ASK, key="gw-" + "x" * 64)
        assert unknown.status_code == 503
        assert deployment.get("/v1/usage").status_code == 503
        status = deployment.get("/status").json()
        assert (status["status"], status["models"]) == ("up", None)
        assert any("database" in reason for reason in status["reasons"])
        for path in ("/traces", "/api/usage/summary", "/api/usage/session/s"):
            told = deployment.get(path)
            assert (told.status_code, set(told.json()["error"])) == (503, {"code", "message"})
        postgres_server.start()
        deployment.rows(2)
