"""Streams of the front doors: SSE of JSON objects, each with its `type`: `delta`, and at the end `done` or `error`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from wire.errors import GatewayError
from wire.front_doors.errors import render_error
from wire.front_doors.spoken import SpokenStream
from wire.neutral import FinishReason, StreamEvent
from wire.sse import encode_event


class DeltaStream:
    """A `StreamRenderer`. Each delta has `opening`, and its text in `field`; `end` makes the last event of a whole
    answer, which comes with the reason why it ended; `told` is the door's."""

    def __init__(
        self,
        opening: Mapping[str, Any],
        field: str,
        *,
        end: Callable[[], dict[str, Any]],
        told: Callable[[GatewayError], GatewayError],
    ) -> None:
        self._spoken = SpokenStream()
        self.dropped = self._spoken.dropped
        self._before = orjson.dumps({"type": "delta", **opening, field: ""})[:-3]
        self._end = end
        self._told = told

    def feed(self, event: StreamEvent) -> bytes:
        piece = self._spoken.feed(event)
        return encode_event(self._before + orjson.dumps(piece) + b"}") if piece else b""

    def close(self) -> bytes:
        finish: FinishReason | None = self._spoken.finish
        return encode_event(orjson.dumps({"type": "done", **self._end(), "finish_reason": finish}))

    def error(self, error: GatewayError) -> bytes:
        return encode_event(orjson.dumps({"type": "error", **render_error(self._told(error))}))
