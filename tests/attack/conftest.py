"""The whole app on a port, on each of the two databases, and the people who attack it or are attacked."""

from web.conftest import alice, anonymous, bob, charlie, web  # noqa: F401 - fixtures
