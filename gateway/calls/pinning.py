"""Which provider a Responses call is bound to by what it refers to: earlier responses, conversations, files. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.routing.resolve import Target
from wire.errors import BadRequest


def references(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(field, id) of everything that a provider must have kept. Raises BadRequest for what is not an id.

    https://platform.openai.com/docs/api-reference/responses/create
    """
    if body.get("background") is True:
        raise BadRequest("'background' is not supported here", param="background")
    for field in ("previous_response_id", "conversation"):
        value = body.get(field)
        if isinstance(value, Mapping):
            value = value.get("id")
        if value is None:
            continue
        if not isinstance(value, str) or not value:
            raise BadRequest(f"'{field}' must be an id", param=field)
        yield field, value
    items = body.get("input")
    for at, item in enumerate(items if isinstance(items, list) else ()):
        yield from _files(item, f"input[{at}]")


def _files(item: Any, path: str) -> Iterator[tuple[str, str]]:
    parts = item.get("content") or item.get("output") if isinstance(item, Mapping) else None
    for at, part in enumerate(parts if isinstance(parts, list) else ()):
        file_id = part.get("file_id") if isinstance(part, Mapping) else None
        # File ids inside generated parts (annotations) are the model's words, not something to be read.
        if isinstance(file_id, str) and part.get("type") in ("input_file", "input_image"):
            yield f"{path}.content[{at}].file_id", file_id


def pinned(targets: Sequence[Target], keeper: str) -> Sequence[Target]:
    """The targets at the provider that keeps what the call refers to. Raises BadRequest when the model is elsewhere."""
    there = [target for target in targets if target.provider.name == keeper]
    if not there:
        raise BadRequest(
            f"The model is not served by provider '{keeper}', which keeps what this call refers to", param="model"
        )
    return there[:1]
