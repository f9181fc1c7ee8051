"""Functions as tools: what signature and docstring become."""

from __future__ import annotations

import enum
import functools
import inspect
import keyword
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, Optional, TypedDict, Union

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollgate import callable_to_tool, prepare_tools
from tollgate.sdk.tools import flat_tool, messages_tool


class Unit(enum.Enum):
    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Place:
    city: str
    country: Annotated[str, "ISO code"] = "KR"
    tags: list[str] = field(default_factory=list)
    inside: Optional[Place] = None  # noqa: UP045 - as users write it


class Stay(TypedDict):
    start: date
    nights: NotRequired[int]


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Row(msgspec.Struct, rename="camel"):
    row_id: int
    note: str = ""


class Guest(pydantic.BaseModel):
    name: str = pydantic.Field(description="Full name")
    friend: Guest | None = None


UserId = NewType("UserId", str)


def parameters(function: Callable[..., Any]) -> dict[str, Any]:
    found: dict[str, Any] = callable_to_tool(function)["function"]["parameters"]
    return found


def one(hint: Any) -> Any:
    """The schema of one parameter of that type."""

    def tool(value: Any) -> None: ...

    tool.__annotations__ = {"value": hint}
    return parameters(tool)["properties"]["value"]


def test_name_docstring_and_signature_become_a_tool() -> None:
    async def weather(city: str, unit: Literal["c", "f"] = "c", days: int = 1) -> str:
        """Tell the weather.

        It may rain.

        Args:
            city: Where,
                in any language.
            unit (str): Celsius or Fahrenheit.

        Returns:
            A sentence.
        """
        return city

    assert prepare_tools([weather]) == [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "Tell the weather.\n\nIt may rain.\n\nReturns:\n    A sentence.",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "city": {"type": "string", "description": "Where, in any language."},
                        "unit": {
                            "type": "string",
                            "enum": ["c", "f"],
                            "default": "c",
                            "description": "Celsius or Fahrenheit.",
                        },
                        "days": {"type": "integer", "default": 1},
                    },
                    "required": ["city"],
                },
            },
        }
    ]


def test_other_docstring_forms_are_read() -> None:
    def numpy(a: int, b: int) -> int:
        """Add.

        Parameters
        ----------
        a : int
            The first.
        b : int, optional
            The second,
            at length.

        Returns
        -------
        int
        """
        return a + b

    def sphinx(a: int, b: int) -> int:
        """Add.

        :param int a: The first.
        :param b: The second,
            at length.
        :type b: int
        :returns: The sum.
        """
        return a + b

    for function, rest in ((numpy, "Add.\n\nReturns\n-------\nint"), (sphinx, "Add.\n\n:returns: The sum.")):
        described = callable_to_tool(function)["function"]
        said = {name: schema["description"] for name, schema in described["parameters"]["properties"].items()}
        assert said == {"a": "The first.", "b": "The second, at length."}
        assert described["description"] == rest


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (str, {"type": "string"}),
        (bool, {"type": "boolean"}),
        (float, {"type": "number"}),
        (Any, {}),
        (bytes, {"type": "string", "contentEncoding": "base64"}),
        (datetime, {"type": "string", "format": "date-time"}),
        (uuid.UUID, {"type": "string", "format": "uuid"}),
        (Decimal, {"type": "number"}),
        (Path, {"type": "string"}),
        (UserId, {"type": "string"}),
        (list, {"type": "array", "items": {}}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (Sequence[str], {"type": "array", "items": {"type": "string"}}),
        (set[str], {"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (
            tuple[int, str],
            {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2, "maxItems": 2},
        ),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (Mapping[str, Any], {"type": "object", "additionalProperties": {}}),
        (dict, {"type": "object", "additionalProperties": {}}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Literal[1, 2.5], {"type": "number", "enum": [1, 2.5]}),
        (Literal["a", 1, None], {"enum": ["a", 1, None]}),
        (Literal[True], {"type": "boolean", "enum": [True]}),
        (Unit, {"type": "string", "enum": ["celsius", "fahrenheit"]}),
        (Level, {"type": "integer", "enum": [1, 2]}),
        (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}),  # noqa: UP045
        (Union[int, str], {"anyOf": [{"type": "integer"}, {"type": "string"}]}),  # noqa: UP007
        (int | date, {"anyOf": [{"type": "integer"}, {"type": "string", "format": "date"}]}),
        (Annotated[int, "how many", msgspec.Meta(ge=1, le=9)], {
            "type": "integer", "description": "how many", "minimum": 1, "maximum": 9,
        }),
        (Annotated[str, pydantic.Field(description="a word", min_length=2, pattern="^a")], {
            "type": "string", "description": "a word", "minLength": 2, "pattern": "^a",
        }),
        (Stay, {
            "type": "object",
            "properties": {"start": {"type": "string", "format": "date"}, "nights": {"type": "integer"}},
            "required": ["start"],
        }),
        (Point, {
            "type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}, "required": ["x"],
        }),
        (Row, {
            "type": "object", "properties": {"rowId": {"type": "integer"}, "note": {"type": "string"}},
            "required": ["rowId"],
        }),
    ],
)  # fmt: skip
def test_types_as_json_schema(hint: Any, schema: dict[str, Any]) -> None:
    assert one(hint) == schema


def test_a_dataclass_that_holds_itself_ends_at_the_second_turn() -> None:
    assert one(Place) == {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "country": {"type": "string", "description": "ISO code"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "inside": {"anyOf": [{"type": "object"}, {"type": "null"}]},
        },
        "required": ["city"],
    }


def test_pydantic_models_have_no_references_left() -> None:
    schema = one(Guest)
    assert schema["required"] == ["name"]
    assert schema["properties"]["name"]["description"] == "Full name"
    assert "$ref" not in str(schema)
    assert "$defs" not in str(schema)


def test_null_is_left_out_where_it_is_the_default() -> None:
    def find(place: str | None = None, at: int | str | None = None, needed: str | None = "x") -> None: ...

    found = parameters(find)
    assert found["properties"]["place"] == {"type": "string"}
    assert found["properties"]["at"] == {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert {"type": "null"} in found["properties"]["needed"]["anyOf"]
    assert found["required"] == []


def test_what_users_hand_in() -> None:
    class Search:
        """Not this one."""

        def by_name(self, name, limit=5, *rest, flag=False, **more):  # type: ignore[no-untyped-def]
            """Find it."""

        def __call__(self, query: str) -> str:
            """Search."""
            return query

    bound = callable_to_tool(Search().by_name)["function"]
    assert bound["description"] == "Find it."
    assert bound["parameters"]["properties"] == {
        "name": {"type": "string"},
        "limit": {"type": "string", "default": 5},
        "flag": {"type": "string", "default": False},
    }
    called = callable_to_tool(Search())["function"]
    assert (called["name"], called["description"]) == ("Search", "Search.")

    def move(x: int, y: int) -> None:
        """Move."""

    partly = callable_to_tool(functools.partial(move, y=2))["function"]
    assert partly["name"] == "move"
    assert list(partly["parameters"]["properties"]) == ["x"]

    @functools.wraps(move)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        return move(*args, **kwargs)

    assert callable_to_tool(wrapped) == callable_to_tool(move)
    given = {"type": "function", "function": {"name": "x"}}
    assert prepare_tools([given, move])[0] is given
    assert prepare_tools([]) == []


class Odd:
    pass


@pytest.mark.parametrize(
    "hint", [Odd, object(), Callable[[int], int], type[int], dict[int, str], enum.Enum("None_", [])]
)
def test_a_type_that_no_model_could_fill_in_is_named(hint: Any) -> None:
    with pytest.raises(TypeError, match=r"^tool\(value\)"):
        one(hint)
    with pytest.raises(TypeError, match=r"^tool\(value\)"):
        one(list[hint] if not isinstance(hint, enum.EnumType) else hint)


def test_functions_that_cannot_be_tools_are_named() -> None:
    def positional(a: int, /) -> None: ...

    def lost(a: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(TypeError, match=r"positional\(a\).*by name"):
        callable_to_tool(positional)
    with pytest.raises(TypeError, match=r"lost: an annotation names what is not there.*Missing"):
        callable_to_tool(lost)
    with pytest.raises(TypeError, match="needs a name"):
        callable_to_tool(lambda city: city)
    for wrong in ("weather", {"type": "function"}, None, 7):
        with pytest.raises(TypeError, match="list of functions"):
            prepare_tools(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not str"):
        prepare_tools(["weather"])  # type: ignore[list-item]


def test_each_form_has_its_own_shape() -> None:
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    tool = callable_to_tool(add)
    schema = tool["function"]["parameters"]
    assert flat_tool(tool) == {"type": "function", "name": "add", "description": "Add.", "parameters": schema}
    assert messages_tool(tool) == {"name": "add", "description": "Add.", "input_schema": schema}
    native = {"type": "web_search_20250305", "name": "web_search"}
    assert messages_tool(native) == native == flat_tool(native)


# ------------------------------------------------------------------------------------------- any signature
_SCALARS = st.sampled_from([str, int, float, bool, bytes, date, Any, Unit, Level, Place, Stay, Point, Row, Guest])


def _of(generic: Any, *inner: Any) -> Any:
    return generic[inner[0] if len(inner) == 1 else inner]


_LITERALS = st.lists(st.one_of(st.text(max_size=5), st.integers(-5, 5), st.booleans()), min_size=1, max_size=4).map(
    lambda values: _of(Literal, *values)
)
_HINTS = st.recursive(
    st.one_of(_SCALARS, _LITERALS),
    lambda inner: st.one_of(
        inner.map(lambda hint: _of(list, hint)),
        inner.map(lambda hint: _of(dict, str, hint)),
        inner.map(lambda hint: _of(Optional, hint)),
        inner.map(lambda hint: _of(tuple, hint, ...)),
        inner.map(lambda hint: _of(Annotated, hint, "said of it")),
        st.tuples(inner, inner).map(lambda pair: _of(Union, *pair)),
        st.tuples(inner, inner).map(lambda pair: _of(tuple, *pair)),
    ),
    max_leaves=6,
)
_NAMES = st.from_regex(re.compile(r"[a-z_][a-z0-9_]{0,8}", re.ASCII), fullmatch=True).filter(
    lambda name: name.isidentifier() and not keyword.iskeyword(name)
)
_DEFAULTS = st.one_of(st.none(), st.integers(), st.text(), st.sampled_from(Unit), st.just(object()))


@settings(max_examples=60)
@given(
    names=st.lists(_NAMES, unique=True, max_size=5),
    hints=st.lists(_HINTS, min_size=5, max_size=5),
    defaults=st.lists(st.one_of(st.just(inspect.Parameter.empty), _DEFAULTS), min_size=5, max_size=5),
    doc=st.one_of(st.none(), st.text()),
)
def test_any_signature_becomes_a_schema_that_says_what_is_required(
    names: list[str], hints: list[Any], defaults: list[Any], doc: str | None
) -> None:
    def tool(**given: Any) -> None: ...

    kind = inspect.Parameter.KEYWORD_ONLY
    made = [
        inspect.Parameter(name, kind, default=default, annotation=hint)
        for name, hint, default in zip(names, hints, defaults, strict=False)
    ]
    tool.__signature__ = inspect.Signature(made)  # type: ignore[attr-defined]
    tool.__doc__ = doc
    (described,) = prepare_tools([tool])
    schema = described["function"]["parameters"]
    msgspec.json.encode(described)  # it is JSON
    assert list(schema["properties"]) == names
    empty = inspect.Parameter.empty
    assert schema["required"] == [p.name for p in made if p.default is empty]
    for parameter in made:
        assert _fills(schema["properties"][parameter.name])


def _fills(schema: dict[str, Any]) -> bool:
    """Every place in it says what it takes, or that it takes anything."""
    inner = [
        *schema.get("anyOf", ()),
        *schema.get("prefixItems", ()),
        *schema.get("properties", {}).values(),
        *(schema[name] for name in ("items", "additionalProperties") if isinstance(schema.get(name), dict)),
    ]
    known = {"type", "anyOf", "enum", "description", "default", "title"}
    return (not schema or bool(known & schema.keys())) and all(_fills(each) for each in inner)
