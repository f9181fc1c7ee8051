"""A two-step conversation with tools, as every client here has it: what is asked, what the tools give back, what the
client is to see. In the middle the model calls two tools at once; one fails, the other brings an image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SYSTEM = "You help at the harbour of 부산. Never guess."
QUESTION = "When is high tide, and where are the buoys?"
THOUGHT = "Two tools, side by side."
SAID = "Let me look."
ANSWER = "I cannot see the tide; the chart of 부산 shows two buoys."

TIDE_ARGUMENTS: dict[str, Any] = {"port": "Busan", "day": "2026-11-20"}
CHART_ARGUMENTS: dict[str, Any] = {"port": "부산", "layers": ["depth", "buoys"], "zoom": 1.5}
TIDE_ERROR = "no tide table for 2026-11-20"
CHART_TEXT = "chart 42"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="

TIDE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"port": {"type": "string", "description": "Its name"}, "day": {"type": "string"}},
    "required": ["port"],
}
CHART_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "port": {"type": "string"},
        "layers": {"type": "array", "items": {"type": "string", "enum": ["depth", "buoys", "wrecks"]}},
        "zoom": {"type": "number"},
    },
    "required": ["port", "layers"],
}
# name, description, JSON Schema
TOOLS = (
    ("get_tide", "High and low tide of a day", TIDE_SCHEMA),
    ("get_chart", "A sea chart as an image", CHART_SCHEMA),
)


@dataclass
class Seen:
    """What the client's library made of an answer."""

    text: str = ""
    thinking: str = ""
    calls: list[tuple[str, str, Any]] = field(default_factory=list)  # id, name, arguments
    stop: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True)
class Abilities:
    """What the asking client can say of a tool's result: that it failed, and an image inside it. `reasoning`: it hands
    back the reasoning that it was given, with its proofs."""

    error_flag: bool
    image_in_result: bool
    reasoning: bool = True
