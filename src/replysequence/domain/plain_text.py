"""The plain form of an HTML message, for readers that show no HTML.

One pass over the markup with work linear in its length, whatever it holds; no parser of the standard library
is used because those have been quadratic on broken markup (CVE-2025-6069, checked 2026-11-22). Markup that
never ends (an unclosed tag or comment) hides the rest, as it does in a browser.
"""

import html
import re

_TAG = re.compile(
    r"""<(/?)([a-zA-Z][^\s/>]*+)"""  # what closes, name
    r"""((?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+')?+)*+)>"""  # attributes
)
_TAG_START = re.compile(r"</?[a-zA-Z]")
_ATTRIBUTE = re.compile(r"""([^\s="'/>]++)\s*+(?:=\s*+("[^"]*+"|'[^']*+'|[^\s>]++))?""")
_HUGE_REFERENCE = re.compile(r"&#[xX]?[0-9a-fA-F]{9,}+;?")

_LINES = ["address", "article", "aside", "center", "dd", "div", "dl", "dt", "fieldset", "figure", "footer"]
_LINES += ["form", "header", "li", "main", "nav", "section", "tr"]
_PARAGRAPHS = ["blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "ul"]
_BREAKS = {**dict.fromkeys(_LINES, 1), **dict.fromkeys(_PARAGRAPHS, 2)}
_CELLS = frozenset({"td", "th"})
_LISTS = frozenset({"ul", "ol"})
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_RAW = {name: re.compile(rf"</{name}\b", re.IGNORECASE) for name in ("script", "style", "title", "textarea")}
_INVISIBLE = frozenset({*_RAW, "object", "select", "template"})
_ENDED_BY_THE_NEXT = frozenset({"p", "li", "td", "th", "tr"})
_HIDING_STYLES = ("display:none", "visibility:hidden", "mso-hide:all")
_LINK_SCHEMES = ("http:", "https:", "mailto:", "tel:")
_MAX_INDENT = 8
_HARD_SPACE = "\0"


def plain_text(markup: str) -> str:
    """`markup` as text: paragraphs apart by one empty line, "- " before list items, links as "text (URL)".

    Scripts, styles, hidden elements and images without a description leave nothing. The result may be empty.
    """
    markup = markup.replace(_HARD_SPACE, "")
    writer = _Writer()
    position = 0
    while (start := markup.find("<", position)) >= 0:
        writer.text(markup[position:start])
        if tag := _TAG.match(markup, start):
            close, name, attributes = tag.groups()
            name = name.lower()
            if close:
                writer.close(name)
                position = tag.end()
            else:
                writer.open(name, attributes)
                position = _raw_end(name, markup, tag.end())
        else:
            position = _read_other(markup, start, writer)
    writer.text(markup[position:])
    return writer.finished()


def _read_other(markup: str, start: int, writer: "_Writer") -> int:
    """Read what begins with the `<` at `start` and is no whole tag; return where the text goes on."""
    if _TAG_START.match(markup, start):
        return len(markup)
    if markup.startswith("<!--", start):
        return _after("-->", markup, start + 2)
    if markup.startswith(("<!", "<?", "</"), start):
        return _after(">", markup, start)
    writer.text("<")
    return start + 1


def _raw_end(name: str, markup: str, start: int) -> int:
    """Where the content of an element ends that holds no markup, such as a script; `start` for all others."""
    if name not in _RAW:
        return start
    end = _RAW[name].search(markup, start)
    return end.start() if end else len(markup)


def _after(mark: str, markup: str, start: int) -> int:
    found = markup.find(mark, start)
    return found + len(mark) if found >= 0 else len(markup)


class _Writer:
    """Collects text while tags go by, and knows what is pending, hidden, linked and listed at this point."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._breaks = 0
        self._marker = ""
        self._hidden_by = ""
        self._hidden_depth = 0
        self._preformatted = 0
        self._list_depth = 0
        self._link = ""
        self._link_start = 0

    def text(self, markup: str) -> None:
        """Take the text between two tags, with its character references."""
        if self._hidden_by or not markup:
            return
        if "&" in markup:
            markup = _unescaped(markup)
        if self._preformatted:
            self._write(markup.expandtabs().replace("\r\n", "\n").replace(" ", _HARD_SPACE))
        elif not markup.isspace():
            self._write(markup.replace("\n", " "))
        elif not self._breaks:
            self._pieces.append(" ")

    def open(self, name: str, attributes: str) -> None:
        """Take an opening tag."""
        if self._hidden_by and not self._ends_hiding(name):
            return
        if name in _VOID:
            self._open_void(name, attributes)
        elif name in _INVISIBLE or (attributes and _is_hidden(attributes)):
            self._hidden_by, self._hidden_depth = name, 1
        elif name == "a":
            self._close_link()
            self._link, self._link_start = _attribute(attributes, "href"), len(self._pieces)
        else:
            self._break_around(name)
            self._open_block(name)

    def close(self, name: str) -> None:
        """Take a closing tag."""
        if self._hidden_by:
            if name == self._hidden_by:
                self._hidden_depth -= 1
                self._hidden_by = name if self._hidden_depth else ""
            return
        if name == "a":
            self._close_link()
        elif name == "pre":
            self._preformatted = max(0, self._preformatted - 1)
        elif name in _LISTS:
            self._list_depth = max(0, self._list_depth - 1)
        elif name == "li":
            self._marker = ""
        self._break_around(name)

    def finished(self) -> str:
        """Everything taken so far, tidy: no space at the end of a line, never two empty lines together."""
        self._close_link()
        lines: list[str] = []
        for line in "".join(self._pieces).split("\n"):
            words = _tidy(line)
            if words or (lines and lines[-1]):
                lines.append(words)
        return "\n".join(lines).rstrip("\n")

    def _ends_hiding(self, name: str) -> bool:
        """Whether a tag in a hidden element ends it: some elements end where the next of their kind begins."""
        if name == self._hidden_by:
            if name in _ENDED_BY_THE_NEXT:
                self._hidden_by = ""
            else:
                self._hidden_depth += 1
        return not self._hidden_by

    def _open_void(self, name: str, attributes: str) -> None:
        if name == "br":
            self._breaks += not self._marker
        elif name == "hr":
            self._break(2)
            self._write("-" * 20)
            self._break(2)
        elif name == "img" and not _is_hidden(attributes):
            self.text(_attribute(attributes, "alt"))

    def _open_block(self, name: str) -> None:
        if name == "pre":
            self._preformatted += 1
        elif name in _LISTS:
            self._list_depth += 1
        elif name == "li":
            indent = 2 * min(max(self._list_depth - 1, 0), _MAX_INDENT)
            self._marker = f"{_HARD_SPACE * indent}- "

    def _close_link(self) -> None:
        """Write the address after the words of a link, unless the words are the address."""
        url, self._link = "".join(self._link.split()), ""
        if not url.lower().startswith(_LINK_SCHEMES):
            return
        words = "".join(self._pieces[self._link_start :])
        if not words.strip():
            self._write(url)
        elif _bare(words.strip()) != _bare(url):
            self._write(f" ({url}) " if words[-1].isspace() else f" ({url})")

    def _break_around(self, name: str) -> None:
        if count := _BREAKS.get(name):
            self._break(1 if self._list_depth and name in _LISTS else count)
        elif name in _CELLS and not self._breaks:
            self._pieces.append(" ")

    def _break(self, count: int) -> None:
        if self._breaks < count and not self._marker:
            self._breaks = count

    def _write(self, text: str) -> None:
        if self._breaks and self._pieces:
            self._pieces.append("\n" * min(self._breaks, 2))
        self._breaks = 0
        if self._marker:
            self._pieces.append(self._marker)
            self._marker = ""
        self._pieces.append(text)


def _tidy(line: str) -> str:
    """A line with one space for each run of white space, and for each hard space."""
    if line.isprintable() and "  " not in line:  # the only white space that is printable is the space
        return line.strip()
    return " ".join(line.split()).replace(_HARD_SPACE, " ").rstrip()


def _is_hidden(attributes: str) -> bool:
    lowered = attributes.lower()
    if "hid" not in lowered and "display" not in lowered:
        return False
    found = dict(_ATTRIBUTE.findall(lowered))
    style = "".join(found.get("style", "").split())
    return "hidden" in found or any(hiding in style for hiding in _HIDING_STYLES)


def _attribute(attributes: str, name: str) -> str:
    """The value of an attribute with its character references, or the empty text."""
    for found in _ATTRIBUTE.finditer(attributes):
        if found[1].lower() == name:
            value = found[2] or ""
            value = value[1:-1] if value[:1] in ('"', "'") and len(value) > 1 else value
            return _unescaped(value)
    return ""


def _unescaped(text: str) -> str:
    """`text` without character references. Huge numbers go first: int() refuses to read them."""
    return html.unescape(_HUGE_REFERENCE.sub("\ufffd", text) if "&#" in text else text)


def _bare(url: str) -> str:
    for prefix in ("mailto:", "tel:", "https://", "http://"):
        url = url.removeprefix(prefix)
    return url.rstrip("/")
