import re
from email.message import EmailMessage
from email.policy import SMTP
from urllib.parse import quote

import pytest

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import MENU, Fault
from replysequence.sandbox.pages import how_often, sentence
from replysequence.sandbox.running import RunningSandbox
from support.google_app import WORKSPACE, GoogleApp
from support.plain_http import Answer, call

CHARLIE = "charlie@customer.example"
PICTURE = b"\x89PNG\r\n\x1a\nnot quite a picture"


def rich() -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = f"Dana Réyes <{WORKSPACE}>"
    mail["To"] = f"Charlie <{CHARLIE}>"
    mail["Bcc"] = "bob@brightwave.example"
    mail["Subject"] = "Crème <script>alert(1)</script>"
    mail.set_content("Plain & simple")
    mail.add_alternative('<p>Hello <img src="cid:logo@x"></p><script>alert(2)</script>', subtype="html")
    [_, html] = mail.iter_parts()
    html.add_related(PICTURE, "image", "png", cid="<logo@x>")
    mail.add_attachment(b"%PDF-1.7", "application", "pdf", filename='offer "new".pdf')
    return mail.as_bytes()


@pytest.fixture
def sent(app: GoogleApp) -> str:
    """The id of a message that has everything."""
    return str(app.send(app.connect()["access_token"], rich()).json["id"])


def get(app: GoogleApp, path: str) -> Answer:
    return call("GET", app.box.base_url + path)


def post(app: GoogleApp, path: str, form: dict[str, str], **headers: str) -> Answer:
    return call("POST", app.box.base_url + path, form=form, headers=headers)


def test_an_empty_sandbox_says_what_to_do(app: GoogleApp) -> None:
    assert "No mail yet" in get(app, "/").text


def test_the_front_page_lists_inboxes_and_sent_folders(app: GoogleApp, sent: str) -> None:
    page = get(app, "/").text

    assert f"/mailbox/{quote(CHARLIE)}" in page
    assert f"/sent/{quote(WORKSPACE)}" in page
    assert "Sandbox." in page


def test_a_recipient_sees_sender_subject_and_body_but_no_bcc(app: GoogleApp, sent: str) -> None:
    inbox = get(app, f"/mailbox/{CHARLIE}").text
    page = get(app, f"/messages/{sent}").text

    assert "Dana Réyes" in inbox
    assert "Crème &lt;script&gt;" in page
    assert "<script" not in page
    assert "bob@" not in page
    assert "Gmail" in page
    assert "offer &#34;new&#34;.pdf" in page


def test_the_sent_folder_shows_the_bcc(app: GoogleApp, sent: str) -> None:
    assert sent in get(app, f"/sent/{WORKSPACE}").text
    assert "bcc bob@brightwave.example" in get(app, f"/messages/{sent}?copy=sent").text


def test_the_parts_have_tabs(app: GoogleApp, sent: str) -> None:
    assert "Plain &amp; simple" in get(app, f"/messages/{sent}?view=text").text
    assert "gmailapi.google.com with HTTPREST" in get(app, f"/messages/{sent}?view=headers").text
    assert f"<dd>{WORKSPACE}</dd>" in get(app, f"/messages/{sent}?view=details").text
    assert "<iframe" in get(app, f"/messages/{sent}?view=nonsense").text


def test_the_html_part_is_framed_without_script_and_with_its_pictures(app: GoogleApp, sent: str) -> None:
    frame = get(app, f"/messages/{sent}/html")

    assert "sandbox allow-popups; default-src 'none'" in frame.headers["Content-Security-Policy"]
    assert "script-src" not in frame.headers["Content-Security-Policy"]
    assert "data:image/png;base64," in frame.text
    assert 'sandbox="allow-popups"' in get(app, f"/messages/{sent}").text


def test_an_attachment_is_downloaded_and_never_shown(app: GoogleApp, sent: str) -> None:
    [path] = re.findall(r'href="(/messages/[^"]+/files/\d+)"', get(app, f"/messages/{sent}").text)

    answer = get(app, path)

    assert answer.body == b"%PDF-1.7"
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''offer%20%22new%22.pdf"
    assert answer.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize("path", ["/messages/none", "/messages/none/html", "/messages/none/files/0"])
def test_a_message_that_is_not_there_is_not_found(app: GoogleApp, path: str) -> None:
    assert get(app, path).status == 404


def test_an_attachment_that_is_not_there_is_not_found(app: GoogleApp, sent: str) -> None:
    assert get(app, f"/messages/{sent}/files/9").status == 404


def test_a_message_that_was_accepted_and_lost_says_so(app: GoogleApp) -> None:
    switches = app.box.world.accounts.at(Vendor.GOOGLE, WORKSPACE).switches
    switches.daily_messages, switches.unnoticed_messages = 0, 1

    lost = app.send(app.connect()["access_token"]).json["id"]

    assert "Nobody received it" in get(app, f"/messages/{lost}").text


def test_a_person_breaks_the_next_send_with_plain_words(app: GoogleApp) -> None:
    token = app.connect()["access_token"]
    offered = get(app, "/faults").text
    assert "Gmail accepts the message, then the connection breaks" in offered

    ordered = post(
        app,
        "/faults",
        {"vendor": "google", "what": "send:reset_after_acceptance", "count": "1", "delay_seconds": "30"},
    )

    assert ordered.headers["Location"] == "/faults"
    assert "Gmail accepts the next message, then the connection breaks." in get(app, "/faults").text
    with pytest.raises(ConnectionResetError):
        app.send(token)
    assert len(app.box.world.ledger) == 1
    assert "Everything works at the moment." in get(app, "/faults").text


def test_every_fault_on_the_page_can_be_ordered(app: GoogleApp) -> None:
    for section in get(app, "/faults").text.split('name="vendor" value="')[1:]:
        vendor = section.partition('"')[0]
        for value in re.findall(r'<option value="(\w+:\w+)"', section):
            assert post(app, "/faults", {"vendor": vendor, "what": value}).status == 302, value

    armed = list(app.box.world.faults)
    assert {fault.kind for fault in armed} == set(MENU)
    assert {fault.vendor for fault in armed} == set(Vendor)


def test_a_vendor_offers_only_the_endpoints_that_it_has(app: GoogleApp) -> None:
    relay = get(app, "/faults").text.partition(">Resend</h2>")[2].partition("</section>")[0]

    assert "When a message is sent" in relay
    assert "On the sign-in page" not in relay
    assert post(app, "/faults", {"vendor": "resend", "what": "authorize:error_page"}).status == 400


def test_faults_are_removed_one_by_one_or_all_together(app: GoogleApp) -> None:
    for _ in range(3):
        post(app, "/faults", {"vendor": "google", "what": "send:slow", "count": "1"})
    first = next(iter(app.box.world.faults)).id

    post(app, "/faults/remove", {"id": str(first)})
    assert len(list(app.box.world.faults)) == 2
    post(app, "/faults/remove", {})
    assert list(app.box.world.faults) == []


@pytest.mark.parametrize(
    "form",
    [
        {"vendor": "google", "what": "send:earthquake"},
        {"vendor": "google", "what": "token:reset_after_acceptance"},
        {"vendor": "yahoo", "what": "send:slow"},
        {"vendor": "google", "what": "send:slow", "count": "0"},
        {"vendor": "google", "what": "send:slow", "count": "many"},
        {},
    ],
)
def test_an_impossible_fault_is_refused_on_the_page(app: GoogleApp, form: dict[str, str]) -> None:
    answer = post(app, "/faults", form)

    assert answer.status == 400
    assert 'role="alert"' in answer.text


def test_how_often_a_fault_strikes_is_said_in_words() -> None:
    def fault(**changes: object) -> Fault:
        return Fault(kind="slow", vendor=Vendor.GOOGLE, **changes)  # type: ignore[arg-type]

    assert how_often(fault()) == "once"
    assert how_often(fault(count=3)) == "3 times"
    assert how_often(fault(count=None, probability=0.25)) == "until removed, 25% of requests"
    assert sentence(fault(account=WORKSPACE)).endswith(f"answers late, for {WORKSPACE}.")


def test_a_person_switches_an_account_and_moves_the_clock(app: GoogleApp) -> None:
    who = {"vendor": "google", "email": WORKSPACE}
    refresh_token = app.connect()["refresh_token"]

    post(app, "/people", {**who, "at_send": "domain_policy", "unverified_app": "on"})
    post(app, "/people/do", {**who, "action": "remove_access"})
    post(app, "/people/clock", {"advance_seconds": "3600"})

    switches = app.box.world.accounts.at(Vendor.GOOGLE, WORKSPACE).switches
    assert (switches.at_send, switches.unverified_app) == ("domain_policy", True)
    assert app.refresh(refresh_token).status == 400
    page = get(app, "/people").text
    assert "1:00:00 ahead of real time" in page
    assert 'value="domain_policy" selected' in page


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/people", {"vendor": "google", "email": WORKSPACE, "at_send": "nonsense"}),
        ("/people", {"vendor": "google", "email": "nobody@nowhere.example"}),
        ("/people/do", {"vendor": "yahoo", "email": WORKSPACE}),
        ("/people/clock", {"advance_seconds": "-5"}),
        ("/people/clock", {"advance_seconds": "soon"}),
        ("/people/clock", {"advance_seconds": "inf"}),
    ],
)
def test_what_makes_no_sense_is_refused_on_the_page(app: GoogleApp, path: str, form: dict[str, str]) -> None:
    assert post(app, path, form).status == 400


def test_a_form_of_another_site_is_refused(app: GoogleApp) -> None:
    form = {"vendor": "google", "what": "send:slow"}

    assert post(app, "/faults", form, **{"Sec-Fetch-Site": "cross-site"}).status == 403
    assert post(app, "/faults", form, **{"Sec-Fetch-Site": "same-origin"}).status == 302


def test_pages_hold_no_script_and_load_nothing_from_elsewhere(app: GoogleApp, sent: str) -> None:
    for path in (
        "/",
        "/faults",
        "/people",
        f"/messages/{sent}",
        app.authorize_url()[len(app.box.base_url) :],
    ):
        answer = get(app, path)
        assert "<script" not in answer.text, path
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'"), path
        assert not re.findall(r'(?:src|href)="(?:https?:)?//', answer.text), path


def test_the_stylesheet_is_served(app: GoogleApp) -> None:
    assert get(app, "/_sandbox/static/sandbox.css").headers["Content-Type"].startswith("text/css")


def test_a_link_to_a_vendors_web_mail_leads_to_that_persons_sent_folder(box: RunningSandbox) -> None:
    for link in (
        "/mail/?authuser=dana%40brightwave.example",
        "/mail/sentitems?login_hint=dana%40brightwave.example",
    ):
        answer = call("GET", f"{box.base_url}{link}")
        assert (answer.status, answer.headers["Location"]) == (302, "/sent/dana%40brightwave.example")
    assert call("GET", f"{box.base_url}/mail/0/sentitems").headers["Location"] == "/"
