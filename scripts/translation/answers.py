"""What a provider can answer, what of it the next turn must bring back, and how clients do that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import structs

from scripts.translation.probe import PNG, WAV, AnswerProbe, ProofProbe
from wire.neutral import (
    Audio,
    Choice,
    Citation,
    DialectName,
    Finish,
    FinishReason,
    Image,
    Media,
    Native,
    Part,
    Refusal,
    Request,
    Response,
    Text,
    Thinking,
    ToolCall,
    Usage,
)


def answer_probes() -> Iterator[AnswerProbe]:
    yield _says("text", (Text(text="Hi"),), _texts)
    yield _says("reasoning text", (Thinking(text="Hm."), Text(text="Hi")), _thoughts)
    yield _says("refusal", (Refusal(text="Not that"),), _texts, "refusal")
    call = ToolCall(id="call_1", name="weather", arguments='{"city":"Paris"}')
    other = ToolCall(id="call_2", name="weather", arguments='{"city":"Seoul"}')
    yield _says("tool call", (call,), _calls, "tool_calls")
    yield _says("parallel tool calls", (Text(text="Hi"), call, other), _calls, "tool_calls")
    custom = ToolCall(id="call_1", name="shell", arguments="ls", kind="custom")
    yield _says("call of a free-text tool", (custom,), _calls, "tool_calls")
    cited = Citation(url="https://example.com", title="A", start=0, end=2)
    yield _says("citation", (Text(text="Hi", citations=(cited,)),), _citations)
    quoted = Citation(url="https://example.com", title="A", cited_text="Hello there")
    yield _says("citation with the words quoted", (Text(text="Hi", citations=(quoted,)),), _quotes)
    yield _says("image", (Image(media=Media(mime="image/png", data=PNG)),), _drawn)
    yield _says("audio", (Audio(media=Media(data=WAV), id="a", transcript="Hi", expires_at=1),), _spoken)
    yield _answer("several choices", lambda answer: structs.replace(answer, choices=_two()), _choices)
    yield _answer("log probabilities", _with_logprobs, lambda answer: bool(answer.choices[0].logprobs))
    reasons: tuple[tuple[str, FinishReason], ...] = (
        ("end: stop sequence", "stop_sequence"),
        ("end: length", "length"),
        ("end: filtered", "content_filter"),
        ("end: refused", "refusal"),
        ("end: to be continued", "pause"),
    )
    for label, reason in reasons:
        yield _says(label, (Text(text="Hi"),), _finish, reason)
    yield from _usages()


def _answer(label: str, answered: Callable[[Response], Response], read: Callable[[Response], Any]) -> AnswerProbe:
    return AnswerProbe("Answer", label, answered, read)


def _says(
    label: str, parts: tuple[Part, ...], read: Callable[[Response], Any], reason: FinishReason = "stop"
) -> AnswerProbe:
    finish = Finish(reason=reason, stop_sequence="END" if reason == "stop_sequence" else None)
    return _answer(label, lambda answer: structs.replace(answer, choices=(Choice(parts=parts, finish=finish),)), read)


def _two() -> tuple[Choice, ...]:
    return tuple(
        Choice(parts=(Text(text=text),), finish=Finish(reason="stop", choice=at)) for at, text in enumerate("AB")
    )


def _with_logprobs(answer: Response) -> Response:
    token = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}
    choice = structs.replace(answer.choices[0], logprobs={"content": [token], "refusal": None})
    return structs.replace(answer, choices=(choice,))


def _parts(answer: Response) -> list[Part]:
    return [part for choice in answer.choices for part in choice.parts]


def _texts(answer: Response) -> Any:
    return [
        (type(part).__name__, part.text) for part in _parts(answer) if isinstance(part, Text | Refusal) and part.text
    ]


def _thoughts(answer: Response) -> Any:
    return [part.text for part in _parts(answer) if isinstance(part, Thinking) and part.text]


def _calls(answer: Response) -> Any:
    return [(part.id, part.kind, part.name, part.arguments) for part in _parts(answer) if isinstance(part, ToolCall)]


def _citations(answer: Response) -> Any:
    return [(each.url, each.title) for part in _parts(answer) if isinstance(part, Text) for each in part.citations]


def _quotes(answer: Response) -> Any:
    cited = [each for part in _parts(answer) if isinstance(part, Text) for each in part.citations]
    return [each.cited_text for each in cited if each.cited_text]


def _drawn(answer: Response) -> Any:
    """Images, also those that the Responses API shows as the work of a tool."""
    native = [part.value.get("result") for part in _parts(answer) if isinstance(part, Native)]
    return [part.media.data for part in _parts(answer) if isinstance(part, Image)] + native


def _spoken(answer: Response) -> Any:
    return [part.media.data for part in _parts(answer) if isinstance(part, Audio)]


def _choices(answer: Response) -> Any:
    return len(answer.choices) > 1


def _finish(answer: Response) -> Any:
    return answer.choices[0].finish.reason


def _usages() -> Iterator[AnswerProbe]:
    yield _counted("input and output", ("input", "output"))
    yield _counted("cached input", ("cache_read",), cache_read=4)
    yield _counted("cache writes, 5 minutes", ("cache_write_5m",), cache_write_5m=4)
    yield _counted("cache writes, 1 hour", ("cache_write_1h",), cache_write_1h=4)
    yield _counted("reasoning", ("reasoning",), reasoning=3)
    yield _counted("audio in", ("input_audio",), input_audio=3)
    yield _counted("images in", ("input_image",), input_image=3)
    yield _counted("audio out", ("output_audio",), output_audio=3)
    yield _counted("images out", ("output_image",), output_image=3)
    yield AnswerProbe(
        "Usage shown to the caller",
        "service tier",
        lambda answer: structs.replace(answer, service_tier="priority"),
        lambda answer: answer.service_tier or (answer.usage and answer.usage.service_tier),
    )


def _counted(label: str, names: tuple[str, ...], **counts: Any) -> AnswerProbe:
    usage = Usage(input=10, output=5, **counts)

    def read(answer: Response) -> Any:
        found = [getattr(answer.usage, name) for name in names]
        return found if any(found) else None

    return AnswerProbe("Usage shown to the caller", label, lambda answer: structs.replace(answer, usage=usage), read)


# --------------------------------------------------------------------------------------------- proofs
def proof_probes() -> Iterator[ProofProbe]:
    """Signatures and encrypted reasoning, from a provider through a caller and back to the same provider."""
    yield _proof("thinking and its signature", lambda own: (Thinking(text="Hm.", signature=_PROOF, origin=own), _HI))
    yield _proof(
        "redacted thinking",
        lambda own: (Thinking(opaque=_PROOF, redacted=own == "anthropic_messages", origin=own), _HI),
    )
    yield _proof(
        "encrypted reasoning and its id",
        lambda own: (Thinking(text="Hm.", summary=("Hm.",), opaque=_PROOF, item_id="rs_1", origin=own), _HI),
    )
    call = ToolCall(id="call_1", name="weather", arguments='{"city":"Paris"}', signature=_PROOF)
    yield _proof("signature of a tool call", lambda _: (call,))
    yield _proof("signature of a text", lambda _: (Text(text="Hi", signature=_PROOF),))


_PROOF = "cHJvb2Ygb2YgdGhvdWdodA=="
_HI = Text(text="Hi")


def _proof(label: str, parts: Callable[[DialectName], tuple[Part, ...]]) -> ProofProbe:
    def read(request: Request) -> Any:
        found = [part for message in request.messages for part in message.parts]
        proofs = [getattr(part, name, None) for part in found for name in ("signature", "opaque")]
        return _PROOF in proofs

    return ProofProbe("What the next turn brings back", label, parts, read)


def next_turn(dialect: DialectName, answer: dict[str, Any]) -> dict[str, Any]:
    """What a client of the dialect sends next: the answer as it came, and another question."""
    match dialect:
        case "openai_chat":
            question = {"role": "user", "content": "Hello"}
            return {"messages": [question, answer["choices"][0]["message"], *_chat_results(answer), question]}
        case "openai_responses":
            question = {"role": "user", "content": "Hello"}
            results = [
                {"type": "function_call_output", "call_id": item["call_id"], "output": "Sunny"}
                for item in answer["output"]
                if item["type"] == "function_call"
            ]
            return {"input": [question, *answer["output"], *results, question]}
        case "anthropic_messages":
            results = [
                {"type": "tool_result", "tool_use_id": block["id"], "content": "Sunny"}
                for block in answer["content"]
                if block["type"] == "tool_use"
            ]
            said: dict[str, Any] = {"role": "user", "content": [*results, {"type": "text", "text": "Hello"}]}
            first: dict[str, Any] = {"role": "user", "content": "Hello"}
            return {"max_tokens": 100, "messages": [first, {"role": "assistant", "content": answer["content"]}, said]}
        case "gemini":
            content = answer["candidates"][0]["content"]
            results = [
                {"functionResponse": {"name": call["name"], "response": {"output": "Sunny"}, **_id_of(call)}}
                for call in (part.get("functionCall") for part in content["parts"])
                if call
            ]
            asked: dict[str, Any] = {"role": "user", "parts": [{"text": "Hello"}]}
            return {"contents": [asked, content, {"role": "user", "parts": [*results, {"text": "Hello"}]}]}


def _chat_results(answer: dict[str, Any]) -> list[dict[str, Any]]:
    calls = answer["choices"][0]["message"].get("tool_calls") or []
    return [{"role": "tool", "tool_call_id": call["id"], "content": "Sunny"} for call in calls]


def _id_of(call: dict[str, Any]) -> dict[str, Any]:
    return {"id": call["id"]} if "id" in call else {}
