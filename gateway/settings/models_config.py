"""`models_config.json` in the data folder: models and their prices as other servers keep them, read as aliases.

    {"gpt-4o-mini": {"provider": "openai", "pricing": {"input": 0.00015, "output": 0.0006},
                     "context_window": 128000, "max_tokens": 16384}}

Prices are US dollars per 1,000 tokens. All may stand below `models`. What `config.yaml` says of a model wins.
"""

from __future__ import annotations

import difflib
import json
import logging
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from gateway.settings.errors import SettingsError
from gateway.settings.schema import ModelSettings, PriceSettings, Settings, Usd
from wire.providers import IMPLIED_TYPES

FILE_NAME = "models_config.json"
_log = logging.getLogger(__name__)
_NAMED = ("", "_per_1k", "_price_per_1k", "_cost_per_1k")


class _Lenient(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class _PerThousand(_Lenient):
    input: Usd = Field(validation_alias=AliasChoices(*(f"input{end}" for end in _NAMED), "prompt"))
    output: Usd = Field(validation_alias=AliasChoices(*(f"output{end}" for end in _NAMED), "completion"))


class _Entry(_Lenient):
    provider: str = Field(min_length=1)
    model: str | None = None  # the provider's own name of it; default: the id
    pricing: _PerThousand | None = None
    context_window: int | None = Field(
        default=None, gt=0, validation_alias=AliasChoices("context_window", "context", "context_length")
    )
    max_tokens: int | None = Field(
        default=None, gt=0, validation_alias=AliasChoices("max_tokens", "max_output_tokens", "max_output")
    )


def with_models_config(settings: Settings) -> Settings:
    """The settings with the file's models, where there is one. Raises SettingsError, one line that names the place."""
    path = settings.data_dir / FILE_NAME
    if not path.is_file():
        return settings
    entries = {name: _entry(path, name, value) for name, value in _read(path).items()}
    models = {name: _model(name, entry) for name, entry in entries.items()}
    prices = {
        f"{_kind(entry.provider)}:{entry.model or name}": price
        for name, entry in entries.items()
        if (price := models[name].pricing)
    }
    return settings.model_copy(
        update={"models": {**models, **settings.models}, "pricing": {**prices, **settings.pricing}}
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({type(error).__name__}); check its mode and encoding") from None
    except (ValueError, RecursionError) as error:
        where = f" line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise SettingsError(f"{path}:{where} is not valid JSON; mend it there") from None
    wrapped = values.get("models") if isinstance(values, dict) else None
    # A model may itself be called "models": it then has a provider.
    if isinstance(wrapped, dict) and "provider" not in wrapped:
        values = wrapped
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: must be an object of models by their ids")
    return values


def _entry(path: Path, name: str, value: Any) -> _Entry:
    if not name.strip():
        raise SettingsError(f"{path}: a model must have a name")
    if isinstance(value, dict):
        _warn_of_unknown(path, name, value)
    try:
        return _Entry.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join((name, *(str(part) for part in first["loc"])))
        raise SettingsError(f"{path}: {where}: {first['msg']}") from None


def _warn_of_unknown(path: Path, name: str, value: dict[str, Any]) -> None:
    """Such files hold more than is needed here, and slips too."""
    known = {"provider", "model", "pricing", "context_window", "context", "context_length"}
    known |= {"max_tokens", "max_output_tokens", "max_output"}
    for field in value.keys() - known:
        near = difflib.get_close_matches(field, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        _log.warning("%s: %s.%s is not used here%s", path, name, field, hint)


def _kind(provider: str) -> str:
    """Prices are looked up by the kind of provider too, whatever a synonym the file uses."""
    low = provider.strip().lower()
    return IMPLIED_TYPES.get(low, low)


def _model(name: str, entry: _Entry) -> ModelSettings:
    pricing = entry.pricing
    return ModelSettings(
        provider=entry.provider,
        model=entry.model or name,
        context_window=entry.context_window,
        max_output_tokens=entry.max_tokens,
        pricing=None
        if pricing is None
        else PriceSettings(
            input_price_per_million=pricing.input * 1000, output_price_per_million=pricing.output * 1000
        ),
    )
