"""What can be set in `config.yaml`. Every field here is in `config.yaml.example`, and a test keeps it so.

Fields marked "any-llm" are accepted because an any-llm gateway's `config.yml` has them.
"""

from __future__ import annotations

from datetime import tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo

from gateway.settings.zones import zone_of
from wire.neutral import DialectName, DoorName


def _exact(value: Any) -> Any:
    """YAML reads 0.15 as a float; its shortest text is what the operator wrote."""
    return str(value) if isinstance(value, float) else value


Usd = Annotated[Decimal, BeforeValidator(_exact), Field(ge=0, le=Decimal("1000000"), allow_inf_nan=False)]


def _instead_of_hours(value: Decimal | None, info: ValidationInfo) -> Decimal | None:
    if value is not None and info.data.get("price_per_audio_hour") is not None:
        raise ValueError("give this or price_per_audio_hour, not both")
    return value


# Of a field below `price_per_audio_hour` in its model, which is the same said of an hour.
InsteadOfHours = AfterValidator(_instead_of_hours)
_UsdPerSecond = Annotated[Decimal, BeforeValidator(_exact), Field(ge=0, le=Decimal("250"), allow_inf_nan=False)]


def _zone(name: str) -> str:
    zone_of(name)
    return name


ZoneName = Annotated[str, AfterValidator(_zone)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class PriceSettings(Section):
    """US dollars per million tokens, unless the name says otherwise. An absent detail costs what its parent costs."""

    input_price_per_million: Usd
    output_price_per_million: Usd
    cache_read_price_per_million: Usd | None = None
    cache_write_price_per_million: Usd | None = None
    cache_write_1h_price_per_million: Usd | None = None
    reasoning_price_per_million: Usd | None = None
    input_audio_price_per_million: Usd | None = None
    output_audio_price_per_million: Usd | None = None
    input_image_price_per_million: Usd | None = None
    output_image_price_per_million: Usd | None = None
    price_per_request: Usd | None = None
    price_per_image: Usd | None = None
    price_per_web_search: Usd | None = None
    price_per_audio_hour: Usd | None = None
    price_per_second: Annotated[_UsdPerSecond | None, InsteadOfHours] = None  # of audio


class ProviderSettings(Section):
    """One upstream. `type` is implied for well-known names; the type's own address is used without `api_base`."""

    type: str | None = None
    api_key: SecretStr | None = None
    api_base: str | None = None
    dialects: tuple[DialectName, ...] | None = None
    default_model: str | None = None
    client_args: dict[str, Any] = {}  # any-llm: `custom_headers`, `timeout` in seconds
    credentials: Any = None  # any-llm, vertexai
    project: str | None = None  # any-llm, vertexai
    location: str | None = None  # any-llm, vertexai


class FallbackSettings(Section):
    """A target that is asked when those before it failed."""

    provider: str
    model: str


class ModelSettings(Section):
    """An alias: what callers may ask for, and who answers. Facts override the catalogue's, for the first target."""

    provider: str
    model: str
    fallbacks: tuple[FallbackSettings, ...] = ()
    context_window: int | None = Field(default=None, gt=0)
    max_output_tokens: int | None = Field(default=None, gt=0)
    pricing: PriceSettings | None = None


class SpoolSection(Section):
    """Where usage events wait for the worker. See docs/usage-ledger.md for what each bound costs."""

    folder: Path | None = None  # default: <data folder>/spool
    fsync: Literal["never", "always"] | Annotated[int, Field(ge=1, le=60_000)] = 50  # milliseconds
    segment_bytes: int = Field(default=8 * 1024 * 1024, ge=4096)
    segment_seconds: float = Field(default=10.0, gt=0)
    quota_bytes: int = Field(default=4 * 1024**3, ge=65536)
    on_full: Literal["refuse", "unmetered"] = "refuse"


class UpstreamSection(Section):
    """Timeouts in seconds, and what happens upstream when a caller hangs up."""

    connect_timeout: float = Field(default=10, gt=0)
    first_byte_timeout: float = Field(default=300, gt=0)
    idle_timeout: float = Field(default=120, gt=0)
    total_timeout: float = Field(default=1800, gt=0)
    on_disconnect: Literal["drain", "cut"] = "drain"
    drain_seconds: float = Field(default=60, ge=0)
    drain_tokens: int = Field(default=50_000, ge=0)


class LimitsSettings(Section):
    """Over all replicas. Absent: no limit. Tokens are input and output together unless the name says which."""

    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    input_tokens_per_minute: int | None = Field(default=None, ge=1)
    output_tokens_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_day: int | None = Field(default=None, ge=1)
    concurrent_calls: int | None = Field(default=None, ge=1)


class AdmissionSection(Section):
    """How limits and budgets are held. See docs/limits-and-budgets.md."""

    on_redis_away: Literal["local", "refuse"] = "local"
    replicas: int | None = Field(default=None, ge=1)  # default: as many gateways as were last seen
    lease_seconds: float = Field(default=30, ge=2, le=600)
    unpriced: Literal["allow", "refuse"] = "allow"
    lower_max_tokens: bool = False


class HistorySection(Section):
    """Dialogues that the LLM Server API keeps. See docs/llm-server.md."""

    enabled: bool = True
    ttl_hours: float = Field(default=168, gt=0)  # after the last turn
    max_messages: int = Field(default=200, ge=2)  # of one dialogue; the oldest go
    max_bytes: int = Field(default=1024 * 1024, ge=4096)  # of one dialogue; the oldest go
    max_conversations: int = Field(default=1000, ge=1)  # of one user; the oldest go


class JobsSection(Section):
    """Calls that the LLM Server API makes in the background."""

    enabled: bool = True
    at_once: int = Field(default=4, ge=1)  # in one gateway
    max_open: int = Field(default=100, ge=1)  # of one user, waiting or running
    max_bytes: int = Field(default=1024 * 1024, ge=1024)  # of one request
    lease_seconds: float = Field(default=15, ge=1, le=600)  # after that, another gateway takes a dead one's job over
    ttl_hours: float = Field(default=24, gt=0)  # how long an answer can be fetched


class LlmServerSection(Section):
    """The LLM Server API. See docs/llm-server.md."""

    port: int | None = Field(default=None, ge=0, le=65535)  # listened on too, where its clients expect it
    default_model: str | None = None  # for calls that name none; default: what the first usable provider means
    language: Literal["en", "ko"] | None = None  # of the system prompt; default: as the caller's Accept-Language says
    system_prompts: dict[Literal["en", "ko"], str] = {
        "en": "You are a helpful assistant.",
        "ko": "당신은 친절하고 정확한 AI 어시스턴트입니다. 한국어로 답변하세요.",
    }
    context_window: int = Field(default=8192, ge=256)  # tokens, of models whose window nobody knows
    open_system_status: bool = False  # GET /api/v1/system/status without the master key
    history: HistorySection = HistorySection()
    jobs: JobsSection = JobsSection()


class ByokSection(Section):
    """Whether callers may bring a provider's key of their own. See docs/own-provider-keys.md."""

    providers: tuple[str, ...] = ()  # of which providers, in `x-tollgate-provider-key`; "*": of all
    llm_server: bool = True  # OpenAI's, as `openai_api_key` of POST /api/v1/chat, whatever `providers` says


class AnonymousSection(Section):
    """Callers who send no key: for which user they call, and through which front doors. See docs/front-doors.md."""

    user: str = Field(min_length=1, max_length=255)  # made at start when unknown
    surfaces: tuple[DoorName, ...] = Field(min_length=1)
    hosts: tuple[str, ...] = ()  # beside addresses, names without a dot and those of `cors_allow_origins`


class AuthSection(Section):
    """Who is let in beside the holders of keys."""

    anonymous: AnonymousSection | None = None


class LocalSection(Section):
    """The local model, as `tollgate up` starts it; a container is told the same by LOCAL_<NAME>. docs/local-model.md"""

    port: int = Field(default=11434, ge=1, le=65535)
    server: str | None = None  # llama-server's path; default: LLAMA_SERVER_BIN, PATH, the one built here
    model: str | None = None  # default: the first by name
    slots: int = Field(default=4, ge=1, le=256)
    context: int = Field(default=2048, ge=64)
    threads: int | None = Field(default=None, ge=1)  # default: the cores that may be used
    batch: int = Field(default=128, ge=16)
    cache_mib: int = Field(default=256, ge=0)
    idle_seconds: float = Field(default=900, ge=0)
    queue: int = Field(default=32, ge=0)
    wait_seconds: float = Field(default=120, gt=0)
    memory_mib: int | None = Field(default=None, ge=1)  # default: what is free


class Settings(Section):
    """The whole configuration. Secrets have a masked repr and no default."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    data_dir: Path = Path("data")
    secrets_dir: Path = Path("secrets")
    models_dir: Path = Path("models")
    database_url: str | None = None  # default: SQLite files in the data folder
    ledger_database_url: str | None = None  # default: `database_url`, or ledger.db beside a SQLite file
    redis_url: str | None = None
    reporting_zone: ZoneName = "UTC"  # where a day and a month of usage begin and end
    retention_months: int | None = Field(default=None, ge=1)  # of usage events; sums are kept; default: all
    master_key: SecretStr | None = None  # default: made at first start, kept in the secrets folder
    bootstrap_key: SecretStr | None = None  # the first virtual key; default: made and kept like the master key
    auto_migrate: bool = True
    bootstrap_api_key: bool = True
    cors_allow_origins: tuple[str, ...] = ()
    max_body_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)
    caller_timeout_seconds: float = Field(default=60, gt=0, le=86_400)
    max_stale_seconds: float = Field(default=900, ge=0)
    log_level: str = "INFO"
    enable_docs: bool = True
    enable_metrics: bool = True
    ui_port: int = Field(default=3000, ge=0, le=65535)
    page_dir: Path | None = None  # the static page, when this process serves it
    page_url: str | None = None  # where browsers find the page; default: http://127.0.0.1:<ui_port>
    providers: dict[str, ProviderSettings] = {}
    models: dict[str, ModelSettings] = {}
    pricing: dict[str, PriceSettings] = {}
    rate_limit_rpm: int | None = Field(default=None, ge=1)  # any-llm: of every user without limits of its own
    limits: dict[str, LimitsSettings] = {}  # by provider, provider:model, or * for everybody together
    spool: SpoolSection = SpoolSection()
    upstream: UpstreamSection = UpstreamSection()
    admission: AdmissionSection = AdmissionSection()
    byok: ByokSection = ByokSection()
    llm_server: LlmServerSection = LlmServerSection()
    auth: AuthSection = AuthSection()
    local: LocalSection = LocalSection()

    @property
    def accounts_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'accounts.db'}"

    @property
    def ledger_url(self) -> str:
        if self.ledger_database_url:
            return self.ledger_database_url
        if not self.database_url:
            return f"sqlite:///{self.data_dir / 'ledger.db'}"
        if self.database_url.startswith("sqlite"):
            # One writer a file: the worker's batches must not wait for the management API, nor it for them.
            head, _, name = self.database_url.rpartition("/")
            stem, dot, suffix = name.rpartition(".")
            return f"{head}/{stem or name}-ledger{dot}{suffix if stem else ''}"
        return self.database_url

    @property
    def zone(self) -> tzinfo:
        return zone_of(self.reporting_zone)

    @property
    def page_address(self) -> str:
        return (self.page_url or f"http://127.0.0.1:{self.ui_port}").rstrip("/")

    @property
    def spool_root(self) -> Path:
        return self.spool.folder or self.data_dir / "spool"


# any-llm gateway keys that have no meaning here: accepted with a warning, so that its files start unchanged.
UNUSED_KEYS = {
    "db_pool_size": "the pool sizes itself",
    "db_max_overflow": "the pool sizes itself",
    "db_pool_timeout": "the pool sizes itself",
    "db_pool_recycle": "the pool sizes itself",
    "log_writer_strategy": "usage goes through the spool",
    "budget_strategy": "usage goes through the spool",
    "mode": "there is one mode",
    "platform": "there is one mode",
}
