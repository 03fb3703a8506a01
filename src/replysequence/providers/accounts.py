"""What a provider says about an account, made fit to be shown and to stand in a From header: none of it is
trusted.
"""

from replysequence.domain.address import Address, address_faults, parse_address
from replysequence.domain.errors import InvalidInput


def account_address(claim: object) -> str | None:
    """The claim as an address mail can be sent from, or none."""
    if not isinstance(claim, str):
        return None
    try:
        return parse_address(claim).email
    except InvalidInput:
        return None


def account_name(claim: object) -> str:
    """The claim as a display name; empty when it cannot be one."""
    if not isinstance(claim, str) or len(claim) > 1000:
        return ""
    name = " ".join(claim.split())
    unfit = any(address_faults(Address(name, "nobody@example.com")))
    return "" if unfit else name
