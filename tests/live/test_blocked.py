"""Handlers of a real server that let nobody else run: each is named with its line, and a server that is well is left in peace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.support import wait_until
from tests.live.support import Raw, ask

APP = """
import hashlib, re, threading, time
from gevent import monkey
from greenimi import get, http

native_sleep = monkey.get_original("time", "sleep")
store = threading.local()

@http
class Slow:
    @get("/sleep")
    def sleep(self) -> str:
        native_sleep(0.6)  # guilty
        return "slept"

    @get("/compute")
    def compute(self) -> str:
        until = time.monotonic() + 0.6
        while time.monotonic() < until: pass  # guilty
        return "computed"

    @get("/hash")
    def hash(self) -> str:
        return hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 2_500_000).hex()  # guilty

    @get("/match")
    def match(self) -> str:
        return str(re.match("(a+)+$", "a" * 25 + "b"))  # guilty

    @get("/busy")
    def busy(self) -> str:
        for _ in range(20):
            sum(range(10_000))
            time.sleep(0.005)
        return "busy"
"""
CONF = """include = ["blocked_app"]
[servers.web]
kind = "http"
[workers]
blocked = 0.2
"""

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Gunicorn]:
    folder = tmp_path_factory.mktemp("blocked")
    (folder / "blocked_app.py").write_text(APP)
    (folder / "app.toml").write_text(CONF)
    gunicorn = Gunicorn(pytestconfig.rootpath / "conf/gunicorn.conf.py", folder / "app.toml", 1, {}, folder / "gunicorn.log")
    try:
        gunicorn.start()
        yield gunicorn
    finally:
        gunicorn.stop()


def get(server: Gunicorn, path: str) -> None:
    with Raw(server.addresses["web"]) as link:
        assert ask(link, path)[0] == 200


def told(server: Gunicorn, function: str) -> list[str]:
    return [line for line in server.log.splitlines() if "nothing else could run" in line and f" in Slow.{function}" in line]


@pytest.mark.parametrize("function", ["sleep", "compute", "hash", "match"])
def test_the_guilty_line_is_named(server: Gunicorn, function: str) -> None:
    number = next(n for n, line in enumerate(APP.splitlines(), 1) if "# guilty" in line and _owner(n) == function)
    get(server, f"/{function}")
    wait_until(lambda: len(told(server, function)) >= 2)
    begun, ended = told(server, function)[:2]
    place = rf"blocked_app\.py:{number} in Slow\.{function}$"
    assert re.search(rf"so far: \S*{place}", begun)
    assert re.search(rf"for \d+\.\d\d s: \S*{place}", ended)
    assert re.search(rf"> \S*blocked_app\.py:{number} in Slow\.{function}: .*# guilty", server.log)


def _owner(number: int) -> str:
    """Of which function a line of the application is."""
    above = "\n".join(APP.splitlines()[:number])
    return str(re.findall(r"def (\w+)\(", above)[-1])


def test_a_busy_server_that_switches_is_left_in_peace(server: Gunicorn) -> None:
    before = server.log.count("nothing else could run")
    with ThreadPoolExecutor(30) as clients:
        list(clients.map(lambda _: get(server, "/busy"), range(60)))
    get(server, "/sleep")  # the guard is awake
    wait_until(lambda: server.log.count("nothing else could run") >= before + 2)
    assert server.log.count("nothing else could run") == before + 2
