"""One gateway for all tests here, in front of five written upstreams: the four dialects, and chat with reasoning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

pytest.register_assert_rewrite(
    *(f"tests.e2e.clients.{module}" for module in ("script", "chat_upstreams", "responses_upstream")),
    *(f"tests.e2e.clients.{module}" for module in ("anthropic_upstream", "gemini_upstream")),
)

from tests.deployment import Deployment  # noqa: E402
from tests.e2e.clients.script import Script  # noqa: E402
from tests.e2e.clients.upstreams import SCRIPTS  # noqa: E402
from tests.replay import Upstream  # noqa: E402


@dataclass(frozen=True)
class Place:
    """The gateway and what stands behind it."""

    deployment: Deployment
    upstream: Upstream

    @property
    def url(self) -> str:
        return self.deployment.url

    @property
    def key(self) -> str:
        return self.deployment.key

    def play(self, script: Script, *, stream: bool) -> None:
        """Forget all that was and answer as the script says."""
        self.upstream.forget()
        script.play(self.upstream, stream=stream)


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Upstream() as upstream:
        providers = {name: script.provider(upstream.url) for name, script in SCRIPTS.items()}
        with Deployment(
            tmp_path_factory.mktemp("clients"), upstream.url, config={"providers": providers}
        ) as deployment:
            yield Place(deployment, upstream)


@pytest.fixture(scope="package")
def openai_client(place: Place) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{place.url}/v1", api_key=place.key, max_retries=0) as client:
        yield client


@pytest.fixture(scope="package")
def anthropic_client(place: Place) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=place.url, api_key=place.key, max_retries=0) as client:
        yield client


@pytest.fixture(scope="package", params=["v1", "v1beta"])
def google_client(place: Place, request: pytest.FixtureRequest) -> Iterator[genai.Client]:
    """Its default is v1 since version 3; before, and in the Gemini CLI, v1beta."""
    options = types.HttpOptions(base_url=place.url, api_version=request.param)
    with genai.Client(api_key=place.key, http_options=options) as client:
        yield client


@pytest.fixture(params=SCRIPTS.values(), ids=lambda script: script.name)
def script(request: pytest.FixtureRequest) -> Script:
    chosen: Script = request.param
    return chosen


@pytest.fixture(params=[False, True], ids=["plain", "streamed"])
def stream(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)
