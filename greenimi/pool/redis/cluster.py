"""A Redis Cluster: redis-py's routing and shapes, with the commands of all greenlets for a node over one shared connection."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextvars import Context
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any

from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, LoadBalancingStrategy, RedisCluster
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    ClusterError,
    MovedError,
    RedisClusterException,
    SlotNotCoveredError,
    TryAgainError,
)
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from greenimi import green
from greenimi.green import Event
from greenimi.pool.redis.addresses import Address, parse_address
from greenimi.pool.redis.cluster_node import ClusterNodeClient
from greenimi.pool.redis.cluster_pipeline import ClusterPipeline
from greenimi.pool.redis.connections import connection_kwargs, open_connection
from greenimi.pool.redis.errors import LateAnswer, LostConnection, NotSent
from greenimi.pool.redis.helpers import Helpers, T
from greenimi.pool.redis.replicas import is_plain_read, is_read, note_write, wrote_lately
from greenimi.pool.redis.scans import ROUNDS, Match, each_item
from greenimi.pool.redis.settings import RedisSettings
from greenimi.pool.redis.tags import tagged

__all__ = ["Cluster"]

log = logging.getLogger("greenimi.redis")

_REDIRECTS = 16
"""Times that one command follows where nodes send it before it fails."""

_PAUSE = 0.05
"""Seconds between two tries of a command that no node takes now."""

_AVOID = 5.0
"""Seconds that a node which could not be reached is not asked where any other will do."""

_OFTEN = 0.5
"""Seconds at least between two looks at the whole Cluster for commands that were sent elsewhere."""

_STRATEGIES = {
    "primary": None,
    "replica": LoadBalancingStrategy.ROUND_ROBIN_REPLICAS,
    "any": LoadBalancingStrategy.ROUND_ROBIN,
}

_NOT_DONE = (NotSent, BusyLoadingError, ClusterDownError, SlotNotCoveredError)
"""The command was not executed, and soon may be."""


class Cluster(Helpers, RedisCluster):
    """``redis.RedisCluster`` on links: routing, multi-key rules and replies are redis-py's.

    ``MOVED`` and ``ASK`` are followed.  What no node has executed is tried again for ``wait`` seconds, with what is known of the Cluster
    made new; what may have been executed is not, but for commands that only read.
    """

    is_cluster = True
    ERRORS_ALLOW_RETRY: Any = ()  # what is tried again, and for how long, is said here and not in redis-py

    def __init__(self, settings: RedisSettings, name: str = "default") -> None:
        """Asks one of ``settings.cluster`` for the others; raises RedisClusterException when none answers."""
        self.name = name
        self.settings = settings
        self._clients: dict[str, ClusterNodeClient] = {}
        self._leaving: dict[
            str, float
        ] = {}  # nodes that are not in the Cluster any more, or not yet, and until when they keep their client
        self._avoided: dict[str, float] = {}  # nodes that could not be reached, and until when they are avoided
        self._one_key: dict[str, bool] = {}  # by command, as it was written
        self._seeds = [parse_address(text) for text in settings.cluster]
        self._refreshed: Event | None = None  # set when the look at the Cluster that goes on now has ended
        self._refresh_at = 0.0
        kwargs = connection_kwargs(settings)
        del kwargs["db"], kwargs["retry"]
        super().__init__(
            startup_nodes=[ClusterNode(seed.host, seed.port) for seed in self._seeds],
            retry=Retry(NoBackoff(), 0),
            require_full_coverage=False,
            max_connections=settings.blocking.max,
            load_balancing_strategy=_STRATEGIES[settings.read_from],
            ssl=settings.tls.on,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            **kwargs,
        )

    # -- commands ----------------------------------------------------------------------------------------------------------
    def execute_command(self, *args: Any, **options: Any) -> Any:
        """What redis-py returns for the command.

        NotSent (a ConnectionError), ClusterDownError: no node has executed it for ``wait`` seconds.  Other ConnectionErrors and
        TimeoutError: it is unknown whether it was executed.
        """
        if is_read(args[0]):
            return self._patiently(self.settings.retry_reads, args, options)
        try:
            return self._patiently(False, args, options)
        finally:
            note_write()

    def _patiently(self, read_again: bool, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        until: float | None = None
        while True:
            try:
                return self._once(args, options)
            except _NOT_DONE as error:
                until = until or monotonic() + self.settings.wait
                if monotonic() + _PAUSE > until:
                    raise
                log.debug("%s is tried again: %s", args[0], error)
                self.refresh()
                green.sleep(_PAUSE)
            except LostConnection:
                if not read_again:
                    raise
                read_again = False

    def _once(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """The short way for commands whose only key is their first word, which redis-py takes fifteen times as long to find out."""
        one_key = self._one_key.get(args[0])
        if one_key is None:
            one_key = self._learn(args[0])
        if not one_key or len(args) == 1 or "target_nodes" in options:
            return self._internal_execute_command(*args, **options)  # type: ignore[no-untyped-call]
        manager = self.nodes_manager
        slot = key_slot(self.encoder.encode(args[1]))
        strategy = self.load_balancing_strategy
        if strategy is None:
            nodes = manager.slots_cache.get(slot)
            if not nodes:
                raise SlotNotCoveredError(f"no node has the slot {slot}")
            return self._execute_command(nodes[0], *args, **options)
        return self._execute_command(manager.get_node_from_slot(slot, load_balancing_strategy=self._strategy(args[0])), *args, **options)

    def _learn(self, name: Any) -> bool:
        """Whether that command has one key, which comes first, and a reply that is not put together from those of several nodes."""
        found = self.commands_parser.commands.get(name.lower()) if isinstance(name, str) and hasattr(self, "commands_parser") else None
        if found is None:
            return False
        elsewhere = name.upper() in self.command_flags or name in self.result_callbacks or self._policy_resolver.resolve(name.lower())
        keys = (found["first_key_pos"], found["last_key_pos"], found["step_count"])
        one = keys == (1, 1, 1) and "movablekeys" not in found["flags"]
        self._one_key[name] = one and not elsewhere
        return self._one_key[name]

    def _strategy(self, command: str) -> LoadBalancingStrategy | None:
        """Which of the nodes that have a slot is asked: None for the primary."""
        if is_plain_read(command) and not wrote_lately(self.settings.sticky):
            return self.load_balancing_strategy
        return None

    def _execute_command(self, target_node: ClusterNode, *args: Any, **options: Any) -> Any:
        """On this node, or where it sends the command to."""
        node, asking = target_node, False
        for _ in range(_REDIRECTS):
            try:
                client = self.client_of(node)
                reply = (client.execute_asking if asking else client.execute_command)(*args, **options)
            except MovedError as error:
                node, asking = self.moved(error, node), False
            except AskError as error:
                node, asking = self._node_at(error, node), True
            except TryAgainError:
                green.sleep(_PAUSE)
            except (LostConnection, LateAnswer):
                self.suspect(node)
                raise
            else:
                callback = self.cluster_response_callbacks.get(args[0])
                options.pop("keys", None)
                return reply if callback is None else callback(reply, **options)
        raise ClusterError(f"{args[0]} was sent from node to node {_REDIRECTS} times")

    def client_of(self, node: ClusterNode) -> ClusterNodeClient:
        """The client of one node, for commands about that node.  It fails at once when there is no connection."""
        client = self._clients.get(node.name)
        if client is None:
            settings = replace(self.settings, cluster=[], wait=0.0, retry_reads=False)
            client = ClusterNodeClient(settings, f"{self.name}.{node.name}", address=Address(node.host, node.port))
            self._clients[node.name] = client
        return client

    def get_nodes_from_slot(self, command: str, *args: Any) -> list[ClusterNode]:
        """Of a plain read one that may be a replica, where conf says so and this message has not written lately."""
        slot: Any = self.determine_slot(*args)
        return [self.nodes_manager.get_node_from_slot(slot, load_balancing_strategy=self._strategy(command))]

    def pipeline(self, transaction: bool | None = None, shard_hint: Any = None) -> ClusterPipeline:
        if shard_hint:
            raise RedisClusterException("shard_hint is deprecated in cluster mode")
        return ClusterPipeline(self, transaction)

    # -- what is known of the Cluster --------------------------------------------------------------------------------------
    def refresh(self) -> None:
        """Ask a node which node has which slots; those who want to know at the same moment ask together.

        When no node answers everything stays as it was.
        """
        if self._refreshed is not None:
            self._refreshed.wait(self.settings.timeout)
            return
        refreshed = self._refreshed = Event()
        try:
            self.nodes_manager.initialize(additional_startup_nodes_info=[(seed.host, seed.port) for seed in self._seeds])
            self._let_go()
            self._avoid()
        except (RedisClusterException, LostConnection, LateAnswer) as error:
            log.warning("no node says how the Cluster is: %s", error)
        finally:
            self._refresh_at = monotonic() + _OFTEN
            self._refreshed = None
            refreshed.set()

    def _let_go(self) -> None:
        """Close the clients of nodes that left, once all that they were asked has been answered."""
        now = monotonic()
        gone = self._clients.keys() - self.nodes_manager.nodes_cache.keys()
        self._leaving = {name: self._leaving.get(name, now + 2 * self.settings.timeout) for name in gone}
        for name in [name for name, until in self._leaving.items() if until < now]:
            del self._leaving[name]
            self._clients.pop(name).close()

    def _refresh_soon(self) -> None:
        """In the background, and not for each command that shows that something has changed."""
        if self._refreshed is None and monotonic() > self._refresh_at:
            self._refresh_at = monotonic() + _OFTEN
            Context().run(green.spawn, self.refresh)

    def moved(self, error: MovedError, asked: ClusterNode | None = None) -> ClusterNode:
        """The node that has the slot now, which is remembered.  ``asked``: the one that said so."""
        if asked is not None:
            error.host = error.host or asked.host  # a node may leave out a host that is its own
        self.nodes_manager.move_slot(error)
        self._refresh_soon()  # slots seldom move alone
        return self.nodes_manager.get_node_from_slot(error.slot_id)

    def _node_at(self, error: AskError, asked: ClusterNode) -> ClusterNode:
        """The node that gets the slot: one that may be new, and is asked for this command only."""
        host = error.host or asked.host
        node: ClusterNode = self.get_node(host=host, port=error.port) or ClusterNode(host, error.port)  # type: ignore[no-untyped-call]
        self._leaving.pop(node.name, None)
        return node

    def suspect(self, node: ClusterNode) -> None:
        """It could not be reached: others are asked before it."""
        self.nodes_manager.move_node_to_end_of_cached_nodes(node.name)
        self._avoided[node.name] = monotonic() + _AVOID
        self._avoid()
        self._refresh_soon()

    def _avoid(self) -> None:
        """Have another node asked by default."""
        now = monotonic()
        self._avoided = {name: until for name, until in self._avoided.items() if until > now}
        node = self.nodes_manager.default_node
        others = [other for other in self.nodes_manager.get_nodes_by_server_type("primary") if other.name not in self._avoided]
        if node is not None and node.name in self._avoided and others:
            self.nodes_manager.default_node = random.choice(others)  # noqa: S311 - no secret

    def _get_command_keys(self, *args: Any) -> Any:
        """The keys of a command; of some only a node can tell."""
        node: Any = self.nodes_manager.default_node
        try:
            return self.commands_parser.get_keys(self.client_of(node), *args)
        except LostConnection:
            self.suspect(node)
            raise

    # -- helpers -----------------------------------------------------------------------------------------------------------
    def scan_each(self, match: Match = None, count: int | None = None, type: str | None = None) -> Iterator[Any]:
        """All keys of all primaries; a node that got slots meanwhile is gone through again.

        A key may be missed while its slot is just being moved to another node.
        """
        seen: set[tuple[int, str]] = set()
        for _ in range(ROUNDS):
            self.refresh()
            missing: dict[str, set[tuple[int, str]]] = {}
            for slot, nodes in self.nodes_manager.slots_cache.items():
                if (slot, nodes[0].name) not in seen:
                    missing.setdefault(nodes[0].name, set()).add((slot, nodes[0].name))
            if not missing:
                return
            for name, slots in missing.items():
                yield from self._scan_node(name, match, count, type)
                seen |= slots
        raise LostConnection(f"slots went from node to node {ROUNDS} times during one scan")

    def _scan_node(self, name: str, match: Match, count: int | None, kind: str | None) -> Iterator[Any]:
        node = self.get_node(node_name=name)  # type: ignore[no-untyped-call]
        if node is None:  # it has left since
            return
        client = self.client_of(node)
        scan_pages: Any = self.scan

        def scan(cursor: Any) -> tuple[Any, Any]:
            cursors, page = scan_pages(cursor, match=match, count=count, _type=kind, target_nodes=node)
            return cursors[name], page

        yield from each_item(scan, partial(client.connection_to, ""))

    def connection_to(self, name: Any) -> object:
        return self.client_of(self.get_node_from_key(name)).connection_to(name)  # type: ignore[no-untyped-call]

    def tag(self, name: T) -> T:
        return tagged(name)

    def open_connection(self, **more: Any) -> Any:
        """To any node: what is published reaches all."""
        nodes = self.get_primaries()  # type: ignore[no-untyped-call]
        random.shuffle(nodes)
        problem: Exception | None = None
        for node in nodes:
            try:
                return open_connection(self.settings, Address(node.host, node.port), **more)
            except (LostConnection, LateAnswer) as error:
                problem = error
                self._refresh_soon()
        raise problem or LostConnection("the Cluster has no nodes")

    def close(self) -> None:
        """Close all connections.  Closing twice does nothing."""
        self.close_subscriptions()
        for client in vars(self).get("_clients", {}).values():
            client.close()
        super().close()
