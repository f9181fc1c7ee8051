"""Generation settings of a neutral request as Anthropic takes them.

A request of this dialect gives back what it said. For one of another dialect, what a Claude model is known to refuse is
left out and reported, never bent in silence: a temperature above 1 is passed as it is, for the upstream to refuse.

Effort and budget (`Reasoning`):

| effort  | `budget_tokens` (up to Claude 4.5) | `output_config.effort` (from Claude 4.6, with adaptive thinking) |
|---------|-----------------------------------:|------------------------------------------------------------------|
| none    | thinking `disabled`                | thinking `disabled`                                              |
| minimal | 1024                               | low                                                              |
| low     | 2048                               | low                                                              |
| medium  | 8192                               | medium                                                           |
| high    | 24576                              | high                                                             |
| xhigh   | 27904                              | xhigh (Claude 4.6: max)                                          |
| max     | 27904                              | max                                                              |

A budget that an effort stands for is made to fit below a `max_tokens` of the caller. A budget that the caller gave is
sent as it is; below 1024, Anthropic's least, it is raised and reported; a model that takes no budget gets the effort
whose budget is nearest above, reported.
"""

from __future__ import annotations

from typing import Any

from wire.dialect import Quirks
from wire.dialects.anthropic_messages.foreign import OWN
from wire.dialects.anthropic_messages.models import Abilities
from wire.neutral import Reasoning, Request, ToolCall, ToolResult
from wire.neutral import Thinking as ThinkingPart

BUDGETS = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 24_576, "xhigh": 27_904, "max": 27_904}
_LEAST_BUDGET = 1_024
_DEFAULT_EFFORT = "medium"
_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
_SILENT_DEFAULTS: dict[str, Any] = {
    "n": 1,
    "logprobs": False,
    "store": False,
    "modalities": ("text",),
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logit_bias": {},
}
_NO_PLACE = (
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "n",
    "logprobs",
    "top_logprobs",
    "verbosity",
    "modalities",
    "metadata",
    "store",
    "prompt_cache_key",
)


def report_without_place(request: Request, dropped: list[str]) -> None:
    """Settings that no Messages request can hold, unless they ask for what happens anyway."""
    for name in _NO_PLACE:
        value = getattr(request, name)
        if value is not None and value != () and value != _SILENT_DEFAULTS.get(name):
            dropped.append(name)


def render_thinking(request: Request, abilities: Abilities, dropped: list[str]) -> dict[str, Any]:
    """{"thinking": ..., "effort": ...}: the `thinking` and `output_config.effort` members, each where there is one."""
    reasoning = request.reasoning
    if reasoning is None:
        return {}
    if request.dialect == OWN:
        return _own_thinking(reasoning)
    if reasoning.enabled is False or reasoning.effort == "none" or reasoning.budget_tokens == 0:
        return {"thinking": {"type": "disabled"}}
    if reasoning.enabled is None and reasoning.effort is None and reasoning.budget_tokens is None:
        return {}
    if request.tool_choice is not None and request.tool_choice.mode in ("required", "tool"):
        dropped.append("reasoning")  # "Thinking may not be enabled when tool_choice forces tool use."
        return {}
    if abilities.adaptive_thinking:
        return _adaptive(reasoning, abilities, dropped)
    if _continues_without_thinking(request):
        dropped.append(
            "reasoning"
        )  # with a budget, an assistant turn whose tools are answered must begin with thinking
        return {}
    return _budgeted(request, reasoning, dropped)


def render_max_tokens(request: Request, quirks: Quirks, thinking: dict[str, Any]) -> int:
    """The caller's cap, else the default with room for the thinking budget above it."""
    if request.max_tokens is not None:
        return request.max_tokens
    budget = thinking.get("thinking", {}).get("budget_tokens")
    return quirks.default_max_tokens + (budget if isinstance(budget, int) else 0)


def render_sampling(request: Request, abilities: Abilities, *, thinks: bool, dropped: list[str]) -> dict[str, Any]:
    """temperature, top_p, top_k: for another dialect's request without those that the model is known to refuse."""
    given = {name: getattr(request, name) for name in ("temperature", "top_p", "top_k")}
    sampling = {name: value for name, value in given.items() if value is not None}
    if request.dialect == OWN:
        return sampling
    if sampling.get("top_p") == 1:
        del sampling["top_p"]  # the default: all tokens are considered anyway
    if sampling.get("temperature") == 1 and (thinks or not abilities.sampling):
        del sampling["temperature"]  # the default
    refused: set[str] = set()
    if not abilities.sampling:
        refused = set(sampling)
    elif thinks:
        refused = {"temperature", "top_k"} & set(sampling)
        if sampling.get("top_p", 1) < 0.95:
            refused.add("top_p")
    elif "temperature" in sampling and not abilities.temperature_with_top_p:
        refused = {"top_p"} & set(sampling)
    dropped.extend(name for name in sampling if name in refused)
    return {name: value for name, value in sampling.items() if name not in refused}


def render_stop(request: Request, dropped: list[str]) -> dict[str, Any]:
    """Stop sequences of nothing but whitespace are refused by Anthropic."""
    kept = [stop for stop in request.stop if request.dialect == OWN or stop.strip()]
    if len(kept) != len(request.stop):
        dropped.append("stop")
    return {"stop_sequences": kept} if kept else {}


def render_user(request: Request, dropped: list[str]) -> dict[str, Any]:
    """`metadata.user_id`. Anthropic refuses one that holds an e-mail address."""
    if request.user is None:
        return {}
    if request.dialect != OWN and "@" in request.user:
        dropped.append("user")
        return {}
    return {"metadata": {"user_id": request.user}}


def render_tier(request: Request, dropped: list[str]) -> dict[str, Any]:
    if request.service_tier is None:
        return {}
    tier = request.service_tier if request.dialect == OWN else _TIERS.get(request.service_tier)
    if tier is None:
        dropped.append("service_tier")
        return {}
    return {"service_tier": tier}


def _own_thinking(reasoning: Reasoning) -> dict[str, Any]:
    rendered: dict[str, Any] = {} if reasoning.effort is None else {"effort": reasoning.effort}
    if reasoning.enabled is None:
        return rendered
    kind = "adaptive" if reasoning.adaptive else "enabled" if reasoning.enabled else "disabled"
    thinking: dict[str, Any] = {"type": kind}
    if reasoning.budget_tokens is not None:
        thinking["budget_tokens"] = reasoning.budget_tokens
    if reasoning.include is not None:
        thinking["display"] = "summarized" if reasoning.include else "omitted"
    return {**rendered, "thinking": thinking}


def _adaptive(reasoning: Reasoning, abilities: Abilities, dropped: list[str]) -> dict[str, Any]:
    thinking: dict[str, Any] = {"type": "adaptive"}
    if reasoning.include or reasoning.summary is not None:
        thinking["display"] = "summarized"
    effort = reasoning.effort
    if effort is None and reasoning.budget_tokens is not None and reasoning.budget_tokens > 0:
        dropped.append("reasoning.budget_tokens")
        effort = next((name for name, budget in BUDGETS.items() if budget >= reasoning.budget_tokens), "max")
    if effort is None:
        return {"thinking": thinking}
    if effort == "xhigh" and not abilities.effort_xhigh:
        effort = "max"
    return {"thinking": thinking, "effort": "low" if effort == "minimal" else effort}


def _budgeted(request: Request, reasoning: Reasoning, dropped: list[str]) -> dict[str, Any]:
    budget = reasoning.budget_tokens
    if budget is None or budget < 0:
        budget = _fitting_budget(request, reasoning.effort)
        if budget is None:
            dropped.append("reasoning")
            return {}
    elif budget < _LEAST_BUDGET:
        dropped.append("reasoning.budget_tokens")
        budget = _LEAST_BUDGET
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _fitting_budget(request: Request, effort: str | None) -> int | None:
    """Below max_tokens, which counts thinking too, with at least half of it left for the answer; None: no room."""
    budget = BUDGETS.get(effort or _DEFAULT_EFFORT, BUDGETS[_DEFAULT_EFFORT])
    if request.max_tokens is None:
        return budget
    budget = min(budget, request.max_tokens // 2)
    return budget if budget >= _LEAST_BUDGET else None


def _continues_without_thinking(request: Request) -> bool:
    """Whether the last turn answers tool calls of an assistant turn that has no thinking of Anthropic's to show."""
    for message in reversed(request.messages):
        if message.role == "assistant":
            own = any(isinstance(part, ThinkingPart) and part.origin == OWN for part in message.parts)
            return not own and any(isinstance(part, ToolCall) for part in message.parts)
        if message.role == "user" and not any(isinstance(part, ToolResult) for part in message.parts):
            return False
    return False
