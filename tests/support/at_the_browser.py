"""What a person does at a browser: connect an account, write, send, look what became of it."""

import re
from collections.abc import Collection

from playwright.sync_api import FrameLocator, Locator, Page, expect

from replysequence.domain.address import Address
from replysequence.domain.draft import DraftContent
from replysequence.sandbox.accounts import Account, Vendor
from support.browser import ACTION_MILLISECONDS
from support.webapp import RunningApp, Visitor

MOST_LOOKS = 60

WORK_GMAIL = "dana.reyes@brightwave.example"
PRIVATE_GMAIL = "dana.reyes@gmail.example"
OUTLOOK = "dana.reyes@contoso.example"
LOCKED_OUTLOOK = "nina.novak@lockdown.example"

BEN = "ben@customer.example"
"""Who gets the drafts that no test looks at closely."""

SEND_BOX = "Send email on your behalf"

expect.set_options(timeout=ACTION_MILLISECONDS)


class AtTheBrowser:
    """A person's hands and eyes. Everything is found by what it is called on the page, nothing by its markup."""

    def __init__(self, page: Page, app: RunningApp, *, visitor: Visitor | None = None) -> None:
        """`visitor` is signed in already, and brings the session along; without one nobody is."""
        self.page = page
        self.app = app
        self.visitor = visitor or app.anonymous
        if self.visitor.cookie:
            page.context.add_cookies([{"name": "session", "value": self.visitor.cookie, "url": app.base_url}])

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.app.base_url}{path}")
        return self.page

    # Accounts

    @property
    def notice(self) -> Locator:
        """What the page says about what was just done."""
        return self.page.locator("section.notice")

    def card(self, provider: str) -> Locator:
        return self.page.get_by_role("article", name=provider, exact=True)

    def connection(self, email: str) -> Locator:
        return self.page.get_by_role("listitem").filter(has=self.page.get_by_text(email, exact=True)).last

    def begin(self, provider: str) -> None:
        """Press Connect on the provider's card."""
        self.open("/settings/integrations")
        self.card(provider).get_by_role("link", name=re.compile("^(Connect|Add another)")).click()

    def consent_at_google(self, account: str, *, untick: Collection[str] = ()) -> None:
        self.page.get_by_role("button", name=account).click()
        for box in untick:
            self.page.get_by_label(box).uncheck()
        self.page.get_by_role("button", name="Continue").click()

    def consent_at_microsoft(self, account: str) -> None:
        self.page.get_by_role("button", name=account).click()
        self.page.get_by_role("button", name="Accept").click()

    def connect_gmail(self, account: str = WORK_GMAIL) -> None:
        self.begin("Gmail")
        self.consent_at_google(account)
        expect(self.notice).to_contain_text(f"{account} is connected")

    def connect_outlook(self, account: str = OUTLOOK) -> None:
        self.begin("Outlook")
        self.consent_at_microsoft(account)
        expect(self.notice).to_contain_text(f"{account} is connected")

    def google_account(self, email: str = WORK_GMAIL) -> Account:
        """The account as Google has it, with its switches."""
        return self.app.box.world.accounts.at(Vendor.GOOGLE, email)

    # Drafts

    def already(self, *, connected: str = "", draft: str = "") -> None:
        """What was done before the test begins: the person's Gmail account `connected`, a `draft` with that subject.

        Leaves the browser at the draft.
        """
        if connected:
            answer = self.app.connect(self.visitor, "gmail", connected)
            assert answer.status == 303, answer.text
        if draft:
            content = DraftContent(
                to=(Address(name="Ben", email=BEN),), subject=draft, text="Hi Ben,\n\nthank you!"
            )
            made = self.app.do(self.app.app.services.drafting.create(self.visitor.id, content=content))
            self.open(f"/drafts/{made.id}")

    def write(self, *, to: str, subject: str, text: str) -> None:
        """Write a new draft and save it."""
        self.open("/drafts/new")
        self.page.get_by_label("To", exact=True).fill(to)
        self.page.get_by_label("Subject").fill(subject)
        self.page.get_by_role("textbox", name="Message", exact=True).fill(text)
        self.page.get_by_role("button", name="Save", exact=True).click()
        expect(self.notice).to_have_text("Saved.")

    @property
    def checks(self) -> Locator:
        """What is known before it leaves."""
        return self.page.get_by_role("region", name="Before it leaves")

    @property
    def preview(self) -> FrameLocator:
        return self.page.frame_locator("iframe[title='Preview of the message']")

    def send(self) -> None:
        self.page.get_by_role("button", name="Send", exact=True).click()
        self.page.wait_for_url(re.compile(r"/sends/[0-9a-f-]{36}$"))

    # Sends

    @property
    def state(self) -> Locator:
        return self.page.locator("#progress .state .badge")

    def see_it_become(self, label: str) -> None:
        """Wait for that state: by looking on, or by pressing Refresh where no script runs."""
        refresh = self.page.get_by_role("link", name="Refresh")
        for _ in range(MOST_LOOKS):
            if self.state.inner_text() == label or not refresh.is_visible():
                break
            self.page.wait_for_timeout(100)
            refresh.click()
        expect(self.state).to_have_text(label)

    def outside_mail(self, *, mailbox: str, subject: str) -> dict[str, str]:
        """Open that person's mailbox at the other side, read the mail with that subject, and give its header fields."""
        self.page.goto(self.app.box.base_url)
        self.page.get_by_role("link", name=re.compile(f"^{re.escape(mailbox)}")).first.click()
        self.page.get_by_role("link", name=subject).click()
        self.page.get_by_role("link", name="Headers").click()
        rows = self.page.get_by_role("row").all()
        fields = [
            (row.get_by_role("rowheader").inner_text(), row.get_by_role("cell").inner_text()) for row in rows
        ]
        self.page.get_by_role("link", name="Plain text").click()
        return dict(fields)
