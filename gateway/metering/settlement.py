"""Settlement: what the row of an attempt says, once, however the attempt ended.

`Metering.begin` writes the intent before the upstream is asked; `Attempt.finish` turns what came of it into the event.
Between them nothing may be lost: `finish` never raises and answers a second call with the first one's event.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Final, Literal

from msgspec import structs

from gateway.ids import uuid7
from gateway.metering.spool import Spool
from gateway.pricing import Price, cost_pico, output_cost_pico
from usage_contract.event import Caller, Intent, Status, Tokens, UsageEvent
from usage_contract.money import pico_from_decimal
from wire.estimate import estimate_bytes
from wire.neutral import Usage

log = logging.getLogger(__name__)

OUTPUT_GUESS: Final = 300  # tokens: about the median answer; what a lost call is taken to have generated

Listener = Callable[[UsageEvent], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What all attempts of one call have in common."""

    request_id: str
    surface: str  # route template
    model_asked: str
    caller: Caller = field(default_factory=Caller)
    stream: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt went.

    `unsent`: no connection was made, so the provider knows nothing of it. `usage` is the last count seen, None when
    there was none. `text_bytes` are the UTF-8 bytes generated so far (text, thinking, tool arguments), from which the
    output is estimated when the count is missing or not complete. Times are microseconds; `first_token_us` is counted
    from the start of the attempt.
    """

    status: Status
    kind: Literal["final", "attempt"] = "final"
    unsent: bool = False
    http_status: int | None = None
    error_code: str | None = None
    finish_reason: str | None = None
    response_id: str | None = None
    service_tier: str | None = None
    usage: Usage | None = None
    text_bytes: int = 0
    dropped: tuple[str, ...] = ()
    first_token_us: int | None = None
    duration_us: int | None = None  # None: from the intent until now
    overhead_us: int | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """What an attempt is charged, as its event will say it, apart for input and output: pico-dollars, None when the
    price is unknown."""

    usage: Usage
    input_pico: int | None
    output_pico: int | None


class Metering:
    """Makes attempts and tells listeners of each event, once. `clock` gives nanoseconds since the epoch."""

    def __init__(
        self, spool: Spool, *, clock: Callable[[], int] = time.time_ns, ids: Callable[[], str] = uuid7
    ) -> None:
        self.spool = spool
        self.clock = clock
        self._ids = ids
        self._listeners: list[Listener] = []

    def on_event(self, listener: Listener) -> None:
        """Have `listener` called with every event, after it was written. It must not block."""
        self._listeners.append(listener)

    def begin(
        self,
        call: Call,
        *,
        provider: str,
        model_used: str,
        price: Price | None,
        input_estimate: int,
        attempt: int = 1,
        output_cap: int | None = None,
        output_guess: int | None = None,
        service_tier: str | None = None,
        byok: bool = False,
    ) -> Attempt:
        """Write down that an attempt is about to be made. Raises NotReady when the spool takes no new calls.

        `price` None: unknown. `byok`: made with the caller's own key, so it costs us nothing. `output_guess` is what
        this key and model usually generate, where that is known; the call is priced with it, but at most half the cap,
        if its process dies.
        """
        guess = OUTPUT_GUESS if output_guess is None else output_guess
        if output_cap is not None:
            guess = min(guess, max(1, output_cap // 2))
        due = None if price is None else price.for_tier(service_tier)
        lost = Usage(input=input_estimate, output=guess)
        intent = Intent(
            event_id=self._ids(),
            request_id=call.request_id,
            started_us=self.clock() // 1000,
            attempt=attempt,
            caller=call.caller,
            surface=call.surface,
            provider=provider,
            model_asked=call.model_asked,
            model_used=model_used,
            stream=call.stream,
            byok=byok,
            price=None if due is None else due.to_json(),
            input_estimate=input_estimate,
            output_cap=output_cap,
            output_guess=guess,
            cost_estimate_pico=0 if byok else None if due is None else cost_pico(due, lost),
        )
        self.spool.write_intent(intent)
        return Attempt(self, intent, price, service_tier)

    def settled(self, event: UsageEvent) -> UsageEvent:
        """Write an event and tell the listeners."""
        written = self.spool.write_event(event)
        for listener in self._listeners:
            try:
                listener(written)
            except Exception:
                # The row is written; what merely watches it must not turn a served call into a failed one.
                log.exception("a listener of usage events failed")
        return written


class Attempt:
    """One attempt in flight."""

    __slots__ = ("_event", "_metering", "_price", "_service_tier", "intent")

    def __init__(self, metering: Metering, intent: Intent, price: Price | None, service_tier: str | None) -> None:
        self.intent = intent
        self._metering = metering
        self._price = price
        self._service_tier = service_tier
        self._event: UsageEvent | None = None

    @property
    def event_id(self) -> str:
        return self.intent.event_id

    @property
    def event(self) -> UsageEvent | None:
        """The event, once there is one."""
        return self._event

    def bill(self, outcome: Outcome) -> Bill:
        """What the event of this outcome would charge. Writes nothing."""
        usage, _ = counted(self.intent, outcome)
        due = _due(self._price, outcome, usage, self._service_tier)
        total = 0 if self.intent.byok else _cost(due, usage)
        if total is None:
            return Bill(usage, None, None)
        output = output_cost_pico(due, usage) if due is not None and total else 0
        return Bill(usage, total - output, output)

    def finish(self, outcome: Outcome) -> UsageEvent:
        """Settle the attempt. Idempotent: the first outcome counts. Synchronous, and it never raises."""
        if self._event is None:
            self._event = event_of(
                self.intent,
                outcome,
                price=self._price,
                requested_tier=self._service_tier,
                producer=self._metering.spool.producer,
                segment=self._metering.spool.segment,
                now_us=self._metering.clock() // 1000,
            )
            self._event = self._metering.settled(self._event)
        return self._event


def event_of(
    intent: Intent,
    outcome: Outcome,
    *,
    price: Price | None,
    requested_tier: str | None,
    producer: str,
    segment: int,
    now_us: int,
) -> UsageEvent:
    """The event of an intent and its outcome."""
    usage, estimated = counted(intent, outcome)
    service_tier = outcome.service_tier or usage.service_tier
    due = _due(price, outcome, usage, requested_tier)
    duration = outcome.duration_us
    return UsageEvent(
        event_id=intent.event_id,
        request_id=intent.request_id,
        kind=outcome.kind,
        producer=producer,
        segment=segment,
        started_us=intent.started_us,
        attempt=intent.attempt,
        caller=intent.caller,
        surface=intent.surface,
        provider=intent.provider,
        model_asked=intent.model_asked,
        model_used=intent.model_used,
        stream=intent.stream,
        byok=intent.byok,
        status=outcome.status,
        http_status=outcome.http_status,
        error_code=outcome.error_code,
        finish_reason=outcome.finish_reason,
        response_id=outcome.response_id,
        service_tier=service_tier,
        tokens=tokens_of(usage),
        estimated=estimated,
        cost_pico=0 if intent.byok else _cost(due, usage),
        provider_cost_pico=None if intent.byok else _provider_cost(usage.cost_usd),
        price=None if due is None else due.to_json(),
        dropped=outcome.dropped,
        duration_us=max(0, now_us - intent.started_us) if duration is None else duration,
        first_token_us=outcome.first_token_us,
        overhead_us=outcome.overhead_us,
    )


def lost_event(intent: Intent, *, producer: str, segment: int) -> UsageEvent:
    """The row of an attempt whose process died before it could say how it went."""
    return UsageEvent(
        event_id=intent.event_id,
        request_id=intent.request_id,
        kind="lost",
        producer=producer,
        segment=segment,
        started_us=intent.started_us,
        attempt=intent.attempt,
        caller=intent.caller,
        surface=intent.surface,
        provider=intent.provider,
        model_asked=intent.model_asked,
        model_used=intent.model_used,
        stream=intent.stream,
        byok=intent.byok,
        status="lost",
        tokens=Tokens(input=intent.input_estimate, output=intent.output_guess),
        estimated=True,
        cost_pico=intent.cost_estimate_pico,
        price=intent.price,
    )


def counted(intent: Intent, outcome: Outcome) -> tuple[Usage, bool]:
    """The usage to bill, and whether any of it is an estimate.

    A whole count is taken as it is, zeros included. Without one, an attempt that never reached its provider, or that it
    refused, cost nothing. Any other is billed for its input, as first counted or estimated, and for what it generated:
    also where nothing came (a time-out, a broken connection), since the provider may have been at work all the same.
    """
    usage = outcome.usage
    if usage is not None and usage.complete:
        return usage, False
    generated = estimate_bytes(outcome.text_bytes)
    if usage is not None:
        return _completed(usage, intent.input_estimate, generated), True
    refused = outcome.http_status is not None and not 200 <= outcome.http_status < 300
    if not generated and (outcome.unsent or refused):
        return _NOTHING, False
    return Usage(input=intent.input_estimate, output=generated), True


def tokens_of(usage: Usage) -> Tokens:
    return Tokens(
        input=usage.input,
        cache_read=usage.cache_read,
        cache_write_5m=usage.cache_write_5m,
        cache_write_1h=usage.cache_write_1h,
        input_audio=usage.input_audio,
        input_image=usage.input_image,
        tool_input=usage.tool_input,
        output=usage.output,
        reasoning=usage.reasoning,
        output_audio=usage.output_audio,
        output_image=usage.output_image,
        web_searches=usage.web_searches,
        images=usage.images,
        audio_ms=round(usage.seconds * 1000),
    )


_NOTHING: Final = Usage()


def _due(price: Price | None, outcome: Outcome, usage: Usage, requested_tier: str | None) -> Price | None:
    """The price under the tier that served, else under the one that was asked for."""
    return None if price is None else price.for_tier(outcome.service_tier or usage.service_tier or requested_tier)


def _cost(price: Price | None, usage: Usage) -> int | None:
    """Nothing costs nothing, whatever its price, also where it is charged by the request."""
    if usage is _NOTHING:
        return 0
    return None if price is None else cost_pico(price, usage)


def _completed(usage: Usage, input_estimate: int, generated: int) -> Usage:
    """A first count made whole: its input stands if it has one, its output is at least what was seen."""
    return structs.replace(usage, input=usage.input or input_estimate, output=max(usage.output, generated))


def _provider_cost(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return pico_from_decimal(Decimal(text))
    except (InvalidOperation, ValueError):
        log.warning("a provider stated a cost that is not an amount")
        return None
