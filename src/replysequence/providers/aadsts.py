"""Microsoft's AADSTS numbers: what each means for people, and who has to act.

Microsoft asks callers to decide by `error` and to take the numbers as hints that may change (Entra "Microsoft
Entra authentication and authorization error codes", checked 2026-11-22), so they choose the words. The one
thing decided by them is that a passing fault disconnects nobody.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Actor(StrEnum):
    """Who can mend it."""

    PERSON = "person"
    ADMINISTRATOR = "administrator"
    """The administrator of the person's organisation."""
    OPERATOR = "operator"
    """Who runs this server and registered it at Microsoft."""
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a number means. ``needs_consent``: an administrator's consent link mends it."""

    actor: Actor
    message: str
    needs_consent: bool = False


_PERSON, _ADMIN, _OPERATOR, _TIME = Actor.PERSON, Actor.ADMINISTRATOR, Actor.OPERATOR, Actor.TIME

_ROWS: tuple[tuple[tuple[int, ...], Explanation], ...] = (
    (
        (65004,),
        Explanation(_PERSON, "You declined on Microsoft's page. Connect again and choose “Accept”."),
    ),
    (
        (65001,),
        Explanation(_PERSON, "Microsoft has no consent for this account (any more). Connect it again."),
    ),
    (
        (90094, 90095, 90093),
        Explanation(
            _ADMIN,
            "Your organisation lets only an administrator approve apps. Ask yours to approve ReplySequence, "
            "then "
            "connect again.",
            needs_consent=True,
        ),
    ),
    (
        (50105,),
        Explanation(
            _ADMIN,
            "Your organisation lets only chosen people use ReplySequence. Ask your administrator to add you.",
        ),
    ),
    (
        (53000, 53001, 53002, 53003, 530032, 530003, 530035, 53011),
        Explanation(
            _ADMIN,
            "A security policy of your organisation blocked the sign-in from this device or place. Try "
            "another one, or "
            "ask your administrator.",
        ),
    ),
    (
        (500212, 500213, 500021, 500022),
        Explanation(
            _ADMIN,
            "Your organisation does not let its accounts be used with apps of other organisations. Ask your "
            "administrator.",
        ),
    ),
    (
        (650052,),
        Explanation(
            _ADMIN,
            "Your organisation lacks the Microsoft service that is needed, which is Exchange Online. Ask "
            "your "
            "administrator.",
        ),
    ),
    (
        (53004,),
        Explanation(
            _PERSON,
            "Microsoft saw a risk in this sign-in. Sign in to Microsoft, follow what it asks, and connect "
            "again.",
        ),
    ),
    (
        (50072, 50074, 50076, 50078, 50079, 50158),
        Explanation(_PERSON, "Microsoft wants a second proof that it is you. Connect again and give it."),
    ),
    (
        (50058,),
        Explanation(
            _PERSON, "You are not signed in at Microsoft in this browser. Connect again and sign in."
        ),
    ),
    (
        (50020, 50034, 51004, 16000, 16003, 500208),
        Explanation(
            _PERSON,
            "This account cannot be used here. Connect again and choose another one, at work most often your "
            "own.",
        ),
    ),
    (
        (50053, 50055, 50126, 50135),
        Explanation(
            _PERSON,
            "Microsoft does not let this account sign in: it is locked, or its password is wrong or has "
            "expired. Mend that "
            "at Microsoft, then connect again.",
        ),
    ),
    (
        (50057,),
        Explanation(_ADMIN, "This account is switched off. Ask your administrator, then connect it again."),
    ),
    (
        (70000, 70008, 54005),
        Explanation(
            _PERSON, "Microsoft no longer accepts what it gave us for this account. Connect it again."
        ),
    ),
    (
        (700082,),
        Explanation(
            _PERSON,
            "This account was not used for 90 days, so Microsoft closed its access. Connect it again.",
        ),
    ),
    (
        (70043,),
        Explanation(
            _PERSON, "Your organisation asks for a new sign-in from time to time. Connect the account again."
        ),
    ),
    (
        (50173, 50089, 50132, 50133),
        Explanation(
            _PERSON,
            "The password was changed, or the access was taken back, since this account was connected. "
            "Connect it again.",
        ),
    ),
    (
        (50011, 900971),
        Explanation(
            _OPERATOR,
            "Microsoft does not know this server's redirect URI. The operator must register it, under the "
            "platform "
            "“Web”, exactly as PUBLIC_URL has it.",
        ),
    ),
    (
        (700016, 700011, 90002, 50128, 50059),
        Explanation(
            _OPERATOR,
            "Microsoft does not know this server's app there. The operator must check MICROSOFT_CLIENT_ID "
            "and MICROSOFT_TENANT.",
        ),
    ),
    (
        (9002331, 9002332, 50194),
        Explanation(
            _OPERATOR,
            "This server's app is registered for another kind of account. The operator must set the "
            "supported account types "
            "in the registration, or MICROSOFT_TENANT, so that both fit.",
        ),
    ),
    (
        (7000112, 70001, 1000031),
        Explanation(
            _OPERATOR, "This server's app is switched off at Microsoft. The operator must see to it."
        ),
    ),
    (
        (7000215, 70002),
        Explanation(
            _OPERATOR,
            "Microsoft does not take this server's client secret. The operator must check "
            "MICROSOFT_CLIENT_SECRET: it is the "
            "secret's value, not its id.",
        ),
    ),
    (
        (7000222,),
        Explanation(
            _OPERATOR,
            "This server's client secret has expired. The operator must make a new one and set "
            "MICROSOFT_CLIENT_SECRET.",
        ),
    ),
    (
        (700025, 7000218, 700027, 700084),
        Explanation(
            _OPERATOR,
            "This server's app is registered as a public or single-page app. The operator must register the "
            "redirect URI "
            "under the platform “Web”.",
        ),
    ),
    (
        (650053, 650056, 650057, 70011, 28002, 28003, 700022, 700023),
        Explanation(
            _OPERATOR,
            "Microsoft does not offer this server's app the permissions it asks for. The operator must add "
            "Mail.Send.",
        ),
    ),
    (
        (501481, 50147, 501491, 700005, 70003, 900144, 90014, 9002313, 900561),
        Explanation(
            _OPERATOR,
            "Microsoft could not make sense of our request. The operator should report it as a bug.",
        ),
    ),
    (
        (50196, 90055, 50033, 50087, 90006, 90012, 90024, 90033, 90090, 70012),
        Explanation(_TIME, "Microsoft cannot answer just now. It is tried again by itself."),
    ),
)

EXPLANATIONS: Mapping[int, Explanation] = {
    number: explanation for numbers, explanation in _ROWS for number in numbers
}

_NUMBER = re.compile(r"\bAADSTS(\d{4,9})\b")


def read_number(description: str, codes: object = None) -> int | None:
    """The AADSTS number of an answer: the first of its `error_codes`, else the one its description begins with."""
    if isinstance(codes, list) and codes and isinstance(codes[0], int) and not isinstance(codes[0], bool):
        return codes[0]
    found = _NUMBER.search(description[:2000])
    return int(found[1]) if found else None
