"""The translation matrix: every probe sent through every pair of dialects, and what became of it.

Nothing here knows what a dialect can do: the tables say what the translators did. A thing that is lost and not reported
is shown as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final, Literal

from msgspec import Struct, structs

from scripts.translation.answers import answer_probes, next_turn, proof_probes
from scripts.translation.probe import AnswerProbe, ProofProbe, RequestProbe, plain_answer, plain_request
from scripts.translation.requests import request_probes
from scripts.translation.streams import gathered, sent_as_stream, translated
from wire.dialect import Dialect, Quirks
from wire.dialects.anthropic_messages import DIALECT as ANTHROPIC
from wire.dialects.gemini import DIALECT as GEMINI
from wire.dialects.openai_chat import DIALECT as CHAT
from wire.dialects.openai_responses import DIALECT as RESPONSES
from wire.errors import BadRequest
from wire.neutral import Choice, Finish, Request, Response, Stamp
from wire.tool_fitting import fit_tools
from wire.translation import caller_names

Verdict = Literal["✓", "≈", "◐", "○", "✕", "·", "Σ", "‼"]

DIALECTS: Final = (CHAT, RESPONSES, ANTHROPIC, GEMINI)
LETTERS: Final = {"openai_chat": "C", "openai_responses": "R", "anthropic_messages": "A", "gemini": "G"}
MODELS: Final = {
    "openai_chat": "gpt-5-mini",
    "openai_responses": "gpt-5-mini",
    "anthropic_messages": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-flash",
}
PAIRS: Final = tuple((giver, taker) for giver in DIALECTS for taker in DIALECTS if giver is not taker)
_STAMP: Final = Stamp(id="0123456789abcdef", created=1, model="m")
_QUIRKS: Final = Quirks()
_TOLD_BY_LEDGER: Final = "Usage shown to the caller"


class Cell(Struct, frozen=True):
    verdict: Verdict
    named: tuple[str, ...] = ()
    streamed: Verdict | None = None  # where it differs


class Row(Struct, frozen=True):
    group: str
    label: str
    cells: tuple[Cell, ...]  # as PAIRS


def request_rows() -> Iterator[Row]:
    """Columns are caller to upstream."""
    for probe in request_probes():
        yield Row(probe.group, probe.label, tuple(_request_cell(probe, *pair) for pair in PAIRS))


def answer_rows() -> Iterator[Row]:
    """Columns are upstream to caller."""
    for probe in answer_probes():
        yield Row(probe.group, probe.label, tuple(_answer_cell(probe, *pair) for pair in PAIRS))


def proof_rows() -> Iterator[Row]:
    """Columns are the provider that made the proof, to the caller and back."""
    for probe in proof_probes():
        yield Row(probe.group, probe.label, tuple(_proof_cell(probe, *pair) for pair in PAIRS))


def silent_losses(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """(label, pair) of what was lost and not reported."""
    return [
        (row.label, pair_name(*pair))
        for row in rows
        for pair, cell in zip(PAIRS, row.cells, strict=True)
        if "‼" in (cell.verdict, cell.streamed)
    ]


def pair_name(giver: Dialect, taker: Dialect) -> str:
    return f"{LETTERS[giver.name]}→{LETTERS[taker.name]}"


def _request_cell(probe: RequestProbe, caller: Dialect, upstream: Dialect) -> Cell:
    asked = probe.asked(plain_request(caller.name, MODELS[caller.name]))
    said = _said(caller, asked)
    wanted = probe.read(asked)
    if said is None or not wanted or probe.read(said) != wanted:
        return Cell("·")
    fitted = fit_tools(structs.replace(said, model=MODELS[upstream.name]), upstream.name, _QUIRKS)
    try:
        rendered = upstream.render_request(fitted.request, quirks=_QUIRKS)
    except BadRequest:
        return Cell("✕")
    got = probe.read(_parsed(upstream, rendered.body))
    named = caller_names(rendered.dropped + fitted.dropped, caller.field_names)
    return Cell(_verdict(wanted, got, named=bool(named)), named)


def _said(caller: Dialect, request: Request) -> Request | None:
    """The request as it is read from the caller's own bytes; None when its dialect cannot say it."""
    try:
        return _parsed(caller, caller.render_request(request, quirks=_QUIRKS).body)
    except BadRequest:
        return None


def _parsed(dialect: Dialect, body: dict[str, Any]) -> Request:
    return dialect.parse_request({"model": MODELS[dialect.name], **body}, model=MODELS[dialect.name], stream=False)


def _answer_cell(probe: AnswerProbe, upstream: Dialect, caller: Dialect) -> Cell:
    made = probe.answered(plain_answer(upstream.name, MODELS[upstream.name]))
    answer = upstream.parse_response(upstream.render_response(made, _STAMP).body)
    wanted = probe.read(made)
    if not wanted or probe.read(answer) != wanted:
        return Cell("·")
    whole = caller.render_response(answer, _STAMP)
    verdict = _answer_verdict(probe, wanted, caller.parse_response(whole.body), named=bool(whole.dropped))
    sent = sent_as_stream(made, upstream, _STAMP)
    if probe.read(gathered(sent, upstream)) != wanted:
        return Cell(verdict, whole.dropped)  # its streams cannot say it
    shown, lost = translated(sent, caller, _STAMP)
    other = _answer_verdict(probe, wanted, gathered(shown, caller), named=bool(lost))
    return Cell(verdict, whole.dropped, None if other == verdict else other)


def _answer_verdict(probe: AnswerProbe, wanted: Any, shown: Response, *, named: bool) -> Verdict:
    verdict = _verdict(wanted, probe.read(shown), named=named)
    return "Σ" if verdict == "‼" and probe.group == _TOLD_BY_LEDGER else verdict


def _verdict(wanted: Any, got: Any, *, named: bool) -> Verdict:
    if got == wanted:
        return "◐" if named else "✓"
    if got:
        return "◐" if named else "≈"
    return "○" if named else "‼"


def _proof_cell(probe: ProofProbe, provider: Dialect, caller: Dialect) -> Cell:
    choice = Choice(parts=probe.parts(provider.name), finish=Finish(reason="stop"))
    made = structs.replace(plain_answer(provider.name, MODELS[provider.name]), choices=(choice,))
    rendered = provider.render_response(made, _STAMP)
    if not _comes_back(probe, provider, provider, rendered.body):
        return Cell("·")
    shown = caller.render_response(provider.parse_response(rendered.body), _STAMP)
    return Cell("✓" if _comes_back(probe, provider, caller, shown.body) else "‼")


def _comes_back(probe: ProofProbe, provider: Dialect, caller: Dialect, shown: dict[str, Any]) -> bool:
    """Whether the provider sees its proof when the caller goes on from the answer it was shown."""
    turn = _parsed(caller, next_turn(caller.name, shown))
    back = provider.render_request(structs.replace(turn, model=MODELS[provider.name]), quirks=_QUIRKS)
    return bool(probe.read(_parsed(provider, back.body)))


# ------------------------------------------------------------------------------------------------- as text
def table(rows: Iterable[Row]) -> str:
    """One table for each group of rows."""
    return "\n".join(_group(name, tuple(members)) for name, members in groupby(rows, key=lambda row: row.group))


def _group(name: str, rows: tuple[Row, ...]) -> str:
    reports = any(cell.named for row in rows for cell in row.cells)
    head = ["", *(pair_name(*pair) for pair in PAIRS), *(["named"] if reports else [])]
    lines = [f"### {name}", "", _line(head), _line(["---", *(":-:" for _ in PAIRS), *(["---"] if reports else [])])]
    for row in rows:
        named = dict.fromkeys(word for cell in row.cells for word in cell.named)
        said = [", ".join(f"`{word}`" for word in named)] if reports else []
        lines.append(_line([row.label, *(_shown(cell) for cell in row.cells), *said]))
    return "\n".join([*lines, ""])


def _shown(cell: Cell) -> str:
    return cell.verdict if cell.streamed is None else f"{cell.verdict}/{cell.streamed}"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
