"""The same people as in tests/polls."""

from tests.polls.conftest import neighbour, outsider, owner, site, voter

__all__ = ["neighbour", "outsider", "owner", "site", "voter"]
