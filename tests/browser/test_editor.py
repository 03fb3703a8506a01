"""The editor: nothing hostile runs in the preview, nothing that was typed is lost."""

import re
import socket
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from replysequence.domain.address import Address
from replysequence.domain.draft import DraftContent
from support.at_the_browser import BEN, WORK_GMAIL, AtTheBrowser
from support.webapp import RunningApp

HOSTILE = """
<p id="greeting">Hi Ben</p><script>alert('script')</script>
<img src="{trap}/pixel.gif" onerror="alert('onerror')"><img src=x onerror=parent.alert(1)>
<svg onload="alert('svg')"><a xlink:href="javascript:alert(1)"><text>click</text></a></svg>
<a href="javascript:alert('link')">Click me</a><a href="https://elsewhere.example/" target="_top">Elsewhere</a>
<iframe src="{trap}/frame"></iframe><object data="{trap}/object"></object>
<form action="{trap}/form"><input name="password" autofocus><button>Go on</button></form>
<meta http-equiv="refresh" content="0;url={trap}/refresh"><base href="{trap}/">
<link rel="stylesheet" href="{trap}/style.css"><style>@import "{trap}/import.css";
body{background:url({trap}/background)}</style>
<div style="background-image:url('{trap}/inline'); position:fixed; inset:0">over</div>
<video src="{trap}/video" autoplay poster="{trap}/poster"></video>
</textarea></iframe><script src="{trap}/late.js"></script>
"""


@pytest.fixture
def trap() -> Iterator[socket.socket]:
    """A port of somebody else's, at which nobody may knock."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


@pytest.fixture
def quiet_page(chromium: Browser) -> Iterator[Page]:
    """A page that may complain about what the content policy stops, as here it has to."""
    context = chromium.new_context()
    yield context.new_page()
    context.close()


def test_a_hostile_draft_runs_nothing_fetches_nothing_and_asks_nothing(
    web: RunningApp, quiet_page: Page, trap: socket.socket
) -> None:
    alice = AtTheBrowser(quiet_page, web, visitor=web.browser("Alice"))
    html = HOSTILE.replace("{trap}", f"http://127.0.0.1:{trap.getsockname()[1]}")
    content = DraftContent(to=(Address(name="", email=BEN),), subject="<script>alert(1)</script>", html=html)
    draft = web.do(web.app.services.drafting.create(alice.visitor.id, content=content))
    dialogs: list[str] = []

    def on_dialog(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    quiet_page.on("dialog", on_dialog)

    alice.open(f"/drafts/{draft.id}")
    expect(alice.preview.get_by_text("Hi Ben")).to_be_visible()
    alice.preview.get_by_text("Click me").click()
    quiet_page.wait_for_load_state("networkidle")
    expect(alice.preview.get_by_text("Hi Ben")).to_be_visible()
    expect(alice.checks).to_contain_text("such as scripts, are left out")
    assert alice.preview.locator("script, iframe, object, form, input, [http-equiv], base, link").count() == 0
    assert quiet_page.locator("#html").input_value().strip() == html.strip()
    alice.open(f"/drafts/{draft.id}/preview")
    expect(quiet_page.get_by_text("Hi Ben")).to_be_visible()

    assert dialogs == []
    with pytest.raises(BlockingIOError):
        trap.accept()


@pytest.mark.parametrize("who", ["alice", "alice_without_script"])
def test_a_mistake_names_the_field_and_keeps_what_was_typed(who: str, request: pytest.FixtureRequest) -> None:
    alice: AtTheBrowser = request.getfixturevalue(who)
    page = alice.open("/drafts/new")
    typed = {"Subject": "Thanks", "Message": "A long text that nobody wants to type twice.\n\nReally."}
    page.get_by_role("textbox", name="To", exact=True).fill("Maya <maya@northwind")
    for name, text in typed.items():
        page.get_by_role("textbox", name=name, exact=True).fill(text)
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_role("alert")).to_contain_text("Please look at what is marked below")
    expect(page.locator("#to-fault")).to_be_visible()
    expect(page.locator("#to")).to_have_attribute("aria-invalid", "true")
    for name, text in typed.items():
        expect(page.get_by_role("textbox", name=name, exact=True)).to_have_value(text)
    expect(page.locator("input[name=to]")).to_have_value("Maya <maya@northwind")


def test_a_draft_without_a_recipient_is_kept_but_not_sent(alice: AtTheBrowser) -> None:
    alice.already(connected=WORK_GMAIL)
    page = alice.open("/drafts/new")
    page.get_by_label("Subject").fill("To nobody")
    page.get_by_role("button", name="Send", exact=True).click()

    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("#to-fault")).to_be_visible()
    alice.open("/drafts")
    expect(page.get_by_role("link", name="To nobody")).to_be_visible()
    assert len(alice.app.box.world.ledger) == 0


def test_what_is_typed_is_saved_by_itself_and_checked(alice: AtTheBrowser) -> None:
    alice.already(connected=WORK_GMAIL, draft="Before")
    page = alice.page
    page.get_by_label("Subject").fill("After")
    page.get_by_role("textbox", name="To", exact=True).fill("Bo Berg <bo@customer.example>,")
    expect(page.get_by_role("button", name="Remove Bo Berg <bo@customer.example>")).to_be_visible()
    expect(page.locator("#saved")).to_have_text("All changes saved")

    page.reload()
    expect(page.get_by_label("Subject")).to_have_value("After")
    expect(page.locator("input[name=to]")).to_have_value(f"Ben <{BEN}>, Bo Berg <bo@customer.example>")


def test_formatted_text_and_a_file_arrive(alice: AtTheBrowser) -> None:
    alice.already(connected=WORK_GMAIL)
    page = alice.open("/drafts/new")
    page.get_by_role("textbox", name="To", exact=True).fill(BEN)
    page.get_by_label("Subject").fill("Formatted")
    page.get_by_text("Formatted", exact=True).click()
    editor = page.get_by_role("textbox", name="Formatted message")
    editor.click()
    page.get_by_role("button", name="Bold").click()
    page.keyboard.type("Important")
    page.get_by_label("Attachments").set_input_files(
        {"name": "Angebot größer.txt", "mimeType": "text/plain", "buffer": b"40 seats"}
    )
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name="Angebot größer.txt")).to_be_visible()
    expect(alice.preview.locator("b, strong")).to_have_text("Important")
    alice.send()
    alice.see_it_become("Sent")

    alice.outside_mail(mailbox=BEN, subject="Formatted")
    expect(page.get_by_role("link", name="Angebot größer.txt")).to_be_visible()
    page.get_by_role("link", name="Message", exact=True).click()
    expect(page.frame_locator("iframe").locator("b, strong")).to_have_text("Important")


def test_two_windows_on_one_draft_lose_nothing(alice: AtTheBrowser) -> None:
    alice.already(draft="First")
    other = alice.page.context.new_page()
    other.goto(alice.page.url)
    other.get_by_label("Subject").fill("Changed in the other window")
    other.get_by_role("button", name="Save", exact=True).click()
    expect(other.locator("section.notice")).to_have_text("Saved.")
    alice.page.get_by_label("Subject").fill("Changed here")
    alice.page.get_by_role("button", name="Save", exact=True).click()

    expect(alice.page.get_by_role("alert")).to_have_text(re.compile("changed|newer|version", re.IGNORECASE))
    expect(alice.page.get_by_label("Subject")).to_have_value("Changed here")
    other.reload()
    expect(other.get_by_label("Subject")).to_have_value("Changed in the other window")


def test_a_deleted_draft_is_gone_after_a_question(alice: AtTheBrowser) -> None:
    alice.already(draft="Not needed")
    alice.page.get_by_role("link", name="Delete").click()
    alice.page.get_by_role("button", name="Delete").click()

    expect(alice.notice).to_have_text("The draft is deleted.")
    expect(alice.page.get_by_text("Not needed")).to_have_count(0)
