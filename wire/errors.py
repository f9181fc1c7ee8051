"""The error tree. Rendered once per dialect (`Dialect.render_error`), never built as JSON anywhere else.

GatewayError
├── CallerError                the caller can mend it
│   ├── BadRequest             400  malformed body or parameter; `param` names the field's path
│   ├── Unauthenticated        401
│   ├── PriceUnknown           402  unpriced model under `refuse`
│   ├── NotAllowed             403  budget used up, model or user not allowed
│   ├── NotFound               404  model, user, key ...
│   ├── TooLarge               413  body over the limit
│   └── LimitReached           429  rate limit, open holds in the way
├── UpstreamError              the provider failed
│   ├── UpstreamRejected       400, 404, 413, 422: the upstream's own refusal of this request
│   ├── UpstreamRateLimited    429
│   ├── UpstreamCredentials    502  the operator's key was refused (401/403 upstream)
│   ├── UpstreamUnavailable    502  connect error, 5xx, overloaded
│   ├── UpstreamMalformed      502  an answer that is not what its dialect promises
│   ├── UpstreamTruncated      502  a stream that ended before its terminal event
│   └── UpstreamTimedOut       504
└── NotReady                   503  starting, draining, spool unwritable, provider without a key

Messages are for the caller: never a secret, a host name, a path or a stack trace.
"""

from __future__ import annotations

from typing import Any, ClassVar


class GatewayError(Exception):
    """Base of all errors that reach a caller.

    `status` is the HTTP status, `type` and `code` are OpenAI's error words, `param` is the path of the field at fault,
    `retry_after` is in seconds, `detail` replaces the any-llm gateway's `detail` string where that differs.
    """

    default_status: ClassVar[int] = 500
    default_type: ClassVar[str] = "server_error"
    default_code: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        detail: Any = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = self.default_status if status is None else status
        self.type = self.default_type if type is None else type
        self.code = self.default_code if code is None else code
        self.param = param
        self.retry_after = retry_after
        self.detail = message if detail is None else detail
        self.headers = headers or {}


class CallerError(GatewayError):
    default_status = 400
    default_type = "invalid_request_error"


class BadRequest(CallerError):
    pass


class Unauthenticated(CallerError):
    default_status = 401
    default_type = "authentication_error"
    default_code = "invalid_api_key"


class PriceUnknown(CallerError):
    default_status = 402
    default_code = "price_unknown"


class NotAllowed(CallerError):
    default_status = 403
    default_type = "permission_error"
    default_code = "not_allowed"


class NotFound(CallerError):
    default_status = 404
    default_type = "not_found_error"
    default_code = "not_found"


class TooLarge(CallerError):
    default_status = 413
    default_code = "request_too_large"


class LimitReached(CallerError):
    default_status = 429
    default_type = "rate_limit_error"
    default_code = "rate_limit_exceeded"


class UpstreamError(GatewayError):
    default_status = 502
    default_type = "upstream_error"
    default_code: ClassVar[str | None] = "upstream_failed"


class UpstreamRejected(UpstreamError):
    default_status = 400
    default_type = "invalid_request_error"
    default_code = None


class UpstreamRateLimited(UpstreamError):
    default_status = 429
    default_type = "rate_limit_error"
    default_code = "rate_limit_exceeded"


class UpstreamCredentials(UpstreamError):
    default_code = "upstream_credentials"


class UpstreamUnavailable(UpstreamError):
    default_code = "upstream_unavailable"


class UpstreamMalformed(UpstreamError):
    default_code = "upstream_malformed"


class UpstreamTruncated(UpstreamError):
    default_code = "upstream_truncated"


class UpstreamTimedOut(UpstreamError):
    default_status = 504
    default_code = "upstream_timeout"


class NotReady(GatewayError):
    default_status = 503
    default_type = "service_unavailable"
    default_code = "not_ready"
