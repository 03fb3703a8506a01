"""Whatever a program sends, it gets a clear 4xx that names the field; nothing is kept of it, and nothing breaks."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.answers import error_of, made, multipart
from support.webapp import RunningApp, Visitor

JSON_ROUTES = (
    ("POST", "/api/drafts"),
    ("PATCH", "/api/drafts/{draft_id}"),
    ("POST", "/api/drafts/send"),
    ("POST", "/api/integrations/email/default"),
    ("POST", "/api/integrations/gmail/disconnect"),
    ("POST", "/api/sends/01890000-0000-7000-8000-000000000000/settle"),
)

NOT_JSON = (
    b"{",
    b"nul",
    b'{"subject": ',
    b"\xff\xfe",
    b'{"subject": "\xc3"}',
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"version": ' + b"9" * 10_000 + b"}",
)

NOT_A_BODY: tuple[Any, ...] = (
    [],
    "text",
    1,
    1.5,
    True,
    [{}],
    {"unknown": 1},
    {"\ud800": 1},
    {"user_id": "x", "state": "sent"},
)

BAD_DRAFTS: tuple[tuple[str, Any], ...] = (
    ("subject", 1),
    ("subject", None),
    ("subject", ["a"]),
    ("subject", "a\0b"),
    ("subject", "\ud800"),
    ("subject", "x" * 10_000_000),
    ("html", "\0"),
    ("text", {"a": 1}),
    ("text", "\udfff"),
    ("to", "ann@client.example"),
    ("to", [1]),
    ("to", ["not an address"]),
    ("to", ["ann@client.example\r\nBcc: eve@evil.example"]),
    ("to", [{"email": "ann@client.example", "admin": True}]),
    ("to", [{"name": "Ann"}]),
    ("to", [{"email": "Ann <ann@client.example>"}]),
    ("to", ["ann@client.example"] * 501),
    ("cc", [{"email": "a@b.example", "name": "x\r\nBcc: eve@evil.example"}]),
    ("bcc", [None]),
    ("reply_to", ["@"]),
    ("in_reply_to", "no brackets or at"),
    ("in_reply_to", "<a@b>\r\nX: y"),
    ("references", "text"),
    ("references", ["<a@b.example>", "<>"]),
    ("thread_id", "a\0"),
    ("connection_id", "not-a-uuid"),
    ("connection_id", 12),
    ("connection_id", "01890000-0000-7000-8000-000000000000"),
    ("attachments", [{"filename": "a.txt"}]),
    ("attachments", [{"filename": "a.txt", "content": "!!!"}]),
    ("attachments", [{"filename": "a\0.txt", "content": ""}]),
)

BAD_SENDS: tuple[tuple[str, Any], ...] = (
    ("draft_id", "x"),
    ("draft_id", None),
    ("version", "1"),
    ("version", 0),
    ("version", -1),
    ("version", 2**63),
    ("version", 1.5),
    ("version", float("nan")),
    ("version", float("inf")),
    ("version", True),
    ("send_at", "tomorrow"),
    ("send_at", "2027-01-01T09:00:00"),
    ("send_at", "9999-12-31T23:59:59-14:00"),
    ("send_at", 1e300),
    ("send_at", float("inf")),
    ("send_at", "2099-01-01T00:00:00Z"),
    ("user_id", "x"),
)


@pytest.fixture
def draft(alice: Visitor) -> str:
    draft_id: str = made(alice("POST", "/api/drafts", json_body={"subject": "whole"}))["id"]
    return draft_id


@pytest.mark.parametrize(("method", "path"), JSON_ROUTES)
def test_what_is_not_json_gets_a_400_and_what_is_no_such_body_a_422(
    alice: Visitor, draft: str, method: str, path: str
) -> None:
    address = path.format(draft_id=draft)
    headers = {"Content-Type": "application/json"}
    for body in NOT_JSON:
        answer = alice(method, address, body=body, headers=headers)
        assert answer.status in {400, 422}, (body[:40], answer.text)
        error_of(answer)
    for value in NOT_A_BODY:
        answer = alice(method, address, json_body=value)
        assert answer.status == 422, (value, answer.text)
        assert error_of(answer)["details"]["fields"], value
    for content_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ):
        answer = alice(method, address, body=b'{"subject": "x"}', headers={"Content-Type": content_type})
        assert 400 <= answer.status < 500, (content_type, answer.text)
        error_of(answer)


@pytest.mark.parametrize(
    ("field", "value"), BAD_DRAFTS, ids=[f"{f}-{n}" for n, (f, _) in enumerate(BAD_DRAFTS)]
)
def test_a_bad_field_of_a_draft_is_named(alice: Visitor, draft: str, field: str, value: Any) -> None:
    for method, path in (("POST", "/api/drafts"), ("PATCH", f"/api/drafts/{draft}")):
        answer = alice(method, path, json_body={field: value})
        if answer.status == 413:  # more than the limit of that address; the other one names the field
            assert method == "PATCH"
            assert "MB" in error_of(answer)["message"]
            continue
        assert answer.status == 422, answer.text[:500]
        error = error_of(answer)
        assert error["details"]["field"].partition(".")[0] == field, error
        assert len(answer.body) < 5_000, "the answer repeats what was sent"
    kept = made(alice("GET", f"/api/drafts/{draft}"), status=200)
    assert (kept["subject"], kept["version"]) == ("whole", 1)


@pytest.mark.parametrize(
    ("field", "value"), BAD_SENDS, ids=[f"{f}-{n}" for n, (f, _) in enumerate(BAD_SENDS)]
)
def test_a_bad_field_of_a_send_is_named_and_nothing_is_sent(
    web: RunningApp, alice: Visitor, draft: str, field: str, value: Any
) -> None:
    answer = alice("POST", "/api/drafts/send", json_body={"draft_id": draft, field: value})
    assert answer.status == 422, answer.text
    assert error_of(answer)["details"]["field"].partition(".")[0] == field
    assert web.do(web.app.services.sending.list(alice.id, draft_id=draft)).items == []


@pytest.mark.parametrize("key", ["", " ", "x" * 257, "café", "tab\there", " edge"])
def test_an_idempotency_key_that_is_none_is_named(alice: Visitor, draft: str, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1").decode("latin-1")}
    answer = alice("POST", "/api/drafts/send", json_body={"draft_id": draft}, headers=headers)
    if key == " edge":  # HTTP itself strips white space around a field value
        assert answer.status in {200, 202, 422}
        return
    assert answer.status == 422, answer.text
    assert error_of(answer)["details"]["field"].lower() == "idempotency-key"


@pytest.mark.parametrize(
    "name", ["x", "1", "%00", "..", "x" * 5_000, "01890000-0000-7000-8000-000000000000", "%ff"]
)
@pytest.mark.parametrize("path", ["/api/drafts/{}", "/api/sends/{}", "/drafts/{}", "/sends/{}/progress"])
def test_an_id_that_names_nothing_is_a_404(alice: Visitor, path: str, name: str) -> None:
    answer = alice("GET", path.format(name))
    assert answer.status == 404, answer.text
    error_of(answer)


@pytest.mark.parametrize("provider", ["nobody", "x" * 500, "%00", "Gmail", "gmail%0d%0aX:1", "resend"])
def test_a_provider_that_nobody_can_connect_is_a_404(alice: Visitor, provider: str) -> None:
    for method, path in (
        ("GET", f"/api/auth/{provider}"),
        ("POST", f"/api/integrations/{provider}/disconnect"),
    ):
        answer = alice(method, path)
        assert answer.status == 404, answer.text
        error_of(answer)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=1000", "limit=x", "limit=1e9", "before=%00", "before=%ff", "before=" + "x" * 300,
        "before=zzz", "before='--", "state=gone", "before=-1", "before=99999999999999999999",
    ],
)  # fmt: skip
def test_a_bad_query_never_breaks_a_list(alice: Visitor, query: str) -> None:
    for path in ("/api/drafts", "/api/sends", "/api/events", "/", "/sends", "/activity"):
        answer = alice("GET", f"{path}?{query}")
        assert answer.status in {200, 422}, (path, answer.text)
        if answer.status == 422:
            assert error_of(answer)["details"]["field"] == query.partition("=")[0], path


def test_a_file_that_is_too_large_nameless_or_no_file_is_refused(alice: Visitor, draft: str) -> None:
    path = f"/api/drafts/{draft}/attachments"
    for files, statuses in (
        ([("file", "", "text/plain", b"x")], {422}),
        ([("file", "x" * 300, "text/plain", b"x")], {422}),
        ([("file", "large.bin", "text/plain", b"\0" * 37_500_000)], {413}),
        ([("other", "a.txt", "text/plain", b"x")], {422}),
        ([], {422}),
    ):
        body, headers = multipart({}, files)
        answer = alice("POST", path, body=body, headers=headers)
        assert answer.status in statuses, answer.text
        error_of(answer)
    for headers in (
        {"Content-Type": "multipart/form-data"},
        {"Content-Type": "multipart/form-data; boundary=x"},
    ):
        answer = alice("POST", path, body=b"garbage", headers=headers)
        assert answer.status in {400, 422}, answer.text
    assert made(alice("GET", f"/api/drafts/{draft}"), status=200)["attachments"] == []


@pytest.mark.parametrize("path", ["/", "/sign-in", "/api/drafts", "/nowhere"])
def test_a_body_beyond_the_limit_is_refused_wherever_it_goes(alice: Visitor, path: str) -> None:
    answer = alice("PUT", path, body=b"x" * 60_000_000)
    assert answer.status == 413
    assert error_of(answer)["code"] == "too_large"


def test_a_wrong_method_and_a_wrong_address_have_the_same_shape_as_every_error(alice: Visitor) -> None:
    wrong_method = alice("PUT", "/api/drafts")
    assert (wrong_method.status, error_of(wrong_method)["code"]) == (405, "method_not_allowed")
    assert "POST" in wrong_method.headers["Allow"] or "GET" in wrong_method.headers["Allow"]
    nowhere = alice("GET", "/api/nowhere")
    assert (nowhere.status, error_of(nowhere)["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "path", ["/drafts", "/settings/account/name", "/settings/api-keys", "/settings/people", "/sign-in"]
)
def test_a_hostile_form_gets_a_page_that_says_so(alice: Visitor, path: str) -> None:
    for typed in ("a\0b", "\u202eevil", "x" * 2_000, "<script>alert(1)</script>\r\nX: y"):
        form = {
            "to": typed,
            "subject": typed,
            "name": typed,
            "email": typed,
            "password": typed,
            "next": typed,
        }
        answer = alice("POST", path, form=form, headers={"Accept": "text/html"})
        assert answer.status in {201, 303, 401, 422, 429}, (path, answer.text)
        assert "<script>alert" not in answer.text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
draft_fields = st.sampled_from(
    ["to", "cc", "bcc", "reply_to", "subject", "html", "text", "in_reply_to", "references", "thread_id"]
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.dictionaries(draft_fields, json_values, max_size=5) | json_values)
def test_no_json_whatever_breaks_the_writing_of_a_draft(alice: Visitor, body: Any) -> None:
    answer = alice(
        "POST", "/api/drafts", body=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    assert answer.status in {201, 400, 422}, answer.text
    if answer.status == 201:
        assert made(alice("GET", answer.headers["Location"]), status=200) == answer.json
    else:
        error_of(answer)
