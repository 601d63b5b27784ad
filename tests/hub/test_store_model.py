"""Stores in memory and in a file do the same as a model that is too simple to be wrong, whatever is asked of them in whatever order."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, rule

from greenimi.hub.machine_store import MachineStore
from greenimi.hub.memory_store import MemoryStore
from greenimi.interfaces import IHubStore
from tests.hub.store_model import Clock, Model

HISTORIES = 2
GROUPS = ("", "room", "room:ä")

tokens = st.sampled_from([bytes([number]) * 32 for number in range(2)])
groups = st.sampled_from(GROUPS)
names = st.sampled_from(("ann", "bob"))
connections = st.integers(1, 4)
processes = st.integers(1, 2)
graces = st.sampled_from((0.0, 0.0, 5.0, 70.0))
infos = st.sampled_from((b"", b"\x00info"))


class StoreMachine(RuleBasedStateMachine):
    """The machine store is used by two at a time, in turns, as by two processes."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.model = Model(self.clock, HISTORIES)
        self.folder = tempfile.mkdtemp()
        self.memory: IHubStore = MemoryStore(histories=HISTORIES, clock=self.clock)
        self.machines: list[IHubStore] = [MachineStore(self.folder, histories=HISTORIES, clock=self.clock) for _ in range(2)]
        self.epochs: set[tuple[int, str, str]] = set()

    def teardown(self) -> None:
        for store in self.machines:
            store.close()
        shutil.rmtree(self.folder)

    def ask(self, question: Callable[[IHubStore], Any]) -> tuple[Any, Any]:
        self.machines.reverse()
        return question(self.memory), question(self.machines[0])

    def same(self, expected: object, question: Callable[[IHubStore], Any]) -> None:
        assert self.ask(question) == (expected, expected)

    @rule(seconds=st.sampled_from((1.0, 5.0, 30.0, 60.0)))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(token=tokens, record=infos, seconds=graces)
    def keep(self, token: bytes, record: bytes, seconds: float) -> None:
        self.model.keep(token, record, seconds)
        self.ask(lambda store: store.keep(token, record, seconds))

    @rule(token=tokens)
    def take(self, token: bytes) -> None:
        self.same(self.model.take(token), lambda store: store.take(token))

    @rule(user=names, connection=connections, process=processes)
    def claim(self, user: str, connection: int, process: int) -> None:
        self.same(self.model.claim(user, connection, process), lambda store: store.claim(user, connection, process))

    @rule(user=names, connection=connections, seconds=graces)
    def release(self, user: str, connection: int, seconds: float) -> None:
        self.same(self.model.release(user, connection, seconds), lambda store: store.release(user, connection, seconds))

    @rule(user=names, old=connections, connection=connections, process=processes)
    def inherit(self, user: str, old: int, connection: int, process: int) -> None:
        self.same(self.model.inherit(user, old, connection, process), lambda store: store.inherit(user, old, connection, process))

    @rule(group=groups, member=names, connection=connections, process=processes, info=infos, limit=st.integers(0, 2))
    def enter(self, group: str, member: str, connection: int, process: int, info: bytes, limit: int) -> None:
        expected = self.model.enter(group, member, connection, process, info, limit)
        self.same(expected, lambda store: store.enter(group, member, connection, process, info, limit))

    @rule(group=groups, connection=connections, seconds=graces)
    def leave(self, group: str, connection: int, seconds: float) -> None:
        self.same(self.model.leave(group, connection, seconds), lambda store: store.leave(group, connection, seconds))

    @rule()
    def expired(self) -> None:
        # As often as there are processes to be buried, one at a time.
        self.same(self.model.expired(), lambda store: sorted(each for _ in range(3) for each in store.expired(100)))

    @rule(process=processes)
    def bury(self, process: int) -> None:
        self.same(self.model.bury(process), lambda store: sorted(store.bury(process)))

    @rule(process=processes, seconds=st.sampled_from((5.0, 100.0)))
    def alive(self, process: int, seconds: float) -> None:
        self.same(self.model.alive(process, seconds), lambda store: store.alive(process, seconds))

    @rule(group=groups, message=infos, size=st.integers(1, 3), seconds=st.sampled_from((5.0, 70.0)))
    def append(self, group: str, message: bytes, size: int, seconds: float) -> None:
        self.same_place(self.model.append(group, message, size, seconds), lambda store: store.append(group, message, size, seconds))

    @rule(group=groups)
    def position(self, group: str) -> None:
        self.same_place(self.model.position(group), lambda store: store.position(group))

    def same_place(self, expected: tuple[int, int], question: Callable[[IHubStore], tuple[int, str]]) -> None:
        """An epoch has one name in each store, and no other epoch has that."""
        (offset, epoch), (other_offset, other_epoch) = self.ask(question)
        assert offset == other_offset == expected[0]
        self.epochs.add((expected[1], epoch, other_epoch))
        for column in range(3):
            assert len({each[column] for each in self.epochs}) == len(self.epochs)

    @rule(group=groups, offset=st.integers(0, 4), limit=st.integers(0, 3))
    def since(self, group: str, offset: int, limit: int) -> None:
        self.same(self.model.since(group, offset, limit), lambda store: list(store.since(group, offset, limit)))

    @rule(limit=st.integers(0, 3))
    def collect(self, limit: int) -> None:
        done = self.ask(lambda store: store.collect(limit))
        assert max(done) <= limit

    # Not after each of the others: who looks tidies up.
    @rule(user=names)
    def owner(self, user: str) -> None:
        self.same(self.model.owner(user), lambda store: store.owner(user))

    @rule(group=groups)
    def present(self, group: str) -> None:
        self.same(self.model.present(group), lambda store: list(store.present(group, 10)))

    @rule(group=groups)
    def size(self, group: str) -> None:
        self.same(self.model.size(group), lambda store: store.size(group))


StoreMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
TestStores = StoreMachine.TestCase
