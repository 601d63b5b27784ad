"""gevent-websocket applications over HTTP/2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenimi.app import App
from greenimi.servers.guests.wsgi import load_guest
from greenimi.testing.support import wait_until
from tests.servers.http2_client import Http2Link
from tests.servers.test_http2_socket import Tunnel

Dial = Callable[..., Http2Link]


def test_an_application_talks_on_a_stream(app: App, dial: Dial) -> None:
    seen: list[Any] = []

    def application(environ: dict[str, Any], start: Any) -> list[bytes]:
        seen.append((environ["REQUEST_METHOD"], environ["HTTP_UPGRADE"], environ["SERVER_PROTOCOL"]))
        websocket = environ["wsgi.websocket"]
        while (message := websocket.receive()) is not None:
            websocket.send(message * 2)
        seen.append("left")
        return []

    server: Any = app.doors.servers["web"]
    guest = load_guest(application, "/guest", server.settings)
    server.pipeline.mount(guest.prefix, guest)
    web = dial(app)
    tunnel = Tunnel(web, "/guest/chat")
    assert tunnel.answer.status == 200
    assert tunnel.ask("ab") == "abab"
    assert web.get("/item/1").body == b"1"
    tunnel.close()
    wait_until(lambda: seen == [("GET", "websocket", "HTTP/2"), "left"])
    web.wait(tunnel.number)
    assert not server.handlers.long_lived
