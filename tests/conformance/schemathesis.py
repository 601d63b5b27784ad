"""Schemathesis against the running example: right and wrong requests made from its OpenAPI document, and all checks of the answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from greenimi.testing.gunicorn import Gunicorn
from tests.conformance.places import ROOT, fetch

VERSION = "4.32.5"
EXAMPLES = 100
"""Requests of each kind that are made for an operation."""

LONGEST = 600
"""Seconds that the whole run may take."""

_SHOP = ROOT / "examples/shop/conf/app.toml"


def install(cache: Path) -> Path:
    """The ``st`` program, installed below ``cache`` the first time.  NotRun when it cannot be."""
    home = cache / "schemathesis" / VERSION
    program = home / "bin/st"
    if not program.is_file():
        fetch(sys.executable, "-m", "venv", str(home), what="a virtual environment")
        fetch(str(home / "bin/python"), "-m", "pip", "install", "--quiet", f"schemathesis=={VERSION}", what="schemathesis")
    return program


def serving_shop(folder: Path) -> Gunicorn:
    """The example under Gunicorn, not started yet, with its log and its orders in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shop.sqlite").unlink(missing_ok=True)
    settings = {"shop.database": str(folder / "shop.sqlite"), "app.debug": "false"}
    return Gunicorn(ROOT / "conf/gunicorn.conf.py", _SHOP, 1, settings, folder / "gunicorn.log")


def run(cache: Path) -> int:
    """The whole suite; 0 when it passed: every check, and no traceback in the server's log."""
    program = install(cache)
    folder = cache / "schemathesis/run"
    gunicorn = serving_shop(folder)
    try:
        gunicorn.start()
        host, port = gunicorn.addresses["web"]
        command = [
            *(str(program), "run", f"http://{host}:{port}/openapi.json", "--checks", "all"),
            *("--max-examples", str(EXAMPLES), "--seed", "1", "--continue-on-failure", "--request-timeout", "10"),
            *("--report", "junit", "--report-junit-path", str(folder / "report.xml")),
        ]
        done = subprocess.run(command, cwd=folder, timeout=LONGEST, check=False)
    finally:
        gunicorn.stop()
    if "Traceback" in gunicorn.log:
        print(f"the server logged a traceback: see {folder / 'gunicorn.log'}")
        return 1
    return 1 if done.returncode else 0
