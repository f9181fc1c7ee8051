"""What callers are told of their limits and budgets: refusals, headers, warnings."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from gateway.admission.rules import MINUTE_MS, Line, Money, Reading, Unit, Verdict, Window
from gateway.calls.shares import Share
from gateway.observability.metrics import Metrics
from wire.errors import GatewayError, LimitReached, NotAllowed, NotReady

Headers = list[tuple[bytes, bytes]]

_NAMES: Final[Mapping[Unit, str]] = {
    "requests": "requests",
    "input": "input tokens",
    "output": "output tokens",
    "tokens": "tokens",
}


class LimitAnswers:
    """Counts what it tells. `on_redis_away` is the setting of that name."""

    def __init__(self, metrics: Metrics, on_redis_away: Literal["local", "refuse"]) -> None:
        self._metrics = metrics
        self._refuse_alone = on_redis_away == "refuse"

    def too_large(self, share: Share, tokens: int) -> GatewayError | None:
        """The input alone is more than the limit ever lets through."""
        line = share.line
        if not isinstance(line, Window) or line.unit not in ("input", "tokens") or tokens <= line.capacity:
            return None
        self._metrics.limit_hits.labels(share.scope).inc()
        return LimitReached(
            f"The request is too large: about {tokens} tokens, the limit is {_limit_text(line)}",
            code="request_exceeds_limit",
            detail="Rate limit exceeded",
        )

    def refusal(self, shares: Sequence[Share], verdict: Verdict) -> GatewayError:
        """Why the call may not be made now."""
        share = shares[verdict.line]
        retry_after = max(1, math.ceil(verdict.retry_ms / 1000))
        match verdict.code:
            case "spent":
                self._metrics.budget_exceeded.labels(share.scope).inc()
                return NotAllowed(_spent_text(share, verdict.readings[verdict.line]), code="budget_exceeded")
            case "holds":
                self._metrics.budget_exceeded.labels(share.scope).inc()
                return LimitReached(
                    "What is left of the budget is held for calls in flight", code="budget_held", retry_after=1
                )
            case "share" if self._refuse_alone:
                return NotReady("Limits and budgets cannot be checked now, try again", code="redis_away", retry_after=1)
            case "share":
                return LimitReached(
                    "This gateway's share of the budget is used up while it cannot ask the others",
                    code="budget_share_used",
                    retry_after=retry_after,
                )
        self._metrics.limit_hits.labels(share.scope).inc()
        told = limit_headers(zip(shares, verdict.readings, strict=True))
        return LimitReached(
            f"Rate limit exceeded: {_limit_text(share.line)} for this {_whose(share)}",
            retry_after=retry_after,
            detail="Rate limit exceeded",
            headers={name.decode(): value.decode() for name, value in told},
        )

    def warning(self, share: Share, reading: Reading) -> str | None:
        """That a budget is past its soft threshold."""
        line = share.line
        if share.soft_threshold is None or not isinstance(line, Money):
            return None
        used = reading.spent + reading.held
        if used < share.soft_threshold * line.capacity:
            return None
        self._metrics.budget_warnings.labels(share.scope).inc()
        return f"{share.scope} {used * 100 // line.capacity}%"


def limit_headers(held: Iterable[tuple[Share, Reading]]) -> Headers:
    """OpenAI's names, and the any-llm gateway's for requests. Of several limits the one with the least left."""
    tightest: dict[str, tuple[int, Window]] = {}
    for share, reading in held:
        if isinstance(share.line, Window):
            word = "requests" if share.line.unit == "requests" else "tokens"
            if word not in tightest or reading.left < tightest[word][0]:
                tightest[word] = (reading.left, share.line)
    headers: Headers = []
    for word, (left, line) in tightest.items():
        seconds = line.period_ms // 1000
        headers += [
            (f"x-ratelimit-limit-{word}".encode(), b"%d" % line.capacity),
            (f"x-ratelimit-remaining-{word}".encode(), b"%d" % left),
            (f"x-ratelimit-reset-{word}".encode(), b"%ds" % seconds),
        ]
        if word == "requests":
            headers += [
                (b"x-ratelimit-limit", b"%d" % line.capacity),
                (b"x-ratelimit-remaining", b"%d" % left),
                (b"x-ratelimit-reset", b"%d" % (time.time() + seconds)),
            ]
    return headers


def _spent_text(share: Share, reading: Reading) -> str:
    whose = "The gateway" if share.scope == "global" else f"{share.scope.capitalize()} '{share.scope_id}'"
    if isinstance(share.line, Money) and reading.spent < share.line.capacity:
        return f"{whose} has not enough budget left for this request"
    return f"{whose} has exceeded budget limit"


def _whose(share: Share) -> str:
    return "gateway" if share.scope == "global" else share.scope


def _limit_text(line: Line) -> str:
    if isinstance(line, Window):
        return f"{line.capacity} {_NAMES[line.unit]} per {'minute' if line.period_ms == MINUTE_MS else 'day'}"
    return f"{line.capacity} concurrent calls"
