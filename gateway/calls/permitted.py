"""Which of a call's targets its key may use."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.accounts.allowed import allows
from gateway.accounts.keys import Principal
from gateway.routing.resolve import Target
from wire.errors import NotAllowed


def permitted(principal: Principal, targets: Sequence[Target]) -> Sequence[Target]:
    """Those that the key allows, by the name asked for or by their own. Raises NotAllowed when none is left."""
    patterns = None if principal.key is None else principal.key.allowed_models
    if patterns is None:
        return targets
    left = [target for target in targets if allows(patterns, *_names(target))]
    if not left:
        raise NotAllowed(f"This key may not use model '{targets[0].asked}'", param="model", code="model_not_allowed")
    return left


def _names(target: Target) -> tuple[str, ...]:
    provider = target.provider
    return target.asked, f"{provider.name}:{target.model}", f"{provider.row.name}:{target.model}"
