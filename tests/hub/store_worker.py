"""A process that uses the store of a machine as fast as it can, until it is killed, and writes down what it was told.

``python -m tests.hub.store_worker FOLDER PROCESS JOURNAL``: each line of the journal is what one call gave, written after it returned.
"""

from __future__ import annotations

import fcntl
import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from greenimi.hub.ids import first_number
from greenimi.hub.machine_store import MachineStore

TOKENS = 3_000
LIMIT = 5
LONG = 3600.0


def token(number: int) -> bytes:
    return number.to_bytes(32, "big")


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Whether nobody else is in here; the system lets go of it when a process is killed."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


class Worker:
    def __init__(self, folder: Path, process: int, journal: Path) -> None:
        self.folder = folder
        self.process = process
        self.journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.store = MachineStore(folder, wait=30.0)
        self.random = random.Random(process)
        self.connections = 0

    def note(self, *words: object) -> None:
        os.write(self.journal, (" ".join(map(str, words)) + "\n").encode())

    def take(self) -> None:
        number = self.random.randrange(TOKENS)
        if self.store.take(token(number)) is not None:
            self.note("took", number)

    def append(self) -> None:
        self.connections += 1
        words = f"{self.process}:{self.connections}"
        offset, epoch = self.store.append("room", words.encode(), 1_000_000, LONG)
        self.note("appended", offset, epoch, words)

    def visit(self) -> None:
        self.connections += 1
        connection = first_number(self.process) + self.connections
        entered, _ = self.store.enter("room", f"user{self.random.randrange(9)}", connection, self.process, b"", LIMIT)
        if self.store.size("room")[1] > LIMIT:
            self.note("crowded")
        if entered and self.random.random() < 0.8:  # else the place is taken until this process is buried
            self.store.leave("room", connection, self.random.choice((0.0, 0.001)))
        for each in self.store.expired(100):
            self.note("expired", *each)

    def own(self) -> None:
        self.connections += 1
        connection = first_number(self.process) + self.connections
        user = f"user{self.random.randrange(2)}"
        if self.store.claim(user, connection, self.process) is None:
            with alone(self.folder / f"{user}.lock") as mine:
                if not mine or self.store.owner(user) != connection:
                    self.note("not alone", user)
            self.store.release(user, connection)

    def run(self) -> None:
        self.store.alive(self.process, LONG)
        self.note("started")
        while True:
            for work in (self.take, self.append, self.visit, self.own):
                work()


if __name__ == "__main__":
    Worker(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])).run()
