"""``scripts/conformance``: judges that nobody here wrote."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tests.conformance import autobahn, gunicorn_requests, openapi, redbot, schemathesis
from tests.conformance.places import CACHE, NotRun

SUITES: dict[str, tuple[str, Callable[[Path], int]]] = {
    "gunicorn-requests": ("Gunicorn's corpus of valid and invalid HTTP requests, over the wire", gunicorn_requests.run),
    "autobahn": (
        "Autobahn's fuzzing client against a WebSocket echo that compresses (about 15 minutes, needs Python 2.7)",
        autobahn.run,
    ),
    "openapi": ("openapi-spec-validator on the documents of the examples and of an application with everything", openapi.run),
    "redbot": ("REDbot on one answer of each kind: caching, conditions, ranges, negotiation (half a minute)", redbot.run),
    "schemathesis": ("schemathesis against the running example, all checks (about 3 minutes)", schemathesis.run),
}

NOT_RUN = 77
"""Exit status of a suite that cannot be had here."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/conformance",
        description="Run a suite that others wrote.  It is downloaded into a cache folder and never enters the repository.",
        epilog=f"Exit status: 0 passed, 1 failed, {NOT_RUN} not run because something it needs cannot be had here.",
    )
    parser.add_argument("name", nargs="?", choices=SUITES, metavar="NAME", help=f"one of: {', '.join(SUITES)}")
    parser.add_argument("--list", action="store_true", help="say what suites there are")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where downloads, reports and logs go (default: %(default)s)")
    options = parser.parse_args()
    if options.list:
        for name, (text, _) in SUITES.items():
            print(f"{name:20} {text}")
        return 0
    if options.name is None:
        parser.error("name a suite, or say --list")
    options.cache.mkdir(parents=True, exist_ok=True)
    try:
        return SUITES[options.name][1](options.cache)
    except NotRun as error:
        print(f"not run: {error}")
        return NOT_RUN


if __name__ == "__main__":
    sys.exit(main())
