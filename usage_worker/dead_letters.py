"""What an operator does with dead letters: look at them, try them again, give them up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, func, or_, select, update

from ledger.engine import reading
from ledger.tables import usage_dead_letters
from usage_worker.decode import Row, decode
from usage_worker.entries import Entry
from usage_worker.errors import Refused
from usage_worker.store import Store, translated_errors

_TABLE = usage_dead_letters.c
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One row of `usage_dead_letters`. `payload` is an event as JSON, or what came in its place."""

    letter_id: str
    event_id: str | None
    producer: str | None
    segment: int | None
    counted: bool
    reason: str
    payload: bytes
    first_seen: datetime
    resolution: str | None


@dataclass(frozen=True, slots=True)
class Retried:
    """`stored` letters became rows (or were rows already); `still_bad` maps a letter's id to its reason now."""

    stored: int
    still_bad: dict[str, str]


def open_letters(engine: Engine, ids: Sequence[str] = (), *, limit: int | None = None) -> list[DeadLetter]:
    """Letters that wait for somebody, oldest first. `ids` may be shortened to a unique beginning."""
    names = DeadLetter.__dataclass_fields__
    query = select(*(_TABLE[name] for name in names)).where(_TABLE.resolution.is_(None))
    if ids:
        query = query.where(or_(*(_TABLE.letter_id.startswith(each, autoescape=True) for each in ids)))
    with reading(engine) as connection:
        rows = connection.execute(query.order_by(_TABLE.first_seen, _TABLE.letter_id).limit(limit))
        return [DeadLetter(*row) for row in rows]


def count_open(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.scalar(select(func.count()).where(_TABLE.resolution.is_(None))) or 0


def retry(engine: Engine, clock: Callable[[], datetime], ids: Sequence[str] = ()) -> Retried:
    """Store what can be stored by now: after an update of the worker, for example. Raises StoreUnavailable."""
    store = Store(engine, clock)
    stored, still_bad = 0, {}
    letters = open_letters(engine, ids)
    for start in range(0, len(letters), _AT_ONCE):
        for letter in letters[start : start + _AT_ONCE]:
            reason = _retry_one(engine, store, letter, clock())
            if reason is None:
                stored += 1
            else:
                still_bad[letter.letter_id] = reason
    return Retried(stored, still_bad)


def drop(engine: Engine, clock: Callable[[], datetime], ids: Sequence[str]) -> int:
    """Give letters up: their payload goes, their count stays in the receipt. Raises StoreUnavailable."""
    found = [letter.letter_id for letter in open_letters(engine, ids)]
    _resolve(engine, found, "dropped", clock())
    return len(found)


def _retry_one(engine: Engine, store: Store, letter: DeadLetter, now: datetime) -> str | None:
    """The reason why it is still bad; None: it is in the ledger."""
    rows, rejected = decode([Entry(None, letter.payload, letter.producer, letter.segment)], now)
    if rejected:
        return rejected[0].reason
    row: Row = rows[0]
    try:
        saved = store.save([row], [])
    except Refused as error:
        return str(error)
    same_letter = row.letter("").letter_id == letter.letter_id
    if saved.dead_lettered or (same_letter and not saved.stored):
        return letter.reason
    # The store resolves letters of the row's own origin; one whose envelope was unreadable is not among them.
    _resolve(engine, [letter.letter_id], "stored", now)
    return None


def _resolve(engine: Engine, ids: Sequence[str], resolution: str, now: datetime) -> None:
    with translated_errors(), engine.begin() as connection:
        for start in range(0, len(ids), _AT_ONCE):
            among = _TABLE.letter_id.in_(ids[start : start + _AT_ONCE])
            change = update(usage_dead_letters).where(among, _TABLE.resolution.is_(None))
            connection.execute(change.values(resolution=resolution, resolved_at=now, payload=b""))
