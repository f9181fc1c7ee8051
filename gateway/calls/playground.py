"""The playground's own rules: only models that are listed, and no call that cannot fit into one."""

from __future__ import annotations

from gateway.calls.door import Passage, PlainDoor, Visit
from gateway.models import Models
from wire.errors import BadRequest, NotFound
from wire.estimate import estimate_request_tokens
from wire.neutral import Request

_INPUT_PERCENT = 85  # of the context window: the rest is for the answer


class Playground(PlainDoor):
    """A `Door`."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def before(self, request: Request, visit: Visit) -> Passage | None:
        """Raises NotFound and BadRequest. The first target's limits count."""
        target = visit.targets[0]
        if not self._models.is_known(target):
            raise NotFound("Unsupported model", param="model", code="model_not_found")
        limit = self._models.output_cap(target)
        if limit is not None and request.max_tokens is not None and request.max_tokens > limit:
            raise BadRequest(
                f"'max_tokens' is {request.max_tokens}, but at most {limit} for model '{visit.ask.model}'",
                param="max_tokens",
            )
        window = self._models.context_window(target)
        if window is not None:
            _check_input(estimate_request_tokens(request), window, visit.ask.model)
        return await super().before(request, visit)


def _check_input(tokens: int, window: int, model: str) -> None:
    """Raises BadRequest."""
    most = window * _INPUT_PERCENT // 100
    if tokens > most:
        raise BadRequest(
            f"'messages' are about {tokens} tokens, but at most {most} for model '{model}': "
            f"{_INPUT_PERCENT} % of its context window of {window}",
            param="messages",
            code="context_length_exceeded",
        )
