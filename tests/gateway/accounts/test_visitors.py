"""Who is let in without a key, by where the request says that it comes from."""

from __future__ import annotations

import pytest

from gateway.accounts.visitors import Visitors
from gateway.settings import AnonymousSection
from wire.errors import NotAllowed

_SECTION = AnonymousSection(user="guest", surfaces=("playground", "cpu_stack"), hosts=("Chat.Example.com",))
_VISITORS = Visitors(_SECTION, ["https://page.example.org", "http://localhost:5173"])


def _welcome(visitors: Visitors, **headers: str) -> str | None:
    sent = {name.encode(): value for name, value in headers.items()}
    return visitors.welcome("playground", sent.get)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost"},
        {"host": "LOCALHOST:8000"},
        {"host": "app.localhost:8000"},
        {"host": "gateway:8000"},
        {"host": "127.0.0.1:8000"},
        {"host": "10.1.2.3"},
        {"host": "[::1]:8000"},
        {"host": "[fe80::1]"},
        {"host": "chat.example.com:443"},
        {"host": "page.example.org"},
        {"host": "localhost:3000", "origin": "http://localhost:3000"},
        {"host": "chat.example.com", "origin": "https://chat.example.com"},
        {"host": "chat.example.com", "origin": "https://chat.example.com:443"},
        {"host": "chat.example.com:80", "origin": "http://CHAT.example.com"},
        {"host": "10.1.2.3:8000", "origin": "https://page.example.org"},
        {"host": "10.1.2.3:8000", "origin": "http://localhost:5173"},
    ],
)
def test_these_come_in(headers: dict[str, str]) -> None:
    assert _welcome(_VISITORS, **headers) == "guest"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "host_not_allowed"),
        ({"host": ""}, "host_not_allowed"),
        ({"host": ":8000"}, "host_not_allowed"),
        ({"host": "stranger.example.net"}, "host_not_allowed"),
        ({"host": "example.com"}, "host_not_allowed"),
        ({"host": "chat.example.com.stranger.net"}, "host_not_allowed"),
        ({"host": "127.0.0.1.stranger.net"}, "host_not_allowed"),
        ({"host": "localhost.stranger.net"}, "host_not_allowed"),
        ({"host": "stranger.example.net", "origin": "http://stranger.example.net"}, "host_not_allowed"),
        ({"host": "localhost", "origin": "http://stranger.example.net"}, "origin_not_allowed"),
        ({"host": "localhost", "origin": "null"}, "origin_not_allowed"),
        ({"host": "localhost", "origin": ""}, "origin_not_allowed"),
        ({"host": "localhost:8000", "origin": "http://localhost:3000"}, "origin_not_allowed"),
        ({"host": "localhost", "origin": "http://localhost:8443"}, "origin_not_allowed"),
        ({"host": "localhost", "origin": "file://localhost"}, "origin_not_allowed"),
        ({"host": "page.example.org", "origin": "https://page.example.org.stranger.net"}, "origin_not_allowed"),
    ],
)
def test_these_do_not(headers: dict[str, str], code: str) -> None:
    with pytest.raises(NotAllowed) as raised:
        _welcome(_VISITORS, **headers)
    assert (raised.value.status, raised.value.code) == (403, code)


def test_a_door_that_is_not_named_stays_shut() -> None:
    assert _VISITORS.welcome("llm_server", {b"host": "localhost"}.get) is None
    assert _welcome(Visitors(None, ["*"]), host="localhost") is None


def test_where_every_site_may_call_every_site_may_call_without_a_key() -> None:
    assert _welcome(Visitors(_SECTION, ["*"]), host="localhost", origin="https://anywhere.example.net") == "guest"
