"""One request taken from its caller's dialect to an upstream's, and what is said of it in the caller's own words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, structs

from wire.dialect import Dialect, Quirks
from wire.errors import BadRequest
from wire.neutral import Request
from wire.tool_fitting import Fitted, fit_tools


class Translated(Struct, frozen=True, kw_only=True):
    """A body for the upstream and its extra headers. `dropped` are the caller's fields that it cannot take; `fitted`
    says how to read the tool calls of its answer."""

    body: dict[str, Any]
    headers: dict[str, str]
    dropped: tuple[str, ...]
    fitted: Fitted


def translate(
    request: Request,
    field_names: Mapping[str, str],
    upstream: Dialect,
    *,
    model: str,
    stream: bool,
    quirks: Quirks,
) -> Translated:
    """`field_names` are the caller's dialect's, `model` is the upstream's own name. Usage is always asked for.

    Raises BadRequest, naming the caller's field, for what cannot be carried and must not be dropped.
    """
    # The usage of a translated stream is always needed; the caller's renderer knows whether to show it.
    request = structs.replace(request, model=model, stream=stream, include_usage=stream)
    fitted = fit_tools(request, upstream.name, quirks)
    try:
        rendered = upstream.render_request(fitted.request, quirks=quirks)
    except BadRequest as error:
        if error.param is not None:  # a neutral name, where it is not a path of the caller's already
            error.param = field_names.get(error.param, error.param)
        raise
    dropped = caller_names(rendered.dropped + fitted.dropped, field_names)
    return Translated(body=rendered.body, headers=rendered.headers, dropped=dropped, fitted=fitted)


def caller_names(dropped: Iterable[str], field_names: Mapping[str, str]) -> tuple[str, ...]:
    """Dropped neutral names (`top_k`, `extra.safety_settings`) as the caller wrote them; part paths stay as they are.

    `field_names` are the caller's dialect's. Order is kept, repeats are said once.
    """
    said: dict[str, None] = {}
    for name in dropped:
        said[name.removeprefix("extra.") if name.startswith("extra.") else field_names.get(name, name)] = None
    return tuple(said)
