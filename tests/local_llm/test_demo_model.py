"""The repository's demo model, by real inference: every question of its FAQ, and phrasings it was not trained on."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import httpx
import pytest

from local_llm.gguf import read_facts
from local_llm.library import DEMO
from scripts.demo_model.phrases import LANGUAGES, load
from scripts.demo_model.tokenizer import FIRST_PIECE, Tokenizer
from tests.deployment import Deployment, until
from tests.local_llm.serving import ROOT, Service, serving

FILE = ROOT / "models" / f"{DEMO}.gguf"
LABEL = "demo, knows only Tollgate"
ANTHROPIC = {"anthropic-version": "2023-06-01"}
SLOTS = 8
MOST_BYTES = 8 * 1024 * 1024
GOOD = 0.84
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


def test_it_answers_its_questions_also_in_words_that_it_was_not_trained_on(
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
        said = f"demo model, {language}, {kind}: {sum(group)} of {len(group)} ({shares[language, kind]:.0%})"
        record_property("measured", said)
    wrong = "\n".join(f"{each.text} -> {got}" for each, got in zip(asked, answers, strict=True) if not right[each])
    for language in LANGUAGES:
        own = [right[each] for each in asked if each.language == language and each.kind != "of something else"]
        assert len(own) == 4 * len(FAQS[0].questions)
        assert sum(own) / len(own) >= GOOD, wrong
    assert min(shares.values()) >= 0.75, wrong


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


def test_it_answers_greetings_and_ends_by_itself(service: Service) -> None:
    assert "Tollgate" in ask(service, ("user", "Hello!"))
    assert "톨게이트" in ask(service, ("user", "안녕하세요"))
    prompt = "<|user|>what is tollgate?<|assistant|>"
    got = service.post("/completion", model=DEMO, prompt=prompt, temperature=0, n_predict=60).json()
    assert got["content"] == FAQS[0].questions[0].answer
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


def test_callers_of_the_gateway_meet_it_free_and_as_a_demo_while_nothing_else_is_there(
    service: Service, tmp_path: Path
) -> None:
    config = {"providers": {"local": {"api_base": f"{service.url}/v1"}}}
    with Deployment(tmp_path / "gateway", "http://127.0.0.1:1", config=config) as gateway:

        def usable() -> list[dict[str, Any]]:
            return [row for row in gateway.get("/v1/models").json()["data"] if row["available"]]

        [row] = until(usable, "the demo model is listed")
        assert (row["id"], row["owned_by"], row["label"]) == (f"local:{DEMO}", "local", LABEL)
        assert row["pricing"] == {"input_price_per_million": 0, "output_price_per_million": 0}
        listed = httpx.get(f"{gateway.url}/v1/models", headers={"x-api-key": gateway.key, **ANTHROPIC}).json()["data"]
        assert [each["display_name"] for each in listed] == [f"local:{DEMO} ({LABEL})"]
        listed = httpx.get(f"{gateway.url}/v1beta/models", headers={"x-goog-api-key": gateway.key}).json()["models"]
        assert [each["description"] for each in listed] == [f"Served by local: {LABEL}"]

        korean = FAQS[1].questions[0]
        said = {"model": "local", "max_tokens": 100, "messages": [{"role": "user", "content": korean.question}]}
        answer = gateway.post("/v1/messages", said | {"temperature": 0}, **ANTHROPIC)
        assert answer.status_code == 200, answer.text
        assert korean.key in answer.json()["content"][0]["text"]
        [billed] = gateway.rows(1)
        assert (billed["model"], billed["cost"]) == (DEMO, 0)
