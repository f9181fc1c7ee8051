from __future__ import annotations

import pytest

from gateway.calls.relay import Translating
from gateway.calls.tally import Tally
from gateway.surfaces import DIALECTS
from wire.neutral import Request, Stamp
from wire.sse import SseEvent
from wire.tool_fitting import Fitted

STAMP = Stamp(id="1", created=0, model="m")


@pytest.mark.parametrize("caller", ["openai_responses", "anthropic_messages", "gemini"])
def test_a_sign_of_life_reaches_callers_of_every_dialect(caller: str) -> None:
    fitted = Fitted(request=Request(dialect="openai_chat", model="m", messages=()))
    way = Translating(DIALECTS["openai_chat"], DIALECTS[caller], fitted, include_usage=False)
    stream = way.stream(STAMP, Tally())
    assert stream.feed(SseEvent(None, None, b": waiting\n\n"), 0.0) == b": waiting\n\n"
    assert stream.feed(SseEvent("lone", None, b"event: lone\n\n"), 0.0) == b""
