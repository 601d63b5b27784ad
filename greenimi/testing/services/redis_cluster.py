"""A Redis Cluster: primaries that share the 16384 slots, and replicas of them."""

from __future__ import annotations

from collections.abc import Mapping

import redis

from greenimi.testing.services.processes import ServiceFailed, wait_for
from greenimi.testing.services.redis import Redis
from greenimi.testing.services.service import STARTS, Conf, ServiceGroup, free_port

SLOTS = 16384
_KEYS_AT_ONCE = 100
_MOVES_WITHIN = 5000
"""Milliseconds."""


class ClusterNode(Redis):
    """A Redis server that is to join a Cluster.  ``bus_port``: where the nodes talk to each other."""

    def __init__(self, node_timeout: float, *, password: str = "", attached: bool = True) -> None:
        self.bus_port = free_port()
        options = {
            "cluster-enabled": "yes",
            "cluster-port": str(self.bus_port),
            "cluster-node-timeout": str(int(node_timeout * 1000)),
            "cluster-replica-validity-factor": "0",
        }
        super().__init__(password=password, options=options, attached=attached)


class RedisCluster(ServiceGroup):
    """Nodes of a Cluster.

    nodes     all of them: first the primaries in the order of their slots, then the replicas in the same order.
    replicas  how many each primary has at the start; without any there is no fail-over.
    """

    kind = "redis_cluster"

    def __init__(
        self, *, primaries: int = 3, replicas: int = 0, password: str = "", node_timeout: float = 1.5, attached: bool = True
    ) -> None:
        self.password = password
        self._primaries = primaries
        self.nodes = [ClusterNode(node_timeout, password=password, attached=attached) for _ in range(primaries * (1 + replicas))]
        self.members = self.nodes

    @property
    def url(self) -> str:
        return self.nodes[0].url

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.nodes]

    @property
    def addresses(self) -> list[str]:
        """``host:port`` of the nodes."""
        return [f"{node.host}:{node.port}" for node in self.nodes]

    @property
    def conf(self) -> Conf:
        secret = {"password": self.password} if self.password else {}
        return Conf("redis", {"cluster": self.addresses, **secret})

    def join(self) -> None:
        if self._info(self.nodes[0])["cluster_known_nodes"] == "1" and len(self.nodes) > 1:  # after a restart they know each other
            self._meet()
        if not wait_for(lambda: all(self._settled(node) for node in self.nodes), STARTS):
            raise ServiceFailed("the nodes did not become one Cluster")

    def _meet(self) -> None:
        share = SLOTS / self._primaries
        for number, node in enumerate(self.nodes):
            node.call("CLUSTER", "RESET", "HARD")  # another cluster that knew this port before may have said hello already
            node.call("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for number, node in enumerate(self.nodes):
            if number < self._primaries:
                node.call("CLUSTER", "ADDSLOTSRANGE", round(number * share), round((number + 1) * share) - 1)
            else:
                node.call("CLUSTER", "MEET", self.nodes[0].host, self.nodes[0].port, self.nodes[0].bus_port)
        for node in self.nodes[1 : self._primaries]:
            node.call("CLUSTER", "MEET", self.nodes[0].host, self.nodes[0].port, self.nodes[0].bus_port)
        for number, node in enumerate(self.nodes[self._primaries :]):
            primary = self.id_of(self.nodes[number % self._primaries])
            if not wait_for(lambda node=node, primary=primary: self._follows(node, primary), STARTS):  # type: ignore[misc]
                raise ServiceFailed(f"the node on port {node.port} did not become a replica")

    @staticmethod
    def _follows(node: ClusterNode, primary: str) -> bool:
        """Whether ``node`` could be made a replica of ``primary``: it has to have heard of it."""
        try:
            node.call("CLUSTER", "REPLICATE", primary)
        except redis.ResponseError:
            return False
        return True

    def _settled(self, node: ClusterNode) -> bool:
        found = self._info(node)
        if (found["cluster_state"], found["cluster_known_nodes"], found["cluster_slots_ok"]) != ("ok", str(len(self.nodes)), str(SLOTS)):
            return False
        return bool(node.info("replication").get("master_link_status", "up") == "up")

    @staticmethod
    def _info(node: ClusterNode) -> Mapping[str, str]:
        found: Mapping[str, str] = node.call("CLUSTER INFO")
        return found

    @staticmethod
    def id_of(node: ClusterNode) -> str:
        """What the Cluster calls a node."""
        found: bytes = node.call("CLUSTER", "MYID")
        return found.decode()

    def owner(self, slot: int) -> ClusterNode:
        """The node that has a slot now."""
        running = next(node for node in self.nodes if node.process is not None)
        for first, last, (_, port, *_), *_ in running.call("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise ServiceFailed(f"nobody has slot {slot}")

    def begin_move(self, slot: int, to: ClusterNode) -> None:
        """From now on keys of the slot are asked for at its owner, and those that are not there at ``to`` (``ASK``)."""
        source = self.owner(slot)
        to.call("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(to))

    def move_slot(self, slot: int, to: ClusterNode) -> None:
        """Give a slot and its keys to another primary, as resharding does; a move that was begun is ended."""
        source = self.owner(slot)
        if source is to:
            return
        self.begin_move(slot, to)
        login = ["AUTH", self.password] if self.password else []
        while keys := source.call("CLUSTER", "GETKEYSINSLOT", slot, _KEYS_AT_ONCE):
            source.call("MIGRATE", to.host, to.port, "", 0, _MOVES_WITHIN, *login, "KEYS", *keys)
        for node in (to, source):
            node.call("CLUSTER", "SETSLOT", slot, "NODE", self.id_of(to))
