"""A CRM: where every message that was sent is logged, once, on the person it went to."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from replysequence.domain.address import Address
from replysequence.domain.plain_text import plain_text
from replysequence.domain.report import Correction, LoggedEmail
from replysequence.providers.base import Access, Connectable


@dataclass(frozen=True, slots=True)
class Person:
    """A record in a CRM that stands for one of a message's recipients. ``kind`` is the CRM's word for it."""

    kind: str
    id: str
    email: str
    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A logged message. ``url`` opens it, or the record that it is on, in the browser.

    ``is_ours`` is false when the CRM has logged the same message by itself (inbox capture, BCC).
    """

    id: str
    url: str
    is_ours: bool = True


class Crm(Connectable):
    """A CRM at which a person has an account. Every method may raise a :class:`ProviderError`; its type is the
    decision, as for mailboxes: :class:`TryLater` waits, :class:`Rejected` ends the report and says what to do,
    :class:`ReconnectNeeded` waits for the owner, :class:`OutcomeUnknown` (only of :meth:`log`, :meth:`create_person`
    and :meth:`correct`) means that it may have been written: it is looked for before anything is written again.
    """

    settling_seconds: float
    """After an unknown outcome, how long until a look is sure to see what was written."""

    @abstractmethod
    async def find_people(self, access: Access, *, emails: Sequence[str]) -> list[Person]:
        """The records with these addresses, at most one for each, in their order; addresses are compared without case.
        Where several records share an address, the one that is surely meant; none when that is open.
        """

    @abstractmethod
    async def create_person(self, access: Access, *, address: Address) -> Person:
        """Make a record for this address, or return the one that turns out to be there."""

    @abstractmethod
    async def find_entry(
        self, access: Access, *, email: LoggedEmail, people: Sequence[Person]
    ) -> Entry | None:
        """The entry of this very message on the records of ``people``, made by us or by the CRM itself; none when there
        is none.
        """

    @abstractmethod
    async def log(self, access: Access, *, email: LoggedEmail, people: Sequence[Person]) -> Entry:
        """Make one entry for ``email``, on all of ``people`` (at least one). Written once; never repeated in here."""

    @abstractmethod
    async def correct(
        self, access: Access, *, entry_id: str, email: LoggedEmail, correction: Correction
    ) -> None:
        """Tell an entry what became known later. Doing it again changes nothing."""


def first_and_last_name(name: str) -> tuple[str, str]:
    """A display name as a CRM keeps it: the last word, and what stands before it. Either may be empty."""
    first, _, last = name.strip().rpartition(" ")
    return (first, last) if first else (last, "")


def bodies(email: LoggedEmail, *, most: int) -> tuple[str | None, str | None]:
    """HTML and text of ``email`` with at most ``most`` characters each. An HTML that is longer would be cut within a
    tag, so its plain form goes instead.
    """
    if email.html is not None and len(email.html) > most:
        return None, (email.text or plain_text(email.html))[:most]
    return email.html, None if email.text is None else email.text[:most]
