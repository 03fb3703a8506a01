import base64
import json
import threading

import pytest

from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.headers import header_values
from replysequence.sandbox.world import Message
from support.google_app import CONSUMER, MESSAGE, WORKSPACE, GoogleApp, bearer
from support.plain_http import Answer, call

CHARLIE = "charlie@customer.example"


def error(answer: Answer) -> tuple[int, str, str]:
    """Status, reason, message."""
    told = answer.json["error"]
    assert told["code"] == answer.status
    return answer.status, told["errors"][0]["reason"], told["message"]


def message(*lines: str, body: str = "Hello") -> bytes:
    return "\r\n".join([*lines, "", body, ""]).encode()


def received(app: GoogleApp, address: str = CHARLIE) -> Message:
    return app.box.world.inbox(address)[0]


def dana(app: GoogleApp) -> Account:
    return app.box.world.accounts.at(Vendor.GOOGLE, WORKSPACE)


@pytest.fixture
def token(app: GoogleApp) -> str:
    return str(app.connect()["access_token"])


def test_the_answer_holds_id_thread_and_labels_only(app: GoogleApp, token: str) -> None:
    told = app.send(token).json

    assert set(told) == {"id", "threadId", "labelIds"}
    assert told["id"] == told["threadId"]
    assert len(told["id"]) == 16
    assert int(told["id"], 16) > 0
    assert told["labelIds"] == ["SENT"]


def test_writing_to_oneself_lands_in_the_own_inbox(app: GoogleApp, token: str) -> None:
    answer = app.send(token, message(f"From: {WORKSPACE}", f"To: {WORKSPACE}"))

    assert answer.json["labelIds"] == ["UNREAD", "SENT", "INBOX"]


def test_the_own_address_may_stand_in_the_path(app: GoogleApp, token: str) -> None:
    assert app.send(token, user=WORKSPACE).status == 200
    assert error(app.send(token, user=CONSUMER)) == (403, "forbidden", f"Delegation denied for {CONSUMER}")


def test_message_id_and_date_are_replaced_and_everything_else_is_kept(app: GoogleApp, token: str) -> None:
    raw = message(
        f"From: Dana from Sales <{WORKSPACE}>",
        f"To: {CHARLIE}",
        "Subject: =?utf-8?q?Caf=C3=A9?=",
        "Message-ID: <mine@brightwave.example>",
        "Date: Thu, 01 Jan 2026 00:00:00 +0000",
        "In-Reply-To: <a@customer.example>",
        "References: <z@customer.example> <a@customer.example>",
        "Reply-To: replies@brightwave.example",
        "List-Unsubscribe: <https://brightwave.example/u>",
        "X-Own: kept",
        body="Line one\r\n\r\nFrom: not a header",
    )

    app.send(token, raw)

    got = received(app).delivered
    [message_id], [date] = header_values(got, "Message-ID"), header_values(got, "Date")
    assert message_id.startswith("<CA")
    assert message_id.endswith("@mail.gmail.com>")
    assert "2026 00:00:00" not in date
    for name in ("From", "In-Reply-To", "References", "Reply-To", "List-Unsubscribe", "X-Own"):
        assert header_values(got, name) == header_values(raw, name)
    assert received(app).subject == "Café"
    assert got.endswith(b"\r\n\r\nLine one\r\n\r\nFrom: not a header\r\n")
    assert header_values(got, "Received")[0].startswith(
        "from 482915730264 named unknown by gmailapi.google.com"
    )


@pytest.mark.parametrize(
    ("sender", "shown"),
    [
        (f"Dana <{WORKSPACE}>", f"Dana <{WORKSPACE}>"),
        ("Sales <sales@brightwave.example>", "Sales <sales@brightwave.example>"),
        ("Boss <boss@brightwave.example>", f"Dana Reyes <{WORKSPACE}>"),
    ],
)
def test_only_an_own_address_survives_in_from(app: GoogleApp, token: str, sender: str, shown: str) -> None:
    assert app.send(token, message(f"From: {sender}", f"To: {CHARLIE}")).status == 200
    assert header_values(received(app).delivered, "From") == [shown]


def test_a_missing_from_is_filled_in(app: GoogleApp, token: str) -> None:
    app.send(token, message(f"To: {CHARLIE}"))

    assert header_values(received(app).delivered, "From") == [f"Dana Reyes <{WORKSPACE}>"]


def test_bcc_is_delivered_kept_in_sent_and_hidden_from_everybody(app: GoogleApp, token: str) -> None:
    app.send(token, message(f"To: {CHARLIE}", "Bcc: bob@brightwave.example"))

    assert received(app).id == received(app, "bob@brightwave.example").id
    assert header_values(received(app).delivered, "Bcc") == []
    assert header_values(app.box.world.sent_by(WORKSPACE)[0].sent_copy, "Bcc") == ["bob@brightwave.example"]


def test_a_bcc_alone_is_enough_of_a_recipient(app: GoogleApp, token: str) -> None:
    assert app.send(token, message("Bcc: bob@brightwave.example")).status == 200


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (message("Subject: nobody"), "Recipient address required"),
        (b"\r\nTo: charlie@customer.example\r\n\r\nblank line first", "Recipient address required"),
        (message("To: charlie"), "Invalid To header"),
        (message("To: Charlie <charlie@>"), "Invalid To header"),
        (message(f"To: {CHARLIE}", "Cc: @nowhere"), "Invalid Cc header"),
        (message(f"To: {CHARLIE}", "Bcc: a b@c.example"), "Invalid Bcc header"),
    ],
)
def test_bad_recipients_are_refused_by_name(app: GoogleApp, token: str, raw: bytes, complaint: str) -> None:
    assert error(app.send(token, raw)) == (400, "invalidArgument", complaint)
    assert len(app.box.world.ledger) == 0


def test_names_with_commas_and_encoded_words_are_no_addresses(app: GoogleApp, token: str) -> None:
    raw = message(f'To: "Reyes, Charlie" <{CHARLIE}>, =?utf-8?q?B=2C_ob?= <bob@brightwave.example>')

    assert app.send(token, raw).status == 200
    assert received(app).recipients == (CHARLIE, "bob@brightwave.example")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"{}", "'raw' RFC822 payload message string or uploading message via /upload/* URL required"),
        (b'{"payload": {"headers": []}}', "'raw' RFC822 payload"),
        (b"not json", "Invalid JSON payload received."),
        (b"[]", "Invalid JSON payload received."),
        (b'{"raw": "a+b/"}', "Invalid value at 'message.raw'"),
        (b'{"raw": 7}', "Invalid value at 'message.raw'"),
    ],
)
def test_a_body_without_a_readable_message_is_refused(
    app: GoogleApp, token: str, body: bytes, complaint: str
) -> None:
    headers = bearer(token) | {"Content-Type": "application/json"}

    answer = call("POST", app.send_url(), body=body, headers=headers)

    assert answer.status == 400
    assert complaint in answer.json["error"]["message"]


def test_the_padding_of_raw_may_be_left_out(app: GoogleApp, token: str) -> None:
    raw = base64.urlsafe_b64encode(MESSAGE + b"..").decode().rstrip("=")

    assert call("POST", app.send_url(), json_body={"raw": raw}, headers=bearer(token)).status == 200
    assert received(app).delivered.endswith(b"..")


def test_no_token_and_a_dead_token_are_told_apart(app: GoogleApp) -> None:
    nothing = call("POST", app.send_url(), json_body={})
    dead = app.send("ya29.dead")

    assert error(nothing) == (401, "required", "Login Required.")
    assert error(dead)[:2] == (401, "authError")
    assert dead.json["error"]["status"] == "UNAUTHENTICATED"
    assert dead.json["error"]["errors"][0]["message"] == "Invalid Credentials"


def test_a_token_without_the_send_scope_is_forbidden_with_details(app: GoogleApp) -> None:
    answer = app.send(app.connect(untick=("gmail.send",))["access_token"])

    assert error(answer) == (
        403,
        "insufficientPermissions",
        "Request had insufficient authentication scopes.",
    )
    assert answer.json["error"]["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"


def test_a_reading_scope_does_not_let_anybody_send(app: GoogleApp) -> None:
    readonly = app.connect(scope="openid https://www.googleapis.com/auth/gmail.readonly")
    compose = app.connect(scope="https://www.googleapis.com/auth/gmail.compose")

    assert app.send(readonly["access_token"]).status == 403
    assert app.send(compose["access_token"]).status == 200


@pytest.mark.parametrize(
    ("failure", "status", "reason"),
    [
        ("mail_service_not_enabled", 400, "failedPrecondition"),
        ("domain_policy", 403, "domainPolicy"),
        ("api_disabled", 403, "accessNotConfigured"),
        ("project_daily_limit", 403, "dailyLimitExceeded"),
        ("user_rate_limit", 403, "userRateLimitExceeded"),
        ("resource_exhausted", 429, "rateLimitExceeded"),
    ],
)
def test_a_mailbox_can_refuse_every_send(
    app: GoogleApp, token: str, failure: str, status: int, reason: str
) -> None:
    dana(app).switches.at_send = failure

    assert error(app.send(token))[:2] == (status, reason)
    assert len(app.box.world.ledger) == 0


def test_sixty_sends_a_minute_and_no_more(app: GoogleApp, token: str) -> None:
    statuses = [app.send(token).status for _ in range(61)]

    assert statuses == [200] * 60 + [403]
    assert error(app.send(token))[1] == "rateLimitExceeded"
    app.box.world.clock.advance(61)
    assert app.send(token).status == 200


def test_the_daily_limit_says_when_to_come_back_and_moves_out_when_ignored(
    app: GoogleApp, token: str
) -> None:
    dana(app).switches.daily_messages = 1
    app.send(token)

    first, second = error(app.send(token)), error(app.send(token))

    assert first[:2] == (429, "userRateLimitExceeded")
    assert first[2].startswith("User-rate limit exceeded.  Retry after ")
    assert first[2].endswith("Z (Mail sending)")
    assert second[2] > first[2]
    app.box.world.clock.advance(86400 + 15 * 60 + 1)
    fresh = app.connect()["access_token"]
    assert app.send(fresh).status == 200


def test_messages_just_over_the_daily_limit_are_accepted_and_lost(app: GoogleApp, token: str) -> None:
    dana(app).switches.daily_messages = 0
    dana(app).switches.unnoticed_messages = 1

    assert [app.send(token).status for _ in range(2)] == [200, 429]
    assert app.box.world.inbox(CHARLIE) == []
    assert [entry.delivered for entry in app.box.world.ledger] == [False]
    notice = app.box.world.inbox(WORKSPACE)[0]
    assert "not sent" in notice.subject


def test_an_eleventh_send_at_the_same_time_is_refused(app: GoogleApp, token: str) -> None:
    settings = app.box.world.settings[Vendor.GOOGLE]
    settings.max_in_flight, settings.send_latency_seconds = 1, 0.3
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(app.send(token).status)) for _ in range(3)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200, 429, 429]


def reply_to(sent: Message, *, subject: str = "Re: Our meeting") -> bytes:
    [message_id] = header_values(sent.delivered, "Message-ID")
    lines = (
        f"To: {CHARLIE}",
        f"Subject: {subject}",
        f"In-Reply-To: {message_id}",
        f"References: {message_id}",
    )
    return message(*lines)


def test_a_reply_that_names_its_parent_joins_the_thread(app: GoogleApp, token: str) -> None:
    thread = app.send(token).json["threadId"]

    told = app.send(token, reply_to(received(app)), thread=thread).json

    assert told["threadId"] == thread
    assert told["id"] != thread


def test_a_thread_needs_the_headers_and_the_subject_as_well(app: GoogleApp, token: str) -> None:
    thread = app.send(token).json["threadId"]
    parent = received(app)

    other_subject = app.send(token, reply_to(parent, subject="Something else"), thread=thread).json
    no_reference = app.send(token, message(f"To: {CHARLIE}", "Subject: Re: Our meeting"), thread=thread).json

    assert other_subject["threadId"] == other_subject["id"]
    assert no_reference["threadId"] == no_reference["id"]


def test_a_thread_of_another_mailbox_is_not_found_and_nothing_is_sent(app: GoogleApp, token: str) -> None:
    foreign = app.send(app.connect(CONSUMER)["access_token"]).json["threadId"]

    assert error(app.send(token, thread=foreign)) == (404, "notFound", "Requested entity was not found.")
    assert len(app.box.world.ledger) == 1


def test_a_json_body_beyond_six_and_a_half_mebibytes_is_too_large_in_html(app: GoogleApp, token: str) -> None:
    answer = app.send(token, MESSAGE + b"x" * 5_200_000)

    assert answer.status == 413
    assert answer.headers["Content-Type"].startswith("text/html")
    assert len(app.box.world.ledger) == 0


def upload(app: GoogleApp, token: str, kind: str, body: bytes, content_type: str) -> Answer:
    url = f"{app.box.base_url}/upload/gmail/v1/users/me/messages/send?uploadType={kind}"
    return call("POST", url, body=body, headers=bearer(token) | {"Content-Type": content_type})


def test_the_media_form_takes_what_is_too_large_for_json(app: GoogleApp, token: str) -> None:
    raw = MESSAGE + b"x" * 5_200_000

    assert upload(app, token, "media", raw, "message/rfc822").status == 200
    assert received(app).delivered.endswith(b"x" * 100)
    assert error(upload(app, token, "media", raw, "text/plain"))[0] == 400


def test_the_media_form_ends_at_35_mebibytes(app: GoogleApp, token: str) -> None:
    assert upload(app, token, "media", MESSAGE + b"x" * 36_700_160, "message/rfc822").status == 413


@pytest.mark.parametrize("encoding", ["binary", "base64"])
def test_the_multipart_form_has_the_thread_beside_the_message(
    app: GoogleApp, token: str, encoding: str
) -> None:
    thread = app.send(token).json["threadId"]
    raw = reply_to(received(app))
    content = base64.encodebytes(raw).replace(b"\n", b"\r\n") if encoding == "base64" else raw
    body = (
        b"--edge\r\nContent-Type: application/json\r\n\r\n"
        + json.dumps({"threadId": thread}).encode()
        + b"\r\n--edge\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: "
        + encoding.encode()
        + b"\r\n\r\n"
        + content
        + b"\r\n--edge--\r\n"
    )

    answer = upload(app, token, "multipart", body, 'multipart/related; boundary="edge"')

    assert answer.json["threadId"] == thread
    assert received(app).delivered.endswith(b"\r\nHello\r\n")


def test_a_multipart_body_without_parts_is_refused(app: GoogleApp, token: str) -> None:
    for content_type in ("multipart/related; boundary=edge", "multipart/related", "text/plain"):
        assert upload(app, token, "multipart", b"--other\r\n", content_type).status == 400
    assert upload(app, token, "carrier-pigeon", MESSAGE, "message/rfc822").status == 400


@pytest.mark.parametrize("path", ["/upload", "/resumable/upload"])
def test_a_resumable_upload_goes_on_where_it_broke_off(app: GoogleApp, token: str, path: str) -> None:
    url = f"{app.box.base_url}{path}/gmail/v1/users/me/messages/send?uploadType=resumable"
    opened = call("POST", url, headers=bearer(token) | {"X-Upload-Content-Type": "message/rfc822"})
    session, total = opened.headers["Location"], len(MESSAGE)

    def put(body: bytes, content_range: str) -> Answer:
        return call("PUT", session, body=body, headers={"Content-Range": content_range})

    assert put(MESSAGE[:100], f"bytes 0-99/{total}").status == 308
    asked = put(b"", f"bytes */{total}")
    assert (asked.status, asked.headers["Range"]) == (308, "bytes=0-99")
    assert put(MESSAGE[50:80], f"bytes 50-79/{total}").headers["Range"] == "bytes=0-99"
    assert len(app.box.world.ledger) == 0

    done = put(MESSAGE[100:], f"bytes 100-{total - 1}/{total}")
    again = put(b"", f"bytes */{total}")

    assert done.status == 200
    assert again.json == done.json
    assert len(app.box.world.ledger) == 1
    assert app.box.world.ledger.of_send("send-1")[0].recipients == (CHARLIE,)


def test_a_resumable_upload_needs_a_token_and_a_session(app: GoogleApp, token: str) -> None:
    url = f"{app.box.base_url}/upload/gmail/v1/users/me/messages/send?uploadType=resumable"
    huge = bearer(token) | {"X-Upload-Content-Length": "36700161"}

    assert call("POST", url).status == 401
    assert call("POST", url, headers=huge).status == 413
    assert call("PUT", f"{url}&upload_id=none", body=MESSAGE).status == 404
