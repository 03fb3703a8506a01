"""A calendar: which meetings somebody has and had, and with whom. It is read, never written."""

from abc import abstractmethod
from dataclasses import dataclass

from replysequence.domain.meeting import Entry, Span
from replysequence.providers.base import Access, Connectable


class StartOver(Exception):
    """The source no longer knows the mark that it gave us: everything has to be read anew."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far reading has come. ``mark`` is what the last whole reading ended with, none when everything is read;
    ``cursor`` is the next page, none for the first.
    """

    mark: str | None = None
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A part of what a source says. ``gone`` are ids of entries that no longer exist, each with whatever begins with
    it and an underscore. ``cursor`` is the page that follows. ``mark``, on a last page: what to ask from next time, to
    be told of changes only.
    """

    entries: tuple[Entry, ...]
    gone: tuple[str, ...] = ()
    cursor: str | None = None
    mark: str | None = None


class Calendar(Connectable):
    """A calendar at which a person has an account."""

    @abstractmethod
    async def events(self, access: Access, *, span: Span, place: Place) -> Page:
        """A page of the events in ``span``, series as single events; with ``place.mark`` of what has changed since.

        Raises :class:`StartOver`, :class:`AccessTokenRejected`, :class:`TryLater`, :class:`Rejected`,
        :class:`ReconnectNeeded` or ``Misconfigured``.
        """
