"""What the Hub knows of one connection besides its address: groups, user, and what its client needs to come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenimi.green import Event, Semaphore
from greenimi.interfaces import IConnection


class Links:
    """Made when there is something to know.

    groups    the names of its groups, with what others are told of it there
    name      of the first connection of its client, which has come back since; None: this is the first
    user      whom it is bound to
    claimed   and nobody else may be
    identity  the user that its identity named last
    expires   when the identity does of the lost connection that it goes on for
    digest    of the token by which its client may restore it; None: nobody may
    places    where it was in the history of groups when it became one of their members: (offset, epoch)
    failures  wrong tokens that its client has shown
    replayed  when its client last asked for what it missed in a group (time.monotonic)
    seats     as whom it entered the groups whose members are known to all processes
    after     what to do when the answer to the message at hand is on its way
    """

    __slots__ = (
        "after",
        "changed",
        "claimed",
        "digest",
        "expires",
        "failures",
        "groups",
        "identity",
        "lock",
        "name",
        "places",
        "replayed",
        "seats",
        "user",
    )

    def __init__(self) -> None:
        self.groups: dict[str, Any] = {}
        self.name: str | None = None
        self.user: str | None = None
        self.claimed = False
        self.identity: str | None = None
        self.expires: float | None = None
        self.digest: bytes | None = None
        self.places: dict[str, tuple[int, str]] = {}
        self.replayed: dict[str, float] = {}
        self.seats: dict[str, str] = {}
        self.failures = 0
        self.after: Callable[[], object] | None = None
        self.lock: Semaphore | None = None  # of its data, while somebody uses it
        self.changed: Event | None = None  # somebody waits for a value in its data


_AWAY = frozenset({1001, 1005, 1006, 1011, 1012, 1013, 1014, 1015, 4408, 4429})


def comes_back(code: int) -> bool:
    """Whether a client whose connection was closed with this code may come back: docs/client-protocol.md."""
    return code in _AWAY or 4500 <= code < 4600


def close_for_good(connection: IConnection, code: int) -> None:
    """A connection is closed by us: nothing is kept of it where its client is not to come back."""
    links = connection.links
    if links is not None and not comes_back(code):
        links.digest = None


def links_of(connection: IConnection) -> Links:
    """Those of a connection, made on demand."""
    links = connection.links
    if links is None:
        links = connection.links = Links()
    return links  # type: ignore[no-any-return]
