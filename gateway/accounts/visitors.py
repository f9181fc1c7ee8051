"""Callers without a key: let in as one configured user, through the front doors that the operator opens to them.

A browser sends what any page tells it to, so the pages that may are checked. `Origin` must be the gateway's own or a
configured one, and `Host` a name that no stranger can have pointed here: else his page, under his own name for this
machine's address, would be of the same origin (DNS rebinding). A program sends no `Origin`, and needs none.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from gateway.settings import AnonymousSection
from wire.errors import NotAllowed
from wire.neutral import DoorName

Header = Callable[[bytes], str | None]
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Visitors:
    """`chosen` None: nobody is let in. `origins` are the sites that may call this gateway, `*` for all; their names may
    stand in `Host` too."""

    def __init__(self, chosen: AnonymousSection | None, origins: Iterable[str] = ()) -> None:
        self._chosen = chosen
        self._origins = frozenset(origins)
        named = (urlsplit(origin).hostname for origin in self._origins)
        self._hosts = {host.lower() for host in (*(chosen.hosts if chosen else ()), *named) if host}

    def welcome(self, door: DoorName, header: Header) -> str | None:
        """The user for whom a caller without a key calls; None where this door does not let it in.

        Raises NotAllowed for a page from elsewhere.
        """
        if self._chosen is None or door not in self._chosen.surfaces:
            return None
        host = (header(b"host") or "").lower()
        if not self._is_ours(host):
            raise NotAllowed("Calls without a key are not taken under this host name", code="host_not_allowed")
        origin = header(b"origin")
        if origin is not None and not (self._origins & {origin, "*"} or _same_origin(origin.lower(), host)):
            raise NotAllowed("Calls without a key are not taken from this page", code="origin_not_allowed")
        return self._chosen.user

    def _is_ours(self, host: str) -> bool:
        """An address, a name that is only known in this network (`localhost`, `gateway`), or a configured one."""
        name = _without_port(host)
        if not name:
            return False
        if name in self._hosts or name.endswith(".localhost"):
            return True
        return "." not in name.strip("[]") or _is_address(name)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _same_origin(origin: str, host: str) -> bool:
    """Of an origin its scheme is not compared: what ends TLS in front of the gateway hides it."""
    scheme, _, place = origin.partition("://")
    port = _DEFAULT_PORTS.get(scheme, "")
    return bool(port) and place.removesuffix(port) == host.removesuffix(port)
