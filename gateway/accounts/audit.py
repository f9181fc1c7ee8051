"""The audit log: who changed what, when, and how it was before. Only ever added to, in the change's own transaction
(`Change.note`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from gateway.accounts.store import AccountStore
from gateway.accounts.tables import audit_log


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change. `before` None: it was made; `after` None: it was deleted."""

    id: str
    at: datetime
    actor: str
    request_id: str | None
    action: str
    subject: str
    subject_id: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """None: any. `start` is inclusive, `end` exclusive; `before_id` goes on after a page's last entry."""

    start: datetime | None = None
    end: datetime | None = None
    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    subject_id: str | None = None
    before_id: str | None = None


class AuditLog:
    """Blocks; raises SQLAlchemyError when the database is away."""

    def __init__(self, store: AccountStore) -> None:
        self._store = store

    def page(self, wanted: AuditFilter, skip: int, limit: int) -> list[AuditEntry]:
        """Newest first: ids are in the order of time."""
        c = audit_log.c
        query = select(audit_log).order_by(c.id.desc()).offset(skip).limit(limit)
        for name in ("actor", "action", "subject", "subject_id"):
            if (value := getattr(wanted, name)) is not None:
                query = query.where(c[name] == value)
        if wanted.start is not None:
            query = query.where(c.at >= wanted.start)
        if wanted.end is not None:
            query = query.where(c.at < wanted.end)
        if wanted.before_id is not None:
            query = query.where(c.id < wanted.before_id)
        with self._store.reading() as connection:
            return [AuditEntry(**row) for row in connection.execute(query).mappings()]
