"""Removes what has had its time from the accounts database, behind the calls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

_log = logging.getLogger(__name__)
_PURGE_SECONDS = 60.0


async def purge_again_and_again(*purges: Callable[[], int]) -> None:
    """Until cancelled. Each removes a bounded number of rows at a time and is asked again while there are more."""
    while True:
        for purge in purges:
            try:
                while await asyncio.to_thread(purge):
                    pass
            except SQLAlchemyError as error:
                _log.info("nothing can be removed from the database just now: %s", type(error).__name__)
        await asyncio.sleep(_PURGE_SECONDS)
