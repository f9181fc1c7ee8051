"""A neutral request as generateContent takes it. https://ai.google.dev/api/generate-content#request-body

Consecutive turns of one role are merged; all function responses of a turn stand in one content, media they brought
after them. System and developer messages become `systemInstruction` wherever they stood.
"""

from __future__ import annotations

from typing import Any

from msgspec import structs

from wire.dialect import Quirks, Rendered
from wire.dialects.gemini.call_ids import CallIds
from wire.dialects.gemini.foreign import SKIP_VALIDATION
from wire.dialects.gemini.parts import media_part, read_arguments, signed
from wire.dialects.gemini.settings import render_settings
from wire.dialects.gemini.thinking import generation, wants_signatures
from wire.dialects.gemini.tools import render_tools
from wire.neutral import (
    Audio,
    Document,
    Image,
    Message,
    Native,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from wire.reading import WrongType


def render_request(request: Request, *, quirks: Quirks) -> Rendered:
    """The model is in the URL, never in the body. Raises BadRequest for parts that Gemini cannot take."""
    dropped: list[str] = []
    request = _without(request, quirks.drop, dropped)
    turns = _Turns(request, quirks, dropped)
    for message in request.messages:
        turns.add(message)
    body: dict[str, Any] = {}
    contents = [{"role": turn.role, "parts": turn.parts} for turn in turns.turns]
    if turns.system and contents:
        body["systemInstruction"] = {"parts": turns.system}
    elif turns.system:  # Gemini needs a turn to answer to
        contents = [{"role": "user", "parts": turns.system}]
    if not contents:
        raise WrongType("messages", "must hold at least one turn that Gemini can take")
    body["contents"] = contents
    render_tools(request, body, dropped)
    render_settings(request, body, dropped)
    if _has_cache_marks(request):
        dropped.append("cache")
    return Rendered(body=body, dropped=tuple(dict.fromkeys(dropped)))


def _without(request: Request, refused: frozenset[str], dropped: list[str]) -> Request:
    """The request without the settings that this upstream refuses."""
    blank = Request(dialect=request.dialect, model=request.model, messages=())
    given = [name for name in sorted(refused) if getattr(request, name, None) != getattr(blank, name, None)]
    dropped.extend(given)
    return structs.replace(request, **{name: getattr(blank, name) for name in given})


class _Turn:
    """One content while it is built. `responses` is where the next function response goes, behind the last one."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.parts: list[dict[str, Any]] = []
        self.responses: int | None = None


class _Turns:
    """The contents while messages are added to them."""

    def __init__(self, request: Request, quirks: Quirks, dropped: list[str]) -> None:
        self.turns: list[_Turn] = []
        self.system: list[dict[str, Any]] = []
        self._own = request.dialect == "gemini"
        self._quirks = quirks
        self._dropped = dropped
        self._names: dict[str, str] = {}  # call id -> function name
        self._ids = CallIds()
        self._made: set[str] = set()  # ids that parse_request made: Gemini's caller gave none
        self._wants_signatures = wants_signatures(request.model)
        made = generation(request.model)
        # https://ai.google.dev/gemini-api/docs/function-calling#multimodal-function-responses
        self._media_in_responses = quirks.tool_result_images and made is not None and made >= (3, 0)

    def add(self, message: Message) -> None:
        if message.name is not None:
            self._dropped.append("name")
        if message.role in ("system", "developer"):
            for part in message.parts:
                self.system.extend(self._system_part(part))
            return
        turn = self._turn("model" if message.role == "assistant" else "user")
        bypass = self._wants_signatures and self._is_foreign(message)
        for part in message.parts:
            if isinstance(part, ToolResult):
                self._add_result(turn, part)
                continue
            for rendered in self._part(part):
                if bypass and "functionCall" in rendered:
                    # Google checks the first call of each step alone.
                    bypass = False
                    rendered.setdefault("thoughtSignature", SKIP_VALIDATION)
                turn.parts.append(rendered)
        if not turn.parts:
            self.turns.remove(turn)

    def _is_foreign(self, message: Message) -> bool:
        return not self._own or any(isinstance(part, Thinking) and part.origin != "gemini" for part in message.parts)

    def _turn(self, role: str) -> _Turn:
        if not self.turns or self.turns[-1].role != role:
            self.turns.append(_Turn(role))
        return self.turns[-1]

    def _system_part(self, part: Part) -> list[dict[str, Any]]:
        if isinstance(part, Native):
            self._dropped.append(part.path)
            return []
        if not isinstance(part, Text):
            raise WrongType(part.path, "a system message can hold nothing but text for Gemini")
        return [{"text": part.text}] if part.text or self._own else []

    def _part(self, part: Part) -> list[dict[str, Any]]:
        match part:
            case Text():
                return self._text(part)
            case Refusal():
                return [{"text": part.text}] if part.text else []
            case Image() | Audio() | Document():
                return [self._media(part)]
            case Thinking():
                if part.origin == "gemini":
                    return [signed({"text": part.text, "thought": True}, part.signature)]
                self._dropped.append(part.path or "thinking")
                return []
            case ToolCall():
                return [self._call(part)]
            case Native(dialect="gemini"):
                return [part.value]
            case _:
                self._dropped.append(part.path)
                return []

    def _text(self, part: Text) -> list[dict[str, Any]]:
        if part.citations:
            self._dropped.append(f"{part.path}.citations")
        if not part.text and part.signature is None and not self._own:
            return []  # refused on Vertex
        return [signed({"text": part.text}, part.signature)]

    def _media(self, part: Image | Audio | Document) -> dict[str, Any]:
        if isinstance(part, Image):
            if part.media.url is not None and not self._quirks.image_urls:
                raise WrongType(part.path, "this upstream takes no image addresses, only inline images")
            if part.detail not in (None, "auto"):
                self._dropped.append(f"{part.path}.detail")
            return signed(media_part(part), part.signature)
        if isinstance(part, Audio):
            if part.media.data is None and part.media.url is None and part.transcript is not None:
                self._dropped.append(part.path)
                return {"text": part.transcript}
            return media_part(part)
        for name in ("filename", "title", "context"):
            if getattr(part, name) is not None:
                self._dropped.append(f"{part.path}.{name}")
        if part.citations:
            self._dropped.append(f"{part.path}.citations")
        return media_part(part)

    def _call(self, part: ToolCall) -> dict[str, Any]:
        made = self._ids.next_made()
        self._ids.called(part.id, part.name)
        self._names[part.id] = part.name
        call: dict[str, Any] = {"name": part.name, "args": read_arguments(part)}
        if self._own and part.id == made:
            self._made.add(part.id)
        else:
            call["id"] = part.id
        return signed({"functionCall": call}, part.signature)

    def _add_result(self, turn: _Turn, part: ToolResult) -> None:
        """Function responses of a turn stand together, before the media that they brought."""
        name = self._names.get(part.call_id) or part.name
        if name is None:
            raise WrongType(
                part.path, f"answers no tool call before it (id {part.call_id!r}), and Gemini needs its name"
            )
        response: dict[str, Any] = {"name": name, "response": self._response(part)}
        if part.call_id not in self._made and part.call_id != part.name:
            response["id"] = part.call_id
        media = [piece for piece in part.parts if not isinstance(piece, Text | Refusal)]
        beside = [rendered for piece in media for rendered in self._part(piece)]
        if beside and self._media_in_responses:
            response["parts"] = beside
            beside = []
        at = len(turn.parts) if turn.responses is None else turn.responses
        turn.parts.insert(at, {"functionResponse": response})
        turn.responses = at + 1
        turn.parts.extend(beside)

    def _response(self, part: ToolResult) -> dict[str, Any]:
        if self._own and isinstance(part.value, dict):
            return part.value
        text = "\n".join(piece.text for piece in part.parts if isinstance(piece, Text | Refusal))
        return {"error" if part.is_error else "output": text}


def _has_cache_marks(request: Request) -> bool:
    return any(
        getattr(part, "cache", None) is not None for message in request.messages for part in message.parts
    ) or any(getattr(tool, "cache", None) is not None for tool in request.tools)
