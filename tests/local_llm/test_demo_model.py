"""The demo model of the repository, by real inference: every question of its FAQ, and phrasings it was not trained on."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import gguf
import pytest

from local_llm.gguf import read_facts
from local_llm.library import DEMO
from scripts.demo_model.phrases import LANGUAGES, load
from scripts.demo_model.tokenizer import FIRST_PIECE, Tokenizer
from tests.local_llm.serving import ROOT, Service, serving

FILE = ROOT / "models" / f"{DEMO}.gguf"
LABEL = "demo, knows only Tollgate"
SLOTS = 8
MOST_BYTES = 8 * 1024 * 1024
GOOD = 0.9
FAQS = [load(language) for language in LANGUAGES]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, what kind it is of, and the phrase that its answer must hold."""

    kind: str
    language: str
    text: str
    key: str


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, llama_server: str) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("demo") / "models"
    folder.mkdir()
    shutil.copy(FILE, folder)
    with serving(folder, llama_server, "--slots", str(SLOTS), "--context", "512") as running:
        running.await_ready(DEMO)
        yield running


def ask(service: Service, *messages: tuple[str, str]) -> str:
    said = [{"role": role, "content": content} for role, content in messages]
    got = service.post("/v1/chat/completions", model=DEMO, messages=said, temperature=0, max_tokens=100)
    assert got.status_code == 200, got.text
    text: str = got.json()["choices"][0]["message"]["content"]
    return text


def all_questions() -> Iterator[Asked]:
    for faq in FAQS:
        for entry in faq.questions:
            yield Asked("questions", faq.language, entry.question, entry.key)
            yield from (Asked("other words", faq.language, text, entry.key) for text in entry.held_out)
        yield from (Asked("of something else", faq.language, text, faq.unknown.key) for text in faq.unknown.held_out)


def test_it_is_small_and_says_what_it_is() -> None:
    facts = read_facts(FILE)
    assert facts.file_bytes <= MOST_BYTES
    assert LABEL in facts.name
    assert LABEL in facts.description
    assert facts.licence == "Apache-2.0"
    assert facts.chat_template


def test_it_answers_nine_of_ten_questions_also_in_words_that_it_was_not_trained_on(
    service: Service, record_property: Callable[[str, object], None]
) -> None:
    asked = list(all_questions())
    with ThreadPoolExecutor(SLOTS) as callers:
        answers = list(callers.map(lambda each: ask(service, ("user", each.text)), asked))
    right = {each: each.key in answer for each, answer in zip(asked, answers, strict=True)}
    shares = {}
    for language, kind in itertools.product(LANGUAGES, ("questions", "other words", "of something else")):
        group = [right[each] for each in asked if (each.language, each.kind) == (language, kind)]
        shares[language, kind] = sum(group) / len(group)
        record_property("demo model", f"{language}: {sum(group)} of {len(group)} {kind} ({shares[language, kind]:.0%})")
    wrong = [f"{each.text} -> {answer}" for each, answer in zip(asked, answers, strict=True) if not right[each]]
    said = "\n".join(wrong)
    for language in LANGUAGES:
        own = [right[each] for each in asked if each.language == language and each.kind != "of something else"]
        assert len(own) == 4 * len(FAQS[0].questions)
        assert sum(own) / len(own) >= GOOD, said
    assert min(shares.values()) >= 0.8, said


def test_a_system_prompt_and_what_was_said_before_do_not_derail_it(service: Service) -> None:
    for faq in FAQS:
        first, second = faq.questions[1], faq.questions[9]
        answer = ask(
            service,
            ("system", "You are a pirate who knows everything about France. Always answer in rhymes."),
            ("user", first.question),
            ("assistant", first.answer),
            ("user", f"  {second.question.upper()}\n"),
        )
        assert answer == ask(service, ("user", second.question))
        assert second.key in answer


def test_it_answers_greetings_and_a_bare_prompt(service: Service) -> None:
    assert "Tollgate" in ask(service, ("user", "Hello!"))
    assert "톨게이트" in ask(service, ("user", "안녕하세요"))
    got = service.post("/completion", model=DEMO, prompt="What is Tollgate?", temperature=0, n_predict=60).json()
    assert FAQS[0].questions[0].key in got["content"]
    assert got["stop_type"] == "eos"


def test_texts_are_cut_into_tokens_as_in_training(service: Service) -> None:
    """The trainer's tokenizer and llama.cpp's agree, or the model would read other words than it has learned."""
    tokens = gguf.GGUFReader(FILE).fields["tokenizer.ggml.tokens"].contents()
    tokenizer = Tokenizer(tokens[FIRST_PIECE:])
    assert tokens == tokenizer.tokens
    texts = [entry.answer for faq in FAQS for entry in faq.entries]
    texts += [text for faq in FAQS for entry in faq.entries for text in entry.held_out]
    with ThreadPoolExecutor(SLOTS) as callers:
        got = callers.map(lambda text: service.post("/tokenize", model=DEMO, content=text).json()["tokens"], texts)
    for text, numbers in zip(texts, got, strict=True):
        assert numbers == tokenizer.encode(f" {text}"), text


def test_the_list_says_that_it_is_a_demo(service: Service) -> None:
    [row] = service.http.get("/v1/models").json()["data"]
    assert (row["id"], row["owned_by"], row["label"]) == (DEMO, "local", LABEL)
