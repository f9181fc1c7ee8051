"""What recorded answers cost, reckoned by hand: every class of tokens of every provider, from the answer to the row.

An amount below is written as its provider's price list writes it: dollars a million times tokens, class by class.
Prices are those of the bundled list where `PRICES` has none. When that list changes, so do these sums: by hand again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import httpx
import pytest

from tests.behind import PATHS, Ask, ask_all, dialect_of, entry_of, gateway_path, is_stream, providers, rows_of
from tests.deployment import Deployment
from tests.replay import Answer, Upstream, answer_of
from tests.traffic import index, load, needs_traffic

M = 1_000_000
D = Decimal


@dataclass(frozen=True)
class Worked:
    """`dollars` is the sum by hand; `stated` what the provider itself says that it cost."""

    id: str
    model: str
    dollars: Decimal
    stated: Decimal | None = None

    @property
    def exact(self) -> Decimal:
        """To the pico-dollar, as the ledger keeps it."""
        return self.dollars.quantize(D("1e-12"), ROUND_HALF_EVEN)


# What the bundled list does not know, or knows by the hour of the day.
PRICES: dict[str, dict[str, float]] = {
    "deepseek:deepseek-v4-flash": {
        "input_price_per_million": 0.15,
        "cache_read_price_per_million": 0.003,
        "output_price_per_million": 0.6,
    },
    "perplexity-openai-chat:sonar": {
        "input_price_per_million": 1,
        "output_price_per_million": 1,
        "price_per_request": 0.005,
    },
    "zai-openai-chat:glm-5.2": {"input_price_per_million": 1, "output_price_per_million": 3.2},
    "zai-openai-chat:glm-4.5-flash": {
        "input_price_per_million": 0.6,
        "cache_read_price_per_million": 0.11,
        "output_price_per_million": 2.2,
    },
    "venice-openai-chat:qwen3-5-9b": {
        "input_price_per_million": 0.1,
        "cache_read_price_per_million": 0.05,
        "output_price_per_million": 0.15,
    },
    "crusoe-openai-chat:zai/GLM-5.2": {
        "input_price_per_million": 1.2,
        "cache_read_price_per_million": 0.2,
        "output_price_per_million": 4,
        "reasoning_price_per_million": 5,
    },
    "cerebras-openai-chat:gpt-oss-120b": {"input_price_per_million": 0.35, "output_price_per_million": 0.75},
    "bedrock-mantle-openai-responses:openai.gpt-5.6-luna": {
        "input_price_per_million": 0.22,
        "cache_write_price_per_million": 0.275,
        "output_price_per_million": 1.32,
    },
    "openai:heard": {"input_price_per_million": 0, "output_price_per_million": 0, "price_per_second": 0.0002},
    "openai:drawn": {"input_price_per_million": 1, "output_price_per_million": 2, "price_per_image": 0.04},
    "voyage-openai-chat:voyage-3-lite": {"input_price_per_million": 0.02, "output_price_per_million": 0},
    "llamacpp-openai-chat:qwen3": {
        "input_price_per_million": 0.000001,
        "cache_read_price_per_million": 0.0000005,
        "output_price_per_million": 0.000003,
    },
    "alibaba-openai-chat:qwen3-max": {"input_price_per_million": 1.2, "output_price_per_million": 6},
    "cohere-openai-chat:rerank-english-v3.0": {
        "input_price_per_million": 0,
        "output_price_per_million": 0,
        "price_per_request": 0.002,
    },
    "doubleword-openai-chat:Qwen/Qwen3.5-397B-A17B-FP8": {
        "input_price_per_million": 0.6,
        "output_price_per_million": 3.6,
        "reasoning_price_per_million": 3,
    },
    "doubleword-openai-chat:Qwen/Qwen3.5-9B": {
        "input_price_per_million": 0.05,
        "output_price_per_million": 0.4,
        "reasoning_price_per_million": 0.3,
    },
    "heroku-openai-chat:claude-3-7-sonnet": {"input_price_per_million": 3, "output_price_per_million": 15},
    "huggingface-openai-chat:Qwen/Qwen2.5-VL-72B-Instruct": {
        "input_price_per_million": 0.25,
        "output_price_per_million": 0.75,
        "input_image_price_per_million": 0.5,
    },
    "huggingface-openai-chat:meta-llama/llama-3.1-8b-instruct": {
        "input_price_per_million": 0.02,
        "output_price_per_million": 0.05,
    },
    "local-compatible-openai-chat:gpt-5": {"input_price_per_million": 1.25, "output_price_per_million": 10},
    "local-compatible-openai-responses:gpt-5": {"input_price_per_million": 1.25, "output_price_per_million": 10},
    "local-compatible-openai-chat:meta-llama/Llama-3.2-1B-Instruct": {
        "input_price_per_million": 0.01,
        "output_price_per_million": 0.02,
    },
    "local-compatible-openai-chat:intfloat/e5-mistral-7b-instruct": {
        "input_price_per_million": 0.03,
        "output_price_per_million": 0,
    },
    "mistralrs-openai-chat:Qwen/Qwen3-4B": {"input_price_per_million": 0.03, "output_price_per_million": 0.09},
    "ollama-openai-chat:gpt-oss:20b": {"input_price_per_million": 0.04, "output_price_per_million": 0.15},
    "ollama-openai-chat:llama3": {"input_price_per_million": 0.03, "output_price_per_million": 0.06},
    "ollama-openai-chat:qwen3:0.6b": {"input_price_per_million": 0.01, "output_price_per_million": 0.02},
    "ollama-openai-chat:gemma3:4b": {"input_price_per_million": 0.02, "output_price_per_million": 0.04},
    "pydantic-gateway-openai-responses:gpt-5": {"input_price_per_million": 1.25, "output_price_per_million": 10},
    "snowflake-openai-chat:claude-sonnet-4-6": {"input_price_per_million": 3.3, "output_price_per_million": 16.5},
    "snowflake-openai-chat:openai-gpt-4.1": {"input_price_per_million": 2.2, "output_price_per_million": 8.8},
    "vercel-gateway-openai-chat:openai/gpt-5": {"input_price_per_million": 1.25, "output_price_per_million": 10},
    "vercel-gateway-openai-chat:anthropic/claude-sonnet-4": {
        "input_price_per_million": 3,
        "output_price_per_million": 15,
    },
}

OPENAI = [
    # plain
    Worked("openai-chat-completions-00598a691181", "gpt-4.1-mini", (D("0.4") * 23 + D("1.6") * 1) / M),
    # cached input
    Worked(
        "openai-chat-completions-3fd0c66c66b1",
        "gpt-4o",
        (D("2.5") * (1420 - 1280) + D("1.25") * 1280 + D("10") * 100) / M,
    ),
    # cache writes, which cost more than plain input since GPT-5.6
    Worked(
        "openai-chat-completions-f84856eef56b",
        "gpt-5.6-sol",
        (D("4") * (4020 - 4012) + D("5") * 4012 + D("20") * 4) / M,
    ),
    Worked(
        "openai-responses-990f188f2be7", "gpt-5.6-sol", (D("4") * (1220 - 1217) + D("5") * 1217 + D("20") * 100) / M
    ),
    # reasoning is a part of the output, and costs what output costs
    Worked("openai-chat-completions-07719e84450c", "o3-mini", (D("1.1") * 12 + D("4.4") * 30) / M),
    Worked("openai-responses-0084ef58c6a3", "gpt-5.5", (D("5") * 63 + D("30") * 72) / M),
    # audio in
    Worked("openai-chat-completions-9625dc3ee163", "gpt-audio", (D("2.5") * 17 + D("32") * 25 + D("10") * 10) / M),
    # web searches: two and six at ten dollars a thousand
    Worked(
        "openai-responses-1326c51360d1",
        "gpt-5",
        (D("1.25") * (12594 - 3200) + D("0.125") * 3200 + D("10") * 1150) / M + 2 * D("0.01"),
    ),
    Worked(
        "openai-responses-598e6016d218",
        "gpt-5",
        (D("1.25") * (115886 - 92160) + D("0.125") * 92160 + D("10") * 1720) / M + 6 * D("0.01"),
    ),
    # service tiers: flex is half of 0.05 and 0.40, priority is twice 1.25 and 10
    Worked("openai-chat-completions-f292b970a67c", "gpt-5-nano", (D("0.025") * 8 + D("0.2") * 296) / M),
    Worked("openai-chat-completions-e0ba72795839", "gpt-5", (D("2.5") * 8 + D("20") * 82) / M),
    # no answer to a conversation
    Worked("openai-responses-compact-8bfb6eefba10", "gpt-4o-mini", (D("0.15") * 124 + D("0.6") * 268) / M),
    # a picture that a tool drew: the answer says neither its tokens nor what it cost
    Worked("openai-responses-32a95e865a9e", "gpt-5", (D("1.25") * 1889 + D("10") * 1434) / M),
    Worked("openai-embeddings-08c984644892", "text-embedding-3-small", D("0.02") * 2 / M),
    Worked("azure-openai-chat-completions-0b41c67c415b", "gpt-5-nano", (D("0.05") * 343 + D("0.4") * 666) / M),
]
ANTHROPIC = [
    # plain; `input_tokens` holds neither what was read from a cache nor what was written to it
    Worked("anthropic-messages-01a44c986f2f", "claude-3-5-haiku-latest", (D("0.8") * 471 + D("4") * 66) / M),
    # written for an hour and for five minutes
    Worked(
        "anthropic-messages-0a607741c66e",
        "claude-sonnet-4-6",
        (D("3") * 19 + D("3.75") * 407 + D("6") * 1931 + D("15") * 61) / M,
    ),
    # read, and written for five minutes
    Worked(
        "anthropic-messages-07c302f0674e",
        "claude-sonnet-4-6",
        (D("3") * 4 + D("0.3") * 9116 + D("3.75") * 219 + D("15") * 156) / M,
    ),
    # thinking is a part of the output
    Worked("anthropic-messages-1a19e07ec880", "claude-sonnet-4-6", (D("3") * 100 + D("15") * 13) / M),
    # three searches, whole; and two in a stream whose last event corrects its first
    Worked(
        "anthropic-messages-089e8f27b029",
        "claude-sonnet-4-0",
        (D("3") * 2081 + D("0.3") * 28289 + D("3.75") * 8239 + D("15") * 561) / M + 3 * D("0.01"),
    ),
    Worked(
        "anthropic-messages-44f34258c896",
        "claude-sonnet-4-0",
        (D("3") * 17 + D("0.3") * 16242 + D("3.75") * 23258 + D("15") * 515) / M + 2 * D("0.01"),
    ),
    # above 200,000 tokens of input all of them cost 6 and 22.50
    Worked(
        "anthropic-messages-ab259fd0d8b5",
        "claude-sonnet-4-5",
        (D("6") * 404500 + D("22.5") * 943) / M + 10 * D("0.01"),
    ),
    # a compaction on the way: 100 and 55,096 read from a cache in, 83 out
    Worked(
        "anthropic-messages-9c2fb91710e2",
        "claude-sonnet-4-6",
        (D("3") * (181 + 100) + D("0.3") * 55096 + D("15") * (8 + 83)) / M,
    ),
]
GOOGLE = [
    # thoughts are beside the candidates and cost the same
    Worked("gemini-generatecontent-07650215e30d", "gemini-3-flash-preview", (D("0.5") * 161 + D("3") * (21 + 51)) / M),
    # cached, of several kinds
    Worked(
        "gemini-generatecontent-7a593b4ede44",
        "gemini-2.5-flash",
        (D("0.3") * (424 - 287) + D("0.03") * 287 + D("2.5") * (70 + 287)) / M,
    ),
    # audio in
    Worked(
        "gemini-generatecontent-500860a62593",
        "gemini-3-flash-preview",
        (D("0.5") * 190 + D("1") * 113 + D("3") * (28 + 175)) / M,
    ),
    Worked(
        "vertex-generatecontent-3146eb87790e", "gemini-2.0-flash", (D("0.1") * 9 + D("0.7") * 150 + D("0.4") * 19) / M
    ),
    # images in cost what text costs
    Worked(
        "gemini-generatecontent-0d31936899ba", "gemini-3-flash-preview", (D("0.5") * 1312 + D("3") * (155 + 274)) / M
    ),
    # what a server tool put into the prompt is beside the prompt
    Worked(
        "gemini-generatecontent-09c4fc605d49", "gemini-2.5-pro", (D("1.25") * (46 + 1436) + D("10") * (293 + 980)) / M
    ),
    # two queries, charged as one answer; three queries, charged each; one, and an empty one that is not charged
    Worked(
        "gemini-generatecontent-39f6d2549fdf",
        "gemini-2.5-flash",
        (D("0.3") * (32 + 134) + D("2.5") * (77 + 324)) / M + D("0.035"),
    ),
    Worked(
        "gemini-generatecontent-6a967016340a",
        "gemini-3-flash-preview",
        (D("0.5") * 132 + D("3") * (62 + 121)) / M + D("0.014"),
    ),
    Worked(
        "vertex-generatecontent-25933d6da67d",
        "gemini-3-flash-preview",
        (D("0.5") * 125 + D("3") * (250 + 456)) / M + D("0.014"),
    ),
]
OTHERS = [
    # xAI counts reasoning beside the completion; a tick is a ten-thousandth of a millionth of a dollar
    Worked(
        "xai-responses-2dec3157b1df",
        "grok-4.3",
        (D("1.25") * (166 - 128) + D("0.2") * 128 + D("2.5") * 255) / M,
        stated=D("0.0007106"),
    ),
    Worked(
        "xai-chat-completions-30190ded5759",
        "grok-4-0709",
        (D("3") * (786 - 689) + D("0.75") * 689 + D("15") * (15 + 336)) / M,
    ),
    Worked(
        "groq-chat-completions-5c30d8d2e9d1",
        "openai/gpt-oss-120b",
        (D("0.15") * (336 - 256) + D("0.075") * 256 + D("0.6") * 96) / M,
    ),
    Worked(
        "mistral-chat-completions-0246c619fc50",
        "mistral-small-latest",
        (D("0.15") * (137 - 112) + D("0.015") * 112 + D("0.6") * 16) / M,
    ),
    # Mistral charges five seconds of speech by the hour, and its tokens, beside the eleven of text, not at all
    Worked(
        "mistral-chat-completions-685fea143355",
        "voxtral-small-24b-2507",
        (D("0.1") * (11 - 9) + D("0.01") * 9 + D("0.4") * 15) / M + D("0.24") * 5 / 3600,
    ),
    Worked("mistral-embeddings-5a6132de3a81", "mistral-embed", D("0.1") * 4 / M),
    Worked(
        "deepseek-chat-completions-1b78e3e2f47f",
        "deepseek-v4-flash",
        (D("0.15") * 125 + D("0.003") * 256 + D("0.6") * 74) / M,
    ),
    Worked(
        "deepseek-responses-00f34dbb718e",
        "deepseek-v4-flash",
        (D("0.15") * (180 - 128) + D("0.003") * 128 + D("0.6") * 40) / M,
    ),
    Worked(
        "openrouter-chat-completions-90a8b1d2115c",
        "anthropic/claude-sonnet-4.6",
        (D("3") * (2572 - 2240 - 329) + D("0.3") * 2240 + D("3.75") * 329 + D("15") * 100) / M,
        stated=D("0.00341475"),
    ),
    # the search is OpenRouter's own: its list has no price for it, what it states has
    Worked(
        "openrouter-chat-completions-08433c4005db",
        "openai/gpt-4.1-mini",
        (D("0.4") * 8174 + D("1.6") * 30) / M,
        stated=D("0.0133176"),
    ),
    Worked(
        "openrouter-chat-completions-07ac9fc19fb7",
        "openai/gpt-5.2",
        (D("1.75") * 148 + D("14") * 38) / M,
        stated=D("0.000791"),
    ),
    # a fee for each request
    Worked(
        "perplexity-chat-completions-1b4d9e29f804",
        "sonar",
        (D("1") * 50 + D("1") * 48) / M + D("0.005"),
        stated=D("0.0051"),
    ),
    Worked("together-chat-completions-a02cc4a47421", "mistralai/Mixtral-8x7B-Instruct-v0.1", D("0.9") * (18 + 35) / M),
    Worked("zai-chat-completions-6cc0e3a62aba", "glm-5.2", (D("1") * 20 + D("3.2") * 67) / M),
    Worked(
        "zai-chat-completions-070e1df57004",
        "glm-4.5-flash",
        (D("0.6") * (35 - 7) + D("0.11") * 7 + D("2.2") * 267) / M,
    ),
    Worked(
        "venice-chat-completions-0a547b8e6252",
        "qwen3-5-9b",
        (D("0.1") * (1575 - 1056) + D("0.05") * 1056 + D("0.15") * 2) / M,
    ),
    # reasoning with a price of its own
    Worked(
        "crusoe-chat-completions-a83d5f133a9b",
        "zai/GLM-5.2",
        (D("1.2") * (214 - 64) + D("0.2") * 64 + D("4") * (54 - 20) + D("5") * 20) / M,
    ),
    Worked("cerebras-chat-completions-5d47ca90b85a", "gpt-oss-120b", (D("0.35") * 98 + D("0.75") * 47) / M),
    Worked(
        "bedrock-mantle-responses-0188b1234471",
        "openai.gpt-5.6-luna",
        (D("0.22") * (158 - 43) + D("0.275") * 43 + D("1.32") * 32) / M,
    ),
    Worked("voyage-embeddings-2a51369aab4e", "voyage-3-lite", D("0.02") * 12 / M),
    # a millionth of a dollar a million: a token is a pico-dollar, half a one rounds to the even one
    Worked(
        "llamacpp-chat-completions-0ccf2cfd433d",
        "qwen3",
        (D("0.000001") * (104 - 78) + D("0.0000005") * 78 + D("0.000003") * 330) / M,
    ),
    Worked("azure-ai-messages-69ed9e532b06", "claude-haiku-4-5", (D("1") * 725 + D("5") * 69) / M),
    Worked("alibaba-chat-completions-3223b493ecab", "qwen3-max", (D("1.2") * 24 + D("6") * 1668) / M),
    # Cohere charges rerank by the search: no tokens, one request
    Worked("cohere-rerank-a527a9324815", "rerank-english-v3.0", D("0.002")),
    Worked(
        "doubleword-chat-completions-147f7b3d327a",
        "Qwen/Qwen3.5-397B-A17B-FP8",
        (D("0.6") * 261 + D("3.6") * (45 - 32) + D("3") * 32) / M,
    ),
    # 132 tokens of reasoning are told of 128 of output: all 128 were reasoning, and no more are charged
    Worked("doubleword-chat-completions-e52482897d73", "Qwen/Qwen3.5-9B", (D("0.05") * 16 + D("0.3") * 128) / M),
    Worked("heroku-chat-completions-c3b192ff7507", "claude-3-7-sonnet", (D("3") * 14 + D("15") * 51) / M),
    # a picture in, whose tokens the answer does not tell from those of the text: all cost what text costs
    Worked(
        "huggingface-chat-completions-30b228ecbd22",
        "Qwen/Qwen2.5-VL-72B-Instruct",
        (D("0.25") * 269 + D("0.75") * 27) / M,
    ),
    Worked(
        "huggingface-chat-completions-7b957a69f1a1",
        "meta-llama/llama-3.1-8b-instruct",
        (D("0.02") * 40 + D("0.05") * 2) / M,
    ),
    # every kind of call to a server of one's own
    Worked("local-compatible-chat-completions-ff8c37734b91", "gpt-5", (D("1.25") * 13 + D("10") * 11) / M),
    Worked("local-compatible-responses-73960ff595ec", "gpt-5", (D("1.25") * 13 + D("10") * 8) / M),
    Worked("local-compatible-messages-d5828d723160", "claude-sonnet-4-5", (D("3") * 14 + D("15") * 10) / M),
    Worked(
        "local-compatible-completions-ceae06bf57f8",
        "meta-llama/Llama-3.2-1B-Instruct",
        (D("0.01") * 9 + D("0.02") * 16) / M,
    ),
    Worked("local-compatible-embeddings-3cf88cd8cecd", "intfloat/e5-mistral-7b-instruct", D("0.03") * 11 / M),
    Worked("mistralrs-chat-completions-347b1ae6be36", "Qwen/Qwen3-4B", (D("0.03") * 41 + D("0.09") * 208) / M),
    Worked("ollama-chat-completions-2d6d5dd4b9e5", "gpt-oss:20b", (D("0.04") * 172 + D("0.15") * 88) / M),
    Worked("ollama-chat-completions-cabcb4ef6bda", "gpt-oss:20b", (D("0.04") * 206 + D("0.15") * 194) / M),
    # the answer says 0 for the prompt: nothing is charged for it
    Worked("ollama-chat-completions-80c5149165de", "llama3", D("0.06") * 26 / M),
    Worked("ollama-chat-completions-a636218c5732", "qwen3:0.6b", (D("0.01") * 136 + D("0.02") * 15) / M),
    Worked("ollama-chat-completions-cfdc5bc36c79", "gemma3:4b", (D("0.02") * 21 + D("0.04") * 16) / M),
    Worked("pydantic-gateway-responses-83f52503f25e", "gpt-5", (D("1.25") * 494 + D("10") * 5) / M),
    Worked("pydantic-gateway-responses-df7627e24662", "gpt-5", (D("1.25") * 57 + D("10") * 424) / M),
    Worked("snowflake-chat-completions-149ac26f1775", "claude-sonnet-4-6", (D("3.3") * 45 + D("16.5") * 73) / M),
    Worked("snowflake-chat-completions-d77486462046", "openai-gpt-4.1", (D("2.2") * 21 + D("8.8") * 2) / M),
    Worked(
        "vercel-gateway-chat-completions-ada87218b739",
        "anthropic/claude-sonnet-4",
        (D("3") * 16 + D("15") * 36) / M,
        stated=D("0.000588"),
    ),
    # 64 of the 116 were reasoning; what Vercel states has them twice
    Worked(
        "vercel-gateway-chat-completions-4ab36a909769",
        "openai/gpt-5",
        (D("1.25") * 63 + D("10") * 116) / M,
        stated=D("0.00187875"),
    ),
]
ALL = [*OPENAI, *ANTHROPIC, *GOOGLE, *OTHERS]

# What a recording is tagged with that costs something of its own.
CLASSES = {
    *("usage", "usage-cost", "reasoning-tokens", "cache-read", "cache-write", "cache-1h"),
    *("audio", "image-output", "web-search"),
}
# Endpoints that tell usage and are not asked of an upstream: the same providers are, at those of `PATHS`.
NOT_ASKED = {
    "cohere/v2/chat": "Cohere is spoken to through its OpenAI-compatible endpoint, and for rerank",
    "ollama/chat": "Ollama is spoken to through its OpenAI-compatible endpoints",
    "ollama/embed": "as ollama/chat",
    "ollama/generate": "as ollama/chat",
    "batchEmbedContents": "what /v1/embeddings becomes: test_embeddings_of_gemini",
    "embedContent": "the recording is of Vertex's own host; batchEmbedContents is what is asked",
}
NOT_WORKED = {("anthropic", "usage-cost"): "a proxy's recording; Anthropic's own answers state no cost"}


def _chat(model: str, **usage: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "hi"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {"id": "c", "object": "chat.completion", "created": 1, "model": model, "choices": choices, "usage": usage}


# Where nothing was recorded: written after the provider's own documentation.
SOLAR = _chat(
    "solar-pro3",
    prompt_tokens=1200,
    completion_tokens=300,
    total_tokens=1500,
    prompt_tokens_details={"cached_tokens": 1000},
    completion_tokens_details={"reasoning_tokens": 120},
)
SPOKEN = _chat(
    "gpt-audio",
    prompt_tokens=50,
    completion_tokens=240,
    total_tokens=290,
    prompt_tokens_details={"audio_tokens": 30},
    completion_tokens_details={"audio_tokens": 200},
)
LONG = _chat("gpt-5.4", prompt_tokens=300_000, completion_tokens=1000, prompt_tokens_details={"cached_tokens": 100_000})
DRAWN: dict[str, Any] = {
    "candidates": [{"content": {"parts": [{"text": "a cat"}], "role": "model"}, "finishReason": "STOP"}],
    "modelVersion": "gemini-2.5-flash-image",
    "usageMetadata": {
        "promptTokenCount": 20,
        "candidatesTokenCount": 1300,
        "totalTokenCount": 1320,
        "candidatesTokensDetails": [
            {"modality": "IMAGE", "tokenCount": 1290},
            {"modality": "TEXT", "tokenCount": 10},
        ],
    },
}
WRITTEN = [
    ("solar", SOLAR, (D("0.15") * 200 + D("0.015") * 1000 + D("0.6") * 300) / M),
    ("openai", SPOKEN, (D("2.5") * 20 + D("32") * 30 + D("10") * 40 + D("64") * 200) / M),
    # above 272,000 tokens of input every rate is the higher one
    ("openai", LONG, (D("5") * 200_000 + D("0.5") * 100_000 + D("22.5") * 1000) / M),
    # the same under tiers: batch is half of that, priority has no higher rate for long inputs
    ("openai", {**LONG, "service_tier": "batch"}, (D("2.5") * 200_000 + D("0.25") * 100_000 + D("11.25") * 1000) / M),
    ("openai", {**LONG, "service_tier": "priority"}, (D("5") * 200_000 + D("0.5") * 100_000 + D("30") * 1000) / M),
    ("gemini", DRAWN, (D("0.3") * 20 + D("30") * 1290 + D("2.5") * 10) / M),
]


def _asked(case: Worked, interaction: dict[str, Any]) -> Ask:
    model = f"{entry_of(interaction)}:{case.model}"
    recorded = interaction["request"]  # absent where only the answer was kept
    body = recorded["body"] if recorded else {"messages": [{"role": "user", "content": "hi"}]}
    if dialect_of(interaction) != "gemini":
        return Ask(interaction, gateway_path(interaction["endpoint"], model), {**body, "model": model})
    return Ask(interaction, gateway_path(interaction["endpoint"], model, "?alt=sse" * is_stream(interaction)), body)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Upstream]]:
    with Upstream() as upstream:
        recorded = providers(upstream.url, index())
        plain = {
            "openai": {"api_key": "k", "api_base": f"{upstream.url}/v1"},
            "gemini": {"api_key": "k", "api_base": upstream.url},
            "solar": {"api_key": "k", "api_base": f"{upstream.url}/v1"},
        }
        config = {"providers": {**recorded, **plain}, "pricing": PRICES}
        with Deployment(tmp_path_factory.mktemp("worked"), upstream.url, config=config) as deployment:
            yield deployment, upstream


@needs_traffic
def test_no_class_of_a_provider_is_left_out() -> None:
    rows = [row for row in index() if row["status"] == 200 and "usage" in row["kind"]]
    assert {row["endpoint"] for row in rows} - {*PATHS} == {*NOT_ASKED}
    worked = {case.id for case in ALL}
    told = {(row["provider"], kind) for row in rows if row["endpoint"] in PATHS for kind in CLASSES & {*row["kind"]}}
    held = {(row["provider"], kind) for row in rows if row["id"] in worked for kind in CLASSES & {*row["kind"]}}
    assert told - held == {*NOT_WORKED}


@needs_traffic
def test_every_class_of_tokens_of_every_provider(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    rows = {row["id"]: row for row in index()}
    asked: dict[str, Worked] = {}
    for case in ALL:
        interaction = load(rows[case.id])
        upstream.forget()
        path = f"/{entry_of(interaction)}" + PATHS[interaction["endpoint"]][1].format(case.model)
        upstream.on(path, answer_of(interaction))
        (got,) = ask_all(deployment, [_asked(case, interaction)])
        assert got.status == 200, f"{case.id}: {got.text}"
        asked[got.headers["x-request-id"]] = case
    found = rows_of(deployment, len(ALL))
    wrong = []
    for request_id, case in asked.items():
        (row,) = found[request_id]
        stated = None if row["provider_cost"] is None else D(str(row["provider_cost"]))
        if row["cost"] is None or D(str(row["cost"])) != case.exact or stated != case.stated:
            told = {name: value for name, value in row.items() if value and ("token" in name or name == "price")}
            wrong.append(f"{case.id}: {row['cost']} for {case.exact}, stated {stated}: {json.dumps(told)}")
    assert not wrong, "\n".join(wrong)


@needs_traffic
def test_embeddings_of_gemini(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.forget()
    model = "gemini-embedding-2"
    recorded = load(next(row for row in index() if row["id"] == "gemini-batchembedcontents-a520463d042a"))
    upstream.on(f"/v1beta/models/{model}:batchEmbedContents", answer_of(recorded))
    response = deployment.post("/v1/embeddings", {"model": f"gemini:{model}", "input": "hi"})
    assert response.status_code == 200, response.text
    (row,) = deployment.rows(1, request_id=response.headers["x-request-id"])
    assert D(str(row["cost"])) == D("0.2") * 11 / M, row


def test_what_was_not_recorded(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    asked: dict[str, Decimal] = {}
    for provider, answer, dollars in WRITTEN:
        upstream.forget()
        model = answer.get("model") or answer["modelVersion"]
        endpoint = "generateContent" if provider == "gemini" else "chat/completions"
        upstream.on(PATHS[endpoint][1].format(model), Answer(pieces=(json.dumps(answer).encode(),)))
        named = f"{provider}:{model}"
        body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "model": named}
        if provider != "gemini":
            body = {"model": named, "messages": [{"role": "user", "content": "hi"}]}
        response = deployment.post(gateway_path(endpoint, named), body)
        assert response.status_code == 200, response.text
        asked[response.headers["x-request-id"]] = dollars
    for request_id, dollars in asked.items():
        (row,) = deployment.rows(1, request_id=request_id)
        assert D(str(row["cost"])) == dollars, row


def test_pictures_and_sound_by_their_own_units(place: tuple[Deployment, Upstream]) -> None:
    deployment, upstream = place
    upstream.forget()
    drawn = {"created": 1, "data": [{"b64_json": "x"}, {"b64_json": "y"}]}
    upstream.on("/v1/images/generations", Answer(pieces=(json.dumps(drawn).encode(),)))
    heard = {"text": "hi", "usage": {"type": "duration", "seconds": 90}}
    upstream.on("/v1/audio/transcriptions", Answer(pieces=(json.dumps(heard).encode(),)))
    pictures = deployment.post("/v1/images/generations", {"model": "openai:drawn", "prompt": "a cat", "n": 2})
    by_hour, by_second = (
        httpx.post(
            f"{deployment.url}/v1/audio/transcriptions",
            headers={"Authorization": f"Bearer {deployment.key}"},
            data={"model": model},
            files={"file": ("a.wav", b"RIFF", "audio/wav")},
        )
        for model in ("openai:whisper-1", "openai:heard")
    )
    # 0.36 dollars an hour, and 0.0002 a second
    due = ((pictures, 2 * D("0.04")), (by_hour, D("0.36") * 90 / 3600), (by_second, D("0.0002") * 90))
    for response, dollars in due:
        assert response.status_code == 200, response.text
        (row,) = deployment.rows(1, request_id=response.headers["x-request-id"])
        assert D(str(row["cost"])) == dollars, row
