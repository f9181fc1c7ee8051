"""When a call is held to nothing at all, and when it may not be made for want of a price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.accounts.directory import Directory
from gateway.accounts.policies import PolicySource
from gateway.accounts.policy import Limits, Scope
from gateway.accounts.store import AccountStore
from gateway.admission.desk import Desk
from gateway.calls.allowance import Allowance
from gateway.calls.grant import Grant
from gateway.observability.metrics import Metrics
from gateway.settings import AdmissionSection
from ledger.engine import make_engine
from tests.gateway.calls.places import CALL, CHAT, Ledger, Place, asked
from wire.errors import PriceUnknown


def allowance(place: Place, limits: Mapping[tuple[Scope, str], Limits], **admission: Any) -> Allowance:
    directory = Directory(AccountStore(make_engine("sqlite://")))
    policies = PolicySource(directory, lambda: datetime.now(UTC), limits)
    return Allowance(
        Desk(place.counter, Ledger().read), policies, place.models, Metrics(), AdmissionSection(**admission)
    )


def opened(limits: Mapping[tuple[Scope, str], Limits]) -> Grant | None:
    place = Place()
    targets = [*place.models.resolve("openai:priced"), *place.models.resolve("openai:cheap")]
    return allowance(place, limits).open(None, CALL, asked("priced", CHAT), targets, 40)


def test_a_call_without_any_rule_is_held_to_nothing() -> None:
    assert opened({}) is None
    assert opened({("provider", "anthropic"): Limits(requests_per_minute=1)}) is None


@pytest.mark.parametrize("rule", [("provider", "openai"), ("model", "openai:cheap"), ("global", "*")])
async def test_a_rule_of_any_target_or_of_everybody_counts(rule: tuple[Scope, str]) -> None:
    grant = opened({rule: Limits(requests_per_minute=1)})
    assert grant is not None
    assert await grant.enter(0) == 0


def test_unpriced_models_are_refused_only_when_so_set() -> None:
    place = Place()
    known, unknown = place.models.resolve("openai:free"), place.models.resolve("openai:nobody-knows")
    assert allowance(place, {}).priced(unknown)
    strict = allowance(place, {}, unpriced="refuse")
    assert strict.priced(known)
    with pytest.raises(PriceUnknown, match="openai:nobody-knows"):
        strict.priced(unknown)


@pytest.mark.parametrize(
    ("setting", "asked_for", "lowers"),
    [(False, None, False), (True, None, True), (False, True, True), (True, False, False)],
)
async def test_whether_a_cap_may_be_lowered_says_the_call_else_the_setting(
    setting: bool, asked_for: bool | None, lowers: bool
) -> None:
    place = Place()
    held = allowance(place, {("global", "*"): Limits(requests_per_minute=1)}, lower_max_tokens=setting)
    ask = replace(asked("priced", CHAT), lower_cap=asked_for)
    grant = held.open(None, CALL, ask, place.models.resolve("openai:priced"), 40)
    assert grant is not None
    assert grant.lowers is lowers
