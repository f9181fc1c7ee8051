"""Where a provider's key comes from: config, then /run/secrets, then `secrets/api_keys.yaml`, then the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

from gateway.settings.errors import SettingsError
from gateway.settings.schema import Settings

DOCKER_SECRETS = Path("/run/secrets")
KEY_FILE = "api_keys.yaml"


def read_key_file(folder: Path) -> dict[str, str]:
    """Provider name -> key, of `api_keys.yaml`: `openai: sk-...` or `openai: {api_key: sk-...}`. Empty when absent.

    Raises SettingsError; its message never quotes the file.
    """
    path = folder / KEY_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({type(error).__name__}); check its mode and encoding") from None
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError:
        raise SettingsError(f"{path}: is not valid YAML; one line a provider: `openai: sk-...`") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: must be a mapping, one line a provider: `openai: sk-...`")
    return {str(name).lower(): key for name, value in values.items() if (key := _key_text(value))}


def _key_text(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("api_key")
    return value.strip() if isinstance(value, str) and value.strip() else None


class KeyRing:
    """Looks a provider's key up in every place, in order. Read once; make a new one to see changes."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], docker_secrets: Path = DOCKER_SECRETS) -> None:
        self._file = read_key_file(settings.secrets_dir)
        self._environ = environ
        self._docker = docker_secrets

    def find(self, configured: SecretStr | None, names: tuple[str, ...], variables: tuple[str, ...]) -> str | None:
        """`names`: what the provider may be called in files; `variables`: its usual environment variables."""
        if configured is not None and configured.get_secret_value().strip():
            return configured.get_secret_value().strip()
        for name in (*variables, *(variable.lower() for variable in variables), *names):
            if text := self._docker_secret(name):
                return text
        for name in names:
            if name in self._file:
                return self._file[name]
        return next((text for name in variables if (text := self._environ.get(name, "").strip())), None)

    def _docker_secret(self, name: str) -> str | None:
        try:
            return (self._docker / name).read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError):
            return None
