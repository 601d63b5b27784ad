"""Clients whose plain reads go to replicas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from greenimi.pool.pool import Pool
from greenimi.pool.redis.addresses import Address, address_of, parse_address, resolved
from greenimi.pool.redis.client import Redis
from greenimi.pool.redis.own import MakePool
from greenimi.pool.redis.pipeline import Pipeline
from greenimi.pool.redis.replicas import Replicas, is_plain_read, is_read, note_write, wrote_lately
from greenimi.pool.redis.sentinel_client import SentinelRedis
from greenimi.pool.redis.settings import RedisSettings

__all__ = ["ReplicatedRedis", "ReplicatedSentinelRedis"]


class ReplicatedRedis(Redis):
    """Plain reads go to the replicas that ``replicas`` in conf names, everything else to the primary.

    What a message has written it reads from the primary for ``sticky`` seconds.  When no replica is connected with the primary, or one
    fails, the primary answers.  A replica may be behind: others see a write a little later.
    """

    def __init__(self, settings: RedisSettings, name: str = "default", make_pool: MakePool = Pool) -> None:
        super().__init__(settings, name, make_pool)
        self._sticky = settings.sticky
        self.replicas = Replicas(self.find_replicas, self._make_replica, primary_too=settings.read_from == "any")

    def find_replicas(self) -> list[Address]:
        return [
            address_of(resolved(RedisSettings(url=text), f"redis.{self.name}.replicas")) if "://" in text else parse_address(text)
            for text in self.settings.replicas
        ]

    def _make_replica(self, address: Address) -> Redis:
        """It fails at once when there is no connection: another server can answer.  It is of the primary's thread."""
        self.link.check_thread()
        settings = replace(self.settings, sentinels=[], replicas=[], read_from="primary", wait=0.0, retry_reads=False)
        return Redis(settings, f"{self.name}.replica.{address}", address=address)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        if is_plain_read(args[0]):
            if not wrote_lately(self._sticky):
                return self.replicas.read(super().execute_command, args, options)
        elif not is_read(args[0]):
            try:
                return super().execute_command(*args, **options)
            finally:
                note_write()
        return super().execute_command(*args, **options)

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:
        return _NotedPipeline(self, transaction, shard_hint)

    def close(self) -> None:
        if "replicas" in vars(self):
            self.replicas.close()
        super().close()


class ReplicatedSentinelRedis(ReplicatedRedis, SentinelRedis):
    """The same, with the replicas that the Sentinels know."""

    def find_replicas(self) -> list[Address]:
        return self.sentinels.replicas()


class _NotedPipeline(Pipeline):
    """It counts as a write."""

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        try:
            return super().execute(raise_on_error)
        finally:
            note_write()
