"""gevent-websocket on gevent's own WSGI server: `python -m benchmarks.peers.gevent_websocket_echo PORT`."""

from __future__ import annotations

import sys
from typing import Any

from gevent.pywsgi import WSGIServer
from geventwebsocket.handler import WebSocketHandler


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    socket = environ["wsgi.websocket"]
    while (message := socket.receive()) is not None:
        socket.send(message)
    return []


if __name__ == "__main__":
    WSGIServer(("127.0.0.1", int(sys.argv[1])), echo, handler_class=WebSocketHandler, log=None, backlog=2048).serve_forever()
