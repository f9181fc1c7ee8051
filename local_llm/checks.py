"""What of a request is refused before it costs anything: what is no JSON, and grammars that would end llama-server.

A grammar of 300,000 parentheses overflows llama.cpp's stack and takes every caller's answer with it, so size and
nesting are bounded here, well above what anyone writes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from local_llm.http import Refused

MOST_NESTING = 64  # of the JSON itself, schemas included
MOST_GRAMMAR_BYTES = 64 * 1024
MOST_GRAMMAR_NESTING = 64
MOST_SCHEMA_BYTES = 256 * 1024
_MOST_PATTERN_BYTES = 2048
_SCHEMAS = ("json_schema", "response_format", "tools", "text", "output_config")  # where the dialects have them
_OWN = ("id_slot",)  # which slot serves whom is not the caller's to say


@dataclass(frozen=True, slots=True)
class Ask:
    """`raw` is what is sent on. `weight`: how many slots it takes at once."""

    body: dict[str, Any]
    raw: bytes
    stream: bool
    weight: int


def read_ask(raw: bytes, slots: int) -> Ask:
    """Raises Refused."""
    try:
        body = json.loads(raw)
    except RecursionError:
        raise Refused(400, f"the body is nested deeper than {MOST_NESTING} levels") from None
    except ValueError as error:
        raise Refused(400, f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise Refused(400, "the body must be a JSON object")
    if rb"\ud" in raw.lower():
        _check_text(body)
    _check_nesting(body)
    _check_grammar(body)
    for name in _OWN:
        if name in body:
            del body[name]
            raw = json.dumps(body).encode()
    return Ask(body, raw, body.get("stream") is True, _weight(body, slots))


def _weight(body: dict[str, Any], slots: int) -> int:
    """Slots that are filled at once: several choices, several prompts."""
    wanted = 1
    for name in ("n", "n_cmpl"):
        if type(count := body.get(name)) is int:
            wanted = max(wanted, count)
    if wanted > slots:
        raise Refused(400, f"'n' may be {slots} at most: so many slots there are (local.slots)")
    # Of a list of tokens or of a conversation's parts nothing counts: each is one prompt.
    for name in ("prompt", "input", "content", "documents"):
        if isinstance(prompts := body.get(name), list):
            texts = sum(isinstance(item, str | list) for item in prompts)
            wanted = max(wanted, min(texts, slots))
    return wanted


def _check_text(body: dict[str, Any]) -> None:
    """Half of a surrogate pair is no text: llama-server takes the whole body for damaged."""
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Refused(400, "the body has half of a surrogate pair, which is no text") from None
    except RecursionError:
        raise Refused(400, f"the body is nested deeper than {MOST_NESTING} levels") from None


def _check_nesting(value: Any) -> None:
    level = [value]
    for _ in range(MOST_NESTING + 1):
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise Refused(400, f"the body is nested deeper than {MOST_NESTING} levels")


def _check_grammar(body: dict[str, Any]) -> None:
    grammar = body.get("grammar")
    if grammar is not None:
        if not isinstance(grammar, str):
            raise Refused(400, "'grammar' must be a string")
        if len(grammar.encode("utf-8", "surrogatepass")) > MOST_GRAMMAR_BYTES:
            raise Refused(400, f"'grammar' is larger than {MOST_GRAMMAR_BYTES} bytes")
        if _depth(grammar) > MOST_GRAMMAR_NESTING:
            raise Refused(400, f"'grammar' is nested deeper than {MOST_GRAMMAR_NESTING} levels")
    for name in _SCHEMAS:
        schema = body.get(name)
        if isinstance(schema, dict | list):
            if len(json.dumps(schema)) > MOST_SCHEMA_BYTES:
                raise Refused(400, f"'{name}' is larger than {MOST_SCHEMA_BYTES} bytes")
            _check_schema(schema, name)


def _depth(grammar: str) -> int:
    """Deepest nesting of parentheses. Those inside strings count too: a bound need not be exact."""
    deepest = depth = 0
    for character in grammar:
        if character == "(":
            depth += 1
            deepest = max(deepest, depth)
        elif character == ")":
            depth = max(0, depth - 1)
    return deepest


def _check_schema(schema: Any, where: str) -> None:
    """A schema becomes a grammar, and so do the regular expressions in it."""
    waiting = [schema]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
            continue
        if not isinstance(item, dict):
            continue
        waiting += item.values()
        pattern = item.get("pattern")
        if isinstance(pattern, str) and (len(pattern) > _MOST_PATTERN_BYTES or _depth(pattern) > MOST_GRAMMAR_NESTING):
            raise Refused(400, f"a 'pattern' in '{where}' is too large or nested too deeply")
