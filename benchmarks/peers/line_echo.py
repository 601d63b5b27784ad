"""Send every line back: `python -m benchmarks.peers.line_echo gevent|asyncio|uvloop PORT`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def serve_streams(port: int) -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


def serve_gevent(port: int) -> None:
    from gevent.server import StreamServer

    def handle(socket: Any, address: Any) -> None:
        try:
            with socket.makefile("rb") as lines:
                for line in lines:
                    socket.sendall(line)
        except ConnectionError:
            pass

    StreamServer(("127.0.0.1", port), handle, backlog=2048).serve_forever()


def main(kind: str, port: int) -> None:
    if kind == "gevent":
        serve_gevent(port)
        return
    factory = None
    if kind == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve_streams(port))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
