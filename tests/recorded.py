"""What an answer says, read by hand from its bytes: the other opinion that tests compare the gateway's with.

Nothing here knows `wire/`. The same reading serves what a provider was recorded to say and what the gateway made of it
in another dialect. Where numbers leave a choice, the provider's own total decides.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

# The classes in which a turn can end, by each dialect's own word.
FINISH: dict[Any, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "function_call": "tool_calls",
    "eos": "stop",
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "MALFORMED_FUNCTION_CALL": "error",
    "UNEXPECTED_TOOL_CALL": "error",
    "OTHER": "error",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "BLOCKLIST": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    1: "stop",  # Gemini's reasons by number
    2: "length",
    "max_output_tokens": "length",
}
DIALECT_OF = {
    "chat/completions": "openai_chat",
    "responses": "openai_responses",
    "messages": "anthropic_messages",
    "generateContent": "gemini",
    "streamGenerateContent": "gemini",
}


@dataclass
class Called:
    """One call of a caller's tool. `arguments` are JSON text, of a custom tool any text."""

    id: str | None
    name: str
    arguments: str
    custom: bool = False

    @property
    def value(self) -> Any:
        """The arguments as JSON where they are; no text at all means none."""
        try:
            return json.loads(self.arguments or "{}")
        except ValueError:
            return self.arguments


@dataclass
class Said:
    """Of the first choice. `prompt` and `completion` are totals, cached and reasoning tokens included.

    `written` are all cache writes, `written_hour` those of them that live an hour or more. `usage` is the provider's
    own object, empty where it said nothing.
    """

    text: str = ""
    finish: str | None = None
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    usage: dict[str, Any] = field(default_factory=dict)
    thoughts: str = ""
    refusal: str = ""
    calls: list[Called] = field(default_factory=list)
    written_hour: int = 0
    audio_in: int = 0
    image_in: int = 0
    tool_in: int = 0
    audio_out: int = 0
    image_out: int = 0
    searches: int = 0
    images: int = 0
    audio_ms: int = 0
    error: dict[str, Any] | None = None
    ended: bool = False  # the dialect's own end was seen

    @property
    def counts(self) -> dict[str, int]:
        """The token classes under the ledger's names."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "cache_read_tokens": self.cached,
            "cache_write_5m_tokens": self.written - self.written_hour,
            "cache_write_1h_tokens": self.written_hour,
            "input_audio_tokens": self.audio_in,
            "input_image_tokens": self.image_in,
            "tool_input_tokens": self.tool_in,
            "reasoning_tokens": self.reasoning,
            "output_audio_tokens": self.audio_out,
            "output_image_tokens": self.image_out,
            "web_searches": self.searches,
            "images": self.images,
            "audio_ms": self.audio_ms,
        }


def said(interaction: dict[str, Any]) -> Said:
    """Of a recorded interaction. Raises KeyError for an endpoint that belongs to no chat dialect."""
    dialect = DIALECT_OF[interaction["endpoint"].removeprefix("v1beta/")]
    return heard(dialect, interaction["response"]["body_text"], provider=interaction["provider"])


def heard(dialect: str, body: str, *, provider: str = "") -> Said:
    """Of an answer in a dialect, plain or streamed."""
    found = list(documents(body))
    match dialect:
        case "openai_chat":
            out = _openai(found, provider)
            out.ended = out.ended or "data: [DONE]" in body
        case "openai_responses":
            out = _responses(found)
        case "anthropic_messages":
            out = _anthropic(found)
        case _:
            out = _gemini(found)
    return out


def counted(interaction: dict[str, Any]) -> dict[str, int] | None:
    """Ledger counts of an answer that belongs to no chat dialect; None where it counts no tokens."""
    if interaction["endpoint"] == "responses/compact":
        compacted = Said()
        _responses_end(json.loads(interaction["response"]["body_text"]), compacted)
        return compacted.counts
    found = [document["usage"] for document in documents(interaction["response"]["body_text"]) if "usage" in document]
    usage = next((usage for usage in reversed(found) if usage), None)
    if usage is None:
        return None
    out = Said(completion=_number(usage, "completion_tokens"))
    out.prompt = _number(usage, "total_tokens") - out.completion
    return out.counts


def documents(body: str) -> Iterator[dict[str, Any]]:
    """The JSON documents of a body: one, those of an array, or those of a stream's events."""
    if body.lstrip().startswith(("{", "[")):
        whole = json.loads(body)
        yield from whole if isinstance(whole, list) else [whole]
        return
    for line in body.splitlines():
        if line.startswith("data:") and (data := line[5:].strip()) != "[DONE]":
            yield json.loads(data)


def _number(holder: Any, *path: str) -> int:
    for name in path:
        holder = holder.get(name) if isinstance(holder, dict) else None
    return int(holder) if isinstance(holder, int | float) else 0


# --------------------------------------------------------------------------------------------- Chat Completions
def _openai(found: list[dict[str, Any]], provider: str) -> Said:
    out = Said()
    by_index: dict[Any, Called] = {}
    for document in found:
        out.error = document.get("error") or out.error
        for choice in document.get("choices") or []:
            if choice.get("index", 0) == 0:
                # Perplexity sends both in either form: what is whole stands in one, what is new in the other.
                order = ("delta", "message") if len(found) > 1 else ("message", "delta")
                _openai_choice(choice, choice.get(order[0]) or choice.get(order[1]) or {}, out, by_index)
        usage = document.get("usage") or (document.get("x_groq") or {}).get("usage")
        # A relayed Anthropic stream repeats a count at its end with the answer forgotten.
        if usage and (usage.get("completion_tokens") or not out.usage.get("completion_tokens")):
            out.usage = usage
    # Snowflake fills what it does not say with empty values.
    out.calls += [call for call in by_index.values() if call.name or call.arguments]
    out.ended = out.finish is not None
    if out.calls and out.finish == "stop":  # the end of a call that was forced
        out.finish = "tool_calls"
    _openai_counts(out, provider)
    return out


def _openai_choice(choice: dict[str, Any], part: dict[str, Any], out: Said, by_index: dict[Any, Called]) -> None:
    content = part.get("content") or ""
    if isinstance(content, str):
        out.text += content
    else:
        for piece in content:
            if piece["type"] == "text":
                out.text += piece["text"]
            elif piece["type"] == "thinking":
                out.thoughts += "".join(inner.get("text", "") for inner in piece["thinking"])
    out.text += (part.get("audio") or {}).get("transcript") or ""
    out.refusal += part.get("refusal") or ""
    details = "".join(d.get("text") or d.get("summary") or "" for d in part.get("reasoning_details") or [])
    out.thoughts += part.get("reasoning_content") or part.get("reasoning") or details
    for position, call in enumerate(part.get("tool_calls") or []):
        key = call.get("index", position)
        body = call.get("function") or call.get("custom") or {}
        held = by_index.setdefault(key, Called(call.get("id"), body.get("name") or "", "", "custom" in call))
        held.arguments += body.get("arguments") or body.get("input") or ""
    if legacy := part.get("function_call"):
        held = by_index.setdefault("legacy", Called(None, legacy.get("name") or "", ""))
        held.arguments += legacy.get("arguments") or ""
    if reason := choice.get("finish_reason") or (choice.get("finish_details") or {}).get("type"):
        out.finish = FINISH.get(reason, reason)


def _openai_counts(out: Said, provider: str) -> None:
    usage = out.usage
    inside, made = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    out.prompt, out.completion = _number(usage, "prompt_tokens"), _number(usage, "completion_tokens")
    total = _number(usage, "total_tokens")
    out.cached = (
        _number(inside, "cached_tokens")
        or _number(usage, "prompt_cache_hit_tokens")
        or _number(usage, "cache_read_input_tokens")
        or _number(usage, "num_cached_tokens")
        or _number(usage, "cached_tokens")
    )
    out.written = _number(inside, "cache_write_tokens") or _number(usage, "cache_creation_input_tokens")
    out.written_hour = _number(usage, "cache_creation", "ephemeral_1h_input_tokens")
    out.audio_in, out.image_in = _number(inside, "audio_tokens"), _number(inside, "image_tokens")
    out.audio_out, out.image_out = _number(made, "audio_tokens"), _number(made, "image_tokens")
    out.reasoning = _number(made, "reasoning_tokens")
    if provider == "mistral":  # leaves audio out of the prompt, not out of the total
        out.prompt = max(out.prompt, total - out.completion)
        out.audio_ms = 1000 * _number(usage, "prompt_audio_seconds")
    elif total > out.prompt + out.completion:  # xAI and Gemini: reasoning is beside the completion
        out.reasoning = out.reasoning or total - out.prompt - out.completion
        out.completion = total - out.prompt
    out.reasoning = min(out.reasoning, out.completion)
    out.searches = _number(usage, "server_tool_use_details", "web_search_requests") or _number(
        usage, "num_search_queries"
    )


# --------------------------------------------------------------------------------------------- Responses
def _responses(found: list[dict[str, Any]]) -> Said:
    out = Said()
    by_item: dict[Any, Called] = {}
    for event in found:
        if event.get("object") == "response":
            for item in event["output"]:
                _responses_item(item, out)
            _responses_end(event, out)
        elif "response" in event and event["type"] in _RESPONSES_ENDS:
            out.calls += by_item.values()
            _responses_end(event["response"], out)
        else:
            _responses_event(event, out, by_item)
    return out


_RESPONSES_ENDS = ("response.completed", "response.incomplete", "response.failed")


def _responses_item(item: dict[str, Any], out: Said) -> None:
    match item["type"]:
        case "message":
            for part in item["content"]:
                out.text += part.get("text") or ""
                out.refusal += part.get("refusal") or ""
        case "reasoning":
            out.thoughts += "".join(part["text"] for part in item.get("summary") or item.get("content") or [])
        case "function_call" | "custom_tool_call":
            arguments = item.get("arguments") or item.get("input") or ""
            out.calls.append(Called(item["call_id"], item["name"], arguments, item["type"] == "custom_tool_call"))


def _responses_event(event: dict[str, Any], out: Said, by_item: dict[Any, Called]) -> None:
    delta = event.get("delta") or ""
    match event.get("type"):
        case "response.output_text.delta":
            out.text += delta
        case "response.refusal.delta":
            out.refusal += delta
        case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
            out.thoughts += delta
        case "response.output_item.added" if event["item"]["type"] in ("function_call", "custom_tool_call"):
            item = event["item"]
            custom = item["type"] == "custom_tool_call"
            by_item[event["output_index"]] = Called(item["call_id"], item["name"], "", custom)
        case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
            by_item[event["output_index"]].arguments += delta
        case "response.function_call_arguments.done" if not by_item[event["output_index"]].arguments:
            by_item[event["output_index"]].arguments = event["arguments"]
        case "response.output_item.done" if event["item"]["type"] == "function_call":
            # Some servers send whole items without their deltas.
            held = by_item.setdefault(
                event["output_index"], Called(event["item"]["call_id"], event["item"]["name"], "")
            )
            held.arguments = held.arguments or event["item"]["arguments"]
        case "error":
            out.error = event.get("error") or event


def _responses_end(answer: dict[str, Any], out: Said) -> None:
    out.ended = True
    out.error = answer.get("error") or out.error
    reason = (answer.get("incomplete_details") or {}).get("reason") or ""
    if answer.get("status") == "incomplete":
        out.finish = FINISH.get(reason, reason)
    elif answer.get("status") == "failed":
        out.finish = "error"
    elif answer.get("status") == "completed":
        out.finish = "tool_calls" if out.calls else "stop"
    out.usage = usage = answer.get("usage") or {}
    out.prompt, out.completion = _number(usage, "input_tokens"), _number(usage, "output_tokens")
    out.cached = _number(usage, "input_tokens_details", "cached_tokens")
    out.written = _number(usage, "input_tokens_details", "cache_write_tokens")
    out.written_hour = _number(usage, "input_tokens_details", "cache_write_tokens_details", "ttl_12h_tokens")
    out.reasoning = _number(usage, "output_tokens_details", "reasoning_tokens")
    items = answer.get("output") or []
    searches = [item for item in items if item["type"] == "web_search_call"]
    counted = [item for item in searches if (item.get("action") or {}).get("type", "search") == "search"]
    out.searches = _number(answer, "tool_usage", "web_search", "num_requests") or len(counted)
    out.images = sum(item["type"] == "image_generation_call" and bool(item.get("result")) for item in items)


# --------------------------------------------------------------------------------------------- Messages
def _anthropic(found: list[dict[str, Any]]) -> Said:
    out = Said()
    by_index: dict[int, Called] = {}
    for document in found:
        match document.get("type"):
            case "message" | "message_start":
                message = document.get("message", document)
                for index, block in enumerate(message["content"]):
                    _anthropic_block(index, block, out, by_index)
                _anthropic_stop(message.get("stop_reason"), out)
                out.ended = document["type"] == "message"
                out.usage |= message.get("usage") or {}
            case "content_block_start":
                _anthropic_block(document["index"], document["content_block"], out, by_index)
            case "content_block_delta":
                delta = document["delta"]
                out.text += delta.get("text", "")
                out.thoughts += delta.get("thinking", "")
                if "partial_json" in delta and document["index"] in by_index:
                    by_index[document["index"]].arguments += delta["partial_json"]
            case "message_delta":
                _anthropic_stop(document["delta"].get("stop_reason"), out)
                out.usage |= {key: value for key, value in (document.get("usage") or {}).items() if value is not None}
            case "message_stop":
                out.ended = True
            case "error":
                out.error = document["error"]
    out.calls += by_index.values()
    _anthropic_counts(out)
    return out


def _anthropic_stop(reason: str | None, out: Said) -> None:
    if reason is not None:
        out.finish = FINISH.get(reason, reason)


def _anthropic_block(index: int, block: dict[str, Any], out: Said, by_index: dict[int, Called]) -> None:
    match block["type"]:
        case "text":
            out.text += block.get("text", "")
        case "thinking":
            out.thoughts += block.get("thinking", "")
        case "tool_use":
            given = json.dumps(block["input"]) if block.get("input") else ""
            by_index[index] = Called(block["id"], block["name"], given)


def _anthropic_counts(out: Said) -> None:
    usage = out.usage
    out.cached = _number(usage, "cache_read_input_tokens")
    out.written_hour = _number(usage, "cache_creation", "ephemeral_1h_input_tokens")
    out.written = _number(usage, "cache_creation_input_tokens") or (
        out.written_hour + _number(usage, "cache_creation", "ephemeral_5m_input_tokens")
    )
    out.prompt = _number(usage, "input_tokens") + out.cached + out.written
    out.completion = _number(usage, "output_tokens")
    for sampling in usage.get("iterations") or []:
        if sampling["type"] == "compaction":  # charged, and not in the sums
            read = _number(sampling, "cache_read_input_tokens")
            out.cached += read
            out.prompt += _number(sampling, "input_tokens") + read
            out.completion += _number(sampling, "output_tokens")
    out.reasoning = _number(usage, "output_tokens_details", "thinking_tokens")
    out.searches = _number(usage, "server_tool_use", "web_search_requests")


# --------------------------------------------------------------------------------------------- Gemini
def _gemini(found: list[dict[str, Any]]) -> Said:
    out = Said()
    queries: list[Any] = []
    for document in found:
        out.error = document.get("error") or out.error
        if (document.get("promptFeedback") or {}).get("blockReason"):
            out.finish = "content_filter"
        for candidate in document.get("candidates") or []:
            if candidate.get("index", 0) != 0:
                continue
            for part in (candidate.get("content") or {}).get("parts") or []:
                _gemini_part(part, out)
            if reason := candidate.get("finishReason"):
                out.finish = FINISH.get(reason, reason)
            queries = (candidate.get("groundingMetadata") or {}).get("webSearchQueries") or queries
        out.usage = document.get("usageMetadata") or out.usage
    if out.finish == "stop" and out.calls:
        out.finish = "tool_calls"
    out.ended = out.finish is not None
    usage = out.usage
    out.reasoning = _number(usage, "thoughtsTokenCount")
    out.cached = _number(usage, "cachedContentTokenCount")
    out.tool_in = _number(usage, "toolUsePromptTokenCount")
    out.prompt = _number(usage, "promptTokenCount") + out.tool_in
    out.completion = _number(usage, "candidatesTokenCount") + out.reasoning
    out.audio_in = _modality(usage, "AUDIO", "promptTokensDetails", "toolUsePromptTokensDetails")
    out.image_in = _modality(usage, "IMAGE", "promptTokensDetails", "toolUsePromptTokensDetails")
    out.audio_out = _modality(usage, "AUDIO", "candidatesTokensDetails")
    out.image_out = _modality(usage, "IMAGE", "candidatesTokensDetails")
    named = {query for query in queries if query}
    by_answer = any(str(each.get("modelVersion")).startswith(("gemini-1", "gemini-2")) for each in found)
    out.searches = min(len(named), 1 if by_answer else len(named)) if usage else 0
    return out


def _gemini_part(part: dict[str, Any], out: Said) -> None:
    if part.get("thought"):
        out.thoughts += part.get("text") or ""
    elif (call := part.get("functionCall")) and "name" not in call:
        _gemini_rest(call, out.calls[-1])
    elif call:
        out.calls.append(Called(call.get("id"), call["name"], json.dumps(call.get("args") or {})))
    else:
        out.text += part.get("text") or ""


def _gemini_rest(call: dict[str, Any], started: Called) -> None:
    """Arguments that arrive piece by piece, of members on the highest level."""
    value = started.value
    for piece in call.get("partialArgs") or []:
        name = piece["jsonPath"].removeprefix("$.")
        if "stringValue" in piece:
            value[name] = value.get(name, "") + piece["stringValue"]
        else:
            value[name] = next((piece[kind] for kind in ("numberValue", "boolValue") if kind in piece), None)
    started.arguments = json.dumps(value)


def _modality(usage: dict[str, Any], modality: str, *lists: str) -> int:
    items = [item for name in lists for item in usage.get(name) or []]
    return sum(_number(item, "tokenCount") for item in items if item.get("modality") == modality)
