"""The two credentials that exist before anybody has made one: the master key and the first virtual key.

Given by settings, else kept in the secrets folder, mode 0600, made at first start.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from gateway.accounts.credentials import new_key
from gateway.settings import Settings, SettingsError

MASTER_FILE = "master_key"
BOOTSTRAP_FILE = "bootstrap_key"
DATABASE_FILE = "database_password"


@dataclass(frozen=True, slots=True)
class Credentials:
    """`bootstrap` is None when `bootstrap_api_key` is off and no key file is there."""

    master: str = field(repr=False)
    bootstrap: str | None = field(repr=False)


def read_or_make(settings: Settings) -> Credentials:
    """Raises SettingsError when the secrets folder cannot be read or written."""
    master = settings.master_key.get_secret_value() if settings.master_key else None
    first = settings.bootstrap_key.get_secret_value() if settings.bootstrap_key else None
    folder = settings.secrets_dir
    return Credentials(
        master=master or _kept(folder / MASTER_FILE, _new_master()),
        bootstrap=first or (_kept(folder / BOOTSTRAP_FILE, new_key()) if settings.bootstrap_api_key else None),
    )


def make_secrets(folder: Path) -> None:
    """The credentials of a whole stack, each in a file of its own; those that are there already stay.

    Raises SettingsError when the folder cannot be written.
    """
    _kept(folder / MASTER_FILE, _new_master())
    _kept(folder / BOOTSTRAP_FILE, new_key())
    _kept(folder / DATABASE_FILE, secrets.token_urlsafe(36))


def read_bootstrap(settings: Settings) -> str | None:
    """The first virtual key where it is known already; nothing is made."""
    if settings.bootstrap_key:
        return settings.bootstrap_key.get_secret_value()
    try:
        return (settings.secrets_dir / BOOTSTRAP_FILE).read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _new_master() -> str:
    return "sk-master-" + secrets.token_urlsafe(36)


def _kept(path: Path, fresh: str) -> str:
    """The file's text; the file is made with `fresh` when it is not there. Two processes at once agree on one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            text = path.read_text(encoding="utf-8").strip()
            if not text:
                raise SettingsError(f"{path}: is empty; delete it and a new one is made") from None
            return text
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(fresh + "\n")
        return fresh
    except OSError as error:
        reason = type(error).__name__
        raise SettingsError(f"{path}: cannot be read or made ({reason}); make {path.parent} writable") from None
