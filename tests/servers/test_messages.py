"""The endpoint between a connection of messages and a pipeline, alone: what it does to the one with what the other gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from greenimi.app import App
from greenimi.container import scope
from greenimi.container.registry import Container
from greenimi.dispatch.pipeline import MessagePipeline
from greenimi.errors import NoScope, ProtocolError, Refused
from greenimi.message import Message, Reply
from greenimi.servers.messages import MessageEndpoint
from greenimi.servers.stream import StreamConnection
from greenimi.testing.plugin import AppFactory


class Payload:
    name = "loud"

    def encode(self, value: Any) -> bytes:
        return f"encoded {value}".encode()


@dataclass
class Pipeline:
    """Gives what it is told to, or raises it; keeps what it was asked, and in which scope."""

    answer: Any = None
    payload: Payload = field(default_factory=Payload)
    has_opened: bool = True
    has_closed: bool = False
    asked: list[tuple[str, Any, Any]] = field(default_factory=list)

    def _take(self, what: str, message: Any) -> Any:
        self.asked.append((what, message, scope()))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def handle(self, message: Any) -> Any:
        return self._take("handle", message)

    def opened(self, message: Any) -> None:
        self._take("opened", message)

    def closed(self, message: Any) -> None:
        self._take("closed", message)


class Link:
    """A connection and its codec: tells what was done to them."""

    def __init__(self) -> None:
        self.params = {"room": "7"}
        self.codec = self
        self.links = None
        self.done: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.done.append((name, *args))


@pytest.fixture
def app(app_factory: AppFactory) -> App:
    return app_factory(conf={})


def make(app: App, answer: Any = None) -> tuple[MessageEndpoint, Pipeline, Any]:
    pipeline = Pipeline(answer)
    endpoint = MessageEndpoint(app.container, cast(MessagePipeline, pipeline))
    link = cast(StreamConnection, Link())
    link.endpoint = endpoint
    return endpoint, pipeline, link


@pytest.mark.parametrize(
    ("answer", "done"),
    [(None, []), (b"x", [("send", b"x")]), (Reply("text"), [("send_raw", "text")]), (Reply(b"binary"), [("send_raw", b"binary")])],
)
def test_answers_go_to_the_codec(app: App, answer: Any, done: list[Any]) -> None:
    endpoint, _, link = make(app, answer)
    endpoint.process(link, Message(b""))
    assert link.done == done


def test_a_message_knows_its_connection_and_is_the_current_one(app: App) -> None:
    endpoint, pipeline, link = make(app)
    message = Message(b"")
    endpoint.process(link, message)
    ((what, asked, current),) = pipeline.asked
    assert (what, asked, asked.connection, asked.params) == ("handle", message, link, {"room": "7"})
    assert (current.container, current.connection, current.message) == (app.container, link, message)
    with pytest.raises(NoScope):
        scope()


def test_a_broken_protocol_reaches_no_handler(app: App) -> None:
    endpoint, pipeline, link = make(app)
    error = ProtocolError("bad", code=1007)
    endpoint.process(link, error)
    assert link.done == [("fail", error)]
    assert pipeline.asked == []


@pytest.mark.parametrize(
    ("error", "code", "reason"), [(Refused("not you"), 4403, "not you"), (RuntimeError("the secret is 42"), 1011, "the server failed")]
)
def test_an_error_in_opened_refuses_the_connection(
    app: App, error: Exception, code: int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint, _, link = make(app, error)
    endpoint.opened(link, Message(b""))
    assert link.done == [("refuse", code, reason)]
    assert ("the secret is 42" in caplog.text) == (code == 1011)


def test_opened_is_given_the_handshake_and_closed_an_empty_message(app: App) -> None:
    endpoint, pipeline, link = make(app)
    handshake = Message(b"shake")
    endpoint.opened(link, handshake)
    endpoint.closed(link)
    (opened, first, _), (closed, last, current) = pipeline.asked
    assert (opened, first) == ("opened", handshake)
    assert (closed, last.raw, last.connection, last.params) == ("closed", b"", link, {"room": "7"})
    assert current.message is last
    assert link.done == []


def test_what_is_pushed_is_encoded_unless_it_is_already(app: App) -> None:
    endpoint, _, link = make(app)
    endpoint.send(link, 5)
    endpoint.send(link, Reply(b"raw"))
    assert link.done == [("send", b"encoded 5"), ("send_raw", b"raw")]


def test_it_has_what_its_pipeline_has(app: App) -> None:
    endpoint, _, _ = make(app)
    assert (endpoint.has_opened, endpoint.has_closed) == (True, False)


def test_each_message_has_a_context_of_its_own(app: App) -> None:
    """What a handler leaves in a context variable is gone with its message."""
    endpoint, pipeline, link = make(app)
    for _ in range(2):
        endpoint.process(link, Message(b""))
    first, second = (current for _, _, current in pipeline.asked)
    assert first is not second
    assert isinstance(first.container, Container)
