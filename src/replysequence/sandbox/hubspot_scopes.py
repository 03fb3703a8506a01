"""HubSpot's scopes: names, what the consent page says about them, which call needs which.

Source: HubSpot's OpenAPI files of 2026-09 for emails, contacts and owners, checked 2026-11-22.
"""

from typing import Final

OAUTH: Final = "oauth"
READ_EMAIL: Final = "sales-email-read"
OWNERS: Final = "crm.objects.owners.read"

WORDS: Final[dict[str, str]] = {
    OAUTH: "Know which HubSpot account this is",
    "crm.objects.contacts.read": "View contacts, and what is logged on them",
    "crm.objects.contacts.write": "Create, change and delete contacts, and log on them",
    "crm.objects.companies.read": "View companies",
    "crm.objects.companies.write": "Create, change and delete companies",
    "crm.objects.deals.read": "View deals",
    "crm.objects.deals.write": "Create, change and delete deals",
    OWNERS: "View the users that records can belong to",
    READ_EMAIL: "View the contents of logged emails",
}


def to_read(kind: str) -> list[str]:
    """The scopes that reading records of this type takes; an email's body takes `READ_EMAIL` as well."""
    return [f"crm.objects.{'contacts' if kind == 'emails' else kind}.read"]


def to_write(kind: str) -> list[str]:
    """The scopes that writing records of this type takes, all of them."""
    if kind == "emails":
        return ["crm.objects.contacts.write", READ_EMAIL]
    return [f"crm.objects.{kind}.write"]
