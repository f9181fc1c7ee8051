"""One attempt at one upstream: send, relay the answer, and settle it exactly once whatever happens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

from msgspec.structs import replace

from gateway.calls.answer import JSON_HEADERS, STREAM_HEADERS, answer_headers
from gateway.calls.ask import Ask
from gateway.calls.door import Passage
from gateway.calls.grant import Grant
from gateway.calls.own_key import in_our_words, without_key
from gateway.calls.prepare import Prepared
from gateway.calls.relay import Passing, relay_bytes, relay_stream
from gateway.calls.tally import Tally
from gateway.exchange import Exchange
from gateway.metering.settlement import Attempt, Call, Outcome
from gateway.observability.logs import describe
from gateway.routing.resolve import Target
from gateway.settings import UpstreamSection
from gateway.surfaces import DoorSurface, ForwardSurface
from gateway.upstream import UNREACHED, Upstream, UpstreamResponse
from usage_contract.event import Status, UsageEvent
from usage_contract.money import decimal_from_pico, json_number
from wire.errors import GatewayError, UpstreamError, UpstreamMalformed, UpstreamTimedOut
from wire.estimate import estimate_bytes
from wire.neutral import Account, Served, Stamp

_ERROR_BODY_LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Turn:
    """What stays the same over the attempts of one call. `grant` None: no limit or budget applies to it. `passage`: of
    one that came through a front door."""

    exchange: Exchange
    ask: Ask
    metered: Call
    stamp: Stamp
    input_estimate: int
    grant: Grant | None = None
    passage: Passage | None = None


class Trial:
    """`position` is 1-based among the attempts of the call. `settle` may be called again: the first time counts."""

    def __init__(
        self, turn: Turn, target: Target, position: int, prepared: Prepared, attempt: Attempt, limits: UpstreamSection
    ) -> None:
        self.target = target
        self.position = position
        self._turn = turn
        self._prepared = prepared
        self._attempt = attempt
        self._limits = limits
        kept = turn.passage is not None and turn.passage.keep is not None
        self._tally = Tally(words=[] if kept else None, tell=lambda error: self._in_our_words(error, error.status))
        self._loop_time = asyncio.get_running_loop().time
        self._sent_at = perf_counter()
        self._ended_at: float | None = None
        self._begun = self._loop_time()
        self._end = self._begun + (target.provider.timeout or limits.total_timeout)
        self._dropped = prepared.dropped
        self._bytes_when_gone = 0
        self._silent_until = 0.0
        self._idle_clock: asyncio.TimerHandle | None = None
        self._draining = limits.on_disconnect == "drain" and not target.provider.row.few_slots

    async def run(self, upstream: Upstream) -> None:
        """Returns when the answer is delivered or its caller gone. Raises GatewayError."""
        exchange = self._turn.exchange
        try:
            async with asyncio.timeout_at(self._first_byte_by()) as scope:
                self._watch(scope)
                async with upstream.send(self._prepared.request) as response:
                    self._tally.http_status = response.status
                    if not 200 <= response.status < 300:
                        raise await self._refused(response)
                    self._heard(scope)
                    await self._deliver(scope, response)
        except TimeoutError as error:
            if not exchange.gone:
                raise UpstreamTimedOut("The upstream did not answer in time") from error
        finally:
            self._ended_at = perf_counter()
            exchange.unwatch()
            if self._idle_clock is not None:
                self._idle_clock.cancel()

    def _first_byte_by(self) -> float:
        """A whole answer of our own model is written, at a CPU's speed, before its first byte comes."""
        if self.target.provider.row.few_slots and not self._turn.ask.stream:
            return self._end
        return min(self._begun + self._limits.first_byte_timeout, self._end)

    def settle(self, kind: Literal["final", "attempt"], error: GatewayError | None) -> UsageEvent:
        """Write the row of this attempt, once: later calls give back the first one's event."""
        event = self._attempt.finish(self._outcome(kind, error or self._tally.failed))
        self._turn.exchange.notes = describe(event)
        if self._turn.grant is not None:
            self._turn.grant.note(event)
        return event

    def _outcome(self, kind: Literal["final", "attempt"], error: GatewayError | None) -> Outcome:
        """How the attempt stands now."""
        tally = self._tally
        status: Status = "error" if error is not None else "success" if tally.ended else "cancelled"
        first = tally.first_token_at
        return Outcome(
            kind=kind,
            status=status,
            unsent=error is not None and error.code == UNREACHED,
            http_status=tally.http_status,
            error_code=None if error is None else without_key(error.code or error.type, self.target.provider),
            finish_reason=tally.finish,
            response_id=tally.response_id,
            service_tier=tally.service_tier,
            usage=tally.usage,
            text_bytes=tally.text_bytes,
            dropped=self._dropped + tally.lost,
            first_token_us=None if first is None else round((first - self._sent_at) * 1e6),
            duration_us=round(((self._ended_at or perf_counter()) - self._sent_at) * 1e6),
            overhead_us=round((self._sent_at - self._turn.exchange.started) * 1e6),
        )

    @property
    def native(self) -> bool:
        """Whether the answer came in the caller's own dialect."""
        return isinstance(self._prepared.way, Passing)

    @property
    def response_id(self) -> str | None:
        """The provider's id of a whole answer."""
        return self._tally.response_id if self._tally.ended else None

    def sign(self, error: GatewayError) -> None:
        """Let the call's last error say what an answer would: who was asked, and what is left of limits."""
        told = {name.decode(): value.decode() for name, value in self._headers()}
        error.headers = {**told, **error.headers}

    def in_band(self, error: GatewayError) -> bytes:
        """The caller's dialect's error inside a stream that has begun."""
        return self._turn.ask.surface.dialect.stream_renderer(self._stamp()).error(error)

    async def _deliver(self, scope: asyncio.Timeout, response: UpstreamResponse) -> None:
        """A conversation comes as it was asked for; what is merely forwarded, as the upstream says."""
        try:
            await self._relay(scope, response)
        except UpstreamError as error:  # inside a 200
            raise self._in_our_words(error, error.status) from error

    async def _relay(self, scope: asyncio.Timeout, response: UpstreamResponse) -> None:
        kind = response.headers.get("content-type", "application/json")
        forwarded = isinstance(self._turn.ask.surface, ForwardSurface)
        if kind.startswith("text/event-stream") if forwarded else self._turn.ask.stream:
            await self._stream(scope, response)
        elif self._turn.exchange.status is not None:
            raise UpstreamMalformed("The upstream did not stream its answer")
        elif forwarded and not kind.startswith("application/json"):
            headers = [(b"content-type", kind.encode("latin-1", "replace")), *self._headers()]
            await relay_bytes(self._turn.exchange, response, headers, lambda: self._heard(scope))
            self._tally.ended = True
        else:
            await self._whole(response)

    async def _whole(self, response: UpstreamResponse) -> None:
        turn = self._turn
        body, lost = self._prepared.way.whole(await response.read(), self._stamp(), self._tally)
        self._dropped += lost
        cost = self.settle("final", None).cost_pico
        headers = JSON_HEADERS + self._headers()
        if cost is not None:
            headers.append((b"x-tollgate-cost-usd", json_number(cost).encode()))
        await self._keep()
        await turn.exchange.respond(200, headers, body)

    async def _keep(self) -> None:
        passage, words = self._turn.passage, self._tally.words
        if passage is not None and passage.keep is not None and words is not None:
            if not self._turn.ask.stream:
                await self._turn.exchange.linger(0)  # a whole answer was read without looking who is there
            await passage.keep("".join(words))

    async def _stream(self, scope: asyncio.Timeout, response: UpstreamResponse) -> None:
        turn, tally = self._turn, self._tally
        stream = self._prepared.way.stream(self._stamp(), tally)
        heard = lambda: self._heard(scope)  # noqa: E731
        about = self._headers()
        exchange = turn.exchange
        await relay_stream(exchange, response, stream, tally, STREAM_HEADERS, about, perf_counter, heard, self._keep)

    def _stamp(self) -> Stamp:
        """What the answer carries of ours; of a front door also who serves it and, at its end, its account."""
        turn = self._turn
        if not isinstance(turn.ask.surface, DoorSurface):
            return turn.stamp
        passage = turn.passage
        served = Served(
            provider=self.target.provider.name,
            model=self.target.model,
            session_id=turn.ask.session_id,
            account=self._account,
            shown={} if passage is None else passage.shown,
            language=None if passage is None else passage.language,
        )
        return replace(turn.stamp, served=served)

    def _account(self) -> Account:
        """What the row of this attempt will say, once the answer has been read."""
        outcome = self._outcome("final", self._tally.failed)
        bill = self._attempt.bill(outcome)
        upstream_us = outcome.duration_us or 0
        return Account(
            usage=bill.usage,
            input_usd=None if bill.input_pico is None else decimal_from_pico(bill.input_pico),
            output_usd=None if bill.output_pico is None else decimal_from_pico(bill.output_pico),
            total_us=(outcome.overhead_us or 0) + upstream_us,
            upstream_us=upstream_us,
            first_token_us=outcome.first_token_us,
        )

    def _headers(self) -> list[tuple[bytes, bytes]]:
        overhead_ms = (self._sent_at - self._turn.exchange.started) * 1000
        headers = answer_headers(self.target, self.position, overhead_ms, self._dropped)
        return headers if self._turn.grant is None else headers + self._turn.grant.headers

    async def _refused(self, response: UpstreamResponse) -> GatewayError:
        body = await response.read(_ERROR_BODY_LIMIT)
        error = self._prepared.way.parse_error(response.status, response.headers, body)
        return self._in_our_words(error, response.status)

    def _in_our_words(self, error: GatewayError, status: int) -> GatewayError:
        return in_our_words(error, self.target.provider, status, own_key=self._turn.ask.own_key is not None)

    def _heard(self, scope: asyncio.Timeout) -> None:
        """The upstream is alive: it may stay silent for the idle time-out again. Once the caller has gone it may go on
        for so many tokens only."""
        if scope.expired():
            # The cut was lost: the client library may give a piece that was ready in place of being cancelled.
            raise TimeoutError
        if not self._turn.exchange.gone:
            self._silent_until = self._loop_time() + self._limits.idle_timeout
            if self._idle_clock is None:
                scope.reschedule(self._end)
                self._look_whether_idle(scope)
        elif not self._draining:
            raise TimeoutError
        elif estimate_bytes(self._tally.text_bytes - self._bytes_when_gone) > self._limits.drain_tokens:
            scope.reschedule(self._loop_time())

    def _look_whether_idle(self, scope: asyncio.Timeout) -> None:
        """One timer for all pieces of a stream: to set it anew for each costs more than to read the clock."""
        if self._turn.exchange.gone or scope.expired():
            return
        if self._silent_until <= (now := self._loop_time()):
            scope.reschedule(now)
        else:
            look = asyncio.get_running_loop().call_at
            self._idle_clock = look(self._silent_until, self._look_whether_idle, scope)

    def _watch(self, scope: asyncio.Timeout) -> None:
        """When the caller hangs up: read on for a bounded while, so that the usage is known, or cut at once, which also
        frees a slot of our own model."""
        draining = self._draining
        if draining and not self._turn.ask.stream:
            return  # the whole answer comes in one piece: it is read to its end anyway

        def hung_up() -> None:
            self._bytes_when_gone = self._tally.text_bytes
            if not scope.expired():
                limit = self._loop_time() + (self._limits.drain_seconds if draining else 0.0)
                scope.reschedule(min(limit, self._end))

        self._turn.exchange.watch(hung_up)
