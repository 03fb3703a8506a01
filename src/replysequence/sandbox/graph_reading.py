"""What Graph finds in a mail folder: `$filter`, `$select`, `$expand` and `$top` of "List messages".

Source: Microsoft Graph "List messages" and "Get singleValueLegacyExtendedProperty", checked 2026-11-22. The headers
of a message in Sent Items are not to be had: microsoft-graph-docs#2716 and #18761, msgraph-sdk-dotnet#3025.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from starlette.requests import Request

from replysequence.sandbox.credentials import AccessToken
from replysequence.sandbox.graph_message import GraphRefusal
from replysequence.sandbox.headers import header_values
from replysequence.sandbox.world import Message

MAY_READ: Final = ("Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite")
_MAY_READ_ALL: Final = frozenset(MAY_READ[1:])
"""Without one of these, extended properties are not shown and not searched (permissions reference)."""
_SENT: Final = "sentitems"
_DEFAULT_TOP, _MOST = 10, 1000
_HEADER_PROPERTY: Final = re.compile(
    r"string \{00020386-0000-0000-c000-000000000046\} name (\S+)", re.IGNORECASE
)
"""A header as a named property of PS_INTERNET_HEADERS ([MS-OXCMAIL] 2.2.3.2.29)."""
_PROPERTY_FILTER: Final = re.compile(
    r"singleValueExtendedProperties/any\((\w+):\s*\1/id eq '((?:[^']|'')+)' and \1/value eq '((?:[^']|'')*)'\)",
    re.IGNORECASE,
)
_MESSAGE_ID_FILTER: Final = re.compile(r"internetMessageId eq '((?:[^']|'')+)'", re.IGNORECASE)
_EXPAND: Final = re.compile(
    r"singleValueExtendedProperties\(\$filter=id eq '((?:[^']|'')+)'\)", re.IGNORECASE
)


def find(request: Request, token: AccessToken, sent: Sequence[Message]) -> dict[str, Any]:
    """The page of `sent` that the request asks for. Raises GraphRefusal."""
    asked = request.query_params
    if request.path_params["folder"].lower() != _SENT:
        raise GraphRefusal(404, "ErrorItemNotFound", "The specified object was not found in the store.")
    wide = bool(_MAY_READ_ALL & set(token.scopes))
    fits = _filter(asked.get("$filter", ""), wide=wide)
    expanded = _expanded(asked.get("$expand", ""), wide=wide)
    top = min(_count(asked.get("$top", str(_DEFAULT_TOP))), _MOST)
    skip = _count(asked.get("$skip", "0"))
    found = [message for message in sent if fits(message)]
    wanted = [name for name in asked.get("$select", "").replace(" ", "").split(",") if name]
    shown = [_shown(message, wanted=wanted, expanded=expanded) for message in found[skip : skip + top]]
    page: dict[str, Any] = {
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users('me')/messages",
        "value": shown,
    }
    if skip + top < len(found):
        page["@odata.nextLink"] = str(request.url.include_query_params(**{"$skip": skip + top}))
    return page


def _filter(text: str, *, wide: bool) -> Callable[[Message], bool]:
    if not text:
        return lambda _: True
    by_property = _PROPERTY_FILTER.fullmatch(text.strip())
    if by_property:
        if not wide:
            raise _denied()
        name, value = _literal(by_property[2]), _literal(by_property[3])
        return lambda message: (_property(message, name) or "").casefold() == value.casefold()
    by_message_id = _MESSAGE_ID_FILTER.fullmatch(text.strip())
    if by_message_id:
        wanted = _literal(by_message_id[1])
        return lambda message: wanted in header_values(message.sent_copy, "Message-ID")
    raise GraphRefusal(
        400, "ErrorInvalidUrlQueryFilter", "The query filter contains one or more invalid nodes."
    )


def _expanded(text: str, *, wide: bool) -> str | None:
    if not text:
        return None
    named = _EXPAND.fullmatch(text.strip())
    if not named:
        raise GraphRefusal(400, "BadRequest", "Parsing OData Select and Expand failed.")
    if not wide:
        raise _denied()
    return _literal(named[1])


def _literal(text: str) -> str:
    return text.replace("''", "'")


def _count(text: str) -> int:
    if not text.isdigit():
        raise GraphRefusal(400, "BadRequest", f"Invalid value '{text}' for a query option.")
    return int(text)


def _denied() -> GraphRefusal:
    return GraphRefusal(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")


def _property(message: Message, name: str) -> str | None:
    """The value of an extended property: one that was set, or a header of the message."""
    header = _HEADER_PROPERTY.fullmatch(name)
    if header:
        return next(iter(header_values(message.sent_copy, header[1])), None)
    return message.properties.get(name)


def _shown(message: Message, *, wanted: Sequence[str], expanded: str | None) -> dict[str, Any]:
    sent_at = message.at.strftime("%Y-%m-%dT%H:%M:%SZ")
    whole = {
        "subject": message.subject,
        "sentDateTime": sent_at,
        "receivedDateTime": sent_at,
        "internetMessageId": next(iter(header_values(message.sent_copy, "Message-ID")), ""),
        "conversationId": f"AAQk{message.thread_id}",
        "isDraft": False,
        "toRecipients": [
            {"emailAddress": {"address": address}}
            for address in message.recipients
            if address not in message.bcc
        ],
    }
    shown: dict[str, Any] = {
        "@odata.etag": f'W/"{message.id}"',
        "id": f"AAMk{message.id}",
        **{name: value for name, value in whole.items() if not wanted or name in wanted},
    }
    value = expanded and _property(message, expanded)
    if value:
        shown["singleValueExtendedProperties"] = [{"id": expanded, "value": value}]
    return shown
