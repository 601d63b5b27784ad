"""Send every datagram back: `python -m benchmarks.peers.datagram_echo gevent|asyncio|uvloop PORT`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.transport.sendto(data, address)


async def serve_datagrams(port: int) -> None:
    await asyncio.get_running_loop().create_datagram_endpoint(Echo, ("127.0.0.1", port))
    await asyncio.Event().wait()


def serve_gevent(port: int) -> None:
    from gevent.server import DatagramServer

    class Server(DatagramServer):  # type: ignore[misc]
        def handle(self, data: bytes, address: Any) -> None:
            self.socket.sendto(data, address)

    Server(("127.0.0.1", port)).serve_forever()


def main(kind: str, port: int) -> None:
    if kind == "gevent":
        serve_gevent(port)
        return
    factory = None
    if kind == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve_datagrams(port))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
