import base64
import email
import threading
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.policy import default
from typing import Any

import pytest

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Fault
from replysequence.sandbox.resend_errors import REFUSALS
from replysequence.sandbox.resend_team import KeyKind, Team, Usage, Window
from replysequence.sandbox.running import RunningSandbox
from support.plain_http import Answer, call
from support.resend_app import ResendApp

BOB, CHARLIE, DANA = "bob@customer.example", "charlie@customer.example", "dana@partner.example"
FULL_KEY = "re_full"


@pytest.fixture
def resend(box: RunningSandbox) -> ResendApp:
    """An app with a sending key; `FULL_KEY` may do everything."""
    team(box).keys[FULL_KEY] = KeyKind.FULL
    return ResendApp(box)


def team(box: RunningSandbox) -> Team:
    """The team that may be changed as one pleases; more than ten calls a second are fine."""
    box.world.resend.requests_per_second = 1_000
    return box.world.resend


def refused(answer: Answer) -> tuple[int, str]:
    """Status and name; the envelope is checked on the way."""
    body = answer.json
    assert body.keys() == {"statusCode", "name", "message"}
    assert body["statusCode"] == answer.status
    assert body["message"]
    return answer.status, body["name"]


def received(box: RunningSandbox, address: str) -> Message:
    """The only message that `address` got."""
    [message] = box.world.inbox(address)
    return email.message_from_bytes(message.delivered, policy=default)


def part(mail: Message, kind: str) -> str | None:
    """The text of the part of this content type."""
    found = next((item for item in mail.walk() if item.get_content_type() == kind), None)
    payload = found.get_payload(decode=True) if found else None
    return payload.decode().strip() if isinstance(payload, bytes) else None


def test_a_send_is_answered_with_an_id_and_nothing_else(resend: ResendApp) -> None:
    answer = resend.send(resend.mail())
    assert answer.status == 200
    assert answer.json.keys() == {"id"}
    [entry] = resend.box.world.ledger
    assert (entry.vendor, entry.account) == ("resend", "follow-up@replysequence.example")
    assert entry.message == answer.json["id"]


def test_the_delivered_copy_has_everything_but_bcc_and_the_callers_message_id(resend: ResendApp) -> None:
    body = resend.mail(
        to=f"Bob <{BOB}>",
        cc=[CHARLIE],
        bcc=DANA,
        reply_to="sales@replysequence.example",
        subject="Größe",
        headers={
            "Message-ID": "<ours@replysequence.example>",
            "In-Reply-To": "<theirs@customer.example>",
            "References": "<first@customer.example> " * 12 + "<theirs@customer.example>",
            "X-ReplySequence-Send-Id": "send-3",
        },
        attachments=[
            {"filename": "offer.pdf", "content": base64.b64encode(b"%PDF-1.7").decode()},
            {"filename": "logo.png", "content": list(b"\x89PNG"), "content_id": "logo"},
        ],
    )
    assert resend.send(body).status == 200
    mail = received(resend.box, DANA)
    assert mail["From"] == "ReplySequence <follow-up@replysequence.example>"
    assert (mail["To"], mail["Cc"], mail["Bcc"]) == (f"Bob <{BOB}>", CHARLIE, None)
    assert mail["Subject"] == "Größe"
    assert mail["Message-ID"].endswith("amazonses.com>")
    assert len(mail.get_all("Message-ID", [])) == 1
    assert mail["In-Reply-To"] == "<theirs@customer.example>"
    assert mail["References"].count("<first@customer.example>") == 12
    files = {item.get_filename(): item for item in mail.walk() if item.get_filename()}
    assert files["offer.pdf"].get_content_type() == "application/pdf"
    assert files["logo.png"]["Content-ID"] == "<logo>"
    [entry] = resend.box.world.ledger
    assert (entry.recipients, entry.send_id) == ((BOB, CHARLIE, DANA), "send-3")


@pytest.mark.parametrize(("text", "delivered"), [(None, "As agreed."), ("Hello", "Hello"), ("", None)])
def test_the_text_part_is_derived_unless_it_is_given_or_switched_off(
    resend: ResendApp, text: str | None, delivered: str | None
) -> None:
    resend.send(resend.mail(text=text))
    mail = received(resend.box, BOB)
    assert part(mail, "text/plain") == delivered
    assert part(mail, "text/html") == "<p>As <b>agreed</b>.</p>"


def test_derived_text_has_no_styles_and_keeps_lines(resend: ResendApp) -> None:
    html = "<style>p{color:red}</style><p>One &amp; two</p><ul><li>three</li><li>four</li></ul>"
    resend.send(resend.mail(html=html))
    text = part(received(resend.box, BOB), "text/plain") or ""
    assert text.split() == ["One", "&", "two", "three", "four"]
    assert text.splitlines()[1:] == ["three", "four"]


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"from": None}, (422, "missing_required_field")),
        ({"to": None}, (422, "missing_required_field")),
        ({"to": []}, (422, "missing_required_field")),
        ({"subject": None}, (422, "missing_required_field")),
        ({"html": None}, (422, "missing_required_field")),
        ({"from": "follow-up"}, (400, "validation_error")),
        ({"from": ["follow-up@replysequence.example"]}, (400, "validation_error")),
        ({"to": "bob"}, (400, "validation_error")),
        ({"to": f"{BOB}, {CHARLIE}"}, (400, "validation_error")),
        ({"to": [BOB] * 51}, (400, "validation_error")),
        ({"to": {"email": BOB}}, (400, "validation_error")),
        ({"cc": "nobody"}, (400, "validation_error")),
        ({"reply_to": 7}, (400, "validation_error")),
        ({"subject": 7}, (400, "validation_error")),
        ({"headers": ["X-A: b"]}, (400, "validation_error")),
        ({"headers": {"X-A": "b\r\nBcc: x@y.example"}}, (400, "validation_error")),
        ({"headers": {"X A": "b"}}, (400, "validation_error")),
        ({"tags": [{"name": "a b", "value": "c"}]}, (400, "validation_error")),
        ({"tags": [{"name": "a", "value": "c" * 257}]}, (400, "validation_error")),
        ({"attachments": [{"filename": "a.txt"}]}, (422, "invalid_attachment")),
        ({"attachments": [{"filename": "a.txt", "content": "no base64!"}]}, (422, "invalid_attachment")),
        ({"attachments": [{"content": "aGk="}]}, (422, "invalid_attachment")),
        (
            {"attachments": [{"filename": "a.txt", "path": "https://files.example/a"}]},
            (422, "invalid_attachment"),
        ),
        ({"scheduled_at": "in 1 hour"}, (422, "invalid_parameter")),
        ({"template": {"id": "welcome"}}, (404, "not_found")),
        ({"from": "a@unverified.example"}, (403, "validation_error")),
        ({"from": "onboarding@resend.dev"}, (403, "validation_error")),
    ],
)
def test_what_resend_would_not_take_is_refused(
    resend: ResendApp, changes: dict[str, Any], refusal: tuple[int, str]
) -> None:
    assert refused(resend.send(resend.mail(**changes))) == refusal
    assert len(resend.box.world.ledger) == 0


def test_attachments_over_forty_megabytes_after_base64_are_refused(resend: ResendApp) -> None:
    half = base64.b64encode(b"x" * 15_800_000).decode()
    files = [{"filename": name, "content": half} for name in ("a.bin", "b.bin")]
    assert refused(resend.send(resend.mail(attachments=files))) == (422, "invalid_attachment")


@pytest.mark.parametrize("body", [[], "text", 7])
def test_a_body_that_is_no_object_is_refused(resend: ResendApp, body: object) -> None:
    assert refused(resend.send(body)) == (400, "validation_error")


def test_broken_json_is_refused(resend: ResendApp) -> None:
    headers = {"Authorization": f"Bearer {FULL_KEY}", "User-Agent": "tests/1.0"}
    answer = call("POST", resend.box.base_url + "/emails", body=b"{", headers=headers)
    assert refused(answer) == (400, "validation_error")


def test_the_shared_domain_may_write_to_the_owner_and_the_test_addresses(resend: ResendApp) -> None:
    shared = "Acme <onboarding@resend.dev>"
    for to in (team(resend.box).owner, "delivered@resend.dev"):
        assert resend.send(resend.mail(to=to, **{"from": shared})).status == 200


def test_a_request_without_user_agent_never_reaches_the_api(resend: ResendApp) -> None:
    answer = call("POST", resend.box.base_url + "/emails", json_body=resend.mail())
    assert (answer.status, answer.text) == (403, "error code: 1010")
    assert not answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize(
    ("key", "refusal"),
    [
        ("", (401, "missing_api_key")),
        ("re_wrong", (403, "invalid_api_key")),
        ("re_inactive", (403, "restricted_api_key")),
        ("re_suspended", (403, "suspended_api_key")),
    ],
)
def test_a_key_that_may_not_send_is_refused(resend: ResendApp, key: str, refusal: tuple[int, str]) -> None:
    team(resend.box).keys.update(re_inactive=KeyKind.INACTIVE, re_suspended=KeyKind.SUSPENDED)
    assert refused(resend.call("POST", "/emails", resend.mail(), key=key)) == refusal


def test_an_email_can_be_read_back_with_a_full_key_only(resend: ResendApp) -> None:
    tags = [{"name": "kind", "value": "follow-up"}]
    email_id = resend.send(resend.mail(tags=tags, bcc=[DANA])).json["id"]
    assert refused(resend.call("GET", f"/emails/{email_id}")) == (401, "restricted_api_key")
    found = resend.call("GET", f"/emails/{email_id}", key=FULL_KEY).json
    assert (found["object"], found["id"], found["to"], found["bcc"]) == ("email", email_id, [BOB], [DANA])
    assert found["text"] == "As agreed."
    assert found["last_event"] == "delivered"
    assert found["tags"] == tags
    assert found["message_id"] == received(resend.box, BOB)["Message-ID"]
    created = datetime.strptime(found["created_at"], "%Y-%m-%d %H:%M:%S.%f+00").replace(tzinfo=UTC)
    assert abs(created - resend.box.world.clock.now()) < timedelta(minutes=5)
    assert refused(resend.call("GET", "/emails/nothing", key=FULL_KEY)) == (404, "not_found")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_is_refused_in_the_envelope(resend: ResendApp, method: str) -> None:
    assert refused(resend.call(method, "/emails")) == (405, "method_not_allowed")


def test_the_same_key_and_body_is_sent_once(resend: ResendApp) -> None:
    first = resend.send(resend.mail(), Idempotency_Key="send-1")
    again = resend.send(resend.mail(), Idempotency_Key="send-1")
    assert first.json == again.json
    assert again.status == 200
    assert len(resend.box.world.ledger) == 1
    assert resend.send(resend.mail(), Idempotency_Key="send-2").json != first.json


def test_the_same_key_with_another_body_is_refused(resend: ResendApp) -> None:
    resend.send(resend.mail(), Idempotency_Key="send-1")
    answer = resend.send(resend.mail(subject="Other"), Idempotency_Key="send-1")
    assert refused(answer) == (409, "invalid_idempotent_request")


def test_the_same_key_at_another_endpoint_is_another_key(resend: ResendApp) -> None:
    resend.send(resend.mail(), Idempotency_Key="send-1")
    assert resend.call("POST", "/emails/batch", [resend.mail()], Idempotency_Key="send-1").status == 200
    assert len(resend.box.world.ledger) == 2


@pytest.mark.parametrize("key", ["", "k" * 257])
def test_a_key_of_no_or_too_much_length_is_refused(resend: ResendApp, key: str) -> None:
    assert refused(resend.send(resend.mail(), Idempotency_Key=key)) == (400, "invalid_idempotency_key")


def test_a_key_is_forgotten_after_a_day(resend: ResendApp) -> None:
    resend.send(resend.mail(), Idempotency_Key="send-1")
    resend.box.world.clock.advance(86_399)
    resend.send(resend.mail(), Idempotency_Key="send-1")
    assert len(resend.box.world.ledger) == 1
    resend.box.world.clock.advance(2)
    resend.send(resend.mail(), Idempotency_Key="send-1")
    assert len(resend.box.world.ledger) == 2


def test_a_key_whose_request_failed_is_free_again(resend: ResendApp) -> None:
    assert resend.send(resend.mail(to="bob"), Idempotency_Key="send-1").status == 400
    assert resend.send(resend.mail(), Idempotency_Key="send-1").status == 200


@pytest.mark.parametrize("kind", ["reset_before_reading", "reset_mid_body"])
def test_a_large_email_breaks_while_it_is_being_written(
    box: RunningSandbox, resend: ResendApp, kind: str
) -> None:
    box.world.faults.arm(Fault(kind=kind, vendor=Vendor.RESEND))

    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        resend.send(resend.mail(text="large " * 2_000_000))

    assert len(box.world.ledger) == 0


def test_the_same_key_while_the_first_is_running_is_refused(resend: ResendApp) -> None:
    resend.box.world.settings[Vendor.RESEND].send_latency_seconds = 1.0
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda: answers.append(resend.send(resend.mail(), Idempotency_Key="k")))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [refusal] = [answer for answer in answers if answer.status != 200]
    assert refused(refusal) == (409, "concurrent_idempotent_requests")
    assert len(resend.box.world.ledger) == 1


@pytest.mark.parametrize("kind", ["reset_after_acceptance", "close_after_acceptance"])
def test_a_send_whose_answer_was_lost_can_be_repeated_with_its_key(resend: ResendApp, kind: str) -> None:
    resend.box.world.faults.arm(Fault(kind=kind, vendor=Vendor.RESEND))
    with pytest.raises(ConnectionError):
        resend.send(resend.mail(), Idempotency_Key="send-1")
    assert resend.send(resend.mail(), Idempotency_Key="send-1").status == 200
    assert len(resend.box.world.ledger) == 1


@pytest.mark.parametrize(
    ("kind", "refusal", "accepted"),
    [
        ("refused_429", (429, "rate_limit_exceeded"), 0),
        ("refused_500", (500, "application_error"), 0),
        ("refused_503", (503, "service_unavailable"), 0),
        ("error_500_after_acceptance", (500, "application_error"), 1),
        ("error_503_after_acceptance", (503, "service_unavailable"), 1),
    ],
)
def test_a_fault_speaks_resends_language(
    resend: ResendApp, kind: str, refusal: tuple[int, str], accepted: int
) -> None:
    resend.box.world.faults.arm(
        Fault(kind=kind, vendor=Vendor.RESEND, account="follow-up@replysequence.example")
    )
    assert refused(resend.send(resend.mail())) == refusal
    assert len(resend.box.world.ledger) == accepted


@pytest.mark.parametrize("kind", ["refused_502", "error_504_after_acceptance"])
def test_a_gateway_answers_with_a_web_page(resend: ResendApp, kind: str) -> None:
    resend.box.world.faults.arm(Fault(kind=kind, vendor=Vendor.RESEND))
    answer = resend.send(resend.mail())
    assert answer.status in {502, 504}
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("name", REFUSALS)
def test_every_documented_error_can_be_had(resend: ResendApp, name: str) -> None:
    team(resend.box).change({"at_send": name})
    assert refused(resend.send(resend.mail())) == (REFUSALS[name].status, name)
    team(resend.box).change({"at_send": ""})
    assert resend.send(resend.mail()).status == 200


def test_every_answer_tells_the_limits(resend: ResendApp) -> None:
    team(resend.box).requests_per_second = 10
    answer = resend.send(resend.mail(cc=[CHARLIE]))
    assert answer.headers["ratelimit-limit"] == "10"
    assert answer.headers["ratelimit-remaining"] == "9"
    assert answer.headers["ratelimit-reset"] == "1"
    assert answer.headers["x-resend-monthly-quota"] == "2"
    assert "x-resend-daily-quota" not in answer.headers
    team(resend.box).daily_quota = 100
    assert resend.send(resend.mail()).headers["x-resend-daily-quota"] == "3"


def test_a_call_too_many_in_one_second_is_told_to_wait(resend: ResendApp) -> None:
    team(resend.box).requests_per_second = 0
    answer = resend.send(resend.mail())
    assert refused(answer) == (429, "rate_limit_exceeded")
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["ratelimit-remaining"] == "0"


def test_the_window_is_one_second_wide() -> None:
    window, start = Window(), datetime(2026, 11, 22, tzinfo=UTC)
    moments = [start + timedelta(milliseconds=50 * number) for number in range(11)]
    assert [window.admit(at, limit=10) for at in moments] == [True] * 10 + [False]
    assert window.admit(start + timedelta(seconds=1), limit=10)
    assert not window.admit(start + timedelta(seconds=1), limit=10)


def test_the_daily_quota_counts_recipients_and_ends_at_midnight(resend: ResendApp) -> None:
    team(resend.box).daily_quota = 3
    assert resend.send(resend.mail(cc=[CHARLIE], bcc=[DANA]), Idempotency_Key="k").status == 200
    assert refused(resend.send(resend.mail())) == (429, "daily_quota_exceeded")
    assert resend.send(resend.mail(cc=[CHARLIE], bcc=[DANA]), Idempotency_Key="k").status == 200
    resend.box.world.clock.advance(86_400)
    assert resend.send(resend.mail()).status == 200


def test_the_monthly_quota_ends_with_the_month(resend: ResendApp) -> None:
    team(resend.box).monthly_quota = 1
    assert resend.send(resend.mail()).status == 200
    assert refused(resend.send(resend.mail())) == (429, "monthly_quota_exceeded")
    resend.box.world.clock.advance(31 * 86_400)
    assert resend.send(resend.mail()).status == 200


def test_usage_is_by_calendar_in_utc() -> None:
    usage, new_year = Usage(), datetime(2027, 1, 1, tzinfo=UTC)
    usage.add(new_year - timedelta(seconds=1), 5)
    usage.add(new_year, 2)
    assert (usage.today(new_year), usage.this_month(new_year)) == (2, 2)


def test_a_batch_is_all_or_nothing_by_default(resend: ResendApp) -> None:
    answer = resend.call("POST", "/emails/batch", [resend.mail(), resend.mail(to=CHARLIE)])
    assert [item.keys() for item in answer.json["data"]] == [{"id"}, {"id"}]
    assert answer.json.keys() == {"data"}
    bad = resend.call("POST", "/emails/batch", [resend.mail(), resend.mail(to="bob")])
    assert refused(bad) == (400, "validation_error")
    assert len(resend.box.world.ledger) == 2


def test_a_permissive_batch_sends_what_is_right_and_names_the_rest(resend: ResendApp) -> None:
    mails = [resend.mail(to="bob"), resend.mail()]
    answer = resend.call("POST", "/emails/batch", mails, x_batch_validation="permissive")
    assert len(answer.json["data"]) == 1
    assert [error["index"] for error in answer.json["errors"]] == [0]


@pytest.mark.parametrize("count", [0, 101])
def test_a_batch_has_one_to_a_hundred_emails(resend: ResendApp, count: int) -> None:
    answer = resend.call("POST", "/emails/batch", [resend.mail()] * count)
    assert refused(answer) == (400, "validation_error")


def test_a_batch_carries_no_attachments(resend: ResendApp) -> None:
    mail = resend.mail(attachments=[{"filename": "a.txt", "content": "aGk="}])
    assert refused(resend.call("POST", "/emails/batch", [mail])) == (422, "invalid_parameter")
