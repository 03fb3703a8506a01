"""The pages, one file a subject. Every main action works as a plain form; scripts only add comfort."""

from fastapi import APIRouter

from replysequence.web.pages import (
    account,
    activity,
    api_keys,
    connecting,
    drafts,
    held,
    integrations,
    people,
    preview,
    reports,
    sends,
    signing_in,
)

ROUTERS: tuple[APIRouter, ...] = (
    signing_in.router,
    drafts.router,
    preview.router,
    held.router,
    reports.router,
    sends.router,
    activity.router,
    integrations.router,
    connecting.router,
    account.router,
    api_keys.router,
    people.router,
)
