"""What holds for connecting an account at every provider, whatever it is."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from traceback import format_exception
from urllib.parse import parse_qsl, urlsplit

import pytest

from replysequence.domain.errors import ConnectFailed, Misconfigured, ReplySequenceError, TryLater
from replysequence.domain.secret import Secret
from replysequence.providers import oauth
from replysequence.providers.base import CallbackRefusal, Connectable, Mailbox, OAuthSpec, Tokens
from replysequence.providers.http import HttpClient
from replysequence.providers.registry import Registry
from support.answering import Answering, Asked, Says
from support.issuing import alices_claims, key_set, public_jwk, signed
from support.registry_entries import CONNECTABLES, ENTRIES, MAILBOXES, settings_at

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
CALLBACK = "https://app.example/api/auth/callback"
ATTEMPT = {
    "code": Secret("canary-code"),
    "verifier": Secret("canary-verifier"),
    "redirect_uri": CALLBACK,
    "nonce": "our-nonce",
    "now": NOW,
}

every_connectable = pytest.mark.parametrize("entry", CONNECTABLES, ids=lambda entry: entry.name)
every_mailbox = pytest.mark.parametrize("entry", MAILBOXES, ids=lambda entry: entry.name)


ABOUT_ALICE = {
    "active": True,
    "sub": "alice-subject",
    "email": "alice@acme.example",
    "user": "alice@acme.example",
    "name": "Alice",
    "user_id": "1001",
    "organization_id": "2002",
    "hub_id": 3003,
    "hub_domain": "acme.example",
}
"""What an account is asked about where there is no id_token, or too little in it."""


class Authority:
    """Token and key endpoints of whatever provider is under test. `says` stands in for the token answer."""

    def __init__(self) -> None:
        self.spec: OAuthSpec | None = None
        self.url = ""
        self.says: Callable[[], Says] | None = None

    def __call__(self, asked: Asked) -> Says:
        assert self.spec is not None
        if asked.target == urlsplit(self.spec.jwks_url).path:
            return Says(200, key_set(public_jwk("key-1")))
        if asked.target != urlsplit(self.spec.token_url).path:
            return Says(200, ABOUT_ALICE)
        if self.says is not None:
            return self.says()
        claims = alices_claims(
            issuer=self.spec.issuer, client_id=self.spec.client_id, nonce="our-nonce", now=NOW.timestamp()
        )
        answer = {
            "access_token": "canary-access",
            "refresh_token": "canary-refresh",
            "expires_in": 3599,
            "scope": " ".join(self.spec.scopes),
        }
        if "openid" in self.spec.scopes:
            answer["id_token"] = signed(claims)
        if self.spec.api_url_field:
            answer[self.spec.api_url_field] = self.url
        return Says(200, answer)


class Stage:
    """One provider of the registry in front of its authority."""

    def __init__(self, entry: type[Connectable]) -> None:
        self._entry = entry
        self.authority = Authority()

    async def __aenter__(self) -> "Stage":
        self.http = HttpClient()
        self.server = await Answering(self.authority).__aenter__()
        registry = Registry(settings_at(self._entry, self.server.url), self.http, providers=ENTRIES)
        self.authority.url = self.server.url
        self.account = registry.connectable(self._entry.name)
        self.spec = self.authority.spec = self.account.oauth
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()
        await self.server.__aexit__(None, None, None)

    async def exchange(self) -> Tokens:
        return await oauth.exchange_code(self.spec, self.http, **ATTEMPT)  # type: ignore[arg-type]

    async def refresh(self) -> Tokens:
        token = Secret("canary-refresh")
        return await oauth.refresh(self.spec, self.http, refresh_token=token, issuer=self.spec.issuer)


def no_secret_in(error: BaseException) -> bool:
    """Whether no text form of `error`, its chain or its details holds a canary."""
    details = getattr(error, "details", {})
    return "canary" not in "".join([*format_exception(error), repr(error), str(error), repr(details)])


@every_connectable
async def test_the_browser_is_sent_with_state_nonce_and_an_s256_challenge(
    *, entry: type[Connectable]
) -> None:
    async with Stage(entry) as stage:
        for reconnect in (False, True):
            _, challenge = oauth.new_pkce()
            url = oauth.authorization_url(
                stage.spec,
                redirect_uri=CALLBACK,
                state="our-state",
                nonce="our-nonce",
                challenge=challenge,
                login_hint="alice@acme.example" if reconnect else None,
                reconnect=reconnect,
            )
            asked = dict(parse_qsl(urlsplit(url).query))

            assert url.startswith(stage.spec.authorize_url)
            assert asked["state"] == "our-state"
            assert asked["nonce"] == "our-nonce"
            assert (asked["code_challenge"], asked["code_challenge_method"]) == (challenge, "S256")
            assert (asked["redirect_uri"], asked["response_type"]) == (CALLBACK, "code")
            assert asked["client_id"] == stage.spec.client_id
            assert asked.get("login_hint") == ("alice@acme.example" if reconnect else None)
            assert set(stage.spec.scopes) == set(asked["scope"].split())
            assert "canary" not in url


@every_connectable
async def test_a_code_becomes_tokens_and_somebody(*, entry: type[Connectable]) -> None:
    async with Stage(entry) as stage:
        tokens = await stage.exchange()
        form = stage.server.asked[0].form

        assert form["code_verifier"] == "canary-verifier"
        assert (form["grant_type"], form["redirect_uri"]) == ("authorization_code", CALLBACK)
        assert tokens.access_token == Secret("canary-access")
        assert stage.spec.required_scopes <= tokens.scopes
        assert (tokens.claims is not None) is ("openid" in stage.spec.scopes)
        identity = await stage.account.identify(tokens)
        assert identity.email == "alice@acme.example"
        assert identity.display_name in ("Alice", "acme.example")
        assert identity.issuer
        assert identity.subject
        assert "canary" not in f"{tokens!r} {stage.spec!r} {identity!r}"


@every_mailbox
async def test_two_accounts_with_one_address_stay_two(*, entry: type[Mailbox]) -> None:
    async with Stage(entry) as stage:
        claims = alices_claims(
            issuer=stage.spec.issuer, client_id=stage.spec.client_id, nonce="n", now=NOW.timestamp()
        )
        tokens = await stage.exchange()
        alice = await stage.account.identify(replace(tokens, claims=claims))
        other = {"sub": "charlie-subject", "oid": "d94e2b60-5f3c-4a8e-a1d7-6b0c8f7e3a66"}
        charlie = await stage.account.identify(replace(tokens, claims=claims | other))

        assert charlie.email == alice.email
        assert (charlie.issuer, charlie.subject) != (alice.issuer, alice.subject)


@every_connectable
async def test_a_refresh_brings_a_fresh_token_to_the_same_account(*, entry: type[Connectable]) -> None:
    async with Stage(entry) as stage:
        tokens = await stage.refresh()

        assert stage.server.asked[0].form["refresh_token"] == "canary-refresh"
        assert tokens.access_token == Secret("canary-access")


@every_connectable
async def test_without_what_it_needs_it_is_seen_and_said(*, entry: type[Connectable]) -> None:
    async with Stage(entry) as stage:
        stage.authority.says = lambda: Says(200, {"access_token": "canary-access", "scope": "openid email"})
        tokens = await stage.refresh()

        assert not stage.spec.required_scopes <= tokens.scopes
        assert stage.account.scope_missing().endswith(".")


@every_connectable
async def test_every_status_of_the_token_endpoint_is_a_decision_and_shows_no_secret(
    *, entry: type[Connectable]
) -> None:
    bodies = (
        {"error": "invalid_client", "error_description": "canary-secret"},
        {"error": "invalid_grant", "error_description": "AADSTS70000: canary-refresh", "error_codes": ["x"]},
        b"<html>canary-secret</html>",
        {"error": ["canary-secret"], "error_codes": {}},
    )
    async with Stage(entry) as stage:
        for status in range(200, 600):
            says = Says(status, bodies[status % len(bodies)])
            stage.authority.says = lambda says=says: says
            for call in (stage.exchange, stage.refresh) if status < 500 else (stage.refresh,):
                with pytest.raises(ReplySequenceError) as caught:
                    await call()
                assert no_secret_in(caught.value), status
                if status in (408, 425, 429) or not 400 <= status < 500:
                    assert type(caught.value) is TryLater, status


@every_connectable
async def test_an_operators_broken_secret_blames_nobody_and_disconnects_nobody(
    *, entry: type[Connectable]
) -> None:
    async with Stage(entry) as stage:
        stage.authority.says = lambda: Says(401, {"error": "invalid_client"})
        with pytest.raises(Misconfigured):
            await stage.refresh()


@every_connectable
@pytest.mark.parametrize("error", ["access_denied", "server_error", "invalid_scope", ""])
async def test_a_consent_that_did_not_come_about_is_put_in_words(
    *, entry: type[Connectable], error: str
) -> None:
    codes = {"access_denied", "admin_consent", "provider_error"}
    async with Stage(entry) as stage:
        problem = stage.spec.turned_back(
            CallbackRefusal(error, "canary-words", {"error_description": "canary"})
        )

        assert problem.code in codes
        assert problem.message
        assert "canary" not in f"{problem.message} {problem.details}"


@every_connectable
async def test_a_callback_from_another_issuer_is_refused(*, entry: type[Connectable]) -> None:
    async with Stage(entry) as stage:
        given = [("state", "s"), ("code", "c")]

        assert oauth.read_callback(stage.spec, [*given, ("iss", stage.spec.issuer)]).answer == Secret("c")
        with pytest.raises(ConnectFailed):
            oauth.read_callback(stage.spec, [*given, ("iss", "https://attacker.example")])


@every_connectable
async def test_an_unset_provider_names_what_is_missing_and_is_still_listed(
    *, entry: type[Connectable]
) -> None:
    http = HttpClient()
    registry = Registry({}, http, providers=ENTRIES)
    account = registry.connectable(entry.name)

    needed = {variable.name for variable in entry.variables if variable.needed}
    assert set(account.missing) == needed
    with pytest.raises(Misconfigured) as caught:
        _ = account.oauth
    assert set(caught.value.details["missing"]) == needed  # type: ignore[call-overload]
    assert account in dict(registry.by_category())[entry.category]
    await http.close()
