"""Control routes of the Resend stand-in: the team's settings, and events on demand."""

from collections.abc import Mapping
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from replysequence.sandbox.resend_team import Manner, Signature
from replysequence.sandbox.resend_webhooks import SentEmail, Webhooks
from replysequence.sandbox.world import World


class Control:
    """`/_sandbox/resend/…`: JSON in, JSON out; 422 with the reason for what makes no sense."""

    def __init__(self, world: World, webhooks: Webhooks, emails: Mapping[str, SentEmail]) -> None:
        self._team = world.resend
        self._webhooks = webhooks
        self._emails = emails

    def routes(self) -> list[BaseRoute]:
        """The team, and its events."""
        return [
            Route("/_sandbox/resend/team", self.show_team, methods=["GET"]),
            Route("/_sandbox/resend/team", self.change_team, methods=["POST"]),
            Route("/_sandbox/resend/events", self.list_events, methods=["GET"]),
            Route("/_sandbox/resend/events", self.emit, methods=["POST"]),
        ]

    async def show_team(self, request: Request) -> Response:  # noqa: ARG002 - a route's signature
        """The team's settings."""
        return self._team_answer()

    async def change_team(self, request: Request) -> Response:
        """Change the settings that the body names."""
        try:
            self._team.change(await request.json())
        except ValueError as error:
            return _refuse(error)
        return self._team_answer()

    async def list_events(self, request: Request) -> Response:  # noqa: ARG002 - a route's signature
        """Every event so far, with the statuses that the app answered."""
        return JSONResponse(
            [
                {"id": delivery.id, "type": delivery.type, "answers": delivery.answers}
                for delivery in self._webhooks.deliveries
            ]
        )

    async def emit(self, request: Request) -> Response:
        """Post one event: `{"email_id", "type", "extra"?, "copies"?, "signature"?, "age_seconds"?}`."""
        try:
            wanted = await request.json()
            email = self._emails.get(wanted.get("email_id", ""))
            if email is None:
                raise ValueError("There is no email with this `email_id`.")
            delivery = self._webhooks.emit(
                wanted.get("type", ""),
                email,
                extra=wanted.get("extra"),
                manner=Manner(
                    copies=int(wanted.get("copies", 1)),
                    signature=Signature(wanted.get("signature", "right")),
                    age_seconds=int(wanted.get("age_seconds", 0)),
                ),
            )
        except ValueError as error:
            return _refuse(error)
        return JSONResponse({"id": delivery.id, "type": delivery.type}, 201)

    def _team_answer(self) -> Response:
        team = asdict(self._team)
        return JSONResponse(team | {"verified_domains": sorted(self._team.verified_domains)})


def _refuse(error: ValueError) -> Response:
    return JSONResponse({"error": {"code": "invalid", "message": str(error)}}, 422)
