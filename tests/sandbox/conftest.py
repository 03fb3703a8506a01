"""One sandbox for each test, and the apps that speak to it."""

from collections.abc import Iterator

import pytest

from replysequence.sandbox.running import RunningSandbox, sandbox
from replysequence.sandbox.world import World
from support.google_app import GoogleApp
from support.hubspot_app import HubSpotApp
from support.microsoft_app import MicrosoftApp
from support.salesforce_app import SalesforceApp
from support.zoom_app import ZoomApp

PUBLIC_URL = "http://localhost:8000"


@pytest.fixture
def box() -> Iterator[RunningSandbox]:
    """A fresh sandbox, with the callbacks of an app at `PUBLIC_URL` registered."""
    world = World()
    world.register_app(PUBLIC_URL)
    with sandbox(world) as running:
        yield running


@pytest.fixture
def app(box: RunningSandbox) -> GoogleApp:
    """The app that is registered at Google's stand-in."""
    return GoogleApp(box)


@pytest.fixture
def microsoft(box: RunningSandbox) -> MicrosoftApp:
    """The app that is registered at Microsoft's stand-in."""
    return MicrosoftApp(box)


@pytest.fixture
def hubspot(box: RunningSandbox) -> HubSpotApp:
    """The app that is registered at HubSpot's stand-in."""
    return HubSpotApp(box)


@pytest.fixture
def salesforce(box: RunningSandbox) -> SalesforceApp:
    """The app that is registered at Salesforce's stand-in."""
    return SalesforceApp(box)


@pytest.fixture
def zoom(box: RunningSandbox) -> ZoomApp:
    """The app that is registered at Zoom's stand-in."""
    return ZoomApp(box)
