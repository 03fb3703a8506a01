"""The sandbox's own pages: what recipients see, the fault menu, people and time. Plain forms, no script."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from replysequence.sandbox.accounts import CRMS, Account, Vendor
from replysequence.sandbox.actions import ACTIONS, act, switch
from replysequence.sandbox.calendar_pages import CalendarPages
from replysequence.sandbox.crm_pages import tenants
from replysequence.sandbox.faults import MENU, Endpoint, Fault, Kind
from replysequence.sandbox.lags import lag_of
from replysequence.sandbox.mailbox import ReceivedMail, open_mail
from replysequence.sandbox.rendering import STATIC, page, redirect
from replysequence.sandbox.site import Handler, StandIn
from replysequence.sandbox.world import Message, World

_COMPANY: Final = {
    Vendor.GOOGLE: "Google",
    Vendor.MICROSOFT: "Microsoft",
    Vendor.RESEND: "Resend",
    Vendor.HUBSPOT: "HubSpot",
    Vendor.SALESFORCE: "Salesforce",
    Vendor.ZOOM: "Zoom",
}
VIA: Final = _COMPANY | {Vendor.GOOGLE: "Gmail", Vendor.MICROSOFT: "Outlook"}
_WHERE: Final = (
    (Endpoint.SEND, "When a message is sent"),
    (Endpoint.LOOK_UP, "When the app looks in the Sent folder"),
    (Endpoint.CALENDAR, "When the app reads the calendar"),
    (Endpoint.MEETINGS, "When the app asks about meetings that were held"),
    (Endpoint.LOG, "When a record is written"),
    (Endpoint.FIND, "When records are read or searched"),
    (Endpoint.TOKEN, "When tokens are issued or refreshed"),
    (Endpoint.AUTHORIZE, "On the sign-in page"),
    (Endpoint.USERINFO, "When the app asks who somebody is"),
    (Endpoint.KEYS, "When the app fetches the signing keys"),
    (Endpoint.REVOKE, "When access is revoked"),
)
_STEPS: Final = (
    (3600, "one hour"),
    (86400, "one day"),
    (7 * 86400, "one week"),
    (184 * 86400, "half a year"),
)
_LAGS: Final = (
    (0, "at once"),
    (3, "after 3 seconds"),
    (60, "after a minute"),
    (180, "after 3 minutes"),
    (600, "after 10 minutes"),
)
_MAIL_POLICY: Final = (
    "sandbox allow-popups; default-src 'none'; img-src data: http: https:; style-src 'unsafe-inline'; "
    "font-src data:; frame-ancestors 'self'"
)


def routes(world: World, stand_ins: Mapping[Vendor, StandIn]) -> list[BaseRoute]:
    """Every page."""
    pages = _Pages(world, stand_ins)
    gets: tuple[tuple[str, Handler], ...] = (
        ("/", pages.mailboxes),
        ("/mailbox/{address}", pages.mailbox),
        ("/sent/{address}", pages.sent),
        # The paths at which the vendors' own mail programs show somebody's Sent folder.
        ("/mail/", pages.web_mail),
        ("/mail/sentitems", pages.web_mail),
        ("/mail/0/sentitems", pages.web_mail),
        ("/messages/{id}", pages.message),
        ("/messages/{id}/html", pages.html),
        ("/messages/{id}/files/{number:int}", pages.file),
        ("/faults", pages.faults),
        ("/people", pages.people),
    )
    posts: tuple[tuple[str, Handler], ...] = (
        ("/faults", pages.arm),
        ("/faults/remove", pages.disarm),
        ("/faults/lag", pages.delay),
        ("/people", pages.switch),
        ("/people/do", pages.do),
        ("/people/clock", pages.advance),
    )
    return [
        Mount("/_sandbox/static", StaticFiles(directory=STATIC)),
        *(Route(path, handler, methods=["GET"]) for path, handler in gets),
        *(Route(path, _same_origin(handler), methods=["POST"]) for path, handler in posts),
        *CalendarPages(world).routes(),
    ]


def _same_origin(handler: Handler) -> Handler:
    """A form that another site's page sends from the person's browser is refused."""

    async def checked(request: Request) -> Response:
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return PlainTextResponse("This form belongs to another site.", 403)
        return await handler(request)

    return checked


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))


def _not_found() -> Response:
    return PlainTextResponse("There is no such message here.", 404)


class _Pages:
    def __init__(self, world: World, stand_ins: Mapping[Vendor, StandIn]) -> None:
        self._world = world
        self._stand_ins = stand_ins

    async def mailboxes(self, _: Request) -> Response:
        senders = Counter(message.account for message in self._world.messages.values() if message.in_sent)
        return page(
            "mailboxes.html",
            here="mail",
            mailboxes=self._world.mailboxes(),
            senders=senders,
            tenants=tenants(self._world),
        )

    async def mailbox(self, request: Request) -> Response:
        address = request.path_params["address"]
        rows = [(message, open_mail(message.delivered)) for message in self._world.inbox(address)]
        return page("mailbox.html", here="mail", address=address, rows=rows, sent=False, via=VIA)

    async def sent(self, request: Request) -> Response:
        address = request.path_params["address"]
        rows = [(message, open_mail(message.sent_copy)) for message in self._world.sent_by(address)]
        return page("mailbox.html", here="mail", address=address, rows=rows, sent=True, via=VIA)

    async def web_mail(self, request: Request) -> Response:
        """Where a link to the vendor's web mail leads: the person's Sent folder, if the link says whose."""
        asked = request.query_params
        address = asked.get("authuser") or asked.get("login_hint")
        return redirect(f"/sent/{quote(address)}" if address else "/")

    def _opened(self, request: Request) -> tuple[Message, ReceivedMail, bool] | None:
        message = self._world.messages.get(request.path_params["id"])
        if message is None:
            return None
        sent = request.query_params.get("copy") == "sent" and message.in_sent
        return message, open_mail(message.sent_copy if sent else message.delivered), sent

    async def message(self, request: Request) -> Response:
        opened = self._opened(request)
        if opened is None:
            return _not_found()
        message, mail, sent = opened
        tabs = [("details", "Details"), ("headers", "Headers")]
        if mail.text is not None:
            tabs.insert(0, ("text", "Plain text"))
        if mail.html is not None:
            tabs.insert(0, ("html", "Message"))
        view = request.query_params.get("view", tabs[0][0])
        return page(
            "message.html",
            here="mail",
            message=message,
            mail=mail,
            sent=sent,
            tabs=tabs,
            view=view if view in dict(tabs) else tabs[0][0],
            files=[(n, file) for n, file in enumerate(mail.attachments) if not file.content_id],
            via=VIA,
        )

    async def html(self, request: Request) -> Response:
        """The HTML part alone, for the frame: no script, links open outside."""
        opened = self._opened(request)
        if opened is None:
            return _not_found()
        body = '<!doctype html><base target="_blank">' + opened[1].html_with_pictures()
        headers = {"Content-Security-Policy": _MAIL_POLICY, "Referrer-Policy": "no-referrer"}
        return Response(body, media_type="text/html; charset=utf-8", headers=headers)

    async def file(self, request: Request) -> Response:
        opened = self._opened(request)
        number = request.path_params["number"]
        if opened is None or number >= len(opened[1].attachments):
            return _not_found()
        file = opened[1].attachments[number]
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.filename, safe='')}",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(file.content, media_type="application/octet-stream", headers=headers)

    async def faults(self, _: Request) -> Response:
        return self._faults_page()

    def _faults_page(self, problem: str = "") -> Response:
        return page(
            "faults.html",
            status=400 if problem else 200,
            here="faults",
            problem=problem,
            armed=[(fault, sentence(fault), how_often(fault)) for fault in self._world.faults],
            vendors=[
                (vendor, _COMPANY[vendor], [pair for pair in _WHERE if pair[0] in stand_in.endpoints])
                for vendor, stand_in in self._stand_ins.items()
            ],
            menu=list(MENU.values()),
            words_at=words_at,
            speakers={(vendor, where): _speaker(vendor, where) for vendor in Vendor for where in Endpoint},
            accounts=list(self._world.accounts),
            lags=_LAGS,
            lag_of={
                vendor: lag
                for vendor, stand_in in self._stand_ins.items()
                if (lag := lag_of(self._world, stand_in))
            },
        )

    async def delay(self, request: Request) -> Response:
        form = await _form(request)
        try:
            lag = lag_of(self._world, self._stand_ins[Vendor(form.get("vendor", ""))])
            seconds = float(form.get("seconds", ""))
            if lag is None or not 0 <= seconds <= _LAGS[-1][0]:
                raise ValueError("What can lag does so by ten minutes at most here.")
        except ValueError as error:
            return self._faults_page(str(error))
        lag.set(seconds)
        return redirect("/faults")

    async def arm(self, request: Request) -> Response:
        form = await _form(request)
        where, _, kind = form.get("what", "").partition(":")
        try:
            fault = Fault(
                kind=kind,
                vendor=Vendor(form.get("vendor", "")),
                endpoint=Endpoint(where),
                account=form.get("account") or None,
                count=int(form["count"]) if form.get("count") else None,
                delay_seconds=float(form.get("delay_seconds") or 30),
            )
            self._stand_ins[fault.vendor].arm(fault)
        except ValueError as error:
            return self._faults_page(str(error))
        return redirect("/faults")

    async def disarm(self, request: Request) -> Response:
        wanted = (await _form(request)).get("id", "")
        self._world.faults.clear(int(wanted) if wanted.isdigit() else None)
        return redirect("/faults")

    async def people(self, _: Request) -> Response:
        return self._people_page()

    def _people_page(self, problem: str = "") -> Response:
        ahead = self._world.clock.ahead_seconds
        return page(
            "people.html",
            status=400 if problem else 200,
            here="people",
            problem=problem,
            now=self._world.clock.now(),
            ahead=str(timedelta(seconds=round(ahead))) if ahead else "",
            steps=_STEPS,
            people=[
                (account, self._tables(account))
                for account in self._world.accounts
                if account.vendor in self._stand_ins
            ],
            actions=ACTIONS,
            via=VIA,
        )

    def _tables(self, account: Account) -> list[tuple[str, str, Mapping[str, str], str]]:
        site, switches = self._stand_ins[account.vendor].site, account.switches
        tables = [
            ("at_consent", "On the sign-in page", site.consent_failures, switches.at_consent),
            ("at_token", "When access is refreshed", site.token_failures, switches.at_token),
            (
                "at_send",
                "When a record is written" if account.vendor in CRMS else "When a message is sent",
                site.send_failures,
                switches.at_send,
            ),
        ]
        return [row for row in tables if row[2]]

    def _account(self, form: Mapping[str, str]) -> Account:
        account = self._world.accounts.find(Vendor(form.get("vendor", "")), form.get("email", ""))
        if account is None:
            raise ValueError("There is no such account.")
        return account

    async def switch(self, request: Request) -> Response:
        form = await _form(request)
        changes = {name: form.get(name, "") for name in ("at_consent", "at_token", "at_send")}
        try:
            account = self._account(form)
            switch(
                account,
                {**changes, "unverified_app": "unverified_app" in form},
                site=self._stand_ins[account.vendor].site,
            )
        except ValueError as error:
            return self._people_page(str(error))
        return redirect("/people")

    async def do(self, request: Request) -> Response:
        form = await _form(request)
        try:
            act(self._world, self._account(form), form.get("action", ""))
        except ValueError as error:
            return self._people_page(str(error))
        return redirect("/people")

    async def advance(self, request: Request) -> Response:
        try:
            self._world.clock.advance(float((await _form(request)).get("advance_seconds", "")))
        except (ValueError, OverflowError) as error:
            return self._people_page(str(error))
        return redirect("/people")


def _speaker(vendor: Vendor, endpoint: Endpoint) -> str:
    return VIA[vendor] if endpoint in (Endpoint.SEND, Endpoint.LOOK_UP) else _COMPANY[vendor]


def words_at(kind: Kind, endpoint: Endpoint) -> str:
    """The words of a line of the menu; what a CRM accepts is a record."""
    return kind.words.replace("the message", "the record") if endpoint is Endpoint.LOG else kind.words


def sentence(fault: Fault) -> str:
    """What is about to happen, in plain words."""
    words = words_at(fault.menu, fault.endpoint)
    if fault.count == 1:
        words = words.replace("accepts the ", "accepts the next ", 1)
    whom = f", for {fault.account}" if fault.account else ""
    return f"{_speaker(fault.vendor, fault.endpoint)} {words}{whom}."


def how_often(fault: Fault) -> str:
    """How often it strikes, in plain words."""
    times = "until removed" if fault.count is None else "once" if fault.count == 1 else f"{fault.count} times"
    return times if fault.probability >= 1 else f"{times}, {fault.probability:.0%} of requests"
