"""Greenlets that count in Redis, and what became of their counts."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import redis

from greenimi import green
from greenimi.pool.redis.errors import NotSent


class Load:
    """Each greenlet counts a key of its own up, and reads back another that never changes.

    A command ends in a reply, in an error that says that it was not executed, or in one that says that nobody knows.
    """

    def __init__(self, client: Any, greenlets: int = 32) -> None:
        self.client = client
        self.counted = dict.fromkeys(range(greenlets), 0)
        self.unknown = dict.fromkeys(self.counted, 0)
        self.wrong: list[str] = []
        self.errors: Counter[str] = Counter()
        self.longest = 0.0
        self.last_error = 0.0
        self._running = True
        for number in self.counted:
            client.delete(self.key(number))
            client.set(f"fixed:{number}", f"value:{number}")
        self._greenlets = [green.spawn(self._work, number) for number in self.counted]

    @staticmethod
    def key(number: int) -> str:
        return f"{{{number}}}:count"

    def _work(self, number: int) -> None:
        while self._running:
            began = time.monotonic()
            try:
                self._step(number)
            except (redis.RedisError, redis.exceptions.RedisClusterException) as error:
                self.errors[type(error).__name__] += 1
                self.last_error = time.monotonic()
                green.sleep(0.01)
            self.longest = max(self.longest, time.monotonic() - began)

    def _step(self, number: int) -> None:
        try:
            found = self.client.incr(self.key(number))
        except (NotSent, redis.ResponseError):
            raise
        except (redis.ConnectionError, redis.TimeoutError):
            self.unknown[number] += 1
            raise
        self.counted[number] += 1
        if not found <= self.counted[number] + self.unknown[number]:
            self.wrong.append(f"{self.key(number)} is {found} after {self.counted[number]} and {self.unknown[number]} unknown")
        fixed = self.client.get(f"fixed:{number}")
        if fixed != b"value:%d" % number:
            self.wrong.append(f"fixed:{number} is {fixed!r}")

    @property
    def total(self) -> int:
        return sum(self.counted.values())

    def goes_on(self, seconds: float) -> float | None:
        """Seconds until every greenlet has counted once more; None when that took longer than ``seconds``."""
        began, before = time.monotonic(), dict(self.counted)
        while any(self.counted[number] == before[number] for number in before):
            if time.monotonic() - began > seconds:
                return None
            green.sleep(0.01)
        return time.monotonic() - began

    def stop(self) -> None:
        self._running = False
        for greenlet in self._greenlets:
            greenlet.get()

    def kept(self) -> dict[int, int]:
        return {number: int(self.client.get(self.key(number)) or 0) for number in self.counted}
