"""How much each case does: the short form is part of `make test`, `make faults` runs the long one."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """How much. Times are seconds.

    `calls` of one case, `at_once` of them open; `still`: how long a server stands still; `trouble`: how long other
    faults last; `rounds`: how often a gateway is killed; `streams`: how many are open at SIGTERM; `settle`: how long
    the ledger may take afterwards.
    """

    long: bool
    calls: int
    at_once: int
    still: float
    trouble: float
    rounds: int
    streams: int
    settle: float


SHORT = Size(long=False, calls=48, at_once=12, still=1.0, trouble=1.0, rounds=1, streams=20, settle=60.0)
LONG = Size(long=True, calls=2000, at_once=32, still=60.0, trouble=15.0, rounds=8, streams=200, settle=240.0)
SIZE = LONG if os.environ.get("TOLLGATE_FAULTS") == "long" else SHORT
