"""How large a call may become, in tokens and pico-dollars: what it is taken to use up before it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.admission.output_sizes import OutputSizes
from gateway.calls.ask import Ask, refusing_depth
from gateway.models import Models
from gateway.pricing import Price, cost_pico
from gateway.routing.resolve import Target
from gateway.surfaces import ChatSurface, ForwardSurface
from usage_contract.event import Caller, UsageEvent
from wire.errors import GatewayError
from wire.estimate import estimate_request_tokens
from wire.neutral import Usage

_LONG_BODY: Final = 16 * 1024  # from here on a body may be mostly images, which its bytes say little about
_MOST_CHOICES: Final = 128
_MILLION: Final = 1_000_000
_EVERYTHING: Final = Usage(input=_MILLION, output=_MILLION, images=1, web_searches=1, seconds=3600.0)


@dataclass(frozen=True, slots=True)
class Size:
    """`cost` 0: nothing it does costs anything; 1 where nobody knows what it costs. Both counts are tokens."""

    input: int
    output: int
    cost: int


class Sizes:
    """Reckons them, and remembers how much a caller's calls of a model usually generate. One per process."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._usual = OutputSizes()

    def note(self, event: UsageEvent) -> None:
        if event.status == "success":
            self._usual.note(_who(event.caller), event.model_used, event.tokens.output)

    def of(self, ask: Ask, caller: Caller, target: Target, tokens: int) -> Size:
        """Of one target. `tokens` of input: see `input_tokens`."""
        output = 0
        if has_output(ask):
            cap = self._models.output_cap(target)
            output = ask.output_cap or self._usual.p95(_who(caller), target.model)
            output = (output if cap is None else min(output, cap)) * choices(ask)
        price = self.price(ask, target)
        return Size(tokens, output, 1 if price is None else _hold(price, _usage(ask, tokens, output)))

    def output_cap(self, target: Target) -> int | None:
        """The most tokens that an answer of the target may hold, where that is known."""
        return self._models.output_cap(target)

    def price(self, ask: Ask, target: Target) -> Price | None:
        """What the target costs in the service tier that is asked for."""
        price = self._models.price(target)
        return None if price is None else price.for_tier(ask.service_tier)


def largest(sizes: Sequence[Size]) -> Size:
    """Any of the targets may have to answer."""
    return Size(max(each.input for each in sizes), max(each.output for each in sizes), max(each.cost for each in sizes))


def input_tokens(ask: Ask, estimate: int) -> int:
    """`estimate`: from bytes. Of a long conversation its parts are counted: a picture's bytes are no tokens. What
    cannot be read is counted by bytes."""
    if isinstance(ask.surface, ForwardSurface) and ask.surface.form:
        return 1  # a file: what it costs is known when it has been listened to
    if len(ask.raw) <= _LONG_BODY or not isinstance(ask.surface, ChatSurface):
        return estimate
    try:
        with refusing_depth(ask.body):
            request = ask.request or ask.surface.dialect.parse_request(ask.body, model=ask.model, stream=ask.stream)
            return estimate_request_tokens(request)
    except GatewayError:
        return estimate


def has_output(ask: Ask) -> bool:
    """Whether it is answered with text, as long as the model likes."""
    return isinstance(ask.surface, ChatSurface) or ask.surface.path in ("/v1/completions", "/completion")


def choices(ask: Ask) -> int:
    """How many answers are asked for."""
    value = ask.body.get("n")
    return min(value, _MOST_CHOICES) if type(value) is int and value > 1 else 1


@dataclass(frozen=True, slots=True)
class Affordable:
    """What a call's answer costs at most: `base` without any output, and for a million tokens of it. Pico-dollars."""

    base: int
    million: int

    @classmethod
    def of(cls, price: Price, tokens: int) -> Affordable:
        """`tokens` of input. Of the classes of output the dearest counts: how much is reasoning is not known before."""
        base = cost_pico(price, Usage(input=tokens))
        spoken = cost_pico(price, Usage(input=tokens, output=_MILLION))
        reasoned = cost_pico(price, Usage(input=tokens, output=_MILLION, reasoning=_MILLION))
        return cls(base, max(spoken, reasoned) - base)

    def output(self, money: int) -> int | None:
        """Most tokens of output that the money pays for; None: any number."""
        return max(0, money - self.base) * _MILLION // self.million if self.million else None

    def cost(self, output: int) -> int:
        return self.base - (-output * self.million // _MILLION)


def _usage(ask: Ask, tokens: int, output: int) -> Usage:
    images = choices(ask) if ask.surface.path == "/v1/images/generations" else 0
    return Usage(input=tokens, output=output, images=images)


def _hold(price: Price, usage: Usage) -> int:
    """At least 1 unless the model is free, so that its real cost is counted."""
    return max(cost_pico(price, usage), 1 if cost_pico(price, _EVERYTHING) else 0)


def _who(caller: Caller) -> str:
    return caller.key_id or caller.user_id or ""
