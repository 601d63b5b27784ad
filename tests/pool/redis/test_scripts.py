"""Scripts go by their digest, and whole only where they must."""

from __future__ import annotations

from hashlib import sha1
from typing import Any

import pytest
import redis
from redis.exceptions import NoScriptError, ResponseError

from greenimi.pool.redis.scripts import Script

TEXT = "return 'Grüße'"


class Server:
    """Knows no script at first."""

    def __init__(self) -> None:
        self.known = False
        self.asked: list[tuple[Any, ...]] = []

    def execute_command(self, *words: Any) -> str:
        self.asked.append(words)
        if words[0] == "EVAL":
            self.known = True
        elif not self.known:
            raise NoScriptError("No matching script")
        return "done"


def test_whole_only_when_it_is_not_known() -> None:
    script, server = Script(TEXT), Server()
    assert script.sha == sha1(TEXT.encode()).hexdigest() == Script(TEXT.encode()).sha
    assert script(["a"], [1, 2], server) == script(["a"], [1, 2], server) == "done"
    by_digest = ("EVALSHA", script.sha, 1, "a", 1, 2)
    assert server.asked == [by_digest, ("EVAL", TEXT, 1, "a", 1, 2), by_digest]


def test_the_client_it_was_registered_with() -> None:
    server = Server()
    script = Script(TEXT, server)
    assert script() == "done"
    assert server.asked[0] == ("EVALSHA", script.sha, 0)
    other = Server()
    assert script(client=other) == "done"
    assert len(other.asked) == 2


def test_without_a_client() -> None:
    with pytest.raises(TypeError, match="made without a client"):
        Script(TEXT)()


def test_its_own_error_is_raised_once() -> None:
    class Failing(Server):
        def execute_command(self, *words: Any) -> str:
            self.asked.append(words)
            raise ResponseError("ERR it failed")

    server = Failing()
    with pytest.raises(ResponseError, match="it failed"):
        Script(TEXT)(client=server)
    assert len(server.asked) == 1


def test_in_a_pipeline_the_first_is_whole() -> None:
    client = redis.Redis()
    one, two = Script("return 1"), Script("return 2")
    pipe = client.pipeline()
    for script in (one, two, one, two):
        script(client=pipe)
    assert [args[:2] for args, _ in pipe.command_stack] == [
        ("EVAL", "return 1"),
        ("EVAL", "return 2"),
        ("EVALSHA", one.sha),
        ("EVALSHA", two.sha),
    ]
    pipe.reset()
    one(client=pipe)
    assert [args[0] for args, _ in pipe.command_stack] == ["EVAL"]


def test_while_a_pipeline_watches_it_is_executed_at_once(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client, client.pipeline() as pipe:
        pipe.watch("key")
        assert Script("return 5")(client=pipe) == 5
        pipe.multi()
        Script("return 6")(client=pipe)
        assert pipe.execute() == [6]
