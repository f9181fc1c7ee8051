"""The parts of a running gateway, put together by `gateway.app` and read by routes."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from gateway.accounts.conversations import Conversations
from gateway.accounts.jobs import Jobs
from gateway.accounts.keys import Keys
from gateway.accounts.service import Accounts
from gateway.calls import Calls
from gateway.health import Health
from gateway.machine import Machine
from gateway.metering.settlement import Metering
from gateway.models import Models
from gateway.observability.metrics import Metrics
from gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class Parts:
    settings: Settings
    accounts: Accounts
    models: Models
    calls: Calls
    metering: Metering
    metrics: Metrics
    health: Health
    ledger: Engine
    conversations: Conversations
    jobs: Jobs
    machine: Machine

    @property
    def keys(self) -> Keys:
        return self.accounts.keys
