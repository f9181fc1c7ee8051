"""Gateways that share limits and budgets through a real Redis, also when it is away or has lost everything."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from gateway.admission.desk import Desk, LedgerAway
from gateway.admission.in_memory import InMemory
from gateway.admission.in_redis import InRedis
from gateway.admission.rules import DAY_MS, MINUTE_MS, Charge, Demand, Line, Money, Slots, Spending, Window
from tests.services import Server

SPENDING = Spending("user", "u", datetime(2026, 1, 1, tzinfo=UTC))


class Ledger:
    """Events and what they cost."""

    def __init__(self) -> None:
        self.events: dict[str, int] = {}
        self.away = False
        self.asked = 0
        self.answers = threading.Event()
        self.answers.set()

    def spent(self, spending: Spending, events: Callable[[], Collection[str]]) -> tuple[int, Collection[str]]:
        self.asked += 1
        self.answers.wait()
        if self.away:
            raise OSError("away")
        stored = dict(self.events)
        return sum(stored.values()), [each for each in events() if each in stored]


def money(capacity: int, hold: int) -> Money:
    return Money("m", capacity, hold, SPENDING)


def rpm(capacity: int) -> Window:
    return Window("r", capacity, MINUTE_MS, 1, "requests")


def demand(name: object, *lines: Line) -> Demand:
    return Demand(str(name), lines)


@asynccontextmanager
async def desks(url: str, count: int, ledger: Ledger, **options: object) -> AsyncIterator[list[Desk]]:
    made = [
        Desk(InRedis(url, gateway=f"g{number}", **options), ledger.spent)  # type: ignore[arg-type]
        for number in range(count)
    ]
    tasks = [asyncio.create_task(desk.run()) for desk in made]
    try:
        await eventually(lambda: all(desk.trouble is None for desk in made))
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for desk in made:
            await desk.close()


async def eventually(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in Redis
            await asyncio.sleep(0.02)


async def codes(desks: list[Desk], count: int, *lines: Line) -> list[str]:
    asked = [desks[number % len(desks)].admit(demand(f"{lines}{number}", *lines)) for number in range(count)]
    return sorted(verdict.code for verdict in await asyncio.gather(*asked))


async def test_one_limit_for_all_gateways(redis_url: str) -> None:
    async with desks(redis_url, 3, Ledger()) as three:
        assert await codes(three, 300, rpm(100)) == ["ok"] * 100 + ["rate"] * 200


async def test_many_calls_are_one_round_trip(redis_url: str) -> None:
    async with desks(redis_url, 1, Ledger()) as (desk,):
        counter = desk._counter
        assert isinstance(counter, InRedis)
        before = await counter._client.info("commandstats")
        await codes([desk], 200, rpm(1000), Slots("s", 1000))
        after = await counter._client.info("commandstats")
        evals = [stats["cmdstat_evalsha"]["calls"] for stats in (before, after)]
        assert evals[1] - evals[0] <= 3


async def test_a_budget_is_shared_and_its_holds_become_real_amounts(redis_url: str) -> None:
    ledger = Ledger()
    async with desks(redis_url, 3, ledger) as three:

        async def call(number: int) -> str:
            asked = demand(number, money(100, 1))
            verdict = await three[number % 3].admit(asked)
            if verdict.code == "ok":
                await asyncio.sleep(0.005 * (number % 5))
                three[number % 3].finish(asked, [], [Charge("m", f"e{number}", 1)], 1)
            return verdict.code

        found = sorted(await asyncio.gather(*[call(number) for number in range(500)]))
        assert found.count("ok") == 100
        assert set(found) <= {"ok", "spent", "holds"}
        again = await three[0].admit(demand("more", money(100, 1)))
        assert (again.code, again.readings[0].spent, again.readings[0].held) == ("spent", 100, 0)


async def test_calls_wait_in_order_for_open_holds(redis_url: str) -> None:
    async with desks(redis_url, 1, Ledger()) as (desk,):
        first = demand("first", money(10, 10))
        assert (await desk.admit(first)).code == "ok"
        done: list[int] = []

        async def call(number: int) -> None:
            asked = demand(number, money(10, 10))
            assert (await desk.admit(asked)).code == "ok"
            done.append(number)
            desk.finish(asked, [], [], 0)

        tasks = [asyncio.create_task(call(number)) for number in range(5)]
        await asyncio.sleep(0.1)
        assert done == []
        desk.finish(first, [], [], 0)
        await asyncio.gather(*tasks)
        assert done == [0, 1, 2, 3, 4]


async def test_nobody_waits_longer_than_two_seconds_for_open_holds(redis_url: str) -> None:
    async with desks(redis_url, 2, Ledger()) as two:
        assert (await two[0].admit(demand("first", money(10, 10)))).code == "ok"
        began = asyncio.get_running_loop().time()
        assert await codes(two, 4, money(10, 9)) == ["holds"] * 4
        assert 1.9 < asyncio.get_running_loop().time() - began < 6


async def test_a_caller_who_hangs_up_while_asking_holds_nothing(redis_url: str) -> None:
    async with desks(redis_url, 1, Ledger()) as (desk,):
        await desk.admit(demand("known", money(10, 1)))
        desk.finish(demand("known", money(10, 1)), [], [], 0)
        task = asyncio.create_task(desk.admit(demand("gone", money(10, 7), Slots("s", 1))))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.1)
        verdict = await desk.admit(demand("next", money(10, 10), Slots("s", 1)))
        assert (verdict.code, verdict.readings[0].held) == ("ok", 10)


async def test_redis_empty_again_everything_is_told_anew(redis_url: str) -> None:
    ledger = Ledger()
    async with desks(redis_url, 3, ledger) as three:
        await asyncio.sleep(1.2)  # until each knows of the others
        for number in range(30):
            asked = demand(number, money(100, 2), rpm(60), Slots("s", 50))
            assert (await three[number % 3].admit(asked)).code == "ok"
            if number < 20:
                three[number % 3].finish(asked, [], [Charge("m", f"e{number}", 2)], 1)
        ledger.events = {f"e{number}": 2 for number in range(10)}
        await asyncio.sleep(0.1)
        counter = three[0]._counter
        assert isinstance(counter, InRedis)
        await counter._client.flushall()
        await eventually(lambda: all(desk.trouble is None for desk in three))
        verdict = await three[1].admit(demand("next", money(100, 2), rpm(60), Slots("s", 50)))
        for _ in range(200):
            if verdict.readings[0].held == 22:
                break
            await asyncio.sleep(0.05)
            verdict = await three[1].admit(demand("next", money(100, 2), rpm(60), Slots("s", 50)))
        assert verdict.code == "ok"
        assert (verdict.readings[0].spent, verdict.readings[0].held) == (40, 22)
        assert verdict.readings[1].left == 29
        assert verdict.readings[2].left == 39


async def test_without_redis_each_hands_out_its_part_of_what_was_left(redis_server: Server) -> None:
    async with desks(redis_server.url, 3, Ledger()) as three:
        await asyncio.sleep(1.2)  # until each knows of the others
        for desk in three:
            assert (await desk.admit(demand(f"known{id(desk)}", money(90, 10), rpm(33)))).code == "ok"
        redis_server.kill()
        found = [(await codes([desk], 40, rpm(33))).count("ok") for desk in three]
        assert sum(found) <= 30
        assert min(found) >= 9
        spent = [await codes([desk], 8, money(90, 5)) for desk in three]
        assert sum(each.count("ok") for each in spent) * 5 <= 60 + 3 * 5
        assert {code for each in spent for code in each} <= {"ok", "holds", "share"}
        redis_server.start()
        await eventually(lambda: all(desk.trouble is None for desk in three))


def tokens(amount: int) -> Window:
    return Window("t", 1000, DAY_MS, amount, "tokens")


async def test_tokens_of_calls_that_end_while_redis_is_away_are_corrected(redis_server: Server) -> None:
    async with desks(redis_server.url, 1, Ledger()) as (desk,):
        shared = [demand(number, tokens(100)) for number in range(5)]
        for each in shared:
            assert (await desk.admit(each)).code == "ok"
        redis_server.pause()
        alone = [demand(f"alone{number}", tokens(100)) for number in range(2)]
        for each in alone:
            assert (await desk.admit(each)).code == "ok"
        for each in (*shared[1:], alone[0]):
            desk.finish(each, [10], [], 0)
        redis_server.resume()
        await eventually(lambda: desk.trouble is None)
        # Five ended with 10, two are open with 100.
        assert (await desk.admit(demand("next", tokens(1)))).readings[0].left == 1000 - 50 - 200 - 1
        desk.finish(shared[0], [10], [], 0)
        desk.finish(alone[1], [10], [], 0)
        assert (await desk.admit(demand("last", tokens(1)))).readings[0].left == 1000 - 70 - 2


async def test_without_redis_a_call_may_take_more_tokens_than_the_share(redis_server: Server) -> None:
    async with desks(redis_server.url, 1, Ledger(), replicas=4) as (desk,):
        redis_server.kill()
        large = demand("large", tokens(600))
        assert (await desk.admit(large)).code == "ok"
        assert (await desk.admit(demand("more", tokens(600)))).code == "rate"
        desk.finish(large, [20], [], 0)
        assert (await desk.admit(demand("again", tokens(200)))).code == "ok"


async def test_without_redis_money_that_is_only_held_is_not_spent(redis_server: Server) -> None:
    async with desks(redis_server.url, 2, Ledger()) as two:
        held = demand("held", money(100, 100))
        assert (await two[0].admit(held)).code == "ok"
        assert (await two[1]._counter.admit(demand("known", money(100, 1)))).code == "holds"
        redis_server.pause()
        assert (await two[1].admit(demand("first", money(100, 1)))).code == "share"
        redis_server.resume()
        await eventually(lambda: all(desk.trouble is None for desk in two))
        two[0].finish(held, [], [Charge("m", "e", 100)], 0)
        assert (await two[0].admit(demand("late", money(100, 1)))).code == "spent"
        assert (await two[1].admit(demand("known", money(100, 1)))).code == "spent"
        redis_server.pause()
        assert (await two[1].admit(demand("second", money(100, 1)))).code == "spent"
        redis_server.resume()


async def test_a_ledger_that_hangs_keeps_nobody_from_hearing_of_a_gateway(redis_url: str) -> None:
    ledger = Ledger()
    async with desks(redis_url, 1, ledger) as (desk,):
        assert (await desk.admit(demand("a", money(100, 1)))).code == "ok"
        counter = desk._counter
        assert isinstance(counter, InRedis)
        ledger.answers.clear()
        await counter._client.hdel("{tollgate:admission}:m:m", "base")
        await eventually(lambda: ledger.asked == 2)
        heard = counter._peers
        await eventually(lambda: counter._peers is not heard)
        ledger.answers.set()


async def test_without_redis_and_by_setting_everything_is_refused(redis_server: Server) -> None:
    async with desks(redis_server.url, 1, Ledger(), alone=False) as (desk,):
        redis_server.kill()
        assert await codes([desk], 3, rpm(33)) == ["share"] * 3


async def test_without_redis_a_budget_never_seen_is_looked_up_in_the_ledger(redis_server: Server) -> None:
    ledger = Ledger()
    ledger.events = {"old": 40}
    async with desks(redis_server.url, 1, ledger, replicas=2) as (desk,):
        redis_server.kill()
        verdict = await desk.admit(demand("a", money(100, 30)))
        assert (verdict.code, verdict.readings[0].granted) == ("ok", 30)
        ledger.away = True
        with pytest.raises(LedgerAway):
            await desk.admit(demand("b", Money("other", 100, 1, SPENDING)))


async def test_a_ledger_that_stands_still_holds_no_call_up() -> None:
    resumed = threading.Event()

    def stands_still(_spending: Spending, _events: Callable[[], Collection[str]]) -> tuple[int, Collection[str]]:
        resumed.wait(60)
        return 40, ()

    desk = Desk(InMemory(), stands_still)
    for _ in range(2):
        with pytest.raises(LedgerAway):
            await asyncio.wait_for(desk.admit(demand("a", money(100, 30))), 20)
    resumed.set()
    assert (await desk.admit(demand("a", money(100, 30)))).code == "ok"


async def test_in_memory_the_ledger_is_asked_once_for_many() -> None:
    ledger = Ledger()
    ledger.events = {"old": 40}
    desk = Desk(InMemory(), ledger.spent)
    assert (await codes([desk], 50, money(100, 1))).count("ok") == 50
    assert ledger.asked == 1
