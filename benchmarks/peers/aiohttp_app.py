"""aiohttp on uvloop: router with a path parameter, WebSocket echo, texts for all of /fan: `python -m benchmarks.peers.aiohttp_app PORT`."""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import WSMsgType, web

listening: set[web.WebSocketResponse] = set()


async def hello(request: web.Request) -> web.Response:
    return web.json_response({"hello": request.match_info["name"]})


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket


async def fan(request: web.Request) -> web.WebSocketResponse:
    """What one sends comes to all of them."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    listening.add(socket)
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                for other in list(listening):
                    await other.send_str(message.data)
    finally:
        listening.remove(socket)
    return socket


async def main(port: int) -> None:
    app = web.Application()
    app.add_routes([web.get("/hello/{name}", hello), web.get("/ws", echo), web.get("/fan", fan)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=2048).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))
