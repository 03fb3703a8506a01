"""The sandbox's pages in a real browser: by hand, without script, on a phone, in the dark, and under axe."""

import pytest
from playwright.sync_api import Page

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Fault
from support.browser import PHONE, ColourScheme, OpenPage, assert_no_axe_violations
from support.consent import approve
from support.google_app import CONSUMER, MESSAGE, WORKSPACE, GoogleApp
from support.hubspot_app import HubSpotApp
from support.salesforce_app import DANA, MAYA, SalesforceApp
from support.zoom_app import ZoomApp

HTML = MESSAGE.replace(
    b"\r\n\r\nThank you",
    b"\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html lang=en><title>Hi</title><main>"
    b"<h1>Thank you</h1></main><script>document.body.append('owned')</script>",
)


@pytest.fixture
def message(app: GoogleApp) -> str:
    """The id of a delivered message; one more failure is armed."""
    told = app.send(app.connect()["access_token"], HTML).json
    app.box.world.faults.arm(Fault(kind="reset_after_acceptance", vendor=Vendor.GOOGLE))
    return str(told["id"])


def paths(app: GoogleApp, message: str) -> list[str]:
    def authorize(**changes: str) -> str:
        return app.authorize_url(**changes).removeprefix(app.box.base_url)

    return [
        "/",
        "/mailbox/charlie@customer.example",
        f"/sent/{WORKSPACE}",
        f"/messages/{message}",
        f"/messages/{message}?view=details",
        f"/messages/{message}?view=headers",
        "/calendars",
        f"/calendars/google/{WORKSPACE}?week=-1",
        f"/calendars/google/{WORKSPACE}",
        "/meetings/kick-off",
        "/meetings/security",
        "/faults",
        "/people",
        authorize(),
        authorize(login_hint=WORKSPACE),
        authorize(client_id="nobody"),
        ZoomApp(app.box).authorize_url().removeprefix(app.box.base_url),
        ZoomApp(app.box).authorize_url(client_id="nobody").removeprefix(app.box.base_url),
        *crm_paths(app),
    ]


def crm_paths(app: GoogleApp) -> list[str]:
    """Pages of both CRMs with something on them, and their consent pages."""
    hubspot, salesforce = HubSpotApp(app.box), SalesforceApp(app.box)
    maya = hubspot.visit().contact()
    hubspot.visit().log(maya)
    visit = salesforce.visit()
    visit.log(visit.id_of(MAYA))
    return [
        "/crm",
        "/crm/hubspot/24681357",
        f"/contacts/24681357/record/0-1/{maya}",
        "/crm/salesforce/00DgL0000000001UAA",
        f"/salesforce/brightwave/lightning/r/Contact/{visit.id_of(MAYA)}/view",
        hubspot.authorize_url().removeprefix(app.box.base_url),
        hubspot.authorize_url(client_id="nobody").removeprefix(app.box.base_url),
        salesforce.authorize_url().removeprefix(app.box.base_url),
        salesforce.authorize_url(login_hint=DANA, prompt="consent").removeprefix(app.box.base_url),
        salesforce.authorize_url(client_id="nobody").removeprefix(app.box.base_url),
    ]


@pytest.mark.parametrize("colour_scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(
    app: GoogleApp, message: str, open_page: OpenPage, colour_scheme: ColourScheme
) -> None:
    page = open_page(colour_scheme=colour_scheme)
    for path in paths(app, message):
        page.goto(app.box.base_url + path)
        assert_no_axe_violations(page)


def test_no_page_is_wider_than_a_phone(app: GoogleApp, message: str, open_page: OpenPage) -> None:
    page = open_page(viewport=PHONE)
    for path in paths(app, message):
        page.goto(app.box.base_url + path)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"], path


def finish(page: Page) -> str:
    """Press Continue; the address that the browser is sent to."""
    with page.expect_request("http://localhost:8000/**") as request:
        page.get_by_role("button", name="Continue").click()
    return request.value.url


def test_a_person_consents_without_script(app: GoogleApp, open_page: OpenPage) -> None:
    page = open_page(javascript=False)
    page.goto(app.authorize_url())
    page.get_by_role("button", name=CONSUMER).click()
    page.get_by_label("Send email on your behalf").uncheck()

    url = finish(page)

    assert "code=4%2F0A" in url
    assert "gmail.send" not in url
    assert "code=" in approve(app.authorize_url(), account=WORKSPACE)


def test_a_person_breaks_the_next_send_without_script(app: GoogleApp, open_page: OpenPage) -> None:
    page = open_page(javascript=False)
    page.goto(f"{app.box.base_url}/faults")
    google = page.locator("section").filter(has=page.get_by_role("heading", name="Google"))
    google.get_by_label("What goes wrong").select_option(
        label="Gmail accepts the message, then the connection breaks"
    )
    google.get_by_role("button", name="Do it").click()

    assert page.get_by_text("Gmail accepts the next message, then the connection breaks.").is_visible()
    page.get_by_role("button", name="Remove", exact=True).click()
    assert list(app.box.world.faults) == []


def test_script_in_a_message_does_not_run(app: GoogleApp, message: str, open_page: OpenPage) -> None:
    page = open_page()
    page.goto(f"{app.box.base_url}/messages/{message}")

    frame = page.frame_locator("iframe")
    assert frame.get_by_role("heading", name="Thank you").is_visible()
    assert "owned" not in frame.locator("body").inner_text()


def test_a_person_connects_hubspot_without_script(app: GoogleApp, open_page: OpenPage) -> None:
    page = open_page(javascript=False)
    page.goto(HubSpotApp(app.box).authorize_url(optional_scope="crm.objects.deals.write"))
    page.get_by_role("button", name="Brightwave").click()
    page.get_by_label("Create, change and delete deals").uncheck()
    with page.expect_request("http://localhost:8000/**") as request:
        page.get_by_role("button", name="Connect app").click()

    assert "code=" in request.value.url


def test_a_person_allows_salesforce_without_script(app: GoogleApp, open_page: OpenPage) -> None:
    page = open_page(javascript=False)
    page.goto(SalesforceApp(app.box).authorize_url())
    page.get_by_role("button", name=DANA).click()
    with page.expect_request("http://localhost:8000/**") as request:
        page.get_by_role("button", name="Allow").click()

    assert "code=" in request.value.url


def test_a_person_allows_the_app_at_zoom_without_script(app: GoogleApp, open_page: OpenPage) -> None:
    page = open_page(javascript=False)
    page.goto(ZoomApp(app.box).authorize_url())
    page.get_by_role("button", name=WORKSPACE).click()
    assert page.get_by_text("View a meeting's summary").is_visible()
    with page.expect_request("http://localhost:8000/**") as request:
        page.get_by_role("button", name="Allow").click()

    assert "code=" in request.value.url
