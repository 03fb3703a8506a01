import base64
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from replysequence.sandbox.graph_message import GraphRefusal, read_json, read_mime
from replysequence.sandbox.headers import is_address
from replysequence.sandbox.resend_message import ResendRefusal, compose, read_email

AWKWARD = st.sampled_from(
    ["", "a@b.example", "a..b@x", "bö@x.example", "a@b\r\nBcc: c", "\x00", "é" * 300, "=?utf-8?q?=0A?="]
)
TEXT = st.one_of(AWKWARD, st.text(max_size=20))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXT),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["emailAddress", "address", "name", "value", "id"]), inner, max_size=3
        ),
    ),
    max_leaves=6,
)
PERSON = st.fixed_dictionaries({"emailAddress": st.fixed_dictionaries({"address": TEXT, "name": TEXT})})
ATTACHMENT = st.fixed_dictionaries(
    {
        "@odata.type": st.just("#microsoft.graph.fileAttachment"),
        "name": TEXT,
        "contentType": st.one_of(st.just("text/plain"), TEXT),
        "contentBytes": st.one_of(st.just("aGk="), TEXT),
        "contentId": TEXT,
    }
)


BOB = [{"emailAddress": {"address": "bob@customer.example"}}]
GRAPH = {
    "toRecipients": st.lists(PERSON, max_size=2),
    "ccRecipients": st.lists(PERSON, max_size=2),
    "replyTo": st.lists(PERSON, max_size=2),
    "subject": TEXT,
    "body": st.fixed_dictionaries({"contentType": st.just("html"), "content": TEXT}),
    "from": PERSON,
    "attachments": st.lists(ATTACHMENT, max_size=2),
    "internetMessageHeaders": st.lists(
        st.fixed_dictionaries({"name": st.just("X-A"), "value": TEXT}), max_size=2
    ),
    "singleValueExtendedProperties": st.lists(
        st.fixed_dictionaries({"id": st.just("String 0x1042"), "value": TEXT}), max_size=2
    ),
}
RESEND = {
    "from": TEXT,
    "to": st.lists(TEXT, max_size=2),
    "reply_to": TEXT,
    "subject": TEXT,
    "html": TEXT,
    "text": TEXT,
    "headers": st.dictionaries(TEXT, TEXT, max_size=2),
    "tags": st.lists(st.fixed_dictionaries({"name": TEXT, "value": TEXT}), max_size=1),
    "attachments": st.lists(
        st.fixed_dictionaries({"filename": TEXT, "content": st.just("aGk="), "content_id": TEXT}), max_size=2
    ),
}


def one_field(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """One of `fields`, with a value of its own kind or with any JSON at all."""
    return st.sampled_from(sorted(fields)).flatmap(
        lambda name: st.fixed_dictionaries({name: st.one_of(fields[name], JSON)})
    )


def header_section(content: bytes) -> bytes:
    return b"\r\n" + content.partition(b"\r\n\r\n")[0]


@given(one_field(GRAPH))
def test_graph_reads_any_field_or_refuses_it(field: dict[str, Any]) -> None:
    with suppress(GraphRefusal):
        mail = read_json({"message": {"toRecipients": BOB} | field})
        assert all(is_address(address) for address in mail.recipients)
        assert b"\r\nBcc:" not in header_section(mail.content)


@given(st.binary(max_size=200))
def test_graph_reads_any_bytes_as_mime_or_refuses_them(raw: bytes) -> None:
    with suppress(GraphRefusal):
        assert read_mime(base64.b64encode(b"To: bob@customer.example\r\n" + raw)).recipients


@given(one_field(RESEND))
def test_resend_reads_any_field_or_refuses_it(field: dict[str, Any]) -> None:
    usual = {
        "from": "Dana <dana@replysequence.example>",
        "to": "bob@customer.example",
        "subject": "x",
        "html": "y",
    }
    with suppress(ResendRefusal):
        assert b"\r\nBcc:" not in header_section(compose(read_email(usual | field)))
