"""What a call is taken to use up before it is made, and what it is told when it may not be."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway.accounts.policy import BudgetRule, LimitRule, Limits, Policy
from gateway.admission.desk import Desk
from gateway.admission.in_memory import InMemory
from gateway.admission.rules import Money, Spending, Window
from gateway.calls.allowance import Allowance, Grant
from gateway.calls.ask import Ask
from gateway.catalogue import catalogue
from gateway.metering.settlement import Call
from gateway.models import Models
from gateway.observability.metrics import Metrics
from gateway.routing.providers import build_providers
from gateway.routing.resolve import Target
from gateway.settings import AdmissionSection, PriceSettings, Settings
from gateway.surfaces import SURFACES
from usage_contract.event import Caller, Tokens, UsageEvent
from wire.errors import LimitReached, NotAllowed, NotReady, PriceUnknown

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
CALL = Call(request_id="r", surface="/v1/chat/completions", model_asked="m", caller=Caller(key_id="k", user_id="u"))
PRICE = PriceSettings(input_price_per_million=Decimal(1), output_price_per_million=Decimal(10))
FREE = PriceSettings(input_price_per_million=Decimal(0), output_price_per_million=Decimal(0))


class Ledger:
    def __init__(self) -> None:
        self.spent = 0
        self.away = False

    def read(self, spending: Spending, events: Callable[[], Collection[str]]) -> tuple[int, Collection[str]]:
        if self.away:
            raise OSError
        return self.spent, []


class NoPrices:
    """Nobody has set any in the database."""

    def at(self, model_key: str, moment: datetime) -> None:
        return None

    def keys(self) -> list[str]:
        return []


class Place:
    def __init__(self, **admission: Any) -> None:
        settings = Settings(pricing={"openai:priced": PRICE, "openai:free": FREE})
        providers = build_providers(settings, lambda entry, names, variables: "key")
        self.ledger = Ledger()
        self.models = Models(settings, providers, catalogue(), NoPrices(), lambda: datetime.now(UTC))
        desk = Desk(InMemory(), self.ledger.read)
        self.allowance = Allowance(desk, self.models, Metrics(), AdmissionSection(**admission))
        self._calls = 0

    def targets(self, model: str) -> list[Target]:
        return list(self.models.resolve(f"openai:{model}"))

    async def enter(self, policy: Policy, model: str = "priced", **body: Any) -> Grant | None:
        self._calls += 1
        call = replace(CALL, request_id=f"r{self._calls}")
        ask = asked(model, **body)
        return await self.allowance.enter(policy, call, ask, self.targets(model), 40)


def asked(model: str, **body: Any) -> Ask:
    whole = {"model": model, "messages": [{"role": "user", "content": "hello"}], **body}
    return Ask(
        surface=next(each for each in SURFACES if each.path == "/v1/chat/completions"),
        raw=json.dumps(whole).encode(),
        body=whole,
        model=model,
        stream=False,
        user=None,
        session_id=None,
        strict=False,
        include_usage=False,
        output_cap=whole.get("max_tokens"),
    )


def limits(**fields: int) -> Policy:
    return Policy(limits=(LimitRule(scope="key", scope_id="k", limits=Limits(**fields)),))


def budget(amount: int | None, scope: Any = "user", scope_id: str = "u") -> Policy:
    rule = BudgetRule(budget_id="b", scope=scope, scope_id=scope_id, amount_pico=amount, since=SINCE, until=None)
    return Policy(budgets=(rule,))


def event(event_id: str, **fields: Any) -> UsageEvent:
    return UsageEvent(
        event_id=event_id, request_id="r", kind="final", producer="p", segment=1, started_us=1, caller=CALL.caller,
        surface="s", provider="openai", model_asked="m", model_used="priced", **fields,
    )  # fmt: skip


def hold_of(grant: Grant | None) -> int:
    assert grant is not None
    return next(line.hold for line in grant.demand.lines if isinstance(line, Money))


async def test_the_hold_is_the_input_and_the_callers_own_limit_at_the_models_price() -> None:
    grant = await Place().enter(budget(10**12), max_tokens=100)
    assert hold_of(grant) == 40 * 10**6 + 100 * 10**7
    assert hold_of(await Place().enter(budget(10**12), max_tokens=100, n=3)) == 40 * 10**6 + 300 * 10**7


async def test_without_a_limit_it_is_what_this_key_usually_gets() -> None:
    place = Place()
    grant = await place.enter(budget(10**15))
    assert hold_of(grant) == 40 * 10**6 + 256 * 10**7
    for number in range(20):
        assert grant is not None
        grant.note(event(f"e{number}", tokens=Tokens(output=1000)))
        grant.finish()
        grant = await place.enter(budget(10**15))
    assert hold_of(grant) == 40 * 10**6 + 1000 * 10**7


async def test_a_free_model_passes_a_budget_that_is_used_up() -> None:
    place = Place()
    place.ledger.spent = 10**12
    assert await place.enter(budget(10**12), model="free") is None
    with pytest.raises(NotAllowed, match=r"^User 'u' has exceeded budget limit$"):
        await place.enter(budget(10**12))


async def test_a_budget_that_is_only_tracked_asks_nothing() -> None:
    assert await Place().enter(budget(None)) is None


async def test_only_events_that_the_ledger_counts_to_a_models_budget_are_charged() -> None:
    place = Place()
    policy = budget(10**12, "model", "openai:priced")
    grant = await place.enter(policy)
    assert grant is not None
    grant.note(event("e1", cost_pico=3 * 10**11))
    grant.note(replace(event("e2", cost_pico=9 * 10**11), model_used="other"))
    grant.finish()
    grant.finish()
    counter = place.allowance._desk._counter
    assert isinstance(counter, InMemory)
    assert [state.spent for state in counter._book.moneys.values()] == [3 * 10**11]


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
    assert grant is not None
    taken = {line.id.rpartition(":")[2]: line.amount for line in grant.demand.lines if isinstance(line, Window)}
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
    place = Place()
    grant = await place.allowance.enter(
        limits(input_tokens_per_minute=2000),
        CALL,
        asked("priced", messages=[{"role": "user", "content": [picture]}]),
        place.targets("priced"),
        25_000,
    )
    assert grant is not None


def test_unpriced_models_are_refused_only_when_so_set() -> None:
    place = Place()
    assert place.allowance.priced(place.targets("nobody-knows"))
    strict = Place(unpriced="refuse")
    assert strict.allowance.priced(strict.targets("free"))
    with pytest.raises(PriceUnknown, match="openai:nobody-knows"):
        strict.allowance.priced(strict.targets("nobody-knows"))
