"""How the gateway is: watched in the background, so that a health request costs no I/O."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

_log = logging.getLogger(__name__)
State = Literal["starting", "serving", "draining"]
PROBE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """`ready` False: no call can be served. `reasons` say what is wrong, also while serving goes on degraded."""

    ready: bool
    status: Literal["healthy", "degraded", "unhealthy"]
    database: Literal["connected", "unavailable"]
    reasons: tuple[str, ...]


class Health:
    """`probes` by name raise when what they look at is away. `blockers` give the reason why nothing can be served,
    `worries` one why something behind is not well while serving goes on."""

    def __init__(
        self,
        probes: dict[str, Callable[[], Awaitable[None]]],
        *,
        blockers: tuple[Callable[[], str | None], ...],
        worries: tuple[Callable[[], str | None], ...],
    ) -> None:
        self.state: State = "starting"
        self._probes = probes
        self._blockers = blockers
        self._worries = worries
        self._down: dict[str, str] = {}

    @property
    def database(self) -> Literal["connected", "unavailable"]:
        return "unavailable" if "database" in self._down else "connected"

    def readiness(self) -> Readiness:
        blocked: list[str] = [self.state] if self.state != "serving" else []
        blocked += [reason for blocker in self._blockers if (reason := blocker())]
        worried = [reason for worry in self._worries if (reason := worry())]
        reasons = (*blocked, *worried, *(f"{name} {reason}" for name, reason in sorted(self._down.items())))
        status: Literal["healthy", "degraded", "unhealthy"] = "healthy"
        if reasons:
            status = "unhealthy" if blocked else "degraded"
        return Readiness(not blocked, status, self.database, reasons)

    async def watch(self) -> None:
        """Look at everything, again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(PROBE_SECONDS)

    async def look(self) -> None:
        await asyncio.gather(*(self._probe(name, probe) for name, probe in self._probes.items()))

    async def _probe(self, name: str, probe: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(5):
                await probe()
        except Exception as error:  # noqa: BLE001 - a probe's failure is its answer, whatever its library raises
            if name not in self._down:
                _log.warning("%s is away: %s", name, type(error).__name__)
            self._down[name] = f"unavailable ({type(error).__name__})"
        else:
            if self._down.pop(name, None) is not None:
                _log.warning("%s is back", name)
