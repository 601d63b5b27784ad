"""Forms, uploads and sessions under Gunicorn, as curl sends them and as nobody should."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.support import wait_until
from tests.live.apps import forms
from tests.live.support import Raw, ask, request, response

pytestmark = pytest.mark.live

MIB = 1 << 20
RESTING = {"on_disk": 0, "files": 0}


class Desk:
    def __init__(self, gunicorn: Gunicorn) -> None:
        self.address = gunicorn.addresses["web"]
        self.url = f"http://127.0.0.1:{self.address[1]}"

    def curl(self, path: str, *options: str) -> str:
        command = ["curl", "-sS", "--max-time", "30", *options, self.url + path]
        return subprocess.run(command, capture_output=True, text=True, timeout=40, check=True).stdout

    def json(self, path: str, *options: str) -> Any:
        return json.loads(self.curl(path, *options))

    def link(self) -> Raw:
        return Raw(self.address)

    def levels(self) -> dict[str, Any]:
        with self.link() as link:
            status, body = ask(link, "/levels")
        assert status == 200
        found: dict[str, Any] = json.loads(body)
        return found

    def rests(self) -> bool:
        return {name: value for name, value in self.levels().items() if name != "pid"} == RESTING


@contextmanager
def running(folder: Path, gunicorn_conf: Path, workers: int = 1) -> Iterator[Gunicorn]:
    conf = folder / "forms.toml"
    conf.write_text(forms.CONF.format(folder=folder))
    gunicorn = Gunicorn(gunicorn_conf, conf, workers, {}, folder / "gunicorn.log")
    try:
        gunicorn.start()
        yield gunicorn
    finally:
        gunicorn.stop()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Desk]:
    with running(tmp_path_factory.mktemp("desk"), pytestconfig.rootpath / "conf/gunicorn.conf.py") as gunicorn:
        yield Desk(gunicorn)


# -- curl ------------------------------------------------------------------------------------------------------------


def test_curl_sends_a_form(desk: Desk, tmp_path: Path) -> None:
    small, large = tmp_path / "tea.txt", tmp_path / "large"
    small.write_text("Tee & Gebäck")
    large.write_bytes(b"0123456789" * 30_000)
    found = desk.json(
        "/form", "-F", "title=Grüner Tee", "-F", f"a=@{small}", "-F", f'a=@{large};type=image/png;filename=../x/"y".png', "-F", "empty="
    )
    assert found == {
        "title": "Grüner Tee",
        "a": [
            {"filename": "tea.txt", "type": "text/plain", "size": 13, "begins": "Tee & Geb\xc3\xa4ck"},
            {"filename": '"y".png', "type": "image/png", "size": 300_000, "begins": "01234567890123456789"},
        ],
        "empty": "",
    }
    assert desk.rests()


def test_chunked_and_after_100_continue(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 2 * MIB)
    for options in (["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"], ["--http1.0"]):
        assert desk.json("/form", *options, "-F", f"f=@{file}")["f"]["size"] == 2 * MIB


def test_a_file_is_saved_where_the_application_says(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "tea.txt"
    file.write_text("green")
    kept = tmp_path / "kept"
    kept.mkdir()
    assert desk.curl("/keep", "-F", f"file=@{file};filename=../../a.txt", "-F", f"folder={kept}") == "a.txt"
    assert (kept / "a.txt").read_text() == "green"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "tea.txt"]


def test_a_large_upload_takes_hardly_any_memory(desk: Desk, tmp_path: Path) -> None:
    """The figure for 512 MiB is measured by scripts/bench."""
    file = tmp_path / "large"
    with file.open("wb") as opened:
        opened.truncate(64 * MIB)
    pid = desk.levels()["pid"]
    desk.curl("/form", "-F", f"f=@{tmp_path / 'large'};filename=first")
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    before = memory(pid, "VmRSS")
    assert desk.json("/form", "-F", f"f=@{file}")["f"]["size"] == 64 * MIB
    assert memory(pid, "VmHWM") - before < 8 * MIB


def memory(pid: int, figure: str) -> int:
    found = re.search(rf"^{figure}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


# -- what is refused -------------------------------------------------------------------------------------------------


def part(name: str, data: bytes = b"x", more: str = "") -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"


END = b"--b--\r\n"
FORMS = {
    "no boundary in it": (b"nothing", 400),
    "no end": (part("a"), 400),
    "half a head": (b"--b\r\nContent-Dispo", 400),
    "no name": (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END, 400),
    "no disposition": (b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n" + END, 400),
    "head too large": (part("a", more='; x="' + "y" * 5000 + '"') + END, 413),
    "name not UTF-8": (b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n' + END, 400),
    "text not UTF-8": (part("a", b"\xff") + END, 400),
    "other charset": (
        b'--b\r\nContent-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset=utf-7\r\n\r\nx\r\n' + END,
        400,
    ),
    "bare LF": (part("a").replace(b"\r\n", b"\n") + END, 400),
    "NUL in a head": (part("a", more="; x=\0") + END, 400),
    "too many files": (part("f", more='; filename="f"') * 4 + END, 413),
    "too many fields": (part("a") * 1001 + END, 413),
    "field too large": (part("a", b"x" * 1001) + END, 413),
    "bytes behind the end": (part("a") + END + b"more", 400),
    "two forms": ((part("a") + END) * 2, 400),
}


@pytest.mark.parametrize("kind", FORMS)
def test_a_form_that_is_none_is_refused(desk: Desk, kind: str) -> None:
    body, status = FORMS[kind]
    for size in (len(body), 997):
        with desk.link() as link:
            link.send(request("/form", f"Content-Length: {len(body)}", "Content-Type: multipart/form-data; boundary=b", method="POST"))
            for start in range(0, len(body), size):
                link.send(body[start : start + size])
            found, told = response(link)
        assert found == status, told
    assert desk.rests()


def test_a_body_over_the_limit_of_forms_is_refused_at_once(desk: Desk) -> None:
    for kind, length in (("multipart/form-data; boundary=b", 100_000_001), ("text/plain", 100_001)):
        with desk.link() as link:
            sent = request("/form", f"Content-Length: {length}", f"Content-Type: {kind}", method="POST")
            assert response(link.send(sent))[0] == 413


def test_a_chunked_form_over_the_limit_is_cut_off(desk: Desk) -> None:
    with desk.link() as link:
        link.send(request("/form", "Transfer-Encoding: chunked", "Content-Type: multipart/form-data; boundary=b", method="POST"))
        link.send(b"%x\r\n" % 100_000_001)
        assert response(link)[0] == 413


def test_who_reads_a_form_whole_gets_no_more_than_of_other_bodies(desk: Desk) -> None:
    body = part("f", b"x" * 100_000, '; filename="f"') + END
    with desk.link() as link:
        sent = request("/whole", "Content-Type: multipart/form-data; boundary=b", method="POST", body=body)
        assert response(link.send(sent))[0] == 413


def test_nothing_is_left_when_the_client_goes_away(desk: Desk) -> None:
    with desk.link() as link:
        link.send(request("/form", "Content-Length: 50000000", "Content-Type: multipart/form-data; boundary=b", method="POST"))
        link.send(part("f", b"x" * 5_000_000, '; filename="f"')[:-2])
        wait_until(lambda: desk.levels()["on_disk"] > 4_000_000)
        assert desk.levels()["files"] == 1
        link.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wait_until(desk.rests)


# -- sessions --------------------------------------------------------------------------------------------------------


def test_workers_share_sessions_and_a_restart_keeps_them(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    jar = str(tmp_path / "jar")
    conf = pytestconfig.rootpath / "conf/gunicorn.conf.py"
    with running(tmp_path, conf, workers=2) as gunicorn:
        desk, count = Desk(gunicorn), 0
        pids: set[int] = set()
        while len(pids) < 2 and count < 60:
            found = desk.json("/visit", "-b", jar, "-c", jar)
            count += 1
            assert found["visits"] == count
            pids.add(found["pid"])
        assert len(pids) == 2
    with running(tmp_path, conf) as gunicorn:
        desk = Desk(gunicorn)
        found = desk.json("/visit", "-b", jar)
        assert found["visits"] == count + 1
        refused = desk.curl("/form", "-b", jar, "-F", "a=1", "-w", "%{http_code}", "-o", "/dev/null")
        assert refused == "403"
        assert desk.json("/form", "-b", jar, "-F", "a=1", "-F", f"csrf_token={found['token']}")["a"] == "1"
        assert desk.json("/form", "-b", jar, "-F", "a=1", "-H", f"X-CSRF-Token: {found['token']}") == {"a": "1"}
