"""The `tollgate` command, which starts the services as processes and hands sub-commands to them; and the Python SDK.

The names of `tollgate.sdk` are here too, imported when one is first asked for: the command must not wait for the SDK's
libraries, and an image that runs a service does not have them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tollgate.sdk import *  # noqa: F403

__all__ = [  # noqa: F405
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


if not TYPE_CHECKING:  # for a type checker the names stand above, and no others

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module 'tollgate' has no attribute {name!r}")
        return getattr(importlib.import_module("tollgate.sdk"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
