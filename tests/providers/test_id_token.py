"""Only a true id_token proves who signed in; every forged one is refused in the same way."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import jwt
import pytest

from replysequence.domain.errors import ConnectFailed, Misconfigured, TryLater
from replysequence.domain.secret import Secret
from replysequence.providers.base import ConsentProblem, OAuthSpec
from replysequence.providers.http import HttpClient
from replysequence.providers.id_token import LEEWAY, MAX_KEY_SET, Keys, validate
from support.answering import Answering, Asked, Says
from support.issuing import TENANT, alices_claims, key_set, private_key, public_jwk, segment, signed

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
CLIENT_ID, NONCE = "our-client-id", "our-nonce"
ISSUER = "https://issuer.example"
TEMPLATE = "https://login.example/{tenantid}/v2.0"


def a_spec(
    jwks_url: str, *, issuer: str = ISSUER, other_issuers: tuple[str, ...] = ("issuer.example",)
) -> OAuthSpec:
    return OAuthSpec(
        client_id=CLIENT_ID,
        client_secret=Secret("canary-client-secret"),
        authorize_url="https://issuer.example/authorize",
        token_url="https://issuer.example/token",
        jwks_url=jwks_url,
        revoke_url=None,
        issuer=issuer,
        other_issuers=other_issuers,
        scopes=("openid",),
        required_scopes=frozenset(),
        connect_parameters=MappingProxyType({}),
        reconnect_parameters=MappingProxyType({}),
        canonical_scopes=lambda text: frozenset(text.split()),
        refused=lambda _: Misconfigured("refused"),
        turned_back=lambda _: ConsentProblem("provider_error", "turned back"),
    )


def claims(**changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "issuer": ISSUER,
        "client_id": CLIENT_ID,
        "nonce": NONCE,
        "now": NOW.timestamp(),
    }
    return alices_claims(**(settings | changes))


async def judge(token: str, *, spec: dict[str, Any] | None = None, keys: Any = None) -> Any:
    """The claims of `token`, or the error's code."""
    published = keys if keys is not None else key_set(public_jwk("key-1"))
    http = HttpClient()
    try:
        async with Answering(lambda _: Says(200, published)) as server:
            return await validate(
                token, spec=a_spec(server.url, **(spec or {})), http=http, nonce=NONCE, now=NOW
            )
    except ConnectFailed as failure:
        return failure.code
    finally:
        await http.close()


async def test_a_true_token_gives_its_claims() -> None:
    found = await judge(signed(claims()))

    assert found["sub"] == "alice-subject"
    assert found["email"] == "alice@acme.example"


@pytest.mark.parametrize("audience", [CLIENT_ID, [CLIENT_ID]])
async def test_the_audience_may_be_a_text_or_a_list_of_one(*, audience: object) -> None:
    assert (await judge(signed(claims(aud=audience, azp=CLIENT_ID))))["aud"] == audience


async def test_the_second_spelling_of_an_issuer_is_taken() -> None:
    assert (await judge(signed(claims(iss="issuer.example"))))["iss"] == "issuer.example"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"exp": NOW.timestamp() - LEEWAY + 1}, id="it expired just now"),
        pytest.param({"iat": NOW.timestamp() + LEEWAY - 1}, id="its clock is a little ahead"),
        pytest.param({"nbf": NOW.timestamp() + LEEWAY - 1}, id="it becomes valid in a moment"),
    ],
)
async def test_clocks_may_differ_by_two_minutes(*, changes: dict[str, Any]) -> None:
    assert (await judge(signed(claims(**changes))))["sub"] == "alice-subject"


def unsigned(header: dict[str, Any], body: Any = None, signature: str = "") -> str:
    return f"{segment(header)}.{segment(claims() if body is None else body)}.{signature}"


def signed_with_our_public_key_as_secret() -> str:
    """The classic confusion: the RSA public key, known to everybody, taken for an HMAC secret."""
    header, body = segment({"alg": "HS256", "kid": "key-1"}), segment(claims())
    published = json.dumps(public_jwk("key-1")).encode()
    algorithm = jwt.get_algorithm_by_name("HS256")
    signature = base64.urlsafe_b64encode(algorithm.sign(f"{header}.{body}".encode(), published)).decode()
    return f"{header}.{body}.{signature.rstrip('=')}"


def tampered(change: Callable[[list[str]], list[str]]) -> str:
    return ".".join(change(signed(claims()).split(".")))


def signed_bytes(payload: bytes) -> str:
    return jwt.PyJWS().encode(payload, private_key("key-1"), algorithm="RS256", headers={"kid": "key-1"})


def encrypted_looking() -> str:
    return f"{segment({'alg': 'RSA-OAEP', 'enc': 'A256GCM', 'kid': 'key-1'})}.a.b.c.d"


FORGED = {
    "it is unsigned": lambda: unsigned({"alg": "none", "kid": "key-1"}),
    "it is unsigned in capitals": lambda: unsigned({"alg": "NONE", "kid": "key-1"}),
    "it says RS256 and has no signature": lambda: unsigned({"alg": "RS256", "kid": "key-1"}),
    "it is an HMAC made with the public key": signed_with_our_public_key_as_secret,
    "it names no key": lambda: unsigned({"alg": "RS256"}, signature="c2ln"),
    "its key id is a number": lambda: unsigned({"alg": "RS256", "kid": 1}, signature="c2ln"),
    "its key id is another's": lambda: signed(claims(), kid="key-2"),
    "it was signed by another key of the same name": lambda: jwt.encode(
        claims(), private_key("key-2"), algorithm="RS256", headers={"kid": "key-1"}
    ),
    "it brings its own key": lambda: signed(claims(), kid="key-2", jwk=public_jwk("key-2")),
    "it has a critical header": lambda: signed(claims(), crit=["exp"], exp=1),
    "it was signed with PS256": lambda: jwt.encode(
        claims(), private_key("key-1"), algorithm="PS256", headers={"kid": "key-1"}
    ),
    "its claims were changed": lambda: tampered(lambda t: [t[0], segment(claims(sub="bob-subject")), t[2]]),
    "its signature was cut": lambda: tampered(lambda t: [t[0], t[1], t[2][:-8]]),
    "its signature is empty": lambda: tampered(lambda t: [t[0], t[1], ""]),
    "it has two parts": lambda: tampered(lambda t: t[:2]),
    "it has four parts": lambda: tampered(lambda t: [*t, "more"]),
    "it is encrypted": encrypted_looking,
    "it is no token at all": lambda: "{}",
    "it is empty": lambda: "",
    "its header is no JSON": lambda: f"{segment(b'nonsense')}.{segment(claims())}.c2ln",
    "its header nests without end": lambda: f"{segment(b'[' * 9000)}.{segment(claims())}.c2ln",
    "its claims are a list": lambda: signed_bytes(b"[]"),
    "its claims are no JSON": lambda: signed_bytes(b"nonsense"),
    "its claims nest without end": lambda: signed_bytes(b'{"a":' * 2000),
    "it is larger than any real one": lambda: signed(claims(name="x" * 17_000)),
    "it was made for another application": lambda: signed(claims(aud="another-client")),
    "it was made for several applications": lambda: signed(claims(aud=[CLIENT_ID, "another-client"])),
    "it was asked for by another application": lambda: signed(claims(azp="another-client")),
    "it names no application": lambda: signed(claims(aud=None)),
    "it answers another request": lambda: signed(claims(nonce="another-nonce")),
    "it answers no request": lambda: signed(claims(nonce=None)),
    "its nonce is a list": lambda: signed(claims(nonce=[NONCE])),
    "it has expired": lambda: signed(claims(exp=NOW.timestamp() - LEEWAY)),
    "it never expires": lambda: signed(claims(exp=None)),
    "its expiry is a text": lambda: signed(claims(exp="2099-01-01")),
    "its expiry is true": lambda: signed(claims(exp=True)),
    "its expiry is beyond all time": lambda: signed_bytes(
        json.dumps(claims()).encode().replace(b'"exp": ', b'"exp": 1e')
    ),
    "it is not valid yet": lambda: signed(claims(nbf=NOW.timestamp() + LEEWAY + 1)),
    "it was made in the future": lambda: signed(claims(iat=NOW.timestamp() + LEEWAY + 1)),
    "it does not say when it was made": lambda: signed(claims(iat=None)),
    "it does not say who signed in": lambda: signed(claims(sub=None)),
    "its subject is empty": lambda: signed(claims(sub="")),
    "its subject is a number": lambda: signed_bytes(json.dumps(claims(sub=7)).encode()),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_a_token_proves_nothing_when(*, forge: Callable[[], str]) -> None:
    assert await judge(forge()) == "identity_invalid"


@pytest.mark.parametrize(
    "issuer",
    ["https://attacker.example", "https://issuer.example/", "https://issuer.example.attacker.example", None],
)
async def test_a_token_of_another_issuer_is_refused(*, issuer: str | None) -> None:
    assert await judge(signed(claims(iss=issuer))) == "wrong_issuer"


AT_TENANT = TEMPLATE.replace("{tenantid}", TENANT)
OTHER_TENANT = "e0b6d3c8-94a7-4c1d-b2f6-83d5a7c9e155"


@pytest.mark.parametrize("key_issuer", [TEMPLATE, AT_TENANT, None])
async def test_an_issuer_template_takes_every_tenants_own_issuer(*, key_issuer: str | None) -> None:
    keys = key_set(public_jwk("key-1", issuer=key_issuer))
    spec = {"issuer": TEMPLATE, "other_issuers": ()}

    assert (await judge(signed(claims(iss=AT_TENANT)), spec=spec, keys=keys))["tid"] == TENANT


@pytest.mark.parametrize(
    ("changes", "key_issuer"),
    [
        pytest.param({"iss": TEMPLATE}, TEMPLATE, id="the template itself"),
        pytest.param({"iss": TEMPLATE, "tid": "{tenantid}"}, TEMPLATE, id="the template as the tenant"),
        pytest.param({"iss": AT_TENANT, "tid": OTHER_TENANT}, TEMPLATE, id="another tenant's token"),
        pytest.param({"iss": AT_TENANT, "tid": None}, TEMPLATE, id="no tenant"),
        pytest.param(
            {"iss": AT_TENANT}, TEMPLATE.replace("{tenantid}", OTHER_TENANT), id="a key of another tenant"
        ),
        pytest.param(
            {"iss": TEMPLATE.replace("{tenantid}", "a/../b"), "tid": "a/../b"},
            TEMPLATE,
            id="a tenant that is no GUID",
        ),
    ],
)
async def test_an_issuer_template_is_no_way_round_the_tenant(
    *, changes: dict[str, Any], key_issuer: str
) -> None:
    keys = key_set(public_jwk("key-1", issuer=key_issuer))

    assert await judge(
        signed(claims(**changes)), spec={"issuer": TEMPLATE, "other_issuers": ()}, keys=keys
    ) == ("wrong_issuer")


@pytest.mark.parametrize(
    "changes",
    [
        {"use": "enc"},
        {"alg": "RS512"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"n": "!"},
        {"n": None},
    ],
)
async def test_a_published_key_of_another_kind_is_passed_over(*, changes: dict[str, Any]) -> None:
    keys = key_set(public_jwk("key-1", **changes), public_jwk("key-2"))

    assert await judge(signed(claims()), keys=keys) == "identity_invalid"
    assert (await judge(signed(claims(), kid="key-2"), keys=keys))["sub"] == "alice-subject"


async def test_a_key_too_short_to_be_safe_is_passed_over() -> None:
    keys = key_set(public_jwk("short", bits=1024), public_jwk("key-1"))
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = signed(claims(), kid="short", bits=1024)

    assert await judge(token, keys=keys) == "identity_invalid"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Published:
    """A JWK set at a URL that may change, and counts how often it is fetched."""

    def __init__(self, *kids: str, cache_control: str = "public, max-age=1000, must-revalidate") -> None:
        self.kids = kids
        self.headers = {"Cache-Control": cache_control}
        self.fetched = 0

    def __call__(self, _: Asked) -> Says:
        self.fetched += 1
        return Says(200, key_set(*map(public_jwk, self.kids)), self.headers)


async def test_keys_are_kept_for_as_long_as_the_provider_says() -> None:
    clock, published, http = Clock(), Published("key-1"), HttpClient()
    keys = Keys(clock=clock)
    async with Answering(published) as server:
        for seconds in (0, 500, 499):
            clock.now += seconds
            assert await keys.find(http, server.url, "key-1")
        assert published.fetched == 1
        clock.now += 2
        assert await keys.find(http, server.url, "key-1")
        assert published.fetched == 2
        await http.close()


async def test_a_withdrawn_key_is_gone_once_the_set_is_fetched_again() -> None:
    clock, published, http = Clock(), Published("key-1"), HttpClient()
    keys = Keys(clock=clock)
    async with Answering(published) as server:
        assert await keys.find(http, server.url, "key-1")
        published.kids = ("key-2",)
        clock.now += 1001
        assert await keys.find(http, server.url, "key-1") is None
        await http.close()


async def test_an_unknown_key_id_fetches_again_at_most_once_a_minute() -> None:
    clock, published, http = Clock(), Published("key-1"), HttpClient()
    keys = Keys(clock=clock)
    async with Answering(published) as server:
        assert await keys.find(http, server.url, "key-1")
        for _ in range(50):
            clock.now += 1
            assert await keys.find(http, server.url, "made-up") is None
        assert published.fetched == 1
        published.kids = ("key-1", "key-2")
        clock.now += 10
        assert await keys.find(http, server.url, "key-2")
        assert published.fetched == 2
        await http.close()


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        ("", 3600),
        ("no-store", 3600),
        ("max-age=1", 300),
        ("max-age=99999999", 86_400),
        ("s-maxage=9, max-age=700", 700),
    ],
)
async def test_the_time_to_keep_keys_is_held_within_bounds(*, cache_control: str, seconds: int) -> None:
    clock, published, http = Clock(), Published("key-1", cache_control=cache_control), HttpClient()
    keys = Keys(clock=clock)
    async with Answering(published) as server:
        await keys.find(http, server.url, "key-1")
        clock.now += seconds - 1
        await keys.find(http, server.url, "key-1")
        assert published.fetched == 1
        clock.now += 1
        await keys.find(http, server.url, "key-1")
        assert published.fetched == 2
        await http.close()


@pytest.mark.parametrize(
    "says",
    [
        Says(500, {}),
        Says(200, b"<html>"),
        Says(200, {"keys": "none"}),
        Says(200, {"keys": []}),
        Says(200, b"[" * 200_000),
        Says(200, b'{"keys": [' + b" " * MAX_KEY_SET + b"]}"),
        Says(302, b"", {"Location": "https://attacker.example/"}),
    ],
    ids=["an error", "a page", "no list", "no keys", "endless nesting", "too much", "a redirect"],
)
async def test_without_keys_it_is_to_be_tried_again(*, says: Says) -> None:
    http = HttpClient()
    async with Answering(lambda _: says) as server:
        with pytest.raises(TryLater):
            await validate(signed(claims()), spec=a_spec(server.url), http=http, nonce=NONCE, now=NOW)
        await http.close()


async def test_time_is_judged_by_the_clock_that_is_given() -> None:
    token = signed(claims(now=NOW.timestamp() - 7200))
    http = HttpClient()
    async with Answering(lambda _: Says(200, key_set(public_jwk("key-1")))) as server:
        spec = a_spec(server.url)
        earlier = NOW - timedelta(hours=2)
        assert await validate(token, spec=spec, http=http, nonce=NONCE, now=earlier)
        with pytest.raises(ConnectFailed):
            await validate(token, spec=spec, http=http, nonce=NONCE, now=NOW)
        await http.close()
