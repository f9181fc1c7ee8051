"""How much a caller's calls of a model usually generate, for holds of calls that set no limit themselves. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

FLOOR: Final = 256  # tokens
_LAST: Final = 100
_PAIRS: Final = 10_000


class OutputSizes:
    """Output tokens of the last calls by caller and model, bounded."""

    def __init__(self) -> None:
        self._sizes: OrderedDict[tuple[str, str], deque[int]] = OrderedDict()

    def note(self, caller: str, model: str, tokens: int) -> None:
        sizes = self._sizes.get((caller, model))
        if sizes is None:
            sizes = self._sizes[caller, model] = deque(maxlen=_LAST)
            if len(self._sizes) > _PAIRS:
                self._sizes.popitem(last=False)
        else:
            self._sizes.move_to_end((caller, model))
        sizes.append(tokens)

    def p95(self, caller: str, model: str) -> int:
        """The 95th percentile, at least FLOOR; FLOOR for who is not known."""
        sizes = sorted(self._sizes.get((caller, model), ()))
        return max(FLOOR, sizes[(len(sizes) * 95 - 1) // 100]) if sizes else FLOOR
