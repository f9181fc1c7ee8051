"""The questions of the translation matrix: one for each thing that a request or an answer can say.

A probe is a neutral value and a lens that reads it back. Where a dialect cannot say it at all, the matrix finds out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from wire.neutral import Choice, DialectName, Finish, Message, Part, Request, Response, Text, Usage

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABh6FO1AAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQKJSVFT0YK"
WAV = "UklGRiQAAABXQVZFZm10IA=="
QUESTION = Message(role="user", parts=(Text(text="Hello"),))


class RequestProbe(Struct, frozen=True):
    """`asked` makes the request in a dialect; `read` gives the thing in question, something false when it is absent."""

    group: str
    label: str
    asked: Callable[[Request], Request]
    read: Callable[[Request], Any]


class AnswerProbe(Struct, frozen=True):
    """As `RequestProbe`, of an answer."""

    group: str
    label: str
    answered: Callable[[Response], Response]
    read: Callable[[Response], Any]


class ProofProbe(Struct, frozen=True):
    """What a provider wants to see again on the next turn: parts of an answer of its own."""

    group: str
    label: str
    parts: Callable[[DialectName], tuple[Part, ...]]
    read: Callable[[Request], Any]


def plain_request(dialect: DialectName, model: str) -> Request:
    return Request(dialect=dialect, model=model, messages=(QUESTION,))


def plain_answer(dialect: DialectName, model: str) -> Response:
    return Response(
        dialect=dialect,
        id="1",
        model=model,
        choices=(Choice(parts=(Text(text="Hi"),), finish=Finish(reason="stop")),),
        usage=Usage(input=10, output=5),
    )
