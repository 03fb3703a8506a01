"""The pages as plain forms: what a browser without script sends, and where it ends."""

import re
from html import unescape

from replysequence.domain.send import State
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Fault
from replysequence.services.drafting import MAX_ATTACHMENT, MAX_TEXT
from support.answers import error_of, made, multipart
from support.plain_http import Answer
from support.webapp import PASSWORD, RunningApp, Visitor

ACCOUNT = "dana.reyes@brightwave.example"
HTML = {"Accept": "text/html"}


def page(who: Visitor, path: str) -> str:
    answer = who("GET", path, headers=HTML)
    assert answer.status == 200, answer.text
    return unescape(answer.text)


def hidden(html: str, name: str) -> str:
    found = re.search(rf'name="{name}"[^>]* value="([^"]*)"', html)
    assert found is not None, name
    return found[1]


def submit(who: Visitor, path: str, **fields: str) -> Answer:
    """Send the editor's form, which brings files and is therefore multipart."""
    body, headers = multipart(fields, [])
    return who("POST", path, body=body, headers={**headers, **HTML})


def write(who: Visitor, **fields: str) -> str:
    """Write a draft in the editor; the path of its page."""
    answer = submit(who, "/drafts", **{"to": "ann@client.example", "format": "text", "text": "Hi", **fields})
    assert answer.status == 303, answer.text
    path: str = answer.headers["Location"]
    return path


def test_somebody_signs_in_and_out(web: RunningApp, anonymous: Visitor) -> None:
    person = web.person("Rita")
    wrong = anonymous("POST", "/sign-in", form={"email": person.email, "password": "wrong"}, headers=HTML)
    assert wrong.status == 401
    assert "wrong" not in re.sub(r"<p class=.hint bad.*?</p>", "", wrong.text)
    form = {"email": person.email, "password": PASSWORD, "next": "/sends"}
    right = anonymous("POST", "/sign-in", form=form)
    assert (right.status, right.headers["Location"]) == (303, "/sends")


def test_a_sign_in_link_works_once_and_then_points_to_the_password(
    web: RunningApp, anonymous: Visitor
) -> None:
    person = web.person("Tess")
    link = web.do(web.app.services.signing_in.sign_in_link(person.email)).reveal()
    used = anonymous("POST", f"/sign-in/link/{link}")
    assert (used.status, used.headers["Location"]) == (303, "/")
    again = web.anonymous("POST", f"/sign-in/link/{link}", headers=HTML)
    assert again.status == 404
    assert "used already" in again.text
    assert 'name="password"' in again.text


def test_an_invitation_is_made_used_once_and_gone(
    web: RunningApp, alice: Visitor, anonymous: Visitor
) -> None:
    made_page = alice(
        "POST", "/settings/people", form={"email": "sam@example.com", "role": "member"}, headers=HTML
    )
    link = re.search(r'value="(http[^"]+/join/[^"]+)"', made_page.text)
    assert link is not None
    path = link[1].removeprefix(web.base_url)
    assert "sam@example.com" in page(anonymous, path)
    weak = anonymous(
        "POST", path, form={"email": "sam@example.com", "name": "Sam", "password": "x"}, headers=HTML
    )
    assert weak.status == 422
    assert "password-fault" in weak.text
    joined = anonymous("POST", path, form={"email": "x@example.com", "name": "Sam", "password": PASSWORD})
    assert (joined.status, joined.headers["Location"]) == (303, "/")
    sam = Visitor(web.base_url, cookie=re.search(r"session=([^;]+)", str(joined.headers))[1])  # type: ignore[index]
    assert "sam@example.com" in page(sam, "/settings/account")
    assert anonymous("GET", path, headers=HTML).status == 404


def test_who_has_nothing_yet_is_led_to_connecting_and_writing(web: RunningApp) -> None:
    html = page(web.browser("Tom"), "/")
    assert "Connect your mailbox" in html
    assert 'href="/drafts/new"' in html


def test_a_draft_is_written_saved_and_sent_without_script(web: RunningApp, alice: Visitor) -> None:
    web.connect(alice, "gmail", ACCOUNT)
    path = write(alice, subject="By form", to="Ann <ann@client.example>; bo@client.example")
    html = page(alice, path)
    assert 'value="Ann <ann@client.example>, bo@client.example"' in html
    assert f"Dana Reyes <{ACCOUNT}>" in html
    assert "Ready to send." in html
    form = {"to": "ann@client.example", "subject": "By form 2", "format": "text", "text": "Hi\r\nAnn"}
    answer = submit(
        alice, path, **form, action="send", version=hidden(html, "version"),
        idempotency_key=hidden(html, "idempotency_key"),
    )  # fmt: skip
    assert answer.status == 303, answer.text
    assert answer.headers["Location"].startswith("/sends/")
    send_id = answer.headers["Location"].removeprefix("/sends/")
    send = web.do(web.app.services.sending.wait_for_outcome(alice.id, send_id=send_id, seconds=10))
    assert send.state is State.SENT
    shown = page(alice, f"/sends/{send_id}")
    assert "The provider accepted the message." in shown
    assert "hx-get" not in shown, "a settled send is still asked for"


def test_pressing_send_twice_sends_once(web: RunningApp, alice: Visitor) -> None:
    path = write(alice, subject="Twice pressed")
    html = page(alice, path)
    form = {
        "to": "ann@client.example", "subject": "Twice pressed!", "format": "text", "text": "Hi", "action": "send",
        "version": hidden(html, "version"), "idempotency_key": hidden(html, "idempotency_key"),
    }  # fmt: skip
    first, second = submit(alice, path, **form), submit(alice, path, **form)
    assert first.headers["Location"] == second.headers["Location"]


def test_what_makes_no_sense_is_shown_again_beside_what_is_wrong_with_it(alice: Visitor) -> None:
    answer = submit(
        alice, "/drafts", to="nonsense", subject="kept", format="html", html="<b>kept too</b>", action="send"
    )
    assert answer.status == 422
    html = unescape(answer.text)
    for kept in (
        'value="nonsense"',
        'value="kept"',
        "<b>kept too</b>",
        'id="to-fault"',
        "not an email address",
    ):
        assert kept in html


def test_a_change_made_elsewhere_is_not_written_over(alice: Visitor) -> None:
    path = write(alice, subject="Mine")
    html = page(alice, path)
    made(alice("PATCH", f"/api{path}", json_body={"subject": "Changed elsewhere"}), status=200)
    answer = submit(
        alice,
        path,
        to="ann@client.example",
        subject="Mine 2",
        format="text",
        text="Hi",
        version=hidden(html, "version"),
    )
    assert answer.status == 422
    assert 'value="Mine 2"' in answer.text
    assert made(alice("GET", f"/api{path}"), status=200)["subject"] == "Changed elsewhere"


def test_autosave_answers_with_the_new_version_and_what_is_in_the_way(alice: Visitor) -> None:
    path = write(alice, subject="Auto")
    form = {"subject": "Auto 2", "format": "text", "text": "", "to": "", "version": "1"}
    answer = alice("POST", f"{path}/autosave", form=form, headers={"HX-Request": "true"})
    assert (answer.status, hidden(answer.text, "version")) == (200, "2")
    assert "Nobody would get this message" in answer.text
    stale = alice(
        "POST", f"{path}/autosave", form={**form, "subject": "Auto 3"}, headers={"HX-Request": "true"}
    )
    assert "Not saved" in stale.text


def test_files_are_put_on_and_taken_off_in_the_editor(alice: Visitor) -> None:
    path = write(alice)
    fields = {"to": "ann@client.example", "format": "text", "text": "Hi", "version": "1"}
    body, headers = multipart(fields, [("files", "a <b>.txt", "text/plain", b"one"), ("files", "", "", b"")])
    assert alice("POST", path, body=body, headers=headers).status == 303
    html = alice("GET", path).text
    assert "a &lt;b&gt;.txt" in html
    version = hidden(html, "version")
    attachment = re.search(r'name="remove" value="([^"]+)"', html)
    assert attachment is not None
    assert submit(alice, path, **{**fields, "version": version, "remove": attachment[1]}).status == 303
    assert "a &lt;b&gt;.txt" not in alice("GET", path).text


def test_a_file_over_the_limit_of_a_draft_is_refused_beside_its_field(alice: Visitor) -> None:
    path = write(alice)
    fields = {"to": "ann@client.example", "format": "text", "text": "Hi", "version": "1"}
    body, headers = multipart(fields, [("files", "film.mp4", "video/mp4", b"\0" * (MAX_ATTACHMENT + 1))])
    answer = alice("POST", path, body=body, headers={**headers, **HTML})
    assert answer.status == 422
    assert re.search(r'id="attachment-fault">[^<]*larger than 25 MB', answer.text)


def test_the_longest_text_that_a_draft_may_have_gets_through_form_and_json(alice: Visitor) -> None:
    text = "é漢" * (MAX_TEXT // 2)
    path = write(alice, text=text)
    assert made(alice("PATCH", f"/api{path}", json_body={"text": text[:-1]}), status=200)["version"] == 2
    longer = alice("PATCH", f"/api{path}", json_body={"text": text + "é"})
    assert (longer.status, error_of(longer)["details"]["field"]) == (422, "text")


def test_a_draft_that_was_sent_is_not_called_ready_until_it_is_changed(
    web: RunningApp, alice: Visitor
) -> None:
    web.connect(alice, "gmail", ACCOUNT)
    path = write(alice, subject="Out already")
    assert "Ready to send." in page(alice, path)
    made(alice("POST", "/api/drafts/send", json_body={"draft_id": path.rpartition("/")[2]}), status=200)
    assert "Ready to send." not in page(alice, path)
    form = {
        "subject": "Once more",
        "format": "text",
        "text": "Hi",
        "to": "ann@client.example",
        "version": "1",
    }
    changed = alice("POST", f"{path}/autosave", form=form, headers={"HX-Request": "true"})
    assert "Ready to send." in changed.text


def test_an_account_that_needs_reconnecting_is_said_once_wherever_it_matters(web: RunningApp) -> None:
    wilma = web.browser("Wilma")
    account = web.new_google_account()
    web.connect(wilma, "gmail", account)
    web.box.world.accounts.at(Vendor.GOOGLE, account).switch({"at_send": "domain_policy"})
    body = {"draft_id": write(wilma).rpartition("/")[2]}
    refused = made(
        wilma("POST", "/api/drafts/send", json_body=body, headers={"Prefer": "wait=10"}), status=202
    )
    assert refused["reason"] == "blocked_by_admin"
    link = f"/api/auth/gmail?connection_id={web.connection_id(wilma, account)}"

    draft = page(wilma, write(wilma))
    assert "Until then this message waits" in draft
    assert f'href="{link}"' in draft
    assert "Ready to send." not in draft
    card = page(wilma, "/settings/integrations")
    assert f'href="{link}"' in card
    assert card.count("wait until then") == 1
    assert "under Settings" not in card


def test_the_message_id_of_a_mailbox_is_called_ours(web: RunningApp, alice: Visitor) -> None:
    web.connect(alice, "gmail", ACCOUNT)
    for who, ours in ((alice, True), (web.browser("Xena"), False)):
        body = {"draft_id": write(who).rpartition("/")[2]}
        shown = page(who, f"/sends/{made(who('POST', '/api/drafts/send', json_body=body), status=200)['id']}")
        assert ("Our Message-ID" in shown) is ours
        assert ("The provider may give it another one." in shown) is ours


def test_every_door_shows_whose_it_is(web: RunningApp, anonymous: Visitor) -> None:
    link = web.do(web.app.services.signing_in.sign_in_link(web.person("Yuri").email)).reveal()
    invited = web.browser("Alice", is_admin=True)(
        "POST", "/settings/people", form={"email": "zoe@example.com", "role": "member"}, headers=HTML
    )
    join = re.search(r'value="http[^"]+(/join/[^"]+)"', invited.text)
    assert join is not None
    for path in ("/sign-in", f"/sign-in/link/{link}", join[1]):
        assert re.search(r'class="brand"><svg.*<span>ReplySequence</span>', page(anonymous, path)), path


def test_a_draft_is_deleted_after_a_question(alice: Visitor) -> None:
    path = write(alice, subject="Away with it")
    assert "Away with it" in page(alice, f"{path}/delete")
    assert alice("POST", f"{path}/delete").headers["Location"] == "/drafts"
    assert alice("GET", path).status == 404


def test_an_unknown_send_is_explained_and_settled_by_hand(web: RunningApp, alice: Visitor) -> None:
    web.connect(alice, "gmail", ACCOUNT)
    web.box.world.faults.arm(Fault(kind="error_500_after_acceptance", vendor=Vendor.GOOGLE))
    draft_id = write(alice, subject="Who knows").removeprefix("/drafts/")
    send = made(alice("POST", "/api/drafts/send", json_body={"draft_id": draft_id}), status=200)
    assert send["state"] == "unknown"
    html = page(alice, f"/sends/{send['id']}")
    for said in ("It may or may not have been sent", "Open your Sent folder", "It is there", "send again"):
        assert said in html
    assert "Who knows" in page(alice, "/sends?show=unknown")
    answer = alice("POST", f"/sends/{send['id']}/settle", form={"answer": "again"})
    assert answer.status == 303
    assert answer.headers["Location"] not in {f"/sends/{send['id']}", "/sends"}
    late = alice("POST", f"/sends/{send['id']}/settle", form={"answer": "sent"})
    assert late.headers["Location"] == f"/sends/{send['id']}"


def test_what_cannot_be_sent_again_is_not_settled_either_and_the_page_says_why(
    web: RunningApp, alice: Visitor
) -> None:
    web.connect(alice, "gmail", ACCOUNT)
    web.box.world.faults.arm(Fault(kind="error_500_after_acceptance", vendor=Vendor.GOOGLE))
    draft_id = write(alice, subject="Gone by now").removeprefix("/drafts/")
    send = made(alice("POST", "/api/drafts/send", json_body={"draft_id": draft_id}), status=200)
    made(alice("PATCH", f"/api/drafts/{draft_id}", json_body={"to": []}), status=200)
    settle = f"/sends/{send['id']}/settle"
    again = {"verdict": "not_sent", "send_again": True}

    emptied = web.notice_of(alice("POST", settle, form={"answer": "again"}))
    assert error_of(alice("POST", f"/api{settle}", json_body=again))["details"]["field"] == "to"
    assert alice("DELETE", f"/api/drafts/{draft_id}").status == 204
    deleted = web.notice_of(alice("POST", settle, form={"answer": "again"}))
    refused = alice("POST", f"/api{settle}", json_body=again)
    assert (refused.status, error_of(refused)["code"]) == (404, "not_found")

    for notice, why in ((emptied, "Nobody would get this message"), (deleted, "There is no such draft")):
        assert notice is not None
        assert notice.tone == "bad"
        assert "Nothing was changed, and nothing was sent." in notice.text
        assert why in notice.text
    assert made(alice("GET", f"/api/sends/{send['id']}"), status=200)["state"] == "unknown"
    assert web.browser("Charlie")("POST", settle, form={"answer": "again"}).status == 404


def test_a_planned_send_is_cancelled_by_a_button(alice: Visitor) -> None:
    path = write(alice, subject="Later")
    form = {"to": "ann@client.example", "subject": "Later", "format": "text", "text": "Hi", "version": "1"}
    planned = submit(alice, path, **form, action="send", send_at="2027-02-01T09:00")
    assert planned.status == 303, planned.text
    html = page(alice, planned.headers["Location"])
    assert "2027-02-01T09:00:00+00:00" in html
    assert "hx-get" in html
    alice("POST", f"{planned.headers['Location']}/cancel")
    assert "Taken back before anything left." in page(alice, planned.headers["Location"])


def test_what_may_have_left_already_is_offered_no_cancelling(web: RunningApp) -> None:
    vera = web.browser("Vera")
    web.box.world.faults.arm(Fault(kind="error_500_after_acceptance", vendor=Vendor.RESEND, count=None))
    draft_id = write(vera, subject="Out or not").removeprefix("/drafts/")
    wait = {"Prefer": "wait=2"}
    accepted = vera("POST", "/api/drafts/send", json_body={"draft_id": draft_id}, headers=wait)
    send = made(accepted, status=202)
    web.box.world.faults.clear()
    assert send["attempts"][0]["outcome"] == "unknown"
    html = page(vera, f"/sends/{send['id']}")
    assert "leaves open whether it went out" in html
    assert "Cancel this send" not in html


def test_an_account_is_disconnected_after_being_told_what_that_means(web: RunningApp) -> None:
    uma = web.browser("Uma")
    account = web.new_google_account()
    web.connect(uma, "gmail", account)
    web.connect(uma, "outlook", "dana.reyes@contoso.example")
    connection = f"/settings/integrations/{web.connection_id(uma, account)}"
    assert "It is your default." in page(uma, f"{connection}/disconnect")
    assert web.notice_of(uma("POST", f"{connection}/disconnect")).tone == "good"  # type: ignore[union-attr]
    outlook = f"/settings/integrations/{web.connection_id(uma, 'dana.reyes@contoso.example')}"
    notice = web.notice_of(uma("POST", f"{outlook}/disconnect"))
    assert notice is not None
    assert notice.details["removal_url"].startswith("https://")


def test_a_key_is_shown_once(web: RunningApp, alice: Visitor) -> None:
    answer = alice("POST", "/settings/api-keys", form={"name": "Notes"}, headers=HTML)
    key = re.search(r'value="(rs_[^"]+)"', answer.text)
    assert key is not None
    assert Visitor(web.base_url, key=key[1])("GET", "/api/drafts").status == 200
    assert key[1] not in page(alice, "/settings/api-keys")


def test_a_new_name_is_shown_and_an_empty_one_refused(web: RunningApp) -> None:
    vera = web.browser("Vera")
    assert vera("POST", "/settings/account/name", form={"name": "Vera <b>Ek</b>"}).status == 303
    assert "Vera &lt;b&gt;Ek" in vera("GET", "/settings/account").text
    assert vera("POST", "/settings/account/name", form={"name": " "}).status == 422


def test_a_notice_shows_once_and_a_forged_one_not_at_all(alice: Visitor) -> None:
    draft = write(alice)
    saved = alice("POST", f"{draft}/delete")
    cookie = str(saved.headers["Set-Cookie"]).partition(";")[0]
    shown = alice("GET", "/", headers={"Cookie": f"session={alice.cookie}; {cookie}"})
    assert "The draft is deleted." in shown.text
    assert 'notice=""' in shown.headers["Set-Cookie"]
    for forged in ("x", "e30", "bm90IGpzb24", "%00", "W10"):
        answer = alice("GET", "/", headers={"Cookie": f"session={alice.cookie}; notice={forged}"})
        assert answer.status == 200
