"""What is there before anybody has made it: the first virtual key, and the user of callers without a key."""

from __future__ import annotations

import logging

from gateway.accounts.issuing import KeyIssuer, NewKey
from gateway.accounts.store import Actor
from gateway.accounts.users import Users
from gateway.settings import AnonymousSection
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


def ensure_visitor(users: Users, chosen: AnonymousSection) -> None:
    """Make the user of callers without a key, once: whoever deletes it keeps them out."""
    user_id = chosen.user
    _log.warning("callers without a key are let in as user %r through: %s", user_id, ", ".join(chosen.surfaces))
    if users.exists(user_id):
        return
    try:
        users.create(Actor("start"), user_id, {"alias": "Callers without a key"}, None)
    except CallerError:
        if not users.exists(user_id):  # else another process was quicker
            raise
