"""What the Microsoft stand-in says about itself: OpenID discovery and the keys that sign its id_tokens.

Source: Microsoft identity platform, "OpenID Connect" and "Access tokens", checked 2026-11-22.
"""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from replysequence.sandbox import microsoft_errors as errors
from replysequence.sandbox.accounts import CONSUMERS_TENANT
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.microsoft_directory import SIGN_IN, Directory
from replysequence.sandbox.microsoft_errors import TokenRefused
from replysequence.sandbox.microsoft_token import answer, issuer, origin_of
from replysequence.sandbox.signing import SigningKey
from replysequence.sandbox.site import Site
from replysequence.sandbox.world import World

_CLAIMS = ["sub", "iss", "aud", "exp", "iat", "nonce", "preferred_username", "name", "tid", "ver", "email"]


class Metadata:
    """Discovery documents and signing keys. `keys` are by whether the account is personal."""

    def __init__(self, world: World, directory: Directory, keys: Mapping[bool, SigningKey]) -> None:
        self._clock = world.clock
        self._directory = directory
        self._keys = keys

    def routes(self, site: Site) -> list[BaseRoute]:
        """Discovery and keys of every tenant segment."""
        return [
            Route("/common/discovery/instance", self.instance, methods=["GET"]),
            Route("/{segment}/v2.0/.well-known/openid-configuration", self.discovery, methods=["GET"]),
            site.route("/{segment}/discovery/v2.0/keys", self.jwks, methods=["GET"], endpoint=Endpoint.KEYS),
        ]

    async def discovery(self, request: Request) -> Response:
        """The OpenID configuration; under a shared segment its issuer is a template, not a value."""
        segment, origin = request.path_params["segment"], origin_of(request)
        if not self._directory.knows(segment):
            refused = TokenRefused(errors.UNKNOWN_TENANT, segment=segment)
            return answer(errors.error_body(refused, now=self._clock.now(), origin=origin), status=400)
        tenant = self._directory.tenant_id(segment) or "{tenantid}"
        base = f"{origin}/{segment}"
        return JSONResponse(
            {
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "response_modes_supported": ["query", "fragment", "form_post"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["code"],
                "scopes_supported": sorted(SIGN_IN),
                "issuer": issuer(origin, tenant),
                "request_uri_parameter_supported": False,
                "userinfo_endpoint": f"{origin}/oidc/userinfo",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "claims_supported": _CLAIMS,
                "tenant_region_scope": None,
                "cloud_instance_name": "microsoftonline.com",
                "msgraph_host": "graph.microsoft.com",
            }
        )

    async def jwks(self, request: Request) -> Response:
        """Both keys; each names the issuer that it may sign for, one of them as a template."""
        origin = origin_of(request)
        issuers = {False: issuer(origin, "{tenantid}"), True: issuer(origin, CONSUMERS_TENANT)}
        keys = [key.jwk() | {"issuer": issuers[personal]} for personal, key in self._keys.items()]
        return JSONResponse({"keys": keys})

    async def instance(self, request: Request) -> Response:
        """Which hosts are this cloud: MSAL asks before it uses its cache."""
        hosts = ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"]
        return JSONResponse(
            {
                "tenant_discovery_endpoint": origin_of(request)
                + "/common/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [
                    {"preferred_network": hosts[0], "preferred_cache": hosts[1], "aliases": hosts},
                ],
            }
        )
