"""Limits and budgets of a gateway by itself: no Redis, SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.deployment import MASTER_KEY, Deployment, until
from tests.e2e.fleet import CHAT, answer, chat
from tests.replay import Upstream

FLAT = {"input_price_per_million": 0, "output_price_per_million": 0, "price_per_request": 0.01}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Upstream]]:
    config = {"rate_limit_rpm": 30, "pricing": {"openai:flat": FLAT, "openai:ours": FLAT}}
    with (
        Upstream() as upstream,
        Deployment(tmp_path_factory.mktemp("embedded"), upstream.url, config=config) as deployment,
    ):
        upstream.on(CHAT, answer(10, 1))
        yield deployment, upstream


def _made(deployment: Deployment, path: str, body: dict[str, Any]) -> dict[str, Any]:
    response = deployment.post(path, body, key=MASTER_KEY)
    assert response.status_code == 200, response.text
    made: dict[str, Any] = response.json()
    return made


def test_requests_a_minute(place: tuple[Deployment, Upstream]) -> None:
    deployment, _ = place
    key = _made(deployment, "/v1/keys", {"limits": {"requests_per_minute": 3}})["key"]
    found = [deployment.post(CHAT, chat("openai:flat"), key=key) for _ in range(5)]
    assert [each.status_code for each in found] == [200, 200, 200, 429, 429]
    assert [each.headers["x-ratelimit-remaining"] for each in found] == ["2", "1", "0", "0", "0"]


def test_every_user_has_the_usual_limit_unless_it_has_its_own(place: tuple[Deployment, Upstream]) -> None:
    """As an any-llm gateway's `rate_limit_rpm`: by user, whichever key."""
    deployment, _ = place
    _made(deployment, "/v1/users", {"user_id": "usual"})
    _made(deployment, "/v1/users", {"user_id": "lucky", "limits": {"requests_per_minute": 31}})
    keys = [_made(deployment, "/v1/keys", {"user_id": "usual"})["key"] for _ in range(2)]
    found = [deployment.post(CHAT, chat("openai:flat"), key=keys[number % 2]) for number in range(31)]
    assert [each.status_code for each in found] == [200] * 30 + [429]
    assert found[30].json()["detail"] == "Rate limit exceeded"
    by_master = deployment.post(CHAT, chat("openai:flat", user="usual"), key=MASTER_KEY)
    assert by_master.status_code == 429
    lucky = deployment.post(CHAT, chat("openai:flat", user="lucky"), key=MASTER_KEY)
    assert (lucky.status_code, lucky.headers["x-ratelimit-limit-requests"]) == (200, "31")


def test_a_budget_outlives_its_gateway(place: tuple[Deployment, Upstream]) -> None:
    """What was spent is known to the next process from the ledger."""
    deployment, _ = place
    budget = _made(deployment, "/v1/budgets", {"max_budget": 0.03})
    _made(deployment, "/v1/users", {"user_id": "ann", "budget_id": budget["budget_id"]})
    key = _made(deployment, "/v1/keys", {"user_id": "ann"})["key"]
    assert [deployment.post(CHAT, chat("openai:flat"), key=key).status_code for _ in range(2)] == [200, 200]
    deployment.rows(2, user_id="ann")
    deployment.gateway.stop()
    deployment.start_gateway()
    found = [deployment.post(CHAT, chat("openai:flat"), key=key) for _ in range(2)]
    assert [each.status_code for each in found] == [200, 403]
    assert found[1].json()["detail"] == "User 'ann' has exceeded budget limit"


@pytest.mark.parametrize(
    ("scope", "name", "refused"),
    [
        ("tag", "team=red", "Tag 'team=red' has exceeded budget limit"),
        ("model", "openai/ours", "Model 'openai:ours' has exceeded budget limit"),
        ("provider", "openai", "Provider 'openai' has exceeded budget limit"),
        ("global", None, "The gateway has exceeded budget limit"),
    ],
)
def test_whoever_shares_a_budget(
    place: tuple[Deployment, Upstream], scope: str, name: str | None, refused: str
) -> None:
    """Two cents are two calls of all who share it, with a warning from half of it on."""
    deployment, _ = place
    shared = {"scope": scope} if name is None else {"scope": scope, "id": name}
    body = {"max_budget": 0.02, "soft_threshold": 0.5, "scopes": [shared]}
    budget = _made(deployment, "/v1/budgets", body)
    keys = [_made(deployment, "/v1/keys", {"tags": {"team": "red"}})["key"] for _ in range(3)]
    found = [deployment.post(CHAT, chat("openai:ours"), key=key) for key in keys]
    assert [each.status_code for each in found] == [200, 200, 403]
    assert found[2].json()["detail"] == refused
    assert [each.headers.get("x-tollgate-budget-warning") for each in found] == [f"{scope} 50%", f"{scope} 100%", None]
    other = _made(deployment, "/v1/keys", {"tags": {"team": "blue"}})["key"]
    elsewhere = deployment.post(CHAT, chat("openai:flat"), key=other)
    assert elsewhere.status_code == (200 if scope in ("tag", "model") else 403)
    gone = httpx.delete(
        f"{deployment.url}/v1/budgets/{budget['budget_id']}", headers={"Authorization": f"Bearer {MASTER_KEY}"}
    )
    assert gone.status_code == 204
    assert deployment.post(CHAT, chat("openai:ours"), key=keys[0]).status_code == 200


def test_a_raised_budget_counts_at_once(place: tuple[Deployment, Upstream]) -> None:
    deployment, _ = place
    budget = _made(deployment, "/v1/budgets", {"max_budget": 0})
    key = _made(deployment, "/v1/keys", {"budget_id": budget["budget_id"]})["key"]
    assert deployment.post(CHAT, chat("openai:flat"), key=key).status_code == 403
    changed = httpx.patch(
        f"{deployment.url}/v1/budgets/{budget['budget_id']}",
        json={"max_budget": 1},
        headers={"Authorization": f"Bearer {MASTER_KEY}"},
    )
    assert changed.status_code == 200, changed.text
    until(lambda: deployment.post(CHAT, chat("openai:flat"), key=key).status_code == 200, "known", 10)
