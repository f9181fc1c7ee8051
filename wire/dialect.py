"""What every wire format provides, and the small values that cross its border.

A format has two halves. A `CallerFormat` reads what callers ask and writes what they are told. A `Dialect` is that, and
can also be spoken to providers. A `FrontDoor` is a caller's half alone: no provider speaks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from msgspec import Struct

from wire.errors import GatewayError, UpstreamError
from wire.languages import Language
from wire.neutral import DialectName, DoorName, FormatName, Request, Response, Stamp, StreamEvent, Usage
from wire.sse import SseEvent


class Rendered(Struct, frozen=True, kw_only=True):
    """A request or answer in a dialect, and what it could not carry.

    `dropped` of a request holds neutral names (`top_k`, `extra.safety_settings`) or part paths
    (`messages[2].content[0]`); `wire.translation.caller_names` turns them into the caller's own field names.
    `headers` are extra upstream request headers (Anthropic betas); never secrets.
    """

    body: dict[str, Any]
    dropped: tuple[str, ...] = ()
    headers: dict[str, str] = {}


class Quirks(Struct, frozen=True, kw_only=True):
    """How an upstream differs from the dialect's owner. The defaults are the owner's own behaviour."""

    max_tokens_field: str = "max_completion_tokens"  # openai_chat: "max_tokens" for most compatible servers
    stream_options: bool = True  # openai_chat: understands stream_options.include_usage
    developer_role: bool = True  # else a developer message is sent as system
    drop: frozenset[str] = frozenset()  # neutral names that this upstream refuses
    default_max_tokens: int = 4096  # anthropic_messages needs a cap: this one when the caller gave none
    image_urls: bool = True  # False: takes inline images only
    tool_result_images: bool = True
    json_schema: bool = True  # False: json_schema becomes json_object, reported as dropped
    # The rest is openai_chat only. What this upstream takes beyond OpenAI: `top_k`, `cache` (cache_control marks),
    # `video` parts, `tool_images` (images in tool messages), `assistant_images`, `thought_signatures` (Gemini's).
    accepts: frozenset[str] = frozenset()
    reasoning_control: Literal["reasoning_effort", "reasoning", "thinking"] = "reasoning_effort"
    # Where earlier reasoning is handed back; None: nowhere, it is reported as dropped.
    reasoning_history: Literal["reasoning_content", "reasoning", "reasoning_details", "thinking_parts"] | None = None
    documents: Literal["file", "file_or_url", "document_url"] = "file"
    seed_field: str = "seed"
    call_id_characters: int = 40  # longer ids of tool calls are replaced by short ones, of letters and digits


class StreamParser(Protocol):
    """Wire events in, neutral events out. One object per stream."""

    def feed(self, event: SseEvent) -> list[StreamEvent]:
        """Raises UpstreamMalformed on JSON that is broken; unknown events give []. An in-band error gives `Failed`."""

    def close(self) -> list[StreamEvent]:
        """At end of input. Raises UpstreamTruncated when the terminal event was not seen."""


class StreamRenderer(Protocol):
    """Neutral events in, wire bytes out. One object per stream."""

    dropped: list[str]

    def feed(self, event: StreamEvent) -> bytes: ...

    def close(self) -> bytes:
        """The dialect's end after `Ended` ([DONE], message_stop). Only called for a whole answer."""

    def error(self, error: GatewayError) -> bytes:
        """The dialect's in-band error; nothing follows it, no false [DONE] either."""


class Meter(Protocol):
    """Reads what must be known of a passed-through stream without translating it. One object per stream."""

    usage: Usage | None  # last count seen; None: the provider said nothing
    finish: str | None  # neutral finish reason of choice 0
    response_id: str | None
    generated: bool  # something the model wrote has been seen (for time to first token)
    text_bytes: int  # UTF-8 bytes generated so far, reasoning and tool arguments included: for estimates
    failed: UpstreamError | None  # an in-band error was seen
    ended: bool  # the terminal event was seen

    def feed(self, event: SseEvent) -> bool:
        """False: keep this event from the caller (a usage chunk that the gateway asked for)."""

    def close(self) -> None:
        """At end of input. Raises UpstreamTruncated when the terminal event was not seen."""


class Facts(Struct, frozen=True, kw_only=True):
    """What metering needs of a whole passed-through answer."""

    usage: Usage | None
    finish: str | None = None
    response_id: str | None = None
    text_bytes: int = 0
    service_tier: str | None = None


class CallerFormat(Protocol):
    """The caller's half of a wire format."""

    @property
    def name(self) -> FormatName: ...

    field_names: Mapping[str, str]  # neutral name -> the caller's field path; absent: the format has no such field

    def parse_request(self, body: dict[str, Any], *, model: str | None = None, stream: bool | None = None) -> Request:
        """Raises BadRequest naming the path. `model` and `stream` come from the URL in the gemini dialect."""

    def render_response(self, response: Response, stamp: Stamp) -> Rendered: ...

    def stream_renderer(self, stamp: Stamp, *, include_usage: bool = False) -> StreamRenderer: ...

    def render_error(self, error: GatewayError) -> dict[str, Any]:
        """The body for `error.status`."""


class FrontDoor(CallerFormat, Protocol):
    """A format that callers speak and no provider does. Every module in `wire/front_doors/` that is one exports `DOOR`.

    `Stamp.served` is set whenever it renders an answer.
    """

    @property
    def name(self) -> DoorName: ...

    request_schema: Mapping[str, Any]  # JSON schema of a request's body, for the documentation

    def told(self, error: GatewayError, language: Language | None = None) -> GatewayError:
        """The error as its clients know it: status and message may be others. Told twice, it is the same."""


class Dialect(CallerFormat, Protocol):
    """A format that providers speak too. Every package in `wire/dialects/` exports `DIALECT`, one of these."""

    name: DialectName

    def render_request(self, request: Request, *, quirks: Quirks) -> Rendered:
        """`request.model` is already the upstream's name. Raises BadRequest for what must not be dropped (a part)."""

    def rewrite_request(
        self, body: bytes, *, model: str | None, quirks: Quirks, include_usage: bool
    ) -> tuple[bytes, bool]:
        """Same dialect in and out: only what must change, other values byte for byte.

        `include_usage`: a stream whose usage the gateway needs. The flag returned says that it was added here, so that
        the usage chunk must be kept from the caller.
        """

    def parse_response(self, body: dict[str, Any]) -> Response:
        """Raises UpstreamMalformed."""

    def read_response(self, body: bytes) -> Facts:
        """Of a passed-through answer. Raises UpstreamMalformed when it is not JSON of this dialect."""

    def stream_parser(self) -> StreamParser: ...

    def meter(self, *, hide_usage: bool = False) -> Meter: ...

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """Classifies by status first. Header names are lower case. The message is scrubbed of credentials."""
