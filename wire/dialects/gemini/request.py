"""A generateContent request to the neutral model. https://ai.google.dev/api/generate-content#request-body

Role `function` is an old name of `user`. Function results stand in messages of role `tool`, so one content may become
several messages. Whatever has no place in the neutral model goes to `Request.extra` by its path.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from msgspec import structs

from wire.dialects.gemini.call_ids import CallIds
from wire.dialects.gemini.parts import PartReader
from wire.dialects.gemini.schema import to_json_schema
from wire.dialects.gemini.shape import fields, items, optional_integer, optional_number, strings
from wire.dialects.gemini.thinking import parse_thinking
from wire.neutral import (
    Message,
    NativeTool,
    Part,
    Reasoning,
    Request,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
)
from wire.reading import WrongType, as_object, as_text, flag_or_none, text_or_none, unknown_fields

_TOP = frozenset(
    {"model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "serviceTier", "store"}
)
_CONFIG = frozenset(
    {
        "temperature",
        "topP",
        "topK",
        "maxOutputTokens",
        "stopSequences",
        "candidateCount",
        "seed",
        "presencePenalty",
        "frequencyPenalty",
        "responseMimeType",
        "responseSchema",
        "responseJsonSchema",
        "responseLogprobs",
        "logprobs",
        "thinkingConfig",
        "responseModalities",
    }
)
_ROLES: dict[str, Role] = {"user": "user", "function": "user", "tool": "user", "model": "assistant"}
_MODES = {1: "AUTO", 2: "ANY", 3: "NONE", 4: "VALIDATED"}
_MODALITIES = {1: "text", 2: "image", 3: "audio"}


def parse_request(body: dict[str, Any], *, model: str | None = None, stream: bool | None = None) -> Request:
    """`model` and `stream` come from the URL. Raises BadRequest naming the path of what is wrong."""
    top = fields(body, "body")
    named = text_or_none(top, "model", "")
    reader = PartReader(CallIds(), calls_elsewhere="cachedContent" in top)
    messages = [*_system(top.get("systemInstruction"), reader), *_contents(top.get("contents"), reader)]
    config = fields(top.get("generationConfig", {}), "generationConfig")
    extra = unknown_fields(top, _TOP)
    extra.update({f"generationConfig.{name}": value for name, value in unknown_fields(config, _CONFIG).items()})
    choice = _tool_choice(top.get("toolConfig"), extra)
    reasoning = _reasoning(config, extra)
    tools = tuple(_tools(top.get("tools")))
    where = "generationConfig"
    return Request(
        dialect="gemini",
        model=model or (named or "").removeprefix("models/"),
        messages=tuple(messages),
        tools=tools,
        tool_choice=choice,
        max_tokens=optional_integer(config, "maxOutputTokens", where),
        temperature=optional_number(config, "temperature", where),
        top_p=optional_number(config, "topP", where),
        top_k=optional_integer(config, "topK", where),
        stop=strings(config, "stopSequences", where),
        seed=optional_integer(config, "seed", where),
        presence_penalty=optional_number(config, "presencePenalty", where),
        frequency_penalty=optional_number(config, "frequencyPenalty", where),
        n=optional_integer(config, "candidateCount", where),
        logprobs=flag_or_none(config, "responseLogprobs", where),
        top_logprobs=optional_integer(config, "logprobs", where),
        response_format=_response_format(config),
        reasoning=reasoning,
        modalities=_modalities(config),
        stream=bool(stream),
        service_tier=text_or_none(top, "serviceTier", ""),
        store=flag_or_none(top, "store", ""),
        extra={**extra, **reader.extra},
    )


def _system(value: Any, reader: PartReader) -> Iterable[Message]:
    if value is None:
        return
    path = "systemInstruction"
    parts = _parts(fields(value, path), path, reader)
    if parts:
        yield Message(role="system", parts=tuple(parts))


def _contents(value: Any, reader: PartReader) -> Iterable[Message]:
    """Consecutive model contents are one turn: streaming clients keep every chunk as a content of its own."""
    contents = items(value)
    if not contents:
        raise WrongType("contents", "must hold at least one content")
    turns: list[tuple[Role, list[Part]]] = []
    for place, raw in enumerate(contents):
        path = f"contents[{place}]"
        content = fields(raw, path)
        role = _ROLES.get(text_or_none(content, "role", path) or "user")
        if role is None:
            raise WrongType(f"{path}.role", "must be user or model")
        for name, value in unknown_fields(content, ("role", "parts")).items():
            reader.extra[f"{path}.{name}"] = value
        parts = _parts(content, path, reader)
        if role == "assistant" and any(isinstance(part, ToolResult) for part in parts):
            raise WrongType(path, "a model turn cannot hold a functionResponse")
        if role == "assistant" and turns and turns[-1][0] == role:
            turns[-1][1].extend(parts)
        else:
            turns.append((role, parts))
    for role, parts in turns:
        if role == "assistant":
            yield Message(role=role, parts=join_pieces(_without_copies(parts)))
        else:
            for is_result, run in groupby(parts, lambda part: isinstance(part, ToolResult)):
                yield Message(role="tool" if is_result else role, parts=tuple(run))


def _parts(content: dict[str, Any], path: str, reader: PartReader) -> list[Part]:
    parts: list[Part] = []
    for place, raw in enumerate(items(content.get("parts"))):
        parts.extend(reader.read(raw, f"{path}.parts[{place}]"))
    return parts


def _without_copies(parts: list[Part]) -> list[Part]:
    """A seal holds foreign thinking whole: the thought parts that showed its text are copies."""
    if any(isinstance(part, Thinking) and part.origin != "gemini" for part in parts):
        return [part for part in parts if not _is_copy(part)]
    return parts


def _is_copy(part: Part) -> bool:
    """A thought without proof: of Gemini's own, or shown of one that is sealed elsewhere."""
    return isinstance(part, Thinking) and part.origin == "gemini" and part.signature is None


def join_pieces(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Pieces of one text, or of one thought, as a stream brought them. A signature ends what it stands with; an empty
    text that brings one stays apart."""
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(last, Text | Thinking) and isinstance(part, Text | Thinking) and _goes_on(last, part):
            joined[-1] = structs.replace(part, text=last.text + part.text, path=last.path)
        else:
            joined.append(part)
    return tuple(joined)


def _goes_on(last: Text | Thinking, part: Text | Thinking) -> bool:
    if isinstance(last, Thinking):
        return isinstance(part, Thinking) and _is_copy(last) and part.origin == "gemini"
    return isinstance(part, Text) and last.signature is None and (bool(part.text) or part.signature is None)


def _tools(value: Any) -> Iterable[Tool | NativeTool]:
    for place, raw in enumerate(items(value)):
        path = f"tools[{place}]"
        for name, member in fields(raw, path).items():
            if name == "functionDeclarations":
                for number, declaration in enumerate(items(member)):
                    yield _function(declaration, f"{path}.functionDeclarations[{number}]")
            else:
                yield NativeTool(dialect="gemini", type=name, value={name: member}, path=path)


def _function(raw: Any, path: str) -> Tool:
    declaration = fields(raw, path)
    parameters: dict[str, Any] | None = None
    if "parametersJsonSchema" in declaration:
        parameters = as_object(declaration["parametersJsonSchema"], f"{path}.parametersJsonSchema")
    elif "parameters" in declaration:
        parameters = to_json_schema(declaration["parameters"], f"{path}.parameters")
    return Tool(
        name=as_text(declaration.get("name"), f"{path}.name"),
        description=text_or_none(declaration, "description", path),
        parameters=parameters,
        extra=unknown_fields(declaration, ("name", "description", "parameters", "parametersJsonSchema")) or None,
        path=path,
    )


def _tool_choice(value: Any, extra: dict[str, Any]) -> ToolChoice | None:
    if value is None:
        return None
    config = fields(value, "toolConfig")
    path = "toolConfig.functionCallingConfig"
    extra.update({f"toolConfig.{name}": member for name, member in config.items() if name != "functionCallingConfig"})
    calling = fields(config.get("functionCallingConfig", {}), path)
    for name, member in unknown_fields(calling, ("mode", "allowedFunctionNames")).items():
        extra[f"{path}.{name}"] = member
    allowed = strings(calling, "allowedFunctionNames", path)
    mode = calling.get("mode")
    word = _MODES.get(mode) if isinstance(mode, int) else mode
    if word is None or word == "MODE_UNSPECIFIED":
        return None
    match as_text(word, f"{path}.mode").upper():
        case "AUTO":
            return ToolChoice(mode="auto", allowed=allowed)
        case "NONE":
            return ToolChoice(mode="none")
        case "ANY" if len(allowed) == 1:
            return ToolChoice(mode="tool", name=allowed[0])
        case "ANY":
            return ToolChoice(mode="required", allowed=allowed)
        case "VALIDATED":  # like AUTO, with calls held to their schemas
            return ToolChoice(mode="auto", allowed=allowed, native="VALIDATED", native_dialect="gemini")
    raise WrongType(f"{path}.mode", "must be AUTO, ANY, NONE or VALIDATED")


def _reasoning(config: dict[str, Any], extra: dict[str, Any]) -> Reasoning | None:
    if "thinkingConfig" not in config:
        return None
    path = "generationConfig.thinkingConfig"
    thinking = fields(config["thinkingConfig"], path)
    known = ("thinkingBudget", "thinkingLevel", "includeThoughts")
    extra.update({f"{path}.{name}": value for name, value in unknown_fields(thinking, known).items()})
    return parse_thinking(
        budget=optional_integer(thinking, "thinkingBudget", path),
        level=text_or_none(thinking, "thinkingLevel", path),
        include=flag_or_none(thinking, "includeThoughts", path),
    )


def _response_format(config: dict[str, Any]) -> ResponseFormat | None:
    path = "generationConfig"
    mime = text_or_none(config, "responseMimeType", path)
    schema: dict[str, Any] | None = None
    if "responseJsonSchema" in config:
        schema = as_object(config["responseJsonSchema"], f"{path}.responseJsonSchema")
    elif "responseSchema" in config:
        schema = to_json_schema(config["responseSchema"], f"{path}.responseSchema")
    other = None if mime in ("application/json", "text/plain") else mime
    if schema is not None:
        return ResponseFormat(kind="json_schema", schema=schema, mime=other)
    if mime is None:
        return None
    return ResponseFormat(kind="json_object" if mime == "application/json" else "text", mime=other)


def _modalities(config: dict[str, Any]) -> tuple[str, ...]:
    path = "generationConfig.responseModalities"
    return tuple(
        _MODALITIES.get(value, "text") if isinstance(value, int) else as_text(value, f"{path}[{place}]").lower()
        for place, value in enumerate(items(config.get("responseModalities")))
    )
