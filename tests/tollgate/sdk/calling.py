"""The fixed question by each way that the SDK has to ask it, and what comes back in a form that can be compared."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.asking import Declared, question
from tollgate import AsyncStream, Stream, Tollgate, TollgateError

FORMS = ("openai_chat", "openai_responses", "anthropic_messages")
_STAMP = re.compile(r"^(?:chatcmpl-|resp_|msg_)([0-9a-f]{32})$")


@dataclass
class Heard:
    """An answer, its chunks or the error, without what is never the same twice: our own ids, times and the model's
    name as it was asked for."""

    values: list[Any] = field(default_factory=list)
    dropped: tuple[str, ...] = ()
    usage: Any = None
    error: tuple[str, int | None, str | None, str] | None = None


def asked(form: str, model: str, tools: list[Declared], *, stream: bool) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """The method's name and what it is called with."""
    _, body = question(form, model, tools, stream=stream)
    name = body.pop("model")
    match form:
        case "openai_chat":
            return "completion", (name, body.pop("messages")), body
        case "openai_responses":
            return "responses", (name, body.pop("input")), body
        case _:
            return "messages", (name, body.pop("messages"), body.pop("max_tokens")), body


def ask(client: Tollgate, form: str, model: str, tools: list[Declared], *, stream: bool) -> Heard:
    method, arguments, fields = asked(form, model, tools, stream=stream)
    values: list[Any] = []
    answer: Any = None
    try:
        answer = getattr(client, method)(*arguments, **fields)
        if isinstance(answer, Stream):
            values.extend(answer)
    except TollgateError as error:
        return _heard(values, answer, error)
    return _heard(values, answer)


async def aask(client: Tollgate, form: str, model: str, tools: list[Declared], *, stream: bool) -> Heard:
    method, arguments, fields = asked(form, model, tools, stream=stream)
    values: list[Any] = []
    answer: Any = None
    try:
        answer = await getattr(client, f"a{method}")(*arguments, **fields)
        if isinstance(answer, AsyncStream):
            async for chunk in answer:
                values.append(chunk)
    except TollgateError as error:
        return _heard(values, answer, error)
    return _heard(values, answer)


def _heard(values: list[Any], answer: Any, error: TollgateError | None = None) -> Heard:
    streamed = isinstance(answer, Stream | AsyncStream)
    said = None if error is None else (type(error).__name__, error.status, error.code, error.message)
    if answer is None:
        return Heard(error=said)
    whole = values if streamed else [answer]
    dumped = [value.model_dump() for value in whole]
    usage = answer.usage.model_dump() if answer.usage is not None else None
    return Heard(_without_stamps(dumped), answer.dropped, usage, said)


def _without_stamps(dumped: list[dict[str, Any]]) -> list[Any]:
    text = json.dumps(dumped)
    found: set[str] = set()
    for value in dumped:
        outer = value.get("response") or value.get("message") or value
        if match := _STAMP.match(outer.get("id") or ""):
            found.add(match[1])
    for stamp in found:
        text = text.replace(stamp, "STAMP")
    values: list[Any] = json.loads(text)
    if found:
        for value in values:
            for holder in (value, value.get("response"), value.get("message")):
                if isinstance(holder, dict):
                    for name in ("model", "created", "created_at"):
                        holder.pop(name, None)
    return values
