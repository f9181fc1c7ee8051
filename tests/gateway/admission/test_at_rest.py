"""What `tollgate usage verify` sees of holds: nothing while calls run, nothing after them, all that a death leaves."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from redis import Redis

from gateway.admission.at_rest import Book, differences, holds_left
from gateway.admission.desk import Desk
from gateway.admission.in_redis import PREFIX, InRedis, RedisAway
from gateway.admission.rules import MINUTE_MS, Charge, Demand, Money, Slots, Spending, Window
from tests.gateway.admission.test_in_redis import Ledger, desks, eventually
from tests.services import free_port

LEASE = 30.0
SPENDING = Spending("user", "u", datetime(2026, 1, 1, tzinfo=UTC))
DEAR = 20_000 * 10**12  # more than a double holds exactly


def _demand(name: str) -> Demand:
    lines = (Money("budget", DEAR, DEAR // 4 + 1, SPENDING), Slots("slots", 9), Window("w", 99, MINUTE_MS, 1, "tokens"))
    return Demand(name, lines)


async def _admitted(desk: Desk, *names: str) -> None:
    for name in names:
        assert (await desk.admit(_demand(name))).code == "ok"


async def test_open_calls_of_living_gateways_are_no_difference(redis_url: str) -> None:
    async with desks(redis_url, 2, Ledger()) as (one, two):
        await _admitted(one, "a", "b")
        await _admitted(two, "c")
        assert holds_left(redis_url, LEASE) == []
        one.finish(_demand("a"), [1], [Charge("budget", "event-a", 5)], 1)
        await two.admit(Demand("last", (Slots("other", 1),)))
        assert holds_left(redis_url, LEASE) == []


async def test_what_a_dead_gateway_held_is_left_until_another_gives_it_back(redis_url: str) -> None:
    url = redis_url
    dead = Desk(InRedis(url, gateway="dead"), Ledger().spent)  # never turns, so it says no more that it lives
    await _admitted(dead, "a", "b")
    with Redis.from_url(url) as redis:
        redis.zadd(f"{PREFIX}:live", {"dead": 1})  # not heard of since 1970
        [line] = holds_left(url, LEASE)
        assert line.startswith("holds [dead]: 2 calls, of a gateway that is not heard of for ")
        redis.zrem(f"{PREFIX}:live", "dead")
        assert holds_left(url, LEASE) == ["holds [dead]: 2 calls, of a gateway that is not heard of any more"]
        redis.zadd(f"{PREFIX}:live", {"dead": 1})
    async with desks(url, 1, Ledger()):
        await eventually(lambda: holds_left(url, LEASE) == [])
    await dead.close()


def test_a_budget_that_counts_more_or_less_than_is_held() -> None:
    calls = [[("money", "m", 5), ("slot", "s", 0)], [("money", "m", 7), ("window", "w", 3)]]
    sound = Book(now_ms=1000, live={"g": 1000.0}, open={"g": calls}, held={"m": 12, "old": 0}, slots={"s": 1})
    assert differences(sound, LEASE) == []
    wrong = Book(now_ms=1000, live={"g": 1000.0}, open={"g": calls}, held={"m": 13}, slots={})
    assert differences(wrong, LEASE) == ["budget [m]: held +1", "calls in flight [s]: held -1"]


def test_a_redis_that_is_away_is_said_to_be() -> None:
    with pytest.raises(RedisAway, match="cannot be reached"):
        holds_left(f"redis://127.0.0.1:{free_port()}/0", LEASE)
