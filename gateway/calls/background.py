"""Calls that are made when nobody waits on the line: what is kept of them, and who makes them.

A job goes the way of all calls, with an `Exchange` whose other end is this module instead of a caller's connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any

import orjson

from gateway.accounts.jobs import Job, Jobs
from gateway.accounts.keys import Keys, Principal
from gateway.calls.ask import LOWER_CAP
from gateway.exchange import CallerGone, Exchange, Message
from gateway.ids import uuid7
from gateway.observability.logs import access
from gateway.settings import JobsSection
from gateway.surfaces import DoorSurface
from wire.errors import GatewayError, NotReady
from wire.languages import Language, in_language, preferred

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0  # how long a job of another gateway may lie there
STOP_SECONDS = 3.0  # at the end: what is nearly done may be done
_KEEP_TRYING_SECONDS = 600.0  # to write an answer down while the database is away
_NAMES = {"done": "completed"}
_SECRET = ("openai_api_key", "use_user_api_key", "background")

Serve = Callable[[Principal, Exchange, DoorSurface], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What is kept of a call until it is made: its body, never a key; whether its caller had one; what two
    of its headers said."""

    body: dict[str, Any]
    visitor: bool
    language: str | None
    lower_cap: str | None = None

    def to_json(self) -> str:
        body = {name: value for name, value in self.body.items() if name not in _SECRET}
        return orjson.dumps(
            {"body": body, "visitor": self.visitor, "language": self.language, "lower_cap": self.lower_cap}
        ).decode()

    @staticmethod
    def from_json(text: str) -> JobRequest:
        return JobRequest(**orjson.loads(text))


def job_json(job: Job, language: Language | None) -> dict[str, Any]:
    """A job as its caller sees it."""
    found: dict[str, Any] = {
        "id": job.job_id,
        "request_id": JobRequest.from_json(job.request).body.get("request_id"),
        "status": _NAMES.get(job.state, job.state),
        "status_url": f"/api/v1/chat/{job.job_id}",
        "created_at": _time(job.created_at),
        "started_at": _time(job.started_at),
        "ended_at": _time(job.ended_at),
        "expires_at": _time(job.expires_at),
        "result": None,
        "error": None,
    }
    if job.state == "done" and job.answer is not None:
        found["result"] = orjson.Fragment(job.answer)  # as it was: its costs are exact decimals
    elif job.state == "failed":
        found["error"] = _interrupted(language) if job.answer is None else orjson.loads(job.answer)["error"]
    return found


def _interrupted(language: Language | None) -> dict[str, Any]:
    error = GatewayError("Every gateway that began this job ended before it was done", code="interrupted")
    return {"code": error.code, "message": in_language(error, language).message}


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Background:
    """Claims jobs and makes their calls, some at a time. One per process."""

    def __init__(self, jobs: Jobs, keys: Keys, serve: Serve, surface: DoorSurface, settings: JobsSection) -> None:
        self._jobs = jobs
        self._keys = keys
        self._serve = serve
        self._surface = surface
        self._settings = settings
        self._running: set[asyncio.Task[None]] = set()
        self._lines: dict[str, _Line] = {}  # by the id of their job
        jobs.on_cancel(self._hang_up)

    async def run(self) -> None:
        """Until cancelled. What is being made then goes on until `stop`."""
        while True:
            free = self._settings.at_once - len(self._running)
            for job in await self._claim(free) if free > 0 else ():
                task = asyncio.create_task(self._work(job))
                self._running.add(task)
                task.add_done_callback(self._ended)
            self._jobs.added.clear()
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._jobs.added.wait()
            except TimeoutError:
                continue

    async def stop(self) -> None:
        """Wait a moment for what is being made, and give back the rest: another gateway begins it anew."""
        if self._running:
            await asyncio.wait(self._running, timeout=STOP_SECONDS)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _hang_up(self, job_id: str) -> None:
        """At once where the job is ours; another gateway hears of it at the next renewal."""
        if line := self._lines.get(job_id):
            line.hang_up()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._jobs.added.set()  # there is room for another one

    async def _claim(self, most: int) -> list[Job]:
        claiming = asyncio.create_task(self._jobs.claim(most))
        try:
            return await asyncio.shield(claiming)
        except NotReady as error:
            _log.info("no job can be claimed just now: %s", error.code)
            return []
        except asyncio.CancelledError:  # its thread goes on and claims them all the same
            await asyncio.wait([claiming])
            for job in () if claiming.exception() else claiming.result():
                await self._give_back(job)
            raise

    async def _work(self, job: Job) -> None:
        line = self._lines[job.job_id] = _Line(JobRequest.from_json(job.request), self._surface.path)
        renewing = asyncio.create_task(self._renew(job, line))
        try:
            await self._call(job, line)
        except asyncio.CancelledError:
            await self._give_back(job)
            raise
        finally:
            renewing.cancel()
            del self._lines[job.job_id]
        if line.exchange.gone:
            return
        try:
            await self._finish(job, line)
        except asyncio.CancelledError:  # it has been paid for: a last try
            await self._write_down(job, line)
            raise

    async def _call(self, job: Job, line: _Line) -> None:
        exchange = line.exchange
        try:
            await self._serve(await self._principal(job, line), exchange, self._surface)
        except GatewayError as error:
            told = self._surface.dialect.told(error, line.language)
            line.answered(told.status, orjson.dumps(self._surface.dialect.render_error(told)))
        except CallerGone:
            return
        except Exception as error:  # noqa: BLE001 - the boundary of a job, as gateway.express is a request's
            _log.error("job %s failed", job.job_id, exc_info=error)
            internal = in_language(GatewayError("Internal error", code="internal_error"), line.language)
            line.answered(500, orjson.dumps(self._surface.dialect.render_error(internal)))
        seconds = perf_counter() - exchange.started
        access.info(
            "JOB %s %d %.1fms request_id=%s%s",
            self._surface.path,
            line.status or 499,
            seconds * 1000,
            exchange.request_id,
            exchange.notes,
        )

    async def _principal(self, job: Job, line: _Line) -> Principal:
        """Whose job it is, if they may still call. Raises Unauthenticated, NotReady."""
        if job.key_id is not None:
            return await self._keys.holder(job.key_id)
        return Principal(None, job.user_id if line.visitor else None)

    async def _renew(self, job: Job, line: _Line) -> None:
        """Keep the job while its call is made. Hang up when it is not ours any more: cancelled, or taken over."""
        while True:
            await asyncio.sleep(self._settings.lease_seconds / 3)
            try:
                if not await self._jobs.renew(job.job_id):
                    return line.hang_up()
            except NotReady:
                _log.info("the lease of job %s cannot be renewed just now", job.job_id)

    async def _finish(self, job: Job, line: _Line) -> None:
        """Write the answer down, however long the database is away: it has been paid for."""
        until = perf_counter() + _KEEP_TRYING_SECONDS
        while not await self._write_down(job, line):
            if perf_counter() > until:
                _log.error("the answer of job %s could not be written down", job.job_id)
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def _write_down(self, job: Job, line: _Line) -> bool:
        """False while the database is away."""
        try:
            await self._jobs.finish(job.job_id, line.status or 500, line.body.decode())
        except NotReady:
            return False
        return True

    async def _give_back(self, job: Job) -> None:
        try:
            await self._jobs.give_back(job.job_id)
        except NotReady:
            _log.info("job %s could not be given back: it is begun anew when its lease runs out", job.job_id)


class _Line:
    """The other end of a job's exchange."""

    def __init__(self, request: JobRequest, path: str) -> None:
        self.status: int | None = None
        self.body = b""
        self._gone = asyncio.Event()
        self.visitor = request.visitor
        self.language = preferred(request.language)
        headers = [(b"content-type", b"application/json")]
        for name, value in ((b"accept-language", request.language), (LOWER_CAP, request.lower_cap)):
            if value is not None:
                headers.append((name, value.encode("latin-1", "replace")))
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
        self._request: bytes | None = orjson.dumps(request.body)
        self.exchange = Exchange(scope, self._receive, self._send, uuid7(), perf_counter())

    def hang_up(self) -> None:
        """Nobody waits for the answer any more: it is neither kept nor written down."""
        self.exchange.gone = True  # a whole answer is read to its end without looking whether somebody is there
        self._gone.set()

    def answered(self, status: int, body: bytes) -> None:
        self.status, self.body = status, body

    async def _receive(self) -> Message:
        if (body := self._request) is not None:
            self._request = None
            return {"type": "http.request", "body": body}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.body += message.get("body", b"")
