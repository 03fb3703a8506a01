"""The web application of the textbook stack: it keeps a send, hands it to Gmail, and keeps what became of it."""

import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime, make_msgid
from typing import Annotated, Any
from uuid import UUID

from bs4 import BeautifulSoup
from cryptography.fernet import Fernet
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from httpx import AsyncClient, HTTPError
from pydantic import BaseModel, ConfigDict
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from benchmarks.textbook.models import Base, Draft, Event, Send, User

GMAIL_URL = os.environ["GMAIL_API_URL"]
VAULT = Fernet(os.environ["TEXTBOOK_KEY"])

engine = create_async_engine(os.environ["TEXTBOOK_DATABASE_URL"])
sessions = async_sessionmaker(engine, expire_on_commit=False)


@event.listens_for(engine.sync_engine, "connect")
def _prepare(connection: Any, _record: object) -> None:
    """As durable as ours, and with readers that do not wait for the writer."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA busy_timeout = 10000")
    cursor.close()


class SendRequest(BaseModel):
    draft_id: UUID


class SendAnswer(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    draft_id: UUID
    state: str
    provider_message_id: str | None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncClient(base_url=GMAIL_URL, timeout=60) as client:
        app.state.client = client
        yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def session() -> AsyncIterator[AsyncSession]:
    async with sessions() as opened:
        yield opened


TheSession = Annotated[AsyncSession, Depends(session)]


async def caller(
    database: TheSession, given: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]
) -> User:
    key_hash = hashlib.sha256(given.credentials.encode()).hexdigest()
    user = await database.scalar(select(User).where(User.api_key_hash == key_hash))
    if user is None:
        raise HTTPException(401, "This key is not known.")
    return user


@app.post("/api/drafts/send")
async def send(
    body: SendRequest, request: Request, database: TheSession, user: Annotated[User, Depends(caller)]
) -> SendAnswer:
    draft = await database.scalar(select(Draft).where(Draft.id == body.draft_id, Draft.user_id == user.id))
    if draft is None:
        raise HTTPException(404, "There is no such draft.")
    kept = Send(draft_id=draft.id, user_id=user.id, state="sending")
    database.add(kept)
    await database.flush()
    database.add(Event(send_id=kept.id, kind="send.accepted"))
    await database.commit()
    client: AsyncClient = request.app.state.client
    token = VAULT.decrypt(user.mailbox.access_token_encrypted).decode()
    try:
        answer = await client.post(
            "/gmail/v1/users/me/messages/send",
            headers={"Authorization": f"Bearer {token}"},
            json={"raw": base64.urlsafe_b64encode(build(draft, kept, user)).decode()},
        )
        answer.raise_for_status()
    except HTTPError:
        kept.state = "failed"
    else:
        kept.state = "sent"
        kept.provider_message_id = answer.json()["id"]
    database.add(Event(send_id=kept.id, kind=f"send.{kept.state}"))
    await database.commit()
    return SendAnswer.model_validate(kept)


def build(draft: Draft, kept: Send, user: User) -> bytes:
    """The message as the standard library writes it."""
    message = EmailMessage(policy=SMTP)
    message["From"] = _address(user.name, user.mailbox.email)
    message["To"] = [_address(name, email) for name, email in json.loads(draft.recipients)]
    message["Subject"] = draft.subject
    message["Date"] = localtime()
    message["Message-ID"] = make_msgid(domain=user.mailbox.email.rpartition("@")[2])
    message["X-Send-Id"] = str(kept.id)
    message.set_content(BeautifulSoup(draft.html, "html.parser").get_text())
    message.add_alternative(draft.html, subtype="html")
    return message.as_bytes()


def _address(name: str, email: str) -> Address:
    return Address(name, addr_spec=email)
