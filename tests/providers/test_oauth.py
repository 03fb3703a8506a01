"""The protocol that every provider shares: what is asked, what is believed, and what each answer means."""

import base64
import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from replysequence.domain.errors import ConnectFailed, Misconfigured, ProviderError, ReconnectNeeded, TryLater
from replysequence.domain.secret import Secret
from replysequence.providers import oauth
from replysequence.providers.base import (
    CONSERVATIVE_LIFETIME,
    CallbackRefusal,
    ConsentProblem,
    OAuthSpec,
    TokenRefusal,
    Tokens,
)
from replysequence.providers.http import HttpClient
from support.answering import Answering, Asked, Says
from support.issuing import alices_claims, key_set, public_jwk, signed

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
ISSUER = "https://issuer.example"
CALLBACK = "https://app.example/api/auth/toy/callback"
CODE, VERIFIER, REFRESH = Secret("canary-code/4"), Secret("canary-verifier"), Secret("canary-refresh")


def refused(refusal: TokenRefusal) -> ProviderError:
    kind = ReconnectNeeded if refusal.error == "invalid_grant" else Misconfigured
    return kind(f"refused: {refusal.error}", status=refusal.status)


def a_spec(base: str = "https://issuer.example", **changes: Any) -> OAuthSpec:
    spec = OAuthSpec(
        client_id="our-client-id",
        client_secret=Secret("canary-client-secret"),
        authorize_url=f"{base}/authorize",
        token_url=f"{base}/token",
        jwks_url=f"{base}/keys",
        revoke_url=f"{base}/revoke",
        issuer=ISSUER,
        scopes=("openid", "send"),
        required_scopes=frozenset({"send"}),
        connect_parameters=MappingProxyType({"prompt": "select_account"}),
        reconnect_parameters=MappingProxyType({"prompt": "login"}),
        canonical_scopes=lambda text: frozenset(text.split()),
        refused=refused,
        turned_back=lambda _: ConsentProblem("provider_error", "turned back"),
        token_parameters=MappingProxyType({"scope": "openid send"}),
    )
    return replace(spec, **changes)


def test_a_verifier_is_fresh_and_its_challenge_is_its_hash() -> None:
    pairs = [oauth.new_pkce() for _ in range(20)]

    assert len({verifier for verifier, _ in pairs}) == 20
    for verifier, challenge in pairs:
        assert re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", verifier.reveal())
        digest = hashlib.sha256(verifier.reveal().encode()).digest()
        assert challenge == base64.urlsafe_b64encode(digest).decode().rstrip("=")


def asked_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, strict_parsing=True))


def test_an_authorization_url_always_has_state_nonce_and_an_s256_challenge() -> None:
    url = oauth.authorization_url(
        a_spec(), redirect_uri=CALLBACK, state="the state", nonce="the nonce", challenge="the challenge"
    )

    assert url.startswith("https://issuer.example/authorize?")
    assert asked_of(url) == {
        "client_id": "our-client-id",
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "openid send",
        "state": "the state",
        "nonce": "the nonce",
        "code_challenge": "the challenge",
        "code_challenge_method": "S256",
        "prompt": "select_account",
    }


def test_a_reconnect_names_the_account_and_asks_in_the_providers_own_way() -> None:
    url = oauth.authorization_url(
        a_spec(),
        redirect_uri=CALLBACK,
        state="s",
        nonce="n",
        challenge="c",
        login_hint="alice+x@acme.example",
        reconnect=True,
    )

    assert asked_of(url)["login_hint"] == "alice+x@acme.example"
    assert asked_of(url)["prompt"] == "login"


def test_a_provider_cannot_switch_the_protections_off() -> None:
    weak = MappingProxyType(
        {"state": "", "nonce": "", "code_challenge_method": "plain", "response_type": "token"}
    )
    url = oauth.authorization_url(
        a_spec(connect_parameters=weak), redirect_uri=CALLBACK, state="s", nonce="n", challenge="c"
    )

    assert parse_qs(urlsplit(url).query)["code_challenge_method"] == ["S256"]
    assert asked_of(url)["state"] == "s"
    assert asked_of(url)["nonce"] == "n"
    assert asked_of(url)["response_type"] == "code"


def test_an_authorization_endpoint_may_have_a_query_of_its_own() -> None:
    spec = a_spec(authorize_url="https://issuer.example/authorize?realm=eu")
    url = oauth.authorization_url(spec, redirect_uri=CALLBACK, state="s", nonce="n", challenge="c")

    assert asked_of(url)["realm"] == "eu"
    assert asked_of(url)["state"] == "s"


def test_a_callback_gives_its_code_and_unknown_parameters_do_not_matter() -> None:
    callback = oauth.read_callback(
        a_spec(),
        [
            ("state", "s"),
            ("iss", ISSUER),
            ("code", "4/0Ab"),
            ("authuser", "0"),
            ("session_state", "x"),
            ("new", "1"),
        ],
    )

    assert callback.state == "s"
    assert callback.answer == Secret("4/0Ab")
    assert "4/0Ab" not in repr(callback)


@pytest.mark.parametrize("repeated", ["code", "state", "iss", "error", "anything"])
def test_a_callback_that_says_something_twice_is_refused(*, repeated: str) -> None:
    given = [
        ("state", "s"),
        ("code", "c"),
        ("iss", ISSUER),
        ("error", "e"),
        ("anything", "x"),
        (repeated, "again"),
    ]

    with pytest.raises(ConnectFailed) as caught:
        oauth.read_callback(a_spec(), given)
    assert caught.value.code == "provider_error"


@pytest.mark.parametrize("given", [[], [("code", "c")], [("code", "c"), ("state", "")]])
def test_a_callback_without_state_belongs_to_no_attempt(*, given: list[tuple[str, str]]) -> None:
    with pytest.raises(ConnectFailed) as caught:
        oauth.read_callback(a_spec(), given)
    assert caught.value.code == "state_unknown"


@pytest.mark.parametrize(
    "issuer", ["https://attacker.example", "", ISSUER + "/", "issuer.example", ISSUER.upper()]
)
def test_a_callback_of_another_issuer_is_refused(*, issuer: str) -> None:
    with pytest.raises(ConnectFailed) as caught:
        oauth.read_callback(a_spec(), [("state", "s"), ("code", "c"), ("iss", issuer)])
    assert caught.value.code == "wrong_issuer"


@pytest.mark.parametrize(
    ("issuer", "fits"),
    [
        ("https://login.example/5c1f0a3e-7d42-4b6a-9a55-2f6d1e9b7c30/v2.0", True),
        ("https://login.example/{tenantid}/v2.0", False),
        ("https://login.example/common/v2.0", False),
        ("https://loginXexample/5c1f0a3e-7d42-4b6a-9a55-2f6d1e9b7c30/v2.0", False),
    ],
)
def test_an_issuer_template_in_a_callback_stands_for_any_tenant(*, issuer: str, fits: bool) -> None:
    spec = a_spec(issuer="https://login.example/{tenantid}/v2.0")
    given = [("state", "s"), ("code", "c"), ("iss", issuer)]
    if fits:
        assert oauth.read_callback(spec, given).answer == Secret("c")
        return
    with pytest.raises(ConnectFailed):
        oauth.read_callback(spec, given)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"error": "access_denied"}, "access_denied"),
        ({"error": "access_denied", "code": "c"}, "access_denied"),
        ({"error": ""}, ""),
        ({"error": "<script>"}, ""),
        ({"code": ""}, ""),
        ({}, ""),
        ({"admin_consent": "True", "tenant": "t"}, ""),
    ],
)
def test_a_callback_without_a_usable_code_is_a_refusal(*, given: dict[str, str], error: str) -> None:
    callback = oauth.read_callback(a_spec(), [("state", "s"), *given.items()])

    assert isinstance(callback.answer, CallbackRefusal)
    assert callback.answer.error == error


ANSWER = {
    "access_token": "canary-access",
    "expires_in": 3599,
    "refresh_token": "canary-new-refresh",
    "scope": "openid send",
    "token_type": "Bearer",
}


class Provider:
    """Token, key and revocation endpoints; the id_token follows the nonce it is told."""

    def __init__(self, says: Says | None = None, **answer: Any) -> None:
        self.says = says
        self.changes = answer
        self.nonce = "our-nonce"

    def __call__(self, asked: Asked) -> Says:
        if asked.target == "/keys":
            return Says(200, key_set(public_jwk("key-1")))
        if self.says is not None:
            return self.says
        claims = alices_claims(
            issuer=ISSUER, client_id="our-client-id", nonce=self.nonce, now=NOW.timestamp()
        )
        answer = ANSWER | {"id_token": signed(claims)} | self.changes
        return Says(200, {name: value for name, value in answer.items() if value is not None})


async def exchange(provider: Provider) -> tuple[Tokens, list[Asked]]:
    http = HttpClient()
    async with Answering(provider) as server:
        try:
            tokens = await oauth.exchange_code(
                a_spec(server.url),
                http,
                code=CODE,
                verifier=VERIFIER,
                redirect_uri=CALLBACK,
                nonce="our-nonce",
                now=NOW,
            )
            return tokens, server.asked
        finally:
            await http.close()


async def refresh(provider: Provider, **changes: Any) -> tuple[Tokens, list[Asked]]:
    http = HttpClient()
    async with Answering(provider) as server:
        try:
            spec = a_spec(server.url, **changes)
            return await oauth.refresh(spec, http, refresh_token=REFRESH, issuer=ISSUER), server.asked
        finally:
            await http.close()


async def test_a_code_is_redeemed_with_its_verifier_and_our_credentials() -> None:
    tokens, asked = await exchange(Provider())

    assert asked[0].form == {
        "grant_type": "authorization_code",
        "code": "canary-code/4",
        "redirect_uri": CALLBACK,
        "code_verifier": "canary-verifier",
        "client_id": "our-client-id",
        "client_secret": "canary-client-secret",
        "scope": "openid send",
    }
    assert asked[0].headers["content-type"] == "application/x-www-form-urlencoded"
    assert tokens.access_token == Secret("canary-access")
    assert tokens.refresh_token == Secret("canary-new-refresh")
    assert tokens.expires_in == 3599
    assert tokens.scopes == {"openid", "send"}
    assert tokens.claims is not None
    assert tokens.claims["email"] == "alice@acme.example"
    assert "canary" not in repr(tokens)


async def test_a_refresh_sends_the_refresh_token_and_no_code() -> None:
    tokens, asked = await refresh(Provider())

    assert asked[0].form == {
        "grant_type": "refresh_token",
        "refresh_token": "canary-refresh",
        "client_id": "our-client-id",
        "client_secret": "canary-client-secret",
        "scope": "openid send",
    }
    assert len(asked) == 1
    assert tokens.claims is None


async def test_a_refresh_goes_where_the_accounts_issuer_wants_it() -> None:
    provider = Provider()
    http = HttpClient()
    async with Answering(provider) as server:
        spec = a_spec(
            server.url, token_url_for=lambda issuer: f"{server.url}/token-of/{urlsplit(issuer).hostname}"
        )
        await oauth.refresh(spec, http, refresh_token=REFRESH, issuer=ISSUER)
        await http.close()
        assert server.asked[0].target == "/token-of/issuer.example"


@pytest.mark.parametrize("absent", [None, "", 7])
async def test_an_absent_refresh_token_is_none_and_never_an_empty_one(*, absent: object) -> None:
    tokens, _ = await refresh(Provider(refresh_token=absent))

    assert tokens.refresh_token is None


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        (3599, 3599),
        ("3599", 3599),
        (3599.9, 3599),
        (None, CONSERVATIVE_LIFETIME),
        ("soon", CONSERVATIVE_LIFETIME),
        ("", CONSERVATIVE_LIFETIME),
        (0, CONSERVATIVE_LIFETIME),
        (-5, CONSERVATIVE_LIFETIME),
        (True, CONSERVATIVE_LIFETIME),
        ("inf", CONSERVATIVE_LIFETIME),
        ("nan", CONSERVATIVE_LIFETIME),
        (1 << 80, CONSERVATIVE_LIFETIME),
        ([3599], CONSERVATIVE_LIFETIME),
    ],
)
async def test_a_lifetime_is_read_leniently_and_doubted_conservatively(
    *, given: object, understood: int
) -> None:
    tokens, _ = await refresh(Provider(expires_in=given))

    assert tokens.expires_in == understood


async def test_a_refresh_tokens_own_lifetime_is_kept_when_told() -> None:
    tokens, _ = await refresh(Provider(refresh_token_expires_in=604_799))
    assert tokens.refresh_token_expires_in == 604_799
    tokens, _ = await refresh(Provider())
    assert tokens.refresh_token_expires_in is None


@pytest.mark.parametrize(
    ("scope", "granted"), [(None, {"openid", "send"}), ("openid", {"openid"}), ("", set())]
)
async def test_granted_scopes_are_read_from_the_answer_and_absent_means_as_asked(
    *, scope: str | None, granted: set[str]
) -> None:
    tokens, _ = await refresh(Provider(scope=scope))

    assert tokens.scopes == granted


@pytest.mark.parametrize(
    ("scopes", "granted"),
    [(["openid", "send"], {"openid", "send"}), (["send", 7, None], {"send"}), ([], set())],
)
async def test_granted_scopes_may_come_as_a_list(*, scopes: list[object], granted: set[str]) -> None:
    tokens, _ = await refresh(Provider(scope=None, scopes=scopes))

    assert tokens.scopes == granted


async def test_an_id_token_that_nobody_asked_for_is_not_looked_at() -> None:
    provider = Provider(id_token="canary-of-somebody-else")
    http = HttpClient()
    async with Answering(provider) as server:
        spec = a_spec(server.url, scopes=("send",), jwks_url="")
        tokens = await oauth.exchange_code(
            spec,
            http,
            code=CODE,
            verifier=VERIFIER,
            redirect_uri=CALLBACK,
            nonce="our-nonce",
            now=NOW,
        )
        await http.close()

    assert tokens.claims is None
    assert len(server.asked) == 1


def test_a_space_in_an_authorization_url_is_never_a_plus() -> None:
    url = oauth.authorization_url(a_spec(), redirect_uri=CALLBACK, state="s", nonce="n", challenge="c")

    assert "scope=openid%20send" in url
    assert "+" not in url


async def test_an_exchange_without_an_id_token_proves_nobody() -> None:
    with pytest.raises(ConnectFailed) as caught:
        await exchange(Provider(id_token=None))
    assert caught.value.code == "identity_invalid"


async def test_an_id_token_for_another_attempt_is_refused() -> None:
    provider = Provider()
    provider.nonce = "of-another-attempt"
    with pytest.raises(ConnectFailed) as caught:
        await exchange(provider)
    assert caught.value.code == "identity_invalid"


TRANSIENT = {
    "408": Says(408, {"error": "invalid_grant"}),
    "429": Says(429, {"error": "invalid_grant"}),
    "500": Says(500, {"error": "invalid_grant"}),
    "503 page": Says(503, b"<html>busy</html>"),
    "200 page": Says(200, b"<html>a captive portal</html>"),
    "200 without a token": Says(200, {"expires_in": 3599}),
    "200 with an empty token": Says(200, ANSWER | {"access_token": ""}),
    "200 with a list": Says(200, [ANSWER]),
    "200 that nests without end": Says(200, b"[" * 100_000),
    "200 that is too large": Says(200, b'{"access_token": "' + b"x" * (1 << 20) + b'"}'),
    "302": Says(302, b"", {"Location": "https://attacker.example/"}),
    "400 page": Says(400, b"<html>bad</html>"),
    "400 without a word": Says(400, {"error": {"code": 400}}),
    "temporarily_unavailable": Says(400, {"error": "temporarily_unavailable"}),
    "server_error": Says(400, {"error": "server_error"}),
    "internal_failure in words": Says(
        400, {"error": "invalid_grant", "error_description": "internal_failure"}
    ),
}


@pytest.mark.parametrize("says", TRANSIENT.values(), ids=TRANSIENT)
async def test_a_passing_fault_disconnects_nobody(*, says: Says) -> None:
    for call in (exchange, refresh):
        with pytest.raises(TryLater):
            await call(Provider(says))


async def test_a_busy_provider_says_when_to_come_back() -> None:
    with pytest.raises(TryLater) as caught:
        await refresh(Provider(Says(503, b"", {"Retry-After": "17"})))
    assert caught.value.delay == 17


async def test_a_refusal_means_what_the_provider_says_it_means() -> None:
    body = {"error": "invalid_grant", "error_description": "canary-refresh is dead"}
    with pytest.raises(ReconnectNeeded) as caught:
        await refresh(Provider(Says(400, body)))
    assert "canary" not in str(caught.value)
    with pytest.raises(Misconfigured):
        await refresh(Provider(Says(401, {"error": "invalid_client"})))


async def test_a_provider_that_cannot_be_reached_is_asked_again_later() -> None:
    http = HttpClient()
    async with Answering(lambda _: Says()) as server:
        spec = a_spec(server.url)
    with pytest.raises(TryLater) as caught:
        await oauth.refresh(spec, http, refresh_token=REFRESH, issuer=ISSUER)
    assert await oauth.revoke(spec, http, token=REFRESH) is False
    await http.close()
    assert "canary" not in f"{caught.value!r} {caught.value} {caught.value.details}"


@pytest.mark.parametrize(
    ("says", "gone"),
    [
        (Says(200), True),
        (Says(200, {}), True),
        (Says(400, {"error": "invalid_token", "error_description": "Token expired or revoked"}), True),
        (Says(400, {"error": "invalid_request"}), False),
        (Says(404), False),
        (Says(503), False),
    ],
)
async def test_a_revoked_or_dead_token_is_gone_and_anything_else_is_not_certain(
    *, says: Says, gone: bool
) -> None:
    http = HttpClient()
    async with Answering(lambda _: says) as server:
        assert await oauth.revoke(a_spec(server.url), http, token=REFRESH) is gone
        assert server.asked[0].method == "POST"
        assert server.asked[0].form == {"token": "canary-refresh"}
        await http.close()


async def test_a_provider_without_revocation_is_not_asked() -> None:
    http = HttpClient()
    assert await oauth.revoke(a_spec(revoke_url=None), http, token=REFRESH) is False
    await http.close()


async def test_signing_keys_are_fetched_once_for_many_connections() -> None:
    http = HttpClient()
    async with Answering(Provider()) as server:
        for _ in range(5):
            await oauth.exchange_code(
                a_spec(server.url),
                http,
                code=CODE,
                verifier=VERIFIER,
                redirect_uri=CALLBACK,
                nonce="our-nonce",
                now=NOW,
            )
        assert [asked.target for asked in server.asked].count("/keys") == 1
        await http.close()
