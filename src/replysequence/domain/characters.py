"""Which characters may stand in a header of a message, and how to name the others to a person.

A header is one line. A line break, or anything that some reader takes for one, would end it and start
another header of the attacker's choice; a bidirectional override shows a person another address or file
name than the one that is used (RFC 5322 §2.2, Unicode TR36, both checked 2026-11-22).
"""

import re
import unicodedata

# C0 without the tab, DEL, C1 (with NEL), the two Unicode line separators, and lone surrogates.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_BIDI_CONTROL = re.compile(r"[\u202a-\u202e\u2066-\u2069]")

_NAMES = {
    "\0": "a NUL character",
    "\n": "a line break",
    "\r": "a line break",
    "\x85": "a line break (NEL)",
    "\u2028": "a line separator",
    "\u2029": "a paragraph separator",
}


def unprintable(text: str) -> str | None:
    """Name the first character of `text` that no header may hold, or None when all are fine."""
    found = _UNPRINTABLE.search(text)
    return _named(found[0]) if found else None


def misleading(text: str) -> str | None:
    """Name the first character that reorders what a person sees (bidi embedding or override), or None."""
    found = _BIDI_CONTROL.search(text)
    return _named(found[0]) if found else None


def uncarriable(text: str) -> str | None:
    """Name the first character that not even an encoded body may hold: NUL or a lone surrogate, or None."""
    if "\0" in text:
        return _NAMES["\0"]
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return _named(text[error.start])
    return None


def shortened(text: str, *, limit: int = 60) -> str:
    """`text` fit to be shown in a sentence: at most `limit` characters, none of them unprintable."""
    visible = text if len(text) <= limit else text[: limit - 1] + "…"
    return _BIDI_CONTROL.sub("\ufffd", _UNPRINTABLE.sub("\ufffd", visible))


def _named(character: str) -> str:
    if character in _NAMES:
        return _NAMES[character]
    code = f"U+{ord(character):04X}"
    if "\ud800" <= character <= "\udfff":
        return f"half of a surrogate pair ({code})"
    name = unicodedata.name(character, "")
    return f"the character {name} ({code})" if name else f"the control character {code}"
