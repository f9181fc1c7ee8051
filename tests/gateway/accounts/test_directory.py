"""What a process knows, how it hears of changes, and what applies to a call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from gateway.accounts.budget_rows import EVERYBODY
from gateway.accounts.issuing import NewKey
from gateway.accounts.migrate import ACCOUNTS
from gateway.accounts.policies import NOTHING
from gateway.accounts.policy import Limits, Scope
from gateway.accounts.service import Accounts
from gateway.accounts.store import Actor
from ledger.engine import make_engine
from tests.deployment import until
from wire.errors import NotAllowed, NotFound, NotReady, Unauthenticated

ME = Actor("test")


def accounts(
    engine: Engine,
    limits: Mapping[tuple[Scope, str], Limits] | None = None,
    *,
    redis_url: str | None = None,
    max_stale: float = 900.0,
) -> Accounts:
    return Accounts(engine, redis_url=redis_url, master_key="master", max_stale=max_stale, limits=limits or {})


def test_a_key_that_changes_its_budget_does_not_pay_for_its_whole_life(engine: Engine) -> None:
    here = accounts(engine)
    plain = {"name": None, "max_budget": Decimal(1), "period": None, "zone": "UTC", "soft_threshold": None}
    periodic = here.budgets.create(ME, {**plain, "duration_seconds": 1}, []).budget.budget_id
    other = here.budgets.create(ME, {**plain, "duration_seconds": None}, []).budget.budget_id
    key, _ = here.issuer.create(ME, NewKey(budget_id=periodic))
    until(here.budgets.turn, "its period has ended")
    here.issuer.alter(ME, key.id, {"budget_id": None})
    holding = here.issuer.alter(ME, key.id, {"budget_id": other}).holding
    assert holding is not None
    assert holding.since > key.created_at


@asynccontextmanager
async def running(each: Accounts) -> AsyncIterator[Accounts]:
    await each.start()
    try:
        yield each
    finally:
        await each.stop()


def statements(engine: Engine) -> list[str]:
    seen: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda c, cur, text, *rest: seen.append(text))
    return seen


def away(engine: Engine) -> None:
    def refuse(*_: Any) -> None:
        raise OperationalError("execute", None, ConnectionError("away"))

    event.listen(engine, "before_cursor_execute", refuse)


async def until_refused(each: Accounts, key: str, error: type[Exception]) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                await each.keys.authenticate(key)
            except error:
                return
            await asyncio.sleep(0.02)


async def test_a_known_key_costs_no_statement(engine: Engine) -> None:
    each = accounts(engine)
    record, plain = each.issuer.create(ME, NewKey(user_id="ann"))
    each.directory.refresh()
    principal = await each.keys.authenticate(plain)
    await each.keys.payer(principal, "some customer")
    seen = statements(engine)
    for _ in range(3):
        principal = await each.keys.authenticate(plain)
        assert principal.key is not None
        assert principal.key.id == record.id
        assert await each.keys.payer(principal, "some customer") == ("ann", "some customer")
    assert seen == []


async def test_all_who_come_at_once_with_a_new_key_cost_one_look(engine: Engine) -> None:
    each = accounts(engine)
    _, plain = each.issuer.create(ME, NewKey())
    seen = statements(engine)
    await asyncio.gather(*(each.keys.authenticate(plain) for _ in range(50)))
    assert len([text for text in seen if "account_keys" in text]) == 1


async def test_unknown_keys_are_remembered_for_a_moment_and_no_longer_once_made(engine: Engine) -> None:
    each = accounts(engine)
    plain = "gw-" + "a" * 64
    for _ in range(2):
        with pytest.raises(Unauthenticated, match="Invalid API key"):
            await each.keys.authenticate(plain)
    each.issuer.create(ME, NewKey(key=plain))
    assert not (await each.keys.authenticate(plain)).is_master


async def test_a_process_without_its_database_hears_of_a_revoked_key_from_redis(
    postgres_url: str, redis_url: str
) -> None:
    ACCOUNTS.upgrade(postgres_url)
    one, two = make_engine(postgres_url), make_engine(postgres_url)
    async with (
        running(accounts(one, redis_url=redis_url)) as here,
        running(accounts(two, redis_url=redis_url)) as there,
    ):
        record, plain = await asyncio.to_thread(here.issuer.create, ME, NewKey())
        _, other = await asyncio.to_thread(here.issuer.create, ME, NewKey())
        await there.keys.authenticate(plain)
        await there.keys.authenticate(other)
        away(two)
        await there.keys.authenticate(plain)
        await asyncio.to_thread(here.issuer.alter, ME, record.id, {"is_active": False})
        await until_refused(there, plain, NotReady)
        await there.keys.authenticate(other)
    one.dispose()
    two.dispose()


async def test_with_both_away_known_keys_are_served_for_so_long(engine: Engine) -> None:
    async with running(accounts(engine, max_stale=1.0)) as each:
        _, plain = await asyncio.to_thread(each.issuer.create, ME, NewKey())
        await each.keys.authenticate(plain)
        away(engine)
        await each.keys.authenticate(plain)
        await until_refused(each, plain, NotReady)


async def test_a_blocked_user_pays_for_nothing(engine: Engine) -> None:
    each = accounts(engine)
    _, plain = each.issuer.create(ME, NewKey(user_id="rowdy"))
    principal = await each.keys.authenticate(plain)
    each.users.alter(ME, "rowdy", {"blocked": True})
    with pytest.raises(NotAllowed, match="User 'rowdy' is blocked"):
        await each.keys.payer(principal, None)


def budget(each: Accounts, scopes: Any = (), **values: Any) -> str:
    plain: dict[str, Any] = {"name": None, "max_budget": Decimal("0.1"), "duration_seconds": None, "period": None}
    plain |= {"zone": "UTC", "soft_threshold": Decimal("0.8")}
    return each.budgets.create(ME, {**plain, **values}, scopes).budget.budget_id


async def test_the_policy_of_a_call_is_answered_from_memory(engine: Engine) -> None:
    each = accounts(engine)
    shared = budget(each, [("model", "openai:gpt"), ("tag", "team=red"), ("global", EVERYBODY), ("provider", "solar")])
    own = budget(each, duration_seconds=60)
    each.users.create(ME, "ann", {"alias": None, "limits": {"tokens_per_day": 5}}, own)
    new = NewKey(user_id="ann", tags={"team": "red"}, limits={"requests_per_minute": 2}, budget_id=own)
    _, plain = each.issuer.create(ME, new)
    principal = await each.keys.authenticate(plain)
    key = principal.key
    assert key is not None
    seen = statements(engine)
    policy = each.policies.of_caller(key, "ann", key.tags)
    models = each.policies.of_target("openai", "gpt")
    assert each.policies.of_target("openai", "other") is NOTHING
    assert seen == []
    assert {(rule.scope, rule.scope_id) for rule in policy.limits} == {("key", key.id), ("user", "ann")}
    found = {(rule.scope, rule.scope_id, rule.budget_id) for rule in policy.budgets}
    assert found == {
        ("key", key.id, own),
        ("user", "ann", own),
        ("tag", "team=red", shared),
        ("global", "*", shared),
    }
    assert [(rule.scope, rule.scope_id, rule.budget_id) for rule in models.budgets] == [("model", "openai:gpt", shared)]
    assert {rule.amount_pico for rule in policy.budgets} == {10**11}
    rolling = next(rule for rule in policy.budgets if rule.scope == "user")
    assert rolling.until is not None
    assert rolling.since <= datetime.now(UTC) < rolling.until
    each.budgets.delete(ME, shared)
    each.budgets.delete(ME, own)
    each.issuer.alter(ME, key.id, {"limits": None})
    each.users.alter(ME, "ann", {"limits": None})
    principal = await each.keys.authenticate(plain)
    assert principal.key is not None
    assert each.policies.of_caller(principal.key, "ann", key.tags) is NOTHING
    assert each.policies.of_target("openai", "gpt") is NOTHING


def test_shared_limits_are_answered_from_memory_and_beat_those_of_the_configuration(engine: Engine) -> None:
    configured: dict[tuple[Scope, str], Limits] = {
        ("provider", "openai"): Limits(requests_per_minute=1),
        ("model", "openai:gpt"): Limits(concurrent_calls=2),
    }
    each = accounts(engine, configured)
    assert {rule.scope: rule.limits for rule in each.policies.of_target("openai", "gpt").limits} == {
        "provider": Limits(requests_per_minute=1),
        "model": Limits(concurrent_calls=2),
    }
    assert each.policies.of_caller(None, "ann", {}) is NOTHING
    each.limits.put(ME, "provider", "openai", Limits(tokens_per_day=7))
    each.limits.put(ME, "global", EVERYBODY, Limits(tokens_per_minute=8))
    (rule,) = each.policies.of_target("openai", "other").limits
    assert (rule.scope, rule.scope_id, rule.limits) == ("provider", "openai", Limits(tokens_per_day=7))
    (rule,) = each.policies.of_caller(None, "ann", {}).limits
    assert (rule.scope, rule.scope_id, rule.limits) == ("global", "*", Limits(tokens_per_minute=8))
    each.limits.remove(ME, "provider", "openai")
    (rule,) = each.policies.of_target("openai", "other").limits
    assert rule.limits == Limits(requests_per_minute=1)
    with pytest.raises(NotFound):
        each.limits.remove(ME, "provider", "openai")


async def test_a_period_that_ends_is_known_before_the_database_knows(engine: Engine) -> None:
    each = accounts(engine)
    own = budget(each, duration_seconds=1)
    first = each.users.create(ME, "ann", {"alias": None}, own)
    _, plain = each.issuer.create(ME, NewKey(user_id="ann"))
    principal = await each.keys.authenticate(plain)
    assert first.holding is not None
    assert first.holding.next_reset_at is not None
    await asyncio.sleep((first.holding.next_reset_at - datetime.now(UTC)).total_seconds() + 0.01)
    (rule,) = each.policies.of_caller(principal.key, "ann", {}).budgets
    assert rule.since >= first.holding.next_reset_at
    assert each.budgets.turn() == 1
    (reset,) = each.budgets.resets(own, 0, 10)
    assert (reset.scope_id, reset.since, reset.reset_at) == ("ann", first.spend_since, first.holding.next_reset_at)
    assert each.users.get("ann").spend_since >= rule.since
    assert each.budgets.turn() == 0
