"""Text and files as the seven-bit lines that every mail system carries unchanged.

Encoded words (RFC 2047), parameters (RFC 2231) and bodies (RFC 2045 §6), all checked 2026-11-22. Everything
here is linear in the size of what goes in.
"""

import binascii
import re
import struct
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import quote

LINE = 76
# RFC 2047 §2 allows words of 75; 64 leaves room for the name of a header before the first one.
TOKEN = 64
_WORD_BYTES = (TOKEN - len("=?utf-8?b??=")) // 4 * 3

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_ATOMS = re.compile(rf"{_ATOM}+(?: {_ATOM}+)*")
_PLAIN_WORDS = re.compile(rf"[!-~]{{1,{TOKEN}}}(?: [!-~]{{1,{TOKEN}}})*")
_PLAIN_FILENAME = re.compile(r"[!#-\[\]-~](?:[ !#-\[\]-~]*[!#-\[\]-~])?")
_ATTRIBUTE_CHARACTERS = "!#$&+-.^_`{}~"  # RFC 2231 §7 attribute-char, besides letters and digits
_BASE64_BLOCK = 256 * LINE
_ASCII = bytes(range(128))
_PLAIN = bytes([9, 10, *range(32, 127)])
_CONTROLS = _ASCII.translate(None, _PLAIN)
# Lines with no white space at the end, no mark of mailbox files, no dot where SMTP has a meaning for it.
_PLAIN_LINES = re.compile(rb"(?:(?!From |\.)[^\n]{0,76}+(?<![ \t])\n)*+")
# A piece of a long line that does not end within an escape, or all short lines that follow, safe in the same way,
# with the first piece of the long one after them. Together they are the whole text, unless some line is not safe.
_LINE_PIECE = rb"(?!From ).{73}(?=.{4})[^=\n]{0,2}"
_SHORT_LINE = rb"(?:(?!From |\.\n).{0,76}+(?<![ \t])\n)"
_TO_SOFT_BREAK = re.compile(rb"%b|%b++(?:%b)?+" % (_LINE_PIECE, _SHORT_LINE, _LINE_PIECE))
_FROM = re.compile(rb"From (?<!=[0-9A-F]From )")  # no F that ends an escape, as in =9F for half of an ß
_ESCAPES = [b"=%02X" % n if n == ord("=") or n not in _PLAIN else bytes([n]) for n in range(256)]
# What Python's codec uses for its escapes, stand-ins for it, and what the escapes of mail have instead.
_CODEC_USES, _STAND_INS, _ESCAPES_HAVE = b"abcdef\\x", bytes(range(1, 9)), b"ABCDEF="
_STEP_ASIDE = bytes.maketrans(_CODEC_USES, _STAND_INS)
_COME_BACK = bytes.maketrans(_CODEC_USES[:-1] + _STAND_INS, _ESCAPES_HAVE + _CODEC_USES)


def encoded_words(text: str) -> list[str]:
    """`text` as encoded words of at most 64 characters each, cut between characters."""
    data = text.encode()
    words = []
    start = 0
    while start < len(data):
        end = start + _WORD_BYTES
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        words.append(f"=?utf-8?b?{_base64(data[start:end])}?=")
        start = end
    return words


def unstructured(text: str) -> list[str]:
    """A subject as tokens that may be put on lines of their own, with a space between them.

    Text that looks like an encoded word is encoded, so that no reader decodes it into something else.
    """
    if not text:
        return []
    if "=?" not in text and _PLAIN_WORDS.fullmatch(text):
        return text.split(" ")
    return encoded_words(text)


def phrase(name: str) -> list[str]:
    """A display name as tokens: plain atoms or one quoted string, neither ever cut, or encoded words."""
    if len(name) <= TOKEN and "=?" not in name:
        if _ATOMS.fullmatch(name):
            return [name]
        quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if len(quoted) <= TOKEN and _PLAIN_WORDS.fullmatch(name):
            return [quoted]
    return encoded_words(name)


def folded(name: str, tokens: list[str]) -> str:
    """One header with its CRLF: as many tokens on a line as fit into 76 characters, none cut in two."""
    line = " ".join([f"{name}:", *tokens])
    if len(line) <= LINE:
        return f"{line}\r\n"
    lines = []
    line = f"{name}: {tokens[0]}"
    for token in tokens[1:]:
        if len(line) + 1 + len(token) > LINE:
            lines.append(line)
            line = ""
        line += f" {token}"
    return "\r\n".join([*lines, line, ""])


def file_parameters(filename: str) -> tuple[str, str]:
    """The `name` parameter of Content-Type and the `filename` one of Content-Disposition, each with its fold.

    A name that needs RFC 2231 has it in `filename` only; `name` then holds a plain likeness for old readers.
    One header with both forms would leave it to the reader which of them counts (Python's takes the
    likeness).
    """
    if len(filename) <= TOKEN and "=?" not in filename and _PLAIN_FILENAME.fullmatch(filename):
        return f';\r\n name="{filename}"', f';\r\n filename="{filename}"'
    pieces = list(_percent_encoded(filename))
    if len(pieces) == 1:
        extended = f";\r\n filename*=UTF-8''{pieces[0]}"
    else:
        pieces[0] = f"UTF-8''{pieces[0]}"
        extended = "".join(f";\r\n filename*{number}*={piece}" for number, piece in enumerate(pieces))
    return f';\r\n name="{_likeness(filename)}"', extended


def text_body(text: str) -> tuple[str, bytes]:
    """A text as (Content-Transfer-Encoding, lines with CRLF); the last line has its line break, too.

    7bit for short plain lines, quoted-printable while at most one byte in four is not ASCII, else base64.
    """
    data = text.encode()
    beyond = len(data) - len(text)  # at least half of the bytes that are not ASCII
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not data.endswith(b"\n"):
        data += b"\n"
    if not beyond and _is_plain(data):
        return "7bit", data.replace(b"\n", b"\r\n")
    if beyond * 8 > len(data) and len(data.translate(None, _ASCII)) * 4 > len(data):
        return "base64", base64_lines(data.replace(b"\n", b"\r\n"))
    return "quoted-printable", _quoted_printable(_escaped(data))


def base64_lines(data: bytes) -> bytes:
    """`data` as base64 in lines of 76 characters, each with its CRLF."""
    return in_lines(binascii.b2a_base64(data, newline=False))


def in_lines(encoded: bytes) -> bytes:
    """What any base64 encoder made, in lines of 76 characters, each with its CRLF."""
    lines: list[bytes] = []
    whole = len(encoded) - len(encoded) % LINE
    for start in range(0, whole, _BASE64_BLOCK):
        lines += _line_cutter(min(_BASE64_BLOCK, whole - start) // LINE).unpack_from(encoded, start)
    if whole < len(encoded):
        lines.append(encoded[whole:])
    lines.append(b"")
    return b"\r\n".join(lines)


@lru_cache(maxsize=256)
def _line_cutter(count: int) -> struct.Struct:
    return struct.Struct(f"{LINE}s" * count)


def _is_plain(data: bytes) -> bool:
    """Whether lines of ASCII can go as they are. Boundaries have “=_”."""
    return not data.translate(None, _PLAIN) and bool(_PLAIN_LINES.fullmatch(data)) and b"=_" not in data


def _escaped(data: bytes) -> bytes:
    """`data` with escapes for the equals sign, control characters and all that is not ASCII.

    Python's codec writes `\\xc3` for a byte, in one go; a table makes `=C3` of that. `binascii.b2a_qp` takes
    three times as long, and lets some lines run over the limit (CPython 3.11 to 3.13).
    """
    equal = data.replace(b"=", b"=3D")
    aside = equal.translate(_STEP_ASIDE, _CONTROLS)
    if len(aside) < len(equal):  # it had control characters, of which some are the stand-ins
        return b"".join(map(_ESCAPES.__getitem__, data))
    return aside.decode("latin-1").encode("ascii", "backslashreplace").translate(_COME_BACK, b"x")


def _quoted_printable(escaped: bytes) -> bytes:
    """Lines of quoted-printable with CRLF, safe for mailbox files and for SMTP's lone dot.

    Longer lines than 76 are cut, with an equals sign at the cut; at least two characters come after it.
    """
    pieces = _TO_SOFT_BREAK.findall(escaped)
    if sum(map(len, pieces)) < len(escaped):
        safe = _FROM.sub(b"=46rom ", escaped)
        safe = safe.replace(b" \n", b"=20\n").replace(b"\t\n", b"=09\n").replace(b".\n", b"=2E\n")
        pieces = _TO_SOFT_BREAK.findall(safe)
    return b"=\n".join(pieces).replace(b"\n", b"\r\n")


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def _percent_encoded(filename: str) -> Iterator[str]:
    """Pieces of at most 52 characters, cut between characters: some readers decode each piece for itself."""
    piece = ""
    for character in filename:
        encoded = quote(character, safe=_ATTRIBUTE_CHARACTERS)
        if len(piece) + len(encoded) > 52:
            yield piece
            piece = ""
        piece += encoded
    yield piece


def _likeness(filename: str) -> str:
    """The nearest plain file name: accents off, the rest as underscores, the extension kept."""
    plain = unicodedata.normalize("NFKD", filename).encode("ascii", "ignore").decode("ascii")
    stem, dot, extension = re.sub(r"[^A-Za-z0-9._-]+", "_", plain).rpartition(".")
    stem, extension = (stem, extension) if dot else (extension, "")
    stem = stem.strip("._-")[: TOKEN - 16] or "attachment"
    return f"{stem}.{extension[:12]}" if extension else stem
