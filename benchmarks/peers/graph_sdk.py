"""msgraph-sdk: `me/sendMail` with its request models filled for each message, one client for all of them."""

import asyncio
import ssl
from typing import Any

import uvloop
from httpx import AsyncClient
from kiota_abstractions.authentication import AccessTokenProvider, AllowedHostsValidator
from kiota_abstractions.authentication.base_bearer_token_authentication_provider import (
    BaseBearerTokenAuthenticationProvider,
)
from msgraph.generated.models.body_type import BodyType
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.message import Message
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody
from msgraph.graph_request_adapter import GraphRequestAdapter, options
from msgraph.graph_service_client import GraphServiceClient
from msgraph_core import GraphClientFactory

from benchmarks.ledger import DRAFT
from benchmarks.peers.calling import Task, many


class KnownToken(AccessTokenProvider):
    """Gives Graph's client a token without asking anybody."""

    async def get_authorization_token(
        self,
        uri: str,  # noqa: ARG002 - kiota passes them
        additional_authentication_context: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> str:
        return "x"

    def get_allowed_hosts_validator(self) -> AllowedHostsValidator:
        return AllowedHostsValidator(["127.0.0.1"])


def client_of(task: Task) -> GraphServiceClient:
    """Microsoft's client with all its own middleware."""
    trusting = AsyncClient(verify=ssl.create_default_context(cafile=task.authority))
    http = GraphClientFactory.create_with_default_middleware(client=trusting, options=options)
    adapter = GraphRequestAdapter(BaseBearerTokenAuthenticationProvider(KnownToken()), client=http)
    adapter.base_url = f"{task.url}/v1.0"
    return GraphServiceClient(request_adapter=adapter)


def request() -> SendMailPostRequestBody:
    message = Message(
        subject=DRAFT.subject,
        body=ItemBody(content_type=BodyType.Html, content=DRAFT.html),
        to_recipients=[
            Recipient(email_address=EmailAddress(address=each.email, name=each.name)) for each in DRAFT.to
        ],
    )
    return SendMailPostRequestBody(message=message, save_to_sent_items=True)


async def run(task: Task) -> None:
    graph = client_of(task)

    async def call() -> None:
        await graph.me.send_mail.post(request())

    await many(call, count=task.count)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(Task.given()))
