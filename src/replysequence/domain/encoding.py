"""Text and files as the seven-bit lines that every mail system carries unchanged.

Encoded words (RFC 2047), parameters (RFC 2231) and bodies (RFC 2045 §6), all checked 2026-11-22. Everything
here is linear in the size of what goes in.
"""

import binascii
import re
import struct
import unicodedata
from collections.abc import Iterator
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
_BASE64_LINES = struct.Struct(f"{LINE}s" * 256)
_ASCII = bytes(range(128))
_OVERLONG = re.compile(rb"([^\r\n]{74,75})(=(?:20|09)\r\n)")
_PLAIN_BODY = bytes([9, 10, *range(32, 127)])


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
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    data = data if data.endswith(b"\n") else data + b"\n"
    if _is_plain(data):
        return "7bit", data.replace(b"\n", b"\r\n")
    if len(data.translate(None, _ASCII)) * 4 <= len(data):
        return "quoted-printable", _quoted_printable(data)
    return "base64", base64_lines(data.replace(b"\n", b"\r\n"))


def base64_lines(data: bytes) -> bytes:
    """`data` as base64 in lines of 76 characters, each with its CRLF."""
    encoded = binascii.b2a_base64(data, newline=False)
    lines: list[bytes] = []
    whole = len(encoded) - len(encoded) % _BASE64_LINES.size
    for start in range(0, whole, _BASE64_LINES.size):
        lines += _BASE64_LINES.unpack_from(encoded, start)
    lines += [encoded[start : start + LINE] for start in range(whole, len(encoded), LINE)]
    return b"\r\n".join([*lines, b""])


def _is_plain(data: bytes) -> bool:
    """Whether a body may go as it is: nothing in it that a mail system may alter or take for its own."""
    return (
        not data.translate(None, _PLAIN_BODY)
        and len(max(data.split(b"\n"), key=len)) <= LINE
        and b"=_" not in data  # boundaries have it; quoted-printable and base64 cannot
        and b" \n" not in data
        and b"\t\n" not in data
        and not data.startswith((b"From ", b"."))
        and b"\nFrom " not in data
        and b"\n." not in data
    )


def _quoted_printable(data: bytes) -> bytes:
    """`data` (lines end with LF) as quoted-printable with CRLF, safe for mbox files and SMTP's lone dot."""
    encoded = b"\r\n" + binascii.b2a_qp(data, istext=True).replace(b"\n", b"\r\n")
    if b"=20\r\n" in encoded or b"=09\r\n" in encoded:
        # b2a_qp lets the escape of a space at the end run over the limit of 76 (CPython 3.11 to 3.13).
        encoded = _OVERLONG.sub(rb"\1=\r\n\2", encoded)
    return encoded.replace(b"\r\nFrom ", b"\r\n=46=\r\nrom ")[2:]


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
