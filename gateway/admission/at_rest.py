"""What is held in Redis and should not be: for `tollgate usage verify`.

A hold lives as long as its call. One that is left when its gateway has not been heard of for the lease is nobody's: any
running gateway gives it back at its next turn, so it stays only where none runs. And what each budget counts as held,
each limit as calls in flight, must be what the holds that are there add up to. Keys and their contents: `admit.lua`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from redis import Redis
from redis.exceptions import RedisError

from gateway.admission.in_redis import PREFIX, RedisAway

# In one step, or calls that begin and end meanwhile would look like differences.
_SCRIPT: Final = """
local P, call = KEYS[1], redis.call
local function calls(key)
  local found = {}
  for _, packed in ipairs(call('HVALS', key)) do table.insert(found, cmsgpack.unpack(packed)) end
  return found
end
local function named(kind, read)
  local found = {}
  for _, key in ipairs(call('KEYS', P .. kind .. '*')) do
    table.insert(found, {string.sub(key, #P + #kind + 1), read(key)})
  end
  return found
end
local time = call('TIME')
local live = {}
local flat = call('ZRANGE', P .. ':live', 0, -1, 'WITHSCORES')
for i = 1, #flat, 2 do table.insert(live, {flat[i], flat[i + 1]}) end
return cmsgpack.pack({time[1] * 1000 + math.floor(time[2] / 1000), live, named(':h:', calls),
  named(':m:', function(key) return call('HGET', key, 'held') or '0' end),
  named(':s:', function(key) return call('GET', key) end)})
"""


@dataclass(frozen=True, slots=True)
class Book:
    """What Redis holds at one moment. `live`: when a gateway was last heard of (ms). `open`: what each gateway's calls
    have taken, as (kind, id, amount)."""

    now_ms: int
    live: Mapping[str, float]
    open: Mapping[str, list[list[tuple[str, str, int]]]]
    held: Mapping[str, int]
    slots: Mapping[str, int]


def holds_left(url: str, lease_seconds: float, *, prefix: str = PREFIX) -> list[str]:
    """One line for each thing that is held and should not be. Raises RedisAway; ValueError for a URL that is none."""
    client: Redis = Redis.from_url(url, socket_timeout=10, socket_connect_timeout=5)
    try:
        packed: Any = client.eval(_SCRIPT, 1, prefix)
    except (RedisError, OSError) as error:
        raise RedisAway(f"Redis cannot be reached ({type(error).__name__})") from error
    finally:
        client.close()
    return differences(_book(msgspec.msgpack.decode(packed)), lease_seconds)


def differences(book: Book, lease_seconds: float) -> list[str]:
    lines = []
    for gateway, calls in sorted(book.open.items()):
        silent = (book.now_ms - book.live.get(gateway, 0)) / 1000
        if calls and silent > lease_seconds:
            since = f"for {silent:.0f} s" if gateway in book.live else "any more"
            lines.append(f"holds [{gateway}]: {len(calls)} calls, of a gateway that is not heard of {since}")
    taken = [each for calls in book.open.values() for call in calls for each in call]
    lines += _unequal("budget", book.held, ((name, amount) for kind, name, amount in taken if kind == "money"))
    lines += _unequal("calls in flight", book.slots, ((name, 1) for kind, name, _ in taken if kind == "slot"))
    return lines


def _unequal(what: str, counted: Mapping[str, int], taken: Iterable[tuple[str, int]]) -> list[str]:
    sums: Counter[str] = Counter()
    for name, amount in taken:
        sums[name] += amount
    names = sorted(counted.keys() | sums.keys())
    return [
        f"{what} [{name}]: held {counted.get(name, 0) - sums[name]:+d}"
        for name in names
        if counted.get(name, 0) != sums[name]
    ]


def _book(found: list[Any]) -> Book:
    now_ms, live, holds, held, slots = found
    return Book(
        now_ms=now_ms,
        live={name: float(score) for name, score in live},
        open={name: [_taken(call) for call in calls] for name, calls in holds},
        held={name: int(amount) for name, amount in held},
        slots={name: int(count) for name, count in slots},
    )


def _taken(call: Iterable[Any]) -> list[tuple[str, str, int]]:
    """An amount is decimal text where it is money, and missing where it is a slot."""
    return [(kind, name, int(rest[0]) if rest else 0) for kind, name, *rest in call]
