"""Gemini's `Schema` objects (a subset of OpenAPI 3.0) to JSON Schema, and JSON Schema as Gemini takes it.

What a caller of Gemini writes as `parameters` or `responseSchema` becomes JSON Schema in the neutral model. Towards
Gemini only `parametersJsonSchema` and `responseJsonSchema` are used: they take JSON Schema with `$ref` and
`additionalProperties`. https://ai.google.dev/api/generate-content#FIELDS.response_json_schema
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wire.dialects.gemini.shape import camel, items
from wire.reading import WrongType, as_object

MAX_DEPTH = 100  # deeper schemas are refused by Google (and would exhaust the stack here)

_TYPE_NUMBERS = {1: "string", 2: "number", 3: "integer", 4: "boolean", 5: "array", 6: "object", 7: "null"}
_COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_RENAMED = {"example": "examples", "defs": "$defs", "ref": "$ref"}
# Annotations without meaning for an answer, or not understood: left out.
_ANNOTATIONS = frozenset({"$schema", "$comment", "discriminator", "examples"})


def to_json_schema(schema: Any, path: str, depth: int = 0) -> dict[str, Any]:
    """A Gemini `Schema` as JSON Schema. Raises BadRequest naming the path of a wrong type."""
    if depth > MAX_DEPTH:
        raise WrongType(path, "is nested too deeply")
    found = {camel(name): value for name, value in as_object(schema, path).items() if value is not None}
    result: dict[str, Any] = {}
    for name, value in found.items():
        where = f"{path}.{name}"
        if name == "type":
            if (kind := _type_name(value, where)) is not None:
                result["type"] = kind
        elif name == "nullable":
            continue
        elif name in ("properties", "defs", "$defs"):
            result[_RENAMED.get(name, name)] = {
                key: to_json_schema(member, f"{where}.{key}", depth + 1)
                for key, member in as_object(value, where).items()
            }
        elif name == "items" or (name == "additionalProperties" and isinstance(value, dict)):
            result[name] = to_json_schema(value, where, depth + 1)
        elif name in ("anyOf", "prefixItems"):
            result[name] = [
                to_json_schema(member, f"{where}[{place}]", depth + 1) for place, member in enumerate(items(value))
            ]
        elif name == "example":
            result["examples"] = [value]
        elif name in _COUNTS and isinstance(value, str) and value.isdecimal():
            result[name] = int(value)  # int64 fields are text in protobuf JSON
        else:
            result[_RENAMED.get(name, name)] = value
    return _nullable(result) if found.get("nullable") is True else result


def _type_name(value: Any, path: str) -> Any:
    if isinstance(value, str):
        lowered = value.lower()
        return None if lowered == "type_unspecified" else lowered
    if isinstance(value, list) and all(isinstance(member, str) for member in value):
        return [member.lower() for member in value]
    if isinstance(value, int) and value in _TYPE_NUMBERS:
        return _TYPE_NUMBERS[value]
    raise WrongType(path, "is not a type")


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type")
    if isinstance(kind, str):
        widened = {**schema, "type": [kind, "null"]}
        if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
            widened["enum"] = [*schema["enum"], None]
        return widened
    if isinstance(schema.get("anyOf"), list):
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    return schema


def for_gemini(schema: Mapping[str, Any], path: str) -> tuple[dict[str, Any], list[str]]:
    """JSON Schema as Gemini takes it, and the paths of constraints that it cannot express.

    `const` becomes an `enum` of one; an exclusive bound of an integer the next inclusive one; other exclusive bounds
    are widened to inclusive ones and named.
    """
    lost: list[str] = []
    return _object_for_gemini(schema, path, lost, 0), lost


def _object_for_gemini(schema: Mapping[str, Any], path: str, lost: list[str], depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise WrongType(path, "is nested too deeply")
    result: dict[str, Any] = {}
    for name, value in schema.items():
        where = f"{path}.{name}"
        if name in _ANNOTATIONS:
            continue
        if name == "const":
            result["enum"] = [value]
            if "type" not in schema and (kind := _type_of(value)):
                result["type"] = kind
        elif name in ("exclusiveMinimum", "exclusiveMaximum"):
            _widen(result, schema, name, where, lost)
        elif name in ("properties", "$defs", "definitions", "patternProperties") and isinstance(value, dict):
            result[name] = {
                key: _any_for_gemini(member, f"{where}.{key}", lost, depth) for key, member in value.items()
            }
        elif name in ("items", "additionalProperties", "not", "if", "then", "else"):
            result[name] = _any_for_gemini(value, where, lost, depth)
        elif name in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
            result[name] = [
                _any_for_gemini(member, f"{where}[{place}]", lost, depth) for place, member in enumerate(value)
            ]
        else:
            result[name] = value
    return result


def _any_for_gemini(value: Any, path: str, lost: list[str], depth: int) -> Any:
    return _object_for_gemini(value, path, lost, depth + 1) if isinstance(value, dict) else value


def _widen(result: dict[str, Any], schema: Mapping[str, Any], name: str, path: str, lost: list[str]) -> None:
    bound = schema[name]
    inclusive = "minimum" if name == "exclusiveMinimum" else "maximum"
    if isinstance(bound, bool) or not isinstance(bound, int | float):
        lost.append(path)  # draft 4's boolean form
        return
    if schema.get("type") == "integer" and isinstance(bound, int):
        bound += 1 if inclusive == "minimum" else -1
    else:
        lost.append(path)
    result.setdefault(inclusive, bound)


def _type_of(value: Any) -> str | None:
    for kind, name in ((bool, "boolean"), (str, "string"), (int, "integer"), (float, "number")):
        if isinstance(value, kind):
            return name
    return None
