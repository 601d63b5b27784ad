"""TLS and the PROXY protocol, spoken by the clients of other people."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect as connect_websocket

from greenimi.errors import ConfigError
from greenimi.testing.plugin import Serve, ServeGunicorn
from greenimi.testing.support import wait_until
from tests.certificates import certificates
from tests.live.apps import secure

pytestmark = pytest.mark.live

FILES = certificates()
CA = FILES.file("ca.pem")
TLS: dict[str, Any] = {"certificate": FILES.file("server.pem"), "key": FILES.file("server.key")}
OTHER = {"names": ["*.other.example"], "certificate": FILES.file("other.pem"), "key": FILES.file("other.key")}
WITH_CLIENTS = {**TLS, "clients": "required", "client_ca": CA}
MIB = 1 << 20


def run(*command: str, data: bytes = b"") -> str:
    """What a command printed, whatever it thinks of it."""
    done = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, check=False)
    return done.stdout.decode(errors="replace")


class Served:
    """The application, in this process."""

    def __init__(self, serve: Serve, tls: dict[str, Any] = TLS, **settings: Any) -> None:
        servers = {"web": {"kind": "http", "tls": tls, **settings}, "till": {"kind": "tcp", "tls": tls, **settings}}
        self.addresses = serve([secure], {"servers": servers}).addresses

    def at(self, server: str = "web") -> str:
        return f"localhost:{self.addresses[server][1]}"

    def curl(self, path: str, *options: str, scheme: str = "https") -> str:
        return run("curl", "-sS", "--max-time", "15", "--cacert", CA, *options, f"{scheme}://{self.at()}{path}")

    def facts(self, *options: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.curl("/facts", *options))
        return found

    def s_client(self, *options: str, server: str = "web", data: bytes = b"") -> str:
        return run("openssl", "s_client", "-connect", self.at(server), "-CAfile", CA, "-servername", "localhost", *options, data=data)

    def connect(self, server: str = "web", client: str = "") -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=CA)
        if client:
            context.load_cert_chain(FILES.file(f"{client}.pem"), FILES.file(f"{client}.key"))
        return context.wrap_socket(socket.create_connection(self.addresses[server], 5), server_hostname="localhost")


def ask(sock: socket.socket, **message: Any) -> Any:
    """A line to the till and its answer."""
    sock.sendall(json.dumps(message).encode() + b"\n")
    answer = b""
    while not answer.endswith(b"\n"):
        more = sock.recv(65536)
        assert more, answer
        answer += more
    return json.loads(answer)["result"]


def test_curl(serve: Serve) -> None:
    found = Served(serve).facts()
    assert found["secure"]
    assert (found["version"], found["alpn"], found["name"], found["peer"]) == ("TLSv1.3", "h2", "localhost", None)


def test_curl_with_an_older_tls(serve: Serve) -> None:
    served = Served(serve)
    found = served.facts("--tls-max", "1.2")
    assert found["version"] == "TLSv1.2"
    assert found["cipher"].startswith("ECDHE-ECDSA-AES")
    assert "curl:" in served.curl("/facts", "--tls-max", "1.1")


def test_curl_up_and_down(serve: Serve, tmp_path: Path) -> None:
    served = Served(serve, max_body=64 * MIB)
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * (20 * MIB // 256))
    assert served.curl("/size", "--data-binary", f"@{file}") == str(20 * MIB)
    served.curl("/count/20", "-o", str(file))
    wanted = b"".join(b"%016d" % number * 65536 for number in range(20))
    assert hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(wanted).digest()


def test_plain_http_on_a_port_with_tls(serve: Serve) -> None:
    assert Served(serve).curl("/facts", "-w", " %{http_code}", scheme="http") == "this port speaks TLS: use https://\n 400"


def test_names(serve: Serve) -> None:
    served = Served(serve, {**TLS, "others": [OTHER]})
    for name, subject in [("localhost", "localhost"), ("a.other.example", "other.example"), ("a.b.other.example", "localhost")]:
        assert f"subject=CN = {subject}\n" in served.s_client("-servername", name)
    port = served.addresses["web"][1]
    answer = run("curl", "-sS", "--cacert", CA, "--resolve", f"a.other.example:{port}:127.0.0.1", f"https://a.other.example:{port}/facts")
    assert json.loads(answer)["name"] == "a.other.example"


def test_application_protocols(serve: Serve) -> None:
    served = Served(serve)
    assert "ALPN protocol: h2" in served.s_client("-alpn", "h2,http/1.1")
    assert "ALPN protocol: http/1.1" in served.s_client("-alpn", "http/1.1")
    assert "no application protocol" in served.s_client("-alpn", "spdy/3")
    assert "No ALPN negotiated" in served.s_client()
    assert "No ALPN negotiated" in served.s_client("-alpn", "h2", server="till")


def test_resumption(serve: Serve, tmp_path: Path) -> None:
    served = Served(serve)
    assert served.s_client("-reconnect", "-tls1_2").count("Reused, TLSv1.2") == 5
    session = str(tmp_path / "session")
    request = b"GET /facts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert "New, TLSv1.3" in served.s_client("-ign_eof", "-sess_out", session, data=request)
    assert "Reused, TLSv1.3" in served.s_client("-ign_eof", "-sess_in", session, data=request)


@pytest.mark.parametrize("client", ["client", "stranger", ""])
def test_certificates_of_clients(serve: Serve, client: str) -> None:
    served = Served(serve, WITH_CLIENTS)
    options = ("--cert", FILES.file(f"{client}.pem"), "--key", FILES.file(f"{client}.key")) if client else ()
    if client == "client":
        assert served.facts(*options)["peer"] == [[["commonName", "ann"]]]
        with served.connect("till", client) as sock:
            assert ask(sock, action="facts", id=1)["peer"] == [[["commonName", "ann"]]]
    else:
        assert "alert" in served.curl("/facts", *options)


def test_websockets(serve: Serve) -> None:
    served = Served(serve)
    with connect_websocket(f"wss://{served.at()}/chat", ssl=ssl.create_default_context(cafile=CA)) as client:
        client.send(json.dumps({"action": "facts", "id": 1}))
        found = json.loads(client.recv(5))["result"]
        assert (found["secure"], found["version"]) == (True, "TLSv1.3")
        client.send(json.dumps({"action": "echo", "id": 2, "text": "x" * 500_000}))
        assert json.loads(client.recv(5))["result"]["text"] == "x" * 500_000
    assert client.close_code == 1000


def test_tcp(serve: Serve) -> None:
    served = Served(serve)
    with served.connect("till") as sock:
        found = ask(sock, action="facts", id=1)
        assert (found["secure"], found["alpn"], found["name"]) == (True, None, "localhost")
        assert ask(sock, action="echo", id=2, text="x" * 900_000) == {"text": "x" * 900_000}
        sock.unwrap()  # raises when the server does not say goodbye, too


def test_a_proxy_in_front(serve: Serve) -> None:
    served = Served(serve, proxy_protocol=True, trusted=["127.0.0.0/8"])
    found = served.facts("--haproxy-protocol")
    assert found["address"][0] == "127.0.0.1"
    sock = socket.create_connection(served.addresses["till"], 5)
    sock.sendall(b"PROXY TCP4 198.51.100.9 198.51.100.1 40000 443\r\n")
    with ssl.create_default_context(cafile=CA).wrap_socket(sock, server_hostname="localhost") as link:
        assert ask(link, action="facts", id=1)["address"] == ["198.51.100.9", 40000]


def test_a_proxy_without_tls(serve: Serve) -> None:
    served = Served(serve, {}, proxy_protocol=True, trusted=["127.0.0.0/8"])
    with socket.create_connection(served.addresses["till"], 5) as sock:
        sock.sendall(b"PROXY TCP6 2001:db8::9 ::1 40000 443\r\n")
        found = ask(sock, action="facts", id=1)
        assert (found["address"], found["secure"]) == (["2001:db8::9", 40000], False)
    assert "reset" in served.curl("/facts", scheme="http") or "Empty reply" in served.curl("/facts", scheme="http")


def test_wrong_settings_are_found_at_the_start(serve: Serve) -> None:
    with pytest.raises(ConfigError, match=r"servers\.web\.tls\.key: .* is not the key of"):
        Served(serve, {**TLS, "key": FILES.file("other.key")})


def test_workers_share_sessions(serve_gunicorn: ServeGunicorn, tmp_path: Path) -> None:
    """What one worker gave the client a ticket for, another one resumes."""
    conf = tmp_path / "app.toml"
    conf.write_text(
        f"""
include = ["tests.live.apps.secure"]

[servers.web]
kind = "http"
tls = {{ certificate = "{TLS["certificate"]}", key = "{TLS["key"]}" }}
"""
    )
    served = serve_gunicorn(conf, workers=2)
    context = ssl.create_default_context(cafile=CA)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # tickets of this version may be used again and again
    first = _visit(served.addresses["web"], context, None)
    seen: dict[int, bool] = {}

    def both() -> bool:
        pid, reused, _ = _visit(served.addresses["web"], context, first[2])
        seen[pid] = reused
        return len(seen) == 2

    wait_until(both)
    assert seen == dict.fromkeys(seen, True)


def _visit(address: tuple[str, int], context: ssl.SSLContext, session: Any) -> tuple[int, bool, Any]:
    """The worker that answered, whether it resumed ``session``, and the session now."""
    with context.wrap_socket(socket.create_connection(address, 5), server_hostname="localhost", session=session) as sock:
        sock.sendall(b"GET /facts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while more := sock.recv(65536):
            answer += more
        return json.loads(answer.partition(b"\r\n\r\n")[2])["pid"], bool(sock.session_reused), sock.session
