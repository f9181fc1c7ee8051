"""Answers as streams: an answer's events, and what a caller makes of the bytes that they become."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, structs

from wire.dialect import Dialect
from wire.neutral import (
    BlockKind,
    BlockStart,
    BlockStop,
    Choice,
    Citation,
    CitationDelta,
    Ended,
    Finish,
    Part,
    Refusal,
    Response,
    SignatureDelta,
    Stamp,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
    UsageUpdate,
)
from wire.sse import SseSplitter

_KINDS: dict[str, BlockKind] = {
    "Text": "text",
    "Thinking": "thinking",
    "ToolCall": "tool_call",
    "Refusal": "refusal",
    "Audio": "audio",
    "Image": "image",
    "Native": "native",
}


def sent_as_stream(answer: Response, upstream: Dialect, stamp: Stamp) -> list[StreamEvent]:
    """The events that are read from the upstream's bytes."""
    return _read(_rendered(events_of(answer), upstream, stamp)[0], upstream)


def translated(events: list[StreamEvent], caller: Dialect, stamp: Stamp) -> tuple[list[StreamEvent], tuple[str, ...]]:
    """The events that the caller reads from our bytes, and what the stream reports as lost."""
    shown, lost = _rendered(events, caller, stamp)
    return _read(shown, caller), lost


def _rendered(events: list[StreamEvent], dialect: Dialect, stamp: Stamp) -> tuple[bytes, tuple[str, ...]]:
    renderer = dialect.stream_renderer(stamp, include_usage=True)
    out = b"".join([renderer.feed(event) for event in events])
    return out + renderer.close(), tuple(renderer.dropped)


def _read(sent: bytes, dialect: Dialect) -> list[StreamEvent]:
    splitter, parser = SseSplitter(), dialect.stream_parser()
    found = [*splitter.feed(sent), *splitter.close()]
    events = [event for each in found if each.data is not None for event in parser.feed(each)]
    return [*events, *parser.close()]


def events_of(answer: Response) -> list[StreamEvent]:
    events: list[StreamEvent] = [Started(id=answer.id, model=answer.model, extra=answer.extra)]
    block = 0
    for choice in answer.choices:
        for part in choice.parts:
            events += _block(block, choice, part)
            block += 1
        events.append(choice.finish)
    if answer.usage is not None:
        tier = answer.service_tier or answer.usage.service_tier
        events.append(UsageUpdate(usage=structs.replace(answer.usage, service_tier=tier)))
    return [*events, Ended()]


def _block(block: int, choice: Choice, part: Part) -> Iterator[StreamEvent]:
    at = choice.finish.choice
    kind = _KINDS[type(part).__name__]
    match part:
        case Text() | Thinking() | Refusal():
            yield BlockStart(block=block, kind=kind, part=_opened(part), choice=at)
            if part.text:
                yield TextDelta(block=block, text=part.text, logprobs=choice.logprobs)
        case ToolCall():
            yield BlockStart(block=block, kind=kind, part=structs.replace(part, arguments=""), choice=at)
            yield TextDelta(block=block, text=part.arguments)
        case _:
            yield BlockStart(block=block, kind=kind, part=part, choice=at)
    if isinstance(part, Text):
        for citation in part.citations:
            yield CitationDelta(block=block, citation=citation)
    if isinstance(part, Text | Thinking) and part.signature:
        yield SignatureDelta(block=block, signature=part.signature)
    yield BlockStop(block=block, part=part)


def _opened(part: Text | Thinking | Refusal) -> Part:
    if isinstance(part, Text):
        return Text(text="")
    return structs.replace(part, text="", signature=None) if isinstance(part, Thinking) else Refusal(text="")


class _Open(Struct):
    part: Part
    choice: int
    text: str = ""
    citations: tuple[Citation, ...] = ()
    signature: str | None = None
    logprobs: object = None


def gathered(events: list[StreamEvent], dialect: Dialect) -> Response:
    """The whole answer that a stream adds up to."""
    blocks: dict[int, _Open] = {}
    finishes: dict[int, Finish] = {}
    usage: Usage | None = None
    for event in events:
        match event:
            case BlockStart():
                blocks[event.block] = _Open(event.part, event.choice)
            case TextDelta():
                blocks[event.block].text += event.text
                blocks[event.block].logprobs = event.logprobs or blocks[event.block].logprobs
            case CitationDelta():
                blocks[event.block].citations += (event.citation,)
            case SignatureDelta():
                blocks[event.block].signature = event.signature
            case Finish():
                finishes[event.choice] = event
            case Started() | UsageUpdate():
                usage = event.usage or usage
            case _:
                pass
    choices = tuple(
        Choice(
            parts=tuple(_closed(each) for each in blocks.values() if each.choice == at),
            finish=finish,
            logprobs=next((each.logprobs for each in blocks.values() if each.choice == at and each.logprobs), None),
        )
        for at, finish in sorted(finishes.items())
    )
    tier = usage.service_tier if usage else None
    return Response(dialect=dialect.name, id=None, model=None, choices=choices, usage=usage, service_tier=tier)


def _closed(block: _Open) -> Part:
    match block.part:
        case Text() as part:
            return structs.replace(part, text=part.text + block.text, citations=part.citations + block.citations)
        case Thinking() | Refusal() as part:
            return structs.replace(part, text=part.text + block.text)
        case ToolCall() as part:
            return structs.replace(part, arguments=part.arguments + block.text)
        case _:
            return block.part
