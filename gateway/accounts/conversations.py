"""Dialogues that the gateway keeps for its users, so that a client may send the next prompt alone.

One belongs to one user: the same id of another user is another dialogue. What was said stands in these two tables and
nowhere else. A dialogue ends some time after its last turn; the oldest turns go when it grows past its bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.accounts.store import AccountStore, in_thread
from gateway.accounts.tables import conversations, messages, users
from gateway.settings import HistorySection
from wire.text_cut import cut_bytes, cut_characters

_TITLE = 80  # code points
_PURGED_AT_ONCE = 500
Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Said:
    """One message. Its text is nobody's business: never in a log line."""

    role: Role
    text: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """`system_prompt` is the last one that the caller gave, None when it never did."""

    id: str
    system_prompt: str | None
    messages: tuple[Said, ...]
    created_at: datetime
    updated_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of the list. `title` is the beginning of the oldest message that is kept."""

    id: str
    title: str
    message_count: int
    created_at: datetime
    updated_at: datetime
    expires_at: datetime


class Conversations:
    """One per process. Every method raises NotReady while the database is away."""

    def __init__(self, store: AccountStore, settings: HistorySection, now: Callable[[], datetime]) -> None:
        self._store = store
        self._settings = settings
        self._now = now

    async def load(self, user_id: str, conversation_id: str) -> Conversation | None:
        """None when there is none, or no longer."""
        return await in_thread(lambda: self._load(user_id, conversation_id))

    async def add(self, user_id: str, conversation_id: str, system_prompt: str | None, turn: Sequence[Said]) -> None:
        """Add a turn at the end, in a new dialogue if need be. `system_prompt` None: it stays as it is."""

        def work() -> None:
            try:
                self._add(user_id, conversation_id, system_prompt, turn)
            except IntegrityError:  # another turn has just begun the same dialogue
                self._add(user_id, conversation_id, system_prompt, turn)

        await in_thread(work)

    async def page(self, user_id: str, skip: int, limit: int) -> list[Listed]:
        """A user's dialogues, the latest first."""
        return await in_thread(lambda: self._page(user_id, skip, limit))

    async def delete(self, user_id: str, conversation_id: str | None = None) -> int:
        """Delete one, or all of a user's. Returns how many there were."""

        def work() -> int:
            with self._store.engine.begin() as connection:
                mine = conversations.c.user_id == user_id
                if conversation_id is not None:
                    mine = _key(user_id, conversation_id)
                return connection.execute(delete(conversations).where(mine)).rowcount

        return await in_thread(work)

    def purge(self) -> int:
        """Delete some of those that have ended and of those whose user was deleted. Returns how many; it blocks."""
        c = conversations.c
        gone = select(users.c.user_id).where(users.c.deleted_at.is_not(None))
        ended = select(c.user_id, c.conversation_id).where((c.expires_at <= self._now()) | c.user_id.in_(gone))
        with self._store.reading() as connection:
            found = connection.execute(ended.limit(_PURGED_AT_ONCE)).all()
        for user_id, conversation_id in found:
            with self._store.engine.begin() as connection:
                connection.execute(delete(conversations).where(_key(user_id, conversation_id)))
        return len(found)

    def _load(self, user_id: str, conversation_id: str) -> Conversation | None:
        c = conversations.c
        with self._store.reading() as connection:
            head = connection.execute(
                select(conversations).where(_key(user_id, conversation_id), c.expires_at > self._now())
            ).first()
            if head is None:
                return None
            rows = connection.execute(_messages(user_id, conversation_id)).all()
        return Conversation(
            id=conversation_id,
            system_prompt=head.system_prompt,
            messages=tuple(Said(row.role, row.text, row.created_at) for row in rows),
            created_at=head.created_at,
            updated_at=head.updated_at,
            expires_at=head.expires_at,
        )

    def _add(self, user_id: str, conversation_id: str, system_prompt: str | None, turn: Sequence[Said]) -> None:
        now = self._now()
        with self._store.engine.begin() as connection:
            last = self._begin(connection, user_id, conversation_id, now)
            values = [
                {
                    "user_id": user_id,
                    "conversation_id": conversation_id,
                    "position": last + at,
                    "role": said.role,
                    "text": (text := self._fitting(said.text)),
                    "bytes": len(text.encode()),
                    "created_at": now,
                }
                for at, said in enumerate(turn, 1)
            ]
            connection.execute(insert(messages), values)
            new = {"last_position": last + len(turn), "updated_at": now, "expires_at": now + self._lifetime}
            if system_prompt is not None:
                new["system_prompt"] = self._fitting(system_prompt)
            connection.execute(update(conversations).where(_key(user_id, conversation_id)).values(new))
            self._trim(connection, user_id, conversation_id)

    def _begin(self, connection: Connection, user_id: str, conversation_id: str, now: datetime) -> int:
        """The position of its last message; the row is locked until the commit. Raises IntegrityError for a race."""
        mine = _key(user_id, conversation_id)
        row = connection.execute(select(conversations).where(mine).with_for_update()).first()
        if row is not None and row.expires_at > now:
            return int(row.last_position)
        if row is not None:
            connection.execute(delete(conversations).where(mine))
        connection.execute(
            insert(conversations).values(
                user_id=user_id,
                conversation_id=conversation_id,
                last_position=0,
                created_at=now,
                updated_at=now,
                expires_at=now + self._lifetime,
            )
        )
        self._make_room(connection, user_id)
        return 0

    def _make_room(self, connection: Connection, user_id: str) -> None:
        """A user's oldest dialogues go when there are too many."""
        c = conversations.c
        query = select(c.conversation_id).where(c.user_id == user_id).order_by(c.updated_at.desc(), c.conversation_id)
        for conversation_id in connection.execute(query.offset(self._settings.max_conversations)).scalars().all():
            connection.execute(delete(conversations).where(_key(user_id, conversation_id)))

    def _trim(self, connection: Connection, user_id: str, conversation_id: str) -> None:
        """The oldest go until the rest is within bounds; it then begins with what the user said."""
        c = messages.c
        mine = and_(c.user_id == user_id, c.conversation_id == conversation_id)
        query = select(c.position, c.role, c.bytes).where(mine).order_by(c.position.desc())
        size, keep_from = 0, None
        for count, row in enumerate(connection.execute(query), 1):
            size += row.bytes
            if count > self._settings.max_messages or size > self._settings.max_bytes:
                break
            if row.role == "user":
                keep_from = row.position
        if keep_from is not None:
            connection.execute(delete(messages).where(mine, c.position < keep_from))

    def _page(self, user_id: str, skip: int, limit: int) -> list[Listed]:
        c = conversations.c
        query = select(conversations).where(c.user_id == user_id, c.expires_at > self._now())
        query = query.order_by(c.updated_at.desc(), c.conversation_id).offset(skip).limit(limit)
        with self._store.reading() as connection:
            return [
                Listed(
                    id=row.conversation_id,
                    title=_title(connection, user_id, row.conversation_id),
                    message_count=_count(connection, user_id, row.conversation_id),
                    created_at=row.created_at,
                    updated_at=row.updated_at,
                    expires_at=row.expires_at,
                )
                for row in connection.execute(query).all()
            ]

    @property
    def _lifetime(self) -> timedelta:
        return timedelta(hours=self._settings.ttl_hours)

    def _fitting(self, text: str) -> str:
        """Half a dialogue's bound at most, so that a turn always fits, and without NUL, which Postgres takes not."""
        return cut_bytes(text.replace("\x00", ""), self._settings.max_bytes // 2)


def _key(user_id: str, conversation_id: str) -> ColumnElement[bool]:
    c = conversations.c
    return and_(c.user_id == user_id, c.conversation_id == conversation_id)


def _messages(user_id: str, conversation_id: str) -> Select[tuple[str, str, datetime]]:
    c = messages.c
    mine = and_(c.user_id == user_id, c.conversation_id == conversation_id)
    return select(c.role, c.text, c.created_at).where(mine).order_by(c.position)


def _title(connection: Connection, user_id: str, conversation_id: str) -> str:
    first = connection.execute(_messages(user_id, conversation_id).limit(1)).first()
    return "" if first is None else cut_characters(" ".join(first.text[: 4 * _TITLE].split()), _TITLE)


def _count(connection: Connection, user_id: str, conversation_id: str) -> int:
    c = messages.c
    mine = and_(c.user_id == user_id, c.conversation_id == conversation_id)
    return int(connection.execute(select(func.count()).where(mine)).scalar_one())
