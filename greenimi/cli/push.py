"""``greenimi push``"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from greenimi.cli.masters import find_master
from greenimi.cli.options import add_json, read_config
from greenimi.cli.output import complain, say
from greenimi.errors import StartError
from greenimi.hub.settings import HubSettings
from greenimi.message import Reply
from greenimi.servers.master.calling import ask

if TYPE_CHECKING:
    from greenimi.hub import Hub

EXAMPLES = """
greenimi push --group lobby '{"said": "tea is ready"}'
greenimi push --user bob --event invoice '{"id": 5}'
greenimi push --everyone --text 'we are back in a minute'
greenimi push --everyone till '{"prices": "new"}'
echo '{"n": 1}' | greenimi push --connection 4611686018427387905 -
"""


def arguments(parser: ArgumentParser) -> None:
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument("--group", metavar="NAME", help="everybody in a group")
    whom.add_argument("--user", metavar="KEY", help="all connections of a user")
    whom.add_argument("--connection", metavar="ID", help="one connection")
    whom.add_argument("--everyone", nargs="?", const="", metavar="SERVER", help="all connections, or those of one server")
    parser.add_argument("data", nargs="?", metavar="DATA", help="what to send, in JSON; - reads it from standard input")
    parser.add_argument("--event", metavar="NAME", help='send {"event": NAME, "data": DATA}')
    parser.add_argument("--text", action="store_true", help="DATA goes as it is, as text, whatever the payload of a server is")
    parser.add_argument("--pid", type=int, help="the process id of the master, when several serve the same conf")
    add_json(parser)


def run(options: Namespace) -> int:
    data = _data(options)
    folder = _folder(options)
    hub = _joined(options, folder)
    try:
        if not hub.relay.processes():
            complain("no worker of the service can be reached")
            return 1
        delivery = _target(hub, options).send(data, options.event)
        told = {"delivered": delivery.delivered, "published": delivery.published, "unknown": delivery.unknown}
    finally:
        hub.stop()
    if options.json:
        say(json.dumps(told))
    else:
        silent = f"; {told['unknown']} of {told['published']} workers did not answer" if told["unknown"] else ""
        say(f"delivered to {told['delivered']} connection{'' if told['delivered'] == 1 else 's'}{silent}")
    return 1 if told["unknown"] else 0


def _data(options: Namespace) -> Any:
    if options.data is None and options.everyone and not options.text:  # argparse took it for the server
        options.data, options.everyone = options.everyone, ""
    if options.data is None:
        hint = "behind --everyone stands a server; --everyone --text 'we are back' tells all" if options.everyone else ""
        raise StartError("DATA is missing: what to send, in JSON; - reads it from standard input", hint=hint)
    text = sys.stdin.read() if options.data == "-" else options.data
    if options.text:
        if options.event:
            raise StartError("--text goes as it is, so it has no place for --event")
        return Reply(text)
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise StartError(
            f"DATA is not JSON: {error}", hint="""texts need quotes, as in '"hello"'; --text sends what is no JSON"""
        ) from None


def _folder(options: Namespace) -> str:
    """Where the workers of the running service meet."""
    return str(ask(find_master(options), {"do": "status"})["status"]["master"]["folder"])


def _joined(options: Namespace, folder: str) -> Hub:
    from greenimi.hub import Hub
    from greenimi.hub.local import LocalRelay
    from greenimi.hub.machine_store import MachineStore

    config = read_config(options)
    settings = replace(config.settings("hub", HubSettings), folder=folder)
    hub = Hub(settings, relay=LocalRelay(settings), store=MachineStore(Path(folder), wait=settings.wait))
    hub.servers = list(config.section("servers"))
    hub.start()
    return hub


def _target(hub: Hub, options: Namespace) -> Any:
    if options.group is not None:
        return hub.group(options.group)
    if options.user is not None:
        return hub.user(options.user)
    if options.connection is not None:
        if not (options.connection.isascii() and options.connection.isdigit()):
            raise StartError(f"--connection wants the id of a connection, a number, not {options.connection[:40]!r}")
        return hub.connection(options.connection)
    try:
        return hub.everyone(options.everyone or None)
    except LookupError as error:
        raise StartError(str(error)) from None
