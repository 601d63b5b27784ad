"""What clients have beyond redis-py's."""

from __future__ import annotations

from typing import Any

import pytest

from greenimi.pool.redis.clients import make_client
from greenimi.pool.redis.helpers import Helpers
from greenimi.pool.redis.scripts import Script
from greenimi.pool.redis.settings import RedisSettings
from greenimi.testing.services.redis import Redis
from greenimi.testing.support import wait_until


def test_on_one_server_names_stay() -> None:
    helpers = Helpers()
    assert helpers.tag("a") == "a"
    assert not helpers.is_cluster
    assert isinstance(helpers.register_script("return 1"), Script)
    with pytest.raises(NotImplementedError):
        helpers.open_connection()
    with pytest.raises(NotImplementedError):
        helpers.connection_to("a")


def test_one_connection_for_all_subscribers(redis_server: Redis) -> None:
    client: Any = make_client(RedisSettings(port=redis_server.port))

    def subscribers() -> int:
        return sum(line.startswith(b"id=") and b" sub=0 psub=0 " not in line for line in redis_server.call("CLIENT", "LIST").splitlines())

    before = subscribers()
    many = [client.subscribe(f"channel:{number}") for number in range(10)]
    assert subscribers() == before + 1
    client.close()
    assert all(each.closed for each in many)
    wait_until(lambda: subscribers() == before)


def test_without_subscribers_there_is_nothing_to_close() -> None:
    client: Any = make_client(RedisSettings(port=1))
    client.close_subscriptions()
    client.subscriptions_elsewhere("a test")
    assert client._subscriptions is None
    client.close()
