"""The text of an answer, for formats that hold nothing else, and what is lost with the rest."""

from __future__ import annotations

from wire.neutral import (
    Audio,
    BlockStart,
    CitationDelta,
    Ended,
    Extra,
    Finish,
    FinishReason,
    Image,
    Native,
    Part,
    Refusal,
    Response,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
)


def spoken_text(response: Response) -> tuple[str, tuple[str, ...]]:
    """The text of the first choice, and the names of what else was in the answer."""
    dropped: dict[str, None] = {}
    pieces: list[str] = []
    for number, choice in enumerate(response.choices):
        if number:
            dropped[f"choices[{number}]"] = None
            continue
        for part in choice.parts:
            pieces.append(words_of(part))
            dropped |= dict.fromkeys(_lost(part))
    dropped |= {f"extra.{name}": None for name, value in response.extra.items() if value is not None}
    return "".join(pieces), tuple(dropped)


class SpokenStream:
    """The same of a stream: `feed` gives the text of each event, most often none."""

    def __init__(self) -> None:
        self.finish: FinishReason | None = None
        self.dropped: list[str] = []
        self._blocks: set[int] = set()

    def feed(self, event: StreamEvent) -> str:
        match event:
            case TextDelta() if event.block in self._blocks:
                return event.text
            case BlockStart():
                return self._begin(event)
            case CitationDelta():
                self._drop("citations")
            case Finish() if event.choice == 0:
                self.finish = event.reason
            case Extra():
                self._drop(event.name)
            case Started() | Ended():
                self._drop(*(f"extra.{name}" for name, value in event.extra.items() if value is not None))
            case _:
                pass
        return ""

    def _begin(self, event: BlockStart) -> str:
        if event.choice:
            self._drop(f"choices[{event.choice}]")
            return ""
        self._drop(*_lost(event.part))
        if isinstance(event.part, Text | Refusal):
            self._blocks.add(event.block)
        return words_of(event.part)

    def _drop(self, *names: str) -> None:
        self.dropped += [name for name in names if name not in self.dropped]


def words_of(part: Part) -> str:
    """Of a spoken answer its transcript."""
    match part:
        case Text() | Refusal():
            return part.text
        case Audio():
            return part.transcript or ""
        case _:
            return ""


def _lost(part: Part) -> tuple[str, ...]:
    """What a text cannot say of a part."""
    match part:
        case Text():
            return ("citations",) if part.citations else ()
        case Refusal():
            return ()
        case Thinking():
            return ("thinking",)
        case ToolCall():
            return ("tool_calls",)
        case Image():
            return ("images",)
        case Audio():
            return ("audio",)
        case Native():
            return (part.type,)
        case _:
            return (part.path,)
