"""``greenimi reload``"""

from __future__ import annotations

import os
import signal
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from greenimi.cli.masters import add_master, find_master, is_running
from greenimi.cli.options import positive
from greenimi.cli.output import complain, say
from greenimi.servers.master.calling import ask
from greenimi.servers.master.control import control_path

EXAMPLES = """
greenimi reload                                  new code and conf; nobody is refused, a mistake changes nothing
greenimi reload conf/app.toml
greenimi reload --pid 4711                       the master with this process id
greenimi reload --upgrade                        a new master as well: new releases of greenimi, Gunicorn or Python
"""


def arguments(parser: ArgumentParser) -> None:
    add_master(parser)
    parser.add_argument("--upgrade", action="store_true", help="replace the master too, on the same sockets; its process id changes")
    parser.add_argument("--wait", type=positive, default=300, metavar="SECONDS", help="how long one step may take (default: 300)")


def run(options: Namespace) -> int:
    """0: the new workers serve.  1: they do not, and the old ones go on as if nothing had been."""
    path = find_master(options)
    if options.upgrade:
        return _upgrade(path, options.wait)
    try:
        answer = ask(path, {"do": "reload"}, say, options.wait)
    except OSError as error:
        complain(f"the reload did not come to an end: {error}")
        return 1
    (say if answer["done"] else complain)(answer["text"])
    return 0 if answer["done"] else 1


def _upgrade(path: Path, wait: float) -> int:
    old = int(path.stem)
    answer = ask(path, {"do": "upgrade"})
    if not answer["done"]:
        complain(answer["text"])
        return 1
    say(f"starting a new master beside {old}")
    until = time.monotonic() + wait
    new = 0
    while not _is_complete(path, new):
        time.sleep(0.2)
        new = ask(path, {"do": "status"})["status"]["master"]["successor"]
        if not new:
            complain(f"the new master ended; {old} serves on (its log says why)")
            return 1
        if time.monotonic() > until:
            complain(f"the new master was not ready after {wait} s; {old} serves on")
            os.kill(new, signal.SIGTERM)
            return 1
    say(f"the new master {new} serves; the old one finishes its work")
    ask(path, {"do": "drain"})
    while is_running(old):
        time.sleep(0.2)
    say(f"done: master {new}")
    return 0


def _is_complete(path: Path, pid: int) -> bool:
    """Whether the master beside the one at ``path`` has all its workers."""
    try:
        return bool(pid and ask(control_path(path.parent, pid), {"do": "status"})["status"]["master"]["complete"])
    except OSError:
        return False
