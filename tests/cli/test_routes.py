from __future__ import annotations

import json

from tests.cli.support import CONF, Project

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
    assert heads == ["server", "kind", "address", "parameters", "handler", "layers", "where"]
    assert rows == [
        ["web", "http", "GET /orders/{number}", "path number", "app:Orders.show", "logged, Timed, @members", "app.py:11"],
        ["till", "tcp", "sell", "field sku", "app:Till.sell", "app.py:17"],
    ]


def test_as_json_with_whole_paths(project: Project) -> None:
    project.write("app.py", APP)
    (row,) = json.loads(project.run("routes", "--json").stdout)
    assert row == {
        "server": "web",
        "kind": "http",
        "address": "GET /orders/{number}",
        "name": "",
        "conditions": [],
        "parameters": [{"name": "number", "source": "path", "key": "number", "type": "int", "required": True}],
        "handler": "app:Orders.show",
        "layers": ["logged", "Timed", "@members"],
        "where": f"{project.folder}/app.py:11",
    }


CONDITIONS = """
from greenimi import Request, get, http, resource, websocket, on
@resource("/orders", item="/{order_id:int}", domain="{tenant}.example.org", auto_end_slash=True)
class Orders:
    def show(self, order_id: int, tenant: str, request: Request, limit: int | None = None) -> str:
        return tenant
    @get(query=["page", "!draft"], header={"x-version": "2"}, consumes="text/*", ignore_case=True, name="all")
    def index(self) -> str:
        return ""
@websocket("/talk", domain="talk.example.org")
class Talk:
    @on("say")
    def say(self) -> None: ...
"""


def test_names_and_conditions(project: Project) -> None:
    project.write("app.py", CONDITIONS)
    heads, *rows = [[cell.strip() for cell in line.split("  ") if cell] for line in project.run("routes").stdout.splitlines()]
    assert heads == ["server", "kind", "address", "name", "conditions", "parameters", "handler", "where"]
    assert [row[2:-2] for row in rows] == [
        [
            "GET /orders/{order_id:int}",
            "orders.show",
            "domain {tenant}.example.org, auto_end_slash",
            "path order_id, path tenant, query-or-body limit",
        ],
        [
            "GET /orders",
            "all",
            "domain {tenant}.example.org, query page, query !draft, header x-version~2, consumes text/*, ignore_case, auto_end_slash",
        ],
        ["/talk say", "domain talk.example.org"],
    ]
    found = json.loads(project.run("routes", "--json").stdout)
    assert found[0]["conditions"] == ["domain {tenant}.example.org", "auto_end_slash"]
    assert found[0]["parameters"][2] == {
        "name": "limit",
        "source": "query-or-body",
        "key": "limit",
        "type": "int | None",
        "required": False,
    }


def test_what_is_not_a_route_and_answers_all_the_same(project: Project) -> None:
    project.write("app.py", APP)
    project.write("conf/app.toml", CONF + 'mount."/shop" = "shop:app"\n[servers.web.static."/assets"]\nfolder = "."\n')
    rows = json.loads(project.run("routes", "--json").stdout)
    assert [(row["kind"], row["address"], row["handler"]) for row in rows[1:]] == [
        ("wsgi", "/shop/*", "shop:app"),
        ("static", "/assets/*", "."),
    ]
    assert rows[2]["where"].startswith("conf/app.toml:")
