"""The one transaction: events, rollups of the new ones, dead letters and receipts, all or nothing.

A transaction holds the ledger lock, shared; what rewrites or drops what is stored (retention, rebuild)
holds it alone. Locks are taken in one order by every worker (events, letters, rollups, receipts, each sorted
by key), so two workers on the same events wait for each other instead of deadlocking.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Engine, case, select, text, tuple_, update

from ledger import partitions
from ledger.tables import from_us, ledger_state, metadata, to_us, usage_dead_letters, usage_events, usage_receipts
from ledger.uuid7 import event_time_us
from usage_worker.bulk import bulk_for, insert_into
from usage_worker.decode import Row
from usage_worker.entries import Letter
from usage_worker.errors import DATABASE_ERRORS, Refused, from_database
from usage_worker.rollups import roll_up

LEDGER_LOCK = 7_061_640_103
MONTHS_AHEAD = 2
_LOOKUP = 500  # keys in one IN list

Origin = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Saved:
    """What one batch changed. `duplicates`: entries whose event or letter was there already."""

    stored: int
    duplicates: int
    dead_lettered: int


@dataclass(slots=True)
class _Count:
    """What the batch adds to one receipt."""

    stored: int = 0
    dead_lettered: int = 0
    first_event_us: int | None = None

    def saw(self, event_us: int) -> None:
        self.stored += 1
        self.first_event_us = event_us if self.first_event_us is None else min(self.first_event_us, event_us)


class Store:
    """Writes batches. Not safe for several threads at once; several processes are."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock
        self._bulk = bulk_for(engine.dialect.name)
        self._months: set[date] = set()

    def save(self, rows: Sequence[Row], letters: Sequence[Letter]) -> Saved:
        """Store a batch exactly once, however often it is delivered.

        Raises StoreUnavailable (try the same again later) or Refused (some row of it can never be stored; nothing was).
        """
        try:
            with translated_errors():
                self._ensure_partitions(rows)
                with self._engine.begin() as connection:
                    lock_ledger(connection)
                    return self._save(connection, rows, letters)
        except Refused:
            self._months.clear()  # an operator may have dropped a partition that we remember
            raise

    def prepare(self) -> None:
        """Make the partitions of this month and the next ones. Raises StoreUnavailable."""
        with translated_errors():
            month, months = partitions.month_of(self._clock()), []
            for _ in range(MONTHS_AHEAD + 1):
                months.append(month)
                month = partitions.next_month(month)
            with self._engine.begin() as connection:
                partitions.ensure(connection, months)
            self._months.update(months)

    def _ensure_partitions(self, rows: Iterable[Row]) -> None:
        if self._engine.dialect.name == "sqlite":
            return
        missing = {partitions.month_of(from_us(time)) for time in {row.event_time for row in rows}} - self._months
        if missing:
            with self._engine.begin() as connection:
                partitions.ensure(connection, missing)
            self._months |= missing

    def _save(self, connection: Connection, rows: Sequence[Row], letters: Sequence[Letter]) -> Saved:
        cutoff = retained_from(connection)
        kept = [row for row in rows if cutoff is None or row.event_time >= to_us(cutoff)]
        expired = [row.letter("older than the retention") for row in rows if cutoff and row.event_time < to_us(cutoff)]
        firsts = {row.event_id: row for row in reversed(kept)}
        new = self._bulk.insert_events(connection, [row.values for row in firsts.values()]) if firsts else set()
        inserted = [row for row in firsts.values() if row.event_id in new]
        conflicts = _conflicts(connection, kept, inserted)
        now = self._clock()
        buried = _bury(connection, [*letters, *expired, *conflicts], now)
        risen = _raise_dead(connection, inserted, now)
        for table, sums in roll_up(row.values for row in inserted).items():
            if sums:
                self._bulk.add(connection, metadata.tables[table], sums)
        _write_receipts(connection, _counts(inserted, buried, risen), now)
        return Saved(len(inserted), len(rows) + len(letters) - len(inserted) - len(buried), len(buried))


# Gateways delete spool segments on the word of a receipt, so a commit must be on the disk when it returns, whatever the
# server's default is. A stricter setting than `on` stays.
_DURABLE = """set_config('synchronous_commit', CASE current_setting('synchronous_commit')
    WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true)"""


def lock_ledger(connection: Connection, *, alone: bool = False) -> None:
    """Hold the ledger to the end of the transaction, with other writers or alone, and make its commit durable.

    On SQLite there is one writer anyway, and `ledger.engine` makes every commit durable.
    """
    if connection.dialect.name == "postgresql":
        lock = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
        connection.execute(text(f"SELECT {lock}(:key), {_DURABLE}"), {"key": LEDGER_LOCK})


def retained_from(connection: Connection) -> datetime | None:
    """What is older was dropped, and must not come back. None: nothing was ever dropped."""
    moment: datetime | None = connection.scalar(select(ledger_state.c.retained_from))
    return moment


@contextmanager
def translated_errors() -> Iterator[None]:
    """Database errors as StoreUnavailable or Refused; what is neither (a missing table) passes as it is."""
    try:
        yield
    except DATABASE_ERRORS as error:
        ours = from_database(error)
        if ours is None:
            raise
        raise ours from error


def _conflicts(connection: Connection, rows: Sequence[Row], inserted: Sequence[Row]) -> list[Letter]:
    """Letters for rows whose event_id is stored, but for another segment: each segment must add up on its own.

    After a crash of the operating system a spool may have forgotten an outcome that the ledger has; the `lost` event
    that recovery then writes is settled at once. Any other conflict is a fault for somebody to look at.
    """
    new = {id(row) for row in inserted}
    rest = [row for row in rows if id(row) not in new]
    origins = _stored_origins(connection, {row.event_id: row.event_time for row in rest})
    letters: list[Letter] = []
    for row in rest:
        if origins[row.event_id] != row.origin:
            letter = row.letter("its event_id is stored for another segment")
            letters.append(replace(letter, resolution="superseded") if row.kind == "lost" else letter)
    return letters


def _stored_origins(connection: Connection, times: Mapping[str, int]) -> dict[str, Origin]:
    """Producer and segment of those events (id to event_time) that are stored."""
    found: dict[str, Origin] = {}
    moments = sorted(set(times.values()))
    for start in range(0, len(moments), _LOOKUP):
        # By time alone: the index begins with it, and one millisecond holds few events.
        chunk = [from_us(moment) for moment in moments[start : start + _LOOKUP]]
        table = usage_events.c
        query = select(table.event_id, table.producer, table.segment).where(table.event_time.in_(chunk))
        found |= {
            row.event_id: (row.producer, row.segment) for row in connection.execute(query) if row.event_id in times
        }
    return found


def _bury(connection: Connection, letters: Sequence[Letter], now: datetime) -> list[Letter]:
    """Insert the letters that are new, and that are not events which another worker could store. Returns those."""
    times = {letter.event_id: event_time_us(letter.event_id) for letter in letters if letter.event_id}
    stored = _stored_origins(connection, times)
    mine = {x.letter_id: x for x in letters if stored.get(x.event_id or "") != (x.producer, x.segment)}
    buried: list[Letter] = []
    ids = sorted(mine)
    for start in range(0, len(ids), _LOOKUP):
        chunk = [_letter_values(mine[i], i, now) for i in ids[start : start + _LOOKUP]]
        insert = insert_into(connection, usage_dead_letters).values(chunk).on_conflict_do_nothing()
        new = connection.scalars(insert.returning(usage_dead_letters.c.letter_id))
        buried += [mine[i] for i in new]
    return buried


def _letter_values(letter: Letter, letter_id: str, now: datetime) -> dict[str, Any]:
    return {
        "letter_id": letter_id,
        "event_id": letter.event_id,
        "producer": letter.producer,
        "segment": letter.segment,
        "counted": letter.counted,
        "reason": letter.reason,
        "payload": letter.payload,
        "first_seen": now,
        "resolution": letter.resolution,
        "resolved_at": now if letter.resolution else None,
    }


def _raise_dead(connection: Connection, inserted: Sequence[Row], now: datetime) -> list[Letter]:
    """Resolve letters whose event was stored after all (a newer worker could read it); returns those that count."""
    by_origin: dict[Origin, list[Row]] = defaultdict(list)
    for row in inserted:
        by_origin[row.origin].append(row)
    table = usage_dead_letters.c
    open_letters: set[str] = set()
    origins = sorted(by_origin)
    for start in range(0, len(origins), _LOOKUP):
        among = tuple_(table.producer, table.segment).in_(origins[start : start + _LOOKUP])
        open_letters |= set(
            connection.scalars(select(table.letter_id).where(among, table.resolution.is_distinct_from("stored")))
        )
    if not open_letters:
        return []
    written = select(table.producer, table.segment).where(table.letter_id.in_(sorted(open_letters)))
    suspects = [
        row.letter("") for origin in {tuple(x) for x in connection.execute(written)} for row in by_origin[origin]
    ]
    risen = [letter for letter in suspects if letter.letter_id in open_letters]
    for letter in sorted(risen, key=lambda letter: letter.letter_id):
        resolve = update(usage_dead_letters).where(table.letter_id == letter.letter_id)
        connection.execute(resolve.values(resolution="stored", resolved_at=now, payload=b""))
    return risen


def _counts(inserted: Sequence[Row], buried: Sequence[Letter], risen: Sequence[Letter]) -> dict[Origin, _Count]:
    counts: dict[Origin, _Count] = defaultdict(_Count)
    for row in inserted:
        counts[row.origin].saw(row.event_time)
    for letters, one in ((buried, 1), (risen, -1)):
        for letter in letters:
            if letter.counted and letter.producer is not None and letter.segment is not None:
                counts[letter.producer, letter.segment].dead_lettered += one
    return counts


def _write_receipts(connection: Connection, counts: Mapping[Origin, _Count], now: datetime) -> None:
    origins = sorted(counts)
    for start in range(0, len(origins), _LOOKUP):
        insert = insert_into(connection, usage_receipts).values(
            [_receipt_values(origin, counts[origin], now) for origin in origins[start : start + _LOOKUP]]
        )
        there, added = usage_receipts.c, insert.excluded
        first = case(
            (there.first_event_at.is_(None), added.first_event_at),
            (added.first_event_at < there.first_event_at, added.first_event_at),
            else_=there.first_event_at,
        )
        connection.execute(
            insert.on_conflict_do_update(
                index_elements=[there.producer, there.segment],
                set_={
                    "stored": there.stored + added.stored,
                    "dead_lettered": there.dead_lettered + added.dead_lettered,
                    "first_event_at": first,
                    "updated_at": added.updated_at,
                },
            )
        )


def _receipt_values(origin: Origin, count: _Count, now: datetime) -> dict[str, Any]:
    return {
        "producer": origin[0],
        "segment": origin[1],
        "stored": count.stored,
        "dead_lettered": count.dead_lettered,
        "first_event_at": None if count.first_event_us is None else from_us(count.first_event_us),
        "updated_at": now,
    }
