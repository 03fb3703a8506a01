"""What of a draft's HTML goes out. The preview shows the same, so that nobody is surprised."""

import re

import nh3

_TAGS = frozenset(
    [
        "a",
        "abbr",
        "b",
        "blockquote",
        "br",
        "caption",
        "center",
        "code",
        "col",
        "colgroup",
        "dd",
        "del",
        "div",
        "dl",
        "dt",
        "em",
        "figcaption",
        "figure",
        "font",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
        "ins",
        "li",
        "ol",
        "p",
        "pre",
        "q",
        "s",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "tt",
        "u",
        "ul",
    ]
)
_ANYWHERE = frozenset(
    ["align", "class", "dir", "lang", "style", "title", "valign", "width", "height", "bgcolor"]
)
_ATTRIBUTES = {
    "*": set(_ANYWHERE),
    "a": {"href", "name", "target"},
    "col": {"span"},
    "colgroup": {"span"},
    "font": {"color", "face", "size"},
    "img": {"src", "alt", "border"},
    "ol": {"start", "type"},
    "table": {"border", "cellpadding", "cellspacing", "role"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
}
_STYLES = frozenset(
    [
        "background-color",
        "border",
        "border-bottom",
        "border-collapse",
        "border-color",
        "border-left",
        "border-radius",
        "border-right",
        "border-spacing",
        "border-style",
        "border-top",
        "border-width",
        "color",
        "direction",
        "display",
        "font",
        "font-family",
        "font-size",
        "font-style",
        "font-variant",
        "font-weight",
        "height",
        "letter-spacing",
        "line-height",
        "list-style",
        "list-style-type",
        "margin",
        "margin-bottom",
        "margin-left",
        "margin-right",
        "margin-top",
        "max-width",
        "min-width",
        "padding",
        "padding-bottom",
        "padding-left",
        "padding-right",
        "padding-top",
        "text-align",
        "text-decoration",
        "text-indent",
        "text-transform",
        "vertical-align",
        "white-space",
        "width",
        "word-break",
        "word-spacing",
        "overflow-wrap",
    ]
)
_SCHEMES = {"http", "https", "mailto", "tel", "cid"}

_CLEANER = nh3.Cleaner(
    tags=set(_TAGS),
    clean_content_tags={
        "script",
        "style",
        "title",
        "noscript",
        "template",
        "iframe",
        "object",
        "embed",
        "svg",
        "math",
    },
    attributes=_ATTRIBUTES,
    url_schemes=_SCHEMES,
    filter_style_properties=set(_STYLES),
    link_rel=None,
    strip_comments=True,
)


def sanitize(html: str) -> str:
    """``html`` without scripts, forms, frames, embedded styles and anything else that a mail program would
    not show.
    """
    return _CLEANER.clean(html)


# They frame a document and show nothing; their contents stay.
_FRAME = frozenset(["html", "head", "body", "meta", "title"])
# A comment, or an element that begins. Every character is looked at once: the standard library's HTML parser takes
# minutes for two megabytes of "<a ", while everybody else waits.
_COMMENT_OR_ELEMENT = re.compile(
    r"""<!--.*?(?:-->|\Z)|<([a-z][^\s/>]*)(?:[^>"']+|"[^"]*"|'[^']*')*""", re.DOTALL | re.IGNORECASE
)


def leaves_out(written: str) -> bool:
    """Whether :func:`sanitize` takes an element out of ``written``, and does not only tidy it."""
    return any(
        name and name.lower() not in _TAGS and name.lower() not in _FRAME
        for name in _COMMENT_OR_ELEMENT.findall(written)
    )
