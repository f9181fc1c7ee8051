"""Messages as the official Anthropic client has them. https://platform.claude.com/docs/en/api/messages"""

from __future__ import annotations

from typing import Any

from msgspec import field

from tollgate.sdk.types.shape import PARSED, Answer, Shape


class ContentBlock(Shape):
    """`type` says which of the fields are set: `text`; `thinking` with its `signature`; `redacted_thinking` with its
    `data`; `tool_use` with `id`, `name` and `input`. Blocks of other types keep all that they hold."""

    type: str = ""
    text: str | None = None
    citations: list[dict[str, Any]] | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None


class MessageUsage(Shape):
    """`input_tokens` are those that were neither read from nor written to the cache."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class MessageResponse(Answer):
    """Its `content` can be handed back as it is in the `messages` of the next call."""

    id: str = ""
    type: str = "message"
    role: str = "assistant"
    model: str = ""
    content: list[ContentBlock] = field(default_factory=list)
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: MessageUsage = field(default_factory=MessageUsage)

    @property
    def parsed_output(self) -> Any:
        """The answer as the type that `output_format` was; None where there is none."""
        return self.__dict__.get(PARSED)


class MessageDelta(Shape):
    """What is new. `type` says which of the fields is set: `text_delta`, `input_json_delta`, `thinking_delta`,
    `signature_delta`, `citations_delta`; the delta of `message_delta` has none, but the stop reason."""

    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: dict[str, Any] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class MessageStreamEvent(Shape):
    """`type` says which of the fields are set: `message_start` (`message`), `content_block_start` (`content_block`),
    `content_block_delta` (`delta`), `content_block_stop`, `message_delta` (`delta`, `usage`), `message_stop`."""

    type: str = ""
    index: int | None = None
    message: MessageResponse | None = None
    content_block: ContentBlock | None = None
    delta: MessageDelta | None = None
    usage: MessageUsage | None = None
