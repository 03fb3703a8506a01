"""Templates to HTML: one environment, strict about names, escaping everything."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request

from replysequence.domain.address import Address
from replysequence.domain.connection import Connection
from replysequence.domain.report import CrmOptions
from replysequence.domain.wall_clock import zone
from replysequence.web import notices, times, words
from replysequence.web.callers import caller_or_none
from replysequence.web.security import Cookies
from replysequence.web.standing import broken_of, held_of

STATIC: Final = Path(str(files("replysequence.web").joinpath("static")))

_UNITS = ("bytes", "kB", "MB")


def render(request: Request, template: str, *, status: int = 200, **context: object) -> HTMLResponse:
    """A page. It shows the notice that the request brought, once."""
    cookies = cast(Cookies, request.app.state.cookies)
    notice = notices.read(request, cookies=cookies)
    html = _environment().get_template(template).render(_common(request), notice=notice, **context)
    response = HTMLResponse(html, status_code=status)
    if cookies.notice in request.cookies:
        cookies.drop(response, name=cookies.notice)
    return response


def render_part(request: Request, template: str, *, status: int = 200, **context: object) -> HTMLResponse:
    """A piece of a page, for a script that puts it in place."""
    html = _environment().get_template(template).render(_common(request), **context)
    return HTMLResponse(html, status_code=status)


def render_error(request: Request, *, status: int, code: str, message: str) -> str:
    """The page of an error."""
    title = words.ERROR_TITLES.get(status, "That did not work")
    return (
        _environment()
        .get_template("error.html")
        .render(_common(request), notice=None, status=status, title=title, code=code, message=message)
    )


@cache
def static_url(path: str) -> str:
    """The address of a file under ``static/``, with a mark of its content: browsers may keep it for ever."""
    mark = hashlib.sha256((STATIC / path).read_bytes()).hexdigest()[:12]
    return f"/static/{path}?v={mark}"


def _common(request: Request) -> dict[str, object]:
    caller = caller_or_none(request)
    person = caller.person if caller else None
    return {
        "person": person,
        "path": request.url.path,
        "zone": zone(person.time_zone if person else None),
        "now": datetime.now(UTC),
        "held": held_of(request),
        "broken_platforms": broken_of(request),
    }


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("replysequence.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"static": static_url, "words": words}
    environment.filters |= {"size": size, "people": people, "outward": outward, "crm_options": crm_options}
    environment.filters |= {"scopes": words.scopes_in_words, "reason": words.reason_in_words}
    environment.filters |= {each.__name__: each for each in (times.moment, times.exactly, times.about)}
    environment.filters |= {"seconds_left": times.seconds_left}
    return environment


def outward(url: str | None) -> str:
    """``url`` where a page may link to it, another site or one on this machine; else nothing."""
    parts = urlsplit(url or "")
    here = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    return (
        url or "" if parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and here)) else ""
    )


def crm_options(connection: Connection) -> CrmOptions:
    """What the owner of a CRM connection chose."""
    return CrmOptions.of(connection.options)


def size(count: int) -> str:
    """A number of bytes as people read it: ``512 bytes``, ``3.4 MB``."""
    amount = float(count)
    for unit in _UNITS[:-1]:
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} {_UNITS[-1]}"


def people(addresses: Sequence[Address], *, most: int = 3) -> Markup:
    """Names or addresses, shortened: ``Ann, Bo, Cy and 4 more``."""
    shown = [
        Markup('<span title="{}">{}</span>').format(one.email, one.name or one.email)
        for one in addresses[:most]
    ]
    more = len(addresses) - most
    return Markup(", ").join(shown) + (escape(f" and {more} more") if more > 0 else "")
