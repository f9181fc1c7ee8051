from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.catalogue import catalogue_path
from tollgate.__main__ import main


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The price list in use with one price, one window and one model changed."""
    data: dict[str, Any] = json.loads(catalogue_path(tmp_path / "data").read_bytes())
    rows = {row["id"]: row for row in data["models"]["openai"]}
    rows["gpt-4o-mini"]["p"][0][1]["input"] = "0.2"
    data["models"]["openai"].remove(rows["gpt-4.1-nano"])
    data["models"]["solar"].append({"id": "solar-next", "m": ["=", "solar-next"], "p": [[None, {"input": "1"}]]})
    path = tmp_path / "newer.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def run(tmp_path: Path, action: str, path: Path) -> int:
    return main(["prices", action, "--data-dir", str(tmp_path / "data"), str(path)])


def test_it_shows_what_would_change_and_then_takes_it_over(
    tmp_path: Path, newer: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(tmp_path, "diff", newer) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line[:24] for line in shown] == [
        "- openai gpt-4.1-nano",
        "~ openai gpt-4o-mini: pr",
        "+ solar solar-next: [[nu",
    ]
    assert '"input":"0.15"' in shown[1]
    assert '"input":"0.2"' in shown[1]
    assert not (tmp_path / "data" / "catalogue.json").exists()
    assert run(tmp_path, "apply", newer) == 0
    assert catalogue_path(tmp_path / "data").read_bytes() == newer.read_bytes()
    capsys.readouterr()
    assert run(tmp_path, "diff", newer) == 0
    assert capsys.readouterr().out == "Nothing would change.\n"


@pytest.mark.parametrize("text", ["", "{}", '{"source":"x","owners":{},"fallbacks":{},"models":{"openai":[{"id":1}]}}'])
def test_what_is_no_price_list_is_refused(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "wrong.json"
    path.write_text(text, encoding="utf-8")
    assert run(tmp_path, "apply", path) == 1
    assert "not a price list" in capsys.readouterr().err
