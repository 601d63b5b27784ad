"""Starlette: its router with a path parameter, three pure ASGI pass-through middlewares."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from benchmarks.peers.asgi_layer import Layer


async def hello(request: Request) -> JSONResponse:
    return JSONResponse({"hello": request.path_params["name"]})


app = Starlette(routes=[Route("/hello/{name}", hello)], middleware=[Middleware(Layer)] * 3)
