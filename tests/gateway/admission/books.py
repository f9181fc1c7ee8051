"""A book in Redis, asked directly: the script with a clock that a test sets."""

from __future__ import annotations

from typing import Any

import msgspec
from redis import Redis

from gateway.admission.in_redis import SCRIPT
from gateway.admission.rules import Charge, Demand, Line, Money, Slots, Window

CLOCK = "test:clock"
_TIME = "call('TIME')"
assert _TIME in SCRIPT
CLOCKED_SCRIPT = SCRIPT.replace(_TIME, f"call('LRANGE', '{CLOCK}', 0, 1)")


def set_clock(redis: Redis, now_ms: int) -> None:
    redis.delete(CLOCK)
    redis.rpush(CLOCK, str(now_ms // 1000), str(now_ms % 1000 * 1000))


class RedisBook:
    """The operations of `gateway.admission.rules.Book`, by the script."""

    def __init__(self, redis: Redis, lease_ms: int) -> None:
        self.redis = redis
        self._script = redis.register_script(CLOCKED_SCRIPT)
        self._lease = lease_ms
        self._epoch = ""

    def ask(self, what: str, gateway: str, told: list[Any]) -> Any:
        args: list[str | int | bytes] = [what, gateway, self._epoch, self._lease, msgspec.msgpack.encode(told)]
        return msgspec.msgpack.decode(self._script(keys=["{t}"], args=args))

    def join(self, gateway: str, *, peers: tuple[str, ...] = (), holds: Any = (), charges: Any = ()) -> str:
        word, _, (epoch,) = self.ask(
            "join", gateway, ["e", list(peers), list(holds), list(charges), [], list(charges), [], []]
        )
        self._epoch = epoch
        return str(word)

    def one(self, gateway: str, *operation: Any) -> Any:
        word, _, answers = self.ask("batch", gateway, [list(operation)])
        return answers[0] if word == "ok" else word

    def admit(self, gateway: str, demand: Demand) -> Any:
        return self.one(gateway, "a", demand.hold_id, [packed(line) for line in demand.lines])

    def finish(self, gateway: str, hold_id: str, used: list[int], charges: list[Charge], *part: list[str]) -> None:
        sums = [[each.money_id, each.event_id, str(each.amount)] for each in charges]
        self.one(gateway, "f", hold_id, used, sums, *part)


def packed(line: Line) -> list[Any]:
    match line:
        case Window():
            return ["w", line.id, line.capacity, line.step_ms, line.amount, line.unit != "requests"]
        case Slots():
            return ["s", line.id, line.capacity]
        case Money():
            return ["m", line.id, str(line.capacity), str(line.hold), str(line.least)]
