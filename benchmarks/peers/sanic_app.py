"""Sanic, its router with a path parameter, in one process: `python -m benchmarks.peers.sanic_app PORT`."""

from __future__ import annotations

import sys

from sanic import HTTPResponse, Request, Sanic, json

app = Sanic("bench", configure_logging=False)


@app.get("/hello/<name>")
async def hello(request: Request, name: str) -> HTTPResponse:
    return json({"hello": name})


if __name__ == "__main__":
    app.run("127.0.0.1", int(sys.argv[1]), single_process=True, access_log=False, motd=False, backlog=2048)
