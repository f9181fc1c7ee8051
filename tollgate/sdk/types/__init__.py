"""What calls return: msgspec structs with the names of the official clients' objects."""

from tollgate.sdk.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    Choice,
    ChoiceDelta,
    ChunkChoice,
    CompletionUsage,
    Function,
    Reasoning,
    ToolCall,
)
from tollgate.sdk.types.listed import CreateEmbeddingResponse, Embedding, EmbeddingUsage, Model
from tollgate.sdk.types.messages import ContentBlock, MessageDelta, MessageResponse, MessageStreamEvent, MessageUsage
from tollgate.sdk.types.responses import OutputContent, OutputItem, Response, ResponseStreamEvent, ResponseUsage
from tollgate.sdk.types.shape import About

__all__ = [
    "About",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatCompletionMessage",
    "Choice",
    "ChoiceDelta",
    "ChunkChoice",
    "CompletionUsage",
    "ContentBlock",
    "CreateEmbeddingResponse",
    "Embedding",
    "EmbeddingUsage",
    "Function",
    "MessageDelta",
    "MessageResponse",
    "MessageStreamEvent",
    "MessageUsage",
    "Model",
    "OutputContent",
    "OutputItem",
    "Reasoning",
    "Response",
    "ResponseStreamEvent",
    "ResponseUsage",
    "ToolCall",
]
