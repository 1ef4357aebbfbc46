"""A long outage is one line now and then, not one a failure."""

import logging

import pytest

from realtime.outage_log import OutageLog


def test_an_outage_is_logged_at_once_and_then_seldom(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("realtime.outage_log.time.monotonic", lambda: now)
    log = OutageLog(logging.getLogger("test"))
    for _ in range(50):
        log.warn("Redis is away", "cut")
    now += 11
    log.warn("Redis is away", "cut")
    assert [record.getMessage() for record in caplog.records] == [
        "Redis is away: 'cut'",
        "Redis is away: 'cut' (49 more like it)",
    ]
