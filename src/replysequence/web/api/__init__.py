"""The JSON API, one file a subject. Paths stand written out in full, so that they can be found."""

from fastapi import APIRouter

from replysequence.web.api import (
    attachments,
    auth,
    drafts,
    events,
    health,
    integrations,
    reports,
    sends,
    webhooks,
)

ROUTERS: tuple[APIRouter, ...] = (
    auth.router,
    integrations.router,
    sends.router,
    drafts.router,
    attachments.router,
    events.router,
    reports.router,
    webhooks.router,
    health.router,
)
