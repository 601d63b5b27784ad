"""``greenimi drain``"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace

from greenimi.cli.masters import add_master, find_master, is_running
from greenimi.cli.output import complain, say
from greenimi.servers.master.calling import ask

EXAMPLES = """
greenimi drain                                   finish the work at hand, say goodbye to all clients, end
greenimi drain --worker 2                        replace one worker, once its successor is ready
"""


def arguments(parser: ArgumentParser) -> None:
    add_master(parser)
    parser.add_argument("--worker", type=int, metavar="PLACE", help="only this one, which gets a successor (greenimi status lists them)")


def run(options: Namespace) -> int:
    path = find_master(options)
    answer = ask(path, {"do": "drain", "worker": options.worker})
    if not answer["done"]:
        complain(answer["text"])
        return 1
    if options.worker is not None:
        say(f"worker {options.worker} leaves as soon as its successor is ready")
        return 0
    say(f"master {answer['pid']} takes no new work and finishes what it has")
    while is_running(answer["pid"]):
        time.sleep(0.1)
    say("done")
    return 0
