"""Change named top-level members of a JSON object and leave every other value byte for byte.

A request that stays in its dialect is passed through: numbers keep their digits, strings their escapes, unknown fields
their place. Only whitespace between top-level members is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import orjson

from wire.errors import BadRequest

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_top_level(body: bytes) -> dict[str, msgspec.Raw]:
    """The members of a JSON object with their values' own bytes. Raises BadRequest when it is not an object."""
    try:
        return _OBJECT.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("The request body is not a JSON object") from error


def replace_top_level(body: bytes, changes: Mapping[str, bytes | None]) -> bytes:
    """`body` with each member of `changes` set to that JSON text, or left out where it is None.

    Members that were there keep their place, new ones come last. The body is given back as it is where nothing
    changes. Raises BadRequest when it is not a JSON object.
    """
    members = {name: bytes(value) for name, value in read_top_level(body).items()}
    if all(members.get(name) == value for name, value in changes.items()):
        return body
    merged: dict[str, bytes | None] = {**members, **changes}
    return (
        b"{"
        + b",".join(orjson.dumps(name) + b":" + value for name, value in merged.items() if value is not None)
        + b"}"
    )
