"""Headers, cookies, the proof that a request is ours, and what never shows."""

import re

import pytest
from starlette.datastructures import Headers
from starlette.responses import Response

from replysequence.web.security import Cookies, comes_from_us, local_path, origin_of, response_headers
from support.answers import error_of, made, multipart
from support.plain_http import Answer
from support.webapp import PASSWORD, RunningApp, Visitor

OUR_HEADERS = response_headers(secure=False)
CANARY = "canary0123456789canary"


def answers_of_every_kind(alice: Visitor, anonymous: Visitor) -> dict[int, Answer]:
    big = b"x" * 1_100_000
    json_type = {"Content-Type": "application/json"}
    answers = [
        alice("GET", "/"),
        alice("GET", "/settings"),
        anonymous("GET", "/api/drafts"),
        alice("POST", "/api/drafts", json_body={}, site="cross-site"),
        alice("GET", "/nowhere"),
        alice("PUT", "/api/drafts"),
        alice("PATCH", "/api/drafts/x", body=big, headers=json_type),
        alice("POST", "/api/drafts", json_body={"subject": 1}),
        alice("POST", "/api/drafts", body=b"{", headers=json_type),
        alice("POST", "/api/drafts", json_body={}),
    ]
    return {answer.status: answer for answer in answers}


def test_every_kind_of_answer_carries_the_security_headers(alice: Visitor, anonymous: Visitor) -> None:
    answers = answers_of_every_kind(alice, anonymous)
    assert set(answers) == {200, 201, 303, 400, 401, 403, 404, 405, 413, 422}
    for status, answer in answers.items():
        for name, value in OUR_HEADERS.items():
            assert answer.headers[name] == value, (status, name)


def test_no_page_has_anything_inline(alice: Visitor, anonymous: Visitor) -> None:
    draft = made(
        alice("POST", "/api/drafts", json_body={"subject": "x", "html": "<p style='color:red'>x</p>"})
    )
    pages = [
        "/",
        "/drafts",
        "/drafts/new",
        f"/drafts/{draft['id']}",
        "/sends",
        "/activity",
        "/settings/integrations",
    ]
    pages += ["/settings/account", "/settings/api-keys", "/settings/people", "/nowhere"]
    texts = [alice("GET", path, headers={"Accept": "text/html"}).text for path in pages]
    for text in [*texts, anonymous("GET", "/sign-in").text]:
        assert not re.search(
            r"<script(?![^>]*\bsrc=)|<style|\son[a-z]+=|<[^>]*\sstyle=|javascript:|hx-on", text
        )
        assert re.search(r'"allowEval": false.*"allowScriptTags": false.*"selfRequestsOnly": true', text)


@pytest.mark.parametrize(
    ("path", "host"), [("/api/drafts%3F", None), ("/healthz%3F/x", None), ("/api/drafts", "x/healthz?")]
)
def test_the_gate_judges_the_path_that_is_routed_and_nothing_put_together(
    anonymous: Visitor, path: str, host: str | None
) -> None:
    answer = anonymous("GET", path, headers={"Host": host} if host else {})
    assert answer.status in {400, 401}, answer.text
    assert answer.status == 401 or host, "only the server itself refuses a strange Host"


def test_a_browser_gets_its_errors_as_pages_and_a_program_as_json(alice: Visitor) -> None:
    for accept in ("text/html,application/xhtml+xml", "*/*", "application/json"):
        answer = alice("GET", "/nowhere", headers={"Accept": accept})
        assert answer.status == 404
        assert answer.headers.get_content_type() == ("text/html" if "html" in accept else "application/json")


def test_static_files_may_be_kept_and_everything_personal_may_not(alice: Visitor, anonymous: Visitor) -> None:
    addresses = re.findall(r'(?:src|href)="(/static/[^"]+)"', alice("GET", "/").text)
    assert len(addresses) == 4
    for address in addresses:
        answer = anonymous("GET", address)
        assert (answer.status, answer.headers["Cache-Control"]) == (
            200,
            "public, max-age=31536000, immutable",
        )
        assert answer.headers["Content-Security-Policy"] == OUR_HEADERS["content-security-policy"]
    assert anonymous("GET", "/static/../server.py").status == 404
    assert anonymous("GET", "/static/%2e%2e/server.py").status == 404


def test_a_preview_can_do_nothing_and_only_we_may_frame_it(alice: Visitor) -> None:
    html = '<p onclick="x()" hx-get="/sends">Hi</p><script>x()</script><img src="https://evil.example/x.png">'
    draft = made(alice("POST", "/api/drafts", json_body={"html": html}))
    answer = alice("GET", f"/drafts/{draft['id']}/preview")
    policy = answer.headers["Content-Security-Policy"]
    for directive in ("default-src 'none'", "img-src data:", "frame-ancestors 'self'", "sandbox"):
        assert directive in policy.split("; ")
    assert "script" not in answer.text
    assert "onclick" not in answer.text
    assert "hx-get" not in answer.text
    assert re.search(r"<iframe[^>]* sandbox title=", alice("GET", f"/drafts/{draft['id']}").text)


def test_a_preview_shows_attached_images_without_fetching_them(alice: Visitor) -> None:
    file = {
        "filename": "logo.png",
        "content_type": "image/png",
        "content": "iVBORw0KGgo=",
        "content_id": "logo",
    }
    html = '<p>Hi</p><img src="cid:logo" alt="Logo"><img src="cid:none" alt="None">'
    draft = made(alice("POST", "/api/drafts", json_body={"html": html, "attachments": [file]}))
    shown = alice("GET", f"/drafts/{draft['id']}/preview").text
    assert 'src="data:image/png;base64,iVBORw0KGgo="' in shown
    assert 'src="cid:none"' in shown


def test_a_preview_of_plain_text_is_text(alice: Visitor) -> None:
    draft = made(alice("POST", "/api/drafts", json_body={"text": "1 < 2 <script>x()</script>"}))
    assert "1 &lt; 2 &lt;script&gt;" in alice("GET", f"/drafts/{draft['id']}/preview").text


def test_an_attached_file_is_only_ever_a_download(alice: Visitor) -> None:
    draft = made(alice("POST", "/api/drafts", json_body={}))
    body, headers = multipart({}, [("file", 'ü" ;.html', "text/html", b"<script>1</script>")])
    info = made(alice("POST", f"/api/drafts/{draft['id']}/attachments", body=body, headers=headers))
    answer = alice("GET", f"/api/drafts/{draft['id']}/attachments/{info['id']}")
    assert answer.body == b"<script>1</script>"
    assert answer.headers.get_content_type() == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''")
    assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, True),
        ({"sec-fetch-site": "same-site", "origin": "https://app.example"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "https://app.example"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": ""}, False),
        ({"origin": "https://app.example"}, True),
        ({"origin": "http://app.example"}, False),
        ({"origin": "https://app.example.evil.example"}, False),
        ({"origin": "null"}, False),
        ({"referer": "https://app.example/"}, False),
        ({}, False),
    ],
)
def test_a_request_is_ours_when_the_browser_says_so(headers: dict[str, str], *, ours: bool) -> None:
    assert comes_from_us(Headers(headers), origin="https://app.example") is ours


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://app.example/", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://[::1]:8000/x", "http://[::1]:8000"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(url: str, origin: str) -> None:
    assert origin_of(url) == origin


HOSTILE_PATHS = [
    *("//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "javascript:alert(1)"),
    *("/%2f/evil.example", "/a?b", "/a#b", "/\tevil", "/\n/evil.example", " /x", "", "x", "data:text/html,x"),
    *("/a@evil.example", "///evil.example", "/./evil", "/..//evil.example", "http:/evil.example"),
    *("/\u2024/evil", "/" + "x" * 300, "/A", "/é"),
]


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_signing_in_never_leads_to_another_site(path: str) -> None:
    assert local_path(path, otherwise="/") == "/"


def test_signing_in_leads_back_to_the_page_that_was_asked_for(anonymous: Visitor) -> None:
    asked = anonymous("GET", "/settings/integrations", headers={"Accept": "text/html"})
    assert (asked.status, asked.headers["Location"]) == (303, "/sign-in?next=/settings/integrations")
    assert local_path("/settings/integrations", otherwise="/") == "/settings/integrations"


def test_over_https_cookies_are_bound_to_the_host_and_secure() -> None:
    response = Response()
    cookies = Cookies(secure=True)
    cookies.put(response, name=cookies.session, value="x", seconds=60)
    assert (
        response.headers["set-cookie"]
        == "__Host-session=x; HttpOnly; Max-Age=60; Path=/; SameSite=lax; Secure"
    )
    assert "strict-transport-security" in response_headers(secure=True)
    assert "strict-transport-security" not in response_headers(secure=False)


def test_a_session_cookie_is_out_of_reach_of_scripts(web: RunningApp, anonymous: Visitor) -> None:
    person = web.person("Dora")
    form = {"email": person.email, "password": PASSWORD}
    answer = anonymous("POST", "/sign-in", form=form)
    assert answer.status == 303
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("session=")
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))


def test_signing_out_ends_the_session_for_everybody_who_holds_its_cookie(web: RunningApp) -> None:
    dora = web.new_browser("Dora")
    assert dora("GET", "/api/drafts").status == 200
    answer = dora("POST", "/sign-out")
    assert answer.headers["Clear-Site-Data"] == '"cache", "cookies", "storage"'
    assert dora("GET", "/api/drafts").status == 401


def test_a_password_change_ends_the_other_sessions_and_keeps_this_one(web: RunningApp) -> None:
    here, elsewhere = web.new_browser("Erin"), web.new_browser("Erin")
    form = {"old": PASSWORD, "new": PASSWORD}
    assert here("POST", "/settings/account/password", form=form).status == 303
    assert here("GET", "/api/drafts").status == 200
    assert elsewhere("GET", "/api/drafts").status == 401


def test_an_api_key_needs_no_proof_of_origin_unless_a_cookie_comes_along(web: RunningApp) -> None:
    program = web.program("Alice")
    assert program("POST", "/api/drafts", json_body={}).status == 201
    with_cookie = program("POST", "/api/drafts", json_body={}, headers={"Cookie": "session=x"})
    assert (with_cookie.status, error_of(with_cookie)["code"]) == (403, "cross_site")


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer x", "Basic eDp5", "Bearer rs_x y", "", "Bearer " + "x" * 5_000]
)
def test_a_wrong_key_is_no_key_whatever_cookie_comes_with_it(alice: Visitor, value: str) -> None:
    answer = alice("GET", "/api/drafts", headers={"Authorization": value})
    assert (answer.status, error_of(answer)["code"]) == (401, "not_signed_in")


def test_a_revoked_key_opens_nothing(web: RunningApp, alice: Visitor) -> None:
    program = web.program("Alice")
    keys = web.do(web.app.services.signing_in.api_keys(alice.id))
    assert program.key is not None
    key = next(each for each in keys if program.key.startswith(each.prefix))
    assert alice("POST", f"/settings/api-keys/{key.id}/revoke").status == 303
    assert program("GET", "/api/drafts").status == 401


def test_the_access_log_has_no_query_no_token_and_no_cookie(
    web: RunningApp, alice: Visitor, anonymous: Visitor, capfd: pytest.CaptureFixture[str]
) -> None:
    alice("GET", f"/api/auth/gmail/callback?code={CANARY}&state={CANARY}", site="cross-site")
    anonymous("GET", f"/join/{CANARY}")
    anonymous("GET", f"/sign-in?next=/{CANARY}")
    anonymous(
        "GET", f"/{CANARY}", headers={"Cookie": f"session={CANARY}", "Authorization": f"Bearer rs_{CANARY}"}
    )
    anonymous("POST", "/sign-in", form={"email": f"{CANARY}@example.com", "password": CANARY})
    captured = capfd.readouterr()
    logged = captured.out + captured.err
    assert "/api/auth/{provider}/callback" in logged
    assert "/join/{token}" in logged
    assert CANARY not in logged


def test_a_secret_shows_in_no_cookie_but_the_session(web: RunningApp, alice: Visitor) -> None:
    answer = alice("POST", "/settings/api-keys", form={"name": "shown once"}, headers={"Accept": "text/html"})
    key = re.search(r'value="(rs_[^"]+)"', answer.text)
    assert key is not None
    assert "Set-Cookie" not in answer.headers
    assert key[1] not in alice("GET", "/settings/api-keys").text
