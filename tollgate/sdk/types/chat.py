"""Chat Completions as the official OpenAI client has them. https://platform.openai.com/docs/api-reference/chat/object"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

from tollgate.sdk.types.shape import PARSED, Answer, Shape


class Function(Shape):
    """`arguments` is JSON text as the model wrote it; in a stream, the next piece of it."""

    name: str = ""
    arguments: str = ""


class CustomInput(Shape):
    name: str = ""
    input: str = ""


class ToolCall(Shape):
    """A call of one of the caller's tools. `index` is set in streams: pieces of one call have the same."""

    id: str | None = None
    type: str | None = None
    function: Function = field(default_factory=Function)
    custom: CustomInput | None = None  # a tool that takes free text
    index: int | None = None


class Reasoning(Struct, frozen=True):
    content: str


class _Said(Shape):
    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None

    @property
    def reasoning(self) -> Reasoning | None:
        """What the model thought, where the provider shows it, whatever it calls it."""
        text = self.reasoning_content or self.__dict__.get("reasoning")
        return Reasoning(text) if isinstance(text, str) else None


class ChatCompletionMessage(_Said):
    """Can be handed back as it is in the `messages` of the next call."""

    role: str | None = "assistant"

    @property
    def parsed(self) -> Any:
        """The answer as the type that `response_format` was; None where there is none."""
        return self.__dict__.get(PARSED)


class ChoiceDelta(_Said):
    """What is new."""


class CompletionTokensDetails(Shape):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class PromptTokensDetails(Shape):
    cached_tokens: int | None = None
    audio_tokens: int | None = None


class CompletionUsage(Shape):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None


class Choice(Shape):
    index: int = 0
    message: ChatCompletionMessage = field(default_factory=ChatCompletionMessage)
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class ChatCompletion(Answer):
    id: str = ""
    object: Literal["chat.completion"] = "chat.completion"
    created: int = 0
    model: str = ""
    choices: list[Choice] = field(default_factory=list)
    usage: CompletionUsage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None


class ChunkChoice(Shape):
    index: int = 0
    delta: ChoiceDelta = field(default_factory=ChoiceDelta)
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class ChatCompletionChunk(Shape):
    """One event of a stream. `usage` is in the last one, which has no choices, when `stream_options` asked for it."""

    id: str = ""
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int = 0
    model: str = ""
    choices: list[ChunkChoice] = field(default_factory=list)
    usage: CompletionUsage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
