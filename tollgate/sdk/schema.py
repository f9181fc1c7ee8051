"""Python types as JSON Schema, written out in place (no references), as every provider takes it.

Supported: str, int, float, bool, None, Any, bytes (base64), Decimal, UUID, paths, date, time, datetime; lists, sets,
tuples and the abstract collections; mappings with text keys; unions, Literal, Enum, NewType; TypedDict, NamedTuple,
dataclasses, msgspec structs, and whatever has pydantic's `model_json_schema`. Annotated gives descriptions and bounds.
A type that holds itself is a bare object at its second turn. Anything else is a TypeError that names the place.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import inspect
import types
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import PurePath
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from msgspec import Struct, structs

Schema = dict[str, Any]
_Within = tuple[Any, ...]  # the types that are being written out just now

_PLAIN: Mapping[Any, Schema] = {
    Any: {},
    object: {},
    None: {"type": "null"},
    type(None): {"type": "null"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    Decimal: {"type": "number"},
    bytes: {"type": "string", "contentEncoding": "base64"},
    uuid.UUID: {"type": "string", "format": "uuid"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    time: {"type": "string", "format": "time"},
}
_LISTS = (
    list,
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Iterable,
    collections.abc.Collection,
)
_SETS = (set, frozenset, collections.abc.Set, collections.abc.MutableSet)
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
# How annotated-types, pydantic and msgspec name bounds, and JSON Schema.
_BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
    "pattern": "pattern",
}
_LENGTHS = {"string": ("minLength", "maxLength"), "array": ("minItems", "maxItems")}


def schema_of(hint: Any, path: str, within: _Within = ()) -> Schema:
    """`path` is where the type stands, for the error. Raises TypeError."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _annotated(args[0], args[1:], path, within)
    if origin in (Required, NotRequired):
        return schema_of(args[0], path, within)
    if origin is Literal:
        return _choices(args, path)
    if origin in (Union, types.UnionType):
        return _union(args, path, within)
    if _is_hashable(hint) and hint in _PLAIN:
        return dict(_PLAIN[hint])
    if hasattr(hint, "__supertype__"):  # NewType
        return schema_of(hint.__supertype__, path, within)
    if hasattr(hint, "__value__"):  # type X = ...
        return schema_of(hint.__value__, path, within)
    collected = _collection(origin or hint, args, path, within)
    if collected is not None:
        return collected
    if isinstance(hint, type):
        return _class(hint, path, within)
    raise _unsupported(hint, path)


def _is_hashable(hint: Any) -> bool:
    return isinstance(hint, collections.abc.Hashable)


def _unsupported(hint: Any, path: str) -> TypeError:
    name = getattr(hint, "__name__", None) or repr(hint)
    return TypeError(f"{path}: {name} has no JSON Schema that a model could fill in")


def _annotated(hint: Any, notes: Iterable[Any], path: str, within: _Within) -> Schema:
    schema = schema_of(hint, path, within)
    for note in notes:
        text = note if isinstance(note, str) else getattr(note, "description", None)
        if isinstance(text, str) and text:
            schema["description"] = text
        for inner in (note, *(getattr(note, "metadata", None) or ())):
            _bound(schema, inner)
    return schema


def _bound(schema: Schema, note: Any) -> None:
    for name, keyword in _BOUNDS.items():
        value = getattr(note, name, None)
        if isinstance(value, int | float | str) and not isinstance(note, str):
            schema[keyword] = value
    for name, keyword in zip(("min_length", "max_length"), _LENGTHS.get(schema.get("type", ""), ()), strict=False):
        if isinstance(value := getattr(note, name, None), int):
            schema[keyword] = value


def _choices(values: Iterable[Any], path: str) -> Schema:
    plain = [value.value if isinstance(value, enum.Enum) else value for value in values]
    if not plain or not all(value is None or isinstance(value, str | int | float) for value in plain):
        raise TypeError(f"{path}: the choices must be texts, numbers, True, False or None, and not be empty")
    kinds = {_PLAIN[type(value)]["type"] for value in plain}
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    return {"type": kinds.pop(), "enum": plain} if len(kinds) == 1 else {"enum": plain}


def _union(members: Iterable[Any], path: str, within: _Within) -> Schema:
    """anyOf, not oneOf: a whole number is an int and a float."""
    schemas = [schema_of(member, path, within) for member in members]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


# ------------------------------------------------------------------------------------------------- collections
def _collection(kind: Any, args: tuple[Any, ...], path: str, within: _Within) -> Schema | None:
    if kind is tuple:
        return _tuple(args, path, within)
    if kind in _LISTS or kind in _SETS:
        items = schema_of(args[0], f"{path}[]", within) if args else {}
        return {"type": "array", "items": items, **({"uniqueItems": True} if kind in _SETS else {})}
    if kind in _MAPPINGS:
        if args and schema_of(args[0], path, within).get("type") != "string":
            raise TypeError(f"{path}: the keys of a JSON object are texts")
        return {"type": "object", "additionalProperties": schema_of(args[1], f"{path}[]", within) if args else {}}
    return None


def _tuple(args: tuple[Any, ...], path: str, within: _Within) -> Schema:
    if not args:
        return {"type": "array", "items": {}}
    if len(args) == 2 and args[1] is Ellipsis:
        return {"type": "array", "items": schema_of(args[0], f"{path}[]", within)}
    items = [schema_of(item, f"{path}[{place}]", within) for place, item in enumerate(args)]
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


# ------------------------------------------------------------------------------------------------- classes
def _class(kind: type, path: str, within: _Within) -> Schema:
    if issubclass(kind, enum.Enum):
        return _choices(list(kind), path)
    if kind in within:
        return {"type": "object"}
    fields = _fields(kind, path)
    if fields is not None:
        return _object(fields, path, (*within, kind))
    if callable(made := getattr(kind, "model_json_schema", None)):
        schema: Schema = made()
        inlined: Schema = _inlined(schema, schema.get("$defs", {}), ())
        return inlined
    if issubclass(kind, PurePath):
        return {"type": "string"}
    base = next((base for base in (str, int, float) if issubclass(kind, base)), None)
    if base is None:
        raise _unsupported(kind, path)
    return dict(_PLAIN[base])


@dataclasses.dataclass(frozen=True)
class _Field:
    name: str
    hint: Any
    required: bool


def _fields(kind: Any, path: str) -> list[_Field] | None:
    """The fields of a class that is a record; None for others."""
    read = next((read for holds, read in _RECORDS if holds(kind)), None)
    if read is None:
        return None
    try:
        return read(kind, get_type_hints(kind, include_extras=True))
    except NameError as error:
        raise TypeError(f"{path}: {kind.__name__} names a type that is not there: {error}") from error


def _typed_dict(kind: Any, hints: Mapping[str, Any]) -> list[_Field]:
    """What is required was decided before annotations that are texts were read: an explicit word wins."""
    said = {Required: True, NotRequired: False}
    return [
        _Field(name, hint, said.get(get_origin(hint), name in kind.__required_keys__)) for name, hint in hints.items()
    ]


def _named_tuple(kind: Any, hints: Mapping[str, Any]) -> list[_Field]:
    return [_Field(name, hints.get(name, Any), name not in kind._field_defaults) for name in kind._fields]


def _struct(kind: Any, hints: Mapping[str, Any]) -> list[_Field]:
    return [_Field(each.encode_name, hints[each.name], each.required) for each in structs.fields(kind)]


def _dataclass(kind: Any, hints: Mapping[str, Any]) -> list[_Field]:
    missing = dataclasses.MISSING
    return [
        _Field(each.name, hints[each.name], each.default is missing and each.default_factory is missing)
        for each in dataclasses.fields(kind)
        if each.init
    ]


_RECORDS: tuple[tuple[Callable[[Any], bool], Callable[[Any, Mapping[str, Any]], list[_Field]]], ...] = (
    (is_typeddict, _typed_dict),
    (lambda kind: issubclass(kind, tuple) and hasattr(kind, "_fields"), _named_tuple),
    (lambda kind: issubclass(kind, Struct), _struct),
    (dataclasses.is_dataclass, _dataclass),
)


def _object(fields: Iterable[_Field], path: str, within: _Within) -> Schema:
    listed = list(fields)
    schema: Schema = {
        "type": "object",
        "properties": {each.name: schema_of(each.hint, f"{path}.{each.name}", within) for each in listed},
    }
    if required := [each.name for each in listed if each.required]:
        schema["required"] = required
    return schema


def _inlined(schema: Any, definitions: Mapping[str, Any], within: tuple[str, ...]) -> Any:
    """Pydantic's schema with its references written out."""
    if isinstance(schema, list):
        return [_inlined(item, definitions, within) for item in schema]
    if not isinstance(schema, dict):
        return schema
    rest = {name: value for name, value in schema.items() if name not in ("$ref", "$defs")}
    out = {name: _inlined(value, definitions, within) for name, value in rest.items()}
    if isinstance(reference := schema.get("$ref"), str):
        name = reference.rpartition("/")[2]
        meant = (
            {"type": "object"} if name in within else _inlined(definitions.get(name, {}), definitions, (*within, name))
        )
        return {**meant, **out}
    return out


# ------------------------------------------------------------------------------------------------- defaults
def default_of(value: Any) -> Any:
    """A default as JSON, `inspect.Parameter.empty` where it has no such form."""
    if isinstance(value, enum.Enum):
        value = value.value
    plain = value is None or isinstance(value, str | bool | int | float)
    if isinstance(value, list | tuple):
        plain = all(isinstance(item, str | bool | int | float) for item in value)
        value = list(value)
    return value if plain else inspect.Parameter.empty
