"""Limits of models, providers and everybody over three gateways, and what they mean for a call with fallbacks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.deployment import MASTER_KEY, providers_at, until
from tests.e2e.fleet import CHAT, Fleet, answer, ask_at_once, chat, statuses
from tests.replay import Upstream
from tests.replay.answers import error

MASTER = {"Authorization": f"Bearer {MASTER_KEY}"}
WITHIN = 1.0 + 2.0  # seconds: what is promised, and what a busy machine may add
PER_CENT = {"input_price_per_million": 0, "output_price_per_million": 0, "price_per_request": 0.01}
CONFIG: dict[str, Any] = {
    "models": {
        "many": {
            "provider": "openai",
            "model": "one",
            "fallbacks": [{"provider": "solar", "model": "two"}, {"provider": "spare", "model": "three"}],
        },
        "both": {
            "provider": "openai",
            "model": "first",
            "fallbacks": [{"provider": "solar", "model": "second"}, {"provider": "spare", "model": "third"}],
        },
    },
    "pricing": {"openai:first": PER_CENT, "solar:second": PER_CENT},
    "limits": {"gemini": {"requests_per_minute": 3}, "gemini:gemini-2.5-pro": {"requests_per_minute": 1}},
}
SOLAR, SPARE = "/solar" + CHAT, "/spare" + CHAT


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, redis_server_url: str, module_postgres_url: str
) -> Iterator[tuple[Fleet, Upstream]]:
    folder = tmp_path_factory.mktemp("shared")
    with Upstream() as upstream:
        spare = {"type": "openai_compatible", "api_base": f"{upstream.url}/spare/v1"}
        config = {**CONFIG, "providers": {**providers_at(upstream.url), "spare": spare}}
        urls = {"database_url": module_postgres_url, "redis_url": redis_server_url}
        with Fleet(folder, upstream.url, **urls, config=config) as fleet:
            yield fleet, upstream


@pytest.fixture
def both(place: tuple[Fleet, Upstream]) -> Iterator[tuple[Fleet, Upstream]]:
    """No limit is set before or after, no answer before."""
    fleet, upstream = place
    upstream.forget()
    yield fleet, upstream
    for row in httpx.get(f"{fleet.url}/v1/limits", headers=MASTER).json():
        if row["source"] == "database":
            assert manage(fleet, "DELETE", row["scope"], row["id"]).status_code == 204
    until(lambda: not fleet.held(), "no call is open")


def manage(fleet: Fleet, method: str, scope: str, name: str, limits: Any = None, at: int = 0) -> httpx.Response:
    url = f"{fleet.gateways[at].url}/v1/limits/{scope}/{name}"
    return httpx.request(method, url, json=limits, headers=MASTER, timeout=30)


def limit(fleet: Fleet, scope: str, name: str, **limits: int) -> None:
    """Set, and known to all gateways."""
    began = time.monotonic()
    assert manage(fleet, "PUT", scope, name, limits).status_code == 200
    time.sleep(max(0.0, began + 1.0 - time.monotonic()))  # what is promised, and nothing else tells


def all_answer(upstream: Upstream) -> None:
    for path in (CHAT, SOLAR, SPARE):
        upstream.on(path, answer(10, 1))


def paths(upstream: Upstream) -> list[str]:
    return [call.path for call in upstream.calls]


def test_a_models_limit_is_one_over_all_gateways_and_keys(both: tuple[Fleet, Upstream]) -> None:
    fleet, upstream = both
    all_answer(upstream)
    limit(fleet, "model", "openai/gpt-4o-mini", requests_per_minute=20)
    responses = [
        each
        for key in (fleet.new_key(), fleet.new_key())
        for each in ask_at_once(fleet, key, 30, chat("openai:gpt-4o-mini"))
    ]
    assert statuses(responses) == {200: 20, 429: 40}
    assert len(upstream.calls) == 20
    refused = next(each for each in responses if each.status_code == 429)
    assert refused.json()["error"]["message"] == "Rate limit exceeded: 20 requests per minute for this model"
    assert 1 <= int(refused.headers["retry-after"]) <= 61
    assert fleet.post(CHAT, chat("openai:gpt-4o")).status_code == 200


def test_a_providers_limit_holds_for_all_its_models(both: tuple[Fleet, Upstream]) -> None:
    fleet, upstream = both
    upstream.on(CHAT, answer(10, 1, delay=3.0))
    upstream.on(SOLAR, answer(10, 1))
    limit(fleet, "provider", "openai", concurrent_calls=4)
    one = ask_at_once(fleet, fleet.new_key(), 9, chat("openai:gpt-4o"))
    assert statuses(one) == {200: 4, 429: 5}
    assert fleet.post(CHAT, chat("openai:gpt-4o-mini")).status_code == 200
    assert fleet.post(CHAT, chat("solar:solar-pro3")).status_code == 200


def test_everybody_together(both: tuple[Fleet, Upstream]) -> None:
    fleet, upstream = both
    all_answer(upstream)
    limit(fleet, "global", "*", requests_per_minute=6)
    responses = ask_at_once(fleet, fleet.new_key(), 9, chat("openai:gpt-4o"))
    assert statuses(responses) == {200: 6, 429: 3}
    refused = fleet.post(CHAT, chat("solar:solar-pro3"))
    assert refused.json()["error"]["message"] == "Rate limit exceeded: 6 requests per minute for this gateway"


def test_tokens_of_a_model(both: tuple[Fleet, Upstream]) -> None:
    fleet, upstream = both
    upstream.on(CHAT, answer(100, 100))
    limit(fleet, "model", "openai:gpt-4o", tokens_per_minute=1000)
    found = [fleet.post(CHAT, chat("openai:gpt-4o", max_tokens=100)) for _ in range(8)]
    assert [each.status_code for each in found] == [200] * 5 + [429] * 3
    assert [each.headers["x-ratelimit-limit-tokens"] for each in found] == ["1000"] * 8


def test_every_gateway_knows_within_a_second(both: tuple[Fleet, Upstream]) -> None:
    fleet, upstream = both
    all_answer(upstream)
    key = fleet.new_key()
    last = fleet.gateways[2].url + CHAT

    def limited() -> bool:
        response = httpx.post(last, json=chat("openai:gpt-4o"), headers={"Authorization": f"Bearer {key}"})
        return "x-ratelimit-limit-requests" in response.headers

    assert not limited()
    for change, wanted in ((("PUT", {"requests_per_minute": 10**6}), True), (("DELETE", None), False)):
        assert manage(fleet, change[0], "provider", "openai", change[1], at=1).status_code in (200, 204)
        began = time.monotonic()
        until(limited if wanted else lambda: not limited(), "the change is known", 10)
        assert time.monotonic() - began < WITHIN


def test_a_target_that_is_full_is_passed_over(both: tuple[Fleet, Upstream]) -> None:
    fleet, upstream = both
    all_answer(upstream)
    limit(fleet, "model", "openai:first", requests_per_minute=2)
    limit(fleet, "provider", "upstage", requests_per_minute=3)  # another name of solar
    key = fleet.new_key(limits={"requests_per_minute": 6})
    found = [fleet.post(CHAT, chat("both"), key=key) for _ in range(7)]
    assert [each.status_code for each in found] == [200] * 6 + [429]
    assert [each.headers["x-tollgate-provider"] for each in found[:6]] == ["openai"] * 2 + ["solar"] * 3 + ["spare"]
    assert found[6].json()["error"]["message"] == "Rate limit exceeded: 6 requests per minute for this key"
    assert paths(upstream) == [CHAT] * 2 + [SOLAR] * 3 + [SPARE]


def test_many_at_once_fill_one_target_after_the_other(both: tuple[Fleet, Upstream]) -> None:
    fleet, upstream = both
    all_answer(upstream)
    limit(fleet, "model", "openai:one", tokens_per_day=10**9, requests_per_minute=100)
    limit(fleet, "model", "solar:two", requests_per_minute=80)
    key = fleet.new_key(limits={"requests_per_minute": 200})
    responses = ask_at_once(fleet, key, 240, chat("many"))
    assert statuses(responses) == {200: 200, 429: 40}
    answered = Counter(each.headers["x-tollgate-provider"] for each in responses if each.status_code == 200)
    assert answered["openai"] <= 100
    assert answered["solar"] <= 80
    assert answered == {"openai": 100, "solar": 80, "spare": 20} or not fleet.counted_together()
    assert len(upstream.calls) == 200


def test_a_fallback_is_held_to_its_own_limits_and_the_caller_to_its_own_once(both: tuple[Fleet, Upstream]) -> None:
    fleet, upstream = both
    upstream.on(CHAT, error(429, {}, {"retry-after": "60"}))
    for path in (SOLAR, SPARE):
        upstream.on(path, answer(10, 1))
    limit(fleet, "model", "solar:second", requests_per_minute=1)
    budget = fleet.manage("/v1/budgets", {"max_budget": 0.01})
    key = fleet.new_key(limits={"requests_per_minute": 2}, budget_id=budget["budget_id"])
    first = fleet.post(CHAT, chat("both"), key=key)
    assert (first.status_code, first.headers["x-tollgate-provider"]) == (200, "solar")
    assert first.headers["x-ratelimit-remaining-requests"] == "0"  # solar's; of the key's own one is left
    until(lambda: not fleet.held(), "no call is open")
    second = fleet.post(CHAT, chat("both"), key=key)
    assert second.json()["detail"].startswith("Key ")
    limit(fleet, "provider", "spare", concurrent_calls=1)
    other = fleet.new_key(limits={"requests_per_minute": 2})
    third = fleet.post(CHAT, chat("both"), key=other)
    assert (third.status_code, third.headers["x-tollgate-provider"]) == (200, "spare")


def test_when_nobody_else_may_be_asked_the_answer_is_the_upstreams(both: tuple[Fleet, Upstream]) -> None:
    fleet, upstream = both
    upstream.on(CHAT, error(429, {"error": {"message": "slow down"}}, {"retry-after": "77"}))
    for path in (SOLAR, SPARE):
        upstream.on(path, answer(10, 1))
    budget = fleet.manage("/v1/budgets", {"max_budget": 0, "scopes": [{"scope": "model", "id": "solar:second"}]})
    fleet.manage("/v1/budgets", {"max_budget": 0, "scopes": [{"scope": "provider", "id": "solar"}]})
    limit(fleet, "model", "spare:third", requests_per_minute=1)
    key = fleet.new_key()
    assert fleet.post(CHAT, chat("both"), key=key).headers["x-tollgate-provider"] == "spare"
    refused = fleet.post(CHAT, chat("both"), key=key)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "77")
    rows = fleet.rows(1, request_id=refused.headers["x-request-id"])
    assert [(row["kind"], row["provider"], row["http_status"]) for row in rows] == [("final", "openai", 429)]
    assert httpx.delete(f"{fleet.url}/v1/budgets/{budget['budget_id']}", headers=MASTER).status_code == 204


def test_limits_of_the_configuration(both: tuple[Fleet, Upstream]) -> None:
    fleet, upstream = both
    upstream.on("/v1beta/models/gemini-2.5-pro:generateContent", error(400, {}))
    found = [fleet.post(CHAT, chat("gemini:gemini-2.5-pro")).status_code for _ in range(2)]
    assert found == [400, 429]
    listed = {row["id"]: row for row in httpx.get(f"{fleet.url}/v1/limits", headers=MASTER).json()}
    assert (listed["gemini"]["source"], listed["gemini"]["limits"]["requests_per_minute"]) == ("config", 3)
    limit(fleet, "model", "google:Gemini-2.5-Pro", requests_per_minute=2)  # the name is another, the model is not
    found = [fleet.post(CHAT, chat("gemini:gemini-2.5-pro")).status_code for _ in range(2)]
    assert found == [400, 429]
    got = manage(fleet, "GET", "model", "gemini/gemini-2.5-pro").json()
    assert (got["id"], got["source"], got["limits"]["requests_per_minute"]) == ("gemini:gemini-2.5-pro", "database", 2)
    assert manage(fleet, "DELETE", "model", "gemini:gemini-2.5-pro").status_code == 204
    assert manage(fleet, "DELETE", "model", "gemini:gemini-2.5-pro").status_code == 404
    assert manage(fleet, "GET", "model", "gemini:gemini-2.5-pro").json()["source"] == "config"


@pytest.mark.parametrize(
    ("scope", "name", "limits", "where"),
    [
        ("provider", "openai", {}, ["body"]),
        ("provider", "openai", {"requests_per_minute": 0}, ["body", "requests_per_minute"]),
        ("provider", "openai", {"tokens_per_day": 10**13}, ["body", "tokens_per_day"]),
        ("provider", "openai", {"rpm": 5}, ["body", "rpm"]),
        ("provider", "openai", {"requests_per_minute": 1.5}, ["body", "requests_per_minute"]),
        ("model", "openai", {"requests_per_minute": 5}, ["path", "scope_id"]),
        ("global", "all", {"requests_per_minute": 5}, ["path", "scope_id"]),
        ("user", "ann", {"requests_per_minute": 5}, ["path", "scope"]),
        ("provider", "x" * 256, {"requests_per_minute": 5}, ["path", "scope_id"]),
        ("provider", "open%00ai", {"requests_per_minute": 5}, ["path", "scope_id"]),
    ],
)
def test_bad_input_names_the_field(
    both: tuple[Fleet, Upstream], scope: str, name: str, limits: dict[str, Any], where: list[str]
) -> None:
    response = manage(both[0], "PUT", scope, name, limits)
    assert response.status_code == 422, response.text
    assert response.json()["detail"][0]["loc"] == where


def test_they_are_for_the_master_key_and_on_record(both: tuple[Fleet, Upstream]) -> None:
    fleet, _ = both
    theirs = {"Authorization": f"Bearer {fleet.key}"}
    assert httpx.get(f"{fleet.url}/v1/limits", headers=theirs).status_code == 401
    assert httpx.put(f"{fleet.url}/v1/limits/provider/solar", json={}, headers=theirs).status_code == 401
    manage(fleet, "PUT", "provider", "solar", {"concurrent_calls": 1})
    manage(fleet, "PUT", "provider", "solar", {"concurrent_calls": 2})
    manage(fleet, "DELETE", "provider", "solar")
    entries = fleet.get("/v1/audit", subject="limits", subject_id="provider solar", limit=3).json()
    assert [(entry["action"], entry["before"], entry["after"]) for entry in entries] == [
        ("delete", {"concurrent_calls": 2}, None),
        ("set", {"concurrent_calls": 1}, {"concurrent_calls": 2}),
        ("set", None, {"concurrent_calls": 1}),
    ]
