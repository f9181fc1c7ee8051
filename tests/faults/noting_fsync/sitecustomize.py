"""Writes down every fsync of a spool segment once it has returned: when it began, the path and the size at that moment.

On the PYTHONPATH of a service under test, so that a test can play a machine's crash: what no line here covers is lost.
The fsync itself is the real one. The file to write to is named by TOLLGATE_TEST_SYNCED.
"""

from __future__ import annotations

import os
import time

_real = os.fsync
_notes = os.open(os.environ["TOLLGATE_TEST_SYNCED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _noted(file: int) -> None:
    began = time.monotonic()  # before the size: what was written by now is covered
    path, size = os.readlink(f"/proc/self/fd/{file}"), os.fstat(file).st_size
    _real(file)
    if path.endswith(".seg"):
        os.write(_notes, f"{began} {size} {path}\n".encode())


os.fsync = _noted  # type: ignore[assignment]
