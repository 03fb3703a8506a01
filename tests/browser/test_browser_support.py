"""The browser that the page tests look through."""

import pytest
from playwright.sync_api import Error, Page

from support.browser import PHONE, OpenPage, assert_no_axe_violations

GOOD = """<!doctype html><html lang="en"><title>Good</title>
<main><h1>Good</h1><img src="data:," alt="A dot"></main>"""
BAD = GOOD.replace(' alt="A dot"', "").replace(' lang="en"', "")


def test_axe_passes_a_good_page(browser_page: Page) -> None:
    browser_page.set_content(GOOD)

    assert_no_axe_violations(browser_page)


def test_axe_names_each_fault_and_its_place(browser_page: Page) -> None:
    browser_page.set_content(BAD)

    with pytest.raises(AssertionError, match=r"(?s)html-has-lang.*image-alt.*<img"):
        assert_no_axe_violations(browser_page)


def test_a_page_can_be_a_phone_in_the_dark_without_script(open_page: OpenPage) -> None:
    page = open_page(viewport=PHONE, colour_scheme="dark", javascript=False)
    page.goto("data:text/html,<noscript>No script</noscript>")

    assert page.viewport_size == PHONE
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert page.get_by_text("No script").is_visible()


def test_the_browser_knows_no_other_machine(browser_page: Page) -> None:
    with pytest.raises(Error, match="ERR_NAME_NOT_RESOLVED"):
        browser_page.goto("http://mail.example.com/")
