"""The models of a folder: which GGUF files there are, what they say of themselves, what is wrong with the others."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path

from local_llm.gguf import ModelFacts, NoModel, read_facts
from local_llm.settings import ServiceSettings

_PART = re.compile(r"-(\d{5})-of-(\d{5})$")
# Kinds of files that only serve beside a model.
_COMPANIONS = ("clip", "mmproj", "imatrix", "adapter")
# Encoders: they embed and do not write. llama.cpp's src/llama-arch.cpp.
_OTHER_BERTS = ("nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "modern-bert", "neo-bert", "eurobert")
_ENCODERS = ("bert", *_OTHER_BERTS, "gemma-embedding", "t5encoder")
_LAST, _RANK = 3, 4  # llama_pooling_type: include/llama.h
_BASE_BYTES = 48 * 1024 * 1024  # of a llama-server without a model
DEMO = "tollgate-demo"  # how the name of the repository's own model begins: the default only while there is no other


Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Model:
    """`files` are its parts, one for most; `stamp` changes when one of them does. `facts` counts all of them."""

    name: str
    files: tuple[Path, ...]
    facts: ModelFacts
    stamp: Stamp

    @property
    def path(self) -> Path:
        """What llama-server is given: it finds the other parts by itself."""
        return self.files[0]

    @property
    def demo(self) -> bool:
        return self.name.startswith(DEMO)

    @property
    def embeds_only(self) -> bool:
        """It was made for embeddings: an encoder, or a file that says how it pools."""
        return self._encoder or (self.facts.pooling is not None and not self.demo)

    @property
    def in_one_piece(self) -> bool:
        """It must see the whole of an input at once (llama.cpp's `server_slot::can_split`)."""
        splits = not self._encoder and self.facts.pooling in (_LAST, _RANK)
        return self.embeds_only and not splits

    @property
    def _encoder(self) -> bool:
        return self.facts.architecture in _ENCODERS or not self.facts.causal

    def context(self, settings: ServiceSettings) -> int:
        """Tokens of a slot: no more than the model was made for."""
        return min(settings.context, self.facts.context) or settings.context

    def batch(self, settings: ServiceSettings) -> int:
        """Tokens at a time. Small ones: a long prompt then stalls the other callers for one second instead of four."""
        return self.context(settings) if self.in_one_piece else settings.batch

    def needed_bytes(self, settings: ServiceSettings) -> int:
        """Memory that serving it takes: weights, every slot's context, and scratch for a batch."""
        facts = self.facts
        scratch = self.batch(settings) * ((0 if self.in_one_piece else facts.vocabulary * 4) + facts.width * 64)
        context = facts.kv_bytes_per_token * settings.slots * self.context(settings)
        return facts.file_bytes + context + scratch + _BASE_BYTES


class Library:
    """Read again with `look`; a file that has not changed is not opened again."""

    def __init__(self, folder: Path, wanted: str | None = None) -> None:
        self._folder = folder
        self._seen: dict[Path, tuple[Stamp, Model | str]] = {}
        self.wanted = wanted.removesuffix(".gguf") if wanted else None
        self.models: dict[str, Model] = {}
        self.problems: dict[str, str] = {}

    def look(self) -> None:
        found: dict[Path, tuple[Stamp, Model | str]] = {}
        for path in sorted(self._folder.glob("*.gguf")):
            files = _files(path)
            try:
                stats = [file.stat() for file in files if file == path or file.is_file()]
            except OSError:
                continue  # it went while we looked, or is a dangling link
            stamp = tuple((status.st_mtime_ns, status.st_size, status.st_ino) for status in stats)
            known = self._seen.get(path)
            if files:
                found[path] = known if known is not None and known[0] == stamp else (stamp, _read(files, stamp))
        self._seen = found
        read = [each for _, each in found.values() if isinstance(each, Model)]
        self.models = {model.name: model for model in sorted(read, key=self._rank)}
        self.problems = {path.stem: each for path, (_, each) in found.items() if isinstance(each, str) and each}

    def default(self, troubled: Container[str] = ()) -> Model | None:
        """The one that was named, whatever ails it; else the first that is not `troubled`, a demo after all others that
        write, what only embeds after that."""
        if self.wanted is not None:
            return self.models.get(self.wanted)
        able = (model for model in self.models.values() if model.name not in troubled)
        return next(able, next(iter(self.models.values()), None))

    @property
    def reason(self) -> str:
        """Why there is no default, and what to do."""
        if self.wanted is not None:
            return self.problems.get(self.wanted) or f"there is no {self.wanted}.gguf in {self._folder}"
        return next(iter(self.problems.values()), f"no model: put a GGUF file into {self._folder}")

    def _rank(self, model: Model) -> tuple[bool, bool, bool, str]:
        return (model.name != self.wanted, model.embeds_only, model.demo, model.name)


def _files(path: Path) -> tuple[Path, ...]:
    """All parts of the model that begins with this file; none for a later part."""
    part = _PART.search(path.stem)
    if part is None:
        return (path,)
    if int(part[1]) != 1:
        return ()
    name = path.stem[: part.start()]
    numbers = range(1, int(part[2]) + 1)
    return tuple(path.with_name(f"{name}-{number:05d}-of-{part[2]}.gguf") for number in numbers)


def _read(files: tuple[Path, ...], stamp: Stamp) -> Model | str:
    """The model, or what is wrong with it; empty for a file that is not to be served by itself."""
    path = files[0]
    for other in files:
        if not other.is_file():
            return f"{path.name} has parts, and {other.name} is missing; download it too"
    try:
        facts, *others = [read_facts(file) for file in files]
    except NoModel as problem:
        return str(problem)
    if facts.architecture in _COMPANIONS or path.stem.startswith("mmproj"):
        return ""
    whole = replace(
        facts,
        file_bytes=facts.file_bytes + sum(other.file_bytes for other in others),
        parameters=facts.parameters + sum(other.parameters for other in others),
    )
    name = path.stem[: part.start()] if (part := _PART.search(path.stem)) else path.stem
    return Model(name, files, whole, stamp)
