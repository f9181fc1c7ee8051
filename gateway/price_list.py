"""Takes over the newer price list that `tollgate prices apply` puts into the data folder, while the gateway serves."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from gateway.catalogue import Catalogue, catalogue_path
from gateway.models import Models

_log = logging.getLogger(__name__)
_INTERVAL_SECONDS = 2.0
_Mark = tuple[Path, int, int]


class PriceList:
    """What it found at first is what `models` began with."""

    def __init__(self, models: Models, data_dir: Path) -> None:
        self._models = models
        self._data_dir = data_dir
        self._seen = self._mark()

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL_SECONDS)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Once. A file that is no price list changes nothing, and is said to be none once."""
        mark = self._mark()
        if mark is None or mark == self._seen:
            return
        self._seen = mark
        try:
            catalogue = Catalogue(mark[0])
            catalogue.check()
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("%s is not a price list (%s): the one before stays in use", mark[0], type(error).__name__)
        else:
            self._models.use(catalogue)
            _log.info("the price list is now %s", catalogue.source)

    def _mark(self) -> _Mark | None:
        """Which file it is, and whether it is still the same. None: it is being replaced just now."""
        path = catalogue_path(self._data_dir)
        try:
            found = path.stat()
        except OSError:
            return None
        return path, found.st_mtime_ns, found.st_ino
