"""`wire.providers`: every row is whole, and says what the providers' documentation and recorded traffic say."""

from __future__ import annotations

import re

import pytest

from tests.traffic import index, load, needs_traffic
from wire.dialect import Quirks
from wire.neutral import DialectName
from wire.providers import IMPLIED_TYPES, ROWS, ProviderRow

NAMED = [
    *("openai", "anthropic", "gemini", "solar", "local", "openai_compatible", "azure", "groq", "mistral", "deepseek"),
    *("together", "fireworks", "openrouter", "xai", "cohere", "ollama", "vllm"),
]

ENDPOINTS: dict[str, DialectName] = {
    "chat/completions": "openai_chat",
    "responses": "openai_responses",
    "messages": "anthropic_messages",
}
# Recorded provider name -> row, where they differ.
RECORDED_AS: dict[str, str | None] = {"llamacpp": "local", "vertex": None, "azure-openai": None}


def test_every_promised_provider_is_there() -> None:
    assert list(ROWS) == NAMED


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.name)
def test_a_row_is_whole(row: ProviderRow) -> None:
    assert ROWS[row.name] is row
    assert re.fullmatch(r"[a-z_]+", row.name)
    assert row.label
    assert row.docs.startswith("https://") or row.name == "openai_compatible"
    assert row.base_url is None or re.fullmatch(r"https?://[^ ]+[^/ ]", row.base_url)
    assert row.dialects, "speaks something"
    assert set(row.dialects) <= set(row.paths), "a dialect without a path"
    assert all(path.startswith("/") for path in row.paths.values())
    assert all(re.fullmatch(r"[A-Z_]+", name) for name in row.environment)
    assert (row.auth == "none") <= (not row.needs_key)


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.price_list], ids=lambda row: row.name)
def test_price_lists_exist(row: ProviderRow) -> None:
    data = pytest.importorskip("genai_prices.data", reason="genai-prices is not installed: the dev extra has it")
    assert row.price_list in {provider.id for provider in data.providers}


def test_keys_are_looked_for_under_names_of_their_own() -> None:
    names = [name for row in ROWS.values() for name in row.environment]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("short", "name"), IMPLIED_TYPES.items())
def test_other_names_mean_rows(short: str, name: str) -> None:
    assert name in ROWS
    assert short not in ROWS


def test_openai_and_azure_have_no_quirks() -> None:
    assert ROWS["openai"].quirks == ROWS["azure"].quirks == Quirks()


@pytest.mark.parametrize(
    "row", [row for row in ROWS.values() if "openai_chat" in row.dialects], ids=lambda row: row.name
)
def test_only_openai_itself_knows_the_developer_role_and_custom_tools(row: ProviderRow) -> None:
    theirs = row.name in ("openai", "azure")
    assert row.quirks.developer_role is theirs
    assert ("custom_tools" not in row.quirks.drop) is theirs


@needs_traffic
def test_rows_have_the_addresses_that_were_recorded() -> None:
    recorded: dict[tuple[str, DialectName], set[str]] = {}
    for item in index():
        name = RECORDED_AS.get(item["provider"], item["provider"])
        dialect = ENDPOINTS.get(item["endpoint"])
        request = load(item)["request"] if name in ROWS and dialect is not None else None
        if name is not None and dialect is not None and request is not None and dialect in ROWS[name].dialects:
            recorded.setdefault((name, dialect), set()).add(request["url"].partition("?")[0])
    assert len(recorded) >= 10
    for (name, dialect), urls in recorded.items():
        row = ROWS[name]
        # The local model's address is this deployment's own.
        assert name in ("local", "ollama") or f"{row.base_url}{row.paths[dialect]}" in urls, (name, urls)


@needs_traffic
def test_fields_that_a_provider_took_are_not_dropped_for_it() -> None:
    """A recorded 200 with a field in its request is proof."""
    for item in index():
        row = ROWS.get(RECORDED_AS.get(item["provider"], item["provider"]) or "")
        if row is None or item["endpoint"] != "chat/completions" or item["status"] != 200:
            continue
        request = load(item)["request"]
        if request is None:
            continue
        given = {name for name, value in request["body"].items() if value is not None}
        # `n: 1` and the like are what leaving the field out means: sent by SDKs, proof of nothing.
        idle = {name for name in ("n", "store", "logprobs") if request["body"].get(name) in (1, False)}
        assert not (given - idle) & row.quirks.drop, (item["id"], (given - idle) & row.quirks.drop)
