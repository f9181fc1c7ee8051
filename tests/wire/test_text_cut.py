from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.text_cut import cut_bytes, cut_characters

FAMILY = "👩‍👩‍👧"
# What people write as one character, however many code points it is.
CLUSTERS = ["e\u0301", "\u1112\u1161\u11ab", "\uac00\u11a8", "가", "👍🏽", FAMILY, "🇰🇷", "☂️", "\r\n", "नि", "ก็"]


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_nothing_is_cut_inside_a_character(cluster: str) -> None:
    text = "x" + cluster * 2
    for limit in range(len(text) + 1):
        assert cut_characters(text, limit) in {"", "x", "x" + cluster, text}, limit
    for limit in range(len(text.encode()) + 1):
        assert cut_bytes(text, limit) in {"", "x", "x" + cluster, text}, limit


def test_flags_are_pairs() -> None:
    flags = "🇰🇷🇺🇸🇯🇵"
    assert [cut_characters(flags, limit) for limit in range(7)] == ["", "", "🇰🇷", "🇰🇷", "🇰🇷🇺🇸", "🇰🇷🇺🇸", flags]


def test_hangul_of_jamo_is_cut_between_syllables() -> None:
    """The same word as ready-made syllables and as jamo."""
    jamo = unicodedata.normalize("NFD", "한국")
    assert [len(cut_characters(jamo, limit)) for limit in range(7)] == [0, 0, 0, 3, 3, 3, 6]
    assert cut_characters("한국", 1) == "한"
    assert cut_bytes("한국", 5) == "한"
    assert cut_characters("\uac00\u11a8", 1) == ""  # a syllable that its last consonant follows


def test_what_is_no_character_of_anybody_is_cut_all_the_same() -> None:
    """A letter under a thousand accents is no reason to keep all or nothing."""
    stacked = "a" + "́" * 1000
    assert len(cut_characters(stacked, 500)) == 500


@given(st.text(), st.integers(min_value=0, max_value=200))
def test_a_cut_is_a_beginning_within_its_bound(text: str, limit: int) -> None:
    by_bytes, by_characters = cut_bytes(text, limit), cut_characters(text, limit)
    assert text.startswith(by_bytes)
    assert len(by_bytes.encode()) <= limit
    assert text.startswith(by_characters)
    assert len(by_characters) <= limit
