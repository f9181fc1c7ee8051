"""When a failed attempt may be made again, and how long to wait before. Pure: the random number comes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.routing.resolve import Target
from wire.errors import GatewayError, UpstreamRateLimited, UpstreamTimedOut, UpstreamUnavailable

MAX_RETRIES = 2  # of one target, after its first attempt
MAX_WAIT = 10.0  # seconds; a longer Retry-After means the next target
_BASE_WAIT = 0.25
_CAP_WAIT = 4.0


@dataclass(frozen=True, slots=True)
class Next:
    """Make another attempt at `target` after `wait` seconds."""

    target: int
    retries: int
    wait: float


def next_attempt(
    error: GatewayError, targets: Sequence[Target], target: int, retries: int, random: float
) -> Next | None:
    """What to do after an attempt that failed before the caller got a byte; None: give up with this error.

    Connect errors, 429 and 5xx are tried again, with full jitter; `random` is in [0, 1). A time-out is not repeated
    on the same target: it has cost the caller enough, and the provider may be at work on the first one.
    """
    if not isinstance(error, UpstreamRateLimited | UpstreamUnavailable | UpstreamTimedOut):
        return None
    if error.status == 503:  # too many wait there already: another one answers sooner, or nobody
        return Next(target + 1, 0, 0.0) if target + 1 < len(targets) else None
    wait = error.retry_after
    if wait is None:
        wait = random * min(_CAP_WAIT, _BASE_WAIT * 2**retries)
    if not isinstance(error, UpstreamTimedOut) and retries < MAX_RETRIES and wait <= MAX_WAIT:
        return Next(target, retries + 1, wait)
    if target + 1 < len(targets):
        return Next(target + 1, 0, 0.0)
    return None
