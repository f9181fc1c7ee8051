from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, insert, select

from gateway.accounts.conversations import Conversations, Said
from gateway.accounts.store import AccountStore
from gateway.accounts.tables import messages, users
from gateway.settings import HistorySection
from ledger.engine import make_engine
from wire.errors import NotReady

START = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(engine: Engine, clock: Clock, **settings: float) -> Conversations:
    return Conversations(AccountStore(engine), HistorySection.model_validate(settings), clock)


def turn(asked: str, answered: str = "yes") -> list[Said]:
    return [Said("user", asked), Said("assistant", answered)]


async def texts(kept: Conversations, user: str = "u", name: str = "c") -> list[str]:
    found = await kept.load(user, name)
    return [] if found is None else [said.text for said in found.messages]


async def test_turns_come_back_in_their_order(engine: Engine, clock: Clock) -> None:
    kept = make(engine, clock)
    assert await kept.load("u", "c") is None
    await kept.add("u", "c", "Be brief.", turn("one", "하나"))
    clock.forward(minutes=1)
    await kept.add("u", "c", None, turn("two", "둘 👩‍👩‍👧"))
    found = await kept.load("u", "c")
    assert found is not None
    assert [(said.role, said.text) for said in found.messages] == [
        ("user", "one"),
        ("assistant", "하나"),
        ("user", "two"),
        ("assistant", "둘 👩‍👩‍👧"),
    ]
    assert (found.system_prompt, found.created_at) == ("Be brief.", START)
    assert found.updated_at == START + timedelta(minutes=1)
    assert found.expires_at == START + timedelta(minutes=1, hours=168)


async def test_an_id_is_its_users_own(engine: Engine, clock: Clock) -> None:
    kept = make(engine, clock)
    await kept.add("u", "c", None, turn("mine"))
    await kept.add("other", "c", None, turn("theirs"))
    assert await texts(kept, "u") == ["mine", "yes"]
    assert [each.title for each in await kept.page("other", 0, 10)] == ["theirs"]
    assert await kept.delete("other", "c") == 1
    assert await kept.delete("other", "c") == 0
    assert await texts(kept, "u") == ["mine", "yes"]


async def test_the_list_has_the_latest_first_and_no_more_than_is_asked(engine: Engine, clock: Clock) -> None:
    kept = make(engine, clock)
    for name in ("a", "b", "c"):
        clock.forward(seconds=1)
        await kept.add("u", name, None, turn(f"  about\n{name}  " + "가" * 200))
    await kept.add("u", "a", None, turn("again"))
    clock.forward(seconds=1)
    await kept.add("u", "a", None, turn("again"))
    listed = await kept.page("u", 0, 2)
    assert [(each.id, each.message_count) for each in listed] == [("a", 6), ("c", 2)]
    assert listed[1].title.startswith("about c 가")
    assert len(listed[1].title) == 80
    assert [each.id for each in await kept.page("u", 2, 2)] == ["b"]
    assert await kept.delete("u") == 3
    assert await kept.page("u", 0, 2) == []


async def test_it_ends_some_time_after_its_last_turn(engine: Engine, clock: Clock) -> None:
    kept = make(engine, clock, ttl_hours=1)
    await kept.add("u", "c", "Be brief.", turn("old"))
    clock.forward(minutes=59)
    await kept.add("u", "c", None, turn("late"))
    clock.forward(minutes=59)
    assert await texts(kept) == ["old", "yes", "late", "yes"]
    clock.forward(minutes=1)
    assert await texts(kept) == []
    assert await kept.page("u", 0, 10) == []
    await kept.add("u", "c", None, turn("new"))
    found = await kept.load("u", "c")
    assert found is not None
    assert ([said.text for said in found.messages], found.system_prompt) == (["new", "yes"], None)


async def test_the_oldest_turns_go_when_it_grows_too_large(engine: Engine, clock: Clock) -> None:
    """Whole ones: what is left begins with what the user said."""
    few = make(engine, clock, max_messages=5)
    for number in range(4):
        await few.add("u", "c", None, turn(f"ask {number}", f"answer {number}"))
    assert await texts(few) == ["ask 2", "answer 2", "ask 3", "answer 3"]
    small = make(engine, clock, max_bytes=4096)
    for number in range(4):
        await small.add("u", "d", None, turn(f"{number}" + "가" * 400, "b" * 300))
    assert [text[0] for text in await texts(small, name="d")] == ["2", "b", "3", "b"]


async def test_a_turn_that_is_too_large_is_cut_between_characters(engine: Engine, clock: Clock) -> None:
    kept = make(engine, clock, max_bytes=4096)
    family = "👩‍👩‍👧"
    await kept.add("u", "c", "s" * 5000, turn("earlier"))
    await kept.add("u", "c", None, turn(family * 1000, "끝\x00"))
    found = await kept.load("u", "c")
    assert found is not None
    asked, answered = (said.text for said in found.messages[-2:])
    assert asked == family * (2048 // len(family.encode()))
    assert answered == "끝"
    assert found.system_prompt == "s" * 2048


async def test_a_user_keeps_so_many_and_the_oldest_go(engine: Engine, clock: Clock) -> None:
    kept = make(engine, clock, max_conversations=2)
    for name in ("a", "b", "c"):
        clock.forward(seconds=1)
        await kept.add("u", name, None, turn(name))
        await kept.add("other", name, None, turn(name))
    assert [each.id for each in await kept.page("u", 0, 10)] == ["c", "b"]


async def test_turns_at_the_same_time_are_all_kept(engine: Engine, clock: Clock) -> None:
    kept = make(engine, clock)
    await asyncio.gather(*[kept.add("u", "c", None, turn(str(number))) for number in range(8)])
    found = await texts(kept)
    assert sorted(found[::2]) == [str(number) for number in range(8)]
    assert found[1::2] == ["yes"] * 8


async def test_what_has_ended_and_what_was_a_deleted_users_is_removed(engine: Engine, clock: Clock) -> None:
    kept = make(engine, clock, ttl_hours=1)
    await kept.add("u", "old", None, turn("old"))
    clock.forward(minutes=30)
    await kept.add("u", "new", None, turn("new"))
    await kept.add("gone", "c", None, turn("of somebody who left"))
    with engine.begin() as connection:
        user = {"user_id": "gone", "blocked": False, "metadata": {}, "version": 1, "deleted_at": START}
        times = dict.fromkeys(("spend_since", "created_at", "updated_at"), START)
        connection.execute(insert(users).values(**user, **times))
    clock.forward(minutes=45)
    assert kept.purge() == 2
    assert kept.purge() == 0
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(messages)).scalar_one() == 2
    assert await texts(kept, name="new") == ["new", "yes"]


async def test_without_a_database_it_says_so(clock: Clock) -> None:
    nowhere = make_engine("sqlite:////nowhere/at/all.db")
    kept = Conversations(AccountStore(nowhere), HistorySection(), clock)
    with pytest.raises(NotReady):
        await kept.load("u", "c")
