"""Find a running master of this user and talk to it: what ``status``, ``reload`` and ``drain`` have in common."""

from __future__ import annotations

import os
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from greenimi.cli.options import CONF_HELP, conf_file, read_config
from greenimi.errors import StartError
from greenimi.servers.master.calling import ask, masters
from greenimi.servers.master.control import control_folder, control_path
from greenimi.servers.settings import WorkerSettings


class NoMaster(StartError):
    """No master could be asked, or more than one was meant."""


def add_master(parser: ArgumentParser) -> None:
    parser.add_argument("conf", nargs="?", default=SUPPRESS, metavar="CONF", help=f"{CONF_HELP}; says which master is meant")
    parser.add_argument("--pid", type=int, help="the process id of the master, when several serve the same conf")


def find_master(options: Namespace) -> Path:
    """The control socket of the master that serves this conf, or that has this process id.  Raises NoMaster."""
    folder = _folder(options)
    if options.pid:
        path = control_path(folder, options.pid)
        if not _is_alive(path):
            raise NoMaster(f"no master with the process id {options.pid} has a socket in {folder}", hint=_hint(folder))
        return path
    conf = str(conf_file(options).resolve())
    found = [(path, status["master"]) for path, status in masters(folder)]
    mine = [(path, master) for path, master in found if master["conf"] == conf]
    if not mine:
        raise NoMaster(f"no running master serves {conf}", hint=_hint(folder, found))
    newest = max(mine, key=lambda pair: float(pair[1]["since"]))
    older = [master for _, master in mine if master["pid"] not in (newest[1]["pid"], newest[1]["before"])]
    if older:
        pids = ", ".join(str(master["pid"]) for _, master in mine)
        raise NoMaster(f"several masters serve {conf}: {pids}", hint="say which: --pid")
    return newest[0]


def _hint(folder: Path, others: list[tuple[Path, Mapping[str, Any]]] = []) -> str:  # noqa: B006 - never changed
    known = "; ".join(f"{master['pid']} serves {master['conf']}" for _, master in others)
    return f"running: {known}" if known else f"none of this user is running (sockets are in {folder})"


def _folder(options: Namespace) -> Path:
    """Where conf has its sockets; the usual place when there is no conf here."""
    configured = ""
    if conf_file(options).is_file():
        configured = read_config(options).settings("workers", WorkerSettings).control
    return control_folder(configured)


def _is_alive(path: Path) -> bool:
    try:
        ask(path, {"do": "status"})
    except OSError:
        return False
    return True


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
