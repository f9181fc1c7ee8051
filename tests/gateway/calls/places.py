"""What grants are made of in these tests: a desk that counts in memory, a ledger, models with prices, rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from gateway.accounts.policies import NOTHING
from gateway.accounts.policy import BudgetRule, LimitRule, Limits, Policy
from gateway.admission.desk import WAIT_SECONDS, Desk
from gateway.admission.in_memory import InMemory
from gateway.admission.rules import Spending
from gateway.calls.ask import Ask
from gateway.calls.grant import Candidate, Grant
from gateway.calls.limit_answers import LimitAnswers
from gateway.calls.sizes import Sizes, input_tokens
from gateway.catalogue import catalogue
from gateway.metering.settlement import Call
from gateway.models import Models
from gateway.observability.metrics import Metrics
from gateway.routing.providers import build_providers
from gateway.settings import PriceSettings, Settings
from gateway.surfaces import SURFACES
from usage_contract.event import Caller, UsageEvent

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
CALL = Call(request_id="r", surface="/v1/chat/completions", model_asked="m", caller=Caller(key_id="k", user_id="u"))
CHAT = "/v1/chat/completions"
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
    def __init__(self, *, wait_seconds: float = WAIT_SECONDS) -> None:
        settings = Settings(pricing={"openai:priced": PRICE, "openai:free": FREE, "openai:cheap": PRICE})
        providers = build_providers(settings, lambda entry, names, variables: "key")
        self.ledger = Ledger()
        self.models = Models(settings, providers, catalogue(), NoPrices(), lambda: datetime.now(UTC))
        self.counter = InMemory()
        self.desk = Desk(self.counter, self.ledger.read, wait_seconds=wait_seconds)
        self.sizes = Sizes(self.models)
        self.answers = LimitAnswers(Metrics(), "local")
        self._calls = 0

    def grant(
        self, caller: Policy, targets: Mapping[str, Policy], *, lowers: bool = False, path: str = CHAT, **body: Any
    ) -> Grant:
        """Of a call of about 40 tokens; `targets` are models of OpenAI with the policies that they have."""
        self._calls += 1
        ask = asked(next(iter(targets)), path, **body)
        return Grant(
            self.desk,
            self.sizes,
            self.answers,
            call=replace(CALL, request_id=f"r{self._calls}"),
            ask=ask,
            tokens=input_tokens(ask, 40),
            caller=caller,
            targets=[Candidate(self.models.resolve(f"openai:{name}")[0], policy) for name, policy in targets.items()],
            lowers=lowers,
        )

    async def enter(self, policy: Policy, model: str = "priced", **body: Any) -> Grant:
        grant = self.grant(policy, {model: NOTHING}, **body)
        await grant.enter(0)
        return grant

    def spent(self) -> list[int]:
        """Of each budget, as it is counted here."""
        return [state.spent for state in self.counter._book.moneys.values()]


def asked(model: str, path: str, **body: Any) -> Ask:
    whole = {"model": model, "messages": [{"role": "user", "content": "hello"}], **body}
    return Ask(
        surface=next(each for each in SURFACES if each.path == path),
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


def limits(scope: Any = "key", scope_id: str = "k", **fields: int) -> Policy:
    return Policy(limits=(LimitRule(scope=scope, scope_id=scope_id, limits=Limits(**fields)),))


def budget(amount: int | None, scope: Any = "user", scope_id: str = "u") -> Policy:
    rule = BudgetRule(budget_id="b", scope=scope, scope_id=scope_id, amount_pico=amount, since=SINCE, until=None)
    return Policy(budgets=(rule,))


def event(event_id: str, **fields: Any) -> UsageEvent:
    return UsageEvent(
        event_id=event_id, request_id="r", kind="final", producer="p", segment=1, started_us=1, caller=CALL.caller,
        surface="s", provider="openai", model_asked="m", model_used="priced", **fields,
    )  # fmt: skip
