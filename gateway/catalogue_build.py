"""Compile `genai-prices` and our own rows to `gateway/data/catalogue.json`, or another file.

Run: `python -m gateway.catalogue_build [FILE]`.

Needs the package `genai-prices` (a development dependency); the gateway itself only reads the file. Its form, one
model to a line so that a new price is a readable change:

* `models`: per price list, models in matching order. `m` is the match rule, `w` the context window, `o` the most
  output tokens, `d` deprecated, `c` what it can do (`-`: what it cannot), `p` the prices and `v` the service-tier
  variants.
* A rule is `["=", id]`, `["^", start]`, `["$", end]`, `["in", part]`, `["re", pattern]`, `["or"|"and", rules]`.
* A price is `[condition, classes]`, the last one whose condition holds counts; without any the price is not known,
  without a class it is free. A variant is `[tier, condition, classes]`, its classes replacing the standard ones. A
  condition is null, a UTC date from which it holds, or `[from, until]`, UTC times of day. A class is decimal text, or
  `[text, [[above, text], ...]]` by input tokens.
* `owners`: rules by which a bare model id finds the list of who made it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from genai_prices import types
from genai_prices.data import providers

from gateway.catalogue_rows import CAPABILITIES, CONTEXT_WINDOWS, MAX_OUTPUT_TOKENS, SOLAR

PATH: Final = Path(__file__).parent / "data" / "catalogue.json"

# Price lists of providers that a row or a compatible entry can name. The order is that in which owners are asked.
LISTS: Final = (
    "openai",
    "anthropic",
    "google",
    "mistral",
    "deepseek",
    "x-ai",
    "cohere",
    "perplexity",
    "moonshotai",
    "zhipuai",
    "minimax",
    "groq",
    "cerebras",
    "together",
    "fireworks",
    "azure",
    "voyageai",
    "zai",
    "novita",
    "cloudflare",
    "openrouter",
)

_CLASSES: Final = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write_5m",
    "cache_write_5m_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "output_audio_mtok": "output_audio",
    "input_image_mtok": "input_image",
    "output_image_mtok": "output_image",
    "output_reasoning_mtok": "reasoning",
    "audio_hours": "per_audio_hour",
    "input_audio_hours": "per_audio_hour",
}
# Whatever has a price of its own for these takes or makes them.
_CAPABLE_IF_PRICED: Final = {
    "input_audio": "audio_input",
    "output_audio": "audio_output",
    "input_image": "image_input",
    "output_image": "image_output",
    "reasoning": "reasoning",
}
_PER_THOUSAND: Final = {"web_searches_kcount": "per_web_search", "requests_kcount": "per_request"}
_TIER_KEYS: Final = ("service_tier", "processing", "speed")
# https://console.groq.com/docs/speech-to-text: a request is charged for at least ten seconds.
_MINIMUM_AUDIO_MS: Final = {("groq", "whisper-large-v3"): 10_000, ("groq", "whisper-large-v3-turbo"): 10_000}
# https://openrouter.ai/google/lyria-3-pro-preview: charged by the song, which its price list has no field for.
_BY_PIECE: Final = {("openrouter", "google/lyria-3-clip-preview"), ("openrouter", "google/lyria-3-pro-preview")}


def build() -> str:
    """The file's text."""
    lists = {provider.id: provider for provider in providers}
    models = {name: [_model(name, model) for model in lists[name].models] for name in LISTS}
    models["solar"] = [_own(row) for row in SOLAR]
    owners = {name: _rule(rule) for name in LISTS if (rule := lists[name].model_match) is not None}
    owners["solar"] = ["^", "solar-"]
    fallbacks = {
        name: [other for other in lists[name].fallback_model_providers or () if other in models] for name in LISTS
    }
    head = {
        "source": f"genai-prices {version('genai-prices')}",
        "owners": owners,
        "fallbacks": {name: others for name, others in fallbacks.items() if others},
    }
    return "".join(_pages(head, models))


def _pages(head: dict[str, Any], models: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    yield _text(head)[:-1] + ',"models":{\n'
    for number, (name, rows) in enumerate(models.items()):
        yield ("," if number else "") + _text(name) + ":[\n"
        yield ",\n".join(_text(row) for row in rows)
        yield "\n]\n"
    yield "}}\n"


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)


def _model(provider: str, model: types.ModelInfo) -> dict[str, Any]:
    row: dict[str, Any] = {"id": model.id, "m": _rule(model.match)}
    window = model.context_window or CONTEXT_WINDOWS.get(provider, {}).get(model.id)
    if window is not None:
        row["w"] = window
    if (most := MAX_OUTPUT_TOKENS.get(provider, {}).get(model.id)) is not None:
        row["o"] = most
    if model.deprecated:
        row["d"] = 1
    if isinstance(model.prices, list):
        prices = [[_condition(each.constraint), _classes(each.prices)] for each in model.prices]
    else:
        prices = [[None, _classes(model.prices)]]
    least = _MINIMUM_AUDIO_MS.get((provider, model.id))
    if least is not None:
        for each in prices:
            each[1]["minimum_audio_ms"] = least
    row["p"] = [] if _unknown(provider, model) else prices
    if capabilities := _capabilities(provider, model.id, prices):
        row["c"] = capabilities
    variants = [
        [variant.when[key], _condition(variant.constraint), _classes(variant.prices)]
        for variant in model.price_variants or ()
        for key in _TIER_KEYS
        if list(variant.when) == [key] and _classes(variant.prices)
    ]
    if variants:
        row["v"] = variants
    return row


def _unknown(provider: str, model: types.ModelInfo) -> bool:
    """Whether it costs something that no class here can say. Without any amount a model is free."""
    prices = [each.prices for each in model.prices] if isinstance(model.prices, list) else [model.prices]
    said = [price for price in prices if any(value is not None for value in vars(price).values())]
    return (provider, model.id) in _BY_PIECE or any(not _classes(price) for price in said)


def _own(row: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {"id": row["id"], "m": ["or", row["match"]], "w": row["context_window"]}
    if "max_output_tokens" in row:
        out["o"] = row["max_output_tokens"]
    if row.get("deprecated"):
        out["d"] = 1
    prices = row.get("prices", [])
    capabilities = _capabilities("solar", row["id"], prices)
    return out | {"p": prices} | ({"c": capabilities} if capabilities else {})


def _capabilities(provider: str, model: str, prices: list[list[Any]]) -> list[str]:
    """What is written down, and what a price of its own gives away."""
    known = CAPABILITIES.get((provider, model), [])
    priced = {_CAPABLE_IF_PRICED[name] for _, classes in prices for name in classes if name in _CAPABLE_IF_PRICED}
    return [*known, *sorted(name for name in priced if name not in known and f"-{name}" not in known)]


def _classes(prices: types.ModelPrice) -> dict[str, Any]:
    """Units that a `Usage` does not count (pages, pixels, characters, stored files, cached audio) are left out: their
    tokens, where they are tokens, are charged as what they are a part of."""
    out: dict[str, Any] = {}
    for key, value in vars(prices).items():
        if value is None:
            continue
        if key in _CLASSES:
            out[_CLASSES[key]] = _amount(value)
        elif key in _PER_THOUSAND:
            out[_PER_THOUSAND[key]] = str(Decimal(value) / 1000)
    return out


def _amount(value: Decimal | types.TieredPrices) -> Any:
    if isinstance(value, types.TieredPrices):
        return [str(value.base), [[tier.start, str(tier.price)] for tier in value.tiers]]
    return str(value)


def _condition(constraint: types.StartDateConstraint | types.TimeOfDateConstraint | None) -> Any:
    match constraint:
        case None:
            return None
        case types.StartDateConstraint():
            return constraint.start_date.isoformat()
        case types.TimeOfDateConstraint():
            return [_utc(constraint.start_time), _utc(constraint.end_time)]


def _utc(clock: time) -> str:
    """A time of day without a zone is UTC, as in genai-prices."""
    aware = clock if clock.tzinfo is not None else clock.replace(tzinfo=UTC)
    return datetime.combine(date(1970, 1, 1), aware).astimezone(UTC).time().isoformat()


def _rule(rule: types.MatchLogic) -> list[Any]:
    match rule:
        case types.ClauseEquals():
            return ["=", rule.equals.lower()]
        case types.ClauseStartsWith():
            return ["^", rule.starts_with.lower()]
        case types.ClauseEndsWith():
            return ["$", rule.ends_with.lower()]
        case types.ClauseContains():
            return ["in", rule.contains.lower()]
        case types.ClauseRegex():
            return ["re", rule.regex]
        case types.ClauseOr():
            return ["or", [_rule(each) for each in rule.or_]]
        case types.ClauseAnd():
            return ["and", [_rule(each) for each in rule.and_]]
    raise TypeError(f"a match rule of a kind not known here: {rule!r}")


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PATH
    path.write_text(build(), encoding="utf-8")
    sys.stdout.write(f"{path}: {path.stat().st_size} bytes\n")
