"""Trains the demo model from nothing but the FAQ beside this file, and writes it as a GGUF.

    python -m venv demo-venv && demo-venv/bin/pip install -r scripts/demo_model/requirements.txt
    demo-venv/bin/python -m scripts.demo_model.train

Everything is drawn from one seed. Run from the repository's root.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import optax

from scripts.demo_model import bag_of_words
from scripts.demo_model.bag_of_words import EPSILON
from scripts.demo_model.gguf_file import write
from scripts.demo_model.model import Batch, Shape, Weights, is_learned, new_weights, step
from scripts.demo_model.phrases import LANGUAGES, Entry, Faq, Typist, load
from scripts.demo_model.tokenizer import ASSISTANT, BEGIN, END, USER, Tokenizer, learn

_log = logging.getLogger("train")
_BATCH = 32  # examples with the opening of an answer; which answer it is shows there
_BATCHES = 3  # of these in turn, cut from examples sorted by length: less padding
_WHOLE_BATCH = 16  # examples with the whole answer
_WHOLE_BATCHES = 2  # of these in turn
_OPENING = 6  # tokens
_WHOLE = 49  # tokens, at most
_WIDTHS = (24, 40, 66)  # rows are padded to one of these: each is compiled for itself
_RAW = 0.06  # share of examples without the chat's marks, as /completion sends them
_LONGEST = 56  # tokens of a question
_SHORT = 13  # tokens of a question before a whole answer, which is learned beside any
_PHRASES = 16_000  # that the vocabulary is learned from
_BAG = 256  # questions in a batch of the bag of words
_BAG_STEPS = 700
_SAY_EVERY = 50  # steps

Example = tuple[list[int], int]  # tokens, and where those begin that are to be learned


class Examples:
    """Draws what the model is trained on."""

    def __init__(self, faqs: Sequence[Faq], tokenizer: Tokenizer, chance: random.Random) -> None:
        self._faqs = [(faq, Typist(faq, chance)) for faq in faqs]
        self._tokenizer = tokenizer
        self._chance = chance

    def batches(self) -> Iterator[Batch]:
        """Without end."""
        while True:
            drawn = sorted(
                (self._example(_LONGEST, _OPENING) for _ in range(_BATCH * _BATCHES)), key=lambda each: len(each[0])
            )
            batches = [_padded(drawn[at : at + _BATCH], _OPENING) for at in range(0, len(drawn), _BATCH)]
            for _ in range(_WHOLE_BATCHES):
                batches.append(_padded([self._example(_SHORT, _WHOLE) for _ in range(_WHOLE_BATCH)], _WHOLE))
            self._chance.shuffle(batches)
            yield from batches

    @property
    def classes(self) -> dict[tuple[str, str], int]:
        """All that can be asked, by language and name, numbered."""
        names = [(faq.language, entry.name) for faq, _ in self._faqs for entry in faq.entries]
        return {name: number for number, name in enumerate(names)}

    def bags(self) -> Iterator[bag_of_words.Batch]:
        """Without end: questions, and the class of each."""
        classes = self.classes
        while True:
            rows = np.full((_BAG, _LONGEST + 3), END, dtype=np.int32)
            present = np.zeros(rows.shape, dtype=np.float32)
            last = np.full(_BAG, ASSISTANT, dtype=np.int32)
            wanted = np.zeros(_BAG, dtype=np.int32)
            for row in range(_BAG):
                faq, typist = self._chance.choice(self._faqs)
                entry = _kind(faq, self._chance)
                asked = self._tokenizer.encode(f" {typist.ask(entry)}", self._chance)[:_LONGEST]
                tokens = [BEGIN, USER, *asked, ASSISTANT]
                rows[row, : len(tokens)] = tokens
                present[row, : len(tokens)] = 1
                wanted[row] = classes[faq.language, entry.name]
            yield rows, present, last, wanted

    def _example(self, longest: int, longest_answer: int) -> Example:
        chance = self._chance
        faq, typist = chance.choice(self._faqs)
        while True:
            entry = _kind(faq, chance)
            question = typist.ask(entry)
            asked = self._tokenizer.encode(f" {question}", chance)
            if 0 < len(asked) <= longest:
                break
        answer = [*self._tokenizer.encode(entry.answer), END][:longest_answer]
        if chance.random() < _RAW:
            cased = question.capitalize() if chance.random() < 0.5 else question
            asked = [BEGIN, *self._tokenizer.encode(f" {cased}")]
            return [*asked, ASSISTANT, *answer], len(asked)
        asked = [BEGIN, USER, *asked, ASSISTANT]
        return [*asked, *answer], len(asked)


def _kind(faq: Faq, chance: random.Random) -> Entry:
    """Three of four are questions of the FAQ, the others mostly of something else."""
    drawn = chance.random()
    if drawn < 0.7:
        return chance.choice(faq.questions)
    return chance.choice(faq.greetings) if drawn < 0.75 else faq.unknown


def _padded(examples: Sequence[Example], most: int) -> Batch:
    longest = max(len(tokens) for tokens, _ in examples)
    rows = np.full((len(examples), next(width for width in _WIDTHS if width >= longest)), END, dtype=np.int32)
    places = np.ones((len(examples), most + 1), dtype=np.int32)  # one more: the mark that raw examples learn, too
    counted = np.zeros(places.shape, dtype=np.float32)
    for row, (tokens, start) in enumerate(examples):
        learned = len(tokens) - start
        rows[row, : len(tokens)] = tokens
        places[row, :learned] = np.arange(start, len(tokens))
        counted[row, :learned] = 1
    return rows, places, counted


def vocabulary(faqs: Sequence[Faq], size: int, chance: random.Random) -> Tokenizer:
    texts = [answer for faq in faqs for answer in [entry.answer for entry in faq.entries] * 20]
    for faq in faqs:
        typist = Typist(faq, chance)
        texts += [f" {typist.ask(_kind(faq, chance))}" for _ in range(_PHRASES // len(faqs))]
    return learn(texts, size)


def train(steps: int, rate: float, seed: int, shape: Shape, path: Path, keep_every: int) -> None:
    chance = random.Random(seed)
    faqs = [load(language) for language in LANGUAGES]
    started = time.monotonic()
    tokenizer = vocabulary(faqs, shape.vocabulary, chance)
    examples = Examples(faqs, tokenizer, chance)
    classes = len(examples.classes)
    classifier = bag_of_words.learn(examples.bags(), shape.vocabulary, shape.width, classes, _BAG_STEPS, seed)
    weights = new_weights(shape, classifier, seed)
    kept = {name: weight for name, weight in weights.items() if not is_learned(name)}
    learned = {name: weight for name, weight in weights.items() if is_learned(name)}
    size = sum(weight.size for weight in weights.values())
    _log.info("%d parameters; vocabulary and classifier took %.0f s", size, time.monotonic() - started)
    optimizer = _optimizer(rate, steps)
    state = optimizer.init(learned)
    losses: list[float] = []
    tokens = 0
    for number, batch in enumerate(itertools.islice(examples.batches(), steps), 1):
        learned, state, loss = step(learned, kept, state, shape, optimizer, batch)
        losses.append(float(loss))
        tokens += batch[0].size
        if number % _SAY_EVERY == 0:
            passed = time.monotonic() - started
            recent = sum(losses[-_SAY_EVERY:]) / _SAY_EVERY
            _log.info("step %d: loss %.4f, %.0f s, %.0f tokens/s", number, recent, passed, tokens / passed)
        if number % keep_every == 0 or number == steps:
            _keep(path, tokenizer, learned | kept, shape)
    _log.info("%s: %d bytes, trained in %.0f s", path, path.stat().st_size, time.monotonic() - started)


def _optimizer(rate: float, steps: int) -> optax.GradientTransformation:
    schedule = optax.warmup_cosine_decay_schedule(0, rate, steps // 30, steps, rate / 100)
    matrices = optax.adamw(schedule, b2=0.98, weight_decay=0.05, mask=_is_matrix)
    return optax.chain(optax.clip_by_global_norm(1.0), matrices)


def _is_matrix(weights: Weights) -> dict[str, bool]:
    return {name: weight.ndim == 2 for name, weight in weights.items()}


def _keep(path: Path, tokenizer: Tokenizer, weights: Weights, shape: Shape) -> None:
    plain = {name: np.asarray(weight) for name, weight in weights.items()}
    unfinished = path.with_suffix(".part")
    write(unfinished, tokenizer, plain, heads=shape.heads, epsilon=EPSILON)
    unfinished.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train Tollgate's demo model from scratch")
    parser.add_argument("--steps", type=int, default=2200)
    parser.add_argument("--rate", type=float, default=3e-3, help="of learning, at its highest")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep-every", type=int, default=500, help="steps")
    parser.add_argument("--out", type=Path, default=Path("models/tollgate-demo.gguf"))
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train(chosen.steps, chosen.rate, chosen.seed, Shape(), chosen.out, chosen.keep_every)


if __name__ == "__main__":
    main()
