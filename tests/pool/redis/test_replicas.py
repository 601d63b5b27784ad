"""What may be read from a replica, and who answers when one cannot."""

from __future__ import annotations

from contextvars import Context
from typing import Any

import pytest
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import MasterDownError, ResponseError
from redis.exceptions import TimeoutError as LateAnswer

from greenimi.pool.redis.addresses import Address
from greenimi.pool.redis.replicas import Replicas, is_plain_read, is_read, note_write, wrote_lately


class Scripted:
    """A client of a replica that does as told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.link = "up"
        self.error: Exception | None = None
        self.closed = False

    def info(self, section: str) -> dict[str, str]:
        if self.error is not None:
            raise self.error
        return {"role": "slave", "master_link_status": self.link}

    def execute_command(self, *args: Any, **options: Any) -> str:
        if self.error is not None:
            raise self.error
        return self.name

    def close(self) -> None:
        self.closed = True


class Scene:
    def __init__(self, **settings: Any) -> None:
        self.addresses = [Address("one", 1), Address("two", 2)]
        self.clients: dict[str, Scripted] = {}
        self.replicas = Replicas(lambda: self.addresses, self.make, **settings)

    def make(self, address: Address) -> Any:
        return self.clients.setdefault(address.host, Scripted(address.host))

    def read(self) -> str:
        found: str = self.replicas.read(lambda *args, **options: "primary", ("GET", "a"), {})
        return found

    def readers(self) -> set[str]:
        return {self.read() for _ in range(20)}


def test_plain_reads() -> None:
    for name in ("GET", "get", b"GET", "HGETALL", "ZRANGE", "EVAL_RO"):
        assert is_plain_read(name)
        assert is_read(name)
    for name in ("SCAN", "HSCAN", "SSCAN", "ZSCAN", "XREAD"):
        assert not is_plain_read(name)
        assert is_read(name)
    for name in ("SET", "EVAL", "PUBLISH", "NOSUCH", "GETDEL"):
        assert not is_plain_read(name)
        assert not is_read(name)


def test_a_message_sees_what_it_wrote() -> None:
    def message() -> tuple[bool, bool, bool]:
        before = wrote_lately(10)
        note_write()
        return before, wrote_lately(10), wrote_lately(0)

    assert Context().run(message) == (False, True, False)
    assert not Context().run(wrote_lately, 10)


def test_in_turn() -> None:
    scene = Scene()
    assert scene.read() == "primary"  # until it was seen how they are
    scene.replicas.look()
    assert scene.readers() == {"one", "two"}


def test_the_primary_takes_its_share() -> None:
    scene = Scene(primary_too=True)
    scene.replicas.look()
    assert scene.readers() == {"one", "two", "primary"}


def test_one_that_lost_its_primary_is_left_out() -> None:
    scene = Scene()
    scene.make(Address("one", 1)).link = "down"
    scene.replicas.look()
    assert scene.readers() == {"two"}
    scene.clients["one"].link = "up"
    scene.replicas.look()
    assert scene.readers() == {"one", "two"}


@pytest.mark.parametrize("error", [LostConnection("gone"), LateAnswer("late"), MasterDownError("MASTERDOWN")])
def test_one_that_fails_is_left_out_at_once(error: Exception) -> None:
    scene = Scene()
    scene.replicas.look()
    scene.clients["one"].error = error
    assert "primary" in [scene.read(), scene.read()]
    assert scene.readers() == {"two"}


def test_what_is_wrong_with_a_command_is_no_fault_of_the_replica() -> None:
    scene = Scene()
    scene.addresses = scene.addresses[:1]
    scene.replicas.look()
    scene.clients["one"].error = ResponseError("WRONGTYPE")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        scene.read()


def test_replicas_come_and_go() -> None:
    scene = Scene()
    scene.replicas.look()
    scene.addresses = [Address("two", 2), Address("three", 3)]
    scene.replicas.look()
    assert scene.readers() == {"two", "three"}
    assert scene.clients["one"].closed
    scene.addresses = []
    scene.replicas.look()
    assert scene.readers() == {"primary"}


def test_nobody_knows_which_there_are() -> None:
    scene = Scene()
    scene.replicas.look()

    def find() -> list[Address]:
        raise LostConnection("no Sentinel")

    scene.replicas._find = find
    scene.replicas.look()
    assert scene.readers() == {"one", "two"}
    scene.replicas.close()
    assert all(client.closed for client in scene.clients.values())
