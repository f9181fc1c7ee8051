"""The demo model's vocabulary, learned from its own text, and a tokenizer that cuts texts exactly as llama.cpp does.

It is a SentencePiece-style vocabulary: byte-pair merges with a score each, spaces written as U+2581, and the 256 bytes
for what no piece covers. llama.cpp merges the neighbours with the best score first, the leftmost of equal ones:
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp (llm_tokenizer_spm_session).
"""

from __future__ import annotations

import collections
import itertools
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

SPACE = "\u2581"
SPECIAL = ("<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>")
UNKNOWN, BEGIN, END, USER, ASSISTANT = range(len(SPECIAL))
FIRST_BYTE = len(SPECIAL)
FIRST_PIECE = FIRST_BYTE + 256
# No merge joins letters with marks, so that a word is the same with a question mark behind it.
_RUN = re.compile(rf"{SPACE}?(?:[^\W_]+|[\W_])")


@dataclass
class Tokenizer:
    """`pieces` in order: merges first, the best of them first, then single characters."""

    pieces: Sequence[str]
    _ranks: dict[str, int] = field(init=False, repr=False)
    _known: dict[str, list[int]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self._ranks = {piece: rank for rank, piece in enumerate(self.pieces)}

    @property
    def tokens(self) -> list[str]:
        """The texts of all ids."""
        return [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *self.pieces]

    def encode(self, text: str, chance: random.Random | None = None) -> list[int]:
        """The ids of a text. With `chance` some merges are left out, so that a model learns the smaller pieces too."""
        found: list[int] = []
        for word in _words(text):
            if chance is not None and chance.random() < 0.1:
                found += self._cut(word, chance)
                continue
            if word not in self._known:
                self._known[word] = self._cut(word)
            found += self._known[word]
        return found

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, special ones left out."""
        raw = b""
        for number in ids:
            if number >= FIRST_PIECE:
                raw += self.pieces[number - FIRST_PIECE].replace(SPACE, " ").encode()
            elif number >= FIRST_BYTE:
                raw += bytes([number - FIRST_BYTE])
        return raw.decode(errors="replace")

    def _cut(self, word: str, chance: random.Random | None = None) -> list[int]:
        parts = list(word)
        while True:
            ranks = [
                (self._ranks[pair], place)
                for place, pair in enumerate(a + b for a, b in itertools.pairwise(parts))
                if pair in self._ranks and (chance is None or chance.random() > 0.2)
            ]
            if not ranks:
                break
            _, place = min(ranks)
            parts[place : place + 2] = [parts[place] + parts[place + 1]]
        return [number for part in parts for number in self._ids(part)]

    def _ids(self, part: str) -> list[int]:
        rank = self._ranks.get(part)
        return [FIRST_PIECE + rank] if rank is not None else [FIRST_BYTE + byte for byte in part.encode()]


def learn(texts: Iterable[str], size: int) -> Tokenizer:
    """A vocabulary of `size` tokens: the characters that are seen twice, and the merges that shorten the texts most."""
    counts = collections.Counter(run for text in texts for word in _words(text) for run in _RUN.findall(word))
    characters: collections.Counter[str] = collections.Counter()
    for word, count in counts.items():
        characters.update({character: count * word.count(character) for character in word})
    singles = sorted(character for character, count in characters.items() if count > 1)
    room = size - FIRST_PIECE - len(singles)
    if room < 0:
        raise ValueError(f"{len(singles)} characters do not fit into a vocabulary of {size}")
    return Tokenizer([*_merges(counts, room), *singles])


def _merges(counts: collections.Counter[str], most: int) -> list[str]:
    parts = {word: list(word) for word in counts}
    pairs: collections.Counter[tuple[str, str]] = collections.Counter()
    inside: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
    for word, letters in parts.items():
        for pair in itertools.pairwise(letters):
            pairs[pair] += counts[word]
            inside[pair].add(word)
    merges: dict[str, None] = {}
    while len(merges) < most and pairs:
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        if pairs[best] < 2:
            break
        merges["".join(best)] = None
        for word in inside.pop(best):
            for pair in itertools.pairwise(parts[word]):
                pairs[pair] -= counts[word]
            parts[word] = _merged(parts[word], best)
            for pair in itertools.pairwise(parts[word]):
                pairs[pair] += counts[word]
                inside[pair].add(word)
        del pairs[best]
    return list(merges)


def _merged(parts: Sequence[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    place = 0
    while place < len(parts):
        if tuple(parts[place : place + 2]) == pair:
            merged.append(parts[place] + parts[place + 1])
            place += 2
        else:
            merged.append(parts[place])
            place += 1
    return merged


def _words(text: str) -> list[str]:
    """No piece goes past the beginning of a word, so words can be cut one by one."""
    first, *rest = text.split(" ")
    return [*([first] if first else []), *(SPACE + word for word in rest)]
