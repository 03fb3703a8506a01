"""The list of drafts, and the editor."""

import secrets
from collections.abc import Mapping
from dataclasses import replace

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData, UploadFile

from replysequence.domain.connection import Connection
from replysequence.domain.draft import Draft
from replysequence.domain.errors import Conflict, InvalidInput
from replysequence.domain.event import Event
from replysequence.domain.send import Send, State
from replysequence.services import Services
from replysequence.services.drafting import MAX_TEXT, Preflight
from replysequence.services.signing_in import Person
from replysequence.web.api.attachments import read_upload
from replysequence.web.api.inputs import Cursor, DraftId
from replysequence.web.callers import AtABrowser, SignedIn, TheCookies, TheServices
from replysequence.web.notices import Notice, go
from replysequence.web.pages import later
from replysequence.web.pages.draft_form import DraftForm
from replysequence.web.rendering import render, render_part

router = APIRouter(include_in_schema=False)

MAY_BE_SENT_AGAIN = frozenset({State.FAILED, State.CANCELLED, State.SETTLED_NOT_SENT})
_FIELD_BYTES = 4 * MAX_TEXT  # in UTF-8
_MOST_FIELDS = 40


@router.get("/drafts")
async def list_drafts(
    request: Request, services: TheServices, caller: SignedIn, before: Cursor = None
) -> Response:
    page = await services.drafting.list(caller.id, before=before, limit=30)
    mailboxes = await _mailboxes(services, caller.id) if not page.items else ()
    return render(request, "drafts.html", page=page, first=before is None, connected=bool(mailboxes))


@router.get("/drafts/new")
async def new(request: Request, services: TheServices, caller: AtABrowser) -> Response:
    return await _editor(request, services, caller.person, form=DraftForm())


@router.post("/drafts")
async def create(
    request: Request, services: TheServices, cookies: TheCookies, caller: AtABrowser
) -> Response:
    async with request.form(max_fields=_MOST_FIELDS, max_part_size=_FIELD_BYTES) as posted:
        form = DraftForm.of_form(posted)
        reading = form.read()
        if reading.faults:
            return await _editor(
                request,
                services,
                caller.person,
                form=form,
                faults=reading.faults,
                status=422,
            )
        try:
            draft = await services.drafting.create(caller.id, content=reading.content)
        except InvalidInput as error:
            faults = {error.field: error.message}
            return await _editor(request, services, caller.person, form=form, faults=faults, status=422)
        return await _after_save(
            request, services, cookies, caller.person, form=form, draft=draft, posted=posted
        )


@router.get("/drafts/{draft_id}")
async def edit(draft_id: DraftId, request: Request, services: TheServices, caller: AtABrowser) -> Response:
    draft = await services.drafting.get(caller.id, draft_id=str(draft_id))
    return await _editor(request, services, caller.person, form=DraftForm.of_draft(draft), draft=draft)


@router.post("/drafts/{draft_id}")
async def save(
    draft_id: DraftId, request: Request, services: TheServices, cookies: TheCookies, caller: AtABrowser
) -> Response:
    """Save, and do what the pressed button says: nothing more, send, or take a file off."""
    async with request.form(max_fields=_MOST_FIELDS, max_part_size=_FIELD_BYTES) as posted:
        form = DraftForm.of_form(posted)
        draft = await services.drafting.get(caller.id, draft_id=str(draft_id))
        reading = form.read()
        faults = dict(reading.faults)
        if not faults:
            try:
                draft = await _kept(services, caller.id, draft=draft, form=form)
            except (Conflict, InvalidInput) as error:
                faults[error.field if isinstance(error, InvalidInput) else ""] = error.message
        if faults:
            return await _editor(
                request,
                services,
                caller.person,
                form=form,
                draft=draft,
                faults=faults,
                status=422,
            )
        return await _after_save(
            request, services, cookies, caller.person, form=form, draft=draft, posted=posted
        )


@router.post("/drafts/{draft_id}/autosave")
async def autosave(
    draft_id: DraftId, request: Request, services: TheServices, caller: AtABrowser
) -> Response:
    """The same while somebody types: answers with the parts of the page that change."""
    async with request.form(max_fields=_MOST_FIELDS, max_part_size=_FIELD_BYTES) as posted:
        form = DraftForm.of_form(posted)
    draft = await services.drafting.get(caller.id, draft_id=str(draft_id))
    fault = next(iter(form.read().faults.values()), None)
    if fault is None:
        try:
            draft = await _kept(services, caller.id, draft=draft, form=form)
        except (Conflict, InvalidInput) as error:
            fault = error.message
    latest = await _latest_send(services, caller.id, draft=draft)
    return render_part(
        request,
        "_saved.html",
        fault=fault,
        version=form.version if fault else str(draft.version),
        preflight=await services.drafting.preflight(caller.id, draft_id=draft.id),
        sendable=_may_be_sent(draft, latest=latest),
    )


@router.get("/drafts/{draft_id}/delete")
async def ask_to_delete(
    draft_id: DraftId, request: Request, services: TheServices, caller: AtABrowser
) -> Response:
    draft = await services.drafting.get(caller.id, draft_id=str(draft_id))
    return render(request, "draft_delete.html", draft=draft)


@router.post("/drafts/{draft_id}/delete")
async def delete(
    draft_id: DraftId, services: TheServices, cookies: TheCookies, caller: AtABrowser
) -> Response:
    try:
        await services.drafting.delete(caller.id, draft_id=str(draft_id))
    except Conflict as error:
        return go(f"/drafts/{draft_id}", cookies=cookies, notice=Notice("bad", error.message))
    return go("/drafts", cookies=cookies, notice=Notice("good", "The draft is deleted."))


async def _kept(services: Services, user_id: str, *, draft: Draft, form: DraftForm) -> Draft:
    """The draft with what was typed; what is there already is not written again: a second click is no conflict."""
    content = form.read().content
    if content == draft.content:
        return draft
    return await services.drafting.update(
        user_id, draft_id=draft.id, content=content, version=form.known_version
    )


async def _after_save(
    request: Request,
    services: Services,
    cookies: TheCookies,
    person: Person,
    *,
    form: DraftForm,
    draft: Draft,
    posted: FormData,
) -> Response:
    try:
        await _change_files(services, person.id, draft=draft, posted=posted)
        if not _is_sent(posted):
            return go(f"/drafts/{draft.id}", cookies=cookies, notice=Notice("good", "Saved."))
        draft = await services.drafting.get(person.id, draft_id=draft.id)
        time = later.chosen(form.send_at, person=person)
        send, _ = await services.sending.accept(
            person.id,
            draft_id=draft.id,
            version=draft.version,
            send_at=time.at if time else None,
            undo_seconds=person.undo_seconds,
            idempotency_key=_key(posted),
        )
    except (InvalidInput, Conflict) as error:
        draft = await services.drafting.get(person.id, draft_id=draft.id)
        return await _editor(
            request,
            services,
            person,
            form=replace(DraftForm.of_draft(draft), send_at=form.send_at),
            draft=draft,
            faults=_faults(error),
            status=422,
        )
    return go(f"/sends/{send.id}", cookies=cookies, notice=later.note(time, person=person) if time else None)


async def _change_files(services: Services, user_id: str, *, draft: Draft, posted: FormData) -> None:
    removed = posted.get("remove")
    if isinstance(removed, str) and any(file.id == removed for file in draft.attachments):
        await services.drafting.detach(user_id, draft_id=draft.id, attachment_id=removed)
    for file in posted.getlist("files"):
        if isinstance(file, UploadFile) and file.filename:
            attachment = await read_upload(file)
            await services.drafting.attach(user_id, draft_id=draft.id, attachment=attachment)


def _is_sent(posted: FormData) -> bool:
    """Whether the button that was pressed sends: at once, at the typed time, or at a suggested one."""
    return posted.get("action") == "send" or bool(posted.get("later"))


def _key(posted: FormData) -> str | None:
    typed = posted.get("idempotency_key")
    return (
        typed
        if isinstance(typed, str) and typed.isascii() and typed.isprintable() and 0 < len(typed) <= 256
        else None
    )


def _faults(error: InvalidInput | Conflict) -> dict[str, str]:
    if isinstance(error, Conflict):
        return {"": error.message}
    fields = error.details.get("fields")
    listed = {one["field"]: one["message"] for one in fields} if isinstance(fields, list) else {}
    return listed or {error.field: error.message}


async def _mailboxes(services: Services, user_id: str) -> tuple[Connection, ...]:
    found = await services.connecting.integrations(user_id)
    return tuple(
        connection
        for category, cards in found
        if category.value == "email"
        for card in cards
        for connection in card.connections
    )


async def _latest_send(services: Services, user_id: str, *, draft: Draft) -> Send | None:
    found = await services.sending.list(user_id, draft_id=draft.id, limit=1)
    return found.items[0] if found.items else None


def _may_be_sent(draft: Draft | None, *, latest: Send | None) -> bool:
    """Whether this version is not already on its way or out."""
    if draft is None or latest is None or latest.draft_version != draft.version:
        return True
    return latest.state in MAY_BE_SENT_AGAIN


async def _editor(
    request: Request,
    services: Services,
    person: Person,
    *,
    form: DraftForm,
    draft: Draft | None = None,
    faults: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    preflight: Preflight | None = None
    latest: Send | None = None
    events: tuple[Event, ...] = ()
    if draft is not None:
        preflight = await services.drafting.preflight(person.id, draft_id=draft.id)
        latest = await _latest_send(services, person.id, draft=draft)
        events = tuple((await services.history.events(person.id, draft_id=draft.id, limit=30)).items)
    return render(
        request,
        "draft.html",
        status=status,
        draft=draft,
        form=form,
        faults=dict(faults or {}),
        mailboxes=await _mailboxes(services, person.id),
        preflight=preflight,
        latest=latest,
        sendable=_may_be_sent(draft, latest=latest),
        events=events,
        later=later.offered(person, typed=form.send_at),
        idempotency_key=secrets.token_urlsafe(18),
    )
