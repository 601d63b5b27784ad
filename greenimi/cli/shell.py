"""``greenimi shell``"""

from __future__ import annotations

import code
import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from greenimi.cli.options import add_conf, committed

EXAMPLES = """
greenimi shell
>>> container.get(Shop).place("tea")             app, container, config, events and scope are there
"""


def arguments(parser: ArgumentParser) -> None:
    add_conf(parser)


def run(options: Namespace) -> int:
    from greenimi.container import scope

    with committed(options).running() as app:
        names = {"app": app, "container": app.container, "config": app.config, "events": app.events, "scope": scope()}
        if sys.stdin.isatty():
            _complete(names)
        banner = f"The application is started.  At hand: {', '.join(names)}.  Background work stands still while the prompt waits."
        code.interact(banner, local=names, exitmsg="")
    return 0


def _complete(names: dict[str, Any]) -> None:
    """Line editing, and names completed by the tab key."""
    import readline
    import rlcompleter

    readline.set_completer(rlcompleter.Completer(names).complete)
    readline.parse_and_bind("tab: complete")
