"""Proofs of thought from other dialects, carried through a Responses client and back.

A Responses client gives reasoning items back as it got them, `encrypted_content` included, and touches no other opaque
field: `function_call` items are often rebuilt from name, arguments and call id alone. So whatever an Anthropic, Gemini
or OpenAI-chat upstream needs to see again travels as `encrypted_content` of a reasoning item:

* thinking: the text is the item's summary, the signature or redacted data is in the blob;
* the signature of a tool call: an item without summary before the call, tied to it by call id, so that a client that
  reorders items changes nothing;
* the signature of a text: an item without summary after the message.

The blob is readable on purpose (prefix and base64 JSON): it holds nothing that the client did not get in clear text
from the provider's own API. A real OpenAI `encrypted_content` never starts with the prefix and is left alone.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Literal

import msgspec
from msgspec import Struct

from wire.neutral import DialectName, Thinking

PREFIX = "tollgate.v1."


class Carried(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one blob holds. `empty`: the text that the signature belongs to has no characters, so no item shows it."""

    kind: Literal["thinking", "call", "text"] = "thinking"
    origin: DialectName | None = None
    signature: str | None = None
    opaque: str | None = None
    redacted: bool = False
    details: tuple[dict[str, Any], ...] | None = None
    call_id: str | None = None
    empty: bool = False


def is_carried(blob: str) -> bool:
    return blob.startswith(PREFIX)


def encode(carried: Carried) -> str:
    return PREFIX + base64.urlsafe_b64encode(msgspec.json.encode(carried)).decode().rstrip("=")


def decode(blob: str) -> Carried:
    """Raises ValueError when the blob was damaged on its way."""
    data = blob.removeprefix(PREFIX)
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(data + "=" * (-len(data) % 4)), type=Carried)
    except (binascii.Error, msgspec.DecodeError, UnicodeError) as error:
        raise ValueError("damaged reasoning content") from error


def of_thinking(part: Thinking) -> str:
    return encode(
        Carried(
            origin=part.origin,
            signature=part.signature,
            opaque=part.opaque,
            redacted=part.redacted,
            details=part.details,
        )
    )


def of_call(call_id: str, signature: str) -> str:
    return encode(Carried(kind="call", signature=signature, call_id=call_id))


def of_text(signature: str, *, empty: bool) -> str:
    return encode(Carried(kind="text", signature=signature, empty=empty))
