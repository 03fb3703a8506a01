"""Every route there is: who may use it. A route that has no line here fails."""

from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

from replysequence.storage import reports
from replysequence.storage.database import now
from replysequence.web.gate import OPEN, SIGNED_BY_SENDER
from replysequence.web.security import SAFE_METHODS
from replysequence.web.server import create
from support.answers import error_of, made, multipart
from support.crm_connections import connect_crm
from support.days_to_come import in_month
from support.webapp import RunningApp, Visitor

SEND_BODY = {"draft_id": "{draft_id}"}
IN_WINTER = f"{in_month(2).isoformat()}Z"

FREE_FOR_ALL = {
    "GET /openapi.json",
    "GET /healthz",
    "GET /readyz",
    "GET /sign-in",
    "POST /sign-in",
    "GET /sign-in/link/{token}",
    "POST /sign-in/link/{token}",
    "GET /join/{token}",
    "POST /join/{token}",
    "GET /not-connected",
    "GET /api/auth/{provider}/callback",
    "POST /api/webhooks/{provider}",
}
"""Routes that need no sign-in."""

OWN_ONLY: dict[str, Any] = {
    "GET /metrics": None,
    "GET /api/auth/{provider}": None,
    "GET /api/integrations": None,
    "GET /api/drafts": None,
    "POST /api/drafts": {},
    "GET /api/sends": None,
    "GET /api/events": None,
    "GET /api/reports": None,
    "GET /reports": None,
    "GET /": None,
    "GET /drafts/new": None,
    "POST /drafts": None,
    "GET /sends": None,
    "GET /sends/held": None,
    "GET /activity": None,
    "GET /settings": None,
    "GET /settings/integrations": None,
    "GET /settings/account": None,
    "POST /settings/account/name": None,
    "POST /settings/account/sending": None,
    "POST /settings/account/password": None,
    "GET /settings/api-keys": None,
    "POST /settings/api-keys": None,
    "GET /settings/people": None,
    "POST /settings/people": None,
    "POST /sign-out": None,
}
"""Routes that name nobody's object: they show and change the caller's own things. With the JSON body to send."""

NAMING_AN_OBJECT: dict[str, Any] = {
    "POST /api/integrations/email/default": {"connection_id": "{connection_id}"},
    "GET /api/drafts/{draft_id}": None,
    "PATCH /api/drafts/{draft_id}": {"subject": "changed"},
    "POST /api/drafts/{draft_id}/preflight": None,
    "GET /api/drafts/{draft_id}/attachments/{attachment_id}": None,
    "POST /api/drafts/{draft_id}/attachments": "file",
    "DELETE /api/drafts/{draft_id}/attachments/{attachment_id}": None,
    "POST /api/drafts/send": SEND_BODY,
    "GET /drafts/{draft_id}": None,
    "POST /drafts/{draft_id}": None,
    "POST /drafts/{draft_id}/autosave": None,
    "GET /drafts/{draft_id}/preview": None,
    "GET /drafts/{draft_id}/delete": None,
    "GET /api/sends/{send_id}": None,
    "POST /api/sends/{send_id}/release": None,
    "PATCH /api/sends/{send_id}": {"send_at": IN_WINTER},
    "GET /sends/{send_id}/time": None,
    "POST /sends/{send_id}/time": f"send_at={IN_WINTER[:16]}",
    "POST /api/sends/{send_id}/look": None,
    "POST /api/sends/{send_id}/cancel": None,
    "POST /api/sends/{send_id}/settle": {"verdict": "sent"},
    "GET /sends/{send_id}": None,
    "GET /sends/{send_id}/progress": None,
    "GET /sends/{send_id}/line": None,
    "POST /sends/{send_id}/release": None,
    "POST /sends/{send_id}/look": None,
    "POST /sends/{send_id}/cancel": None,
    "POST /sends/held/{connection_id}/release": None,
    "POST /sends/held/{connection_id}/cancel": None,
    "POST /sends/held/{connection_id}/another": "other_id=00000000-0000-7000-8000-000000000000",
    "POST /sends/{send_id}/settle": "answer=sent",
    "POST /api/reports/{send_id}/{connection_id}/again": None,
    "POST /sends/{send_id}/reports/{connection_id}/again": None,
    "PATCH /api/integrations/crm/{connection_id}": {"create_contacts": True},
    "POST /settings/integrations/{connection_id}/logging": "parts=subject&senders=dana.reyes%40brightwave.example",
    "POST /settings/api-keys/{key_id}/revoke": None,
    "POST /settings/integrations/{connection_id}/default": None,
    "POST /settings/integrations/{connection_id}/stop-looking": None,
    "GET /settings/integrations/{connection_id}/disconnect": None,
    "DELETE /api/drafts/{draft_id}": None,
    "POST /drafts/{draft_id}/delete": None,
    "POST /api/integrations/{provider}/disconnect": {"connection_id": "{connection_id}"},
    "POST /settings/integrations/{connection_id}/disconnect": None,
}
"""Routes that name one object of somebody's. The owner's call comes last, so what destroys stands last."""


def routes_of(web: RunningApp) -> set[str]:
    """Every route of the app as `METHOD /path`."""
    return {
        f"{method} {context.path}"
        for context in iter_route_contexts(create(web.app.services).routes)
        for method in (context.methods or ())
        if method != "HEAD"
    }


@dataclass
class Things:
    """One of everything, owned by one person."""

    owner: Visitor
    draft_id: str
    attachment_id: str
    send_id: str
    connection_id: str
    crm_id: str
    key_id: str

    def path(self, pattern: str) -> str:
        is_of_a_crm = any(part in pattern for part in ("/reports/", "/crm/", "/logging"))
        return pattern.format(
            draft_id=self.draft_id,
            attachment_id=self.attachment_id,
            send_id=self.send_id,
            connection_id=self.crm_id if is_of_a_crm else self.connection_id,
            key_id=self.key_id,
            provider="gmail",
        )

    def call(self, who: Visitor, route: str, body: Any, *, site: str | None = "same-origin") -> Any:
        method, pattern = route.split(" ", 1)
        path = self.path(pattern)
        if body == "file":
            content, headers = multipart({}, [("file", "a.txt", "text/plain", b"a")])
            return who(method, path, body=content, headers=headers, site=site)
        if isinstance(body, str):
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            return who(method, path, body=body.encode(), headers=form, site=site)
        if isinstance(body, dict):
            filled = {
                name: self.path(value) if isinstance(value, str) else value for name, value in body.items()
            }
            return who(method, path, json_body=filled, site=site)
        return who(method, path, site=site)


@pytest.fixture
def things(web: RunningApp, alice: Visitor) -> Things:
    connected = web.notice_of(web.connect(alice, "gmail", "dana.reyes@brightwave.example"))
    assert connected is not None
    assert connected.tone == "good", connected
    connection_id = web.connection_id(alice, "dana.reyes@brightwave.example")
    written = {"to": ["ann@client.example"], "subject": "Hello", "text": "Hi"}
    file = {"filename": "a.txt", "content": "aGk="}
    draft = made(alice("POST", "/api/drafts", json_body={**written, "attachments": [file]}))
    sent = made(alice("POST", "/api/drafts", json_body=written))
    send = made(
        alice("POST", "/api/drafts/send", json_body={"draft_id": sent["id"], "send_at": IN_WINTER}),
        status=202,
    )
    key, _ = web.do(web.app.services.signing_in.create_api_key(alice.id, name="matrix"))
    database, at = web.app.database, web.do(web.app.database.read(now))
    crm = connect_crm(database, web.app.vault, alice.id)
    database.run(reports.add, [(alice.id, send["id"])], at=at)
    file_id = draft["attachments"][0]["id"]
    return Things(alice, draft["id"], file_id, send["id"], connection_id, crm.id, key.id)


def test_every_route_has_a_line_in_one_of_the_tables_and_only_one(web: RunningApp) -> None:
    tables = [FREE_FOR_ALL, set(OWN_ONLY), set(NAMING_AN_OBJECT)]
    assert sum(map(len, tables)) == len(set.union(*tables))
    assert set.union(*tables) == routes_of(web)


def test_a_route_that_names_an_object_is_in_the_table_of_those(web: RunningApp) -> None:
    naming = {route for route in routes_of(web) if "_id}" in route}
    assert naming <= set(NAMING_AN_OBJECT)


def test_the_gate_is_open_for_the_free_routes_and_for_no_other(web: RunningApp) -> None:
    open_to_all = {route for route in routes_of(web) if OPEN.fullmatch(route.split(" ", 1)[1])}
    assert open_to_all == FREE_FOR_ALL


def test_nobody_gets_anywhere_without_signing_in(web: RunningApp, anonymous: Visitor, things: Things) -> None:
    for route, body in {**OWN_ONLY, **NAMING_AN_OBJECT}.items():
        answer = things.call(anonymous, route, body)
        assert answer.status == 401, route
        assert error_of(answer)["code"] == "not_signed_in", route
        assert answer.headers["WWW-Authenticate"] == "Bearer", route


def test_every_unsafe_route_refuses_what_does_not_come_from_our_own_pages(
    web: RunningApp, things: Things
) -> None:
    tables = {**OWN_ONLY, **NAMING_AN_OBJECT, **dict.fromkeys(FREE_FOR_ALL)}
    unsafe = {route for route in tables if route.split(" ", 1)[0] not in SAFE_METHODS}
    for route in unsafe:
        if SIGNED_BY_SENDER.fullmatch(route.split(" ", 1)[1]):
            continue
        for site in ("cross-site", "same-site", "none", None):
            answer = things.call(things.owner, route.replace("{token}", "x"), tables[route], site=site)
            assert answer.status == 403, (route, site)
            assert error_of(answer)["code"] == "cross_site", (route, site)


def test_what_alice_owns_is_not_there_for_bob_and_charlie(
    web: RunningApp, things: Things, bob: Visitor, charlie: Visitor
) -> None:
    programs = [web.program("Bob"), web.program("Charlie")]
    for route, body in NAMING_AN_OBJECT.items():
        for stranger in (bob, charlie, *programs):
            answer = things.call(stranger, route, body)
            expected = {404}
            if stranger.key and not route.split(" ", 1)[1].startswith("/api/"):
                expected = {403, 404}  # pages are for browsers
            assert answer.status in expected, (route, answer.status, answer.text)
            error_of(answer)


def test_alice_can_do_everything_with_what_is_hers(web: RunningApp, things: Things) -> None:
    for route, body in NAMING_AN_OBJECT.items():
        answer = things.call(things.owner, route, body)
        assert answer.status in {200, 201, 202, 204, 303, 404, 409}, (route, answer.status, answer.text)
        if answer.status == 404:  # only what an earlier line of the table has taken away
            assert any(word in route for word in ("delete", "disconnect", "attachments")), route


def test_an_administrators_reach_ends_at_other_peoples_things(
    web: RunningApp, alice: Visitor, bob: Visitor
) -> None:
    theirs = made(bob("POST", "/api/drafts", json_body={"subject": "Bob's"}))
    assert alice("GET", f"/api/drafts/{theirs['id']}").status == 404


def test_only_an_administrator_sees_people_and_figures(bob: Visitor) -> None:
    for path in ("/settings/people", "/metrics"):
        answer = bob("GET", path)
        assert (answer.status, error_of(answer)["code"]) == (403, "not_allowed"), path
    form = {"email": "eve@example.com", "role": "admin"}
    assert bob("POST", "/settings/people", form=form).status == 403
