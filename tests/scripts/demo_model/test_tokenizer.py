from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.demo_model.tokenizer import FIRST_BYTE, FIRST_PIECE, SPECIAL, Tokenizer, learn

TEXTS = [
    " how do i start tollgate?",
    " how do i stop tollgate?",
    " 톨게이트는 어떻게 시작하나요?",
    "Run `make up` now.",
] * 3
LEARNED = learn(TEXTS, FIRST_PIECE + 120)


@given(st.text())
def test_every_text_comes_back(text: str) -> None:
    text = text.replace("\u2581", "_")  # stands for a space in the vocabulary
    assert LEARNED.decode(LEARNED.encode(text)) == text
    assert LEARNED.decode(LEARNED.encode(text, random.Random(0))) == text


def test_what_is_frequent_is_short() -> None:
    assert len(LEARNED.encode(" tollgate")) == 1
    assert len(LEARNED.encode(" 톨게이트는")) == 1
    assert LEARNED.encode("뷁") == [FIRST_BYTE + byte for byte in "뷁".encode()]


def test_the_best_merge_comes_first_and_the_leftmost_of_equal_ones() -> None:
    tokenizer = Tokenizer(["ab", "bc", "aa", "a", "b", "c"])
    pieces = tokenizer.tokens
    assert [pieces[number] for number in tokenizer.encode("abc")] == ["ab", "c"]
    assert [pieces[number] for number in tokenizer.encode("bcab")] == ["bc", "ab"]
    assert [pieces[number] for number in tokenizer.encode("aaa")] == ["aa", "a"]


def test_all_ids_have_a_text_and_no_two_the_same() -> None:
    assert LEARNED.tokens[: len(SPECIAL)] == list(SPECIAL)
    assert LEARNED.tokens[FIRST_BYTE + 255] == "<0xFF>"
    assert len(set(LEARNED.tokens)) == len(LEARNED.tokens) <= FIRST_PIECE + 120


def test_merges_left_out_at_random_give_smaller_pieces() -> None:
    chance = random.Random(3)
    cuts = {tuple(LEARNED.encode(" tollgate", chance)) for _ in range(200)}
    assert len(cuts) > 1


def test_a_vocabulary_too_small_for_its_characters_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        learn(TEXTS, FIRST_PIECE + 3)
