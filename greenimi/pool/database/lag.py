"""How far each replica is behind its primary, asked again and again, each replica in a greenlet of its own."""

from __future__ import annotations

import logging
from contextvars import Context
from time import monotonic
from typing import TYPE_CHECKING, Any

from greenimi import green
from greenimi.pool.nodes import Node
from greenimi.pool.pool import Pool

if TYPE_CHECKING:
    from greenimi.pool.database.database import Database
    from greenimi.pool.database.session import Session

log = logging.getLogger("greenimi.pool")

_PATIENCE = 2.0
"""Seconds that a replica may take for its answer."""


class Lag:
    """Sets replicas aside that are lost or too far behind, so that no statement has to find out.

    A replica that cannot say how far it is behind, because it does not reach its primary, counts as so much more behind as time goes by.
    """

    def __init__(self, database: Database, pool: Pool[Session], behind: set[str]) -> None:
        self._database = database
        self._settings = database.settings.reads
        self._pool = pool
        self._behind = behind
        self._aside: set[str] = set()  # the names of those that get no reads, for that reason or as they are lost
        self._greenlets: list[green.Greenlet] = []

    def is_usable(self, node: Node) -> bool:
        """Whether statements may go there."""
        return node.name not in self._aside if self._settings.check else node.available

    def start(self) -> None:
        if self._settings.check and not self._greenlets:
            self._greenlets = [Context().run(green.spawn, self._watch, node) for node in self._pool.nodes]

    def stop(self) -> None:
        for greenlet in self._greenlets:
            greenlet.kill(block=False)
        self._greenlets.clear()

    def _watch(self, node: Node) -> None:
        resources = self._database.resources
        session: Session | None = None
        near = monotonic() - self._settings.max_lag  # the last moment of which it is known that the replica has all of it
        try:
            while True:
                try:
                    with green.timeout(_PATIENCE, TimeoutError(f"no answer within {_PATIENCE:g} seconds")):
                        if session is None:
                            session = resources.connect(node)
                        seconds = self._database.lag_of(session)
                except Exception as error:
                    self._lost(node, error)
                    if session is not None:
                        resources.close(session)
                        session = None
                else:
                    if seconds is not None:
                        near = max(near, monotonic() - seconds)
                    self._judge(node, monotonic() - near if seconds is None else seconds)
                green.sleep(self._settings.check)
        finally:
            if session is not None:
                resources.close(session)

    def _lost(self, node: Node, error: Exception) -> None:
        self._put_aside(node, f"it is lost: {type(error).__name__}: {error}")

    def _judge(self, node: Node, seconds: float) -> None:
        if seconds > self._settings.max_lag:
            self._behind.add(node.name)
            self._put_aside(node, f"it is {seconds:.1f} seconds behind")
        elif node.name in self._aside:
            log.info("database %s: the replica %s is near enough again", self._database.name, node.name)
            self._behind.discard(node.name)
            self._aside.discard(node.name)
            node.taken_back()

    def _put_aside(self, node: Node, why: str) -> None:
        """Until the next look, and some time more in case that takes long."""
        if node.name not in self._aside:
            log.warning("database %s: the replica %s gets no reads: %s", self._database.name, node.name, why)
            self._aside.add(node.name)
        node.set_aside(self._settings.check * 2 + _PATIENCE * 2, why)


def seconds_behind(row: dict[str, Any] | None) -> float | None:
    """What a row of SHOW REPLICA STATUS says; None when the replica does not know.  Of a server that is no replica that is an error."""
    if row is None:
        raise LookupError("it is no replica of another server, or this user may not know")
    found = row.get("Seconds_Behind_Source", row.get("Seconds_Behind_Master"))
    return None if found is None else float(found)
