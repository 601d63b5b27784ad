"""What systemd and a service tell each other: readiness and watchdog (sd_notify(3)), sockets opened in advance (sd_listen_fds(3)).

Without systemd nothing is told and nothing is taken.
"""

from __future__ import annotations

import _socket
import os
import socket
import time
from collections.abc import Mapping, MutableMapping

from greenimi.errors import StartError

_FIRST_FD = 3


def notify(state: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell ``state``: lines such as ``READY=1``, ``STATUS=2 workers``, ``STOPPING=1``, ``MAINPID=42``, ``WATCHDOG=1``.

    False when there is nobody to tell, or it does not listen.  Never blocks, never raises.
    """
    path = environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return False
    sock = _socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)  # a bare one: the master need not have a hub
    try:
        sock.setblocking(False)
        sock.sendto(state.encode(), "\0" + path[1:] if path[0] == "@" else path)
    except OSError:
        return False
    finally:
        sock.close()
    return True


def reloading(status: str = "") -> str:
    """The state of a service of Type=notify-reload that begins to reload; ``READY=1`` must follow."""
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    return f"RELOADING=1\nMONOTONIC_USEC={now}" + (f"\n{status_line(status)}" if status else "")


def status_line(text: str) -> str:
    """``STATUS=`` with the text on one line."""
    return f"STATUS={' '.join(text.split())}"


def listen_fds(environ: MutableMapping[str, str] = os.environ, pid: int | None = None) -> list[tuple[int, str]]:
    """The sockets that were opened for this process: file descriptor and name of each.  Can be taken once.

    The variables that told of them are gone afterwards, and processes started by this one do not inherit the sockets unless told to.
    StartError when the variables do not say what is there.
    """
    owner, count, names, _ = (environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"))
    if owner != str(os.getpid() if pid is None else pid):
        return []  # they were meant for a process before us
    if not (count.isascii() and count.isdigit()):
        raise StartError(f"LISTEN_FDS is {count!r}, not a number of sockets")
    fds = range(_FIRST_FD, _FIRST_FD + int(count))
    for fd in fds:
        try:
            os.set_inheritable(fd, False)
        except OSError:
            raise StartError(f"LISTEN_FDS says {len(fds)}, but there is no file descriptor {fd}") from None
    given = names.split(":") if names else ["unknown"] * len(fds)
    if len(given) != len(fds):
        raise StartError(f"LISTEN_FDNAMES has {len(given)} names, LISTEN_FDS says {len(fds)}")
    return list(zip(fds, given, strict=True))
