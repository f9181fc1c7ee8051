"""The usage event: one per upstream attempt, minted by the gateway; and the intent that goes before it.

`event_id` (UUIDv7) names the attempt and is the ledger's key; `request_id` groups the attempts of one call. Neither
ever holds a prompt, an answer, a credential or a provider's error text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA_VERSION = 1

Kind = Literal["final", "attempt", "lost"]
# final: the attempt whose answer (or error) the caller got. attempt: one that a retry or fallback absorbed.
# lost: an intent whose process died before it could say how the attempt went; priced by estimate.
Status = Literal["success", "error", "cancelled", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Token classes of one attempt. `input` and `output` are totals, the others parts of them (see wire.neutral)."""

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    input_audio: int = 0
    input_image: int = 0
    tool_input: int = 0
    output: int = 0
    reasoning: int = 0
    output_audio: int = 0
    output_image: int = 0
    web_searches: int = 0  # calls
    images: int = 0  # images made
    audio_ms: int = 0  # milliseconds of audio


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who pays and what the row is filed under. `tags` are short strings that the operator's keys carry."""

    key_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    end_user: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """This attempt is about to be made. Enough to write its row if its process dies: written before the first byte."""

    event_id: str
    request_id: str
    started_us: int  # UTC, microseconds since the epoch
    attempt: int = 1  # 1-based position among the attempts of the request
    caller: Caller = field(default_factory=Caller)
    surface: str  # route template, e.g. /v1/chat/completions
    provider: str
    model_asked: str
    model_used: str
    stream: bool = False
    byok: bool = False
    price: dict[str, Any] | None = None  # see gateway.pricing: the price the cost is computed from
    input_estimate: int = 0  # tokens
    output_cap: int | None = None  # tokens
    output_guess: int = 0  # tokens: what a lost attempt is taken to have generated, at most half the cap
    cost_estimate_pico: int | None = None  # what a lost attempt costs: input estimate and output guess, priced


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEvent:
    """How one attempt went. `producer` and `segment` say which spool segment it is counted in (see `Receipt`)."""

    event_id: str
    request_id: str
    kind: Kind
    producer: str
    segment: int
    started_us: int
    attempt: int = 1
    caller: Caller = field(default_factory=Caller)
    surface: str
    provider: str
    model_asked: str
    model_used: str
    stream: bool = False
    byok: bool = False
    status: Status = "success"
    http_status: int | None = None  # the upstream's; None when it never answered
    error_code: str | None = None  # our own word from wire.errors, never the provider's text
    finish_reason: str | None = None
    response_id: str | None = None  # the provider's id, for support; never a key
    service_tier: str | None = None
    tokens: Tokens = field(default_factory=Tokens)
    estimated: bool = False  # some token class was estimated, not reported
    cost_pico: int | None = None  # pico-dollars; None: price unknown
    provider_cost_pico: int | None = None  # what the provider says it charged, where it does
    price: dict[str, Any] | None = None
    dropped: tuple[str, ...] = ()  # fields that translation could not carry
    duration_us: int = 0
    first_token_us: int | None = None
    overhead_us: int | None = None  # spent in the gateway before the upstream request was sent
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """How many events of a segment are safe. It is deleted once `stored + dead_lettered` equals its count."""

    producer: str
    segment: int
    stored: int
    dead_lettered: int
