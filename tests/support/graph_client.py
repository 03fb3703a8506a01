"""Microsoft's own Graph client, led to a sandbox."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from httpx import AsyncClient, AsyncHTTPTransport
from kiota_abstractions.authentication import AccessTokenProvider, AllowedHostsValidator
from kiota_abstractions.authentication.base_bearer_token_authentication_provider import (
    BaseBearerTokenAuthenticationProvider,
)
from msgraph.graph_request_adapter import GraphRequestAdapter, options
from msgraph.graph_service_client import GraphServiceClient
from msgraph_core import GraphClientFactory

from replysequence.sandbox.running import RunningSandbox


class KnownToken(AccessTokenProvider):
    """Gives Graph's client the token that we have."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def get_authorization_token(
        self, uri: str, additional_authentication_context: dict[str, Any] | None = None
    ) -> str:
        return self._token

    def get_allowed_hosts_validator(self) -> AllowedHostsValidator:
        return AllowedHostsValidator(["127.0.0.1"])


@asynccontextmanager
async def graph_http() -> AsyncIterator[AsyncClient]:
    """An HTTP client with all the middleware of Graph's SDK, which forgets to close what it wraps."""
    async with AsyncHTTPTransport() as transport:
        client = AsyncClient(transport=transport)
        yield GraphClientFactory.create_with_default_middleware(client=client, options=options)


def graph_of(box: RunningSandbox, token: str, http: AsyncClient) -> GraphServiceClient:
    """Microsoft's Graph client, led to the sandbox."""
    provider = BaseBearerTokenAuthenticationProvider(KnownToken(token))
    adapter = GraphRequestAdapter(provider, client=http)
    adapter.base_url = box.environment["GRAPH_API_URL"]
    return GraphServiceClient(request_adapter=adapter)
