"""Merge fields: values, fallbacks, what is left out, and nothing that a value could smuggle in."""

from datetime import UTC, date, datetime

import pytest

from replysequence.domain.address import Address
from replysequence.domain.merge_values import company_of, day_of, first_names
from replysequence.domain.template import (
    BUILT_IN,
    FIELDS,
    Filled,
    Items,
    Markup,
    Template,
    Value,
    fill,
    unfilled,
    unknown_fields,
)


def filled(html: str, *, subject: str = "", **values: Value) -> Filled:
    return fill(Template("", "t", subject, html, is_default=False), values)


def test_a_field_becomes_its_value() -> None:
    assert filled(
        "<p>Hi {{ first_name }} of {{company}}</p>", first_name="Maya", company="Northwind"
    ).html == ("<p>Hi Maya of Northwind</p>")


def test_a_fallback_stands_in_for_a_value_that_is_not_there() -> None:
    for nothing in ("", "  ", Items(()), Markup(" ")):
        assert filled("<p>Hi {{ first_name | there }}</p>", first_name=nothing).html == "<p>Hi there</p>"
    assert filled("<p>Hi {{ first_name | there }}</p>", first_name="Maya").html == "<p>Hi Maya</p>"


def test_an_empty_fallback_leaves_out_its_whole_paragraph_and_no_other() -> None:
    html = "<p>One</p><p>Next steps:<br>{{ action_items | }}</p><p>Two</p>"

    assert filled(html).html == "<p>One</p><p>Two</p>"
    assert filled(html).missing == ()


def test_a_missing_value_stays_to_be_seen_and_is_reported() -> None:
    made = filled("<p>{{ summary }} {{ company }}</p>", subject="{{ company }}", summary="Good")

    assert made.html == "<p>Good {{ company }}</p>"
    assert made.subject == "{{ company }}"
    assert made.missing == ("company",)
    assert unfilled(made.html, made.subject) == ("company",)


def test_a_list_comes_to_stand_behind_the_paragraph_it_is_in() -> None:
    html = '<p class="x">Next steps:<br>{{ action_items }}</p>'

    assert filled(html, action_items=Items(("a < b", "c"))).html == (
        '<p class="x">Next steps:</p><ul><li>a &lt; b</li><li>c</li></ul>'
    )


def test_lines_of_a_summary_stay_lines() -> None:
    assert filled("<p>{{ summary }}</p>", summary="One\nTwo & three").html == "<p>One<br>Two &amp; three</p>"


def test_text_is_escaped_wherever_it_stands_and_a_signature_is_not() -> None:
    hostile = '"><img src=x onerror=alert(1)>'
    made = filled(
        '<p title="{{ company }}">{{ meeting_title }}</p><td>{{ company }}</td>{{ signature }}',
        meeting_title=hostile,
        company=hostile,
        signature=Markup("<p><b>Dana</b></p>"),
    )

    assert "<img" not in made.html
    assert made.html.count("&quot;&gt;&lt;img") == 3
    assert made.html.endswith("<p><b>Dana</b></p>")


def test_no_value_is_read_for_fields_again() -> None:
    sly = "{{ my_name }} {{ 7 * 7 }} {{ summary | }}"
    made = filled(
        "<p>{{ meeting_title }}</p><p>{{ action_items }}</p>",
        subject="{{ meeting_title }}",
        meeting_title=sly,
        action_items=Items((sly,)),
        my_name="Dana",
    )

    assert "Dana" not in made.html + made.subject
    assert made.html == f"<p>{sly}</p><ul><li>{sly}</li></ul>"


def test_a_subject_is_one_line_of_text() -> None:
    made = filled("", subject="{{ meeting_title | our talk }}", meeting_title="A\r\nBcc: eve & <b>")

    assert made.subject == "A Bcc: eve & <b>"
    assert filled("", subject="{{ meeting_title | you &amp; me }}").subject == "you & me"
    assert len(filled("", subject="{{ meeting_title }}", meeting_title="x" * 999).subject) == 255


def test_a_field_that_does_not_exist_is_named() -> None:
    assert unknown_fields("{{ first_name }} {{ firstname }}", "{{ price | 5 }}") == ("firstname", "price")
    assert unknown_fields("{{ 7 * 7 }} {% if x %} {{ }}") == ()


def test_the_template_that_comes_along_reads_well_with_little_and_with_much() -> None:
    assert unknown_fields(BUILT_IN.subject, BUILT_IN.html) == ()
    little = fill(BUILT_IN, {"meeting_date": "Monday 23 November", "my_name": "Dana"})
    assert little.missing == ()
    assert "agreed" not in little.html
    assert "<p></p>" not in little.html
    much = fill(BUILT_IN, dict.fromkeys(FIELDS, "x") | {"action_items": Items(("a",))})
    assert "<p>What we agreed on:</p><ul><li>a</li></ul>" in much.html


@pytest.mark.parametrize("seed", ["{{ ", "<p>", "{{ a | ", "<p>{{ summary | }}", "}}"])
def test_what_never_ends_is_read_in_time_that_grows_with_its_length(seed: str) -> None:
    assert filled(seed * 20_000).html.startswith(seed.strip()[:2]) or filled(seed * 20_000).html == ""


@pytest.mark.parametrize(
    ("names", "greeting"),
    [
        (["Maya Lindqvist"], "Maya"),
        (["Maya Lindqvist", "Tomás Oliveira"], "Maya and Tomás"),
        (["Lindqvist, Maya", "Dr. Elin Berg", "Bo"], "Maya, Elin and Bo"),
        (["Maya", ""], ""),
        (["a@b.example"], ""),
        (["1&1"], ""),
        (["A", "B", "C", "D"], ""),
        ([], ""),
    ],
)
def test_first_names_are_those_of_everybody_or_of_nobody(names: list[str], greeting: str) -> None:
    assert first_names([Address(name, "x@y.example") for name in names]) == greeting


@pytest.mark.parametrize(
    ("emails", "company"),
    [
        (["maya@northwind.example", "elin@northwind.example"], "Northwind"),
        (["maya@mail.blue-yonder.co.uk", "alice@acme.example"], "Blue Yonder"),
        (["maya@gmail.com"], ""),
        (["maya@northwind.example", "bo@other.example"], ""),
        (["alice@acme.example"], ""),
        (["x@xn--bcher-kva.example"], ""),
    ],
)
def test_a_company_is_read_from_the_one_domain_of_the_others(emails: list[str], company: str) -> None:
    assert company_of([Address("", email) for email in emails], own="me@acme.example") == company


def test_a_day_has_its_year_when_that_is_another_one() -> None:
    day = datetime(2026, 11, 23, 9, tzinfo=UTC)
    assert day_of(day, today=date(2026, 12, 1)) == "Monday 23 November"
    assert day_of(day, today=date(2027, 1, 2)) == "Monday 23 November 2026"
