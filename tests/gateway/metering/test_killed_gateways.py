"""Gateways that are killed again and again while they meter and ship: one row for every call, and one story for it."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from redis.asyncio import Redis

from gateway.metering.adoption import producers
from gateway.metering.redis_stream import RedisStream
from gateway.metering.shipper import Shipper, ShipperSettings
from gateway.metering.spool import Spool, SpoolSettings
from tests.gateway.metering.ledgers import MemoryLedger

ROOT = Path(__file__).resolve().parents[3]
ROUNDS = 6
CALLS_A_ROUND = 400

# Notes every call as the upstream would: after the intent, before the outcome.
GATEWAY = """
import asyncio, os, sys
from pathlib import Path
from gateway.metering.redis_stream import RedisStream
from gateway.metering.settlement import Metering
from gateway.metering.shipper import Shipper, ShipperSettings
from gateway.metering.spool import Spool, SpoolSettings
from tests.gateway.metering.ledgers import SUCCESS, begin

async def no_receipts(producer, first):
    return []

async def main(root, noted, url, fsync):
    fsync = int(fsync) if fsync.isdigit() else fsync
    spool = Spool(SpoolSettings(root=Path(root), segment_bytes=30_000, fsync=fsync))
    spool.open()
    metering = Metering(spool)
    settings = ShipperSettings(poll_seconds=0.005, adopt_seconds=0.05)
    shipper = Shipper(spool, no_receipts, RedisStream(url) if url else None, settings=settings)
    task = asyncio.create_task(shipper.run())
    note = os.open(noted, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    in_flight = []
    while True:
        attempt = begin(metering)
        os.write(note, (attempt.event_id + "\\n").encode())
        in_flight.append(attempt)
        if len(in_flight) > 8:
            in_flight.pop(0).finish(SUCCESS)
        await asyncio.sleep(0)

asyncio.run(main(*sys.argv[1:]))
"""


def calls(noted: Path) -> list[str]:
    return noted.read_text().split() if noted.exists() else []


def run_and_kill(root: Path, noted: Path, url: str, fsync: str, until: int) -> None:
    """A gateway that runs until so many calls are noted, and is then killed at a moment of chance."""
    command = [sys.executable, "-c", textwrap.dedent(GATEWAY), str(root), str(noted), url, fsync]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while len(calls(noted)) < until:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(random.random() / 20)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("transport", "fsync"), [("redis", "never"), ("redis", "20"), ("spool", "never")])
async def test_every_call_has_one_row(tmp_path: Path, redis_url: str, transport: str, fsync: str) -> None:
    root, noted = tmp_path / "spool", tmp_path / "noted"
    url = redis_url if transport == "redis" else ""
    ledger = MemoryLedger()
    redis = Redis.from_url(redis_url)
    for number in range(1, ROUNDS + 1):
        await asyncio.to_thread(run_and_kill, root, noted, url, fsync, number * CALLS_A_ROUND)
        if url:
            await ledger.consume(redis)
        else:
            ledger.read(root)
    accepted = calls(noted)

    heir = Spool(SpoolSettings(root=root, fsync="never"))
    heir.open()
    settings = ShipperSettings(poll_seconds=0.01, receipts_seconds=0.02, adopt_seconds=0.05, confirm_seconds=1)
    shipper = Shipper(heir, ledger.receipts, RedisStream(url) if url else None, settings=settings)
    async with asyncio.timeout(60):
        while len(producers(root)) > 1:
            await shipper.turn()
            await (ledger.consume(redis) if url else asyncio.to_thread(ledger.read, root))
    await shipper.close()
    heir.close()
    await redis.aclose()

    assert len(accepted) == len(set(accepted)) >= ROUNDS * CALLS_A_ROUND
    assert set(accepted) <= set(ledger.events)
    lost = [event for event in ledger.events.values() if event.kind == "lost"]
    assert 0 < len(lost) <= ROUNDS * 9  # those in flight
    unasked = set(ledger.events) - set(accepted)  # intents of calls that were not made any more
    assert unasked <= {event.event_id for event in lost}
    assert len(unasked) <= ROUNDS
    assert all(event.estimated and event.cost_pico for event in lost)
    assert producers(root) == []
