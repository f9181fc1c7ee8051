"""`python -m local_llm.bindings inspect|bench|quantize`: what only llama.cpp itself knows of a model, by its bindings.

Runs in a process of its own, in the environment that `local_llm.installed.bindings_environment` gives; never imported.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import llama_cpp

from local_llm.machine import usable_cores

_READ_TOKENS, _WRITE_TOKENS = 512, 64


def main(words: list[str]) -> int:
    """0 with JSON on standard output, 1 with a line on standard error."""
    action, path, *rest = words
    try:
        found = _ACTIONS[action](path, *rest)
    except ValueError as error:
        sys.stderr.write(f"{path}: {error}\n")
        return 1
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 0


def _inspect(path: str, text: str | None = None) -> dict[str, Any]:
    model = _load(path, vocab_only=True)
    found: dict[str, Any] = {"llama_cpp_python": llama_cpp.__version__, "vocabulary": model.n_vocab()}
    if text is not None:
        found["tokens"] = len(model.tokenize(text.encode(), add_bos=True, special=True))
    return found


def _bench(path: str) -> dict[str, Any]:
    threads = usable_cores()
    model = _load(path, n_ctx=_READ_TOKENS + _WRITE_TOKENS, n_batch=128, n_threads=threads, n_threads_batch=threads)
    prompt = [model.token_bos()] + [token % model.n_vocab() for token in range(1000, 1000 + _READ_TOKENS - 1)]
    began = time.perf_counter()
    model.eval(prompt)
    read = time.perf_counter()
    for _ in range(_WRITE_TOKENS):
        model.eval([model.sample(temp=0.0)])
    wrote = time.perf_counter()
    return {
        "threads": threads,
        "prompt_tokens_per_second": round(_READ_TOKENS / (read - began), 1),
        "tokens_per_second": round(_WRITE_TOKENS / (wrote - read), 1),
    }


def _quantize(path: str, out: str, kind: str) -> dict[str, Any]:
    number = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind.upper()}", None)
    if number is None:
        raise ValueError(f"llama.cpp knows no type {kind!r}; Q4_K_M and Q8_0 are usual")
    wanted = llama_cpp.llama_model_quantize_default_params()
    wanted.ftype = number
    with _quiet():
        code = llama_cpp.llama_model_quantize(path.encode(), f"{out}.part".encode(), wanted)
    if code:
        raise ValueError(f"llama.cpp could not quantize it ({code})")
    os.replace(f"{out}.part", out)
    return {"file": out, "bytes": os.path.getsize(out), "before": os.path.getsize(path)}


def _load(path: str, **settings: Any) -> Any:
    with _quiet():
        return llama_cpp.Llama(path, verbose=False, **settings)


@contextmanager
def _quiet() -> Iterator[None]:
    """llama.cpp writes what it does to standard error, below Python."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


_ACTIONS: dict[str, Callable[..., dict[str, Any]]] = {"inspect": _inspect, "bench": _bench, "quantize": _quantize}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
