from __future__ import annotations

import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import genai_prices
import pytest
from genai_prices.data import providers
from genai_prices.types import ModelInfo, Provider

from gateway import models
from gateway.catalogue import Catalogue, catalogue
from gateway.catalogue_build import LISTS, PATH, build
from gateway.catalogue_rows import CAPABILITIES
from gateway.pricing import FREE, Price, cost_pico
from usage_contract.money import decimal_from_pico
from wire.neutral import Usage
from wire.providers import ROWS

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TIMES = (NOW, datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 8, 20, 20, 30, tzinfo=UTC), NOW + timedelta(hours=9))
PROVIDERS = {provider.id: provider for provider in providers}
LISTED = [(PROVIDERS[name], model) for name in LISTS for model in PROVIDERS[name].models]
# What costs something of which genai-prices says nothing.
BY_PIECE = {("openrouter", "google/lyria-3-clip-preview"), ("openrouter", "google/lyria-3-pro-preview")}
# What a Usage counts in another way than genai-prices; such models are compared without it.
OTHER_UNITS = {"input_mchars", "input_document_kpages", "input_annotated_document_kpages", "input_text_messages_kcount"}


def test_the_table_is_what_the_price_list_says() -> None:
    assert PATH.read_text(encoding="utf-8") == build(), "run: python -m gateway.catalogue_build"


def test_the_table_names_its_source() -> None:
    assert catalogue().source == f"genai-prices {genai_prices.__version__}"


def test_every_row_that_names_a_price_list_has_one() -> None:
    for row in ROWS.values():
        if row.price_list is not None:
            assert catalogue().models(row.name, NOW), row.name


def test_loading_is_quick_and_small() -> None:
    """A process of its own, so that what others imported does not count."""
    script = """
import time, tracemalloc
from datetime import datetime, UTC
import gateway.catalogue as c
tracemalloc.start()
begun = time.process_time()
table = c.Catalogue()
for name, model in ("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-4-5"), ("gemini", "gemini-2.5-flash"):
    assert table.lookup(name, model, datetime.now(UTC))
print(time.process_time() - begun, tracemalloc.get_traced_memory()[1])
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    seconds, peak = map(float, done.stdout.split())
    assert peak < 10_000_000
    assert seconds < 0.5  # 0.02 s on a quiet machine without tracing


@pytest.mark.parametrize("provider", LISTS)
def test_every_id_finds_what_the_price_list_finds(provider: str) -> None:
    for model in PROVIDERS[provider].models:
        expected = PROVIDERS[provider].find_model(model.id, all_providers=providers)
        found = catalogue().lookup(provider, model.id, NOW)
        assert (found and found.model) == (expected and expected.id)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-2024-08-06"),
        ("openai", "GPT-4o-Mini"),
        ("openai", "gpt-5.2-20251211"),
        ("openai", "gpt-nonsense"),
        ("anthropic", "claude-sonnet-4-5-20250929"),
        ("anthropic", "claude-haiku-5-5-20261014"),
        ("google", "gemini-2.5-flash-preview-09-2025"),
        ("google", "claude-3-5-sonnet"),
        ("azure", "gpt-4o"),
        ("mistral", "mistral-large-latest"),
        ("openrouter", "upstage/solar-pro4-20260810"),
        ("openrouter", "nobody/nothing"),
    ],
)
def test_names_match_as_in_the_price_list(provider: str, model: str) -> None:
    expected = PROVIDERS[provider].find_model(model, all_providers=providers)
    found = catalogue().lookup(provider, model, NOW)
    assert (found and found.model) == (expected and expected.id)


def usages(seed: int) -> list[Usage]:
    """Usages whose parts are within their wholes, around the thresholds of tiers too."""
    draw = random.Random(seed)
    made = []
    for size in (10, 5_000, 100_001, 150_000, 260_000, 1_500_000):
        text, read, short, long = (draw.randrange(size) for _ in range(4))
        plain, reasoning = draw.randrange(size), draw.randrange(size)
        made.append(
            Usage(
                input=text + read + short + long,
                cache_read=read,
                cache_write_5m=short,
                cache_write_1h=long,
                output=plain + reasoning,
                reasoning=reasoning,
                web_searches=draw.randrange(5),
            )
        )
    return made


def theirs(
    model: ModelInfo, provider: Provider, usage: Usage, when: datetime, context: dict[str, str] | None
) -> Decimal:
    given = genai_prices.Usage(
        input_tokens=usage.input,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write_5m + usage.cache_write_1h,
        cache_write_1h_tokens=usage.cache_write_1h,
        output_tokens=usage.output,
        output_reasoning_tokens=usage.reasoning,
        web_searches=usage.web_searches,
        input_audio_tokens=usage.input_audio,
        output_audio_tokens=usage.output_audio,
        input_image_tokens=usage.input_image,
        output_image_tokens=usage.output_image,
        **({"audio_seconds": usage.seconds, "input_audio_seconds": usage.seconds} if usage.seconds else {}),
    )
    return model.calc_price(given, provider, genai_request_timestamp=when, price_context=context).total_price


def ours(price: Price | None, usage: Usage) -> Decimal:
    assert price is not None
    return decimal_from_pico(cost_pico(price, usage))


def within_rounding(one: Decimal, other: Decimal) -> bool:
    """Half a pico-dollar for each of at most ten classes."""
    return abs(one - other) <= Decimal("5e-12")


@pytest.mark.parametrize("when", TIMES)
def test_every_model_costs_what_the_price_list_says(when: datetime) -> None:
    compared = 0
    for number, (provider, model) in enumerate(LISTED):
        if catalogue_model(provider, model) is None or OTHER_UNITS & set(vars(model.get_prices(when))):
            continue
        price = catalogue().price_at(provider.id, model.id, when)
        if (provider.id, model.id) in BY_PIECE:
            continue
        for usage in usages(number):
            expected = theirs(model, provider, usage, when, None)
            assert within_rounding(ours(price, usage), expected), (provider.id, model.id, usage)
            compared += 1
    assert compared > 5_000


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "tts-1"),
        ("mistral", "mistral-ocr-latest"),
        ("groq", "canopylabs/orpheus-v1-english"),
        ("openrouter", "google/lyria-3-pro-preview"),
    ],
)
def test_a_price_in_units_that_nobody_counts_is_not_known(provider: str, model: str) -> None:
    entry = catalogue().lookup(provider, model, NOW)
    assert entry is not None
    assert entry.price is None


@pytest.mark.parametrize("when", TIMES)
def test_free_is_only_what_the_price_list_gives_no_amount_for(when: datetime) -> None:
    everything = Usage(input=1, output=1, images=1, web_searches=1, seconds=1)
    for provider, model in LISTED:
        price = catalogue().price_at(provider.id, model.id, when)
        if catalogue_model(provider, model) is not None and price is not None and not cost_pico(price, everything):
            assert not any(vars(model.get_prices(when)).values()), (provider.id, model.id)


def catalogue_model(provider: Provider, model: ModelInfo) -> ModelInfo | None:
    """The model, unless another one of the list takes its id first."""
    return model if provider.find_model(model.id) is model else None


def test_service_tiers_cost_what_the_price_list_says() -> None:
    compared = set()
    for number, (provider, model) in enumerate(LISTED):
        price = catalogue().price_at(provider.id, model.id, NOW)
        for variant in model.price_variants or ():
            ((key, tier),) = variant.when.items()
            if key not in ("service_tier", "processing", "speed") or catalogue_model(provider, model) is None:
                continue
            if OTHER_UNITS & set(vars(model.get_prices(NOW))):
                continue
            assert price is not None
            for usage in usages(number):
                expected = theirs(model, provider, usage, NOW, {key: tier})
                assert within_rounding(ours(price.for_tier(tier), usage), expected), (provider.id, model.id, tier)
                compared.add(tier)
    assert compared == {"batch", "default", "fast", "flex", "priority"}


@pytest.mark.parametrize(
    ("provider", "model", "usage"),
    [
        ("openai", "gpt-4o-audio-preview", Usage(input=900, input_audio=400, output=700, output_audio=500)),
        ("google", "gemini-2.5-flash", Usage(input=900, input_audio=400, output=70)),
        ("openai", "gpt-image-1", Usage(input=900, input_image=400, output=4_000, output_image=4_000)),
        ("openai", "whisper-1", Usage(seconds=93.5)),
        ("groq", "whisper-large-v3", Usage(seconds=93.5)),
        ("groq", "whisper-large-v3", Usage(seconds=2.5)),
        ("perplexity", "sonar", Usage(input=900, output=70, web_searches=1)),
    ],
)
def test_sound_pictures_and_requests_cost_what_the_price_list_says(provider: str, model: str, usage: Usage) -> None:
    info = PROVIDERS[provider].find_model(model)
    assert info is not None
    expected = theirs(info, PROVIDERS[provider], usage, NOW, None)
    assert expected > 0
    assert within_rounding(ours(catalogue().price_at(provider, model, NOW), usage), expected)


def test_prices_change_at_their_dates() -> None:
    before = catalogue().price_at("openai", "o3", datetime(2025, 6, 9, 23, 59, tzinfo=UTC))
    after = catalogue().price_at("openai", "o3", datetime(2025, 6, 10, tzinfo=UTC))
    assert before is not None
    assert after is not None
    assert (before.rates.input, after.rates.input) == (Decimal(10), Decimal(2))
    seoul = timezone(timedelta(hours=9))
    assert catalogue().price_at("openai", "o3", datetime(2025, 6, 10, 8, 59, tzinfo=seoul)) == before


def test_solar_is_known() -> None:
    now = catalogue().lookup("solar", "solar-pro4", NOW)
    assert now is not None
    assert (now.provider, now.context_window, now.max_output_tokens) == ("solar", 524_288, 131_072)
    usage = Usage(input=1_000_000, cache_read=500_000, output=1_000_000)
    assert ours(now.price, usage) == Decimal("0.69")  # 0.5 x 0.15 + 0.5 x 0.03 + 0.6
    assert ours(
        catalogue().price_at("upstage", "solar-pro4-260806", datetime(2026, 9, 1, tzinfo=UTC)), usage
    ) == Decimal("0.414")
    ended = catalogue().lookup("solar", "solar-pro2", NOW)
    assert ended is not None
    assert ended.deprecated
    unpriced = catalogue().lookup("solar", "solar-embedding-2-query", NOW)
    assert unpriced is not None
    assert unpriced.price is None


def test_what_runs_here_is_free() -> None:
    entry = catalogue().lookup("local", "any.gguf", NOW)
    assert entry is not None
    assert entry.price == FREE
    assert cost_pico(FREE, Usage(input=10**9, output=10**9)) == 0


def test_limits_of_well_known_models() -> None:
    for provider, model, window, most in (
        ("openai", "gpt-4o-mini", 128_000, 16_384),
        ("claude", "claude-sonnet-4-5-20250929", 200_000, 64_000),
        ("gemini", "gemini-2.5-pro", 1_048_576, 65_536),
    ):
        entry = catalogue().lookup(provider, model, NOW)
        assert entry is not None
        assert (entry.context_window, entry.max_output_tokens) == (window, most)


@pytest.mark.parametrize(
    ("model", "among", "expected"),
    [
        ("gpt-4o-mini", None, "openai"),
        ("claude-sonnet-4-5", None, "anthropic"),
        ("gemini-2.5-flash", None, "google"),
        ("solar-pro4", None, "solar"),
        ("gpt-4o-mini", ["claude", "gemini", "openai"], "openai"),
        ("claude-sonnet-4-5", ["gemini", "claude"], "claude"),
        ("gemini-2.5-flash", ["solar", "gemini"], "gemini"),
        ("gpt-4o-mini", ["solar", "gemini"], None),
        ("llama-3.3-70b-versatile", ["openai", "groq"], "groq"),
        ("gpt-of-next-year", None, None),
        ("", None, None),
    ],
)
def test_a_bare_id_finds_its_maker(model: str, among: list[str] | None, expected: str | None) -> None:
    assert catalogue().find_provider(model, among) == expected


def test_a_provider_without_a_list_knows_nothing() -> None:
    assert catalogue().models("openai_compatible", NOW) == []
    assert catalogue().lookup("mine", "m", NOW) is None


def test_ids_of_callers_do_not_grow_the_memory() -> None:
    table = Catalogue()
    for number in range(10_000):
        table.lookup("openai", f"made-up-{number}", NOW)
    kept = [len(value) for value in vars(table).values() if isinstance(value, dict)]
    assert max(kept) <= 4_096
    begun = time.process_time()
    for _ in range(1_000):
        table.lookup("openai", "gpt-4o-mini", NOW)
    assert time.process_time() - begun < 0.5


def test_what_a_model_can_do_is_told_where_it_is_known() -> None:
    def known(provider: str, model: str) -> dict[str, bool]:
        entry = catalogue().lookup(provider, model, NOW)
        assert entry is not None
        return dict(entry.capabilities)

    claude = known("claude", "claude-sonnet-4-5-20250929")
    assert (claude["image_input"], claude["audio_input"], claude["reasoning"]) == (True, False, True)
    assert "video_input" not in claude
    embedding = known("openai", "text-embedding-3-small")
    assert (embedding["embeddings"], embedding["chat"]) == (True, False)
    assert known("groq", "llama-3.3-70b-versatile") == {}
    assert known("openai", "gpt-realtime") == {"audio_input": True, "audio_output": True, "image_input": True}  # priced
    assert known("local", "any.gguf") == {}


def test_capabilities_are_those_of_the_model_list_and_of_models_that_are_there() -> None:
    for (provider, model), words in CAPABILITIES.items():
        names = [word.removeprefix("-") for word in words]
        assert len(set(names)) == len(names), model
        assert set(names) <= set(models.CAPABILITIES), model
        entry = catalogue().lookup(provider, model, NOW)
        assert entry is not None
        assert entry.model == model
