"""What counts as an address, and how typed text becomes one."""

import pytest

from replysequence.domain.address import Address, address_faults, parse_address, parse_addresses
from replysequence.domain.errors import InvalidInput


@pytest.mark.parametrize(
    ("typed", "name", "email"),
    [
        ("bob@example.com", "", "bob@example.com"),
        ("  <bob@example.com> ", "", "bob@example.com"),
        ("Bob <bob@example.com>", "Bob", "bob@example.com"),
        ('"Doe, John" <john@example.com>', "Doe, John", "john@example.com"),
        ("Doe, John <john@example.com>", "Doe, John", "john@example.com"),
        (r'"Bob \"the\" \\ Buyer" <bob@example.com>', 'Bob "the" \\ Buyer', "bob@example.com"),
        ("Bob \t  Buyer <bob@example.com>", "Bob Buyer", "bob@example.com"),
        ("bob@example.com <bob@example.com>", "bob@example.com", "bob@example.com"),
        ("Bob <Bob.O'Hara+x@EXAMPLE.Com>", "Bob", "Bob.O'Hara+x@example.com"),
        ("=?utf-8?q?Bob?= <bob@example.com>", "=?utf-8?q?Bob?=", "bob@example.com"),
        ("bob@müller.example", "", "bob@xn--mller-kva.example"),
        ("bob@例え。example", "", "bob@xn--r8jz45g.example"),
    ],
)
def test_an_address_is_read_as_people_write_it(typed: str, name: str, email: str) -> None:
    assert parse_address(typed) == Address(name, email)


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("", "not an email address"),
        ("bob", "not an email address"),
        ("bob@", "not an email address"),
        ("@example.com", "not an email address"),
        ("bob@@example.com", "before the @"),
        ("bo b@example.com", "before the @"),
        (".bob@example.com", "before the @"),
        ("bob..b@example.com", "before the @"),
        ('"bob"@example.com', "before the @"),
        ("=?utf-8?q?bob?=@example.com", "before the @"),
        ("b" * 65 + "@example.com", "before the @"),
        ("böb@example.com", "plain Latin letters"),
        ("bob@localhost", "not a domain"),
        ("bob@example.com.", "not a domain"),
        ("bob@-example.com", "not a domain"),
        ("bob@exa_mple.com", "not a domain"),
        ("bob@10.0.0.1", "not a domain"),
        ("bob@[10.0.0.1]", "not a domain"),
        (f"bob@{'d' * 64}.example", "not a domain"),
        ("bob@straße.example", "xn-- form"),
        ("b@" + "d." * 130 + "example", "longer than"),
        ("alice@example.com, Bob <bob@example.com>", "several addresses"),
        ("Bob\r\nBcc: charlie@evil.example <bob@example.com>", "a line break"),
        ("Bob\x85 <bob@example.com>", "NEL"),
        ("Bob\u2028x <bob@example.com>", "a line separator"),
        ("Bob\0 <bob@example.com>", "NUL"),
        ("Bob\ud800 <bob@example.com>", "surrogate"),
        ("Bob \u202egnp.exe <bob@example.com>", "RIGHT-TO-LEFT OVERRIDE"),
        ("Bob" * 43 + " <bob@example.com>", "longer than 128"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason_and_the_field(typed: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as refusal:
        parse_address(typed, field="cc")
    assert refusal.value.field == "cc"


def test_a_list_is_cut_at_commas_semicolons_and_lines_but_not_inside_quotation_marks() -> None:
    typed = 'alice@example.com, "Doe; John, Jr. \\"JD\\"" <john@example.com>;\nBob <bob@example.com>\r\n,, '
    assert [address.email for address in parse_addresses(typed)] == [
        "alice@example.com",
        "john@example.com",
        "bob@example.com",
    ]


def test_a_list_of_texts_is_read_one_by_one() -> None:
    assert parse_addresses(["Doe, John <john@example.com>"]) == (Address("Doe, John", "john@example.com"),)


def test_an_unquoted_comma_in_one_text_is_refused_rather_than_guessed() -> None:
    with pytest.raises(InvalidInput, match="“Doe” is not an email address"):
        parse_addresses("Doe, John <john@example.com>")


def test_a_caller_may_bring_its_own_reading_of_foreign_domains() -> None:
    def idna_2008(domain: str) -> str:
        return {"straße.example": "xn--strae-oqa.example"}[domain]

    address = parse_address("bob@straße.example", to_ascii_domain=idna_2008)
    assert address.email == "bob@xn--strae-oqa.example"


def test_the_domain_of_an_address_is_what_stands_after_the_at() -> None:
    assert Address("Alice", "alice@example.com").domain == "example.com"


def test_every_fault_of_an_address_built_by_hand_is_told() -> None:
    assert len(list(address_faults(Address("Bob\n", "bob")))) == 2


def test_ten_megabytes_are_refused_before_anybody_reads_them() -> None:
    for typed in ("<" * 10_000_000, '"' * 10_000_000, "é@" * 5_000_000):
        with pytest.raises(InvalidInput, match="too long"):
            parse_address(typed)
        with pytest.raises(InvalidInput, match="too long"):
            parse_addresses(typed)
