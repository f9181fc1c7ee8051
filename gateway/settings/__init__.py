"""Settings: what can be set (`schema`), where values come from (`load`), one frozen object for everybody else."""

from gateway.settings.errors import SettingsError
from gateway.settings.load import Overrides, load, with_dotenv
from gateway.settings.schema import (
    AdmissionSection,
    AnonymousSection,
    AuthSection,
    ByokSection,
    HistorySection,
    InsteadOfHours,
    JobsSection,
    LimitsSettings,
    LlmServerSection,
    LocalSection,
    ModelSettings,
    PriceSettings,
    ProviderSettings,
    Settings,
    SpoolSection,
    UpstreamSection,
)

__all__ = [
    "AdmissionSection",
    "AnonymousSection",
    "AuthSection",
    "ByokSection",
    "HistorySection",
    "InsteadOfHours",
    "JobsSection",
    "LimitsSettings",
    "LlmServerSection",
    "LocalSection",
    "ModelSettings",
    "Overrides",
    "PriceSettings",
    "ProviderSettings",
    "Settings",
    "SettingsError",
    "SpoolSection",
    "UpstreamSection",
    "load",
    "with_dotenv",
]
