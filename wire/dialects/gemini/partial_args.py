"""Function arguments that arrive in pieces (Vertex, `streamFunctionCallArguments`), put together by JSON path.

https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling#streaming-fc
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from wire.errors import UpstreamMalformed

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\['((?:[^'\\]|\\.)*)'\]")
_VALUES = ("stringValue", "numberValue", "boolValue")
_LONGEST_LIST = 10_000  # a path may name any index: no memory for gaps that no model writes


class PartialArguments:
    """The arguments of one call as far as they came."""

    def __init__(self) -> None:
        self.value: dict[str, Any] = {}

    def add(self, pieces: Any) -> None:
        """Raises UpstreamMalformed for a path or piece that is not as documented."""
        if not isinstance(pieces, list):
            raise UpstreamMalformed("The upstream's partial arguments are not a list")
        for piece in pieces:
            path = piece.get("jsonPath") if isinstance(piece, dict) else None
            if not isinstance(path, str):
                raise UpstreamMalformed("The upstream's partial argument has no path")
            self._set(_steps(path), _value(piece))

    def _set(self, steps: list[str | int], value: Any) -> None:
        holder: Any = self.value
        for step, following in pairwise(steps):
            member = _get(holder, step)
            if not isinstance(member, dict | list):
                member = [] if isinstance(following, int) else {}
                _put(holder, step, member)
            holder = member
        old = _get(holder, steps[-1])
        # A text continues what came before it under the same path.
        _put(holder, steps[-1], old + value if isinstance(old, str) and isinstance(value, str) else value)


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    at = 1
    while path.startswith("$") and (found := _STEP.match(path, at)):
        at = found.end()
        steps.append(int(found[2]) if found[2] is not None else found[1] if found[1] is not None else found[3])
    if not steps or at != len(path) or isinstance(steps[0], int):
        raise UpstreamMalformed("The upstream's partial argument has a path that cannot be read")
    return steps


def _value(piece: dict[str, Any]) -> Any:
    return next((piece[name] for name in _VALUES if name in piece), None)


def _get(holder: Any, step: str | int) -> Any:
    if isinstance(holder, dict):
        return holder.get(step)
    return holder[step] if isinstance(step, int) and step < len(holder) else None


def _put(holder: Any, step: str | int, value: Any) -> None:
    if isinstance(holder, dict):
        holder[step] = value
    elif isinstance(step, int) and step <= _LONGEST_LIST:
        holder.extend([None] * (step + 1 - len(holder)))
        holder[step] = value
    else:
        raise UpstreamMalformed("The upstream's partial arguments contradict each other")
