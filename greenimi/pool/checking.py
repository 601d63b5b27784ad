"""Checks of what was unused for long, each in a greenlet of its own: whatever is thrown at who waits for it is no fault of the server."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Any

from greenimi import green


def fault_of(check: Callable[[Any], object], resource: Any, seconds: float) -> Exception | None:
    """None when ``check`` says that the resource is well, else what is wrong with it.  Waits, at most so many seconds.

    What is raised is not of the check: somebody ends the greenlet that waits, and the check is broken off.
    """
    asked = Context().run(green.spawn, _ask, check, resource, seconds)  # it belongs to no message
    try:
        found: Exception | None = asked.get()
    except BaseException:
        asked.kill(block=False)
        raise
    return found


def _ask(check: Callable[[Any], object], resource: Any, seconds: float) -> Exception | None:
    try:
        with green.timeout(seconds, TimeoutError(f"no answer to a check within {seconds:g} seconds")):
            return None if check(resource) else LookupError("it did not answer a check")
    except Exception as error:
        return error.with_traceback(None)
