"""generateContent answers to the neutral model and back. https://ai.google.dev/api/generate-content#response-body

What only Gemini says of a candidate (safety ratings, grounding metadata, ...) stays in `Choice.extra`, and of the whole
in `Response.extra`; grounding and citations are read into the text's citations too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import structs

from wire.dialect import Rendered
from wire.dialects.gemini.call_ids import CallIds
from wire.dialects.gemini.citations import PlacedCitation, loses_quote, place_citations, render_grounding
from wire.dialects.gemini.errors import classify
from wire.dialects.gemini.finish import finish_word, gemini_word, neutral_reason
from wire.dialects.gemini.foreign import SKIP_VALIDATION, seal
from wire.dialects.gemini.logprobs import parse_logprobs, render_logprobs
from wire.dialects.gemini.parts import PartReader, media_part, read_arguments, signed
from wire.dialects.gemini.shape import items
from wire.dialects.gemini.usage import parse_usage, render_usage, searches_of, with_searches
from wire.errors import BadRequest, UpstreamMalformed
from wire.neutral import (
    Audio,
    Choice,
    Document,
    Finish,
    Image,
    Native,
    Part,
    Refusal,
    Response,
    Stamp,
    Text,
    Thinking,
    ToolCall,
)

TOP_FIELDS = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId", "createTime"})
CANDIDATE_FIELDS = frozenset({"content", "finishReason", "finishMessage", "index", "logprobsResult"})


def parse_response(body: dict[str, Any]) -> Response:
    """Raises UpstreamMalformed, or the error that came with status 200."""
    if not isinstance(body, dict):
        raise UpstreamMalformed("The upstream's answer is not an object")
    if "error" in body:
        raise classify(None, body)
    response_id = _text(body, "responseId")
    candidates = body.get("candidates")
    candidates = [] if candidates is None else candidates
    if not isinstance(candidates, list):
        raise UpstreamMalformed("The upstream's answer has candidates that are not a list")
    reader = PartReader(CallIds(response_id), unseal=False)
    choices = [_choice(candidate, place, reader) for place, candidate in enumerate(candidates)]
    searches = sum(searches_of(candidate.get("groundingMetadata")) for candidate in candidates)
    model = _text(body, "modelVersion")
    usage = with_searches(parse_usage(body.get("usageMetadata")), searches, model)
    return Response(
        dialect="gemini",
        id=response_id,
        model=model,
        choices=tuple(choices) or (Choice(parts=(), finish=blocked(body.get("promptFeedback"))),),
        usage=usage,
        created=unix_seconds(body.get("createTime")),
        service_tier=usage.service_tier if usage else None,
        extra={name: value for name, value in body.items() if name not in TOP_FIELDS},
    )


def is_block(feedback: Any) -> bool:
    """Whether `promptFeedback` says that the prompt was blocked; else it holds ratings only."""
    return isinstance(feedback, dict) and ("blockReason" in feedback or "blockReasonMessage" in feedback)


def blocked(feedback: Any) -> Finish:
    """The finish of an answer without candidates: the prompt was blocked, or nothing at all was said."""
    if not is_block(feedback):
        return Finish(reason="error")
    reason, message = feedback.get("blockReason"), feedback.get("blockReasonMessage")
    return Finish(reason="content_filter", native=reason if isinstance(reason, str) else None, details=message)


def unix_seconds(stamp: Any) -> int | None:
    """Of `createTime` (RFC 3339, always in UTC; Vertex)."""
    try:
        return int(datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp()) if isinstance(stamp, str) else None
    except ValueError:
        return None


def _choice(candidate: Any, place: int, reader: PartReader) -> Choice:
    if not isinstance(candidate, dict):
        raise UpstreamMalformed("The upstream's answer has a candidate that is not an object")
    parts = read_parts(candidate, reader, f"candidates[{place}].content")
    texts = [part.text for part in parts if isinstance(part, Text)]
    placed = place_citations(candidate.get("groundingMetadata"), candidate.get("citationMetadata"), texts)
    if placed:
        parts = _with_citations(parts, placed)
    word = finish_word(candidate.get("finishReason"))
    called = any(isinstance(part, ToolCall) for part in parts)
    index = candidate.get("index")
    return Choice(
        parts=tuple(parts),
        finish=Finish(
            reason=neutral_reason(word, called=called),
            choice=index if isinstance(index, int) else place,
            native=word,
            details=candidate.get("finishMessage"),
        ),
        logprobs=parse_logprobs(candidate.get("logprobsResult")),
        extra={name: value for name, value in candidate.items() if name not in CANDIDATE_FIELDS} or None,
    )


def read_parts(candidate: dict[str, Any], reader: PartReader, path: str) -> list[Part]:
    """The parts of a candidate, none where safety left `content: {}`. Empty parts (`{}`) are skipped."""
    content = candidate.get("content")
    if content is None:
        return []
    try:
        if not isinstance(content, dict):
            raise UpstreamMalformed("The upstream's answer has a content that is not an object")
        raw = [part for part in items(content.get("parts")) if part != {}]
        return [part for place, piece in enumerate(raw) for part in reader.read(piece, f"{path}.parts[{place}]")]
    except BadRequest as error:
        raise UpstreamMalformed(f"The upstream's answer cannot be read: {error.message}") from error


def _with_citations(parts: list[Part], placed: Sequence[PlacedCitation]) -> list[Part]:
    result: list[Part] = []
    ordinal = 0
    for part in parts:
        if isinstance(part, Text):
            found = tuple(item.citation for item in placed if item.text == ordinal)
            ordinal += 1
            result.append(structs.replace(part, citations=found) if found else part)
        else:
            result.append(part)
    return result


def _text(holder: dict[str, Any], name: str) -> str | None:
    value = holder.get(name)
    return value if isinstance(value, str) else None


def render_response(response: Response, stamp: Stamp) -> Rendered:
    dropped: list[str] = []
    own = response.dialect == "gemini"
    ids = CallIds(response.id)
    body: dict[str, Any] = {"candidates": [_candidate(choice, ids, dropped, own=own) for choice in response.choices]}
    if own and "promptFeedback" in response.extra and not any(choice.parts for choice in response.choices):
        body = {}
    if own:
        body.update(response.extra)
        if response.created is not None:
            body["createTime"] = datetime.fromtimestamp(response.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    else:
        dropped.extend(f"extra.{name}" for name, value in response.extra.items() if value is not None)
    if response.usage is not None:
        body["usageMetadata"] = render_usage(response.usage)
    body["modelVersion"] = stamp.model
    body["responseId"] = stamp.id
    return Rendered(body=body, dropped=tuple(dict.fromkeys(dropped)))


def finish_reason(finish: Finish | None, *, malformed: bool) -> str:
    """Google's word for a call whose arguments are no JSON object; a call that the token limit cut ends as such."""
    if malformed and (finish is None or finish.reason != "length"):
        return "MALFORMED_FUNCTION_CALL"
    return gemini_word(finish) if finish is not None else "STOP"


def _candidate(choice: Choice, ids: CallIds, dropped: list[str], *, own: bool) -> dict[str, Any]:
    parts = _AnswerParts(ids, dropped, own=own)
    for part in choice.parts:
        parts.add(part)
    finish = choice.finish
    candidate: dict[str, Any] = {
        "content": {"parts": parts.close(), "role": "model"},
        "finishReason": finish_reason(finish, malformed=parts.malformed is not None),
        "index": finish.choice,
    }
    if parts.malformed is not None:
        candidate["finishMessage"] = f"Malformed function call: {parts.malformed}"
        dropped.append("tool_call.arguments")
    elif own and isinstance(finish.details, str):
        candidate["finishMessage"] = finish.details
    if (logprobs := render_logprobs(choice.logprobs)) is not None:
        candidate["logprobsResult"] = logprobs
    if parts.placed and not own:
        candidate["groundingMetadata"] = render_grounding(parts.texts, parts.placed)
        if any(loses_quote(item.citation) for item in parts.placed):
            dropped.append("citations.cited_text")
    if own:
        candidate.update(choice.extra or {})
    else:
        dropped.extend(f"extra.{name}" for name in choice.extra or {})
    return candidate


class _AnswerParts:
    """Parts of one candidate. Foreign thinking is sealed onto the next part that is not a thought.

    `malformed` is a call whose arguments are not a JSON object, which Gemini's shape cannot hold.
    """

    def __init__(self, ids: CallIds, dropped: list[str], *, own: bool) -> None:
        self.texts: list[str] = []
        self.placed: list[PlacedCitation] = []
        self._parts: list[dict[str, Any]] = []
        self._sealed: list[Thinking] = []
        self._ids = ids
        self._dropped = dropped
        self._own = own
        self._called = False
        self.malformed: str | None = None

    def add(self, part: Part) -> None:
        match part:
            case Text():
                self.placed.extend(PlacedCitation(len(self.texts), citation) for citation in part.citations)
                self.texts.append(part.text)
                self._append({"text": part.text}, part.signature)
            case Refusal():
                self._append({"text": part.text}, None)
            case Thinking(origin="gemini"):
                self._parts.append(signed({"text": part.text, "thought": True}, part.signature))
            case Thinking():
                if part.text:
                    self._parts.append({"text": part.text, "thought": True})
                self._sealed.append(part)
            case ToolCall():
                self._add_call(part)
            case Image() | Audio() | Document() if (media := answer_media(part)) is not None:
                self._append(media, getattr(part, "signature", None))
            case Native(dialect="gemini"):
                self._parts.append(part.value)
            case _:
                if isinstance(part, Audio) and part.transcript:
                    self._append({"text": part.transcript}, None)
                self._dropped.append(part.path or type(part).__name__.lower())

    def _append(self, part: dict[str, Any], signature: str | None) -> None:
        if self._sealed and signature in (None, SKIP_VALIDATION):
            signature = self._take_seal()
        self._parts.append(signed(part, signature))

    def _take_seal(self) -> str:
        carried, self._sealed = seal(self._sealed), []
        return carried

    def _bypass(self) -> str | None:
        """Lets Gemini 3 go on with a foreign model's call, if the caller turns to it later."""
        return None if self._own or self._called else SKIP_VALIDATION

    def _add_call(self, part: ToolCall) -> None:
        made = self._ids.next_made()
        self._ids.called(part.id, part.name)
        try:
            call: dict[str, Any] = {"name": part.name, "args": read_arguments(part)}
        except BadRequest:
            self.malformed = f"{part.name}({part.arguments})"
            return
        if not self._own or part.id != made:
            call["id"] = part.id
        self._append({"functionCall": call}, part.signature or self._bypass())
        self._called = True

    def close(self) -> list[dict[str, Any]]:
        if self._sealed:
            self._parts.append({"text": "", "thoughtSignature": self._take_seal()})
        return self._parts


def answer_media(part: Image | Audio | Document) -> dict[str, Any] | None:
    """The part for media of an answer; None for what Gemini's shape cannot hold (an id, bytes of no known type)."""
    if part.media.data is None and part.media.url is None:
        return None
    try:
        return media_part(part)
    except BadRequest:
        return None
