"""A conversation turn from first byte to settled row. Every surface ends here; there is no second way to a provider."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from gateway.accounts.credentials import find_credential
from gateway.accounts.keys import Keys, Principal
from gateway.accounts.provider_objects import ProviderObjects
from gateway.calls.allowance import Allowance
from gateway.calls.ask import Ask, read_ask, refusing_depth
from gateway.calls.counts import TokenCounts
from gateway.calls.door import Doors, Passage, Visit
from gateway.calls.forward import prepare_forward
from gateway.calls.own_key import with_own_key
from gateway.calls.permitted import permitted
from gateway.calls.pinning import pinned, references
from gateway.calls.prepare import Prepared, passed_headers, prepare_chat
from gateway.calls.retry import MAX_RETRIES, Next, next_attempt
from gateway.calls.trial import Trial, Turn
from gateway.exchange import Exchange
from gateway.metering.settlement import Call, Metering
from gateway.models import Models
from gateway.routing.resolve import Target
from gateway.settings import ByokSection, UpstreamSection
from gateway.surfaces import ChatSurface, CountSurface, DoorSurface, ForwardSurface, Surface
from gateway.upstream import Upstream
from usage_contract.event import Caller
from wire.dialects.gemini.array_framing import ArrayFraming
from wire.errors import GatewayError
from wire.estimate import estimate_request_tokens, estimate_tokens
from wire.neutral import Stamp

_TIER_FIELDS = {"service_tier", "serviceTier", "speed"}


class Calls:
    """Serves inference paths. One per process; its parts come from the composition root."""

    def __init__(
        self,
        *,
        keys: Keys,
        models: Models,
        metering: Metering,
        objects: ProviderObjects,
        allowance: Allowance,
        doors: Doors,
        upstream: Upstream,
        limits: UpstreamSection,
        counts: TokenCounts,
        byok: ByokSection,
        max_body_bytes: int,
        caller_timeout: float,
    ) -> None:
        self._keys = keys
        self._models = models
        self._metering = metering
        self._objects = objects
        self._allowance = allowance
        self._doors = doors
        self._upstream = upstream
        self._limits = limits
        self._byok = byok
        self._max_body = max_body_bytes
        self._caller_timeout = caller_timeout
        self._counts = counts

    async def serve(self, exchange: Exchange, surface: Surface) -> None:
        """Answer one call. Raises GatewayError while nothing has been sent; later errors end the stream in-band."""
        await self.serve_for(await self._principal(exchange, surface), exchange, surface)

    async def serve_for(self, principal: Principal, exchange: Exchange, surface: Surface) -> None:
        """`serve` for somebody who is known already."""
        raw = await exchange.body(self._max_body, self._caller_timeout)
        ask = self._read(surface, exchange, raw)
        targets = permitted(principal, self._targets(ask), self._models)
        if isinstance(surface, CountSurface) and principal.is_master:
            return await self._counts.serve(exchange, ask, surface, targets[0])
        user_id, end_user = await self._keys.payer(principal, ask.user, field=surface.user_field or "user")
        targets = await self._pinned(ask, user_id, targets)
        if isinstance(surface, CountSurface):
            return await self._counts.serve(exchange, ask, surface, targets[0])
        passage = None
        if isinstance(surface, DoorSurface):
            passage = await self._through_door(Visit(exchange, ask, principal, user_id, targets), surface)
            if passage is None:
                return None
            request = passage.request
            output_cap = request.max_tokens or ask.output_cap
            ask = replace(ask, request=request, session_id=passage.session_id, output_cap=output_cap)
            targets = passage.targets or targets
        if ask.stream and surface.dialect.name == "gemini" and exchange.query("alt") != "sse":
            exchange.framing = ArrayFraming()
        caller = Caller(
            key_id=principal.key.id if principal.key else None,
            user_id=user_id,
            session_id=ask.session_id,
            end_user=end_user,
            tags=dict(principal.key.tags) if principal.key else {},
        )
        metered = Call(
            request_id=exchange.request_id,
            surface=surface.path,
            model_asked=ask.model,
            caller=caller,
            stream=ask.stream,
        )
        created = self._metering.clock() // 1_000_000_000
        stamp = Stamp(id=exchange.request_id.replace("-", ""), created=created, model=ask.model)
        estimate = estimate_tokens(ask.raw) if ask.request is None else estimate_request_tokens(ask.request)
        turn = Turn(exchange, ask, metered, stamp, estimate, passage=passage)
        if ask.own_key is None:
            targets = self._allowance.priced(targets)
        grant = self._allowance.open(principal.key, metered, ask, targets, turn.input_estimate)
        if grant is None:
            return await self._attempts(turn, targets, 0)
        try:
            at = await grant.enter(0)
            await self._attempts(replace(turn, grant=grant), targets, at)
        finally:
            grant.finish()

    def _targets(self, ask: Ask) -> Sequence[Target]:
        if ask.own_key is None:
            return self._models.resolve(ask.model)
        return with_own_key(self._models.targets(ask.model), ask.own_key, self._byok)

    async def _principal(self, exchange: Exchange, surface: Surface) -> Principal:
        credential = _credential(exchange, surface)
        if isinstance(surface, DoorSurface):
            return await self._keys.admit(credential, surface.dialect.name, exchange.header)
        return await self._keys.authenticate(credential)

    def _read(self, surface: Surface, exchange: Exchange, raw: bytes) -> Ask:
        """Raises BadRequest."""
        if not isinstance(surface, DoorSurface):
            return read_ask(exchange, surface, raw)
        door = self._doors[surface.dialect.name]
        ask = read_ask(exchange, surface, raw, door.default_model)
        own_key = door.own_key(ask.body)
        return ask if own_key is None else replace(ask, own_key=own_key)

    async def _through_door(self, visit: Visit, surface: DoorSurface) -> Passage | None:
        ask = visit.ask
        with refusing_depth(ask.body):
            request = surface.dialect.parse_request(ask.body, model=ask.model, stream=ask.stream)
        return await self._doors[surface.dialect.name].before(request, visit)

    async def _pinned(self, ask: Ask, user_id: str, targets: Sequence[Target]) -> Sequence[Target]:
        """A Responses call that goes on from something kept goes to whoever keeps it."""
        if ask.surface.dialect.name != "openai_responses":
            return targets
        for field, object_id in references(ask.body):
            if ask.own_key is not None:
                continue  # kept in the caller's own account: its key says what may be read there
            keeper = await self._objects.provider_of(object_id, user_id, field)
            targets = pinned(targets, keeper)
        return targets

    async def _attempts(self, turn: Turn, targets: Sequence[Target], at: int) -> None:
        """Try the targets in order from `at` on until one answers, as `retry` allows. Every attempt is a row, the last
        one `final`: so none is settled before the next one's intent is written, or it is known that there is none. Who
        is killed in between leaves a `lost` row of a call that nobody answered, as in the middle of an attempt."""
        retries = 0
        trial = self._begin(turn, targets[at], 1)
        while True:
            failed: GatewayError | None = None
            following: Trial | None = None
            try:
                await trial.run(self._upstream)
                return self._note_kept(turn, trial)
            except GatewayError as error:
                failed = error
                follow = await self._follow(turn, error, targets, at, retries)
                if follow is not None:
                    following = await self._after(follow, turn, targets, trial.position + 1)
                if follow is None or following is None:
                    trial.settle("final", error)
                    if turn.exchange.status is None:
                        trial.sign(error)
                        raise
                    await turn.exchange.write(trial.in_band(error))
                    return await turn.exchange.end_stream()
            finally:
                # Also where the whole answer was delivered, or the call was cancelled (shutdown): a row in any case.
                trial.settle("final" if following is None else "attempt", failed)
            trial, at, retries = following, follow.target, follow.retries

    async def _after(self, follow: Next, turn: Turn, targets: Sequence[Target], position: int) -> Trial | None:
        """The next attempt, after the wait before it. None where it cannot be made (its target cannot take the request
        as it is, the spool is full) or need not (the caller has left): the error that led to it is the answer."""
        await turn.exchange.linger(follow.wait)
        if turn.exchange.gone:
            return None
        try:
            return self._begin(turn, targets[follow.target], position)
        except GatewayError:
            return None

    def _note_kept(self, turn: Turn, trial: Trial) -> None:
        """A native response that its provider keeps may be referred to later, by this user."""
        ask = turn.ask
        kept = ask.surface.path == "/v1/responses" and ask.body.get("store") is not False and ask.own_key is None
        if kept and trial.native and trial.response_id and turn.metered.caller.user_id:
            self._objects.keep(trial.response_id, turn.metered.caller.user_id, trial.target.provider.name)

    async def _follow(
        self, turn: Turn, error: GatewayError, targets: Sequence[Target], at: int, retries: int
    ) -> Next | None:
        """Another attempt is only made while the caller is there and has been told nothing of an answer, and at another
        target only where its limits and budgets allow. Who has waited in line is not sent to the end of it again."""
        if turn.exchange.told or turn.exchange.gone:
            return None
        retries = retries if turn.exchange.status is None else MAX_RETRIES
        follow = next_attempt(error, targets, at, retries, random.random())
        if follow is None or follow.target == at or turn.grant is None:
            return follow
        try:
            return replace(follow, target=await turn.grant.enter(follow.target))
        except GatewayError:
            return None  # nobody else may be asked: the upstream's own error is the answer

    def _begin(self, turn: Turn, target: Target, position: int) -> Trial:
        """Prepare the upstream request and write the intent. Raises GatewayError: no attempt then, and no row."""
        ask = turn.ask
        if turn.grant is not None and turn.grant.output_cap is not None:
            ask = ask.with_output_cap(turn.grant.output_cap)
        prepared = _prepare(turn.exchange, ask, target)
        own_key = ask.own_key is not None
        attempt = self._metering.begin(
            turn.metered,
            attempt=position,
            provider=target.provider.name,
            model_used=target.model,
            price=None if own_key else self._models.price(target),
            input_estimate=turn.input_estimate,
            output_cap=ask.output_cap or self._models.output_cap(target),
            service_tier=None if _TIER_FIELDS & {*prepared.dropped} else ask.service_tier,
            byok=own_key,
        )
        return Trial(turn, target, position, prepared, attempt, self._limits)


def _prepare(exchange: Exchange, ask: Ask, target: Target) -> Prepared:
    """Raises GatewayError."""
    match ask.surface:
        case ForwardSurface():
            return prepare_forward(ask, ask.surface, target)
        case ChatSurface() as surface:
            passed = passed_headers(exchange.header, surface.dialect.name)
            return prepare_chat(ask, surface, target, passed)
        case _:
            raise TypeError(f"{ask.surface.path} makes no attempt")


def _credential(exchange: Exchange, surface: Surface) -> str | None:
    """Gemini's clients may put their key into the query, as with Google itself; nobody else's may."""
    found = find_credential(exchange.header)
    return exchange.query("key") if found is None and surface.dialect.name == "gemini" else found
