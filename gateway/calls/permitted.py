"""Which of a call's targets its key may use."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.accounts.allowed import allows
from gateway.accounts.keys import Principal
from gateway.models import Models
from gateway.routing.resolve import Target
from wire.errors import NotAllowed


def permitted(principal: Principal, targets: Sequence[Target], models: Models) -> Sequence[Target]:
    """Those that the key allows, by the name asked for or by one of their own. Raises NotAllowed when none is left."""
    patterns = None if principal.key is None else principal.key.allowed_models
    if patterns is None:
        return targets
    left = [target for target in targets if _allowed(patterns, target, models)]
    if not left:
        raise NotAllowed(f"This key may not use model '{targets[0].asked}'", param="model", code="model_not_allowed")
    return left


def may_use(principal: Principal, targets: Sequence[Target], models: Models) -> bool:
    """Whether the key allows any of them."""
    patterns = None if principal.key is None else principal.key.allowed_models
    return patterns is None or any(_allowed(patterns, target, models) for target in targets)


def _allowed(patterns: Sequence[str], target: Target, models: Models) -> bool:
    provider = target.provider
    if allows(patterns, target.asked, f"{provider.name}:{target.model}", f"{provider.row.name}:{target.model}"):
        return True
    # The id alone is a name of the target where it means this provider's model and no other's.
    return allows(patterns, target.model) and models.means(target.model, target)
