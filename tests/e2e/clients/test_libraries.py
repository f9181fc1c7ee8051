"""Client libraries that live in an environment of their own, each as a process that is given one case after another."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.e2e.clients.conftest import Place
from tests.e2e.clients.conversation import ANSWER, Abilities, Seen
from tests.e2e.clients.script import Script

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venv-clients" / "bin" / "python"


class Library:
    """A program of `programs/`."""

    def __init__(self, module: str, log: Path) -> None:
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        with log.open("wb") as errors:
            self._child = subprocess.Popen(
                [PYTHON, "-m", f"tests.e2e.clients.programs.{module}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                text=True,
            )

    def converse(self, case: dict[str, Any]) -> tuple[Seen, Seen]:
        """What it saw in the two steps. Raises AssertionError with what the library raised."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(json.dumps(case), file=self._child.stdin, flush=True)
        answer = json.loads(self._child.stdout.readline() or '{"error": "the program ended"}')
        assert "error" not in answer, answer["error"]
        return _seen(answer["first"]), _seen(answer["second"])

    def close(self) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.terminate()  # nothing of it is needed any more
        self._child.wait(20)
        self._child.stdout.close()


def _seen(told: dict[str, Any]) -> Seen:
    return Seen(**{**told, "calls": [(call_id, name, arguments) for call_id, name, arguments in told["calls"]]})


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Library]]:
    """All at once: importing is most of what they take."""
    made = subprocess.run(["sh", "scripts/setup-clients"], cwd=ROOT, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"the client libraries cannot be installed: {made.stderr.strip()[-300:]}")
    folder = tmp_path_factory.mktemp("libraries")
    modules = dict.fromkeys(way.module for way in WAYS)
    running = {module: Library(module, folder / f"{module}.log") for module in modules}
    try:
        yield running
    finally:
        for library in running.values():
            library.close()


CHAT = Abilities(error_flag=False, image_in_result=False)
MESSAGES = Abilities(error_flag=True, image_in_result=True)
RESPONSES = Abilities(error_flag=False, image_in_result=True)


@dataclass(frozen=True)
class Way:
    """A way of a library to call. `hands_back`: when it gives reasoning back with what proves it; what it does not,
    no gateway can. `called` and `ended` are its words for a stop at tools and at an end."""

    module: str
    name: str
    abilities: Abilities
    called: str = "tool_calls"
    ended: str = "stop"
    hands_back: Literal["always", "plain", "never"] = "always"
    shows_thinking: bool = True

    def able(self, script: Script, *, stream: bool) -> Abilities:
        kept = self.hands_back == "always" or (self.hands_back == "plain" and not stream)
        # LiteLLM hands OpenRouter's own field back where only this gateway looks for it, and nothing is translated.
        moved = self.module == "litellm_library" and self.name == "openai" and script.name == "openrouter"
        return replace(self.abilities, reasoning=kept and not moved)


WAYS = (
    Way("litellm_library", "openai", CHAT, hands_back="plain"),  # its stream builder leaves unknown fields out
    Way("litellm_library", "anthropic", CHAT),
    Way("any_llm_library", "openai", CHAT),
    Way("any_llm_library", "anthropic", CHAT, hands_back="never"),  # its own translation to chat loses it
    Way("any_llm_library", "messages", MESSAGES, "tool_use", "end_turn"),
    Way("any_llm_library", "responses", RESPONSES, "completed", "completed"),
    # By design: https://python.langchain.com/docs/integrations/chat/openai/ leaves other servers' fields to others.
    Way("langchain_library", "chat", CHAT, hands_back="never", shows_thinking=False),
    Way("langchain_library", "responses", RESPONSES, "completed", "completed"),
    Way("langchain_library", "anthropic", MESSAGES, "tool_use", "end_turn"),
)


@pytest.mark.timeout(600)  # the first one may install the libraries
@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.module.removesuffix('_library')}-{way.name}")
def test_a_library_converses_with_tools(
    place: Place, libraries: dict[str, Library], way: Way, script: Script, stream: bool
) -> None:
    place.play(script, stream=stream)
    case = {"way": way.name, "url": place.url, "key": place.key, "model": script.asked, "stream": stream}
    first, second = libraries[way.module].converse(case)
    script.check_first(first, stop=way.called, thinking=way.shows_thinking)
    assert (second.text, second.calls, second.stop) == (ANSWER, [], way.ended)
    tide, chart = (call_id for call_id, *_ in first.calls)
    script.verify(place.upstream.calls, way.able(script, stream=stream), (tide, chart))
