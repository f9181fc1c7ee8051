"""Which limits and budgets apply to a call, answered from memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.accounts.policy import Policy
from gateway.accounts.store import KeyRecord

NOTHING: Final = Policy()


class PolicySource:
    """One per process. What it knows is refreshed whenever the accounts change."""

    def policy_for(
        self, key: KeyRecord | None, user_id: str, model: str, provider: str, tags: Mapping[str, str]
    ) -> Policy:
        """All that applies to one call; the shared empty `NOTHING` when nothing does. No I/O.

        `key` None: the master key. `model` is the upstream's own name of it, `provider` the name of its entry; a
        model's scope is `provider:model`, a tag's `name=value`.
        """
        del key, user_id, model, provider, tags
        return NOTHING
