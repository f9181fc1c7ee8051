"""Settings: what can be set (`schema`), where values come from (`load`), one frozen object for everybody else."""

from gateway.settings.errors import SettingsError
from gateway.settings.load import Overrides, load, with_dotenv
from gateway.settings.schema import (
    AdmissionSection,
    AnonymousSection,
    AuthSection,
    ByokSection,
    HistorySection,
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
    UsdPerSecond,
)

__all__ = [
    "AdmissionSection",
    "AnonymousSection",
    "AuthSection",
    "ByokSection",
    "HistorySection",
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
    "UsdPerSecond",
    "load",
    "with_dotenv",
]
