"""Settings → API keys."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from replysequence.domain.characters import unprintable
from replysequence.domain.errors import InvalidInput
from replysequence.web.api.inputs import Uuid
from replysequence.web.callers import AtABrowser, TheCookies, TheServices
from replysequence.web.notices import Notice, go
from replysequence.web.rendering import render

router = APIRouter(include_in_schema=False)

API_KEYS = "/settings/api-keys"


@router.get(API_KEYS)
async def api_keys(request: Request, services: TheServices, caller: AtABrowser) -> Response:
    keys = await services.signing_in.api_keys(caller.id)
    return render(
        request, "api_keys.html", keys=keys, made=None, name="", fault=None, public_url=services.public_url
    )


@router.post(API_KEYS)
async def create(
    request: Request,
    services: TheServices,
    caller: AtABrowser,
    name: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """The key is shown on this answer, and never again: only its hash is stored."""
    made, fault, status = None, None, 201
    try:
        if unprintable(name):
            raise InvalidInput("name", "The name holds a character that cannot be used.")
        _, secret = await services.signing_in.create_api_key(caller.id, name=name.strip())
        made, name = secret.reveal(), ""
    except InvalidInput as error:
        fault, status = error.message, 422
    keys = await services.signing_in.api_keys(caller.id)
    return render(
        request,
        "api_keys.html",
        status=status,
        keys=keys,
        made=made,
        name=name,
        fault=fault,
        public_url=services.public_url,
    )


@router.post("/settings/api-keys/{key_id}/revoke")
async def revoke(key_id: Uuid, services: TheServices, cookies: TheCookies, caller: AtABrowser) -> Response:
    await services.signing_in.revoke_api_key(caller.id, key_id=str(key_id))
    notice = Notice("good", "The key is revoked. Programs that used it are locked out from now on.")
    return go(API_KEYS, cookies=cookies, notice=notice)
