from __future__ import annotations

import json

from tests.cli.support import Project

APP = """
from greenimi import get, http, layers, on, tcp
def logged(message, proceed):
    return proceed(message)
class Timed:
    def __call__(self, message, proceed):
        return proceed(message)
@http("/orders")
@layers(logged)
class Orders:
    @get("/{number}")
    @layers(Timed, "@members")
    def show(self, number: int) -> int:
        return number
@tcp
class Till:
    @on("sell")
    def sell(self, sku: str) -> str:
        return sku
"""


def test_a_line_for_each_route(project: Project) -> None:
    project.write("app.py", APP)
    done = project.run("routes", "--set", "servers.till.kind=tcp", "--set", "servers.till.bind=127.0.0.1:0")
    assert done.returncode == 0, done.stderr
    heads, *rows = [[cell.strip() for cell in line.split("  ") if cell] for line in done.stdout.splitlines()]
    assert heads == ["server", "kind", "address", "handler", "layers", "where"]
    assert rows == [
        ["web", "http", "GET /orders/{number}", "app:Orders.show", "logged, Timed, @members", "app.py:11"],
        ["till", "tcp", "sell", "app:Till.sell", "app.py:17"],
    ]


def test_as_json_with_whole_paths(project: Project) -> None:
    project.write("app.py", APP)
    (row,) = json.loads(project.run("routes", "--json").stdout)
    assert row == {
        "server": "web",
        "kind": "http",
        "address": "GET /orders/{number}",
        "handler": "app:Orders.show",
        "layers": ["logged", "Timed", "@members"],
        "where": f"{project.folder}/app.py:11",
    }
