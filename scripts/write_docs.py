"""Write the generated documents again: `.venv/bin/python -m scripts.write_docs`. A test compares them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from scripts.translation.matrix import DIALECTS, LETTERS, MODELS, answer_rows, proof_rows, request_rows, table
from wire.providers import IMPLIED_TYPES, ROWS, ProviderRow

ROOT = Path(__file__).resolve().parents[1]
_SECTION = "<!-- generated: {name} -->\n"
_END = "<!-- end -->"


def translation() -> str:
    """The tables of docs/translation.md."""
    names = ", ".join(f"{LETTERS[each.name]} `{each.name}` ({MODELS[each.name]})" for each in DIALECTS)
    return "\n".join(
        [
            f"{names}.\n",
            "## Requests\n\nColumns read caller → upstream.\n",
            table(request_rows()),
            "## Answers\n\nColumns read upstream → caller. `✓/◐`: whole answer, then stream, where the two differ.\n",
            table(answer_rows()),
            "## Proofs of thought\n\nColumns read provider → caller → the same provider on the next turn.\n",
            table(proof_rows()),
        ]
    )


def providers() -> str:
    """The table of known providers in docs/adding-a-provider.md."""
    lines = ["| name | service | key | speaks | address |", "|---|---|---|---|---|"]
    lines += [_provider(row) for row in ROWS.values() if row.name != "openai_compatible"]
    return "\n".join(lines) + "\n"


def _provider(row: ProviderRow) -> str:
    names = [row.name, *(name for name, kind in IMPLIED_TYPES.items() if kind == row.name)]
    key = " or ".join(f"`{name}`" for name in row.environment) or "none"
    key += "" if row.needs_key or not row.environment else " (optional)"
    address = f"`{row.base_url}`" if row.base_url else "yours: `api_base`"
    spoken = ", ".join(f"`{name}`" for name in row.dialects)
    return f"| {', '.join(f'`{name}`' for name in names)} | {row.label} | {key} | {spoken} | {address} |"


GENERATED: tuple[tuple[str, str, Callable[[], str]], ...] = (
    ("docs/translation.md", "translation", translation),
    ("docs/adding-a-provider.md", "providers", providers),
)


def renewed(text: str, name: str, content: str) -> str:
    """The document with its generated section written again. Raises ValueError when it has none."""
    start = _SECTION.format(name=name)
    pattern = re.compile(re.escape(start) + ".*?" + re.escape(_END), re.S)
    if not pattern.search(text):
        raise ValueError(f"no section {start.strip()}")
    return pattern.sub(lambda _: f"{start}{content}{_END}", text)


def main() -> None:
    for path, name, content in GENERATED:
        file = ROOT / path
        file.write_text(renewed(file.read_text(encoding="utf-8"), name, content()), encoding="utf-8")


if __name__ == "__main__":
    main()
