"""gevent-websocket's own server: texts for all of /fan, an echo at /ws: `python -m benchmarks.peers.gevent_websocket_fan PORT`."""

from __future__ import annotations

import sys
from collections import OrderedDict

from geventwebsocket.resource import Resource, WebSocketApplication
from geventwebsocket.server import WebSocketServer


class Echo(WebSocketApplication):  # type: ignore[misc]
    def on_message(self, message: str | None) -> None:
        if message is not None:
            self.ws.send(message)


class Fan(WebSocketApplication):  # type: ignore[misc]
    """What one sends comes to all of them."""

    def on_message(self, message: str | None) -> None:
        if message is not None:
            for client in list(self.ws.handler.server.clients.values()):
                client.ws.send(message)


if __name__ == "__main__":
    resource = Resource(OrderedDict([("/ws", Echo), ("/fan", Fan)]))
    WebSocketServer(("127.0.0.1", int(sys.argv[1])), resource, log=None, backlog=2048).serve_forever()
