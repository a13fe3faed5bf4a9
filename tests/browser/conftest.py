"""Debian's Chromium, driven by Playwright, and what every page must keep: no policy violation, no script error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from bench.stack import EMAIL
from tests.stack import Stack

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
CHROMIUM = "/usr/bin/chromium"
EXPECTED = ("status of 422", "status of 404", "ERR_INTERNET_DISCONNECTED")  # answers and tests' doings, not faults


@pytest.fixture(scope="session", autouse=True)
def _rows_beside_playwright() -> Iterator[None]:
    """Playwright keeps an event loop in this thread from the first browser on; Django would refuse it every query."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    assert Path(CHROMIUM).exists(), "Chromium is missing: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser, stack: Stack) -> Iterator[BrowserContext]:
    """A fresh browser; relative addresses lead to the console."""
    made = chromium.new_context(base_url=stack.url, viewport={"width": 1280, "height": 900})
    made.set_default_timeout(15_000)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page; at the end of the test its console holds no error and no violation of the content policy."""
    made, said = context.new_page(), list[str]()
    made.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    made.on("pageerror", lambda error: said.append(str(error)))
    yield made
    assert not [text for text in said if not any(expected in text for expected in EXPECTED)]


@pytest.fixture
def sign_in(page: Page, stack: Stack) -> Callable[[], Page]:
    """Types address and password where the browser is asked for them."""

    def act() -> Page:
        if "/login" not in page.url and "accounts" not in page.url:
            page.goto("/")
        page.get_by_label("E-mail address").fill(EMAIL)
        page.get_by_label("Password", exact=True).fill(stack.password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_load_state()
        return page

    return act


@pytest.fixture
def signed_in(sign_in: Callable[[], Page]) -> Page:
    return sign_in()


@pytest.fixture(scope="session")
def ids(stack: Stack) -> dict[str, str]:
    """The addresses' ids of what is registered."""
    code = (
        "from workspaces.models import Cluster, Project\n"
        "project = Project.objects.get(name='Default')\n"
        "answer = {c.name: str(c.pk) for c in project.clusters.all()} | {'project': str(project.pk)}"
    )
    found: dict[str, str] = stack.shell(code)
    return found


@pytest.fixture(scope="session")
def violations() -> Callable[[Page], list[str]]:
    """What axe finds on a page, as `rule: element`."""
    axe = Axe()

    def find(page: Page) -> list[str]:
        found = axe.run(page).response["violations"]
        return [f"{each['id']}: {node['target']}" for each in found for node in each["nodes"]]

    return find
