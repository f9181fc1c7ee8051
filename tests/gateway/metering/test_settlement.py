from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.metering.settlement import OUTPUT_GUESS, Call, Metering, Outcome, lost_event
from gateway.metering.spool import Spool, SpoolSettings
from gateway.pricing import Price, Rates, from_config
from tests.gateway.metering.ledgers import PRICE, SUCCESS, begin, spooled_events, spooled_intents
from usage_contract.event import Caller, Tokens, UsageEvent
from wire.neutral import Usage

DOLLAR = 1_000_000  # pico-dollars a token at one dollar a million


@pytest.fixture
def metering(tmp_path: Path) -> Iterator[Metering]:
    spool = Spool(SpoolSettings(root=tmp_path, fsync="never"))
    spool.open()
    yield Metering(spool, clock=iter(range(1_000_000_000, 9_000_000_000, 1_000_000)).__next__)
    spool.close()


def test_the_intent_says_all_that_a_lost_row_needs(metering: Metering) -> None:
    call = Call(
        request_id="r",
        surface="/v1/messages",
        model_asked="claude",
        caller=Caller(key_id="k", user_id="u", session_id="s", end_user="e", tags={"team": "a"}),
        stream=True,
    )
    attempt = metering.begin(
        call,
        provider="anthropic",
        model_used="claude-sonnet-4-5",
        price=PRICE,
        input_estimate=1_000,
        attempt=2,
        output_cap=64_000,
    )
    (intent,) = spooled_intents(metering.spool.folder)
    assert intent == attempt.intent
    assert (intent.caller, intent.stream, intent.attempt, intent.byok) == (call.caller, True, 2, False)
    assert (intent.input_estimate, intent.output_cap, intent.output_guess) == (1_000, 64_000, OUTPUT_GUESS)
    assert intent.cost_estimate_pico == 1_000 * DOLLAR + OUTPUT_GUESS * 2 * DOLLAR
    assert intent.started_us == 1_000_000


def test_what_is_called_with_the_callers_own_key_costs_us_nothing(metering: Metering) -> None:
    """Whether it ends well or its process dies, and whatever the provider says that it charges."""
    attempt = begin(metering, byok=True)
    assert attempt.intent.cost_estimate_pico == 0
    usage = Usage(input=1_000, output=10, cost_usd="0.5")
    event = attempt.finish(Outcome(status="success", http_status=200, usage=usage))
    assert (event.byok, event.cost_pico, event.provider_cost_pico) == (True, 0, None)
    assert (event.tokens.input, event.tokens.output) == (1_000, 10)
    lost = lost_event(attempt.intent, producer="p", segment=1)
    assert (lost.byok, lost.cost_pico) == (True, 0)


@pytest.mark.parametrize(
    ("cap", "known", "guess"),
    [(None, None, OUTPUT_GUESS), (10, None, 5), (1, None, 1), (4_000, None, OUTPUT_GUESS), (4_000, 900, 900)],
)
def test_a_lost_call_is_taken_to_generate_the_usual_but_at_most_half_the_cap(
    metering: Metering, cap: int | None, known: int | None, guess: int
) -> None:
    assert begin(metering, output_cap=cap, output_guess=known).intent.output_guess == guess


def test_a_reported_usage_is_billed_as_it_is(metering: Metering) -> None:
    usage = Usage(
        input=100,
        cache_read=40,
        cache_write_5m=5,
        cache_write_1h=6,
        input_audio=7,
        input_image=8,
        tool_input=9,
        output=50,
        reasoning=20,
        output_audio=1,
        output_image=2,
        web_searches=3,
        images=4,
        seconds=1.2345,
        cost_usd="0.0000015",
    )
    outcome = Outcome(
        status="success",
        http_status=200,
        finish_reason="stop",
        response_id="chatcmpl-1",
        usage=usage,
        dropped=("logit_bias",),
        first_token_us=10,
        duration_us=20,
        overhead_us=1,
    )
    attempt = begin(metering)
    event = attempt.finish(outcome)
    assert event.tokens == Tokens(
        input=100,
        cache_read=40,
        cache_write_5m=5,
        cache_write_1h=6,
        input_audio=7,
        input_image=8,
        tool_input=9,
        output=50,
        reasoning=20,
        output_audio=1,
        output_image=2,
        web_searches=3,
        images=4,
        audio_ms=1_234,
    )
    assert event.cost_pico == 100 * DOLLAR + 50 * 2 * DOLLAR
    assert event.provider_cost_pico == 1_500_000
    assert not event.estimated
    assert (event.kind, event.dropped, event.finish_reason, event.response_id) == (
        "final",
        ("logit_bias",),
        "stop",
        "chatcmpl-1",
    )
    assert (event.first_token_us, event.duration_us, event.overhead_us) == (10, 20, 1)
    assert spooled_events(metering.spool.folder) == [event]


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(status="success", http_status=200, usage=Usage(input=1_000, output=10)),
        Outcome(status="success", http_status=200, text_bytes=400),
        Outcome(status="error", http_status=500),
        Outcome(status="cancelled", usage=Usage(input=7, complete=False), text_bytes=40),
    ],
)
def test_a_bill_says_what_the_event_will_say(metering: Metering, outcome: Outcome) -> None:
    attempt = begin(metering)
    bill = attempt.bill(outcome)
    assert attempt.event is None
    event = attempt.finish(outcome)
    assert bill.input_pico is not None
    assert bill.output_pico is not None
    assert bill.input_pico + bill.output_pico == event.cost_pico
    assert (bill.usage.input, bill.usage.output) == (event.tokens.input, event.tokens.output)


def test_a_bill_without_a_price_has_no_amounts_and_one_of_anothers_key_none_to_pay(metering: Metering) -> None:
    outcome = Outcome(status="success", http_status=200, usage=Usage(input=1_000, output=10))
    unknown = begin(metering, price=None).bill(outcome)
    assert (unknown.input_pico, unknown.output_pico) == (None, None)
    foreign = begin(metering, byok=True).bill(outcome)
    assert (foreign.input_pico, foreign.output_pico) == (0, 0)


def test_an_explicit_zero_is_a_zero(metering: Metering) -> None:
    event = begin(metering).finish(Outcome(status="success", http_status=200, usage=Usage(), text_bytes=4_000))
    assert (event.tokens, event.cost_pico, event.estimated) == (Tokens(), 0, False)


def test_an_answer_without_a_count_is_estimated_and_says_so(metering: Metering) -> None:
    event = begin(metering).finish(Outcome(status="success", http_status=200, text_bytes=400))
    assert (event.tokens.input, event.tokens.output, event.estimated) == (100, 100, True)
    assert event.cost_pico == 100 * DOLLAR + 100 * 2 * DOLLAR


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(status="error", unsent=True),
        Outcome(status="error", http_status=503, error_code="upstream_unavailable"),
        Outcome(status="error", http_status=429, kind="attempt"),
        Outcome(status="cancelled", http_status=400),
    ],
)
def test_an_attempt_that_its_provider_did_not_take_costs_nothing(metering: Metering, outcome: Outcome) -> None:
    per_request = replace(PRICE, per_request=PRICE.rates.input)
    for price in (PRICE, per_request, None):
        event = begin(metering, price=price).finish(outcome)
        assert (event.tokens, event.cost_pico, event.estimated) == (Tokens(), 0, False)
        assert event.kind == outcome.kind


@pytest.mark.parametrize("http_status", [None, 200])
def test_an_attempt_that_was_sent_and_brought_nothing_is_billed_for_its_input(
    metering: Metering, http_status: int | None
) -> None:
    """A first byte too late, a connection that broke: the provider may have been at work, and bills for it."""
    event = begin(metering).finish(Outcome(status="error", http_status=http_status))
    assert (event.tokens.input, event.tokens.output, event.estimated) == (100, 0, True)
    assert event.cost_pico == 100 * DOLLAR


def test_a_client_that_left_before_the_first_token_pays_for_the_input(metering: Metering) -> None:
    event = begin(metering).finish(Outcome(status="cancelled", http_status=200))
    assert (event.tokens.input, event.tokens.output, event.estimated) == (100, 0, True)


def test_a_stream_cut_in_the_middle_is_billed_for_what_it_was(metering: Metering) -> None:
    counted = begin(metering).finish(
        Outcome(
            status="cancelled",
            http_status=200,
            usage=Usage(input=90, cache_read=80, output=1, complete=False),
            text_bytes=200,
        )
    )
    assert (counted.tokens.input, counted.tokens.cache_read, counted.tokens.output) == (90, 80, 50)
    assert counted.estimated
    uncounted = begin(metering).finish(Outcome(status="error", http_status=200, text_bytes=200))
    assert (uncounted.tokens.input, uncounted.tokens.output, uncounted.estimated) == (100, 50, True)
    later = begin(metering).finish(
        Outcome(status="cancelled", http_status=200, usage=Usage(output=70, complete=False), text_bytes=200)
    )
    assert (later.tokens.input, later.tokens.output) == (100, 70)


def test_a_price_that_is_not_known_makes_no_cost(metering: Metering) -> None:
    event = begin(metering, price=None).finish(SUCCESS)
    assert (event.cost_pico, event.price) == (None, None)
    assert event.tokens.input == 10


def test_the_service_tier_that_served_sets_the_price(metering: Metering) -> None:
    flex = from_config({"input_price_per_million": "0.5", "output_price_per_million": "1"})
    price = Price(rates=PRICE.rates, variants={"flex": replace(flex, variant="flex")})
    asked = begin(metering, price=price, service_tier="flex")
    assert asked.intent.price == {"input": "0.5", "output": "1", "variant": "flex"}
    assert asked.finish(SUCCESS).cost_pico == 5 * DOLLAR + 20 * DOLLAR
    served = begin(metering, price=price, service_tier="flex").finish(replace(SUCCESS, service_tier="default"))
    assert served.cost_pico == 10 * DOLLAR + 40 * DOLLAR
    assert (served.service_tier, served.price) == ("default", PRICE.to_json())
    by_usage = begin(metering, price=price).finish(
        Outcome(status="success", usage=Usage(input=10, output=20, service_tier="flex"))
    )
    assert by_usage.cost_pico == 25 * DOLLAR


def test_finishing_twice_settles_once(metering: Metering) -> None:
    attempt = begin(metering)
    first = attempt.finish(SUCCESS)
    assert attempt.finish(Outcome(status="cancelled")) is first
    assert attempt.event is first
    assert spooled_events(metering.spool.folder) == [first]


def test_listeners_hear_each_event_once_and_cannot_break_it(
    metering: Metering, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[UsageEvent] = []

    def broken(event: UsageEvent) -> None:
        raise RuntimeError("a metric is wrong")

    metering.on_event(broken)
    metering.on_event(heard.append)
    attempt = begin(metering)
    event = attempt.finish(SUCCESS)
    attempt.finish(SUCCESS)
    assert heard == [event]
    assert "a metric is wrong" in caplog.text


def test_the_duration_is_counted_from_the_intent_where_it_is_not_given(metering: Metering) -> None:
    assert begin(metering).finish(Outcome(status="success", usage=Usage())).duration_us == 1_000


def test_a_clock_that_jumps_back_makes_no_negative_duration(tmp_path: Path) -> None:
    spool = Spool(SpoolSettings(root=tmp_path, fsync="never"))
    spool.open()
    metering = Metering(spool, clock=iter([3_600_000_000_000, 1_000]).__next__)
    assert begin(metering).finish(SUCCESS).duration_us == 0
    spool.close()


@pytest.mark.parametrize("stated", ["NaN", "free", "Infinity"])
def test_a_stated_cost_that_is_no_amount_is_not_taken(metering: Metering, stated: str) -> None:
    event = begin(metering).finish(Outcome(status="success", usage=Usage(input=1, cost_usd=stated)))
    assert event.provider_cost_pico is None
    assert event.cost_pico == DOLLAR


def test_names_that_no_database_takes_are_mended(metering: Metering) -> None:
    call = Call(request_id="r", surface="/s", model_asked="a\0b", caller=Caller(tags={"t\0": "\ud800"}))
    metering.begin(call, provider="p", model_used="한국어", price=None, input_estimate=1).finish(SUCCESS)
    (event,) = spooled_events(metering.spool.folder)
    assert (event.model_asked, event.model_used) == ("a\ufffdb", "한국어")
    assert event.caller.tags == {"t\ufffd": "?"}


def test_a_class_without_any_price_costs_nothing(metering: Metering) -> None:
    event = begin(metering, price=Price(rates=Rates(input=PRICE.rates.input, output=None))).finish(SUCCESS)
    assert event.cost_pico == 10 * DOLLAR
