"""The FAQ: complete, true of this repository, and asked in the tests with words that no training phrase has."""

from __future__ import annotations

import random
import re
import tomllib
from pathlib import Path

import pytest

from gateway.settings import Settings
from scripts.demo_model.phrases import LANGUAGES, Faq, Typist, draw, grammar, holds, load, parse

ROOT = Path(__file__).resolve().parents[3]
FAQS = [load(language) for language in LANGUAGES]


@pytest.fixture(params=FAQS, ids=LANGUAGES)
def faq(request: pytest.FixtureRequest) -> Faq:
    found: Faq = request.param
    return found


def test_every_question_has_its_key_and_three_phrasings_for_the_test(faq: Faq) -> None:
    for entry in faq.questions:
        assert entry.question
        assert entry.key, entry.name
        assert entry.key in entry.answer, entry.name
        assert len(entry.held_out) == 3, entry.name
    assert faq.unknown.key in faq.unknown.answer
    assert len({entry.answer for entry in faq.entries}) == len(faq.entries)


def test_both_languages_have_the_same_questions() -> None:
    english, korean = ([entry.name for entry in faq.questions] for faq in FAQS)
    assert english == korean
    assert len(english) >= 25


def test_no_training_phrase_is_one_that_the_test_asks(faq: Faq) -> None:
    patterns = [pattern for entry in faq.entries for pattern in entry.ask]
    asked = [phrase for entry in faq.entries for phrase in entry.held_out]
    assert [phrase for phrase in asked if any(holds(pattern, phrase) for pattern in patterns)] == []


def test_phrases_are_many_and_are_what_the_grammar_says(faq: Faq) -> None:
    chance = random.Random(0)
    typist = Typist(faq, chance)
    for entry in faq.entries:
        assert len({typist.ask(entry) for _ in range(100)}) > 50, entry.name
        pattern = chance.choice(entry.ask)
        assert holds(pattern, draw(pattern, chance)), entry.name


def test_a_seed_says_which_phrases_are_drawn() -> None:
    drawn = [[Typist(FAQS[1], random.Random(7)).ask(FAQS[1].questions[0]) for _ in range(3)] for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_the_grammar_nests_and_says_where_it_is_wrong() -> None:
    pattern = grammar("(a|(b|c) $w|) d", {"w": grammar("(x|y)", {})})
    assert {draw(pattern, random.Random(seed)) for seed in range(99)} == {
        "a d",
        "b x d",
        "b y d",
        "c x d",
        "c y d",
        "d",
    }
    assert holds(pattern, "C, y D?")
    assert not holds(pattern, "c z d")
    for wrong in ("(a|b", "a) b", "a | b"):
        with pytest.raises(ValueError, match=re.escape(wrong)):
            grammar(wrong, {})
    with pytest.raises(KeyError):
        grammar("$absent", {})


def test_a_language_is_read_from_its_data() -> None:
    data = {
        "macros": {"who": "(we|you)"}, "before": [], "after": [], "greetings": {},
        "questions": {"q": {"question": "Q?", "answer": "A.", "key": "A", "ask": ["$who ask"], "held_out": ["?"]}},
        "unknown": {"answer": "No.", "key": "No", "ask": ["$thing"], "words": {"thing": ["cat", "dog"]}},
    }  # fmt: skip
    faq = parse("en", data)
    assert [entry.name for entry in faq.entries] == ["q", "unknown"]
    assert holds(faq.unknown.ask[0], "dog")


def test_what_it_says_is_true_of_this_repository() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    defaults = Settings()
    for faq in FAQS:
        said = {entry.name: entry.answer for entry in faq.questions}
        assert project["license"] in said["license"]
        assert project["requires-python"] == ">=3.11,<3.15"
        assert re.search(r"3\.11( to |~)3\.14", said["requirements"])
        assert f"{defaults.port}" in said["ports"]
        assert f"{defaults.ui_port}" in said["ports"]
        assert f"http://127.0.0.1:{defaults.ui_port}" in said["page"]
        assert f"http://127.0.0.1:{defaults.port}" in said["openai_sdk"]
        assert f"http://127.0.0.1:{defaults.port}" in said["claude_code"]
        for path in ("config.yaml.example", "secrets/api_keys.yaml.example", "models/README.md", "docker-compose.yml"):
            assert (ROOT / path).is_file()
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        guides = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
        commands = {part for answer in said.values() for part in re.findall(r"`([a-z][^`]+)`", answer) if " " in part}
        assert len(commands) > 5
        known = ("docker compose down", "tollgate keys create --name laptop --user ada")
        assert {each for each in commands if each not in readme + guides and each not in known} == set()
