"""The script in Redis keeps the same book as the rules, whatever happens in whatever order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from gateway.admission.rules import (
    MINUTE_MS,
    Book,
    Charge,
    Demand,
    Money,
    MoneyState,
    Slots,
    Spending,
    Verdict,
    Window,
)
from tests.gateway.admission.books import RedisBook, set_clock

START = 1_800_000_000_000
LEASE = 20_000
SPENDING = Spending("user", "u", datetime(2026, 1, 1, tzinfo=UTC))
DOLLAR = 10**12
CAPACITY = 30_000 * DOLLAR + 5  # above 2^53 pico-dollars
GATEWAYS = ("one", "two")
LINES = ("requests", "tokens", "calls", "budget")


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


@st.composite
def operations(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """Ticks, calls that come, end, end again, gateways that fall silent, and looks into the ledger."""
    money = st.integers(1, 12_000 * DOLLAR)
    which = st.integers(0, 12)
    operation = st.one_of(
        st.tuples(st.just("tick"), st.sampled_from([1, 300, 700, 5_000, 25_000, 61_000])),
        st.tuples(st.just("admit"), st.sampled_from(GATEWAYS), which, st.integers(1, 60), money),
        st.tuples(st.just("admit"), st.sampled_from(GATEWAYS), which, st.integers(1, 60), money),
        st.tuples(st.just("finish"), st.sampled_from(GATEWAYS), which, st.integers(0, 80), money),
        st.tuples(st.just("finish"), st.sampled_from(GATEWAYS), which, st.integers(0, 80), money),
        st.tuples(st.just("release"), st.sampled_from(GATEWAYS), which),
        st.tuples(
            st.just("leave"), st.sampled_from(GATEWAYS), which, st.integers(0, 80), st.sets(st.sampled_from(LINES))
        ),
        st.tuples(st.just("reconcile"), st.integers(0, 100)),
    )
    return draw(st.lists(operation, max_size=60))


def demand_of(hold: int, tokens: int, hold_amount: int) -> Demand:
    lines = (
        Window("requests", 6, MINUTE_MS, 1, "requests"),
        Window("tokens", 200, MINUTE_MS, tokens, "tokens"),
        Slots("calls", 4),
        Money("budget", CAPACITY, hold_amount, SPENDING, max(1, hold_amount // 3)),
    )
    return Demand(f"h{hold}", lines)


def as_answer(verdict: Verdict) -> list[Any]:
    readings: list[Any] = [each.left for each in verdict.readings[:3]]
    money = verdict.readings[3]
    readings.append([str(money.spent), str(money.held), str(money.granted)])
    return [verdict.code, verdict.line, verdict.retry_ms, readings]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=operations())
def test_script_and_rules_agree(redis: Redis, steps: list[tuple[Any, ...]]) -> None:
    redis.flushdb()
    now = START
    set_clock(redis, now)
    book, script = Book(LEASE), RedisBook(redis, LEASE)
    ledger: dict[str, int] = {}
    written: dict[str, int] = {}
    for gateway in GATEWAYS:
        script.join(gateway)
        book.beat(now, gateway)
    script.one("one", "r", "budget", script.one("one", "b", "budget", 0), "0", [])
    book.rebase("budget", book.begin("budget"), 0, [])
    for name, *rest in steps:
        match name, rest:
            case "tick", [milliseconds]:
                now += milliseconds
                set_clock(redis, now)
            case "admit", [gateway, hold, tokens, amount]:
                if gateway not in book.live:
                    continue
                demand = demand_of(hold, tokens, amount)
                got = script.admit(gateway, demand)
                if got == "join":
                    continue
                book.beat(now, gateway)
                assert got == as_answer(book.admit(now, gateway, demand))
            case "finish", [gateway, hold, tokens, amount]:
                if gateway not in book.live:
                    continue
                amount = written.setdefault(f"{gateway}-{hold}", amount)  # an event says the same each time
                charges = [Charge("budget", f"{gateway}-{hold}", amount)]
                if f"{gateway}-{hold}" in ledger:
                    charges = []
                script.finish(gateway, f"h{hold}", [tokens], charges)
                book.beat(now, gateway)
                book.finish(now, gateway, f"h{hold}", [tokens], charges)
            case "release", [gateway, hold]:
                if gateway not in book.live:
                    continue
                script.finish(gateway, f"h{hold}", [0], [])
                book.beat(now, gateway)
                book.finish(now, gateway, f"h{hold}", [0], [])
            case "leave", [gateway, hold, tokens, lines]:
                if gateway not in book.live:
                    continue
                script.finish(gateway, f"h{hold}", [tokens], [], sorted(lines))
                book.beat(now, gateway)
                book.finish(now, gateway, f"h{hold}", [tokens], [], lines)
            case "reconcile", [share]:
                for event_id in list(written)[: len(written) * share // 100]:
                    ledger.setdefault(event_id, written[event_id])
                base = sum(ledger.values())
                _reconcile(script, book, now, base, ledger)
        _check_same(redis, book)
        state = book.moneys["budget"]
        assert state.spent == sum(written.values())
        assert state.held == sum(
            t.amount for open_ in book.open.values() for k in open_.values() for t in k if t.kind == "money"
        )


def _reconcile(script: RedisBook, book: Book, now: int, base: int, ledger: dict[str, int]) -> None:
    for gateway in GATEWAYS:
        if gateway not in book.live:
            continue
        found = script.one(gateway, "u", "budget")
        book.beat(now, gateway)
        assert sorted(found) == sorted(book.unconfirmed("budget"))
        version = script.one(gateway, "b", "budget", 0)
        stored = [each for each in found if each in ledger]
        assert script.one(gateway, "r", "budget", version, str(base), stored) is True
        book.rebase("budget", book.begin("budget"), base, stored)
        return


def _check_same(redis: Redis, book: Book) -> None:
    held = redis.hmget("{t}:m:budget", "base", "pending", "held")
    state = book.moneys.get("budget", MoneyState())
    assert [int(value or 0) for value in held] == [state.base or 0, state.pending, state.held]
    assert int(redis.get("{t}:s:calls") or 0) == book.slots.get("calls", 0)


def test_amounts_are_exact_far_beyond_what_a_double_holds(redis: Redis) -> None:
    set_clock(redis, START)
    script = RedisBook(redis, LEASE)
    script.join("one")
    base = 9_999_999 * DOLLAR + 999_999_999_999
    script.one("one", "r", "m", script.one("one", "b", "m", 0), str(base), [])
    for number in range(3):
        script.finish("one", "none", [], [Charge("m", f"e{number}", 2**62 + 1)])
    line = Money("m", 10**20, 1, SPENDING)
    code, _, _, ((spent, held, granted),) = script.admit("one", Demand("h", (line,)))
    assert (code, int(spent), int(held), int(granted)) == ("ok", base + 3 * (2**62 + 1), 1, 1)
    exactly = Money("m", base + 3 * (2**62 + 1) + 2, 1, SPENDING)
    assert script.admit("one", Demand("h2", (exactly,)))[0] == "ok"
    assert script.admit("one", Demand("h3", (exactly,)))[0] == "holds"


def test_a_silent_gateway_loses_its_holds_and_has_to_join_again(redis: Redis) -> None:
    set_clock(redis, START)
    script = RedisBook(redis, LEASE)
    script.join("one")
    script.join("two")
    script.one("one", "r", "budget", script.one("one", "b", "budget", 0), "0", [])
    assert script.admit("one", demand_of(1, 1, 7))[0] == "ok"
    set_clock(redis, START + LEASE + 1)
    script.join("two")
    assert redis.hget("{t}:m:budget", "held") == b"0"
    assert redis.get("{t}:s:calls") is None
    assert script.admit("one", demand_of(2, 1, 7)) == "join"
    kept = [["h1", [["slot", "calls", 0, 0, 0], ["money", "budget", "7", 0, 0]]]]
    assert script.join("one", holds=kept) == "ok"
    assert redis.hget("{t}:m:budget", "held") == b"7"
    assert script.join("one", holds=kept) == "ok"
    assert redis.hget("{t}:m:budget", "held") == b"7"


def test_a_new_epoch_waits_for_all_that_lived(redis: Redis) -> None:
    set_clock(redis, START)
    script = RedisBook(redis, LEASE)
    assert script.join("one", peers=("one", "two")) == "rebuilding"
    assert script.admit("one", demand_of(1, 1, 7)) == "rebuilding"
    assert script.join("two") == "ok"
    assert script.admit("one", demand_of(1, 1, 7))[0] == "unknown"


def test_a_new_epoch_waits_no_longer_than_the_lease(redis: Redis) -> None:
    set_clock(redis, START)
    script = RedisBook(redis, LEASE)
    assert script.join("one", peers=("one", "dead")) == "rebuilding"
    set_clock(redis, START + LEASE)
    assert script.join("one") == "ok"


def test_the_first_to_come_back_from_the_ledger_sets_the_base(redis: Redis) -> None:
    set_clock(redis, START)
    script = RedisBook(redis, LEASE)
    script.join("one")
    first = script.one("one", "b", "m", 0)
    assert script.one("one", "b", "m", 0) == 0  # somebody is at it
    set_clock(redis, START + 3000)
    second = script.one("one", "b", "m", 0)
    assert script.one("one", "r", "m", first, "1", []) is True  # however slow it was: others do not keep it away
    assert script.one("one", "r", "m", second, "2", []) is False  # it may have seen less
    assert redis.hget("{t}:m:m", "base") == b"1"
    assert script.one("one", "b", "m", 1000) == 0  # fresh enough
    third = script.one("one", "b", "m", 0)
    redis.flushdb()
    set_clock(redis, START + 9000)
    script.join("one")
    fourth = script.one("one", "b", "m", 0)
    assert script.one("one", "r", "m", third, "3", []) is False  # what it saw is of another count
    assert script.one("one", "r", "m", fourth, "4", []) is True
