"""Whatever calls do in whatever order, at rest nothing is held and what was spent is what the rows say."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.policy import Policy
from tests.gateway.calls.places import Place, budget, event, limits
from usage_contract.event import Tokens
from wire.errors import GatewayError

MODELS = ("priced", "cheap")
RULES = {
    "concurrent": limits("model", "openai:priced", concurrent_calls=2),
    "tokens": limits("model", "openai:cheap", tokens_per_minute=400),
    "money": budget(3 * 10**9, "model", "openai:priced"),
    "provider": limits("provider", "openai", requests_per_minute=6, concurrent_calls=3, tokens_per_minute=2000),
}
STEPS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["open", "next", "row", "end"]), st.integers(0, 300), st.booleans()),
    max_size=40,
)


def both(*policies: Policy) -> Policy:
    return Policy(
        limits=tuple(rule for each in policies for rule in each.limits),
        budgets=tuple(rule for each in policies for rule in each.budgets),
    )


@given(steps=STEPS)
def test_nothing_is_left_over(steps: list[tuple[int, str, int, bool]]) -> None:
    asyncio.run(_walk(steps))


async def _walk(steps: list[tuple[int, str, int, bool]]) -> None:
    place = Place(wait_seconds=0)
    targets = {
        "priced": both(RULES["concurrent"], RULES["money"], RULES["provider"]),
        "cheap": both(RULES["tokens"], RULES["provider"]),
    }
    caller = both(limits(tokens_per_minute=5000, concurrent_calls=4), budget(10**10))
    calls: dict[int, tuple[Any, int]] = {}
    rows = 0
    spent = {"user:u": 0, "model:openai:priced": 0}
    for number, step, amount, lowers in steps:
        if step == "open" and number not in calls:
            grant = place.grant(caller, targets, lowers=lowers, max_tokens=50 + amount)
            try:
                calls[number] = grant, await grant.enter(0)
            except GatewayError:
                grant.finish()
        elif number not in calls:
            continue
        else:
            grant, at = calls[number]
            if step == "next" and at == 0:
                try:
                    calls[number] = grant, await grant.enter(1)
                except GatewayError:
                    continue
            elif step == "row":
                rows += 1
                tokens = Tokens(input=40, output=amount)
                grant.note(replace(event(f"e{rows}", tokens=tokens, cost_pico=amount), model_used=MODELS[at]))
                spent["user:u"] += amount
                spent["model:openai:priced"] += amount if at == 0 else 0
            elif step == "end":
                grant.finish()
                del calls[number]
    for grant, _ in calls.values():
        grant.finish()
    book = place.counter._book
    assert book.slots == {}
    assert not any(book.open.values())
    assert [state.held for state in book.moneys.values()] == [0] * len(book.moneys)
    for whose, amount in spent.items():
        assert sum(state.spent for name, state in book.moneys.items() if f":{whose}:" in name) == amount
