"""What a call is taken to use up before it is made, and what it is told when it may not be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.accounts.policies import NOTHING
from gateway.accounts.policy import Policy
from gateway.admission.rules import Line, Money, Window
from gateway.calls.grant import Grant
from gateway.calls.sizes import input_tokens
from tests.gateway.calls.places import CHAT, Place, asked, budget, event, limits
from usage_contract.event import Tokens
from wire.errors import LimitReached, NotAllowed, NotReady


def lines_of(grant: Grant) -> list[Line]:
    return [held.share.line for held in grant._held.values()]


def hold_of(grant: Grant) -> int:
    return next(line.hold for line in lines_of(grant) if isinstance(line, Money))


async def test_the_hold_is_the_input_and_the_callers_own_limit_at_the_models_price() -> None:
    grant = await Place().enter(budget(10**12), max_tokens=100)
    assert hold_of(grant) == 40 * 10**6 + 100 * 10**7
    assert hold_of(await Place().enter(budget(10**12), max_tokens=100, n=3)) == 40 * 10**6 + 300 * 10**7


async def test_without_a_limit_it_is_what_this_key_usually_gets() -> None:
    place = Place()
    grant = await place.enter(budget(10**15))
    assert hold_of(grant) == 40 * 10**6 + 256 * 10**7
    for number in range(20):
        grant.note(event(f"e{number}", tokens=Tokens(output=1000)))
        grant.finish()
        grant = await place.enter(budget(10**15))
    assert hold_of(grant) == 40 * 10**6 + 1000 * 10**7


class TestFallbacks:
    """`first` and `second` are models with rules of their own, behind one alias."""

    async def test_a_target_that_refuses_is_passed_over(self) -> None:
        place = Place()
        rules = {"priced": limits("model", "openai:priced", requests_per_minute=1), "cheap": NOTHING}
        assert await place.grant(limits(requests_per_minute=2), rules).enter(0) == 0
        assert await place.grant(limits(requests_per_minute=2), rules).enter(0) == 1
        with pytest.raises(LimitReached, match="2 requests per minute for this key"):
            await place.grant(limits(requests_per_minute=2), rules).enter(0)

    async def test_when_all_refuse_the_answer_is_the_shortest_wait(self) -> None:
        place = Place()
        rules = {
            "priced": budget(0, "model", "openai:priced"),
            "cheap": limits("model", "openai:cheap", concurrent_calls=1),
        }
        assert await place.grant(NOTHING, rules).enter(0) == 1
        with pytest.raises(LimitReached, match="1 concurrent calls for this model") as caught:
            await place.grant(limits(requests_per_minute=1), rules).enter(0)
        assert caught.value.retry_after == 1
        # What was refused used nothing of the key's own limit up.
        assert await place.grant(limits(requests_per_minute=1), {"free": NOTHING}).enter(0) == 0

    async def test_the_next_target_is_asked_without_a_second_hold_of_the_callers(self) -> None:
        place = Place()
        rules = {
            "priced": limits("model", "openai:priced", concurrent_calls=1, tokens_per_minute=1000),
            "cheap": limits("model", "openai:cheap", concurrent_calls=1),
        }
        grant = place.grant(budget(10**12), rules, max_tokens=100)
        await grant.enter(0)
        hold = 40 * 10**6 + 100 * 10**7
        assert await grant.enter(1) == 1
        book = place.counter._book
        assert [state.held for state in book.moneys.values()] == [hold]
        assert book.slots == {"model:openai:priced:calls": 1, "model:openai:cheap:calls": 1}
        grant.note(event("e1", tokens=Tokens(input=40), cost_pico=40 * 10**6))
        assert book.slots == {"model:openai:cheap:calls": 1}
        assert book.windows["model:openai:priced:tpm"].used == 40
        grant.note(replace(event("e2", tokens=Tokens(output=7), cost_pico=7), model_used="cheap"))
        grant.finish()
        assert (book.slots, book.open["self"]) == ({}, {})
        assert book.windows["model:openai:priced:tpm"].used == 40
        assert [(state.held, state.spent) for state in book.moneys.values()] == [(0, 40 * 10**6 + 7)]

    async def test_a_provider_of_both_counts_the_call_once(self) -> None:
        place = Place()
        both = limits("provider", "openai", requests_per_minute=5, concurrent_calls=1, tokens_per_minute=10_000)
        grant = place.grant(NOTHING, {"priced": both, "cheap": both}, max_tokens=100)
        await grant.enter(0)
        assert await grant.enter(1) == 1
        grant.note(event("e1", tokens=Tokens(input=40)))
        book = place.counter._book
        assert book.slots == {"provider:openai:calls": 1}
        grant.note(replace(event("e2", tokens=Tokens(input=40, output=7)), model_used="cheap"))
        grant.finish()
        assert book.slots == {}
        assert book.windows["provider:openai:rpm"].used == 1
        assert book.windows["provider:openai:tpm"].used == 87

    async def test_a_request_too_large_for_one_may_fit_another(self) -> None:
        place = Place()
        small = limits("model", "openai:priced", input_tokens_per_minute=10)
        assert await place.grant(NOTHING, {"priced": small, "cheap": NOTHING}).enter(0) == 1
        with pytest.raises(LimitReached, match="too large"):
            await place.grant(NOTHING, {"priced": small}).enter(0)


class TestLoweredCaps:
    """Input costs 40 micro-dollars here, a token of output ten."""

    async def test_the_cap_is_what_is_left(self) -> None:
        place = Place()
        grant = place.grant(budget(340 * 10**6), {"priced": NOTHING}, lowers=True, max_tokens=100)
        await grant.enter(0)
        assert grant.output_cap == 30
        assert (b"x-tollgate-lowered-max-tokens", b"30") in grant.headers

    @pytest.mark.parametrize(
        ("asked_for", "left", "cap"), [(100, 10**12, None), (None, 10**12, None), (None, 10**10, 996)]
    )
    async def test_a_cap_that_is_affordable_stays(self, asked_for: int | None, left: int, cap: int | None) -> None:
        grant = Place().grant(budget(left), {"priced": NOTHING}, lowers=True, max_tokens=asked_for)
        await grant.enter(0)
        assert grant.output_cap == cap

    async def test_all_choices_are_paid_for(self) -> None:
        grant = Place().grant(budget(340 * 10**6 + 160 * 10**6), {"priced": NOTHING}, lowers=True, max_tokens=100, n=2)
        await grant.enter(0)
        assert grant.output_cap == 23

    async def test_nothing_is_lowered_unasked(self) -> None:
        grant = Place().grant(budget(340 * 10**6), {"priced": NOTHING}, max_tokens=100)
        await grant.enter(0)
        assert grant.output_cap is None

    async def test_what_does_not_pay_for_any_answer_is_refused_and_uses_nothing_up(self) -> None:
        place = Place()
        little = Policy(limits=limits(requests_per_minute=1).limits, budgets=budget((40 + 159) * 10**6).budgets)
        with pytest.raises(NotAllowed, match="User 'u' has not enough budget left for this request"):
            await place.grant(little, {"priced": NOTHING}, lowers=True).enter(0)
        short = place.grant(little, {"priced": NOTHING}, lowers=True, max_tokens=15)
        assert await short.enter(0) == 0
        assert short.output_cap is None

    async def test_a_budget_for_thinking_is_part_of_the_shortest_answer(self) -> None:
        place = Place()
        left = budget((40 + 10 * 1024) * 10**6)
        thinking = {"type": "enabled", "budget_tokens": 1024}
        with pytest.raises(NotAllowed, match="not enough budget left"):
            await place.grant(
                left, {"priced": NOTHING}, lowers=True, path="/v1/messages", max_tokens=2000, thinking=thinking
            ).enter(0)
        enough = budget((40 + 10 * 1500) * 10**6, scope_id="u2")
        grant = place.grant(
            enough, {"priced": NOTHING}, lowers=True, path="/v1/messages", max_tokens=2000, thinking=thinking
        )
        await grant.enter(0)
        assert grant.output_cap == 1500


async def test_a_free_model_passes_a_budget_that_is_used_up() -> None:
    place = Place()
    place.ledger.spent = 10**12
    assert lines_of(await place.enter(budget(10**12), model="free")) == []
    with pytest.raises(NotAllowed, match=r"^User 'u' has exceeded budget limit$"):
        await place.enter(budget(10**12))


async def test_a_model_without_a_price_is_not_free() -> None:
    place = Place()
    assert hold_of(await place.enter(budget(10**12), model="nobody-knows")) == 1
    place.ledger.spent = 10**12
    for used_up in (budget(10**12, scope_id="u2"), budget(0, scope_id="u3")):
        with pytest.raises(NotAllowed, match="has exceeded budget limit"):
            await place.enter(used_up, model="nobody-knows")


async def test_a_budget_that_is_only_tracked_asks_nothing() -> None:
    assert lines_of(await Place().enter(budget(None))) == []


async def test_only_events_that_the_ledger_counts_to_a_models_budget_are_charged() -> None:
    place = Place()
    grant = place.grant(NOTHING, {"priced": budget(10**12, "model", "openai:priced")})
    await grant.enter(0)
    grant.note(event("e1", cost_pico=3 * 10**11))
    grant.note(replace(event("e2", cost_pico=9 * 10**11), model_used="other"))
    grant.note(replace(event("e3", cost_pico=1 * 10**11), model_used="Priced"))
    grant.finish()
    grant.finish()
    assert place.spent() == [4 * 10**11]


async def test_a_ledger_that_is_away_is_not_the_callers_fault() -> None:
    place = Place()
    place.ledger.away = True
    with pytest.raises(NotReady):
        await place.enter(budget(10**12))


async def test_tokens_are_reserved_by_kind() -> None:
    grant = await Place().enter(
        limits(
            tokens_per_minute=10_000, input_tokens_per_minute=10_000, output_tokens_per_minute=50, tokens_per_day=10**6
        ),
        max_tokens=100,
    )
    taken = {line.id.rpartition(":")[2]: line.amount for line in lines_of(grant) if isinstance(line, Window)}
    assert taken == {"tpm": 140, "input-tpm": 40, "output-tpm": 50, "tpd": 140}


async def test_a_refusal_names_the_limit_and_when_to_come_again() -> None:
    place = Place()
    await place.enter(limits(requests_per_minute=1))
    with pytest.raises(LimitReached, match="1 requests per minute for this key") as caught:
        await place.enter(limits(requests_per_minute=1))
    assert caught.value.retry_after is not None
    assert 59 <= caught.value.retry_after <= 61
    assert caught.value.detail == "Rate limit exceeded"
    assert caught.value.headers["x-ratelimit-remaining-requests"] == "0"


async def test_pictures_are_not_counted_by_their_bytes() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    ask = asked("priced", CHAT, messages=[{"role": "user", "content": [picture]}])
    assert input_tokens(ask, 25_000) < 2000
