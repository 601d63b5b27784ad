"""What all services have in common: a folder, an address, a process, and how it is started, ended and disturbed."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import signal
import socket
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

from greenimi.testing.services.folders import belongs_to, new_folder
from greenimi.testing.services.processes import Process, ProcessId, ServiceFailed, wait_for

HOST = "127.0.0.1"
STARTS = 60.0
"""Seconds that a service may take to start or to end on a busy machine."""

_PORTS = range(15000, 32000)
"""Below those that the kernel hands out by itself, so that a service that is down for a while finds its port free again."""

_LOG_LINES = 20


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise ServiceFailed(f"no port of {HOST} is free between {_PORTS.start} and {_PORTS.stop}")


class Conf(NamedTuple):
    """``[table.NAME]`` of conf and its keys."""

    table: str
    keys: Mapping[str, str | list[str]]


class AnyService(ABC):
    """A service of one process or of several.

    kind  its name among :data:`greenimi.testing.services.KINDS`.
    """

    kind: ClassVar[str]

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients go, with user and password."""

    @property
    @abstractmethod
    def processes(self) -> list[Process]:
        """What runs now."""

    @property
    @abstractmethod
    def folders(self) -> list[Path]:
        """Where its data and logs are."""

    @property
    def urls(self) -> list[str]:
        """Of all its servers, the one that clients write to first."""
        return [self.url]

    @property
    def conf(self) -> Conf | None:
        """What an application says in conf to use it; None where it says nothing."""
        return None

    @abstractmethod
    def start(self) -> Self:
        """Start it, wait until it serves, return it.  ServiceFailed with the end of its log."""

    @abstractmethod
    def stop(self) -> None:
        """End it in order; the data stay.  Nothing happens when it does not run."""

    @abstractmethod
    def kill(self) -> None:
        """End it by SIGKILL; what it wrote stays."""

    @abstractmethod
    def pause(self) -> None:
        """SIGSTOP: its connections stay open and nothing answers, until :meth:`resume`."""

    @abstractmethod
    def resume(self) -> None: ...

    @abstractmethod
    def remove(self) -> None:
        """End it and delete all that it wrote."""

    def restart(self) -> None:
        """Stop it if it runs, and start it again, on the same port with the same data."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(self, *exc: object) -> None:
        self.remove()


class Service(AnyService):
    """A service of one process.

    host, port  where it listens.
    socket      the path of its Unix socket; None when it has none.
    folder      data, log and sockets.
    attached    it ends when this process ends, however that comes about.
    """

    end_signal: ClassVar[int] = signal.SIGTERM
    run_as: ClassVar[str | None] = None
    """Who runs it when this process is root; None: root as well."""

    def __init__(self, *, attached: bool = True) -> None:
        self.host = HOST
        self.port = free_port()
        self.folder = new_folder(self.kind, attached)
        self.attached = attached
        self.process: Process | None = None
        self._owner = os.getpid()
        if attached:
            atexit.register(self._at_exit)

    @property
    def socket(self) -> Path | None:
        return None

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def processes(self) -> list[Process]:
        return [] if self.process is None else [self.process]

    @property
    def folders(self) -> list[Path]:
        return [self.folder]

    @abstractmethod
    def prepare(self) -> None:
        """Write what the program needs before its first start."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The program and its arguments; it must stay in the foreground."""

    @abstractmethod
    def check(self) -> None:
        """Raise any Exception as long as it does not serve."""

    def environment(self) -> Mapping[str, str]:
        return {"LC_ALL": "C.UTF-8"}

    def start(self) -> Self:
        if self.process is not None:
            return self
        if not self.log.exists():
            self.prepare()
        user = self.run_as if os.geteuid() == 0 else None
        if user is not None:
            belongs_to(self.folder, user)
        self.process = Process(self.command(), self.log, env=self.environment(), user=user, attached=self.attached)
        try:
            self.ready()
        except BaseException:
            self.kill()
            raise
        return self

    def ready(self, seconds: float = STARTS) -> None:
        """Wait until it serves."""
        refused: list[Exception] = []

        def serves() -> bool:
            if self.process is None or self.process.ended is not None:
                raise self._failed("ended")
            try:
                self.check()
            except Exception as error:
                refused[:] = [error]
                return False
            return True

        if not wait_for(serves, seconds):
            raise self._failed(f"does not serve after {seconds:g} seconds ({refused[0]!r})")

    def _failed(self, what: str) -> ServiceFailed:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return ServiceFailed("\n".join([f"{self.kind} on port {self.port} {what}; the end of its log {self.log}:", *lines[-_LOG_LINES:]]))

    @property
    def id(self) -> ProcessId:
        """ServiceFailed when it does not run."""
        if self.process is None:
            raise ServiceFailed(f"{self.kind} on port {self.port} does not run")
        return self.process.id

    def stop(self) -> None:
        if self.process is not None:
            self.process.end(self.end_signal, STARTS)
            self.process = None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process = None

    def pause(self) -> None:
        self.id.pause()

    def resume(self) -> None:
        self.id.resume()

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self._at_exit)

    def _at_exit(self) -> None:
        if os.getpid() == self._owner:  # not in a child that this process forked
            self.remove()


class Replica(Service):
    """A service that follows another one, ``primary``.

    What is done to it is done to the replica alone.  Where it ``owns_primary``, though, it starts and removes that with itself.
    """

    primary: Service
    owns_primary: bool

    @property
    def urls(self) -> list[str]:
        return [self.primary.url, self.url]

    @property
    def processes(self) -> list[Process]:
        return [*(self.primary.processes if self.owns_primary else []), *super().processes]

    @property
    def folders(self) -> list[Path]:
        return [*(self.primary.folders if self.owns_primary else []), *super().folders]

    def start(self) -> Self:
        if self.owns_primary:
            self.primary.start()
        return super().start()

    def remove(self) -> None:
        super().remove()
        if self.owns_primary:
            self.primary.remove()


class ServiceGroup(AnyService):
    """A service of several processes; what is done to it is done to all of them.

    members  in the order in which they start; they end in the reverse order.
    """

    members: Sequence[AnyService] = ()

    @property
    def processes(self) -> list[Process]:
        return [process for member in self.members for process in member.processes]

    @property
    def folders(self) -> list[Path]:
        return [folder for member in self.members for folder in member.folders]

    @abstractmethod
    def join(self) -> None:
        """Make one service of the members that were started, and wait until it is one."""

    def start(self) -> Self:
        for member in self.members:
            member.start()
        self.join()
        return self

    def stop(self) -> None:
        for member in reversed(self.members):
            member.stop()

    def kill(self) -> None:
        for member in reversed(self.members):
            member.kill()

    def pause(self) -> None:
        for member in self.members:
            member.pause()

    def resume(self) -> None:
        for member in self.members:
            member.resume()

    def remove(self) -> None:
        for member in reversed(self.members):
            member.remove()
