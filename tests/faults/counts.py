"""The table of counts: what was called and what is billed, a line for each case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

PROPERTY = "tollgate.faults"  # of a test's report: holds a line of the table


@dataclass(frozen=True, slots=True)
class Counts:
    """One line of the table."""

    case: str
    calls: int
    streamed: int
    answered: int
    refused: int
    cut: int
    left: int
    accepted: int  # attempts that the upstream accepted
    rows: int
    final: int
    attempt: int
    lost: int
    unasked: int  # lost rows of attempts that the upstream never saw
    estimated: int
    missing: int  # accepted attempts without a row: only where a machine's crash is played
    meanwhile: int  # answered from beginning to end while something stood still or was broken

    def as_property(self) -> tuple[str, Mapping[str, Any]]:
        return PROPERTY, asdict(self)


HEADINGS = tuple(Counts.__dataclass_fields__)


def table(lines: Sequence[Counts]) -> str:
    """All cases as aligned text."""
    cells: list[tuple[Any, ...]] = [HEADINGS, *(tuple(getattr(line, name) for name in HEADINGS) for line in lines)]
    widths = [max(len(str(row[column])) for row in cells) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(
            str(cell).ljust(width) if not column else str(cell).rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    )
