"""Logging under a real server: a handler that logs much is not slowed down by the disk, and an orderly end loses nothing."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from urllib.request import urlopen

import pytest

from greenimi.testing.plugin import ServeGunicorn
from greenimi.testing.support import wait_until

LINES = 10_000
APP = f"""
import logging
from greenimi import get, http

log = logging.getLogger("app")

@http
class Noisy:
    @get("/noise")
    def noise(self) -> dict[str, int]:
        for number in range({LINES}):
            log.warning("line %d", number)
        return {{"lines": {LINES}}}

    @get("/quiet")
    def quiet(self) -> str:
        return "quiet"
"""
CONF = """include = ["noisy_log_app"]
[log]
capacity = 20000
[[log.handlers]]
kind = "file"
path = "{path}"
[servers.web]
kind = "http"
"""


@pytest.mark.live
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_ten_thousand_lines_and_an_orderly_end(serve_gunicorn: ServeGunicorn, tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "app.log"
    (tmp_path / "noisy_log_app.py").write_text(APP)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/app.toml").write_text(CONF.format(path=file))
    server = serve_gunicorn(tmp_path / "conf/app.toml", workers=1)
    host, port = server.addresses["web"]
    assert urlopen(f"http://{host}:{port}/noise", timeout=20).read() == b'{"lines":10000}'
    assert urlopen(f"http://{host}:{port}/quiet", timeout=20).read() == b"quiet"
    server.signal(number)  # the worker that logged ends in order, its lines still on their way to the file
    wait_until(lambda: len(_told(file)) >= LINES, 20)
    assert _told(file) == list(range(LINES))


def _told(file: Path) -> list[int]:
    """The numbers of the lines that the handler logged; others may come between them, such as the report that it took long."""
    return [int(number) for number in re.findall(r" line ([0-9]+)$", file.read_text(), re.MULTILINE)]
