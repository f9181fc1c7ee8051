"""Gemini's `usageMetadata` to neutral counts and back. https://ai.google.dev/api/generate-content#UsageMetadata

`promptTokenCount` includes cached tokens but not those that server tools produced (`toolUsePromptTokenCount`);
`candidatesTokenCount` does not include thoughts. total = prompt + candidates + thoughts + toolUsePrompt (225 of 225
recorded answers that say a total). A count that is absent is 0.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import structs

from wire.neutral import Usage

_MODALITY_NUMBERS = {1: "TEXT", 2: "IMAGE", 3: "VIDEO", 4: "AUDIO", 5: "DOCUMENT"}
# Vertex says the tier as traffic; plain pay-as-you-go and provisioned throughput have no tier of their own.
_TIERS = {"standard": "standard", "default": "standard", "flex": "flex", "priority": "priority"}
_CHARGED_BY_ANSWER = re.compile(r"gemini-[12]\b")
_TRAFFIC_TIERS = {"ON_DEMAND_FLEX": "flex", "ON_DEMAND_PRIORITY": "priority"}


def parse_usage(native: Any, *, complete: bool = True) -> Usage | None:
    """None when there is no usage object, or one without a single count (a blocked prompt on Vertex)."""
    if not isinstance(native, dict):
        return None
    if "promptTokenCount" not in native and not any(name.endswith("TokenCount") for name in native):
        return None
    prompt = _count(native, "promptTokenCount")
    tool_input = _count(native, "toolUsePromptTokenCount")
    thoughts = _count(native, "thoughtsTokenCount")
    input_audio, input_image = _media(native.get("promptTokensDetails"))
    tool_audio, tool_image = _media(native.get("toolUsePromptTokensDetails"))
    output_audio, output_image = _media(native.get("candidatesTokensDetails"))
    return Usage(
        input=prompt + tool_input,
        cache_read=_count(native, "cachedContentTokenCount"),
        input_audio=input_audio + tool_audio,
        input_image=input_image + tool_image,
        tool_input=tool_input,
        output=_count(native, "candidatesTokenCount") + thoughts,
        reasoning=thoughts,
        output_audio=output_audio,
        output_image=output_image,
        service_tier=_tier(native),
        complete=complete,
        native=native,
    )


def with_searches(usage: Usage | None, searches: int, model: str | None) -> Usage | None:
    """What Google charges a grounded answer for: each search since Gemini 3, before it the answer as a whole.

    https://ai.google.dev/gemini-api/docs/google-search#pricing
    """
    if usage is None or not searches:
        return usage
    by_answer = model is not None and _CHARGED_BY_ANSWER.search(model) is not None
    return structs.replace(usage, web_searches=1 if by_answer else searches)


def searches_of(grounding: Any) -> int:
    """How many different queries a grounded candidate names. Empty ones occur and are not charged."""
    queries = grounding.get("webSearchQueries") if isinstance(grounding, dict) else None
    return len({each for each in queries if isinstance(each, str) and each}) if isinstance(queries, list) else 0


def render_usage(usage: Usage) -> dict[str, Any]:
    """The provider's own object where it is Gemini's, else one with the same counts."""
    native = usage.native
    if native is not None and ("totalTokenCount" in native or "promptTokenCount" in native):
        return native
    result: dict[str, Any] = {
        "promptTokenCount": usage.input - usage.tool_input,
        "candidatesTokenCount": usage.output - usage.reasoning,
        "totalTokenCount": usage.input + usage.output,
    }
    for name, count in (
        ("cachedContentTokenCount", usage.cache_read),
        ("thoughtsTokenCount", usage.reasoning),
        ("toolUsePromptTokenCount", usage.tool_input),
    ):
        if count:
            result[name] = count
    if details := _details(usage.input - usage.tool_input, usage.input_audio, usage.input_image):
        result["promptTokensDetails"] = details
    if details := _details(usage.output - usage.reasoning, usage.output_audio, usage.output_image):
        result["candidatesTokensDetails"] = details
    if usage.service_tier in _TIERS:
        result["serviceTier"] = _TIERS[usage.service_tier]
    return result


def _details(total: int, audio: int, image: int) -> list[dict[str, Any]]:
    if not audio and not image:
        return []
    counts = (("TEXT", total - audio - image), ("AUDIO", audio), ("IMAGE", image))
    return [{"modality": name, "tokenCount": count} for name, count in counts if count > 0]


def _count(native: dict[str, Any], name: str) -> int:
    value = native.get(name)
    return value if type(value) is int and value > 0 else 0


def _media(details: Any) -> tuple[int, int]:
    """(audio, image) tokens of a count by modality. Most hold text alone."""
    audio = image = 0
    for item in details if isinstance(details, list) else ():
        modality = item.get("modality") if isinstance(item, dict) else None
        if isinstance(modality, int):
            modality = _MODALITY_NUMBERS.get(modality)
        if modality == "AUDIO":
            audio += _count(item, "tokenCount")
        elif modality == "IMAGE":
            image += _count(item, "tokenCount")
    return audio, image


def _tier(native: dict[str, Any]) -> str | None:
    tier = native.get("serviceTier")
    if isinstance(tier, str):
        return tier
    traffic = native.get("trafficType")
    return _TRAFFIC_TIERS.get(traffic) if isinstance(traffic, str) else None
