from __future__ import annotations

import redis

from greenimi.pool.redis.errors import LateAnswer, LostConnection, NotSent, OwnConnectionNeeded, Unanswered


def test_are_those_of_redis_py() -> None:
    """Code that is written for redis-py catches them."""
    assert LateAnswer is redis.TimeoutError
    assert LostConnection is redis.ConnectionError
    assert all(issubclass(error, redis.ConnectionError) for error in (NotSent, Unanswered))
    assert not issubclass(NotSent, Unanswered)
    assert issubclass(OwnConnectionNeeded, redis.RedisError)
    assert not issubclass(OwnConnectionNeeded, redis.ConnectionError)
