"""Flask, its router with a path parameter."""

from __future__ import annotations

from flask import Flask

app = Flask(__name__)


@app.get("/hello/<name>")
def hello(name: str) -> dict[str, str]:
    return {"hello": name}
