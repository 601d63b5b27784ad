"""``greenimi routes``"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from greenimi.app import App
from greenimi.cli.options import add_conf, add_json, committed
from greenimi.cli.output import say_records
from greenimi.dispatch.arguments import Parameter
from greenimi.dispatch.route import Route
from greenimi.servers.guests.wsgi import Mount

EXAMPLES = """
greenimi routes
greenimi routes conf/app.toml --json
"""

HEADS = ["server", "kind", "address", "name", "conditions", "parameters", "handler", "layers", "where"]


def arguments(parser: ArgumentParser) -> None:
    add_conf(parser)
    add_json(parser)


def run(options: Namespace) -> int:
    app = committed(options)
    rows = [_row(route, full=options.json) for route in app.setup.introspect("route")]
    rows += [_guest(each) for each in app.setup.introspect("mount")] + _folders(app)
    heads = HEADS
    if not options.json:  # people need no columns in which nothing stands
        wanted = [number for number, head in enumerate(HEADS) if any(row[number] for row in rows) or head in ("server", "address")]
        heads = [HEADS[number] for number in wanted]
        rows = [[row[number] for number in wanted] for row in rows]
    say_records(heads, rows, as_json=options.json)
    return 0


def _row(route: Route, *, full: bool) -> list[Any]:
    where = f"{route.where.file}:{route.where.line}" if full else str(route.where)
    conditions = [*route.conditions.described(), *_path_conditions(route)]
    parameters: list[Any] = [_parameter(each) if full else f"{each.source} {each.key}" for each in route.parameters if _is_sent(each)]
    layers = [_layer(layer) for layer in route.layers]
    return [route.server, route.kind, route.address, route.name, conditions, parameters, route.handler, layers, where]


def _guest(mounted: Mount) -> list[Any]:
    application = mounted.application
    name = application if isinstance(application, str) else getattr(application, "__qualname__", type(application).__qualname__)
    return [mounted.server, "wsgi", f"{mounted.prefix.rstrip('/')}/*", "", [], [], name, [], ""]


def _folders(app: App) -> list[list[Any]]:
    """Static files, which every path below theirs leads to."""
    rows = []
    for facts in app.setup.introspect("server"):
        for prefix, static in app.config.section(f"servers.{facts.name}.static").items():
            place = app.config.place(f"servers.{facts.name}.static.{prefix}")
            rows.append([facts.name, "static", f"{prefix.rstrip('/')}/*", "", [], [], static["folder"], [], place])
    return rows


def _path_conditions(route: Route) -> list[str]:
    ignore_case = ["ignore_case"] if route.template is not None and route.template.ignore_case else []
    return [*ignore_case, *(["auto_end_slash"] if route.auto_end_slash else [])]


def _is_sent(parameter: Parameter) -> bool:
    """Whether its value comes from the client."""
    return parameter.source != "framework"


def _parameter(parameter: Parameter) -> dict[str, Any]:
    kind = parameter.annotation
    return {
        "name": parameter.name,
        "source": parameter.source,
        "key": parameter.key,
        "type": kind.__name__ if isinstance(kind, type) else str(kind),
        "required": parameter.required,
    }


def _layer(layer: Any) -> str:
    return layer if isinstance(layer, str) else getattr(layer, "__qualname__", type(layer).__qualname__)
