"""Ids for function calls, which Gemini matches by name and, only where given, by id.

The neutral model and every other dialect need an id. A call without one gets an id from its ordinal, the same each
time the same conversation or answer is read: `call_<n>` in a request, `call_<responseId>_<n>` in an answer, so that
ids of different turns differ.
"""

from __future__ import annotations


class CallIds:
    """The calls seen so far, in order, and which of them still wait for their result."""

    def __init__(self, response_id: str | None = None) -> None:
        self._prefix = f"call_{response_id}_" if response_id else "call_"
        self._count = 0
        self._open: list[tuple[str, str]] = []

    def next_made(self) -> str:
        """The id that the next call gets if it brings none."""
        return f"{self._prefix}{self._count}"

    def called(self, given: str | None, name: str) -> str:
        made = self.next_made()
        self._count += 1
        call_id = given or made
        self._open.append((call_id, name))
        return call_id

    def answered(self, given: str | None, name: str) -> str | None:
        """The id of the call that this result belongs to: by id, else the first open one of that name."""
        for column, wanted in ((0, given), (1, name)):
            for place, call in enumerate(self._open):
                if call[column] == wanted:
                    del self._open[place]
                    return call[0]
        return None
