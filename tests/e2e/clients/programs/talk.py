"""How a program here is spoken to: one JSON line with a case in, one with what its library saw out.

Runs in the environment of the client libraries, so it imports nothing but the standard library and the conversation.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from tests.e2e.clients.conversation import Seen


@dataclass(frozen=True)
class Case:
    """`model` as the gateway knows it; `way` is which of the library's own ways is taken."""

    way: str
    url: str
    key: str
    model: str
    stream: bool


class Conversation(Protocol):
    """A client in the middle of the conversation."""

    def ask(self) -> Seen: ...

    def hand_in(self, seen: Seen) -> None: ...


def serve(ways: dict[str, Callable[[Case], Conversation]]) -> None:
    """Answer cases until there are no more. What the library raises is answered too: the test shows it."""
    out = sys.stdout
    sys.stdout = sys.stderr  # libraries print
    for line in sys.stdin:
        case = Case(**json.loads(line))
        try:
            answer: dict[str, Any] = _converse(ways[case.way](case))
        except Exception:  # noqa: BLE001 - whatever a library raises is the result of the case
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=out, flush=True)


def _converse(conversation: Conversation) -> dict[str, Any]:
    first = conversation.ask()
    conversation.hand_in(first)
    return {"first": asdict(first), "second": asdict(conversation.ask())}
