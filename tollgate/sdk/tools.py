"""Python functions as tools: name, docstring and signature become what a provider is told."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from tollgate.sdk.docstrings import read_docstring
from tollgate.sdk.schema import default_of, schema_of

Tool = dict[str, Any]
_SKIPPED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def prepare_tools(tools: Sequence[Tool | Callable[..., Any]]) -> list[Tool]:
    """Functions among the tools as OpenAI's `tools` has them; dictionaries stay as they are.

    Of a function: its name, its docstring, and a JSON Schema of its parameters with what the docstring (or Annotated)
    says of each. A parameter with a default is not required; one without annotation is a text; `*args` and `**kwargs`
    are left out. Raises TypeError, naming the function and the place, for what has no such form.
    """
    if isinstance(tools, str | bytes | dict) or not isinstance(tools, Sequence):
        raise TypeError(f"tools must be a list of functions and dictionaries, not {type(tools).__name__}")
    return [tool if isinstance(tool, dict) else callable_to_tool(tool) for tool in tools]


def callable_to_tool(function: Callable[..., Any]) -> Tool:
    """Raises TypeError."""
    if not callable(function):
        raise TypeError(f"A tool is a function or a dictionary, not {type(function).__name__}")
    name = _name(function)
    about, said = read_docstring(_docstring(function))
    properties: dict[str, Any] = {}
    required: list[str] = []
    for parameter in _parameters(function, name):
        path = f"{name}({parameter.name})"
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise TypeError(f"{path}: a model gives arguments by name, and this one has none")
        schema = _schema(parameter, path)
        if parameter.name in said and "description" not in schema:
            schema["description"] = said[parameter.name]
        properties[parameter.name] = schema
        if parameter.default is inspect.Parameter.empty:
            required.append(parameter.name)
    described = {"name": name, **({"description": about} if about else {})}
    return {
        "type": "function",
        "function": {**described, "parameters": {"type": "object", "properties": properties, "required": required}},
    }


def flat_tool(tool: Tool) -> Tool:
    """As Responses has it: without the inner object."""
    inner = tool.get("function")
    return {"type": "function", **inner} if tool.get("type") == "function" and isinstance(inner, dict) else tool


def messages_tool(tool: Tool) -> Tool:
    """As Anthropic's Messages has it."""
    inner = tool.get("function")
    if tool.get("type") != "function" or not isinstance(inner, dict):
        return tool
    rest = {name: value for name, value in inner.items() if name != "parameters"}
    return {**rest, "input_schema": inner.get("parameters") or {"type": "object", "properties": {}}}


def _name(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None) or type(function).__name__
    if not name.isidentifier():
        raise TypeError(f"{name}: a tool needs a name; define it with `def`")
    return str(name)


def _docstring(function: Any) -> str | None:
    while isinstance(function, functools.partial):
        function = function.func
    own = inspect.isroutine(function) or isinstance(function, type)
    return inspect.getdoc(function if own else type(function).__call__) or (None if own else inspect.getdoc(function))


def _parameters(function: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    """Of `partial`, those that are still open. Annotations that are texts are read."""
    try:
        signature = inspect.signature(function, eval_str=True)
    except (NameError, SyntaxError, AttributeError) as error:
        raise TypeError(f"{name}: an annotation names what is not there: {error}") from error
    except ValueError as error:
        raise TypeError(f"{name}: its signature is not known ({error}); describe it by a dictionary") from error
    fixed = function.keywords if isinstance(function, functools.partial) else {}
    return [each for each in signature.parameters.values() if each.kind not in _SKIPPED and each.name not in fixed]


def _schema(parameter: inspect.Parameter, path: str) -> dict[str, Any]:
    hint = str if parameter.annotation is inspect.Parameter.empty else parameter.annotation
    schema = schema_of(hint, path)
    if parameter.default is None:
        schema = _without_null(schema)
    elif parameter.default is not inspect.Parameter.empty:
        default = default_of(parameter.default)
        if default is not inspect.Parameter.empty:
            schema["default"] = default
    return schema


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Where None is the default, leaving the argument out says it."""
    members = [member for member in schema.get("anyOf", ()) if member != {"type": "null"}]
    if not members or len(members) == len(schema["anyOf"]):
        return schema
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**members[0], **rest} if len(members) == 1 else {**rest, "anyOf": members}
