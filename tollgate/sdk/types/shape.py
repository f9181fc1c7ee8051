"""Objects of an answer: what a type knows as fields, what a provider says beyond it as attributes too. Nothing is lost.

Reading is as lenient as the vendors' own clients: a value stands as the wire has it, and only what holds other objects
must have the right form.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import orjson
from msgspec import Struct, field

ShapeT = TypeVar("ShapeT", bound="Shape")
_Reader = Callable[[Any, str], Any]
_GIVEN = "_given"  # names of the known fields that the wire held
PARSED = "_parsed"  # the answer as the Python type that was asked for
_ASIDE = (_GIVEN, PARSED)


class WrongForm(Exception):
    """Other JSON stands where an object or a list is meant to be; `args[0]` says where."""


class Shape(Struct, dict=True, kw_only=True):
    """An object with fields. What its type does not know is an attribute all the same, and part of `model_dump`."""

    def model_dump(self, *, exclude_none: bool = False) -> dict[str, Any]:
        """Plain dictionaries and lists. A field that was not sent is None, or left out."""
        dumped: dict[str, Any] = {}
        blank, given = type(self)(), self.__dict__.get(_GIVEN, ())
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is None:
                if not exclude_none:
                    dumped[name] = None
            # An inner object or list that stands empty because the wire held none says nothing.
            elif name in given or value != getattr(blank, name):
                dumped[name] = _plain(value, exclude_none)
        for name, value in self.__dict__.items():
            if name not in _ASIDE and not (value is None and exclude_none):
                dumped[name] = _plain(value, exclude_none)
        return dumped

    def model_dump_json(self, *, exclude_none: bool = False) -> str:
        return orjson.dumps(self.model_dump(exclude_none=exclude_none)).decode()


class About(Struct, frozen=True, kw_only=True):
    """What is known of a call beside its answer. Attempts and cost only a gateway tells."""

    provider: str | None = None
    model: str | None = None
    request_id: str | None = None
    cost_usd: Decimal | None = None  # None: not known, or not before a stream's end
    attempts: int | None = None
    dropped: tuple[str, ...] = ()
    headers: Mapping[str, str] = {}  # those of the gateway's own (`x-tollgate-...`), and about rate limits


class Answer(Shape):
    """The outermost object of an answer. `tollgate` is no part of it on the wire."""

    tollgate: About = field(default_factory=About)

    @property
    def dropped(self) -> tuple[str, ...]:
        """Fields of the request that the provider cannot take, and parts of its answer that this form cannot hold."""
        return self.tollgate.dropped

    def model_dump(self, *, exclude_none: bool = False) -> dict[str, Any]:
        dumped = Shape.model_dump(self, exclude_none=exclude_none)
        dumped.pop("tollgate", None)
        return dumped


def read(kind: type[ShapeT], value: Any, path: str = "the answer") -> ShapeT:
    """Raises WrongForm."""
    if not isinstance(value, dict):
        raise WrongForm(f"{path} is not an object")
    readers = _readers(kind)
    known: dict[str, Any] = {}
    beyond: dict[str, Any] = {}
    for name, item in value.items():
        if name not in readers:
            beyond[name] = item
        elif item is not None:
            reader = readers[name]
            known[name] = item if reader is None else reader(item, f"{path}.{name}")
    made = kind(**known)
    made.__dict__.update(beyond)
    made.__dict__[_GIVEN] = frozenset(known)
    return made


@cache
def _readers(kind: type[Shape]) -> dict[str, _Reader | None]:
    """How each known field is read; None: it stands as it is."""
    hints = get_type_hints(kind)
    return {name: _reader(hints[name]) for name in kind.__struct_fields__ if name != "tollgate"}


def _reader(hint: Any) -> _Reader | None:
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(arg for arg in get_args(hint) if arg is not type(None))
    if get_origin(hint) is list:
        inner = get_args(hint)[0]
        return _list_reader(inner) if _is_shape(inner) else None
    return _object_reader(hint) if _is_shape(hint) else None


def _is_shape(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Shape)


def _object_reader(kind: type[Shape]) -> _Reader:
    return lambda value, path: read(kind, value, path)


def _list_reader(kind: type[Shape]) -> _Reader:
    def reader(value: Any, path: str) -> list[Shape]:
        if not isinstance(value, list):
            raise WrongForm(f"{path} is not a list")
        return [read(kind, item, f"{path}[{place}]") for place, item in enumerate(value)]

    return reader


def _plain(value: Any, exclude_none: bool) -> Any:
    if isinstance(value, Shape):
        return value.model_dump(exclude_none=exclude_none)
    return [_plain(item, exclude_none) for item in value] if isinstance(value, list) else value
