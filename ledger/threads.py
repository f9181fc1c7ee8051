"""Blocking work in threads that nobody waits for: neither behind each other, nor at the process's end.

A database can stand still for hours with its connections open (a stopped Postgres, a paused machine), and no time-out
of its client ends a question. The threads of a pool would all end up waiting for it; whoever needs one for the disk
would wait in line, and at its end the process would be held up until the last of them is back.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


async def in_thread(work: Callable[_Arguments, _Result], *args: _Arguments.args, **more: _Arguments.kwargs) -> _Result:
    """What `work` returns or raises, from a thread of its own. Who stops waiting leaves it to itself."""
    answer: Future[_Result] = Future()

    def run() -> None:
        answer.set_running_or_notify_cancel()
        try:
            answer.set_result(work(*args, **more))
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            answer.set_exception(error)

    threading.Thread(target=run, name=getattr(work, "__name__", None), daemon=True).start()
    return await asyncio.wrap_future(answer)
