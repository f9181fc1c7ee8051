"""Docstrings: what a function does, and what is said of each parameter. Google's, NumPy's and Sphinx's forms."""

from __future__ import annotations

import re

_SECTION = re.compile(r"(?:Args|Arguments|Parameters|Params|Keyword Args|Keyword Arguments):\s*$")
_NUMPY_SECTION = re.compile(r"(?:Other )?Parameters\s*$")
_RULE = re.compile(r"-{3,}\s*$")
_GOOGLE_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_NUMPY_ENTRY = re.compile(r"\*{0,2}(\w+)(?:\s*:.*)?$")
_SPHINX_ENTRY = re.compile(r":param(?:eter)?\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)$")
_SPHINX_TYPE = re.compile(r":type\s+\w+\s*:")


def read_docstring(text: str | None) -> tuple[str, dict[str, str]]:
    """The text without what it says of parameters, and that by their names. `text` is already dedented."""
    lines = (text or "").splitlines()
    kept: list[str] = []
    said: dict[str, list[str]] = {}
    at = 0
    while at < len(lines):
        line = lines[at]
        following = lines[at + 1] if at + 1 < len(lines) else ""
        if _SECTION.match(line):
            at = _google(lines, at + 1, said)
        elif _NUMPY_SECTION.match(line) and _RULE.match(following):
            at = _numpy(lines, at + 2, said)
        elif found := _SPHINX_ENTRY.match(line):
            at = _continued(lines, at + 1, said.setdefault(found[1], [found[2]]))
        elif _SPHINX_TYPE.match(line):
            at += 1
        else:
            kept.append(line)
            at += 1
    about = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
    return about, {name: " ".join(filter(None, parts)) for name, parts in said.items()}


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _google(lines: list[str], at: int, said: dict[str, list[str]]) -> int:
    """Entries stand deeper than the heading, their further lines deeper than they."""
    level: int | None = None
    current: list[str] = []
    while at < len(lines):
        line = lines[at]
        if line.strip():
            depth = _indent(line)
            if depth == 0:
                break
            level = depth if level is None else level
            entry = _GOOGLE_ENTRY.match(line.strip()) if depth <= level else None
            if entry:
                current = said.setdefault(entry[1], [])
                current.append(entry[2].strip())
            else:
                current.append(line.strip())
        at += 1
    return at


def _numpy(lines: list[str], at: int, said: dict[str, list[str]]) -> int:
    """Names stand at the margin, what is said of them below and deeper, until the next underlined heading."""
    current: list[str] = []
    while at < len(lines):
        line = lines[at]
        if at + 1 < len(lines) and _RULE.match(lines[at + 1]):
            break
        if line.strip() and _indent(line) == 0:
            entry = _NUMPY_ENTRY.match(line.strip())
            if entry is None:
                break
            current = said.setdefault(entry[1], [])
        elif line.strip():
            current.append(line.strip())
        at += 1
    return at


def _continued(lines: list[str], at: int, current: list[str]) -> int:
    while at < len(lines) and lines[at].strip() and _indent(lines[at]) > 0:
        current.append(lines[at].strip())
        at += 1
    return at
