"""A meeting platform: which meetings somebody had there, who came, and what the platform wrote down. Read only."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from replysequence.domain.meeting import Aftermath, Entry, Span
from replysequence.providers.base import Access, Connectable
from replysequence.providers.calendar import Page, Place


class Meetings(Connectable):
    """A meeting platform at which a person has an account. Errors are those of a calendar."""

    lists_by_itself: ClassVar[bool] = True
    """Whether it can tell which meetings there were. If not, it is asked about those that the calendars have."""

    @staticmethod
    @abstractmethod
    def join_key(link: str) -> str | None:
        """What a link to a meeting here says about where it takes place, the same for every way to write the link; none
        for a link to somewhere else.
        """

    @abstractmethod
    async def meetings(self, access: Access, *, span: Span, place: Place, known: Sequence[Entry]) -> Page:
        """A page of the meetings in ``span``. ``known`` are what calendars say takes place here, for a platform that
        does not list by itself.
        """

    @abstractmethod
    async def aftermath(self, access: Access, *, entry: Entry) -> Aftermath:
        """What there is about ``entry`` now that it is over. What this account is not allowed to see is not there."""
