from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from local_llm.installed import bindings_environment
from tests.local_llm import tiny_gguf
from tollgate.__main__ import main

DEMO_FILE = Path(__file__).resolve().parents[2] / "models" / "tollgate-demo.gguf"


@pytest.fixture
def config(tmp_path: Path) -> list[str]:
    folder = tmp_path / "models"
    folder.mkdir()
    tiny_gguf.write(folder / "tiny.gguf")
    path = tmp_path / "config.yaml"
    path.write_text(f"models_dir: {folder}\n", encoding="utf-8")
    return ["--config", str(path)]


def test_lists_what_is_there_and_what_could_be(config: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", *config]) == 0
    text = capsys.readouterr().out
    [tiny] = [line for line in text.splitlines() if line.startswith(" * tiny ")]
    assert "demo" not in tiny
    assert "tinyllama-1.1b" in text
    assert "Apache-2.0" in text


def test_says_that_the_demo_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"models_dir: {DEMO_FILE.parent}\n", encoding="utf-8")
    assert main(["models", "list", "--config", str(path)]) == 0
    [demo] = [line for line in capsys.readouterr().out.splitlines() if DEMO_FILE.stem in line]
    assert demo.endswith("(demo, knows only Tollgate)")


def test_removes_one_and_names_what_is_not_there(
    config: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "remove", "other", *config]) == 1
    assert "there is no model 'other'" in capsys.readouterr().err
    assert main(["models", "remove", "tiny.gguf", *config]) == 0
    assert not (tmp_path / "models" / "tiny.gguf").exists()


def test_pulls_only_what_is_known_or_an_address(config: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "no-such-model", *config]) == 1
    assert "neither an address nor one of: tinyllama-1.1b" in capsys.readouterr().err


def test_inspects_without_the_bindings_and_says_what_needs_them(
    config: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOLLGATE_ENGINE_DIR", str(tmp_path / "no-engine"))
    assert main(["models", "inspect", "tiny", *config]) == 0
    assert json.loads(capsys.readouterr().out)["architecture"] == "llama"
    for words in (["inspect", "tiny", "--count", "hello"], ["bench", "tiny"], ["quantize", "tiny", "Q8_0"]):
        assert main(["models", words[0], *config, *words[1:]]) == 1
        assert "run `make local`" in capsys.readouterr().err


def test_counts_measures_and_quantizes_with_the_bindings(
    config: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if bindings_environment(os.environ) is None:
        pytest.skip("llama.cpp's bindings are not built here: run `make local`")
    assert main(["models", "inspect", "tiny", "--count", "hello world", *config]) == 0
    assert '"tokens": 3' in capfd.readouterr().out
    assert main(["models", "bench", "tiny", *config]) == 0
    assert json.loads(capfd.readouterr().out)["tokens_per_second"] > 0
    assert main(["models", "quantize", "tiny", "Q8_0", *config]) == 0
    assert (tmp_path / "models" / "tiny-Q8_0.gguf").stat().st_size < (tmp_path / "models" / "tiny.gguf").stat().st_size
    assert main(["models", "quantize", "tiny", "Q99", *config]) == 1
