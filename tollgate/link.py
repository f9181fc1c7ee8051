"""The link that signs a browser in: the page's address and, in its fragment, which no server sees, the first key."""

from __future__ import annotations

from gateway.accounts.bootstrap import read_bootstrap
from gateway.settings import Settings, SettingsError


def link_of(settings: Settings) -> str:
    """Raises SettingsError when no first key has been made yet."""
    key = read_bootstrap(settings)
    if key is None:
        raise SettingsError("there is no first key yet; start the gateway once (`tollgate up`), or make a key by hand")
    return f"{settings.page_address}/#key={key}"
