"""Reasoning of other providers, carried through Gemini clients in `thoughtSignature`.

Gemini clients keep the signature of a part and send it back with it; many leave out the thought parts themselves (the
Gemini CLI does). So a foreign thinking block (Anthropic's with its signature, OpenAI's with its encrypted content) is
sealed whole, text included, and put on the next part of the answer that is not a thought, just where Gemini puts its
own signature. On the next turn it is found there and stands in the conversation again before that part.

A seal is base64 of a fixed prefix and a JSON list of thinking blocks; no signature of Google's begins so. It proves
nothing: the provider that made what is inside checks it itself. Google would refuse it: `without_seals` takes it out
of a request that goes there.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from wire.inline_media import TO_STANDARD
from wire.neutral import Thinking
from wire.reading import WrongType

_PREFIX = b"tollgate1"  # nine bytes: its base64 is a prefix of the whole one's
SEAL_MARK = base64.b64encode(_PREFIX).decode()

# A signature that Gemini 3 takes for function calls of another model's turns, instead of refusing the request.
# https://ai.google.dev/gemini-api/docs/thought-signatures (FAQ; base64 of the documented words, as recorded)
SKIP_VALIDATION = base64.b64encode(b"skip_thought_signature_validator").decode()

_CARRIED = ("text", "signature", "opaque", "redacted", "summary", "item_id", "origin", "details")
_DEFAULTS = Thinking()
_Sealed = list[Thinking]


def is_sealed(signature: Any) -> bool:
    return isinstance(signature, str) and signature.startswith(SEAL_MARK)


def seal(blocks: Sequence[Thinking]) -> str:
    """The `thoughtSignature` that carries these blocks."""
    plain = [
        {name: getattr(block, name) for name in _CARRIED if getattr(block, name) != getattr(_DEFAULTS, name)}
        for block in blocks
    ]
    return base64.b64encode(_PREFIX + orjson.dumps(plain)).decode()


def unseal(signature: str, path: str) -> tuple[Thinking, ...]:
    """Raises BadRequest when the seal was altered."""
    try:
        # Google's SDK sends signatures back in the URL-safe alphabet.
        standard = signature.translate(TO_STANDARD)
        plain = base64.b64decode(standard + "=" * (-len(standard) % 4))
        blocks = msgspec.json.decode(plain.removeprefix(_PREFIX), type=_Sealed)
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError):
        raise WrongType(path, "holds a value of this gateway that was altered") from None
    return tuple(msgspec.structs.replace(block, path=path) for block in blocks)


def without_seals(contents: Any) -> Any:
    """`contents` of a request as Google takes them. A sealed function call gets the signature that skips the check."""
    if not isinstance(contents, list):
        return contents
    cleaned = [_clean_content(content) for content in contents]
    return [
        after for before, after in zip(contents, cleaned, strict=True) if after == before or after.get("parts") != []
    ]


def _clean_content(content: Any) -> Any:
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list):
        return content
    return {**content, "parts": [_clean_part(part) for part in parts if not _is_empty_carrier(part)]}


def _signature(part: Any) -> Any:
    return (part.get("thoughtSignature") or part.get("thought_signature")) if isinstance(part, dict) else None


def _is_empty_carrier(part: Any) -> bool:
    return is_sealed(_signature(part)) and part.get("text") == ""


def _clean_part(part: Any) -> Any:
    if not is_sealed(_signature(part)):
        return part
    rest = {name: value for name, value in part.items() if name not in ("thoughtSignature", "thought_signature")}
    if "functionCall" in rest or "function_call" in rest:
        rest["thoughtSignature"] = SKIP_VALIDATION
    return rest
