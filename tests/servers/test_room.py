"""What a configuration and marks become, and which of them contradict each other."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from greenimi import get, http, on, on_error, on_missing, websocket
from greenimi.errors import ConflictError, StartError
from greenimi.servers.doors import Doors
from greenimi.testing.support import make_app
from greenimi.web import FromSession, Session
from tests.apps import echo

WEB: dict[str, Any] = {"servers": {"web": {}}}


@websocket("/chat/{room}")
class Chat:
    @on("say")
    def say(self) -> None: ...


@websocket("/chat/{place}")
class Other:
    @on("shout")
    def shout(self) -> None: ...


@websocket("/chat/{room}", payload="text")
class Plain:
    @on("hear")
    def hear(self) -> None: ...


def test_the_doors_are_a_bean() -> None:
    app = make_app(WEB, [echo]).commit()
    try:
        assert app.container.get(Doors).names == ["web"]
    finally:
        app.stop()


@pytest.mark.parametrize(("second", "what"), [(Other, "placeholders"), (Plain, "payload")])
def test_websocket_controllers_on_one_path_must_agree(second: type, what: str) -> None:
    app = make_app(WEB, [Chat, second])
    try:
        with pytest.raises(ConflictError, match=what):
            app.commit()
    finally:
        app.stop()


def test_a_server_uses_one_handler_for_what_is_missing() -> None:
    @on_missing()
    def first(message: Any) -> None: ...

    @on_missing()
    def second(message: Any) -> None: ...

    app = make_app(WEB, [first, second])
    try:
        with pytest.raises(StartError, match="2 @on_missing handlers"):
            app.commit()
    finally:
        app.stop()


def refused(found: Any) -> str:
    """Why an application with this class or function does not start."""
    app = make_app(WEB, [found])
    try:
        with pytest.raises(StartError) as caught:
            app.commit()
    finally:
        app.stop()
    return str(caught.value)


def test_handlers_of_errors_take_what_they_are_called_with() -> None:
    @on_error(KeyError)
    def short(error: KeyError) -> None: ...

    @on_missing()
    def long(message: Any, more: int) -> None: ...

    @on_error(KeyError)
    async def later(error: KeyError, message: Any) -> None: ...

    assert "test_room.py:" in refused(short)
    assert refused(short).endswith("short is called with (error, message), which it does not take")
    assert refused(long).endswith("long is called with (message), which it does not take")
    assert refused(later).endswith("hint: write def instead of async def")


def test_a_session_is_asked_for_where_there_are_some() -> None:
    @http
    class Whole:
        @get("/")
        def show(self, session: Session) -> None: ...

    @http
    class Part:
        @get("/")
        def show(self, user: Annotated[str, FromSession("user.name")]) -> None: ...

    @http
    class Either:
        @get("/")
        def show(self, session: Session | None, user: Annotated[str, FromSession("user.name")] = "") -> None: ...

    assert "session comes from the session, and the server web has none" in refused(Whole)
    assert "hint: say where they are kept: driver in [servers.web.session]" in refused(Part)
    make_app(WEB, [Either]).commit().stop()
