"""What a caller can ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
from msgspec import structs

from scripts.translation.probe import PDF, PNG, QUESTION, WAV, RequestProbe, plain_request
from wire.neutral import (
    Audio,
    CacheMark,
    Citation,
    Document,
    FormatName,
    Image,
    Media,
    Message,
    NativeTool,
    Part,
    Reasoning,
    Refusal,
    Request,
    ResponseFormat,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_WEATHER = Tool(name="weather", description="Weather of a city", parameters=_SCHEMA)
_SHELL = Tool(name="shell", description="Run a command", kind="custom")
_CLOCK = Tool(name="clock", description="Time of day", parameters={"type": "object", "properties": {}})
_WEB_SEARCH: dict[FormatName, NativeTool] = {
    "openai_responses": NativeTool(dialect="openai_responses", type="web_search", value={"type": "web_search"}),
    "anthropic_messages": NativeTool(
        dialect="anthropic_messages",
        type="web_search_20250305",
        value={"type": "web_search_20250305", "name": "web_search"},
    ),
    "gemini": NativeTool(dialect="gemini", type="googleSearch", value={"googleSearch": {}}),
}
_STANDARD_TIER: Mapping[FormatName, str] = {
    "openai_chat": "default",
    "openai_responses": "default",
    "anthropic_messages": "standard_only",
    "gemini": "standard",
}


def request_probes() -> Iterator[RequestProbe]:
    yield from _settings()
    yield from _conversations()
    yield from _tools()


def _setting(label: str, field: str, **values: Any) -> RequestProbe:
    blank = plain_request("gemini", "")

    def read(request: Request) -> Any:
        value = getattr(request, field)
        return None if value == getattr(blank, field) else value

    return RequestProbe("Settings", label, lambda request: structs.replace(request, **values), read)


def _reasoning(label: str, asked: Reasoning) -> RequestProbe:
    """Efforts and budgets stand for each other, so any of them is an answer to the question."""
    return RequestProbe("Settings", label, lambda request: structs.replace(request, reasoning=asked), _how_much)


def _how_much(request: Request) -> Any:
    found = request.reasoning
    if found is None:
        return None
    off = found.enabled is False or found.effort == "none" or found.budget_tokens == 0
    return "off" if off else (found.effort, found.budget_tokens)


def _tier(label: str, names: Mapping[FormatName, str]) -> RequestProbe:
    def read(request: Request) -> Any:
        return request.service_tier in names.values() and label

    def asked(request: Request) -> Request:
        return structs.replace(request, service_tier=names.get(request.dialect))

    return RequestProbe("Settings", label, asked, read)


def _settings() -> Iterator[RequestProbe]:
    yield _setting("cap of output tokens", "max_tokens", max_tokens=500)
    yield _setting("temperature", "temperature", temperature=0.5)
    yield _setting("top p", "top_p", top_p=0.9)
    yield _setting("top k", "top_k", top_k=40)
    yield _setting("stop sequences", "stop", stop=("END",))
    yield _setting("seed", "seed", seed=7)
    yield _setting("presence penalty", "presence_penalty", presence_penalty=0.5)
    yield _setting("frequency penalty", "frequency_penalty", frequency_penalty=0.5)
    yield _setting("logit bias", "logit_bias", logit_bias={"50256": -100.0})
    yield _setting("several choices", "n", n=2)
    yield _setting("log probabilities", "logprobs", logprobs=True)
    yield _setting("how many log probabilities", "top_logprobs", logprobs=True, top_logprobs=2)
    yield _format("JSON answer", ResponseFormat(kind="json_object"))
    yield _format("JSON answer by schema", ResponseFormat(kind="json_schema", schema=_SCHEMA, name="answer"))
    yield _reasoning("reasoning effort", Reasoning(effort="high"))
    yield _reasoning("reasoning budget", Reasoning(enabled=True, budget_tokens=2048))
    yield _reasoning("reasoning off", Reasoning(effort="none", budget_tokens=0, enabled=False))
    yield _setting("verbosity", "verbosity", verbosity="low")
    yield _setting("kinds of output", "modalities", modalities=("text", "audio"))
    yield _setting("end user", "user", user="user-1")
    yield _setting("metadata", "metadata", metadata={"team": "search"})
    yield _tier("service tier: standard", _STANDARD_TIER)
    yield _tier("service tier: flex", {"openai_chat": "flex", "openai_responses": "flex", "gemini": "flex"})
    yield _setting("store the answer", "store", store=True)
    yield _setting("cache key", "prompt_cache_key", prompt_cache_key="house-1")


def _format(label: str, wanted: ResponseFormat) -> RequestProbe:
    def read(request: Request) -> Any:
        found = request.response_format
        return found and (found.kind, found.schema)

    return RequestProbe("Settings", label, lambda request: structs.replace(request, response_format=wanted), read)


def _conversation(label: str, messages: tuple[Message, ...], read: Callable[[Request], Any]) -> RequestProbe:
    return RequestProbe("Conversation", label, lambda request: structs.replace(request, messages=messages), read)


def _part(label: str, part: Part, read: Callable[[Any], Any] | None = None, role: Role = "user") -> RequestProbe:
    """A part beside a text, in a user's or an assistant's message; read back from the first part of its kind."""
    kind = type(part)

    def found(request: Request) -> Any:
        parts = (each for message in request.messages for each in message.parts if isinstance(each, kind))
        first = next((each for each in parts if not isinstance(each, Text) or each.text == "Look:"), None)
        return first and (read or _content)(first)

    message = Message(role=role, parts=(part,) if isinstance(part, Text) else (Text(text="Before:"), part))
    return _conversation(label, (QUESTION, message, QUESTION) if role == "assistant" else (message,), found)


def _content(part: Any) -> Any:
    return part.media


def _conversations() -> Iterator[RequestProbe]:
    system = Message(role="system", parts=(Text(text="Be brief"),))
    developer = Message(role="developer", parts=(Text(text="Be brief"),))
    brief = _texts_of("system", "developer")
    yield _conversation("system message", (system, QUESTION), brief)
    yield _conversation("developer message", (developer, QUESTION), brief)
    answered = Message(role="assistant", parts=(Text(text="Hi"),))
    yield _conversation("system message later on", (QUESTION, answered, system, QUESTION), brief)
    yield _conversation("several turns", (QUESTION, answered, QUESTION), lambda request: len(request.messages) == 3)
    named = Message(role="user", parts=(Text(text="Hello"),), name="ada")
    yield _conversation("name of a speaker", (named,), lambda request: request.messages[-1].name)
    yield _part("image, inline", Image(media=Media(mime="image/png", data=PNG)))
    yield _part("image by address", Image(media=Media(url="https://example.com/a.png")), lambda part: part.media.url)
    detailed = Image(media=Media(mime="image/png", data=PNG), detail="low")
    yield _part("detail of an image", detailed, lambda part: part.detail)
    yield _part("PDF, inline", Document(media=Media(mime="application/pdf", data=PDF), filename="a.pdf"), _bytes)
    yield _part("PDF by address", Document(media=Media(url="https://example.com/a.pdf")), lambda part: part.media.url)
    document = Document(media=Media(mime="text/plain", text="Some text"))
    yield _conversation("text document", (Message(role="user", parts=(document,)),), _said("Some text"))
    by_id = Document(media=Media(file_id="file-1"))
    yield _part("file by its provider's id", by_id, lambda part: part.media.file_id)
    yield _part("audio, inline", Audio(media=Media(mime="audio/wav", data=WAV)), _bytes)
    cached = Text(text="Look:", cache=CacheMark())
    yield _part("cache mark", cached, lambda part: part.cache is not None)
    cited = Text(text="Look:", citations=(Citation(url="https://example.com", title="A", start=0, end=5),))
    yield _part("citations of an earlier answer", cited, lambda part: bool(part.citations), "assistant")
    refused = Message(role="assistant", parts=(Refusal(text="Not that"),))
    yield _conversation("refusal in an earlier answer", (QUESTION, refused, QUESTION), _said("Not that"))
    yield from _tool_conversations()


def _texts_of(*roles: Role) -> Callable[[Request], Any]:
    return lambda request: [
        part.text
        for message in request.messages
        if message.role in roles
        for part in message.parts
        if isinstance(part, Text)
    ]


def _said(words: str) -> Callable[[Request], Any]:
    """The kinds of part that say these words."""

    def read(request: Request) -> Any:
        parts = [part for message in request.messages for part in message.parts]
        texts = [part for part in parts if isinstance(part, Text | Refusal) and words in part.text]
        documents = [part for part in parts if isinstance(part, Document) and part.media.text == words]
        return [type(part).__name__ for part in (*texts, *documents)]

    return read


def _bytes(part: Any) -> Any:
    return part.media.data or part.media.text


def _tool_conversations() -> Iterator[RequestProbe]:
    paris = ToolCall(id="call_1", name="weather", arguments='{"city":"Paris"}')
    seoul = ToolCall(id="call_2", name="weather", arguments='{"city":"Seoul"}')
    sunny = ToolResult(call_id="call_1", name="weather", parts=(Text(text="Sunny"),))
    rainy = ToolResult(call_id="call_2", name="weather", parts=(Text(text="Rain"),))
    yield _tool_turn("tool call and result", (paris,), (sunny,), _calls_and_results)
    yield _tool_turn("parallel tool calls", (paris, seoul), (sunny, rainy), _calls_and_results)
    failed = structs.replace(sunny, parts=(Text(text="No such city"),), is_error=True)
    yield _tool_turn("tool result that is an error", (paris,), (failed,), _is_error)
    shown = structs.replace(sunny, parts=(Text(text="Sunny"), Image(media=Media(mime="image/png", data=PNG))))
    tools = _tool_turn("image in a tool result", (paris,), (shown,), _calls_and_results)
    yield structs.replace(tools, read=_images)
    custom = ToolCall(id="call_1", name="shell", arguments="ls", kind="custom")
    done = ToolResult(call_id="call_1", name="shell", parts=(Text(text="a.txt"),), kind="custom")
    yield _tool_turn("call of a free-text tool", (custom,), (done,), _free_text)


def _calls_and_results(call: ToolCall, result: ToolResult) -> Any:
    return (call.id, call.name, orjson.loads(call.arguments), result.call_id)


def _is_error(_: ToolCall, result: ToolResult) -> Any:
    return result.is_error


def _free_text(call: ToolCall, _: ToolResult) -> Any:
    return call.kind, call.arguments


def _images(request: Request) -> Any:
    """The images, and whether each is inside a tool result."""
    parts = [part for message in request.messages for part in message.parts]
    inside = [each for part in parts if isinstance(part, ToolResult) for each in part.parts]
    return [(part.media.data, part in inside) for part in (*parts, *inside) if isinstance(part, Image)]


def _tool_turn(
    label: str,
    calls: tuple[ToolCall, ...],
    results: tuple[ToolResult, ...],
    read: Callable[[ToolCall, ToolResult], Any],
) -> RequestProbe:
    """Tools, a turn that calls them, and their results; each pair of call and result is read."""
    messages = (QUESTION, Message(role="assistant", parts=calls), Message(role="tool", parts=results))
    tool = _SHELL if calls[0].kind == "custom" else _WEATHER

    def found(request: Request) -> Any:
        parts = [part for message in request.messages for part in message.parts]
        called = [part for part in parts if isinstance(part, ToolCall)]
        answered = [part for part in parts if isinstance(part, ToolResult)]
        read_back = [read(call, result) for call, result in zip(called, answered, strict=False)]
        return read_back if any(read_back) else None

    return RequestProbe(
        "Conversation", label, lambda request: structs.replace(request, messages=messages, tools=(tool,)), found
    )


def _tools() -> Iterator[RequestProbe]:
    yield _offer("function", _WEATHER, lambda tool: (tool.name, tool.description, tool.parameters))
    strict = structs.replace(_WEATHER, strict=True)
    yield _offer("strict schema", strict, lambda tool: tool.strict)
    yield _offer("free-text tool", _SHELL, lambda tool: (tool.name, tool.kind))
    cached = structs.replace(_WEATHER, cache=CacheMark())
    yield _offer("cache mark on a tool", cached, lambda tool: tool.cache is not None)
    yield RequestProbe("Tools", "web search by the provider", _searching, _searches)
    yield _choice("choice: none", ToolChoice(mode="none"))
    yield _choice("choice: any tool", ToolChoice(mode="required"))
    yield _choice("choice: one tool", ToolChoice(mode="tool", name="weather"))
    yield _choice("choice: some tools", ToolChoice(mode="required", allowed=("weather",)))
    yield RequestProbe(
        "Tools",
        "one call at a time",
        lambda request: structs.replace(request, tools=(_WEATHER,), parallel_tool_calls=False),
        lambda request: request.parallel_tool_calls is False,
    )
    yield RequestProbe(
        "Tools",
        "a field nobody knows",
        lambda request: structs.replace(request, extra={"novelty": 1}),
        lambda request: request.extra,
    )


def _searching(request: Request) -> Request:
    """In Chat Completions it is a setting. https://platform.openai.com/docs/guides/tools-web-search"""
    if request.dialect == "openai_chat":
        return structs.replace(request, extra={"web_search_options": {}})
    return structs.replace(request, tools=(_WEB_SEARCH[request.dialect],))


def _searches(request: Request) -> Any:
    native = [tool.type for tool in request.tools if isinstance(tool, NativeTool)]
    return native or "web_search_options" in request.extra


def _offer(label: str, tool: Tool, read: Callable[[Tool], Any]) -> RequestProbe:
    return RequestProbe(
        "Tools",
        label,
        lambda request: structs.replace(request, tools=(tool,)),
        lambda request: next((read(each) for each in request.tools if isinstance(each, Tool)), None),
    )


def _choice(label: str, choice: ToolChoice) -> RequestProbe:
    def read(request: Request) -> Any:
        found = request.tool_choice
        return found and (found.mode, found.name, found.allowed)

    return RequestProbe(
        "Tools", label, lambda request: structs.replace(request, tools=(_WEATHER, _CLOCK), tool_choice=choice), read
    )
