"""The registry: one line a provider, every section shown, and the settings read from here."""

import re

import pytest

from replysequence.domain.errors import NotFound
from replysequence.providers.base import Category, Provider, VariableKind
from replysequence.providers.http import HttpClient
from replysequence.providers.registry import PROVIDERS, Registry


def a_registry(**values: str) -> Registry:
    return Registry(values, HttpClient())


def test_every_section_is_there_in_display_order_also_an_empty_one() -> None:
    sections = a_registry().by_category()

    assert [category for category, _ in sections] == list(Category)
    assert {provider.name for _, providers in sections for provider in providers} == {
        p.name for p in PROVIDERS
    }


def test_a_provider_is_found_by_its_name_and_kind_only() -> None:
    registry = a_registry()

    assert registry.provider("resend") is registry.relay_named("resend")
    assert registry.mailbox("gmail") is registry.connectable("gmail") is registry.provider("gmail")
    for find, name in [
        (registry.provider, "fax"),
        (registry.mailbox, "resend"),
        (registry.connectable, "resend"),
        (registry.relay_named, "gmail"),
        (registry.mailbox, ""),
    ]:
        with pytest.raises(NotFound):
            find(name)


def test_a_relay_is_offered_only_when_it_is_set_up() -> None:
    assert a_registry().relay() is None
    assert a_registry(RESEND_API_KEY="re_x").relay() is None
    relay = a_registry(RESEND_API_KEY="re_x", RESEND_FROM="sales@acme.example").relay()
    assert relay is not None
    assert relay.name == "resend"


def test_every_variable_is_named_once_and_explained_in_a_sentence() -> None:
    variables = Registry.variables()

    assert len({variable.name for variable in variables}) == len(variables)
    for variable in variables:
        assert re.fullmatch(r"[A-Z][A-Z_]+", variable.name)
        assert variable.meaning.endswith(".")
        assert not (variable.needed and variable.default)
        if variable.kind is VariableKind.URL:
            assert variable.default.startswith("https://")
        if variable.kind is VariableKind.SECRET:
            assert variable.default == ""


def test_an_empty_value_means_the_default() -> None:
    assert a_registry(GMAIL_API_URL="").provider("gmail").reachable_url == "https://gmail.googleapis.com"


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_a_provider_fits_in_an_address_and_on_a_card(*, provider: type[Provider]) -> None:
    assert re.fullmatch(r"[a-z_]+", provider.name)
    assert provider.title
    assert any(variable.needed for variable in provider.variables)
