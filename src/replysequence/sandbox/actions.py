"""What can happen to an account outside the app: switches, and things that happen once."""

from collections.abc import Mapping
from typing import Final

from replysequence.sandbox.accounts import Account, SwitchValue
from replysequence.sandbox.google_token import change_password
from replysequence.sandbox.site import Site
from replysequence.sandbox.world import World

ACTIONS: Final[dict[str, str]] = {
    "remove_access": "Remove the app's access on the account's own page",
    "change_password": "Change the password",
    "expire_access_tokens": "Let every access token expire now",
}


def act(world: World, account: Account, action: str) -> None:
    """Do `action`, one of `ACTIONS`, to `account`."""
    match action:
        case "remove_access":
            world.credentials.revoke_all(account)
        case "change_password":
            change_password(world, account)
        case "expire_access_tokens":
            world.credentials.expire_access_tokens(account)


def switch(account: Account, changes: Mapping[str, SwitchValue], *, site: Site) -> None:
    """Apply `changes` to the switches of `account`. Raises `ValueError` for one it cannot have."""
    tables = {
        "at_consent": site.consent_failures,
        "at_token": site.token_failures,
        "at_send": site.send_failures,
    }
    for name, table in tables.items():
        value = changes.get(name, "")
        if value not in ("", *table):
            raise ValueError(f"{name} at {site.vendor.value} is one of {', '.join(table)}; not {value!r}.")
    account.switch(changes)
