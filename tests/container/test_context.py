from __future__ import annotations

import pytest

from greenimi.container import Container, Scope, scope
from greenimi.container.context import run
from greenimi.errors import NoScope


def test_deferred_calls_run_last_in_first_out() -> None:
    log: list[int] = []
    with Scope(Container("app")):
        for number in range(3):
            scope().defer(log.append, number)
        assert log == []
    assert log == [2, 1, 0]


def test_they_run_after_an_exception_too_and_its_own_wins() -> None:
    log: list[int] = []

    def handle(_: object) -> None:
        scope().defer(log.append, 1)
        scope().defer(lambda: 1 / 0)
        raise ValueError("the handler's")

    with pytest.raises(ValueError, match="the handler's"):
        run(Scope(Container("app")), handle, None)
    assert log == [1]


def test_every_deferred_call_runs_and_the_first_error_is_raised() -> None:
    log: list[int] = []

    def fail(text: str) -> None:
        raise ValueError(text)

    found = Scope(Container("app"))
    found.defer(log.append, 1)
    found.defer(fail, "second")
    found.defer(fail, "first")
    with pytest.raises(ValueError, match="first") as caught:
        found.close()
    assert log == [1]
    assert str(caught.value.__context__) == "second"


def test_scopes_nest_and_do_not_leak() -> None:
    container = Container("app")
    with Scope(container) as outer:
        with Scope(container) as inner:
            assert scope() is inner
        assert scope() is outer
        assert run(Scope(container), lambda _: scope() is outer, None) is False
    with pytest.raises(NoScope, match="there is no current message here"):
        scope()


def test_run_gives_the_result_and_closes_the_scope() -> None:
    log: list[str] = []

    def handle(value: str) -> str:
        scope().defer(log.append, "closed")
        return value.upper()

    assert run(Scope(Container("app")), handle, "x") == "X"
    assert log == ["closed"]
