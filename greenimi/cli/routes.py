"""``greenimi routes``"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from greenimi.cli.options import add_conf, add_json, committed
from greenimi.cli.output import say_records
from greenimi.dispatch.route import Route

EXAMPLES = """
greenimi routes
greenimi routes conf/app.toml --json
"""


def arguments(parser: ArgumentParser) -> None:
    add_conf(parser)
    add_json(parser)


def run(options: Namespace) -> int:
    rows = [_row(route, full=options.json) for route in committed(options).setup.introspect("route")]
    say_records(["server", "kind", "address", "handler", "layers", "where"], rows, as_json=options.json)
    return 0


def _row(route: Route, *, full: bool) -> list[Any]:
    where = f"{route.where.file}:{route.where.line}" if full else str(route.where)
    return [route.server, route.kind, route.address, route.handler, [_layer(layer) for layer in route.layers], where]


def _layer(layer: Any) -> str:
    return layer if isinstance(layer, str) else getattr(layer, "__qualname__", type(layer).__qualname__)
