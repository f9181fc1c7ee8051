"""Downloads a GGUF file: goes on where it was cut off, checks room, size, checksum and what the file says of itself."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from local_llm.gguf import NoModel, read_facts

_PIECE = 1024 * 1024
_SPARE_BYTES = 64 * 1024 * 1024  # of the disk, left to others
_TIMEOUT_SECONDS = 60
_FRUITLESS_TRIES = 5  # in a row, none of which brought a byte
_SHA256 = re.compile(r'^(?:W/)?"?([0-9a-fA-F]{64})"?$')

Show = Callable[[int, int | None, float], None]  # bytes so far, of how many, bytes a second


class PullFailed(Exception):
    """One line that says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """`checked`: its checksum is the one that was asked for, or that the server named."""

    path: Path
    sha256: str
    checked: bool


def pull(
    url: str,
    folder: Path,
    *,
    name: str | None = None,
    sha256: str | None = None,
    show: Show,
    pause: Callable[[float], None] = time.sleep,
) -> Pulled:
    """What was downloaded before an interruption is kept beside the place and used. Raises PullFailed."""
    place = folder / _file_name(url, name)
    if place.exists():
        raise PullFailed(f"{place} is there already; remove it first, or name another with --name")
    part = _Part(place, url)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _fetch(url, part, show, pause)
        found = _hash(part.file)
        wanted = sha256 or part.sha256
        if wanted is not None and found != wanted.lower():
            part.forget()
            raise PullFailed(f"the checksum of {url} is {found} and should be {wanted}; nothing was kept")
        try:
            read_facts(part.file)
        except NoModel as problem:
            part.forget()
            raise PullFailed(f"what {url} gives is no model: {problem}") from None
        part.file.replace(place)
        part.forget()
    except OSError as error:
        raise PullFailed(f"{folder}: {error.strerror or type(error).__name__}") from None
    return Pulled(place, found, wanted is not None)


def _file_name(url: str, name: str | None) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise PullFailed(f"{url}: only http and https addresses can be fetched")
    chosen = name or unquote(parts.path.rpartition("/")[2])
    if not chosen.endswith(".gguf"):
        chosen = f"{chosen}.gguf"
    if "/" in chosen or chosen.startswith("."):
        raise PullFailed(f"{chosen!r} is no name for a file here; give one with --name")
    return chosen


class _Part:
    """A download that is not whole yet, and what its server said of the whole."""

    def __init__(self, place: Path, url: str) -> None:
        self.file = place.with_name(f"{place.name}.part")
        self._notes = place.with_name(f"{place.name}.part.json")
        self._url = url
        said = self._read()
        if said.get("url") != url:
            self.file.unlink(missing_ok=True)
            said = {}
        self.etag: str | None = said.get("etag")
        self.sha256: str | None = said.get("sha256")
        self.total: int | None = said.get("total")

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    def note(self, etag: str | None, sha256: str | None, total: int | None) -> None:
        self.etag, self.sha256, self.total = etag, sha256 or self.sha256, total
        notes = {"url": self._url, "etag": etag, "sha256": self.sha256, "total": total}
        self._notes.write_text(json.dumps(notes), encoding="utf-8")

    def forget(self) -> None:
        self.file.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        try:
            notes = json.loads(self._notes.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return notes if isinstance(notes, dict) else {}


def _fetch(url: str, part: _Part, show: Show, pause: Callable[[float], None]) -> None:
    fruitless = 0
    while True:
        before = part.size
        try:
            if _try(url, part, show):
                return
            problem = "the connection broke"
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            problem = _said(error)
            if isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code not in (408, 416, 429):
                raise PullFailed(f"{url}: {problem}") from None
        fruitless = 0 if part.size > before else fruitless + 1
        if fruitless >= _FRUITLESS_TRIES:
            raise PullFailed(f"{url}: {problem}; what is here is kept, run the same again to go on")
        pause(min(2.0**fruitless, 30.0))


def _try(url: str, part: _Part, show: Show) -> bool:
    """Read on from where we are; whether it is whole now."""
    have = part.size
    request = urllib.request.Request(url, headers={"User-Agent": "tollgate", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if part.etag:
            request.add_header("If-Range", part.etag)
    seen = _Redirects()
    opener = urllib.request.build_opener(seen)
    try:
        answer = opener.open(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:
            if part.total == have:
                return True
            part.forget()
        raise
    with answer:
        resumed = answer.status == 206
        length = answer.headers.get("Content-Length")
        total = (have if resumed else 0) + int(length) if length and length.isdigit() else None
        strong = answer.headers.get("ETag")
        part.note(strong if strong and not strong.startswith("W/") else None, seen.sha256, total)
        _check_room(part, total, have if resumed else 0)
        with part.file.open("ab" if resumed else "wb") as file:
            _copy(answer, file, have if resumed else 0, total, show)
    return total is None or part.size >= total


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Hugging Face names the file's SHA-256 in the answer that leads to where the file is stored.

    https://huggingface.co/docs/huggingface_hub/package_reference/file_download
    """

    def __init__(self) -> None:
        self.sha256: str | None = None

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        found = _SHA256.match(headers.get("X-Linked-Etag", "") or "")
        self.sha256 = found[1].lower() if found else self.sha256
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_room(part: _Part, total: int | None, have: int) -> None:
    free = shutil.disk_usage(part.file.parent).free
    if total is not None and total - have + _SPARE_BYTES > free:
        needed = (total - have) / 1e9
        raise PullFailed(f"{needed:.1f} GB are to be stored in {part.file.parent}, and {free / 1e9:.1f} GB are free")


def _copy(answer: Any, file: BinaryIO, have: int, total: int | None, show: Show) -> None:
    began, first = time.monotonic(), have
    while piece := answer.read(_PIECE):
        file.write(piece)
        have += len(piece)
        show(have, total, (have - first) / max(time.monotonic() - began, 0.001))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _said(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    reason = getattr(error, "reason", None)
    return str(reason or error) or type(error).__name__
