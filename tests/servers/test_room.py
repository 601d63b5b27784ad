"""What a configuration and marks become, and which of them contradict each other."""

from __future__ import annotations

from typing import Any

import pytest

from greenimi import on, on_missing, websocket
from greenimi.errors import ConflictError, StartError
from greenimi.servers.doors import Doors
from greenimi.testing.support import make_app
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
