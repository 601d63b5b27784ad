"""A service starts, fails with its log, is disturbed, and leaves nothing behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from greenimi.testing import services
from greenimi.testing.services.fixtures import StartService
from greenimi.testing.services.processes import ProcessId, ServiceFailed, wait_for
from greenimi.testing.services.redis import Redis
from greenimi.testing.services.service import HOST, Service, ServiceGroup, free_port


class Script(Service):
    """Runs a line of Python."""

    kind = "script"

    def __init__(self, line: str, seconds: float = 20) -> None:
        super().__init__()
        self._line = line
        self._seconds = seconds

    @property
    def url(self) -> str:
        return f"tcp://{self.host}:{self.port}"

    def prepare(self) -> None:
        (self.folder / "prepared").write_text("1")

    def command(self) -> list[str]:
        return [sys.executable, "-c", self._line]

    def check(self) -> None:
        socket.create_connection((self.host, self.port), 5).close()

    def ready(self, seconds: float = 0) -> None:
        super().ready(self._seconds)


def test_one_that_ends_shows_the_end_of_its_log() -> None:
    script = Script("print('\\n'.join(map(str, range(100)))); raise SystemExit('bad luck')")
    with pytest.raises(ServiceFailed, match=r"script on port \d+ ended; the end of its log (?s:.*)\n99\nbad luck") as found:
        script.start()
    assert "\n79\n" not in str(found.value)
    assert script.processes == []
    script.remove()


def test_one_that_never_serves_is_ended() -> None:
    script = Script("import time; print('asleep', flush=True); time.sleep(60)", 0.5)
    started: list[ProcessId] = []
    with pytest.raises(ServiceFailed, match=r"does not serve after 0.5 seconds \(ConnectionRefusedError"), script:
        started.append(script.id)
    assert script.processes == []
    script.remove()
    assert not script.folder.exists()


def test_what_is_done_to_one_that_does_not_run() -> None:
    script = Script("")
    script.stop()
    script.kill()
    with pytest.raises(ServiceFailed, match="does not run"):
        script.pause()
    script.remove()
    assert not script.folder.exists()


def test_ports_are_free_and_not_those_of_clients() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = {free_port() for _ in range(20)}
    assert all(port < first for port in ports)
    for port in ports:
        socket.create_server((HOST, port)).close()


def test_kinds_that_there_are_not() -> None:
    with pytest.raises(ValueError, match="no service is called 'oracle'; there are: mariadb, "):
        services.make("oracle")


def test_it_starts_again_on_the_same_port_in_the_same_folder(start_service: StartService) -> None:
    redis = start_service("redis", persist=True)
    before, url = redis.id, redis.url
    redis.call("SET", "key", "value")
    assert redis.start() is redis  # does nothing
    assert redis.id == before
    redis.kill()
    assert not before.alive
    with pytest.raises(ConnectionRefusedError), socket.create_connection((redis.host, redis.port)):
        pass
    redis.restart()
    assert redis.url == url
    assert redis.id != before
    assert redis.call("GET", "key") == b"value"


def test_one_that_stands_still_answers_later(start_service: StartService) -> None:
    redis = start_service("redis")
    with socket.create_connection((redis.host, redis.port)) as client:
        client.settimeout(0.2)
        redis.pause()
        client.sendall(b"PING\r\n")
        with pytest.raises(TimeoutError):
            client.recv(10)
        redis.resume()
        client.settimeout(10)
        assert client.recv(10) == b"+PONG\r\n"


def test_all_of_a_group_are_disturbed_together() -> None:
    class Two(ServiceGroup):
        kind = "two"
        url = ""
        joined = 0

        def join(self) -> None:
            self.joined += 1

    group = Two()
    members = [Redis(), Redis()]
    group.members = members
    with group:
        before = [process.id for process in group.processes]
        assert len(before) == len(group.folders) == 2
        group.pause()
        assert wait_for(lambda: [_state(process.pid) for process in before] == ["T", "T"], 5)
        group.resume()
        group.restart()
        assert not any(process.alive for process in before)
        assert group.joined == 2
        assert [member.call("PING") for member in members] == [True, True]
        group.kill()
        assert group.processes == []
    assert not any(folder.exists() for folder in group.folders)


def test_what_cannot_start_as_a_whole_leaves_no_part_behind() -> None:
    class Broken(ServiceGroup):
        kind = "broken"
        url = ""

        def join(self) -> None:
            raise ServiceFailed("they do not agree")

    redis = Redis()
    broken = Broken()
    broken.members = [redis]
    with pytest.raises(ServiceFailed, match="they do not agree"), broken:
        pass
    assert redis.processes == []
    assert not redis.folder.exists()


ENDS = """
import os, sys, time
from greenimi.testing import services
redis = services.make("redis").start()
if os.fork() == 0:
    sys.exit()
os.wait()
print(redis.id.pid, redis.folder, redis.call("PING"), flush=True)
{then}
"""


@pytest.mark.parametrize("then", ["", "raise KeyboardInterrupt", "os.kill(os.getpid(), 15); time.sleep(60)"])
def test_nothing_is_left_when_the_process_ends(then: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", ENDS.format(then=then)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as owner:
        assert owner.stdout is not None
        pid, folder, answer = owner.stdout.readline().split()
    assert answer == "True"  # after a child that was forked ended, too
    assert wait_for(lambda: not Path(f"/proc/{pid}").exists() or _state(pid) == "Z", 10)
    if "kill" not in then:  # else the next process that starts a service sweeps it away
        assert not Path(folder).exists()


def _state(pid: int | str) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_the_owner_alone_removes_it_at_its_end(start_service: StartService) -> None:
    redis = start_service("redis")
    redis._owner = os.getpid() + 1
    redis._at_exit()
    assert redis.call("PING")
