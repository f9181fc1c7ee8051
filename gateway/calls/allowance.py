"""Whether and how a call is held to limits and budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.accounts.policies import NOTHING, PolicySource
from gateway.accounts.policy import Policy
from gateway.accounts.records import KeyRecord
from gateway.admission.desk import Desk
from gateway.calls.ask import Ask
from gateway.calls.grant import Candidate, Grant
from gateway.calls.limit_answers import LimitAnswers
from gateway.calls.sizes import Sizes, input_tokens
from gateway.metering.settlement import Call
from gateway.models import Models
from gateway.observability.metrics import Metrics
from gateway.routing.resolve import Target
from gateway.settings import AdmissionSection
from wire.errors import PriceUnknown


class Allowance:
    """Lets calls in. One per process."""

    def __init__(
        self, desk: Desk, policies: PolicySource, models: Models, metrics: Metrics, settings: AdmissionSection
    ) -> None:
        self._desk = desk
        self._policies = policies
        self._models = models
        self._settings = settings
        self._sizes = Sizes(models)
        self._answers = LimitAnswers(metrics, settings.on_redis_away)

    def open(
        self, key: KeyRecord | None, call: Call, ask: Ask, targets: Sequence[Target], estimate: int
    ) -> Grant | None:
        """None when no limit or budget applies, whichever target answers. Nothing is held before the grant's `enter`.

        `key` None: the master key. `estimate`: input tokens, from bytes.
        """
        rules = self._policies
        caller = rules.of_caller(key, call.caller.user_id or "", call.caller.tags)
        policies = [rules.of_target(each.provider.name, each.model) for each in targets]
        if ask.own_key is not None:
            caller, *policies = map(_without_budgets, (caller, *policies))
        if caller is NOTHING and all(each is NOTHING for each in policies):
            return None
        return Grant(
            self._desk,
            self._sizes,
            self._answers,
            call=call,
            ask=ask,
            tokens=input_tokens(ask, estimate),
            caller=caller,
            targets=[Candidate(*each) for each in zip(targets, policies, strict=True)],
            lowers=self._settings.lower_max_tokens if ask.lower_cap is None else ask.lower_cap,
        )

    def priced(self, targets: Sequence[Target]) -> Sequence[Target]:
        """The targets that may be called as to their price. Raises PriceUnknown when there is none."""
        if self._settings.unpriced == "allow":
            return targets
        found = [target for target in targets if self._models.price(target) is not None]
        if not found:
            raise PriceUnknown(f"Model '{targets[0].provider.name}:{targets[0].model}' has no price", param="model")
        return found


def _without_budgets(policy: Policy) -> Policy:
    """A call with its caller's own provider key costs its caller, not us; limits hold all the same."""
    return replace(policy, budgets=()) if policy.limits else NOTHING
