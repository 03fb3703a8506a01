"""Fixtures: a real Chromium that reaches this machine only, and axe to look at what it shows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, ViewportSize, sync_playwright

from support.programs import find_program

AXE = Path(__file__).parents[1] / "browser" / "vendor" / "axe.min.js"
ACTION_MILLISECONDS = 15_000

ARGUMENTS = [
    "--no-sandbox",  # root may not have one, and the pages are our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE ::1",
]

DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 375, "height": 740}

ColourScheme = Literal["light", "dark"]


class OpenPage(Protocol):
    """Opens a page in a browser profile of its own."""

    def __call__(
        self,
        *,
        viewport: ViewportSize = ...,
        colour_scheme: ColourScheme = ...,
        javascript: bool = ...,
        time_zone: str = ...,
    ) -> Page:
        """`javascript=False` shows what a browser without script shows; axe needs script."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium for the tests of one file.

    Not for the whole session: while Playwright's synchronous interface is open, its event loop is the
    running one of this thread, and no `async def` test could run. So a file holds browser tests or coroutine
    tests, never both.
    """
    program = find_program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS, headless=True)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[OpenPage]:
    """A function that opens pages; the test fails when their scripts threw or broke the content policy."""
    problems: list[str] = []

    def note_policy(message: ConsoleMessage) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            problems.append(message.text)

    def open_page(
        *,
        viewport: ViewportSize = DESKTOP,
        colour_scheme: ColourScheme = "light",
        javascript: bool = True,
        time_zone: str = "UTC",
    ) -> Page:
        context = chromium.new_context(
            viewport=viewport,
            color_scheme=colour_scheme,
            java_script_enabled=javascript,
            locale="en-GB",
            timezone_id=time_zone,
        )
        context.set_default_timeout(ACTION_MILLISECONDS)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", note_policy)
        return page

    yield open_page
    for context in chromium.contexts:
        context.close()
    assert problems == []


@pytest.fixture
def browser_page(open_page: OpenPage) -> Page:
    """One page of a desktop's size, light."""
    return open_page()


def assert_no_axe_violations(page: Page) -> None:
    """Fails with each rule of axe-core that `page` breaks as it now stands, and where."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("async () => (await axe.run(document)).violations")
    told = [
        f"{rule['id']} ({rule['impact']}): {rule['help']}\n    {node['html']}"
        for rule in found
        for node in rule["nodes"]
    ]
    assert told == [], "\n".join(["axe found:", *told])
