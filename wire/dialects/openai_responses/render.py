"""The neutral model to a Responses request. https://platform.openai.com/docs/api-reference/responses/create"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import orjson

from wire.dialect import Quirks, Rendered
from wire.dialects.openai_responses import carried
from wire.dialects.openai_responses.items import annotation, reasoning_item
from wire.dialects.openai_responses.media import render_audio, render_document, render_image, unsupported
from wire.dialects.openai_responses.request import ENCRYPTED_REASONING, LOGPROBS
from wire.dialects.openai_responses.tools import render_tool_choice, render_tools, split_name
from wire.neutral import (
    Audio,
    Document,
    Image,
    Message,
    Native,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from wire.reading import at
from wire.rewriting import read_top_level, replace_top_level

FIELD_NAMES = {
    "model": "model",
    "messages": "input",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "parallel_tool_calls": "parallel_tool_calls",
    "max_tokens": "max_output_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "logprobs": "include",
    "top_logprobs": "top_logprobs",
    "response_format": "text.format",
    "reasoning": "reasoning",
    "verbosity": "text.verbosity",
    "stream": "stream",
    "user": "user",
    "metadata": "metadata",
    "service_tier": "service_tier",
    "store": "store",
    "prompt_cache_key": "prompt_cache_key",
    "encrypted_reasoning": "include",
    "cache": "prompt_cache_breakpoint",
}

# Neutral settings without a field here, and the value that asks for nothing.
_NO_FIELD: dict[str, tuple[Any, ...]] = {
    "top_k": (None,),
    "stop": ((),),
    "seed": (None,),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "logit_bias": (None, {}),
    "n": (None, 1),
    "modalities": ((), ("text",)),
}

# Chat Completions has these under the same name and in the same meaning.
_SHARED_EXTRAS = frozenset({"safety_identifier", "prompt_cache_retention", "prompt_cache_options", "moderation"})

# OpenAI answers "Encrypted content is not supported with this model" for models that do not reason.
_WITHOUT_REASONING = ("gpt-4", "gpt-3.5", "chatgpt-", "gpt-5-chat", "ft:gpt-4", "ft:gpt-3.5")

_TIERS = frozenset({"auto", "default", "flex", "priority", "scale"})
_MAX_ID = 64  # characters of a call id and of `user`; OpenAI refuses longer ones
_MAX_METADATA = 16

_PLAIN_MIMES = (None, "text/plain", "application/json")  # what the kind of format says already

# Neutral settings that a request can do without, and their absence.
_OPTIONAL: dict[str, Any] = {
    field.name: field.default
    for field in msgspec.structs.fields(Request)
    if field.name in FIELD_NAMES and not field.required
}
_INCLUDED = {"logprobs": LOGPROBS, "encrypted_reasoning": ENCRYPTED_REASONING}

_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


def render_request(request: Request, *, quirks: Quirks) -> Rendered:
    """Raises BadRequest naming a part that the format has no place for."""
    dropped: list[str] = []
    request = _without(request, quirks.drop, dropped)
    instructions, items = _Input(request, quirks, dropped).render()
    body: dict[str, Any] = {"model": request.model}
    if instructions is not None:
        body["instructions"] = instructions
    body["input"] = items
    tools = render_tools(request, dropped)
    settings = {
        "tools": tools or None,
        "tool_choice": render_tool_choice(request, tools, dropped),
        "parallel_tool_calls": request.parallel_tool_calls,
        "max_output_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_logprobs": request.top_logprobs,
        "text": _text_settings(request, quirks, dropped),
        "reasoning": _reasoning(request.reasoning),
        "include": _include(request, quirks),
        "stream": True if request.stream else None,
        **_bookkeeping(request, dropped),
    }
    body |= {key: value for key, value in settings.items() if value is not None}
    dropped += [name for name, idle in _NO_FIELD.items() if getattr(request, name) not in idle]
    _add_extra(request, body, dropped)
    return Rendered(body=body, dropped=tuple(dict.fromkeys(dropped)))


def _without(request: Request, refused: frozenset[str], dropped: list[str]) -> Request:
    """What the upstream refuses taken out: neutral names, or names of `Request.extra`."""
    changes: dict[str, Any] = {}
    for name in sorted(refused):
        if name in _OPTIONAL:
            if getattr(request, name) != _OPTIONAL[name]:
                changes[name] = _OPTIONAL[name]
                dropped.append(name)
        elif name in request.extra:
            changes["extra"] = {key: value for key, value in changes.get("extra", request.extra).items() if key != name}
            dropped.append(f"extra.{name}")
    return msgspec.structs.replace(request, **changes) if changes else request


def _text_settings(request: Request, quirks: Quirks, dropped: list[str]) -> dict[str, Any] | None:
    settings: dict[str, Any] = {}
    wanted = request.response_format
    if wanted is not None:
        if wanted.mime not in _PLAIN_MIMES:
            dropped.append("response_format")
        kind = wanted.kind
        if kind == "json_schema" and (wanted.schema is None or not quirks.json_schema):
            dropped += ["response_format"] if wanted.schema is not None else []
            kind = "json_object"
        settings["format"] = {"type": kind}
        if kind == "json_schema":
            described = {"name": wanted.name or "answer", "schema": wanted.schema}
            optional = {"description": wanted.description, "strict": wanted.strict}
            settings["format"] |= described | {key: value for key, value in optional.items() if value is not None}
    if request.verbosity is not None:
        settings["verbosity"] = request.verbosity
    return settings or None


def _reasoning(wanted: Reasoning | None) -> dict[str, Any] | None:
    """A token budget becomes the effort whose usual spending it covers; OpenAI has no budget field."""
    if wanted is None:
        return None
    effort, budget = wanted.effort, wanted.budget_tokens
    if effort is None and budget is not None and budget >= 0:
        effort = "none" if budget == 0 else "low" if budget <= 4096 else "medium" if budget <= 16384 else "high"
    elif effort is None and wanted.enabled is False:
        effort = "none"
    summary = wanted.summary
    if summary is None and effort != "none" and (wanted.include or wanted.enabled):
        summary = "auto"
    settings = {"effort": effort, "summary": summary}
    return {key: value for key, value in settings.items() if value is not None} or None


def _include(request: Request, quirks: Quirks) -> list[str] | None:
    include: list[str] = []
    encrypted = request.encrypted_reasoning
    if request.dialect != "openai_responses":
        # Without it reasoning could not be handed back to an upstream that is told to store nothing.
        model = request.model.rpartition("/")[2]
        encrypted = not model.startswith(_WITHOUT_REASONING)
    if encrypted and "encrypted_reasoning" not in quirks.drop:
        include.append(ENCRYPTED_REASONING)
    if request.logprobs:
        include.append(LOGPROBS)
    return include or None


def _bookkeeping(request: Request, dropped: list[str]) -> dict[str, Any]:
    """User, metadata, tier and storage. Values that OpenAI is known to refuse are left out and said so."""
    own = request.dialect == "openai_responses"
    user, metadata, tier = request.user, request.metadata, request.service_tier
    if not own:
        if user is not None and len(user) > _MAX_ID:
            dropped.append("user")
            user = None
        if metadata and (len(metadata) > _MAX_METADATA or not all(isinstance(v, str) for v in metadata.values())):
            dropped.append("metadata")
            metadata = None
        if tier is not None and tier not in _TIERS:
            dropped.append("service_tier")
            tier = None
    store = request.store
    return {
        "user": user,
        "metadata": metadata or None,
        "service_tier": tier,
        "store": False if store is None and not own else store,
        "prompt_cache_key": request.prompt_cache_key,
    }


def _add_extra(request: Request, body: dict[str, Any], dropped: list[str]) -> None:
    own = request.dialect == "openai_responses"
    for name, value in request.extra.items():
        if not own and name not in _SHARED_EXTRAS:
            dropped.append(f"extra.{name}")
            continue
        group, _, inner = name.partition(".")
        if inner and group in ("text", "reasoning"):
            body.setdefault(group, {})[inner] = value
        elif name == "include":
            body.setdefault("include", []).extend(value)
        else:
            body[name] = value


# ------------------------------------------------------------------------------------------------- input items
class _Input:
    """Turns to items, in order. Content parts are gathered until an item that stands for itself comes."""

    def __init__(self, request: Request, quirks: Quirks, dropped: list[str]) -> None:
        self._request = request
        self._quirks = quirks
        self._dropped = dropped
        self._own = request.dialect == "openai_responses"
        self._items: list[dict[str, Any]] = []
        self._content: list[dict[str, Any]] = []
        self._head: dict[str, Any] = {}

    def render(self) -> tuple[str | None, list[dict[str, Any]]]:
        messages = self._request.messages
        instructions = self._instructions(messages[0]) if messages else None
        for message in messages if instructions is None else messages[1:]:
            self._message(message)
        return instructions, self._items

    def _instructions(self, message: Message) -> str | None:
        part = message.parts[0] if len(message.parts) == 1 else None
        if message.role != "system" or not isinstance(part, Text):
            return None
        if self._own and part.path != "instructions":
            return None
        self._losses(part)
        return part.text

    def _message(self, message: Message) -> None:
        if message.name is not None:
            self._dropped.append("name")
        if message.extra and not self._own:
            path = _message_path(message.parts[0].path if message.parts else "")
            self._dropped += [at(path, key) for key in message.extra]
        texts = [part for part in message.parts if isinstance(part, Text)]
        self._head = self._head_of(message, texts[0] if texts else None)
        for part in message.parts:
            if message.role == "assistant" and isinstance(part, Text) and not (part.text or self._own):
                continue  # it says nothing: Gemini hangs signatures on such
            if _is_content(part):
                # An assistant turn can hold several messages: the item that a text belongs to tells them apart.
                if isinstance(part, Text) and message.role == "assistant":
                    self._begin(self._head_of(message, part))
                self._content.append(self._content_part(message.role, part))
            elif isinstance(part, ToolCall | ToolResult | Thinking | Native) and (item := self._item(part)) is not None:
                self._flush()
                self._items.append(item)
        self._flush()

    def _head_of(self, message: Message, part: Text | None) -> dict[str, Any]:
        head: dict[str, Any] = {"type": "message", "role": self._wire_role(message.role)}
        if self._own:
            optional = {"id": part.item_id, "phase": part.phase} if part else {}
            head |= {key: value for key, value in optional.items() if value is not None} | (message.extra or {})
        return head

    def _begin(self, head: dict[str, Any]) -> None:
        if head != self._head:
            self._flush()
        self._head = head

    def _flush(self) -> None:
        if self._content:
            self._items.append({**self._head, "content": self._content})
        self._content = []

    def _item(self, part: ToolCall | ToolResult | Thinking | Native) -> dict[str, Any] | None:
        """The item that a part is on its own; None for what cannot be carried."""
        if isinstance(part, ToolCall):
            return self._call(part)
        if isinstance(part, ToolResult):
            return self._result(part)
        if isinstance(part, Thinking):
            return self._thinking(part)
        if part.dialect == "openai_responses":
            return part.value
        self._dropped.append(part.path or part.type)
        return None

    def _thinking(self, part: Thinking) -> dict[str, Any] | None:
        if part.origin != "openai_responses" or not (self._own or part.opaque or part.text):
            self._dropped.append(part.path or "thinking")
            return None
        if not self._own and part.opaque is None:
            # Of a provider that shows its reasoning in full and wants the text back. Its id means nothing there: what
            # is asked on behalf of another dialect is not stored.
            return {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": part.text}]}
        item = reasoning_item(part.item_id or "", part) | (part.extra or {})
        return item if part.item_id else {key: value for key, value in item.items() if key != "id"}

    def _call(self, part: ToolCall) -> dict[str, Any]:
        self._losses(part)
        name, namespace = part.name, part.namespace
        if namespace is not None:
            name, namespace = split_name(name, namespace)
        custom = part.kind == "custom"
        item = {
            "type": "custom_tool_call" if custom else "function_call",
            "call_id": self._call_id(part.id),
            "name": name,
            "input" if custom else "arguments": part.arguments,
        }
        optional = {"id": part.item_id, "namespace": namespace}
        return item | {key: value for key, value in optional.items() if value is not None} | self._extra(part)

    def _result(self, part: ToolResult) -> dict[str, Any]:
        self._losses(part)
        if part.is_error:
            self._dropped.append(f"{part.path}.is_error")
        output: Any = [self._result_part(inner) for inner in part.parts if self._is_ours(inner)]
        if len(output) == 1 and set(output[0]) == {"type", "text"}:
            output = output[0]["text"]
        return {
            "type": "custom_tool_call_output" if part.kind == "custom" else "function_call_output",
            "call_id": self._call_id(part.call_id),
            "output": output or "",
        } | self._extra(part)

    def _is_ours(self, part: Part) -> bool:
        if isinstance(part, Native) and part.dialect != "openai_responses":
            self._dropped.append(part.path or part.type)
            return False
        return True

    def _result_part(self, part: Part) -> dict[str, Any]:
        if isinstance(part, Image | Document) and not self._quirks.tool_result_images:
            raise unsupported(part.path, "image or file in a tool result")
        return self._content_part("user", part)

    def _call_id(self, call_id: str) -> str:
        """The same short id for a call and its result where the foreign one is longer than OpenAI takes."""
        if self._own or len(call_id) <= _MAX_ID:
            return call_id
        return "call_" + hashlib.sha256(call_id.encode()).hexdigest()[:40]

    def _wire_role(self, role: str) -> str:
        if role == "developer" and not self._quirks.developer_role:
            return "system"
        return "user" if role == "tool" else role

    def _content_part(self, role: str, part: Part) -> dict[str, Any]:
        self._losses(part)
        if isinstance(part, Text):
            if role != "assistant":
                return {"type": "input_text", "text": part.text} | self._extra(part)
            return {"type": "output_text", "text": part.text} | self._annotations(part) | self._extra(part)
        if isinstance(part, Refusal):
            return {"type": "refusal", "refusal": part.text}
        if isinstance(part, Native) and part.dialect == "openai_responses":
            return part.value
        if role == "assistant" and isinstance(part, Audio) and part.transcript is not None:
            self._dropped.append(part.path or "audio")
            return {"type": "output_text", "text": part.transcript}
        if role != "assistant" or self._own:
            if isinstance(part, Image):
                return render_image(part, urls=self._quirks.image_urls) | self._extra(part)
            if isinstance(part, Document):
                return render_document(part, own=self._own) | self._extra(part)
        if isinstance(part, Audio) and (role != "assistant" or self._own):
            return render_audio(part, own=self._own)
        raise unsupported(part.path, f"{type(part).__name__.lower()} part")

    def _annotations(self, part: Text) -> dict[str, Any]:
        rendered = [annotation(citation, len(part.text), self._dropped) for citation in part.citations]
        annotations = [entry for entry in rendered if entry is not None]
        return {"annotations": annotations} if annotations else {}

    def _extra(self, part: Text | Image | Document | ToolCall | ToolResult) -> dict[str, Any]:
        return part.extra if self._own and part.extra else {}

    def _losses(self, part: Part) -> None:
        """Notes what the part says that has no place here."""
        if self._own:
            return
        if isinstance(part, Text | Image | Document | ToolCall | ToolResult):
            if part.cache is not None:
                self._dropped.append("cache")
            if part.extra:
                self._dropped += [at(part.path, key) for key in part.extra]
        if isinstance(part, Document):
            told = {"title": part.title if part.filename else None, "context": part.context}
            told["citations"] = "yes" if part.citations else None
            self._dropped += [at(part.path, key) for key, value in told.items() if value is not None]


def _is_content(part: Part) -> bool:
    if isinstance(part, Native):
        return part.dialect == "openai_responses" and (".content[" in part.path or ".output[" in part.path)
    return not isinstance(part, Thinking | ToolCall | ToolResult)


def _message_path(path: str) -> str:
    return path.rpartition(".content")[0] or path


# ------------------------------------------------------------------------------------------------- same dialect
def rewrite_request(body: bytes, *, model: str | None, quirks: Quirks, include_usage: bool) -> tuple[bytes, bool]:
    """Every answer carries usage here, so nothing is ever added for it.

    Reasoning that another dialect's model left in the history (`carried`) is taken out: this upstream cannot read it.
    """
    del include_usage
    changes: dict[str, bytes | None] = {} if model is None else {"model": orjson.dumps(model)}
    foreign = carried.PREFIX.encode() in body
    if quirks.drop or foreign:
        members = read_top_level(body)
        changes |= _without_refused(members, quirks)
        changes |= _without_foreign_reasoning(members) if foreign else {}
    return (replace_top_level(body, changes) if changes else body), False


def _without_refused(members: dict[str, msgspec.Raw], quirks: Quirks) -> dict[str, bytes | None]:
    changed: dict[str, Any] = {}
    for name in sorted(quirks.drop):
        field, _, inner = FIELD_NAMES.get(name, name).partition(".")
        if field not in members:
            continue
        value = changed[field] if field in changed else orjson.loads(bytes(members[field]))
        if name in _INCLUDED and isinstance(value, list):
            changed[field] = [entry for entry in value if entry != _INCLUDED[name]]
        elif inner and isinstance(value, dict):
            changed[field] = {key: entry for key, entry in value.items() if key != inner}
        else:
            changed[field] = None
    return {field: None if value is None else orjson.dumps(value) for field, value in changed.items()}


def _without_foreign_reasoning(members: dict[str, msgspec.Raw]) -> dict[str, bytes | None]:
    """The items that stay keep their bytes."""
    given = bytes(members.get("input", b""))
    if not given.startswith(b"["):
        return {}
    items = _ITEMS.decode(given)
    kept = [bytes(item) for item in items if not _is_foreign_reasoning(bytes(item))]
    return {} if len(kept) == len(items) else {"input": b"[" + b",".join(kept) + b"]"}


def _is_foreign_reasoning(raw: bytes) -> bool:
    if carried.PREFIX.encode() not in raw:
        return False
    item = orjson.loads(raw)
    blob = item.get("encrypted_content") if isinstance(item, dict) else None
    return isinstance(blob, str) and item.get("type") == "reasoning" and carried.is_carried(blob)
