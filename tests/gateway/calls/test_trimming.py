from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.conversations import Said
from gateway.calls.trimming import fitting, last_turns
from wire.estimate import estimate_tokens


def dialogue(*texts: str) -> list[Said]:
    return [Said("assistant" if at % 2 else "user", text) for at, text in enumerate(texts)]


def size(said: Sequence[Said]) -> int:
    return sum(estimate_tokens(each.text) + 4 for each in said)


def test_all_of_it_stays_where_it_fits() -> None:
    history = dialogue("one", "two", "three", "four")
    assert fitting(history, ("system", "prompt"), 8192, 1000) == history
    assert fitting([], ("", "prompt"), 8192, 1000) == []


def test_the_oldest_turns_go_first_and_whole() -> None:
    history = dialogue("가" * 100, "나" * 100, "다" * 100, "라" * 100, "마" * 100, "바" * 100)
    besides = ("짧게 답하세요", "새 질문")
    fixed = 3 + sum(estimate_tokens(text) + 4 for text in besides)
    for turns in range(4):
        kept = history[6 - 2 * turns :]
        room = fixed + size(kept) + 50
        window = -(-room * 100 // 95)  # rounded up
        assert list(fitting(history, besides, window, 50)) == kept
        assert list(fitting(history, besides, window - 3, 50)) == (kept[2:] if turns else [])


def test_a_prompt_that_fills_the_window_leaves_no_room_and_is_not_refused() -> None:
    assert list(fitting(dialogue("a", "b"), ("", "가" * 10_000), 300, 10)) == []


_TEXTS = st.lists(st.text(min_size=1, max_size=200), max_size=12)


@given(_TEXTS, st.text(max_size=100), st.integers(300, 5000), st.integers(0, 1000))
def test_what_stays_is_an_end_that_begins_with_the_user_and_fits(
    texts: list[str], prompt: str, window: int, reserved: int
) -> None:
    history = dialogue(*texts)
    kept = list(fitting(history, ("s", prompt), window, reserved))
    assert kept == history[len(history) - len(kept) :]
    assert not kept or kept[0].role == "user"
    if kept:
        assert size(kept) + size([Said("user", "s"), *([Said("user", prompt)] if prompt else [])]) + reserved < window


def test_turns_are_counted_from_the_end() -> None:
    history = dialogue("one", "two", "three", "four")
    assert last_turns(history, None) == history
    assert last_turns(history, 5) == history
    assert list(last_turns(history, 1)) == history[2:]
    assert list(last_turns(history, 0)) == []
