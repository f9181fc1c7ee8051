"""Every statement on the accounts database. Synchronous; the services call it in a thread, never on the hot path."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Select, insert, select, update

from gateway.accounts.tables import changes, keys, provider_objects, users
from ledger.engine import reading


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A virtual key as the database has it; the key itself is known to its holder only."""

    id: str
    key_name: str | None
    key_prefix: str
    user_id: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    is_active: bool
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class UserRecord:
    user_id: str
    alias: str | None
    blocked: bool
    deleted: bool


class AccountStore:
    """Reads and changes. Each method is one transaction; SQLAlchemy's errors pass through."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ping(self) -> None:
        """Raises when the database does not answer."""
        with reading(self._engine) as connection:
            connection.execute(select(1))

    def find_key(self, key_hash: str) -> KeyRecord | None:
        with reading(self._engine) as connection:
            row = connection.execute(select(keys).where(keys.c.key_hash == key_hash)).mappings().first()
        return None if row is None else _key(row)

    def any_key(self) -> bool:
        with reading(self._engine) as connection:
            return connection.execute(select(keys.c.id).limit(1)).first() is not None

    def find_user(self, user_id: str) -> UserRecord | None:
        with reading(self._engine) as connection:
            return _find_user(connection, user_id)

    def create_key(self, record: KeyRecord, key_hash: str, *, user_alias: str) -> bool:
        """Insert the key, and its user when unknown. False, and nothing done, when that user has been deleted."""
        with self._engine.begin() as connection:
            user = _find_user(connection, record.user_id)
            if user is not None and user.deleted:
                return False
            if user is None:
                connection.execute(
                    insert(users).values(
                        user_id=record.user_id,
                        alias=user_alias,
                        blocked=False,
                        metadata={},
                        created_at=record.created_at,
                        updated_at=record.created_at,
                    )
                )
            connection.execute(
                insert(keys).values(
                    id=record.id,
                    key_hash=key_hash,
                    key_prefix=record.key_prefix,
                    key_name=record.key_name,
                    user_id=record.user_id,
                    created_at=record.created_at,
                    expires_at=record.expires_at,
                    is_active=record.is_active,
                    metadata=record.metadata,
                )
            )
            _raise_counter(connection)
        return True

    def keep_object(self, object_id: str, user_id: str, provider: str, at: datetime) -> None:
        """Note that a provider keeps this for that user; known already is fine."""
        with self._engine.begin() as connection:
            known = connection.execute(_object(object_id, user_id)).first()
            if known is None:
                connection.execute(
                    insert(provider_objects).values(
                        object_id=object_id, user_id=user_id, provider=provider, created_at=at
                    )
                )

    def object_provider(self, object_id: str, user_id: str) -> str | None:
        """Who keeps this for that user; None when nobody does."""
        with reading(self._engine) as connection:
            found: str | None = connection.execute(_object(object_id, user_id)).scalar_one_or_none()
        return found

    def change_counter(self) -> int:
        with reading(self._engine) as connection:
            return int(connection.execute(select(changes.c.counter)).scalar_one_or_none() or 0)


def _object(object_id: str, user_id: str) -> Select[str]:
    table = provider_objects.c
    return select(table.provider).where(table.object_id == object_id, table.user_id == user_id)


def _find_user(connection: Connection, user_id: str) -> UserRecord | None:
    row = connection.execute(select(users).where(users.c.user_id == user_id)).mappings().first()
    if row is None:
        return None
    return UserRecord(row["user_id"], row["alias"], row["blocked"], row["deleted_at"] is not None)


def _raise_counter(connection: Connection) -> None:
    connection.execute(update(changes).values(counter=changes.c.counter + 1))


def _key(row: RowMapping) -> KeyRecord:
    return KeyRecord(
        id=row["id"],
        key_name=row["key_name"],
        key_prefix=row["key_prefix"],
        user_id=row["user_id"],
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        expires_at=row["expires_at"],
        is_active=row["is_active"],
        metadata=dict(row["metadata"]),
    )
