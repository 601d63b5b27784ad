"""``greenimi check``"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from greenimi.cli.options import add_conf, committed, conf_file
from greenimi.cli.output import say

EXAMPLES = """
greenimi check                                   exit status 0 when all is well, else 1
greenimi check conf/app.toml --env production
"""

_COUNTED = ("server", "route", "bean", "command")


def arguments(parser: ArgumentParser) -> None:
    add_conf(parser)


def run(options: Namespace) -> int:
    app = committed(options)
    app.doors.build()
    setup = app.setup
    counts = [(len(setup.introspect(kind)), kind) for kind in _COUNTED]
    found = ", ".join(f"{count} {kind}" if count == 1 else f"{count} {kind}s" for count, kind in counts)
    say(f"{conf_file(options)}: all is well ({found})")
    return 0
