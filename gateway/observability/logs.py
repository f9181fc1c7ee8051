"""Log lines: time, level, where, what. Names from callers are quoted, so that a line stays one line."""

from __future__ import annotations

import logging
import sys

from usage_contract.event import UsageEvent
from usage_contract.money import json_number

_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
access = logging.getLogger("gateway.access")


def configure(level: str) -> None:
    """Everything to standard error. The HTTP servers' own access lines are off: ours name route templates, not URLs."""
    logging.basicConfig(level=level_number(level), format=_FORMAT, stream=sys.stderr, force=True)
    logging.getLogger("uvicorn.access").disabled = True
    # Chatter: a line per request with its full URL, and one per look at a schema.
    for name in ("httpx", "alembic.runtime.migration"):
        logging.getLogger(name).setLevel(logging.WARNING)


def level_number(level: str) -> int:
    """`info`, `INFO` or `20`. Raises ValueError for anything else."""
    if level.isdigit():
        return int(level)
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"log_level: {level!r} is not one of debug, info, warning, error, critical")
    return number


def describe(event: UsageEvent) -> str:
    """The tail of a call's line: who answered, what it took."""
    cost = "unknown" if event.cost_pico is None else json_number(event.cost_pico)
    mark = " estimated" if event.estimated else ""
    return (
        f" provider={event.provider} model={event.model_used!r} attempt={event.attempt} outcome={event.status}"
        f" input={event.tokens.input} output={event.tokens.output} cost_usd={cost}{mark}"
    )
