"""The life of the application, told as events in the order of :data:`ORDER`.

In every process that serves, a Gunicorn worker for example: ``ConfigLoaded``, ``Scanned``, ``Committed``, ``AppRun``, ``AppInit``, then
once ``ServersCreating``, for each server ``ServerCreating`` and ``ServerCreated``, then once ``ServersCreated``, for each server
``ServerStarting``, then ``WorkerStarting``, ``WorkerStarted``, and at the end ``WorkerDraining``, ``WorkerStopping``, ``WorkerStopped``.
Around a command of the command line: ``CommandStarting``, ``CommandFinished``.

The first three are told together, after the commit, so that marked listeners hear them.  ``HubBlocked`` may come at any time in between; it
is no part of the order, and no ``Lifecycle``.
"""

from __future__ import annotations

from dataclasses import dataclass


class Lifecycle:
    """The base of them all: listen to it to hear every one."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class ConfigLoaded(Lifecycle):
    """The configuration was read."""


@dataclass(frozen=True, slots=True)
class Scanned(Lifecycle):
    """Every module of the application was imported and its marks were collected."""


@dataclass(frozen=True, slots=True)
class Committed(Lifecycle):
    """The container was checked and is frozen."""


@dataclass(frozen=True, slots=True)
class AppRun(Lifecycle):
    """The application was told to run."""


@dataclass(frozen=True, slots=True)
class AppInit(Lifecycle):
    """The application is set up; its servers come next."""


@dataclass(frozen=True, slots=True)
class ServersCreating(Lifecycle):
    """The first server is about to be made."""


@dataclass(frozen=True, slots=True)
class ServerCreating(Lifecycle):
    """The server ``name`` is about to be made."""

    name: str


@dataclass(frozen=True, slots=True)
class ServerCreated(Lifecycle):
    """The server ``name`` is made; its door is still closed."""

    name: str


@dataclass(frozen=True, slots=True)
class ServersCreated(Lifecycle):
    """All servers are made."""


@dataclass(frozen=True, slots=True)
class ServerStarting(Lifecycle):
    """The server ``name`` is about to open its door."""

    name: str


@dataclass(frozen=True, slots=True)
class WorkerStarting(Lifecycle):
    """This worker process came to life; its services are not started yet."""


@dataclass(frozen=True, slots=True)
class WorkerStarted(Lifecycle):
    """The application in this worker is ready."""


@dataclass(frozen=True, slots=True)
class WorkerDraining(Lifecycle):
    """This worker was told to take no new work; long connections are said goodbye to over the next ``seconds``."""

    restart: bool  # another worker takes over, so clients may come back at once
    seconds: float


@dataclass(frozen=True, slots=True)
class WorkerStopping(Lifecycle):
    """This worker was told to end; its doors are about to close."""


@dataclass(frozen=True, slots=True)
class WorkerStopped(Lifecycle):
    """The services of this worker are stopped; the process is about to end."""


@dataclass(frozen=True, slots=True)
class CommandStarting(Lifecycle):
    """The command ``name`` is about to run."""

    name: str


@dataclass(frozen=True, slots=True)
class CommandFinished(Lifecycle):
    """The command ``name`` ended; the process will exit with ``status``."""

    name: str
    status: int


@dataclass(frozen=True, slots=True)
class HubBlocked:
    """For ``seconds`` nothing else could run in this worker; told when that was over."""

    seconds: float
    where: str  # file:line in function, the application's innermost
    stack: str  # a line for each frame, innermost first, that of ``where`` marked with >


ORDER: tuple[type[Lifecycle], ...] = (
    ConfigLoaded,
    Scanned,
    Committed,
    AppRun,
    AppInit,
    ServersCreating,
    ServerCreating,
    ServerCreated,
    ServersCreated,
    ServerStarting,
    WorkerStarting,
    WorkerStarted,
    WorkerDraining,
    WorkerStopping,
    WorkerStopped,
    CommandStarting,
    CommandFinished,
)
"""The order in which they happen; commands have a run of their own."""
