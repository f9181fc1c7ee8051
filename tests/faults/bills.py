"""What each kind of call costs to the pico-dollar: the written answers' usage, read by hand, at prices of our own."""

from __future__ import annotations

from dataclasses import dataclass

GEMINI = "gemini-2.5-flash"
CLAUDE = "anthropic:claude-sonnet-4-5"
GPT = "openai:gpt-4o-mini"
SOLAR = "solar:solar-pro2"
RESILIENT = "resilient"  # answered by OpenAI after SOLAR has refused three times

# US dollars per million tokens, no two the same, so that no class can be taken for another.
PRICES = {
    GPT: {"input": 2, "output": 11, "cache_read": 1},
    CLAUDE: {"input": 3, "output": 15, "cache_read": 7, "cache_write": 5},
    f"gemini:{GEMINI}": {"input": 13, "output": 17, "cache_read": 19, "reasoning": 23},
    SOLAR: {"input": 29, "output": 31},
    "solar:solar-refuses": {"input": 37, "output": 41},
}
PRICING = {
    model: {f"{name}_price_per_million": str(price) for name, price in prices.items()}
    for model, prices in PRICES.items()
}


@dataclass(frozen=True, slots=True)
class Bill:
    """`tokens` by the ledger's columns, those at zero left out; `input_tokens` and `output_tokens` are totals."""

    tokens: dict[str, int]
    cost_pico: int


_MILLIONTH = 10**6  # pico-dollars: what a token costs at a dollar per million


FREE = Bill({}, 0)  # a refusal
_OPENAI = Bill(
    {"input_tokens": 1213, "cache_read_tokens": 1024, "output_tokens": 9},
    ((1213 - 1024) * 2 + 1024 * 1 + 9 * 11) * _MILLIONTH,
)
_ANTHROPIC = Bill(
    {"input_tokens": 31 + 2048 + 128, "cache_read_tokens": 2048, "cache_write_5m_tokens": 128, "output_tokens": 12},
    (31 * 3 + 2048 * 7 + 128 * 5 + 12 * 15) * _MILLIONTH,
)
_GEMINI = Bill(
    {"input_tokens": 1500, "cache_read_tokens": 1024, "output_tokens": 11 + 40, "reasoning_tokens": 40},
    ((1500 - 1024) * 13 + 1024 * 19 + 11 * 17 + 40 * 23) * _MILLIONTH,
)
_SOLAR = Bill({"input_tokens": 27, "output_tokens": 16}, (27 * 29 + 16 * 31) * _MILLIONTH)
# By the name that is asked for.
BILLS = {
    GPT: _OPENAI,
    RESILIENT: _OPENAI,
    CLAUDE: _ANTHROPIC,
    GEMINI: _GEMINI,
    f"gemini:{GEMINI}": _GEMINI,
    SOLAR: _SOLAR,
}
