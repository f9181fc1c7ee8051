"""What can be set of the local model: flags, else `LOCAL_<NAME>` of the environment, else these defaults.

`config.yaml` names the same under `local:`; `tollgate up` hands them over as flags.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """`context` is tokens per slot. `threads` None: the cores that this process really may use. `memory_mib` None: what
    is free. `idle_seconds` 0: nothing is unloaded for being idle. `queue`: callers that wait, a model."""

    models: Path
    model: str | None = None
    slots: int = 4
    context: int = 2048
    threads: int | None = None
    batch: int = 128
    cache_mib: int = 256
    idle_seconds: float = 900.0
    queue: int = 32
    wait_seconds: float = 120.0
    memory_mib: int | None = None
    server: str | None = None


# Setting -> (type, what it means). The flag is --name with dashes.
_NUMBERS: Mapping[str, tuple[type, str]] = {
    "slots": (int, "answers at once, of each model"),
    "context": (int, "tokens per slot: prompt and answer together"),
    "threads": (int, "else all usable cores"),
    "batch": (int, "prompt tokens at a time: more is faster alone, and stalls the others longer"),
    "cache_mib": (int, "memory for remembered prompts"),
    "idle_seconds": (float, "a model that nobody has asked for so long is unloaded; 0: never"),
    "queue": (int, "callers that may wait for a slot, of each model; more get a 503"),
    "wait_seconds": (float, "longest wait, for the model to be loaded and for a slot"),
    "memory_mib": (int, "for all models together; else what is free"),
}


def add_flags(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    """A default that is text is checked by argparse like an argument."""
    parser.add_argument("--models-dir", type=Path, default=Path("models"), help="folder of GGUF files")
    model, server = environ.get("LOCAL_MODEL") or None, "its path; else LLAMA_SERVER_BIN, PATH, the one built here"
    parser.add_argument("--model", default=model, help="the default; else the first by name")
    parser.add_argument("--server", default=None, help=server)
    for name, (kind, text) in _NUMBERS.items():
        said = environ.get(f"LOCAL_{name.upper()}") or _default(name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=_at_least_zero(kind), default=said, help=text)


def settings_of(chosen: argparse.Namespace) -> ServiceSettings:
    numbers = {name: getattr(chosen, name) for name in _NUMBERS}
    numbers["threads"] = numbers["threads"] or None
    return ServiceSettings(chosen.models_dir, chosen.model, server=chosen.server, **numbers)


def _default(name: str) -> str | None:
    value = ServiceSettings.__dataclass_fields__[name].default
    return None if value is None else str(value)


class _at_least_zero:
    def __init__(self, kind: type) -> None:
        self._kind = kind
        self.__name__ = "number of at least 0"

    def __call__(self, text: str) -> int | float:
        number: int | float = self._kind(text)
        if not number >= 0:
            raise ValueError(text)
        return number
