"""Where a Salesforce account lives. Its address comes with the tokens, so it is looked at whenever it is used: a token
goes to no other host.

The hosts of a My Domain, checked 2026-11-22: `<MyDomain>.my.salesforce.com`, a sandbox's
`<MyDomain>--<name>.sandbox.my.salesforce.com`, and those under `force.com`.
"""

import re
from urllib.parse import urlsplit

from replysequence.domain.errors import Misconfigured
from replysequence.providers.http import is_this_machine

_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SALESFORCE = re.compile(rf"https://(?:{_LABEL}\.){{1,8}}(?:salesforce|force)\.com/?", re.IGNORECASE)
"""The whole address, so that no user name, port or odd character can make another host of it."""
_THIS_MACHINE = re.compile(
    r"https?://(?:[a-z0-9.-]{1,253}|\[[0-9a-f:]{2,39}\])(?::\d{1,5})?(?:/[\w/-]*)?", re.IGNORECASE
)


def instance_of(api_url: str | None, *, login_url: str) -> str:
    """The root of an account's API, without a slash at its end; of this machine only while `login_url` is too.

    Raises :class:`Misconfigured` for any other address, and for none.
    """
    address = api_url or ""
    trusted = bool(_SALESFORCE.fullmatch(address)) or (
        _is_here(login_url) and bool(_THIS_MACHINE.fullmatch(address)) and _is_here(address)
    )
    if not trusted:
        raise Misconfigured(
            "The address that was given for this Salesforce account is not one of Salesforce's own, so nothing was "
            "sent there. The operator must check SALESFORCE_LOGIN_URL. No account was disconnected.",
            code="foreign_host",
        )
    return address.rstrip("/")


def _is_here(url: str) -> bool:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return host is not None and is_this_machine(host)
