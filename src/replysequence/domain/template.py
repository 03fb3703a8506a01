"""Templates of follow-ups: HTML and a subject with merge fields, and no logic.

``{{ first_name }}`` stands for a value. ``{{ first_name | there }}`` has a fallback for when there is none.
``{{ summary | }}`` has an empty one: then the whole paragraph that holds it is left out. A field without value and
fallback stays as it is, so that whoever looks at the draft sees it; :func:`unfilled` finds it again.
"""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

FIELDS: dict[str, str] = {
    "first_name": "First names of who gets it",
    "meeting_title": "What the meeting was called",
    "meeting_date": "The day it took place",
    "company": "The company of who gets it",
    "summary": "What the meeting platform wrote down",
    "action_items": "What the meeting platform noted as to be done, as a list",
    "my_name": "Your name",
    "signature": "Your signature",
}
"""Every field there is, and what it stands for."""

MAX_NAME = 100
MAX_SUBJECT = 255
MAX_HTML = 100_000

_FIELD = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]{0,39})\s*(\|[^{}]{0,200})?\}\}")
_PARAGRAPH = re.compile(r"<p\b[^<>]*>", re.IGNORECASE)
_PARAGRAPH_END = "</p>"
_EMPTY_PARAGRAPH = re.compile(r"<p\b[^<>]*>(?:\s|<br\s*/?>|&nbsp;)*</p>\s*", re.IGNORECASE)
_LAST_BREAK = re.compile(r"<br\s*/?>\s*(?=</p>)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Items:
    """A value that is a list."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Markup:
    """A value that is HTML already, and has been cleaned."""

    html: str


Value: TypeAlias = str | Items | Markup
"""What a field stands for. Nothing is told by an empty text or list, or by leaving the field out."""


@dataclass(frozen=True, slots=True)
class Template:
    """What a follow-up is made from. ``id`` is empty for the one that comes with the program."""

    id: str
    name: str
    subject: str
    html: str
    is_default: bool
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Filled:
    """A template with its values in it, and the fields that had neither value nor fallback."""

    subject: str
    html: str
    missing: tuple[str, ...]


BUILT_IN = Template(
    id="",
    name="Follow-up",
    subject="Thank you for the meeting: {{ meeting_title | what we talked about }}",
    html="""<p>Hi {{ first_name | there }},</p>
<p>thank you for the meeting on {{ meeting_date }}.</p>
<p>{{ summary | }}</p>
<p>What we agreed on:<br>{{ action_items | }}</p>
<p>If anything is missing or unclear, just answer this mail.</p>
<p>Best regards<br>{{ my_name }}</p>
<p>{{ signature | }}</p>""",
    is_default=True,
)
"""For who has written none."""


def unknown_fields(*texts: str) -> tuple[str, ...]:
    """Fields in ``texts`` that do not exist, each once."""
    named = (found[1] for text in texts for found in _FIELD.finditer(text))
    return tuple(dict.fromkeys(name for name in named if name not in FIELDS))


def unfilled(*texts: str) -> tuple[str, ...]:
    """Fields that still stand in ``texts``, each once: where nobody has given them a value."""
    named = (found[1] for text in texts for found in _FIELD.finditer(text))
    return tuple(dict.fromkeys(name for name in named if name in FIELDS))


def fill(template: Template, values: Mapping[str, Value]) -> Filled:
    """``template`` with ``values`` in it. Text is escaped where it meets HTML; no value is read for fields again."""
    subject = _subject(template.subject, values)
    body = _body(template.html, values)
    return Filled(
        subject, body.strip(), unfilled(_left(template.subject, values), _left(template.html, values))
    )


def _subject(text: str, values: Mapping[str, Value]) -> str:
    filled = _FIELD.sub(lambda found: _in_text(found, values), text)
    return " ".join(filled.split())[:MAX_SUBJECT].rstrip()


def _paragraph(paragraph: str, values: Mapping[str, Value]) -> str:
    """One paragraph, filled; nothing when it is to be left out. A list in it comes to stand behind it."""
    if any(_is_left_out(found, values) for found in _FIELD.finditer(paragraph)):
        return ""
    start = paragraph[: paragraph.index(">") + 1]
    filled = _FIELD.sub(lambda found: _in_html(found, values, between=("</p>", start)), paragraph)
    if filled.count("<p") == 1 and "</p><ul>" not in filled:
        return filled
    return _EMPTY_PARAGRAPH.sub("", _LAST_BREAK.sub("", filled))


def _body(markup: str, values: Mapping[str, Value]) -> str:
    """``markup``, paragraph by paragraph, and what stands in none of them, such as a table."""
    pieces, last = [], 0
    while start := _PARAGRAPH.search(markup, last):
        end = markup.find(_PARAGRAPH_END, start.end())
        if end < 0:
            break
        outside, last_of_it = markup[last : start.start()], end + len(_PARAGRAPH_END)
        pieces += [_filled(outside, values), _paragraph(markup[start.start() : last_of_it], values)]
        last = last_of_it
    return "".join([*pieces, _filled(markup[last:], values)])


def _filled(markup: str, values: Mapping[str, Value]) -> str:
    return _FIELD.sub(lambda found: _in_html(found, values, between=("", "")), markup)


def _value(found: re.Match[str], values: Mapping[str, Value]) -> Value | None:
    value = values.get(found[1])
    match value:
        case str() if value.strip():
            return value
        case Items(items) if items:
            return value
        case Markup(markup) if markup.strip():
            return value
    return None


def _fallback(found: re.Match[str]) -> str | None:
    return None if found[2] is None else found[2][1:].strip()


def _is_left_out(found: re.Match[str], values: Mapping[str, Value]) -> bool:
    return _value(found, values) is None and _fallback(found) == ""


def _left(text: str, values: Mapping[str, Value]) -> str:
    """``text`` with those fields only that have neither value nor fallback."""

    def kept(found: re.Match[str]) -> str:
        return found[0] if _value(found, values) is None and _fallback(found) is None else ""

    return _FIELD.sub(kept, text)


def _in_text(found: re.Match[str], values: Mapping[str, Value]) -> str:
    match _value(found, values):
        case None:
            fallback = _fallback(found)
            return found[0] if fallback is None else html.unescape(fallback)
        case Items(items):
            return ", ".join(items)
        case Markup(markup):
            return html.unescape(re.sub(r"<[^>]*>", " ", markup))
        case text:
            return str(text)


def _in_html(found: re.Match[str], values: Mapping[str, Value], *, between: tuple[str, str]) -> str:
    """``between`` ends what the field stands in, and begins it anew: where a block cannot stand inside."""
    end, start = between
    match _value(found, values):
        case None:
            fallback = _fallback(found)
            return found[0] if fallback is None else fallback
        case Items(items):
            listed = "".join(f"<li>{html.escape(item)}</li>" for item in items)
            return f"{end}<ul>{listed}</ul>{start}"
        case Markup(markup):
            return f"{end}{markup}{start}"
        case text:
            return html.escape(str(text)).replace("\n", "<br>")
