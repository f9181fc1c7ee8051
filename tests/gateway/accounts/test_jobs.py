from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert, update

from gateway.accounts.jobs import MOST_RUNS, Jobs
from gateway.accounts.store import AccountStore
from gateway.accounts.tables import jobs, users
from gateway.settings import JobsSection
from wire.errors import LimitReached


def make(engine: Engine, me: str = "gateway-1", **settings: float) -> Jobs:
    return Jobs(AccountStore(engine), JobsSection.model_validate(settings), me)


def end_leases(engine: Engine) -> None:
    """As if the gateways that hold them had died a while ago."""
    with engine.begin() as connection:
        past = datetime.now(UTC) - timedelta(seconds=1)
        connection.execute(update(jobs).where(jobs.c.state == "running").values(leased_until=past))


async def test_a_job_goes_from_asked_to_answered(engine: Engine) -> None:
    kept = make(engine)
    job = await kept.add("u", "key-1", '{"user_prompt": "안녕\\u0000"}')
    assert (job.state, job.runs, job.answer) == ("queued", 0, None)
    (claimed,) = await kept.claim(10)
    assert (claimed.job_id, claimed.request, claimed.key_id, claimed.runs) == (job.job_id, job.request, "key-1", 1)
    running = await kept.find("u", job.job_id)
    assert running is not None
    assert running.state == "running"
    assert await kept.finish(job.job_id, 200, '{"output_text": "hi"}')
    done = await kept.find("u", job.job_id)
    assert done is not None
    assert (done.state, done.status, done.answer) == ("done", 200, '{"output_text": "hi"}')
    assert done.ended_at is not None
    assert await kept.find("other", job.job_id) is None
    assert await kept.find("u", "no-such-job") is None


async def test_each_job_is_claimed_once(engine: Engine) -> None:
    gateways = [make(engine, f"gateway-{number}") for number in range(4)]
    made = [(await gateways[0].add("u", None, "{}")).job_id for _ in range(20)]
    claims = await asyncio.gather(*[each.claim(3) for _ in range(3) for each in gateways])
    found = [job.job_id for claim in claims for job in claim]
    assert sorted(found) == sorted(set(found))
    assert set(found) <= set(made)


async def test_a_dead_gateways_job_is_taken_over_and_it_may_not_end_it_any_more(engine: Engine) -> None:
    dead, live = make(engine, "dead"), make(engine, "live")
    job = await dead.add("u", None, "{}")
    assert len(await dead.claim(1)) == 1
    assert await live.claim(1) == []
    assert await dead.renew(job.job_id)
    end_leases(engine)
    (taken,) = await live.claim(1)
    assert (taken.job_id, taken.runs) == (job.job_id, 2)
    assert not await dead.renew(job.job_id)
    assert not await dead.finish(job.job_id, 200, "{}")
    assert await live.finish(job.job_id, 200, "{}")


async def test_it_fails_when_it_was_begun_too_often(engine: Engine) -> None:
    kept = make(engine)
    job = await kept.add("u", None, "{}")
    for _ in range(MOST_RUNS):
        assert len(await kept.claim(1)) == 1
        end_leases(engine)
    assert await kept.claim(1) == []
    found = await kept.find("u", job.job_id)
    assert found is not None
    assert (found.state, found.status, found.answer) == ("failed", 500, None)


async def test_one_given_back_is_begun_at_once_and_as_if_for_the_first_time(engine: Engine) -> None:
    first, second = make(engine, "first"), make(engine, "second")
    job = await first.add("u", None, "{}")
    await first.claim(1)
    await first.give_back(job.job_id)
    (taken,) = await second.claim(1)
    assert (taken.job_id, taken.runs) == (job.job_id, 1)


@pytest.mark.parametrize("running", [False, True])
async def test_a_cancelled_job_stays_so(engine: Engine, running: bool) -> None:
    kept = make(engine)
    job = await kept.add("u", None, "{}")
    if running:
        await kept.claim(1)
    assert await kept.cancel("other", job.job_id) is None
    cancelled = await kept.cancel("u", job.job_id)
    assert cancelled is not None
    assert cancelled.state == "cancelled"
    assert not await kept.renew(job.job_id)
    assert not await kept.finish(job.job_id, 200, "{}")
    assert await kept.claim(1) == []
    again = await kept.cancel("u", job.job_id)
    assert again == cancelled


async def test_a_user_has_so_many_open_jobs(engine: Engine) -> None:
    kept = make(engine, max_open=2)
    first = await kept.add("u", None, "{}")
    await kept.add("u", None, "{}")
    with pytest.raises(LimitReached):
        await kept.add("u", None, "{}")
    await kept.add("other", None, "{}")
    await kept.cancel("u", first.job_id)
    await kept.add("u", None, "{}")


async def test_old_answers_are_removed_open_jobs_are_not(engine: Engine) -> None:
    kept = make(engine, ttl_hours=0.000001)
    ended = await kept.add("u", None, "{}")
    waiting = await kept.add("u", None, "{}")
    await kept.claim(1)
    await kept.finish(ended.job_id, 200, "{}")
    await asyncio.sleep(0.01)  # the database's clock, which no test moves
    assert await kept.find("u", ended.job_id) is None
    assert kept.purge() == 1
    (claimed,) = await kept.claim(5)
    assert claimed.job_id == waiting.job_id


async def test_where_nobody_makes_jobs_any_more_those_that_wait_end_with_their_time(engine: Engine) -> None:
    kept = make(engine, ttl_hours=0.000001, enabled=False)
    await kept.add("u", None, "{}")
    await asyncio.sleep(0.01)
    assert kept.purge() == 1


async def test_a_deleted_users_jobs_are_removed(engine: Engine) -> None:
    kept = make(engine)
    await kept.add("gone", None, "{}")
    there = await kept.add("there", None, "{}")
    now = datetime.now(UTC)
    with engine.begin() as connection:
        for name, deleted_at in (("gone", now), ("there", None)):
            row: dict[str, Any] = {
                "user_id": name,
                "deleted_at": deleted_at,
                "blocked": False,
                "metadata": {},
                "version": 1,
            }
            times = dict.fromkeys(("spend_since", "created_at", "updated_at"), now)
            connection.execute(insert(users).values({**row, **times}))
    assert kept.purge() == 1
    (claimed,) = await kept.claim(5)
    assert claimed.job_id == there.job_id
