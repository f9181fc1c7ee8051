"""Which credential a request carries, and what a virtual key looks like. Pure but for the making of new keys."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable

from wire.errors import Unauthenticated

KEY_PREFIX = "gw-"
MIN_KEY_LENGTH = 50
_WELL_FORMED = re.compile(r"gw-[A-Za-z0-9_-]+")

# First found wins (DESIGN §3.2). The gateway's own headers take the key raw or as `Bearer`.
_OWN_HEADERS = (b"x-anyllm-key", b"anyllm-key", b"otari-key")
_RAW_HEADERS = (b"x-api-key", b"x-goog-api-key")


def new_key() -> str:
    """`gw-` and 48 random bytes as URL-safe base64: 67 characters."""
    return KEY_PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(48)).decode()


def hash_key(key: str) -> str:
    """SHA-256, hex. Keys hold 384 random bits, so no salt or stretching is needed."""
    return hashlib.sha256(key.encode()).hexdigest()


def find_credential(header: Callable[[bytes], str | None]) -> str | None:
    """The credential of a request, None when it has none. Raises Unauthenticated for a header of the wrong form."""
    for name in _OWN_HEADERS:
        if value := header(name):
            return value.removeprefix("Bearer ").strip()
    if value := header(b"authorization"):
        scheme, _, token = value.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated("Invalid header format. Expected 'Bearer <token>'", code="invalid_format")
        return token.strip()
    for name in _RAW_HEADERS:
        if value := header(name):
            return value.strip()
    return None


def check_form(key: str) -> None:
    """Raises Unauthenticated with the any-llm gateway's words when the text cannot be a virtual key."""
    wrong = None
    if not key.startswith(KEY_PREFIX):
        wrong = f"must start with '{KEY_PREFIX}' prefix"
    elif len(key) < MIN_KEY_LENGTH:
        wrong = f"is too short. Expected at least {MIN_KEY_LENGTH} characters, got {len(key)}"
    elif not _WELL_FORMED.fullmatch(key):
        wrong = "contains invalid characters. Must match pattern: gw-[A-Za-z0-9_-]+"
    if wrong is not None:
        raise Unauthenticated(f"Invalid API key format: API key {wrong}", code="invalid_format")
