"""How much to think: OpenAI's efforts and Anthropic's budgets to Gemini's `thinkingConfig`, by model generation.

| effort  | Gemini 3 `thinkingLevel` | Gemini 2.5 `thinkingBudget` |
|---------|--------------------------|-----------------------------|
| none    | minimal (Pro: low)       | 0 (Pro: 128)                |
| minimal | minimal (Pro: low)       | 1,024                       |
| low     | low                      | 1,024                       |
| medium  | medium                   | 8,192                       |
| high    | high                     | 24,576                      |
| xhigh   | high                     | 24,576 (Pro: 32,768)        |
| max     | high                     | 24,576 (Pro: 32,768)        |

The rows up to `high` are Google's own table (https://ai.google.dev/gemini-api/docs/openai#thinking). Budgets of other
dialects are cut to the model's range (https://ai.google.dev/gemini-api/docs/thinking), and become a level on Gemini 3:
up to 4,096 low, up to 16,384 medium, above high. Whatever is only approximated is named in the dropped list. A model
before 2.5 does not think and refuses the setting: it is left out.
"""

from __future__ import annotations

import re
from typing import Any

from wire.neutral import Reasoning, Request

_GENERATION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")

_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 32768, "max": 32768}
_LEVELS = {
    "none": "minimal",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_INEXACT = frozenset({"none", "xhigh", "max"})


def generation(model: str) -> tuple[int, int] | None:
    """(2, 5) for `gemini-2.5-flash`; None where the name does not say it (`gemini-flash-latest`, tuned models)."""
    found = _GENERATION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else None


def wants_signatures(model: str) -> bool:
    """Gemini 3 and later refuse function calls of the running turn that come back without a thought signature."""
    found = generation(model)
    return found >= (3, 0) if found else "gemini" in model and "latest" in model


def parse_thinking(*, budget: int | None, level: str | None, include: bool | None) -> Reasoning:
    """Levels are read in any case (`HIGH` and `low` are recorded)."""
    effort = level.lower() if level is not None and level != "THINKING_LEVEL_UNSPECIFIED" else None
    enabled = None if budget is None and effort is None else budget != 0
    return Reasoning(effort=effort, budget_tokens=budget, enabled=enabled, include=include)


def render_thinking(request: Request) -> tuple[dict[str, Any], list[str]]:
    """The `thinkingConfig` (empty: none) and what of the request it only approximates, by neutral name."""
    asked = request.reasoning
    if asked is None:
        return {}, []
    if request.dialect == "gemini":
        return _as_asked(asked), []
    lost = ["reasoning.summary"] if asked.summary not in (None, "auto") else []
    made = generation(request.model)
    if "gemma" in request.model or (made is not None and made < (2, 5)):
        return {}, ["reasoning"]
    if made is not None and made >= (3, 0):
        config, inexact = _level(asked, pro="-pro" in request.model)
    else:
        config, inexact = _budget(asked, request.model)
    off = asked.enabled is False or asked.effort == "none" or asked.budget_tokens == 0
    include = (not off) if asked.include is None else asked.include
    if include:
        config["includeThoughts"] = True
    return config, lost + inexact


def _as_asked(asked: Reasoning) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if asked.include is not None:
        config["includeThoughts"] = asked.include
    if asked.budget_tokens is not None:
        config["thinkingBudget"] = asked.budget_tokens
    if asked.effort is not None:
        config["thinkingLevel"] = asked.effort
    return config


def _level(asked: Reasoning, *, pro: bool) -> tuple[dict[str, Any], list[str]]:
    inexact: list[str] = []
    if asked.effort is not None:
        level = _LEVELS.get(asked.effort)
        if level is None or asked.effort in _INEXACT:
            inexact.append("reasoning.effort")
    elif asked.budget_tokens is not None and asked.budget_tokens >= 0:
        tokens = asked.budget_tokens
        level = "minimal" if tokens == 0 else "low" if tokens <= 4096 else "medium" if tokens <= 16384 else "high"
        inexact.append("reasoning.budget_tokens")
    elif asked.enabled is False:
        level = "minimal"
        inexact.append("reasoning.enabled")
    else:
        level = None
    if pro and level == "minimal":
        level = "low"
        inexact = inexact or ["reasoning.effort"]
    return ({"thinkingLevel": level} if level else {}), inexact


def _budget(asked: Reasoning, model: str) -> tuple[dict[str, Any], list[str]]:
    name = "reasoning.budget_tokens"
    tokens = asked.budget_tokens
    if tokens is None and asked.effort is not None:
        name = "reasoning.effort"
        tokens = _BUDGETS.get(asked.effort)
        if tokens is None:
            return {}, [name]
    elif tokens is None and asked.enabled is False:
        name, tokens = "reasoning.enabled", 0
    elif tokens is None and asked.adaptive:
        tokens = -1
    if tokens is None:
        return {}, []
    fitted = _fit(tokens, model)
    return {"thinkingBudget": fitted}, [name] if fitted != tokens else []


def _fit(tokens: int, model: str) -> int:
    """Into the model's range. 0 (off, not possible on Pro) and -1 (the model decides) are values of their own."""
    pro = "-pro" in model
    if tokens < 0:
        return -1
    if tokens == 0 and not pro:
        return 0
    lowest = 128 if pro else 512 if "-lite" in model else 0
    return max(lowest, min(tokens, 32768 if pro else 24576))
