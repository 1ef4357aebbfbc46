"""Chaos tests that need only a site borrow the end-to-end tests' fixtures."""

from tests.e2e.conftest import (
    embedded_database,
    embedded_template,
    servers_database,
    servers_template,
    start_site,
)

__all__ = [
    "embedded_database", "embedded_template", "servers_database", "servers_template", "start_site",
]  # fmt: skip
