"""What the caller of a Python function says, as the body of the request that it means. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tollgate.sdk.errors import InvalidRequestError
from tollgate.sdk.requests import plain_fields
from tollgate.sdk.structured import chat_format, json_format, messages_format
from tollgate.sdk.tools import flat_tool, messages_tool, prepare_tools

_FORMS = ("response_format", "output_format")


@dataclass(frozen=True)
class Wishes:
    """How to call, beside what to ask. None: as the client was made."""

    strict: bool | None = None
    timeout: float | None = None
    betas: tuple[str, ...] = ()
    form: Any = None  # the Python type that the answer is to be read into


def split_wishes(fields: Mapping[str, Any]) -> tuple[Wishes, dict[str, Any]]:
    """Raises InvalidRequestError."""
    rest = dict(fields)
    strict, timeout, betas = rest.pop("strict", None), rest.pop("timeout", None), rest.pop("betas", None)
    if strict is not None and not isinstance(strict, bool):
        raise _wrong("strict", "must be True or False")
    numeric = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if timeout is not None and not (numeric and timeout > 0):
        raise _wrong("timeout", "must be seconds above 0")
    if betas is not None and (isinstance(betas, str) or not all(isinstance(beta, str) for beta in betas)):
        raise _wrong("betas", "must be a list of texts")
    if not isinstance(rest.get("stream"), bool | None):
        raise _wrong("stream", "must be True or False")
    asked = next((rest[name] for name in _FORMS if isinstance(rest.get(name), type)), None)
    return Wishes(strict, timeout, tuple(betas or ()), asked), rest


def chat_fields(model: str, messages: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Raises InvalidRequestError, TypeError for a tool that cannot be described."""
    body = {"model": model, "messages": _turns("messages", messages), **fields}
    if body.get("reasoning_effort") == "auto":  # any-llm's word for what the provider does by itself
        del body["reasoning_effort"]
    if body.get("tools") is not None:
        body["tools"] = prepare_tools(body["tools"])
    if isinstance(body.get("response_format"), type):
        body["response_format"] = chat_format(body["response_format"])
    return plain_fields(body)


def responses_fields(model: str, input_data: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same; here `input_data` may also be one text."""
    given = input_data if isinstance(input_data, str) and input_data else _turns("input_data", input_data)
    body = {"model": model, "input": given, **fields}
    if body.get("tools") is not None:
        body["tools"] = [flat_tool(tool) for tool in prepare_tools(body["tools"])]
    if (form := body.pop("response_format", None)) is not None:  # any-llm's word for `text.format`
        body["text"] = {**(body.get("text") or {}), "format": json_format(form) if isinstance(form, type) else form}
    return plain_fields(body)


def messages_fields(model: str, messages: Any, max_tokens: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    body = {"model": model, "messages": _turns("messages", messages), "max_tokens": max_tokens, **fields}
    if body.get("tools") is not None:
        body["tools"] = [messages_tool(tool) for tool in prepare_tools(body["tools"])]
    if (form := body.pop("output_format", None)) is not None:  # any-llm's word for `output_config`
        given = form if isinstance(form, dict) and "format" in form else {"format": form}
        body["output_config"] = messages_format(form) if isinstance(form, type) else given
    return plain_fields(body)


def embedding_fields(model: str, inputs: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(inputs, str | list | tuple) or not inputs:
        raise _wrong("inputs", "must be a text or a list of texts, and not empty")
    return plain_fields({"model": model, "input": inputs, **fields})


def _turns(name: str, value: Any) -> Any:
    """The commonest mistake is one message, or its text, without a list around it."""
    if not isinstance(value, list | tuple):
        raise _wrong(name, f"must be a list of messages, not {type(value).__name__}")
    if not value:
        raise _wrong(name, "must not be empty")
    return value


def _wrong(name: str, problem: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name}: {problem}", param=name)
