"""The person at the browser, in plain HTTP: follows a sandbox's sign-in pages and presses their buttons."""

import http.client
from collections.abc import Collection
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

MOST_PAGES = 12
_AFFIRMATIVE = ("continue", "accept", "allow", "yes")
_NEGATIVE = ("cancel", "deny", "no")


class NoRedirectError(AssertionError):
    """The vendor ended on a page of its own instead of returning to the app. `text` is what the page says."""

    def __init__(self, url: str, text: str) -> None:
        super().__init__(f"{url} does not return to the app: {text}")
        self.url = url
        self.text = text


@dataclass
class _Control:
    name: str
    value: str
    kind: str
    checked: bool = False


@dataclass
class _Form:
    action: str
    method: str
    controls: list[_Control] = field(default_factory=list)

    def buttons(self) -> list[_Control]:
        return [control for control in self.controls if control.kind == "submit"]

    def fields(self, pressed: _Control | None, *, untick: Collection[str]) -> list[tuple[str, str]]:
        """What a browser would send, with `pressed` as the button and the boxes of `untick` cleared."""
        sent = [(c.name, c.value) for c in self.controls if c.kind == "hidden"]
        ticked = [c for c in self.controls if c.kind == "checkbox" and c.checked]
        sent += [(c.name, c.value) for c in ticked if not any(c.value.endswith(name) for name in untick)]
        return [*sent, (pressed.name, pressed.value)] if pressed and pressed.name else sent


class _Page(HTMLParser):
    """The forms and the visible text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[_Form] = []
        self._text: list[str] = []
        self.feed(html)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._text).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(_Form(given.get("action", ""), given.get("method", "get").lower()))
        elif tag in ("input", "button") and self.forms:
            usual = "submit" if tag == "button" else "text"
            self.forms[-1].controls.append(
                _Control(
                    given.get("name", ""),
                    given.get("value", "on" if given.get("type") == "checkbox" else ""),
                    given.get("type", usual).lower(),
                    "checked" in given,
                )
            )

    def handle_data(self, data: str) -> None:
        self._text.append(data)


def approve(authorize_url: str, *, account: str, untick: Collection[str] = ()) -> str:
    """Go through the sign-in pages as `account`, agree, and return the callback URL, not yet fetched.

    `untick` names scopes whose boxes are cleared, in full or by their end (`"gmail.send"`).
    Raises `NoRedirectError` when the vendor does not return to the app.
    """
    return _walk(authorize_url, account=account, wanted=_AFFIRMATIVE, untick=untick)


def cancel(authorize_url: str, *, account: str) -> str:
    """Go through the sign-in pages as `account`, press Cancel, and return the callback URL, not yet fetched.

    Raises `NoRedirectError` when the vendor does not return to the app.
    """
    return _walk(authorize_url, account=account, wanted=_NEGATIVE, untick=())


def _walk(start: str, *, account: str, wanted: Collection[str], untick: Collection[str]) -> str:
    sandbox, url = urlsplit(start).netloc, start
    body: str | None = None
    for _ in range(MOST_PAGES):
        location, page = _fetch(url, body)
        if location is not None:
            url, body = urljoin(url, location), None
            if urlsplit(url).netloc != sandbox:
                return url
            continue
        form, pressed = _choose(page, url=url, account=account, wanted=wanted)
        target, fields = urljoin(url, form.action or url), form.fields(pressed, untick=untick)
        if urlsplit(target).netloc != sandbox:
            return f"{target}?{urlencode(fields)}"
        url, body = (
            (target, urlencode(fields)) if form.method == "post" else (f"{target}?{urlencode(fields)}", None)
        )
    raise NoRedirectError(url, "the pages go round in circles")


def _choose(page: _Page, *, url: str, account: str, wanted: Collection[str]) -> tuple[_Form, _Control | None]:
    """The form to send and the button to press: the account, else the decision, else the only button."""
    offered = [(form, button) for form in page.forms for button in form.buttons()]
    for form, button in offered:
        if button.value.casefold() == account.casefold():
            return form, button
    for form, button in offered:
        if button.value.casefold() in wanted:
            return form, button
    if len(offered) != 1:
        raise NoRedirectError(url, page.text)
    return offered[0]


def _fetch(url: str, body: str | None) -> tuple[str | None, _Page]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        headers = {} if body is None else {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("GET" if body is None else "POST", target, body, headers)
        answer = connection.getresponse()
        return answer.getheader("Location"), _Page(answer.read().decode("utf-8", "replace"))
    finally:
        connection.close()
