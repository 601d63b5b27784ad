"""How a pool grows: each new resource is connected in a greenlet of its own, so that who waits takes whatever is there first."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from contextvars import Context
from time import monotonic
from typing import TYPE_CHECKING, Any

from greenimi import green
from greenimi.pool.errors import ConnectTimeout, NoNode
from greenimi.pool.lease import Slot
from greenimi.pool.nodes import Node

if TYPE_CHECKING:
    from greenimi.pool.balance import Balancer
    from greenimi.pool.pool import Pool

log = logging.getLogger("greenimi.pool")


class Attempt:
    """Somebody is connecting: one place of the pool is taken."""

    __slots__ = ("greenlet",)

    greenlet: green.Greenlet


class Connecting:
    """For one pool.  A taker that is killed or gives up does not break off what was begun for it: the next one gets that."""

    def __init__(self, pool: Pool[Any], nodes: Sequence[Node], balancer: Balancer) -> None:
        self.nodes = nodes
        self.attempts: set[Attempt] = set()
        self._pool = pool
        self._balancer = balancer

    def begin(self) -> None:
        """Connect one more, in the background."""
        attempt = Attempt()
        self.attempts.add(attempt)
        attempt.greenlet = Context().run(green.spawn, self._run, attempt)  # it belongs to no message

    def stop(self) -> None:
        """Give all attempts up.  Does not wait."""
        attempts = list(self.attempts)
        self.attempts.clear()
        for attempt in attempts:
            attempt.greenlet.kill(block=False)

    # -- in the attempt's greenlet -----------------------------------------------------------------------------------
    def _run(self, attempt: Attempt) -> None:
        slot: Slot | None = None
        error: Exception | None = None
        try:
            slot = self._connect()
        except Exception as found:
            error = found
        finally:
            wanted = attempt in self.attempts
            self.attempts.discard(attempt)
            if wanted:
                self._pool._attempted(slot, error)
                error = None  # or it would be kept alive by its own traceback
            elif slot is not None:  # the pool was stopped meanwhile
                slot.node.open -= 1
                self._pool._close(slot.resource)

    def _connect(self) -> Slot:
        """Raises what the last node's driver did, when all that may be tried have failed."""
        failed: list[Node] = []
        error: Exception | None = None
        while (node := self._choose(failed)) is not None:
            node.tried()
            node.open += 1
            try:
                resource = self._connect_to(node)
            except Exception as found:
                node.open -= 1
                self._failed(node, found)
                failed.append(node)
                error = found
            except BaseException:
                node.open -= 1
                node.untried()
                raise
            else:
                self._worked(node)
                now = monotonic()
                life = self._pool.settings.life
                return Slot(resource, node, now, now + life * random.uniform(0.9, 1.1) if life else float("inf"))  # noqa: S311 - no secret
        try:
            raise error or NoNode(f"pool {self._pool.name} has no node to connect to")
        finally:
            del error

    def _connect_to(self, node: Node) -> Any:
        seconds = self._pool.settings.connect_time
        with green.Timeout(seconds, ConnectTimeout(f"no connection within {seconds:g} seconds")):  # which ends nothing of who waits
            return self._pool._resources.connect(node)

    def _choose(self, failed: Sequence[Node]) -> Node | None:
        """One that is available and did not fail just now; when all are ejected that whose time is over first, once."""
        found = [node for node in self.nodes if node not in failed and node.available]
        if found:
            return found[0] if len(found) == 1 else self._balancer.choose(found)
        if failed or not self.nodes:
            return None
        return min(self.nodes, key=lambda node: node.ejected)

    def _worked(self, node: Node) -> None:
        if node.problem:
            log.info("pool %s: the node %s can be connected to again", self._pool.name, node.name)
        node.connects += 1
        self._pool.counts.connects += 1
        node.worked()

    def _failed(self, node: Node, error: Exception) -> None:
        error.add_note(f"while the pool {self._pool.name} connected to its node {node.name}")
        self._pool.counts.failures += 1
        known = node.problem
        node.failed(error)
        if not known:
            log.warning("pool %s: the node %s cannot be connected to: %s", self._pool.name, node.name, node.problem)
