"""What holds for every page: axe finds nothing, a phone and a keyboard are enough, the console is quiet."""

import re
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect
from sqlalchemy import update

from replysequence.domain.address import Address
from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.draft import DraftContent
from replysequence.domain.send import State
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.actions import act
from replysequence.sandbox.faults import Fault
from replysequence.sandbox.running import RunningSandbox, sandbox
from replysequence.storage.database import Transaction, now
from replysequence.storage.tables import sends
from support.at_the_browser import BEN, OUTLOOK, PRIVATE_GMAIL, WORK_GMAIL, AtTheBrowser
from support.browser import OpenPage, assert_no_axe_violations
from support.crm_connections import connect_crm, put_status
from support.days_to_come import in_month
from support.rolodex import Service, installed, service
from support.webapp import PASSWORD, RunningApp, Visitor, running_app

PHONE_WIDTH = 390
MOST_TABS = 4
"""Presses for each control: the parts of a date and time are stops too."""
LONG_SUBJECT = (
    "Thanks for today, and what we agreed on: Donaudampfschifffahrtselektrizitätenhauptbetriebswerk"
)

PAGES = {
    "drafts": "/",
    "new draft": "/drafts/new",
    "draft": "/drafts/{plain}",
    "draft with everything": "/drafts/{rich}",
    "draft that was sent": "/drafts/{sent draft}",
    "delete": "/drafts/{plain}/delete",
    "sends": "/sends",
    "no such sends": "/sends?show=failed",
    "send that is sent": "/sends/{sent}",
    "send that is unknown": "/sends/{unknown}",
    "send that waits": "/sends/{waiting}",
    "send that is planned": "/sends/{planned}",
    "time of a planned send": "/sends/{planned}/time",
    "send that asks": "/sends/{asking}",
    "what waits for you": "/sends/held",
    "activity": "/activity",
    "send that is logged": "/sends/{logged}",
    "send that could not be logged": "/sends/{sent}",
    "what was logged": "/reports",
    "nothing that was logged": "/reports?show=skipped",
    "disconnect a CRM": "/settings/integrations/{crm}/disconnect",
    "integrations": "/settings/integrations",
    "disconnect": "/settings/integrations/{broken}/disconnect",
    "account": "/settings/account",
    "API keys": "/settings/api-keys",
    "people": "/settings/people",
    "nothing here": "/drafts/00000000-0000-7000-8000-000000000000",
    "not connected": "/not-connected",
}
SIGNED_OUT = {"sign in": "/sign-in", "join": "/join/{invitation}", "sign-in link": "/sign-in/link/{link}"}


@pytest.fixture(scope="module")
def furnished(
    migrated_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningApp, Visitor, dict[str, str]]]:
    """An app in which much has happened, Alice in it, and the ids that stand in addresses."""
    folder = tmp_path_factory.mktemp("every-page")
    shutil.copyfile(migrated_sqlite_file, folder / "web.db")
    with service() as crm, pytest.MonkeyPatch.context() as patch, sandbox() as box:
        for target, name, value in installed(crm.url):
            patch.setitem(target, name, value)
        with running_app(f"sqlite:///{folder}/web.db", folder, box=box) as app:
            alice = app.browser("Alice", is_admin=True)
            yield app, alice, furnish(app, alice, box, crm=crm)


def furnish(app: RunningApp, alice: Visitor, box: RunningSandbox, *, crm: Service) -> dict[str, str]:
    services = app.app.services
    crm.add(BEN)
    crm.faults.append(("before", 422))
    kept, lost = (connect_crm(app.app.database, app.app.vault, alice.id, subject=name) for name in "ab")
    app.app.database.run(put_status, lost.id, ConnectionStatus.NEEDS_RECONNECT)
    for provider, account in (("gmail", WORK_GMAIL), ("gmail", PRIVATE_GMAIL), ("outlook", OUTLOOK)):
        app.connect(alice, provider, account)
    broken = app.connection_id(alice, PRIVATE_GMAIL)
    act(box.world, box.world.accounts.at(Vendor.GOOGLE, PRIVATE_GMAIL), "remove_access")

    def draft(subject: str, *, html: str | None = None, connection_id: str | None = None) -> str:
        everybody = tuple(Address(name=f"Ben Berg {n}", email=f"ben.{n}@customer.example") for n in range(9))
        content = DraftContent(
            to=(Address(name="Ben", email=BEN),),
            cc=everybody if html else (),
            subject=subject,
            text=None if html else "Hi",
            html=html,
            connection_id=connection_id,
        )
        return app.do(services.drafting.create(alice.id, content=content)).id

    def send(draft_id: str, *, becomes: State, send_at: datetime | None = None) -> str:
        made, _ = app.do(services.sending.accept(alice.id, draft_id=draft_id, send_at=send_at))
        while app.do(services.sending.get(alice.id, send_id=made.id)).state is not becomes:
            time.sleep(0.05)
        return made.id

    def lose(account: str, subject: str) -> str:
        """A new account that loses its consent while a message waits for it; the message's id."""
        app.connect(alice, "gmail", account)
        act(box.world, box.world.accounts.at(Vendor.GOOGLE, account), "remove_access")
        written = draft(subject, connection_id=app.connection_id(alice, account))
        return send(written, becomes=State.WAITING)

    old, gone = app.new_google_account(), app.new_google_account()
    asking = lose(old, LONG_SUBJECT)
    app.do(app.app.database.transaction(make_old, send_id=asking))
    app.connect(alice, "gmail", old)
    lose(gone, "Written from an account that is gone")
    app.do(
        services.disconnecting.disconnect(
            alice.id, provider="gmail", connection_id=app.connection_id(alice, gone)
        )
    )
    sent_draft = draft("Sent")
    sent = send(sent_draft, becomes=State.SENT)
    logged = send(draft("Logged"), becomes=State.SENT)
    while not crm.written()[logged]:
        time.sleep(0.05)
    box.world.faults.arm(Fault(kind="error_500_after_acceptance", vendor=Vendor.GOOGLE))
    assert alice.person is not None
    invitation = app.do(services.signing_in.invite(alice.person, email="new@example.com", is_admin=False))
    return {
        "plain": draft("A plain one"),
        "rich": draft(LONG_SUBJECT, html="<table style='color:red'><tr><td>Hi</table><script>1</script>"),
        "sent draft": sent_draft,
        "sent": sent,
        "logged": logged,
        "crm": kept.id,
        "unknown": send(draft(LONG_SUBJECT), becomes=State.UNKNOWN),
        "waiting": send(draft("Waits", connection_id=broken), becomes=State.WAITING),
        "asking": asking,
        "planned": send(draft(LONG_SUBJECT), becomes=State.WAITING, send_at=in_month(2).replace(tzinfo=UTC)),
        "broken": broken,
        "invitation": invitation.reveal(),
        "link": app.do(services.signing_in.sign_in_link("alice@example.com")).reveal(),
    }


def make_old(transaction: Transaction, *, send_id: str) -> None:
    """As if it had been written three days ago."""
    then = now(transaction) - timedelta(days=3)
    transaction.execute(update(sends).where(sends.c.id == send_id).values(created_at=then))


@pytest.fixture(params=[*PAGES, *SIGNED_OUT])
def page(
    request: pytest.FixtureRequest,
    furnished: tuple[RunningApp, Visitor, dict[str, str]],
    open_page: OpenPage,
) -> Iterator[Page]:
    """Each page, opened. Its console has to stay quiet."""
    app, alice, ids = furnished
    said: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and "status of 404" not in message.text:
            said.append(message.text)

    visitor = alice if request.param in PAGES else None
    someone = AtTheBrowser(open_page(), app, visitor=visitor)
    someone.page.on("console", note)
    path = {**PAGES, **SIGNED_OUT}[request.param]
    yield someone.open(re.sub(r"\{([^}]+)\}", lambda found: ids[found[1]], path))
    assert said == []


def unfold(page: Page) -> None:
    """Open everything that can be opened, so that what is folded away is looked at too."""
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")


TAB_STOPS = """() => [...document.querySelectorAll(
    'a[href], button, input, select, textarea, summary, iframe, [tabindex="0"], [contenteditable="true"]')]
  .filter(one => !one.disabled && one.type !== 'hidden' && one.checkVisibility({visibilityProperty: true}))
  .filter(one => one.type !== 'radio' || one.checked)
  .map((one, n) => { one.stop = n; return one.outerHTML.slice(0, 90) })"""

FOCUSED = """() => { const one = document.activeElement; const style = getComputedStyle(one);
  const shown = [one, one.closest('.chips, .modes label')].filter(Boolean).some(each => {
    const style = getComputedStyle(each); return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 });
  return [one.stop ?? null, shown, one.tagName] }"""


def test_axe_finds_nothing_in_light_in_the_dark_and_on_a_phone(page: Page) -> None:
    unfold(page)
    assert_no_axe_violations(page)

    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": PHONE_WIDTH, "height": 780})
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH
    assert_no_axe_violations(page)


def test_the_tab_key_reaches_every_control_and_shows_where_it_is(page: Page) -> None:
    unfold(page)
    page.evaluate("document.activeElement.blur()")
    stops: list[str] = page.evaluate(TAB_STOPS)
    missing = dict(enumerate(stops))
    for _ in range(MOST_TABS * len(stops)):
        if not missing:
            break
        page.keyboard.press("Tab")
        stop, outlined, tag = page.evaluate(FOCUSED)
        if stop in missing:
            del missing[stop]
            assert outlined or tag == "IFRAME", f"nothing shows the focus at {stops[stop]}"

    assert missing == {}
    assert "Skip to content" in stops[0]


def test_a_keyboard_is_enough_to_send(
    furnished: tuple[RunningApp, Visitor, dict[str, str]], open_page: OpenPage
) -> None:
    app, alice, ids = furnished
    page = AtTheBrowser(open_page(), app, visitor=alice).open(f"/drafts/{ids['plain']}")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    send = page.get_by_role("button", name="Send", exact=True)
    while not send.evaluate("one => one === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(page.locator("#progress .state .badge")).to_have_text("Sent")


def test_enter_signs_in(furnished: tuple[RunningApp, Visitor, dict[str, str]], open_page: OpenPage) -> None:
    app, _, _ = furnished
    page = AtTheBrowser(open_page(), app).open("/activity")
    expect(page.get_by_label("Email")).to_be_focused()
    page.keyboard.type("alice@example.com")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Activity")).to_be_visible()
