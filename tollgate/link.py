"""The link that signs a browser in: the page's address and, in its fragment, which no server sees, the first key."""

from __future__ import annotations

from gateway.accounts.first_keys import read_bootstrap
from gateway.settings import Settings, SettingsError

_NOTE = "page_address"


def link_of(settings: Settings) -> str:
    """Raises SettingsError when no first key has been made yet."""
    key = read_bootstrap(settings)
    if key is None:
        raise SettingsError("there is no first key yet; start the gateway once (`tollgate up`), or make a key by hand")
    return f"{_address(settings)}/#key={key}"


def note_address(settings: Settings) -> None:
    """Keep where the page is, for a later `tollgate link` that is not given the flags of `tollgate up`."""
    (settings.data_dir / _NOTE).write_text(settings.page_address, encoding="utf-8")


def _address(settings: Settings) -> str:
    """Flags and settings first, then what `tollgate up` has noted."""
    if settings.page_url is None and settings.ui_port == Settings().ui_port:
        try:
            return (settings.data_dir / _NOTE).read_text(encoding="utf-8").strip()
        except OSError:
            pass
    return settings.page_address
