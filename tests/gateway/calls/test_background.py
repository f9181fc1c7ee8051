"""What becomes of jobs when the gateway that makes them ends."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import event

from gateway.accounts.jobs import Jobs
from gateway.accounts.keys import Principal
from gateway.accounts.migrate import ACCOUNTS
from gateway.accounts.service import Accounts
from gateway.calls.background import Background, JobRequest
from gateway.exchange import Exchange
from gateway.settings import JobsSection
from gateway.surfaces import LLM_SERVER, DoorSurface
from ledger.engine import make_engine

SETTINGS = JobsSection()
REQUEST = JobRequest({"user_prompt": "x"}, visitor=True, language=None, lower_cap="1").to_json()


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    url = f"sqlite:///{tmp_path}/accounts.db"
    ACCOUNTS.upgrade(url)
    return Accounts(make_engine(url), redis_url=None, master_key=None, max_stale=1, limits={})


async def _answers(principal: Principal, exchange: Exchange, surface: DoorSurface) -> None:
    lower = exchange.header(b"x-tollgate-lower-max-tokens")
    told = {"for": principal.visitor, "lower": lower, "path": surface.path}
    await exchange.respond(200, [], json.dumps(told).encode())


def _connections(accounts: Accounts, count: int) -> threading.Event:
    """Set once so many more connections were taken."""
    seen, there = [], threading.Event()

    def taken(*_: object) -> None:
        seen.append(1)
        if len(seen) == count:
            there.set()

    event.listen(accounts.store.engine, "checkout", taken)
    return there


async def test_what_is_claimed_while_the_gateway_ends_is_given_back(accounts: Accounts) -> None:
    """The claim waits for the database's lock in a thread, which nobody can cancel."""
    jobs = Jobs(accounts.store, SETTINGS, "ending")
    job = await jobs.add("u", None, REQUEST)
    background = Background(jobs, accounts.keys, _answers, LLM_SERVER, SETTINGS)
    with accounts.store.engine.begin():
        claiming = _connections(accounts, 2)  # one to look whether there is any, one to claim it
        running = asyncio.create_task(background.run())
        assert await asyncio.to_thread(claiming.wait, 10)
        running.cancel()
        await asyncio.sleep(0)
    with suppress(asyncio.CancelledError):
        await running
    await background.stop()
    (taken,) = await Jobs(accounts.store, SETTINGS, "next").claim(5)
    assert (taken.job_id, taken.runs) == (job.job_id, 1)


async def test_a_job_is_made_as_its_headers_asked(accounts: Accounts) -> None:
    """And one that is being made when the gateway ends is ended first."""
    jobs = Jobs(accounts.store, SETTINGS, "only")
    job = await jobs.add("u", None, REQUEST)
    begun = asyncio.Event()

    async def serve(principal: Principal, exchange: Exchange, surface: DoorSurface) -> None:
        begun.set()
        await _answers(principal, exchange, surface)

    background = Background(jobs, accounts.keys, serve, LLM_SERVER, SETTINGS)
    running = asyncio.create_task(background.run())
    await asyncio.wait_for(begun.wait(), 10)
    running.cancel()
    await background.stop()
    found = await jobs.find("u", job.job_id)
    assert found is not None
    assert json.loads(found.answer or "") == {"for": "u", "lower": "1", "path": "/api/v1/chat"}
