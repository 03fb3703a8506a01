import http.client
import json
from collections.abc import Callable

import pytest

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import MENU, Endpoint, Fault, Kind, Phase
from support.consent import NoRedirectError, approve
from support.google_app import CONSUMER, MESSAGE, WORKSPACE, GoogleApp
from support.plain_http import Answer, call

AT_SEND = [kind for kind in MENU.values() if Endpoint.SEND in kind.endpoints]
BIG = MESSAGE + b"x" * 4_000_000


def arm(app: GoogleApp, kind: str, endpoint: Endpoint = Endpoint.SEND, **changes: object) -> Fault:
    fault = Fault(kind=kind, vendor=Vendor.GOOGLE, endpoint=endpoint, delay_seconds=0.05, **changes)  # type: ignore[arg-type]
    return app.box.world.faults.arm(fault)


@pytest.fixture
def token(app: GoogleApp) -> str:
    return str(app.connect()["access_token"])


def outcome(request: Callable[[], Answer]) -> str:
    """What a client sees: the status, or the name of what the socket raised."""
    try:
        return str(request().status)
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__


@pytest.mark.parametrize("kind", AT_SEND, ids=lambda kind: kind.name)
def test_the_ledger_has_the_message_exactly_when_the_fault_comes_after(
    app: GoogleApp, token: str, kind: Kind
) -> None:
    arm(app, kind.name)

    outcome(lambda: app.send(token))

    assert len(app.box.world.ledger) == (1 if kind.phase is Phase.AFTER else 0)
    assert [strike.kind for strike in app.box.world.faults.strikes] == [kind.name]
    assert app.send(token).status == 200


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("reset_before_reading", "ConnectionResetError"),
        ("reset_before_acceptance", "ConnectionResetError"),
        ("close_before_acceptance", "RemoteDisconnected"),
        ("hang_before_acceptance", "ConnectionResetError"),
        ("reset_after_acceptance", "ConnectionResetError"),
        ("close_after_acceptance", "RemoteDisconnected"),
        ("hang_after_acceptance", "ConnectionResetError"),
        ("truncated_after_acceptance", "IncompleteRead"),
        ("garbage_after_acceptance", "200"),
        ("accepted_with_retry_after", "202"),
        ("slow", "200"),
        *((f"refused_{status}", str(status)) for status in (401, 429, 500, 502, 503, 504)),
        *((f"error_{status}_after_acceptance", str(status)) for status in (500, 502, 503, 504)),
    ],
)
def test_the_client_sees_what_the_menu_says(app: GoogleApp, token: str, kind: str, seen: str) -> None:
    arm(app, kind)

    assert outcome(lambda: app.send(token)) == seen


@pytest.mark.parametrize("kind", ["reset_before_reading", "reset_mid_body"])
def test_a_large_request_breaks_while_it_is_being_written(app: GoogleApp, token: str, kind: str) -> None:
    arm(app, kind)

    assert outcome(lambda: app.send(token, BIG)) in {"BrokenPipeError", "ConnectionResetError"}
    assert len(app.box.world.ledger) == 0


def test_a_client_that_gives_up_on_a_hanging_answer_does_not_disturb_the_next(
    app: GoogleApp, token: str
) -> None:
    fault = arm(app, "hang_after_acceptance")
    fault.delay_seconds = 60
    connection = http.client.HTTPConnection(app.box.base_url.removeprefix("http://"), timeout=0.2)
    body = json.dumps({"raw": "VG86IGFAYi5leGFtcGxlDQoNCg"})
    connection.request("POST", "/gmail/v1/users/me/messages/send", body, {"Authorization": f"Bearer {token}"})

    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()

    assert len(app.box.world.ledger) == 1
    assert app.send(token).status == 200


def test_truncated_and_garbage_answers_still_carry_the_status_of_success(app: GoogleApp, token: str) -> None:
    arm(app, "garbage_after_acceptance")

    answer = app.send(token)

    assert answer.status == 200
    with pytest.raises(ValueError, match=r"."):
        json.loads(answer.body)


def test_accepted_with_retry_after_says_both(app: GoogleApp, token: str) -> None:
    arm(app, "accepted_with_retry_after", retry_after_seconds=7)

    answer = app.send(token)

    assert (answer.status, answer.headers["Retry-After"]) == (202, "7")
    assert "id" in answer.json


def test_a_429_names_the_moment_to_come_back(app: GoogleApp, token: str) -> None:
    arm(app, "refused_429", retry_after_seconds=90)

    assert "Retry after 20" in app.send(token).json["error"]["message"]


def test_a_fault_strikes_so_many_times_and_is_gone(app: GoogleApp, token: str) -> None:
    arm(app, "refused_503", count=2)

    assert [app.send(token).status for _ in range(4)] == [503, 503, 200, 200]
    assert list(app.box.world.faults) == []


def test_faults_queue_up_in_the_order_they_were_armed(app: GoogleApp, token: str) -> None:
    for kind in ("refused_429", "error_500_after_acceptance", "refused_503"):
        arm(app, kind)

    assert [app.send(token).status for _ in range(4)] == [429, 503, 500, 200]


def test_a_fault_without_count_stays_until_it_is_cleared(app: GoogleApp, token: str) -> None:
    arm(app, "refused_503", count=None)

    assert {app.send(token).status for _ in range(5)} == {503}
    app.box.world.faults.clear()
    assert app.send(token).status == 200


def test_one_fault_can_be_cleared_alone(app: GoogleApp, token: str) -> None:
    first, _ = arm(app, "refused_503"), arm(app, "refused_502")

    app.box.world.faults.clear(first.id)

    assert app.send(token).status == 502


def test_a_fault_for_one_account_spares_the_others(app: GoogleApp, token: str) -> None:
    other = app.connect(CONSUMER)["access_token"]
    arm(app, "refused_503", account=CONSUMER)

    assert app.send(token).status == 200
    assert app.send(other).status == 503


def test_a_token_fault_finds_the_account_in_the_form(app: GoogleApp) -> None:
    mine, other = app.connect()["refresh_token"], app.connect(CONSUMER)["refresh_token"]
    arm(app, "refused_503", Endpoint.TOKEN, account=CONSUMER)

    assert app.refresh(mine).status == 200
    assert app.refresh(other).status == 503


def test_a_probability_gives_the_same_run_for_the_same_seed(app: GoogleApp, token: str) -> None:
    def run(seed: int) -> list[int]:
        app.box.world.faults.clear()
        arm(app, "refused_503", count=None, probability=0.5, seed=seed)
        app.box.world.clock.advance(61)
        return [app.send(token).status for _ in range(20)]

    first, second, other = run(1), run(1), run(2)

    assert first == second
    assert first != other
    assert {200, 503} == set(first)


def test_a_request_that_gmail_refuses_anyway_uses_up_no_fault_after_acceptance(
    app: GoogleApp, token: str
) -> None:
    arm(app, "error_500_after_acceptance")

    assert app.send(token, b"Subject: nobody\r\n\r\n").status == 400
    assert app.send(token).status == 500
    assert len(app.box.world.ledger) == 1


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("invalid_grant", 400, "invalid_grant"),
        ("invalid_client", 401, "invalid_client"),
        ("refused_503", 503, "temporarily_unavailable"),
        ("refused_500", 500, "internal_failure"),
    ],
)
def test_the_token_endpoint_can_fail(app: GoogleApp, kind: str, status: int, error: str) -> None:
    refresh_token = app.connect()["refresh_token"]
    arm(app, kind, Endpoint.TOKEN)

    answer = app.refresh(refresh_token)

    assert (answer.status, answer.json["error"]) == (status, error)
    assert app.refresh(refresh_token).status == 200


def test_the_token_endpoint_can_answer_with_a_web_page_late_or_not_at_all(app: GoogleApp) -> None:
    refresh_token = app.connect()["refresh_token"]
    for kind in ("html", "reset_before_acceptance", "slow"):
        arm(app, kind, Endpoint.TOKEN)

    page = app.refresh(refresh_token)

    assert page.headers["Content-Type"].startswith("text/html")
    assert outcome(lambda: app.refresh(refresh_token)) == "ConnectionResetError"
    assert app.refresh(refresh_token).status == 200


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("admin_approval", "admin_policy_enforced"),
        ("error_page", "server_error"),
        ("refused_503", "Error 503"),
    ],
)
def test_the_sign_in_page_can_lead_nowhere(app: GoogleApp, kind: str, error: str) -> None:
    arm(app, kind, Endpoint.AUTHORIZE)

    with pytest.raises(NoRedirectError, match=error):
        approve(app.authorize_url(), account=WORKSPACE)
    assert "code=" in approve(app.authorize_url(), account=WORKSPACE)


@pytest.mark.parametrize(
    ("endpoint", "setting"),
    [
        (Endpoint.KEYS, "GOOGLE_JWKS_URL"),
        (Endpoint.USERINFO, "GOOGLE_USERINFO_URL"),
    ],
)
def test_keys_and_userinfo_can_fail(app: GoogleApp, endpoint: Endpoint, setting: str) -> None:
    arm(app, "refused_502", endpoint)

    assert call("GET", app.box.environment[setting]).status == 502


def test_a_failing_revocation_revokes_nothing(app: GoogleApp) -> None:
    refresh_token = app.connect()["refresh_token"]
    arm(app, "refused_503", Endpoint.REVOKE)

    assert call("POST", app.box.environment["GOOGLE_REVOKE_URL"], form={"token": refresh_token}).status == 503
    assert app.refresh(refresh_token).status == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "earthquake"},
        {"kind": "reset_after_acceptance", "endpoint": Endpoint.TOKEN},
        {"kind": "slow", "count": 0},
        {"kind": "slow", "probability": 0},
        {"kind": "slow", "probability": 1.5},
    ],
)
def test_a_fault_that_cannot_strike_cannot_be_armed(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Fault(vendor=Vendor.GOOGLE, **wrong)  # type: ignore[arg-type]
