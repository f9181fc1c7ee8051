"""A Responses request to the neutral model. https://platform.openai.com/docs/api-reference/responses/create

Consecutive assistant items (reasoning, message, calls) are one assistant turn, consecutive tool outputs one tool turn.
Items that the provider made with its own tools stay whole as `Native` parts.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wire.dialects.openai_responses import carried
from wire.dialects.openai_responses.parts import (
    CALL_TYPES,
    message_extra,
    read_call,
    read_content,
    read_reasoning,
)
from wire.dialects.openai_responses.tools import read_tool_choice, read_tools, tool_name
from wire.errors import BadRequest
from wire.neutral import (
    Message,
    Native,
    Part,
    Reasoning,
    Refusal,
    Request,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from wire.reading import (
    WrongType,
    as_object,
    as_text,
    at,
    beyond,
    flag_or_none,
    integer_or_none,
    number_or_none,
    object_or_none,
    text,
    text_or_none,
)

LOGPROBS = "message.output_text.logprobs"
ENCRYPTED_REASONING = "reasoning.encrypted_content"

_KNOWN = frozenset(
    {
        "model",
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_output_tokens",
        "temperature",
        "top_p",
        "top_logprobs",
        "text",
        "reasoning",
        "stream",
        "user",
        "metadata",
        "service_tier",
        "store",
        "prompt_cache_key",
        "include",
    }
)
# What leaving the field out means too: worth nothing in another dialect, so not reported as lost there.
_DEFAULTS: dict[str, Any] = {"background": False, "truncation": "disabled"}

# With one of these the upstream knows turns that are not in `input`.
_STORED_TURNS = ("previous_response_id", "conversation", "prompt")

_STANDS_FOR_TURNS = frozenset({"item_reference", "compaction", "compaction_summary", "context_compaction"})

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "developer"}
_OUTPUT_FIELDS = frozenset({"type", "id", "call_id", "output", "status"})


def parse_request(body: dict[str, Any], *, model: str | None = None, stream: bool | None = None) -> Request:
    """Raises BadRequest naming the path of the field at fault. `model` and `stream` win over the body's."""
    try:
        return _read(body, model, stream)
    except WrongType as error:
        raise BadRequest(f"Invalid '{error.path}': {error.problem}", param=error.path) from error


def _read(body: dict[str, Any], model: str | None, stream: bool | None) -> Request:
    as_object(body, "body")
    name = model or text(body, "model", "")
    if not name:
        raise WrongType("model", "must name a model")
    extra = beyond(body, _KNOWN) or {}
    extra = {key: value for key, value in extra.items() if _DEFAULTS.get(key) != value}
    include = _include(body)
    response_format, verbosity = _text_settings(body, extra)
    if rest := [entry for entry in include if entry not in (LOGPROBS, ENCRYPTED_REASONING)]:
        extra["include"] = rest
    tools = read_tools(body)
    return Request(
        dialect="openai_responses",
        model=name,
        messages=_messages(body),
        tools=tools,
        tool_choice=read_tool_choice(body, tools),
        parallel_tool_calls=flag_or_none(body, "parallel_tool_calls", ""),
        max_tokens=integer_or_none(body, "max_output_tokens", ""),
        temperature=number_or_none(body, "temperature", ""),
        top_p=number_or_none(body, "top_p", ""),
        logprobs=True if LOGPROBS in include else None,
        top_logprobs=integer_or_none(body, "top_logprobs", ""),
        response_format=response_format,
        reasoning=_reasoning(body, extra),
        verbosity=verbosity,
        stream=bool(flag_or_none(body, "stream", "")) if stream is None else stream,
        include_usage=True,
        user=text_or_none(body, "user", ""),
        metadata=object_or_none(body, "metadata", ""),
        service_tier=text_or_none(body, "service_tier", ""),
        store=flag_or_none(body, "store", ""),
        prompt_cache_key=text_or_none(body, "prompt_cache_key", ""),
        encrypted_reasoning=ENCRYPTED_REASONING in include,
        extra=extra,
    )


def _include(body: dict[str, Any]) -> list[str]:
    value = body.get("include")
    if value is None:
        return []
    if not isinstance(value, list):
        raise WrongType("include", "must be a list")
    return [as_text(entry, f"include[{index}]") for index, entry in enumerate(value)]


def _text_settings(body: dict[str, Any], extra: dict[str, Any]) -> tuple[ResponseFormat | None, str | None]:
    settings = object_or_none(body, "text", "") or {}
    for key, value in (beyond(settings, ("format", "verbosity")) or {}).items():
        extra[f"text.{key}"] = value
    verbosity = text_or_none(settings, "verbosity", "text")
    wanted = object_or_none(settings, "format", "text")
    if wanted is None:
        return None, verbosity
    path = "text.format"
    kind = text(wanted, "type", path)
    if kind == "text":
        return ResponseFormat(kind="text"), verbosity
    if kind == "json_object":
        return ResponseFormat(kind="json_object"), verbosity
    if kind != "json_schema":
        raise WrongType("text.format.type", "must be text, json_object or json_schema")
    return (
        ResponseFormat(
            kind="json_schema",
            schema=as_object(wanted.get("schema"), "text.format.schema"),
            name=text_or_none(wanted, "name", path),
            description=text_or_none(wanted, "description", path),
            strict=flag_or_none(wanted, "strict", path),
        ),
        verbosity,
    )


def _reasoning(body: dict[str, Any], extra: dict[str, Any]) -> Reasoning | None:
    settings = object_or_none(body, "reasoning", "")
    if settings is None:
        return None
    for key, value in (beyond(settings, ("effort", "summary")) or {}).items():
        extra[f"reasoning.{key}"] = value
    effort = text_or_none(settings, "effort", "reasoning")
    summary = text_or_none(settings, "summary", "reasoning")
    return None if effort is None and summary is None else Reasoning(effort=effort, summary=summary)


# ------------------------------------------------------------------------------------------------- input items
def _messages(body: dict[str, Any]) -> tuple[Message, ...]:
    messages: list[Message] = []
    instructions = text_or_none(body, "instructions", "")
    if instructions is not None:
        messages.append(Message(role="system", parts=(Text(text=instructions, path="instructions"),)))
    given = body.get("input")
    stored = any(body.get(key) is not None for key in _STORED_TURNS)
    if isinstance(given, str):
        messages.append(Message(role="user", parts=(Text(text=given, path="input"),)))
    elif isinstance(given, list):
        turns = _Turns(stored)
        for index, item in enumerate(given):
            turns.add(as_object(item, f"input[{index}]"), f"input[{index}]")
        messages += turns.finish()
    elif given is not None:
        raise WrongType("input", "must be a string or a list of items")
    if not given and not stored:
        raise WrongType("input", "must not be empty")
    return tuple(messages)


class _Turns:
    """Gathers items into turns. Only what a later item needs is kept: open turn, calls by id, signatures."""

    def __init__(self, stored: bool) -> None:
        self._stored = stored  # calls may stand in turns that the upstream remembers
        self._messages: list[Message] = []
        self._role: Role | None = None
        self._parts: list[Part] = []
        self._call_names: dict[str, str | None] = {}
        self._call_signatures: dict[str, str | None] = {}

    def add(self, item: dict[str, Any], path: str) -> None:
        kind = text_or_none(item, "type", path)
        if kind is None:
            if "role" not in item and "id" not in item:
                raise WrongType(at(path, "type"), "must be a string")
            kind = "message" if "role" in item else "item_reference"
        if kind == "message":
            self._message(item, path)
        elif kind == "reasoning":
            self._reasoning(item, path)
        elif kind in CALL_TYPES:
            call = read_call(item, path)
            call = msgspec.structs.replace(call, name=tool_name(call.name, call.namespace))
            self._call_names[call.id] = call.name
            self._append("assistant", call)
        elif kind in ("function_call_output", "custom_tool_call_output") and item.get("call_id") is not None:
            self._result(item, path, custom=kind == "custom_tool_call_output")
        else:
            self._native(item, kind, path)

    def finish(self) -> list[Message]:
        self._close()
        return [_with_signatures(message, self._call_signatures) for message in self._messages]

    def _message(self, item: dict[str, Any], path: str) -> None:
        role = _ROLES.get(text(item, "role", path))
        if role is None:
            raise WrongType(at(path, "role"), "must be user, assistant, system or developer")
        item_id = text_or_none(item, "id", path)
        phase = text_or_none(item, "phase", path)
        parts = read_content(item.get("content"), at(path, "content"), item_id=item_id, phase=phase)
        extra = message_extra(item)
        if role != "assistant" or extra is not None:
            self._close()
            self._messages.append(Message(role=role, parts=parts, extra=extra))
            return
        # Two messages without an id could not be told apart within one turn.
        if any(isinstance(part, Text | Refusal) and _item_id(part) == item_id for part in self._parts):
            self._close()
        for part in parts:
            self._append("assistant", part)

    def _reasoning(self, item: dict[str, Any], path: str) -> None:
        thinking = read_reasoning(item, path)
        if thinking.opaque is None or not carried.is_carried(thinking.opaque):
            self._append("assistant", thinking)
            return
        try:
            blob = carried.decode(thinking.opaque)
        except ValueError as error:
            raise WrongType(at(path, "encrypted_content"), "is damaged: give it back as it came") from error
        if blob.kind == "call" and blob.call_id is not None:
            self._call_signatures[blob.call_id] = blob.signature
        elif blob.kind == "text":
            self._sign_text(blob, path)
        else:
            self._append(
                "assistant",
                Thinking(
                    text=thinking.text,
                    signature=blob.signature,
                    opaque=blob.opaque,
                    redacted=blob.redacted,
                    origin=blob.origin,
                    details=blob.details,
                    path=path,
                ),
            )

    def _sign_text(self, blob: carried.Carried, path: str) -> None:
        if not blob.empty and self._role == "assistant":
            for index in range(len(self._parts) - 1, -1, -1):
                part = self._parts[index]
                if isinstance(part, Text):
                    self._parts[index] = msgspec.structs.replace(part, signature=blob.signature)
                    return
        self._append("assistant", Text(text="", signature=blob.signature, path=path))

    def _result(self, item: dict[str, Any], path: str, *, custom: bool) -> None:
        call_id = text(item, "call_id", path)
        if call_id not in self._call_names and not self._stored:
            raise WrongType(at(path, "call_id"), "no earlier item calls a tool with this id")
        self._append(
            "tool",
            ToolResult(
                call_id=call_id,
                name=self._call_names.get(call_id),
                parts=read_content(item.get("output"), at(path, "output")),
                kind="custom" if custom else "function",
                extra=beyond(item, _OUTPUT_FIELDS),
                path=path,
            ),
        )

    def _native(self, item: dict[str, Any], kind: str, path: str) -> None:
        if isinstance(call_id := item.get("call_id"), str):
            self._call_names[call_id] = None
        # A reference or a compaction stands for turns that are not shown here.
        self._stored = self._stored or kind in _STANDS_FOR_TURNS
        role: Role = "tool" if kind.endswith("_output") else "assistant"
        if kind == "additional_tools":
            role = "developer"
        self._append(role, Native(dialect="openai_responses", type=kind, value=item, path=path))

    def _append(self, role: Role, part: Part) -> None:
        if role != self._role:
            self._close()
            self._role = role
        self._parts.append(part)

    def _close(self) -> None:
        if self._role is not None:
            self._messages.append(Message(role=self._role, parts=tuple(self._parts)))
        self._role, self._parts = None, []


def _item_id(part: Text | Refusal) -> str | None:
    return part.item_id if isinstance(part, Text) else None


def _with_signatures(message: Message, signatures: dict[str, str | None]) -> Message:
    if not signatures or message.role != "assistant":
        return message
    parts = tuple(
        msgspec.structs.replace(part, signature=signatures[part.id])
        if isinstance(part, ToolCall) and part.id in signatures
        else part
        for part in message.parts
    )
    return msgspec.structs.replace(message, parts=parts)
