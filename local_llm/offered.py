"""A few small models that are known to be of use here: where they are, how large, under which licence."""

from __future__ import annotations

from dataclasses import dataclass

_HUB = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class Offer:
    """`size` is about how many bytes are downloaded; the server's own figure counts."""

    name: str
    url: str
    size: int
    licence: str
    about: str

    @property
    def file_name(self) -> str:
        return self.url.rpartition("/")[2]


def _offer(name: str, path: str, megabytes: int, licence: str, about: str) -> Offer:
    return Offer(name, f"{_HUB}/{path}", megabytes * 1_000_000, licence, about)


# The first is what the stack recommends where nothing else is said.
OFFERS = (
    _offer(
        "tinyllama-1.1b",
        "TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF/resolve/main/tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf",
        669,
        "Apache-2.0",
        "the stack's default: fast, English",
    ),
    _offer(
        "qwen2.5-0.5b",
        "Qwen/Qwen2.5-0.5B-Instruct-GGUF/resolve/main/qwen2.5-0.5b-instruct-q4_k_m.gguf",
        491,
        "Apache-2.0",
        "smallest; many languages, Korean among them",
    ),
    _offer(
        "qwen3-0.6b",
        "Qwen/Qwen3-0.6B-GGUF/resolve/main/Qwen3-0.6B-Q8_0.gguf",
        639,
        "Apache-2.0",
        "reasons before it answers; tools; many languages",
    ),
    _offer(
        "smollm2-1.7b",
        "HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF/resolve/main/smollm2-1.7b-instruct-q4_k_m.gguf",
        1056,
        "Apache-2.0",
        "English, more careful",
    ),
    _offer(
        "qwen3-1.7b",
        "Qwen/Qwen3-1.7B-GGUF/resolve/main/Qwen3-1.7B-Q8_0.gguf",
        1834,
        "Apache-2.0",
        "reasons, uses tools, many languages; needs 3 GB of memory",
    ),
    _offer(
        "gemma-3-1b",
        "ggml-org/gemma-3-1b-it-GGUF/resolve/main/gemma-3-1b-it-Q4_K_M.gguf",
        806,
        "Gemma Terms of Use",
        "many languages",
    ),
)


def find_offer(name: str) -> Offer | None:
    return next((offer for offer in OFFERS if name.lower() in (offer.name, offer.file_name.lower())), None)
