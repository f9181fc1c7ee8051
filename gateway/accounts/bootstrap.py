"""The first virtual key, which is there before anybody has made one."""

from __future__ import annotations

import logging

from gateway.accounts.issuing import KeyIssuer, NewKey
from gateway.accounts.store import Actor
from wire.errors import CallerError

_log = logging.getLogger(__name__)


def ensure_bootstrap_key(issuer: KeyIssuer, plain: str | None) -> None:
    """Put the first virtual key into an accounts database that does not know it. A key that was deleted stays so:
    only a database that never had a key gets it."""
    if plain is None or issuer.any_key():
        return
    try:
        issuer.create(Actor("start"), NewKey(key_name="bootstrap", metadata={"bootstrap": True}, key=plain))
    except CallerError:
        if not issuer.any_key():  # else another process was quicker
            raise
    else:
        _log.info("made the first virtual key, named 'bootstrap'")
