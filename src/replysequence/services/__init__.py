"""Second floor: the verbs. Each opens its own transactions, and none is open across a network call."""

from dataclasses import dataclass

from replysequence.providers.registry import Registry
from replysequence.services.connecting import Connecting
from replysequence.services.deciding import Deciding
from replysequence.services.disconnecting import Disconnecting
from replysequence.services.drafting import Drafting
from replysequence.services.history import History
from replysequence.services.logbook import Logbook
from replysequence.services.looking_up import LookingUp
from replysequence.services.sending import Sending
from replysequence.services.settling import Settling
from replysequence.services.signing_in import SigningIn


@dataclass(frozen=True, slots=True)
class Services:
    """All verbs that people use, as the web floor gets them."""

    signing_in: SigningIn
    connecting: Connecting
    disconnecting: Disconnecting
    drafting: Drafting
    sending: Sending
    settling: Settling
    looking_up: LookingUp
    deciding: Deciding
    history: History
    logbook: Logbook
    registry: Registry
    public_url: str

    @property
    def secure_cookies(self) -> bool:
        """Whether browsers reach us over HTTPS."""
        return self.public_url.startswith("https://")
