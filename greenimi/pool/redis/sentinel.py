"""Who is the primary now: all Sentinels are asked, and listened to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextvars import Context
from dataclasses import replace
from functools import partial
from typing import Any

from redis.exceptions import RedisError
from redis.sentinel import MasterNotFoundError
from redis.utils import str_if_bytes

from greenimi import green
from greenimi.green import Event
from greenimi.pool.redis.addresses import Address, parse_address
from greenimi.pool.redis.connections import LostConnection, open_connection
from greenimi.pool.redis.pubsub import Heard, Published
from greenimi.pool.redis.settings import RedisSettings
from greenimi.pool.redis.subscriptions import Subscriptions

__all__ = ["Sentinels", "check_role"]

_EVENTS = ("+switch-master", "+promoted-slave")
"""Another primary: for all Sentinels; a moment earlier, for the one that made it."""

_UNUSABLE = frozenset({"s_down", "o_down", "disconnected", "master_down"})

_GRACE = 0.1
"""Seconds that the last Sentinels get once most have answered."""

_HEARTBEAT = 5.0


class Sentinels:
    """All Sentinels of one primary.  What the one says that has seen the latest fail-over counts, whoever answers first.

    It says where the primary should be; whether the server there sees itself so is asked by who connects (:func:`check_role`).
    """

    def __init__(self, settings: RedisSettings) -> None:
        self.service = settings.service
        self.addresses = [parse_address(text) for text in settings.sentinels]
        self._settings = replace(
            settings,
            db=0,
            username=settings.sentinel_username,
            password=settings.sentinel_password,
            protocol=2,
            decode=False,
            timeout=min(settings.timeout, settings.connect_timeout),
        )
        self._listening: list[Subscriptions] = []
        self._changed: Callable[[], object] | None = None
        self._telling = False

    # -- asking ------------------------------------------------------------------------------------------------------------
    def primary(self) -> Address:
        """Where the primary is.  Raises MasterNotFoundError, a ConnectionError, when no Sentinel knows one."""
        answers, errors = self._ask("MASTER", "GET-MASTER-ADDR-BY-NAME")
        known = [(int(_pairs(state)["config-epoch"]), address) for state, address in answers if address is not None]
        if not known:
            raise MasterNotFoundError(f"no Sentinel says where the primary {self.service!r} is: {'; '.join(errors)}")
        latest = max(epoch for epoch, _ in known)
        votes = Counter((str_if_bytes(host), int(port)) for epoch, (host, port) in known if epoch == latest)
        (host, port), _ = votes.most_common(1)[0]
        return Address(host, port)

    def replicas(self) -> list[Address]:
        """The replicas of it that at least one Sentinel has no complaint about, in a steady order."""
        answers, _ = self._ask("REPLICAS")
        usable = {
            (found["ip"], int(found["port"]))
            for (answer,) in answers
            for found in map(_pairs, answer)
            if not _UNUSABLE & set(found["flags"].split(",")) and found.get("master-link-status") == "ok"
        }
        return [Address(host, port) for host, port in sorted(usable)]

    def _ask(self, *questions: str) -> tuple[list[Any], list[str]]:
        """Answers and errors of all Sentinels, asked at once.  One that says nothing costs no more than ``connect_timeout``."""
        answers: list[Any] = []
        errors: list[str] = []
        most, all_ = Event(), Event()

        def ask(address: Address) -> None:
            try:
                answers.append(self._answer(address, questions))
            except (RedisError, OSError) as error:
                errors.append(f"{address}: {error}")
            if len(answers) + len(errors) == len(self.addresses):
                all_.set()
            if all_.is_set() or len(answers) > len(self.addresses) // 2:
                most.set()

        asked = [Context().run(green.spawn, ask, address) for address in self.addresses]
        try:
            most.wait(self._settings.connect_timeout)
            all_.wait(_GRACE)
        finally:
            for greenlet in asked:
                greenlet.kill(block=False)
        return answers, errors

    def _answer(self, address: Address, questions: tuple[str, ...]) -> list[Any]:
        connection = open_connection(self._settings, address)
        try:
            for question in questions:
                connection.send_command("SENTINEL", question, self.service)
            return [connection.read_response() for _ in questions]
        finally:
            connection.disconnect()

    # -- listening ---------------------------------------------------------------------------------------------------------
    def listen(self, changed: Callable[[], object]) -> None:
        """Call ``changed`` in a greenlet whenever a Sentinel tells of another primary, or could have told while it was not heard.

        A Sentinel that cannot be reached is listened to as soon as it can.
        """
        self._changed = changed
        for address in self.addresses:
            connect = partial(open_connection, self._settings, address)
            listening = Subscriptions(connect, heartbeat=_HEARTBEAT, timeout=self._settings.timeout)
            listening.subscribe(_EVENTS, self._heard, timeout=0)
            self._listening.append(listening)

    def close(self) -> None:
        """Stop listening."""
        listening, self._listening = self._listening, []
        for each in listening:
            each.close()

    def _heard(self, heard: Heard) -> None:
        if isinstance(heard, Published) and self.service.encode() not in heard.data.split(b" "):
            return
        if not self._telling:  # all Sentinels tell of it at about the same time
            self._telling = True
            Context().run(green.spawn, self._tell)

    def _tell(self) -> None:
        self._telling = False
        if self._changed is not None:
            self._changed()


def check_role(connection: Any) -> None:
    """Raise LostConnection unless the server at the other end is a primary: after a fail-over the old one may still be there."""
    connection.send_command("ROLE")
    role = str_if_bytes(connection.read_response()[0])
    if role != "master":
        raise LostConnection(f"{connection.host}:{connection.port} is no primary, but a {role}")


def _pairs(answer: Any) -> dict[str, str]:
    words = [str_if_bytes(word) for word in answer]
    return dict(zip(words[::2], words[1::2], strict=True))
