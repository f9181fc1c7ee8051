from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.pricing import (
    CONFIG_AMOUNTS,
    CONFIG_RATES,
    FREE,
    RATE_NAMES,
    Price,
    PriceInvalid,
    Rates,
    Tier,
    cost_pico,
    from_config,
    from_json,
    output_cost_pico,
    to_config,
)
from usage_contract.money import PICO, json_number
from wire.neutral import Usage

DOLLAR = 1_000_000  # pico-dollars a token at one dollar a million


def rates(**values: str) -> Rates:
    return Rates(**{name: Decimal(value) for name, value in values.items()})


def test_gpt_4o_mini_by_hand() -> None:
    price = Price(rates=rates(input="0.15", cache_read="0.075", output="0.6"))
    usage = Usage(input=1_000, cache_read=200, output=500, reasoning=100)
    assert json_number(cost_pico(price, usage)) == "0.000435"  # 800 x 0.15 + 200 x 0.075 + 500 x 0.6, a million each


def test_claude_with_both_cache_writes_by_hand() -> None:
    price = Price(rates=rates(input="3", cache_read="0.3", cache_write_5m="3.75", cache_write_1h="6", output="15"))
    usage = Usage(input=10_000, cache_read=7_000, cache_write_5m=1_000, cache_write_1h=500, output=2_000)
    # 1500 x 3 + 7000 x 0.3 + 1000 x 3.75 + 500 x 6 + 2000 x 15
    assert json_number(cost_pico(price, usage)) == "0.04335"


def test_gemini_with_audio_and_a_search_by_hand() -> None:
    price = Price(rates=rates(input="0.3", input_audio="1", output="2.5"), per_web_search=Decimal("0.035"))
    usage = Usage(input=1_000, input_audio=400, output=100, reasoning=60, web_searches=2)
    assert json_number(cost_pico(price, usage)) == "0.07083"  # 600 x 0.3 + 400 x 1 + 100 x 2.5, and two searches


def test_reasoning_is_output_unless_it_has_a_price() -> None:
    usage = Usage(output=100, reasoning=60)
    assert cost_pico(Price(rates=rates(output="1")), usage) == 100 * DOLLAR
    assert cost_pico(Price(rates=rates(output="1", reasoning="3")), usage) == 40 * DOLLAR + 180 * DOLLAR


@pytest.mark.parametrize(
    ("missing", "usage", "parent"),
    [
        ("cache_read", Usage(input=10, cache_read=10), "input"),
        ("cache_write_5m", Usage(input=10, cache_write_5m=10), "input"),
        ("cache_write_1h", Usage(input=10, cache_write_1h=10), "cache_write_5m"),
        ("input_audio", Usage(input=10, input_audio=10), "input"),
        ("input_image", Usage(input=10, input_image=10), "input"),
        ("reasoning", Usage(output=10, reasoning=10), "output"),
        ("output_audio", Usage(output=10, output_audio=10), "output"),
        ("output_image", Usage(output=10, output_image=10), "output"),
    ],
)
def test_a_class_without_a_price_is_charged_as_what_it_is_a_part_of(missing: str, usage: Usage, parent: str) -> None:
    every = {name: Decimal(number + 1) for number, name in enumerate(RATE_NAMES)}
    assert cost_pico(Price(rates=Rates(**every)), usage) == 10 * DOLLAR * every[missing]
    del every[missing]
    assert cost_pico(Price(rates=Rates(**every)), usage) == 10 * DOLLAR * every[parent]


def test_a_whole_request_takes_the_rates_of_its_tier() -> None:
    price = Price(
        rates=rates(input="3", output="15"), tiers=(Tier(above=200_000, rates=rates(input="6", output="22.5")),)
    )
    assert cost_pico(price, Usage(input=200_000, output=10)) == 200_000 * 3 * DOLLAR + 150 * DOLLAR
    assert cost_pico(price, Usage(input=200_001, output=10)) == 200_001 * 6 * DOLLAR + 225 * DOLLAR


def test_amounts_per_piece() -> None:
    price = Price(per_image=Decimal("0.04"), per_request=Decimal("0.005"), per_audio_hour=Decimal("0.36"))
    assert cost_pico(price, Usage(images=2)) == PICO * 85 // 1000
    assert cost_pico(price, Usage(seconds=90.5)) == PICO * 5 // 1000 + PICO * 905 // 100_000
    shortest = Price(per_audio_hour=Decimal("0.36"), minimum_audio_ms=10_000)
    assert cost_pico(shortest, Usage(seconds=1)) == PICO // 1000
    assert cost_pico(shortest, Usage(seconds=0)) == 0


def test_sound_that_is_charged_by_the_hour_is_not_charged_by_its_tokens() -> None:
    price = Price(rates=rates(input="1", output="2"), per_audio_hour=Decimal("0.36"))
    usage = Usage(input=110, input_audio=100, output=5, seconds=10)
    assert cost_pico(price, usage) == 10 * DOLLAR + 10 * DOLLAR + PICO // 1000
    by_token = replace(price, rates=replace(price.rates, input_audio=Decimal(3)))
    assert cost_pico(by_token, usage) == cost_pico(price, usage) + 300 * DOLLAR
    assert cost_pico(price, structs.replace(usage, seconds=0)) == 110 * DOLLAR + 10 * DOLLAR


def test_what_was_generated_is_a_part_of_the_cost() -> None:
    price = Price(
        rates=rates(input="1", output="10", reasoning="5"),
        tiers=(Tier(above=1_000, rates=rates(input="2", output="20", reasoning="10")),),
        per_image=Decimal("0.04"),
        per_web_search=Decimal("0.01"),
        per_request=Decimal("0.001"),
    )
    usage = Usage(input=1_000, output=100, reasoning=40, images=2, web_searches=3)
    assert json_number(output_cost_pico(price, usage)) == "0.0808"  # 60 x 10 + 40 x 5 a million, two images
    assert json_number(cost_pico(price, usage) - output_cost_pico(price, usage)) == "0.032"
    above = structs.replace(usage, input=1_001, images=0)
    assert json_number(output_cost_pico(price, above)) == "0.0016"


def test_each_class_is_rounded_once_half_to_even() -> None:
    price = Price(rates=rates(input="0.0000005", output="0.0000015"))
    assert cost_pico(price, Usage(input=1, output=1)) == 0 + 2  # 0.5 and 1.5 pico-dollars
    assert cost_pico(price, Usage(input=3, output=0)) == 2


def test_service_tiers() -> None:
    flex = Price(rates=rates(input="1"), variant="flex")
    price = Price(rates=rates(input="2"), variants={"flex": flex})
    assert price.for_tier("flex") is flex
    assert price.for_tier(None) == price.for_tier("default") == Price(rates=rates(input="2"))
    assert flex.for_tier("flex") is flex


def test_an_odd_report_never_costs_less_than_nothing() -> None:
    price = Price(rates=rates(input="1", cache_read="0.1", output="1", reasoning="2"))
    usage = Usage(input=10, cache_read=15, output=5, reasoning=9)
    assert cost_pico(price, usage) == DOLLAR + 10 * DOLLAR


counts = st.integers(0, 2_000_000)
decimals = st.decimals(0, 1000, places=6, allow_nan=False, allow_infinity=False)


@given(counts, counts, counts, counts, st.dictionaries(st.sampled_from(RATE_NAMES), decimals))
def test_parts_are_never_charged_twice(
    whole: int, read: int, written: int, audio: int, given_rates: dict[str, Decimal]
) -> None:
    """With one rate for all classes, a usage costs its input and output times that, however it is split."""
    price = Price(rates=Rates(**dict.fromkeys((*given_rates, "input", "output"), Decimal("1.25"))))
    usage = Usage(
        input=whole + read + written + audio,
        cache_read=read,
        cache_write_5m=written,
        input_audio=audio,
        output=whole + audio,
        reasoning=whole,
        output_audio=audio,
    )
    assert cost_pico(price, usage) == (usage.input + usage.output) * 5 * DOLLAR // 4


@given(
    st.dictionaries(st.sampled_from(RATE_NAMES), decimals),
    st.dictionaries(st.sampled_from(RATE_NAMES), decimals),
    st.none() | decimals,
)
def test_the_row_of_a_price_reads_back_exactly(
    base: dict[str, Decimal], tier: dict[str, Decimal], search: Decimal | None
) -> None:
    standard = Rates(**base)
    price = Price(
        rates=standard,
        tiers=(Tier(above=128_000, rates=Rates(**tier).over(standard)),),
        per_web_search=search,
        per_audio_hour=Decimal("0.111"),
        minimum_audio_ms=10_000,
        variant="batch",
    )
    assert from_json(price.to_json()) == price


def test_a_price_is_text_in_its_row() -> None:
    price = Price(rates=rates(input="0.15", output="0.6"), per_web_search=Decimal("0.01"))
    assert price.to_json() == {"input": "0.15", "output": "0.6", "per_web_search": "0.01"}
    assert FREE.to_json() == {"input": "0", "output": "0"}


def test_every_config_name_sets_its_rate() -> None:
    data: dict[str, Any] = {name: number + 1 for number, name in enumerate((*CONFIG_RATES, *CONFIG_AMOUNTS))}
    price = from_config(data)
    assert to_config(price) == {name: Decimal(value) for name, value in data.items()}
    assert price.rates.cache_write_1h == Decimal(data["cache_write_1h_price_per_million"])


def test_a_price_of_a_second_is_that_of_an_hour() -> None:
    price = from_config({"price_per_second": 0.0001})
    assert price == Price(per_audio_hour=Decimal("0.36"))
    assert cost_pico(price, Usage(seconds=90)) == 90 * PICO // 10_000


def test_a_float_in_a_config_means_what_was_written() -> None:
    price = from_config({"input_price_per_million": 0.1, "output_price_per_million": None})
    assert price.rates == Rates(input=Decimal("0.1"))


@pytest.mark.parametrize("value", [-1, "-0.1", "NaN", float("inf"), "cheap", True, [1], ""])
def test_a_price_that_is_none_is_refused_by_name(value: object) -> None:
    with pytest.raises(PriceInvalid, match=r"^output_price_per_million: "):
        from_config({"output_price_per_million": value})


def test_a_field_that_no_price_has_is_refused_by_name() -> None:
    with pytest.raises(PriceInvalid, match=r"^input_price: "):
        from_config({"input_price": 1})
    with pytest.raises(PriceInvalid, match=r"^nput: "):
        from_json({"nput": "1"})


def test_rates_over_others_keep_what_they_do_not_say() -> None:
    assert rates(input="1").over(rates(input="2", output="3")) == rates(input="1", output="3")
    assert replace(FREE, variant="x").rates == FREE.rates
