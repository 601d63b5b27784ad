"""FastAPI: its router with a typed path parameter, three pure ASGI pass-through middlewares."""

from __future__ import annotations

from fastapi import FastAPI

from benchmarks.peers.asgi_layer import Layer

app = FastAPI()
for _ in range(3):
    app.add_middleware(Layer)


@app.get("/hello/{name}")
async def hello(name: str) -> dict[str, str]:
    return {"hello": name}
