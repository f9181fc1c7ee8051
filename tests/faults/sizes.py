"""How much each case does: the short form is part of `make test`, `make faults` runs the long one."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """`calls` of one case, `at_once` of them open; `pause` is how long something stands still, in seconds; `rounds` how
    often a killing is repeated; `streams` how many are open at SIGTERM; `settle` how long the ledger may take then."""

    long: bool
    calls: int
    at_once: int
    pause: float
    rounds: int
    streams: int
    settle: float


SHORT = Size(long=False, calls=48, at_once=12, pause=1.0, rounds=1, streams=20, settle=60.0)
LONG = Size(long=True, calls=2000, at_once=32, pause=60.0, rounds=12, streams=200, settle=240.0)
SIZE = LONG if os.environ.get("TOLLGATE_FAULTS") == "long" else SHORT
