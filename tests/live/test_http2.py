"""HTTP/2, spoken by the clients of other people."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from greenimi.testing.plugin import Serve, ServeGunicorn
from tests.certificates import certificates
from tests.live.apps import secure
from tests.servers.http2_client import Http2Link

pytestmark = pytest.mark.live

FILES = certificates()
TLS = {"certificate": FILES.file("server.pem"), "key": FILES.file("server.key")}


def run(*command: str | Path) -> str:
    """What a command printed."""
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


class Served:
    """The application, in this process."""

    def __init__(self, serve: Serve, **settings: Any) -> None:
        self.scheme = "https" if "tls" in settings else "http"
        servers = {"web": {"kind": "http", **settings}, "till": {"kind": "tcp"}}
        self.at = f"localhost:{serve([secure], {'servers': servers}).addresses['web'][1]}"

    def curl(self, path: str, *options: str | Path) -> str:
        return run("curl", "-sS", "--max-time", "20", "--cacert", FILES.file("ca.pem"), *options, f"{self.scheme}://{self.at}{path}")


@pytest.fixture
def over_tls(serve: Serve) -> Served:
    return Served(serve, tls=TLS)


VERSION = ("-o", "/dev/null", "-w", "%{http_version} %{response_code}")


def test_curl_agrees_on_it_by_alpn(over_tls: Served) -> None:
    found = json.loads(over_tls.curl("/facts", "--http2"))
    assert (found["alpn"], found["secure"]) == ("h2", True)
    assert over_tls.curl("/facts", "--http2", *VERSION) == "2 200"
    assert over_tls.curl("/facts", "--http1.1", *VERSION) == "1.1 200"
    assert over_tls.curl("/facts", "--no-alpn", *VERSION) == "1.1 200"


def test_it_is_not_offered_where_conf_says_so(serve: Serve) -> None:
    served = Served(serve, tls=TLS, http2={"enabled": False})
    assert served.curl("/facts", "--http2", *VERSION) == "1.1 200"


def test_curl_without_tls(serve: Serve) -> None:
    served = Served(serve)
    assert served.curl("/facts", "--http2-prior-knowledge", *VERSION) == "2 200"
    assert served.curl("/facts", "--http2", *VERSION) == "1.1 200"
    served = Served(serve, http2={"upgrade": True})
    assert served.curl("/facts", "--http2", *VERSION) == "2 200"


def test_large_bodies_both_ways(over_tls: Served, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(8_000_000))
    assert over_tls.curl("/size", "--http2", "--data-binary", f"@{large}") == "8000000"
    assert over_tls.curl("/size", "--http2", "-H", "Expect: 100-continue", "-T", str(large), "-X", "POST") == "8000000"
    assert over_tls.curl("/count/20", "--http2", "-o", "/dev/null", "-w", "%{size_download}") == str(20 << 20)


def test_a_body_that_is_refused_before_it_is_read(serve: Serve, tmp_path: Path) -> None:
    served = Served(serve, max_body=1000)
    large = tmp_path / "large"
    large.write_bytes(bytes(3_000_000))
    assert served.curl("/size", "--http2-prior-knowledge", "--data-binary", f"@{large}", *VERSION) == "2 413"


def test_nghttp(over_tls: Served) -> None:
    said = run("nghttp", "-nvs", *[f"https://{over_tls.at}/facts?{number}" for number in range(10)])
    assert said.count(":status: 200") == 10
    assert "The negotiated protocol: h2" in said
    assert "RST_STREAM" not in said


def test_a_thousand_requests_of_h2load(serve: Serve) -> None:
    said = run("h2load", "-n", "1000", "-c", "10", "-m", "100", f"http://{Served(serve).at}/facts")
    assert "1000 succeeded, 0 failed, 0 errored" in said


SLOW = """
import time
from greenimi import get, http

@http
class Web:
    @get("/slow/{number}")
    def slow(self, number: int):
        time.sleep(number % 4 / 50)
        return number
"""

CONF = """
include = ["slow"]
[servers.web]
kind = "http"
"""


def test_a_worker_that_stops_loses_no_stream(serve_gunicorn: ServeGunicorn, tmp_path: Path) -> None:
    """A client that begins another stream whenever one is answered, until it hears the goodbye, gets all its answers."""
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "app.toml").write_text(CONF)
    server = serve_gunicorn(tmp_path / "app.toml", settings={"workers.drain_window": "1"})
    web = Http2Link(socket.create_connection(server.addresses["web"], 20))
    under_way = [web.begin("GET", f"/slow/{number}") for number in range(32)]
    while under_way:
        assert web.wait(under_way.pop(0)).status == 200
        if not web.gone:
            under_way.append(web.begin("GET", f"/slow/{len(web.answers)}"))
        if len(web.answers) == 100:
            server.signal(signal.SIGTERM)
    while web.read():
        pass
    web.close()
    assert [answer.body for answer in web.answers.values()] == [str(number).encode() for number in range(len(web.answers))]
    assert web.gone == [(2**31 - 1, 0), (max(web.answers), 0)]
