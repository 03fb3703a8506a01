"""What can be found at a vendor only a while after it was made."""

from dataclasses import dataclass

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.site import StandIn
from replysequence.sandbox.world import World


@dataclass(frozen=True)
class Lag:
    """An index that lags: `words` begin the sentence "… after three seconds"."""

    words: str
    holder: object
    name: str

    @property
    def seconds(self) -> float:
        """How far it lags."""
        return float(getattr(self.holder, self.name))

    def set(self, seconds: float) -> None:
        """Let it lag so far."""
        setattr(self.holder, self.name, seconds)


def lag_of(world: World, stand_in: StandIn) -> Lag | None:
    """The index of that vendor which lags, if it has one."""
    vendor = stand_in.site.vendor
    if vendor is Vendor.HUBSPOT:
        return Lag("Search finds a new record", world.hubspot, "search_lag_seconds")
    if Endpoint.LOOK_UP in stand_in.endpoints:
        words = "The app finds a message in the Sent folder"
        return Lag(words, world.settings[vendor], "sent_lag_seconds")
    return None
