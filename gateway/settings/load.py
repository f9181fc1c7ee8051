"""Where settings come from: flags, then the environment (and `.env`), then `config.yaml`, then defaults."""

from __future__ import annotations

import difflib
import json
import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from pydantic import BaseModel, ValidationError

from gateway.settings.errors import SettingsError
from gateway.settings.models_config import with_models_config
from gateway.settings.schema import UNUSED_KEYS, Settings

_log = logging.getLogger(__name__)
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

# The usual names beside GATEWAY_<FIELD>, which wins.
_USUAL_NAMES = {
    "DATABASE_URL": "database_url",
    "REDIS_URL": "redis_url",
    "ALLOWED_ORIGINS": "cors_allow_origins",
    "LOG_LEVEL": "log_level",
    "SERVER_PORT": "port",
}
_FLAGS = (
    "data_dir",
    "host",
    "port",
    "database_url",
    "master_key",
    "auto_migrate",
    "log_level",
    "page_dir",
    "ui_port",
)
_USER_ALONE = re.compile(r"^(\w+(?:\+\w+)?://[^:@/]+)@")  # a database URL with a user and no password


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says; None means not said."""

    config: Path | None = None
    data_dir: Path | None = None
    host: str | None = None
    port: int | None = None
    database_url: str | None = None
    master_key: str | None = None
    auto_migrate: bool | None = None
    log_level: str | None = None
    page_dir: Path | None = None
    ui_port: int | None = None


def load(overrides: Overrides | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Raises SettingsError, one line that says what to do."""
    said = overrides or Overrides()
    environment = with_dotenv(os.environ if environ is None else environ)
    path = _config_path(said, environment)
    values = _read_yaml(path) if path else {}
    values = _interpolate(values, environment)
    values |= _from_environment(environment)
    values |= {name: value for name in _FLAGS if (value := getattr(said, name)) is not None}
    _drop_unused(values)
    if password_file := environment.get("GATEWAY_DATABASE_PASSWORD_FILE"):
        values["database_url"] = _with_password(values.get("database_url"), password_file)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error, path)) from None
    return with_models_config(settings)


def with_dotenv(environ: Mapping[str, str]) -> dict[str, str]:
    """`.env` in the working folder fills in what the environment does not say."""
    values: dict[str, str] = {}
    path = Path(".env")
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            name, equals, value = line.strip().removeprefix("export ").partition("=")
            if equals and name and not name.startswith("#"):
                values[name.strip()] = value.strip().strip("'\"")
    return values | dict(environ)


def _config_path(said: Overrides, environment: Mapping[str, str]) -> Path | None:
    named = said.config or (Path(environment["TOLLGATE_CONFIG"]) if environment.get("TOLLGATE_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise SettingsError(f"{named}: no such file; copy config.yaml.example there or leave --config away")
        return named
    return next((path for path in (Path("config.yaml"), Path("config.yml")) if path.is_file()), None)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({type(error).__name__}); check its mode and encoding") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise SettingsError(f"{path}:{where} {problem}; mend the YAML there") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: must be a mapping of settings, see config.yaml.example")
    # `pricing:` with nothing below it is null in YAML; it means the default.
    return {str(key): value for key, value in values.items() if value is not None}


def _interpolate(values: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Replace `${NAME}`. Unset in a provider's api_key leaves that provider without one; elsewhere it is an error."""

    def walk(value: Any, where: str) -> Any:
        if isinstance(value, dict):
            return {key: walk(item, f"{where}.{key}" if where else str(key)) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item, f"{where}[{at}]") for at, item in enumerate(value)]
        return _replace(value, where, environment) if isinstance(value, str) else value

    result: dict[str, Any] = walk(values, "")
    return result


def _replace(text: str, where: str, environment: Mapping[str, str]) -> str | None:
    missing = [name for name in _REFERENCE.findall(text) if name not in environment]
    if missing and where.startswith("providers.") and where.endswith(".api_key"):
        return None
    if missing:
        raise SettingsError(f"{where}: ${{{missing[0]}}} is not set in the environment; set it or write the value")
    return _REFERENCE.sub(lambda match: environment[match.group(1)], text)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, field in _USUAL_NAMES.items():
        if environment.get(name):
            values[field] = _parse(field, environment[name], name)
    for field in Settings.model_fields:
        name = f"GATEWAY_{field.upper()}"
        if environment.get(name):
            values[field] = _parse(field, environment[name], name)
        elif environment.get(f"{name}_FILE"):
            values[field] = _parse(field, _secret_file(environment[f"{name}_FILE"], f"{name}_FILE"), name)
    return values


def _with_password(url: object, path: str) -> str:
    """The database URL, wherever it was said, with the file's password unless it holds one already."""
    name = "GATEWAY_DATABASE_PASSWORD_FILE"
    if not isinstance(url, str) or not url:
        raise SettingsError(f"{name}: there is no database_url to put it into; set one, or leave the file away")
    password = quote(_secret_file(path, name), safe="")
    return _USER_ALONE.sub(lambda match: f"{match.group(1)}:{password}@", url)


def _secret_file(path: str, name: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{name}: {path} cannot be read ({type(error).__name__})") from None


def _parse(field: str, text: str, name: str) -> Any:
    if field == "cors_allow_origins" and not text.lstrip().startswith("["):
        return [origin.strip() for origin in text.split(",") if origin.strip()]
    if field == "cors_allow_origins" or _section_of(Settings.model_fields[field].annotation):
        try:
            return json.loads(text)
        except ValueError:
            raise SettingsError(f"{name}: must be JSON") from None
    return text


def _drop_unused(values: dict[str, Any]) -> None:
    for key in [key for key in values if key in UNUSED_KEYS]:
        _log.warning("setting %s is not used here: %s", key, UNUSED_KEYS[key])
        del values[key]


def _explain(error: ValidationError, path: Path | None) -> str:
    """The first thing that is wrong, in one line; a slip in a name before what is therefore missing."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
    where = ".".join(str(part) for part in first["loc"])
    source = f"{path}: " if path else ""
    if first["type"] == "extra_forbidden":
        known = _known_names(first["loc"])
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(known))}"
        return f"{source}unknown setting {where!r}; {hint}"
    return f"{source}{where}: {first['msg']}"


def _known_names(location: tuple[int | str, ...]) -> list[str]:
    """The field names of the section that an unknown key stands in."""
    model: type[BaseModel] = Settings
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        inner = _section_of(field.annotation) if field else None
        if inner is not None:
            model = inner
    return list(model.model_fields)


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """The section class inside an annotation such as `dict[str, ProviderSettings]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inside: Callable[[Any], Any] = lambda value: getattr(value, "__args__", ())  # noqa: E731
    return next((found for item in inside(annotation) if (found := _section_of(item))), None)
