"""The documents: what they say to type is typed here, what they point at is there.

A fenced block below the comment `<!-- run: TEXT -->` is run against a real gateway, in the order of its document, and
what it prints must hold TEXT. The address in it becomes this gateway's; everything else is run as it stands.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from gateway.settings import Overrides, Settings, load
from scripts.translation.matrix import answer_rows, proof_rows, request_rows, silent_losses
from scripts.write_docs import GENERATED, renewed
from tests.deployment import MASTER_KEY, Deployment, providers_at, until
from tests.replay import Upstream, written

ROOT = Path(__file__).resolve().parents[1]
DEPENDENCIES = ROOT / "docs" / "decisions" / "0012-dependencies.md"
GUIDE = ROOT / "docs" / "adding-a-provider.md"
READMES = (ROOT / "README.md", ROOT / "README.ko.md")
DOCUMENTS = sorted(
    {
        path
        for pattern in ("*.md", "docs/**/*.md", "*/README.md")
        for path in ROOT.glob(pattern)
        if not any(part.startswith(".") or part == "node_modules" for part in path.relative_to(ROOT).parts)
    }
)
ADDRESS = "http://127.0.0.1:8000"
_RUN = re.compile(r"<!-- run:\s*(.*?)\s*-->")
_FENCE = re.compile(r"```(\w*)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`]+)`")

# Accepted so that an any-llm gateway's file starts unchanged; nothing here uses them.
ONLY_ACCEPTED = {"credentials", "project", "location"}
# Cannot stand beside the setting that they replace: a comment there tells of them.
INSTEAD = {"price_per_second"}


@dataclass(frozen=True)
class Block:
    """A fenced block. `expect` None: it is shown, not run."""

    language: str
    text: str
    expect: str | None


def blocks(path: Path) -> list[Block]:
    found: list[Block] = []
    lines = iter(path.read_text(encoding="utf-8").splitlines())
    expect: str | None = None
    for line in lines:
        if opened := _FENCE.fullmatch(line.strip()):
            body = []
            for inner in lines:
                if inner.strip() == "```":
                    break
                body.append(inner)
            found.append(Block(opened[1], "\n".join(body), expect))
        marked = _RUN.fullmatch(line.strip())
        expect = marked[1] if marked else None
    return found


def prose(path: Path) -> list[str]:
    """The lines outside fenced blocks."""
    out, fenced = [], False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            out.append(line)
    return out


def headings(path: Path) -> list[tuple[int, str]]:
    found = (re.fullmatch(r"(#+) (.+)", line) for line in prose(path))
    return [(len(match[1]), match[2]) for match in found if match]


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


# ------------------------------------------------------------------------------------------- what is run
@dataclass
class Reader:
    """Somebody who types what a document says, into one shell, in a folder that looks like a clone in use."""

    deployment: Deployment
    upstream: Upstream
    exported: dict[str, str]

    def types(self, block: Block) -> str:
        """What is printed. Raises AssertionError when the command fails."""
        # What was called before is to be seen in the ledger.
        until(self._ledger_has_all, "every call is a row")
        text = block.text.replace(ADDRESS, self.deployment.url)
        exports = self.deployment.folder / "exports"
        command = {
            "sh": ["bash", "-euc", f"{text}\nenv -0 > {exports}"],
            "python": [sys.executable, "-c", text],
        }[block.language]
        environment = {**self.deployment.gateway.environment, **self.exported}
        done = subprocess.run(
            command, cwd=self.deployment.folder, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"
        if block.language == "sh":
            pairs = exports.read_text(encoding="utf-8").split("\0")
            self.exported = dict(pair.split("=", 1) for pair in pairs if pair)
        return done.stdout

    def _ledger_has_all(self) -> bool:
        count: int = self.deployment.get("/v1/usage/count").json()["count"]
        return count >= len(self.upstream.calls)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Upstream]]:
    """A gateway with all providers and the one that the guide adds."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    folder = tmp_path_factory.mktemp("docs")
    command = folder / ".venv" / "bin" / "tollgate"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m tollgate "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    with Upstream() as upstream:
        for name in ("openai-chat", "anthropic-messages", "gemini-generate"):
            upstream.add(written(name), stream=False)
            upstream.add(written(f"{name}-stream"), stream=True)
        config = yaml.safe_load(guides_entry().text)
        for provider in config["providers"].values():
            provider["api_base"] = f"{upstream.url}/v1"
        config["providers"] |= providers_at(upstream.url)
        environment = {"ACME_API_KEY": "sentinel-acme-key"}
        with Deployment(folder, upstream.url, config=config, environment=environment) as deployment:
            (folder / "secrets" / "master_key").write_text(MASTER_KEY, encoding="utf-8")
            yield deployment, upstream


def guides_entry() -> Block:
    """What the guide says to put into config.yaml."""
    return next(block for block in blocks(GUIDE) if block.language == "yaml")


# The Korean README's blocks are the English one's.
RUNNABLE = [path for path in DOCUMENTS if path != READMES[1] and any(b.expect is not None for b in blocks(path))]


@pytest.mark.parametrize("path", RUNNABLE, ids=name_of)
def test_what_a_document_says_to_type_works(path: Path, place: tuple[Deployment, Upstream]) -> None:
    # The README says where the key is; other documents take it as known.
    reader = Reader(*place, exported={} if path in READMES else {"TOLLGATE_KEY": place[0].key})
    for block in blocks(path):
        if block.expect is not None:
            printed = reader.types(block)
            assert block.expect in printed, f"{block.text}\n{printed}"


def test_the_readme_runs_every_way_to_call() -> None:
    text = "\n".join(block.text for block in blocks(READMES[0]) if block.expect is not None)
    for said in ("curl ", "from openai", "from anthropic", "google import genai", "keys create", "doctor", "verify"):
        assert said in text


def test_a_provider_is_added_in_under_ten_lines() -> None:
    assert len(guides_entry().text.splitlines()) < 10


# ------------------------------------------------------------------------------------------- what is pointed at
@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for target in _LINK.findall("\n".join(prose(path))):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        where, _, fragment = target.partition("#")
        there = (path.parent / where).resolve() if where else path
        assert there.exists(), f"{target}: no such file"
        if fragment:
            assert fragment in {anchor(text) for _, text in headings(there)}, f"{target}: no such heading"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_make_targets_exist(path: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    said = [line for block in blocks(path) for line in block.text.splitlines()]
    said += [code for line in prose(path) for code in _CODE.findall(line)]
    for command in said:
        if match := re.match(r"make ([a-z-]+)", command):
            assert match[1] in targets, command


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_named_files_of_the_repository_exist(path: Path) -> None:
    """A path in backticks that begins with one of our folders is there."""
    folders = {entry.name for entry in ROOT.iterdir() if entry.is_dir() and (entry / "__init__.py").exists()}
    for line in prose(path):
        for code in _CODE.findall(line):
            if re.fullmatch(r"[\w./-]+/[\w.-]+\.\w+", code) and code.split("/")[0] in folders | {
                "docs",
                "tests",
                "bench",
            }:
                assert (ROOT / code).exists(), f"{code}: no such file"


def test_both_readmes_say_the_same() -> None:
    english, korean = READMES
    assert [level for level, _ in headings(english)] == [level for level, _ in headings(korean)]
    assert blocks(english) == blocks(korean)
    links = [_LINK.findall("\n".join(prose(path))) for path in READMES]
    assert links[0][0] == korean.name
    assert links[1][0] == english.name
    assert links[0][1:] == links[1][1:]


# ------------------------------------------------------------------------------------------- what is generated
@pytest.mark.parametrize(("path", "name", "content"), GENERATED, ids=[name for _, name, _ in GENERATED])
def test_generated_sections_are_up_to_date(path: str, name: str, content: Callable[[], str]) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert renewed(text, name, content()) == text, "run: .venv/bin/python -m scripts.write_docs"


def test_nothing_more_is_lost_in_silence() -> None:
    rows = [*request_rows(), *answer_rows(), *proof_rows()]
    assert not list(silent_losses(rows))


def test_every_dependency_has_its_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [each for extra in project["project"]["optional-dependencies"].values() for each in extra]
    for path in (ROOT / "requirements").glob("*.in"):
        wanted += [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    wanted += json.loads((ROOT / "ui" / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    names = {re.match(r"[\w-]+", each)[0] for each in wanted}  # type: ignore[index]
    rows = (re.match(r"\| ([a-z][\w-]*) \|", line) for line in prose(DEPENDENCIES))
    assert {row[1] for row in rows if row} - {"library"} == names


# ------------------------------------------------------------------------------------------- settings
def test_the_example_has_every_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its comment signs taken away it is one valid file in which every field appears, and loads."""
    text = (ROOT / "config.yaml.example").read_text(encoding="utf-8")
    whole = re.sub(r"^( *)# ( *[a-z][\w-]*:( |$))", r"\1\2", text, flags=re.M)
    values = yaml.safe_load(whole)
    missing = sorted(_missing(Settings, values))
    assert not missing, missing
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "all.yaml"
    path.write_text(whole, encoding="utf-8")
    load(Overrides(config=path), {"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "sk-2"})


def test_the_example_loads_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = load(Overrides(config=ROOT / "config.yaml.example"), {})
    examples = {"providers", "models"}
    assert shown.log_level.upper() == Settings().log_level
    assert shown.model_dump(exclude={"log_level", *examples}) == Settings().model_dump(exclude={"log_level", *examples})


def _missing(model: type[BaseModel], values: Any, where: str = "") -> Iterator[str]:
    """Fields of the section, and of the sections in it, that the values do not have."""
    for name, field in model.model_fields.items():
        if name in ONLY_ACCEPTED | INSTEAD:
            continue
        if not isinstance(values, dict) or name not in values:
            yield where + name
            continue
        inner = _section(field.annotation)
        if inner is None or (name == "pricing" and model is Settings):
            continue
        several = str(field.annotation).startswith(("dict", "tuple"))
        found = values[name] or {}
        entries = (found.values() if isinstance(found, dict) else found) if several else [found]
        merged = {key: value for entry in entries for key, value in entry.items()}
        yield from _missing(inner, merged, f"{where}{name}.")


def _section(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for item in getattr(annotation, "__args__", ()) if (found := _section(item))), None)
