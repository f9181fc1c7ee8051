"""A stream of generateContent answers to neutral events.

Every event is a whole `GenerateContentResponse`; texts are pieces, function calls whole. A finish reason marks the end
of its candidate, but more may come after it (recorded), so finishes are told at the end of input. Usage stands in every
event; the last one counts.
"""

from __future__ import annotations

from typing import Any

import orjson
from msgspec import structs

from wire.dialects.gemini.call_ids import CallIds
from wire.dialects.gemini.citations import place_citations
from wire.dialects.gemini.errors import classify
from wire.dialects.gemini.finish import finish_word, neutral_reason
from wire.dialects.gemini.logprobs import parse_logprobs
from wire.dialects.gemini.partial_args import PartialArguments
from wire.dialects.gemini.parts import PartReader, media_part
from wire.dialects.gemini.response import CANDIDATE_FIELDS, TOP_FIELDS, blocked, is_block, read_parts, unix_seconds
from wire.dialects.gemini.shape import items
from wire.dialects.gemini.usage import parse_usage, searches_of, with_searches
from wire.errors import UpstreamMalformed, UpstreamTruncated
from wire.neutral import (
    Audio,
    BlockKind,
    BlockStart,
    BlockStop,
    CitationDelta,
    Document,
    Ended,
    Extra,
    Failed,
    Finish,
    Image,
    Native,
    Part,
    SignatureDelta,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    UsageUpdate,
)
from wire.sse import SseEvent

_PLAIN = frozenset({"content", "index"})


class _Candidate:
    """One candidate of the stream: its open block, what was said so far, and how it ended."""

    def __init__(self) -> None:
        self.open: tuple[int, BlockKind] | None = None
        self.signed = False  # the open block has its signature: what comes next is another part
        self.texts: list[tuple[int, list[str]]] = []  # text block -> its pieces, for citation offsets
        self.called = False
        self.finish: str | None = None
        self.message: Any = None
        self.extra: dict[str, Any] = {}
        self.partial: tuple[str, str | None, str | None, PartialArguments] | None = None  # a call that goes on


class GeminiStreamParser:
    def __init__(self) -> None:
        self._started = False
        self._failed = False
        self._blocks = 0
        self._reader = PartReader(CallIds(), unseal=False)
        self._candidates: dict[int, _Candidate] = {}
        self._feedback: Any = None
        self._extra: dict[str, Any] = {}
        self._usage: Any = None
        self._model: str | None = None

    def feed(self, event: SseEvent) -> list[StreamEvent]:
        """Raises UpstreamMalformed on JSON that is broken or not an answer of Gemini's."""
        if event.data is None or event.data == b"[DONE]" or self._failed:
            return []
        try:
            body = orjson.loads(event.data)
        except orjson.JSONDecodeError as error:
            raise UpstreamMalformed("The upstream sent an event that is not JSON") from error
        if isinstance(body, list) and len(body) == 1:
            body = body[0]
        if not isinstance(body, dict):
            raise UpstreamMalformed("The upstream sent an event that is not an object")
        if "error" in body:
            return [self._fail(body)]
        events: list[StreamEvent] = []
        if not self._started:
            events.append(self._start(body))
        self._note(body)
        for place, candidate in enumerate(items(body.get("candidates"))):
            self._candidate(place, candidate, events)
        usage = body.get("usageMetadata")
        if usage is not None and usage != self._usage:
            self._usage = usage
            if (counted := parse_usage(usage, complete=self._is_whole())) is not None:
                events.append(UsageUpdate(usage=counted))
        return events

    def close(self) -> list[StreamEvent]:
        """Raises UpstreamTruncated when a candidate has no finish reason, or nothing came at all."""
        if self._failed:
            return []
        if not self._is_whole():
            raise UpstreamTruncated("The upstream's stream ended before the answer was whole")
        events: list[StreamEvent] = []
        searches = sum(searches_of(candidate.extra.get("groundingMetadata")) for candidate in self._candidates.values())
        if (usage := with_searches(parse_usage(self._usage), searches, self._model)) is not None:
            events.append(UsageUpdate(usage=usage))
        for index, candidate in self._candidates.items():
            self._finish(index, candidate, events)
        if not self._candidates:
            events.append(blocked(self._feedback))
        events.append(Ended(extra=self._extra))
        return events

    def _is_whole(self) -> bool:
        if self._candidates:
            return all(candidate.finish is not None for candidate in self._candidates.values())
        return is_block(self._feedback)

    def _fail(self, body: dict[str, Any]) -> Failed:
        self._failed = True
        return Failed.of(classify(None, body))

    def _start(self, body: dict[str, Any]) -> Started:
        self._started = True
        response_id, model = body.get("responseId"), body.get("modelVersion")
        response_id = response_id if isinstance(response_id, str) else None
        self._reader = PartReader(CallIds(response_id), unseal=False)
        self._model = model if isinstance(model, str) else None
        return Started(
            id=response_id,
            model=self._model,
            created=unix_seconds(body.get("createTime")),
        )

    def _note(self, body: dict[str, Any]) -> None:
        for name, value in body.items():
            if name not in TOP_FIELDS:
                self._extra[name] = value
                if name == "promptFeedback":
                    self._feedback = value

    def _candidate(self, place: int, raw: Any, events: list[StreamEvent]) -> None:
        if not isinstance(raw, dict):
            raise UpstreamMalformed("The upstream sent a candidate that is not an object")
        index = raw.get("index", place)
        index = index if isinstance(index, int) else place
        candidate = self._candidates.get(index)
        if candidate is None:
            candidate = self._candidates[index] = _Candidate()
        if self._more_text(candidate, raw, events):
            return
        logprobs = parse_logprobs(raw["logprobsResult"]) if "logprobsResult" in raw else None
        for part in self._parts(candidate, raw):
            self._part(index, candidate, part, logprobs, events)
            if isinstance(part, Text):
                logprobs = None
        for name, value in raw.items():
            if name not in CANDIDATE_FIELDS:
                candidate.extra[name] = value
        if (word := finish_word(raw.get("finishReason"))) is not None:
            candidate.finish = word
            candidate.message = raw.get("finishMessage")

    def _more_text(self, candidate: _Candidate, raw: dict[str, Any], events: list[StreamEvent]) -> bool:
        """The shortest way for what most events are: more text of the open block, and nothing else."""
        if candidate.open is None or candidate.open[1] != "text" or candidate.signed or not raw.keys() <= _PLAIN:
            return False
        content = raw.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        if not isinstance(parts, list) or len(parts) != 1 or not isinstance(parts[0], dict) or len(parts[0]) != 1:
            return False
        text = parts[0].get("text")
        if not isinstance(text, str) or not text:
            return False
        events.append(TextDelta(block=candidate.open[0], text=text))
        candidate.texts[-1][1].append(text)
        return True

    def _parts(self, candidate: _Candidate, raw: dict[str, Any]) -> list[Part]:
        content = raw.get("content")
        if isinstance(content, dict) and (candidate.partial is not None or _has_partial_call(content)):
            return [part for piece in items(content.get("parts")) for part in self._partial(candidate, piece)]
        return read_parts(raw, self._reader, "candidates.content")

    def _partial(self, candidate: _Candidate, piece: Any) -> list[Part]:
        """A piece of a call whose arguments are streamed; the call once it is whole."""
        call = piece.get("functionCall") if isinstance(piece, dict) else None
        if not isinstance(call, dict) or (candidate.partial is None and not call.get("willContinue")):
            return read_parts({"content": {"parts": [piece]}}, self._reader, "candidates.content")
        if candidate.partial is None:
            name, call_id = call.get("name"), call.get("id")
            if not isinstance(name, str):
                raise UpstreamMalformed("The upstream sent a function call without a name")
            signature = piece.get("thoughtSignature")
            call_id = call_id if isinstance(call_id, str) else None
            candidate.partial = (name, call_id, signature, PartialArguments())
        name, call_id, signature, arguments = candidate.partial
        if "partialArgs" in call:
            arguments.add(call["partialArgs"])
        if call.get("willContinue"):
            return []
        candidate.partial = None
        whole = {"functionCall": {"name": name, "id": call_id, "args": arguments.value}, "thoughtSignature": signature}
        return read_parts({"content": {"parts": [whole]}}, self._reader, "candidates.content")

    def _part(self, index: int, candidate: _Candidate, part: Part, logprobs: Any, events: list[StreamEvent]) -> None:
        match part:
            case Text():
                self._text(index, candidate, part, logprobs, events)
            case Thinking():
                block = self._continue(index, candidate, "thinking", Thinking(origin=part.origin), events)
                if part.text:
                    events.append(TextDelta(block=block, text=part.text))
                self._sign(candidate, block, part.signature, events)
            case ToolCall():
                candidate.called = True
                head = ToolCall(id=part.id, name=part.name, arguments="", signature=part.signature, path=part.path)
                block = self._open(index, candidate, "tool_call", head, events)
                events.append(TextDelta(block=block, text=part.arguments))
                self._sign(candidate, block, part.signature, events)
                self._stop(candidate, events)
            case Image():
                self._whole(index, candidate, "image", part, events)
            case Audio():
                self._whole(index, candidate, "audio", part, events)
            case Native():
                self._whole(index, candidate, "native", part, events)
            case Document():
                native = Native(dialect="gemini", type="document", value=media_part(part), path=part.path)
                self._whole(index, candidate, "native", native, events)
            case _:
                raise UpstreamMalformed("The upstream sent a part that no answer can hold")

    def _text(self, index: int, candidate: _Candidate, part: Text, logprobs: Any, events: list[StreamEvent]) -> None:
        if not part.text and part.signature is None and logprobs is None:
            return  # the last event of many streams
        block = self._continue(index, candidate, "text", Text(text=""), events)
        if part.text or logprobs is not None:
            events.append(TextDelta(block=block, text=part.text, logprobs=logprobs))
            candidate.texts[-1][1].append(part.text)
        self._sign(candidate, block, part.signature, events)

    def _sign(self, candidate: _Candidate, block: int, signature: str | None, events: list[StreamEvent]) -> None:
        if signature is not None:
            events.append(SignatureDelta(block=block, signature=signature))
            candidate.signed = True

    def _whole(self, index: int, candidate: _Candidate, kind: BlockKind, part: Part, events: list[StreamEvent]) -> None:
        self._open(index, candidate, kind, part, events)
        self._stop(candidate, events)

    def _continue(
        self, index: int, candidate: _Candidate, kind: BlockKind, part: Part, events: list[StreamEvent]
    ) -> int:
        if candidate.open is not None and candidate.open[1] == kind and not candidate.signed:
            return candidate.open[0]
        return self._open(index, candidate, kind, part, events)

    def _open(self, index: int, candidate: _Candidate, kind: BlockKind, part: Part, events: list[StreamEvent]) -> int:
        self._stop(candidate, events)
        block = self._blocks
        self._blocks += 1
        candidate.open = (block, kind)
        if kind == "text":
            candidate.texts.append((block, []))
        events.append(BlockStart(block=block, kind=kind, part=part, choice=index))
        return block

    def _stop(self, candidate: _Candidate, events: list[StreamEvent]) -> None:
        if candidate.open is not None:
            events.append(BlockStop(block=candidate.open[0]))
            candidate.open = None
            candidate.signed = False

    def _finish(self, index: int, candidate: _Candidate, events: list[StreamEvent]) -> None:
        texts = ["".join(pieces) for _, pieces in candidate.texts]
        grounding, sources = candidate.extra.get("groundingMetadata"), candidate.extra.get("citationMetadata")
        if candidate.open is not None and candidate.open[1] == "text":
            for placed in place_citations(grounding, sources, texts):
                citation = placed.citation
                if placed.text != len(texts) - 1:  # its own block is closed: offsets would count in another text
                    citation = structs.replace(citation, start=None, end=None)
                events.append(CitationDelta(block=candidate.open[0], citation=citation))
        self._stop(candidate, events)
        for name, value in candidate.extra.items():
            events.append(Extra(name=name, value=value, choice=index))
        reason = neutral_reason(candidate.finish, called=candidate.called)
        events.append(Finish(reason=reason, choice=index, native=candidate.finish, details=candidate.message))


def _has_partial_call(content: dict[str, Any]) -> bool:
    parts = content.get("parts")
    return isinstance(parts, list) and any(
        isinstance(part, dict)
        and isinstance(part.get("functionCall"), dict)
        and bool(part["functionCall"].get("willContinue"))
        for part in parts
    )
