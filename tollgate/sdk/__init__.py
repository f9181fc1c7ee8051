"""Tollgate's Python SDK: any model by one call, straight at its provider or through a gateway.

    from tollgate import completion
    completion("openai:gpt-4o-mini", [{"role": "user", "content": "Hello"}]).choices[0].message.content

Needs `pip install tollgate[sdk]`, and nothing of the services. How it is laid out, from the top: `functions` and
`client` are what is called; `sending` and `streams` hold the connections; `requests`, `listing` and `answers` turn
arguments into bytes and bytes into `types`, over `wire`; `endpoints` knows where a call goes, `tools` what a function
takes, `errors` what can go wrong.
"""

from tollgate.sdk.client import Tollgate
from tollgate.sdk.errors import (
    AuthenticationError,
    ContentFilterError,
    ContextLengthExceededError,
    InsufficientFundsError,
    InvalidRequestError,
    MalformedAnswerError,
    MissingApiKeyError,
    ModelNotFoundError,
    NotAllowedError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnreachableError,
    RateLimitError,
    TollgateError,
    TruncatedAnswerError,
    UnsupportedOperationError,
    UnsupportedParameterError,
    UnsupportedProviderError,
)
from tollgate.sdk.functions import (
    acompletion,
    aembedding,
    alist_models,
    amessages,
    aresponses,
    completion,
    embedding,
    list_models,
    messages,
    responses,
)
from tollgate.sdk.streams import AsyncStream, Stream
from tollgate.sdk.tools import callable_to_tool, prepare_tools

__all__ = [
    "AsyncStream",
    "AuthenticationError",
    "ContentFilterError",
    "ContextLengthExceededError",
    "InsufficientFundsError",
    "InvalidRequestError",
    "MalformedAnswerError",
    "MissingApiKeyError",
    "ModelNotFoundError",
    "NotAllowedError",
    "ProviderError",
    "ProviderTimeoutError",
    "ProviderUnreachableError",
    "RateLimitError",
    "Stream",
    "Tollgate",
    "TollgateError",
    "TruncatedAnswerError",
    "UnsupportedOperationError",
    "UnsupportedParameterError",
    "UnsupportedProviderError",
    "acompletion",
    "aembedding",
    "alist_models",
    "amessages",
    "aresponses",
    "callable_to_tool",
    "completion",
    "embedding",
    "list_models",
    "messages",
    "prepare_tools",
    "responses",
]
