"""A store that fails: a pause, and a word now and then."""

from __future__ import annotations

import logging

import pytest

from greenimi.cache.settings import CacheSettings
from greenimi.cache.trouble import Trouble
from tests.cache.stores import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


def test_nobody_asks_during_the_pause(clock: Clock) -> None:
    trouble = Trouble("default", CacheSettings(pause=2.0), clock)
    trouble.note(OSError("no"))
    assert trouble.pausing()
    clock.now += 1.9
    assert trouble.pausing()
    clock.now += 0.2
    assert not trouble.pausing()
    assert trouble.until == 0.0


def test_without_a_pause_everybody_asks(clock: Clock) -> None:
    trouble = Trouble("default", CacheSettings(pause=0.0), clock)
    trouble.note(OSError("no"))
    assert trouble.until == 0.0


def test_conf_may_have_errors_raised(clock: Clock) -> None:
    trouble = Trouble("default", CacheSettings(errors="raise"), clock)
    with pytest.raises(OSError, match="no"):
        trouble.note(OSError("no"))
    assert trouble.until == 0.0
    assert trouble.failed == 1


@pytest.mark.parametrize("error", [ValueError("v"), TypeError("t"), UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogate")])
def test_mistakes_of_callers_are_theirs(clock: Clock, error: Exception) -> None:
    """A key from a client that no store can take must not stop the cache for all."""
    trouble = Trouble("default", CacheSettings(), clock)
    with pytest.raises(type(error)):
        trouble.note(error)
    assert trouble.until == 0.0
    assert trouble.failed == 0


def test_the_same_is_logged_once_a_minute(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    trouble = Trouble("orders", CacheSettings(), clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            trouble.note(ConnectionError("refused"))
        trouble.say("something else %d", 5)
        assert len(caplog.records) == 2
        clock.now += 61.0
        trouble.note(ConnectionError("refused"))
    texts = [record.getMessage() for record in caplog.records]
    assert texts[1] == "cache orders: something else 5"
    assert "101 times so far: ConnectionError: refused" in texts[2]
