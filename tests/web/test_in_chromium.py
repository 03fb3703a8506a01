"""The pages in a real browser: without script, with it, on a phone, in the dark, and as axe sees them."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Fault
from replysequence.sandbox.running import sandbox
from support.answers import made
from support.browser import DESKTOP, PHONE, ColourScheme, OpenPage, assert_no_axe_violations
from support.webapp import PASSWORD, RunningApp, Visitor, running_app

ACCOUNT = "dana.reyes@brightwave.example"
RICH = "<p>Hi <b>Ann</b>,</p><ul><li>one</li></ul>"


@pytest.fixture(scope="module")
def web(migrated_sqlite_file: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The app on SQLite: what a browser shows does not depend on the database."""
    folder = tmp_path_factory.mktemp("chromium")
    with sandbox() as box, running_app(f"sqlite:///{folder / 'web.db'}", folder, box=box) as app:
        yield app


@pytest.fixture(scope="module")
def places(web: RunningApp) -> dict[str, str]:
    """One address of every page, with something on it."""
    alice = web.browser("Alice", is_admin=True)
    web.connect(alice, "gmail", ACCOUNT)
    web.connect(alice, "outlook", "dana.reyes@contoso.example")
    draft = made(
        alice(
            "POST", "/api/drafts", json_body={"to": ["ann@client.example"], "subject": "Rich", "html": RICH}
        )
    )
    body = {"to": ["ann@client.example"], "subject": "Who knows", "text": "Hi"}
    web.box.world.faults.arm(Fault(kind="error_500_after_acceptance", vendor=Vendor.GOOGLE))
    lost = made(alice("POST", "/api/drafts", json_body=body))
    unknown = made(alice("POST", "/api/drafts/send", json_body={"draft_id": lost["id"]}), status=200)
    later = made(alice("POST", "/api/drafts", json_body={**body, "subject": "Later"}))
    plan = {"draft_id": later["id"], "send_at": "2027-02-01T09:00:00Z"}
    planned = made(alice("POST", "/api/drafts/send", json_body=plan), status=202)
    web.do(web.app.services.signing_in.create_api_key(alice.id, name="Notes"))
    token = web.do(
        web.app.services.signing_in.invite(web.person("Alice"), email="eve@example.com", is_admin=False)
    )
    connection = web.connection_id(alice, ACCOUNT)
    return {
        "meetings": "/",
        "drafts": "/drafts",
        "new draft": "/drafts/new",
        "draft": f"/drafts/{draft['id']}",
        "sent draft": f"/drafts/{lost['id']}",
        "delete": f"/drafts/{draft['id']}/delete",
        "sends": "/sends",
        "no sends": "/sends?show=failed",
        "unknown send": f"/sends/{unknown['id']}",
        "planned send": f"/sends/{planned['id']}",
        "activity": "/activity",
        "integrations": "/settings/integrations",
        "disconnect": f"/settings/integrations/{connection}/disconnect",
        "account": "/settings/account",
        "api keys": "/settings/api-keys",
        "people": "/settings/people",
        "nowhere": "/nowhere",
        "join": f"/join/{token.reveal()}",
        "not connected": "/not-connected",
    }


def sign_in(page: Page, who: Visitor) -> Page:
    assert who.cookie is not None
    page.context.add_cookies([{"name": "session", "value": who.cookie, "url": who.base_url}])
    return page


@pytest.fixture
def alice(web: RunningApp) -> Visitor:
    return web.browser("Alice", is_admin=True)


LOOKS: dict[str, tuple[ViewportSize, ColourScheme]] = {
    "desktop-light": (DESKTOP, "light"),
    "desktop-dark": (DESKTOP, "dark"),
    "phone-light": (PHONE, "light"),
    "phone-dark": (PHONE, "dark"),
}


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_and_no_page_is_wider_than_its_window(
    web: RunningApp, alice: Visitor, places: dict[str, str], open_page: OpenPage, look: str
) -> None:
    viewport, scheme = LOOKS[look]
    page = sign_in(open_page(viewport=viewport, colour_scheme=scheme), alice)
    for address in places.values():
        page.goto(web.base_url + address)
        assert_no_axe_violations(page)
        too_wide = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert too_wide <= 0, address
    signed_out = open_page(viewport=viewport, colour_scheme=scheme)
    signed_out.goto(f"{web.base_url}/sign-in")
    assert_no_axe_violations(signed_out)


def test_the_whole_way_works_without_script(web: RunningApp, open_page: OpenPage) -> None:
    person = web.person("Bob")
    page = open_page(javascript=False)
    page.goto(f"{web.base_url}/drafts/new")
    page.get_by_label("Email").fill(person.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("link", name="Connect Gmail account").click()
    page.get_by_role("button", name="Dana Reyes").first.click()
    while page.url.startswith(web.box.base_url):
        page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("status").first).to_contain_text("is connected")
    page.goto(f"{web.base_url}/drafts/new")
    page.get_by_label("To", exact=True).fill("ann@client.example")
    page.get_by_label("Subject").fill("Without script")
    page.get_by_role("textbox", name="Message", exact=True).fill("Hi Ann")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page).to_have_url(f"{web.base_url}/sends/{page.url.rpartition('/')[2]}")
    page.reload()
    page.wait_for_timeout(500)
    page.reload()
    expect(page.get_by_text("The provider accepted the message.")).to_be_visible()


def test_a_send_is_followed_live_until_it_has_settled(
    web: RunningApp, alice: Visitor, open_page: OpenPage
) -> None:
    web.connect(alice, "gmail", ACCOUNT)
    web.box.world.faults.arm(Fault(kind="slow", vendor=Vendor.GOOGLE, delay_seconds=3))
    draft = made(
        alice("POST", "/api/drafts", json_body={"to": ["a@client.example"], "subject": "Live", "text": "Hi"})
    )
    page = sign_in(open_page(), alice)
    page.goto(f"{web.base_url}/drafts/{draft['id']}")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("The message is being handed over right now.")).to_be_visible()
    expect(page.get_by_text("The provider accepted the message.")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/sends/" in request.url else None)
    page.wait_for_timeout(2_500)
    assert asked == []


def test_the_editor_saves_by_itself_and_keeps_preview_and_checks_up_to_date(
    web: RunningApp, alice: Visitor, open_page: OpenPage
) -> None:
    draft = made(alice("POST", "/api/drafts", json_body={"subject": "Editor", "html": RICH}))
    page = sign_in(open_page(), alice)
    page.goto(f"{web.base_url}/drafts/{draft['id']}")
    expect(page.locator("#checks")).to_contain_text("Nobody would get this message")
    page.get_by_role("textbox", name="To", exact=True).fill("Ann Berg <ann@client.example>,")
    page.get_by_role("textbox", name="Formatted message").press("Control+End")
    page.keyboard.type(" and two")
    expect(page.get_by_text("All changes saved")).to_be_visible()
    expect(page.locator("#checks")).to_contain_text("Ready to send.")
    expect(page.frame_locator("#preview").locator("body")).to_contain_text("one and two")
    kept = made(alice("GET", f"/api/drafts/{draft['id']}"), status=200)
    assert kept["to"] == [{"name": "Ann Berg", "email": "ann@client.example"}]
    assert kept["html"] == "<p>Hi <b>Ann</b>,</p><ul><li>one and two</li></ul>"


def test_formatting_that_the_simple_editor_would_lose_stays_source(
    web: RunningApp, alice: Visitor, open_page: OpenPage
) -> None:
    html = '<table style="color:red"><tr><td onclick="x()" hx-get="/sends">cell</td></tr></table>'
    draft = made(alice("POST", "/api/drafts", json_body={"subject": "Table", "html": html}))
    page = sign_in(open_page(), alice)
    asked: list[str] = []
    page.goto(f"{web.base_url}/drafts/{draft['id']}")
    page.on("request", lambda request: asked.append(request.url) if "/sends" in request.url else None)
    expect(page.locator("#html")).to_be_visible()
    expect(page.locator("#html")).to_have_value(html)
    expect(page.locator(".rich")).to_be_hidden()
    page.get_by_role("button", name="Edit visually").click()
    expect(page.locator("#html")).to_be_visible()
    page.frame_locator("#preview").locator("td").click()
    assert asked == []


def test_the_keyboard_reaches_everything_and_the_focus_shows(
    web: RunningApp, alice: Visitor, open_page: OpenPage
) -> None:
    page = sign_in(open_page(), alice)
    page.goto(f"{web.base_url}/settings/integrations")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_a_page_elsewhere_can_neither_frame_us_nor_post_to_us(
    web: RunningApp, alice: Visitor, open_page: OpenPage
) -> None:
    draft = made(alice("POST", "/api/drafts", json_body={"subject": "Still here"}))
    page = sign_in(open_page(), alice)
    target = f"{web.base_url}/drafts/{draft['id']}/delete"
    evil = f"<form method=post action='{target}'><button>Win</button></form><iframe src='{web.base_url}/'></iframe>"
    elsewhere = web.base_url.replace("127.0.0.1", "localhost")
    page.route(f"{elsewhere}/evil", lambda route: route.fulfill(body=evil, content_type="text/html"))
    page.goto(f"{elsewhere}/evil")
    assert (
        page.frames[1].url in {"", "chrome-error://chromewebdata/"}
        or not page.frames[1].locator("nav").count()
    )
    page.get_by_role("button", name="Win").click()
    expect(page.get_by_text("That is not allowed")).to_be_visible()
    assert alice("GET", f"/api/drafts/{draft['id']}").status == 200
