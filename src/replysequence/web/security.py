"""What every answer carries, which cookies there are, and what an unsafe request must prove."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response

from replysequence.domain.secret import Secret

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

PAGE_POLICY: Final = "; ".join(  # noqa: FLY002 - one directive a line
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "object-src 'none'",
    )
)
"""Nothing inline, nothing foreign. OAuth starts by a plain link, never by a form: some browsers apply ``form-action``
to the redirect that answers a form (CSP Level 3 leaves it to them, checked 2026-11-22)."""

PREVIEW_POLICY: Final = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'; "
    "base-uri 'none'; form-action 'none'; sandbox"
)
"""For the draft preview: its styles may be inline, nothing is fetched, nothing runs, and it has no origin."""

DOWNLOAD_POLICY: Final = "default-src 'none'; frame-ancestors 'none'; sandbox"
"""For files that somebody attached."""

_PERMISSIONS = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer",
        "autoplay",
        "camera",
        "display-capture",
        "encrypted-media",
        "fullscreen",
        "geolocation",
        "gyroscope",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "publickey-credentials-get",
        "screen-wake-lock",
        "usb",
        "xr-spatial-tracking",
    )
)

_TWO_YEARS = 63_072_000
_LOCAL_PATH = re.compile(r"/(?:[a-z0-9-]+/)*[a-z0-9-]*")


def response_headers(*, secure: bool) -> dict[str, str]:
    """The headers of every response that has none of its own; ``secure`` adds HSTS, for an https PUBLIC_URL."""
    headers = {
        "content-security-policy": PAGE_POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": _PERMISSIONS,
        "x-frame-options": "DENY",
        "cache-control": "no-store",
        "vary": "Cookie, Authorization, HX-Request, Sec-Fetch-Site",
    }
    if secure:
        headers["strict-transport-security"] = f"max-age={_TWO_YEARS}; includeSubDomains"
    return headers


def origin_of(url: str) -> str:
    """Scheme, host and port of ``url`` as a browser writes an ``Origin`` header."""
    parts = urlsplit(url)
    default_port = {"https": 443, "http": 80}.get(parts.scheme)
    port = "" if parts.port in {None, default_port} else f":{parts.port}"
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def comes_from_us(headers: Headers, *, origin: str) -> bool:
    """Whether a browser says that one of our own pages made this request.

    ``Sec-Fetch-Site`` decides where it is sent (Fetch Metadata; browsers send it to https and to loopback);
    otherwise the ``Origin`` header must be ours. With neither there is no proof.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return headers.get("origin") == origin


def local_path(text: str | None, *, otherwise: str) -> str:
    """Where to go after signing in: ``text`` when it is a plain path of this site, else ``otherwise``."""
    return text if text and len(text) <= 200 and _LOCAL_PATH.fullmatch(text) else otherwise


@dataclass(frozen=True, slots=True)
class Cookies:
    """Names and attributes of our cookies: ``__Host-`` and Secure over https, plain names on loopback http."""

    secure: bool

    @property
    def session(self) -> str:
        return self._named("session")

    @property
    def notice(self) -> str:
        return self._named("notice")

    def sign_in(self, response: Response, *, token: Secret, expires_at: datetime) -> None:
        """Give the browser its session. Lax, not Strict: the return from a provider's consent page needs it."""
        lifetime = int((expires_at - datetime.now(UTC)).total_seconds())
        self.put(response, name=self.session, value=token.reveal(), seconds=max(lifetime, 0))

    def sign_out(self, response: Response) -> None:
        """Take the session away, and whatever the browser kept of us."""
        self.drop(response, name=self.session)
        response.headers["Clear-Site-Data"] = '"cache", "cookies", "storage"'

    def put(self, response: Response, *, name: str, value: str, seconds: int) -> None:
        response.set_cookie(
            name, value, max_age=seconds, path="/", secure=self.secure, httponly=True, samesite="lax"
        )

    def drop(self, response: Response, *, name: str) -> None:
        response.delete_cookie(name, path="/", secure=self.secure, httponly=True, samesite="lax")

    def _named(self, name: str) -> str:
        return f"__Host-{name}" if self.secure else name
