"""Responses as the official OpenAI client has them. https://platform.openai.com/docs/api-reference/responses/object"""

from __future__ import annotations

from typing import Any

from msgspec import field

from tollgate.sdk.types.shape import PARSED, Answer, Shape


class OutputContent(Shape):
    """`type` says which is set: `output_text` (`text`), `refusal`, `summary_text` and `reasoning_text` (`text`)."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: list[dict[str, Any]] | None = None


class OutputItem(Shape):
    """`type` says which of the fields are set: `message` (`content`), `function_call` (`call_id`, `name`, `arguments`),
    `custom_tool_call` (`call_id`, `name`, `input`), `reasoning` (`summary`). Others keep all that they hold.

    Items can be handed back as they are in the `input_data` of the next call."""

    type: str = ""
    id: str | None = None
    status: str | None = None
    role: str | None = None
    content: list[OutputContent] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    summary: list[OutputContent] | None = None
    encrypted_content: str | None = None


class InputTokensDetails(Shape):
    cached_tokens: int | None = None


class OutputTokensDetails(Shape):
    reasoning_tokens: int | None = None


class ResponseUsage(Shape):
    input_tokens: int = 0
    input_tokens_details: InputTokensDetails | None = None
    output_tokens: int = 0
    output_tokens_details: OutputTokensDetails | None = None
    total_tokens: int = 0


class Response(Answer):
    id: str = ""
    object: str = "response"
    created_at: float = 0
    status: str | None = None
    model: str = ""
    output: list[OutputItem] = field(default_factory=list)
    usage: ResponseUsage | None = None
    error: dict[str, Any] | None = None
    incomplete_details: dict[str, Any] | None = None
    previous_response_id: str | None = None
    service_tier: str | None = None

    @property
    def output_text(self) -> str:
        """The text of all messages in it."""
        parts = [part for item in self.output if item.type == "message" for part in item.content or ()]
        return "".join(part.text or "" for part in parts if part.type == "output_text")

    @property
    def output_parsed(self) -> Any:
        """The answer as the type that `response_format` was; None where there is none."""
        return self.__dict__.get(PARSED)


class ResponseStreamEvent(Shape):
    """`type` says which of the fields are set: `response.output_text.delta` and the like have `delta`,
    `response.output_item.added` and `.done` have `item`, `response.completed` and `.incomplete` a whole `response`."""

    type: str = ""
    sequence_number: int | None = None
    response: Response | None = None
    output_index: int | None = None
    content_index: int | None = None
    item_id: str | None = None
    item: OutputItem | None = None
    part: OutputContent | None = None
    delta: str | None = None
    text: str | None = None
    arguments: str | None = None
