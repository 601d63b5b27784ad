"""``scripts/soak``: a service under strain, judged from outside."""

from __future__ import annotations

from greenimi import green

green.patch()  # before anything else is imported

import argparse  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

from tests.soak import (  # noqa: E402
    data_faults,
    faults,
    few_files,
    half_open,
    hub_faults,
    kernel_queue,
    redis_faults,
    reload_loop,
    restart_loop,
    slow_http,
    storm,
)
from tests.soak.places import CACHE, NotRun, Verdict  # noqa: E402

SOAKS: dict[str, tuple[str, Callable[[Path, Verdict], None]]] = {
    "slow-http": ("slowhttptest with 1000 slow heads, bodies and readers (about 2 minutes)", slow_http.run),
    "half-open": ("clients behind a network that swallows everything (about 2 minutes, needs root)", half_open.run),
    "few-files": ("1000 clients where 200 files may be open (about 1 minute)", few_files.run),
    "faults": ("killed, stopped and leaking workers, a full disk, clocks set back, bad readers (about 1 minute)", faults.run),
    "data-faults": ("databases that die, are silent or too few, askers who give up (about 20 minutes, --quick 5)", data_faults.run),
    "hub-faults": ("killed and stopped workers, a full run folder, bad readers, floods, forged tokens (about 3 minutes)", hub_faults.run),
    "kernel-queue": ("what waits in the kernel survives kills, reloads, recycling and upgrades (about 1 minute)", kernel_queue.run),
    "redis-faults": (
        "fail-overs, moving slots, servers that stand still, subscribers cut off (about 2 minutes)",
        redis_faults.run,
    ),
    "reload-loop": ("20 reloads in a row under constant load (about 2 minutes)", reload_loop.run),
    "restart-loop": ("10 000 messages for clients that come back from workers that end (about 2 minutes)", restart_loop.run),
    "storm": ("10 000 clients that come back at once after a kill, and spread after a reload (about 1 minute)", storm.run),
}

NOT_RUN = 77
"""Exit status of a soak that is not possible here."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/soak",
        description="Put a service of its own under strain and judge it.  Nothing outside of its own processes is touched.",
        epilog=f"Exit status: 0 every bar was met, 1 one was missed, {NOT_RUN} not run because something it needs cannot be had here.",
    )
    parser.add_argument("name", nargs="?", choices=SOAKS, metavar="NAME", help=f"one of: {', '.join(SOAKS)}")
    parser.add_argument("--list", action="store_true", help="say what soaks there are")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where logs and reports go (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="less of everything, for a first look (data-faults)")
    options = parser.parse_args()
    if options.list:
        for name, (text, _) in SOAKS.items():
            print(f"{name:20} {text}")
        return 0
    if options.name is None:
        parser.error("name a soak, or say --list")
    verdict = Verdict(quick=options.quick)
    try:
        SOAKS[options.name][1](options.cache.resolve() / options.name, verdict)
    except NotRun as error:
        print(f"not run: {error}")
        return NOT_RUN
    print(f"{options.name}: {verdict.summary}")
    return verdict.status


if __name__ == "__main__":
    sys.exit(main())
