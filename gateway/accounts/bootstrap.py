"""The first virtual key in a database that has none."""

from __future__ import annotations

import logging

from gateway.accounts.keys import Keys
from gateway.accounts.store import AccountStore

_log = logging.getLogger(__name__)


async def ensure_bootstrap_key(keys: Keys, store: AccountStore, plain: str | None) -> None:
    """Put the first virtual key into an accounts database that does not know it. A key that was deleted stays so:
    only a database without any key gets it."""
    if plain is None or store.any_key():
        return
    await keys.create(key_name="bootstrap", metadata={"bootstrap": True}, key=plain)
    _log.info("made the first virtual key, named 'bootstrap'")
