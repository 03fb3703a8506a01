"""The plain form that is derived from HTML."""

import pytest

from replysequence.domain.plain_text import plain_text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("", ""),
        ("Hello", "Hello"),
        ("<p>Hello  Bob,</p>\n<p>thank\nyou.</p>", "Hello Bob,\n\nthank you."),
        ("one<br>two<br/><br><br><br>three", "one\ntwo\n\nthree"),
        ("<div>one</div><div><div>two</div></div>three", "one\ntwo\nthree"),
        ("<h1>Title</h1>text", "Title\n\ntext"),
        ("<b>bo</b>ld and <i>it</i>", "bold and it"),
        ("a&nbsp;b &amp;&lt;&#233;&#x1F680;&eacute;", "a b &<é🚀é"),
        ("&#99999999999999999999;&#0;&#xD800;", "\ufffd\ufffd\ufffd"),
        (
            "<a href='https://a.example/?b=1&amp;c=2'>The offer</a>.",
            "The offer (https://a.example/?b=1&c=2).",
        ),
        ("<a href='https://a.example/'>a.example</a>", "a.example"),
        ("<a href='https://a.example'>https://a.example</a>", "https://a.example"),
        ("<a href='mailto:bob@example.com'>bob@example.com</a>", "bob@example.com"),
        ("<a href='tel:+49'>call <b>me</b> </a>now", "call me (tel:+49) now"),
        ("<a href='#top'>up</a> <a name=x>here</a> <a href='javascript:x()'>no</a>", "up here no"),
        ("<a href='https://a.example'><img src=b></a>", "https://a.example"),
        ("<a href='https://a.example'>never closed", "never closed (https://a.example)"),
        ("<ul><li>one</li><li><p>two</p></li><li></li></ul>after", "- one\n- two\n\nafter"),
        ("<ul><li>one<ul><li>in</li></ul></li><li>two</ul>", "- one\n  - in\n- two"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<pre>def f():\n    pass</pre>", "def f():\n    pass"),
        ("<img src=x alt='Our  logo'><img src=pixel width=1>", "Our logo"),
        ("a<hr>b", "a\n\n--------------------\n\nb"),
        ("<head><title>T</title><style>p { }</style></head><body>text", "text"),
        ("<script>if (a < b) x('</p>')</script>text<STYLE>a>b</STYLE >!", "text!"),
        ("<div style='color:red; DISPLAY : none'>pre<div>header</div></div>text", "text"),
        ("<p hidden>no<p>yes", "yes"),
        ("<span style='visibility:hidden'>no</span><span title='hidden'>yes</span>", "yes"),
        ("<!-- <p>no</p> --><!doctype html><?xml ?>yes<!--[if mso]>no<![endif]-->", "yes"),
        ("1 < 2 > 1 <3", "1 < 2 > 1 <3"),
        ('<p title="a>b">yes</p>', "yes"),
        ("<p title=it's data-x=1\">yes</p>", "yes"),
        ("text<p class='never ends", "text"),
        ("text<!-- never ends", "text"),
        ("text<script>never ends", "text"),
        ("<div></div> \n\t<p>&nbsp;</p>", ""),
        ("a\0b\u2028c", "ab c"),
    ],
)
def test_html_becomes_text(markup: str, text: str) -> None:
    assert plain_text(markup) == text


@pytest.mark.parametrize(
    "markup",
    [
        "<" * 300_000,
        "<a " * 100_000,
        '<a ="' * 100_000,
        "<a ='>" * 100_000,
        "<!--" * 100_000,
        "<script>" * 100_000,
        "<div hidden>" * 50_000,
        "<ul><li>x" * 50_000,
        "<a href=http:x>y" * 50_000,
        f"<p hidden {'a' * 300_000}>",
        f"<p hidden {'= ' * 300_000}>",
        f"&#{'9' * 300_000};",
        "&" * 300_000,
        " \n" * 300_000,
    ],
    ids=lambda markup: markup[:14].strip() or "white space",
)
def test_hostile_markup_comes_to_an_end_without_growing(markup: str) -> None:
    # A quadratic step would take many minutes here, which the time limit of the whole run shows.
    assert len(plain_text(markup)) <= 4 * len(markup)
