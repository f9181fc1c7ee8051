"""What a front door adds to a call that otherwise goes the one way of all calls: hooks, made by the composition root.

Which paths are whose is in `gateway.surfaces`; what they look like on the wire is in `wire.front_doors`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.accounts.keys import Principal
from gateway.calls.ask import Ask
from gateway.calls.own_key import OwnKey
from gateway.exchange import Exchange
from gateway.routing.resolve import Target
from wire.languages import Language
from wire.neutral import DoorName, Request


@dataclass(frozen=True, slots=True)
class Visit:
    """A call that has come through a front door: who pays, and who may answer, the first target before the others."""

    exchange: Exchange
    ask: Ask
    principal: Principal
    user_id: str
    targets: Sequence[Target]


@dataclass(frozen=True, slots=True)
class Passage:
    """How the call goes on: what is asked instead, and under which session it is filed.

    `keep` is given the text of a whole answer before the last bytes of it go out. `shown` is what the door itself has
    to tell in its answer, in that `language`.
    """

    request: Request
    session_id: str | None
    targets: Sequence[Target] | None = None  # fewer than could answer it otherwise
    keep: Callable[[str], Awaitable[None]] | None = None
    shown: Mapping[str, Any] = field(default_factory=dict)
    language: Language | None = None


class Door(Protocol):
    """One front door. There is one object per process; what belongs to a call is in its `Visit`."""

    def default_model(self, body: Mapping[str, Any]) -> str | None:
        """What a call asks for that names no model; None: it must name one. Raises BadRequest."""

    def own_key(self, body: Mapping[str, Any]) -> OwnKey | None:
        """The caller's own provider key, where the body holds one that is to be used. Raises BadRequest."""

    async def before(self, request: Request, visit: Visit) -> Passage | None:
        """None: the door has answered itself. Raises GatewayError when the call may not be made; it is no row then."""


class PlainDoor:
    """A door without words of its own, for others to build on: a `Door`."""

    def default_model(self, body: Mapping[str, Any]) -> str | None:  # noqa: ARG002 - a Door
        return None

    def own_key(self, body: Mapping[str, Any]) -> OwnKey | None:  # noqa: ARG002 - a Door
        return None

    async def before(self, request: Request, visit: Visit) -> Passage | None:
        return Passage(request, visit.ask.session_id)


Doors = Mapping[DoorName, Door]
