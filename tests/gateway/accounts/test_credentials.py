"""Which credential a request carries, what a virtual key looks like, and the master key's absence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.credentials import check_form, find_credential, hash_key, new_key
from gateway.accounts.service import Accounts
from ledger.engine import make_engine
from wire.errors import NotReady, Unauthenticated

IN_ORDER = ("x-anyllm-key", "anyllm-key", "otari-key", "authorization", "x-api-key", "x-goog-api-key")


def found_in(**headers: str) -> str | None:
    given_headers = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return find_credential(given_headers.get)


def test_the_first_header_wins() -> None:
    headers = {name: f"Bearer key-{place}" for place, name in enumerate(IN_ORDER)}
    headers |= {name: headers[name].removeprefix("Bearer ") for name in ("x-api-key", "x-goog-api-key")}
    for place, name in enumerate(IN_ORDER):
        assert found_in(**headers) == f"key-{place}"
        del headers[name]
    assert found_in() is None


@pytest.mark.parametrize("value", ["Token x", "Bearer", "Bearer ", "Basic eDp5"])
def test_authorization_says_bearer(value: str) -> None:
    with pytest.raises(Unauthenticated, match=r"^Invalid header format\. Expected 'Bearer <token>'$"):
        found_in(authorization=value)


def test_a_new_key_is_one_of_many_and_kept_as_its_hash() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    for key in keys:
        assert re.fullmatch(r"gw-[A-Za-z0-9_-]{64}", key)
        check_form(key)
        assert re.fullmatch(r"[0-9a-f]{64}", hash_key(key))


@given(st.text(max_size=100))
def test_no_other_text_is_taken_for_a_key(text: str) -> None:
    if re.fullmatch(r"gw-[A-Za-z0-9_-]{47,}", text):
        check_form(text)
    else:
        with pytest.raises(Unauthenticated, match=r"^Invalid API key format: API key "):
            check_form(text)


@pytest.mark.parametrize("credential", [None, "", "sk-anything", "gw-" + "a" * 64])
def test_without_a_master_key_nobody_manages(tmp_path: Path, credential: str | None) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/never-opened.db")
    accounts = Accounts(engine, redis_url=None, master_key=None, max_stale=1, limits={})
    told = r"^Master key not configured\. Set GATEWAY_MASTER_KEY environment variable\.$"
    with pytest.raises(NotReady, match=told) as refused:
        accounts.keys.require_master(credential)
    assert refused.value.status == 503
    accounts.keys.close()
