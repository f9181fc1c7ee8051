"""A browser for the session, a page and a stand-in gateway for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ui.chromium import Browser, Page, find_chromium, running_chromium
from tests.ui.stand_in import StandIn, serving


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    binary = find_chromium()
    if binary is None:
        pytest.skip("no Chromium here: install it or name it in TOLLGATE_TEST_CHROMIUM")
    with running_chromium(binary, tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture
def gateway() -> Iterator[StandIn]:
    with serving(StandIn()) as stand_in:
        yield stand_in


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_page() as opened:
        opened.look()
        yield opened
