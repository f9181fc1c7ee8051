"""What is said about a translation: neutral names turned back into the caller's own field names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def caller_names(dropped: Iterable[str], field_names: Mapping[str, str]) -> tuple[str, ...]:
    """Dropped neutral names (`top_k`, `extra.safety_settings`) as the caller wrote them; part paths stay as they are.

    `field_names` are the caller's dialect's. Order is kept, repeats are said once.
    """
    said: dict[str, None] = {}
    for name in dropped:
        said[name.removeprefix("extra.") if name.startswith("extra.") else field_names.get(name, name)] = None
    return tuple(said)
