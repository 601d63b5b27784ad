"""Networks of our own: nothing outside of this process and those that it starts sees them, and they end with it.  Needs root."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.soak.places import NotRun, need

NEAR, FAR = "10.99.0.1", "10.99.0.2"
"""The addresses of the two ends of a link."""

_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def leave() -> None:
    """Put this process into a network of its own, where only the loopback interface is.  Packets there are as long as on an Ethernet, so
    that kernels keep as much for a slow reader as they would in real life.  NotRun without the right to do so."""
    need("ip")
    if _libc.unshare(_NEWNET):
        raise NotRun(f"a network of our own cannot be had: {os.strerror(ctypes.get_errno())}")
    _run("ip", "link", "set", "lo", "up", "mtu", "1500")


class Link:
    """A second network, linked to that of this process, which must be one of our own; its end is ``FAR``, ours ``NEAR``."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "600"])
        try:
            self._wait_for_it()
            self._its = os.open(f"/proc/{self._holder.pid}/ns/net", os.O_RDONLY)
            self._ours = os.open("/proc/self/ns/net", os.O_RDONLY)
            _run("ip", "link", "add", "soak0", "type", "veth", "peer", "name", "soak1", "netns", str(self._holder.pid))
            _run("ip", "address", "add", f"{NEAR}/24", "dev", "soak0")
            _run("ip", "link", "set", "soak0", "up")
            self.run("ip", "address", "add", f"{FAR}/24", "dev", "soak1")
            self.run("ip", "link", "set", "soak1", "up")
        except BaseException:
            self._holder.kill()
            self._holder.wait()
            raise

    def _wait_for_it(self) -> None:
        ours = Path("/proc/self/ns/net").readlink()
        while Path(f"/proc/{self._holder.pid}/ns/net").readlink() == ours:
            if self._holder.poll() is not None:
                raise NotRun("unshare cannot make a network")

    def run(self, *command: str) -> None:
        """A command on the far side."""
        _run("nsenter", "-t", str(self._holder.pid), "-n", *command)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Sockets that are made meanwhile belong to the far side.  No other greenlet may run in here."""
        if _libc.setns(self._its, _NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            _libc.setns(self._ours, _NEWNET)

    def connect(self, address: tuple[str, int]) -> socket.socket:
        """A stream socket of the far side."""
        with self.inside():
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(10)
        sock.connect(address)
        return sock

    def swallow(self) -> None:
        """From now on nothing gets through, in neither direction, and nobody is told."""
        self.run("iptables", "-A", "OUTPUT", "-j", "DROP")
        self.run("iptables", "-A", "INPUT", "-j", "DROP")

    def close(self) -> None:
        _run("ip", "link", "delete", "soak0")  # by itself it goes some time after its network
        os.close(self._its)
        os.close(self._ours)
        self._holder.kill()
        self._holder.wait()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotRun(f"{' '.join(command)}: {done.stderr.strip()}")
