"""WebSockets on streams of HTTP/2 (RFC 8441)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenimi.app import App
from greenimi.codec.websocket import ClientCodec
from greenimi.testing.support import wait_until
from tests.apps.echo import Stage
from tests.servers.http2_client import Answer, Http2Link

Dial = Callable[..., Http2Link]


def server_of(app: App) -> Any:
    return app.doors.servers["web"]


class Tunnel:
    """A WebSocket on a stream."""

    def __init__(self, web: Http2Link, path: str, *fields: tuple[str, str]) -> None:
        self.web = web
        self.codec = ClientCodec()
        number = web.h2.get_next_available_stream_id()
        pseudo = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "x"), (":path", path)]
        web.h2.send_headers(number, [*pseudo, ("sec-websocket-version", "13"), *fields])
        web.flush()
        self.answer = web.answers.setdefault(number, Answer())
        self.number = number
        web.until(lambda: self.answer.status or self.answer.reset is not None)

    def ask(self, text: str) -> str | bytes:
        self.codec.send(text)
        self.web.send(self.number, self.codec.outgoing())
        return self.receive()

    def receive(self) -> str | bytes:
        while True:
            data, self.answer.body = self.answer.body, b""
            found = self.codec.receive(data) if data else ()
            if found:
                return found[0].raw  # type: ignore[union-attr]
            self.web.read()

    def close(self) -> None:
        self.codec.close(1000, "")
        self.web.send(self.number, self.codec.outgoing())


def test_websockets_on_streams(app: App, stage: Stage, dial: Dial) -> None:
    web = dial(app)
    one, two = Tunnel(web, "/chat"), Tunnel(web, "/chat")
    assert one.answer.status == two.answer.status == 200
    assert one.ask('{"action": "echo", "text": "a"}') == '{"text":"a"}'
    assert two.ask('{"action": "echo", "text": "b"}') == '{"text":"b"}'
    assert web.get("/item/1").body == b"1"
    big = "x" * 300_000
    assert one.ask(f'{{"action": "echo", "text": "{big}"}}') == f'{{"text":"{big}"}}'
    one.close()
    web.wait(one.number)
    assert (one.answer.ended, one.answer.reset) == (True, None)
    wait_until(lambda: stage.log.count("closed") == 1)
    assert two.ask('{"action": "echo", "text": "c"}') == '{"text":"c"}'
    web.close()
    wait_until(lambda: stage.log.count("closed") == 2)
    wait_until(lambda: not server_of(app).connections)


def test_handshakes_that_are_refused(app: App, dial: Dial) -> None:
    web = dial(app)
    assert Tunnel(web, "/chat", ("origin", "http://elsewhere")).answer.status == 403
    assert Tunnel(web, "/nothing").answer.status == 404
    assert Tunnel(web, "/item/1").answer.status == 405
    assert web.get("/chat").status == 426
    assert web.get("/item/1").body == b"1"
