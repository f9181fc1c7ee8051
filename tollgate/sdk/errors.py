"""What a call can raise.

TollgateError
├── MissingApiKeyError           no key was given, and the environment has none
├── UnsupportedProviderError     a provider that nobody here knows
├── UnsupportedOperationError    the provider does not have what was asked for (embeddings of Anthropic)
├── InvalidRequestError          400, 413, 422: the request is wrong; `param` names the field
│   ├── UnsupportedParameterError   `strict`: a field that the provider cannot take
│   ├── ContextLengthExceededError  more than fits into the model's window
│   └── ContentFilterError          refused by the provider's safety filter
├── AuthenticationError          401: the key was refused
├── InsufficientFundsError       402: nothing left to pay with, or a model without a price
├── NotAllowedError              403: not for this key, or its budget is used up
├── ModelNotFoundError           404
├── RateLimitError               429; `retry_after` says when to come back, where it is known
└── ProviderError                5xx: the provider (or the gateway) failed
    ├── ProviderUnreachableError    no connection, or it broke
    ├── ProviderTimeoutError        504, or no byte within `timeout`
    ├── MalformedAnswerError        an answer that is not what its API promises
    └── TruncatedAnswerError        a stream that ended before the answer was whole
"""

from __future__ import annotations

from typing import ClassVar


class TollgateError(Exception):
    """Base of all. Messages hold no key.

    `status` is the HTTP status of the answer (None: there was none), `code`, `type` and `param` are the provider's own
    words, `retry_after` is in seconds, `request_id` is what to ask the provider about.
    """

    default_status: ClassVar[int | None] = None

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        type: str | None = None,
        param: str | None = None,
        provider: str | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = self.default_status if status is None else status
        self.code = code
        self.type = type
        self.param = param
        self.provider = provider
        self.retry_after = retry_after
        self.request_id = request_id

    def __str__(self) -> str:
        return f"[{self.provider}] {self.message}" if self.provider else self.message

    # The same by the names that any-llm's errors have.
    @property
    def status_code(self) -> int | None:
        return self.status

    @property
    def provider_name(self) -> str | None:
        return self.provider


class MissingApiKeyError(TollgateError):
    pass


class UnsupportedProviderError(TollgateError):
    pass


class UnsupportedOperationError(TollgateError):
    pass


class InvalidRequestError(TollgateError):
    default_status = 400


class UnsupportedParameterError(InvalidRequestError):
    pass


class ContextLengthExceededError(InvalidRequestError):
    pass


class ContentFilterError(InvalidRequestError):
    pass


class AuthenticationError(TollgateError):
    pass


class InsufficientFundsError(TollgateError):
    pass


class NotAllowedError(TollgateError):
    pass


class ModelNotFoundError(TollgateError):
    pass


class RateLimitError(TollgateError):
    pass


class ProviderError(TollgateError):
    pass


class ProviderUnreachableError(ProviderError):
    pass


class ProviderTimeoutError(ProviderError):
    pass


class MalformedAnswerError(ProviderError):
    pass


class TruncatedAnswerError(ProviderError):
    pass


_BY_STATUS: dict[int, type[TollgateError]] = {
    401: AuthenticationError,
    402: InsufficientFundsError,
    403: NotAllowedError,
    404: ModelNotFoundError,
    408: ProviderTimeoutError,
    429: RateLimitError,
    504: ProviderTimeoutError,
}
_BY_CODE: dict[str, type[TollgateError]] = {
    "cannot_carry": UnsupportedParameterError,
    "content_filter": ContentFilterError,
    "content_policy_violation": ContentFilterError,
    "context_length_exceeded": ContextLengthExceededError,
    "invalid_api_key": AuthenticationError,
    "unsupported_operation": UnsupportedOperationError,
    "upstream_malformed": MalformedAnswerError,
    "upstream_truncated": TruncatedAnswerError,
    "upstream_connect": ProviderUnreachableError,
    "upstream_connection": ProviderUnreachableError,
}


def kind_of(status: int, code: str | None) -> type[TollgateError]:
    """The class of an answer with that status; the code says more where it is a known one."""
    if code in _BY_CODE:
        return _BY_CODE[code]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return InvalidRequestError if 400 <= status < 500 else ProviderError
