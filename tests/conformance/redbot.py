"""REDbot: what a critical client finds in answers of each kind (caching, conditions, ranges, content negotiation).

The bar: nothing that REDbot calls bad.  What it warns of is printed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from greenimi.testing.gunicorn import Gunicorn
from tests.conformance.places import ROOT, fetch

VERSION = "2.7.1"
CONF = Path(__file__).parent / "apps/answers.toml"
PATHS = (
    "/json",
    "/text",
    "/parts",
    "/view",
    "/version",
    "/download",
    "/away",
    "/nothing",
    "/files/redbot.py",
    "/files/",
    "/files",
    "/files/apps/answers.toml",
    "/missing",
)
LONGEST = 60
"""Seconds that the look at one answer may take."""


def install(cache: Path) -> Path:
    """The ``redbot`` program, installed below ``cache`` the first time.  NotRun when it cannot be."""
    home = cache / "redbot" / VERSION
    program = home / "bin/redbot"
    if not program.is_file():
        fetch(sys.executable, "-m", "venv", str(home), what="a virtual environment")
        fetch(str(home / "bin/python"), "-m", "pip", "install", "--quiet", f"redbot=={VERSION}", what="REDbot")
    return program


def notes(archive: dict[str, Any]) -> list[tuple[str, str]]:
    """Level and text of each note in what REDbot writes."""
    return [(note["level"], note["summary"]) for entry in archive["log"]["entries"] for note in entry["_red_messages"]]


def report(found: dict[str, list[tuple[str, str]]]) -> bool:
    """Print what is bad or doubtful; whether the bar is met."""
    passed = bool(found)
    for path, told in found.items():
        passed &= bool(told)
        levels = {level: sum(1 for each, _ in told if each == level) for level in ("GOOD", "INFO", "WARN", "BAD")}
        print(f"{path:28} {', '.join(f'{count} {level.lower()}' for level, count in levels.items())}")
        for level, text in told:
            if level in ("WARN", "BAD"):
                print(f"   {level}: {text}")
            passed &= level != "BAD"
    return passed


def run(cache: Path) -> int:
    """The whole suite; 0 when it passed."""
    program = install(cache)
    folder = cache / "redbot"
    gunicorn = Gunicorn(ROOT / "conf/gunicorn.conf.py", CONF, 1, {}, folder / "gunicorn.log")
    found = {}
    try:
        gunicorn.start()
        host, port = gunicorn.addresses["web"]
        for path in PATHS:
            command = [str(program), "-o", "har", f"http://{host}:{port}{path}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=True)
            found[path] = notes(json.loads(done.stdout))
    finally:
        gunicorn.stop()
    return 0 if report(found) and "Traceback" not in gunicorn.log else 1
