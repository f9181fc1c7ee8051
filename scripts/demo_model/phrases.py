"""The FAQ, and the many ways in which people ask it: phrases drawn from a small grammar, with the slips of a typist."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

LANGUAGES = ("en", "ko")
_PART = re.compile(r"[()|]|\$[a-z]+|[^()|$]+")
_SYLLABLES = (0xAC00, 0xD7A3)  # of Hangul, in Unicode
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SMALL_WORD = re.compile(r"(a|an|the|is|are|do|does|i|it|its|of|to|in|on|for|with|my|you|me|can|how|this|that)")

# A text, or a choice among sequences of nodes.
Node = str | tuple["Sequence[Node]", ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to say: to what (`ask`, patterns of the grammar), and the `key` that the answer surely holds."""

    name: str
    answer: str
    ask: tuple[Sequence[Node], ...]
    question: str = ""
    key: str = ""
    held_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Faq:
    """All of one language."""

    language: str
    questions: Sequence[Entry]
    greetings: Sequence[Entry]
    unknown: Entry
    before: Sequence[Sequence[Node]] = field(default=())
    after: Sequence[Sequence[Node]] = field(default=())

    @cached_property
    def entries(self) -> Sequence[Entry]:
        return [*self.questions, *self.greetings, self.unknown]


def load(language: str) -> Faq:
    text = Path(__file__).with_name(f"faq_{language}.yaml").read_text(encoding="utf-8")
    return parse(language, yaml.safe_load(text))


def parse(language: str, data: Mapping[str, Any]) -> Faq:
    """Raises KeyError for a macro that is not there, ValueError for brackets that do not match."""
    macros: dict[str, Sequence[Node]] = {}
    for name, pattern in data["macros"].items():
        macros[name] = grammar(pattern, macros)
    of_unknown = dict(macros)
    for name, words in data["unknown"]["words"].items():
        of_unknown[name] = grammar(words if isinstance(words, str) else f"({'|'.join(map(str, words))})", macros)
    return Faq(
        language,
        [_entry(name, each, macros) for name, each in data["questions"].items()],
        [_entry(name, each, macros) for name, each in data["greetings"].items()],
        _entry("unknown", data["unknown"], of_unknown),
        [grammar(each, macros) for each in data["before"]],
        [grammar(each, macros) for each in data["after"]],
    )


def _entry(name: str, data: Mapping[str, Any], macros: Mapping[str, Sequence[Node]]) -> Entry:
    return Entry(
        name,
        data["answer"],
        tuple(grammar(pattern, macros) for pattern in data["ask"]),
        data.get("question", ""),
        data.get("key", ""),
        tuple(data.get("held_out", ())),
    )


def grammar(pattern: str, macros: Mapping[str, Sequence[Node]]) -> Sequence[Node]:
    """`(one|another|) choice of $macro`, nested as one likes."""
    stack: list[list[list[Node]]] = [[[]]]
    for part in _PART.findall(pattern):
        if part == "(":
            stack.append([[]])
        elif part == "|" and len(stack) > 1:
            stack[-1].append([])
        elif part == ")" and len(stack) > 1:
            choice = stack.pop()
            stack[-1][-1].append(tuple(choice))
        elif part in "()|":
            raise ValueError(f"{part!r} is out of place in {pattern!r}")
        elif part.startswith("$"):
            stack[-1][-1].append((macros[part[1:]],))
        else:
            stack[-1][-1].append(part)
    if len(stack) > 1:
        raise ValueError(f"a bracket is open in {pattern!r}")
    return stack[0][0]


def draw(nodes: Sequence[Node], chance: random.Random) -> str:
    """One of the phrases of a pattern."""
    text = "".join(node if isinstance(node, str) else draw(chance.choice(node), chance) for node in nodes)
    return " ".join(text.split())


def holds(nodes: Sequence[Node], phrase: str) -> bool:
    """Whether a pattern can say a phrase, apart from spaces, punctuation and capitals."""
    return re.fullmatch(_expression(nodes), _bare(phrase)) is not None


def _expression(nodes: Sequence[Node]) -> str:
    return "".join(
        re.escape(_bare(node)) if isinstance(node, str) else f"(?:{'|'.join(_expression(each) for each in node)})"
        for node in nodes
    )


def _bare(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


class Typist:
    """Draws phrases and gives them what people add, leave out and mistype."""

    def __init__(self, faq: Faq, chance: random.Random) -> None:
        self._faq = faq
        self._chance = chance

    def ask(self, entry: Entry) -> str:
        """A way to say it, in small letters, as the chat template gives questions to the model."""
        chance = self._chance
        text = self._phrase(entry)
        if chance.random() < 0.15:
            text = f"{text}{chance.choice(['', ',', '.', '?', ' -', ' and'])} {self._phrase(entry)}"
        if chance.random() < 0.1:
            text = self._in_another_order(text)
        if chance.random() < 0.2:
            text = self._with_a_strange_word(text)
        if chance.random() < 0.12:
            text = self._without_a_word(text)
        if chance.random() < 0.2:
            text = self._mistyped(text)
        if chance.random() < 0.3:
            text = (
                f"{draw(chance.choice(self._faq.before), chance)}{chance.choice(['', '', ',', '.', ':', '!'])} {text}"
            )
        if chance.random() < 0.12:
            text = f"{text}{chance.choice(['', '', ',', '?', '.'])} {draw(chance.choice(self._faq.after), chance)}"
        return f"{text}{chance.choice(['', '', '', '?', '?', '?', '?', '.', '!', '??', ' ?', '...'])}".strip()

    def _phrase(self, entry: Entry) -> str:
        chance = self._chance
        if entry.question and chance.random() < 0.06:
            return entry.question.lower()
        return draw(chance.choice(entry.ask), chance).lower()

    def _in_another_order(self, text: str) -> str:
        words = text.split()
        self._chance.shuffle(words)
        return " ".join(words)

    def _with_a_strange_word(self, text: str) -> str:
        """Of any other question: what is asked shows in the rest."""
        words = text.split()
        strange = self._chance.choice(self._phrase(self._faq.unknown).split())
        words.insert(self._chance.randint(0, len(words)), strange)
        return " ".join(words)

    def _without_a_word(self, text: str) -> str:
        words = text.split()
        small = [place for place, word in enumerate(words) if _SMALL_WORD.fullmatch(word)]
        if len(words) > 3 and small:
            del words[self._chance.choice(small)]
        return " ".join(words)

    def _mistyped(self, text: str) -> str:
        """A letter swapped, doubled, left out or another one; in Korean a space may be missing, too."""
        chance = self._chance
        if self._faq.language == "ko" and " " in text and chance.random() < 0.6:
            spaces = [place for place, character in enumerate(text) if character == " "]
            place = chance.choice(spaces)
            return text[:place] + text[place + 1 :]
        if len(text) < 5:
            return text
        place = chance.randrange(len(text) - 1)
        here, there = text[place], text[place + 1]
        another = chr(chance.randint(*_SYLLABLES)) if self._faq.language == "ko" else chance.choice(_LETTERS)
        slip = chance.choice([there + here, here + here + there, there, another + there, here + another + there])
        return text[:place] + slip + text[place + 2 :]
