"""ReplySequence sends follow-up drafts from the address of the person who wrote them.

As a library: read the settings, open the parts, and use the same verbs that the pages and the API use.

    settings = read_settings(os.environ)
    prepare(settings)
    async with running(settings) as app:
        draft = await app.services.drafting.create(user_id, content=DraftContent(to=parse_addresses("a@b.example")))
        send, _ = await app.services.sending.accept(user_id, draft_id=draft.id)

A process that should also send runs ``app.worker.run()`` beside that.
"""

from replysequence._version import __version__
from replysequence.app import App, prepare, running
from replysequence.domain.address import Address, parse_address, parse_addresses
from replysequence.domain.connection import Connection, ConnectionStatus
from replysequence.domain.draft import AttachmentInfo, Draft, DraftContent
from replysequence.domain.errors import (
    Conflict,
    ConnectFailed,
    InvalidInput,
    NotAllowed,
    NotFound,
    NotSignedIn,
    ProviderError,
    ReplySequenceError,
    TooManyRequests,
)
from replysequence.domain.event import Event, Kind
from replysequence.domain.message import Attachment, Problem
from replysequence.domain.secret import Secret
from replysequence.domain.send import Attempt, Outcome, Route, Send, State, Verdict
from replysequence.services import Services
from replysequence.settings import ConfigError, Settings
from replysequence.settings import read as read_settings

__all__ = [
    "Address",
    "App",
    "Attachment",
    "AttachmentInfo",
    "Attempt",
    "ConfigError",
    "Conflict",
    "ConnectFailed",
    "Connection",
    "ConnectionStatus",
    "Draft",
    "DraftContent",
    "Event",
    "InvalidInput",
    "Kind",
    "NotAllowed",
    "NotFound",
    "NotSignedIn",
    "Outcome",
    "Problem",
    "ProviderError",
    "ReplySequenceError",
    "Route",
    "Secret",
    "Send",
    "Services",
    "Settings",
    "State",
    "TooManyRequests",
    "Verdict",
    "__version__",
    "parse_address",
    "parse_addresses",
    "prepare",
    "read_settings",
    "running",
]
