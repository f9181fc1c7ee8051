"""An upstream whose model calls two tools and then answers: what it says (written, not recorded), and what it must be
sent in the second step, where the reasoning and its proofs must come back exactly as they were made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.e2e.clients.conversation import (
    CHART_ARGUMENTS,
    PNG,
    SAID,
    THOUGHT,
    TIDE_ARGUMENTS,
    Abilities,
    Seen,
)
from tests.replay import Answer, Call, Upstream

DATA_URL = f"data:image/png;base64,{PNG}"
# Base64 in the alphabets of those who make them.
SIGNATURE = "EqQBCkgIBxAB" + "a1+/" * 20 + "GAI="
REDACTED = "EmwKAhgBEgy3" + "b2+/" * 12 + "va3pzg=="
GEMINI_SIGNATURE = "CrgBAdHtim9h" + "c3+/" * 16 + "dA=="
ENCRYPTED = "gAAAAABpH1aa" + "d4-_" * 30 + "dA=="


@dataclass(frozen=True)
class Script:
    """One upstream. `usage` is what the client sees of the first answer: input and output tokens."""

    name: str
    dialect: str
    model: str
    settings: Mapping[str, Any]
    path: str
    stream_path: str
    first: Answer
    first_streamed: Answer
    second: Answer
    second_streamed: Answer
    shows_thinking: bool
    call_ids: tuple[str, str] | None
    check: Callable[[dict[str, Any], Abilities, tuple[str, str]], None]
    usage: tuple[int, int] = (61, 23)

    @property
    def asked(self) -> str:
        return f"{self.name}:{self.model}"

    def play(self, upstream: Upstream, *, stream: bool) -> None:
        """Both steps, the second one also for all that follows."""
        if stream:
            upstream.on(self.stream_path, self.first_streamed, self.second_streamed)
        else:
            upstream.on(self.path, self.first, self.second)

    def provider(self, url: str) -> dict[str, Any]:
        entry = {"api_key": f"sentinel-{self.name}-key", **self.settings}
        return {**entry, "api_base": url + str(entry["api_base"])}

    def check_first(self, seen: Seen, *, stop: str, thinking: bool = True) -> None:
        """What the client is to see of the first answer: text, both calls, `stop` in its own words, and `thinking`
        unless it has no eye for it."""
        assert seen.text == SAID
        assert seen.thinking == (THOUGHT if self.shows_thinking and thinking else "")
        assert [(name, arguments) for _, name, arguments in seen.calls] == [
            ("get_tide", TIDE_ARGUMENTS),
            ("get_chart", CHART_ARGUMENTS),
        ]
        if self.call_ids:
            assert tuple(call_id for call_id, *_ in seen.calls) == self.call_ids
        assert seen.stop == stop
        assert (seen.input_tokens, seen.output_tokens) == self.usage

    def verify(self, calls: list[Call], abilities: Abilities, ids: tuple[str, str]) -> None:
        """Two requests came, and the second one holds the whole conversation. `ids` are those that the client saw."""
        assert len(calls) == 2, [call.path for call in calls]
        for call in calls:
            assert call.path in (self.path, self.stream_path)
        self.check(calls[1].json, abilities, self.call_ids or ids)


def whole(body: dict[str, Any]) -> Answer:
    return Answer(pieces=(json.dumps(body, ensure_ascii=False).encode(),))


def streamed(*events: dict[str, Any], named: bool = False, done: bool = False) -> Answer:
    pieces = []
    for event in events:
        head = f"event: {event['type']}\n" if named else ""
        pieces.append(f"{head}data: {json.dumps(event, ensure_ascii=False)}\n\n".encode())
    if done:
        pieces.append(b"data: [DONE]\n\n")
    return Answer(headers={"content-type": "text/event-stream"}, pieces=tuple(pieces), length=False)


def halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def joined_text(item: dict[str, Any]) -> str:
    """The text of a message whose content is a string or a list of parts."""
    content = item["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
