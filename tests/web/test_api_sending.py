"""Drafts and sends as a program meets them, with the sandbox at the other end."""

import base64
from urllib.parse import quote

import pytest

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Fault
from support.answers import error_of, made, multipart
from support.webapp import RunningApp, Visitor

ACCOUNT = "dana.reyes@brightwave.example"
WRITTEN = {"to": ["Ann Berg <ann@client.example>"], "subject": "Offer", "html": "<p>Hi Ann</p>"}


@pytest.fixture
def program(web: RunningApp, alice: Visitor) -> Visitor:
    """Alice's program; she has connected Gmail."""
    web.connect(alice, "gmail", ACCOUNT)
    return web.program("Alice")


def draft_of(program: Visitor, **written: object) -> str:
    draft_id: str = made(program("POST", "/api/drafts", json_body={**WRITTEN, **written}))["id"]
    return draft_id


def unknown_send(web: RunningApp, program: Visitor) -> str:
    """A send whose outcome nobody knows: Gmail took it, and then said 500."""
    web.box.world.faults.arm(Fault(kind="error_500_after_acceptance", vendor=Vendor.GOOGLE))
    body = {"draft_id": draft_of(program, subject="Pricing")}
    send = made(program("POST", "/api/drafts/send", json_body=body), status=200)
    assert send["state"] == "unknown"
    send_id: str = send["id"]
    return send_id


def test_a_draft_is_written_read_changed_and_deleted(program: Visitor) -> None:
    written = {
        **WRITTEN,
        "cc": [{"name": "Bo", "email": "bo@CLIENT.example"}],
        "bcc": ["cy@client.example"],
        "reply_to": ["sales@brightwave.example"],
        "text": "Hi Ann",
        "in_reply_to": "abc@client.example",
        "references": ["<abc@client.example>"],
        "thread_id": "t1",
    }
    answer = program("POST", "/api/drafts", json_body=written)
    draft = made(answer)
    path = answer.headers["Location"]
    assert draft["to"] == [{"name": "Ann Berg", "email": "ann@client.example"}]
    assert draft["cc"] == [{"name": "Bo", "email": "bo@client.example"}]
    assert (draft["in_reply_to"], draft["version"]) == ("<abc@client.example>", 1)
    changed = made(
        program("PATCH", path, json_body={"subject": "Offer 2", "text": None, "version": 1}), status=200
    )
    assert (changed["subject"], changed["text"], changed["version"]) == ("Offer 2", None, 2)
    assert changed["cc"] == draft["cc"]
    stale = program("PATCH", path, json_body={"subject": "Offer 3", "version": 1})
    assert (stale.status, error_of(stale)["code"]) == (409, "version_conflict")
    assert any(line["id"] == draft["id"] for line in made(program("GET", "/api/drafts"), status=200)["items"])
    assert program("DELETE", path).status == 204
    assert program("GET", path).status == 404


def test_lists_come_in_pages_that_meet_and_do_not_overlap(web: RunningApp) -> None:
    program = web.program("Frank")
    ids = [made(program("POST", "/api/drafts", json_body={"subject": str(n)}))["id"] for n in range(5)]
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = made(
            program("GET", f"/api/drafts?limit=2{f'&before={quote(cursor)}' if cursor else ''}"), status=200
        )
        found += [item["id"] for item in page["items"]]
        cursor = page["next"]
    assert found == ids[::-1]
    newest = made(program("GET", "/api/events?limit=3"), status=200)
    older = made(program("GET", f"/api/events?limit=3&before={newest['next']}"), status=200)
    assert {item["id"] for item in newest["items"]}.isdisjoint(item["id"] for item in older["items"])


def test_files_come_along_in_the_body_or_later_as_a_form(program: Visitor) -> None:
    file = {"filename": "a.txt", "content_type": "text/plain", "content": base64.b64encode(b"one").decode()}
    draft = made(program("POST", "/api/drafts", json_body={**WRITTEN, "attachments": [file]}))
    body, headers = multipart({"content_id": "logo"}, [("file", "Übersicht.png", "image/png", b"two")])
    added = program("POST", f"/api/drafts/{draft['id']}/attachments", body=body, headers=headers)
    info = made(added)
    assert (info["filename"], info["size"], info["content_id"]) == ("Übersicht.png", 3, "logo")
    assert program("GET", added.headers["Location"]).body == b"two"
    names = [
        file["filename"]
        for file in made(program("GET", f"/api/drafts/{draft['id']}"), status=200)["attachments"]
    ]
    assert names == ["a.txt", "Übersicht.png"]
    assert program("DELETE", added.headers["Location"]).status == 204
    assert program("GET", added.headers["Location"]).status == 404


def test_a_draft_whose_file_cannot_be_kept_leaves_nothing_behind(program: Visitor) -> None:
    before = made(program("GET", "/api/drafts?limit=200"), status=200)["items"]
    good, bad = {"filename": "a.txt", "content": "aGk="}, {"filename": " ", "content": "aGk="}
    answer = program("POST", "/api/drafts", json_body={**WRITTEN, "attachments": [good, bad]})
    assert answer.status == 422
    assert made(program("GET", "/api/drafts?limit=200"), status=200)["items"] == before


def test_preflight_says_from_which_address_it_leaves_and_what_is_in_its_way(
    web: RunningApp, program: Visitor
) -> None:
    ready = made(program("POST", f"/api/drafts/{draft_of(program)}/preflight"), status=200)
    assert (ready["can_send"], ready["via"], ready["from"]["email"]) == (True, "gmail", ACCOUNT)
    blocked = made(program("POST", f"/api/drafts/{draft_of(program, to=[])}/preflight"), status=200)
    assert not blocked["can_send"]
    assert {"field": "to", "severity": "blocker"}.items() <= blocked["problems"][0].items()
    stranger = web.program("Charlie")
    relayed = made(stranger("POST", f"/api/drafts/{draft_of(stranger)}/preflight"), status=200)
    assert (relayed["via"], relayed["reply_to"][0]["email"]) == ("resend", "charlie@example.com")


def test_a_send_leaves_from_the_persons_own_address_and_its_outcome_is_answered(
    web: RunningApp, program: Visitor
) -> None:
    answer = program(
        "POST", "/api/drafts/send", json_body={"draft_id": draft_of(program, subject="Own address")}
    )
    send = made(answer, status=200)
    assert answer.headers["Location"] == f"/api/sends/{send['id']}"
    assert (send["state"], send["via"], send["from"]["email"]) == ("sent", "gmail", ACCOUNT)
    assert [attempt["outcome"] for attempt in send["attempts"]] == ["sent"]
    assert [event["kind"] for event in send["events"]] == ["send.accepted", "send.sent"]
    accepted = [message for message in web.box.world.messages.values() if message.subject == "Own address"]
    assert [message.recipients for message in accepted] == [("ann@client.example",)]


def test_the_same_key_gives_the_same_send_and_never_a_second_one(web: RunningApp, program: Visitor) -> None:
    body = {"draft_id": draft_of(program, subject="Once only")}
    headers = {"Idempotency-Key": "k-1"}
    first, second = (program("POST", "/api/drafts/send", json_body=body, headers=headers) for _ in range(2))
    assert made(first, status=200)["id"] == made(second, status=200)["id"]
    other = program("POST", "/api/drafts/send", json_body={**body, "version": 1}, headers=headers)
    assert other.status == 422
    assert error_of(other)["details"]["field"] == "Idempotency-Key"
    assert len([m for m in web.box.world.messages.values() if m.subject == "Once only"]) == 1


def test_who_does_not_want_to_wait_gets_a_202_and_an_address_to_ask(program: Visitor) -> None:
    body = {"draft_id": draft_of(program), "send_at": "2027-03-01T09:00:00+01:00"}
    answer = program("POST", "/api/drafts/send", json_body=body, headers={"Prefer": "wait=0"})
    send = made(answer, status=202)
    assert (send["state"], answer.headers["Preference-Applied"]) == ("waiting", "wait=0")
    assert made(program("GET", answer.headers["Location"]), status=200)["id"] == send["id"]
    cancelled = made(program("POST", f"/api/sends/{send['id']}/cancel"), status=200)
    assert cancelled["state"] == "cancelled"


def test_what_has_left_cannot_be_cancelled(program: Visitor) -> None:
    send = made(program("POST", "/api/drafts/send", json_body={"draft_id": draft_of(program)}), status=200)
    answer = program("POST", f"/api/sends/{send['id']}/cancel")
    assert answer.status == 409
    error_of(answer)


def test_a_blocker_keeps_a_draft_from_being_accepted_and_is_named(program: Visitor) -> None:
    answer = program("POST", "/api/drafts/send", json_body={"draft_id": draft_of(program, to=[])})
    assert answer.status == 422
    assert error_of(answer)["details"]["fields"][0]["field"] == "to"


def test_an_unknown_send_stays_unknown_until_its_owner_settles_it_as_sent(
    web: RunningApp, program: Visitor
) -> None:
    send_id = unknown_send(web, program)
    settled = made(program("POST", f"/api/sends/{send_id}/settle", json_body={"verdict": "sent"}), status=200)
    assert (settled["id"], settled["state"]) == (send_id, "settled_sent")
    again = program("POST", f"/api/sends/{send_id}/settle", json_body={"verdict": "not_sent"})
    assert again.status == 409


def test_an_unknown_send_that_was_not_sent_is_sent_again_only_when_asked(
    web: RunningApp, program: Visitor
) -> None:
    send_id = unknown_send(web, program)
    body = {"verdict": "not_sent", "send_again": True}
    again = made(program("POST", f"/api/sends/{send_id}/settle", json_body=body), status=200)
    assert again["id"] != send_id
    assert again["previous_send_id"] == send_id
    assert made(program("GET", f"/api/sends/{send_id}"), status=200)["state"] == "settled_not_sent"
    sent_twice = program(
        "POST", f"/api/sends/{send_id}/settle", json_body={"verdict": "sent", "send_again": True}
    )
    assert sent_twice.status in {409, 422}


def test_sends_are_listed_by_state(web: RunningApp, program: Visitor) -> None:
    send_id = unknown_send(web, program)
    unknown = made(program("GET", "/api/sends?state=unknown"), status=200)["items"]
    assert unknown[0]["id"] == send_id
    assert {send["state"] for send in unknown} == {"unknown"}


@pytest.mark.parametrize("headers", [{}, {"svix-id": "x", "svix-timestamp": "1", "svix-signature": "v1,x"}])
def test_a_webhook_with_a_wrong_signature_is_refused(anonymous: Visitor, headers: dict[str, str]) -> None:
    answer = anonymous(
        "POST", "/api/webhooks/resend", body=b'{"type": "email.sent"}', headers=headers, site=None
    )
    assert answer.status in {401, 403}
    error_of(answer)
    assert anonymous("POST", "/api/webhooks/gmail", body=b"{}", site=None).status == 404
