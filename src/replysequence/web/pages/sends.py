"""The list of sends, one send, and what a person can do about it."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request, Response

from replysequence.domain.errors import Conflict, InvalidInput, NotFound, TooManyRequests
from replysequence.domain.event import Kind
from replysequence.domain.send import Send, State, Verdict
from replysequence.services import Services
from replysequence.services.looking_up import Standing
from replysequence.web.api.inputs import Cursor, SendId
from replysequence.web.callers import AtABrowser, SignedIn, TheCookies, TheServices
from replysequence.web.notices import Notice, go
from replysequence.web.pages import later
from replysequence.web.pages.reports import titles_of
from replysequence.web.rendering import render, render_part

router = APIRouter(include_in_schema=False)

FILTERS: dict[str, tuple[State, ...]] = {
    "open": (State.QUEUED, State.WAITING, State.CLAIMED, State.SENDING),
    "unknown": (State.UNKNOWN,),
    "sent": (State.SENT, State.SETTLED_SENT),
    "failed": (State.FAILED, State.SETTLED_NOT_SENT, State.CANCELLED),
}
"""The tabs of the list, in order, and the states that each shows."""

LOOKED_FOR = frozenset({State.UNKNOWN, State.SENT, State.SETTLED_SENT})
"""States in which the message may be in the person's Sent folder."""

_LISTS = {"list": "/sends", "held": "/sends/held"}

NOT_SCHEDULED = "Its time can no longer be changed: it does not wait for its time."

Show = Literal["all", "open", "unknown", "sent", "failed"]
Then = Literal["send", "draft", "list", "held", ""]
Typed = Annotated[str, Form(max_length=100)]


@router.get("/sends")
async def list_sends(
    request: Request,
    services: TheServices,
    caller: SignedIn,
    before: Cursor = None,
    show: Annotated[Show, Query()] = "all",
) -> Response:
    page = await services.sending.list(caller.id, before=before, limit=30, states=FILTERS.get(show, ()))
    return render(request, "sends.html", page=page, show=show, shows=("all", *FILTERS), first=before is None)


@router.get("/sends/{send_id}")
async def read(send_id: SendId, request: Request, services: TheServices, caller: SignedIn) -> Response:
    send, sent_folder, looking = await _shown(services, caller.id, send_id=str(send_id))
    titles = titles_of(services)
    return render(request, "send.html", send=send, sent_folder=sent_folder, looking=looking, titles=titles)


@router.get("/sends/{send_id}/progress")
async def progress(send_id: SendId, request: Request, services: TheServices, caller: SignedIn) -> Response:
    """The part of the page that changes. It asks for itself again until nothing more can happen by itself."""
    send, sent_folder, looking = await _shown(services, caller.id, send_id=str(send_id))
    titles = titles_of(services)
    return render_part(
        request, "_send.html", send=send, sent_folder=sent_folder, looking=looking, titles=titles
    )


@router.get("/sends/{send_id}/line")
async def line(send_id: SendId, request: Request, services: TheServices, caller: SignedIn) -> Response:
    """The same for a line of the list."""
    send = await services.sending.get(caller.id, send_id=str(send_id))
    return render_part(request, "_send_line.html", send=send)


@router.post("/sends/{send_id}/cancel")
async def cancel(
    send_id: SendId,
    *,
    services: TheServices,
    cookies: TheCookies,
    caller: AtABrowser,
    then: Annotated[Then, Form()] = "send",
) -> Response:
    """``then`` is where to go: to the draft when the person wants to go on writing, or back to a list."""
    after = _LISTS.get(then, f"/sends/{send_id}")
    try:
        send = await services.sending.cancel(caller.id, send_id=str(send_id))
    except Conflict as error:
        return go(after, cookies=cookies, notice=Notice("bad", error.message))
    if then == "draft":
        notice = Notice("good", "Undone. Nothing was sent, and the draft is yours to change.")
        return go(f"/drafts/{send.draft_id}", cookies=cookies, notice=notice)
    return go(after, cookies=cookies, notice=Notice("good", "Cancelled. The message was not sent."))


@router.get("/sends/{send_id}/time")
async def ask_for_time(
    send_id: SendId, request: Request, services: TheServices, cookies: TheCookies, caller: AtABrowser
) -> Response:
    send = await services.sending.get(caller.id, send_id=str(send_id))
    if not send.is_scheduled:
        return go(f"/sends/{send_id}", cookies=cookies, notice=Notice("info", NOT_SCHEDULED))
    return render(request, "send_time.html", send=send, later=later.offered(caller.person), faults={})


@router.post("/sends/{send_id}/time")
async def change_time(
    send_id: SendId,
    *,
    request: Request,
    services: TheServices,
    cookies: TheCookies,
    caller: AtABrowser,
    action: Annotated[Literal["now", "later"], Form()] = "later",
    suggested: Annotated[str, Form(alias="later", max_length=100)] = "",
    send_at: Typed = "",
) -> Response:
    """Now, at a suggested time, or at the typed one."""
    typed = suggested or send_at
    send = await services.sending.get(caller.id, send_id=str(send_id))
    try:
        time = None if action == "now" else later.required(typed, person=caller.person)
        await services.sending.change_time(caller.id, send_id=str(send_id), send_at=time.at if time else None)
    except InvalidInput as error:
        offered = later.offered(caller.person, typed=typed)
        return render(
            request,
            "send_time.html",
            status=422,
            send=send,
            later=offered,
            faults={error.field: error.message},
        )
    except Conflict as error:
        return go(f"/sends/{send_id}", cookies=cookies, notice=Notice("bad", error.message))
    said = later.note(time, person=caller.person) if time else None
    changed = Notice("good", "The time is changed." if time else "It leaves now.")
    return go(f"/sends/{send_id}", cookies=cookies, notice=said or changed)


@router.post("/sends/{send_id}/settle")
async def settle(
    send_id: SendId,
    services: TheServices,
    cookies: TheCookies,
    caller: AtABrowser,
    answer: Annotated[Literal["sent", "not_sent", "again"], Form()],
) -> Response:
    """What the person found in their Sent folder; ``again`` is: not there, send it again."""
    # So that what is not there further down is the draft.
    await services.sending.get(caller.id, send_id=str(send_id))
    verdict = Verdict.SENT if answer == "sent" else Verdict.NOT_SENT
    try:
        settled = await services.settling.settle(
            caller.id, send_id=str(send_id), verdict=verdict, send_again=answer == "again"
        )
    except (Conflict, InvalidInput, NotFound) as error:
        notice = Notice("bad", f"Nothing was changed, and nothing was sent. {error.message}")
        return go(f"/sends/{send_id}", cookies=cookies, notice=notice)
    said = {
        "sent": "Noted as sent.",
        "not_sent": "Noted as not sent.",
        "again": "Noted as not sent. This is the new send.",
    }
    shown = settled.again or settled.send
    return go(f"/sends/{shown.id}", cookies=cookies, notice=Notice("good", said[answer]))


@router.post("/sends/{send_id}/look")
async def look(send_id: SendId, services: TheServices, cookies: TheCookies, caller: AtABrowser) -> Response:
    """Look in the Sent folder now."""
    try:
        send = await services.looking_up.look_now(caller.id, send_id=str(send_id))
        notice = _seen(send)
    except (Conflict, TooManyRequests) as error:
        notice = Notice("bad", error.message)
    return go(f"/sends/{send_id}", cookies=cookies, notice=notice)


def _seen(send: Send) -> Notice:
    if send.state is not State.UNKNOWN:
        return Notice("good", "It is there: the message was sent.")
    last = next((each for each in reversed(send.events) if each.kind is Kind.SEND_LOOKED_FOR), None)
    if last is None or "reason" in last.data:
        return Notice("info", "ReplySequence could not look just now. Nothing has changed.")
    return Notice("info", "It is not in your Sent folder yet. It can appear late.")


async def _shown(
    services: Services, user_id: str, *, send_id: str
) -> tuple[Send, str | None, Standing | None]:
    """A send, with a link to the Sent folder where a look there helps, and how our own looking stands."""
    send = await services.sending.get(user_id, send_id=send_id)
    link = None
    if send.state in LOOKED_FOR:
        link = await services.settling.sent_folder_url(user_id, send_id=send_id)
    return send, link, await services.looking_up.standing(user_id, send=send)
