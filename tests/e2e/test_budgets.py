"""Budgets over three gateways: hard under concurrency, and nobody with money left is refused for good."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from tests.deployment import until
from tests.e2e.fleet import CHAT, Fleet, answer, ask_at_once, chat, statuses
from tests.replay import Gate, Upstream
from tests.services import Server

CENT = Decimal("0.01")
FLAT = {"input_price_per_million": 0, "output_price_per_million": 0, "price_per_request": 0.01}
METERED = {"input_price_per_million": 100, "output_price_per_million": 1000}
CONFIG: dict[str, Any] = {
    "pricing": {
        "openai:flat": FLAT,
        "openai:slow": METERED,
        "openai:metered": METERED,
        "openai:free": {"input_price_per_million": 0, "output_price_per_million": 0},
    },
    "admission": {"lease_seconds": 12},
}


@contextmanager
def fleet_at(folder: Path, redis_url: str, postgres_url: str, **config: Any) -> Iterator[tuple[Fleet, Upstream]]:
    with (
        Upstream() as upstream,
        Fleet(
            folder, upstream.url, database_url=postgres_url, redis_url=redis_url, config={**CONFIG, **config}
        ) as fleet,
    ):
        yield fleet, upstream


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, redis_server_url: str, module_postgres_url: str
) -> Iterator[tuple[Fleet, Upstream]]:
    with fleet_at(tmp_path_factory.mktemp("budgets"), redis_server_url, module_postgres_url) as made:
        yield made


def new_payer(fleet: Fleet, name: str, amount: str, **fields: Any) -> str:
    """A key whose user has a budget of its own."""
    budget = fleet.manage("/v1/budgets", {"max_budget": float(amount), **fields})
    fleet.manage("/v1/users", {"user_id": name, "budget_id": budget["budget_id"]})
    return fleet.new_key(user_id=name)


def spent(fleet: Fleet, user: str, rows: int) -> Decimal:
    """What the ledger says, once it has so many rows."""
    return sum((Decimal(str(row["cost"] or 0)) for row in fleet.rows(rows, user_id=user)), Decimal(0))


def test_a_dollar_is_a_hundred_calls_of_a_cent_over_three_gateways(place: tuple[Fleet, Upstream]) -> None:
    fleet, upstream = place
    upstream.forget()
    upstream.on(CHAT, answer(10, 1))
    key = new_payer(fleet, "cents", "1.00")
    found = statuses(ask_at_once(fleet, key, 500, chat("openai:flat")))
    assert found[200] == 100
    assert found[403] + found[429] == 400
    assert len(upstream.calls) == 100
    assert spent(fleet, "cents", 100) == 1
    assert fleet.held() == []
    refused = fleet.post(CHAT, chat("openai:flat"), key=key)
    assert refused.status_code == 403
    assert refused.json()["detail"] == "User 'cents' has exceeded budget limit"
    assert fleet.post(CHAT, chat("openai:free"), key=key).status_code == 200


def test_calls_that_cost_more_than_was_held_overspend_by_no_more_than_that(place: tuple[Fleet, Upstream]) -> None:
    """Each holds 300 tokens of output by its own limit; the upstream generates up to twice that."""
    fleet, upstream = place
    upstream.forget()
    upstream.on(CHAT, answer(10, 100), answer(10, 600, delay=0.2), answer(10, 300), answer(10, 450))
    key = new_payer(fleet, "mixed", "2.00")
    body = chat("openai:metered", max_tokens=300)
    calls = 0
    for _ in range(6):
        calls += statuses(ask_at_once(fleet, key, 40, body))[200]
    assert calls >= 3
    rows = fleet.rows(calls, user_id="mixed")
    held = Decimal(300) * METERED["output_price_per_million"] / 1_000_000
    over = [max(Decimal(0), Decimal(str(row["cost"])) - held) for row in rows]
    total = sum((Decimal(str(row["cost"])) for row in rows), Decimal(0))
    # At most seven holds of 0.30 fit into 2.00 at a time, so no more than the seven dearest calls can be in flight.
    assert 2 <= total <= 2 + sum(sorted(over)[-7:]) + held
    assert fleet.held() == []
    assert fleet.post(CHAT, body, key=key).status_code == 403


def test_a_soft_threshold_warns(place: tuple[Fleet, Upstream]) -> None:
    fleet, upstream = place
    upstream.forget()
    upstream.on(CHAT, answer(10, 1))
    key = new_payer(fleet, "soft", "0.04", soft_threshold=0.5)
    warnings = [
        fleet.post(CHAT, chat("openai:flat"), key=key).headers.get("x-tollgate-budget-warning") for _ in range(4)
    ]
    assert warnings == [None, "user 50%", "user 75%", "user 100%"]


@pytest.mark.timeout(300)
def test_a_gateway_killed_under_load_takes_no_money_with_it(
    tmp_path: Path, redis_server: Server, postgres_url: str
) -> None:
    """Three calls hold 0.90 of somebody's dollar, and sixty of another's are in flight. Once their gateway is dead what
    it held is free again, and its calls cost what they may have cost."""
    with fleet_at(tmp_path / "kill", redis_server.url, postgres_url) as (fleet, upstream):
        upstream.on(CHAT, answer(10, 300, delay=100), model="slow")
        upstream.on(CHAT, answer(10, 1), model="metered")
        gate = Gate()
        upstream.on(CHAT, replace(answer(10, 1), gate=gate), model="flat")
        held, busy = new_payer(fleet, "held", "1.00"), new_payer(fleet, "busy", "1.00")
        doomed = fleet.gateways[1]
        slow, body = chat("openai:slow", max_tokens=300), chat("openai:metered", max_tokens=300)
        answered: list[httpx.Response] = []
        load = [
            threading.Thread(target=ask_at_once, args=(fleet, held, 3, slow, [doomed])),
            threading.Thread(target=lambda: answered.extend(ask_at_once(fleet, busy, 60, chat("openai:flat")))),
        ]
        for each in load:
            each.start()
        upstream.wait(calls=63)
        refused = fleet.post(CHAT, body, key=held)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_held")
        assert refused.headers["retry-after"] == "1"
        doomed.kill()
        gate.open()
        for each in load:
            each.join()
        assert statuses(answered) == {200: 40}  # and nobody else was refused
        alive = [gateway for gateway in fleet.gateways if gateway is not doomed]
        until(lambda: fleet.post(CHAT, body, key=held).status_code == 200, "what is left can be spent", 60)
        rows = fleet.rows(4, user_id="held")
        assert [row["status"] for row in rows].count("lost") == 3
        until(lambda: _count(fleet, "busy") == 60, "the twenty calls of the dead are rows", 60)
        served = 0
        while (found := statuses(ask_at_once(fleet, busy, 6, chat("openai:flat"), alive)))[200]:
            served += found[200]
        assert served == 40
        assert spent(fleet, "busy", 100) == 1
        assert fleet.held() == []


@pytest.mark.timeout(300)
def test_redis_emptied_under_load_forgets_nothing(tmp_path: Path, redis_server: Server, postgres_url: str) -> None:
    with fleet_at(tmp_path / "flush", redis_server.url, postgres_url) as (fleet, upstream):
        upstream.on(CHAT, answer(10, 1, delay=1))
        key = new_payer(fleet, "flushed", "1.00")
        limited = fleet.new_key(limits={"requests_per_minute": 100})
        assert statuses(ask_at_once(fleet, limited, 60, chat("openai:free"))) == {200: 60}
        began = time.monotonic()
        first: list[httpx.Response] = []
        load = threading.Thread(target=lambda: first.extend(ask_at_once(fleet, key, 40, chat("openai:flat"))))
        load.start()
        upstream.wait(calls=100)
        with Redis.from_url(redis_server.url) as redis:
            redis.flushall()
        load.join()
        assert statuses(first) == {200: 40}
        upstream.forget()
        upstream.on(CHAT, answer(10, 1, delay=0.05))
        served = _spend_the_rest(fleet, key, 60)
        # While it was rebuilt each gateway handed out its third; a call alone may get what is left of that.
        rows = 40 + served
        # The usage stream was emptied, too: what was in it is shipped again.
        until(lambda: _count(fleet, "flushed") == rows, "all rows", 90)
        total = spent(fleet, "flushed", rows)
        assert 1 <= total <= 1 + 3 * CENT
        until(lambda: fleet.post(CHAT, chat("openai:flat"), key=key).status_code == 403, "used up")
        assert fleet.held() == []
        # A limit's window is told anew as well: what was let in before still counts, nothing is counted twice.
        let_in = 60 + statuses(ask_at_once(fleet, limited, 80, chat("openai:free")))[200]
        assert time.monotonic() - began > 55 or let_in == 100


def _spend_the_rest(fleet: Fleet, key: str, wanted: int) -> int:
    """How many more calls are served until there are so many; none may be refused for good before."""
    served, end = 0, time.monotonic() + 60
    while served < wanted:
        found = statuses(ask_at_once(fleet, key, 9, chat("openai:flat")))
        served += found[200]
        assert served >= wanted or found[403] == 0, "refused for good with money left"
        assert time.monotonic() < end
    return served


def _count(fleet: Fleet, user: str) -> int:
    return int(fleet.get("/v1/usage/count", user_id=user).json()["count"])


def test_an_unpriced_model_is_refused_when_so_set(tmp_path: Path, redis_server: Server, postgres_url: str) -> None:
    with fleet_at(tmp_path / "refuse", redis_server.url, postgres_url, admission={"unpriced": "refuse"}) as (
        fleet,
        upstream,
    ):
        upstream.on(CHAT, answer(10, 1))
        response = fleet.post(CHAT, chat("openai:nobody-knows"))
        assert (response.status_code, response.json()["error"]["code"]) == (402, "price_unknown")
        assert fleet.post(CHAT, chat("openai:free")).status_code == 200


def test_refusals_are_counted(place: tuple[Fleet, Upstream]) -> None:
    fleet, _ = place
    text = "".join(httpx.get(f"{gateway.url}/metrics").text for gateway in fleet.gateways)
    assert 'gateway_budget_exceeded_total{scope="user"}' in text
    assert 'tollgate_budget_warnings_total{scope="user"}' in text
