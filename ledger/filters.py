"""Which rows of the ledger a question is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func

from ledger.tables import from_us, usage_events
from ledger.uuid7 import event_time_us, is_uuid7
from usage_contract.event import Kind

_EVENT = usage_events.c
_CLOCK_JUMP = timedelta(hours=2)
_LONGEST_CALL = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageFilter:
    """Which rows. None: any. `start` is inclusive, `end` exclusive, both of the row's time; `model` is the one used,
    its letters in either case, `tag` a name and its value."""

    start: datetime | None = None
    end: datetime | None = None
    user_id: str | None = None
    key_id: str | None = None
    model: str | None = None
    session_id: str | None = None
    end_user: str | None = None
    request_id: str | None = None
    provider: str | None = None
    kind: Kind | None = None
    tag: tuple[str, str] | None = None

    @property
    def fits_rollups(self) -> bool:
        """Whether it asks for nothing that a rollup row does not tell apart."""
        return all(value is None for value in (self.session_id, self.end_user, self.request_id, self.kind, self.tag))


def is_model(column: ColumnElement[str], model: str) -> ColumnElement[bool]:
    """Whichever way callers have written its letters: providers often take any, and it is one model all the same."""
    return func.lower(column) == func.lower(model)


def conditions(wanted: UsageFilter) -> list[ColumnElement[bool]]:
    """The filter as conditions on `usage_events`."""
    found: list[ColumnElement[bool]] = []
    if wanted.start is not None:
        found.append(_EVENT.event_time >= wanted.start)
    if wanted.end is not None:
        found.append(_EVENT.event_time < wanted.end)
    if wanted.request_id is not None and is_uuid7(wanted.request_id):
        # Minted when the call came in, as the ids of its attempts were a little later: no need to look at all rows.
        called = from_us(event_time_us(wanted.request_id))
        found += [_EVENT.event_time >= called - _CLOCK_JUMP, _EVENT.event_time < called + _LONGEST_CALL]
    for name in ("user_id", "key_id", "session_id", "end_user", "request_id", "provider", "kind"):
        if (value := getattr(wanted, name)) is not None:
            found.append(_EVENT[name] == value)
    if wanted.model is not None:
        found.append(is_model(_EVENT.model_used, wanted.model))
    if wanted.tag is not None:
        name, value = wanted.tag
        found.append(_EVENT.tags[name].as_string() == value)
    return found
