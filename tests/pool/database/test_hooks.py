"""What is to be done after transactions."""

from __future__ import annotations

import pytest

from greenimi.errors import HandlerTimeout
from greenimi.pool.database.hooks import Hooks, run_hooks


def test_from_the_inside_out() -> None:
    done: list[str] = []
    outer, inner, innermost = Hooks(), Hooks(), Hooks()
    outer.add(lambda: done.append("outer"))
    inner.add(lambda: done.append("inner"))
    innermost.add(lambda: done.append("innermost"))
    inner.absorb(innermost)
    outer.absorb(inner)
    assert (len(outer), len(inner), len(innermost)) == (3, 0, 0)
    run_hooks(outer.take())
    assert done == ["innermost", "inner", "outer"]
    assert outer.take() == []


def test_an_error_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    def fails() -> None:
        raise ValueError("no")

    run_hooks([fails, lambda: done.append("next")])
    assert done == ["next"]
    assert "ValueError: no" in caplog.text


def test_broken_off(caplog: pytest.LogCaptureFixture) -> None:
    def stops() -> None:
        raise HandlerTimeout

    with pytest.raises(HandlerTimeout):
        run_hooks([stops, print, print])
    assert "2 things to be done after a transaction were not begun" in caplog.text
