"""Answers in the form of a Python type: its JSON Schema for the provider, and the object out of what came back."""

from __future__ import annotations

from typing import Any

import msgspec

from tollgate.sdk.errors import MalformedAnswerError
from tollgate.sdk.schema import schema_of
from tollgate.sdk.types import ChatCompletion, MessageResponse, Response
from tollgate.sdk.types.shape import PARSED, Answer


def json_format(kind: Any) -> dict[str, Any]:
    """As Responses has it in `text.format`. Raises TypeError for a type without a JSON Schema.

    `strict` holds a provider to the schema to the letter. OpenAI takes that only where every field is required.
    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """
    schema = _closed(schema_of(kind, "response_format"))
    if schema.get("type") != "object":
        raise TypeError(f"response_format: {_name(kind)} is no object with fields")
    return {"type": "json_schema", "name": _name(kind), "schema": schema, "strict": _all_required(schema)}


def chat_format(kind: Any) -> dict[str, Any]:
    """As Chat Completions has it in `response_format`."""
    form = json_format(kind)
    return {"type": form.pop("type"), "json_schema": form}


def messages_format(kind: Any) -> dict[str, Any]:
    """As Messages has it in `output_config`."""
    form = json_format(kind)
    return {"format": {"type": form["type"], "schema": form["schema"]}}


def fill(answer: Answer, kind: Any) -> None:
    """Set `parsed` of each message, `output_parsed` or `parsed_output`; None stays where there is no text to read (a
    refusal, a call of a tool). Raises MalformedAnswerError for text that is not of the type."""
    match answer:
        case ChatCompletion():
            for choice in answer.choices:
                _set(choice.message, choice.message.content, kind, choice.finish_reason)
        case Response():
            _set(answer, answer.output_text, kind, (answer.incomplete_details or {}).get("reason"))
        case MessageResponse():
            text = "".join(block.text or "" for block in answer.content if block.type == "text")
            _set(answer, text, kind, answer.stop_reason)


def _set(holder: Any, text: str | None, kind: Any, ended: str | None) -> None:
    if text:
        holder.__dict__[PARSED] = _parsed(text, kind, ended)


def _parsed(text: str, kind: Any, ended: str | None) -> Any:
    try:
        if callable(validate := getattr(kind, "model_validate_json", None)):
            return validate(text)
        return msgspec.json.decode(text, type=kind)
    except ValueError as error:  # msgspec's and pydantic's are ValueErrors
        why = f"; it ended by {ended!r}" if ended else ""
        raise MalformedAnswerError(f"The answer is no {_name(kind)}{why}") from error


def _name(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind))


def _closed(schema: Any) -> Any:
    """With `additionalProperties: false` where an object has fields."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(value) for name, value in schema.items()}
    return closed | {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else closed


def _all_required(schema: Any) -> bool:
    if isinstance(schema, list):
        return all(_all_required(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if isinstance(properties, dict) and set(properties) != set(schema.get("required", ())):
        return False
    open_object = schema.get("type") == "object" and not isinstance(properties, dict)
    return not open_object and all(_all_required(value) for value in schema.values())
