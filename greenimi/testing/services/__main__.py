"""``scripts/services``: databases and brokers for a developer, in the background."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from greenimi.cli.output import complain, say
from greenimi.testing.services import KINDS
from greenimi.testing.services.kept import Kept, conf_of
from greenimi.testing.services.processes import ServiceFailed

NOTES = Path(".cache/services")

ABOUT = {
    "mariadb": "MariaDB alone",
    "mariadb_replica": "MariaDB with a replica",
    "redis": "Redis alone",
    "redis_replica": "Redis with a replica",
    "redis_sentinel": "Redis with two replicas, watched by three Sentinels",
    "redis_cluster": "Redis Cluster of three primaries",
    "postgres": "PostgreSQL",
    "rabbitmq": "RabbitMQ",
    "mosquitto": "Mosquitto, a broker of MQTT",
}

ALL = [kind for kind in KINDS if kind not in ("mariadb", "redis")]
"""What ``up`` starts when nothing is named: each kind once, MariaDB and Redis with replicas."""

_NAMES = "\n".join(f"  {kind:16} {text}" for kind, text in ABOUT.items())

EPILOG = f"""\
names:
{_NAMES}

examples:
  scripts/services up                        all but mariadb and redis, which are in those with replicas
  scripts/services up mariadb redis          these two
  scripts/services status                    what runs, and the lines of conf for it
  scripts/services down redis                end this one
  scripts/services down                      end all

Each runs in a temporary directory of its own, on free ports of 127.0.0.1, in the background, until `down` ends it and deletes its
data.  What was started is noted in {NOTES}; `down` ends exactly these processes.  Ports and passwords are new at each start.
"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/services",
        description="Private databases and brokers for development.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("do", choices=["up", "down", "status"], help="start, end, or show")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which of them; all unless named")
    parser.add_argument("--notes", type=Path, default=NOTES, help="where to note what was started (default: %(default)s)")
    options = parser.parse_args(argv)
    unknown = [name for name in options.names if name not in KINDS]
    if unknown:
        parser.error(f"no service is called {unknown[0]}; there are: {', '.join(KINDS)}")
    try:
        return {"up": up, "down": down, "status": status}[options.do](options.names, options.notes)
    except ServiceFailed as error:
        complain(error, "scripts/services")
        return 1


def up(names: Sequence[str], notes: Path) -> int:
    """Start what does not run yet."""
    for kind in names or ALL:
        kept = Kept.find(kind, notes)
        if kept is not None and kept.runs:
            say(f"{kind} runs already")
            continue
        if kept is not None:  # what is left of one that died
            kept.end(notes)
        began = time.monotonic()
        kept = Kept.start(kind, notes)
        say(f"{kind} serves at {', '.join(kept.urls)} ({time.monotonic() - began:.1f} s)")
    _show_conf(notes)
    return 0


def down(names: Sequence[str], notes: Path) -> int:
    """End what was started, and delete its data."""
    for kind in names or KINDS:
        kept = Kept.find(kind, notes)
        if kept is not None:
            kept.end(notes)
            say(f"{kind} ended")
        elif names:
            say(f"{kind} does not run")
    return 0


def status(names: Sequence[str], notes: Path) -> int:
    """1 when one of them does not run."""
    found = {kind: Kept.find(kind, notes) for kind in names or KINDS}
    if not any(found.values()):
        say("nothing runs; scripts/services up starts all")
        return 1
    for kind, kept in found.items():
        if kept is None:
            continue
        state = "runs" if kept.runs else "DEAD"
        say(f"{kind:16} {state}  {', '.join(kept.urls)}")
        say(f"{'':16}       processes {', '.join(str(process.pid) for process in kept.processes)} in {', '.join(kept.folders)}")
    _show_conf(notes)
    return 0 if all(kept is not None and kept.runs for kept in found.values() if names or kept is not None) else 1


def _show_conf(notes: Path) -> None:
    kept = [found for kind in KINDS if (found := Kept.find(kind, notes)) is not None and found.runs]
    if kept:
        say(f"\n# For conf/app.toml:\n\n{conf_of(kept)}")


if __name__ == "__main__":
    sys.exit(main())
