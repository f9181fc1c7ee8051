"""The models of a folder: which GGUF files there are, what they say of themselves, what is wrong with the others."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from local_llm.gguf import ModelFacts, NoModel, read_facts
from local_llm.settings import ServiceSettings

_PART = re.compile(r"-(\d{5})-of-(\d{5})$")
# Kinds of files that only serve beside a model.
_COMPANIONS = ("clip", "mmproj", "imatrix", "adapter")
# Encoders: they embed and do not write. llama.cpp's src/llama-arch.cpp.
_OTHER_BERTS = ("nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "modern-bert", "neo-bert", "eurobert")
_ENCODERS = ("bert", *_OTHER_BERTS)
_BASE_BYTES = 48 * 1024 * 1024  # of a llama-server without a model
DEMO = "tollgate-demo"  # how the name of the repository's own model begins: the default only while there is no other


@dataclass(frozen=True, slots=True)
class Model:
    """`stamp` changes when the file does."""

    name: str
    path: Path
    facts: ModelFacts
    stamp: tuple[int, int, int]

    @property
    def embeds_only(self) -> bool:
        return self.facts.architecture in _ENCODERS

    def context(self, settings: ServiceSettings) -> int:
        """Tokens of a slot: no more than the model was made for."""
        return min(settings.context, self.facts.context) or settings.context

    def needed_bytes(self, settings: ServiceSettings) -> int:
        """Memory that serving it takes: weights, every slot's context, and scratch for a batch."""
        facts = self.facts
        scratch = settings.batch * (facts.vocabulary * 4 + facts.width * 64)
        context = facts.kv_bytes_per_token * settings.slots * self.context(settings)
        return facts.file_bytes + context + scratch + _BASE_BYTES


class Library:
    """Read again with `look`; a file that has not changed is not opened again."""

    def __init__(self, folder: Path, wanted: str | None = None) -> None:
        self._folder = folder
        self._wanted = wanted.removesuffix(".gguf") if wanted else None
        self._seen: dict[Path, tuple[tuple[int, int, int], Model | str]] = {}
        self.models: dict[str, Model] = {}
        self.problems: dict[str, str] = {}

    def look(self) -> None:
        found: dict[Path, tuple[tuple[int, int, int], Model | str]] = {}
        for path in sorted(self._folder.glob("*.gguf")):
            try:
                status = path.stat()
            except OSError:
                continue  # it went while we looked, or is a dangling link
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            known = self._seen.get(path)
            found[path] = known if known is not None and known[0] == stamp else (stamp, _read(path, stamp))
        self._seen = found
        read = [each for _, each in found.values() if isinstance(each, Model)]
        self.models = {model.name: model for model in sorted(read, key=self._rank)}
        self.problems = {path.stem: each for path, (_, each) in found.items() if isinstance(each, str) and each}

    @property
    def default(self) -> Model | None:
        """The one that was named, else the first by name, a demo only where nothing else is."""
        if self._wanted is not None:
            return self.models.get(self._wanted)
        return next(iter(self.models.values()), None)

    @property
    def reason(self) -> str:
        """Why there is no default, and what to do."""
        if self._wanted is not None:
            return self.problems.get(self._wanted) or f"there is no {self._wanted}.gguf in {self._folder}"
        return next(iter(self.problems.values()), f"no model: put a GGUF file into {self._folder}")

    def _rank(self, model: Model) -> tuple[bool, bool, bool, str]:
        return (model.name != self._wanted, model.name.startswith(DEMO), model.embeds_only, model.name)


def _read(path: Path, stamp: tuple[int, int, int]) -> Model | str:
    """The model, or what is wrong with it; empty for a file that is not to be served by itself."""
    part = _PART.search(path.stem)
    if part is not None and int(part[1]) != 1:
        return ""
    try:
        facts = read_facts(path)
    except NoModel as problem:
        return str(problem)
    if facts.architecture in _COMPANIONS or path.stem.startswith("mmproj"):
        return ""
    name = path.stem[: part.start()] if part else path.stem
    for number in range(2, int(part[2]) + 1 if part else 0):
        other = path.with_name(f"{name}-{number:05d}-of-{part[2] if part else ''}.gguf")
        if not other.is_file():
            return f"{path} has parts, and {other.name} is missing; download it too"
    return Model(name, path, facts, stamp)
