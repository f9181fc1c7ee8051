"""Gemini's upstream: the thought signature of a call; plain answers give calls no ids, streamed ones do."""

from __future__ import annotations

from typing import Any

from tests.e2e.clients.conversation import (
    ANSWER,
    CHART_ARGUMENTS,
    CHART_TEXT,
    PNG,
    QUESTION,
    SAID,
    SYSTEM,
    THOUGHT,
    TIDE_ARGUMENTS,
    TIDE_ERROR,
    TOOLS,
    Abilities,
)
from tests.e2e.clients.script import (
    GEMINI_SIGNATURE,
    Script,
    halves,
    streamed,
    whole,
)
from tests.replay import Answer
from wire.dialects.gemini.foreign import SKIP_VALIDATION

GEMINI_IDS = ("fcTide1", "fcChart2")
_GEMINI_USAGE = {
    "promptTokenCount": 61,
    "cachedContentTokenCount": 16,
    "candidatesTokenCount": 14,
    "thoughtsTokenCount": 9,
    "totalTokenCount": 84,
}


def _gemini_parts(*, ids: bool) -> list[dict[str, Any]]:
    """The first call alone is signed, as Google does with parallel calls. `ids`: newer models give them."""
    named = [{"id": call_id} if ids else {} for call_id in GEMINI_IDS]
    return [
        {"text": THOUGHT, "thought": True},
        {"text": SAID},
        {
            "functionCall": {**named[0], "name": "get_tide", "args": TIDE_ARGUMENTS},
            "thoughtSignature": GEMINI_SIGNATURE,
        },
        {"functionCall": {**named[1], "name": "get_chart", "args": CHART_ARGUMENTS}},
    ]


def _generated(parts: list[dict[str, Any]], finish: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": _GEMINI_USAGE,
        "modelVersion": "gemini-3-pro-preview",
        "responseId": "written-3",
    }


def _generated_stream(parts: list[dict[str, Any]]) -> Answer:
    chunks = [_generated([part], None) for part in parts]
    return streamed(*chunks, _generated([{"text": ""}], "STOP"))


def _check_gemini(body: dict[str, Any], abilities: Abilities, ids: tuple[str, str]) -> None:
    assert _joined(body["systemInstruction"]) == SYSTEM
    user, model, results = body["contents"]
    assert (user["role"], _joined(user)) == ("user", QUESTION)
    assert model["role"] == "model"
    sent = [part for part in model["parts"] if part.get("text") != ""]
    if abilities.reasoning:
        assert [_without_id(part) for part in sent] == _gemini_parts(ids=False)
        thinking = body["generationConfig"]["thinkingConfig"]
        assert thinking.get("includeThoughts", thinking.get("include_thoughts")) is True
    else:
        _check_without_reasoning([_without_id(part) for part in sent])
    given = [part["functionCall"].get("id") for part in sent if "functionCall" in part]
    assert given in (list(ids), [None, None])
    assert results["role"] == "user"
    tide, chart, *rest = results["parts"]
    answered = [part["functionResponse"] for part in (tide, chart)]
    assert [response["name"] for response in answered] == ["get_tide", "get_chart"]
    assert [response.get("id") for response in answered] in (given, [None, None])
    assert answered[0]["response"] == {"error" if abilities.error_flag else "output": TIDE_ERROR}
    assert answered[1]["response"] == {"output": CHART_TEXT}
    picture = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    if abilities.image_in_result:
        ((inside,),) = (part.values() for part in answered[1]["parts"])
        assert list(inside.values()) == ["image/png", PNG.replace("+", "-") if "mime_type" in inside else PNG]
        assert rest == []
    else:
        assert rest == [picture]
    (entry,) = body["tools"]
    declared = []
    for tool in entry["functionDeclarations"]:
        schema = tool.get("parametersJsonSchema") or tool["parameters_json_schema"]
        declared.append((tool["name"], tool["description"], schema))
    assert declared == list(TOOLS)


def _check_without_reasoning(sent: list[dict[str, Any]]) -> None:
    """Where the signature is lost too, the gateway puts there what Google takes instead."""
    said, tide, chart = _gemini_parts(ids=False)[1:]
    assert sent in ([said, tide, chart], [said, {**tide, "thoughtSignature": SKIP_VALIDATION}, chart])


def _joined(content: dict[str, Any]) -> str:
    return "".join(part["text"] for part in content["parts"])


def _without_id(part: dict[str, Any]) -> dict[str, Any]:
    """As it was sent: Google's SDK writes signatures in the other alphabet of base64."""
    same = dict(part)
    if "functionCall" in part:
        same["functionCall"] = {key: value for key, value in part["functionCall"].items() if key != "id"}
    if "thoughtSignature" in part:
        same["thoughtSignature"] = part["thoughtSignature"].replace("-", "+").replace("_", "/")
    return same


GEMINI = Script(
    name="gemini",
    dialect="gemini",
    model="gemini-3-pro-preview",
    settings={"api_base": ""},
    path="/v1beta/models/gemini-3-pro-preview:generateContent",
    stream_path="/v1beta/models/gemini-3-pro-preview:streamGenerateContent",
    first=whole(_generated(_gemini_parts(ids=False), "STOP")),
    first_streamed=_generated_stream(_gemini_parts(ids=True)),
    second=whole(_generated([{"text": ANSWER}], "STOP")),
    second_streamed=_generated_stream([{"text": piece} for piece in halves(ANSWER)]),
    shows_thinking=True,
    call_ids=None,  # made by the gateway where the model gives none
    check=_check_gemini,
)
