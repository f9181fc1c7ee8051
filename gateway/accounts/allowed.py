"""Which models a key may use. `*` in a pattern stands for anything, also for nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache


def allows(patterns: Sequence[str] | None, *names: str) -> bool:
    """Whether one of the names that a model goes by is allowed; None: any is. Letters count in either case, and a `/`
    after the provider means the same as a `:`."""
    if patterns is None:
        return True
    pattern = _compiled(tuple(patterns))
    return any(pattern.fullmatch(_key(name)) is not None for name in names)


@lru_cache(maxsize=10_000)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(_expression, patterns)) or r"(?!)", re.IGNORECASE | re.DOTALL)


def _expression(pattern: str) -> str:
    """Atomic groups, as in `fnmatch`: no pattern takes longer than its length times that of the name."""
    first, *others = (re.escape(part) for part in _key(pattern).split("*"))
    if not others:
        return first
    middle = "".join(f"(?>.*?{part})" for part in others[:-1])
    return f"{first}{middle}.*{others[-1]}"


def _key(name: str) -> str:
    head, slash, rest = name.partition("/")
    return f"{head}:{rest}" if slash and ":" not in head else name
