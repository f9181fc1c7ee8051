"""Cutting a text where a reader sees the end of a character. Pure.

A cut between two code points can still go through what people call one character: a letter and its accent, a Hangul
syllable written in jamo, an emoji with its skin colour, a family joined by zero-width joiners, a flag. The rules here
are the common ones of https://unicode.org/reports/tr29/#Grapheme_Cluster_Boundary_Rules.
"""

from __future__ import annotations

import unicodedata

_JOINER = 0x200D
_LONGEST = 64  # code points: nothing that people write as one character is longer


def cut_bytes(text: str, limit: int) -> str:
    """The longest beginning of at most `limit` bytes of UTF-8 that ends between two characters."""
    data = text.encode("utf-8", "surrogatepass")
    if len(data) <= limit:
        return text
    end = len(data[:limit].decode("utf-8", "ignore"))
    return text[: _boundary(text, end)]


def cut_characters(text: str, limit: int) -> str:
    """The beginning of at most `limit` code points that ends between two characters."""
    return text if len(text) <= limit else text[: _boundary(text, limit)]


def _boundary(text: str, end: int) -> int:
    """The last place at or before `end` where a character ends; `end` itself when none is near."""
    for at in range(end, max(0, end - _LONGEST), -1):
        if _ends_at(text, at):
            return at
    return end if end > _LONGEST else 0


def _ends_at(text: str, at: int) -> bool:
    before, after = ord(text[at - 1]), ord(text[at])
    if before == 0x0D and after == 0x0A:
        return False
    if _extends(after) or before == _JOINER:
        return False
    if _jamo(before, after):
        return False
    return not (_flag(after) and _flags_before(text, at) % 2)


def _extends(code: int) -> bool:
    """Marks, joiners, variation selectors, skin colours: they belong to what stands before them."""
    if code < 0x300:
        return False
    return (
        unicodedata.category(chr(code)) in ("Mn", "Me", "Mc")
        or code in (0x200C, _JOINER)
        or 0x1F3FB <= code <= 0x1F3FF
        or 0xE0020 <= code <= 0xE007F
    )


def _jamo(before: int, after: int) -> bool:
    """A Hangul syllable goes on: leading consonant, vowel, trailing consonant."""
    syllable = 0xAC00 <= before <= 0xD7A3
    lead = 0x1100 <= before <= 0x115F or 0xA960 <= before <= 0xA97C
    open_syllable = syllable and (before - 0xAC00) % 28 == 0
    vowel = 0x1160 <= before <= 0x11A7 or 0xD7B0 <= before <= 0xD7C6
    trail = 0x11A8 <= before <= 0x11FF or 0xD7CB <= before <= 0xD7FB
    next_lead = 0x1100 <= after <= 0x115F or 0xA960 <= after <= 0xA97C
    next_vowel = 0x1160 <= after <= 0x11A7 or 0xD7B0 <= after <= 0xD7C6
    next_trail = 0x11A8 <= after <= 0x11FF or 0xD7CB <= after <= 0xD7FB
    if lead:
        return next_lead or next_vowel or 0xAC00 <= after <= 0xD7A3
    if vowel or open_syllable:
        return next_vowel or next_trail
    return (trail or syllable) and next_trail


def _flag(code: int) -> bool:
    return 0x1F1E6 <= code <= 0x1F1FF


def _flags_before(text: str, at: int) -> int:
    count = 0
    while count < at and _flag(ord(text[at - 1 - count])):
        count += 1
    return count
