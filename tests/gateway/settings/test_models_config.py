"""`data/models_config.json`: models and prices per 1,000 tokens, as other servers keep them."""

from __future__ import annotations

import json
import logging
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import Overrides, Settings, SettingsError, load

_MINE = {
    "provider": "openai",
    "pricing": {"input": 0.00015, "output": 0.0006},
    "context_window": 128000,
    "max_tokens": 16384,
}


def _loaded(folder: Path, content: Any, config: str = "") -> Settings:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "models_config.json").write_text(text, encoding="utf-8")
    path = folder / "config.yaml"
    path.write_text(config, encoding="utf-8")
    return load(Overrides(config=path, data_dir=folder), {})


def test_a_model_is_an_alias_with_prices_a_million(tmp_path: Path) -> None:
    settings = _loaded(tmp_path, {"mini": {**_MINE, "model": "gpt-4o-mini"}, "claude-x": {"provider": "claude"}})
    mini = settings.models["mini"]
    assert (mini.provider, mini.model) == ("openai", "gpt-4o-mini")
    assert (mini.context_window, mini.max_output_tokens) == (128000, 16384)
    assert mini.pricing is not None
    assert mini.pricing.input_price_per_million == Decimal("0.15")
    assert mini.pricing.output_price_per_million == Decimal("0.6")
    assert settings.pricing["openai:gpt-4o-mini"] == mini.pricing
    bare = settings.models["claude-x"]
    assert (bare.model, bare.pricing, bare.context_window) == ("claude-x", None, None)


@pytest.mark.parametrize(
    "entry",
    [
        {"pricing": {"input_per_1k": 1, "output_per_1k": 2}},
        {"pricing": {"input_price_per_1k": 1, "output_price_per_1k": 2}},
        {"pricing": {"input_cost_per_1k": "1", "output_cost_per_1k": "2"}},
        {"pricing": {"prompt": 1, "completion": 2}},
    ],
)
def test_prices_have_several_names(tmp_path: Path, entry: dict[str, Any]) -> None:
    pricing = _loaded(tmp_path, {"m": {"provider": "openai", **entry}}).models["m"].pricing
    assert pricing is not None
    assert (pricing.input_price_per_million, pricing.output_price_per_million) == (Decimal(1000), Decimal(2000))


@pytest.mark.parametrize(("window", "cap"), [("context", "max_output_tokens"), ("context_length", "max_output")])
def test_limits_have_several_names(tmp_path: Path, window: str, cap: str) -> None:
    model = _loaded(tmp_path, {"models": {"m": {"provider": "openai", window: 9, cap: 3}}}).models["m"]
    assert (model.context_window, model.max_output_tokens) == (9, 3)


def test_config_yaml_wins(tmp_path: Path) -> None:
    config = (
        "models: {mini: {provider: gemini, model: gemini-2.5-flash}}\n"
        "pricing: {'openai:mini': {input_price_per_million: 7, output_price_per_million: 8}}\n"
    )
    settings = _loaded(tmp_path, {"mini": _MINE}, config)
    assert settings.models["mini"].provider == "gemini"
    assert settings.pricing["openai:mini"].input_price_per_million == 7


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", ("line 1", "not valid JSON")),
        ("[" * 100_000, ("not valid JSON",)),
        ("[]", ("an object of models",)),
        ({"m": "openai"}, ("m",)),
        ({"m": {"pricing": {"input": 1, "output": 1}}}, ("m.provider", "required")),
        ({"m": {**_MINE, "pricing": {"input": 1}}}, ("m.pricing.output", "required")),
        ({"m": {**_MINE, "pricing": {"input": -1, "output": 1}}}, ("m.pricing.input", "greater than or equal to 0")),
        ({"m": {**_MINE, "pricing": {"input": "dear", "output": 1}}}, ("m.pricing.input",)),
        ({"m": {**_MINE, "context_window": 0}}, ("m.context_window",)),
        ({"m": {**_MINE, "max_tokens": "many"}}, ("m.max_tokens",)),
        ({" ": _MINE}, ("must have a name",)),
    ],
)
def test_a_bad_file_is_one_line_that_names_the_place(tmp_path: Path, content: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError) as raised:
        _loaded(tmp_path, content)
    said = str(raised.value)
    assert "\n" not in said
    assert "models_config.json" in said
    for word in words:
        assert word in said


def test_bytes_that_are_no_text_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "models_config.json").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="cannot be read"):
        load(Overrides(data_dir=tmp_path), {})


def test_what_is_not_used_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _loaded(tmp_path, {"m": {**_MINE, "contextwindow": 5, "notes": "cheap"}})
    assert "m.contextwindow is not used here; did you mean 'context_window'?" in caplog.text
    assert "m.notes is not used here" in caplog.text


def test_a_model_may_be_called_models(tmp_path: Path) -> None:
    assert _loaded(tmp_path, {"models": _MINE}).models["models"].provider == "openai"
