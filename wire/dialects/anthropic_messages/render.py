"""A neutral request to a Messages body.

From another dialect: consecutive messages of one role become one, tool results come first in their user message,
system and developer messages move to `system` (one that stood between other messages is reported as `....role`), and
a conversation of nothing else sends its last one as the user's. Thinking, signatures and citations of other providers
are left out and reported: Anthropic refuses what it did not sign.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, structs

from wire.dialect import Quirks, Rendered
from wire.dialects.anthropic_messages import settings, tools
from wire.dialects.anthropic_messages.foreign import OWN
from wire.dialects.anthropic_messages.models import abilities_of
from wire.dialects.anthropic_messages.parts import Block, PartRenderer, as_said
from wire.neutral import Message, Native, Refusal, Request, Text
from wire.reading import WrongType

_BLANK = Request(dialect=OWN, model="", messages=())
_NESTED = ("thinking.", "output_config.", "metadata.", "tool_choice.")


def render_request(request: Request, *, quirks: Quirks) -> Rendered:
    """Raises BadRequest naming the part for media that the upstream cannot take."""
    dropped: list[str] = []
    request = _without_refused(request, quirks, dropped)
    abilities = abilities_of(request.model)
    renderer = PartRenderer(own=request.dialect == OWN, seal=False, quirks=quirks, dropped=dropped)
    system, messages = _render_conversation(request, renderer)
    thinking = settings.render_thinking(request, abilities, dropped)
    output_config = {"effort": thinking["effort"]} if "effort" in thinking else {}
    output_format = tools.render_format(request, quirks, dropped)
    if output_format is not None:
        output_config["format"] = output_format
    thinks = thinking.get("thinking", {"type": "disabled"})["type"] != "disabled"
    body: dict[str, Any] = {
        "model": request.model,
        "max_tokens": settings.render_max_tokens(request, quirks, thinking),
        **({"system": system} if system else {}),
        "messages": messages,
        **_render_tools(request, dropped),
        **({"thinking": thinking["thinking"]} if "thinking" in thinking else {}),
        **({"output_config": output_config} if output_config else {}),
        **settings.render_sampling(request, abilities, thinks=thinks, dropped=dropped),
        **settings.render_stop(request, dropped),
        **settings.render_user(request, dropped),
        **settings.render_tier(request, dropped),
        **({"stream": True} if request.stream else {}),
    }
    settings.report_without_place(request, dropped)
    _render_extra(request, body, dropped)
    return Rendered(body=body, dropped=tuple(dropped))


def _without_refused(request: Request, quirks: Quirks, dropped: list[str]) -> Request:
    """Fields that this upstream refuses go back to their defaults."""
    refused = [name for name in sorted(quirks.drop) if getattr(request, name, None) != getattr(_BLANK, name, None)]
    dropped.extend(refused)
    return structs.replace(request, **{name: getattr(_BLANK, name) for name in refused}) if refused else request


def _render_tools(request: Request, dropped: list[str]) -> dict[str, Any]:
    rendered = tools.render_tools(request, dropped)
    choice = tools.render_choice(request, dropped)
    if request.dialect != OWN and not rendered:
        rendered = tools.tools_of_history(request)
        choice = {"type": "none"} if rendered else None
    return {
        **({"tools": rendered} if rendered else {}),
        **({"tool_choice": choice} if choice is not None else {}),
    }


def _render_extra(request: Request, body: dict[str, Any], dropped: list[str]) -> None:
    """Fields that only this dialect has, back in their place; those of another are reported."""
    if request.dialect != OWN:
        dropped.extend(f"extra.{name}" for name in request.extra)
        return
    for name, value in request.extra.items():
        if name.startswith(_NESTED):
            outer, _, inner = name.partition(".")
            body[outer] = {**body.get(outer, {}), inner: value}
        else:
            body[name] = value


class _Turn(Struct):
    """A message on the wire: what consecutive neutral messages of one side add up to."""

    role: str
    blocks: list[Block]
    path: str  # of its first part
    extra: dict[str, Any]


def _render_conversation(request: Request, renderer: PartRenderer) -> tuple[str | list[Block] | None, list[Block]]:
    """`system` and `messages`."""
    messages = request.messages if renderer.own else _with_a_user_message(request.messages, renderer.dropped)
    system = _Turn("system", [], "", {})
    turns: list[_Turn] = []
    for index, message in enumerate(messages):
        if not renderer.own:
            _report_message(message, index, renderer.dropped)
        turn = _render_message(message, renderer)
        if turn.role == "system" and not (renderer.own and turn.path.startswith("messages")):
            if turns:
                renderer.dropped.append(f"{_path(message, index)}.role")
            system.path = system.path or turn.path
            system.blocks += turn.blocks
        elif not turn.blocks and not renderer.own:
            continue  # nothing of it can be said here: what stood around it is one turn
        elif turns and turns[-1].role == turn.role != "system":
            turns[-1].blocks += turn.blocks
            turns[-1].extra.update(turn.extra)
        else:
            turns.append(turn)
    rendered = [
        {
            "role": turn.role,
            "content": as_said(turn.blocks if renderer.own else _results_first(turn.blocks), turn.path),
            **turn.extra,
        }
        for turn in turns
    ]
    return as_said(system.blocks, system.path), rendered


def _render_message(message: Message, renderer: PartRenderer) -> _Turn:
    extra = dict(message.extra or {}) if renderer.own else {}
    path = message.parts[0].path if message.parts else ""
    if message.role in ("system", "developer"):
        return _Turn("system", _system_blocks(message, renderer), path, extra)
    render = renderer.in_assistant_turn if message.role == "assistant" else renderer.in_user_turn
    blocks = [block for part in message.parts for block in render(part)]
    return _Turn("assistant" if message.role == "assistant" else "user", blocks, path, extra)


def _with_a_user_message(messages: tuple[Message, ...], dropped: list[str]) -> tuple[Message, ...]:
    """Anthropic wants at least one message that is not the system's."""
    if not messages or any(message.role not in ("system", "developer") for message in messages):
        return messages
    last = len(messages) - 1
    dropped.append(f"{_path(messages[last], last)}.role")
    return (*messages[:last], structs.replace(messages[last], role="user"))


def _system_blocks(message: Message, renderer: PartRenderer) -> list[Block]:
    for part in message.parts:
        if not isinstance(part, Text | Refusal | Native):
            raise WrongType(part.path, "a system message takes text only")
    return [block for part in message.parts for block in renderer.in_user_turn(part)]


def _report_message(message: Message, index: int, dropped: list[str]) -> None:
    path = _path(message, index)
    if message.name is not None:
        dropped.append(f"{path}.name")
    dropped.extend(f"{path}.{name}" for name in message.extra or {})


def _path(message: Message, index: int) -> str:
    """Where the caller wrote the message: what its first part's path begins with."""
    path = message.parts[0].path if message.parts else ""
    return path.partition("]")[0] + "]" if "]" in path else path or f"messages[{index}]"


def _results_first(blocks: list[Block]) -> list[Block]:
    """Anthropic wants the results of an assistant's calls before anything else in the message that follows."""
    return sorted(blocks, key=lambda block: block["type"] != "tool_result")
