"""A message that survives one redirect: "Connected", "Draft deleted", "Tick the box". It has a cookie of its own."""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

from fastapi.responses import RedirectResponse, Response
from starlette.requests import Request

from replysequence.web.security import Cookies

Tone = Literal["good", "bad", "info"]

_SECONDS = 120
_LONGEST = 3500  # browsers keep 4096 bytes a cookie
_CUT = 200  # characters; each takes 16 bytes at most, as an escaped pair of surrogates in base64
_TONES: Final[Mapping[str, Tone]] = {"good": "good", "bad": "bad", "info": "info"}


@dataclass(frozen=True, slots=True)
class Notice:
    """``code`` names advice that the page has, ``details`` are texts for it. It never holds a secret."""

    tone: Tone
    text: str
    code: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


def go(path: str, *, cookies: Cookies, notice: Notice | None = None) -> Response:
    """Answer a form: 303 to ``path``, with a notice to show there."""
    response = RedirectResponse(path, status_code=303)
    if notice is not None:
        cookies.put(response, name=cookies.notice, value=_written(notice), seconds=_SECONDS)
    return response


def read(request: Request, *, cookies: Cookies) -> Notice | None:
    """The notice that this request brings, if it is one of ours and whole."""
    value = request.cookies.get(cookies.notice)
    return read_notice(value) if value else None


def read_notice(value: str) -> Notice | None:
    """The notice of a cookie's value; none when it is not one of ours, or damaged."""
    try:
        fields = json.loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
        return Notice(
            tone=_TONES[fields["tone"]],
            text=str(fields["text"]),
            code=str(fields["code"]),
            details={str(name): str(text) for name, text in fields["details"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _written(notice: Notice) -> str:
    text = base64.urlsafe_b64encode(json.dumps(asdict(notice)).encode()).decode().rstrip("=")
    if len(text) <= _LONGEST:
        return text
    return _written(Notice(tone=notice.tone, text=notice.text[:_CUT], code=notice.code))
