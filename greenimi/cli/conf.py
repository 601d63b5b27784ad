"""``greenimi conf``"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from greenimi.cli.options import add_conf, add_json, committed, conf_file, read_config
from greenimi.cli.output import say, say_records

if TYPE_CHECKING:
    from greenimi.app import App

EXAMPLES = """
greenimi conf                                    what is set, secrets hidden; the application need not start
greenimi conf --env production --json
greenimi conf --defaults                         every key with its default and what it means, as TOML
"""


def arguments(parser: ArgumentParser) -> None:
    add_conf(parser)
    add_json(parser)
    parser.add_argument("--defaults", action="store_true", help="every key of the application (or of greenimi alone, where there is none)")


def run(options: Namespace) -> int:
    if options.defaults:
        named = options.conf is not None
        say((reference_of(committed(options)) if named or conf_file(options).is_file() else core_reference()).rstrip())
        return 0
    rows = [list(entry) for entry in read_config(options).entries()]
    say_records(["key", "value", "set in"], rows, as_json=options.json)
    return 0


def reference_of(app: App) -> str:
    """Every key that a committed application reads."""
    from greenimi.config import reference

    return reference(dict(app.setup.introspect("settings")))


def core_reference() -> str:
    """Every key that greenimi reads by itself: the text of ``conf/reference.toml``.  Tables that an application names stand as ``NAME``."""
    from greenimi.app import App
    from greenimi.config import Config

    return reference_of(App(Config({"servers": {"NAME": {}}})).commit())
