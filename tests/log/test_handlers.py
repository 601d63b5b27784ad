from __future__ import annotations

import logging

import pytest

from greenimi.log.handlers import ChannelFilter, SinkHandler
from greenimi.log.queue import WriteQueue


class Gathering:
    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


class Broken:
    def write(self, data: bytes) -> None:
        raise OSError("no space left")


def record(name: str = "shop", level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord(name, level, "shop.py", 1, "hello", (), None)


@pytest.mark.parametrize(("name", "passes"), [("shop", True), ("shop.orders", True), ("shopping", False), ("other", False)])
def test_a_channel_and_those_below_it_pass(name: str, passes: bool) -> None:
    assert ChannelFilter(("shop",)).filter(record(name)) is passes


def test_a_record_goes_to_the_sink_without_a_lock() -> None:
    sink = Gathering()
    handler = SinkHandler(sink)

    def refuse() -> None:
        raise AssertionError("code in the hub must not wait for a lock")

    handler.acquire = refuse  # type: ignore[method-assign]
    assert handler.handle(record())
    assert sink.data == b"hello\n"


def test_a_record_that_a_filter_refuses_goes_nowhere() -> None:
    sink = Gathering()
    handler = SinkHandler(sink)
    handler.addFilter(ChannelFilter(("other",)))
    assert not handler.handle(record())
    assert sink.data == b""


def test_warnings_and_above_are_urgent() -> None:
    urgency = []

    class Queue(WriteQueue):
        def push(self, sink: object, data: bytes, *, urgent: bool) -> None:
            urgency.append(urgent)

    handler = SinkHandler(Gathering())
    handler.queue = Queue(1, lambda lost: [])
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        handler.handle(record(level=level))
    assert urgency == [False, False, True, True]


def test_a_log_call_never_raises(capsys: pytest.CaptureFixture[str]) -> None:
    assert SinkHandler(Broken()).handle(record())
    assert "no space left" in capsys.readouterr().err
