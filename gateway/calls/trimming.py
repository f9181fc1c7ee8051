"""What of a dialogue still fits before the next prompt: whole turns, the newest, oldest left out first. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.accounts.conversations import Said
from wire.estimate import estimate_tokens

_PER_MESSAGE = 4  # as wire.estimate counts a message's frame
_PER_REQUEST = 3
_SAFE_PERCENT = 95  # tokens are estimated: the rest is room for being wrong


def fitting(
    history: Sequence[Said], besides: Sequence[str], window: int, reserved: int, scale: float = 1.0
) -> Sequence[Said]:
    """The longest end of `history` that begins with the user and fits into `window` tokens with `besides` (the system
    prompt and the new one, which always stay) and `reserved` tokens of answer. `scale`: how many tokens of the model's
    own are one that is estimated here."""
    room = int((window * _SAFE_PERCENT // 100 - reserved) / scale) - _PER_REQUEST - sum(_size(text) for text in besides)
    kept = len(history)
    for at in range(len(history) - 1, -1, -1):
        room -= _size(history[at].text)
        if room < 0:
            break
        if history[at].role == "user":
            kept = at
    return history[kept:]


def last_turns(history: Sequence[Said], most: int | None) -> Sequence[Said]:
    """The last turns, each beginning with what the user said; None: all."""
    begins = [at for at, said in enumerate(history) if said.role == "user"]
    if most is None or len(begins) <= most:
        return history
    return history[begins[-most] :] if most else ()


def _size(text: str) -> int:
    return estimate_tokens(text) + _PER_MESSAGE if text else 0
