"""Where things stand.  Everything made by a run is below `.build`, which is not kept in the repository."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "benchmarks"
BUILD = HERE / ".build"
LOGS = BUILD / "logs"
PEERS = BUILD / "venv"
LOAD, VISIT, PACED, FAN = BUILD / "load", BUILD / "visit", BUILD / "paced", BUILD / "fan"
"""The load clients."""
CERTIFICATE, KEY = BUILD / "certificate.pem", BUILD / "key.pem"
FILES = BUILD / "files"
FILE = FILES / "mebibyte.bin"
"""What servers of files serve, at /files/mebibyte.bin."""
NGINX = Path("/usr/sbin/nginx")
PROJECT = Path(os.environ.get("GREENIMI_VENV", ROOT / ".venv"))
"""The virtual environment greenimi is installed in."""
DOCS = ROOT / "docs"


class BenchError(Exception):
    """The run cannot go on; the text is a sentence for the user."""


ORDER, POST = HERE / "order.json", HERE / "post.lua"
