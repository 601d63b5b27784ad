"""``greenimi beans``"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from greenimi.cli.options import add_conf, add_json, committed
from greenimi.cli.output import say_records
from greenimi.container import Definition

EXAMPLES = """
greenimi beans
greenimi beans conf/app.toml --json
"""


def arguments(parser: ArgumentParser) -> None:
    add_conf(parser)
    add_json(parser)


def run(options: Namespace) -> int:
    rows = [_row(definition, full=options.json) for definition in committed(options).setup.introspect("bean")]
    say_records(["name", "found by", "lifetime", "servers", "where"], rows, as_json=options.json)
    return 0


def _row(definition: Definition, *, full: bool) -> list[Any]:
    where = f"{definition.where.file}:{definition.where.line}" if full else str(definition.where)
    keys = [f"{key.__module__}.{getattr(key, '__qualname__', key.__name__)}" for key in definition.keys]
    return [definition.name, keys, definition.lifetime, list(definition.servers) or ["all"], where]
