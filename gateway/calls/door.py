"""What a front door adds to a call that otherwise goes the one way of all calls: hooks, made by the composition root.

Which paths are whose is in `gateway.surfaces`; what they look like on the wire is in `wire.front_doors`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.calls.ask import Ask
from gateway.routing.resolve import Target
from wire.neutral import DoorName, Request


@dataclass(frozen=True, slots=True)
class Visit:
    """A call that has come through a front door: who pays, and who may answer, the first target before the others."""

    ask: Ask
    user_id: str
    targets: Sequence[Target]


class Door(Protocol):
    """One front door. There is one object per process; what belongs to a call is in its `Visit`."""

    async def before(self, request: Request, visit: Visit) -> Request:
        """The request that is sent instead. Raises GatewayError when the call may not be made; it is no row then."""


Doors = Mapping[DoorName, Door]
