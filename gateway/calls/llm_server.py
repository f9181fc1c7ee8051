"""The LLM Server's own rules: it keeps the dialogue, brings a system prompt along, searches the web through providers
that can, and takes calls to be made in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from msgspec.structs import replace

from gateway.accounts.conversations import Conversation, Conversations, Said
from gateway.accounts.jobs import Jobs
from gateway.calls.answer import JSON_HEADERS
from gateway.calls.ask import LOWER_CAP
from gateway.calls.background import JobRequest, job_json
from gateway.calls.counts import TokenCounts
from gateway.calls.door import Passage, Visit
from gateway.calls.own_key import OwnKey, checked_key
from gateway.calls.trimming import fitting, last_turns
from gateway.models import Models
from gateway.routing.resolve import Target
from gateway.settings import LlmServerSection
from wire.errors import BadRequest, GatewayError
from wire.estimate import estimate_request_tokens
from wire.front_doors.llm_server import DOOR, Options, read_options
from wire.languages import Language, preferred
from wire.neutral import Message, Request, Text
from wire.web_search import searching_dialect

_log = logging.getLogger(__name__)
_KEEP_SECONDS = 5.0
_KEY_FIELD = "openai_api_key"
_ANSWER_SHARE = 4  # without a cap, at most a quarter of the window is kept free for the answer


class LlmServer:
    """A `Door`."""

    def __init__(
        self,
        models: Models,
        counts: TokenCounts,
        conversations: Conversations,
        jobs: Jobs,
        settings: LlmServerSection,
    ) -> None:
        self._models = models
        self._counts = counts
        self._conversations = conversations
        self._jobs = jobs
        self._settings = settings

    def default_model(self, body: Mapping[str, Any]) -> str | None:
        """The configured one; else, with a key of the caller's own, what its provider means by its own name; else what
        the first provider that can serve means by that."""
        if self._settings.default_model is not None:
            return self._settings.default_model
        own = self.own_key(body)
        return self._models.any_default() if own is None else own.only

    def own_key(self, body: Mapping[str, Any]) -> OwnKey | None:
        """Raises BadRequest."""
        key = read_options(dict(body)).own_key
        return None if key is None else OwnKey(checked_key(key, _KEY_FIELD), _KEY_FIELD, only="openai")

    async def before(self, request: Request, visit: Visit) -> Passage | None:
        """Raises BadRequest, NotReady, LimitReached."""
        options = read_options(visit.ask.body)
        targets = _searching(visit.targets) if options.web_search else visit.targets
        session_id = visit.ask.session_id or visit.exchange.request_id
        if options.background:
            await self._put_off(visit, session_id)
            return None
        language = preferred(visit.exchange.header(b"accept-language"))
        kept = await self._load(options, visit)
        system = options.system_prompt or (kept.system_prompt if kept else None) or self._default_prompt(language)
        said = last_turns(kept.messages if kept else (), options.max_turns)
        fit = await self._fit(said, system, request, targets)
        shown: dict[str, Any] = {"history": {"messages": len(fit), "left_out": len(said) - len(fit)}}
        shown["used_user_api_key"] = visit.ask.own_key is not None

        async def keep(text: str) -> None:
            await self._keep(visit, session_id, options, text)

        saves = self._settings.history.enabled and options.save_history
        return Passage(
            request=_with_turns(request, system, fit),
            session_id=session_id,
            targets=targets,
            keep=keep if saves else None,
            shown=shown,
            language=language,
        )

    async def _load(self, options: Options, visit: Visit) -> Conversation | None:
        if visit.ask.session_id is None or not (self._settings.history.enabled and options.use_history):
            return None
        return await self._conversations.load(visit.user_id, visit.ask.session_id)

    def _default_prompt(self, language: Language | None) -> str | None:
        chosen = self._settings.language or language or "en"
        return self._settings.system_prompts.get(chosen) or None

    async def _fit(
        self, said: Sequence[Said], system: str | None, request: Request, targets: Sequence[Target]
    ) -> Sequence[Said]:
        """For the smallest window of the targets, since any of them may have to answer. Estimates are fitted to large
        vocabularies: where a model's own tokenizer can be asked, and finds more, it is shortened by what that says."""
        found = [self._models.context_window(target) for target in targets]
        window = min((each for each in found if each is not None), default=self._settings.context_window)
        caps = [cap for target in targets if (cap := self._models.output_cap(target)) is not None]
        reserved = min([*caps, request.max_tokens or window // _ANSWER_SHARE])
        prompt = "".join(part.text for part in request.messages[-1].parts if isinstance(part, Text))
        fit = fitting(said, (system or "", prompt), window, reserved)
        for target in targets:
            while fit:
                told = _with_turns(request, system, fit)
                counted = await self._counts.exactly(told, DOOR.field_names, target)
                if counted is None or counted <= window - reserved:
                    break
                scale = counted / estimate_request_tokens(told)
                fit = fitting(fit, (system or "", prompt), window, reserved, scale)
        return fit

    async def _keep(self, visit: Visit, session_id: str, options: Options, text: str) -> None:
        """The answer is there and shall not be lost because it cannot be kept."""
        if not text or visit.exchange.gone:  # a turn that its caller never saw is none
            return
        turn = (Said("user", options.prompt), Said("assistant", text))
        try:
            async with asyncio.timeout(_KEEP_SECONDS):
                await self._conversations.add(visit.user_id, session_id, options.system_prompt, turn)
        except (GatewayError, TimeoutError) as error:
            _log.error("a turn of a conversation could not be kept: %s", type(error.__cause__ or error).__name__)

    async def _put_off(self, visit: Visit, session_id: str) -> None:
        """Take the call, and answer that it was taken."""
        if not self._settings.jobs.enabled:
            raise BadRequest("Nothing is done in the background here", param="background", code="no_background")
        if visit.ask.stream:
            raise BadRequest("What is done in the background cannot be streamed", param="stream")
        if visit.ask.own_key is not None:
            raise BadRequest(
                "A key of your own cannot be used in the background: it would have to be stored",
                param="background",
                code="own_key_in_background",
            )
        asked = JobRequest(
            body={**visit.ask.body, "request_id": session_id, "model": visit.ask.model, "strict": visit.ask.strict},
            visitor=visit.principal.visitor is not None,
            language=visit.exchange.header(b"accept-language"),
            lower_cap=visit.exchange.header(LOWER_CAP),
        )
        key = visit.principal.key
        job = await self._jobs.add(visit.user_id, None if key is None else key.id, asked.to_json())
        await visit.exchange.respond(202, JSON_HEADERS, orjson.dumps(job_json(job, None)))


def _searching(targets: Sequence[Target]) -> Sequence[Target]:
    """Those that can search the web. Raises BadRequest without any: an answer made without it is not what was asked."""
    found = [each for each in targets if searching_dialect(each.provider.row, each.provider.dialects) is not None]
    if not found:
        name = targets[0].provider.name
        raise BadRequest(f"Provider '{name}' cannot search the web", param="web_search", code="no_web_search")
    return found


def _with_turns(request: Request, system: str | None, said: Sequence[Said]) -> Request:
    """The request with the system prompt, then what was said, before its own messages."""
    before = () if not system else (Message(role="system", parts=(Text(text=system, path="system_prompt"),)),)
    told = (Message(role=each.role, parts=(Text(text=each.text, path="history"),)) for each in said)
    return replace(request, messages=(*before, *told, *request.messages))
