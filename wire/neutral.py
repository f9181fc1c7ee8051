"""The neutral conversation model: what four chat dialects have in common, and room for what they do not.

Dialects parse into these types and render from them; they never see each other. Three rules keep it honest:

* What a dialect says and the model has a field for goes into that field, in the meaning documented here.
* What only that dialect can say is kept whole: a `Native` part, a `NativeTool`, or an entry of `Request.extra`. The
  same dialect gives it back unchanged; any other one reports it as dropped, by the path the caller used.
* Functions never mutate these values; use `msgspec.structs.replace`.

`path` on a part is where it stood in the caller's body (`messages[2].content[0]`), so that a refusal or a dropped
field can be named in the caller's own terms.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

from wire.errors import UpstreamError

Role = Literal["system", "developer", "user", "assistant", "tool"]

DialectName = Literal["openai_chat", "openai_responses", "anthropic_messages", "gemini"]
DoorName = Literal["playground", "llm_server", "cpu_stack"]  # formats that callers speak and no provider does
FormatName = DialectName | DoorName


# --------------------------------------------------------------------------------------------- media and parts
class Media(Struct, frozen=True, kw_only=True):
    """Where the bytes of an image, audio or document are. Exactly one of `data`, `url`, `file_id`, `text` is set."""

    mime: str | None = None
    data: str | None = None  # base64, standard alphabet, unpadded input already padded
    url: str | None = None  # http(s) or gs:// address; never fetched by the gateway
    file_id: str | None = None  # an id of the provider's file store
    text: str | None = None  # plain-text document given inline


class Citation(Struct, frozen=True, kw_only=True):
    """A source that a span of answer text rests on.

    `start`/`end` are character offsets into the text of the part (OpenAI `url_citation`, Gemini grounding supports
    converted from bytes to characters). `cited_text` is the quoted source text (Anthropic).
    """

    url: str | None = None
    title: str | None = None
    cited_text: str | None = None
    start: int | None = None
    end: int | None = None
    file_id: str | None = None
    native: dict[str, Any] | None = None  # the dialect's own object, given back unchanged to the same dialect
    origin: DialectName | None = None


class CacheMark(Struct, frozen=True, kw_only=True):
    """A prompt-cache breakpoint after the thing that carries it (Anthropic `cache_control`). `ttl`: "5m" or "1h"."""

    ttl: Literal["5m", "1h"] | None = None


class Text(Struct, frozen=True, kw_only=True):
    text: str
    citations: tuple[Citation, ...] = ()
    signature: str | None = None  # opaque proof of thought that must come back with this part (Gemini)
    item_id: str | None = None  # the Responses item it belongs to
    phase: str | None = None  # Responses: "commentary" | "final_answer", given back as it came
    cache: CacheMark | None = None
    extra: dict[str, Any] | None = None  # fields of the part that only its dialect has, given back to it
    path: str = ""


class Image(Struct, frozen=True, kw_only=True):
    media: Media
    detail: str | None = None  # OpenAI: auto | low | high
    cache: CacheMark | None = None
    signature: str | None = None
    extra: dict[str, Any] | None = None  # fields of the part that only its dialect has, given back to it
    path: str = ""


class Audio(Struct, frozen=True, kw_only=True):
    media: Media
    id: str | None = None  # OpenAI's id of an earlier audio answer
    transcript: str | None = None
    expires_at: int | None = None
    path: str = ""


class Document(Struct, frozen=True, kw_only=True):
    media: Media
    filename: str | None = None
    title: str | None = None
    context: str | None = None
    citations: bool | None = None  # ask for citations of it (Anthropic)
    cache: CacheMark | None = None
    extra: dict[str, Any] | None = None  # fields of the part that only its dialect has, given back to it
    path: str = ""


class Thinking(Struct, frozen=True, kw_only=True):
    """Reasoning shown or hidden. `signature` or `opaque` is what lets the same provider take it back."""

    text: str = ""
    signature: str | None = None  # Anthropic `signature`, Gemini `thoughtSignature`
    opaque: str | None = None  # Anthropic `redacted_thinking.data`, Responses `encrypted_content`
    redacted: bool = False  # Anthropic redacted_thinking: nothing but `opaque`
    summary: tuple[str, ...] | None = None  # Responses reasoning summary parts; `text` is then their join
    item_id: str | None = None  # Responses reasoning item id
    origin: DialectName | None = None  # signatures and opaque blobs go back only to the dialect that made them
    details: tuple[dict[str, Any], ...] | None = None  # OpenRouter `reasoning_details`, kept whole
    extra: dict[str, Any] | None = None  # fields of the part that only its dialect has, given back to it
    path: str = ""


class ToolCall(Struct, frozen=True, kw_only=True):
    """A call of one of the caller's tools. `arguments` is JSON text as the model wrote it (custom tools: any text)."""

    id: str
    name: str
    arguments: str
    kind: Literal["function", "custom"] = "function"
    signature: str | None = None  # Gemini `thoughtSignature` on a functionCall part
    item_id: str | None = None  # Responses item id (fc_...)
    namespace: str | None = None  # Responses tool namespace
    cache: CacheMark | None = None
    extra: dict[str, Any] | None = None  # fields of the part that only its dialect has, given back to it
    path: str = ""


class ToolResult(Struct, frozen=True, kw_only=True):
    """What a tool gave back. `name` is filled in from the matching call where the dialect does not say it."""

    call_id: str
    name: str | None = None
    parts: tuple[Part, ...] = ()
    value: Any = None  # Gemini `functionResponse.response` object, kept whole; `parts` then holds its JSON text
    is_error: bool | None = None
    kind: Literal["function", "custom"] = "function"
    cache: CacheMark | None = None
    extra: dict[str, Any] | None = None  # fields of the part that only its dialect has, given back to it
    path: str = ""


class Refusal(Struct, frozen=True, kw_only=True):
    text: str
    path: str = ""


class Native(Struct, frozen=True, kw_only=True):
    """A part that only `dialect` understands (server tool traces, code execution, containers, MCP lists)."""

    dialect: DialectName
    type: str  # the part's own type name, for the dropped list
    value: dict[str, Any]
    path: str = ""


Part = Text | Image | Audio | Document | Thinking | ToolCall | ToolResult | Refusal | Native


class Message(Struct, frozen=True, kw_only=True):
    """One turn. Tool results stand in messages of role `tool`, each in the order the caller gave."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None
    extra: dict[str, Any] | None = None  # unknown fields of a message, dialect's own


# --------------------------------------------------------------------------------------------- tools and settings
class Tool(Struct, frozen=True, kw_only=True):
    """A tool of the caller. `parameters` is a JSON Schema object, None when the tool takes nothing."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    kind: Literal["function", "custom"] = "function"
    format: dict[str, Any] | None = None  # grammar of a custom tool
    cache: CacheMark | None = None
    extra: dict[str, Any] | None = None
    namespace: dict[str, Any] | None = None  # Responses: the namespace it was declared in, its other tools left out
    path: str = ""


class NativeTool(Struct, frozen=True, kw_only=True):
    """A tool that the provider runs (web search, code execution, computer use), in its dialect's own shape."""

    dialect: DialectName
    type: str
    value: dict[str, Any]
    path: str = ""


class ToolChoice(Struct, frozen=True, kw_only=True):
    """`auto`, `none`, `required` (any tool), or `tool` with its `name`; `allowed` narrows the first and third."""

    mode: Literal["auto", "none", "required", "tool"]
    name: str | None = None
    allowed: tuple[str, ...] = ()
    kind: Literal["function", "custom"] = "function"
    native: Any = None  # a choice that only its dialect knows (a server tool), with `native_dialect`
    native_dialect: DialectName | None = None


class ResponseFormat(Struct, frozen=True, kw_only=True):
    kind: Literal["text", "json_object", "json_schema"]
    schema: dict[str, Any] | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None
    mime: str | None = None  # Gemini response MIME types beyond JSON (text/x.enum)


class Reasoning(Struct, frozen=True, kw_only=True):
    """How much to think. `effort` is OpenAI's scale (none, minimal, low, medium, high, xhigh, max); `budget_tokens`
    counts tokens, 0 = off, -1 = the model decides (Gemini). Both may be absent: `enabled` then says on or off."""

    effort: str | None = None
    budget_tokens: int | None = None
    enabled: bool | None = None
    adaptive: bool = False  # Anthropic thinking type "adaptive"
    summary: str | None = None  # Responses: auto | concise | detailed
    include: bool | None = None  # show thoughts in the answer (Gemini includeThoughts)


class Request(Struct, frozen=True, kw_only=True):
    """One conversation turn asked of a model, whatever the dialect."""

    dialect: FormatName  # what it was parsed from
    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool | NativeTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None  # cap of generated tokens, reasoning included
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: ResponseFormat | None = None
    reasoning: Reasoning | None = None
    verbosity: str | None = None
    modalities: tuple[str, ...] = ()
    stream: bool = False
    include_usage: bool = False  # the caller asked for the usage chunk (openai_chat); other dialects always carry it
    user: str | None = None  # end-user tag as the dialect has it (Anthropic metadata.user_id, OpenAI user)
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None
    store: bool | None = None
    prompt_cache_key: str | None = None
    web_search: bool = False  # asked through a front door: to be turned into its provider's tool (wire.web_search)
    encrypted_reasoning: bool = False  # reasoning must come back in a form that can be handed in again (Responses)
    extra: dict[str, Any] = {}  # top-level fields with no place above: name (path) in the dialect -> value, as given


# --------------------------------------------------------------------------------------------- usage
class Usage(Struct, frozen=True, kw_only=True):
    """Token counts in one meaning, whatever the provider's.

    `input` is every prompt token, cached ones and cache writes included; `output` is every generated token, reasoning
    included. All other counts are parts of these two, never additions, so nothing can be charged twice. Units: tokens,
    except `web_searches` (calls), `images` and `seconds`.
    """

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    input_audio: int = 0
    input_image: int = 0
    tool_input: int = 0  # Gemini toolUsePromptTokenCount: prompt tokens that a server tool produced
    output: int = 0
    reasoning: int = 0
    output_audio: int = 0
    output_image: int = 0
    accepted_prediction: int = 0
    rejected_prediction: int = 0
    web_searches: int = 0
    images: int = 0
    seconds: float = 0.0
    cost_usd: str | None = None  # what the provider itself says it cost (OpenRouter, Perplexity), decimal text
    service_tier: str | None = None  # the tier that served, when the answer says so
    complete: bool = True  # False: only a first part was seen (a stream cut before its final count)
    native: dict[str, Any] | None = None  # the provider's own usage object, given back to the same dialect

    @property
    def uncached_input(self) -> int:
        """Prompt tokens charged at the plain input rate (audio and image tokens among them)."""
        return max(0, self.input - self.cache_read - self.cache_write_5m - self.cache_write_1h)


# --------------------------------------------------------------------------------------------- answers
FinishReason = Literal[
    "stop",  # end of turn
    "stop_sequence",  # one of `Request.stop` was hit
    "length",  # max_tokens or the context window
    "tool_calls",
    "content_filter",  # safety, recitation, blocked prompt
    "refusal",  # the model declined (Anthropic)
    "pause",  # Anthropic pause_turn: ask again to continue
    "error",
]


class Finish(Struct, frozen=True, kw_only=True):
    """Why a choice ended. `native` is the upstream's own word."""

    reason: FinishReason
    choice: int = 0
    stop_sequence: str | None = None
    native: str | None = None
    details: Any = None  # Anthropic stop_details, Responses incomplete_details, Gemini finishMessage ...


class Choice(Struct, frozen=True, kw_only=True):
    parts: tuple[Part, ...]
    finish: Finish
    logprobs: Any = None  # OpenAI-chat shaped {"content": [...], "refusal": [...]}
    extra: dict[str, Any] | None = None


class Response(Struct, frozen=True, kw_only=True):
    """A whole answer. `extra` holds top-level fields that only the upstream's dialect has (dropped elsewhere)."""

    dialect: DialectName
    id: str | None
    model: str | None
    choices: tuple[Choice, ...]
    usage: Usage | None
    created: int | None = None  # Unix seconds, where the dialect says it
    service_tier: str | None = None
    extra: dict[str, Any] = {}


class Account(Struct, frozen=True, kw_only=True):
    """What a whole answer used, cost and took. US dollars, exact; None: nobody knows the model's price. Times are
    microseconds: `total_us` since the request came, `upstream_us` and `first_token_us` since it was sent on."""

    usage: Usage
    input_usd: Decimal | None
    output_usd: Decimal | None
    total_us: int
    upstream_us: int
    first_token_us: int | None = None  # of a stream


class Served(Struct, frozen=True, kw_only=True):
    """Who answers, for formats whose answers say so. `model` is the provider's own name of it.

    `account` may be called once everything that the upstream sends has been read.
    """

    provider: str
    model: str
    session_id: str | None
    account: Callable[[], Account]
    shown: Mapping[str, Any] = {}  # what the door itself has to tell, by the names of its answer's fields
    language: Literal["en", "ko"] | None = None  # of messages to the caller


class Stamp(Struct, frozen=True, kw_only=True):
    """What a rendered answer carries of ours: fixed once per call, `served` once per attempt. `id` is bare hex; formats
    add their prefix. `created` are Unix seconds. Front doors are given `served`, dialects need none."""

    id: str
    created: int
    model: str
    served: Served | None = None


# --------------------------------------------------------------------------------------------- stream events
# A parser opens and closes blocks whatever its dialect does: `block` is an ordinal within the whole answer, unique
# over all choices, in order of first appearance. Deltas name their block. A renderer without blocks ignores the
# brackets.
BlockKind = Literal["text", "thinking", "tool_call", "refusal", "audio", "image", "native"]


class Started(Struct, frozen=True, kw_only=True):
    """First event of every stream, once."""

    id: str | None = None
    model: str | None = None
    created: int | None = None
    usage: Usage | None = None  # a first count (Anthropic message_start), `complete=False`
    extra: dict[str, Any] = {}


class BlockStart(Struct, frozen=True, kw_only=True):
    """`part` is the block's part as far as it is known: a ToolCall with id and name and arguments "", a whole Image or
    Native, a Thinking with item_id or opaque data."""

    block: int
    kind: BlockKind
    part: Part
    choice: int = 0


class TextDelta(Struct, frozen=True, kw_only=True):
    """More text of a text, thinking, refusal or tool_call (arguments) block: the block's kind says which."""

    block: int
    text: str
    logprobs: Any = None  # OpenAI-chat shaped, with the delta they belong to


class SignatureDelta(Struct, frozen=True, kw_only=True):
    """A signature (or opaque blob, `opaque=True`) of a block; replaces an earlier one unless it is None."""

    block: int
    signature: str
    opaque: bool = False


class CitationDelta(Struct, frozen=True, kw_only=True):
    block: int
    citation: Citation


class BlockStop(Struct, frozen=True, kw_only=True):
    """`part` is the whole part where the dialect repeats it, else None. No renderer may need it."""

    block: int
    part: Part | None = None


class UsageUpdate(Struct, frozen=True, kw_only=True):
    """A count of the whole answer so far; the last one wins, never add them up."""

    usage: Usage


class Failed(Struct, frozen=True, kw_only=True):
    """An error after the 200. Nothing but `Ended` may follow. Fields as `wire.errors.UpstreamError`; `kind` is which of
    these it is: whether to ask again depends on that."""

    status: int
    code: str | None
    message: str
    type: str | None = None
    kind: builtins.type[UpstreamError] = UpstreamError

    @classmethod
    def of(cls, error: UpstreamError) -> Failed:
        return cls(
            status=error.status, code=error.code, message=error.message, type=error.type, kind=builtins.type(error)
        )

    def error(self) -> UpstreamError:
        return self.kind(self.message, status=self.status, code=self.code, type=self.type)


class Ended(Struct, frozen=True, kw_only=True):
    """The upstream's own terminal event was seen: the answer is whole."""

    extra: dict[str, Any] = {}


class Extra(Struct, frozen=True, kw_only=True):
    """A fact of the stream that only its dialect can carry (Azure filter results, obfuscation is simply skipped)."""

    name: str
    value: Any
    choice: int = 0


StreamEvent = (
    Started
    | BlockStart
    | TextDelta
    | SignatureDelta
    | CitationDelta
    | BlockStop
    | UsageUpdate
    | Finish
    | Failed
    | Ended
    | Extra
)
