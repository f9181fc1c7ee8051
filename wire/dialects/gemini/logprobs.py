"""Gemini's `logprobsResult` and OpenAI's shape of log probabilities. Token ids have no place in the latter.

https://ai.google.dev/api/generate-content#LogprobsResult
"""

from __future__ import annotations

from typing import Any


def parse_logprobs(result: Any) -> dict[str, Any] | None:
    """{"content": [...], "refusal": None}, or None where there is nothing to read."""
    if not isinstance(result, dict):
        return None
    chosen = _candidates(result.get("chosenCandidates"))
    tops = result.get("topCandidates")
    content: list[dict[str, Any]] = []
    for place, token in enumerate(chosen):
        top = tops[place] if isinstance(tops, list) and place < len(tops) else None
        alternatives = _candidates(top.get("candidates")) if isinstance(top, dict) else []
        content.append({**_entry(token), "top_logprobs": [_entry(other) for other in alternatives]})
    return {"content": content, "refusal": None} if content else None


def _candidates(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _entry(token: dict[str, Any]) -> dict[str, Any]:
    text = token.get("token")
    text = text if isinstance(text, str) else ""
    return {"token": text, "logprob": token.get("logProbability", 0.0), "bytes": list(text.encode())}


def render_logprobs(logprobs: Any) -> dict[str, Any] | None:
    content = _candidates(logprobs.get("content")) if isinstance(logprobs, dict) else []
    if not content:
        return None
    result: dict[str, Any] = {"chosenCandidates": [_token(entry) for entry in content]}
    tops = [[_token(other) for other in _candidates(entry.get("top_logprobs"))] for entry in content]
    if any(tops):
        result["topCandidates"] = [{"candidates": top} for top in tops]
    return result


def _token(entry: dict[str, Any]) -> dict[str, Any]:
    return {"token": entry.get("token", ""), "logProbability": entry.get("logprob", 0.0)}
