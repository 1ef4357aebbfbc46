"""People who talk to the API.

Requests go through the real `asgi.application`, guard and limits too, on an event loop of
its own; the ballot box and the reader are real threads with their own connections, so
every test that uses `site` stands on a database with real transactions.
"""

from collections.abc import Iterator

import pytest

from tests.polls.people import Person, Site


@pytest.fixture
def site(transactional_db: None) -> Iterator[Site]:
    """The whole HTTP application over an empty database."""
    with Site() as site:
        yield site


@pytest.fixture
def owner(site: Site) -> Person:
    """Makes polls and keeps their owner keys."""
    return site.person()


@pytest.fixture
def voter(site: Site) -> Person:
    """A device that keeps its cookies."""
    return site.person()


@pytest.fixture
def neighbour(site: Site) -> Person:
    """A second voter."""
    return site.person()


@pytest.fixture
def outsider(site: Site) -> Person:
    """Knows nothing but the address."""
    return site.person()


@pytest.fixture
def no_screens() -> Iterator[None]:
    """No screen watches: without a running server each tally would be sent off on its own."""
    from polls import events
    from realtime.publisher import publisher

    events.tallies_changed.disconnect(publisher.on_tallies_changed)
    events.poll_changed.disconnect(publisher.on_poll_changed)
    yield
    publisher.connect()
