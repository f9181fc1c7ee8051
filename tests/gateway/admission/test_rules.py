"""The rules: windows that slide, slots, budgets with holds."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.rules import MINUTE_MS, Book, Charge, Demand, Money, Slots, Spending, Window

SPENDING = Spending("user", "u", datetime(2026, 1, 1, tzinfo=UTC))
START = 1_800_000_000_000
GATEWAY = "g"


def requests(capacity: int) -> Window:
    return Window("r", capacity, MINUTE_MS, 1, "requests")


def money(capacity: int, hold: int) -> Money:
    return Money("m", capacity, hold, SPENDING)


def book_with(base: int) -> Book:
    book = Book(30_000)
    book.rebase("m", book.begin("m"), base, [])
    return book


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=200))
def test_no_stretch_of_a_minute_ever_holds_more_than_the_limit(pauses: list[int]) -> None:
    book, now, let_in = Book(30_000), START, []
    for number, pause in enumerate(pauses):
        now += pause
        verdict = book.admit(now, GATEWAY, Demand(str(number), (requests(7),)))
        if verdict.code == "ok":
            let_in.append(now)
        else:
            assert verdict.retry_ms > 0
            later = book.admit(now + verdict.retry_ms, GATEWAY, Demand("later", (requests(7),)))
            assert later.code == "ok"
            now += verdict.retry_ms
            let_in.append(now)
    assert all(sum(at <= each < at + MINUTE_MS for each in let_in) <= 7 for at in let_in)


def test_a_refused_call_uses_nothing_up() -> None:
    book = Book(30_000)
    full = Demand("a", (requests(5), Slots("s", 1)))
    assert book.admit(START, GATEWAY, full).code == "ok"
    for number in range(10):
        verdict = book.admit(START, GATEWAY, Demand(f"b{number}", (requests(5), Slots("s", 1))))
        assert (verdict.code, verdict.readings[0].left) == ("slots", 4)
    book.finish(START, GATEWAY, "a", [], [])
    assert book.admit(START, GATEWAY, Demand("c", (requests(5), Slots("s", 1)))).readings[0].left == 3


def test_reserved_tokens_are_corrected_at_the_end() -> None:
    book = Book(30_000)
    line = Window("t", 100, MINUTE_MS, 60, "tokens")
    assert book.admit(START, GATEWAY, Demand("a", (line,))).readings[0].left == 40
    assert book.admit(START, GATEWAY, Demand("b", (line,))).code == "rate"
    book.finish(START + 1000, GATEWAY, "a", [10], [])
    assert book.used(START + 1000, line) == 10
    assert book.admit(START + 1000, GATEWAY, Demand("b", (line,))).readings[0].left == 30
    book.finish(START + 70_000, GATEWAY, "b", [75], [])
    assert book.used(START + 70_000, line) == 15  # what was not foreseen counts when it is known


def test_what_open_holds_leave_decides() -> None:
    book = book_with(0)
    assert book.admit(START, GATEWAY, Demand("a", (money(100, 60),))).code == "ok"
    assert book.admit(START, GATEWAY, Demand("b", (money(100, 60),))).code == "holds"
    book.finish(START, GATEWAY, "a", [], [Charge("m", "e1", 30)])
    assert book.admit(START, GATEWAY, Demand("b", (money(100, 60),))).readings[0].spent == 30
    book.finish(START, GATEWAY, "b", [], [Charge("m", "e2", 70)])
    assert book.admit(START, GATEWAY, Demand("c", (money(100, 1),))).code == "spent"


def test_who_has_money_left_is_not_refused_for_good() -> None:
    """A call alone may take what is left, however much it might cost."""
    book = book_with(99)
    verdict = book.admit(START, GATEWAY, Demand("a", (money(100, 1000),)))
    assert (verdict.code, verdict.readings[0].granted) == ("ok", 1)
    assert book.admit(START, GATEWAY, Demand("b", (money(100, 1000),))).code == "holds"


def test_ending_twice_charges_once() -> None:
    book = book_with(0)
    book.admit(START, GATEWAY, Demand("a", (money(100, 60),)))
    for _ in range(2):
        book.finish(START, GATEWAY, "a", [], [Charge("m", "e", 20)])
    assert (book.moneys["m"].spent, book.moneys["m"].held) == (20, 0)


def test_what_the_ledger_knows_is_counted_once() -> None:
    book = book_with(0)
    book.finish(START, GATEWAY, "a", [], [Charge("m", "e1", 20), Charge("m", "e2", 5)])
    book.rebase("m", book.begin("m"), 20, ["e1"])
    assert book.moneys["m"].spent == 25


def test_a_budget_nobody_has_looked_up_is_unknown() -> None:
    assert Book(1).admit(START, GATEWAY, Demand("a", (Slots("s", 1), money(1, 1)))).code == "unknown"


def test_holds_of_a_silent_gateway_are_void() -> None:
    book = book_with(0)
    book.beat(START, "dead")
    tokens = Window("t", 100, MINUTE_MS, 60, "tokens")
    book.admit(START, "dead", Demand("a", (money(100, 60), Slots("s", 1), tokens)))
    book.beat(START + 30_001, GATEWAY)
    assert book.used(START + 30_001, tokens) == 0
    assert (book.moneys["m"].held, book.slots) == (0, {})


def test_what_is_empty_is_forgotten() -> None:
    book = Book(30_000)
    book.admit(START, GATEWAY, Demand("a", (requests(5),)))
    book.tidy(START + 60_000)
    assert book.windows
    book.tidy(START + 61_000)
    assert not book.windows
