from __future__ import annotations

import logging

import pytest

from greenimi.log import ErrorHandlers


def test_handlers_run_in_order_and_then_the_default(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[tuple[str, str, str]] = []
    handlers = ErrorHandlers()
    handlers.add(lambda error, place: seen.append(("second", str(error), place)), order=1)
    handlers.add(lambda error, place: seen.append(("first", str(error), place)))
    handlers.handle(ValueError("x"), "cron sweep")
    assert seen == [("first", "x", "cron sweep"), ("second", "x", "cron sweep")]
    (record,) = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == ("greenimi.error", logging.ERROR, "cron sweep failed")
    assert record.exc_info is not None


def test_one_that_returns_true_ends_the_matter(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    def ends_it(error: BaseException, place: str) -> bool:
        seen.append("first")
        return True

    handlers = ErrorHandlers()
    handlers.add(ends_it)
    handlers.add(lambda error, place: seen.append("second"))
    handlers.handle(ValueError("x"))
    assert seen == ["first"]
    assert caplog.records == []


def test_a_handler_that_fails_is_logged_and_the_rest_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def rude(error: BaseException, place: str) -> bool:
        raise RuntimeError("rude")

    handlers = ErrorHandlers()
    handlers.add(rude)
    handlers.handle(ValueError("x"))
    assert [record.getMessage() for record in caplog.records] == ["an error handler failed", "a task failed"]
