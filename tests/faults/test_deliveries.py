"""Line 5: everything is delivered three times and out of order, among poison and events of a future version."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from redis import Redis

from tests.faults.cluster import STREAM, Cluster, until
from tests.faults.counts import Counts
from tests.faults.sizes import SIZE
from tests.faults.verdict import judge
from usage_contract.event import SCHEMA_VERSION

Note = Callable[[Counts], None]
_FOREIGN = "00000000-0000-7000-8000-00000000dead"  # poison counts in no real producer's receipts
_POISON = 12


def test_three_times_out_of_order_among_poison(cluster: Cluster, note: Note) -> None:
    cluster.worker.stop()
    chance = random.Random(3)
    with cluster.load() as load, Redis.from_url(cluster.redis_url) as redis:
        load.reached(1.0)
        until(lambda: redis.xlen(STREAM) >= SIZE.calls, "everything is in the stream")
        until(lambda: _shipped(cluster, redis), "the spools are shipped")
        original = [fields for _, fields in redis.xrange(STREAM)]
        redis.xtrim(STREAM, maxlen=0)  # what was delivered first must not stay first
        thrice = original * 3 + [_poison(number) for number in range(_POISON)]
        chance.shuffle(thrice)
        with redis.pipeline(transaction=False) as pipe:
            for fields in thrice:
                pipe.xadd(STREAM, fields)
            pipe.execute()
        cluster.worker.start()
    counts = judge(cluster, load, "5 thrice, out of order, poison", seconds=SIZE.settle)
    note(counts)
    assert counts.answered == SIZE.calls, load.unanswered()
    letters = cluster.sql("SELECT reason, count(*) FROM usage_dead_letters WHERE resolution IS NULL GROUP BY reason")
    assert sum(count for _, count in letters) == _POISON, letters
    assert any("update the worker" in reason for reason, _ in letters)


def _shipped(cluster: Cluster, redis: Redis) -> bool:
    """Whether no entry came for a moment: nobody acknowledges, so the stream only grows."""
    before = redis.xlen(STREAM)
    events = sum(path.read_bytes().count(b"\nE") for path in cluster.spool_root.glob("*/*.seg"))
    return bool(redis.xlen(STREAM) == before >= events)


def _poison(number: int) -> dict[bytes, bytes]:
    """Noise, a torn event, or a whole one of a version that nobody here knows."""
    origin = {b"v": b"%d" % SCHEMA_VERSION, b"producer": _FOREIGN.encode(), b"segment": b"%d" % number}
    match number % 3:
        case 0:
            return {**origin, b"event": b'{"event_id": "torn %d' % number}
        case 1:
            return {b"noise": b"%d" % number}
        case _:
            future = {"schema_version": SCHEMA_VERSION + 1, "number": number}
            return {**origin, b"v": b"%d" % (SCHEMA_VERSION + 1), b"event": json.dumps(future).encode()}
