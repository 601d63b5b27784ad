"""Listening sockets that outlive workers, reloads and upgrades of the master."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from greenimi.errors import PortInUse, StartError
from greenimi.servers.master.listeners import HANDED_OVER, Listener, Listeners
from greenimi.servers.settings import ServerSettings
from greenimi.servers.sockets import Address
from greenimi.testing.support import free_port


def server(kind: str, port: int | None = None, **more: int) -> ServerSettings:
    return ServerSettings(kind=kind, bind=f"127.0.0.1:{free_port() if port is None else port}", slots=more.get("slots", 0))


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    made = Listeners()
    yield made
    for listener in made.open:
        listener.sock.close()


def bound(listeners: Listeners) -> dict[str, list[str]]:
    return {name: [str(one.address) for one in listeners.of(name)] for name in {one.server: None for one in listeners}}


def test_every_server_gets_its_sockets(listeners: Listeners) -> None:
    wanted = {"web": server("http"), "till": server("tcp"), "beacon": server("udp")}
    change = listeners.update(wanted, workers=1)
    assert bound(listeners) == {name: [settings.bind] for name, settings in wanted.items()}
    assert (change.opened, change.gone) == (listeners.open, [])
    assert [str(one) for one in listeners] == [f"{one.kind}://{one.bind}" for one in wanted.values()]
    assert all(one.sock.get_inheritable() and not one.sock.getblocking() for one in listeners)


def test_udp_is_spread_over_slots_that_one_client_never_changes(listeners: Listeners) -> None:
    listeners.update({"beacon": server("udp")}, workers=2)
    slots = listeners.of("beacon")
    assert [one.slot for one in slots] == list(range(8))
    assert listeners.addresses() == slots[:1]
    found: dict[int, set[tuple[int, int]]] = {}
    for _ in range(16):
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.connect(slots[0].sock.getsockname())
            for _ in range(3):
                client.send(b"x")
            port = client.getsockname()[1]
            for one in slots:
                try:
                    while True:
                        found.setdefault(port, set()).add((one.slot, one.sock.recvfrom(10)[1][1]))
                except BlockingIOError:
                    pass
    assert all(len(heard) == 1 for heard in found.values())
    assert len({slot for heard in found.values() for slot, _ in heard}) > 1


def test_a_stranger_on_the_address_is_found_although_slots_share_it(listeners: Listeners) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stranger.bind(("127.0.0.1", 0))
        with pytest.raises(PortInUse):
            listeners.update({"beacon": server("udp", stranger.getsockname()[1], slots=4)}, workers=2)
    assert listeners.open == []


def test_what_stays_in_conf_stays_open_and_what_is_gone_is_not_closed_yet(listeners: Listeners) -> None:
    before = {"web": server("http"), "till": server("tcp"), "beacon": server("udp", slots=2)}
    listeners.update(before, workers=2)
    sockets = {name: [one.sock for one in listeners.of(name)] for name in before}
    more = server("tcp")
    change = listeners.update({"front": before["web"], "beacon": replace(before["beacon"], slots=8), "more": more}, workers=4)
    assert [one.sock for one in listeners.of("front")] == sockets["web"], "a server may get another name"
    assert [one.sock for one in listeners.of("beacon")] == sockets["beacon"], "slots of an open address do not change"
    assert [one.server for one in change.opened] == ["more"]
    assert [one.sock for one in change.gone] == sockets["till"]
    address = sockets["till"][0].getsockname()
    with socket.create_connection(address, timeout=5):
        pass  # workers of before still serve it
    for one in change.gone:
        one.remove()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)


def test_a_change_can_be_undone(listeners: Listeners, tmp_path: Path) -> None:
    before = {"web": server("http")}
    listeners.update(before, workers=1)
    opened = list(listeners.open)
    path = tmp_path / "door.sock"
    change = listeners.update({"door": ServerSettings(kind="tcp", bind=f"unix:{path}")}, workers=1)
    assert path.is_socket()
    listeners.undo(change)
    assert listeners.open == opened
    assert not path.exists()
    assert opened[0].sock.fileno() > 0


def test_a_mistake_changes_nothing(listeners: Listeners) -> None:
    listeners.update({"web": server("http")}, workers=1)
    opened = list(listeners.open)
    fine = server("tcp")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(PortInUse):
            listeners.update({"fine": fine, "till": server("tcp", taken.getsockname()[1])}, workers=1)
    assert listeners.open == opened
    with pytest.raises(ConnectionRefusedError):  # what it had opened is closed
        socket.create_connection(("127.0.0.1", int(fine.bind.rpartition(":")[2])), timeout=5)


def test_two_servers_that_leave_their_ports_open_keep_their_own(listeners: Listeners) -> None:
    wanted = {"one": server("tcp", 0), "two": server("tcp", 0)}
    listeners.update(wanted, workers=1)
    before = bound(listeners)
    assert before["one"] != before["two"]
    listeners.update(dict(reversed(wanted.items())), workers=1)
    assert bound(listeners) == before


@pytest.mark.parametrize(("first", "second"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0")])
def test_an_address_that_covers_another_is_a_new_start(listeners: Listeners, first: str, second: str) -> None:
    """It must not be said to be done while the service listens where it did."""
    port = free_port()
    listeners.update({"web": ServerSettings(bind=f"{first}:{port}")}, workers=1)
    with pytest.raises(PortInUse, match=rf"{second}:{port} overlaps {first}:{port}, which the server web has open\n.*a new start"):
        listeners.update({"web": ServerSettings(bind=f"{second}:{port}")}, workers=1)
    assert bound(listeners) == {"web": [f"{first}:{port}"]}


def test_the_file_of_a_unix_socket_has_its_permissions(listeners: Listeners, tmp_path: Path) -> None:
    path = tmp_path / "door.sock"
    listeners.update({"door": ServerSettings(kind="tcp", bind=f"unix:{path}", mode="0620")}, workers=1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o620
    listeners.open[0].give(os.getuid(), os.getgid())
    assert path.stat().st_uid == os.getuid()


# -- from another process --------------------------------------------------------------------------------------------

HEIR = """
import os, sys
from greenimi.servers.master.listeners import Listeners
from greenimi.servers.settings import ServerSettings
from greenimi.servers.sockets import Address
listeners = Listeners()
listeners.adopt(os.environ)
change = listeners.update(
    {name: ServerSettings(kind=kind, bind=bind) for name, kind, bind in (word.split("|") for word in sys.argv[1:])}, workers=1
)
print(len(change.opened), [(one.server, one.slot, str(one.address)) for one in listeners], [k for k in os.environ if "LISTEN" in k])
"""


def heir(wanted: Mapping[str, ServerSettings], environ: Mapping[str, str], fds: list[int]) -> str:
    """What a process says that was handed descriptors."""
    words = [f"{name}|{settings.kind}|{settings.bind}" for name, settings in wanted.items()]
    found = subprocess.run(
        [sys.executable, "-c", HEIR, *words],
        env={**os.environ, **environ},
        pass_fds=fds,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


def test_the_master_of_an_upgrade_takes_over_all_sockets(listeners: Listeners) -> None:
    wanted = {"web": server("http"), "beacon": server("udp", slots=2)}
    listeners.update(wanted, workers=1)
    fds = [one.fileno() for one in listeners]
    told = heir(wanted, {HANDED_OVER: listeners.hand_over(), "GUNICORN_PID": str(os.getpid())}, fds)
    web, beacon = (settings.bind for settings in wanted.values())
    assert told == f"0 [('web', 0, '{web}'), ('beacon', 0, '{beacon}'), ('beacon', 1, '{beacon}')] []"


def test_descriptors_that_another_process_was_told_of_are_not_taken(listeners: Listeners) -> None:
    listeners.update({"web": server("http", 0)}, workers=1)
    told = heir({"web": server("http")}, {HANDED_OVER: listeners.hand_over(), "GUNICORN_PID": "1"}, [one.fileno() for one in listeners])
    assert told.startswith("1 ")


def test_what_is_gone_from_conf_is_not_kept_by_an_upgrade(listeners: Listeners) -> None:
    wanted = {"web": server("http"), "till": server("tcp")}
    listeners.update(wanted, workers=1)
    told = heir(
        {"web": wanted["web"]}, {HANDED_OVER: listeners.hand_over(), "GUNICORN_PID": str(os.getpid())}, [one.fileno() for one in listeners]
    )
    assert told == f"0 [('web', 0, '{wanted['web'].bind}')] []"


def test_a_descriptor_that_is_no_socket_is_told(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        text = json.dumps([["web", "http", "127.0.0.1:1", 0, file.fileno(), True]])
        with pytest.raises(StartError, match="is no socket"):
            Listeners().adopt({HANDED_OVER: text, "GUNICORN_PID": str(os.getppid())})


SYSTEMD = f"""
import os, sys
os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4)
for fd in (3, 4): os.set_inheritable(fd, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES=sys.argv[3])
sys.argv = ["", *sys.argv[4:]]
exec({HEIR!r})
"""


@pytest.mark.parametrize("names", ["web:beacon", "unknown:unknown"], ids=["by name", "by address"])
def test_sockets_of_systemd_are_taken(names: str) -> None:
    """TCP and UDP alike, although Gunicorn itself breaks on a datagram socket there."""
    with socket.socket() as web, socket.socket(type=socket.SOCK_DGRAM) as beacon:
        for sock in (web, beacon):
            sock.bind(("127.0.0.1", 0))
        web.listen()
        words = [
            f"{name}|{kind}|127.0.0.1:{sock.getsockname()[1]}" for name, kind, sock in (("web", "http", web), ("beacon", "udp", beacon))
        ]
        found = subprocess.run(
            [sys.executable, "-c", SYSTEMD, str(web.fileno()), str(beacon.fileno()), names, *words],
            pass_fds=[web.fileno(), beacon.fileno()],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        addresses = [f"127.0.0.1:{sock.getsockname()[1]}" for sock in (web, beacon)]
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == f"0 [('web', 0, '{addresses[0]}'), ('beacon', 0, '{addresses[1]}')] []"


def test_the_file_of_a_socket_of_systemd_stays(tmp_path: Path) -> None:
    path = tmp_path / "door.sock"
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(path))
        theirs.listen()
        ours = Listener("door", "tcp", Address.of(theirs), 0, socket.socket(fileno=os.dup(theirs.fileno())), owned=False)
        assert ours.getsockname() == ("", 0), "Gunicorn would remove the file"
        ours.remove()
        assert path.is_socket()
        again = Listeners()
        again.open = [Listener("door", "tcp", Address.of(theirs), 0, theirs, owned=False)]
        assert json.loads(again.hand_over())[0][-1] is False, "a new master does not own it either"
